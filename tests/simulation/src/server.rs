//! The server: the real room logic, fan-out and roster behind sessions that follow `server/src/session.rs` step by step,
//! without sockets and tasks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use syncline::transport::{
    DecodeLimits, Decoder, Frame, Handshake, Message, Namespace, Packet, Parser, Payload,
};
use syncline_protocol::message::{self, Auth, Encoding, Hello, event};
use syncline_protocol::{ClientId, Collection, Document, ErrorCode, Limits, Mutation, Room, WireError};
use syncline_server::config::HubConfig;
use syncline_server::fanout::{LocalFanout, Mail, Mailbox, News, head_hint};
use syncline_server::hub::{self, Head, LiveChanges, PushStore};
use syncline_server::presence::{ConnectionId, Notice, Roster};
use syncline_server::storage::memory::MemoryStore;

use crate::backend::Backend;
use crate::plan::ServerPlan;
use crate::session::Request;

#[allow(missing_debug_implementations)]
pub struct Server {
    pub(crate) store: MemoryStore,
    pub(crate) limits: Limits,
    pub(crate) config: HubConfig,
    pub(crate) fanout: LocalFanout,
    /// When the simulated time began: only differences matter.
    began: Instant,
    pub(crate) roster: Roster,
    pub(crate) sessions: BTreeMap<ConnectionId, Session>,
    plan: ServerPlan,
    last_connection: u64,
    /// Requests that fail next, and how.
    pub(crate) trouble: VecDeque<WireError>,
    /// Who may not use which room.
    pub(crate) revoked: BTreeSet<(String, Room)>,
    /// Tokens that end no later than this are not believed any more, by user.
    pub(crate) revoked_through_ms: BTreeMap<String, u64>,
    pub(crate) backend: Backend,
    /// What became of each mutation, for the oracle to collect.
    pub(crate) verdicts: Vec<Verdict>,
}

/// What the server did with one mutation of one push.
#[derive(Debug, Clone)]
pub struct Verdict {
    pub client: ClientId,
    pub room: Room,
    pub mutation: Mutation,
    /// Where the log has its effect.
    pub seq: Option<u64>,
    pub ruling: Ruling,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    Applied,
    Duplicate,
    Conflict,
    Rejected,
}

/// One connection, and what it has said so far.
#[allow(missing_debug_implementations)]
pub struct Session {
    pub(crate) parser: Parser,
    decoder: Decoder,
    pub(crate) client: Option<ClientId>,
    pub(crate) user: String,
    pub(crate) ends_ms: u64,
    pub(crate) encoding: Encoding,
    pub(crate) mailbox: Arc<Mailbox>,
    greeted: bool,
    pub(crate) inbox: VecDeque<Request>,
    pub(crate) subscribed: BTreeMap<Room, Option<Vec<Collection>>>,
    pub(crate) present: BTreeSet<Room>,
    /// The last number of each room's last successful push.
    pub(crate) chains: BTreeMap<Room, u64>,
    pong_seen: bool,
}

/// The connection is to be closed.
#[derive(Debug)]
pub struct Broken(pub String);

/// Why a connection ends when its client says so.
pub const FAREWELL: &str = "the client said goodbye";

/// What a token of the simulation says. The client cannot tell when it ends.
#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    ends_ms: u64,
}

/// A token that any server of the simulation can read: whose it is, and until when it holds.
pub fn token(user: &str, ends_ms: u64) -> String {
    let claims = Claims { sub: user.to_owned(), ends_ms };
    let claims = serde_json::to_vec(&claims).unwrap_or_default();
    format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims))
}

impl Server {
    pub fn new(plan: ServerPlan) -> Self {
        Self {
            roster: roster(&plan),
            store: MemoryStore::new(plan.rejections_kept_max),
            limits: plan.limits,
            config: plan.hub.clone(),
            fanout: LocalFanout::new(&plan.hub),
            began: Instant::now(),
            sessions: BTreeMap::new(),
            plan,
            last_connection: 0,
            trouble: VecDeque::new(),
            revoked: BTreeSet::new(),
            revoked_through_ms: BTreeMap::new(),
            backend: Backend::default(),
            verdicts: Vec::new(),
        }
    }

    pub fn head(&self, room: &Room) -> Head {
        let Ok(head) = self.store.head(room);
        head
    }

    /// The live documents of a room, as clients hold them.
    pub fn documents(&self, room: &Room) -> Vec<Document> {
        self.store.documents(room).filter(|document| !document.deleted).cloned().collect()
    }

    /// A socket was accepted.
    pub fn open(&mut self, parser: Parser) -> (ConnectionId, Message) {
        self.last_connection += 1;
        let id = ConnectionId(self.last_connection);
        let session = Session {
            parser,
            decoder: Decoder::new(parser, DecodeLimits::DEFAULT),
            client: None,
            user: String::new(),
            ends_ms: 0,
            encoding: Encoding::Plain,
            mailbox: Arc::new(Mailbox::new(self.plan.events_queued_max, self.plan.events_queued_bytes_max)),
            greeted: false,
            inbox: VecDeque::new(),
            subscribed: BTreeMap::new(),
            present: BTreeSet::new(),
            chains: BTreeMap::new(),
            pong_seen: true,
        };
        self.sessions.insert(id, session);
        let handshake = Handshake {
            sid: format!("s{}", id.0),
            upgrades: vec![],
            ping_interval_ms: self.plan.ping_interval_ms,
            ping_timeout_ms: self.plan.ping_timeout_ms,
            max_payload_bytes: None,
        };
        (id, Message::Open(handshake))
    }

    /// Takes a frame. Requests wait in the session's inbox; the rest is answered at once.
    pub fn receive(&mut self, id: ConnectionId, frame: Frame, now_ms: u64) -> Result<Vec<Message>, Broken> {
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(vec![]) };
        let message = match session.decoder.feed(frame) {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(vec![]),
            Err(error) => return Err(Broken(format!("the client sent what cannot be read: {error}"))),
        };
        match message {
            Message::Pong => session.pong_seen = true,
            Message::Socket { packet: Packet::Connect { data }, .. } => {
                return Ok(self.greet(id, data.as_ref(), now_ms));
            }
            Message::Socket { packet: Packet::Event { name, args, ack }, .. } if session.greeted => {
                session.inbox.push_back(Request { name, args, ack });
            }
            Message::Close | Message::Socket { packet: Packet::Disconnect, .. } => {
                return Err(Broken(FAREWELL.to_owned()));
            }
            other => return Err(Broken(format!("the client sent {other:?}"))),
        }
        Ok(vec![])
    }

    fn greet(&mut self, id: ConnectionId, data: Option<&Payload>, now_ms: u64) -> Vec<Message> {
        match self.admit(data, now_ms) {
            Ok((auth, user, ends_ms)) => {
                let Some(session) = self.sessions.get_mut(&id) else { return vec![] };
                session.greeted = true;
                session.client = auth.client_id;
                session.encoding = auth.encoding;
                session.user.clone_from(&user);
                session.ends_ms = ends_ms;
                self.fanout.connect(id, Arc::clone(&session.mailbox));
                self.roster.connect(id, &user, auth.client_id, now_ms);
                let hello = Hello {
                    protocol: message::PROTOCOL_VERSION,
                    encoding: auth.encoding,
                    limits: self.limits,
                    server_time_ms: now_ms,
                    user_id: user,
                    offers: self.plan.offers.iter().map(|&offer| offer.to_owned()).collect(),
                };
                let parser = session.parser;
                let hello = payload(parser, Encoding::Plain, &hello);
                vec![packet(Packet::Connect { data: None }), named(event::SYNC_HELLO, hello)]
            }
            Err(error) => {
                let parser = self.sessions.get(&id).map_or(Parser::Msgpack, |session| session.parser);
                // Socket.IO sends an error as `{message}` alone, so its code leads the message.
                let text = BTreeMap::from([("message", error.to_string())]);
                vec![packet(Packet::ConnectError { data: Some(payload(parser, Encoding::Plain, &text)) })]
            }
        }
    }

    fn admit(&mut self, data: Option<&Payload>, now_ms: u64) -> Result<(Auth, String, u64), WireError> {
        let refused = |code, message: &str| WireError::new(code, message);
        if let Some(error) = self.trouble.pop_front() {
            return Err(error);
        }
        let auth = data.and_then(|data| data.decode::<Auth>().ok());
        let auth = auth.ok_or_else(|| refused(ErrorCode::Invalid, "the auth payload cannot be read"))?;
        let (user, ends_ms) = self.check_token(auth.token.as_deref(), now_ms)?;
        Ok((auth, user, ends_ms))
    }

    /// Whose token it is, and until when it holds.
    pub(crate) fn check_token(&self, token: Option<&str>, now_ms: u64) -> Result<(String, u64), WireError> {
        let refused = |code, message: &str| WireError::new(code, message);
        let token = token.ok_or_else(|| refused(ErrorCode::Unauthorized, "there is no token"))?;
        let claims = token.split('.').nth(1).and_then(|claims| BASE64_URL_SAFE_NO_PAD.decode(claims).ok());
        let claims = claims.and_then(|claims| serde_json::from_slice(&claims).ok());
        let Claims { sub: user, ends_ms } =
            claims.ok_or_else(|| refused(ErrorCode::Unauthorized, "not a token"))?;
        let revoked_through_ms = self.revoked_through_ms.get(&user).copied().unwrap_or(0);
        if ends_ms <= now_ms || ends_ms <= revoked_through_ms {
            return Err(refused(ErrorCode::Unauthorized, "the token has expired"));
        }
        Ok((user, ends_ms))
    }

    /// Tells subscribers what was committed, room by room in rounds, and members what has changed of each other. Answers
    /// whether there was any, and when a round of changes that somebody did not take is over.
    pub fn tell_announced(&mut self, now_us: u64, now_ms: u64) -> (bool, Option<u64>) {
        let of_members = self.roster.tell_at(now_ms);
        let is_any = !of_members.is_empty();
        self.tell(of_members);
        let (is_told, at) = self.fanout.tell_at(self.began + Duration::from_micros(now_us));
        let at_us = at.map(|at| u64::try_from((at - self.began).as_micros()).unwrap_or(u64::MAX));
        (is_told || is_any, at_us)
    }

    /// The next event that waits for a connection.
    pub fn take_mail(&mut self, id: ConnectionId) -> Result<Option<Message>, Broken> {
        loop {
            let Some(session) = self.sessions.get(&id) else { return Ok(None) };
            let Some(mail) = poll_mail(&session.mailbox) else { return Ok(None) };
            let news = match mail {
                Mail::Overflowed => return Err(Broken("it does not read its events".to_owned())),
                Mail::Lagging { room, head } => News::Changes(head_hint(room, head)),
                Mail::Event(live) => live.news.clone(),
            };
            if let Some(message) = session.event(&news) {
                return Ok(Some(message));
            }
        }
    }

    /// The heartbeat is due: a ping, unless the last one was not answered.
    pub fn beat(&mut self, id: ConnectionId, now_ms: u64) -> Result<Option<Message>, Broken> {
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(None) };
        let revoked_through_ms = self.revoked_through_ms.get(&session.user).copied().unwrap_or(0);
        if session.greeted && session.ends_ms <= now_ms.max(revoked_through_ms) {
            return Err(Broken("its token expired".to_owned()));
        }
        if !std::mem::take(&mut session.pong_seen) {
            return Err(Broken("its heartbeat stopped".to_owned()));
        }
        Ok(Some(Message::Ping))
    }

    pub fn heartbeat_ms(&self) -> u64 {
        self.plan.ping_interval_ms
    }

    /// The connection is gone, with or without a farewell; the others are told.
    pub fn close(&mut self, id: ConnectionId, farewell: bool, now_ms: u64) {
        let Some(session) = self.sessions.remove(&id) else { return };
        self.fanout.disconnect(id, session.subscribed.into_keys());
        let notices = if farewell { self.roster.disconnect(id) } else { self.roster.lose(id, now_ms) };
        self.tell(notices);
    }

    /// Users with an open connection.
    pub fn connected_users(&self) -> usize {
        let greeted = self.sessions.values().filter(|session| session.greeted);
        greeted.map(|session| session.user.as_str()).collect::<BTreeSet<_>>().len()
    }

    /// Ends leases that are over.
    pub fn expire(&mut self, now_ms: u64) {
        let notices = self.roster.expire(now_ms);
        self.tell(notices);
    }

    pub(crate) fn tell(&self, notices: Vec<Notice>) {
        notices.into_iter().for_each(|Notice { to, news }| self.fanout.tell(to, news));
    }

    /// Purges all deletions of a room, some at a time: who has not seen them must read the room anew.
    pub fn purge(&mut self, room: &Room, now_ms: u64) {
        let config = HubConfig { tombstone_retention_ms: 0, ..self.config.clone() };
        while let Ok(Some(compaction)) = hub::compact(&self.store, room, now_ms, &config) {
            self.store.compact(compaction);
        }
    }

    /// The process ends and starts again: what is committed is all that is left.
    pub fn restart(&mut self) {
        self.sessions.clear();
        self.fanout = LocalFanout::new(&self.config);
        self.roster = roster(&self.plan);
        self.trouble.clear();
    }

    pub fn parser(&self, id: ConnectionId) -> Option<Parser> {
        self.sessions.get(&id).map(|session| session.parser)
    }

    pub fn is_busy(&self, id: ConnectionId) -> bool {
        self.sessions.get(&id).is_some_and(|session| !session.inbox.is_empty())
    }
}

impl Session {
    /// An event as this connection is to hear it, if it is.
    fn event(&self, news: &News) -> Option<Message> {
        let body = match news {
            News::Changes(changes) => match self.subscribed.get(&changes.room)? {
                None => payload(self.parser, self.encoding, changes),
                Some(collections) => {
                    let wanted =
                        changes.changes.iter().filter(|found| collections.contains(&found.collection));
                    let narrowed = LiveChanges { changes: wanted.cloned().collect(), ..changes.clone() };
                    payload(self.parser, self.encoding, &narrowed)
                }
            },
            News::Presence(diff) if !self.present.contains(&diff.room) => return None,
            News::Presence(diff) => payload(self.parser, self.encoding, diff),
            News::Online(status) | News::Offline(status) => payload(self.parser, self.encoding, status),
        };
        Some(named(news.event(), body))
    }
}

fn roster(plan: &ServerPlan) -> Roster {
    Roster::new(plan.presence.clone(), plan.limits)
}

fn poll_mail(mailbox: &Mailbox) -> Option<Mail> {
    let next = pin!(mailbox.next());
    match next.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(mail) => Some(mail),
        Poll::Pending => None,
    }
}

pub(crate) fn packet(packet: Packet) -> Message {
    Message::Socket { namespace: Namespace::ROOT, packet }
}

fn named(name: &str, body: Payload) -> Message {
    packet(Packet::Event { name: name.to_owned(), args: vec![body], ack: None })
}

/// What a peer sends: a message that the server itself made, so that it can always be encoded.
#[allow(clippy::expect_used)]
pub(crate) fn payload<T: serde::Serialize>(parser: Parser, encoding: Encoding, body: &T) -> Payload {
    match encoding {
        Encoding::Plain => Payload::encode(parser, body).expect("a message of the server"),
        Encoding::Compact => {
            Payload::Binary(message::encode_compact(body).expect("a message of the server").into())
        }
    }
}
