//! Errors as Swift, Kotlin and Python see them.

use syncline::Error;
use syncline_protocol::error::Retry;

/// What helps after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum RetryClass {
    /// The same call may succeed later.
    Later,
    /// The same call may succeed with a new token.
    AfterAuth,
    /// The same call will never succeed.
    Never,
}

impl From<Retry> for RetryClass {
    fn from(retry: Retry) -> Self {
        match retry {
            Retry::Later => Self::Later,
            Retry::AfterAuth => Self::AfterAuth,
            Retry::Never => Self::Never,
        }
    }
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, uniffi::Error)]
pub enum SynclineError {
    /// `code` is stable and the same in every language, `retryable` tells whether the same call may succeed
    /// later, `reason` is for people.
    #[error("{code}: {reason}")]
    Failed { code: String, reason: String, retryable: bool, retry: RetryClass },
    /// Its handle was cancelled. What was begun may still take effect.
    #[error("the call was cancelled")]
    Cancelled,
}

impl From<Error> for SynclineError {
    fn from(error: Error) -> Self {
        Self::Failed {
            code: error.code.as_str().to_owned(),
            retryable: error.retryable(),
            retry: error.code.retry().into(),
            reason: error.message,
        }
    }
}
