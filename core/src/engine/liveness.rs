//! Whether the server still lives, by what comes from it.
//!
//! Every frame is a sign of life, and a server sends one at least every ping interval. A clock that never jumps may stand
//! still while the device sleeps, so that silence lasts as long as the one of the two clocks says that saw more of it.

use super::io::Now;

#[derive(Debug, Default)]
pub(super) struct Liveness {
    /// When the last frame came.
    heard: Option<Now>,
    interval_ms: u64,
    timeout_ms: u64,
    /// When the server counts as dead, on the monotonic clock.
    deadline_us: Option<u64>,
}

impl Liveness {
    /// The server's handshake said how often it pings, and how long a pong may take.
    pub(super) fn begin(&mut self, interval_ms: u64, timeout_ms: u64, now: Now) {
        (self.interval_ms, self.timeout_ms) = (interval_ms, timeout_ms);
        self.heard = Some(now);
        self.deadline_us = Some(now.after_ms(self.silence_ms_max()));
    }

    pub(super) fn hear(&mut self, now: Now) {
        if self.heard.is_some() {
            self.heard = Some(now);
            self.deadline_us = Some(now.after_ms(self.silence_ms_max()));
        }
    }

    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.deadline_us
    }

    fn silence_ms_max(&self) -> u64 {
        self.interval_ms.saturating_add(self.timeout_ms)
    }

    fn silence_ms(&self, now: Now) -> u64 {
        self.heard.map_or(0, |heard| now.ms_since(heard))
    }

    /// Whether the server must have given this client up, because it sent no pong for so long.
    pub(super) fn is_over(&self, now: Now) -> bool {
        self.heard.is_some() && self.silence_ms(now) >= self.silence_ms_max()
    }

    /// Gives the server only `probe_ms` beyond its next ping.
    pub(super) fn hurry(&mut self, probe_ms: u64, now: Now) {
        if self.heard.is_none() {
            return;
        }
        let until_ping_ms = self.interval_ms.saturating_sub(self.silence_ms(now));
        let deadline_us = now.after_ms(until_ping_ms.saturating_add(probe_ms.min(self.timeout_ms)));
        self.deadline_us = Some(self.deadline_us.map_or(deadline_us, |at_us| at_us.min(deadline_us)));
    }
}
