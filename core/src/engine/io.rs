//! What goes into the engine and what comes out of it. Read this first.
//!
//! A driver feeds [`Input`]s to [`Engine::handle`](super::Engine::handle) and carries out the [`Output`]s. In each
//! turn it keeps this order: inputs, then the store's commit (told back as [`Input::Committed`] or
//! [`Input::CommitFailed`]), then what is to be sent, then the timer for
//! [`Engine::next_deadline`](super::Engine::next_deadline), then
//! [`Engine::poll_events`](super::Engine::poll_events). So nothing is sent, and no promise resolves, before it is
//! on disk.
//!
//! [`Command`], [`Reply`] and [`Event`] are also the façade that JavaScript sees, in camel case.

use serde::{Deserialize, Deserializer, Serialize};
use syncline_protocol::{Collection, DocumentId, Fields, Room, Write};

pub use super::outcomes::RejectedWrite;
pub use super::presence::present::{PresentMember, PresentUser};
use super::query::Query;
pub use super::queue::command::QueueStatus;
use super::queue::command::{JobCommand, JobEvent, JobReply};
use super::queue::http::{HttpRequest, HttpResponse};
use super::socket::types::{
    Answer, Answered, Emit, EmitWithAck, NamespaceOptions, NamespaceStatus, SocketMessage, SocketRoom, Topic,
};
pub use super::socket::types::{ConnectionState, ConnectionStatus};
use super::trace::TraceEvent;
use crate::error::{Error, ErrorBody};
use crate::job::JobId;
use crate::secret::Secret;
use crate::store::{Conflict, StoreError};
use crate::tagged;
use crate::transport::Message;

pub use super::progress::{Progress, ProgressPhase};

/// What time it is, told by the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Microseconds on a clock that never jumps; its zero means nothing.
    pub mono_us: u64,
    /// Milliseconds on a clock that never jumps either, and goes on while the device sleeps where the system has one that
    /// does; its zero means nothing.
    pub lived_ms: u64,
    /// Milliseconds since the Unix epoch, as the device believes.
    pub wall_ms: u64,
}

impl Now {
    /// Milliseconds on the monotonic clock.
    pub fn mono_ms(self) -> u64 {
        self.mono_us / 1000
    }

    /// A deadline `ms` milliseconds from now, on the monotonic clock.
    pub fn after_ms(self, ms: u64) -> u64 {
        self.mono_us.saturating_add(ms.saturating_mul(1000))
    }

    /// How long ago `then` was, by the clock that saw more time pass: the one that never jumps may stand still while the
    /// device sleeps.
    pub fn ms_since(self, then: Self) -> u64 {
        let mono_ms = self.mono_us.saturating_sub(then.mono_us) / 1000;
        mono_ms.max(self.wall_ms.saturating_sub(then.wall_ms))
    }
}

/// Pairs a [`Command`] with its [`Output::Reply`]; chosen by the driver.
pub type RequestId = u64;

/// Numbers the sockets, so that a late event of an old one is told apart.
pub type Generation = u64;

#[derive(Debug)]
pub enum Input {
    Command {
        request: RequestId,
        command: Command,
    },
    /// The WebSocket is open; the Engine.IO handshake comes next.
    SocketOpened(Generation),
    SocketReceived(Generation, Message),
    SocketClosed(Generation, Error),
    /// A deadline is due, and since the last one bytes of a message moved that is not whole yet: `received` if the server sent them.
    SocketMoved {
        generation: Generation,
        received: bool,
    },
    /// The attempt `run` of a request is over.
    HttpDone {
        job: JobId,
        run: u64,
        result: Result<HttpResponse, Error>,
    },
    /// Everything appended to the journal so far is durable.
    Committed,
    /// Nothing appended since the last commit is in the journal.
    CommitFailed(StoreError),
    /// A deadline passed.
    Tick,
}

#[derive(Debug)]
pub enum Output {
    /// Open a WebSocket. A socket of an earlier generation is closed first.
    Open(Generation),
    Send(Message),
    /// Close the WebSocket. No event of this generation is expected any more.
    Close(Generation),
    /// Requests to come take connections of their own: those that there are may be dead without knowing.
    ForgetHttpConnections,
    /// Send an HTTP request for a job, answered by [`Input::HttpDone`].
    Http {
        job: JobId,
        run: u64,
        request: Box<HttpRequest>,
    },
    Reply(RequestId, Result<Reply, Error>),
}

/// What an app asks for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS), ts(tag = "type"))]
#[serde(remote = "Self", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Command {
    /// Answered when the session is open, or with the error of the first attempt; further attempts go on.
    Connect,
    Disconnect,
    /// `null` forgets the token. Answers `tokenNeeded`.
    SetToken {
        #[cfg_attr(feature = "contract", ts(as = "Option<String>"))]
        token: Option<Secret>,
        /// When it ends, in milliseconds since the epoch; read from the token itself when absent, if that is a JSON Web
        /// Token.
        #[serde(default)]
        #[cfg_attr(feature = "contract", ts(optional))]
        expires_at_ms: Option<u64>,
    },
    /// Answers `tokenNeeded`: there is none to be had now. Asked again later, unless `retryable` is false.
    TokenFailed {
        message: String,
        /// The request it answers; the one under way when absent.
        #[serde(default)]
        #[cfg_attr(feature = "contract", ts(optional))]
        request: Option<u64>,
        #[serde(default = "retryable")]
        #[cfg_attr(feature = "contract", ts(as = "Option<bool>", optional))]
        retryable: bool,
    },
    SetAppState {
        state: AppState,
    },
    SetNetwork {
        network: Network,
    },
    /// Counted: each needs its `unsubscribe`.
    Subscribe {
        room: Room,
    },
    Unsubscribe {
        room: Room,
    },
    /// All or nothing; answered when durable.
    Write {
        writes: Vec<WriteRequest>,
    },
    /// A fresh UUIDv7.
    NewId,
    Document {
        room: Room,
        collection: Collection,
        id: DocumentId,
    },
    /// Also subscribes the room until `unwatch`.
    Watch(Query),
    Unwatch {
        watch: WatchId,
    },
    /// Remembered, and announced again after each reconnect. Replaces the state of a room that is joined already.
    PresenceJoin {
        room: Room,
        state: Fields,
    },
    /// Sets the fields of `state`, and removes those that are null. Sent at most every `presenceThrottleMs`, the newest
    /// values last.
    PresenceUpdate {
        room: Room,
        state: Fields,
        /// After how long the fields of `state` vanish by themselves, for everybody; setting them again renews them.
        #[serde(default)]
        #[cfg_attr(feature = "contract", ts(optional))]
        expires_in_ms: Option<u64>,
    },
    PresenceLeave {
        room: Room,
    },
    /// Sent at once, or else when connected: until then it waits in memory.
    Emit(Emit),
    /// Answered with the server's answer.
    EmitWithAck(EmitWithAck),
    /// Counted: each needs its `off`.
    On(Topic),
    Off(Topic),
    Ack(Answer),
    /// Remembered, and joined again on each connection. Counted: each needs its `leaveRoom`.
    JoinRoom(SocketRoom),
    LeaveRoom(SocketRoom),
    /// Joined again on each connection; answered when the server has answered.
    ConnectNamespace(NamespaceOptions),
    DisconnectNamespace {
        namespace: String,
    },
    Connection,
    Queue,
    /// Writes that the server refused and the app has not acknowledged.
    Outcomes,
    /// Answered when durable.
    AcknowledgeOutcome {
        client_seq: u64,
    },
    /// Writes in conflict that wait for `resolveConflict`.
    Conflicts,
    /// Answered when durable.
    ResolveConflict {
        client_seq: u64,
        resolution: Resolution,
    },
    /// Connects without backoff, pulls and drains.
    SyncNow,
    /// Asks the server what is new in one room, or in all that are subscribed. Answered when that is here.
    Pull {
        #[serde(default)]
        #[cfg_attr(feature = "contract", ts(optional))]
        room: Option<Room>,
    },
    /// Sends at once what waits to be sent. Answered when the server has answered everything accepted before.
    Flush,
    /// For a background task: connects if need be, also in the background, pulls and drains. Answered at the latest
    /// after `deadlineMs`; then the connection is again what the app's state wants.
    SyncOnce {
        deadline_ms: u64,
    },
    Stats,
    /// The last events of the synchronization, for a debugging screen.
    Trace,
    /// What concerns queued events, requests and handlers.
    Jobs {
        command: JobCommand,
    },
    /// Makes everything durable and ends the client.
    Close,
}

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        tagged::read(deserializer, |tagged| Self::deserialize(tagged))
    }
}

fn retryable() -> bool {
    true
}

/// Names a watch; never used twice by a client.
pub type WatchId = u64;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
pub struct WriteRequest {
    pub room: Room,
    pub collection: Collection,
    pub id: DocumentId,
    pub write: Write,
}

/// What becomes of a write in conflict, by the app's decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// It is sent again, as newer than what the server has.
    Local,
    /// It is forgotten.
    Server,
    /// The document shall hold exactly these fields.
    Merged(Fields),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum AppState {
    #[default]
    Active,
    Inactive,
    Background,
}

/// What the system says of the network: a hint, never a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
pub struct Network {
    pub available: bool,
    /// Metered or slow.
    pub expensive: bool,
    /// `wifi`, `cellular`, `ethernet`, `none`, `unknown`; a change of kind means that sockets may be dead.
    pub kind: String,
}

impl Default for Network {
    fn default() -> Self {
        Self { available: true, expensive: false, kind: "unknown".to_owned() }
    }
}

/// The answer to a [`Command`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum Reply {
    Written {
        client_seqs: Vec<u64>,
    },
    NewId {
        id: String,
    },
    Document {
        row: Option<Row>,
    },
    /// `rows` are in the order of the watch, and `count` tells how many documents match beyond its window, too.
    Watching {
        watch: WatchId,
        rows: Vec<Row>,
        count: u64,
        room: RoomStatus,
    },
    Connection(ConnectionStatus),
    Queue(QueueStatus),
    Outcomes {
        outcomes: Vec<RejectedWrite>,
    },
    Conflicts {
        conflicts: Vec<ParkedWrite>,
    },
    SyncedOnce {
        /// Whether everything written before is answered by the server, and every room has caught up.
        complete: bool,
        /// Writes not yet confirmed.
        pending: u64,
        /// Why it is not complete.
        reason: Option<ErrorBody>,
    },
    Emitted {
        sent: bool,
        /// For a connection.
        waiting: bool,
    },
    Answered(Answered),
    /// `joined` tells whether the server has let the client in; otherwise it is asked once connected.
    Joined {
        joined: bool,
    },
    Namespace(NamespaceStatus),
    Stats(Box<crate::metrics::Stats>),
    Trace {
        events: Vec<TraceEvent>,
    },
    Jobs(JobReply),
    Done {},
}

/// A document as the app sees it: what the server confirmed, with pending writes applied.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
pub struct Row {
    pub id: String,
    pub fields: Fields,
    /// Where the room's log confirmed it last, 0 for never.
    pub seq: u64,
    /// Whether a write of this client is not confirmed yet.
    pub pending: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum RoomPhase {
    /// For the session to open.
    Waiting,
    Loading,
    Live,
    /// The server does not allow it; tried again on the next connection.
    Denied,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
pub struct RoomStatus {
    pub room: Room,
    pub state: RoomPhase,
    /// Whether the documents on this device were once all there are; `false` tells "empty" from "not loaded".
    pub complete: bool,
    pub error: Option<ErrorBody>,
}

/// A write in conflict that waits for the app's decision. It is not shown any more; later writes of its document
/// go on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct ParkedWrite {
    pub client_seq: u64,
    pub room: Room,
    pub collection: Collection,
    pub id: DocumentId,
    #[serde(flatten)]
    pub conflict: Conflict,
    pub local: Write,
    /// The fields of the server's document, `null` where there is none.
    pub server: Option<Fields>,
}

/// What an app is told without asking, at most once per turn and thing.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    Connection {
        status: ConnectionStatus,
    },
    Room {
        status: RoomStatus,
    },
    /// What changed in a watch since the last event or its reply.
    ///
    /// A list of the rows is kept in order so: with `reset`, it becomes `upserted`. Otherwise take out the rows
    /// with the ids in `removed` and those in `upserted`; then, first to last, put each row of `upserted` in at its
    /// index. A row that moved is in `upserted`; those that others pushed aside are not.
    Rows {
        watch: WatchId,
        /// Whether `upserted` are all rows there are.
        reset: bool,
        upserted: Vec<Row>,
        removed: Vec<String>,
        /// Where each row of `upserted` stands once all is done, ascending. Absent with `reset`, and in a watch that
        /// selects nothing: its rows are ordered by id.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "contract", ts(optional))]
        indexes: Option<Vec<u64>>,
        /// How many documents match, if that changed.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "contract", ts(optional))]
        count: Option<u64>,
    },
    Queue {
        status: QueueStatus,
    },
    Job {
        event: JobEvent,
    },
    Presence {
        room: Room,
        members: Vec<PresentMember>,
        /// The members by user, in the order of the user ids.
        users: Vec<PresentUser>,
        /// Why this client cannot be present there.
        error: Option<ErrorBody>,
    },
    Progress {
        progress: Progress,
    },
    Outcome {
        outcome: RejectedWrite,
    },
    /// A write waits for `resolveConflict`.
    Conflict {
        conflict: Box<ParkedWrite>,
    },
    /// Another token is needed, or soon will be. Asked once, until `setToken` or `tokenFailed` answers it or
    /// `tokenTimeoutMs` have passed.
    TokenNeeded {
        reason: ErrorBody,
        request: u64,
    },
    User {
        user_id: String,
        online: bool,
    },
    Message(SocketMessage),
    Namespace {
        status: NamespaceStatus,
    },
    /// The server did not let the client into a room again; see `Command::JoinRoom`.
    JoinRefused {
        namespace: String,
        room: Room,
        error: ErrorBody,
    },
    Error {
        error: ErrorBody,
    },
}
