//! What the tests share: a server in this process, and devices that talk to it over real sockets.
//!
//! Nothing waits for time to pass: a test waits for what it wants to see, for at most [`PATIENCE`].

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_debug_implementations)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};
use syncline::JobEvent;
use syncline::engine::io::{
    ConnectionState, ParkedWrite, PresentMember, QueueStatus, RejectedWrite, Row, WatchId,
};
use syncline::{Client, ClientConfig, Command, Error, Event, Reply};
use syncline_server::auth::Authenticator;
use syncline_server::server::Handle;
use syncline_server::{Config, Mode, Server};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

/// How long a test waits before it fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What servers and tokens of the tests are signed with.
pub const SECRET: &[u8] = b"a secret that only these tests know, long enough";

/// A server in this process, on a port of its own.
pub struct TestServer {
    pub addr: SocketAddr,
    pub handle: Handle,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl TestServer {
    pub async fn start(data: &Path) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), data).await
    }

    /// Starts on a given address: the next life of a server that was stopped.
    pub async fn start_at(listen: SocketAddr, data: &Path) -> Self {
        Self::start_with(server_config(listen, data)).await
    }

    pub async fn start_with(config: Config) -> Self {
        let server = Server::bind(config).await.unwrap();
        let (addr, handle) = (server.local_addr(), server.handle());
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(async move {
            server.run(async { drop(stopped.await) }).await.unwrap();
        });
        Self { addr, handle, stop, serving }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub async fn stop(self) -> SocketAddr {
        let _ = self.stop.send(());
        self.serving.await.unwrap();
        self.addr
    }
}

/// The settings of a [`TestServer`].
pub fn server_config(listen: SocketAddr, data: &Path) -> Config {
    Config::new(listen, data.to_path_buf(), Mode::Production { jwt_secret: SECRET.to_vec() })
}

/// A token of a user for its personal room and more.
pub fn token(user: &str, rooms: &[&str]) -> String {
    token_for(user, rooms, 3600)
}

/// A token that ends in so many seconds, or ended that long ago.
pub fn token_for(user: &str, rooms: &[&str], ttl_s: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let rooms = rooms.iter().map(|&room| room.to_owned()).collect();
    Authenticator::new(SECRET, 0).issue(user, rooms, now.saturating_add_signed(ttl_s)).unwrap()
}

/// What a device's app has been told.
#[derive(Default)]
pub struct Seen {
    pub connection: Option<syncline::engine::io::ConnectionStatus>,
    pub queue: QueueStatus,
    pub rooms: BTreeMap<String, syncline::engine::io::RoomStatus>,
    pub rows: BTreeMap<WatchId, BTreeMap<String, Row>>,
    pub members: BTreeMap<String, Vec<PresentMember>>,
    pub outcomes: Vec<RejectedWrite>,
    pub conflicts: Vec<ParkedWrite>,
    pub errors: Vec<String>,
    /// The messages of `errors`.
    pub reports: Vec<String>,
    pub tokens_needed: u32,
    pub jobs: Vec<JobEvent>,
}

impl Seen {
    fn take(&mut self, event: Event) {
        match event {
            Event::Connection { status } => self.connection = Some(status),
            Event::Room { status } => drop(self.rooms.insert(status.room.to_string(), status)),
            Event::Rows { watch, reset, upserted, removed, .. } => {
                let rows = self.rows.entry(watch).or_default();
                if reset {
                    rows.clear();
                }
                rows.extend(upserted.into_iter().map(|row| (row.id.clone(), row)));
                rows.retain(|id, _| !removed.contains(id));
            }
            Event::Queue { status } => self.queue = status,
            Event::Job { event } => self.jobs.push(event),
            Event::Presence { room, members, .. } => drop(self.members.insert(room.to_string(), members)),
            Event::Outcome { outcome } => self.outcomes.push(outcome),
            Event::Conflict { conflict } => self.conflicts.push(*conflict),
            Event::TokenNeeded { .. } => self.tokens_needed += 1,
            Event::Error { error } => {
                self.errors.push(error.code.as_str().to_owned());
                self.reports.push(error.message);
            }
            // No test of this crate looks at the rest.
            _ => {}
        }
    }

    pub fn is_open(&self) -> bool {
        self.connection.as_ref().is_some_and(|status| status.state == ConnectionState::Open)
    }

    pub fn is_live(&self, room: &str) -> bool {
        self.rooms
            .get(room)
            .is_some_and(|status| status.state == syncline::engine::io::RoomPhase::Live && status.complete)
    }
}

/// A client, and what it told its app.
pub struct Device {
    pub client: Client,
    seen: Arc<Mutex<Seen>>,
    told: Arc<Notify>,
}

impl Device {
    pub async fn open(config: ClientConfig) -> Result<Self, Error> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let told = Arc::new(Notify::new());
        let (seen_by, tell) = (Arc::clone(&seen), Arc::clone(&told));
        let client = Client::open(config, move |events: Vec<Event>| {
            let mut seen = seen_by.lock().unwrap();
            events.into_iter().for_each(|event| seen.take(event));
            tell.notify_one();
        })
        .await?;
        Ok(Self { client, seen, told })
    }

    /// A device of `user` with its data in `directory`.
    pub async fn of(user: &str, rooms: &[&str], server: &str, directory: &Path) -> Self {
        Self::open(config(user, rooms, server, directory)).await.unwrap()
    }

    /// Waits until what the app was told satisfies `condition`.
    pub async fn until(&self, what: &str, condition: impl Fn(&Seen) -> bool) {
        let wait = async {
            while !condition(&self.seen.lock().unwrap()) {
                self.told.notified().await;
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            let seen = self.seen.lock().unwrap();
            panic!(
                "never seen: {what}; connection {:?}, queue {:?}, rooms {:?}, errors {:?}",
                seen.connection, seen.queue, seen.rooms, seen.errors
            );
        }
    }

    pub fn seen<T>(&self, read: impl FnOnce(&Seen) -> T) -> T {
        read(&self.seen.lock().unwrap())
    }

    /// Carries out a command given as JavaScript gives it.
    pub async fn run(&self, command: Json) -> Result<Reply, Error> {
        self.client.execute(serde_json::from_value(command).unwrap()).await
    }

    pub async fn write(&self, room: &str, id: &str, write: Json) -> Result<u64, Error> {
        let write = json!({"room": room, "collection": "notes", "id": id, "write": write});
        match self.run(json!({"type": "write", "writes": [write]})).await? {
            Reply::Written { client_seqs } => Ok(client_seqs[0]),
            other => panic!("{other:?}"),
        }
    }

    /// Watches the collection `notes`; the rows stay up to date in [`Seen::rows`].
    pub async fn watch(&self, room: &str) -> WatchId {
        match self.run(json!({"type": "watch", "room": room, "collection": "notes"})).await.unwrap() {
            Reply::Watching { watch, rows, room: status, .. } => {
                let mut seen = self.seen.lock().unwrap();
                // Events that came first are newer than the rows the watch began with.
                let newer = seen.rows.remove(&watch).unwrap_or_default();
                let mut all: BTreeMap<_, _> = rows.into_iter().map(|row| (row.id.clone(), row)).collect();
                all.extend(newer);
                seen.rows.insert(watch, all);
                seen.rooms.entry(room.to_owned()).or_insert(status);
                watch
            }
            other => panic!("{other:?}"),
        }
    }

    /// The document's fields as JSON, and whether a write is pending.
    pub async fn row(&self, room: &str, id: &str) -> Option<(Json, bool)> {
        let command = json!({"type": "document", "room": room, "collection": "notes", "id": id});
        match self.run(command).await.unwrap() {
            Reply::Document { row } => {
                row.map(|row| (serde_json::to_value(row.fields).unwrap(), row.pending))
            }
            other => panic!("{other:?}"),
        }
    }

    pub async fn close(self) {
        self.client.execute(Command::Close).await.unwrap();
    }

    /// Waits until the outbox is empty and the room is live.
    pub async fn synced(&self, room: &str) {
        loop {
            self.until("an empty outbox and a live room", |seen| {
                seen.is_open() && seen.queue.count == 0 && seen.is_live(room)
            })
            .await;
            // Events lag behind replies: a write just accepted may not have been told yet.
            match self.run(json!({"type": "queue"})).await.unwrap() {
                Reply::Queue(status) if status.count == 0 => return,
                _ => self.told.notified().await,
            }
        }
    }
}

pub fn config(user: &str, rooms: &[&str], server: &str, directory: &Path) -> ClientConfig {
    ClientConfig {
        directory: Some(directory.to_path_buf()),
        token: Some(token(user, rooms)),
        ..ClientConfig::new(server)
    }
}
