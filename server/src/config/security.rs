//! Settings of what is allowed, and to whom.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::access::Authorize;
use crate::access::rules::Rule;

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
    /// Lines of the audit log per second, after a burst of ten times as many; those beyond are counted.
    pub audit_lines_per_s_max: u32,
}

impl Default for SecurityConfig {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            authorize_timeout_ms: 5_000,
            recheck_ms: 60_000,
            audit_lines_per_s_max: 100,
        }
    }
}

/// What the program that embeds the server decides itself.
#[derive(Clone, Default)]
pub struct Hooks {
    /// Decides in place of [`SecurityConfig::rules`].
    pub authorize: Option<Arc<dyn Authorize>>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").field("authorize", &self.authorize.is_some()).finish_non_exhaustive()
    }
}
