//! Every request, answer and event of protocol v1.
//!
//! A message travels `plain`, as a map that any Socket.IO backend can answer, or `compact`, as one binary
//! argument of positional MessagePack. Fields are only ever appended, with a default: a newer peer reads an older
//! message in both encodings, an older peer a newer one in plain. A compact message with more elements than its
//! reader knows is refused, so appending one needs a new protocol version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::document::{Checksum, Document};
use crate::error::WireError;
use crate::limits::Limits;
use crate::measure;
use crate::messagepack;
use crate::name::{ClientId, Collection, DocumentId, Room};
use crate::patch::{Patch, Path};
use crate::stamp::HybridTime;
use crate::value::{Fields, fields_byte_len};
use crate::version::VersionVector;

/// The version this crate speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// Names of the Socket.IO events.
pub mod event {
    pub const ROOM_JOIN: &str = "room:join";
    pub const ROOM_LEAVE: &str = "room:leave";
    pub const SYNC_SUBSCRIBE: &str = "sync:subscribe";
    pub const SYNC_UNSUBSCRIBE: &str = "sync:unsubscribe";
    pub const SYNC_PULL: &str = "sync:pull";
    pub const SYNC_PUSH: &str = "sync:push";
    pub const PRESENCE_JOIN: &str = "presence:join";
    pub const PRESENCE_UPDATE: &str = "presence:update";
    pub const PRESENCE_LEAVE: &str = "presence:leave";
    pub const PRESENCE_PING: &str = "presence:ping";
    pub const AUTH_REFRESH: &str = "auth:refresh";

    pub const SYNC_HELLO: &str = "sync:hello";
    pub const SYNC_CHANGES: &str = "sync:changes";
    pub const PRESENCE_DIFF: &str = "presence:diff";
    pub const USER_ONLINE: &str = "user:online";
    pub const USER_OFFLINE: &str = "user:offline";
    pub const ACCESS_LOST: &str = "access:lost";
}

/// How a message is encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    Compact,
    /// Also stands for an encoding of a newer version.
    #[default]
    #[serde(other)]
    Plain,
}

/// The handshake's auth payload. Every field but the token is ignored by a backend that does not sync.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Auth {
    #[serde(default)]
    pub token: Option<String>,
    /// Needed to push and for presence.
    #[serde(default)]
    pub client_id: Option<ClientId>,
    /// [`PROTOCOL_VERSION`] when absent.
    #[serde(default)]
    pub protocol: Option<u32>,
    /// How the client wants events encoded; answers come in the encoding of their request.
    #[serde(default)]
    pub encoding: Encoding,
}

/// The server's first event on a connection. A backend that never sends it is spoken to in `plain`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    pub protocol: u32,
    pub encoding: Encoding,
    pub limits: Limits,
    /// Milliseconds since the epoch.
    pub server_time_ms: u64,
    /// Whose token it was.
    pub user_id: String,
    /// Requests that this server takes and another need not, by their events.
    #[serde(default)]
    pub offers: Vec<String>,
}

/// `room:join`, `room:leave`, `sync:unsubscribe`, `presence:leave`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomRequest {
    pub room: Room,
}

/// The answer where there is nothing to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    pub ok: bool,
}

/// `auth:refresh`: a newer token of the same user, for the connection that there is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRefresh {
    pub token: String,
}

// The token stays out of logs.
impl std::fmt::Debug for TokenRefresh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenRefresh").finish_non_exhaustive()
    }
}

/// `access:lost`: what the connection had in a room and may have no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessLost {
    pub room: Room,
    /// Any of `read` (it is no longer subscribed), `presence` and `join`.
    pub lost: Vec<String>,
    /// Why.
    pub error: WireError,
}

/// `sync:subscribe`: asks for live changes, and for the page after `cursor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribe {
    pub room: Room,
    /// The last `seq` the client holds, 0 for none.
    pub cursor: u64,
    /// All collections when absent.
    #[serde(default)]
    pub collections: Option<Vec<Collection>>,
    /// As in [`Pull`].
    #[serde(default)]
    pub snapshot: Option<u64>,
}

/// `sync:pull`: asks for the page after `cursor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    pub room: Room,
    pub cursor: u64,
    pub limit: u32,
    /// What the first page of a reading from 0 said, until the page without `more`.
    #[serde(default)]
    pub snapshot: Option<u64>,
}

/// A part of a room's log, in order of `seq`. A document changed several times stands only at its newest place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page {
    pub changes: Vec<Document>,
    /// Where the page ends; never behind the cursor asked for, unless `reset`.
    pub cursor: u64,
    /// Whether there are changes after it.
    pub more: bool,
    /// Whether the client must forget the room's documents before it applies this page.
    #[serde(default)]
    pub reset: bool,
    /// Of the room at `cursor`, on the last page.
    #[serde(default)]
    pub checksum: Option<Checksum>,
    /// Where the log ended when this reading from 0 began, on its first page if there is more. A reader that got
    /// this far has missed no deletion up to there, though its cursor is behind.
    #[serde(default)]
    pub snapshot: Option<u64>,
}

/// `sync:push`: mutations of one room, in the order of their numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Push {
    pub room: Room,
    /// The last number of the push before this one on this connection, absent on the first and on the first after
    /// a failed one. A push that does not follow is refused whole, so that a later batch already under way never
    /// overtakes one that failed.
    pub after: Option<u64>,
    pub mutations: Vec<Mutation>,
}

/// One write of one document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mutation {
    /// Grows within a room; never used twice by a client.
    pub client_seq: u64,
    pub collection: Collection,
    pub id: DocumentId,
    pub write: Write,
    /// When it was written.
    pub time: HybridTime,
    /// The version it was based on; absent where the server merges.
    #[serde(default)]
    pub base: Option<VersionVector>,
}

impl Mutation {
    /// See [`Value::byte_len`](crate::value::Value::byte_len).
    pub fn byte_len(&self) -> usize {
        let base_clients = self.base.as_ref().map_or(0, VersionVector::len);
        measure::mutation(self.collection.as_str(), self.id.as_str(), self.write.byte_len(), base_clients)
    }
}

/// What a mutation does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Write {
    /// Makes the document; where it exists, sets these fields.
    Create(Fields),
    Update(Patch),
    Delete,
}

impl Write {
    /// See [`Value::byte_len`](crate::value::Value::byte_len).
    pub fn byte_len(&self) -> usize {
        match self {
            Self::Create(fields) => fields_byte_len(fields),
            Self::Update(patch) => patch.byte_len(),
            Self::Delete => 0,
        }
    }
}

/// The answer to `sync:push`: a result for each mutation, in order, up to the first that could not be tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PushAnswer {
    pub results: Vec<MutationResult>,
    /// Why the mutations after the last result were not tried.
    #[serde(default)]
    pub error: Option<WireError>,
}

/// What became of one mutation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MutationResult {
    pub client_seq: u64,
    pub status: MutationStatus,
    /// Where in the log the effect stands, or a later place.
    #[serde(default)]
    pub seq: Option<u64>,
    /// The current document, on conflict.
    #[serde(default)]
    pub document: Option<Document>,
    /// The fields in conflict.
    #[serde(default)]
    pub fields: Option<Vec<Path>>,
    /// Why it was rejected, also when it was so the first time and is now a duplicate.
    #[serde(default)]
    pub error: Option<WireError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MutationStatus {
    Applied,
    /// Answered before: `error` tells whether that was a rejection.
    Duplicate,
    Conflict,
    Rejected,
}

/// `sync:changes`: everything in the log from `from_seq` to `to_seq`. A hint: a client that finds a gap pulls. `D` is a
/// document, or one that is shared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Changes<D = Document> {
    pub room: Room,
    pub from_seq: u64,
    pub to_seq: u64,
    pub changes: Vec<D>,
}

/// `presence:join`, which replaces the state, and `presence:update`, which sets the fields it names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Presence {
    pub room: Room,
    /// A field that is null is removed.
    pub state: Fields,
    #[serde(default)]
    pub status: PresenceStatus,
    /// Fields of `state` that vanish by themselves, and in how many milliseconds.
    #[serde(default)]
    pub expires_ms: BTreeMap<String, u64>,
    /// How long the client is away, rather than gone, when it is not heard of: for an app in the background.
    #[serde(default)]
    pub background_lease_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum PresenceStatus {
    #[default]
    Active,
    Away,
}

/// One client present in a room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    pub client_id: ClientId,
    pub user_id: String,
    pub state: Fields,
    pub status: PresenceStatus,
    /// Fields of `state` that vanish by themselves, and in how many milliseconds.
    #[serde(default)]
    pub expires_ms: BTreeMap<String, u64>,
    /// How long ago the client last said something here while it was active, in milliseconds.
    #[serde(default)]
    pub idle_ms: u64,
}

/// The answer to `presence:join`: everybody in the room, the asker included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Members {
    pub members: Vec<Member>,
}

/// `presence:diff`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PresenceDiff {
    pub room: Room,
    pub joined: Vec<Member>,
    pub updated: Vec<Member>,
    pub left: Vec<ClientId>,
}

/// The answer to `presence:ping`, which also renews the client's lease: where the log of each subscribed room ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresencePong {
    pub heads: BTreeMap<Room, u64>,
    /// Rooms that this connection announced itself in and is not present in any more: its lease ran out.
    #[serde(default)]
    pub lapsed: Vec<Room>,
}

/// `user:online` and `user:offline`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserStatus {
    #[serde(rename = "userId")]
    pub user_id: String,
}

/// A failed request's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub error: WireError,
}

/// A message in the compact encoding.
pub fn encode_compact<T: Serialize>(message: &T) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    rmp_serde::to_vec(message)
}

/// Adds a message in the compact encoding to others.
pub fn encode_compact_into<T: Serialize>(
    message: &T,
    into: &mut Vec<u8>,
) -> Result<(), rmp_serde::encode::Error> {
    rmp_serde::encode::write(into, message)
}

/// Reads a compact message. Bytes after it are an error.
pub fn decode_compact<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, messagepack::ReadError> {
    messagepack::from_compact(bytes)
}
