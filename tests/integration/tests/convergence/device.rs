//! One phone: an engine, its store, and an app that keeps its own picture of what it watches.

use std::collections::{BTreeMap, VecDeque};

use syncline::engine::io::{
    Command, Event, Generation, Input, Now, Output, QueueStatus, Reply, RequestId, Row, WatchId,
};
use syncline::engine::query::selection::Selection;
use syncline::engine::{Engine, EngineConfig};
use syncline::store::{MemoryStore, Recovered, Store};
use syncline::transport::{Message, Parser};
use syncline::{Code, Error, Settings};
use syncline_protocol::{ClientId, Collection, Fields, Room};

use super::hub::Session;
use super::ranking::{self, Ranking};

pub(crate) fn collection() -> Collection {
    Collection::new("things").unwrap()
}

pub(crate) struct Device {
    pub(crate) client: ClientId,
    pub(crate) engine: Engine,
    store: Option<MemoryStore>,
    seed: u64,
    /// How far its clock is off, in milliseconds.
    skew_ms: i64,
    pub(crate) socket: Option<Generation>,
    /// The socket that the server has accepted.
    pub(crate) accepted: Option<Generation>,
    pub(crate) session: Session,
    pub(crate) to_server: VecDeque<Message>,
    pub(crate) to_client: VecDeque<Message>,
    last_request: RequestId,
    replies: BTreeMap<RequestId, Result<Reply, Error>>,
    /// What the app's watches show, by the events it was told.
    shown: BTreeMap<WatchId, BTreeMap<String, Row>>,
    /// A watch that selects beside each of these, by its own number and that of the one beside it.
    rankings: BTreeMap<WatchId, (WatchId, Ranking)>,
    rooms: Vec<Room>,
}

impl Device {
    pub(crate) fn new(number: u8, seed: u64, skew_ms: i64, rooms: Vec<Room>) -> Self {
        let client = ClientId::from_bytes([number; 16]);
        let (store, recovered) = MemoryStore::new(client);
        Self {
            client,
            engine: engine(recovered, &store, seed),
            store: Some(store),
            seed,
            skew_ms,
            socket: None,
            accepted: None,
            session: Session::default(),
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            last_request: 0,
            replies: BTreeMap::new(),
            shown: BTreeMap::new(),
            rankings: BTreeMap::new(),
            rooms,
        }
    }

    /// The app starts: it connects, and watches its rooms.
    pub(crate) fn start(&mut self, now: Now) {
        self.command(now, Command::Connect);
        for room in self.rooms.clone() {
            let (all, rows, _) = self.watch(now, &room, Selection::default());
            let rows = rows.into_iter().map(|row| (row.id.clone(), row));
            self.shown.entry(all).or_default().extend(rows);
            let (watch, rows, count) = self.watch(now, &room, ranking::selection());
            self.rankings.insert(watch, (all, Ranking::new(rows, count)));
        }
        self.check_rankings();
    }

    fn watch(&mut self, now: Now, room: &Room, selection: Selection) -> (WatchId, Vec<Row>, u64) {
        let room = room.clone();
        match self.call(now, Command::Watch { room, collection: collection(), id: None, selection }) {
            Ok(Reply::Watching { watch, rows, count, .. }) => (watch, rows, count),
            other => panic!("{other:?}"),
        }
    }

    fn check_rankings(&self) {
        for (all, ranking) in self.rankings.values() {
            ranking.check(&self.shown[all]);
        }
    }

    /// Loses power and starts again. `during` strikes between the append and the commit.
    pub(crate) fn crash(&mut self, now: Now, during: Option<Command>) {
        let mut store = self.store.take().unwrap();
        if let Some(command) = during {
            let input = Input::Command { request: RequestId::MAX, command };
            self.engine.handle(self.local(now), input, &mut store, &mut Vec::new());
        }
        let (store, recovered) = store.crash();
        self.engine = engine(recovered, &store, self.seed);
        self.store = Some(store);
        self.hang_up();
        self.replies.clear();
        self.shown.clear();
        self.rankings.clear();
        self.start(now);
    }

    /// The connection is gone, with everything on it.
    pub(crate) fn hang_up(&mut self) -> Option<Generation> {
        self.to_server.clear();
        self.to_client.clear();
        self.session = Session::default();
        self.accepted = None;
        self.socket.take()
    }

    pub(crate) fn lose_connection(&mut self, now: Now) {
        if let Some(generation) = self.hang_up() {
            self.input(now, Input::SocketClosed(generation, Error::new(Code::Unreachable, "gone")));
        }
    }

    pub(crate) fn flush(&mut self) {
        self.store.as_mut().unwrap().flush().unwrap();
    }

    /// Whether the server's handshake reached it, or is on its way.
    pub(crate) fn greeted(&self) -> bool {
        self.socket.is_some() && self.accepted == self.socket
    }

    pub(crate) fn store(&self) -> &MemoryStore {
        self.store.as_ref().unwrap()
    }

    fn local(&self, now: Now) -> Now {
        Now { wall_ms: now.wall_ms.saturating_add_signed(self.skew_ms), ..now }
    }

    /// One turn of the driver.
    pub(crate) fn input(&mut self, now: Now, input: Input) {
        let now = self.local(now);
        let mut store = self.store.take().unwrap();
        let mut out = Vec::new();
        self.engine.handle(now, input, &mut store, &mut out);
        if self.engine.needs_commit() {
            store.commit().unwrap();
            self.engine.handle(now, Input::Committed, &mut store, &mut out);
            let engine = &self.engine;
            store.compact_if_worthwhile(&mut || engine.live_records()).unwrap();
        }
        for output in out {
            match output {
                Output::Open(generation) => {
                    self.hang_up();
                    self.socket = Some(generation);
                }
                Output::Close(generation) => {
                    if self.socket == Some(generation) {
                        self.hang_up();
                    }
                }
                Output::Send(message) => self.to_server.push_back(message),
                Output::Reply(request, result) => {
                    self.replies.insert(request, result);
                }
            }
        }
        let events = self.engine.poll_events(now, &mut store);
        self.store = Some(store);
        events.into_iter().for_each(|event| self.show(event));
        self.check_rankings();
    }

    fn show(&mut self, event: Event) {
        let Event::Rows { watch, reset, upserted, removed, indexes, count } = event else { return };
        if let Some((_, ranking)) = self.rankings.get_mut(&watch) {
            return ranking.apply(reset, upserted, &removed, indexes, count);
        }
        let shown = self.shown.get_mut(&watch).expect("an event of no watch");
        if reset {
            shown.clear();
        }
        for id in removed {
            assert!(shown.remove(&id).is_some(), "{id} was removed but never shown");
        }
        shown.extend(upserted.into_iter().map(|row| (row.id.clone(), row)));
    }

    pub(crate) fn command(&mut self, now: Now, command: Command) -> RequestId {
        self.last_request += 1;
        self.input(now, Input::Command { request: self.last_request, command });
        self.last_request
    }

    pub(crate) fn call(&mut self, now: Now, command: Command) -> Result<Reply, Error> {
        let request = self.command(now, command);
        self.replies.remove(&request).expect("no answer")
    }

    pub(crate) fn queue(&mut self, now: Now) -> QueueStatus {
        match self.call(now, Command::Queue) {
            Ok(Reply::Queue(status)) => status,
            other => panic!("{other:?}"),
        }
    }

    /// What the app shows, room by room.
    pub(crate) fn shown(&self) -> Vec<BTreeMap<String, Fields>> {
        let fields = |rows: &BTreeMap<String, Row>| {
            rows.iter().map(|(id, row)| (id.clone(), row.fields.clone())).collect()
        };
        self.shown.values().map(fields).collect()
    }
}

fn engine(recovered: Recovered, store: &MemoryStore, seed: u64) -> Engine {
    let config = EngineConfig {
        settings: Settings::default(),
        collections: syncline::Collections::default(),
        parser: Parser::Msgpack,
        token: Some("token".to_owned()),
        seed,
    };
    Engine::new(config, recovered, store.rooms().unwrap())
}
