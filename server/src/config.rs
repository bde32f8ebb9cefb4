//! Every setting of the server, with its default and its unit.

mod cluster;
mod postgres;

use std::net::SocketAddr;
use std::path::PathBuf;

use syncline_protocol::Limits;

pub use self::cluster::{ClusterConfig, RedisUrl};
pub use self::postgres::PostgresConfig;
pub use crate::presence::PresenceConfig;
pub use crate::storage::StorageLocation;

/// How a server is set up. [`Config::new`] gives every setting but the first three its default.
#[derive(Debug, Clone)]
pub struct Config {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the data lives, unless it is in Postgres; made when missing.
    pub data_dir: PathBuf,
    pub mode: Mode,
    /// What both ends enforce, as announced in `sync:hello`.
    pub limits: Limits,
    pub connection: ConnectionConfig,
    pub presence: PresenceConfig,
    pub hub: HubConfig,
    pub storage: StorageConfig,
    pub cluster: ClusterConfig,
    /// Where the rooms are kept.
    pub location: StorageLocation,
    pub postgres: PostgresConfig,
    /// How long a shutdown waits for connections to close, in milliseconds.
    pub shutdown_timeout_ms: u64,
}

/// What the server is run for.
#[derive(Clone)]
pub enum Mode {
    /// Tokens are signed elsewhere, with this secret.
    Production { jwt_secret: Vec<u8> },
    /// The server issues tokens to anybody who asks: refused unless it listens on loopback. A random secret when
    /// none is given.
    Development { jwt_secret: Option<Vec<u8>> },
}

impl Mode {
    /// The mode as `/health` and the log spell it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Production { .. } => "production",
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
#[derive(Debug, Clone)]
pub struct ConnectionConfig {
    pub connections_max: usize,
    pub ping_interval_ms: u64,
    pub ping_timeout_ms: u64,
    /// From the transport's opening to an accepted Socket.IO CONNECT.
    pub connect_timeout_ms: u64,
    /// How long a polling connection may take to become a WebSocket.
    pub upgrade_timeout_ms: u64,
    /// How long after `exp` a token is still taken, in seconds; a connection is closed when it has passed.
    pub token_leeway_s: u64,
    /// Requests that wait their turn.
    pub requests_queued_max: usize,
    pub requests_queued_bytes_max: usize,
    /// Requests per second, after a first burst.
    pub requests_per_s_max: u32,
    pub requests_burst_max: u32,
    /// Requests refused in a row, or refused and not yet told so, before the connection is closed.
    pub refusals_max: u32,
    /// Live events that wait for a slow reader, before it is marked lagging.
    pub events_queued_max: usize,
    pub events_queued_bytes_max: usize,
    /// Packets handed to the transport and not yet written.
    pub packets_queued_max: usize,
    /// How long a full transport may stay full.
    pub send_timeout_ms: u64,
    /// Attachments of one Socket.IO packet.
    pub attachments_max: usize,
    /// How long a packet's attachments may take to arrive.
    pub attachments_timeout_ms: u64,
    pub websocket_read_buffer_bytes: usize,
    /// Collections one subscription may be narrowed to.
    pub collections_max: usize,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
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
            websocket_read_buffer_bytes: 16 << 10,
            collections_max: 64,
        }
    }
}

/// Settings of the room logic.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// How far ahead of the server a client's clock may run, in milliseconds.
    pub clock_drift_ms_max: u64,
    /// One page of changes; always at least one change.
    pub page_bytes_max: usize,
    /// What one push may write; the mutations beyond it are left for the next.
    pub transaction_bytes_max: usize,
    /// A larger live change is announced without its documents: subscribers pull them.
    pub live_bytes_max: usize,
    /// Documents looked at for one page of a narrowed subscription.
    pub page_scan_max: usize,
    /// How long a deletion is kept for clients that have not heard of it, in milliseconds. A client that was away
    /// for longer reads its rooms anew.
    pub tombstone_retention_ms: u64,
    /// Deletions kept in one room, however recent.
    pub tombstones_kept_max: u64,
    /// Deletions purged in one transaction.
    pub compaction_count_max: usize,
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            clock_drift_ms_max: 5 * 60 * 1000,
            page_bytes_max: 1 << 20,
            transaction_bytes_max: 16 << 20,
            live_bytes_max: 256 << 10,
            page_scan_max: 4000,
            tombstone_retention_ms: 30 * DAY_MS,
            tombstones_kept_max: 100_000,
            compaction_count_max: 1000,
        }
    }
}

/// Settings of the embedded database.
#[derive(Debug, Clone)]
pub struct StorageConfig {
    pub cache_bytes: u64,
    /// Jobs that wait for the storage thread.
    pub jobs_queued_max: usize,
    /// Jobs that share one flush.
    pub group_jobs_max: usize,
    /// Rejections kept, per client and room, for a client that asks again; older ones are answered without reason.
    pub rejections_kept_max: usize,
    /// How often all rooms are searched for deletions to purge.
    pub sweep_interval_ms: u64,
    /// What commits may wait in memory for the database's tables, in bytes. They are durable in a log of their own.
    pub ahead_bytes_max: usize,
    /// How much one of the two files of that log takes before the other one is written over, in bytes.
    pub ahead_file_bytes: u64,
    /// How long nobody must have asked anything before the tables are brought further.
    pub ahead_delay_ms: u64,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            jobs_queued_max: 1024,
            group_jobs_max: 256,
            rejections_kept_max: 10_000,
            sweep_interval_ms: 10 * 60 * 1000,
            ahead_bytes_max: 8 << 20,
            ahead_file_bytes: 16 << 20,
            ahead_delay_ms: 50,
        }
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
            cluster: ClusterConfig::default(),
            location: StorageLocation::default(),
            postgres: PostgresConfig::default(),
            shutdown_timeout_ms: 5_000,
        }
    }
}
