//! How far each endpoint was told of each room, and which server may tell it: documents in a room of the server's own. Each
//! is changed only as it was read, so of two servers that believe to have the right, one learns that it has not.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use syncline_protocol::message::Push;
use syncline_protocol::{
    Collection, Document, DocumentId, ErrorCode, Fields, HybridTime, Mutation, NameError, Room, Value,
    WireError, Write,
};

use super::endpoint::Endpoint;
use crate::hub::{Author, Condition, DocumentKey, Effect, Term, Terms};
use crate::server_client::{SERVER_USER, server_client};
use crate::storage::Storage;

const ROOM: &str = "$server:webhooks";
const CURSORS: &str = "cursors";
const LEASES: &str = "leases";

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
}

impl Places {
    pub(super) fn new(storage: Arc<dyn Storage>) -> Result<Self, NameError> {
        let (cursors, leases) = (Collection::new(CURSORS)?, Collection::new(LEASES)?);
        Ok(Self { storage, room: Room::new(ROOM)?, cursors, leases })
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

    /// Takes or renews the right to tell an endpoint, until `until_ms` since the epoch.
    pub(super) async fn lease(
        &self,
        endpoint: &Endpoint,
        holder: &str,
        now_ms: u64,
        until_ms: u64,
    ) -> Result<Lease, WireError> {
        let id = DocumentId::new(&endpoint.name).map_err(|error| internal(&error))?;
        let key = (self.leases.clone(), id);
        let found = self.storage.documents(self.room.clone(), vec![key.clone()]).await?;
        let found = found.into_iter().next().flatten();
        if let Some(lease) = &found {
            let is_own = lease.fields.get("holder") == Some(&Value::from(holder));
            let left_ms = whole(&lease.fields, "until_ms").unwrap_or(0).saturating_sub(now_ms);
            if !is_own && left_ms > 0 {
                return Ok(Lease::OfAnother { ms: left_ms });
            }
        }
        let fields =
            Fields::from([("holder".into(), Value::from(holder)), ("until_ms".into(), number(until_ms))]);
        match self.put(key, fields, found.map(|lease| lease.seq)).await {
            Ok(_) => Ok(Lease::Held),
            // Another server was faster.
            Err(error) if error.code == ErrorCode::Conflict => Ok(Lease::OfAnother { ms: 0 }),
            Err(error) => Err(error),
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

fn number(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}
