//! What the app asks of the socket.

use std::collections::BTreeMap;

use syncline_protocol::Room;
use syncline_protocol::message::event;

use super::cause::DisconnectCause;
use super::emits::{Asker, Outgoing};
use super::rooms::Joining;
use super::types::{Answer, Emit, EmitWithAck, NamespaceOptions, NamespaceState, SocketRoom, Topic};
use crate::argument::Argument;
use crate::config::RoomArgument;
use crate::engine::Engine;
use crate::engine::io::{Event, Now, Output, Reply, RequestId};
use crate::engine::wire::Request;
use crate::error::{Code, Error};
use crate::transport::socketio::check_event_name;
use crate::transport::{Message, Namespace, Packet, Payload};

/// A name or a namespace, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// What the engine asks itself, in the client's own namespace: sent by an app, it would be answered to nobody, or change
/// what the engine believes the server to know.
const OWN_EVENTS: [&str; 8] = [
    event::SYNC_SUBSCRIBE,
    event::SYNC_UNSUBSCRIBE,
    event::SYNC_PULL,
    event::SYNC_PUSH,
    event::PRESENCE_JOIN,
    event::PRESENCE_UPDATE,
    event::PRESENCE_LEAVE,
    event::PRESENCE_PING,
];

impl Engine {
    pub(in crate::engine) fn emit(
        &mut self,
        now: Now,
        emit: Emit,
        out: &mut Vec<Output>,
    ) -> Result<Reply, Error> {
        let Emit { namespace, event, args, volatile } = emit;
        let namespace = self.use_namespace(now, namespace.as_deref(), out)?;
        let outgoing = self.outgoing(namespace, event, &args)?;
        if self.is_namespace_open(&outgoing.namespace) {
            if volatile && self.unsent_bytes > 0 {
                return Ok(Reply::Emitted { sent: false, waiting: false });
            }
            self.check_unsent()?;
            let Outgoing { namespace, event, args, .. } = outgoing;
            self.wire.notify(&namespace, event, args, out)?;
            return Ok(Reply::Emitted { sent: true, waiting: false });
        }
        if volatile {
            return Ok(Reply::Emitted { sent: false, waiting: false });
        }
        self.buffer(outgoing)?;
        Ok(Reply::Emitted { sent: false, waiting: true })
    }

    /// Answered with the server's answer, or an error.
    pub(in crate::engine) fn emit_with_ack(
        &mut self,
        now: Now,
        request: RequestId,
        emit: EmitWithAck,
        out: &mut Vec<Output>,
    ) -> Result<(), Error> {
        let EmitWithAck { namespace, event, args, timeout_ms } = emit;
        let namespace = self.use_namespace(now, namespace.as_deref(), out)?;
        let mut outgoing = self.outgoing(namespace.clone(), event, &args)?;
        let timeout_ms = timeout_ms.unwrap_or(self.settings.emit_timeout_ms);
        let ticket = self.socket.awaiting.begin(
            namespace.clone(),
            Asker::Emit(request),
            now.after_ms(timeout_ms),
            self.settings.answers_awaited_max,
        )?;
        outgoing.ticket = Some(ticket);
        let accepted = if self.is_namespace_open(&namespace) {
            self.check_unsent().and_then(|()| self.ask(now, outgoing, out))
        } else {
            self.buffer(outgoing)
        };
        accepted.inspect_err(|_| {
            self.socket.awaiting.end(ticket);
        })
    }

    fn outgoing(&self, namespace: Namespace, event: String, args: &[Argument]) -> Result<Outgoing, Error> {
        self.check_event(&namespace, &event)?;
        let args = args.iter().map(|arg| arg.to_payload(self.wire.parser()));
        let args = args.collect::<Result<Vec<Payload>, _>>().map_err(invalid)?;
        Ok(Outgoing { namespace, event, args, ticket: None })
    }

    /// A connection that takes nothing has what was sent on it in memory.
    fn check_unsent(&self) -> Result<(), Error> {
        let bytes_max = self.settings.emit_buffer_bytes_max;
        if self.unsent_bytes <= bytes_max {
            return Ok(());
        }
        let message = format!("{} bytes wait for the connection, at most {bytes_max} may", self.unsent_bytes);
        Err(Error::new(Code::QueueFull, message))
    }

    /// Refuses the name of an event that an app cannot send.
    pub(in crate::engine) fn check_event(&self, namespace: &Namespace, event: &str) -> Result<(), Error> {
        check_event_name(event, NAME_BYTES_MAX).map_err(invalid)?;
        if *namespace == *self.wire.main() && OWN_EVENTS.contains(&event) {
            return Err(Error::new(Code::Invalid, format!("{event} is an event of the sync protocol")));
        }
        Ok(())
    }

    fn buffer(&mut self, outgoing: Outgoing) -> Result<(), Error> {
        let Self { settings, socket, .. } = self;
        socket.buffer.push(outgoing, settings.emit_buffer_count_max, settings.emit_buffer_bytes_max)
    }

    fn ask(&mut self, now: Now, outgoing: Outgoing, out: &mut Vec<Output>) -> Result<(), Error> {
        let Outgoing { namespace, event, args, ticket } = outgoing;
        match ticket {
            Some(ticket) => {
                // Its time is kept here: a late answer is no reason to end the connection.
                self.wire
                    .emit(&namespace, &event, args, Request::Socket(ticket), u64::MAX, now, out)
                    .map(drop)
            }
            None => self.wire.notify(&namespace, event, args, out),
        }
    }

    /// Sends what has waited.
    pub(super) fn transmit(&mut self, now: Now, outgoing: Outgoing, out: &mut Vec<Output>) {
        let ticket = outgoing.ticket;
        let Err(error) = self.ask(now, outgoing, out) else { return };
        match ticket.and_then(|ticket| self.socket.awaiting.end(ticket)).map(|awaited| awaited.asker) {
            Some(Asker::Emit(request)) => out.push(Output::Reply(request, Err(error))),
            _ => self.notices.push(Event::Error { error: error.into() }),
        }
    }

    pub(in crate::engine) fn listen(
        &mut self,
        now: Now,
        topic: Topic,
        out: &mut Vec<Output>,
    ) -> Result<(), Error> {
        if topic.event.is_empty() || topic.event.len() > NAME_BYTES_MAX {
            return Err(invalid(format!("an event's name has 1 to {NAME_BYTES_MAX} bytes")));
        }
        let namespace = self.use_namespace(now, topic.namespace.as_deref(), out)?;
        self.socket.listeners.add(namespace, topic.event, self.settings.listeners_max)
    }

    pub(in crate::engine) fn unlisten(&mut self, topic: Topic) -> Result<(), Error> {
        let namespace = self.named(topic.namespace.as_deref())?;
        if self.socket.listeners.remove(namespace, topic.event) {
            Ok(())
        } else {
            Err(Error::new(Code::NotFound, "the event is not listened to"))
        }
    }

    pub(in crate::engine) fn answer_server(
        &mut self,
        answer: &Answer,
        out: &mut Vec<Output>,
    ) -> Result<(), Error> {
        let args = answer.args.iter().map(|arg| arg.to_payload(self.wire.parser()));
        let args = args.collect::<Result<Vec<Payload>, _>>().map_err(invalid)?;
        let Some((namespace, id)) = self.socket.owed.end(answer.token) else {
            let message = "nobody waits for the answer: it was given, or the connection ended";
            return Err(Error::new(Code::NotFound, message));
        };
        out.push(Output::Send(Message::Socket { namespace, packet: Packet::Ack { id, args } }));
        Ok(())
    }

    /// `None`: answered when the server has answered.
    pub(in crate::engine) fn join_room(
        &mut self,
        now: Now,
        request: RequestId,
        room: SocketRoom,
        out: &mut Vec<Output>,
    ) -> Result<Option<Reply>, Error> {
        let SocketRoom { namespace, room } = room;
        let namespace = self.use_namespace(now, namespace.as_deref(), out)?;
        let joining = self.socket.rooms.join(&namespace, &room, self.settings.joined_rooms_max)?;
        if joining == Joining::In {
            return Ok(Some(Reply::Joined { joined: true }));
        }
        if !self.is_namespace_open(&namespace) {
            return Ok(Some(Reply::Joined { joined: false }));
        }
        self.socket.rooms.wait(&namespace, &room, request);
        if joining == Joining::Ask {
            self.ask_to_join(now, &namespace, &room, out);
        }
        Ok(None)
    }

    pub(in crate::engine) fn ask_to_join(
        &mut self,
        now: Now,
        namespace: &Namespace,
        room: &Room,
        out: &mut Vec<Output>,
    ) {
        let event = self.settings.room_join_event.clone();
        self.socket.rooms.handle_asked(namespace, room);
        if !self.settings.room_acked {
            self.send_room(namespace, &event, room, out);
            let waiters = self.socket.rooms.handle_joined(namespace, room);
            let reply = |request| Output::Reply(request, Ok(Reply::Joined { joined: true }));
            return out.extend(waiters.into_iter().map(reply));
        }
        if let Err(error) = self.ask_about(now, namespace, &event, room, Asker::Join(room.clone()), out) {
            self.refuse_join(now, namespace, room, error, out);
        }
    }

    /// `None`: answered when the server has answered.
    pub(in crate::engine) fn leave_room(
        &mut self,
        now: Now,
        request: RequestId,
        room: SocketRoom,
        out: &mut Vec<Output>,
    ) -> Result<Option<Reply>, Error> {
        let SocketRoom { namespace, room } = room;
        let namespace = self.named(namespace.as_deref())?;
        let is_open = self.is_namespace_open(&namespace);
        let keeps = !is_open && self.may_continue(&namespace);
        let left = self.socket.rooms.leave(&namespace, &room, keeps);
        let (is_last, waiters) =
            left.ok_or_else(|| Error::new(Code::NotFound, format!("room {room} was not joined")))?;
        let reply = |request| Output::Reply(request, Ok(Reply::Joined { joined: false }));
        out.extend(waiters.into_iter().map(reply));
        if !is_last || !is_open {
            return Ok(Some(Reply::Done {}));
        }
        let event = self.settings.room_leave_event.clone();
        if !self.settings.room_acked {
            self.send_room(&namespace, &event, &room, out);
            return Ok(Some(Reply::Done {}));
        }
        self.ask_about(now, &namespace, &event, &room, Asker::Leave(request), out)?;
        Ok(None)
    }

    fn may_continue(&self, namespace: &Namespace) -> bool {
        if namespace == self.wire.main() {
            return self.socket.recovery.may_continue();
        }
        self.socket.namespaces.get(namespace).is_some_and(|extra| extra.recovery.may_continue())
    }

    /// Asks the server about a room, for `asker`.
    fn ask_about(
        &mut self,
        now: Now,
        namespace: &Namespace,
        event: &str,
        room: &Room,
        asker: Asker,
        out: &mut Vec<Output>,
    ) -> Result<(), Error> {
        let args = vec![self.room_argument(room)?];
        let deadline_us = now.after_ms(self.settings.emit_timeout_ms);
        // Joined rooms are limited by themselves.
        let ticket = self.socket.awaiting.begin(namespace.clone(), asker, deadline_us, u64::MAX)?;
        let outgoing =
            Outgoing { namespace: namespace.clone(), event: event.to_owned(), args, ticket: Some(ticket) };
        self.ask(now, outgoing, out).inspect_err(|_| {
            self.socket.awaiting.end(ticket);
        })
    }

    /// Tells the server about a room, which does not answer.
    pub(super) fn send_room(
        &mut self,
        namespace: &Namespace,
        event: &str,
        room: &Room,
        out: &mut Vec<Output>,
    ) {
        let sent = self
            .room_argument(room)
            .and_then(|argument| self.wire.notify(namespace, event.to_owned(), vec![argument], out));
        if let Err(error) = sent {
            self.notices.push(Event::Error { error: error.into() });
        }
    }

    fn room_argument(&self, room: &Room) -> Result<Payload, Error> {
        let name = Argument::String(room.to_string());
        let argument = match self.settings.room_argument {
            RoomArgument::Object => Argument::Object(BTreeMap::from([("room".to_owned(), name)])),
            RoomArgument::Text => name,
        };
        argument.to_payload(self.wire.parser()).map_err(invalid)
    }

    /// `None`: answered when the server has answered.
    pub(in crate::engine) fn connect_namespace(
        &mut self,
        now: Now,
        request: RequestId,
        options: NamespaceOptions,
        out: &mut Vec<Output>,
    ) -> Result<Option<Reply>, Error> {
        let namespace = self.extra(&options.namespace)?;
        if options.auth.as_ref().is_some_and(|auth| !matches!(auth, Argument::Object(_))) {
            return Err(invalid("auth is not an object"));
        }
        self.socket.namespaces.want(&namespace, options.auth, self.settings.namespaces_max)?;
        let state = self.socket.namespaces.state(&namespace);
        if !self.session.is_open() || state == NamespaceState::Open {
            return Ok(Some(Reply::Namespace(self.socket.namespaces.status(&namespace))));
        }
        self.socket.namespaces.wait(&namespace, request);
        if state == NamespaceState::Idle {
            self.join_namespace(now, &namespace, out);
        }
        Ok(None)
    }

    pub(in crate::engine) fn disconnect_namespace(
        &mut self,
        namespace: &str,
        out: &mut Vec<Output>,
    ) -> Result<(), Error> {
        let namespace = self.extra(namespace)?;
        if self.socket.namespaces.get(&namespace).is_none() {
            return Err(Error::new(Code::NotFound, format!("namespace {namespace} is not used")));
        }
        if self.session.is_open() && self.socket.namespaces.state(&namespace) != NamespaceState::Idle {
            let packet = Packet::Disconnect;
            out.push(Output::Send(Message::Socket { namespace: namespace.clone(), packet }));
        }
        self.end_namespace(&namespace, DisconnectCause::ClientDisconnect, None, None, out);
        for outgoing in self.socket.buffer.take(&namespace) {
            let awaited = outgoing.ticket.and_then(|ticket| self.socket.awaiting.end(ticket));
            if let Some(Asker::Emit(request)) = awaited.map(|awaited| awaited.asker) {
                let error = Error::new(Code::Unavailable, "the namespace was disconnected by the app");
                out.push(Output::Reply(request, Err(error)));
            }
        }
        Ok(())
    }

    /// The namespace that a command names, which is joined if it is used for the first time.
    fn use_namespace(
        &mut self,
        now: Now,
        name: Option<&str>,
        out: &mut Vec<Output>,
    ) -> Result<Namespace, Error> {
        let namespace = self.named(name)?;
        if namespace == *self.wire.main() || self.socket.namespaces.get(&namespace).is_some() {
            return Ok(namespace);
        }
        self.socket.namespaces.want(&namespace, None, self.settings.namespaces_max)?;
        if self.session.is_open() {
            self.join_namespace(now, &namespace, out);
        }
        Ok(namespace)
    }

    fn extra(&self, name: &str) -> Result<Namespace, Error> {
        let namespace = self.named(Some(name))?;
        if namespace == *self.wire.main() {
            return Err(invalid(format!("{namespace} is the client's own namespace")));
        }
        Ok(namespace)
    }

    fn named(&self, name: Option<&str>) -> Result<Namespace, Error> {
        let Some(name) = name else { return Ok(self.wire.main().clone()) };
        if name.len() > NAME_BYTES_MAX {
            return Err(invalid(format!("a namespace has at most {NAME_BYTES_MAX} bytes")));
        }
        Namespace::new(name).map_err(invalid)
    }
}

fn invalid(error: impl std::fmt::Display) -> Error {
    Error::new(Code::Invalid, error.to_string())
}
