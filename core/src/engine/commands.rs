//! What an app asks for.

use syncline_protocol::message::{PresenceStatus, RoomRequest, event};
use syncline_protocol::{Document, Fields, Room, Write, merge};
use uuid::Builder;

use super::Engine;
use super::io::{AppState, Command, ConnectionState, Now, Output, RejectedWrite, Reply, RequestId};
use super::link::Link;
use super::presence::Announcement;
use super::query::{Query, Started, View};
use super::tokens::check_token;
use super::trace::TraceKind;
use super::wire::Request;
use crate::error::{Code, Error};
use crate::secret::Secret;
use crate::store::{DocumentKey, Store};

impl Engine {
    pub(super) fn handle_command(
        &mut self,
        now: Now,
        request: RequestId,
        command: Command,
        store: &mut dyn Store,
        out: &mut Vec<Output>,
    ) {
        if self.closed {
            return out.push(Output::Reply(request, Err(Error::closed())));
        }
        match self.execute(now, request, command, store, out) {
            Ok(Some(reply)) => out.push(Output::Reply(request, Ok(reply))),
            // Answered later.
            Ok(None) => {}
            Err(error) => out.push(Output::Reply(request, Err(error))),
        }
    }

    fn execute(
        &mut self,
        now: Now,
        request: RequestId,
        command: Command,
        store: &mut dyn Store,
        out: &mut Vec<Output>,
    ) -> Result<Option<Reply>, Error> {
        match command {
            Command::Connect => return Ok(self.connect(now, request, out)),
            Command::Disconnect => {
                self.tokens.cancel();
                self.say_goodbye(out);
                let step = self.session.handle_disconnect();
                self.apply_step(now, step, out);
            }
            Command::SetToken { token, expires_at_ms } => {
                if let Some(Err(error)) = token.as_ref().map(|token| check_token(token.expose())) {
                    // As if none had been fetched: the next one may be whole.
                    self.tokens.handle_failed(None, true, now);
                    return Err(error);
                }
                self.expect_token(token.as_ref().map(Secret::expose));
                self.drain.handle_token(self.session.token() != token.as_ref(), token.is_some());
                self.tokens.handle_token(token.as_ref().map(Secret::expose), expires_at_ms, now);
                self.trace(
                    now,
                    TraceKind::TokenSet,
                    format_args!("{}", if token.is_some() { "set" } else { "none" }),
                );
                let renewal = self.renewal(token.as_ref());
                let step = self.session.handle_token(token, renewal, now);
                self.apply_step(now, step, out);
            }
            Command::TokenFailed { message: _, request, retryable } => {
                if self.tokens.handle_failed(request, retryable, now) {
                    self.trace(now, TraceKind::TokenFailed, format_args!("retryable: {retryable}"));
                }
            }
            Command::SetAppState { state } => self.set_app_state(now, state, store, out),
            Command::SetNetwork { network } => {
                self.expect_network(&network);
                self.trace(now, TraceKind::Network, format_args!("available: {}", network.available));
                let probe_at_us = now.after_ms(self.settings.offline_probe_ms);
                if self.drain.handle_network(self.session.network(), &network, probe_at_us) {
                    self.jobs.hurry();
                }
                let is_another_route = self.session.is_another_route(&network);
                if is_another_route {
                    out.push(Output::ForgetHttpConnections);
                }
                let step = self.session.handle_network(network, now);
                self.apply_step(now, step, out);
                if is_another_route {
                    self.link = Link::default();
                }
            }
            Command::Subscribe { room } => self.subscribe(&room)?,
            Command::Unsubscribe { room } => self.unsubscribe(now, &room, out)?,
            Command::Write { writes } => {
                self.write(now, request, writes, store)?;
                return Ok(None);
            }
            Command::NewId => return Ok(Some(Reply::NewId { id: self.new_id(now) })),
            Command::Document { room, collection, id } => {
                let row = self.view(now, store).row(&DocumentKey { room, collection, id })?;
                return Ok(Some(Reply::Document { row }));
            }
            Command::Watch(query) => return self.watch(now, query, store).map(Some),
            Command::Unwatch { watch } => {
                let room = self.queries.unwatch(watch);
                let room = room.ok_or_else(|| Error::new(Code::NotFound, format!("no watch {watch}")))?;
                self.replica.unwatch(&room);
                self.unsubscribe(now, &room, out)?;
            }
            Command::PresenceJoin { room, state } => {
                self.presence.join(&room, &state, now, &self.limits)?;
                self.announce_if_open(now, out);
            }
            Command::PresenceUpdate { room, state, expires_in_ms } => {
                self.update_presence(now, &room, &state, expires_in_ms, out)?;
            }
            Command::PresenceLeave { room } => self.leave_presence(now, room, out),
            Command::Emit(emit) => return self.emit(now, emit, out).map(Some),
            Command::EmitWithAck(emit) => {
                self.emit_with_ack(now, request, emit, out)?;
                return Ok(None);
            }
            Command::On(topic) => self.listen(now, topic, out)?,
            Command::Off(topic) => self.unlisten(topic)?,
            Command::Ack(answer) => self.answer_server(&answer, out)?,
            Command::JoinRoom(room) => return self.join_room(now, request, room, out),
            Command::LeaveRoom(room) => return self.leave_room(now, request, room, out),
            Command::ConnectNamespace(options) => {
                return self.connect_namespace(now, request, options, out);
            }
            Command::DisconnectNamespace { namespace } => self.disconnect_namespace(&namespace, out)?,
            Command::Connection => return Ok(Some(Reply::Connection(self.connection_status(now)))),
            Command::Queue => return Ok(Some(Reply::Queue(self.queue_status()))),
            Command::Outcomes => return Ok(Some(Reply::Outcomes { outcomes: self.rejected_writes() })),
            Command::AcknowledgeOutcome { client_seq } => {
                self.acknowledge(request, client_seq, store)?;
                return Ok(None);
            }
            Command::Conflicts => return Ok(Some(Reply::Conflicts { conflicts: self.parked_writes() })),
            Command::ResolveConflict { client_seq, resolution } => {
                self.resolve(now, request, client_seq, resolution, store)?;
                return Ok(None);
            }
            Command::SyncNow => self.sync_now(now, out),
            Command::Pull { room } => {
                self.pull_rooms(now, request, room)?;
                return Ok(None);
            }
            Command::Flush => {
                self.flush_outbox(now, request);
                return Ok(None);
            }
            Command::SyncOnce { deadline_ms } => {
                self.sync_once(now, request, deadline_ms, out);
                return Ok(None);
            }
            Command::Jobs { command } => return self.execute_job_command(now, request, command, store),
            Command::Stats => return Ok(Some(Reply::Stats(Box::new(self.stats(now, store))))),
            Command::Trace => return Ok(Some(Reply::Trace { events: self.trace.events() })),
            Command::Close => {
                self.say_goodbye(out);
                let step = self.session.handle_close();
                self.apply_step(now, step, out);
                self.close_socket(out);
                self.flush(now, store);
                self.closed = true;
            }
        }
        Ok(Some(Reply::Done {}))
    }

    fn connect(&mut self, now: Now, request: RequestId, out: &mut Vec<Output>) -> Option<Reply> {
        self.tokens.reset();
        // Also where a task has opened the session, which would end with the task.
        let step = self.session.handle_connect(now);
        if self.session.is_open() {
            return Some(Reply::Done {});
        }
        self.connect_waiters.push(request);
        self.apply_step(now, step, out);
        if self.session.state() == ConnectionState::Offline {
            self.answer_connect_waiters(out);
        }
        None
    }

    fn set_app_state(&mut self, now: Now, state: AppState, store: &mut dyn Store, out: &mut Vec<Output>) {
        self.trace(now, TraceKind::AppState, format_args!("{state:?}"));
        if self.session.is_in_background() {
            self.renew_leases(now);
        }
        let step = self.session.handle_app_state(state, now);
        self.apply_step(now, step, out);
        let status = match state {
            AppState::Background => PresenceStatus::Away,
            AppState::Active | AppState::Inactive => PresenceStatus::Active,
        };
        let changed = self.presence.set_status(status, now);
        if state == AppState::Active {
            self.jobs.hurry();
        }
        if state == AppState::Background {
            self.outbox.hurry(self.identity.last_client_seq);
            self.flush(now, store);
            // A moment later, when everything is sent, a cache over its cap is looked at.
            self.schedule_flush(now);
        }
        if !changed || !self.session.is_open() {
            return;
        }
        self.announce_due(now, out);
        if status == PresenceStatus::Active && self.ping_at_us.is_some() {
            // The socket may have died while the app was frozen.
            self.ping(now, self.settings.probe_timeout_ms, out);
        }
    }

    pub(super) fn subscribe(&mut self, room: &Room) -> Result<(), Error> {
        let rooms_max = self.limits.rooms_max as usize;
        if !self.replica.is_followed(room) && self.replica.rooms().count() >= rooms_max {
            return Err(Error::new(Code::TooLarge, format!("more than {rooms_max} rooms are subscribed")));
        }
        if self.replica.subscribe(room) && self.session.is_open() {
            self.subscribe_room(room);
        }
        Ok(())
    }

    fn unsubscribe(&mut self, now: Now, room: &Room, out: &mut Vec<Output>) -> Result<(), Error> {
        if !self.replica.unsubscribe(room) {
            return Err(Error::new(Code::NotFound, format!("room {room} is not subscribed")));
        }
        self.forget_room_if_unused(now, room, out);
        Ok(())
    }

    /// Lets go of a room without subscribers, once its last write is confirmed.
    pub(super) fn forget_room_if_unused(&mut self, now: Now, room: &Room, out: &mut Vec<Output>) {
        if self.outbox.holds_room(room) || !self.replica.forget_if_unused(room) {
            return;
        }
        self.pulls.remove(room);
        self.schedule_flush(now);
        if self.session.is_open() {
            let body = RoomRequest { room: room.clone() };
            self.request(now, event::SYNC_UNSUBSCRIBE, &body, Request::Notice, out);
        }
    }

    fn watch(&mut self, now: Now, query: Query, store: &mut dyn Store) -> Result<Reply, Error> {
        let room = query.room.clone();
        let view = View { store, outbox: &self.outbox, client_id: self.identity.client_id, now };
        let Started { watch, rows, count } = self.queries.watch(query, view)?;
        if let Err(error) = self.subscribe(&room) {
            self.queries.unwatch(watch);
            return Err(error);
        }
        self.replica.watch(&room);
        Ok(Reply::Watching { watch, rows, count, room: self.replica.status(&room) })
    }

    fn update_presence(
        &mut self,
        now: Now,
        room: &Room,
        state: &Fields,
        expires_in_ms: Option<u64>,
        out: &mut Vec<Output>,
    ) -> Result<(), Error> {
        if !self.presence.is_joined(room) {
            return Err(Error::new(Code::NotFound, "presence was not joined in the room"));
        }
        self.presence.update(room, state, expires_in_ms, now, &self.limits)?;
        self.announce_if_open(now, out);
        Ok(())
    }

    fn announce_if_open(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.session.is_open() {
            self.announce_due(now, out);
        }
    }

    fn leave_presence(&mut self, now: Now, room: Room, out: &mut Vec<Output>) {
        if self.presence.leave(&room) && self.session.is_open() {
            self.announce(now, Announcement::Leave(room), out);
        }
    }

    pub(super) fn check(
        &self,
        key: &DocumentKey,
        write: &Write,
        visible: Option<&Document>,
    ) -> Result<(), Error> {
        let bytes = write.byte_len() as u64;
        if bytes > self.limits.document_bytes_max {
            return Err(too_large("the document", bytes, self.limits.document_bytes_max));
        }
        match (write, visible) {
            (Write::Create(_), _) | (Write::Delete, Some(_)) => Ok(()),
            (Write::Update(patch), Some(document)) => Ok(merge::check(&document.fields, patch)?),
            (Write::Update(_) | Write::Delete, None) if self.replica.state(&key.room).complete => {
                Err(Error::new(Code::NotFound, "the document does not exist"))
            }
            // It may exist: the room is not loaded yet.
            (Write::Update(patch), None) => Ok(patch.validate()?),
            (Write::Delete, None) => Ok(()),
        }
    }

    pub(super) fn view<'a>(&'a self, now: Now, store: &'a dyn Store) -> View<'a> {
        View { store, outbox: &self.outbox, client_id: self.identity.client_id, now }
    }

    fn rejected_writes(&self) -> Vec<RejectedWrite> {
        self.outcomes.iter().map(RejectedWrite::from).collect()
    }

    /// A UUIDv7 from the wall clock and the seeded randomness.
    pub(super) fn new_id(&mut self, now: Now) -> String {
        let mut random = [0; 10];
        for chunk in random.chunks_mut(8) {
            let bytes = super::backoff::next_random(&mut self.random).to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        Builder::from_unix_timestamp_millis(now.wall_ms, &random).into_uuid().to_string()
    }
}

pub(super) fn too_large(what: &str, bytes: u64, bytes_max: u64) -> Error {
    Error::new(Code::TooLarge, format!("{what} has {bytes} bytes, at most {bytes_max} are allowed"))
}
