//! Each HTTP request at the door: its origin, how often its address comes, and what its connection may send.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use syncline_protocol::message::Failure;
use syncline_protocol::{ErrorCode, WireError};

use super::rates::whole_ms;
use super::{Door, Visitor, network};

/// Where Socket.IO is served.
const SOCKET_IO: &str = "/socket.io";

/// The routes of the admin page: its origin is the server's own, and it goes by a token that no other page has.
const ADMIN: &str = "/admin";

/// The standard one counts in seconds.
const MS_PER_S: u64 = 1000;

/// Puts the door before all routes.
pub(crate) fn layer(router: Router, door: &Arc<Door>) -> Router {
    router.layer(middleware::from_fn_with_state(Arc::clone(door), enter))
}

async fn enter(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    if !is_of_admin_page(&request) && !door.allows_origin(request.headers()) {
        tracing::debug!("a page of another origin was refused");
        return StatusCode::FORBIDDEN.into_response();
    }
    let Some(visitor) = request.extensions().get::<Arc<Visitor>>().cloned() else {
        return next.run(request).await;
    };
    if request.uri().path().starts_with(SOCKET_IO) {
        visitor.allow(door.config.stranger_bytes_max);
        let session = request
            .uri()
            .query()
            .and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("sid=")).map(str::to_owned));
        match session {
            Some(session) => visitor.claim(&session),
            None => {
                if let Err(wait) = door.handshake(&visitor, request.headers()) {
                    let error = WireError::new(ErrorCode::RateLimited, "too many connections at once");
                    return refused(StatusCode::TOO_MANY_REQUESTS, error, wait);
                }
            }
        }
        let response = next.run(request).await;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            visitor.upgrade();
        }
        return response;
    }
    // The limits of its route hold for what it sends.
    visitor.allow(usize::MAX);
    next.run(request).await
}

/// A request showed a token that holds: whoever sent it is a stranger no longer.
pub(crate) fn welcome(request: &Extensions) {
    if let Some(visitor) = request.get::<Arc<Visitor>>() {
        visitor.welcome();
    }
}

/// By the route, not by the path: an app's own may begin alike.
fn is_of_admin_page(request: &Request) -> bool {
    let route =
        request.extensions().get::<MatchedPath>().and_then(|route| route.as_str().strip_prefix(ADMIN));
    route.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Door {
    /// Whether pages of an origin may connect, and read answers.
    pub(crate) fn allows(&self, origin: &HeaderValue) -> bool {
        let origins = &self.config.origins;
        origins.is_empty() || origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes())
    }

    fn allows_origin(&self, headers: &HeaderMap) -> bool {
        headers.get_all(header::ORIGIN).iter().all(|origin| self.allows(origin))
    }

    fn handshake(&self, visitor: &Visitor, headers: &HeaderMap) -> Result<(), Duration> {
        let address = self.address(visitor.peer, headers);
        if !self.limits(address) {
            return Ok(());
        }
        self.rates.handshake(address)
    }

    /// Whom it comes from: what the first of our own proxies saw.
    fn address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let Some(hops) = self.config.proxies.checked_sub(1) else { return peer };
        let forwarded = headers.get_all("x-forwarded-for").iter();
        let forwarded: Vec<&str> =
            forwarded.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).collect();
        let seen = forwarded.iter().rev().nth(hops).and_then(|text| address_in(text.trim()));
        seen.map_or(peer, network)
    }
}

/// Some proxies tell the port as well, and an IPv6 address in brackets.
fn address_in(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// The answer to a handshake that may be tried again after a time.
pub(crate) fn refused(status: StatusCode, error: WireError, wait: Duration) -> Response {
    let wait_ms = whole_ms(wait);
    let error = WireError { retry_after_ms: Some(wait_ms), ..error };
    let headers = [(header::RETRY_AFTER, wait_ms.div_ceil(MS_PER_S).to_string())];
    (status, headers, Json(Failure { error })).into_response()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::config::DoorConfig;

    #[test]
    fn an_address_is_what_our_first_proxy_saw_and_nothing_a_client_says() {
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "6.6.6.6, 192.0.2.7".parse().unwrap());
        headers.append("x-forwarded-for", "10.0.0.2".parse().unwrap());
        let seen = |proxies| {
            let config = DoorConfig { proxies, ..DoorConfig::default() };
            Door::new(&config).address(peer, &headers).to_string()
        };
        assert_eq!([seen(0), seen(1), seen(2), seen(4)], ["10.0.0.1", "10.0.0.2", "192.0.2.7", "10.0.0.1"]);
    }

    #[test]
    fn an_address_may_come_with_a_port() {
        for text in ["203.0.113.7", "203.0.113.7:50412"] {
            assert_eq!(address_in(text), Some("203.0.113.7".parse().unwrap()), "{text}");
        }
        for text in ["2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:443"] {
            assert_eq!(address_in(text), Some("2001:db8::1".parse().unwrap()), "{text}");
        }
        assert_eq!(address_in("unknown"), None);
    }

    #[test]
    fn only_pages_of_a_listed_origin_may_connect_and_what_is_no_page() {
        let config = DoorConfig { origins: vec!["https://a.example".to_owned()], ..DoorConfig::default() };
        let door = Door::new(&config);
        let allows = |origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            door.allows_origin(&headers)
        };
        assert!(allows(None) && allows(Some("https://a.example")));
        for other in ["http://a.example", "https://a.example.evil", "https://a.example:444", "null"] {
            assert!(!allows(Some(other)), "{other}");
        }
    }
}
