//! What those who run a server see of it: health, metrics, and the admin page.

pub(crate) mod clients;
pub(crate) mod http;
mod latency;
pub(crate) mod measured;
pub(crate) mod metrics;
mod process;
mod series;
pub(crate) mod token;
pub(crate) mod traffic;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ConnectInfo;
use socketioxide::extract::SocketRef;
use syncline_protocol::WireError;

use self::clients::Clients;
use self::latency::Latency;
use self::metrics::Metrics;
use self::series::Series;
use self::traffic::Traffic;
use crate::config::OperationsConfig;
use crate::inbox::RequestKind;

/// What is counted and kept for those who look.
pub(crate) struct Operate {
    pub(crate) metrics: Metrics,
    pub(crate) clients: Clients,
    pub(crate) traffic: Arc<Traffic>,
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
        self.operate.latency.note(elapsed);
        self.operate.metrics.answer(self.event, outcome(error), elapsed);
    }
}

/// How an answer went, as metrics spell it.
fn outcome(error: Option<&WireError>) -> &'static str {
    error.map_or("ok", |error| error.code.as_str())
}

/// Where a socket's connection comes from.
pub(crate) fn address_of(socket: &SocketRef) -> Option<SocketAddr> {
    socket.req_parts().extensions.get::<ConnectInfo<http::Peer>>().map(|ConnectInfo(peer)| peer.0)
}
