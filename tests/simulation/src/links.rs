//! The connections: what travels on them, and when it arrives.

use syncline::engine::io::Generation;
use syncline::transport::{self, Frame, Message, Packet};
use syncline_protocol::message::event;
use syncline_server::presence::ConnectionId;

use crate::device::{START_MS, Stimulus};
use crate::failure::Failure;
use crate::network::Pipe;
use crate::server::{Broken, FAREWELL, packet};
use crate::world::{Wake, World};

/// Segments that a device reads in one turn.
const SEGMENTS_PER_TURN_MAX: usize = 64;
/// How often a slow device reads a segment.
const SLOW_READ_US: u64 = 150_000;

/// One connection.
pub(crate) struct Link {
    pub(crate) device: usize,
    pub(crate) generation: Generation,
    /// Whether the server has heard of it.
    pub(crate) accepted: bool,
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

impl Link {
    /// Dialed, and not accepted yet.
    pub(crate) fn new(device: usize, generation: Generation) -> Self {
        Self {
            device,
            generation,
            accepted: false,
            session: None,
            held: true,
            up: Pipe::default(),
            down: Pipe::default(),
            black: false,
            late: None,
        }
    }
}

impl World {
    pub(crate) fn absorb(&mut self, frame: &Frame) {
        match frame {
            Frame::Text(text) => self.trace.absorb(text.as_bytes()),
            Frame::Binary(bytes) => self.trace.absorb(bytes),
        }
    }

    pub(crate) fn link_of(&self, device: usize, generation: Generation) -> Option<u64> {
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

    pub(crate) fn look_up(&mut self, number: u64, at_us: Option<u64>) {
        let link = self.links.get_mut(&number);
        if let Some(at_us) = at_us.and_then(|at_us| link?.up.set_alarm(at_us)) {
            self.wake(at_us, Wake::Up(number));
        }
    }

    pub(crate) fn look_down(&mut self, number: u64, at_us: Option<u64>) {
        let link = self.links.get_mut(&number);
        if let Some(at_us) = at_us.and_then(|at_us| link?.down.set_alarm(at_us)) {
            self.wake(at_us, Wake::Down(number));
        }
    }

    pub(crate) fn handle_dialed(&mut self, number: u64) -> Result<(), Failure> {
        let Some(link) = self.links.get(&number).filter(|link| !link.accepted) else { return Ok(()) };
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
            link.accepted = true;
            link.session = Some(id);
        }
        self.trace.note(self.now_us, format_args!("{device} reaches the server, {id:?}"));
        self.send_down(number, &hello)?;
        let beat_ms = self.server.heartbeat_ms();
        self.wake_in_ms(beat_ms, Wake::Beat(id));
        self.turn(device, vec![Stimulus::Opened(generation)])
    }

    pub(crate) fn handle_up(&mut self, number: u64) -> Result<(), Failure> {
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

    pub(crate) fn handle_serve(&mut self, id: ConnectionId) -> Result<(), Failure> {
        let Some(number) = self.link_with(id) else { return Ok(()) };
        let now_ms = self.server_ms();
        let answer = self.server.serve(id, now_ms);
        self.server.backend.check()?;
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

    pub(crate) fn handle_beat(&mut self, id: ConnectionId) -> Result<(), Failure> {
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

    pub(crate) fn link_with(&self, id: ConnectionId) -> Option<u64> {
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
        let now_ms = self.server_ms();
        self.server.close(id, broken.0 == FAREWELL, now_ms);
        self.pump()
    }

    pub(crate) fn handle_down(&mut self, number: u64) -> Result<(), Failure> {
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

    /// Leases of the server may be over.
    pub(crate) fn handle_leases(&mut self) -> Result<(), Failure> {
        let now_ms = self.server_ms();
        self.leases_us = None;
        self.server.expire(now_ms);
        self.pump()
    }

    /// Sees to it that the next lease ends in time.
    fn watch_leases(&mut self) {
        let Some(next_ms) = self.server.roster.next_expiry_ms() else { return };
        let at_us = next_ms.saturating_sub(START_MS).saturating_mul(1000).max(self.now_us + 1);
        if self.leases_us.is_none_or(|leases_us| at_us < leases_us) {
            self.leases_us = Some(at_us);
            self.wake(at_us, Wake::Leases);
        }
    }

    /// Hands on what waits in the mailboxes, as far as the readers keep up; and what was committed meanwhile.
    pub(crate) fn pump(&mut self) -> Result<(), Failure> {
        self.watch_leases();
        self.server.tell_announced(self.now_us, self.server_ms());
        loop {
            self.deliver()?;
            let (is_told, round_us) = self.server.tell_announced(self.now_us, self.server_ms());
            if !is_told {
                self.watch_round(round_us);
                return Ok(());
            }
        }
    }

    /// Sees to it that who is told next does not wait for who takes nothing.
    fn watch_round(&mut self, end_us: Option<u64>) {
        let Some(end_us) = end_us else { return };
        let at_us = end_us.max(self.now_us + 1);
        if self.round_us.is_none_or(|round_us| at_us < round_us) {
            self.round_us = Some(at_us);
            self.wake(at_us, Wake::Round);
        }
    }

    /// A round of the server may be over.
    pub(crate) fn handle_round(&mut self) -> Result<(), Failure> {
        self.round_us = None;
        self.pump()
    }

    fn deliver(&mut self) -> Result<(), Failure> {
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
    pub(crate) fn deliver_mail(&mut self, number: u64, message: &Message) -> Result<(), Failure> {
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
