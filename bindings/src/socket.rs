//! The typed API of the socket: the app's own events over the connection. Arguments and answers are JSON arrays.

use syncline::Command;
use syncline::engine::io::{ConnectionState, Reply};
use syncline::engine::socket::cause::DisconnectCause;
use syncline::engine::socket::types::{
    self, Answer, Emit, EmitWithAck, NamespaceOptions, NamespaceState, SocketRoom, Topic,
};

use crate::client::{SynclineClient, parse_room, unexpected};
use crate::error::SynclineError;
use crate::parcel::Parcel;
use crate::types::{ErrorInfo, State, from_json, to_json};

type Result<T> = std::result::Result<T, SynclineError>;

/// Whether an event went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum Emitted {
    Sent,
    /// It waits in memory for a connection.
    Waiting,
    /// It was volatile, and there is no connection.
    Dropped,
}

/// An event of the server.
#[derive(Debug, Clone, uniffi::Record)]
pub struct SocketMessage {
    pub namespace: String,
    pub event: String,
    pub args: Parcel,
    /// The server waits for an answer: see `ack`.
    pub ack: Option<u64>,
}

impl From<types::SocketMessage> for SocketMessage {
    fn from(message: types::SocketMessage) -> Self {
        let types::SocketMessage { namespace, event, args, ack } = message;
        Self { namespace, event, args: Parcel::of_all(args), ack }
    }
}

#[derive(Debug, Clone, uniffi::Record)]
pub struct NamespaceInfo {
    pub namespace: String,
    pub is_open: bool,
    /// Why it is not open.
    pub reason: Option<ErrorInfo>,
    /// What ended it, spelled as in JavaScript: `namespace_disconnect`.
    pub cause: Option<String>,
    /// What the server sent with its refusal.
    pub data: Option<Parcel>,
    /// Whether the server continued the session before.
    pub recovered: bool,
}

impl From<types::NamespaceStatus> for NamespaceInfo {
    fn from(status: types::NamespaceStatus) -> Self {
        Self {
            namespace: status.namespace,
            is_open: status.state == NamespaceState::Open,
            reason: status.reason.map(Into::into),
            cause: status.cause.map(cause_text),
            data: status.data.map(Parcel::of_one),
            recovered: status.recovered,
        }
    }
}

#[derive(Debug, Clone, uniffi::Record)]
pub struct ConnectionInfo {
    pub state: State,
    pub reason: Option<ErrorInfo>,
    /// What ended the last connection or attempt, spelled as in JavaScript: `ping_timeout`.
    pub cause: Option<String>,
    /// What the server sent with its refusal.
    pub data: Option<Parcel>,
    /// Whether the server continued the session before.
    pub recovered: bool,
    pub attempts: u32,
    pub retry_in_ms: Option<u64>,
    pub user_id: Option<String>,
}

impl From<types::ConnectionStatus> for ConnectionInfo {
    fn from(status: types::ConnectionStatus) -> Self {
        let state = match status.state {
            ConnectionState::Idle => State::Idle,
            ConnectionState::Connecting => State::Connecting,
            ConnectionState::Open => State::Open,
            ConnectionState::Backoff => State::Backoff,
            ConnectionState::Suspended => State::Suspended,
            ConnectionState::Offline => State::Offline,
            ConnectionState::Unauthorized => State::Unauthorized,
            ConnectionState::Closed => State::Closed,
        };
        Self {
            state,
            reason: status.reason.map(Into::into),
            cause: status.cause.map(cause_text),
            data: status.data.map(Parcel::of_one),
            recovered: status.recovered,
            attempts: status.attempts,
            retry_in_ms: status.retry_in_ms,
            user_id: status.user_id,
        }
    }
}

fn cause_text(cause: DisconnectCause) -> String {
    to_json(&cause).trim_matches('"').to_owned()
}

#[uniffi::export]
impl SynclineClient {
    /// Sends an event, at once or as soon as there is a connection; a `volatile` one at once or never.
    #[uniffi::method(default(volatile = false, namespace = None))]
    pub async fn emit(
        &self,
        event: String,
        args: Parcel,
        volatile: bool,
        namespace: Option<String>,
    ) -> Result<Emitted> {
        let emit = Emit { namespace, event, args: args.into_all()?, volatile };
        match self.inner.execute(Command::Emit(emit)).await? {
            Reply::Emitted { sent: true, .. } => Ok(Emitted::Sent),
            Reply::Emitted { waiting: true, .. } => Ok(Emitted::Waiting),
            Reply::Emitted { .. } => Ok(Emitted::Dropped),
            other => Err(unexpected(&other)),
        }
    }

    /// Returns the arguments of the server's answer.
    #[uniffi::method(default(timeout_ms = None, namespace = None))]
    pub async fn emit_with_ack(
        &self,
        event: String,
        args: Parcel,
        timeout_ms: Option<u64>,
        namespace: Option<String>,
    ) -> Result<Parcel> {
        let emit = EmitWithAck { namespace, event, args: args.into_all()?, timeout_ms };
        match self.inner.execute(Command::EmitWithAck(emit)).await? {
            Reply::Answered(answered) => Ok(Parcel::of_all(answered.args)),
            other => Err(unexpected(&other)),
        }
    }

    /// Listens to an event of the server: a name, `activity:*` for all that begin so, or `*`. Counted: each needs its
    /// `off`.
    #[uniffi::method(default(namespace = None))]
    pub async fn on(&self, event: String, namespace: Option<String>) -> Result<()> {
        self.run(Command::On(Topic { namespace, event })).await
    }

    #[uniffi::method(default(namespace = None))]
    pub async fn off(&self, event: String, namespace: Option<String>) -> Result<()> {
        self.run(Command::Off(Topic { namespace, event })).await
    }

    /// Answers an event of the server, once.
    pub async fn ack(&self, token: u64, args: Parcel) -> Result<()> {
        self.run(Command::Ack(Answer { token, args: args.into_all()? })).await
    }

    /// Enters a room by an event, again on each connection. Returns whether the server has let the client in; otherwise
    /// it is asked once connected.
    #[uniffi::method(default(namespace = None))]
    pub async fn join_room(&self, room: String, namespace: Option<String>) -> Result<bool> {
        let room = SocketRoom { namespace, room: parse_room(&room)? };
        match self.inner.execute(Command::JoinRoom(room)).await? {
            Reply::Joined { joined } => Ok(joined),
            other => Err(unexpected(&other)),
        }
    }

    #[uniffi::method(default(namespace = None))]
    pub async fn leave_room(&self, room: String, namespace: Option<String>) -> Result<()> {
        self.run(Command::LeaveRoom(SocketRoom { namespace, room: parse_room(&room)? })).await
    }

    /// Joins a namespace beside the client's own, again on each connection. `auth_json` is an object for the server.
    #[uniffi::method(default(auth_json = None))]
    pub async fn connect_namespace(
        &self,
        namespace: String,
        auth_json: Option<String>,
    ) -> Result<NamespaceInfo> {
        let auth = auth_json.as_deref().map(from_json).transpose()?;
        match self.inner.execute(Command::ConnectNamespace(NamespaceOptions { namespace, auth })).await? {
            Reply::Namespace(status) => Ok(status.into()),
            other => Err(unexpected(&other)),
        }
    }

    pub async fn disconnect_namespace(&self, namespace: String) -> Result<()> {
        self.run(Command::DisconnectNamespace { namespace }).await
    }
}
