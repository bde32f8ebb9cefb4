//! Why a connection, or an attempt at one, ended.

use serde::Serialize;

use crate::engine::io::ConnectionState;
use crate::error::{Code, Error};

/// What ended a connection. The error beside it says more, where something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum DisconnectCause {
    /// The server ended the session.
    ServerDisconnect,
    /// The server ended one namespace; the connection goes on.
    NamespaceDisconnect,
    /// The server's heartbeat stopped.
    PingTimeout,
    /// A request of the sync protocol was not answered in time.
    RequestTimeout,
    /// The server did not answer the handshake in time.
    ConnectTimeout,
    /// The connection was closed or lost.
    TransportClosed,
    /// The connection failed in another way.
    TransportError,
    /// There was no connection to begin with.
    ConnectFailed,
    /// The server refused the session.
    Refused,
    /// The server no longer accepts the token, or there is none.
    Unauthorized,
    /// The app asked for it.
    ClientDisconnect,
    /// The app is in the background.
    Suspended,
    /// Another token takes another connection.
    TokenChanged,
    /// Another network takes another connection.
    NetworkChanged,
    /// The system says that there is no network.
    NetworkLost,
    /// The server broke the protocol, or speaks another one.
    ProtocolError,
}

impl DisconnectCause {
    /// What the socket's end means.
    pub(in crate::engine) fn of_socket(error: &Error, was_open: bool) -> Self {
        match (error.code, was_open) {
            (Code::Protocol | Code::UnsupportedProtocol, _) => Self::ProtocolError,
            (Code::Unauthorized | Code::Forbidden, _) => Self::Unauthorized,
            (Code::Timeout, false) => Self::ConnectTimeout,
            (_, false) => Self::ConnectFailed,
            (Code::Unreachable | Code::Unavailable, true) => Self::TransportClosed,
            (_, true) => Self::TransportError,
        }
    }

    /// What the session's end means when nothing else is known of it.
    pub(in crate::engine) fn of_session(state: ConnectionState, reason: Option<&Error>) -> Self {
        match (state, reason.map(|reason| reason.code)) {
            (ConnectionState::Suspended, None) => Self::Suspended,
            (ConnectionState::Closed, _) | (_, None) => Self::ClientDisconnect,
            (_, Some(Code::Offline)) => Self::NetworkLost,
            (_, Some(Code::NoAuthToken | Code::Unauthorized | Code::Forbidden)) => Self::Unauthorized,
            (_, Some(Code::Protocol | Code::UnsupportedProtocol)) => Self::ProtocolError,
            (_, Some(_)) => Self::TransportError,
        }
    }
}
