//! A client as an app holds it, and what it was told.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use syncline::engine::io::{QueueStatus, RoomPhase, WriteRequest};
use syncline::engine::query::Query;
use syncline::engine::query::selection::Selection;
use syncline::metrics::Stats;
use syncline::{Client, ClientConfig, Command, Event, Reply, Settings, StoreKind};
use syncline_protocol::{Collection, DocumentId, Fields, Room, Write};
use uuid::Uuid;

use crate::document::fields;
use crate::scenario::BenchError;
use crate::server::Server;

/// How long a device may take to see what is waited for.
const PATIENCE: Duration = Duration::from_secs(120);
const COLLECTION: &str = "notes";
/// Documents in one call, when a server is filled.
const CALL_COUNT: usize = 1000;

/// What one watch and one room have come to.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Whether everything in the room's log was once here, and nothing is under way.
    pub(crate) live: bool,
    /// Writes not yet confirmed.
    pub(crate) queue: QueueStatus,
    /// By document, of the watch.
    pub(crate) rows: BTreeMap<String, Fields>,
    /// How many documents match the watch, in its window or beyond it.
    pub(crate) count: u64,
    pub(crate) first_rows_at: Option<Instant>,
    pub(crate) live_at: Option<Instant>,
    error: Option<String>,
}

impl Seen {
    fn take(&mut self, event: Event) {
        match event {
            Event::Room { status } => {
                self.live = status.complete && status.state == RoomPhase::Live;
                if self.live {
                    self.live_at.get_or_insert_with(Instant::now);
                }
            }
            Event::Queue { status } => self.queue = status,
            Event::Rows { reset, upserted, removed, count, .. } => {
                if !upserted.is_empty() {
                    self.first_rows_at.get_or_insert_with(Instant::now);
                }
                if reset {
                    self.rows.clear();
                }
                self.rows.retain(|id, _| !removed.contains(id));
                self.rows.extend(upserted.into_iter().map(|row| (row.id, row.fields)));
                self.count = count.unwrap_or(self.count);
            }
            Event::Outcome { outcome } => self.error = Some(format!("{outcome:?}")),
            Event::Error { error } => self.error = Some(format!("{error:?}")),
            _ => {}
        }
    }
}

#[derive(Debug, Default)]
struct Told {
    seen: Mutex<Seen>,
    more: Condvar,
}

#[derive(Debug)]
pub(crate) struct Device {
    runtime: tokio::runtime::Runtime,
    client: Client,
    told: Arc<Told>,
    room: Room,
}

impl Device {
    /// Opens a client for one room; it connects when told to.
    pub(crate) fn open(config: ClientConfig, room: &str) -> Result<Self, BenchError> {
        let room = Room::new(room).map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let told = Arc::new(Told::default());
        let tell = Arc::clone(&told);
        let sink = move |events: Vec<Event>| {
            let mut seen = lock(&tell.seen);
            events.into_iter().for_each(|event| seen.take(event));
            tell.more.notify_all();
        };
        let config = ClientConfig { auto_connect: false, ..config };
        let client = runtime.block_on(Client::open(config, sink)).map_err(failed)?;
        Ok(Self { runtime, client, told, room })
    }

    pub(crate) fn run(&self, command: Command) -> Result<Reply, BenchError> {
        self.runtime.block_on(self.client.execute(command)).map_err(failed)
    }

    /// Has the room's documents brought here; [`Seen`] tells of the room.
    pub(crate) fn subscribe(&self) -> Result<(), BenchError> {
        self.run(Command::Subscribe { room: self.room.clone() }).map(drop)
    }

    /// Watches the room's documents; [`Seen`] follows.
    pub(crate) fn watch(&self, selection: Selection) -> Result<(), BenchError> {
        let collection = collection()?;
        match self.run(Command::Watch(Query { room: self.room.clone(), collection, id: None, selection }))? {
            Reply::Watching { rows, count, .. } => {
                let mut seen = self.seen();
                for row in rows {
                    // What an event told in the meantime is newer.
                    seen.rows.entry(row.id).or_insert(row.fields);
                }
                seen.count = seen.count.max(count);
                Ok(())
            }
            other => Err(failed(format!("{other:?}"))),
        }
    }

    /// Writes documents in one call.
    pub(crate) fn write(&self, writes: impl IntoIterator<Item = (String, Write)>) -> Result<(), BenchError> {
        let collection = collection()?;
        let request = |(id, write)| {
            let id = DocumentId::new(id).map_err(failed)?;
            Ok(WriteRequest { room: self.room.clone(), collection: collection.clone(), id, write })
        };
        let writes = writes.into_iter().map(request).collect::<Result<Vec<_>, BenchError>>()?;
        self.run(Command::Write { writes }).map(drop)
    }

    pub(crate) fn stats(&self) -> Result<Stats, BenchError> {
        match self.run(Command::Stats)? {
            Reply::Stats(stats) => Ok(*stats),
            other => Err(failed(format!("{other:?}"))),
        }
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.told.seen)
    }

    /// Waits until something is true of what the app was told.
    pub(crate) fn until(&self, what: &str, condition: impl Fn(&Seen) -> bool) -> Result<(), BenchError> {
        let waiting = |seen: &mut Seen| seen.error.is_none() && !condition(seen);
        let waited = self.told.more.wait_timeout_while(self.seen(), PATIENCE, waiting);
        let (seen, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        match &seen.error {
            Some(error) => Err(failed(error)),
            None if timeout.timed_out() => Err(failed(format!("never seen: {what}"))),
            None => Ok(()),
        }
    }
}

/// Writes so many documents to a room of the server.
pub(crate) fn fill(server: &Server, room: &str, documents: usize) -> Result<(), BenchError> {
    let config = ClientConfig {
        store: StoreKind::Memory,
        token: Some(Server::token("writer")?),
        settings: Settings { queue_count_max: documents as u64, ..Settings::default() },
        ..ClientConfig::new(server.url())
    };
    let writer = Device::open(config, room)?;
    writer.run(Command::Connect)?;
    for first in (0..documents).step_by(CALL_COUNT) {
        let write = |number| (Uuid::now_v7().to_string(), Write::Create(fields(number)));
        writer.write((first..documents.min(first + CALL_COUNT)).map(write))?;
        writer.until("room in the queue", |seen| seen.queue.count < (10 * CALL_COUNT) as u64)?;
    }
    writer.until("an empty queue", |seen| seen.queue.count == 0)?;
    writer.run(Command::Close).map(drop)
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn collection() -> Result<Collection, BenchError> {
    Collection::new(COLLECTION).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> BenchError {
    BenchError::failed("Syncline", error)
}
