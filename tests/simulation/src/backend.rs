//! Where jobs take effect: it answers queued events and requests, knows a repetition by its key, and remembers the order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use syncline::engine::queue::http::{HttpRequest, HttpResponse};
use syncline::transport::{Parser, Payload};
use syncline_protocol::message::{Encoding, Failure as Refusal};
use syncline_protocol::{ErrorCode, WireError};

use crate::failure::{Failure, ensure};
use crate::server::{Server, payload};
use crate::session::Request;

/// The event that asks for an errand.
pub(crate) const EVENT: &str = "errand";
/// Where a request does.
pub(crate) const PATH: &str = "/errands";

/// What a job asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Errand {
    pub(crate) tag: String,
    /// Whether the backend takes it as it is.
    pub(crate) refused: bool,
}

/// What the backend answers with, each time the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Receipt {
    pub(crate) receipt: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    idempotency_key: String,
}

#[derive(Debug, Default)]
pub(crate) struct Backend {
    /// The tags, in the order in which they came first.
    effects: Vec<String>,
    by_key: BTreeMap<String, u64>,
    /// Under which key each tag came.
    keys: BTreeMap<String, String>,
    broken: Option<String>,
}

impl Backend {
    fn take(&mut self, key: &str, errand: &Errand) -> Result<Receipt, WireError> {
        let Errand { tag, refused } = errand;
        let first = self.keys.entry(tag.clone()).or_insert_with(|| key.to_owned());
        if first != key {
            self.broken = Some(format!("{tag} came under the key {first}, and again under {key}"));
        }
        if *refused {
            return Err(WireError::new(ErrorCode::Invalid, "not an errand for here"));
        }
        let next = self.effects.len() as u64;
        let receipt = *self.by_key.entry(key.to_owned()).or_insert(next);
        if receipt == next {
            self.effects.push(tag.clone());
        }
        Ok(Receipt { receipt })
    }

    /// What a client did that none may do.
    pub(crate) fn check(&mut self) -> Result<(), Failure> {
        match self.broken.take() {
            Some(what) => Err(Failure(what)),
            None => Ok(()),
        }
    }

    /// At which place each tag took effect; none did twice.
    pub(crate) fn places(&self) -> Result<BTreeMap<&str, u64>, Failure> {
        let places: BTreeMap<&str, u64> = self.effects.iter().map(String::as_str).zip(0..).collect();
        ensure!(places.len() == self.effects.len(), "an errand took effect twice: {:?}", self.effects);
        Ok(places)
    }
}

impl Server {
    /// Answers a queued event.
    pub(crate) fn run_errand(&mut self, parser: Parser, request: &Request) -> Payload {
        let answer = match self.trouble.pop_front() {
            Some(error) => Err(error),
            None => self.take_event(request),
        };
        match answer {
            Ok(receipt) => payload(parser, Encoding::Plain, &receipt),
            Err(error) => payload(parser, Encoding::Plain, &Refusal { error }),
        }
    }

    fn take_event(&mut self, request: &Request) -> Result<Receipt, WireError> {
        let unreadable = || WireError::new(ErrorCode::Invalid, "no errand");
        let [errand, key] = &request.args[..] else { return Err(unreadable()) };
        let errand = errand.decode::<Errand>().map_err(|_| unreadable())?;
        let key = key.decode::<Key>().map_err(|_| unreadable())?;
        self.backend.take(&key.idempotency_key, &errand)
    }

    /// Answers a queued request.
    pub(crate) fn respond(&mut self, request: &HttpRequest, now_ms: u64) -> HttpResponse {
        let response = |status, headers, body| HttpResponse { status, headers, body, takes_token: true };
        if let Some(error) = self.trouble.pop_front() {
            let advice =
                error.retry_after_ms.map(|ms| ("retry-after".to_owned(), ms.div_ceil(1000).to_string()));
            let status = match error.code {
                ErrorCode::RateLimited => 429,
                ErrorCode::Unavailable => 503,
                _ => 500,
            };
            return response(status, advice.into_iter().collect(), vec![]);
        }
        let token = request.token.as_ref().map(|token| token.expose().to_owned());
        if self.check_token(token.as_deref(), now_ms).is_err() {
            return response(401, BTreeMap::new(), vec![]);
        }
        let key = request.headers.get("idempotency-key");
        let errand = serde_json::from_slice::<Errand>(&request.body).ok();
        match key.zip(errand).map(|(key, errand)| self.backend.take(key, &errand)) {
            Some(Ok(Receipt { receipt })) => {
                let headers = [("content-type".to_owned(), "application/json".to_owned())].into();
                response(200, headers, format!("{{\"receipt\":{receipt}}}").into_bytes())
            }
            Some(Err(_)) | None => response(422, BTreeMap::new(), vec![]),
        }
    }
}
