//! The time by which jobs expire.

use syncline_protocol::sabotage::{Sabotage, is_active};

use crate::engine::io::Now;

/// The device's clock as it was when the client was opened, and what has passed since: a clock that is set meanwhile
/// neither ends a job nor keeps it for ever. Only the device's clock knows how long the client was closed.
#[derive(Debug, Default)]
pub(super) struct JobClock {
    opened: Option<Now>,
}

impl JobClock {
    /// In milliseconds since the epoch.
    pub(super) fn now_ms(&mut self, now: Now) -> u64 {
        let opened = *self.opened.get_or_insert(now);
        if is_active(Sabotage::JobExpiryByWallClock) {
            return now.wall_ms;
        }
        opened.wall_ms.saturating_add(now.lived_ms.saturating_sub(opened.lived_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_from_the_wall_clock_at_first_and_never_jumps() {
        let mut clock = JobClock::default();
        let first = Now { mono_us: 0, lived_ms: 500, wall_ms: 1_000_000 };
        assert_eq!(clock.now_ms(first), 1_000_000);
        for wall_ms in [0, 1_000_000, u64::MAX] {
            assert_eq!(clock.now_ms(Now { lived_ms: 800, wall_ms, ..first }), 1_000_300);
        }
        assert_eq!(clock.now_ms(Now { lived_ms: 0, ..first }), 1_000_000);
    }
}
