//! Errors as Swift, Kotlin and Python see them.

use syncline::Error;

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, uniffi::Error)]
pub enum SynclineError {
    /// `code` is stable and the same in every language, `retryable` tells whether the same call may succeed
    /// later, `reason` is for people.
    #[error("{code}: {reason}")]
    Failed { code: String, reason: String, retryable: bool },
}

impl From<Error> for SynclineError {
    fn from(error: Error) -> Self {
        Self::Failed {
            code: error.code.as_str().to_owned(),
            retryable: error.retryable(),
            reason: error.message,
        }
    }
}
