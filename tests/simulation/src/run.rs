//! One run from beginning to end: rounds of faults, and after each the quiet in which everything must fit.

use syncline::Command;
use syncline::engine::io::{AppState, ConnectionState, Network, Reply};
use syncline::engine::query::selection::Selection;
use syncline::engine::queue::command::JobCommand;
use syncline::store::{DocumentKey, Store};
use syncline_protocol::message::Push;
use syncline_protocol::{ClientId, HybridTime, Mutation};
use syncline_server::hub::{self, Author, PushError};

use crate::app::Shown;
use crate::device::START_MS;
use crate::failure::{Failure, ensure};
use crate::invariants::{self, Visible};
use crate::ledger;
use crate::storage::exercise;
use crate::world::{Wake, World};

/// After the last fault, how long everything may take to drain.
const DRAIN_US: u64 = 10_000_000;
/// How often it is looked at meanwhile.
const LOOK_US: u64 = 50_000;
/// How many turns pass between two thorough looks at a device.
const TURNS_PER_CHECK: u64 = 5;
/// How long the system waits until it starts an app again that could not open its store.
const REOPEN_MS: u64 = 300;
/// How long an app takes to get a token.
const TOKEN_MS: u64 = 200;

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub seed: u64,
    pub trace_hash: u64,
    /// Simulated time of all devices together, in microseconds, without what they slept through.
    pub device_us: u64,
    pub failure: Option<Failure>,
}

/// Runs a seed; `print` shows what happens.
pub fn run(seed: u64, print: bool) -> Report {
    let mut world = World::new(seed, print);
    let failure = exercise::run(seed).map_err(Failure).and_then(|()| world.run()).err();
    if let Some(failure) = &failure {
        world.trace.note(world.now_us, format_args!("{failure}"));
    }
    Report {
        seed,
        trace_hash: world.trace.hash(),
        device_us: (world.now_us - world.slept_us) * world.devices.len() as u64,
        failure,
    }
}

impl World {
    fn run(&mut self) -> Result<(), Failure> {
        self.found_ledgers()?;
        for device in 0..self.devices.len() {
            self.renew_token(device)?;
            self.start(device)?;
        }
        for _ in 0..self.plan.rounds {
            self.calm = false;
            self.wake_in_ms(1, Wake::Fault);
            for device in 0..self.devices.len() {
                self.wake_in_ms(1, Wake::User(device));
            }
            // A long sleep is not part of the round.
            let slept_us = self.slept_us;
            let mut end_us = self.now_us + self.plan.round_ms * 1000;
            while self.now_us < end_us {
                self.run_until(self.now_us + LOOK_US)?;
                end_us = end_us.max(self.now_us.min(end_us + (self.slept_us - slept_us)));
                if self.slept_us > slept_us && self.now_us > end_us {
                    break;
                }
            }
            self.quiet_down()?;
        }
        Ok(())
    }

    pub(crate) fn ledger_keys(&self) -> Vec<DocumentKey> {
        let rooms = self.plan.rooms.iter();
        rooms
            .flat_map(|room| {
                self.plan.collections.iter().map(move |collection| DocumentKey {
                    room: room.clone(),
                    collection: collection.clone(),
                    id: ledger::id(),
                })
            })
            .collect()
    }

    /// A client that takes no part later makes the ledgers.
    fn found_ledgers(&mut self) -> Result<(), Failure> {
        let author = Author::client("founder", ClientId::from_bytes([0xff; 16]));
        for (number, key) in (1..).zip(self.ledger_keys()) {
            let mutation = Mutation {
                client_seq: number,
                collection: key.collection,
                id: key.id,
                write: ledger::creation(),
                time: HybridTime { wall_ms: START_MS, counter: 0 },
                base: None,
            };
            let push = Push { room: key.room, after: None, mutations: vec![mutation] };
            let (limits, config) = (&self.server.limits, &self.server.config);
            let pushed = hub::push(&self.server.store, push, &author, START_MS, limits, config);
            let commit = match pushed {
                Ok(pushed) => pushed.commit,
                Err(PushError::Refused(error)) => return Err(Failure(format!("no ledger: {error}"))),
            };
            if let Some(commit) = commit {
                self.log_ends.insert(commit.room.clone(), commit.head.seq);
                self.server.store.apply(commit);
            }
        }
        Ok(())
    }

    /// The app's process begins: it connects, looks at what the last one left, and watches a room.
    pub(crate) fn start(&mut self, device: usize) -> Result<(), Failure> {
        if self.devices[device].life.is_some() {
            return Ok(());
        }
        self.trace.note(self.now_us, format_args!("{device} starts"));
        if !self.devices[device].start().map_err(|failure| failure.of(device))? {
            self.trace.note(self.now_us, format_args!("{device} cannot open its store"));
            self.wake_in_ms(REOPEN_MS, Wake::Start(device));
            return Ok(());
        }
        if let Some(life) = &mut self.devices[device].life {
            life.connects = true;
        }
        self.call(device, Command::Connect)?;
        if let Some(Ok(Reply::Conflicts { conflicts })) = self.call(device, Command::Conflicts)?
            && let Some(life) = &mut self.devices[device].life
        {
            life.app.conflicts.extend(conflicts.into_iter().map(|parked| (parked.client_seq, parked)));
        }
        for room in self.plan.rooms.clone() {
            let collection = self.plan.collections[self.random.index(self.plan.collections.len())].clone();
            if self.random.percent(70) {
                self.watch_all(device, room, collection)?;
            }
        }
        if self.draining { self.settle_user(device) } else { Ok(()) }
    }

    fn watch_all(
        &mut self,
        device: usize,
        room: syncline_protocol::Room,
        collection: syncline_protocol::Collection,
    ) -> Result<(), Failure> {
        let selection = Selection::default();
        self.begin_watch(device, Shown { room, collection, id: None, selection, rows: vec![], count: 0 })
    }

    pub(crate) fn kill(&mut self, device: usize) {
        if let Some(act) = self.devices[device].kill() {
            self.act(device, act);
        }
    }

    /// What an app does by itself after a turn, and what must hold then.
    pub(crate) fn follow_up(&mut self, device: usize) -> Result<(), Failure> {
        let now_us = self.now_us;
        let number = self.turns;
        let phone = &mut self.devices[device];
        let now = phone.now(now_us);
        let busy = now_us < phone.busy_until_us;
        let Some(life) = &mut phone.life else { return Ok(()) };
        let leaves =
            life.app.store_failed && !std::mem::replace(&mut life.app.leaving, life.app.store_failed);
        let needs_token = std::mem::take(&mut life.app.token_needed);
        self.watch_letters(device);
        if leaves {
            self.wake_in_ms(REOPEN_MS, Wake::Close(device));
        }
        if needs_token {
            self.wake_in_ms(TOKEN_MS, Wake::Token(device));
        }
        if busy || self.unchecked || !number.is_multiple_of(TURNS_PER_CHECK) {
            return Ok(());
        }
        let checked = self.check_device(device, now);
        if self.devices[device].storage.disk.is_dead() {
            // To look is an operation, too: the one at which the process was to die.
            self.kill(device);
            return Ok(());
        }
        checked.map_err(|failure| failure.of(device))
    }

    fn check_device(&mut self, device: usize, now: syncline::engine::io::Now) -> Result<(), Failure> {
        let keys = self.ledger_keys();
        let key = keys[usize::try_from(self.turns).unwrap_or(0) / 5 % keys.len()].clone();
        let phone = &mut self.devices[device];
        let client = phone.client();
        let Some(life) = &mut phone.life else { return Ok(()) };
        if life.app.store_failed || life.app.has_just_lost || life.store.rooms().is_err() {
            // It shows nothing new until it is opened again.
            return Ok(());
        }
        let cap = self.plan.settings.queue_count_max.max(life.recovered);
        ensure!(life.app.queue.count <= cap, "the outbox holds {}, its cap is {cap}", life.app.queue.count);
        let visible = Visible::of(life, client, now)?;
        for shown in life.app.watches.values() {
            invariants::check_watch(shown, &visible)?;
        }
        invariants::check_promises(&phone.book, &visible.holdings)?;
        let rows = visible.rows(&key.room, &key.collection)?;
        let fields = rows.into_iter().find(|row| row.id == ledger::ID).map(|row| row.fields);
        invariants::check_session(device, life, &phone.book, &key, fields.as_ref())
    }

    /// The faults stop and the users want everything: within ten seconds everybody has it.
    fn quiet_down(&mut self) -> Result<(), Failure> {
        self.trace.note(self.now_us, format_args!("the faults stop"));
        self.heal();
        self.draining = true;
        for device in 0..self.devices.len() {
            match self.devices[device].life {
                Some(_) => self.settle_user(device)?,
                None => self.start(device)?,
            }
        }
        let end_us = self.now_us + DRAIN_US;
        while !self.is_quiet() {
            ensure!(self.now_us < end_us, "not quiet after ten seconds: {}", self.describe());
            self.run_until(self.now_us + LOOK_US)?;
        }
        self.trace.note(self.now_us, format_args!("quiet"));
        let keys = self.ledger_keys();
        let now_ms = self.server_ms();
        for device in &mut self.devices {
            device.denied.clear();
            device.life.iter_mut().for_each(|life| life.app.denied.clear());
            let unanswered = device.life.iter().flat_map(|life| &life.waiting).next();
            ensure!(unanswered.is_none(), "device {}: nobody answered {unanswered:?}", device.number);
            invariants::check_equal(device, &self.server, &self.plan.rooms, self.now_us)
                .and_then(|()| invariants::check_presence(device, &self.server, now_ms))
                .map_err(|failure| failure.of(device.number))?;
        }
        self.draining = false;
        for device in &self.devices {
            let ends = device.book.jobs.check_ends(device.number, &self.server.backend);
            ends.map_err(|failure| failure.of(device.number))?;
        }
        invariants::check_ledgers(&self.devices, &self.server, &keys)
    }

    /// The user takes the phone out: the app comes to the front, online, with its rights, and shows everything.
    fn settle_user(&mut self, device: usize) -> Result<(), Failure> {
        self.call(device, Command::SetAppState { state: AppState::Active })?;
        self.call(device, Command::SetNetwork { network: Network::default() })?;
        self.call(device, Command::Connect)?;
        self.grant(device)?;
        for room in self.plan.rooms.clone() {
            self.subscribe(device, room.clone())?;
            for collection in self.plan.collections.clone() {
                self.watch_all(device, room.clone(), collection)?;
            }
        }
        let parked: Vec<u64> = match &self.devices[device].life {
            Some(life) => life.app.conflicts.keys().copied().collect(),
            None => vec![],
        };
        parked.into_iter().try_for_each(|client_seq| self.decide(device, client_seq))?;
        self.watch_letters(device);
        self.call(device, Command::Jobs { command: JobCommand::Process }).map(drop)
    }

    fn is_quiet(&self) -> bool {
        self.devices.iter().all(|device| {
            let Some(life) = &device.life else { return false };
            let states = life.store.rooms().unwrap_or_default();
            let up_to_date = self.plan.rooms.iter().all(|room| {
                let state = states.iter().find(|(found, _)| found == room);
                state.is_some_and(|(_, state)| state.complete && state.cursor == self.server.head(room).seq)
            });
            let open = life.app.connection.state == ConnectionState::Open && life.waiting.is_empty();
            let idle = open && up_to_date && life.app.queue.count == 0;
            idle && invariants::check_presence(device, &self.server, self.server_ms()).is_ok()
        }) && self.has_no_ghosts().is_ok()
    }

    fn has_no_ghosts(&self) -> Result<(), Failure> {
        let now_ms = self.server_ms();
        invariants::check_no_ghosts(&self.devices, &self.plan.rooms, &self.server, now_ms)
    }

    fn describe(&self) -> String {
        let devices = self.devices.iter().map(|device| {
            let Some(life) = &device.life else { return "not running".to_owned() };
            let states = life.store.rooms().unwrap_or_default();
            let rooms = self.plan.rooms.iter().map(|room| {
                let state = states.iter().find(|(found, _)| found == room).map(|(_, state)| state.cursor);
                let phase = life.app.rooms.get(room).map(|status| status.state);
                format!("{room} {phase:?} at {} of {}", state.unwrap_or(0), self.server.head(room).seq)
            });
            let rooms: Vec<String> = rooms.collect();
            let (connection, queue) = (&life.app.connection, life.app.queue.count);
            let presence = invariants::check_presence(device, &self.server, self.server_ms());
            let presence = presence.and_then(|()| self.has_no_ghosts()).err();
            let presence = presence.map(|failure| failure.0).unwrap_or_default();
            let reason = connection.reason.as_ref().map(|reason| reason.message.as_str()).unwrap_or_default();
            format!("{:?} {reason}, {queue} queued, {} {presence}", connection.state, rooms.join(", "))
        });
        devices.collect::<Vec<_>>().join("; ")
    }
}
