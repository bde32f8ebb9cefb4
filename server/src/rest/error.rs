//! Refusals as they are answered: one shape, whoever refuses.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use syncline_protocol::{ErrorCode, WireError};
use utoipa::ToSchema;

/// A request that was refused.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RestError {
    status: StatusCode,
    error: WireError,
}

/// The body of every answer that is a refusal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Refusal {
    error: ErrorBody,
}

/// Why something was refused.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// One of the protocol's codes.
    #[schema(value_type = String, example = "not_found")]
    code: &'static str,
    message: String,
    /// When to try again, in milliseconds from now; your own backoff when null.
    retry_after_ms: Option<u64>,
}

impl From<WireError> for ErrorBody {
    fn from(error: WireError) -> Self {
        let WireError { code, message, retry_after_ms } = error;
        Self { code: code.as_str(), message, retry_after_ms }
    }
}

/// How long a client that is not told otherwise waits, in seconds.
const RETRY_AFTER_S: u64 = 1;

impl RestError {
    /// A request that is not what the interface takes.
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::Invalid, message)
    }

    /// A request that is well formed and makes no sense.
    pub(crate) fn senseless(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::Invalid, message)
    }

    pub(crate) fn new(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        Self { status, error: WireError::new(code, message) }
    }

    /// A refusal that somebody else made, by its status alone.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let (code, message) = match status {
            StatusCode::UNAUTHORIZED => (ErrorCode::Unauthorized, "there is no token"),
            StatusCode::FORBIDDEN => (ErrorCode::Forbidden, "the request is not allowed"),
            StatusCode::NOT_FOUND => (ErrorCode::NotFound, "there is nothing at this path"),
            StatusCode::METHOD_NOT_ALLOWED => (ErrorCode::Invalid, "the path does not take this method"),
            StatusCode::PAYLOAD_TOO_LARGE => (ErrorCode::TooLarge, "the body is too large"),
            status if status.is_client_error() => (ErrorCode::Invalid, "the request is malformed"),
            _ => (ErrorCode::Internal, "the server failed"),
        };
        Self::new(status, code, message)
    }
}

impl From<WireError> for RestError {
    fn from(error: WireError) -> Self {
        let status = match error.code {
            ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
            ErrorCode::Forbidden => StatusCode::FORBIDDEN,
            ErrorCode::NotFound => StatusCode::NOT_FOUND,
            ErrorCode::Invalid | ErrorCode::UnsupportedProtocol => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorCode::Conflict => StatusCode::PRECONDITION_FAILED,
            ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::OutOfOrder | ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::Internal | ErrorCode::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, error }
    }
}

impl IntoResponse for RestError {
    fn into_response(self) -> Response {
        let Self { status, error } = self;
        let wait_ms = error.retry_after_ms;
        let mut response = (status, Json(Refusal { error: error.into() })).into_response();
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            let wait_s = wait_ms.map_or(RETRY_AFTER_S, |wait_ms| wait_ms.div_ceil(1000));
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait_s));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
