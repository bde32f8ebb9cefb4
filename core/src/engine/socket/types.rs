//! What an app says and hears of the socket, as JavaScript sees it.

use serde::{Deserialize, Serialize};
use syncline_protocol::Room;

use super::cause::DisconnectCause;
use crate::argument::{Argument, portable};
use crate::error::ErrorBody;

/// An event for the server. `namespace` is the client's own when absent, here and below.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct Emit {
    #[serde(default)]
    #[cfg_attr(feature = "contract", ts(optional))]
    pub namespace: Option<String>,
    pub event: String,
    #[serde(default, with = "portable")]
    #[cfg_attr(feature = "contract", ts(type = "unknown[]"))]
    pub args: Vec<Argument>,
    /// Whether it is worth nothing later: without a connection it is dropped.
    #[serde(default)]
    #[cfg_attr(feature = "contract", ts(as = "Option<bool>", optional))]
    pub volatile: bool,
}

/// An event for the server to answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct EmitWithAck {
    #[serde(default)]
    #[cfg_attr(feature = "contract", ts(optional))]
    pub namespace: Option<String>,
    pub event: String,
    #[serde(default, with = "portable")]
    #[cfg_attr(feature = "contract", ts(type = "unknown[]"))]
    pub args: Vec<Argument>,
    /// How long to wait, from now, also for the connection; `emitTimeoutMs` when absent.
    #[serde(default)]
    #[cfg_attr(feature = "contract", ts(optional))]
    pub timeout_ms: Option<u64>,
}

/// Events that the app listens to.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
pub struct Topic {
    #[serde(default)]
    #[cfg_attr(feature = "contract", ts(optional))]
    pub namespace: Option<String>,
    /// A name, `activity:*` for all names that begin so, or `*` for all.
    pub event: String,
}

/// The app's answer to an event of the server.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
pub struct Answer {
    /// The `ack` of the message.
    pub token: u64,
    #[serde(default, with = "portable")]
    #[cfg_attr(feature = "contract", ts(type = "unknown[]"))]
    pub args: Vec<Argument>,
}

/// A room of the server's own making, without sync.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
pub struct SocketRoom {
    #[serde(default)]
    #[cfg_attr(feature = "contract", ts(optional))]
    pub namespace: Option<String>,
    pub room: Room,
}

/// A namespace beside the client's own.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
pub struct NamespaceOptions {
    pub namespace: String,
    /// Added to `{token}` in what the server is told; kept for later connections.
    #[serde(default)]
    #[cfg_attr(feature = "contract", ts(optional, type = "Record<string, unknown>"))]
    pub auth: Option<Argument>,
}

/// An event of the server.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
pub struct SocketMessage {
    pub namespace: String,
    pub event: String,
    #[serde(with = "portable")]
    #[cfg_attr(feature = "contract", ts(type = "unknown[]"))]
    pub args: Vec<Argument>,
    /// The server waits for an answer: once, and on this connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "contract", ts(optional))]
    pub ack: Option<u64>,
}

/// The server's answer to an event.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
pub struct Answered {
    #[serde(with = "portable")]
    #[cfg_attr(feature = "contract", ts(type = "unknown[]"))]
    pub args: Vec<Argument>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum NamespaceState {
    /// Not asked for on this connection, refused, or ended by the server.
    #[default]
    Idle,
    Connecting,
    Open,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
pub struct NamespaceStatus {
    pub namespace: String,
    pub state: NamespaceState,
    /// Why it is not open.
    pub reason: Option<ErrorBody>,
    pub cause: Option<DisconnectCause>,
    /// What the server sent with its refusal.
    #[serde(serialize_with = "portable::serialize_option")]
    #[cfg_attr(feature = "contract", ts(type = "unknown"))]
    pub data: Option<Argument>,
    /// Whether the server continued the session before, with the events missed since.
    pub recovered: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// Never asked to connect, disconnected by the app, or refused by the server for the reason given.
    #[default]
    Idle,
    Connecting,
    Open,
    /// Waiting for the next attempt.
    Backoff,
    /// Closed in the background.
    Suspended,
    /// The system says that there is no network; a probe goes out now and then.
    Offline,
    /// Waiting for another token.
    Unauthorized,
    Closed,
}

/// How the connection is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct ConnectionStatus {
    pub state: ConnectionState,
    /// Why it is not open.
    pub reason: Option<ErrorBody>,
    /// What ended the last connection or attempt, while none is open.
    pub cause: Option<DisconnectCause>,
    /// What the server sent with its refusal of the last attempt: the `data` of its error.
    #[serde(serialize_with = "portable::serialize_option")]
    #[cfg_attr(feature = "contract", ts(type = "unknown"))]
    pub data: Option<Argument>,
    /// Whether the server continued the session before, with the events missed since.
    pub recovered: bool,
    /// Attempts since the session was last open.
    pub attempts: u32,
    /// Milliseconds until the next attempt.
    pub retry_in_ms: Option<u64>,
    /// Whose token it is, once the server said so.
    pub user_id: Option<String>,
}
