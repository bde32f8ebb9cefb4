//! The one error that the client reports, in every language.

use serde::{Deserialize, Serialize};
use syncline_protocol::error::Retry;
use syncline_protocol::{ErrorCode, NameError, PatchError, WireError};

use crate::engine::query::WatchError;
use crate::schema::SchemaError;
use crate::store::{IndexError, StoreError};

/// What went wrong, as far as a caller can act on it. The spelling in [`Code::as_str`] is the same in every
/// language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
pub enum Code {
    /// A token is needed and none is set.
    NoAuthToken,
    /// The server does not accept the token.
    Unauthorized,
    /// The token does not allow this.
    Forbidden,
    /// The system says that there is no network.
    Offline,
    /// No connection to the server: not there, no route, TLS failed, not a Socket.IO server.
    Unreachable,
    /// The server's certificate is believed, but none of its keys is pinned.
    TlsPinMismatch,
    /// No certificate can be judged: on Android, the system's own check was not set up; elsewhere, it has no authorities.
    TlsNotReady,
    InvalidUrl,
    /// The request is malformed: an id, a path, a setting, a patch.
    Invalid,
    TooLarge,
    NotFound,
    /// The outbox is at its cap; nothing was accepted.
    QueueFull,
    /// Another process has the directory open.
    InUse,
    DiskFull,
    /// The disk failed.
    Storage,
    /// The data is encrypted with another key than was given; nothing was touched.
    WrongKey,
    /// The system keeps the files closed until the device is unlocked.
    Locked,
    /// A newer version of the app wrote the data, with a newer schema; nothing was touched.
    SchemaTooNew,
    /// The server broke the protocol.
    Protocol,
    UnsupportedProtocol,
    /// No answer in time.
    Timeout,
    /// The client was closed.
    Closed,
    RateLimited,
    Conflict,
    /// The server cannot answer now.
    Unavailable,
    Internal,
}

impl Code {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoAuthToken => "no_auth_token",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Offline => "offline",
            Self::Unreachable => "unreachable",
            Self::TlsPinMismatch => "tls_pin_mismatch",
            Self::TlsNotReady => "tls_not_ready",
            Self::InvalidUrl => "invalid_url",
            Self::Invalid => "invalid",
            Self::TooLarge => "too_large",
            Self::NotFound => "not_found",
            Self::QueueFull => "queue_full",
            Self::InUse => "in_use",
            Self::DiskFull => "disk_full",
            Self::Storage => "storage",
            Self::WrongKey => "wrong_key",
            Self::Locked => "locked",
            Self::SchemaTooNew => "schema_too_new",
            Self::Protocol => "protocol",
            Self::UnsupportedProtocol => "unsupported_protocol",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::RateLimited => "rate_limited",
            Self::Conflict => "conflict",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// What helps after this error.
    pub fn retry(self) -> Retry {
        match self {
            Self::Offline
            | Self::Unreachable
            | Self::TlsPinMismatch
            | Self::TlsNotReady
            | Self::QueueFull
            | Self::InUse
            | Self::DiskFull
            | Self::Locked
            | Self::Protocol
            | Self::Timeout
            | Self::RateLimited
            | Self::Unavailable
            | Self::Internal => Retry::Later,
            Self::NoAuthToken | Self::Unauthorized => Retry::AfterAuth,
            Self::Forbidden
            | Self::InvalidUrl
            | Self::Invalid
            | Self::TooLarge
            | Self::NotFound
            | Self::Storage
            | Self::WrongKey
            | Self::SchemaTooNew
            | Self::UnsupportedProtocol
            | Self::Closed
            | Self::Conflict => Retry::Never,
        }
    }
}

/// The longest pause that a server's advice can ask for, in milliseconds: a mistake there must not silence a client.
pub const RETRY_AFTER_MS_MAX: u64 = 60 * 60 * 1000;

/// An error with its code. The message is for people and never holds a token or a document's contents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct Error {
    pub code: Code,
    pub message: String,
    /// The server's advice, in milliseconds from now; at most [`RETRY_AFTER_MS_MAX`].
    pub retry_after_ms: Option<u64>,
}

impl Error {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after_ms: None }
    }

    /// Whether the same request may succeed later without a change to it.
    pub fn retryable(&self) -> bool {
        self.code.retry() != Retry::Never
    }

    pub(crate) fn closed() -> Self {
        Self::new(Code::Closed, "the client is closed")
    }
}

/// How an error reaches JavaScript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
pub struct ErrorBody {
    pub code: Code,
    pub message: String,
    /// Whether the same request may succeed later without a change to it: `retry` is not `never`.
    pub retryable: bool,
    /// What helps.
    pub retry: Retry,
}

impl From<Error> for ErrorBody {
    fn from(error: Error) -> Self {
        let retry = error.code.retry();
        Self { code: error.code, retryable: error.retryable(), retry, message: error.message }
    }
}

impl From<WireError> for Error {
    fn from(error: WireError) -> Self {
        let code = match error.code {
            ErrorCode::Unauthorized => Code::Unauthorized,
            ErrorCode::Forbidden => Code::Forbidden,
            ErrorCode::NotFound => Code::NotFound,
            ErrorCode::Invalid | ErrorCode::Unknown => Code::Invalid,
            ErrorCode::Conflict => Code::Conflict,
            ErrorCode::TooLarge => Code::TooLarge,
            ErrorCode::RateLimited => Code::RateLimited,
            ErrorCode::UnsupportedProtocol => Code::UnsupportedProtocol,
            ErrorCode::OutOfOrder | ErrorCode::Unavailable => Code::Unavailable,
            ErrorCode::Internal => Code::Internal,
        };
        let retry_after_ms = error.retry_after_ms.map(|ms| ms.min(RETRY_AFTER_MS_MAX));
        Self { code, message: error.message, retry_after_ms }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::InUse => Code::InUse,
            StoreError::Full => Code::DiskFull,
            // The next call finds an empty cache, which fills again.
            StoreError::CacheLost { .. } => Code::Unavailable,
            StoreError::TooLarge { .. } => Code::TooLarge,
            StoreError::WrongKey => Code::WrongKey,
            StoreError::Locked => Code::Locked,
            StoreError::Journal(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                Code::Locked
            }
            StoreError::TooNew { .. }
            | StoreError::Journal(_)
            | StoreError::Io(_)
            | StoreError::Unreadable(_)
            | StoreError::Encode(_) => Code::Storage,
        };
        Self::new(code, error.to_string())
    }
}

impl From<SchemaError> for Error {
    fn from(error: SchemaError) -> Self {
        let code = match error {
            SchemaError::TooNew { .. } => Code::SchemaTooNew,
            SchemaError::Store(error) => return error.into(),
            SchemaError::Version
            | SchemaError::Order { .. }
            | SchemaError::Missing { .. }
            | SchemaError::Step { .. } => Code::Invalid,
        };
        Self::new(code, error.to_string())
    }
}

impl From<IndexError> for Error {
    fn from(error: IndexError) -> Self {
        Self::new(Code::Invalid, error.to_string())
    }
}

impl From<WatchError> for Error {
    fn from(error: WatchError) -> Self {
        match error {
            WatchError::Selection(error) => Self::new(Code::Invalid, error.to_string()),
            WatchError::Store(error) => error.into(),
        }
    }
}

impl From<NameError> for Error {
    fn from(error: NameError) -> Self {
        Self::new(Code::Invalid, error.to_string())
    }
}

impl From<PatchError> for Error {
    fn from(error: PatchError) -> Self {
        Self::new(Code::Invalid, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_cannot_silence_a_client_for_ever() {
        let error =
            WireError { retry_after_ms: Some(u64::MAX), ..WireError::new(ErrorCode::Unavailable, "not now") };
        assert_eq!(Error::from(error).retry_after_ms, Some(RETRY_AFTER_MS_MAX));
    }
}
