//! An engine with a store in memory, driven as the driver drives it, and the far end of its wire.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use syncline_protocol::message::{Failure, Hello, Pull, Push, Subscribe, event};
use syncline_protocol::{ClientId, Limits, Value, WireError};

pub(super) use super::asked::Asked;
use super::asked::asked;
use super::faulty_store::FaultyStore;
use super::jobs::read_argument;
pub(super) use super::samples::*;
use crate::argument::Argument;
use crate::collections::{CollectionOptions, Collections};
use crate::config::Settings;
use crate::engine::conflict::ConflictStrategy;
use crate::engine::io::{
    Command, ConnectionState, Event, Generation, Input, Now, Output, Reply, RequestId, Row, WriteRequest,
};
use crate::engine::queue::http::HttpRequest;
use crate::engine::{Engine, EngineConfig};
use crate::error::{Code, Error};
use crate::store::{MemoryStore, Store};
use crate::transport::{Handshake, Message, Namespace, Packet, Parser, Payload};

pub(super) const ME: ClientId = ClientId::from_bytes([1; 16]);
pub(super) const OTHER: ClientId = ClientId::from_bytes([2; 16]);
pub(super) const WALL_MS: u64 = 1_800_000_000_000;
pub(super) const PING_INTERVAL_MS: u64 = 25_000;
pub(super) const PING_TIMEOUT_MS: u64 = 20_000;

pub(super) struct Bench {
    pub now: Now,
    pub engine: Engine,
    pub store: FaultyStore,
    pub settings: Settings,
    pub collections: Collections,
    /// What the server's handshake says of its messages.
    pub(super) max_payload_bytes: Option<u64>,
    /// What the server's hello says that it takes.
    pub(super) offers: Vec<String>,
    pub socket: Option<Generation>,
    /// What the app sent in its own right.
    pub sent: VecDeque<(Namespace, Packet)>,
    /// Requests that the script has not looked at, with their ack ids.
    pub asked: VecDeque<(u64, Asked)>,
    /// HTTP requests that the script has not looked at.
    pub http: VecDeque<(u64, u64, HttpRequest)>,
    /// Events of the queue that the script has not looked at, with their acks.
    pub emitted: VecDeque<(u64, String, Vec<Argument>)>,
    pub greetings: usize,
    pub farewells: u64,
    pub pongs: usize,
    pub http_connections_forgotten: usize,
    /// What a test counts.
    pub tokens_given: usize,
    pub replies: BTreeMap<RequestId, Result<Reply, Error>>,
    pub events: Vec<Event>,
    last_request: RequestId,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(at_once())
    }

    pub(super) fn with(settings: Settings) -> Self {
        Self::with_token(settings, Some("token"))
    }

    pub(super) fn with_token(settings: Settings, token: Option<&str>) -> Self {
        Self::made_of(settings, never_coalescing(), token)
    }

    /// A client of which every collection has this strategy, in a room whose log, so far, is this one.
    pub(super) fn resolving(strategy: ConflictStrategy, log: &super::server_log::ServerLog) -> Self {
        let collections = Collections { conflict: strategy, ..never_coalescing() };
        let mut bench = Self::made_of(at_once(), collections, Some("token"));
        bench.open();
        bench.enter(log);
        bench
    }

    pub(super) fn made_of(settings: Settings, collections: Collections, token: Option<&str>) -> Self {
        let (inner, recovered) = MemoryStore::new(ME);
        let engine = Engine::new(config(&settings, &collections, token), recovered, vec![]);
        Self {
            now: Now { mono_us: 1_000_000, lived_ms: 1_000, wall_ms: WALL_MS },
            engine,
            store: FaultyStore::new(inner),
            settings,
            collections,
            socket: None,
            max_payload_bytes: None,
            offers: vec![],
            sent: VecDeque::new(),
            asked: VecDeque::new(),
            http: VecDeque::new(),
            emitted: VecDeque::new(),
            greetings: 0,
            farewells: 0,
            pongs: 0,
            http_connections_forgotten: 0,
            tokens_given: 0,
            replies: BTreeMap::new(),
            events: Vec::new(),
            last_request: 0,
        }
    }

    /// A client whose session is open.
    pub(super) fn opened() -> Self {
        let mut bench = Self::new();
        bench.open();
        bench
    }

    /// A client in a room whose log, so far, is this one.
    pub(super) fn in_room(log: &super::server_log::ServerLog) -> Self {
        let mut bench = Self::opened();
        bench.enter(log);
        bench
    }

    pub(super) fn enter(&mut self, log: &super::server_log::ServerLog) {
        self.call(Command::Subscribe { room: room() }).unwrap();
        self.load(log);
    }

    /// Answers the room's subscription.
    pub(super) fn load(&mut self, log: &super::server_log::ServerLog) {
        let (ack, subscribe) = self.expect_subscribe();
        self.answer(ack, &log.page(subscribe.cursor));
    }

    /// Loses power, and starts again from what is on disk.
    pub(super) fn crash(&mut self) {
        let (empty, _) = MemoryStore::new(ME);
        let (inner, recovered) = std::mem::replace(&mut self.store, FaultyStore::new(empty)).inner.crash();
        let rooms = inner.rooms().unwrap();
        self.store = FaultyStore::new(inner);
        self.engine = Engine::new(config(&self.settings, &self.collections, Some("token")), recovered, rooms);
        self.socket = None;
        self.asked.clear();
        self.emitted.clear();
        self.http.clear();
        self.events.clear();
    }

    /// One turn of the driver.
    pub(super) fn input(&mut self, input: Input) {
        self.turn(input);
        // What is due at once is due before anybody looks.
        if self.engine.page_deadline().is_some() {
            self.turn(Input::Tick);
        }
    }

    /// Takes an answer, and lets what is due at once wait.
    pub(super) fn take_without_tick<T: Serialize>(&mut self, id: u64, body: &T) {
        let packet = Packet::Ack { id, args: vec![plain(body)] };
        let message = Message::Socket { namespace: Namespace::ROOT, packet };
        self.turn(Input::SocketReceived(self.socket.expect("no socket"), message));
    }

    fn turn(&mut self, input: Input) {
        self.turn_of([input]);
    }

    /// Takes what came together before it commits.
    pub(super) fn turn_of(&mut self, inputs: impl IntoIterator<Item = Input>) {
        let mut out = Vec::new();
        for input in inputs {
            self.engine.handle(self.now, input, &mut self.store, &mut out);
        }
        if self.engine.needs_commit() {
            let result = self.store.commit().map_or_else(Input::CommitFailed, |()| Input::Committed);
            self.engine.handle(self.now, result, &mut self.store, &mut out);
        }
        self.carry_out(out);
        self.events.extend(self.engine.poll_events(self.now, &mut self.store));
    }

    fn carry_out(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Open(generation) => {
                    assert_eq!(self.socket, None, "the socket before was not closed");
                    self.socket = Some(generation);
                }
                Output::Close(generation) => {
                    self.socket.take_if(|open| *open == generation);
                }
                Output::ForgetHttpConnections => self.http_connections_forgotten += 1,
                Output::Http { job, run, request } => self.http.push_back((job, run, *request)),
                Output::Reply(request, result) => {
                    assert!(self.replies.insert(request, result).is_none(), "answered twice");
                }
                Output::Send(message) => {
                    assert!(self.socket.is_some(), "sent without a socket");
                    self.receive(message);
                }
            }
        }
    }

    fn receive(&mut self, message: Message) {
        match message {
            Message::Pong => self.pongs += 1,
            Message::Socket { namespace, packet: Packet::Connect { .. } } if namespace.is_root() => {
                self.greetings += 1;
            }
            Message::Socket { namespace, packet: Packet::Disconnect } if namespace.is_root() => {
                self.farewells += 1;
            }
            Message::Socket { packet: Packet::Event { name, args, ack }, .. } if name.starts_with("job:") => {
                self.emitted.push_back((ack.unwrap(), name, args.iter().map(read_argument).collect()));
            }
            Message::Socket { namespace, packet: Packet::Event { name, args, ack } }
                if namespace.is_root()
                    && ["sync:", "presence:", "auth:"].iter().any(|own| name.starts_with(own)) =>
            {
                self.asked.push_back((ack.unwrap(), asked(&name, &args[0])));
            }
            Message::Socket { namespace, packet } => self.sent.push_back((namespace, packet)),
            other => panic!("the client sent {other:?}"),
        }
    }

    pub(super) fn start(&mut self, command: Command) -> RequestId {
        let (request, input) = self.command(command);
        self.input(input);
        request
    }

    pub(super) fn command(&mut self, command: Command) -> (RequestId, Input) {
        self.last_request += 1;
        (self.last_request, Input::Command { request: self.last_request, command })
    }

    /// A command that is answered in its turn.
    #[track_caller]
    pub(super) fn call(&mut self, command: Command) -> Result<Reply, Error> {
        let request = self.start(command);
        self.replies.remove(&request).expect("no answer")
    }

    pub(super) fn message(&mut self, message: Message) {
        let generation = self.socket.expect("no socket");
        self.input(Input::SocketReceived(generation, message));
    }

    pub(super) fn packet(&mut self, packet: Packet) {
        self.message(Message::Socket { namespace: Namespace::ROOT, packet });
    }

    pub(super) fn emit<T: Serialize>(&mut self, name: &str, body: &T) {
        self.packet(Packet::Event { name: name.to_owned(), args: vec![plain(body)], ack: None });
    }

    pub(super) fn answer<T: Serialize>(&mut self, id: u64, body: &T) {
        self.packet(Packet::Ack { id, args: vec![plain(body)] });
    }

    pub(super) fn refuse(&mut self, id: u64, error: WireError) {
        self.answer(id, &Failure { error });
    }

    /// Connects, up to the server's hello.
    pub(super) fn open(&mut self) {
        if self.socket.is_none() {
            self.start(Command::Connect);
        }
        self.accept();
    }

    /// The server takes the socket that was dialed.
    pub(super) fn accept(&mut self) {
        self.accept_plain();
        self.hello(Limits::default());
    }

    /// The same, by a backend that says no hello.
    pub(super) fn accept_plain(&mut self) {
        self.input(Input::SocketOpened(self.socket.expect("no socket")));
        self.message(Message::Open(Handshake {
            sid: "s".to_owned(),
            upgrades: vec![],
            ping_interval_ms: PING_INTERVAL_MS,
            ping_timeout_ms: PING_TIMEOUT_MS,
            max_payload_bytes: self.max_payload_bytes,
        }));
        self.packet(Packet::Connect { data: None });
    }

    /// Lets time pass on an open session: the server pings, and answers whatever was asked with nothing new.
    pub(super) fn stay_open_ms(&mut self, ms: u64) {
        let mut left_ms = ms;
        while left_ms > 0 {
            let step_ms = left_ms.min(1_000);
            left_ms -= step_ms;
            self.advance_ms(step_ms);
            if self.socket.is_some() {
                self.message(Message::Ping);
                while let Some((ack, _)) = self.asked.pop_front() {
                    self.answer(ack, &syncline_protocol::message::PresencePong::default());
                }
            }
        }
    }

    pub(super) fn hello(&mut self, limits: Limits) {
        self.emit(
            event::SYNC_HELLO,
            &Hello {
                protocol: 1,
                encoding: syncline_protocol::message::Encoding::Compact,
                limits,
                server_time_ms: self.now.wall_ms,
                user_id: "ada".to_owned(),
                offers: self.offers.clone(),
            },
        );
    }

    pub(super) fn lose_connection(&mut self) {
        let generation = self.socket.take().expect("no socket");
        self.asked.clear();
        self.emitted.clear();
        self.input(Input::SocketClosed(generation, Error::new(Code::Unreachable, "gone")));
    }

    /// Loses the connection, waits for the next dial, and opens the session.
    pub(super) fn reconnect(&mut self) {
        self.lose_connection();
        let delay_ms = self.retry_in_ms();
        self.advance_ms(delay_ms + 1);
        self.accept();
    }

    /// Lets time pass, with a tick at each deadline on the way.
    pub(super) fn advance_ms(&mut self, ms: u64) {
        let end_us = self.now.after_ms(ms);
        while let Some(at_us) = self.engine.next_deadline().filter(|at_us| *at_us <= end_us) {
            self.pass_until(at_us.max(self.now.mono_us));
            self.input(Input::Tick);
            assert_ne!(self.engine.next_deadline(), Some(at_us), "a deadline that a tick does not meet");
        }
        self.pass_until(end_us);
    }

    fn pass_until(&mut self, at_us: u64) {
        let passed_ms = (at_us - self.now.mono_us) / 1000;
        self.now.wall_ms += passed_ms;
        self.now.lived_ms += passed_ms;
        self.now.mono_us = at_us;
    }

    #[track_caller]
    fn expect<T>(&mut self, pick: impl Fn(&Asked) -> Option<T>) -> (u64, T) {
        let (ack, asked) = self.asked.pop_front().expect("nothing was asked");
        match pick(&asked) {
            Some(picked) => (ack, picked),
            None => panic!("unexpected: {asked:?}"),
        }
    }

    #[track_caller]
    pub(super) fn expect_subscribe(&mut self) -> (u64, Subscribe) {
        self.expect(|asked| match asked {
            Asked::Subscribe(body) => Some(body.clone()),
            _ => None,
        })
    }

    #[track_caller]
    pub(super) fn expect_pull(&mut self) -> (u64, Pull) {
        self.expect(|asked| match asked {
            Asked::Pull(body) => Some(body.clone()),
            _ => None,
        })
    }

    #[track_caller]
    pub(super) fn expect_push(&mut self) -> (u64, Push) {
        self.expect(|asked| match asked {
            Asked::Push(body) => Some(body.clone()),
            _ => None,
        })
    }

    #[track_caller]
    pub(super) fn expect_silence(&self) {
        assert_eq!(self.asked, VecDeque::new());
    }

    pub(super) fn state(&mut self) -> ConnectionState {
        match self.call(Command::Connection).unwrap() {
            Reply::Connection(status) => status.state,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn retry_in_ms(&mut self) -> u64 {
        match self.call(Command::Connection).unwrap() {
            Reply::Connection(status) => status.retry_in_ms.expect("no retry is planned"),
            other => panic!("{other:?}"),
        }
    }

    /// Accepts writes, and returns their numbers.
    #[track_caller]
    pub(super) fn write(&mut self, writes: Vec<WriteRequest>) -> Vec<u64> {
        match self.call(Command::Write { writes }).unwrap() {
            Reply::Written { client_seqs } => client_seqs,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn row(&mut self, id: &str) -> Option<Row> {
        let command = Command::Document { room: room(), collection: collection(), id: document_id(id) };
        match self.call(command).unwrap() {
            Reply::Document { row } => row,
            other => panic!("{other:?}"),
        }
    }

    /// A field of a document as the app sees it.
    #[track_caller]
    pub(super) fn field(&mut self, id: &str, name: &str) -> Value {
        self.row(id).expect("no such document").fields[name].clone()
    }

    pub(super) fn queued(&mut self) -> u64 {
        match self.call(Command::Queue).unwrap() {
            Reply::Queue(status) => status.count,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn outcomes(&mut self) -> Vec<(u64, Code)> {
        match self.call(Command::Outcomes).unwrap() {
            Reply::Outcomes { outcomes } => {
                outcomes.into_iter().map(|outcome| (outcome.client_seq, outcome.error.code)).collect()
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Settings by which a write is sent as soon as it is durable.
pub(super) fn at_once() -> Settings {
    Settings { push_debounce_ms: 0, ..Settings::default() }
}

/// Each write stays what it is.
fn never_coalescing() -> Collections {
    let options = CollectionOptions { coalesce: Some(false), ..CollectionOptions::default() };
    Collections { options: [(collection(), options)].into(), ..Collections::default() }
}

fn config(settings: &Settings, collections: &Collections, token: Option<&str>) -> EngineConfig {
    EngineConfig {
        settings: settings.clone(),
        collections: collections.clone(),
        parser: Parser::Msgpack,
        namespace: Namespace::ROOT,
        token: token.map(str::to_owned),
        seed: 7,
    }
}

fn plain<T: Serialize>(body: &T) -> Payload {
    Payload::encode(Parser::Msgpack, body).unwrap()
}
