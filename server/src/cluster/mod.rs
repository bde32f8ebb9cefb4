//! Several nodes that serve the same rooms: what happens on one is told on all.
//!
//! Redis carries what nodes tell each other, and nothing else. Whatever it loses is found again: changes by comparing
//! heads with the storage, which is the truth; presence by asking for all of it when a connection is made anew.
//!
//! - [`message`]: what is told.
//! - [`order`]: pure: in which order a room's changes are delivered.
//! - [`link`]: the connection to Redis, for as long as it lasts.
//! - [`keeper`]: what is compared and read from the storage.
//! - [`revocations`]: which tokens hold no longer, on any node.

mod keeper;
mod link;
mod message;
mod order;
mod revocations;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use syncline_protocol::Room;
use tokio::sync::{Notify, mpsc, oneshot};

#[cfg(fuzzing)]
pub use self::message::fuzz_message;
use self::message::{Channel, Envelope, Message};
use self::order::{Order, Patience};
use crate::config::{ClusterConfig, RedisUrl};
use crate::error::ServerError;
use crate::fanout::{LocalFanout, head_hint};
use crate::gateway::Shared;
use crate::hub::{LiveChanges, changes_byte_len};
use crate::presence::{Effect, Heard, NodeId, Report};
use crate::webhooks::Webhooks;

/// Reports in one message: a room of thousands is told in parts.
const SNAPSHOT_COUNT: usize = 100;

/// This node's place among the others.
pub(crate) struct Cluster {
    node: NodeId,
    config: ClusterConfig,
    client: redis::Client,
    fanout: Arc<LocalFanout>,
    webhooks: Arc<Webhooks>,
    started: Instant,
    rooms: Mutex<Rooms>,
    /// Woken when rooms were opened or closed.
    rooms_changed: Notify,
    /// Woken when a room's channel is heard, or the link goes down.
    heard: Notify,
    /// Woken when something is missing in a room.
    gaps: Notify,
    /// Woken when heads are to be compared.
    compare: Notify,
    /// Woken when something was not sent that cannot be left out.
    overflowed: Notify,
    /// Woken when another node has revoked something.
    revoked: Notify,
    outbox: mpsc::Sender<Sending>,
    /// Woken when something was taken out of it.
    drained: Notify,
    /// Taken by [`run`](Self::run).
    sending: Mutex<Option<mpsc::Receiver<Sending>>>,
    up: AtomicBool,
    peers: Mutex<HashSet<NodeId>>,
}

#[derive(Debug, Default)]
struct Rooms {
    open: HashMap<Room, OpenRoom>,
    /// Opened or closed since the link last looked.
    changed: HashSet<Room>,
    /// Open ones that are not heard, because there are too many.
    unplaced: HashSet<Room>,
    /// Open ones in which something is missing.
    gapped: HashSet<Room>,
}

/// A room that somebody here is in.
#[derive(Debug, Default)]
struct OpenRoom {
    order: Order,
    /// Whether what other nodes tell of it is heard.
    is_heard: bool,
}

/// Something for the link to do.
enum Sending {
    Message(Channel, Message),
    /// The node ends; answered when the others were told.
    Farewell(oneshot::Sender<()>),
}

/// How the cluster does, as `/health` says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ClusterHealth {
    /// What connects the nodes.
    pub(crate) kind: &'static str,
    /// `ok`, or `degraded` while Redis cannot be reached.
    pub(crate) state: &'static str,
    pub(crate) node: String,
    /// Other nodes that are known to live.
    pub(crate) peers: usize,
}

/// An error of Redis' may quote the URL, and with it the password.
fn client(url: &RedisUrl, ca_file: Option<&Path>) -> Result<redis::Client, ServerError> {
    let opened = redis::Client::open(url.0.as_str()).map_err(|_| ServerError::ClusterUrl)?;
    let Some(path) = ca_file else { return Ok(opened) };
    let unusable = || ServerError::ClusterAuthorities { path: path.to_owned() };
    if !matches!(opened.get_connection_info().addr(), redis::ConnectionAddr::TcpTls { .. }) {
        return Err(ServerError::ClusterNotSecure);
    }
    let root_cert = Some(std::fs::read(path).map_err(|_| unusable())?);
    let certificates = redis::TlsCertificates { client_tls: None, root_cert };
    redis::Client::build_with_tls(url.0.as_str(), certificates).map_err(|_| unusable())
}

impl Cluster {
    pub(crate) fn new(
        url: &RedisUrl,
        config: &ClusterConfig,
        fanout: Arc<LocalFanout>,
        webhooks: Arc<Webhooks>,
    ) -> Result<Arc<Self>, ServerError> {
        let client = client(url, config.ca_file.as_deref())?;
        let (outbox, sending) = mpsc::channel(config.messages_queued_max.max(1));
        let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
        Ok(Arc::new(Self {
            node: NodeId(high ^ low),
            config: config.clone(),
            client,
            fanout,
            webhooks,
            started: Instant::now(),
            rooms: Mutex::default(),
            rooms_changed: Notify::new(),
            heard: Notify::new(),
            gaps: Notify::new(),
            compare: Notify::new(),
            overflowed: Notify::new(),
            revoked: Notify::new(),
            outbox,
            drained: Notify::new(),
            sending: Mutex::new(Some(sending)),
            up: AtomicBool::new(false),
            peers: Mutex::default(),
        }))
    }

    pub(crate) fn health(&self) -> ClusterHealth {
        ClusterHealth {
            kind: "redis",
            state: if self.is_up() { "ok" } else { "degraded" },
            node: self.node.to_string(),
            peers: self.peers().len(),
        }
    }

    /// Delivers what this node has committed, and tells the others.
    pub(crate) fn committed(&self, changes: LiveChanges) {
        let room = &changes.room;
        if self.webhooks.note(room) {
            // What is not told is found by the search of all rooms.
            self.send(Channel::Tellers, Message::News { room: room.clone() });
        }
        let told = match changes_byte_len(&changes) > self.config.message_bytes_max {
            true => head_hint(changes.room.clone(), changes.to_seq),
            false => changes.clone(),
        };
        self.deliver(changes);
        // What is not told is found when heads are compared.
        self.send(Channel::Room(told.room.clone()), Message::Changes(told));
    }

    /// Follows what has changed among this node's own connections. Called in the order of the changes.
    pub(crate) fn follow(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Opened(room) => self.change_rooms(|rooms| {
                    rooms.open.entry(room.clone()).or_default();
                    rooms.changed.insert(room);
                }),
                Effect::Closed(room) => self.change_rooms(|rooms| {
                    rooms.open.remove(&room);
                    rooms.gapped.remove(&room);
                    rooms.unplaced.remove(&room);
                    rooms.changed.insert(room);
                }),
                Effect::Report(report) => {
                    self.tell(Channel::Room(report.room.clone()), Message::Report(report));
                }
            }
        }
    }

    /// Waits until what other nodes commit in an open room is heard: what comes later is told live. Gives up after a
    /// while, or while Redis is away.
    pub(crate) async fn until_heard(&self, room: &Room) {
        let heard = async {
            loop {
                let woken = self.heard.notified();
                let mut woken = std::pin::pin!(woken);
                woken.as_mut().enable();
                let done = self.rooms().open.get(room).is_none_or(|open| open.is_heard);
                if done || !self.is_up() {
                    return;
                }
                woken.await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(self.config.subscribe_timeout_ms), heard).await;
    }

    /// Somebody here holds the room's log up to `cursor`.
    pub(crate) fn begin(&self, room: &Room, cursor: u64) {
        if let Some(open) = self.rooms().open.get_mut(room) {
            open.order.begin(cursor);
        }
    }

    /// Tells the others that this node tells no webhook any more.
    pub(crate) fn say_freed(&self) {
        if !self.webhooks.is_empty() {
            self.send(Channel::Tellers, Message::Freed);
        }
    }

    /// Tells the others that this node ends, for at most as long as Redis may take to answer.
    pub(crate) async fn say_farewell(&self) {
        let (told, is_told) = oneshot::channel();
        let farewell = async {
            if self.is_up() && self.outbox.send(Sending::Farewell(told)).await.is_ok() {
                let _ = is_told.await;
            }
        };
        let patience = Duration::from_millis(self.config.response_timeout_ms);
        if tokio::time::timeout(patience, farewell).await.is_err() {
            tracing::warn!("the other nodes were not told that this one ends");
        }
    }

    fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn patience(&self) -> Patience {
        Patience { reorder_ms: self.config.reorder_ms, held_count_max: self.config.held_count_max }
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn peers(&self) -> MutexGuard<'_, HashSet<NodeId>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change_rooms(&self, change: impl FnOnce(&mut Rooms)) {
        change(&mut self.rooms());
        self.rooms_changed.notify_one();
    }

    /// Delivers changes to this node's subscribers when it is their turn.
    fn deliver(&self, changes: LiveChanges) {
        let room = changes.room.clone();
        self.advance(&room, |order, now_ms, patience| order.offer(changes, now_ms, patience));
    }

    /// Moves a room's order on. What that makes ready is delivered before anything else moves it.
    fn advance(&self, room: &Room, step: impl FnOnce(&mut Order, u64, Patience) -> Vec<LiveChanges>) {
        let mut rooms = self.rooms();
        let Some(open) = rooms.open.get_mut(room) else { return };
        for ready in step(&mut open.order, self.now_ms(), self.patience()) {
            self.fanout.announce(ready);
        }
        if open.order.due_ms().is_none() {
            rooms.gapped.remove(room);
        } else {
            rooms.gapped.insert(room.clone());
            self.gaps.notify_one();
        }
    }

    /// Queues a message; answers whether it will be sent.
    fn send(&self, channel: Channel, message: Message) -> bool {
        self.is_up() && self.outbox.try_send(Sending::Message(channel, message)).is_ok()
    }

    /// Queues a message that may not be left out while the link is up.
    fn tell(&self, channel: Channel, message: Message) {
        if !self.send(channel, message) && self.is_up() {
            self.overflowed.notify_one();
        }
    }

    /// Waits until much can be told. Who tells a lot does so first, at every step.
    async fn until_space(&self) {
        let space = (self.config.messages_queued_max / 2).max(1);
        loop {
            let drained = self.drained.notified();
            let mut drained = std::pin::pin!(drained);
            drained.as_mut().enable();
            // Nothing is reserved: what may not be left out finds the places that there are meanwhile.
            if self.outbox.capacity() >= space {
                return;
            }
            drained.await;
        }
    }

    /// Tells all of this node's connections in a room. Called with the roster locked, so that it has its place among the
    /// reports of changes.
    fn tell_room(&self, channel: &Channel, room: &Room, reports: &[Report]) {
        let connections = reports.iter().map(|report| report.connection).collect();
        for part in reports.chunks(SNAPSHOT_COUNT) {
            self.tell(channel.clone(), Message::Snapshot { reports: part.to_vec() });
        }
        self.tell(channel.clone(), Message::Roll { room: room.clone(), connections });
    }

    /// Takes in what another node says.
    async fn hear(&self, shared: &Shared, Envelope { node, message }: Envelope) {
        if node == self.node {
            return;
        }
        let is_new = self.peers().insert(node);
        if is_new {
            tracing::info!(%node, "another node is here");
            // It may have been here before, and taken for dead.
            let rooms = shared.roster().open_rooms();
            for room in rooms {
                self.until_space().await;
                self.tell(Channel::Node(node), Message::Ask { room });
            }
        }
        match message {
            Message::Changes(changes) => self.deliver(changes),
            Message::Report(report) => {
                shared.change_roster(|roster, now_ms| roster.apply(node, &report, Heard::Change, now_ms));
            }
            Message::Snapshot { reports } => shared.change_roster(|roster, now_ms| {
                let notices =
                    reports.iter().map(|report| roster.apply(node, report, Heard::Snapshot, now_ms));
                notices.flatten().collect()
            }),
            Message::Roll { room, connections } => {
                shared.change_roster(|roster, _| roster.apply_roll(node, &room, &connections));
            }
            Message::Ask { room } => {
                let roster = shared.roster();
                let reports = roster.reports(&room, shared.now_ms());
                self.tell_room(&Channel::Node(node), &room, &reports);
            }
            Message::Revoked => self.revoked.notify_one(),
            Message::Beat => {}
            Message::News { room } => drop(self.webhooks.note(&room)),
            Message::Freed => self.webhooks.freed(),
            Message::Gone => {
                tracing::info!(%node, "another node has ended");
                self.peers().remove(&node);
                shared.change_roster(|roster, now_ms| roster.lose_node(node, now_ms));
            }
        }
    }

    /// Takes the node for dead, and its connections with it.
    fn bury(&self, shared: &Shared, node: NodeId) {
        tracing::warn!(%node, "another node is not heard of any more");
        self.peers().remove(&node);
        shared.change_roster(|roster, _| roster.drop_node(node));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::config::{HubConfig, WebhooksConfig};

    #[tokio::test]
    async fn who_waits_for_space_takes_none_from_those_who_do_not_wait() {
        let config = ClusterConfig { messages_queued_max: 8, ..ClusterConfig::default() };
        let url = RedisUrl("redis://127.0.0.1:1".to_owned());
        let fanout = Arc::new(LocalFanout::new(&HubConfig::default()));
        let webhooks = Arc::new(Webhooks::open(&WebhooksConfig::default()).unwrap());
        let cluster = Cluster::new(&url, &config, fanout, webhooks).unwrap();
        cluster.up.store(true, Ordering::Relaxed);
        let send = || cluster.send(Channel::Everybody, Message::Beat);
        for _ in 0..5 {
            assert!(send());
        }
        let mut waiting = std::pin::pin!(cluster.until_space());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert!(send(), "there are places");
        let mut sending = cluster.sending.lock().unwrap().take().unwrap();
        for _ in 0..2 {
            sending.recv().await.unwrap();
            cluster.drained.notify_waiters();
        }
        waiting.await;
    }
}
