//! Settings of what is allowed, and to whom.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::access::Authorize;
use crate::access::rules::Rule;
use crate::validate::Validate;

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecurityConfig {
    /// What is allowed in which rooms; everything else is denied. Without rules, everything is allowed in the room
    /// `user:<sub>` and in those that the token's claim `rooms` names.
    pub rules: Vec<Rule>,
    /// How long a hook may take to say what is allowed, in milliseconds.
    pub authorize_timeout_ms: u64,
    /// How often the rooms of a live connection are checked again, in milliseconds.
    pub recheck_ms: u64,
    /// Users, and tokens, whose revocations are kept. Beyond, tokens of everybody that are as old as the oldest one are
    /// refused.
    pub revocations_kept_max: usize,
    /// How long a revocation is kept, in seconds: longer than any token lives.
    pub revocations_kept_s: u64,
    /// Lines of the audit log per second, after a burst of ten times as many; those beyond are counted.
    pub audit_lines_per_s_max: u32,
}

impl Default for SecurityConfig {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            authorize_timeout_ms: 5_000,
            recheck_ms: 60_000,
            revocations_kept_max: 10_000,
            revocations_kept_s: 90 * 24 * 60 * 60,
            audit_lines_per_s_max: 100,
        }
    }
}

/// What the program that embeds the server decides itself.
#[derive(Clone, Default)]
pub struct Hooks {
    /// Decides in place of [`SecurityConfig::rules`].
    pub authorize: Option<Arc<dyn Authorize>>,
    /// Checks documents beside [`Config::schemas`](super::Config::schemas).
    pub validate: Option<Arc<dyn Validate>>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (authorize, validate) = (self.authorize.is_some(), self.validate.is_some());
        f.debug_struct("Hooks").field("authorize", &authorize).field("validate", &validate).finish()
    }
}
