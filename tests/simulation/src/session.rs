//! How the server answers one request: what `server/src/session.rs` does, without its sockets.

use serde::de::DeserializeOwned;
use syncline::transport::{Message, Packet, Payload};
use syncline_protocol::message::{
    self, Done, Encoding, Failure, Members, MutationStatus, Page, Presence, PresencePong, Pull, Push,
    PushAnswer, RoomRequest, Subscribe, TokenRefresh, event,
};
use syncline_protocol::{ErrorCode, Room, WireError};
use syncline_server::fanout::Interest;
use syncline_server::hub::{self, Author, LiveChanges, PageRequest, PushError};
use syncline_server::presence::ConnectionId;

use crate::backend;
use crate::server::{Ruling, Server, Session, Verdict, packet, payload};

/// A request that waits its turn.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) name: String,
    pub(crate) args: Vec<Payload>,
    pub(crate) ack: Option<u64>,
}

impl Server {
    /// Serves a connection's next request: what it changes is durable when this returns.
    pub(crate) fn serve(&mut self, id: ConnectionId, now_ms: u64) -> Option<Message> {
        let request = self.sessions.get_mut(&id)?.inbox.pop_front()?;
        let parser = self.parser(id)?;
        if request.name == backend::EVENT {
            let answer = self.run_errand(parser, &request);
            return request.ack.map(|id| packet(Packet::Ack { id, args: vec![answer] }));
        }
        let binary = request.args.first().is_some_and(|argument| argument.as_binary().is_some());
        let encoding = if binary { Encoding::Compact } else { Encoding::Plain };
        let answer = match self.answer(id, &request, now_ms) {
            Ok(Answer::Done) => payload(parser, encoding, &Done { ok: true }),
            Ok(Answer::Page(page)) => payload(parser, encoding, &page),
            Ok(Answer::Pushed(answer)) => payload(parser, encoding, &answer),
            Ok(Answer::Members(members)) => payload(parser, encoding, &members),
            Ok(Answer::Heads(pong)) => payload(parser, encoding, &pong),
            Err(error) => payload(parser, encoding, &Failure { error }),
        };
        let ack = request.ack?;
        Some(packet(Packet::Ack { id: ack, args: vec![answer] }))
    }

    fn answer(&mut self, id: ConnectionId, request: &Request, now_ms: u64) -> Result<Answer, WireError> {
        if let Some(error) = self.trouble.pop_front() {
            if request.name == event::SYNC_PUSH
                && let Ok(Push { room, .. }) = decode(&request.args)
                && let Some(session) = self.sessions.get_mut(&id)
            {
                // Whatever goes wrong ends the chain.
                session.chains.remove(&room);
            }
            return Err(error);
        }
        match request.name.as_str() {
            event::SYNC_SUBSCRIBE => self.subscribe(id, decode(&request.args)?).map(Answer::Page),
            event::SYNC_UNSUBSCRIBE => {
                let RoomRequest { room } = decode(&request.args)?;
                self.leave_subscription(id, &room);
                Ok(Answer::Done)
            }
            event::SYNC_PULL => {
                let Pull { room, cursor, limit, snapshot } = decode(&request.args)?;
                self.authorize(id, &room)?;
                let collections = self.session(id)?.subscribed.get(&room).cloned().flatten();
                Ok(Answer::Page(self.page(&PageRequest { room, cursor, limit, collections, snapshot })))
            }
            event::SYNC_PUSH => self.push(id, &decode(&request.args)?, now_ms).map(Answer::Pushed),
            event::PRESENCE_JOIN => {
                let presence: Presence = decode(&request.args)?;
                self.show(id, &presence, now_ms)?;
                Ok(Answer::Members(Members { members: self.roster.members(&presence.room, now_ms) }))
            }
            event::PRESENCE_UPDATE => {
                let presence: Presence = decode(&request.args)?;
                self.authorize(id, &presence.room)?;
                self.roster.update(id, &presence, now_ms)?;
                Ok(Answer::Done)
            }
            event::PRESENCE_LEAVE => {
                let RoomRequest { room } = decode(&request.args)?;
                self.hide(id, &room);
                Ok(Answer::Done)
            }
            event::PRESENCE_PING => {
                self.roster.renew(id, now_ms);
                let session = self.session(id)?;
                let lapsed = self.roster.lapsed(id, &session.present);
                let rooms = session.subscribed.keys();
                let heads = rooms.map(|room| (room.clone(), self.head(room).seq)).collect();
                Ok(Answer::Heads(PresencePong { heads, lapsed }))
            }
            event::AUTH_REFRESH => {
                let TokenRefresh { token } = decode(&request.args)?;
                let (user, ends_ms) = self.check_token(Some(&token), now_ms)?;
                let session = self.session_mut(id)?;
                if user != session.user {
                    return Err(WireError::new(ErrorCode::Forbidden, "the token is another user's"));
                }
                session.ends_ms = ends_ms;
                Ok(Answer::Done)
            }
            _ => Err(WireError::new(ErrorCode::Invalid, "the server does not know this event")),
        }
    }

    fn session(&self, id: ConnectionId) -> Result<&Session, WireError> {
        self.sessions.get(&id).ok_or_else(|| WireError::new(ErrorCode::Internal, "no such session"))
    }

    fn session_mut(&mut self, id: ConnectionId) -> Result<&mut Session, WireError> {
        self.sessions.get_mut(&id).ok_or_else(|| WireError::new(ErrorCode::Internal, "no such session"))
    }

    fn authorize(&self, id: ConnectionId, room: &Room) -> Result<(), WireError> {
        let user = self.session(id)?.user.clone();
        if self.revoked.contains(&(user, room.clone())) {
            return Err(WireError::new(ErrorCode::Forbidden, "the token does not allow this room"));
        }
        Ok(())
    }

    fn subscribe(&mut self, id: ConnectionId, request: Subscribe) -> Result<Page, WireError> {
        let Subscribe { room, cursor, collections, snapshot } = request;
        self.authorize(id, &room)?;
        // Subscribed before the page is read: a change in between waits in the mailbox.
        self.fanout.subscribe(id, &room, Interest::Selected);
        self.session_mut(id)?.subscribed.insert(room.clone(), collections.clone());
        let notices = self.roster.enter(id, &room);
        self.tell(notices);
        let limit = self.limits.page_count_max;
        Ok(self.page(&PageRequest { room, cursor, limit, collections, snapshot }))
    }

    fn leave_subscription(&mut self, id: ConnectionId, room: &Room) {
        self.fanout.unsubscribe(id, room);
        if let Ok(session) = self.session_mut(id) {
            session.subscribed.remove(room);
        }
        self.exit_if_unused(id, room);
    }

    fn page(&self, request: &PageRequest) -> Page {
        let Ok(page) = hub::page(&self.store, request, &self.limits, &self.config);
        page
    }

    fn push(&mut self, id: ConnectionId, push: &Push, now_ms: u64) -> Result<PushAnswer, WireError> {
        self.authorize(id, &push.room)?;
        let session = self.session_mut(id)?;
        let missing = || WireError::new(ErrorCode::Invalid, "the handshake named no client id");
        let author = Author::client(&*session.user, session.client.ok_or_else(missing)?);
        let previous = session.chains.remove(&push.room);
        if push.after.is_some() && push.after != previous {
            let error = WireError::new(ErrorCode::OutOfOrder, "the push before this one did not succeed");
            // There is nothing more to wait for than what the push before was told.
            return Err(WireError { retry_after_ms: Some(0), ..error });
        }
        let pushed = hub::push(&self.store, push.clone(), &author, now_ms, &self.limits, &self.config);
        let pushed = pushed.map_err(|error| match error {
            PushError::Refused(error) => error,
            PushError::Store(never) => match never {},
        })?;
        self.note(push, &author, &pushed.answer);
        if let Some(commit) = pushed.commit {
            self.store.apply(commit);
        }
        if let Some(changes) = pushed.changes {
            self.publish(changes);
        }
        if pushed.answer.error.is_none()
            && let Some(last) = push.mutations.last()
        {
            self.session_mut(id)?.chains.insert(push.room.clone(), last.client_seq);
        }
        Ok(pushed.answer)
    }

    fn publish(&self, changes: LiveChanges) {
        self.fanout.announce(changes);
    }

    fn note(&mut self, push: &Push, author: &Author, answer: &PushAnswer) {
        for (mutation, result) in push.mutations.iter().zip(&answer.results) {
            let ruling = match result.status {
                MutationStatus::Applied => Ruling::Applied,
                MutationStatus::Duplicate => Ruling::Duplicate,
                MutationStatus::Conflict => Ruling::Conflict,
                MutationStatus::Rejected => Ruling::Rejected,
            };
            let (client, room, mutation) = (author.client, push.room.clone(), mutation.clone());
            self.verdicts.push(Verdict { client, room, mutation, seq: result.seq, ruling });
        }
    }

    fn show(&mut self, id: ConnectionId, presence: &Presence, now_ms: u64) -> Result<(), WireError> {
        let room = &presence.room;
        self.authorize(id, room)?;
        let is_new = self.session_mut(id)?.present.insert(room.clone());
        let notices = self.roster.enter(id, room);
        self.tell(notices);
        let joined = self.roster.join(id, presence, now_ms);
        if joined.is_err() && is_new {
            self.session_mut(id)?.present.remove(room);
            self.exit_if_unused(id, room);
        }
        joined
    }

    fn hide(&mut self, id: ConnectionId, room: &Room) {
        if let Ok(session) = self.session_mut(id) {
            session.present.remove(room);
        }
        self.roster.leave(id, room);
        self.exit_if_unused(id, room);
    }

    fn exit_if_unused(&mut self, id: ConnectionId, room: &Room) {
        let Some(session) = self.sessions.get(&id) else { return };
        if !session.subscribed.contains_key(room) && !session.present.contains(room) {
            let notices = self.roster.exit(id, room);
            self.tell(notices);
        }
    }
}

/// What a request is answered with.
enum Answer {
    Done,
    Page(Page),
    Pushed(PushAnswer),
    Members(Members),
    Heads(PresencePong),
}

fn decode<T: DeserializeOwned>(args: &[Payload]) -> Result<T, WireError> {
    let invalid = |error: &dyn std::fmt::Display| WireError::new(ErrorCode::Invalid, error.to_string());
    let argument = args.first().ok_or_else(|| invalid(&"a request without an argument"))?;
    match argument.as_binary() {
        Some(bytes) => message::decode_compact(bytes).map_err(|error| invalid(&error)),
        None => argument.decode().map_err(|error| invalid(&error)),
    }
}
