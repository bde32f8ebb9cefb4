//! Every setting of the server, with its default and its unit.

mod auth;
mod cluster;
mod door;
mod effective;
mod load;
#[cfg(test)]
mod load_tests;
mod operations;
#[cfg(test)]
mod page_tests;
mod postgres;
mod rest;
mod secret;
mod security;
mod webhooks;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use syncline_protocol::Limits;

pub use self::auth::AuthConfig;
pub use self::cluster::{ClusterConfig, RedisUrl};
pub use self::door::{DoorConfig, Rate};
pub use self::effective::{effective, needs_restart};
pub use self::load::{ConfigError, Loaded, LogFormat, ProcessSettings, Sources, load};
pub use self::operations::OperationsConfig;
pub use self::postgres::PostgresConfig;
pub use self::rest::{AliasAction, AliasConfig, AliasNumbers, RestConfig};
pub use self::secret::read_secret;
pub use self::security::{Hooks, SecurityConfig};
pub use self::webhooks::{WebhookConfig, WebhookStart, WebhooksConfig};
pub use crate::presence::PresenceConfig;
pub use crate::storage::StorageLocation;
use crate::validate::{SchemaSource, Validation};

/// How a server is set up. [`Config::new`] gives every setting but the first three its default; [`load`] reads all of
/// them from a file, the environment and flags.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where to listen, an address and a port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the data lives; made when missing.
    pub data_dir: PathBuf,
    #[serde(skip)]
    pub mode: Mode,
    /// What both ends enforce, as announced in `sync:hello`.
    pub limits: Limits,
    pub connection: ConnectionConfig,
    pub presence: PresenceConfig,
    pub hub: HubConfig,
    pub storage: StorageConfig,
    pub auth: AuthConfig,
    pub security: SecurityConfig,
    pub door: DoorConfig,
    /// What the documents of a collection must be, as JSON Schemas of their fields: `{ file = "todo.json" }` or
    /// `{ inline = {…} }` for each collection.
    pub schemas: BTreeMap<String, SchemaSource>,
    #[serde(skip)]
    pub hooks: Hooks,
    pub cluster: ClusterConfig,
    pub postgres: PostgresConfig,
    pub rest: RestConfig,
    pub operations: OperationsConfig,
    pub webhooks: WebhooksConfig,
    /// How long a shutdown waits for connections to close, in milliseconds.
    pub shutdown_timeout_ms: u64,
}

/// What the server is run for.
#[derive(Clone)]
pub enum Mode {
    /// Tokens are signed elsewhere, with this secret.
    Production { jwt_secret: Vec<u8> },
    /// Tokens are signed elsewhere, with private keys whose public halves [`AuthConfig`] names.
    PublicKeys,
    /// The server issues tokens to anybody who asks: refused unless it listens on loopback. A random secret when
    /// none is given.
    Development { jwt_secret: Option<Vec<u8>> },
}

impl Mode {
    /// The mode as `/health` and the log spell it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Production { .. } | Self::PublicKeys => "production",
            Self::Development { .. } => "development",
        }
    }
}

// The secret stays out of logs.
impl std::fmt::Debug for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What one connection may take, and when it is given up.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectionConfig {
    /// Connections at a time.
    pub connections_max: usize,
    /// The same, of one user; beyond it a handshake is refused as `unavailable`.
    pub connections_per_user_max: usize,
    /// How often to ping clients, in milliseconds.
    pub ping_interval_ms: u64,
    /// How long a client may take to answer a ping, in milliseconds.
    pub ping_timeout_ms: u64,
    /// From the transport's opening to an accepted Socket.IO CONNECT, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long a polling connection may take to become a WebSocket, in milliseconds.
    pub upgrade_timeout_ms: u64,
    /// How long after `exp` a token is still taken, in seconds; a connection is closed when it has passed.
    pub token_leeway_s: u64,
    /// Requests of one connection that wait their turn.
    pub requests_queued_max: usize,
    /// What those may take in memory, in bytes.
    pub requests_queued_bytes_max: usize,
    /// Requests of one connection per second, after a first burst.
    pub requests_per_s_max: u32,
    /// Requests of that burst.
    pub requests_burst_max: u32,
    /// Requests refused in a row, or refused and not yet told so, before the connection is closed.
    pub refusals_max: u32,
    /// Live events that wait for a slow reader, before it is marked lagging. Who comes online and goes offline counts by its
    /// bytes alone.
    pub events_queued_max: usize,
    /// The same, in bytes.
    pub events_queued_bytes_max: usize,
    /// Packets handed to the transport and not yet written, each of which may hold a page (`hub.page_bytes_max`).
    pub packets_queued_max: usize,
    /// How long a full transport may stay full, in milliseconds.
    pub send_timeout_ms: u64,
    /// Attachments of one Socket.IO packet.
    pub attachments_max: usize,
    /// How long a packet's attachments may take to arrive, in milliseconds.
    pub attachments_timeout_ms: u64,
    /// What each WebSocket reads at a time, in bytes.
    pub websocket_read_buffer_bytes: usize,
    /// Collections one subscription may be narrowed to.
    pub collections_max: usize,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connections_per_user_max: 1_000,
            ping_interval_ms: 25_000,
            ping_timeout_ms: 20_000,
            connect_timeout_ms: 10_000,
            upgrade_timeout_ms: 10_000,
            token_leeway_s: 30,
            requests_queued_max: 1024,
            requests_queued_bytes_max: 16 << 20,
            requests_per_s_max: 500,
            requests_burst_max: 1000,
            refusals_max: 10_000,
            events_queued_max: 256,
            events_queued_bytes_max: 4 << 20,
            packets_queued_max: 64,
            send_timeout_ms: 20_000,
            attachments_max: 4,
            attachments_timeout_ms: 10_000,
            websocket_read_buffer_bytes: 1 << 10,
            collections_max: 64,
        }
    }
}

/// Settings of the room logic.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HubConfig {
    /// How far ahead of the server a client's clock may run, in milliseconds.
    pub clock_drift_ms_max: u64,
    /// One page of changes, in bytes; always at least one change.
    pub page_bytes_max: usize,
    /// What one push may write, in bytes; the mutations beyond it are left for the next.
    pub transaction_bytes_max: usize,
    /// A live change of more bytes is announced without its documents: subscribers pull them.
    pub live_bytes_max: usize,
    /// What live changes may wait to be told, in bytes. Of those beyond, subscribers hear where the log ends, and pull.
    pub live_queued_bytes_max: usize,
    /// How long a room's next live changes wait, and become one message, while some of its subscribers have not taken
    /// those before, in milliseconds.
    pub live_round_ms_max: u64,
    /// Documents looked at for one page of a narrowed subscription.
    pub page_scan_max: usize,
    /// What is read of the storage for one page, in bytes; always at least one document. Deleted documents keep their fields
    /// there.
    pub page_scan_bytes_max: usize,
    /// How long a deletion is kept for clients that have not heard of it, in milliseconds. A client that was away
    /// for longer reads its rooms anew.
    pub tombstone_retention_ms: u64,
    /// Deletions kept in one room, however recent.
    pub tombstones_kept_max: u64,
    /// Deletions purged in one transaction.
    pub compaction_count_max: usize,
    /// What documents must satisfy: the schemas and hooks of the server.
    #[serde(skip)]
    pub validation: Validation,
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            clock_drift_ms_max: 5 * 60 * 1000,
            page_bytes_max: 256 << 10,
            transaction_bytes_max: 16 << 20,
            live_bytes_max: 256 << 10,
            live_queued_bytes_max: 16 << 20,
            live_round_ms_max: 20,
            page_scan_max: 4000,
            page_scan_bytes_max: 2 << 20,
            tombstone_retention_ms: 30 * DAY_MS,
            tombstones_kept_max: 100_000,
            compaction_count_max: 1000,
            validation: Validation::default(),
        }
    }
}

/// Where the rooms are kept, what every storage does, and settings of the embedded database.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// Where the rooms are kept: `sled`, in the folder for the data, or in a database, `postgres://user@host/name`.
    pub location: StorageLocation,
    /// What the embedded database keeps in memory, in bytes.
    pub cache_bytes: u64,
    /// Jobs that wait for the storage thread.
    pub jobs_queued_max: usize,
    /// Jobs that share one flush.
    pub group_jobs_max: usize,
    /// What the pushes that share a flush may write before it is made, in bytes; always at least one push.
    pub group_bytes_max: usize,
    /// Rejections kept, per client and room, for a client that asks again; older ones are answered without reason.
    pub rejections_kept_max: usize,
    /// How often all rooms are searched for deletions to purge, in milliseconds.
    pub sweep_interval_ms: u64,
    /// What commits may wait in memory for the database's tables, in bytes. They are durable in a log of their own.
    pub ahead_bytes_max: usize,
    /// How much one of the two files of that log takes before the other one is written over, in bytes.
    pub ahead_file_bytes: u64,
    /// How long nobody must have asked anything before the tables are brought further, in milliseconds.
    pub ahead_delay_ms: u64,
    /// What a backup of a running server copies at a time, in bytes; other requests are served in between.
    pub backup_step_bytes: usize,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            location: StorageLocation::default(),
            cache_bytes: 64 << 20,
            jobs_queued_max: 1024,
            group_jobs_max: 256,
            group_bytes_max: 8 << 20,
            rejections_kept_max: 10_000,
            sweep_interval_ms: 10 * 60 * 1000,
            ahead_bytes_max: 8 << 20,
            ahead_file_bytes: 16 << 20,
            ahead_delay_ms: 50,
            backup_step_bytes: 256 << 10,
        }
    }
}

/// What [`load`] begins with: a secret that is missing, which no server takes.
impl Default for Config {
    fn default() -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 4800));
        Self::new(listen, "syncline-data".into(), Mode::Production { jwt_secret: Vec::new() })
    }
}

impl Config {
    pub fn new(listen: SocketAddr, data_dir: PathBuf, mode: Mode) -> Self {
        Self {
            listen,
            data_dir,
            mode,
            limits: Limits::default(),
            connection: ConnectionConfig::default(),
            presence: PresenceConfig::default(),
            hub: HubConfig::default(),
            storage: StorageConfig::default(),
            auth: AuthConfig::default(),
            security: SecurityConfig::default(),
            door: DoorConfig::default(),
            schemas: BTreeMap::new(),
            hooks: Hooks::default(),
            cluster: ClusterConfig::default(),
            postgres: PostgresConfig::default(),
            rest: RestConfig::default(),
            operations: OperationsConfig::default(),
            webhooks: WebhooksConfig::default(),
            shutdown_timeout_ms: 5_000,
        }
    }
}
