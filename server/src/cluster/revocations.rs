//! Tokens that were taken back on any node are refused on all. Each node keeps what it knows; one key in Redis holds what all
//! know together, for those that start later, and is written anew by those that know more.

use std::io;
use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use tokio::time::MissedTickBehavior;

use super::Cluster;
use super::link::LinkError;
use super::message::{Channel, Message, revocations_key};
use crate::auth::Revoked;
use crate::gateway::Shared;
use crate::storage::sled::now_ms;

/// How often a node tries to write when others write at the same time; then it waits for the next look.
const ATTEMPTS: usize = 8;

/// Sets the key (1) to a text (2), for so many seconds (3), if it holds this text (1) or, for an empty one, nothing.
const COMPARE_AND_SET: &str = "\
    if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end \
    redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) \
    return 1";

impl Cluster {
    /// Looks at what is known together whenever something is revoked here or on another node, and every now and then, in
    /// case that nobody heard.
    pub(super) async fn share_revocations(
        &self,
        shared: &Arc<Shared>,
        mut speaker: MultiplexedConnection,
    ) -> LinkError {
        let mut changes = shared.auth.revocations().changes();
        let mut look = tokio::time::interval(self.renewal_step());
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = look.tick() => {}
                // Its sender is the server's.
                _ = changes.changed() => {}
                () = self.revoked.notified() => {}
            }
            changes.mark_unchanged();
            if let Err(error) = self.reconcile_revocations(shared, &mut speaker).await {
                return error.into();
            }
        }
    }

    async fn reconcile_revocations(
        &self,
        shared: &Arc<Shared>,
        speaker: &mut MultiplexedConnection,
    ) -> Result<(), redis::RedisError> {
        let key = revocations_key(&self.config.prefix);
        let revocations = shared.auth.revocations();
        for _ in 0..ATTEMPTS {
            let text: Option<Vec<u8>> = redis::cmd("GET").arg(&key).query_async(speaker).await?;
            let text = text.unwrap_or_default();
            let known = match text.as_slice() {
                [] => Revoked::default(),
                text => match serde_json::from_slice(text) {
                    Ok(known) => known,
                    Err(error) => {
                        tracing::error!(%error, "what other nodes have revoked cannot be read");
                        return Ok(());
                    }
                },
            };
            let now_s = now_ms() / 1000;
            let more = revocations.beyond(&known, now_s);
            let merging = Arc::clone(shared);
            let merged = tokio::task::spawn_blocking(move || merging.auth.revocations().merge(&known, now_s));
            if let Err(error) = merged.await.map_err(io::Error::other).flatten() {
                tracing::error!(%error, "what another node has revoked holds, but may not outlive this process");
            }
            let Some(more) = more else { return Ok(()) };
            let Ok(more) = serde_json::to_vec(&more) else { return Ok(()) };
            let written: bool = redis::cmd("EVAL")
                .arg(COMPARE_AND_SET)
                .arg(1)
                .arg(&key)
                .arg(&text)
                .arg(more)
                .arg(revocations.kept_s().max(1))
                .query_async(speaker)
                .await?;
            if written {
                self.tell(Channel::Everybody, Message::Revoked);
                return Ok(());
            }
        }
        Ok(())
    }
}
