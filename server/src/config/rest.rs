//! Settings of the REST interface.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Settings of the REST interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RestConfig {
    /// Whether it is served at all.
    pub enabled: bool,
    /// The body of one request, in bytes.
    pub body_bytes_max: usize,
    /// Operations in one batch; `limits.push_count_max` bounds it as well.
    pub batch_count_max: usize,
    /// Documents in one answer unless the request says how many.
    pub page_count_default: u32,
    /// Documents in one answer, whatever the request says.
    pub page_count_max: u32,
    /// What the documents of one list may take, in bytes; at least one is answered.
    pub page_bytes_max: usize,
    /// Documents that one list looks at. One in the order of ids then tells how to go on, one in another order is refused.
    pub query_scan_max: usize,
    /// How long a request may take, from its first byte to its answer, in milliseconds.
    pub timeout_ms: u64,
    /// Requests served at once, of those whose token holds; more of them are answered `unavailable`.
    pub requests_at_once_max: usize,
    /// Requests of one user per second, after a first burst.
    pub requests_per_s_max: u32,
    /// Requests of one user in a first burst.
    pub requests_burst_max: u32,
    /// Users whose rate is kept count of; those who asked for the least of late go first.
    pub users_tracked_max: usize,
    /// How long an answer is remembered by its idempotency key, in milliseconds.
    pub receipts_kept_ms: u64,
    /// Answers remembered per user and room: 64 times as many at the most, the oldest of a part go first.
    pub receipts_kept_max: usize,
    /// How long a browser may remember what pages of another origin may send, in milliseconds.
    pub preflight_kept_ms: u64,
    /// Paths of the application's own that stand for one document each.
    pub aliases: Vec<AliasConfig>,
}

impl Default for RestConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            body_bytes_max: 2 << 20,
            batch_count_max: 100,
            page_count_default: 100,
            page_count_max: 1000,
            page_bytes_max: 4 << 20,
            query_scan_max: 20_000,
            timeout_ms: 10_000,
            requests_at_once_max: 256,
            requests_per_s_max: 100,
            requests_burst_max: 200,
            users_tracked_max: 10_000,
            receipts_kept_ms: 24 * 60 * 60 * 1000,
            receipts_kept_max: 256,
            preflight_kept_ms: 10 * 60 * 1000,
            aliases: Vec::new(),
        }
    }
}

/// A path that stands for one document. `{name}` is a part of the path, `{sub}` the token's user, and `{body.name}` a text
/// of the request's body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AliasConfig {
    /// Such as `/api/users/{userId}/stats`.
    pub path: String,
    /// Such as `user:{userId}`.
    pub room: String,
    /// Such as `stats`.
    pub collection: String,
    /// Such as `{userId}`.
    pub id: String,
    /// What each method does.
    pub methods: BTreeMap<String, AliasAction>,
    /// What a number of a patch that stands for itself does.
    #[serde(default)]
    pub numbers: AliasNumbers,
    /// The member of the body that holds the fields or the patch; the whole body when absent.
    #[serde(default)]
    pub member: Option<String>,
    /// Whether a patch makes a document that is missing.
    #[serde(default)]
    pub upsert: bool,
}

/// What a request for an alias does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AliasAction {
    Read,
    Replace,
    Patch,
    Delete,
}

/// What a number of a patch that stands for itself does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AliasNumbers {
    #[default]
    Set,
    /// It is added.
    Increment,
}
