//! Counters and histograms, as Prometheus reads them. Every label is one of few words that the code has.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use syncline_protocol::message::MutationStatus;

use super::process;
use super::traffic::Traffic;

/// From a tenth of a millisecond to a quarter of a minute.
fn latency_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.5, 14))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventOutcome {
    event: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Event {
    event: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// Everything that is counted.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<EventOutcome, Counter>,
    requests_total: Counter,
    durations: Family<Event, Histogram, fn() -> Histogram>,
    handshakes_refused: Family<Reason, Counter>,
    mutations: Family<Status, Counter>,
    mutations_total: Counter,
    storage: Family<Operation, Histogram, fn() -> Histogram>,
    storage_failures: Family<Operation, Counter>,
    lagging: Counter,
    disconnected: Family<Reason, Counter>,
    present: Present,
}

/// What is read at the time of asking.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Now {
    pub(crate) connections: usize,
    pub(crate) users: usize,
    pub(crate) rooms: usize,
    pub(crate) subscriptions: usize,
    pub(crate) lagging: usize,
    pub(crate) healthy: bool,
    pub(crate) ready: bool,
}

#[derive(Default)]
struct Present {
    connections: Gauge,
    users: Gauge,
    rooms: Gauge,
    subscriptions: Gauge,
    lagging: Gauge,
    healthy: Gauge,
    ready: Gauge,
    resident_bytes: Gauge,
    open_files: Gauge,
}

impl Metrics {
    pub(crate) fn new(traffic: &Arc<Traffic>) -> Self {
        let mut registry = Registry::default();
        let present = Present::default();
        let process = [
            ("process_resident_memory_bytes", "Memory that the process holds", &present.resident_bytes),
            ("process_open_fds", "Files and sockets that the process has open", &present.open_files),
        ];
        for (name, help, gauge) in process {
            registry.register(name, help, gauge.clone());
        }
        registry.register_collector(Box::new(Bytes(Arc::clone(traffic))));
        let ours = registry.sub_registry_with_prefix("syncline");
        let gauges = [
            ("connections", "Connections at this time", &present.connections),
            ("users", "Users that are online", &present.users),
            ("rooms_subscribed", "Rooms that somebody is subscribed to", &present.rooms),
            ("subscriptions", "Subscriptions of all connections", &present.subscriptions),
            ("connections_lagging", "Connections that do not keep up with their events", &present.lagging),
            ("storage_healthy", "Whether the storage works", &present.healthy),
            ("ready", "Whether the server takes clients", &present.ready),
        ];
        for (name, help, gauge) in gauges {
            ours.register(name, help, gauge.clone());
        }
        let metrics = Self {
            registry: Registry::default(),
            requests: Family::default(),
            requests_total: Counter::default(),
            durations: Family::new_with_constructor(latency_histogram),
            handshakes_refused: Family::default(),
            mutations: Family::default(),
            mutations_total: Counter::default(),
            storage: Family::new_with_constructor(latency_histogram),
            storage_failures: Family::default(),
            lagging: Counter::default(),
            disconnected: Family::default(),
            present,
        };
        ours.register("requests", "Requests by event, and how they were answered", metrics.requests.clone());
        ours.register(
            "request_duration_seconds",
            "From a request's turn to its answer",
            metrics.durations.clone(),
        );
        ours.register("handshakes_refused", "Connections refused", metrics.handshakes_refused.clone());
        ours.register("mutations", "Writes by what became of them", metrics.mutations.clone());
        ours.register(
            "storage_duration_seconds",
            "From a job to its durable answer",
            metrics.storage.clone(),
        );
        ours.register(
            "storage_failures",
            "Jobs of the storage that failed",
            metrics.storage_failures.clone(),
        );
        ours.register("lagging", "Times that a room's changes were left for a pull", metrics.lagging.clone());
        ours.register("disconnected", "Connections that the server ended", metrics.disconnected.clone());
        Self { registry, ..metrics }
    }

    pub(super) fn answer(&self, event: &'static str, outcome: &'static str, elapsed: Duration) {
        self.requests_total.inc();
        self.requests.get_or_create(&EventOutcome { event, outcome }).inc();
        self.durations.get_or_create(&Event { event }).observe(elapsed.as_secs_f64());
    }

    pub(super) fn refuse_handshake(&self, reason: &'static str) {
        self.handshakes_refused.get_or_create(&Reason { reason }).inc();
    }

    pub(super) fn mutation(&self, status: &MutationStatus) {
        let status = match status {
            MutationStatus::Applied => "applied",
            MutationStatus::Duplicate => "duplicate",
            MutationStatus::Conflict => "conflict",
            MutationStatus::Rejected => "rejected",
        };
        self.mutations_total.inc();
        self.mutations.get_or_create(&Status { status }).inc();
    }

    pub(super) fn storage(&self, operation: &'static str, elapsed: Duration, failed: bool) {
        self.storage.get_or_create(&Operation { operation }).observe(elapsed.as_secs_f64());
        if failed {
            self.storage_failures.get_or_create(&Operation { operation }).inc();
        }
    }

    /// A connection was told where a room's log ends, instead of its changes.
    pub(crate) fn lag(&self) {
        self.lagging.inc();
    }

    /// The server ended a connection.
    pub(crate) fn disconnect(&self, reason: &'static str) {
        self.disconnected.get_or_create(&Reason { reason }).inc();
    }

    pub(super) fn requests_count(&self) -> u64 {
        self.requests_total.get()
    }

    pub(super) fn mutations_count(&self) -> u64 {
        self.mutations_total.get()
    }

    /// All of it in OpenMetrics' text format, which Prometheus reads.
    pub(crate) fn text(&self, now: &Now) -> Result<String, std::fmt::Error> {
        let set = |gauge: &Gauge, value: usize| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        set(&self.present.connections, now.connections);
        set(&self.present.users, now.users);
        set(&self.present.rooms, now.rooms);
        set(&self.present.subscriptions, now.subscriptions);
        set(&self.present.lagging, now.lagging);
        set(&self.present.healthy, now.healthy.into());
        set(&self.present.ready, now.ready.into());
        let process = [
            (process::resident_bytes(), &self.present.resident_bytes),
            (process::open_files(), &self.present.open_files),
        ];
        for (value, gauge) in process {
            gauge.set(value.and_then(|value| i64::try_from(value).ok()).unwrap_or(0));
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// The bytes of all connections, which are counted elsewhere.
#[derive(Debug)]
struct Bytes(Arc<Traffic>);

impl Collector for Bytes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let counts = [
            ("syncline_received_bytes", "Bytes read from clients", self.0.received_bytes()),
            ("syncline_sent_bytes", "Bytes written to clients", self.0.sent_bytes()),
        ];
        for (name, help, count) in counts {
            let counter = ConstCounter::new(count);
            let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        Ok(())
    }
}
