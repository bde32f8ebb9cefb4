//! Syncline's engine over a store in memory: the core without disk, network and threads.

use std::time::Instant;

use syncline::Settings;
use syncline::engine::io::{Command, Event, Input, Now, Output, Reply, WriteRequest};
use syncline::engine::query::Query;
use syncline::engine::query::filter::Filter;
use syncline::engine::query::order::OrderBy;
use syncline::engine::query::selection::Selection;
use syncline::engine::{Engine, EngineConfig};
use syncline::store::{MemoryStore, RoomState, RoomUpdate, Store};
use syncline::transport::{Namespace, Parser};
use syncline_protocol::{
    ClientId, Collection, Document, DocumentId, HybridTime, Op, Patch, Path, Room, Stamp, Stamps, Value,
    VersionVector, Write,
};

use super::{Changes, DOCUMENTS, WINDOW, document_name, fields};
use crate::contender::{Answer, Order};
use crate::scenario::BenchError;

/// More than a run queues: nothing is sent here, so nothing leaves the queue.
const QUEUE_COUNT_MAX: u64 = 100_000_000;
const QUEUE_BYTES_MAX: u64 = 64 << 30;

const WALL_MS: u64 = 1_800_000_000_000;

#[derive(Debug)]
pub(super) struct Contender {
    engine: Engine,
    store: MemoryStore,
    now: Now,
    changes: Changes,
}

impl Contender {
    /// An engine that watches the window of a room that is already in its cache.
    pub(super) fn open() -> Result<Self, BenchError> {
        let (mut store, recovered) = MemoryStore::new(ClientId::from_bytes([1; 16]));
        let documents = (0..DOCUMENTS).map(document).collect::<Result<Vec<_>, _>>()?;
        let state = RoomState { cursor: DOCUMENTS as u64, complete: true, ..RoomState::default() };
        store.apply(&room()?, &RoomUpdate { reset: false, documents: &documents, state }).map_err(failed)?;
        store.flush().map_err(failed)?;
        let settings = Settings {
            queue_count_max: QUEUE_COUNT_MAX,
            queue_bytes_max: QUEUE_BYTES_MAX,
            ..Settings::default()
        };
        let collections = Default::default();
        let config = EngineConfig {
            settings,
            collections,
            parser: Parser::Msgpack,
            namespace: Namespace::ROOT,
            token: None,
            seed: 1,
        };
        let engine = Engine::new(config, recovered, store.rooms().map_err(failed)?);
        let now = Now { mono_us: 1, lived_ms: 1, wall_ms: WALL_MS };
        let mut contender = Self { engine, store, now, changes: Changes::default() };
        let order_by = vec![OrderBy { path: Path::field("position"), direction: None }];
        let selection = Selection {
            filter: Some(Filter::Exists(Path::field("done"))),
            order_by,
            limit: u32::try_from(WINDOW).ok(),
            after: None,
        };
        let watch = Command::Watch(Query { room: room()?, collection: collection()?, id: None, selection });
        contender.turn(watch)?;
        Ok(contender)
    }

    pub(super) fn run(&mut self, order: &Order) -> Result<Answer, BenchError> {
        let mut values = Vec::with_capacity(order.samples);
        for _ in 0..order.samples {
            let (number, position) = self.changes.next();
            let patch = Patch::new().with(Path::field("position"), Op::Set(Value::Int(position)));
            let write = WriteRequest {
                room: room()?,
                collection: collection()?,
                id: id(number)?,
                write: Write::Update(patch),
            };
            let begin = Instant::now();
            let events = self.turn(Command::Write { writes: vec![write] })?;
            values.push(begin.elapsed().as_secs_f64() * 1e6);
            if !events.iter().any(|event| puts_first(event, number)) {
                return Err(failed("the change is not in the window"));
            }
        }
        Ok(Answer { values, also: Vec::new(), bytes: None })
    }

    /// One turn of the driver, without a network.
    fn turn(&mut self, command: Command) -> Result<Vec<Event>, BenchError> {
        self.now.mono_us += 1000;
        let mut out = Vec::new();
        self.engine.handle(self.now, Input::Command { request: 1, command }, &mut self.store, &mut out);
        if self.engine.needs_commit() {
            self.store.commit().map_err(failed)?;
            self.engine.handle(self.now, Input::Committed, &mut self.store, &mut out);
        }
        for output in out {
            match output {
                Output::Reply(_, Ok(Reply::Written { .. } | Reply::Watching { .. })) => {}
                other => return Err(failed(format!("{other:?}"))),
            }
        }
        Ok(self.engine.poll_events(self.now, &mut self.store))
    }
}

/// Whether an event tells that the document comes first now, and that another one left the window.
fn puts_first(event: &Event, number: usize) -> bool {
    let Event::Rows { upserted, removed, indexes, .. } = event else { return false };
    let first = upserted.first().is_some_and(|row| row.id == document_name(number));
    first && indexes.as_deref() == Some(&[0]) && removed.len() == 1
}

fn document(number: usize) -> Result<Document, BenchError> {
    let writer = ClientId::from_bytes([2; 16]);
    let mut version = VersionVector::default();
    version.record(writer, number as u64 + 1);
    Ok(Document {
        collection: collection()?,
        id: id(number)?,
        fields: fields(number),
        seq: number as u64 + 1,
        version,
        stamps: Stamps::new(Stamp { time: HybridTime { wall_ms: WALL_MS, counter: 0 }, writer }),
        deleted: false,
    })
}

fn room() -> Result<Room, BenchError> {
    Room::new("list:bench").map_err(failed)
}

fn collection() -> Result<Collection, BenchError> {
    Collection::new("notes").map_err(failed)
}

fn id(number: usize) -> Result<DocumentId, BenchError> {
    DocumentId::new(document_name(number)).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> BenchError {
    BenchError::Contender { name: super::SYNCLINE.to_owned(), reason: error.to_string() }
}
