//! Why a server did not start, or stopped.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::access::rules::RuleError;
use crate::auth::KeyError;
use crate::config::ConfigError;
use crate::door::TlsError;
use crate::probe::ProbeError;
use crate::rest::AliasError;
use crate::storage::StorageError;
use crate::storage::backup::BackupError;
use crate::validate::SchemaError;
use crate::webhooks::WebhookError;

/// Errors of [`Server::bind`](crate::Server::bind) and of running it.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("nothing says whose tokens to take: --dev|--jwt-secret-file|auth.public_key_files|auth.jwks")]
    NoTokens,
    #[error("development mode issues tokens to anybody, so it listens on loopback only, not on {listen}")]
    DevelopmentNotOnLoopback { listen: SocketAddr },
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error("cannot read the JWT secret from {path}: {source}")]
    SecretUnreadable { path: PathBuf, source: std::io::Error },
    #[error("a server that runs asks for its admin token: --set operations.admin_token_file=FILE")]
    NoAdminToken,
    #[error("cannot read the admin token from {path}: {source}")]
    AdminTokenUnreadable { path: PathBuf, source: std::io::Error },
    #[error("the admin token has {bytes} bytes, at least {bytes_min} are needed")]
    AdminTokenTooShort { bytes: usize, bytes_min: usize },
    #[error(transparent)]
    Rules(#[from] RuleError),
    #[error(transparent)]
    Schemas(#[from] SchemaError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the record of revoked tokens cannot be read: {0}")]
    Revocations(std::io::Error),
    #[error("cannot listen on {listen}: {source}")]
    Listen { listen: SocketAddr, source: std::io::Error },
    #[error("rest.aliases: {0}")]
    Alias(#[from] AliasError),
    #[error("webhooks.endpoints: {0}")]
    Webhook(#[from] WebhookError),
    #[error(transparent)]
    Probe(#[from] ProbeError),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("the URL of the cluster is not one of Redis: redis:// or rediss://")]
    ClusterUrl,
    #[error("cluster.ca_file is for rediss://, which this URL is not")]
    ClusterNotSecure,
    #[error("{path} holds no authorities that the Redis of the cluster could be believed by")]
    ClusterAuthorities { path: PathBuf },
    #[error("the nodes of a cluster need a storage that they share: --storage postgres://...")]
    ClusterNeedsSharedStorage,
    #[error("cannot serve: {0}")]
    Serve(std::io::Error),
}

impl ServerError {
    /// Whether the caller asked for something that cannot be, rather than the machine refusing it.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Config(_)
                | Self::NoTokens
                | Self::DevelopmentNotOnLoopback { .. }
                | Self::Keys(_)
                | Self::Tls(_)
                | Self::Schemas(_)
                | Self::Alias(_)
                | Self::Webhook(_)
                | Self::SecretUnreadable { .. }
                | Self::ClusterUrl
                | Self::ClusterNotSecure
                | Self::ClusterAuthorities { .. }
                | Self::ClusterNeedsSharedStorage
                | Self::NoAdminToken
                | Self::AdminTokenUnreadable { .. }
                | Self::AdminTokenTooShort { .. }
                | Self::Rules(_)
        )
    }
}
