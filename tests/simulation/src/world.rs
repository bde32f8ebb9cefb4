//! The world: one queue of events in virtual time, and who takes part.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use syncline::engine::io::{Command, Reply};
use syncline::store::{Entry, Record};
use syncline_protocol::{Room, Write};
use syncline_server::presence::ConnectionId;

use crate::device::{self, Act, Device, START_MS, Stimulus};
use crate::failure::{Failure, ensure};
use crate::links::{Link, Reach};
use crate::plan::Plan;
use crate::random::Random;
use crate::requests::Exchange;
use crate::server::{Ruling, Server, Verdict};
use crate::storage::Space;
use crate::trace::Trace;

/// Events that a run may take; more means that something turns in a circle.
const EVENTS_MAX: u64 = 400_000;

#[allow(missing_debug_implementations)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) random: Random,
    pub(crate) trace: Trace,
    pub(crate) now_us: u64,
    pub(crate) server: Server,
    pub(crate) server_down_until_us: u64,
    /// Where each room's log ends, by what the server answered.
    pub(crate) log_ends: BTreeMap<Room, u64>,
    pub(crate) devices: Vec<Device>,
    pub(crate) links: BTreeMap<u64, Link>,
    pub(crate) exchanges: BTreeMap<u64, Exchange>,
    pub(crate) reach: Vec<Reach>,
    /// No faults, and users only wait.
    pub(crate) calm: bool,
    /// The users want everything, and wait for it.
    pub(crate) draining: bool,
    /// Time that everybody slept through: it does not count as simulated.
    pub(crate) slept_us: u64,
    pub(crate) turns: u64,
    /// When the server looks after its leases next.
    pub(crate) leases_us: Option<u64>,
    /// When the next round of live changes is over at the latest.
    pub(crate) round_us: Option<u64>,
    /// A fault is being done: what the app shows may lag behind its store.
    pub(crate) unchecked: bool,
    queue: BinaryHeap<Reverse<(u64, u64, Wake)>>,
    events: u64,
    /// Of links and requests.
    pub(crate) last_link: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wake {
    Dialed(u64),
    Up(u64),
    Down(u64),
    Serve(ConnectionId),
    Beat(ConnectionId),
    Tick(usize),
    Start(usize),
    Close(usize),
    Room(usize),
    Poll(usize),
    Token(usize),
    Reap(usize),
    Request(u64),
    RequestOver(u64),
    Letters(usize),
    Flap(usize, u64),
    User(usize),
    Fault,
    Leases,
    Round,
}

impl World {
    pub(crate) fn new(seed: u64, print: bool) -> Self {
        let mut random = Random::new(seed);
        let plan = Plan::draw(&mut random.fork());
        let devices = (0..plan.devices).map(|number| Device::new(number, &plan, random.fork())).collect();
        Self {
            server: Server::new(plan.server.clone()),
            reach: vec![Reach::default(); plan.devices],
            plan,
            random,
            trace: Trace::new(print),
            now_us: 0,
            server_down_until_us: 0,
            log_ends: BTreeMap::new(),
            devices,
            links: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            calm: true,
            draining: false,
            slept_us: 0,
            turns: 0,
            leases_us: None,
            round_us: None,
            unchecked: false,
            queue: BinaryHeap::new(),
            events: 0,
            last_link: 0,
        }
    }

    pub(crate) fn server_ms(&self) -> u64 {
        START_MS + self.now_us / 1000
    }

    pub(crate) fn wake(&mut self, at_us: u64, wake: Wake) {
        self.events += 1;
        self.queue.push(Reverse((at_us, self.events, wake)));
    }

    pub(crate) fn wake_in_ms(&mut self, ms: u64, wake: Wake) {
        self.wake(self.now_us + ms * 1000, wake);
    }

    /// Lets everything happen that is due until then.
    pub(crate) fn run_until(&mut self, end_us: u64) -> Result<(), Failure> {
        while let Some(Reverse((at_us, _, _))) = self.queue.peek()
            && *at_us <= end_us
        {
            let Some(Reverse((at_us, _, wake))) = self.queue.pop() else { break };
            self.now_us = self.now_us.max(at_us);
            ensure!(self.events <= EVENTS_MAX, "{EVENTS_MAX} events, and no end");
            self.handle(wake)?;
        }
        self.now_us = self.now_us.max(end_us);
        Ok(())
    }

    fn handle(&mut self, wake: Wake) -> Result<(), Failure> {
        match wake {
            Wake::Dialed(link) => self.handle_dialed(link),
            Wake::Up(link) => self.handle_up(link),
            Wake::Down(link) => self.handle_down(link),
            Wake::Serve(id) => self.handle_serve(id),
            Wake::Beat(id) => self.handle_beat(id),
            Wake::Tick(device) => self.handle_tick(device),
            Wake::Start(device) => self.start(device),
            Wake::Close(device) => self.close(device),
            Wake::Room(device) => {
                self.devices[device].storage.disk.set_space(Space::Free);
                Ok(())
            }
            Wake::Poll(device) => self.turn(device, vec![]),
            Wake::Token(device) => self.renew_token(device),
            Wake::Reap(device) => self.reap(device),
            Wake::Request(number) => self.handle_request(number),
            Wake::RequestOver(number) => self.handle_request_over(number),
            Wake::Letters(device) => self.decide_letters(device),
            Wake::Flap(device, left) => self.flap(device, left),
            Wake::User(device) => self.handle_user(device),
            Wake::Fault => self.handle_fault(),
            Wake::Leases => self.handle_leases(),
            Wake::Round => self.handle_round(),
        }
    }

    pub(crate) fn latency_us(&mut self) -> u64 {
        let network = self.plan.network;
        self.random.between(network.latency_us_min, network.latency_us_max)
    }

    /// One turn of a device, and what it brings about.
    pub(crate) fn turn(&mut self, device: usize, stimuli: Vec<Stimulus>) -> Result<(), Failure> {
        self.turns += 1;
        let acts = self.devices[device].turn(self.now_us, stimuli)?;
        for act in acts {
            self.act(device, act);
        }
        self.schedule_tick(device);
        self.follow_up(device)
    }

    /// An app's call that is answered in the same turn; `None` if the process dies in it, or is not there.
    pub(crate) fn call(
        &mut self,
        device: usize,
        command: Command,
    ) -> Result<Option<Result<Reply, syncline::Error>>, Failure> {
        let Some(life) = &self.devices[device].life else { return Ok(None) };
        let request = life.last_request() + 1;
        self.trace.note(self.now_us, format_args!("{device} calls {}", device::name(&command)));
        self.turn(device, vec![Stimulus::Command(command)])?;
        Ok(self.devices[device].life.as_mut().and_then(|life| life.take_reply(request)))
    }

    fn schedule_tick(&mut self, device: usize) {
        let now_us = self.now_us;
        let phone = &mut self.devices[device];
        let Some(deadline_us) = phone.deadline_us() else { return };
        let at_us = deadline_us.max(now_us).max(phone.frozen_until_us);
        if phone.tick_us.is_none_or(|tick_us| at_us < tick_us) {
            phone.tick_us = Some(at_us);
            self.wake(at_us, Wake::Tick(device));
        }
    }

    fn handle_tick(&mut self, device: usize) -> Result<(), Failure> {
        let now_us = self.now_us;
        let phone = &mut self.devices[device];
        if phone.tick_us.is_some_and(|tick_us| tick_us <= now_us) {
            phone.tick_us = None;
        }
        if phone.is_frozen(now_us) || phone.deadline_us().is_none_or(|deadline_us| deadline_us > now_us) {
            self.schedule_tick(device);
            return Ok(());
        }
        self.trace.note(now_us, format_args!("{device} tick"));
        self.turn(device, vec![Stimulus::Tick])
    }

    pub(crate) fn act(&mut self, device: usize, act: Act) {
        match act {
            Act::Dial(generation) => {
                self.last_link += 1;
                self.links.insert(self.last_link, Link::new(device, generation));
                self.trace.note(self.now_us, format_args!("{device} dials {generation}"));
                // TCP, TLS and the upgrade.
                let at_us = self.now_us + 3 * self.latency_us();
                self.wake(at_us, Wake::Dialed(self.last_link));
            }
            Act::Send(generation, frames) => {
                let Some(number) = self.link_of(device, generation) else { return };
                for frame in &frames {
                    self.absorb(frame);
                }
                let delay_us = self.latency_us();
                let (now_us, Some(link)) = (self.now_us, self.links.get_mut(&number)) else { return };
                link.up.send(&frames, now_us, delay_us, &mut self.random);
                self.wake_up(number);
            }
            Act::Request { job, run, request } => self.send_request(device, job, run, *request),
            Act::Append(record) => {
                self.trace.note(self.now_us, format_args!("{device} journals {}", summary(&record)));
            }
            Act::HangUp(generation) => {
                self.trace.note(self.now_us, format_args!("{device} hangs up {generation}"));
                if let Some(number) = self.link_of(device, generation) {
                    let cut = self.random.percent(30);
                    self.abandon(number, cut);
                }
            }
            Act::Died(generation) => {
                self.trace.note(self.now_us, format_args!("{device} died"));
                if let Some(number) = generation.and_then(|generation| self.link_of(device, generation)) {
                    self.abandon(number, true);
                }
                let pause_ms = self.random.one_of([1, 300, 4_000]);
                self.wake_in_ms(if self.calm { 1 } else { pause_ms }, Wake::Start(device));
            }
        }
    }
    pub(crate) fn hear_verdicts(&mut self) -> Result<(), Failure> {
        for verdict in std::mem::take(&mut self.server.verdicts) {
            let device = self.devices.iter_mut().find(|device| device.client() == verdict.client);
            let Some(device) = device else { continue };
            if verdict.ruling == Ruling::Applied {
                check_place(&mut self.log_ends, &verdict)?;
            }
            let (number, ruling) = (verdict.mutation.client_seq, verdict.ruling);
            self.trace.note(self.now_us, format_args!("server: {} of {}: {ruling:?}", number, device.number));
            device.book.rule(&verdict).map_err(|failure| failure.of(device.number))?;
        }
        Ok(())
    }
}

/// A room's log has no gaps. A deletion of what is not there has no place of its own.
fn check_place(log_ends: &mut BTreeMap<Room, u64>, verdict: &Verdict) -> Result<(), Failure> {
    let end = log_ends.entry(verdict.room.clone()).or_default();
    let seq = verdict.seq.unwrap_or(0);
    if seq > *end || verdict.mutation.write != Write::Delete {
        let (room, number) = (&verdict.room, verdict.mutation.client_seq);
        ensure!(seq == *end + 1, "write {number} stands at {seq} in the log of {room}, which ended at {end}");
        *end = seq;
    }
    Ok(())
}

/// A journal record in a few words.
fn summary(record: &Record) -> String {
    let numbers =
        |entries: &[Entry]| -> Vec<u64> { entries.iter().map(|entry| entry.mutation.client_seq).collect() };
    match record {
        Record::Identity(_) => "its identity".to_owned(),
        Record::Queued(entries) => format!("writes {:?}", numbers(entries)),
        Record::Settled { client_seq } => format!("{client_seq} as settled"),
        Record::Failed(outcome) => format!("{} as failed", outcome.entry.mutation.client_seq),
        Record::OutcomeSeen { client_seq } => format!("the outcome of {client_seq} as seen"),
        Record::Resent { client_seqs, entries } => format!("{client_seqs:?} as {:?}", numbers(entries)),
        Record::Parked(parked) => format!("{} as parked", parked.entry.mutation.client_seq),
        Record::Resolved { client_seq, entry } => {
            format!("{client_seq} as resolved to {:?}", numbers(entry.as_slice()))
        }
        Record::Jobs(jobs) => format!("jobs {:?}", jobs.iter().map(|job| job.id).collect::<Vec<_>>()),
        Record::JobAttempted { id, attempts } => format!("job {id} as tried {attempts} times"),
        Record::JobEnded(ended) => format!("job {} as ended", ended.job.id),
        Record::JobsGone(ids) => format!("jobs {ids:?} as gone"),
        Record::LastJob { id } => format!("job {id} as the last"),
    }
}
