//! The whole client as a pure state machine: no clock, socket, thread, randomness or async inside.
//!
//! - [`io`]: what goes in and what comes out. Read it first.
//! - [`session`]: the connection's life; [`backoff`]: how long it waits; `liveness`: whether the server is there.
//! - `wire`: requests, answers, encodings.
//! - `accept`: writes that the app hands over; [`coalesce`]: which of them travel as one.
//! - [`outbox`]: writes on their way to the server; `lane`: the order of one room; `runs`: its numbers; `outcomes`: what was refused.
//! - [`replica`]: the rooms and how far each has come; [`pulls`]: whose turn it is to be loaded.
//! - `triggers`: what sets a round of synchronization in motion, and who waits for its end.
//! - `pages`: a page asked for while the one before is written. `link`: how much of it all the connection takes at once.
//! - `stats`: what was counted.
//! - `tokens`: when another token is asked for; `refresh`: how an open session takes it. [`trace`]: what happened last, for people.
//! - `commands`: what an app asks for; `sync`: what the server says; `settling`: how a write
//!   leaves the outbox; `connection`: what a session's opening and end
//!   set in motion.
//! - [`conflict`]: what becomes of a write in conflict; `resolution` carries it out.
//! - `commit`: what waits until the journal is durable.
//! - `cache`: when it is made durable, and what follows from its loss; `eviction`: which rooms leave one that is too large.
//! - [`queue`]: events, requests and handlers that wait to be carried out.
//! - [`socket`]: the app's own events, rooms and namespaces.
//! - [`query`]: what the app watches. [`presence`]: who is there. [`progress`]: how far synchronization has come.

mod accept;
mod access;
pub mod backoff;
mod cache;
pub mod coalesce;
mod commands;
mod commit;
pub mod conflict;
mod connection;
mod eviction;
pub mod io;
mod lane;
mod link;
mod liveness;
mod notices;
pub mod outbox;
mod outcomes;
mod pages;
pub mod presence;
pub mod progress;
pub mod pulls;
pub mod query;
pub mod queue;
mod refresh;
pub mod replica;
mod resolution;
mod runs;
pub mod session;
mod settling;
pub mod socket;
mod stats;
mod sync;
pub(crate) mod tokens;
pub mod trace;
mod triggers;
mod wire;

use std::collections::BTreeSet;

use syncline_protocol::message::{RoomRequest, event};
use syncline_protocol::sabotage::{Sabotage, is_active};
use syncline_protocol::{HybridClock, Limits, Room};

use self::commit::Uncommitted;
use self::conflict::ParkedWrites;
use self::eviction::Eviction;
use self::io::{Event, Input, Now, Output, QueueStatus, RequestId};
use self::link::Link;
use self::notices::Notices;
use self::outbox::{BatchLimits, Outbox};
use self::outcomes::Outcomes;
use self::pages::WaitingPage;
use self::presence::{Announcement, PresenceBook};
use self::progress::{ProgressMeter, Situation};
use self::pulls::PullQueue;
use self::query::{Queries, View};
use self::queue::{Drain, Jobs};
use self::replica::Replica;
use self::session::Session;
use self::socket::SocketIo;
use self::socket::cause::DisconnectCause;
use self::tokens::Tokens;
use self::trace::{Trace, TraceKind};
use self::triggers::Triggers;
use self::wire::{Request, Wire};
use crate::collections::Collections;
use crate::config::Settings;
use crate::error::{Code, Error};
use crate::job::JobKind;
use crate::metrics::Histogram;
use crate::secret::Secret;
use crate::store::{Identity, Live, Record, Recovered, RoomState, Store, job_records};
use crate::transport::{Namespace, Parser};

/// What an engine is made of.
pub struct EngineConfig {
    pub settings: Settings,
    pub collections: Collections,
    pub parser: Parser,
    /// The client's own, in which the sync protocol is spoken.
    pub namespace: Namespace,
    pub token: Option<String>,
    /// Seeds jitter and new ids; from the system's randomness, or from a simulation.
    pub seed: u64,
}

impl std::fmt::Debug for EngineConfig {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineConfig").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What the engine counts.
#[derive(Debug, Default)]
pub struct Counters {
    pub local_writes: u64,
    pub confirmed: u64,
    pub rejected: u64,
    pub conflicts: u64,
    pub jobs_done: u64,
    pub jobs_dead: u64,
    pub reconnects: u64,
    pub sync_us: Histogram,
    pub rtt_us: Histogram,
    pub push_us: Histogram,
    pub pull_us: Histogram,
    pub recovery_us: Option<u64>,
}

#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    collections: Collections,
    limits: Limits,
    identity: Identity,
    clock: HybridClock,
    random: u64,
    session: Session,
    tokens: Tokens,
    trace: Trace,
    wire: Wire,
    link: Link,
    /// Bytes that the connection has not taken, as the driver saw last.
    unsent_bytes: u64,
    outbox: Outbox,
    outcomes: Outcomes,
    parked: ParkedWrites,
    jobs: Jobs,
    drain: Drain,
    replica: Replica,
    waiting_page: Option<WaitingPage>,
    eviction: Eviction,
    pulls: PullQueue,
    triggers: Triggers,
    queries: Queries,
    presence: PresenceBook,
    progress: ProgressMeter,
    socket: SocketIo,
    counters: Counters,
    uncommitted: Vec<Uncommitted>,
    connect_waiters: Vec<RequestId>,
    /// Rooms in which something was lost while another token was under way.
    lost_meanwhile: BTreeSet<Room>,
    /// When the cache is made durable next.
    flush_at_us: Option<u64>,
    ping_at_us: Option<u64>,
    /// When the session opened, until everything is synchronized.
    recovering_since_us: Option<u64>,
    notices: Notices,
    changed_rooms: BTreeSet<Room>,
    connection_changed: bool,
    last_queue: QueueStatus,
    closed: bool,
}

impl Engine {
    /// Goes on from what the store recovered.
    pub fn new(config: EngineConfig, recovered: Recovered, rooms: Vec<(Room, RoomState)>) -> Self {
        let identity = recovered.identity;
        let seen = rooms.iter().filter_map(|(_, state)| state.newest_time).max();
        let outbox = Outbox::recover(recovered.queued, identity.last_client_seq);
        let mut replica = Replica::new(rooms);
        let waiting: Vec<Room> = outbox.rooms().cloned().collect();
        for room in &waiting {
            replica.follow(room);
        }
        let mut parked = ParkedWrites::default();
        recovered.parked.into_iter().for_each(|write| parked.insert(write));
        let mut outcomes = Outcomes::default();
        let kept = recovered.outcomes.into_iter().filter(|_| !is_active(Sabotage::OutcomeForgotten));
        kept.for_each(|outcome| outcomes.insert(outcome));
        let damage = recovered.damage.into_iter().map(|what| Error::new(Code::Storage, what));
        let mut notices = Notices::default();
        damage.for_each(|error| notices.push(Event::Error { error: error.into() }));
        Self {
            limits: Limits { document_bytes_max: config.settings.document_bytes_max, ..Limits::default() },
            identity,
            clock: HybridClock::resume(identity.last_time.max(seen.unwrap_or_default())),
            random: config.seed,
            tokens: Tokens::new(&config.settings, config.token.as_deref(), config.seed),
            trace: Trace::new(config.settings.trace_events_max, config.seed),
            session: Session::new(config.settings.clone(), config.token.map(Secret::from), config.seed),
            wire: Wire::new(config.parser, config.namespace),
            link: Link::default(),
            unsent_bytes: 0,
            outbox,
            outcomes,
            parked,
            jobs: Jobs::recover(
                recovered.last_job,
                recovered.jobs,
                recovered.ended_jobs,
                config.settings.job_stream_max,
            ),
            drain: Drain::new(config.settings.job_auto),
            replica,
            waiting_page: None,
            eviction: Eviction::default(),
            pulls: PullQueue::default(),
            triggers: Triggers::default(),
            queries: Queries::default(),
            presence: PresenceBook::new(
                config.settings.presence_throttle_ms,
                config.settings.presence_background_ms,
            ),
            progress: ProgressMeter::default(),
            socket: SocketIo::default(),
            counters: Counters::default(),
            uncommitted: Vec::new(),
            connect_waiters: Vec::new(),
            lost_meanwhile: BTreeSet::new(),
            flush_at_us: None,
            ping_at_us: None,
            recovering_since_us: None,
            notices,
            changed_rooms: BTreeSet::new(),
            connection_changed: false,
            last_queue: QueueStatus::default(),
            closed: false,
            settings: config.settings,
            collections: config.collections,
        }
    }

    /// Takes one input and appends what is to be done to `out`.
    pub fn handle(&mut self, now: Now, input: Input, store: &mut dyn Store, out: &mut Vec<Output>) {
        if !matches!(input, Input::Committed | Input::CommitFailed(_)) {
            self.apply_waiting_page(now, store, out);
        }
        let is_tick = matches!(input, Input::Tick);
        match input {
            Input::Command { request, command } => self.handle_command(now, request, command, store, out),
            Input::SocketMoved { generation, received } if self.session.is_current(generation) => {
                self.handle_moved(now, received);
            }
            Input::SocketOpened(_) | Input::SocketMoved { .. } => {}
            Input::SocketReceived(generation, message) => {
                if self.session.is_current(generation) {
                    self.session.handle_heartbeat(now);
                    self.handle_message(now, message, store, out);
                }
            }
            Input::SocketClosed(generation, error) => {
                if self.session.is_current(generation) {
                    let cause = DisconnectCause::of_socket(&error, self.session.is_open());
                    self.fail_session(now, error, cause, out);
                }
            }
            Input::HttpDone { job, run, result } => self.handle_http_done(now, job, run, result, store),
            Input::Committed => self.handle_committed(out),
            Input::CommitFailed(error) => self.handle_commit_failed(now, error, store, out),
            Input::Tick => self.handle_tick(now, store, out),
        }
        if let Some(reason) = store.take_loss() {
            self.handle_cache_lost(now, &reason);
        }
        self.send_pages(now, out);
        self.push_batches(now, store, out);
        self.run_jobs(now, is_tick, store, out);
        self.answer_waiters(now, store, out);
        self.plan_next_sync(now);
        self.keep_token_fresh(now);
    }

    /// When [`Input::Tick`] is due, on the monotonic clock.
    pub fn next_deadline(&self) -> Option<u64> {
        let rooms = self.replica.rooms().filter_map(|(_, followed)| followed.retry_at_us);
        let connected = [
            self.wire.next_deadline(),
            self.outbox.next_deadline(),
            self.presence.next_announcement(),
            self.ping_at_us,
        ];
        let connected = connected.into_iter().flatten().chain(rooms);
        let connected = self.session.is_open().then(|| connected.min()).flatten();
        let always = [
            self.session.next_deadline(),
            self.flush_at_us,
            self.triggers.next_deadline(),
            self.tokens.next_deadline(),
            self.presence.next_expiry(),
            self.socket.next_deadline(),
            self.page_deadline(),
            self.jobs_deadline(),
        ];
        always.into_iter().flatten().chain(connected).min()
    }

    /// Tells how many bytes of what was sent the connection has not taken.
    pub fn set_unsent_bytes(&mut self, bytes: u64) {
        self.unsent_bytes = bytes;
    }

    /// Whether the journal holds something that the driver must commit before it carries out any output.
    pub fn needs_commit(&self) -> bool {
        !self.uncommitted.is_empty()
    }

    /// Whether the client was closed.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Everything that must survive a compaction of the journal.
    pub fn live(&self) -> Live {
        let identity = Record::Identity(Identity { last_time: self.clock.last(), ..self.identity });
        let failed = self.outcomes.iter().cloned().map(Record::Failed);
        let parked = self.parked.iter().cloned().map(Record::Parked);
        let jobs = job_records(
            self.jobs.last_id(),
            self.jobs.all_held().map(|held| &held.job),
            self.jobs.all_ended(),
        );
        let records = std::iter::once(identity).chain(failed).chain(parked).chain(jobs).collect();
        Live { records, kept: self.outbox.numbers().collect() }
    }

    /// What the app is to be told since the last call.
    pub fn poll_events(&mut self, now: Now, store: &mut dyn Store) -> Vec<Event> {
        let mut events: Vec<Event> = self.notices.take().collect();
        if std::mem::take(&mut self.connection_changed) {
            events.push(Event::Connection { status: self.connection_status(now) });
        }
        let changed_rooms = std::mem::take(&mut self.changed_rooms);
        for room in changed_rooms.into_iter().filter(|room| self.replica.is_followed(room)) {
            events.push(Event::Room { status: self.replica.status(&room) });
        }
        let view = View { store: &*store, outbox: &self.outbox, client_id: self.identity.client_id, now };
        let failed = self.queries.poll_events(view, &mut events).err();
        if let Some(reason) = store.take_loss() {
            self.handle_cache_lost(now, &reason);
        }
        self.presence.expire(now);
        self.presence.poll_events(self.identity.client_id, &mut events);
        self.socket.poll_events(&mut events);
        let queue = self.queue_status();
        if queue != self.last_queue {
            self.last_queue = queue;
            events.push(Event::Queue { status: queue });
        }
        let situation = Situation {
            connection: self.session.state(),
            failed: self.session.reason().is_some(),
            pending: self.outbox.len(),
            rooms: self.replica.counts(),
        };
        events.extend(self.progress.poll(situation).map(|progress| Event::Progress { progress }));
        if let Some(error) = failed {
            self.handle_store_error(error);
        }
        events.extend(self.notices.take());
        for event in &events {
            if let Event::Error { error } = event {
                self.trace(now, TraceKind::Error, format_args!("{}", error.code.as_str()));
            }
        }
        events
    }

    fn queue_status(&self) -> QueueStatus {
        QueueStatus {
            count: self.outbox.len() + self.jobs.waiting(),
            bytes: self.outbox.bytes() + self.jobs.bytes(),
            processing: self.outbox.is_pushing() || !self.jobs.running().is_empty(),
            writes: self.outbox.len(),
            events: self.jobs.count(JobKind::Event),
            requests: self.jobs.count(JobKind::Request),
            handlers: self.jobs.count(JobKind::Handler),
            dead_letters: self.jobs.dead(),
            paused: self.drain.is_paused(),
        }
    }

    fn handle_tick(&mut self, now: Now, store: &mut dyn Store, out: &mut Vec<Output>) {
        let due = |at_us: Option<u64>| at_us.is_some_and(|at_us| at_us <= now.mono_us);
        self.socket.expect(match self.session.is_open() {
            _ if self.session.is_suspension_due(now) => DisconnectCause::Suspended,
            true => DisconnectCause::PingTimeout,
            false => DisconnectCause::ConnectTimeout,
        });
        let step = self.session.handle_tick(now);
        self.apply_step(now, step, out);
        self.expire_socket(now, out);
        if due(self.flush_at_us) {
            self.flush_by_parts(now, store);
            self.evict_over_cap(now, store);
        }
        self.sync_if_due(now, out);
        self.presence.expire(now);
        if !self.session.is_open() {
            return;
        }
        if due(self.wire.next_deadline()) {
            let error = Error::new(Code::Timeout, "a request was not answered in time");
            return self.fail_session(now, error, DisconnectCause::RequestTimeout, out);
        }
        if due(self.ping_at_us) {
            self.ping(now, self.settings.request_timeout_ms, out);
        }
        self.announce_due(now, out);
        let retry = self.replica.rooms().filter(|(_, followed)| due(followed.retry_at_us));
        for room in retry.map(|(room, _)| room.clone()).collect::<Vec<_>>() {
            self.subscribe_room(&room);
        }
    }

    /// Pushes what may be pushed now.
    fn push_batches(&mut self, now: Now, store: &mut dyn Store, out: &mut Vec<Output>) {
        let message_bytes_max = self.limits.message_bytes_max.min(self.wire.message_bytes_max());
        let limits = BatchLimits {
            count_max: self.settings.push_count_max.min(self.limits.push_count_max.into()),
            bytes_max: self.link.part_of(self.settings.push_bytes_max).min(message_bytes_max / 2),
            window_bytes: self.link.part_of(self.settings.push_window_bytes),
        };
        self.outbox.handle_time(now.mono_us, limits);
        if !self.session.is_open() || !self.wire.is_settled() {
            return;
        }
        while let Some((batch, after)) = self.outbox.next_batch(limits) {
            self.send_push(now, &batch, after, store, out);
        }
    }

    /// Tells the server what is to be told of this client's presence now.
    fn announce_due(&mut self, now: Now, out: &mut Vec<Output>) {
        for announcement in self.presence.due_announcements(now) {
            self.announce(now, announcement, out);
        }
    }

    fn announce(&mut self, now: Now, announcement: Announcement, out: &mut Vec<Output>) {
        match announcement {
            Announcement::Join(presence) => {
                let request = Request::PresenceJoin { room: presence.room.clone() };
                self.request(now, event::PRESENCE_JOIN, &presence, request, out);
            }
            Announcement::Update(presence) => {
                let request = Request::PresenceUpdate { room: presence.room.clone() };
                self.request(now, event::PRESENCE_UPDATE, &presence, request, out);
            }
            Announcement::Leave(room) => {
                let request = Request::PresenceLeave { room: room.clone() };
                self.request(now, event::PRESENCE_LEAVE, &RoomRequest { room }, request, out);
            }
        }
    }

    fn request<T: serde::Serialize>(
        &mut self,
        now: Now,
        name: &str,
        body: &T,
        request: Request,
        out: &mut Vec<Output>,
    ) {
        let timeout_ms = self.settings.request_timeout_ms;
        if let Err(error) = self.wire.request(name, body, request, timeout_ms, now, out) {
            self.notices.push(Event::Error { error: error.into() });
        }
    }

    /// Appends a record that no caller waits for.
    fn append(&mut self, record: Record, store: &mut dyn Store) {
        match store.append(&record) {
            Ok(()) => self.uncommitted.push(Uncommitted::Other(Box::new(record))),
            Err(error) => self.handle_store_error(error),
        }
    }
}

#[cfg(test)]
mod tests;
