//! What the server says to the app.

use std::collections::BTreeMap;

use syncline_protocol::Room;
use syncline_protocol::error::Retry;
use syncline_protocol::message::{UserStatus, event};

use super::cause::DisconnectCause;
use super::emits::{Asker, Awaited, Ticket};
use super::inbox::InboxLimits;
use super::refusal::{Refusal, error_of_answer};
use super::types::{Answered, SocketMessage};
use crate::argument::Argument;
use crate::engine::Engine;
use crate::engine::io::{Event, Now, Output, Reply, RequestId};
use crate::engine::wire::{Request, decode};
use crate::error::{Code, Error};
use crate::store::Store;
use crate::transport::{CodecError, Namespace, Packet, Payload};

impl Engine {
    /// A packet for a namespace beside the client's own.
    pub(in crate::engine) fn handle_namespace_packet(
        &mut self,
        now: Now,
        namespace: &Namespace,
        packet: Packet,
        store: &mut dyn Store,
        out: &mut Vec<Output>,
    ) {
        match packet {
            Packet::Connect { data } => {
                let Some(waiters) = self.socket.namespaces.handle_connected(namespace, data.as_ref()) else {
                    return;
                };
                let status = self.socket.namespaces.status(namespace);
                let reply = |request| Output::Reply(request, Ok(Reply::Namespace(status.clone())));
                out.extend(waiters.into_iter().map(reply));
                self.enter(now, namespace, status.recovered, out);
            }
            Packet::ConnectError { data } => {
                let Refusal { error, data } = Refusal::read(data.as_ref(), &self.settings);
                self.end_namespace(namespace, DisconnectCause::Refused, Some(error), data, out);
            }
            Packet::Disconnect => {
                let error = Error::new(Code::Unavailable, "the server ended the namespace");
                self.end_namespace(namespace, DisconnectCause::NamespaceDisconnect, Some(error), None, out);
            }
            Packet::Event { name, args, ack } => {
                if let Some(extra) = self.socket.namespaces.get_mut(namespace) {
                    extra.recovery.handle_event(&args, ack.is_some());
                    self.take_message(namespace, &name, &args, ack);
                }
            }
            Packet::Ack { id, args } => {
                if let Err(error) = self.handle_ack(now, id, &args, store, out) {
                    self.fail_session(now, error, DisconnectCause::ProtocolError, out);
                }
            }
        }
    }

    /// An event that is the app's, if it listens.
    pub(in crate::engine) fn take_message(
        &mut self,
        namespace: &Namespace,
        event: &str,
        args: &[Payload],
        ack: Option<u64>,
    ) {
        if !self.socket.listeners.hear(namespace, event) {
            return;
        }
        match args.iter().map(Argument::from_payload).collect() {
            Ok(args) => self.push_message(namespace, event, args, ack),
            Err(error) => self.report_unreadable(event, &error),
        }
    }

    fn push_message(&mut self, namespace: &Namespace, event: &str, args: Vec<Argument>, ack: Option<u64>) {
        let answers_max = self.settings.answers_owed_max;
        let ack = ack.map(|ack| self.socket.owed.begin(namespace.clone(), ack, answers_max));
        let message = SocketMessage { namespace: namespace.to_string(), event: event.to_owned(), args, ack };
        let limits = InboxLimits {
            count_max: self.settings.inbox_count_max,
            bytes_max: self.settings.inbox_bytes_max,
        };
        for token in self.socket.inbox.push(message, limits) {
            self.socket.owed.end(token);
        }
    }

    /// A user came or went, or a backend uses the name in a way of its own.
    pub(in crate::engine) fn handle_user(&mut self, name: &str, args: &[Payload], ack: Option<u64>) {
        let main = self.wire.main().clone();
        let Ok(UserStatus { user_id }) = decode(args) else {
            return self.take_message(&main, name, args, ack);
        };
        if self.socket.listeners.hear(&main, name) {
            let fields = BTreeMap::from([("userId".to_owned(), Argument::String(user_id.clone()))]);
            self.push_message(&main, name, vec![Argument::Object(fields)], ack);
        }
        self.notices.push(Event::User { user_id, online: name == event::USER_ONLINE });
    }

    fn report_unreadable(&mut self, event: &str, error: &CodecError) {
        let error = Error::new(Code::Protocol, format!("an event {event} could not be read: {error}"));
        self.notices.push(Event::Error { error: error.into() });
    }

    /// The answer to an event of the app, or of its rooms.
    pub(in crate::engine) fn handle_answer(
        &mut self,
        now: Now,
        ticket: Ticket,
        args: &[Payload],
        out: &mut Vec<Output>,
    ) {
        let Some(Awaited { namespace, asker, .. }) = self.socket.awaiting.end(ticket) else { return };
        let args: Result<Vec<Argument>, CodecError> = args.iter().map(Argument::from_payload).collect();
        let args =
            args.map_err(|error| Error::new(Code::Protocol, format!("an answer could not be read: {error}")));
        let refusal = |args: Result<Vec<Argument>, Error>| match args {
            Ok(args) => error_of_answer(&args),
            Err(error) => Some(error),
        };
        match asker {
            Asker::Emit(request) => {
                let reply = args.map(|args| Reply::Answered(Answered { args }));
                out.push(Output::Reply(request, reply));
            }
            Asker::Leave(request) => {
                let reply = refusal(args).map_or(Ok(Reply::Done {}), Err);
                out.push(Output::Reply(request, reply));
            }
            Asker::Join(room) => match refusal(args) {
                None => {
                    let waiters = self.socket.rooms.handle_joined(&namespace, &room);
                    answer_joins(waiters, &Ok(Reply::Joined { joined: true }), out);
                }
                Some(error) => self.refuse_join(now, &namespace, &room, error, out),
            },
        }
    }

    pub(super) fn expire_answer(&mut self, now: Now, ticket: Ticket, out: &mut Vec<Output>) {
        let Some(Awaited { namespace, asker, .. }) = self.socket.awaiting.end(ticket) else { return };
        if !self.socket.buffer.remove(ticket) {
            self.wire.forget(|request| *request == Request::Socket(ticket));
        }
        let error = Error::new(Code::Timeout, "the server did not answer in time");
        match asker {
            Asker::Emit(request) | Asker::Leave(request) => out.push(Output::Reply(request, Err(error))),
            Asker::Join(room) => self.refuse_join(now, &namespace, &room, error, out),
        }
    }

    /// The server did not let the client into a room, or put it out.
    pub(in crate::engine) fn refuse_join(
        &mut self,
        now: Now,
        namespace: &Namespace,
        room: &Room,
        error: Error,
        out: &mut Vec<Output>,
    ) {
        let retry_at_us = (error.code.retry() == Retry::Later)
            .then(|| now.after_ms(error.retry_after_ms.unwrap_or(self.settings.room_retry_ms)));
        let waiters = self.socket.rooms.handle_refused(namespace, room, retry_at_us);
        if waiters.is_empty() {
            self.notices.push(Event::JoinRefused {
                namespace: namespace.to_string(),
                room: room.clone(),
                error: error.clone().into(),
            });
        }
        answer_joins(waiters, &Err(error), out);
    }
}

fn answer_joins(waiters: Vec<RequestId>, reply: &Result<Reply, Error>, out: &mut Vec<Output>) {
    out.extend(waiters.into_iter().map(|request| Output::Reply(request, reply.clone())));
}
