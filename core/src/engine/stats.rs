//! What the engine counted, as the app sees it.

use super::Engine;
use super::io::Now;
use crate::job::JobKind;
use crate::metrics::{Histogram, Latency, Quantiles, QueueDepth, Stats};
use crate::store::Store;

impl Engine {
    /// What the engine knows; the driver adds what it measures.
    pub(super) fn stats(&self, now: Now, store: &dyn Store) -> Stats {
        let counters = &self.counters;
        let sizes = store.stats();
        #[allow(clippy::cast_precision_loss)]
        let recovery_ms = counters.recovery_us.map(|us| us as f64 / 1e3);
        Stats {
            client_id: self.identity.client_id.to_string(),
            state: self.session.state(),
            uptime_ms: 0,
            local_writes: counters.local_writes,
            local_write_us: Quantiles::default(),
            sync_ms: in_ms(&counters.sync_us),
            recovery_ms,
            rtt_ms: in_ms(&counters.rtt_us),
            push_ms: Latency::in_ms(&counters.push_us),
            pull_ms: Latency::in_ms(&counters.pull_us),
            bytes_sent: 0,
            bytes_received: 0,
            journal_bytes: sizes.journal_bytes,
            cache_bytes: sizes.cache_bytes,
            disk_bytes: sizes.journal_bytes.saturating_add(sizes.cache_bytes),
            reconnects: counters.reconnects,
            confirmed: counters.confirmed,
            rejected: counters.rejected,
            conflicts: counters.conflicts,
            dropped_notices: self.notices.dropped() + self.socket.dropped_messages(),
            queue: self.queued(now),
        }
    }

    /// Of each kind, also where nothing waits.
    fn queued(&self, now: Now) -> Vec<QueueDepth> {
        let depth = |kind: &str, count: u64, oldest_ms: Option<u64>| QueueDepth {
            kind: kind.to_owned(),
            count,
            oldest_ms: oldest_ms.map(|at_ms| now.wall_ms.saturating_sub(at_ms)),
        };
        let jobs = JobKind::ALL.into_iter().map(|kind| {
            let held = self.jobs.all_held().filter(|held| held.job.kind() == kind);
            depth(kind.as_str(), self.jobs.count(kind), held.map(|held| held.job.queued_at_ms).min())
        });
        std::iter::once(depth("mutation", self.outbox.len(), self.outbox.oldest_ms())).chain(jobs).collect()
    }
}

fn in_ms(histogram: &Histogram) -> Quantiles {
    let Quantiles { p50, p95, p99 } = histogram.quantiles();
    Quantiles { p50: p50 / 1e3, p95: p95 / 1e3, p99: p99 / 1e3 }
}
