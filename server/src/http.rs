//! The routes beside Socket.IO, and what development mode adds.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use syncline_protocol::message::Failure;
use syncline_protocol::{ErrorCode, Room, WireError};

use crate::door;
use crate::gateway::{Gateway, Shared};
use crate::hub::PageRequest;
use crate::operate;
use crate::storage::sled::now_ms;

/// How long a development token lives unless asked otherwise.
const DEV_TOKEN_TTL_S: i64 = 60 * 60;

/// The longest that a development token lives.
const DEV_TOKEN_TTL_S_MAX: i64 = 30 * 24 * 60 * 60;

/// When a client that came to a server that shuts down may try again: at another node, or when this one is back.
const RETRY_ELSEWHERE: Duration = Duration::from_secs(1);

/// Marks every answer of a server in development mode.
const MODE_HEADER: &str = "x-syncline-mode";

#[derive(Clone)]
pub(crate) struct HttpState {
    pub(crate) shared: Arc<Shared>,
    pub(crate) mode: &'static str,
    /// Of the storage.
    pub(crate) storage_kind: &'static str,
    pub(crate) started: Instant,
}

/// All routes of a server; the development ones when `development`.
pub(crate) fn router(state: HttpState, gateway: Gateway, development: bool) -> Router {
    let shared = Arc::clone(&state.shared);
    let socket_io = any(move |request: Request| {
        let (shared, gateway) = (Arc::clone(&shared), gateway.clone());
        async move {
            let query = request.uri().query().unwrap_or_default();
            let is_new = !query.split('&').any(|pair| pair.starts_with("sid="));
            // Refused later, by Socket.IO, npm's client would not try again.
            if is_new && !shared.is_open() {
                let error = WireError::new(ErrorCode::Unavailable, "the server is shutting down");
                return door::refused(StatusCode::SERVICE_UNAVAILABLE, error, RETRY_ELSEWHERE);
            }
            if is_new && let Err(wait) = shared.door.admission.take() {
                let error = WireError::new(ErrorCode::Unavailable, "too many clients come at once");
                shared.operate.refused(&error);
                return door::refused(StatusCode::SERVICE_UNAVAILABLE, error, wait);
            }
            gateway.serve(slim(request)).await
        }
    });
    let mut router = Router::new()
        .merge(operate::http::health_routes(&state))
        .route("/socket.io", socket_io.clone())
        .route("/socket.io/", socket_io);
    if development {
        let routes = Router::new()
            .route("/dev/token", post(issue_token))
            .route("/dev/rooms/{room}/documents", get(room_documents))
            .layer(middleware::from_fn(only_for_loopback));
        router = router.merge(routes).layer(middleware::map_response(mark_development));
    }
    router.with_state(state)
}

/// Socket.IO keeps a connection's first request for as long as it lives, and reads these headers of it. A header and an address
/// are parts of the buffer that the request was read into: here they get memory of their own, and the buffer goes.
fn slim(request: Request) -> Request {
    const READ: [HeaderName; 2] = [header::CONTENT_TYPE, header::SEC_WEBSOCKET_KEY];
    let (mut parts, body) = request.into_parts();
    let read: HeaderMap = READ
        .into_iter()
        .filter_map(|name| {
            let value = HeaderValue::from_bytes(parts.headers.get(&name)?.as_bytes());
            Some((name, value.ok()?))
        })
        .collect();
    // A copy has no room to spare.
    parts.headers = read.clone();
    if let Ok(uri) = Uri::try_from(parts.uri.to_string()) {
        parts.uri = uri;
    }
    Request::from_parts(parts, body)
}

#[derive(Deserialize)]
struct TokenRequest {
    sub: String,
    #[serde(default)]
    rooms: Vec<String>,
    /// Below 0, the token ended that long ago: for those who try out what becomes of it.
    ttl_s: Option<i64>,
}

#[derive(Serialize)]
struct TokenAnswer {
    token: String,
}

async fn issue_token(State(state): State<HttpState>, Json(request): Json<TokenRequest>) -> Response {
    let ttl_s = request.ttl_s.unwrap_or(DEV_TOKEN_TTL_S).min(DEV_TOKEN_TTL_S_MAX);
    let ends_s = (now_ms() / 1000).saturating_add_signed(ttl_s);
    match state.shared.auth.issue(&request.sub, request.rooms, ends_s) {
        Ok(token) => Json(TokenAnswer { token }).into_response(),
        Err(error) => refused(error),
    }
}

/// All live documents of a room as NDJSON, in the order of its log, a page at a time.
async fn room_documents(State(state): State<HttpState>, Path(room): Path<String>) -> Response {
    let room = match Room::new(room) {
        Ok(room) => room,
        Err(error) => return refused(WireError::new(ErrorCode::Invalid, error.to_string())),
    };
    let lines = stream::unfold(Some((0, None)), move |place| {
        let (state, room) = (state.clone(), room.clone());
        async move {
            let (cursor, snapshot) = place?;
            let limit = state.shared.limits.page_count_max;
            let request = PageRequest { room, cursor, limit, collections: None, snapshot };
            Some(match state.shared.storage.page(request).await {
                // What was sent cannot be taken back.
                Ok(page) if page.reset => (Err(std::io::Error::other("deletions were missed")), None),
                Ok(page) => {
                    let next = page.more.then_some((page.cursor, page.snapshot.or(snapshot)));
                    (ndjson(&page.changes).map_err(std::io::Error::other), next)
                }
                Err(error) => (Err(std::io::Error::other(error)), None),
            })
        }
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

fn ndjson(documents: &[syncline_protocol::Document]) -> Result<Bytes, serde_json::Error> {
    let mut lines = Vec::new();
    for document in documents.iter().filter(|document| !document.deleted) {
        serde_json::to_writer(&mut lines, document)?;
        lines.push(b'\n');
    }
    Ok(lines.into())
}

fn refused(error: WireError) -> Response {
    let status = match error.code {
        ErrorCode::Invalid => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, Json(Failure { error })).into_response()
}

/// A page of another origin can reach loopback by a name of its own that resolves to it, but then that is the
/// host it names.
async fn only_for_loopback(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.map(|host| host.rsplit_once(':').map_or(host, |(name, _)| name));
    match host {
        Some("localhost" | "[::1]") => next.run(request).await,
        Some(ip) if ip.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback()) => {
            next.run(request).await
        }
        _ => StatusCode::FORBIDDEN.into_response(),
    }
}

async fn mark_development(mut response: Response) -> Result<Response, Infallible> {
    response.headers_mut().insert(MODE_HEADER, HeaderValue::from_static("development"));
    Ok(response)
}
