//! Cancelling calls. Where a language's own cancellation does not reach Rust (Swift), and where the one who gives up is
//! not the one who called (a background task whose time is over), a handle does it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use syncline::engine::queue::command::JobCommand;
use syncline::{Client, Command, Error, Reply};
use tokio::sync::watch;

use crate::error::SynclineError;

/// Ends the calls of every client that was made with it (see `SynclineClient::with_cancel`). Once cancelled, it stays
/// so: calls made later end at once.
#[derive(Debug, uniffi::Object)]
pub struct CancelHandle {
    cancelled: watch::Sender<bool>,
}

#[uniffi::export]
impl CancelHandle {
    #[uniffi::constructor]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { cancelled: watch::Sender::new(false) })
    }

    /// From any thread; returns at once.
    pub fn cancel(&self) {
        self.cancelled.send_replace(true);
    }

    pub fn is_cancelled(&self) -> bool {
        *self.cancelled.borrow()
    }
}

impl CancelHandle {
    pub(crate) async fn wait(&self) {
        let mut cancelled = self.cancelled.subscribe();
        // Cannot fail: the sender is borrowed here.
        drop(cancelled.wait_for(|cancelled| *cancelled).await);
    }
}

/// A client whose calls end early when a handle, if there is one, is cancelled.
#[derive(Debug, Clone)]
pub(crate) struct Cancellable {
    client: Client,
    handle: Option<Arc<CancelHandle>>,
}

impl From<Client> for Cancellable {
    fn from(client: Client) -> Self {
        Self { client, handle: None }
    }
}

impl Cancellable {
    pub(crate) fn with(&self, handle: Arc<CancelHandle>) -> Self {
        Self { client: self.client.clone(), handle: Some(handle) }
    }

    /// Carries out a command. Cancelled, it stops waiting for the answer; what was begun may still take effect.
    /// Boxed: every call of the typed API would else hold all of this in itself.
    pub(crate) fn execute(&self, command: Command) -> BoxFuture<'_, Result<Reply, SynclineError>> {
        Box::pin(async move {
            let Some(handle) = self.handle.as_ref().filter(|_| waits_for_others(&command)) else {
                return Ok(self.client.execute(command).await?);
            };
            tokio::select! {
                biased;
                () = handle.wait() => Err(SynclineError::Cancelled),
                reply = self.client.execute(command) => reply.map_err(|error: Error| error.into()),
            }
        })
    }
}

/// What the device alone answers comes soon, and is never cut short: the number of a write, or a watch to end, would be
/// lost.
fn waits_for_others(command: &Command) -> bool {
    matches!(
        command,
        Command::Connect
            | Command::PresenceJoin { .. }
            | Command::PresenceUpdate { .. }
            | Command::EmitWithAck(_)
            | Command::JoinRoom(_)
            | Command::ConnectNamespace(_)
            | Command::SyncNow
            | Command::Pull { .. }
            | Command::Flush
            | Command::SyncOnce { .. }
            | Command::Jobs { command: JobCommand::Process }
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures_util::FutureExt;
    use syncline::{ClientConfig, StoreKind};

    use super::*;

    async fn offline_client() -> Cancellable {
        client_of("http://127.0.0.1:9".to_owned()).await
    }

    async fn client_of(url: String) -> Cancellable {
        let config = ClientConfig {
            store: StoreKind::Memory,
            auto_connect: false,
            token: Some("any".to_owned()),
            ..ClientConfig::new(url)
        };
        Client::open(config, |_| {}).await.unwrap().into()
    }

    fn a_write() -> Command {
        serde_json::from_value(serde_json::json!({
            "type": "write",
            "writes": [{"room": "user:ada", "collection": "notes", "id": "n", "write": {"create": {}}}],
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn a_call_that_waits_ends_when_its_handle_is_cancelled() {
        // Takes connections and never says anything.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = client_of(format!("http://{}", silent.local_addr().unwrap())).await;
        let handle = CancelHandle::new();
        let cancellable = client.with(handle.clone());
        let mut connect = Box::pin(cancellable.execute(Command::Connect));
        assert!(connect.as_mut().now_or_never().is_none(), "nobody answers it");
        handle.cancel();
        assert_eq!(connect.await, Err(SynclineError::Cancelled));
        client.execute(Command::Close).await.unwrap();
    }

    #[tokio::test]
    async fn a_write_is_finished_also_when_cancelled() {
        let client = offline_client().await;
        let handle = CancelHandle::new();
        handle.cancel();
        let reply = client.with(handle).execute(a_write()).await.unwrap();
        assert!(matches!(reply, Reply::Written { .. }));
        client.execute(Command::Close).await.unwrap();
    }

    #[tokio::test]
    async fn other_calls_of_the_client_go_on() {
        let client = offline_client().await;
        let handle = CancelHandle::new();
        handle.cancel();
        assert_eq!(client.with(handle).execute(Command::Flush).await, Err(SynclineError::Cancelled));
        assert!(matches!(client.execute(Command::Queue).await, Ok(Reply::Queue(_))));
        client.execute(Command::Close).await.unwrap();
    }
}
