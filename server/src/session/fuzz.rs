//! Two tenants, random requests, and what each of them may hear of the other: nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use serde::Serialize;
use serde_json::{Value, json};
use socketioxide::{SendError, SocketError};
use syncline_protocol::message::{Encoding, Page, Push, PushAnswer, event};
use syncline_protocol::{ClientId, Document, ErrorCode, Limits, Room, WireError};
use tokio::sync::watch;

use super::line::Line;
use super::{Session, TokenBucket, mailbox};
use crate::access::audit::Audit;
use crate::access::rules::{Rule, Rules};
use crate::access::{Access, Identity, Right};
use crate::auth::Authenticator;
use crate::config::{Config, HubConfig, Mode};
use crate::fanout::LocalFanout;
use crate::gateway::Shared;
use crate::hub::{self, Author, DocumentKey, PageRequest, PushError, PushStore};
use crate::membership::Membership;
use crate::operate::Operate;
use crate::storage::memory::MemoryStore;
use crate::storage::{ListRequest, Listing, Reply, Storage};
use crate::wire::{self, Body};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const FAR_S: u64 = 4_000_000_000;
const SESSIONS: usize = 12;
const STEPS_PER_SEED: u32 = 10_000;
const SEEDS: u64 = 10;
const SEEDS_FULL: u64 = 100;

/// Rooms of both tenants, and names that only look like them.
const ROOMS: [&str; 10] = [
    "org:a:1",
    "org:b:1",
    "org:a:2",
    "org:b:2",
    "org:a:2:x",
    "org:a",
    "org:ab:1",
    "org::1",
    "user:a-0",
    "org:*",
];

/// How many of them are rooms.
const REAL_ROOMS: usize = 4;

/// Rooms in memory, with the server's own logic.
struct Rooms {
    store: Mutex<MemoryStore>,
    fanout: Arc<LocalFanout>,
    limits: Limits,
    hub: HubConfig,
}

impl Rooms {
    fn head(&self, room: &Room) -> u64 {
        let Ok(head) = self.store.lock().unwrap_or_else(PoisonError::into_inner).head(room);
        head.seq
    }
}

fn answered<'a, T: Send + 'a>(answer: Result<T, WireError>) -> Reply<'a, T> {
    Box::pin(std::future::ready(answer))
}

impl Storage for Rooms {
    fn push(&self, push: Push, author: Author) -> Reply<'_, PushAnswer> {
        let mut store = self.store.lock().unwrap();
        let pushed = hub::push(&*store, push, &author, 1_000_000, &self.limits, &self.hub);
        answered(match pushed {
            Ok(pushed) => {
                if let Some(commit) = pushed.commit {
                    store.apply(commit);
                }
                if let Some(changes) = pushed.changes {
                    self.fanout.announce(changes);
                }
                Ok(pushed.answer)
            }
            Err(PushError::Refused(error)) => Err(error),
            Err(PushError::Store(never)) => match never {},
        })
    }

    fn page(&self, request: PageRequest) -> Reply<'_, Page> {
        let Ok(page) = hub::page(&*self.store.lock().unwrap(), &request, &self.limits, &self.hub);
        answered(Ok(page))
    }

    fn heads(&self, rooms: Vec<Room>) -> Reply<'_, Vec<(Room, u64)>> {
        let heads = rooms.into_iter().map(|room| (room.clone(), self.head(&room))).collect();
        answered(Ok(heads))
    }

    fn owner(&self, client: ClientId) -> Reply<'_, Option<String>> {
        let Ok(owner) = self.store.lock().unwrap().owner(client);
        answered(Ok(owner))
    }

    fn documents(&self, room: Room, keys: Vec<DocumentKey>) -> Reply<'_, Vec<Option<Document>>> {
        let store = self.store.lock().unwrap();
        let live = |key: &DocumentKey| {
            let Ok(document) = store.document(&room, key);
            document.filter(|document| !document.deleted)
        };
        answered(Ok(keys.iter().map(live).collect()))
    }

    fn list(&self, request: ListRequest) -> Reply<'_, Listing> {
        let store = self.store.lock().unwrap();
        let of_collection = store.documents(&request.room).filter(|document| {
            document.collection == request.collection
                && request.after.as_ref().is_none_or(|after| document.id > *after)
        });
        let all: Vec<&Document> = of_collection.collect();
        let part = &all[..all.len().min(request.limit)];
        let next = part.last().filter(|_| part.len() < all.len()).map(|document| document.id.clone());
        let documents = part.iter().filter(|document| !document.deleted).map(|&document| document.clone());
        answered(Ok(Listing { documents: documents.collect(), looked_at: part.len(), next }))
    }

    fn rooms(&self, after: Option<Room>, limit: usize) -> Reply<'_, Vec<(Room, u64)>> {
        let mut rooms: Vec<Room> = ROOMS.iter().map(|name| Room::new(name).unwrap()).collect();
        rooms.sort();
        rooms.retain(|room| self.head(room) > 0 && after.as_ref().is_none_or(|after| room > after));
        rooms.truncate(limit);
        answered(Ok(rooms.into_iter().map(|room| (room.clone(), self.head(&room))).collect()))
    }

    fn is_healthy(&self) -> bool {
        true
    }

    fn close(&self) -> Reply<'_, ()> {
        answered(Ok(()))
    }
}

/// What a client was sent.
#[derive(Default)]
struct Heard(Mutex<Vec<(String, Value)>>);

impl Line for Arc<Heard> {
    fn emit(&self, event: &str, body: &Body) -> Result<(), SendError> {
        let Body::Plain(plain) = body else { panic!("events are plain here") };
        self.0.lock().unwrap().push((event.to_owned(), serde_json::from_str(plain.text()).unwrap()));
        Ok(())
    }

    fn join(&self, _: &Room) {}

    fn leave(&self, _: &Room) {}

    fn disconnect(&self) -> Result<(), SocketError> {
        Ok(())
    }

    fn cut(&self) {}

    fn is_alone(&self) -> bool {
        true
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn rights(&mut self) -> Vec<Right> {
        let drawn = self.next();
        Right::ALL.into_iter().filter(|right| drawn & (1 << *right as u8) != 0).collect()
    }
}

/// One client, with what it may do said once more, without the rules.
struct Client {
    session: Session,
    heard: Arc<Heard>,
    tenant: &'static str,
    user: String,
    may: Vec<Right>,
    next_seq: BTreeMap<Room, u64>,
}

impl Client {
    fn may(&self, right: Right, room: &str) -> bool {
        let mut parts = room.split(':');
        let is_own = parts.next() == Some("org")
            && parts.next() == Some(self.tenant)
            && parts.next().is_some_and(|part| !part.is_empty())
            && parts.next().is_none();
        is_own && self.may.contains(&right)
    }
}

/// How often something came to pass, so that nothing is proved by nothing happening.
#[derive(Debug, Default)]
struct Seen {
    allowed: u32,
    denied: u32,
    documents: u32,
    members: u32,
    delivered: u32,
    lost: u32,
}

impl Seen {
    fn add(&mut self, other: &Self) {
        self.allowed += other.allowed;
        self.denied += other.denied;
        self.documents += other.documents;
        self.members += other.members;
        self.delivered += other.delivered;
        self.lost += other.lost;
    }
}

struct World {
    shared: Arc<Shared>,
    rooms: Arc<Rooms>,
    clients: Vec<Client>,
    random: Random,
    seen: Seen,
}

fn rules() -> Vec<Rule> {
    let rule = |right: &str| json!({"room": "org:{org}:{list}", "when": {"claims.org": "{org}", "claims.can": right}, "allow": [right]});
    let rules = ["join", "read", "write", "presence"].map(rule);
    serde_json::from_value(json!(rules)).unwrap()
}

fn token(tenant: &str, user: &str, may: &[Right]) -> String {
    let can: Vec<&str> = may.iter().map(|right| right.as_str()).collect();
    let claims = json!({"sub": user, "exp": FAR_S, "org": tenant, "can": can});
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET);
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
}

impl World {
    async fn new(seed: u64) -> Self {
        let mode = Mode::Production { jwt_secret: SECRET.to_vec() };
        let mut config = Config::new("127.0.0.1:0".parse().unwrap(), "unused".into(), mode);
        // What was announced is told in the same step, whoever has not taken what came before.
        config.hub.live_round_ms_max = 0;
        config.presence.round_ms_max = 0;
        let fanout = Arc::new(LocalFanout::new(&config.hub));
        let rooms = Arc::new(Rooms {
            store: Mutex::new(MemoryStore::new(100)),
            fanout: Arc::clone(&fanout),
            limits: config.limits,
            hub: config.hub.clone(),
        });
        let rules = Arc::new(Rules::new(&rules()).unwrap());
        let access = Access::new(rules, Audit::new(1), Duration::from_secs(5));
        let auth = Authenticator::new(SECRET, 0);
        let storage = Arc::clone(&rooms) as Arc<dyn Storage>;
        let shared =
            Shared::new(storage, fanout, None, auth, access, Operate::new(&config.operations), &config);
        let mut world =
            Self { shared, rooms, clients: Vec::new(), random: Random(seed), seen: Seen::default() };
        for index in 0..SESSIONS {
            let client = world.connect(index).await;
            world.clients.push(client);
        }
        world
    }

    async fn connect(&mut self, index: usize) -> Client {
        let tenant = ["a", "b"][index % 2];
        let (user, may) = (format!("{tenant}-{index}"), self.random.rights());
        let identity: Identity = self.shared.auth.verify(&token(tenant, &user, &may)).await.unwrap();
        let client = ClientId::from_bytes([u8::try_from(index).unwrap() + 1; 16]);
        let heard = Arc::<Heard>::default();
        let line: Arc<dyn Line> = Arc::new(Arc::clone(&heard));
        let mailbox = mailbox(&self.shared, &line, Encoding::Plain);
        let membership = Membership::register(&self.shared, &user, Some(client), Arc::default(), &mailbox);
        let session = Session {
            shared: Arc::clone(&self.shared),
            line,
            identity: watch::channel(Arc::new(identity)).0,
            client: Some(client),
            is_bound: false,
            encoding: Encoding::Plain,
            mailbox,
            membership,
            grants: BTreeMap::new(),
            chains: BTreeMap::new(),
            presence_rate: TokenBucket::full(u32::MAX, u32::MAX),
        };
        Client { session, heard, tenant, user, may, next_seq: BTreeMap::new() }
    }

    async fn step(&mut self) {
        let index = self.random.below(SESSIONS);
        let rooms = if self.random.below(8) == 0 { ROOMS.len() } else { REAL_ROOMS };
        let room = ROOMS[self.random.below(rooms)];
        match self.random.below(12) {
            0 => self.ask(index, Right::Join, event::ROOM_JOIN, room, json!({})).await,
            1 => self.free(index, event::ROOM_LEAVE, room).await,
            2 | 3 => self.ask(index, Right::Read, event::SYNC_SUBSCRIBE, room, json!({"cursor": 0})).await,
            4 => self.free(index, event::SYNC_UNSUBSCRIBE, room).await,
            5 => {
                self.ask(index, Right::Read, event::SYNC_PULL, room, json!({"cursor": 0, "limit": 20})).await;
            }
            6 | 7 => self.push(index, room).await,
            8 => {
                let state = json!({"state": {"at": format!("P<{room}>")}});
                self.ask(index, Right::Presence, event::PRESENCE_JOIN, room, state).await;
            }
            9 => {
                let state = json!({"state": {"at": format!("P<{room}>"), "n": self.random.below(9)}});
                self.ask(index, Right::Presence, event::PRESENCE_UPDATE, room, state).await;
            }
            10 if self.random.below(4) == 0 => self.refresh(index).await,
            10 => self.free(index, event::PRESENCE_LEAVE, room).await,
            _ => self.free(index, event::PRESENCE_PING, room).await,
        }
        self.shared.fanout.tell_announced().await;
        self.shared.tell_changed_members().await;
        let index = self.random.below(SESSIONS);
        self.deliver(index).await;
    }

    async fn push(&mut self, index: usize, room: &str) {
        let name = Room::new(room).unwrap();
        let before = self.rooms.head(&name);
        let seq = self.clients[index].next_seq.entry(name.clone()).or_default();
        *seq += 1;
        let mutation = json!({
            "client_seq": *seq, "collection": "c", "id": format!("d{}", self.random.below(5)),
            "write": {"create": {"text": format!("D<{room}>")}},
            "time": [1000, 0],
            "base": if self.random.below(2) == 0 { json!({}) } else { json!(null) },
        });
        let fields = json!({"after": null, "mutations": [mutation]});
        self.ask(index, Right::Write, event::SYNC_PUSH, room, fields).await;
        if !self.clients[index].may(Right::Write, room) {
            assert_eq!(self.rooms.head(&name), before, "{} wrote to {room}", self.clients[index].user);
        }
    }

    /// Asks for what needs a right: it must be given exactly to who has it.
    async fn ask(&mut self, index: usize, right: Right, event: &str, room: &str, mut message: Value) {
        message["room"] = room.into();
        let answer = self.clients[index].session.ask(event, message).await;
        let may = self.clients[index].may(right, room);
        let forbidden = answer["error"]["code"] == ErrorCode::Forbidden.as_str();
        assert_eq!(forbidden, !may, "{} {event} {room}: {answer}", self.clients[index].user);
        *if may { &mut self.seen.allowed } else { &mut self.seen.denied } += 1;
        self.inspect(index, &answer);
    }

    async fn free(&mut self, index: usize, event: &str, room: &str) {
        let answer = self.clients[index].session.ask(event, json!({"room": room})).await;
        if let Some(heads) = answer["heads"].as_object() {
            for room in heads.keys() {
                assert!(self.clients[index].may(Right::Read, room), "the head of {room}");
            }
        }
        self.inspect(index, &answer);
    }

    async fn refresh(&mut self, index: usize) {
        // What was sent until now was sent by the rights until now.
        self.listen(index);
        let may = self.random.rights();
        let client = &mut self.clients[index];
        // What waits in the mailbox from before must not come either.
        let token = token(client.tenant, &client.user, &may);
        client.may = may;
        let answer = client.session.ask(event::AUTH_REFRESH, json!({"token": token})).await;
        assert_eq!(answer, json!({"ok": true}));
        self.listen(index);
    }

    async fn deliver(&mut self, index: usize) {
        let session = &mut self.clients[index].session;
        while let Some(mail) = session.mailbox.next().now_or_never() {
            assert!(session.deliver(mail).await.is_ok(), "the mailbox overflowed");
        }
        self.listen(index);
    }

    fn listen(&mut self, index: usize) {
        let heard = std::mem::take(&mut *self.clients[index].heard.0.lock().unwrap());
        for (event, body) in heard {
            let client = &self.clients[index];
            let room = body["room"].as_str().unwrap_or_default();
            match event.as_str() {
                event::SYNC_CHANGES => assert!(client.may(Right::Read, room), "changes of {room}"),
                event::PRESENCE_DIFF => assert!(client.may(Right::Presence, room), "presence in {room}"),
                event::USER_ONLINE | event::USER_OFFLINE => {
                    let user = body["userId"].as_str().unwrap();
                    assert!(user.starts_with(client.tenant), "{} hears of {user}", client.user);
                    assert!(client.may.contains(&Right::Presence), "{} hears of {user}", client.user);
                }
                event::ACCESS_LOST => self.seen.lost += 1,
                other => panic!("{other}"),
            }
            self.seen.delivered += 1;
            self.inspect(index, &body);
        }
    }

    /// Nothing of a room's documents or members without the right to it.
    fn inspect(&mut self, index: usize, said: &Value) {
        let text = said.to_string();
        let client = &self.clients[index];
        for room in ROOMS {
            if text.contains(&format!("D<{room}>")) {
                assert!(client.may(Right::Read, room), "{} reads {room}: {text}", client.user);
                self.seen.documents += 1;
            }
            if text.contains(&format!("P<{room}>")) {
                assert!(client.may(Right::Presence, room), "{} sees {room}: {text}", client.user);
                self.seen.members += 1;
            }
        }
    }
}

impl Session {
    /// Answers a request as [`Session::serve`] does, in plain.
    async fn ask(&mut self, name: &str, message: Value) -> Value {
        fn plain<T: Serialize>(answer: Result<T, WireError>) -> Value {
            match wire::encode_answer(answer, Encoding::Plain) {
                Body::Plain(plain) => serde_json::from_str(plain.text()).unwrap(),
                Body::Compact(_) => panic!("plain was asked for"),
            }
        }
        macro_rules! answer {
            ($method:ident) => {
                plain(self.$method(serde_json::from_value(message).unwrap()).await)
            };
        }
        match name {
            event::ROOM_JOIN => answer!(room_join),
            event::ROOM_LEAVE => answer!(room_leave),
            event::SYNC_SUBSCRIBE => answer!(subscribe),
            event::SYNC_UNSUBSCRIBE => answer!(unsubscribe),
            event::SYNC_PULL => answer!(pull),
            event::SYNC_PUSH => answer!(push),
            event::PRESENCE_JOIN => answer!(presence_join),
            event::PRESENCE_UPDATE => answer!(presence_update),
            event::PRESENCE_LEAVE => answer!(presence_leave),
            event::PRESENCE_PING => plain(self.presence_ping().await),
            event::AUTH_REFRESH => answer!(auth_refresh),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn nothing_of_a_tenant_is_told_to_the_other_nor_changed_by_it() {
    let is_full = std::env::var_os("SYNCLINE_FULL").is_some_and(|value| !value.is_empty());
    let seeds = if is_full { SEEDS_FULL } else { SEEDS };
    let mut seen = Seen::default();
    for seed in 0..seeds {
        let mut world = World::new(seed).await;
        for _ in 0..STEPS_PER_SEED {
            world.step().await;
        }
        seen.add(&world.seen);
    }
    let Seen { allowed, denied, documents, members, delivered, lost } = seen;
    let least = [allowed, denied, documents, members, delivered, lost].into_iter().min();
    assert!(least >= Some(1000), "this proves little: {seen:?}");
}
