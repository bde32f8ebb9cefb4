//! What the server says.

use syncline_protocol::error::Retry;
use syncline_protocol::message::{
    Changes, Done, Encoding, Hello, Members, MutationResult, MutationStatus, PROTOCOL_VERSION, Page,
    PresenceDiff, PresencePong, Push, PushAnswer, event,
};
use syncline_protocol::sabotage::{Sabotage, is_active};
use syncline_protocol::{ErrorCode, Room, WireError};

use super::Engine;
use super::io::{Event, Now, Output, RoomPhase};
use super::outbox::Batch;
use super::pulls::Ask;
use super::replica::{Applied, NextPull};
use super::resolution::conflict_error;
use super::socket::Refusal;
use super::socket::cause::DisconnectCause;
use super::trace::TraceKind;
use super::wire::{Request, decode, decode_answer, packed_push};
use crate::error::{Code, Error};
use crate::store::{Store, StoreError};
use crate::transport::{Message, Packet, Payload};

impl Engine {
    pub(super) fn handle_message(
        &mut self,
        now: Now,
        message: Message,
        store: &mut dyn Store,
        out: &mut Vec<Output>,
    ) {
        let step = match message {
            Message::Open(handshake) => {
                self.wire.set_message_bytes_max(handshake.max_payload_bytes.unwrap_or(u64::MAX));
                self.session.handle_handshake(&handshake, now)
            }
            Message::Ping => {
                return out.push(Output::Send(Message::Pong));
            }
            Message::Close => {
                let cause = DisconnectCause::TransportClosed;
                return self.fail_session(now, ended_by_server(), cause, out);
            }
            Message::Pong | Message::Upgrade | Message::Noop => return,
            Message::Socket { namespace, packet } if namespace == *self.wire.main() => {
                return self.handle_packet(now, packet, store, out);
            }
            Message::Socket { namespace, packet } => {
                return self.handle_namespace_packet(now, &namespace, packet, store, out);
            }
        };
        self.apply_step(now, step, out);
    }

    fn handle_packet(&mut self, now: Now, packet: Packet, store: &mut dyn Store, out: &mut Vec<Output>) {
        let result = match packet {
            Packet::Connect { data } => {
                if !self.session.is_open() {
                    self.socket.recovery.handle_connected(data.as_ref());
                }
                let step = self.session.handle_session(now);
                return self.apply_step(now, step, out);
            }
            Packet::ConnectError { data } => {
                let Refusal { error, data } = Refusal::read(data.as_ref(), &self.settings);
                self.socket.set_refusal_data(data);
                return self.fail_session(now, error, DisconnectCause::Refused, out);
            }
            Packet::Disconnect => {
                let cause = DisconnectCause::ServerDisconnect;
                return self.fail_session(now, ended_by_server(), cause, out);
            }
            Packet::Event { name, args, ack } => {
                self.socket.recovery.handle_event(&args, ack.is_some());
                self.handle_event(now, &name, &args, ack, store, out)
            }
            Packet::Ack { id, args } => self.handle_ack(now, id, &args, store, out),
        };
        if let Err(error) = result {
            let cause = DisconnectCause::of_session(self.session.state(), Some(&error));
            self.fail_session(now, error, cause, out);
        }
    }

    /// An error ends the session: the two ends no longer agree.
    fn handle_event(
        &mut self,
        now: Now,
        name: &str,
        args: &[Payload],
        ack: Option<u64>,
        store: &mut dyn Store,
        out: &mut Vec<Output>,
    ) -> Result<(), Error> {
        match name {
            event::SYNC_HELLO => self.handle_hello(now, decode(args)?)?,
            event::SYNC_CHANGES => {
                let live: Changes = decode(args)?;
                let (room, count) = (live.room.clone(), live.changes.len());
                self.trace_room(now, TraceKind::Live, &room, format_args!("{count} changes"));
                let applied = self.replica.apply_live(live, &self.queries, store);
                self.handle_applied(now, &room, applied, store, out);
            }
            event::PRESENCE_DIFF => self.presence.handle_diff(decode::<PresenceDiff>(args)?, now),
            event::ACCESS_LOST => self.handle_access_lost(now, args, ack, store, out)?,
            event::USER_ONLINE | event::USER_OFFLINE => self.handle_user(name, args, ack),
            _ => self.take_message(&self.wire.main().clone(), name, args, ack),
        }
        Ok(())
    }

    fn handle_hello(&mut self, now: Now, hello: Hello) -> Result<(), Error> {
        if hello.protocol != PROTOCOL_VERSION {
            let message =
                format!("the server speaks version {}, this client {PROTOCOL_VERSION}", hello.protocol);
            return Err(Error::new(Code::UnsupportedProtocol, message));
        }
        self.trace(now, TraceKind::Hello, format_args!("protocol {}, {:?}", hello.protocol, hello.encoding));
        self.wire.handle_hello(&hello);
        let own = syncline_protocol::Limits {
            document_bytes_max: self.settings.document_bytes_max,
            ..Default::default()
        };
        self.limits = hello.limits.min(own);
        self.session.set_user_id(hello.user_id);
        self.connection_changed = true;
        self.ping_at_us = Some(self.next_ping_us(now));
        Ok(())
    }

    pub(super) fn handle_ack(
        &mut self,
        now: Now,
        id: u64,
        args: &[Payload],
        store: &mut dyn Store,
        out: &mut Vec<Output>,
    ) -> Result<(), Error> {
        // Unknown: an answer that came twice.
        let Some((request, took_us)) = self.wire.take(id, now) else { return Ok(()) };
        self.counters.rtt_us.record(took_us);
        self.note_answer(now, &request, took_us);
        self.note_transfer(&request, args, took_us);
        match request {
            Request::Page { room, asked } => match decode_answer::<Page>(args) {
                Ok(page) => self.take_page(now, room, asked, page, store, out),
                Err(error) => return self.handle_room_refused(now, &room, error, store),
            },
            Request::Push(batch) => match decode_answer::<PushAnswer>(args) {
                Ok(answer) => return self.handle_push_answer(now, &batch, answer, store, out),
                Err(error) => return self.handle_push_refused(now, &batch, error, store, out),
            },
            Request::PresenceJoin { room } => match decode_answer::<Members>(args) {
                Ok(members) => self.presence.handle_members(&room, &members.members, now),
                Err(error) => return self.handle_presence_refused(now, &room, error),
            },
            // What was not taken is announced again, as a whole.
            Request::PresenceUpdate { room } => {
                if let Err(error) = decode_answer::<Done>(args) {
                    return self.handle_presence_refused(now, &room, error);
                }
            }
            Request::PresenceLeave { room } => {
                if let Err(error) = decode_answer::<Done>(args) {
                    return self.handle_leave_refused(now, &room, error);
                }
            }
            Request::Ping => match decode_answer::<PresencePong>(args) {
                Ok(pong) => self.handle_pong(now, pong, out),
                Err(error) if error.code.retry() == Retry::AfterAuth => return Err(error),
                // The next ping asks again.
                Err(_) => {}
            },
            Request::Socket(ticket) => self.handle_answer(now, ticket, args, out),
            Request::Job(job) => self.handle_job_answer(now, job, args, store),
            Request::TokenRefresh => self.handle_refreshed(now, decode_answer::<Done>(args), out),
            Request::Notice => {}
        }
        Ok(())
    }

    fn handle_pong(&mut self, now: Now, pong: PresencePong, out: &mut Vec<Output>) {
        for (room, head) in pong.heads {
            self.hear_head(&room, head);
        }
        self.presence.handle_lapsed(pong.lapsed, now);
        self.announce_due(now, out);
    }

    fn hear_head(&mut self, room: &Room, head: u64) {
        if let Some(cursor) = self.replica.hear_head(room, head) {
            self.pulls.push(room, Ask::PageAfter(cursor));
        }
    }

    /// Without this, whoever left would be there as long as its connection.
    fn handle_leave_refused(&mut self, now: Now, room: &Room, error: Error) -> Result<(), Error> {
        match error.code.retry() {
            Retry::AfterAuth => return Err(error),
            Retry::Later => {
                let delay_ms = error.retry_after_ms.unwrap_or(self.settings.retry_delay_ms);
                self.presence.leave_again(room, now.after_ms(delay_ms));
            }
            Retry::Never => {}
        }
        Ok(())
    }

    pub(super) fn handle_presence_refused(
        &mut self,
        now: Now,
        room: &Room,
        error: Error,
    ) -> Result<(), Error> {
        let retry_at_us = match error.code.retry() {
            Retry::AfterAuth => return Err(error),
            Retry::Later => Some(now.after_ms(error.retry_after_ms.unwrap_or(self.settings.retry_delay_ms))),
            // The server has lost sight of this client.
            Retry::Never if error.code == Code::NotFound => Some(now.after_ms(self.settings.retry_delay_ms)),
            Retry::Never => None,
        };
        self.presence.handle_refused(room, error, retry_at_us);
        Ok(())
    }

    /// The cache took a page or live changes, or could not.
    pub(super) fn handle_applied(
        &mut self,
        now: Now,
        room: &Room,
        applied: Result<Applied, StoreError>,
        store: &mut dyn Store,
        out: &mut Vec<Output>,
    ) {
        let applied = match applied {
            Ok(applied) => applied,
            Err(error) => return self.handle_cache_refused(now, room, error),
        };
        self.progress.count_downloaded(applied.count);
        if applied.reset {
            self.queries.touch_room(room);
        }
        if let Some(newest) = applied.newest_time {
            self.clock.observe(newest);
        }
        for (key, document) in applied.changed {
            self.queries.touch_with(&key, document.as_ref());
        }
        self.changed_rooms.insert(room.clone());
        self.schedule_flush(now);
        let cursor = self.replica.state(room).cursor;
        for client_seq in self.outbox.confirmed_at(room, cursor) {
            self.settle_if_held(now, client_seq, store);
        }
        if let Some(end) = applied.log_end {
            self.outbox.push_again_behind(room, end, now.after_ms(self.settings.retry_delay_ms));
        }
        match applied.next {
            NextPull::Asked => {}
            NextPull::After(cursor) => self.pulls.push(room, Ask::PageAfter(cursor)),
            NextPull::Later => self.read_later(now, room),
            NextPull::Nothing => self.forget_room_if_unused(now, room, out),
        }
        self.note_recovery(now);
    }

    /// The disk could not take it: the room stays where it is, and asks again later.
    fn handle_cache_refused(&mut self, now: Now, room: &Room, error: StoreError) {
        self.read_later(now, room);
        self.handle_store_error(error);
    }

    fn read_later(&mut self, now: Now, room: &Room) {
        let retry_at_us = now.after_ms(self.settings.retry_delay_ms);
        if let Some(followed) = self.replica.room_mut(room) {
            followed.phase = RoomPhase::Waiting;
            followed.retry_at_us = Some(retry_at_us);
        }
        self.changed_rooms.insert(room.clone());
    }

    pub(super) fn handle_room_refused(
        &mut self,
        now: Now,
        room: &Room,
        error: Error,
        store: &mut dyn Store,
    ) -> Result<(), Error> {
        self.trace_room(now, TraceKind::Refused, room, format_args!("{}", error.code.as_str()));
        let retry = match error.code.retry() {
            Retry::AfterAuth => return Err(error),
            Retry::Later => Some(now.after_ms(error.retry_after_ms.unwrap_or(self.settings.retry_delay_ms))),
            Retry::Never => None,
        };
        if let Some(followed) = self.replica.room_mut(room) {
            followed.phase = if retry.is_some() { RoomPhase::Waiting } else { RoomPhase::Denied };
            followed.retry_at_us = retry;
            followed.error = Some(error);
            self.changed_rooms.insert(room.clone());
        }
        if retry.is_none() {
            // What the server has applied will not be seen here.
            for client_seq in self.outbox.confirmed_at(room, u64::MAX) {
                self.settle(now, client_seq, store);
            }
        }
        Ok(())
    }

    pub(super) fn send_push(
        &mut self,
        now: Now,
        batch: &Batch,
        after: Option<u64>,
        store: &mut dyn Store,
        out: &mut Vec<Output>,
    ) {
        let after = after.filter(|_| !is_active(Sabotage::AfterNotSent));
        let push = match self.encode_push(batch, after, store) {
            Ok(push) => push,
            Err(error) => return self.hold_back(now, batch, error),
        };
        let count = batch.client_seqs.len();
        self.trace_room(now, TraceKind::Push, &batch.room, format_args!("{count} writes"));
        let request = Request::Push(batch.clone());
        let timeout_ms = self.settings.request_timeout_ms;
        let sent = push
            .and_then(|push| self.wire.request_with(event::SYNC_PUSH, push, request, timeout_ms, now, out));
        // Sent all the same, it would end the connection, and so would its repetition.
        if let Err(error) = sent.or_else(|error| self.handle_push_refused(now, batch, error, store, out)) {
            self.notices.push(Event::Error { error: error.into() });
        }
    }

    /// A push as it travels. In a compact one the writes are as they stand in the journal.
    fn encode_push(
        &self,
        batch: &Batch,
        after: Option<u64>,
        store: &dyn Store,
    ) -> Result<Result<Payload, Error>, StoreError> {
        let Batch { room, client_seqs, .. } = batch;
        match self.wire.encoding() {
            Encoding::Compact => {
                let mut packed = Vec::with_capacity(usize::try_from(batch.bytes).unwrap_or_default());
                for client_seq in client_seqs {
                    self.outbox.pack_mutation(*client_seq, store, &mut packed)?;
                }
                Ok(packed_push(room, after, client_seqs.len(), &packed))
            }
            Encoding::Plain => {
                let mutation = |number: &u64| self.outbox.entry(*number, store).map(|entry| entry.mutation);
                let mutations = client_seqs.iter().map(mutation).collect::<Result<_, _>>()?;
                Ok(self.wire.encode(&Push { room: room.clone(), after, mutations }))
            }
        }
    }

    /// What cannot be read cannot be sent: perhaps later.
    fn hold_back(&mut self, now: Now, batch: &Batch, error: StoreError) {
        self.outbox.restart(batch, now.after_ms(self.settings.retry_delay_ms));
        self.handle_store_error(error);
    }

    fn handle_push_answer(
        &mut self,
        now: Now,
        batch: &Batch,
        answer: PushAnswer,
        store: &mut dyn Store,
        out: &mut Vec<Output>,
    ) -> Result<(), Error> {
        let answered = answer.results.len();
        for result in answer.results {
            if batch.client_seqs.binary_search(&result.client_seq).is_ok() {
                self.handle_result(now, batch, result, store, out);
            }
        }
        let untried = batch.client_seqs.get(answered..).unwrap_or_default();
        match answer.error {
            // A server may answer one write twice, and another not at all.
            _ if untried.is_empty() && self.outbox.awaits_any(&batch.client_seqs) => {
                self.outbox.restart(batch, now.after_ms(self.settings.retry_delay_ms));
            }
            _ if untried.is_empty() => self.outbox.complete(batch),
            Some(error) => {
                let rest = Batch { client_seqs: untried.to_vec(), ..batch.clone() };
                return self.handle_push_refused(now, &rest, error.into(), store, out);
            }
            None => self.outbox.restart(batch, now.after_ms(self.settings.retry_delay_ms)),
        }
        self.forget_room_if_unused(now, &batch.room, out);
        self.note_recovery(now);
        Ok(())
    }

    fn handle_result(
        &mut self,
        now: Now,
        batch: &Batch,
        result: MutationResult,
        store: &mut dyn Store,
        out: &mut Vec<Output>,
    ) {
        if let Some(error) = conflict_error(&result) {
            self.counters.conflicts += 1;
            self.trace_room(now, TraceKind::Conflict, &batch.room, format_args!("a write"));
            return self.handle_conflict(now, result.client_seq, error, result.document, store, out);
        }
        let MutationResult { client_seq, status, seq, error, .. } = result;
        let state = self.replica.state(&batch.room);
        match (status, error) {
            (MutationStatus::Applied | MutationStatus::Duplicate, None) => {
                let seq = seq.unwrap_or(state.cursor);
                self.outbox.mark_applied(client_seq, seq);
                // A room that may not be read never confirms.
                let denied =
                    self.replica.room_mut(&batch.room).is_none_or(|room| room.phase == RoomPhase::Denied);
                if denied || is_active(Sabotage::SettledEarly) {
                    self.settle(now, client_seq, store);
                } else if seq <= state.cursor {
                    self.settle_if_held(now, client_seq, store);
                } else if self.triggers.awaits_confirmation() {
                    self.hear_head(&batch.room, seq);
                }
            }
            (_, error) => {
                self.trace_room(now, TraceKind::Rejected, &batch.room, format_args!("a write"));
                let refused = || WireError::new(ErrorCode::Invalid, "the server refused the write");
                self.reject(now, client_seq, error.unwrap_or_else(refused), None, store);
            }
        }
    }

    /// The server refused a push, or the rest of it.
    fn handle_push_refused(
        &mut self,
        now: Now,
        batch: &Batch,
        error: Error,
        store: &mut dyn Store,
        out: &mut Vec<Output>,
    ) -> Result<(), Error> {
        self.trace_room(now, TraceKind::Refused, &batch.room, format_args!("{}", error.code.as_str()));
        let retry_at_us = now.after_ms(error.retry_after_ms.unwrap_or(self.settings.retry_delay_ms));
        match (error.code, error.code.retry()) {
            (_, Retry::AfterAuth) | (Code::Protocol, _) => return Err(error),
            (_, Retry::Later) => self.outbox.restart(batch, retry_at_us),
            (Code::Forbidden, _) => {
                // Rights can come back: the writes are kept, and the app is told.
                self.outbox.deny(batch);
                if let Some(followed) = self.replica.room_mut(&batch.room) {
                    followed.error = Some(error.clone());
                }
                self.changed_rooms.insert(batch.room.clone());
                self.notices.push(Event::Error { error: error.into() });
            }
            (_, Retry::Never) => match batch.client_seqs.as_slice() {
                [only] => {
                    self.outbox.restart(batch, now.mono_us);
                    self.outbox.end_isolation(&batch.room);
                    self.reject(now, *only, wire_error(&error), None, store);
                    self.forget_room_if_unused(now, &batch.room, out);
                }
                _ => self.outbox.isolate(batch, now.mono_us),
            },
        }
        Ok(())
    }

    fn note_recovery(&mut self, now: Now) {
        if let Some(since_us) = self.recovering_since_us
            && self.outbox.is_empty()
            && self.replica.all_live()
        {
            self.recovering_since_us = None;
            self.counters.recovery_us = Some(now.mono_us.saturating_sub(since_us));
        }
    }
}

fn ended_by_server() -> Error {
    Error::new(Code::Unavailable, "the server ended the session")
}

fn wire_error(error: &Error) -> WireError {
    let code = match error.code {
        Code::TooLarge => ErrorCode::TooLarge,
        Code::NotFound => ErrorCode::NotFound,
        Code::Conflict => ErrorCode::Conflict,
        Code::UnsupportedProtocol => ErrorCode::UnsupportedProtocol,
        _ => ErrorCode::Invalid,
    };
    WireError::new(code, error.message.clone())
}
