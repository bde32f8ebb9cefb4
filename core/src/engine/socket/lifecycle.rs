//! What happens to events, rooms and namespaces as sessions open and end.

use std::collections::BTreeMap;

use serde::Serialize;

use super::cause::DisconnectCause;
use super::emits::Asker;
use super::recovery::Continuation;
use super::types::{ConnectionStatus, EmitWithAck, NamespaceState};
use crate::argument::Argument;
use crate::engine::Engine;
use crate::engine::io::{Command, Network, Now, Output, Reply};
use crate::engine::session::Step;
use crate::engine::tokens::are_of_one_user;
use crate::error::{Code, Error};
use crate::secret::Secret;
use crate::transport::{Message, Namespace, Packet, Payload};

/// What the server is told as a namespace is joined.
#[derive(Serialize)]
pub(in crate::engine) struct Greeting<'a, T> {
    #[serde(flatten)]
    pub(in crate::engine) auth: T,
    #[serde(flatten)]
    pub(in crate::engine) continuation: Continuation<'a>,
}

impl Engine {
    pub(in crate::engine) fn connection_status(&self, now: Now) -> ConnectionStatus {
        ConnectionStatus {
            cause: self.socket.cause,
            data: self.socket.data.clone(),
            recovered: self.session.is_open() && self.socket.recovery.is_recovered(),
            ..self.session.status(now)
        }
    }

    /// Another token is about to be set.
    pub(in crate::engine) fn expect_token(&mut self, token: Option<&str>) {
        let of_same_user = |old: &str| token.is_some_and(|token| old == token || are_of_one_user(old, token));
        if !self.session.token().map(Secret::expose).is_some_and(of_same_user) {
            // A server that continues a session may not look at the token: it could be another user's.
            self.socket.recovery.forget();
            self.socket.namespaces.forget_recovery();
        }
        self.socket.expect(match token {
            Some(_) => DisconnectCause::TokenChanged,
            None => DisconnectCause::Unauthorized,
        });
    }

    /// The system is about to say this of the network.
    pub(in crate::engine) fn expect_network(&mut self, network: &Network) {
        self.socket.expect(if network.available {
            DisconnectCause::NetworkChanged
        } else {
            DisconnectCause::NetworkLost
        });
    }

    /// Ends the session, or the attempt at one.
    pub(in crate::engine) fn fail_session(
        &mut self,
        now: Now,
        error: Error,
        cause: DisconnectCause,
        out: &mut Vec<Output>,
    ) {
        self.socket.expect(cause);
        let step = self.session.fail(error, now);
        self.apply_step(now, step, out);
    }

    /// Notes why the session ended, if this step is its end.
    pub(in crate::engine) fn note_cause(&mut self, step: Step) {
        let known = self.socket.next_cause.take();
        match step {
            Step::Opened => (self.socket.cause, self.socket.data) = (None, None),
            Step::Ended(_) | Step::Redial { .. } => {
                let derived = || DisconnectCause::of_session(self.session.state(), self.session.reason());
                let without_token =
                    self.session.reason().is_some_and(|error| error.code == Code::NoAuthToken);
                let cause = known.filter(|_| !without_token).unwrap_or_else(derived);
                if cause != DisconnectCause::Refused {
                    self.socket.data = None;
                }
                self.socket.cause = Some(cause);
            }
            Step::Nothing | Step::Dial(_) | Step::Greet | Step::Refresh => {}
        }
    }

    pub(in crate::engine) fn is_namespace_open(&self, namespace: &Namespace) -> bool {
        if namespace == self.wire.main() {
            return self.session.is_open();
        }
        self.session.is_open() && self.socket.namespaces.state(namespace) == NamespaceState::Open
    }

    /// Whether to carry out this command is to send a message, and nothing else: nothing is being synchronized meanwhile.
    pub(crate) fn only_sends(&self, command: &Command) -> bool {
        let Command::EmitWithAck(EmitWithAck { namespace, .. }) = command else { return false };
        let is_quiet = self.waiting_page.is_none() && self.outbox.is_empty() && self.jobs.waiting() == 0;
        is_quiet
            && match namespace {
                None => self.session.is_open(),
                Some(name) => Namespace::new(name).is_ok_and(|namespace| self.is_namespace_open(&namespace)),
            }
    }

    /// The client's own namespace is open.
    pub(in crate::engine) fn open_socket(&mut self, now: Now, out: &mut Vec<Output>) {
        let main = self.wire.main().clone();
        let recovered = self.socket.recovery.is_recovered();
        self.enter(now, &main, recovered, out);
        for namespace in self.socket.namespaces.wanted() {
            self.join_namespace(now, &namespace, out);
        }
    }

    /// Joins the rooms of a namespace that is open now, and sends what waited for it.
    pub(super) fn enter(&mut self, now: Now, namespace: &Namespace, recovered: bool, out: &mut Vec<Output>) {
        let (held, left) = self.socket.rooms.handle_opened(namespace, recovered);
        for room in left {
            self.send_room(namespace, &self.settings.room_leave_event.clone(), &room, out);
        }
        for room in held {
            self.ask_to_join(now, namespace, &room, out);
        }
        for outgoing in self.socket.buffer.take(namespace) {
            self.transmit(now, outgoing, out);
        }
    }

    /// Asks the server to let the client into a namespace beside its own.
    pub(super) fn join_namespace(&mut self, now: Now, namespace: &Namespace, out: &mut Vec<Output>) {
        let Some(extra) = self.socket.namespaces.get(namespace) else { return };
        let mut auth: BTreeMap<String, Argument> = BTreeMap::new();
        if let Some(token) = self.session.token() {
            auth.insert("token".to_owned(), Argument::String(token.expose().to_owned()));
        }
        if let Some(Argument::Object(fields)) = extra.auth.clone() {
            auth.extend(fields);
        }
        let greeting = Greeting { auth, continuation: extra.recovery.continuation() };
        match Payload::encode(self.wire.parser(), &greeting) {
            Ok(data) => {
                let packet = Packet::Connect { data: Some(data) };
                out.push(Output::Send(Message::Socket { namespace: namespace.clone(), packet }));
                let deadline_us = now.after_ms(self.settings.connect_timeout_ms);
                self.socket.namespaces.handle_asked(namespace, deadline_us);
            }
            Err(error) => {
                let error = Error::new(Code::Internal, error.to_string());
                self.end_namespace(namespace, DisconnectCause::Refused, Some(error), None, out);
            }
        }
    }

    /// A namespace beside the client's own is not open any more, or was refused.
    pub(super) fn end_namespace(
        &mut self,
        namespace: &Namespace,
        cause: DisconnectCause,
        reason: Option<Error>,
        data: Option<Argument>,
        out: &mut Vec<Output>,
    ) {
        let why = reason.clone().unwrap_or_else(lost);
        let waiters = self.socket.namespaces.handle_ended(namespace, cause, reason, data);
        out.extend(waiters.into_iter().map(|request| Output::Reply(request, Err(why.clone()))));
        self.lose_namespace(namespace, out);
    }

    /// The connection is gone.
    pub(in crate::engine) fn lose_socket(&mut self, out: &mut Vec<Output>) {
        let cause = self.socket.cause.unwrap_or(DisconnectCause::TransportClosed);
        let reason = self.session.reason().cloned();
        for namespace in self.socket.namespaces.names() {
            if self.socket.namespaces.state(&namespace) != NamespaceState::Idle {
                // Wanted again with the next connection, whoever ended this one.
                let cause = match cause {
                    DisconnectCause::ClientDisconnect => DisconnectCause::TransportClosed,
                    cause => cause,
                };
                self.end_namespace(&namespace, cause, reason.clone(), None, out);
            }
        }
        self.socket.recovery.handle_lost();
        let main = self.wire.main().clone();
        self.lose_namespace(&main, out);
        self.socket.owed.clear();
    }

    /// Who waits for an answer of this namespace will not get one. What was not sent still waits.
    fn lose_namespace(&mut self, namespace: &Namespace, out: &mut Vec<Output>) {
        for ticket in self.socket.awaiting.of_namespace(namespace) {
            if self.socket.buffer.holds(ticket) {
                continue;
            }
            let Some(awaited) = self.socket.awaiting.end(ticket) else { continue };
            match awaited.asker {
                Asker::Emit(request) => out.push(Output::Reply(request, Err(lost()))),
                // Without a session there are no rooms.
                Asker::Leave(request) => out.push(Output::Reply(request, Ok(Reply::Done {}))),
                Asker::Join(_) => {}
            }
        }
        let waiters = self.socket.rooms.handle_lost(namespace);
        out.extend(
            waiters.into_iter().map(|request| Output::Reply(request, Ok(Reply::Joined { joined: false }))),
        );
        self.socket.owed.forget_namespace(namespace);
    }

    /// The client is closed: nobody listens any more.
    pub(in crate::engine) fn close_socket(&mut self, out: &mut Vec<Output>) {
        for ticket in self.socket.awaiting.all() {
            let Some(awaited) = self.socket.awaiting.end(ticket) else { continue };
            if let Asker::Emit(request) | Asker::Leave(request) = awaited.asker {
                out.push(Output::Reply(request, Err(Error::closed())));
            }
        }
        self.socket.buffer.clear();
        self.socket.listeners.clear();
        self.socket.inbox.clear();
        self.socket.rooms.clear();
    }

    /// What was due is given up, or tried again.
    pub(in crate::engine) fn expire_socket(&mut self, now: Now, out: &mut Vec<Output>) {
        for ticket in self.socket.awaiting.due(now.mono_us) {
            self.expire_answer(now, ticket, out);
        }
        for namespace in self.socket.namespaces.due(now.mono_us) {
            let error = Error::new(Code::Timeout, "the server did not answer in time");
            self.end_namespace(&namespace, DisconnectCause::ConnectTimeout, Some(error), None, out);
        }
        for (namespace, room) in self.socket.rooms.due(now.mono_us) {
            self.ask_to_join(now, &namespace, &room, out);
        }
    }
}

fn lost() -> Error {
    Error::new(Code::Unavailable, "the connection was lost before the answer came")
}
