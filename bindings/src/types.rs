//! The values of the typed API. Document fields, states and patches cross as JSON text, which every platform reads
//! into its own types.

use std::fmt;

use syncline::engine::io::{self, RoomPhase};
use syncline::store::{EncryptionKey, InvalidKey};
use syncline::{Error, ErrorBody, StoreKind};
use syncline_protocol::message::PresenceStatus;

use crate::error::{RetryClass, SynclineError};

pub use crate::progress::{Phase, ProgressInfo};
pub use crate::socket::ConnectionInfo;

/// How a client is opened.
#[derive(Clone, uniffi::Record)]
pub struct ClientOptions {
    /// Scheme, host and port: `https://sync.example.com`.
    pub url: String,
    /// Where everything is kept, owned by this client; nothing is kept when absent.
    pub directory: Option<String>,
    pub token: Option<String>,
    /// The namespace of the session; `/` when absent.
    #[uniffi(default = None)]
    pub namespace: Option<String>,
    /// The notation of Socket.IO packets that the server is configured with: `msgpack` when absent, or `json`.
    #[uniffi(default = None)]
    pub parser: Option<String>,
    /// A private authority to believe instead of the system's, as PEM.
    #[uniffi(default = None)]
    pub ca_pem: Option<String>,
    #[uniffi(default = true)]
    pub auto_connect: bool,
    /// Settings that differ from their defaults, as a JSON object.
    #[uniffi(default = None)]
    pub settings_json: Option<String>,
    /// Who decides when two clients write a document at once; the server merges when absent.
    #[uniffi(default = None)]
    pub conflict: Option<ConflictStrategy>,
    /// What is different for some collections, as a JSON object: `{"drafts": {"conflict": "manual"}}`.
    #[uniffi(default = None)]
    pub collections_json: Option<String>,
    /// The version of the app's documents and the migrations to it, as a JSON object:
    /// `{"version": 2, "migrations": [{"to": 2, "steps": [{"removeCollection": {"collection": "drafts"}}]}]}`.
    #[uniffi(default = None)]
    pub schema_json: Option<String>,
    /// Keys that the server must have, `sha256/BASE64` each, at least two; any when empty.
    #[uniffi(default = [])]
    pub pins: Vec<String>,
    /// An HTTP proxy to go through: `http://user:password@host:port`.
    #[uniffi(default = None)]
    pub proxy: Option<String>,
    /// Encrypts everything in the directory: 32 random bytes, which the app keeps in the system's key store.
    #[uniffi(default = None)]
    pub encryption_key: Option<Vec<u8>>,
    /// Keys that the directory may still be encrypted with; then it is written anew with the present one.
    #[uniffi(default = [])]
    pub previous_encryption_keys: Vec<Vec<u8>>,
    /// Names this installation of the app, in any way that a backup does not restore.
    #[uniffi(default = None)]
    pub installation_id: Option<String>,
}

/// Without the token and the proxy's password, and of a key whether there is one.
impl fmt::Debug for ClientOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directory = (&self.directory, self.encryption_key.is_some());
        formatter
            .debug_struct("ClientOptions")
            .field("url", &self.url)
            .field("directory", &directory)
            .finish_non_exhaustive()
    }
}

fn encryption_key(bytes: &[u8]) -> Result<EncryptionKey, SynclineError> {
    let bytes = bytes.try_into().map_err(|_| Error::new(syncline::Code::Invalid, InvalidKey.to_string()))?;
    Ok(EncryptionKey::from_bytes(bytes))
}

impl TryFrom<ClientOptions> for syncline::ClientConfig {
    type Error = SynclineError;

    fn try_from(options: ClientOptions) -> Result<Self, SynclineError> {
        let store = if options.directory.is_some() { StoreKind::Disk } else { StoreKind::Memory };
        let parser = options.parser.map(|name| from_json(&to_json(&name))).transpose()?;
        let settings = options.settings_json.as_deref().map(from_json).transpose()?.unwrap_or_default();
        Ok(Self {
            directory: options.directory.map(Into::into),
            store,
            token: options.token,
            namespace: options.namespace,
            parser: parser.unwrap_or_default(),
            ca_pem: options.ca_pem,
            pins: options.pins,
            proxy: options.proxy,
            auto_connect: options.auto_connect,
            settings,
            conflict: options.conflict.map(Into::into).unwrap_or_default(),
            collections: options.collections_json.as_deref().map(from_json).transpose()?.unwrap_or_default(),
            schema: options.schema_json.as_deref().map(from_json).transpose()?.unwrap_or_default(),
            encryption_key: options.encryption_key.as_deref().map(encryption_key).transpose()?,
            previous_encryption_keys: options
                .previous_encryption_keys
                .iter()
                .map(|key| encryption_key(key))
                .collect::<Result<_, _>>()?,
            installation_id: options.installation_id,
            ..Self::new(options.url)
        })
    }
}

/// Who decides when two clients wrote a document without having seen each other's write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum ConflictStrategy {
    Merge,
    LastWriteWins,
    FirstWriteWins,
    ServerWins,
    ClientWins,
    Manual,
}

impl From<ConflictStrategy> for syncline::ConflictStrategy {
    fn from(strategy: ConflictStrategy) -> Self {
        match strategy {
            ConflictStrategy::Merge => Self::Merge,
            ConflictStrategy::LastWriteWins => Self::LastWriteWins,
            ConflictStrategy::FirstWriteWins => Self::FirstWriteWins,
            ConflictStrategy::ServerWins => Self::ServerWins,
            ConflictStrategy::ClientWins => Self::ClientWins,
            ConflictStrategy::Manual => Self::Manual,
        }
    }
}

/// Reads JSON that the app gave.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, SynclineError> {
    serde_json::from_str(json).map_err(|error| Error::new(syncline::Code::Invalid, error.to_string()).into())
}

/// Writes JSON for the app; the types it is used on always have a JSON form.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// A document as the app sees it: what the server confirmed, with pending writes applied.
#[derive(Debug, Clone, uniffi::Record)]
pub struct Row {
    pub id: String,
    pub fields_json: String,
    /// Where the room's log confirmed it last, 0 for never.
    pub seq: u64,
    pub pending: bool,
}

impl From<io::Row> for Row {
    fn from(row: io::Row) -> Self {
        Self { fields_json: to_json(&row.fields), id: row.id, seq: row.seq, pending: row.pending }
    }
}

#[derive(Debug, Clone, uniffi::Record)]
pub struct ErrorInfo {
    pub code: String,
    pub message: String,
    /// Whether `retry` is not `Never`.
    pub retryable: bool,
    /// What helps.
    pub retry: RetryClass,
}

impl From<ErrorBody> for ErrorInfo {
    fn from(error: ErrorBody) -> Self {
        let ErrorBody { code, message, retryable, retry } = error;
        Self { code: code.as_str().to_owned(), message, retryable, retry: retry.into() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum AppState {
    Active,
    Inactive,
    Background,
}

impl From<AppState> for io::AppState {
    fn from(state: AppState) -> Self {
        match state {
            AppState::Active => Self::Active,
            AppState::Inactive => Self::Inactive,
            AppState::Background => Self::Background,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum State {
    Idle,
    Connecting,
    Open,
    Backoff,
    Suspended,
    Offline,
    Unauthorized,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum RoomState {
    Waiting,
    Loading,
    Live,
    Denied,
}

#[derive(Debug, Clone, uniffi::Record)]
pub struct RoomInfo {
    pub room: String,
    pub state: RoomState,
    /// Whether the documents on this device were once all there are.
    pub complete: bool,
    pub error: Option<ErrorInfo>,
}

impl From<io::RoomStatus> for RoomInfo {
    fn from(status: io::RoomStatus) -> Self {
        let state = match status.state {
            RoomPhase::Waiting => RoomState::Waiting,
            RoomPhase::Loading => RoomState::Loading,
            RoomPhase::Live => RoomState::Live,
            RoomPhase::Denied => RoomState::Denied,
        };
        Self {
            room: status.room.to_string(),
            state,
            complete: status.complete,
            error: status.error.map(Into::into),
        }
    }
}

#[derive(Debug, Clone, uniffi::Record)]
pub struct QueueInfo {
    pub count: u64,
    pub bytes: u64,
    pub processing: bool,
    pub writes: u64,
    pub events: u64,
    pub requests: u64,
    pub handlers: u64,
    pub dead_letters: u64,
    pub paused: bool,
}

impl From<io::QueueStatus> for QueueInfo {
    fn from(status: io::QueueStatus) -> Self {
        Self {
            count: status.count,
            bytes: status.bytes,
            processing: status.processing,
            writes: status.writes,
            events: status.events,
            requests: status.requests,
            handlers: status.handlers,
            dead_letters: status.dead_letters,
            paused: status.paused,
        }
    }
}

/// The rows a watch begins with.
#[derive(Debug, Clone, uniffi::Record)]
pub struct Watching {
    pub watch: u64,
    pub rows: Vec<Row>,
    /// How many documents match, beyond the window too.
    pub count: u64,
    pub room: RoomInfo,
}

/// A write that the server refused, kept until it is acknowledged.
#[derive(Debug, Clone, uniffi::Record)]
pub struct RejectedWrite {
    pub client_seq: u64,
    pub room: String,
    pub collection: String,
    pub id: String,
    pub write_json: String,
    pub error: ErrorInfo,
    /// What it was in conflict with, where that was the reason.
    #[uniffi(default = None)]
    pub conflict: Option<ConflictInfo>,
}

impl From<io::RejectedWrite> for RejectedWrite {
    fn from(rejected: io::RejectedWrite) -> Self {
        Self {
            client_seq: rejected.client_seq,
            room: rejected.request.room.to_string(),
            collection: rejected.request.collection.to_string(),
            id: rejected.request.id.to_string(),
            write_json: to_json(&rejected.request.write),
            error: rejected.error.into(),
            conflict: rejected.conflict.map(Into::into),
        }
    }
}

/// What two writes of one document did, this client's first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum ConflictKind {
    UpdateUpdate,
    UpdateDelete,
    DeleteUpdate,
}

#[derive(Debug, Clone, uniffi::Record)]
pub struct ConflictInfo {
    pub kind: ConflictKind,
    /// The paths that both sides wrote.
    pub fields: Vec<String>,
}

impl From<syncline::store::Conflict> for ConflictInfo {
    fn from(conflict: syncline::store::Conflict) -> Self {
        let kind = match conflict.kind {
            syncline_protocol::ConflictKind::UpdateUpdate => ConflictKind::UpdateUpdate,
            syncline_protocol::ConflictKind::UpdateDelete => ConflictKind::UpdateDelete,
            syncline_protocol::ConflictKind::DeleteUpdate => ConflictKind::DeleteUpdate,
        };
        Self { kind, fields: conflict.fields.iter().map(ToString::to_string).collect() }
    }
}

/// A write in conflict that waits for the app's decision.
#[derive(Debug, Clone, uniffi::Record)]
pub struct ParkedWrite {
    pub client_seq: u64,
    pub room: String,
    pub collection: String,
    pub id: String,
    pub conflict: ConflictInfo,
    pub local_json: String,
    /// The fields of the server's document; absent where there is none.
    pub server_json: Option<String>,
}

impl From<io::ParkedWrite> for ParkedWrite {
    fn from(parked: io::ParkedWrite) -> Self {
        Self {
            client_seq: parked.client_seq,
            room: parked.room.to_string(),
            collection: parked.collection.to_string(),
            id: parked.id.to_string(),
            conflict: parked.conflict.into(),
            local_json: to_json(&parked.local),
            server_json: parked.server.as_ref().map(to_json),
        }
    }
}

/// What becomes of a write in conflict.
#[derive(Debug, Clone, uniffi::Enum)]
pub enum ConflictResolution {
    /// It is sent again, as newer than what the server has.
    Local,
    /// It is forgotten.
    Server,
    /// The document shall hold exactly these fields, a JSON object.
    Merged { fields_json: String },
}

impl TryFrom<ConflictResolution> for io::Resolution {
    type Error = SynclineError;

    fn try_from(resolution: ConflictResolution) -> Result<Self, SynclineError> {
        Ok(match resolution {
            ConflictResolution::Local => Self::Local,
            ConflictResolution::Server => Self::Server,
            ConflictResolution::Merged { fields_json } => Self::Merged(from_json(&fields_json)?),
        })
    }
}

#[derive(Debug, Clone, uniffi::Record)]
pub struct Member {
    pub client_id: String,
    pub user_id: String,
    pub state_json: String,
    /// Whether the app is in the background there.
    pub away: bool,
    /// Whether it is this client.
    pub me: bool,
}

impl From<io::PresentMember> for Member {
    fn from(member: io::PresentMember) -> Self {
        Self {
            state_json: to_json(&member.state),
            client_id: member.client_id,
            user_id: member.user_id,
            away: member.status == PresenceStatus::Away,
            me: member.me,
        }
    }
}

/// A user in a room, with all of their devices there.
#[derive(Debug, Clone, uniffi::Record)]
pub struct PresentUser {
    pub user_id: String,
    /// Whether the app is in the background on every device.
    pub away: bool,
    pub devices: u64,
    /// What the device shows that was active last.
    pub state_json: String,
    /// Whether this client is one of the devices.
    pub me: bool,
    /// The devices, as the members name them.
    pub client_ids: Vec<String>,
}

impl From<io::PresentUser> for PresentUser {
    fn from(user: io::PresentUser) -> Self {
        Self {
            state_json: to_json(&user.state),
            user_id: user.user_id,
            away: user.status == PresenceStatus::Away,
            devices: user.devices,
            me: user.me,
            client_ids: user.client_ids,
        }
    }
}

/// What became of one round of synchronization.
#[derive(Debug, Clone, uniffi::Record)]
pub struct SyncReport {
    /// Whether everything written before is answered by the server, and every room has caught up.
    pub complete: bool,
    /// Writes not yet confirmed.
    pub pending: u64,
    /// Why it is not complete.
    pub reason: Option<ErrorInfo>,
}
