//! How far each endpoint was told of each room, and which server may tell it: documents in a room of the server's own. Each
//! is changed only as it was read, so of two servers that believe to have the right, one learns that it has not.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};
use syncline_protocol::message::Push;
use syncline_protocol::{
    Collection, Document, DocumentId, ErrorCode, Fields, HybridTime, Mutation, NameError, Room, Value,
    WireError, Write,
};

use super::endpoint::Endpoint;
use crate::config::WebhookStart;
use crate::hub::{Author, Condition, DocumentKey, Effect, Term, Terms};
use crate::server_client::{SERVER_USER, server_client};
use crate::storage::Storage;

const ROOM: &str = "$server:webhooks";
const CURSORS: &str = "cursors";
const LEASES: &str = "leases";
const BEGINNINGS: &str = "beginnings";

/// Places that are written at once.
const WRITES_AT_ONCE: usize = 64;

/// The field of a beginning that says whether what there is has still to be passed over.
const PASSES_OVER: &str = "passes_over";

/// How often a lease that is being renewed is tried to be given up.
const RELEASES_MAX: usize = 3;

/// How far an endpoint was told of a room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) cursor: u64,
    /// As in a pull: where the log ended when the reading from 0 began.
    pub(super) snapshot: Option<u64>,
    /// The place of the document that says so, if there is one.
    held: Option<u64>,
}

impl Place {
    /// The place after a page.
    pub(super) fn on(self, cursor: u64, snapshot: Option<u64>) -> Self {
        Self { cursor, snapshot, ..self }
    }
}

/// The right to tell an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lease {
    Held,
    /// Another server has it, for so many milliseconds more.
    OfAnother {
        ms: u64,
    },
}

/// The store of places and leases.
#[derive(Clone)]
pub(super) struct Places {
    storage: Arc<dyn Storage>,
    room: Room,
    cursors: Collection,
    leases: Collection,
    beginnings: Collection,
}

impl Places {
    pub(super) fn new(storage: Arc<dyn Storage>) -> Result<Self, NameError> {
        let [cursors, leases, beginnings] = [CURSORS, LEASES, BEGINNINGS].map(Collection::new);
        let (room, cursors) = (Room::new(ROOM)?, cursors?);
        Ok(Self { storage, room, cursors, leases: leases?, beginnings: beginnings? })
    }

    /// How far an endpoint was told of rooms.
    pub(super) async fn places(&self, endpoint: &Endpoint, rooms: &[Room]) -> Result<Vec<Place>, WireError> {
        let keys = rooms.iter().map(|room| self.key(endpoint, room)).collect::<Result<Vec<_>, _>>()?;
        let documents = self.storage.documents(self.room.clone(), keys).await?;
        Ok(documents.iter().map(|document| document.as_ref().map(read_place).unwrap_or_default()).collect())
    }

    /// Notes how far an endpoint was told of a room, if nobody else did meanwhile.
    pub(super) async fn save(&self, endpoint: &Endpoint, room: &Room, place: Place) -> Result<(), WireError> {
        let mut fields = Fields::from([
            ("endpoint".into(), Value::from(endpoint.name.clone())),
            ("room".into(), Value::from(room.as_str())),
            ("cursor".into(), number(place.cursor)),
        ]);
        if let Some(snapshot) = place.snapshot {
            fields.insert("snapshot".into(), number(snapshot));
        }
        self.put(self.key(endpoint, room)?, fields, place.held).await.map(|_| ())
    }

    /// Notes, once for all servers, where a new endpoint begins; to be done before anybody takes the right to tell it.
    pub(super) async fn introduce(&self, endpoint: &Endpoint) -> Result<(), WireError> {
        let beginning = self.named(&self.beginnings, endpoint)?;
        let keys = vec![self.named(&self.leases, endpoint)?, beginning.clone()];
        let found = self.storage.documents(self.room.clone(), keys).await?;
        if found.iter().any(Option::is_some) {
            return Ok(());
        }
        let fields = Fields::from([(PASSES_OVER.into(), Value::Bool(endpoint.from == WebhookStart::Now))]);
        match self.put(beginning, fields, None).await {
            Err(error) if error.code != ErrorCode::Conflict => Err(error),
            _ => Ok(()),
        }
    }

    /// The place of the note that an endpoint has still to pass over what there is, unless it has not.
    pub(super) async fn beginning(&self, endpoint: &Endpoint) -> Result<Option<u64>, WireError> {
        let key = self.named(&self.beginnings, endpoint)?;
        let found = self.storage.documents(self.room.clone(), vec![key]).await?;
        let found = found.into_iter().flatten().next();
        let passes_over = |note: &Document| note.fields.get(PASSES_OVER) == Some(&Value::Bool(true));
        Ok(found.filter(passes_over).map(|note| note.seq))
    }

    /// Has an endpoint begin at the end of rooms in which it has no place yet.
    pub(super) async fn pass_over(
        &self,
        endpoint: &Endpoint,
        rooms: Vec<(Room, u64)>,
    ) -> Result<(), WireError> {
        let saving = rooms.into_iter().map(|(room, cursor)| async move {
            match self.save(endpoint, &room, Place { cursor, ..Place::default() }).await {
                Err(error) if error.code != ErrorCode::Conflict => Err(error),
                _ => Ok(()),
            }
        });
        let saving = futures_util::stream::iter(saving).buffer_unordered(WRITES_AT_ONCE);
        saving.try_collect::<()>().await
    }

    /// Notes that an endpoint has passed over what there was.
    pub(super) async fn begun(&self, endpoint: &Endpoint, beginning: u64) -> Result<(), WireError> {
        let key = self.named(&self.beginnings, endpoint)?;
        let fields = Fields::from([(PASSES_OVER.into(), Value::Bool(false))]);
        self.put(key, fields, Some(beginning)).await.map(drop)
    }

    /// Takes or renews the right to tell an endpoint, until `until_ms` since the epoch.
    pub(super) async fn lease(
        &self,
        endpoint: &Endpoint,
        holder: &str,
        now_ms: u64,
        until_ms: u64,
    ) -> Result<Lease, WireError> {
        let key = self.named(&self.leases, endpoint)?;
        let found = self.storage.documents(self.room.clone(), vec![key.clone()]).await?;
        let found = found.into_iter().next().flatten();
        if let Some(lease) = &found {
            let left_ms = whole(&lease.fields, "until_ms").unwrap_or(0).saturating_sub(now_ms);
            if !is_of(lease, holder) && left_ms > 0 {
                return Ok(Lease::OfAnother { ms: left_ms });
            }
        }
        match self.put(key, lease(holder, until_ms), found.map(|lease| lease.seq)).await {
            Ok(_) => Ok(Lease::Held),
            // Another server was faster.
            Err(error) if error.code == ErrorCode::Conflict => Ok(Lease::OfAnother { ms: 0 }),
            Err(error) => Err(error),
        }
    }

    /// Gives the right to tell an endpoint up, if it is this holder's.
    pub(super) async fn release(&self, endpoint: &Endpoint, holder: &str) -> Result<(), WireError> {
        let key = self.named(&self.leases, endpoint)?;
        let mut tries = 1;
        loop {
            let found = self.storage.documents(self.room.clone(), vec![key.clone()]).await?;
            let Some(held) = found.into_iter().flatten().find(|lease| is_of(lease, holder)) else {
                return Ok(());
            };
            match self.put(key.clone(), lease(holder, 0), Some(held.seq)).await {
                // A renewal was under way.
                Err(error) if error.code == ErrorCode::Conflict && tries < RELEASES_MAX => tries += 1,
                released => return released.map(drop),
            }
        }
    }

    async fn put(&self, key: DocumentKey, fields: Fields, held: Option<u64>) -> Result<u64, WireError> {
        let (collection, id) = key;
        let condition = held.map_or(Condition::Absent, |seq| Condition::At(vec![seq]));
        let write = Write::Create(fields);
        let mutation =
            Mutation { client_seq: 1, collection, id, write, time: HybridTime::default(), base: None };
        let items = vec![Term { effect: Effect::Replace, condition }];
        let author = Author {
            user: SERVER_USER.to_owned(),
            client: server_client(SERVER_USER),
            terms: Some(Terms { items, receipt: None }),
        };
        let push = Push { room: self.room.clone(), after: None, mutations: vec![mutation] };
        let result = self.storage.push(push, author).await?.results.pop();
        let missing = || WireError::new(ErrorCode::Internal, "the write was not answered");
        let result = result.ok_or_else(missing)?;
        match (result.error, result.seq) {
            (Some(error), _) => Err(error),
            (None, Some(seq)) => Ok(seq),
            (None, None) => Err(missing()),
        }
    }

    /// The one document of an endpoint in a collection.
    fn named(&self, collection: &Collection, endpoint: &Endpoint) -> Result<DocumentKey, WireError> {
        let id = DocumentId::new(&endpoint.name).map_err(|error| internal(&error))?;
        Ok((collection.clone(), id))
    }

    fn key(&self, endpoint: &Endpoint, room: &Room) -> Result<DocumentKey, WireError> {
        // A room's name may be as long as an id, so it stands there as its digest.
        let digest = Sha256::digest(room.as_str().as_bytes());
        let hex: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let id = DocumentId::new(format!("{}:{hex}", endpoint.name)).map_err(|error| internal(&error))?;
        Ok((self.cursors.clone(), id))
    }
}

fn internal(error: &NameError) -> WireError {
    WireError::new(ErrorCode::Internal, error.to_string())
}

fn read_place(document: &Document) -> Place {
    let cursor = whole(&document.fields, "cursor").unwrap_or(0);
    Place { cursor, snapshot: whole(&document.fields, "snapshot"), held: Some(document.seq) }
}

fn whole(fields: &Fields, name: &str) -> Option<u64> {
    match fields.get(name) {
        Some(Value::Int(number)) => u64::try_from(*number).ok(),
        _ => None,
    }
}

/// A lease as it is written.
fn lease(holder: &str, until_ms: u64) -> Fields {
    Fields::from([("holder".into(), Value::from(holder)), ("until_ms".into(), number(until_ms))])
}

fn is_of(lease: &Document, holder: &str) -> bool {
    lease.fields.get("holder") == Some(&Value::from(holder))
}

fn number(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}
