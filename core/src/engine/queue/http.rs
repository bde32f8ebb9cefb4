//! HTTP requests as the engine asks for them, and what their responses mean. The driver sends them.

use std::collections::BTreeMap;
use std::fmt;
use syncline_protocol::gather::Gather as _;

use super::retry::Failure;
use crate::argument::Argument;
use crate::engine::io::Now;
use crate::error::{Code, Error};
use crate::http_date;
use crate::job::{Category, JobError, JobWork};
use crate::secret::Secret;

/// What is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    pub method: String,
    /// Absolute, or a path on the server.
    pub url: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// Goes to the server's own origin, and to no other.
    pub token: Option<Secret>,
    pub timeout_ms: u64,
    pub response_bytes_max: u64,
}

impl fmt::Debug for HttpRequest {
    /// Headers, body and token can hold secrets, and so can the query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest").field("method", &self.method).finish_non_exhaustive()
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    pub status: u16,
    /// By their names in lower case; one value each.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// Whether the client's token goes along with such a request, if there is one: else another token changes nothing.
    pub takes_token: bool,
}

/// The headers of a response that an app is told.
pub const RESPONSE_HEADERS: [&str; 6] =
    ["content-type", "date", "etag", "last-modified", "location", "retry-after"];

const CONTENT_TYPE: &str = "content-type";

impl HttpRequest {
    /// The request that a job stands for; `None` for a job of another kind.
    pub(super) fn of(work: &JobWork, idempotency_key: &str) -> Option<Self> {
        let JobWork::Request { method, url, headers, body } = work else { return None };
        let mut headers = headers.clone();
        let (content_type, body) = match body {
            None => (None, Vec::new()),
            Some(Argument::Bytes(bytes)) => (Some("application/octet-stream"), bytes.to_vec()),
            Some(json) => (Some("application/json"), serde_json::to_vec(json).ok()?),
        };
        if let Some(content_type) = content_type
            && !headers.keys().any(|name| name.eq_ignore_ascii_case(CONTENT_TYPE))
        {
            headers.insert(CONTENT_TYPE.to_owned(), content_type.to_owned());
        }
        headers.insert("idempotency-key".to_owned(), idempotency_key.to_owned());
        let method = method.to_ascii_uppercase();
        Some(Self {
            method,
            url: url.clone(),
            headers,
            body,
            token: None,
            timeout_ms: 0,
            response_bytes_max: 0,
        })
    }
}

/// The result of a response, or what failed.
pub(super) fn read_response(
    response: Result<HttpResponse, Error>,
    now: Now,
) -> Result<Vec<Argument>, Failure> {
    let response = response.map_err(|error| match error.code {
        Code::Invalid | Code::InvalidUrl | Code::TooLarge => {
            Failure::new(Category::Validation, error.code.as_str(), &error.message)
        }
        _ => Failure::network(&error),
    })?;
    let status = response.status;
    if (200..300).contains(&status) {
        return Ok(vec![result(response)]);
    }
    let (category, code, counts) = match status {
        401 if response.takes_token => (Category::Auth, Code::Unauthorized, false),
        401 => (Category::Validation, Code::Unauthorized, true),
        // The proxy wants something, or the line was too slow: the server has not seen it.
        407 | 408 => (Category::Network, Code::Unreachable, false),
        409 => (Category::Conflict, Code::Conflict, true),
        429 => (Category::Server, Code::RateLimited, false),
        425 | 500..=599 => (Category::Server, Code::Unavailable, true),
        403 => (Category::Validation, Code::Forbidden, true),
        404 | 410 => (Category::Validation, Code::NotFound, true),
        413 | 414 | 431 => (Category::Validation, Code::TooLarge, true),
        300..=499 => (Category::Validation, Code::Invalid, true),
        _ => (Category::Unknown, Code::Protocol, true),
    };
    // The server's own clock, if it says what that shows: the device's may be wrong.
    let date_ms = response.headers.get("date").and_then(|date| http_date::parse_ms(date));
    let advice_ms = response.headers.get("retry-after");
    let advice_ms =
        advice_ms.and_then(|value| http_date::retry_after_ms(value, date_ms.or(Some(now.wall_ms))));
    let message = match status {
        300..=399 => format!("the server redirects (status {status}); redirects are not followed"),
        _ => format!("the server answered with status {status}{}", said(&response)),
    };
    let error = JobError { status: Some(status), ..JobError::new(category, code.as_str(), &message) };
    Err(Failure { error, retry_after_ms: None, counts }.with_advice(advice_ms))
}

/// What a JSON body says for people: `{message}`, `{error}` or `{error: {message}}`.
fn said(response: &HttpResponse) -> String {
    fn member<'a>(of: &'a Argument, name: &str) -> Option<&'a Argument> {
        if let Argument::Object(members) = of { members.get(name) } else { None }
    }
    let json = read_json(&response.body);
    let text = json.as_ref().and_then(|json| {
        let error = member(json, "error");
        let nested = error.and_then(|error| member(error, "message"));
        [member(json, "message"), nested, error].into_iter().flatten().find_map(|value| match value {
            Argument::String(text) => Some(text),
            _ => None,
        })
    });
    text.map(|text| format!(": {text}")).unwrap_or_default()
}

fn read_json(body: &[u8]) -> Option<Argument> {
    serde_json::from_str(std::str::from_utf8(body).ok()?).ok()
}

/// `{status, headers, body}`: the body as JSON or text if it is, else as bytes.
fn result(response: HttpResponse) -> Argument {
    let HttpResponse { status, headers, body, .. } = response;
    let is_json = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.contains("json"));
    let json = is_json.then(|| read_json(&body)).flatten();
    let body = match json {
        Some(json) => json,
        None if body.is_empty() => Argument::Null,
        None => String::from_utf8(body)
            .map_or_else(|error| Argument::Bytes(error.into_bytes().into()), Argument::String),
    };
    let headers = headers.into_iter().map(|(name, value)| (name, Argument::String(value))).gather();
    let fields = [
        ("status".to_owned(), Argument::Int(status.into())),
        ("headers".to_owned(), Argument::Object(headers)),
        ("body".to_owned(), body),
    ];
    Argument::Object(fields.into_iter().gather())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { mono_us: 0, lived_ms: 0, wall_ms: 784_111_777_000 };

    fn failure(status: u16, retry_after: Option<&str>) -> Failure {
        failure_with(status, &retry_after.map(|value| ("retry-after", value)).into_iter().collect::<Vec<_>>())
    }

    fn failure_with(status: u16, headers: &[(&str, &str)]) -> Failure {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let response = HttpResponse { status, headers, body: Vec::new(), takes_token: true };
        match read_response(Ok(response), NOW) {
            Err(failure) => failure,
            Ok(result) => unreachable!("{result:?}"),
        }
    }

    #[test]
    fn each_status_has_its_category() {
        let expected = [
            (302, Category::Validation),
            (400, Category::Validation),
            (401, Category::Auth),
            (403, Category::Validation),
            (408, Category::Network),
            (409, Category::Conflict),
            (422, Category::Validation),
            (425, Category::Server),
            (429, Category::Server),
            (500, Category::Server),
            (503, Category::Server),
            (700, Category::Unknown),
        ];
        for (status, category) in expected {
            let failure = failure(status, None);
            assert_eq!((failure.error.category, failure.error.status), (category, Some(status)));
        }
    }

    #[test]
    fn advice_comes_in_seconds_or_as_a_date() {
        assert_eq!(failure(503, Some("3")).retry_after_ms, Some(3_000));
        assert_eq!(failure(503, Some("Sun, 06 Nov 1994 08:50:37 GMT")).retry_after_ms, Some(60_000));
        assert_eq!(failure(503, Some("Sun, 06 Nov 1994 08:49:37 GMT")).retry_after_ms, Some(0));
        assert_eq!(failure(503, Some("Thu, 29 Feb 2024 12:00:00 GMT")).retry_after_ms, Some(3_600_000));
        for nonsense in ["", "-1", "soon", "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994"] {
            assert_eq!(failure(503, Some(nonsense)).retry_after_ms, None, "{nonsense}");
        }
    }

    #[test]
    fn a_date_is_as_far_away_as_the_servers_own_clock_says() {
        let later = ("retry-after", "Sun, 06 Nov 1994 09:50:37 GMT");
        let date = ("date", "Sun, 06 Nov 1994 09:50:07 GMT");
        assert_eq!(failure_with(503, &[later, date]).retry_after_ms, Some(30_000));
        assert_eq!(failure_with(503, &[later, ("date", "today")]).retry_after_ms, Some(3_600_000));
    }

    #[test]
    fn a_server_that_asks_to_come_later_does_not_use_up_an_attempt() {
        assert!(!failure(429, None).uses_up_an_attempt());
        assert!(!failure(503, Some("3")).uses_up_an_attempt());
        assert!(failure(503, None).uses_up_an_attempt());
    }

    #[test]
    fn what_a_request_holds_is_not_printed() {
        let work = JobWork::Request {
            method: "POST".to_owned(),
            url: "/a?secret=canary".to_owned(),
            headers: [("x".to_owned(), "canary".to_owned())].into(),
            body: Some(Argument::String("canary".to_owned())),
        };
        let request = HttpRequest::of(&work, "canary").unwrap_or_else(|| unreachable!());
        assert!(!format!("{request:?}").contains("canary"));
    }
}
