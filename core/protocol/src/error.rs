//! Errors as they travel.

use serde::{Deserialize, Serialize};

/// Why a request, or one mutation of it, was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// No token, or one that does not hold: a new token is needed.
    Unauthorized,
    /// The token holds, but does not allow this.
    Forbidden,
    NotFound,
    /// The request itself is wrong: sending it again cannot help.
    Invalid,
    Conflict,
    TooLarge,
    RateLimited,
    UnsupportedProtocol,
    /// A push did not follow the one before it on this connection; nothing of it was applied.
    OutOfOrder,
    /// The server cannot answer now.
    Unavailable,
    Internal,
    /// A code of a newer protocol.
    #[serde(other)]
    Unknown,
}

/// What a sender does after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS), ts(rename = "RetryClass"))]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// The same request may succeed later.
    Later,
    /// The same request may succeed with a new token.
    AfterAuth,
    /// The same request will never succeed.
    Never,
}

impl ErrorCode {
    pub fn retry(self) -> Retry {
        match self {
            Self::RateLimited | Self::OutOfOrder | Self::Unavailable | Self::Internal => Retry::Later,
            Self::Unauthorized => Retry::AfterAuth,
            Self::Forbidden
            | Self::NotFound
            | Self::Invalid
            | Self::Conflict
            | Self::TooLarge
            | Self::UnsupportedProtocol
            | Self::Unknown => Retry::Never,
        }
    }

    /// Reads the code's spelling on the wire; `None` for text that is no code of this version.
    pub fn from_wire(text: &str) -> Option<Self> {
        [
            Self::Unauthorized,
            Self::Forbidden,
            Self::NotFound,
            Self::Invalid,
            Self::Conflict,
            Self::TooLarge,
            Self::RateLimited,
            Self::UnsupportedProtocol,
            Self::OutOfOrder,
            Self::Unavailable,
            Self::Internal,
        ]
        .into_iter()
        .find(|code| code.as_str() == text)
    }

    /// The code as it is spelled on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Invalid => "invalid",
            Self::Conflict => "conflict",
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::UnsupportedProtocol => "unsupported_protocol",
            Self::OutOfOrder => "out_of_order",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
            Self::Unknown => "unknown",
        }
    }
}

/// The body of an error: `{code, message, retry_after_ms}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct WireError {
    pub code: ErrorCode,
    pub message: String,
    /// When to try again, in milliseconds from now; the sender's own backoff when absent.
    #[serde(default)]
    pub retry_after_ms: Option<u64>,
}

impl WireError {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after_ms: None }
    }
}
