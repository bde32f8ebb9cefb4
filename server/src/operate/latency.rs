//! How long requests took since somebody last asked, without a lock and in little memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Each step is half as long again as the one before; the last one ends beyond half an hour.
const STEPS: usize = 54;
const FIRST_STEP_US: f64 = 1.0;
const GROWTH: f64 = 1.5;

/// Durations, counted by steps.
#[derive(Debug)]
pub(super) struct Latency {
    counts: [AtomicU64; STEPS],
}

/// What part of the requests took at most how long, in milliseconds; 0 when there was none.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub(super) struct Percentiles {
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

impl Default for Latency {
    fn default() -> Self {
        Self { counts: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl Latency {
    pub(super) fn note(&self, elapsed: Duration) {
        let us = elapsed.as_secs_f64() * 1e6;
        let step = (us.max(FIRST_STEP_US) / FIRST_STEP_US).log(GROWTH).ceil();
        // A float becomes the nearest index that there is.
        self.counts[(step as usize).min(STEPS - 1)].fetch_add(1, Ordering::Relaxed);
    }

    /// The percentiles of what was noted since the last call.
    pub(super) fn take(&self) -> Percentiles {
        let counts: Vec<u64> = self.counts.iter().map(|count| count.swap(0, Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let at = |part: f64| {
            let rank = (total as f64 * part).ceil() as u64;
            let mut seen = 0;
            let step = counts.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            step.map_or(0.0, |step| {
                FIRST_STEP_US * GROWTH.powi(i32::try_from(step).unwrap_or(i32::MAX)) / 1e3
            })
        };
        if total == 0 { Percentiles::default() } else { Percentiles { p50_ms: at(0.5), p99_ms: at(0.99) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_at_most_half_as_long_again_and_of_what_is_new() {
        let latency = Latency::default();
        for _ in 0..98 {
            latency.note(Duration::from_millis(2));
        }
        latency.note(Duration::from_millis(500));
        latency.note(Duration::from_millis(500));
        let Percentiles { p50_ms, p99_ms } = latency.take();
        assert!((2.0..=3.0).contains(&p50_ms) && (500.0..=750.0).contains(&p99_ms), "{p50_ms} {p99_ms}");
        assert_eq!(latency.take(), Percentiles::default());
        latency.note(Duration::from_secs(1 << 40));
        assert!(latency.take().p50_ms > 1e6);
    }
}
