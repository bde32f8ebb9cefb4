//! What was denied, as lines of the log with the target `audit`. They hold no token and nothing of a document.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::presence::ConnectionId;

/// Somebody was denied something.
#[derive(Debug, Clone, Copy)]
pub struct Denial<'a> {
    pub user: &'a str,
    /// None for a request that is not of a connection.
    pub connection: Option<ConnectionId>,
    pub action: &'a str,
    /// Empty where it is not about a room.
    pub room: &'a str,
    pub reason: &'a str,
}

/// Writes denials down, and not more of them than the disk shall take: those left out are counted, and the next line says
/// how many they were.
#[derive(Debug)]
pub struct Audit {
    lines: DefaultDirectRateLimiter,
    left_out: AtomicU64,
    denied: AtomicU64,
}

impl Audit {
    /// So many lines per second, after a burst of ten times as many.
    pub fn new(lines_per_s_max: u32) -> Self {
        let per_s = NonZeroU32::new(lines_per_s_max).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(per_s).allow_burst(per_s.saturating_mul(TEN));
        Self { lines: RateLimiter::direct(quota), left_out: AtomicU64::new(0), denied: AtomicU64::new(0) }
    }

    pub fn denied(&self, denial: &Denial<'_>) {
        self.denied.fetch_add(1, Ordering::Relaxed);
        if self.lines.check().is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        let Denial { user, connection, action, room, reason } = *denial;
        let connection = connection.map(|id| id.0);
        tracing::warn!(target: "audit", user, connection, action, room, reason, left_out, "denied");
    }

    /// How often anything was denied since the start.
    pub fn count(&self) -> u64 {
        self.denied.load(Ordering::Relaxed)
    }
}

const TEN: NonZeroU32 = NonZeroU32::new(10).unwrap();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_of_the_log_is_counted() {
        let audit = Audit::new(1);
        let denial = Denial { user: "u", connection: None, action: "read", room: "r", reason: "not_allowed" };
        for _ in 0..1000 {
            audit.denied(&denial);
        }
        assert_eq!(audit.count(), 1000);
        let left_out = audit.left_out.load(Ordering::Relaxed);
        assert!((900..=990).contains(&left_out), "{left_out}");
    }
}
