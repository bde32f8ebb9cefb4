//! What the engine does as the session opens and ends.

use std::collections::BTreeMap;

use syncline_protocol::Room;
use syncline_protocol::message::{Auth, Encoding, PROTOCOL_VERSION, event};
use syncline_protocol::sabotage::{Sabotage, is_active};

use super::Engine;
use super::io::{ConnectionState, Event, Generation, Now, Output, Reply};
use super::session::Step;
use super::socket::Greeting;
use super::trace::TraceKind;
use super::wire::Request;
use crate::error::{Code, Error};
use crate::transport::{Message, Packet, Payload};

impl Engine {
    pub(super) fn apply_step(&mut self, now: Now, step: Step, out: &mut Vec<Output>) {
        self.note_cause(step);
        match step {
            Step::Nothing => return,
            Step::Dial(generation) => {
                self.trace(now, TraceKind::Connect, format_args!("connection {generation}"));
                out.push(Output::Open(generation));
            }
            Step::Greet => self.greet(now, out),
            Step::Opened => self.handle_opened(now, out),
            Step::Refresh => return self.send_token(now, out),
            Step::Ended(generation) => {
                self.trace_end(now, generation);
                self.reset_job_connection(now);
                out.push(Output::Close(generation));
                self.handle_ended(now, out);
            }
            Step::Redial { old, new } => {
                self.trace(now, TraceKind::Connect, format_args!("connection {new} instead of {old}"));
                self.reset_job_connection(now);
                out.push(Output::Close(old));
                self.reset_connection(now);
                self.lose_socket(out);
                out.push(Output::Open(new));
            }
        }
        self.connection_changed = true;
    }

    pub(super) fn greet(&mut self, now: Now, out: &mut Vec<Output>) {
        let auth = Auth {
            token: self.session.token().map(|token| token.expose().to_owned()),
            client_id: Some(self.identity.client_id),
            protocol: Some(PROTOCOL_VERSION),
            encoding: Encoding::Compact,
        };
        let greeting = Greeting { auth, continuation: self.socket.recovery.continuation() };
        if let Err(error) = self.wire.greet(&greeting, out) {
            let step = self.session.fail(error, now);
            self.apply_step(now, step, out);
        }
    }

    pub(super) fn handle_opened(&mut self, now: Now, out: &mut Vec<Output>) {
        self.counters.reconnects += 1;
        self.tokens.handle_accepted(now);
        let sessions = self.counters.reconnects;
        self.trace(now, TraceKind::Connected, format_args!("session {sessions}"));
        self.recovering_since_us = Some(now.mono_us);
        self.ping_at_us = None;
        out.extend(self.connect_waiters.drain(..).map(|request| Output::Reply(request, Ok(Reply::Done {}))));
        let again = !is_active(Sabotage::NotResubscribed) || self.counters.reconnects == 1;
        let rooms = self.replica.rooms().filter(|_| again).map(|(room, _)| room.clone());
        for room in rooms.collect::<Vec<Room>>() {
            // One that was refused with its last write settled stayed until now, so that the app hears why.
            if self.outbox.holds_room(&room) || !self.replica.forget_if_unused(&room) {
                self.subscribe_room(&room);
            }
        }
        self.send_pages(now, out);
        for announcement in self.presence.announce_all(now) {
            self.announce(now, announcement, out);
        }
        self.open_socket(now, out);
    }

    pub(super) fn handle_ended(&mut self, now: Now, out: &mut Vec<Output>) {
        self.reset_connection(now);
        self.lose_socket(out);
        self.answer_connect_waiters(out);
    }

    fn trace_end(&mut self, now: Now, generation: Generation) {
        let state = self.session.state();
        let why = self.session.reason().map_or("", |reason| reason.code.as_str());
        self.trace.note(
            now,
            TraceKind::Disconnected,
            format_args!("connection {generation}: {state:?} {why}"),
        );
    }

    /// Tells who waits for a connection why there is none.
    pub(super) fn answer_connect_waiters(&mut self, out: &mut Vec<Output>) {
        let reason = self.session.reason().cloned();
        let error = reason.unwrap_or_else(|| Error::new(Code::Closed, "disconnected by the app"));
        out.extend(self.connect_waiters.drain(..).map(|request| Output::Reply(request, Err(error.clone()))));
    }

    /// A message that is not whole yet is on its way: what is awaited may stand behind it.
    pub(super) fn handle_moved(&mut self, now: Now, received: bool) {
        if received {
            self.session.handle_heartbeat(now);
        }
        self.wire.put_off(now, self.settings.transfer_timeout_ms);
        self.put_off_acks(now);
    }

    /// An answer says how the link takes what was asked for, or pushed.
    pub(super) fn note_transfer(&mut self, request: &Request, answer: &[Payload], took_us: u64) {
        let bytes = match request {
            Request::Page { .. } => answer.iter().map(|argument| argument.byte_len() as u64).sum(),
            Request::Push(batch) => batch.bytes,
            _ => return,
        };
        self.link.handle_done(bytes, took_us, self.settings.request_timeout_ms);
    }

    pub(super) fn reset_connection(&mut self, now: Now) {
        if let Some(waited_us) = self.wire.longest_transfer_us(now) {
            self.link.handle_broken(waited_us, self.settings.request_timeout_ms);
        }
        self.wire.reset_connection();
        self.lost_meanwhile.clear();
        self.outbox.reset_connection();
        match self.session.state() {
            ConnectionState::Idle | ConnectionState::Closed => self.presence.forget_connection(),
            // Longer, the server does not keep anybody who is not heard of.
            _ => self.presence.lose_connection(now.after_ms(self.limits.presence_lease_ms)),
        }
        self.replica.reset_connection();
        self.pulls.clear();
        self.changed_rooms.extend(self.replica.rooms().map(|(room, _)| room.clone()));
        self.ping_at_us = None;
        self.recovering_since_us = None;
    }

    /// In time for the lease that the server told, if the answer takes its time.
    pub(super) fn next_ping_us(&self, now: Now) -> u64 {
        now.after_ms(self.settings.presence_ping_ms.min(self.limits.presence_lease_ms / 2))
    }

    /// Tells the server that this is a farewell: without, it would wait for this client to come back.
    pub(super) fn say_goodbye(&mut self, out: &mut Vec<Output>) {
        if self.session.is_open() {
            let packet = Packet::Disconnect;
            out.push(Output::Send(Message::Socket { namespace: self.wire.main().clone(), packet }));
        }
    }

    /// Asks for the heads of the rooms, and renews the lease of this client's presence; also the proof that the connection lives.
    pub(super) fn ping(&mut self, now: Now, timeout_ms: u64, out: &mut Vec<Output>) {
        self.ping_at_us = Some(self.next_ping_us(now));
        let body = BTreeMap::<String, String>::new();
        if let Err(error) =
            self.wire.request(event::PRESENCE_PING, &body, Request::Ping, timeout_ms, now, out)
        {
            self.notices.push(Event::Error { error: error.into() });
        }
    }
}
