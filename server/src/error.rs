//! Why a server did not start, or stopped.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::access::rules::RuleError;
use crate::auth::KeyError;
use crate::door::TlsError;
use crate::storage::StorageError;

/// Errors of [`Server::bind`](crate::Server::bind) and of running it.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("development mode issues tokens to anybody, so it listens on loopback only, not on {listen}")]
    DevelopmentNotOnLoopback { listen: SocketAddr },
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error("cannot read the JWT secret from {path}: {source}")]
    SecretUnreadable { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Rules(#[from] RuleError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot listen on {listen}: {source}")]
    Listen { listen: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("cannot serve: {0}")]
    Serve(std::io::Error),
}

impl ServerError {
    /// Whether the caller asked for something that cannot be, rather than the machine refusing it.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::DevelopmentNotOnLoopback { .. }
                | Self::Keys(_)
                | Self::Tls(_)
                | Self::SecretUnreadable { .. }
                | Self::Rules(_)
        )
    }
}
