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
    /// Where traces go, as OTLP over HTTP in protobuf, such as `http://127.0.0.1:4318/v1/traces`; nowhere unless set.
    pub otlp_endpoint: Option<String>,
    /// How long the collector of traces may take to answer, in milliseconds.
    pub otlp_timeout_ms: u64,
    /// How long spans wait for others, in milliseconds.
    pub otlp_delay_ms: u64,
    /// Spans that wait; more are dropped.
    pub otlp_spans_queued_max: usize,
    /// Which part of all requests is traced, 0 to 1.
    pub otlp_ratio: f64,
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
            otlp_endpoint: None,
            otlp_timeout_ms: 5_000,
            otlp_delay_ms: 5_000,
            otlp_spans_queued_max: 8_192,
            otlp_ratio: 1.0,
            sample_interval_ms: 2_000,
            samples_kept_max: 300,
            listed_max: 200,
        }
    }
}
