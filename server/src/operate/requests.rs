//! Each HTTP request has an id, which is in its answer, in the log's lines and in its span.

use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use axum::middleware;
use tower::ServiceBuilder;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::trace::TraceLayer;
use tracing::field::Empty;
use tracing::{Span, info_span};

use super::SPAN_TARGET;

/// The header with the id of a request, also in its answer.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An id that is longer is replaced, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Gives an id and a span to every request for a route, and to those for none.
pub(crate) fn layer(router: Router) -> Router {
    let traced = TraceLayer::new_for_http()
        .make_span_with(span::<axum::body::Body>)
        .on_request(())
        .on_response(answered::<axum::body::Body>)
        .on_body_chunk(())
        .on_eos(())
        .on_failure(());
    router.layer(
        ServiceBuilder::new()
            .layer(middleware::map_request(drop_strange_id))
            .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
            .layer(PropagateRequestIdLayer::new(REQUEST_ID))
            .layer(traced),
    )
}

/// An id comes from a stranger, and goes into the log.
async fn drop_strange_id(mut request: Request) -> Request {
    if !is_usable(request.headers()) {
        request.headers_mut().remove(REQUEST_ID);
    }
    request
}

fn is_usable(headers: &HeaderMap) -> bool {
    let mut given = headers.get_all(REQUEST_ID).iter().map(HeaderValue::as_bytes);
    let (Some(id), None) = (given.next(), given.next()) else { return false };
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:=+/".contains(byte);
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.iter().all(is_plain)
}

/// Rooms and documents are in paths, and users and tokens in queries: only the route is told.
fn span<B>(request: &axum::http::Request<B>) -> Span {
    let id = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str);
    let method = known(request.method());
    info_span!(target: SPAN_TARGET, "http", method, route, request_id = id, status = Empty)
}

/// A method can be any word.
fn known(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::PATCH
        | Method::DELETE
        | Method::OPTIONS => method.as_str(),
        _ => "other",
    }
}

fn answered<B>(response: &Response<B>, latency: Duration, span: &Span) {
    let status = response.status();
    span.record("status", status.as_u16());
    let latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::warn!(latency_ms, "an HTTP request failed");
    } else if status.is_client_error() || status.is_server_error() {
        tracing::debug!(latency_ms, "an HTTP request was refused");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn usable(ids: &[&[u8]]) -> bool {
        let values = ids.iter().map(|id| (REQUEST_ID, HeaderValue::from_bytes(id).unwrap()));
        is_usable(&values.collect())
    }

    #[test]
    fn an_id_is_one_short_plain_word() {
        for id in ["a", "018f-42", "Root=1-67891233-abcdef012345678912345678", &"x".repeat(128)] {
            assert!(usable(&[id.as_bytes()]), "{id}");
        }
        for id in ["", "a b", "a\tb", "ä", "<b>", "\"", &"x".repeat(129)] {
            assert!(!usable(&[id.as_bytes()]), "{id}");
        }
        assert!(!usable(&[]) && !usable(&[b"a", b"b"]) && !usable(&[&[0xff]]));
    }
}
