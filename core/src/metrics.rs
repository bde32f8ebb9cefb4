//! Counters and latencies of one client. Pure: whoever measures passes the time in.

use serde::{Deserialize, Serialize};

use crate::engine::io::ConnectionState;

/// Sub-buckets per power of two: a quantile is at most 1/16 off.
const SUB_BUCKETS: usize = 16;
const BUCKETS: usize = SUB_BUCKETS * 40;

/// Latencies in log-linear buckets, in whatever unit the caller records; constant in memory.
///
/// Source: the bucket layout of Tene's HdrHistogram.
#[derive(Debug, Clone)]
pub struct Histogram {
    buckets: Vec<u32>,
    count: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0 }
    }
}

impl Histogram {
    pub fn record(&mut self, value: u64) {
        let bucket = bucket(value);
        self.buckets[bucket] = self.buckets[bucket].saturating_add(1);
        self.count += 1;
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// The value below which `fraction` (0 to 1) of the records lie; 0 without records.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn quantile(&self, fraction: f64) -> f64 {
        let rank = (self.count as f64 * fraction).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, &count) in self.buckets.iter().enumerate() {
            seen += u64::from(count);
            if seen >= rank {
                return midpoint(index);
            }
        }
        0.0
    }

    pub fn quantiles(&self) -> Quantiles {
        Quantiles { p50: self.quantile(0.5), p95: self.quantile(0.95), p99: self.quantile(0.99) }
    }
}

fn bucket(value: u64) -> usize {
    let sub = SUB_BUCKETS as u64;
    if value < sub {
        return usize::try_from(value).unwrap_or(0);
    }
    let exponent = value.ilog2() - SUB_BUCKETS.ilog2();
    let index = (u64::from(exponent) + 1) * sub + (value >> exponent) - sub;
    usize::try_from(index).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

#[allow(clippy::cast_precision_loss)]
fn midpoint(index: usize) -> f64 {
    if index < SUB_BUCKETS {
        return index as f64;
    }
    let exponent = index / SUB_BUCKETS - 1;
    let low = ((index % SUB_BUCKETS + SUB_BUCKETS) << exponent) as f64;
    low + ((1u64 << exponent) as f64 - 1.0) / 2.0
}

/// The median, the 95th and the 99th percentile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
pub struct Quantiles {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

/// How long something took, in milliseconds, and how often it happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
pub struct Latency {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub count: u64,
}

impl Latency {
    /// Of a histogram in microseconds.
    pub(crate) fn in_ms(histogram: &Histogram) -> Self {
        let Quantiles { p50, p95, p99 } = histogram.quantiles();
        Self { p50: p50 / 1e3, p95: p95 / 1e3, p99: p99 / 1e3, count: histogram.count() }
    }
}

/// What waits of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct QueueDepth {
    /// `mutation`, `event`, `request` or `handler`.
    pub kind: String,
    pub count: u64,
    /// How long the oldest has waited, in milliseconds.
    pub oldest_ms: Option<u64>,
}

/// What a client did since it was opened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    pub client_id: String,
    pub state: ConnectionState,
    /// Since the client was opened, in milliseconds.
    pub uptime_ms: u64,
    /// Writes accepted.
    pub local_writes: u64,
    /// From the call to the durable write, in microseconds.
    pub local_write_us: Quantiles,
    /// From the accepted write to its confirmation in the cache, in milliseconds, for writes made while
    /// connected.
    pub sync_ms: Quantiles,
    /// From the last open connection to an empty outbox and live rooms, in milliseconds.
    pub recovery_ms: Option<f64>,
    /// From a request to its answer, in milliseconds.
    pub rtt_ms: Quantiles,
    /// From a batch of writes to its answer.
    pub push_ms: Latency,
    /// From a request for a page to the page.
    pub pull_ms: Latency,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub journal_bytes: u64,
    pub cache_bytes: u64,
    /// Both together.
    pub disk_bytes: u64,
    pub reconnects: u64,
    /// Writes confirmed by the server.
    pub confirmed: u64,
    /// Writes refused by the server.
    pub rejected: u64,
    /// Writes that were in conflict.
    pub conflicts: u64,
    /// News that the app was too busy to hear.
    pub dropped_notices: u64,
    /// What waits to be sent.
    pub queue: Vec<QueueDepth>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_within_a_sixteenth() {
        let mut histogram = Histogram::default();
        (1..=100_000u64).for_each(|value| histogram.record(value));
        let Quantiles { p50, p95, p99 } = histogram.quantiles();
        assert!((p50 / 50_000.0 - 1.0).abs() < 1.0 / 16.0, "{p50}");
        assert!((p95 / 95_000.0 - 1.0).abs() < 1.0 / 16.0, "{p95}");
        assert!((p99 / 99_000.0 - 1.0).abs() < 1.0 / 16.0, "{p99}");
    }

    #[test]
    fn small_and_huge_values_have_a_bucket() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), 0.0);
        histogram.record(0);
        histogram.record(3);
        histogram.record(u64::MAX);
        assert_eq!(histogram.quantile(0.3), 0.0);
        assert_eq!(histogram.quantile(0.6), 3.0);
        assert_eq!(histogram.count(), 3);
    }
}
