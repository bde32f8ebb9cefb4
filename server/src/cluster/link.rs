//! The connection to Redis: two of them, one that listens and one that speaks. Either one's end is the end of both, and
//! after that everything is told and asked for anew.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use redis::AsyncConnectionConfig;
use redis::aio::{MultiplexedConnection, PubSubSink, PubSubStream};
use syncline_protocol::Room;
use tokio::sync::{mpsc, oneshot};

use super::message::{Channel, Envelope, Message, decode, encode, lease_key};
use super::{Cluster, Sending};
use crate::gateway::Shared;
use crate::presence::NodeId;

/// The first pause before Redis is tried again; it doubles.
const RETRY_MS: u64 = 100;

/// Commands that are sent to Redis at once.
const PIPELINE_COUNT: usize = 256;

/// Of a lease, how often it is renewed, and how long Redis keeps it: so that a node which dies just after it renewed its
/// own is found out within one lease.
const RENEWALS: u64 = 3;

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error(transparent)]
    Redis(#[from] redis::RedisError),
    #[error("Redis did not answer in time")]
    Timeout(#[from] tokio::time::error::Elapsed),
    #[error("Redis closed the connection")]
    Closed,
    #[error("more waited for Redis than may wait")]
    Overflowed,
}

impl Cluster {
    /// Keeps this node in touch with the others, for ever.
    pub(crate) async fn run(self: Arc<Self>, shared: Arc<Shared>) {
        let taken = self.sending.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut sending) = taken else { return };
        let keeping = self.keep(&shared);
        let linking = async {
            let mut pause_ms = RETRY_MS;
            let mut down_since_ms = None;
            loop {
                let error = self.link(&shared, &mut sending).await;
                if self.up.swap(false, Ordering::Relaxed) {
                    pause_ms = RETRY_MS;
                    down_since_ms = None;
                }
                self.heard.notify_waiters();
                // Nobody is told any more what waited.
                while sending.try_recv().is_ok() {}
                self.drained.notify_waiters();
                let now_ms = self.now_ms();
                let down_since_ms = *down_since_ms.get_or_insert(now_ms);
                tracing::warn!(%error, "the other nodes cannot be reached");
                if now_ms.saturating_sub(down_since_ms) >= self.config.outage_ms {
                    for node in shared.roster().nodes() {
                        self.bury(&shared, node);
                    }
                }
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                pause_ms = (pause_ms * 2).min(self.config.retry_ms_max.max(RETRY_MS));
            }
        };
        tokio::join!(keeping, linking);
    }

    /// One connection, from its opening to its end.
    async fn link(&self, shared: &Arc<Shared>, sending: &mut mpsc::Receiver<Sending>) -> LinkError {
        match self.open().await {
            Err(error) => error,
            Ok((speaker, sink, stream)) => {
                tokio::select! {
                    error = self.listen(shared, stream) => error,
                    error = self.speak(speaker.clone(), sending) => error,
                    error = self.follow_rooms(shared, sink) => error,
                    error = self.renew(shared, speaker.clone()) => error,
                    error = self.share_revocations(shared, speaker) => error,
                    () = self.overflowed.notified() => LinkError::Overflowed,
                }
            }
        }
    }

    async fn open(&self) -> Result<(MultiplexedConnection, PubSubSink, PubSubStream), LinkError> {
        let connect_timeout = Duration::from_millis(self.config.connect_timeout_ms);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(connect_timeout))
            .set_response_timeout(Some(Duration::from_millis(self.config.response_timeout_ms)));
        let opening = async {
            let mut speaker = self.client.get_multiplexed_async_connection_with_config(&config).await?;
            let (mut sink, stream) = self.client.get_async_pubsub().await?.split();
            let mut mine = vec![Channel::Everybody, Channel::Node(self.node)];
            if !self.webhooks.is_empty() {
                mine.push(Channel::Tellers);
            }
            let names: Vec<String> = mine.iter().map(|channel| channel.name(&self.config.prefix)).collect();
            sink.subscribe(&names[..]).await?;
            self.renew_lease(&mut speaker).await?;
            Ok::<_, LinkError>((speaker, sink, stream))
        };
        tokio::time::timeout(connect_timeout, opening).await?
    }

    async fn listen(&self, shared: &Shared, mut stream: PubSubStream) -> LinkError {
        // It hears its own beats as well: where even these do not come, the connection is dead.
        let patience = Duration::from_millis(self.config.lease_ms);
        loop {
            let message = match tokio::time::timeout(patience, stream.next()).await {
                Ok(Some(message)) => message,
                Ok(None) => return LinkError::Closed,
                Err(silence) => return silence.into(),
            };
            match decode(message.get_payload_bytes()) {
                Ok(envelope) => {
                    self.until_space().await;
                    self.hear(shared, envelope).await;
                }
                Err(error) => tracing::warn!(%error, "what another node said is not understood"),
            }
        }
    }

    async fn speak(
        &self,
        mut speaker: MultiplexedConnection,
        sending: &mut mpsc::Receiver<Sending>,
    ) -> LinkError {
        let mut batch = Vec::new();
        let mut farewells = Vec::new();
        loop {
            if sending.recv_many(&mut batch, PIPELINE_COUNT).await == 0 {
                // The sender is a field of this cluster's: it outlives this.
                return LinkError::Closed;
            }
            self.drained.notify_waiters();
            let mut pipeline = redis::pipe();
            for next in batch.drain(..) {
                match next {
                    Sending::Message(channel, message) => self.publish(&mut pipeline, &channel, message),
                    Sending::Farewell(told) => {
                        self.publish(&mut pipeline, &Channel::Everybody, Message::Gone);
                        pipeline.del(lease_key(&self.config.prefix, self.node)).ignore();
                        farewells.push(told);
                    }
                }
            }
            if let Err(error) = pipeline.exec_async(&mut speaker).await {
                return error.into();
            }
            for told in farewells.drain(..) {
                let _: Result<(), ()> = oneshot::Sender::send(told, ());
            }
        }
    }

    fn publish(&self, pipeline: &mut redis::Pipeline, channel: &Channel, message: Message) {
        match encode(&Envelope { node: self.node, message }) {
            Ok(bytes) => {
                pipeline.publish(channel.name(&self.config.prefix), bytes).ignore();
            }
            Err(error) => tracing::error!(%error, "a message to other nodes cannot be encoded"),
        }
    }

    /// Hears the channels of the rooms that are open here. At first of all of them, and everything is asked and told.
    async fn follow_rooms(&self, shared: &Shared, mut sink: PubSubSink) -> LinkError {
        let mut subscribed: HashSet<Room> = HashSet::new();
        {
            let mut rooms = self.rooms();
            rooms.open.values_mut().for_each(|open| open.is_heard = false);
            rooms.changed = rooms.open.keys().cloned().collect();
            rooms.unplaced.clear();
        }
        self.up.store(true, Ordering::Relaxed);
        tracing::info!(node = %self.node, "the other nodes can be reached");
        self.tell(Channel::Everybody, Message::Beat);
        // What was told while this node could not hear it is found in the storage.
        self.compare_soon();
        loop {
            let changed: Vec<Room> = std::mem::take(&mut self.rooms().changed).into_iter().collect();
            for rooms in changed.chunks(PIPELINE_COUNT) {
                if let Err(error) = self.follow_some(shared, &mut sink, &mut subscribed, rooms).await {
                    return error;
                }
            }
            self.rooms_changed.notified().await;
        }
    }

    async fn follow_some(
        &self,
        shared: &Shared,
        sink: &mut PubSubSink,
        subscribed: &mut HashSet<Room>,
        rooms: &[Room],
    ) -> Result<(), LinkError> {
        let name = |room: &Room| Channel::Room(room.clone()).name(&self.config.prefix);
        let (mut opened, closed): (Vec<Room>, Vec<Room>) = {
            let all = self.rooms();
            rooms.iter().cloned().partition(|room| all.open.contains_key(room))
        };
        let left: Vec<String> = closed.iter().filter(|room| subscribed.remove(*room)).map(name).collect();
        let patience = Duration::from_millis(self.config.response_timeout_ms);
        if !left.is_empty() {
            tokio::time::timeout(patience, sink.unsubscribe(&left[..])).await??;
            self.offer_places(left.len());
        }
        // A room that was closed and opened again has begun anew.
        let space = self.config.rooms_max.saturating_sub(subscribed.len());
        let mut beyond = 0;
        opened.retain(|room| {
            let fits = subscribed.contains(room) || beyond < space;
            beyond += usize::from(!subscribed.contains(room));
            if !fits {
                let mut all = self.rooms();
                // One that was closed meanwhile would take the place of another.
                if all.open.contains_key(room) {
                    all.unplaced.insert(room.clone());
                }
            }
            fits
        });
        if opened.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = opened.iter().map(name).collect();
        tokio::time::timeout(patience, sink.subscribe(&names[..])).await??;
        for room in opened {
            self.until_space().await;
            {
                let roster = shared.roster();
                if let Some(open) = self.rooms().open.get_mut(&room) {
                    open.is_heard = true;
                }
                let channel = Channel::Room(room.clone());
                self.tell(channel.clone(), Message::Ask { room: room.clone() });
                self.tell_room(&channel, &room, &roster.reports(&room, shared.now_ms()));
            }
            subscribed.insert(room);
        }
        self.heard.notify_waiters();
        Ok(())
    }

    /// So many rooms are heard no longer: as many of those that wait for a place are looked at again.
    fn offer_places(&self, count: usize) {
        self.change_rooms(|rooms| {
            let next: Vec<Room> = rooms.unplaced.iter().take(count).cloned().collect();
            for room in next {
                rooms.unplaced.remove(&room);
                rooms.changed.insert(room);
            }
        });
    }

    /// Renews this node's lease, and looks after those of the others.
    async fn renew(&self, shared: &Shared, mut speaker: MultiplexedConnection) -> LinkError {
        let since_ms = self.now_ms();
        loop {
            tokio::time::sleep(self.renewal_step()).await;
            self.tell(Channel::Everybody, Message::Beat);
            let peers: Vec<NodeId> = self.peers().iter().copied().collect();
            let renewing = async {
                self.renew_lease(&mut speaker).await?;
                let mut living = Vec::new();
                for peers in peers.chunks(PIPELINE_COUNT) {
                    let mut pipeline = redis::pipe();
                    for peer in peers {
                        pipeline.exists(lease_key(&self.config.prefix, *peer));
                    }
                    living.extend(pipeline.query_async::<Vec<bool>>(&mut speaker).await?);
                }
                Ok::<_, LinkError>(living)
            };
            let living = match renewing.await {
                Ok(living) => living,
                Err(error) => return error,
            };
            // After Redis was away, the others have the time of a lease to come back as well.
            if self.now_ms().saturating_sub(since_ms) < self.config.lease_ms {
                continue;
            }
            for (peer, lives) in peers.into_iter().zip(living) {
                if !lives {
                    self.bury(shared, peer);
                }
            }
        }
    }

    /// From one renewal of a lease to the next.
    pub(super) fn renewal_step(&self) -> Duration {
        Duration::from_millis((self.config.lease_ms / RENEWALS).max(1))
    }

    async fn renew_lease(&self, speaker: &mut MultiplexedConnection) -> Result<(), LinkError> {
        let kept_ms = (self.config.lease_ms * (RENEWALS - 1) / RENEWALS).max(1);
        let key = lease_key(&self.config.prefix, self.node);
        redis::cmd("SET").arg(key).arg(1).arg("PX").arg(kept_ms).exec_async(speaker).await?;
        Ok(())
    }
}
