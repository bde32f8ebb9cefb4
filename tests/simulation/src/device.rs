//! One phone: an engine, its store, and an app. A turn goes as in `core/src/driver.rs`: inputs, commit, transmit, notify.

use std::collections::{BTreeMap, BTreeSet};

use syncline::engine::io::{Command, Generation, Input, Now, Output, Reply, RequestId};
use syncline::engine::queue::command::{JobCommand, JobReply};
use syncline::engine::queue::http::{HttpRequest, HttpResponse};
use syncline::engine::{Engine, EngineConfig};
use syncline::job::JobId;
use syncline::store::{EncryptionKey, KEY_BYTES, Record, Recovered, Store, StoreError};
use syncline::transport::{self, DecodeLimits, Decoder, Frame, Namespace, Parser};
use syncline::{Code, Error};
use syncline_protocol::{ClientId, Room};

use crate::app::App;
use crate::book::Book;
use crate::failure::{Failure, ensure};
use crate::plan::Plan;
use crate::random::Random;
use crate::storage::{Ending, SimulatedStorage};
use crate::store::TappedStore;

/// The wall clock of the server when a run begins.
pub const START_MS: u64 = 1_800_000_000_000;

/// Events in one batch, beside those of watches and of single writes.
const EVENTS_MAX: usize = 40;

#[allow(missing_debug_implementations)]
pub struct Device {
    pub number: usize,
    /// Known once its process has run.
    client: Option<ClientId>,
    pub user: String,
    pub life: Option<Life>,
    pub storage: SimulatedStorage,
    random: Random,
    plan: Plan,
    seed: u64,
    /// How far its wall clock is ahead, in milliseconds.
    pub skew_ms: i64,
    /// How long its monotonic clock stood still, in microseconds.
    pub stood_still_us: u64,
    pub frozen_until_us: u64,
    /// Whether its monotonic clock does so while it is frozen.
    pub stands_still: bool,
    /// Whether it has a token to hand over, which it got while it was frozen.
    pub token_waits: bool,
    pub slow_until_us: u64,
    pub busy_until_us: u64,
    /// When the world is to look at its deadline next.
    pub tick_us: Option<u64>,
    pub book: Book,
    /// Whether its disk is full or fails: then an open may be refused.
    pub disk_hurts: bool,
    /// Rooms that might not be read at some time since everything was last equal: the cache may lack what the server has
    /// confirmed there.
    pub denied: BTreeSet<Room>,
    pub entries: u64,
    pub errands: u64,
    /// Processes so far.
    pub lives: u64,
    token: Option<String>,
}

/// A process of the app.
#[allow(missing_debug_implementations)]
pub struct Life {
    pub engine: Engine,
    pub store: TappedStore,
    pub app: App,
    parser: Parser,
    socket: Option<Socket>,
    last_request: RequestId,
    replies: BTreeMap<RequestId, Result<Reply, Error>>,
    /// Calls without an answer.
    pub waiting: BTreeMap<RequestId, &'static str>,
    /// Subscriptions of the app, counted as the engine counts them.
    pub subscribed: BTreeMap<Room, u32>,
    pub present: BTreeMap<Room, syncline_protocol::Fields>,
    /// Whether the app wants a connection.
    pub connects: bool,
    /// What counted against the outbox's caps when the process began: with writes that were confirmed, but not yet in a durable
    /// cache, it may be more than the outbox takes.
    pub recovered: u64,
}

struct Socket {
    generation: Generation,
    decoder: Decoder,
}

/// What a turn wants of the world.
#[derive(Debug)]
pub enum Act {
    Dial(Generation),
    Send(Generation, Vec<Frame>),
    HangUp(Generation),
    /// It appended to its journal.
    Append(Box<Record>),
    Request {
        job: JobId,
        run: u64,
        request: Box<HttpRequest>,
    },
    /// The process was killed.
    Died(Option<Generation>),
}

/// What reaches a device from outside.
#[derive(Debug)]
pub enum Stimulus {
    Command(Command),
    Opened(Generation),
    Frame(Generation, Frame),
    Closed(Generation),
    Responded { job: JobId, run: u64, result: Result<HttpResponse, Error> },
    Tick,
}

/// One device in so many is encrypted.
const SEALED_ONE_IN: usize = 3;

impl Device {
    pub fn new(number: usize, plan: &Plan, mut random: Random) -> Self {
        let mut storage = SimulatedStorage::new(random.fork());
        if number.is_multiple_of(SEALED_ONE_IN) {
            storage.key = Some(EncryptionKey::from_bytes([7; KEY_BYTES]));
        }
        Self {
            number,
            client: None,
            user: format!("user{number}"),
            life: None,
            storage,
            plan: plan.clone(),
            seed: random.number(),
            random,
            skew_ms: 0,
            stood_still_us: 0,
            frozen_until_us: 0,
            token_waits: false,
            stands_still: false,
            slow_until_us: 0,
            busy_until_us: 0,
            tick_us: None,
            book: Book::default(),
            disk_hurts: false,
            denied: BTreeSet::new(),
            entries: 0,
            errands: 0,
            lives: 0,
            token: None,
        }
    }

    /// Who it is to the server; nobody before its process has run.
    pub fn client(&self) -> ClientId {
        self.client.unwrap_or(ClientId::from_bytes([0; 16]))
    }

    pub fn now(&self, world_us: u64) -> Now {
        let wall_ms = (START_MS + world_us / 1000).saturating_add_signed(self.skew_ms);
        Now { mono_us: world_us.saturating_sub(self.stood_still_us), lived_ms: world_us / 1000, wall_ms }
    }

    /// When the engine wants a tick, in the world's time.
    pub fn deadline_us(&self) -> Option<u64> {
        let deadline = self.life.as_ref()?.engine.next_deadline()?;
        Some(deadline.saturating_add(self.stood_still_us))
    }

    pub fn is_frozen(&self, world_us: u64) -> bool {
        world_us < self.frozen_until_us
    }

    pub fn set_token(&mut self, token: String) {
        self.token = Some(token);
    }

    /// Starts the app's process from what its disk holds; `false` when the disk does not let it.
    pub fn start(&mut self) -> Result<bool, Failure> {
        let opened = self.storage.open(self.random.client_id());
        let opened = opened.and_then(|(store, recovered)| {
            let entries = store.entries(&recovered.queued)?;
            Ok((store, recovered, entries))
        });
        let (store, recovered, entries) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                let excused = self.storage.disk.is_dead() || self.disk_hurts;
                ensure!(excused, "the store does not open: {error}");
                self.end_life();
                return Ok(false);
            }
        };
        let client = *self.client.get_or_insert(recovered.identity.client_id);
        ensure!(recovered.identity.client_id == client, "the client has another identity");
        self.book.recover(&recovered, &entries)?;
        // If the cache broke meanwhile, the engine begins without it.
        let rooms = store.rooms().unwrap_or_default();
        self.seed = self.seed.wrapping_add(1);
        self.lives += 1;
        let config = EngineConfig {
            settings: self.plan.settings.clone(),
            collections: self.plan.options.clone(),
            parser: self.plan.parser,
            namespace: Namespace::ROOT,
            token: self.token.clone(),
            seed: self.seed,
        };
        let mut app = App { denied: self.denied.clone(), ..App::default() };
        let dead = recovered.ended_jobs.iter().filter(|ended| ended.is_dead());
        app.letters.extend(dead.map(|ended| ended.job.id));
        app.outcomes.extend(recovered.outcomes.iter().map(|outcome| outcome.entry.accepted().client_seq));
        self.life = Some(Life {
            recovered: held_by(&recovered),
            engine: Engine::new(config, recovered, rooms),
            store: TappedStore::new(store),
            app,
            parser: self.plan.parser,
            socket: None,
            last_request: 0,
            replies: BTreeMap::new(),
            waiting: BTreeMap::new(),
            subscribed: BTreeMap::new(),
            present: BTreeMap::new(),
            connects: false,
        });
        Ok(true)
    }

    /// Nothing of the process is left but what its disk holds.
    fn end_life(&mut self) {
        let ending = self.random.one_of([Ending::Kill, Ending::PowerLoss]);
        self.storage.end_life(ending);
    }

    /// The process is gone, with everything that is not durable.
    pub fn kill(&mut self) -> Option<Act> {
        let life = self.life.take()?;
        self.end_life();
        self.leave(life)
    }

    /// The app closed its client: the store is flushed as far as its disk lets it, and the process goes on without.
    fn close(&mut self) -> Option<Act> {
        let life = self.life.take()?;
        self.leave(life)
    }

    fn leave(&mut self, life: Life) -> Option<Act> {
        self.busy_until_us = 0;
        Some(Act::Died(life.socket.map(|socket| socket.generation)))
    }

    /// One turn of the driver.
    pub fn turn(&mut self, world_us: u64, stimuli: Vec<Stimulus>) -> Result<Vec<Act>, Failure> {
        let now = self.now(world_us);
        let app_is_busy = world_us < self.busy_until_us;
        let Some(life) = &mut self.life else { return Ok(vec![]) };
        let mut acts = Vec::new();
        let disk = &self.storage.disk;
        let alive = life.turn(now, stimuli, app_is_busy, &mut self.book, &|| disk.is_dead(), &mut acts)?;
        if !alive {
            acts.extend(self.kill());
        } else if life.engine.is_closed() {
            acts.extend(self.close());
        }
        Ok(acts)
    }
}

impl Life {
    pub fn generation(&self) -> Option<Generation> {
        self.socket.as_ref().map(|socket| socket.generation)
    }

    pub fn last_request(&self) -> RequestId {
        self.last_request
    }

    pub fn take_reply(&mut self, request: RequestId) -> Option<Result<Reply, Error>> {
        self.replies.remove(&request)
    }

    /// Returns whether the process lives.
    fn turn(
        &mut self,
        now: Now,
        stimuli: Vec<Stimulus>,
        app_is_busy: bool,
        book: &mut Book,
        is_dead: &dyn Fn() -> bool,
        acts: &mut Vec<Act>,
    ) -> Result<bool, Failure> {
        let mut outputs = Vec::new();
        for stimulus in stimuli {
            if let Some(input) = self.input(stimulus) {
                self.engine.handle(now, input, &mut self.store, &mut outputs);
            }
        }
        self.note(book, acts)?;
        if !is_dead() && self.engine.needs_commit() {
            let result = self.store.commit();
            if !is_dead() {
                let committed = result.is_ok();
                if let Err(error) = &result {
                    // What a full disk refused is nowhere; what a failed sync left behind, nobody knows.
                    book.not_written(!matches!(error, StoreError::Full));
                    // At once: the process may have no other turn.
                    book.shake();
                }
                let input = result.map_or_else(Input::CommitFailed, |()| Input::Committed);
                self.engine.handle(now, input, &mut self.store, &mut outputs);
                if committed {
                    let engine = &self.engine;
                    // A journal that is not compacted now is compacted later.
                    let _later = self.store.compact_if_worthwhile(&mut || engine.live());
                }
            }
        }
        if is_dead() {
            return self.note(book, acts).map(|()| false);
        }
        self.transmit(now, outputs, book, acts)?;
        if app_is_busy {
            return Ok(true);
        }
        let events = self.engine.poll_events(now, &mut self.store);
        if is_dead() {
            return Ok(false);
        }
        self.notify(now, events, book)?;
        Ok(true)
    }

    fn note(&mut self, book: &mut Book, acts: &mut Vec<Act>) -> Result<(), Failure> {
        if self.store.take_failed() {
            book.shake();
        }
        for record in self.store.take_noted() {
            book.note(&record)?;
            acts.push(Act::Append(Box::new(record)));
        }
        Ok(())
    }

    fn input(&mut self, stimulus: Stimulus) -> Option<Input> {
        let current = self.generation();
        match stimulus {
            Stimulus::Command(command) => {
                self.last_request += 1;
                self.waiting.insert(self.last_request, name(&command));
                Some(Input::Command { request: self.last_request, command })
            }
            Stimulus::Tick => Some(Input::Tick),
            Stimulus::Responded { job, run, result } => Some(Input::HttpDone { job, run, result }),
            Stimulus::Opened(generation) if current == Some(generation) => {
                Some(Input::SocketOpened(generation))
            }
            Stimulus::Closed(generation) if current == Some(generation) => {
                let error = Error::new(Code::Unreachable, "the connection is gone");
                Some(Input::SocketClosed(generation, error))
            }
            Stimulus::Frame(generation, frame) => {
                let socket = self.socket.as_mut().filter(|socket| socket.generation == generation)?;
                match socket.decoder.feed(frame) {
                    Ok(message) => message.map(|message| Input::SocketReceived(generation, message)),
                    Err(error) => {
                        let error = Error::new(Code::Protocol, error.to_string());
                        Some(Input::SocketClosed(generation, error))
                    }
                }
            }
            Stimulus::Opened(_) | Stimulus::Closed(_) => None,
        }
    }

    fn transmit(
        &mut self,
        now: Now,
        outputs: Vec<Output>,
        book: &mut Book,
        acts: &mut Vec<Act>,
    ) -> Result<(), Failure> {
        let mut frames = Vec::new();
        for output in outputs {
            match output {
                Output::Send(message) => {
                    let encoded = transport::encode(self.parser, &message);
                    frames.extend(encoded.map_err(|error| Failure(format!("{message:?}: {error}")))?);
                }
                Output::Open(generation) => {
                    if let Some(old) = self.socket.take() {
                        acts.push(Act::HangUp(old.generation));
                    }
                    let decoder = Decoder::new(self.parser, DecodeLimits::DEFAULT);
                    self.socket = Some(Socket { generation, decoder });
                    acts.push(Act::Dial(generation));
                }
                Output::Close(generation) => {
                    self.send(std::mem::take(&mut frames), acts);
                    if self.socket.take_if(|socket| socket.generation == generation).is_some() {
                        acts.push(Act::HangUp(generation));
                    }
                }
                // Each of its requests goes by itself.
                Output::ForgetHttpConnections => {}
                Output::Http { job, run, request } => acts.push(Act::Request { job, run, request }),
                Output::Reply(request, result) => {
                    ensure!(self.waiting.remove(&request).is_some(), "call {request} is answered twice");
                    match &result {
                        Ok(Reply::Written { client_seqs }) => book.written(client_seqs)?,
                        Ok(Reply::Jobs(JobReply::Enqueued { enqueued })) => {
                            let ids: Vec<JobId> = enqueued.iter().map(|job| job.job).collect();
                            book.jobs.accepted(&ids, now)?;
                        }
                        Ok(Reply::Watching { watch, rows, count, .. }) => {
                            self.app.begin(*watch, rows, *count);
                        }
                        Err(error) => self.app.store_failed |= error.code == Code::Storage,
                        Ok(_) => {}
                    }
                    self.replies.insert(request, result);
                }
            }
        }
        self.send(frames, acts);
        Ok(())
    }

    fn send(&self, frames: Vec<Frame>, acts: &mut Vec<Act>) {
        if let Some(socket) = &self.socket
            && !frames.is_empty()
        {
            acts.push(Act::Send(socket.generation, frames));
        }
    }

    fn notify(&mut self, now: Now, events: Vec<syncline::Event>, book: &mut Book) -> Result<(), Failure> {
        // A job may fail a few times before it ends.
        let expected = EVENTS_MAX + self.app.watches.len() + book.len() + 8 * book.jobs.len();
        ensure!(events.len() <= expected, "{} events at once", events.len());
        self.app.has_just_lost = false;
        for event in events {
            self.app.take(event)?;
        }
        for number in std::mem::take(&mut self.app.refused) {
            book.refused(number)?;
        }
        for number in std::mem::take(&mut self.app.parked) {
            book.parked(number)?;
        }
        for told in std::mem::take(&mut self.app.told_of_jobs) {
            book.jobs.hear(&told, now)?;
        }
        Ok(())
    }
}

/// What counts against the caps of what waits: a dead letter and a write in conflict may wait again.
fn held_by(recovered: &Recovered) -> u64 {
    let Recovered { queued, outcomes, parked, jobs, ended_jobs, .. } = recovered;
    (queued.len() + outcomes.len() + parked.len() + jobs.len() + ended_jobs.len()) as u64
}

/// The calls that have to do with the connection, by name.
pub(crate) fn name(command: &Command) -> &'static str {
    match command {
        Command::Connect => "connect",
        Command::Pull { .. } => "pull",
        Command::Flush => "flush",
        Command::SyncOnce { .. } => "sync_once",
        Command::SyncNow => "sync_now",
        Command::Disconnect => "disconnect",
        Command::SetAppState { .. } => "set_app_state",
        Command::SetNetwork { .. } => "set_network",
        Command::SetToken { .. } => "set_token",
        Command::Jobs { command: JobCommand::Process } => "process",
        _ => "another call",
    }
}
