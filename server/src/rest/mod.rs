//! Documents over HTTP, for backends, scripts and apps that poll: the same storage, rules and merge as over the sockets.
//!
//! - `documents`, `list`, `batch`: what can be asked. `aliases`: paths of the application's own.
//! - `write`: every write as a push on terms. `patch`: how a patch is spelled. `request`: the parts of a request.
//! - `access`: who may, and how often. `cors`: for pages of which origins. `error`: refusals. `openapi`: the document that describes all this.

mod access;
mod aliases;
mod batch;
mod cors;
mod documents;
mod error;
#[cfg(fuzzing)]
mod fuzz;
mod list;
mod openapi;
mod patch;
mod request;
mod write;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use syncline_protocol::{ErrorCode, WireError};
use tokio::sync::Semaphore;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::access::{Caller, Shown};
pub use self::aliases::AliasError;
pub(crate) use self::aliases::Aliases;
use self::error::RestError;
#[cfg(fuzzing)]
pub use self::fuzz::{fuzz_patch, fuzz_request};
use crate::config::{Rate, RestConfig};
use crate::door::{self, Keyed, WhenFull};
use crate::gateway::Shared;

/// Where the OpenAPI document is served.
const OPENAPI_PATH: &str = "/v1/openapi.json";

/// What all requests share.
#[derive(Clone)]
pub(crate) struct Rest {
    shared: Arc<Shared>,
    config: Arc<RestConfig>,
    aliases: Arc<Aliases>,
    /// Of each user.
    rates: Arc<Keyed<String>>,
    at_once: Arc<Semaphore>,
}

/// The routes, and a fallback for the aliases.
pub(crate) fn router(shared: &Arc<Shared>, config: &RestConfig, aliases: Aliases) -> Router {
    let rest = Rest {
        shared: Arc::clone(shared),
        rates: Arc::new(Keyed::new(
            Rate { per_s: config.requests_per_s_max, burst: config.requests_burst_max },
            config.users_tracked_max,
            WhenFull::ForgetOthers,
        )),
        at_once: Arc::new(Semaphore::new(config.requests_at_once_max.min(Semaphore::MAX_PERMITS))),
        aliases: Arc::new(aliases),
        config: Arc::new(config.clone()),
    };
    let (router, mut openapi) = OpenApiRouter::with_openapi(openapi::Document::openapi())
        .routes(routes!(documents::read, documents::replace, documents::patch, documents::delete))
        .routes(routes!(list::list))
        .routes(routes!(list::changes))
        .routes(routes!(batch::batch))
        .split_for_parts();
    openapi::close_operations(&mut openapi);
    // What the handlers say of themselves always encodes.
    let openapi = Bytes::from(openapi.to_json().unwrap_or_default());
    let described = ([(header::CONTENT_TYPE, "application/json")], openapi);
    router
        .route(OPENAPI_PATH, get(move || std::future::ready(described.clone())))
        .fallback(aliases::serve)
        .layer(DefaultBodyLimit::max(config.body_bytes_max))
        .layer(middleware::from_fn_with_state(rest.clone(), bounded))
        .layer(middleware::map_response(shaped))
        .layer(cors::layer(&shared.door, Duration::from_millis(config.preflight_kept_ms)))
        .with_state(rest)
}

/// Bounds how many requests are served at once, and how long each takes.
async fn bounded(State(rest): State<Rest>, request: Request, next: Next) -> Response {
    let limit = Duration::from_millis(rest.config.timeout_ms);
    match tokio::time::timeout(limit, admitted(&rest, request, next)).await {
        Ok(response) => response,
        Err(_) => unavailable("the request took too long").into_response(),
    }
}

/// Serves a request. One that shows no token that holds takes no place of those that do, and its body is not read.
async fn admitted(rest: &Rest, mut request: Request, next: Next) -> Response {
    let mut caller = Caller::of(request.headers(), rest).await;
    if caller.is_ok() {
        door::welcome(request.extensions());
        caller = caller.and_then(|caller| caller.paced(rest));
    }
    let _permit = match &caller {
        Ok(_) => match rest.at_once.try_acquire() {
            Ok(permit) => Some(permit),
            Err(_) => return unavailable("the server has all the requests it takes").into_response(),
        },
        Err(_) => {
            *request.body_mut() = Body::empty();
            None
        }
    };
    request.extensions_mut().insert(Shown(caller));
    next.run(request).await
}

fn unavailable(message: &str) -> RestError {
    WireError::new(ErrorCode::Unavailable, message).into()
}

/// Gives a refusal that the framework made the shape of ours.
async fn shaped(response: Response) -> Response {
    let status = response.status();
    let is_ours = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if is_ours || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let mut refusal = RestError::of_status(status).into_response();
    if let Some(allow) = response.headers().get(header::ALLOW) {
        refusal.headers_mut().insert(header::ALLOW, allow.clone());
    }
    refusal
}
