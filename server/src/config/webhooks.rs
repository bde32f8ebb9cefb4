//! Settings of webhooks.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Settings of webhooks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhooksConfig {
    /// Who is told of changes: `[[webhooks.endpoints]]`.
    pub endpoints: Vec<WebhookConfig>,
    /// How often all rooms are searched for changes that nobody was told of, as after a restart or a write on another server without
    /// a cluster, in milliseconds.
    pub scan_interval_ms: u64,
    /// How long the one server that sends keeps that right without renewing it, in milliseconds.
    pub lease_ms: u64,
    /// Rooms of one endpoint that are told of at once.
    pub rooms_at_once_max: usize,
    /// Rooms with news that wait in memory for one endpoint; what is more is found by the search.
    pub rooms_waiting_max: usize,
    /// The first wait after a failure, in milliseconds; each further one is twice as long.
    pub retry_ms_min: u64,
    /// The longest wait after a failure, in milliseconds.
    pub retry_ms_max: u64,
}

impl Default for WebhooksConfig {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            scan_interval_ms: 30_000,
            lease_ms: 10_000,
            rooms_at_once_max: 8,
            rooms_waiting_max: 10_000,
            retry_ms_min: 1000,
            retry_ms_max: 5 * 60 * 1000,
        }
    }
}

/// Somebody who is told of changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// What its place in each room is kept by: a new name begins anew.
    pub name: String,
    /// Where changes are posted: `https`, or `http` on this machine.
    pub url: String,
    /// The file with the secret that messages are signed with, `whsec_` and base64 or any 24 bytes; several lines sign with each.
    pub secret_file: PathBuf,
    /// Rooms by their names; one that ends in `*` stands for all that begin so.
    pub rooms: Vec<String>,
    /// What it is told of first, when its name is new: all there is, or only what changes from now on.
    #[serde(default)]
    pub from: WebhookStart,
    /// All collections when absent.
    #[serde(default)]
    pub collections: Option<Vec<String>>,
    /// Changes in one message.
    #[serde(default = "changes_max")]
    pub changes_max: u32,
    /// How long it may take to answer, in milliseconds.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
    /// After so many failures in a row a message is given up, and lost to this endpoint; never when 0.
    #[serde(default)]
    pub attempts_max: u32,
}

/// Where a new endpoint begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookStart {
    /// At the beginning of each room.
    #[default]
    Start,
    /// At the end of each room that is there.
    Now,
}

fn changes_max() -> u32 {
    100
}

fn timeout_ms() -> u64 {
    10_000
}
