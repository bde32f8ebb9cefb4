//! Settings of rooms in Postgres.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How the server uses a Postgres database, when the rooms are kept in one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PostgresConfig {
    /// Connections of this server to the database.
    pub connections_max: usize,
    /// The file with the password, when the URL has none; a newline at its end is not part of it.
    pub password_file: Option<PathBuf>,
    /// The file with the certificates, in PEM, of the authorities that may vouch for the database; those of the system
    /// when absent.
    pub ca_file: Option<PathBuf>,
    /// Into how many parts the tables are divided, by a hash of the room: for a database of very many rooms. Decided when the
    /// tables are made, and the same for all servers from then on; 0 for undivided tables.
    pub partitions: u16,
    /// How long a new connection may take, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long a request waits for a free connection, in milliseconds.
    pub acquire_timeout_ms: u64,
    /// How long one step of a transaction may take, and how long a transaction may idle between two, in milliseconds.
    pub query_timeout_ms: u64,
    /// How long the migrations of the schema may take, the wait for another server that runs them included, in
    /// milliseconds.
    pub migration_timeout_ms: u64,
    /// How long the start waits for a database that cannot be reached, in milliseconds.
    pub startup_timeout_ms: u64,
    /// How long a push whose transaction failed is tried again before it is answered `unavailable`, in milliseconds.
    pub retry_for_ms: u64,
    /// How long the second try waits, in milliseconds; each one after it waits twice as long.
    pub retry_delay_ms: u64,
    /// Pushes to one room that share a transaction.
    pub group_pushes_max: usize,
    /// Pushes accepted and not yet answered; more wait.
    pub pushes_queued_max: usize,
    /// How often the database is asked whether it answers, in milliseconds.
    pub health_interval_ms: u64,
}

impl Default for PostgresConfig {
    fn default() -> Self {
        Self {
            connections_max: 16,
            password_file: None,
            ca_file: None,
            partitions: 0,
            connect_timeout_ms: 5_000,
            acquire_timeout_ms: 5_000,
            query_timeout_ms: 10_000,
            migration_timeout_ms: 10 * 60 * 1000,
            startup_timeout_ms: 10_000,
            retry_for_ms: 5_000,
            retry_delay_ms: 50,
            group_pushes_max: 64,
            pushes_queued_max: 1024,
            health_interval_ms: 1_000,
        }
    }
}
