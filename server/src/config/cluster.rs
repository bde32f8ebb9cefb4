//! Settings of a cluster of nodes.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How this node works together with others. All of them need the same `url`, `prefix` and storage.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterConfig {
    /// The Redis server that carries what nodes tell each other: `redis://` or, with TLS, `rediss://`. A node without one
    /// is alone.
    pub url: Option<RedisUrl>,
    /// A file with the authorities, in PEM, that a Redis with TLS is believed by; the system's unless given.
    pub ca_file: Option<PathBuf>,
    /// What the names of all channels and keys in Redis begin with.
    pub prefix: String,
    /// How long a node that died without a word still counts, and its clients as present, in milliseconds.
    pub lease_ms: u64,
    /// How long a connection to Redis may take to open, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long Redis may take to answer before the connection is given up, in milliseconds.
    pub response_timeout_ms: u64,
    /// The longest pause between two tries to reach Redis, in milliseconds.
    pub retry_ms_max: u64,
    /// How long a client's subscription waits at most until the other nodes are heard, in milliseconds. After that it
    /// goes on, and what it missed is found by the next comparison of heads.
    pub subscribe_timeout_ms: u64,
    /// Rooms that other nodes are heard on at a time; those beyond it are only looked after every `heads_interval_ms`.
    pub rooms_max: usize,
    /// Changes that came before those that they follow wait so long for them, in milliseconds; then the gap is read from
    /// the storage.
    pub reorder_ms: u64,
    /// Messages of one room that wait for those that they follow; what is beyond it is read from the storage.
    pub held_count_max: usize,
    /// Changes of more bytes are told without their documents: each node with subscribers reads them once.
    pub message_bytes_max: usize,
    /// Messages that wait for Redis. When there are more, the connection is made anew and everything is compared.
    pub messages_queued_max: usize,
    /// How often the heads of subscribed rooms are compared with the storage, in milliseconds.
    pub heads_interval_ms: u64,
    /// How long clients of other nodes are still shown while Redis cannot be reached, in milliseconds.
    pub outage_ms: u64,
    /// Over how long a node that is to stop spreads the moves of its clients to other nodes, in milliseconds.
    pub drain_ms: u64,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            url: None,
            ca_file: None,
            prefix: "syncline".to_owned(),
            lease_ms: 15_000,
            connect_timeout_ms: 5_000,
            response_timeout_ms: 5_000,
            retry_ms_max: 5_000,
            subscribe_timeout_ms: 1_000,
            rooms_max: 100_000,
            reorder_ms: 100,
            held_count_max: 256,
            message_bytes_max: 32 << 10,
            messages_queued_max: 8_192,
            heads_interval_ms: 10_000,
            outage_ms: 60_000,
            drain_ms: 5_000,
        }
    }
}

/// A URL that may hold a password, which stays out of logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RedisUrl(pub String);

impl std::fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a Redis URL")
    }
}
