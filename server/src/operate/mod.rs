//! What those who run a server see of it: health, metrics, and the admin page.

pub(crate) mod clients;
pub(crate) mod http;
mod latency;
pub(crate) mod measured;
pub(crate) mod metrics;
mod process;
pub(crate) mod requests;
mod series;
pub(crate) mod token;
pub(crate) mod traffic;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use socketioxide::extract::SocketRef;
use syncline_protocol::{ErrorCode, WireError};
use tracing::field::Empty;
use tracing::{Span, debug_span};

use self::clients::Clients;
use self::latency::Latency;
use self::metrics::Metrics;
use self::series::Series;
use self::traffic::Traffic;
use crate::config::OperationsConfig;
use crate::door::Visitor;
use crate::inbox::RequestKind;
use crate::presence::ConnectionId;

/// The target of spans, which are exported as traces.
pub(crate) const SPAN_TARGET: &str = "syncline::request";

/// What is counted and kept for those who look.
pub(crate) struct Operate {
    pub(crate) metrics: Metrics,
    pub(crate) clients: Clients,
    pub(crate) traffic: Arc<Traffic>,
    requests: AtomicU64,
    latency: Latency,
    series: Series,
    config: OperationsConfig,
    started: Instant,
}

impl Operate {
    pub(crate) fn new(config: &OperationsConfig) -> Arc<Self> {
        let traffic = Arc::new(Traffic::default());
        Arc::new(Self {
            metrics: Metrics::new(&traffic),
            clients: Clients::default(),
            traffic,
            requests: AtomicU64::new(1),
            latency: Latency::default(),
            series: Series::new(config.samples_kept_max),
            config: config.clone(),
            started: Instant::now(),
        })
    }

    /// Notes a request that begins now.
    pub(crate) fn begin(self: &Arc<Self>, kind: RequestKind) -> Running {
        Running { operate: Arc::clone(self), event: kind.event(), started: Instant::now() }
    }

    /// What a request of a connection is served in: its number is in the log's lines and in traces.
    pub(crate) fn span(&self, kind: RequestKind, connection: ConnectionId) -> Span {
        let request = self.requests.fetch_add(1, Ordering::Relaxed);
        let (event, connection) = (kind.event(), connection.0);
        debug_span!(target: SPAN_TARGET, "request", request, connection, event, outcome = Empty)
    }

    /// Notes a handshake that was refused.
    pub(crate) fn refused(&self, error: &WireError) {
        self.metrics.refuse_handshake(outcome(Some(error)));
    }

    /// Adds a point to the plot now and then, for ever.
    pub(crate) async fn sample(&self, connections: impl Fn() -> usize) -> std::convert::Infallible {
        let mut ticks = tokio::time::interval(Duration::from_millis(self.config.sample_interval_ms.max(100)));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let counts = series::Counts {
                requests: self.metrics.requests_count(),
                mutations: self.metrics.mutations_count(),
                received_bytes: self.traffic.received_bytes(),
                sent_bytes: self.traffic.sent_bytes(),
            };
            self.series.add(self.started.elapsed(), counts, connections(), self.latency.take());
        }
    }
}

/// A request that is being served.
pub(crate) struct Running {
    operate: Arc<Operate>,
    event: &'static str,
    started: Instant,
}

impl Running {
    pub(crate) fn end(self, error: Option<&WireError>) {
        let elapsed = self.started.elapsed();
        let outcome = outcome(error);
        Span::current().record("outcome", outcome);
        match error {
            // The number leads to what else the log has of it.
            Some(error) if error.code == ErrorCode::Internal => tracing::warn!(%error, "a request failed"),
            Some(error) => tracing::debug!(%error, "a request was refused"),
            None => {}
        }
        self.operate.latency.note(elapsed);
        self.operate.metrics.answer(self.event, outcome, elapsed);
    }
}

/// How an answer went, as metrics spell it.
fn outcome(error: Option<&WireError>) -> &'static str {
    error.map_or("ok", |error| error.code.as_str())
}

/// The connection that a socket began on.
pub(crate) fn visitor_of(socket: &SocketRef) -> Option<Arc<Visitor>> {
    socket.req_parts().extensions.get::<Arc<Visitor>>().cloned()
}

/// Where a socket's connection comes from.
pub(crate) fn address_of(socket: &SocketRef) -> Option<SocketAddr> {
    socket.req_parts().extensions.get::<http::Peer>().map(|peer| peer.0)
}
