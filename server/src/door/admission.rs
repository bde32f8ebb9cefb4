//! How many new sessions a node begins: when all clients come back at once, those that it cannot take now are told when to
//! come, each a little later than the one before.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, RateLimiter};

use super::rates;
use crate::config::DoorConfig;

/// Lets sessions begin at a rate.
#[derive(Debug)]
pub(crate) struct Admission {
    rate: DefaultDirectRateLimiter,
    line: Mutex<Line>,
}

impl Admission {
    pub(crate) fn new(config: &DoorConfig) -> Self {
        Self {
            rate: RateLimiter::direct(rates::quota(config.handshakes)),
            line: Mutex::new(Line {
                step: Duration::from_secs(1) / NonZeroU32::new(config.handshakes.per_s).map_or(1, u32::from),
                wait_max: Duration::from_millis(config.handshake_wait_ms_max),
                end: None,
            }),
        }
    }

    /// Answers when to come back, if there are too many.
    pub(crate) fn take(&self) -> Result<(), Duration> {
        let now = DefaultClock::default().now();
        self.rate.check().map_err(|not_until| {
            let first = not_until.wait_time_from(now);
            self.line.lock().unwrap_or_else(PoisonError::into_inner).stand(Instant::now(), first)
        })
    }
}

/// Those who were told to come back. They take no place from others when they do, so it is advice alone.
#[derive(Debug)]
struct Line {
    /// From one to the next.
    step: Duration,
    wait_max: Duration,
    /// When the last one is to come.
    end: Option<Instant>,
}

impl Line {
    /// The wait of one more, if the first of them has so long to wait.
    fn stand(&mut self, now: Instant, first: Duration) -> Duration {
        let ahead = self.end.map_or(Duration::ZERO, |end| (end + self.step).saturating_duration_since(now));
        let wait = ahead.max(first).min(self.wait_max);
        self.end = Some(now + wait);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Rate;

    const STEP: Duration = Duration::from_millis(100);

    #[test]
    fn each_is_told_to_come_after_the_one_before_and_nobody_later_than_the_latest() {
        let mut line = Line { step: STEP, wait_max: STEP * 5, end: None };
        let now = Instant::now();
        let waits: Vec<Duration> = (0..7).map(|_| line.stand(now, STEP / 2)).collect();
        let halves: Vec<u128> = waits.iter().map(|wait| wait.as_millis() / 50).collect();
        assert_eq!(halves, [1, 3, 5, 7, 9, 10, 10]);
    }

    #[test]
    fn a_line_gets_shorter_with_time_and_is_forgotten_when_it_is_over() {
        let mut line = Line { step: STEP, wait_max: STEP * 100, end: None };
        let start = Instant::now();
        for _ in 0..10 {
            line.stand(start, STEP);
        }
        assert_eq!(line.stand(start + STEP * 4, STEP), STEP * 7);
        assert_eq!(line.stand(start + STEP * 1000, STEP / 4), STEP / 4);
    }

    #[test]
    fn a_burst_is_let_in_at_once_and_the_rest_is_spread_over_the_time_that_it_needs() {
        let handshakes = Rate { per_s: 10, burst: 50 };
        let config = DoorConfig { handshakes, handshake_wait_ms_max: 60_000, ..DoorConfig::default() };
        let admission = Admission::new(&config);
        let started = Instant::now();
        let waits: Vec<Duration> = (0..150).filter_map(|_| admission.take().err()).collect();
        let slack = started.elapsed();
        let let_in = 150 - waits.len() as u128;
        assert!((50..=50 + slack.as_millis() / 100 + 1).contains(&let_in), "{let_in}");
        let last = waits.last().copied().unwrap_or_default() + slack + STEP * 2;
        assert!(last >= STEP * u32::try_from(waits.len()).unwrap_or(u32::MAX), "{last:?}");
    }
}
