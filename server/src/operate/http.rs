//! `/health`, `/ready`, `/metrics` and `/admin`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use syncline_protocol::message::Failure;
use syncline_protocol::{ErrorCode, WireError};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::clients::{Listed, RoundTrips};
use super::metrics::Now;
use super::series::Sample;
use super::token::AdminToken;
use crate::auth::Revocation;
use crate::cluster::ClusterHealth;
use crate::config::OperationsConfig;
use crate::door;
use crate::error::ServerError;
use crate::gateway::{Readiness, Shared};
use crate::http::HttpState;
use crate::presence::ConnectionId;

/// OpenMetrics' text, as Prometheus asks for it.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The admin page loads nothing from elsewhere, runs nothing inline, and stands in no frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Where a connection comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Where `/metrics` and `/admin` are served, and to whom.
pub(crate) struct Operations {
    listener: Option<TcpListener>,
    token: Option<AdminToken>,
    development: bool,
}

impl Operations {
    pub(crate) async fn bind(config: &OperationsConfig, development: bool) -> Result<Self, ServerError> {
        let token = config.admin_token_file.as_deref().map(AdminToken::read).transpose()?;
        let listener = match config.listen {
            Some(listen) => {
                let bound = TcpListener::bind(listen).await;
                Some(bound.map_err(|source| ServerError::Listen { listen, source })?)
            }
            None => None,
        };
        Ok(Self { listener, token, development })
    }

    /// Adds the routes to those of the clients, unless they have a listener of their own.
    pub(crate) fn serve(self, shared: &Arc<Shared>, router: &mut Router) -> Option<(TcpListener, Router)> {
        let metrics_open = self.listener.is_some() || self.development;
        let state = Operating { shared: Arc::clone(shared), token: self.token.map(Arc::new), metrics_open };
        match self.listener {
            Some(listener) => Some((listener, routes(state))),
            None => {
                *router = std::mem::take(router).merge(routes(state));
                None
            }
        }
    }
}

#[derive(Clone)]
struct Operating {
    shared: Arc<Shared>,
    token: Option<Arc<AdminToken>>,
    metrics_open: bool,
}

fn routes(state: Operating) -> Router {
    let mut router = Router::new();
    if state.metrics_open || state.token.is_some() {
        router = router.route("/metrics", get(metrics));
    }
    if state.token.is_some() {
        let api = Router::new()
            .route("/admin/api/overview", get(overview))
            .route("/admin/api/backup", get(backup))
            .route("/admin/api/clients/{id}/disconnect", post(disconnect))
            .route("/admin/api/revoke", post(revoke).layer(DefaultBodyLimit::max(REVOCATION_BYTES_MAX)))
            .layer(middleware::from_fn_with_state(state.clone(), only_with_token));
        let page = |content_type: &'static str, text: &'static str| {
            get(move || async move { ([(header::CONTENT_TYPE, content_type)], text) })
        };
        let pages = Router::new()
            .route("/admin", page("text/html; charset=utf-8", include_str!("page/index.html")))
            .route("/admin/page.js", page("text/javascript; charset=utf-8", include_str!("page/page.js")))
            .route("/admin/page.css", page("text/css; charset=utf-8", include_str!("page/page.css")));
        router = router.merge(api.merge(pages).layer(middleware::map_response(harden)));
    }
    router.with_state(state)
}

async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

impl Operating {
    fn admits(&self, request: &Request) -> bool {
        let admits = self.token.as_ref().is_some_and(|token| token.is_in(request.headers()));
        if admits {
            door::welcome(request.extensions());
        }
        admits
    }
}

fn without_token() -> Response {
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response()
}

async fn only_with_token(State(state): State<Operating>, request: Request, next: Next) -> Response {
    if state.admits(&request) { next.run(request).await } else { without_token() }
}

/// `/health` and `/ready`, which everybody may ask.
pub(crate) fn health_routes(state: &HttpState) -> Router<HttpState> {
    Router::new().route("/health", get(health)).route("/ready", get(ready)).with_state(state.clone())
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    ready: Readiness,
    connected_clients: usize,
    users: usize,
    uptime_s: u64,
    mode: &'static str,
    version: &'static str,
    storage: StorageHealth,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<ClusterHealth>,
}

#[derive(Serialize)]
struct StorageHealth {
    /// `sled` or `postgres`.
    kind: &'static str,
    healthy: bool,
}

async fn health(State(state): State<HttpState>) -> Response {
    let healthy = state.shared.storage.is_healthy();
    let (connected_clients, users) = {
        let roster = state.shared.roster();
        (roster.connection_count(), roster.user_count())
    };
    let health = Health {
        status: if healthy { "ok" } else { "failing" },
        ready: state.shared.readiness(),
        connected_clients,
        users,
        uptime_s: state.started.elapsed().as_secs(),
        mode: state.mode,
        version: env!("CARGO_PKG_VERSION"),
        storage: StorageHealth { kind: state.storage_kind, healthy },
        cluster: state.shared.cluster.as_ref().map(|cluster| cluster.health()),
    };
    let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health)).into_response()
}

#[derive(Serialize)]
struct Ready {
    status: Readiness,
}

async fn ready(State(state): State<HttpState>) -> Response {
    let readiness = state.shared.readiness();
    let status = match readiness {
        Readiness::Ready => StatusCode::OK,
        Readiness::Draining | Readiness::StorageDown => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(Ready { status: readiness })).into_response()
}

fn now(shared: &Shared) -> Now {
    let (rooms, subscriptions) = shared.fanout.counts();
    let (connections, users) = {
        let roster = shared.roster();
        (roster.connection_count(), roster.user_count())
    };
    Now {
        connections,
        users,
        rooms,
        subscriptions,
        lagging: shared.operate.clients.lagging_count(),
        healthy: shared.storage.is_healthy(),
        ready: shared.readiness() == Readiness::Ready,
    }
}

async fn metrics(State(state): State<Operating>, request: Request) -> Response {
    if !state.metrics_open && !state.admits(&request) {
        return without_token();
    }
    match state.shared.operate.metrics.text(&now(&state.shared)) {
        Ok(text) => ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[derive(Deserialize)]
struct Wanted {
    /// A part of users' names or addresses.
    #[serde(default)]
    find: String,
}

#[derive(Serialize)]
struct Overview {
    version: &'static str,
    uptime_s: u64,
    ready: Readiness,
    now: Now,
    round_trips: RoundTrips,
    clients: Vec<Listed>,
    rooms: Vec<ListedRoom>,
    samples: Vec<Sample>,
}

#[derive(Serialize)]
struct ListedRoom {
    room: String,
    subscribers: usize,
}

async fn overview(State(state): State<Operating>, Query(wanted): Query<Wanted>) -> Json<Overview> {
    let shared = &state.shared;
    let operate = &shared.operate;
    let listed_max = operate.config.listed_max;
    let clients = {
        let roster = shared.roster();
        operate.clients.list(&roster, &wanted.find, listed_max)
    };
    let rooms = shared.fanout.largest(listed_max).into_iter();
    Json(Overview {
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: operate.started.elapsed().as_secs(),
        ready: shared.readiness(),
        now: now(shared),
        round_trips: operate.clients.round_trips(),
        clients,
        rooms: rooms
            .map(|(room, subscribers)| ListedRoom { room: room.as_str().to_owned(), subscribers })
            .collect(),
        samples: operate.series.all(),
    })
}

async fn disconnect(State(state): State<Operating>, Path(id): Path<u64>) -> StatusCode {
    if state.shared.operate.clients.dismiss(ConnectionId(id)) {
        tracing::info!(connection = id, "a client is disconnected by hand");
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    }
}

/// The longest body that names whose tokens are taken back, in bytes.
const REVOCATION_BYTES_MAX: usize = 4 << 10;

/// Takes back tokens: `{"user": …}` or `{"token": …}`, by its `jti`.
async fn revoke(State(state): State<Operating>, Json(what): Json<Revocation>) -> Response {
    tracing::warn!(target: "audit", ?what, "revoked");
    match state.shared.revoke(what).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => {
            tracing::error!(%error, "a revocation could not be kept");
            let error = WireError::new(ErrorCode::Unavailable, "it holds, but may not outlive this process");
            (StatusCode::SERVICE_UNAVAILABLE, Json(Failure { error })).into_response()
        }
    }
}

/// How much of a backup is read at a time, in bytes.
const BACKUP_PART_BYTES: usize = 64 << 10;

/// A copy of the storage's data, for `syncline-server restore`.
async fn backup(State(state): State<Operating>) -> Response {
    match state.shared.storage.backup().await {
        Ok(file) => {
            tracing::info!("a backup is taken");
            let file = tokio::fs::File::from_std(file);
            let parts = stream::try_unfold(file, async |mut file| {
                let mut part = bytes::BytesMut::with_capacity(BACKUP_PART_BYTES);
                let is_over = file.read_buf(&mut part).await? == 0;
                Ok::<_, std::io::Error>((!is_over).then(|| (part.freeze(), file)))
            });
            ([(header::CONTENT_TYPE, "application/octet-stream")], Body::from_stream(parts)).into_response()
        }
        Err(error) => {
            let status = match error.code {
                ErrorCode::Invalid => StatusCode::NOT_IMPLEMENTED,
                ErrorCode::Conflict => StatusCode::CONFLICT,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, Json(Failure { error })).into_response()
        }
    }
}
