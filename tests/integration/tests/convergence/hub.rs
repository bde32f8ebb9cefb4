//! The server's room logic behind the sessions of several clients, without sockets.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde::de::DeserializeOwned;
use syncline::transport::Payload;
use syncline_protocol::message::{
    self, Changes, Done, Encoding, Failure, Hello, Page, PresencePong, Pull, Push, PushAnswer, RoomRequest,
    Subscribe, event,
};
use syncline_protocol::{ClientId, Document, ErrorCode, Limits, Room, WireError};
use syncline_server::config::HubConfig;
use syncline_server::hub::{self, Author, PageRequest, PushError, RoomStore};
use syncline_server::storage::memory::MemoryStore;

/// What one connection has said so far.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) subscribed: BTreeSet<Room>,
    /// The last number of each room's last successful push.
    chains: BTreeMap<Room, u64>,
}

pub(crate) struct Hub {
    pub(crate) store: MemoryStore,
    limits: Limits,
    config: HubConfig,
    /// Pushes that fail for now.
    pub(crate) failures: u32,
}

/// An answer, and the live change that it caused.
pub(crate) struct Served {
    pub(crate) answer: Payload,
    pub(crate) changes: Option<Changes>,
}

impl Hub {
    pub(crate) fn new() -> Self {
        // Small, so that a short run has many batches and pages.
        let limits = Limits { push_count_max: 2, page_count_max: 3, ..Limits::default() };
        Self { store: MemoryStore::new(1_000), limits, config: HubConfig::default(), failures: 0 }
    }

    pub(crate) fn hello(&self, now_ms: u64) -> Hello {
        Hello {
            protocol: message::PROTOCOL_VERSION,
            encoding: Encoding::Compact,
            limits: self.limits,
            server_time_ms: now_ms,
            user_id: "ada".to_owned(),
        }
    }

    pub(crate) fn head(&self, room: &Room) -> u64 {
        let Ok(head) = self.store.head(room);
        head.seq
    }

    /// The live documents of a room, as clients hold them.
    pub(crate) fn documents(&self, room: &Room) -> Vec<Document> {
        self.store.documents(room).filter(|document| !document.deleted).cloned().collect()
    }

    pub(crate) fn serve(
        &mut self,
        session: &mut Session,
        client: ClientId,
        name: &str,
        body: &Payload,
        now_ms: u64,
    ) -> Served {
        let encoding = if body.as_binary().is_some() { Encoding::Compact } else { Encoding::Plain };
        let mut changes = None;
        let answer = match name {
            event::SYNC_SUBSCRIBE => {
                let Subscribe { room, cursor, snapshot, .. } = decode(body);
                session.subscribed.insert(room.clone());
                encode(&self.page(room, cursor, self.limits.page_count_max, snapshot), encoding)
            }
            event::SYNC_UNSUBSCRIBE => {
                let RoomRequest { room } = decode(body);
                session.subscribed.remove(&room);
                encode(&Done { ok: true }, encoding)
            }
            event::SYNC_PULL => {
                let Pull { room, cursor, limit, snapshot } = decode(body);
                encode(&self.page(room, cursor, limit, snapshot), encoding)
            }
            event::SYNC_PUSH => match self.push(session, client, &decode(body), now_ms) {
                Ok((answer, live)) => {
                    changes = live;
                    encode(&answer, encoding)
                }
                Err(error) => encode(&Failure { error }, encoding),
            },
            event::PRESENCE_PING => {
                let rooms = session.subscribed.iter();
                let heads = rooms.map(|room| (room.clone(), self.head(room))).collect();
                encode(&PresencePong { heads }, encoding)
            }
            other => panic!("unknown request {other}"),
        };
        Served { answer, changes }
    }

    fn page(&self, room: Room, cursor: u64, limit: u32, snapshot: Option<u64>) -> Page {
        let request = PageRequest { room, cursor, limit, collections: None, snapshot };
        let Ok(page) = hub::page(&self.store, &request, &self.limits, &self.config);
        page
    }

    fn push(
        &mut self,
        session: &mut Session,
        client: ClientId,
        push: &Push,
        now_ms: u64,
    ) -> Result<(PushAnswer, Option<Changes>), WireError> {
        let previous = session.chains.remove(&push.room);
        if push.after.is_some() && push.after != previous {
            return Err(WireError::new(ErrorCode::OutOfOrder, "the push before this one did not succeed"));
        }
        if self.failures > 0 {
            self.failures -= 1;
            return Err(WireError::new(ErrorCode::Unavailable, "not now"));
        }
        let author = Author { user: "ada".to_owned(), client };
        let pushed = hub::push(&self.store, push, &author, now_ms, &self.limits, &self.config);
        let pushed = pushed.map_err(|error| match error {
            PushError::Refused(error) => error,
            PushError::Store(never) => match never {},
        })?;
        if let Some(commit) = pushed.commit {
            self.store.apply(commit);
        }
        if pushed.answer.error.is_none() {
            let last = push.mutations.last().unwrap().client_seq;
            session.chains.insert(push.room.clone(), last);
        }
        Ok((pushed.answer, pushed.changes))
    }
}

fn decode<T: DeserializeOwned>(body: &Payload) -> T {
    match body.as_binary() {
        Some(bytes) => message::decode_compact(bytes).unwrap(),
        None => body.decode().unwrap(),
    }
}

pub(crate) fn encode<T: Serialize>(body: &T, encoding: Encoding) -> Payload {
    match encoding {
        Encoding::Plain => Payload::encode(syncline::transport::Parser::Msgpack, body).unwrap(),
        Encoding::Compact => Payload::Binary(message::encode_compact(body).unwrap().into()),
    }
}
