//! Settings of what those who run a server see of it.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Health, metrics, traces and the admin page.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OperationsConfig {
    /// Where `/metrics` and `/admin` are served, an address and a port, instead of among the clients' routes. Only
    /// there, and in development mode, `/metrics` asks for no token.
    pub listen: Option<SocketAddr>,
    /// The file with the token that `/admin` asks for, and `/metrics` where it is among the clients' routes; at least
    /// 32 bytes. Without it neither is there.
    pub admin_token_file: Option<PathBuf>,
    /// How often the admin page's plot gets a new point, in milliseconds.
    pub sample_interval_ms: u64,
    /// Points of that plot that are kept.
    pub samples_kept_max: usize,
    /// Clients, and rooms, that the admin page lists.
    pub listed_max: usize,
}

impl Default for OperationsConfig {
    fn default() -> Self {
        Self {
            listen: None,
            admin_token_file: None,
            sample_interval_ms: 2_000,
            samples_kept_max: 300,
            listed_max: 200,
        }
    }
}
