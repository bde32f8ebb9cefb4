//! The last minutes, point by point, for the admin page's plot.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::latency::Percentiles;

/// What was counted since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) requests: u64,
    pub(super) mutations: u64,
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
}

/// One point: rates since the point before.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Sample {
    /// Since the server's start, in seconds.
    at_s: f64,
    connections: usize,
    requests_per_s: f64,
    mutations_per_s: f64,
    received_bytes_per_s: f64,
    sent_bytes_per_s: f64,
    #[serde(flatten)]
    latency: Percentiles,
}

/// A bounded number of points.
#[derive(Debug)]
pub(super) struct Series {
    kept: Mutex<Kept>,
    samples_max: usize,
}

#[derive(Debug, Default)]
struct Kept {
    samples: VecDeque<Sample>,
    last: Option<(Duration, Counts)>,
}

impl Series {
    pub(super) fn new(samples_max: usize) -> Self {
        Self { kept: Mutex::default(), samples_max: samples_max.max(1) }
    }

    /// Adds a point; the first call only says where to count from.
    pub(super) fn add(&self, at: Duration, counts: Counts, connections: usize, latency: Percentiles) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((before, last)) = kept.last.replace((at, counts)) {
            let seconds = at.saturating_sub(before).as_secs_f64().max(1e-3);
            let rate = |now: u64, last: u64| now.saturating_sub(last) as f64 / seconds;
            let sample = Sample {
                at_s: at.as_secs_f64(),
                connections,
                requests_per_s: rate(counts.requests, last.requests),
                mutations_per_s: rate(counts.mutations, last.mutations),
                received_bytes_per_s: rate(counts.received_bytes, last.received_bytes),
                sent_bytes_per_s: rate(counts.sent_bytes, last.sent_bytes),
                latency,
            };
            if kept.samples.len() == self.samples_max {
                kept.samples.pop_front();
            }
            kept.samples.push_back(sample);
        }
    }

    pub(super) fn all(&self) -> Vec<Sample> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).samples.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_rates_and_only_the_last_ones_are_kept() {
        let series = Series::new(2);
        for second in 0..=4 {
            let counts = Counts { requests: second * second, ..Counts::default() };
            series.add(Duration::from_secs(second), counts, 1, Percentiles::default());
        }
        let rates: Vec<f64> = series.all().iter().map(|sample| sample.requests_per_s).collect();
        assert_eq!(rates, [5.0, 7.0]);
    }
}
