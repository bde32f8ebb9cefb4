//! Which pages may read the answers: those of the origins that may connect.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, RETRY_AFTER};
use axum::http::{HeaderName, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::request::IDEMPOTENCY_KEY;
use super::write::REPLAYED;
use crate::door::Door;
use crate::operate::requests::REQUEST_ID;

const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// Headers that a page may send.
const SENT: [HeaderName; 6] =
    [AUTHORIZATION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH, IDEMPOTENCY_KEY, REQUEST_ID];

/// Headers that a page may read.
const READ: [HeaderName; 4] = [ETAG, RETRY_AFTER, REPLAYED, REQUEST_ID];

/// Answers what a browser asks before a request, and remembers for so long. Tokens come in a header: a page needs no cookies.
pub(super) fn layer(door: &Arc<Door>, preflight_kept: Duration) -> CorsLayer {
    let door = Arc::clone(door);
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| door.allows(origin)))
        .allow_methods(METHODS)
        .allow_headers(SENT)
        .expose_headers(READ)
        .max_age(preflight_kept)
}
