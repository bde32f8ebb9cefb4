//! The world: one queue of events in virtual time, the connections, and who is where.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use syncline::engine::io::{Command, Generation, Reply};
use syncline::store::{Entry, Record};
use syncline::transport::{self, Frame, Message, Packet};
use syncline_protocol::message::event;
use syncline_protocol::{Room, Write};
use syncline_server::presence::ConnectionId;

use crate::device::{self, Act, Device, START_MS, Stimulus};
use crate::failure::{Failure, ensure};
use crate::network::Pipe;
use crate::plan::Plan;
use crate::random::Random;
use crate::server::{Broken, Ruling, Server, Verdict, packet};
use crate::storage::Space;
use crate::trace::Trace;

/// Events that a run may take; more means that something turns in a circle.
const EVENTS_MAX: u64 = 400_000;
/// Segments that a device reads in one turn.
const SEGMENTS_PER_TURN_MAX: usize = 64;
/// How often a slow device reads a segment.
const SLOW_READ_US: u64 = 150_000;

pub struct World {
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
    pub(crate) reach: Vec<Reach>,
    /// No faults, and users only wait.
    pub(crate) calm: bool,
    /// The users want everything, and wait for it.
    pub(crate) draining: bool,
    /// Time that everybody slept through: it does not count as simulated.
    pub(crate) slept_us: u64,
    pub(crate) turns: u64,
    /// A fault is being done: what the app shows may lag behind its store.
    pub(crate) unchecked: bool,
    queue: BinaryHeap<Reverse<(u64, u64, Wake)>>,
    events: u64,
    last_link: u64,
}

/// One connection.
pub(crate) struct Link {
    pub(crate) device: usize,
    pub(crate) generation: Generation,
    /// The server's end, while it is open.
    pub(crate) session: Option<ConnectionId>,
    /// Whether the device's end is open.
    pub(crate) held: bool,
    pub(crate) up: Pipe,
    pub(crate) down: Pipe,
    /// Nothing arrives any more, and nobody is told.
    pub(crate) black: bool,
    /// A live change that the next one overtakes.
    late: Option<Message>,
}

/// Until when nothing gets through, by direction.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reach {
    pub(crate) up_from_us: u64,
    pub(crate) down_from_us: u64,
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
    Flap(usize, u64),
    User(usize),
    Fault,
}

impl World {
    pub fn new(seed: u64, print: bool) -> Self {
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
            calm: true,
            draining: false,
            slept_us: 0,
            turns: 0,
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
            Wake::Flap(device, left) => self.flap(device, left),
            Wake::User(device) => self.handle_user(device),
            Wake::Fault => self.handle_fault(),
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
                let link = Link {
                    device,
                    generation,
                    session: None,
                    held: true,
                    up: Pipe::default(),
                    down: Pipe::default(),
                    black: false,
                    late: None,
                };
                self.links.insert(self.last_link, link);
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

    fn absorb(&mut self, frame: &Frame) {
        match frame {
            Frame::Text(text) => self.trace.absorb(text.as_bytes()),
            Frame::Binary(bytes) => self.trace.absorb(bytes),
        }
    }

    fn link_of(&self, device: usize, generation: Generation) -> Option<u64> {
        let mine = |link: &&Link| link.device == device && link.generation == generation && link.held;
        self.links.iter().rev().find(|(_, link)| mine(link)).map(|(number, _)| *number)
    }

    /// The device's end is closed: what it sent may still arrive, as far as a random byte if the end was sudden.
    pub(crate) fn abandon(&mut self, number: u64, sudden: bool) {
        let end_us = self.now_us + self.latency_us();
        let Some(link) = self.links.get_mut(&number) else { return };
        link.held = false;
        link.down = Pipe::default();
        if sudden {
            link.up.cut(&mut self.random);
        }
        link.up.end(end_us);
        if link.session.is_none() {
            self.links.remove(&number);
        } else {
            self.wake_up(number);
        }
    }

    pub(crate) fn wake_up(&mut self, number: u64) {
        let at_us = self.links.get(&number).and_then(|link| link.up.next_us());
        self.look_up(number, at_us);
    }

    pub(crate) fn wake_down(&mut self, number: u64) {
        let at_us = self.links.get(&number).and_then(|link| link.down.next_us());
        self.look_down(number, at_us);
    }

    fn look_up(&mut self, number: u64, at_us: Option<u64>) {
        let link = self.links.get_mut(&number);
        if let Some(at_us) = at_us.and_then(|at_us| link?.up.set_alarm(at_us)) {
            self.wake(at_us, Wake::Up(number));
        }
    }

    fn look_down(&mut self, number: u64, at_us: Option<u64>) {
        let link = self.links.get_mut(&number);
        if let Some(at_us) = at_us.and_then(|at_us| link?.down.set_alarm(at_us)) {
            self.wake(at_us, Wake::Down(number));
        }
    }

    fn handle_dialed(&mut self, number: u64) -> Result<(), Failure> {
        let Some(link) = self.links.get(&number) else { return Ok(()) };
        let (device, generation) = (link.device, link.generation);
        let reach = self.reach[device];
        let blocked_us = reach.up_from_us.max(reach.down_from_us);
        if blocked_us > self.now_us {
            self.wake(blocked_us, Wake::Dialed(number));
            return Ok(());
        }
        if self.devices[device].is_frozen(self.now_us) {
            self.wake(self.devices[device].frozen_until_us, Wake::Dialed(number));
            return Ok(());
        }
        if self.now_us < self.server_down_until_us {
            self.links.remove(&number);
            self.trace.note(self.now_us, format_args!("{device} finds no server"));
            return self.turn(device, vec![Stimulus::Closed(generation)]);
        }
        let (id, hello) = self.server.open(self.plan.parser);
        if let Some(link) = self.links.get_mut(&number) {
            link.session = Some(id);
        }
        self.trace.note(self.now_us, format_args!("{device} reaches the server, {id:?}"));
        self.send_down(number, &hello)?;
        let beat_ms = self.server.heartbeat_ms();
        self.wake_in_ms(beat_ms, Wake::Beat(id));
        self.turn(device, vec![Stimulus::Opened(generation)])
    }

    fn handle_up(&mut self, number: u64) -> Result<(), Failure> {
        let Some(link) = self.links.get_mut(&number) else { return Ok(()) };
        link.up.clear_alarm(self.now_us);
        let blocked_us = self.reach[link.device].up_from_us;
        if link.black {
            return Ok(());
        }
        if blocked_us > self.now_us {
            self.look_up(number, Some(blocked_us));
            return Ok(());
        }
        let Some(id) = link.session else { return Ok(()) };
        let received = link.up.receive(self.now_us, SEGMENTS_PER_TURN_MAX);
        let now_ms = self.server_ms();
        for frame in received.frames {
            let was_busy = self.server.is_busy(id);
            match self.server.receive(id, frame, now_ms) {
                Ok(messages) => {
                    for message in messages {
                        self.send_down(number, &message)?;
                    }
                }
                Err(broken) => return self.drop_session(number, &broken),
            }
            if !was_busy && self.server.is_busy(id) {
                let delay_ms = self.random.between(0, self.plan.server.serve_ms_max);
                self.wake_in_ms(delay_ms, Wake::Serve(id));
            }
        }
        if received.ended {
            return self.drop_session(number, &Broken("the client is gone".to_owned()));
        }
        self.wake_up(number);
        self.pump()
    }

    fn handle_serve(&mut self, id: ConnectionId) -> Result<(), Failure> {
        let Some(number) = self.link_with(id) else { return Ok(()) };
        let now_ms = self.server_ms();
        let answer = self.server.serve(id, now_ms);
        self.hear_verdicts()?;
        let live_first = self.random.percent(50);
        if live_first {
            self.pump()?;
        }
        if let Some(answer) = answer {
            self.send_down(number, &answer)?;
            if !self.calm && self.random.percent(self.plan.faults.twice_percent) {
                self.send_down(number, &answer)?;
            }
        }
        if self.server.is_busy(id) {
            let delay_ms = self.random.between(0, self.plan.server.serve_ms_max);
            self.wake_in_ms(delay_ms, Wake::Serve(id));
        }
        self.pump()
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

    fn handle_beat(&mut self, id: ConnectionId) -> Result<(), Failure> {
        let Some(number) = self.link_with(id) else { return Ok(()) };
        let now_ms = self.server_ms();
        match self.server.beat(id, now_ms) {
            Ok(ping) => {
                if let Some(ping) = ping {
                    self.send_down(number, &ping)?;
                }
                let beat_ms = self.server.heartbeat_ms();
                self.wake_in_ms(beat_ms, Wake::Beat(id));
                Ok(())
            }
            Err(broken) => {
                self.send_down(number, &packet(Packet::Disconnect))?;
                self.drop_session(number, &broken)
            }
        }
    }

    fn link_with(&self, id: ConnectionId) -> Option<u64> {
        self.links.iter().find(|(_, link)| link.session == Some(id)).map(|(number, _)| *number)
    }

    /// The server closes its end; the device hears of it behind what is under way.
    pub(crate) fn drop_session(&mut self, number: u64, broken: &Broken) -> Result<(), Failure> {
        let end_us = self.now_us + self.latency_us();
        let Some(link) = self.links.get_mut(&number) else { return Ok(()) };
        let Some(id) = link.session.take() else { return Ok(()) };
        self.trace.note(self.now_us, format_args!("server drops {id:?}: {}", broken.0));
        link.down.end(end_us);
        if link.held {
            self.wake_down(number);
        } else {
            self.links.remove(&number);
        }
        self.server.close(id);
        self.pump()
    }

    fn handle_down(&mut self, number: u64) -> Result<(), Failure> {
        let Some(link) = self.links.get_mut(&number) else { return Ok(()) };
        link.down.clear_alarm(self.now_us);
        let device = link.device;
        let phone = &self.devices[device];
        let blocked_us = self.reach[device].down_from_us.max(phone.frozen_until_us);
        if link.black {
            return Ok(());
        }
        if blocked_us > self.now_us {
            self.look_down(number, Some(blocked_us));
            return Ok(());
        }
        let is_slow = phone.slow_until_us > self.now_us;
        let received = link.down.receive(self.now_us, if is_slow { 1 } else { SEGMENTS_PER_TURN_MAX });
        let generation = link.generation;
        let mut stimuli: Vec<_> =
            received.frames.into_iter().map(|frame| Stimulus::Frame(generation, frame)).collect();
        if received.ended {
            self.links.remove(&number);
            stimuli.push(Stimulus::Closed(generation));
        } else if is_slow {
            let next_us = link.down.next_us().map(|next_us| next_us.max(self.now_us + SLOW_READ_US));
            self.look_down(number, next_us);
        } else {
            self.wake_down(number);
        }
        if !stimuli.is_empty() {
            self.trace.note(self.now_us, format_args!("{device} hears {} frames", stimuli.len()));
            self.turn(device, stimuli)?;
        }
        self.pump()
    }

    pub(crate) fn send_down(&mut self, number: u64, message: &Message) -> Result<(), Failure> {
        let frames = transport::encode(self.plan.parser, message);
        let frames =
            frames.map_err(|error| Failure(format!("the server cannot send {message:?}: {error}")))?;
        frames.iter().for_each(|frame| self.absorb(frame));
        let delay_us = self.latency_us();
        let Some(link) = self.links.get_mut(&number) else { return Ok(()) };
        if link.held {
            link.down.send(&frames, self.now_us, delay_us, &mut self.random);
            self.wake_down(number);
        }
        Ok(())
    }

    /// Hands on what waits in the mailboxes, as far as the readers keep up.
    pub(crate) fn pump(&mut self) -> Result<(), Failure> {
        let open: Vec<_> =
            self.links.iter().filter_map(|(number, link)| Some((*number, link.session?))).collect();
        for (number, id) in open {
            loop {
                let full = |link: &Link| link.down.len() >= self.plan.network.packets_queued_max;
                if self.links.get(&number).is_none_or(full) {
                    break;
                }
                match self.server.take_mail(id) {
                    Ok(Some(message)) => self.deliver_mail(number, &message)?,
                    Ok(None) => break,
                    Err(broken) => {
                        self.drop_session(number, &broken)?;
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// A live change is a hint, which a server of several nodes may lose, double or delay.
    fn deliver_mail(&mut self, number: u64, message: &Message) -> Result<(), Failure> {
        let is_hint = matches!(message, Message::Socket { packet: Packet::Event { name, .. }, .. }
            if name == event::SYNC_CHANGES);
        let percent = if self.calm || !is_hint { 0 } else { self.plan.faults.mail_percent };
        if self.random.percent(percent) {
            self.trace.note(self.now_us, format_args!("a live change is lost"));
            return Ok(());
        }
        if self.random.percent(percent) {
            self.send_down(number, message)?;
        }
        let late = self.links.get_mut(&number).and_then(|link| link.late.take());
        if late.is_none() && self.random.percent(percent) {
            if let Some(link) = self.links.get_mut(&number) {
                link.late = Some(message.clone());
            }
            return Ok(());
        }
        self.send_down(number, message)?;
        late.iter().try_for_each(|late| self.send_down(number, late))
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
    }
}
