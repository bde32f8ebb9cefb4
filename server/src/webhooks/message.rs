//! One message: what is told, and the request that tells it.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request};
use serde::Serialize;
use sha2::{Digest, Sha256};
use syncline_protocol::message::Page;
use syncline_protocol::{Document, Fields, Room};

use super::endpoint::Endpoint;
use super::signature::signature;
use crate::https::{self, HttpClient};
use crate::storage::sled::now_ms;

/// What is read of an answer, in bytes, so that its connection can be used again.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Changes of one room, in the order of its log.
#[derive(Debug, Serialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    data: Data<'a>,
}

#[derive(Debug, Serialize)]
struct Data<'a> {
    room: &'a Room,
    /// The place in the log after which this begins.
    after: u64,
    /// The place through which this goes.
    cursor: u64,
    /// Whether all that was told of the room before is to be forgotten.
    reset: bool,
    changes: Vec<Change>,
}

#[derive(Debug, Serialize)]
struct Change {
    collection: String,
    id: String,
    seq: u64,
    fields: Fields,
    deleted: bool,
}

impl From<Document> for Change {
    fn from(document: Document) -> Self {
        let Document { collection, id, seq, fields, deleted, .. } = document;
        Self { collection: collection.as_str().into(), id: id.as_str().into(), seq, fields, deleted }
    }
}

/// A page of a room's log as a message.
pub(super) fn encode(room: &Room, after: u64, page: Page) -> Result<Bytes, serde_json::Error> {
    let Page { changes, cursor, reset, .. } = page;
    let changes = changes.into_iter().map(Change::from).collect();
    let data = Data { room, after, cursor, reset, changes };
    serde_json::to_vec(&Message { kind: "documents.changed", data }).map(Bytes::from)
}

/// Why a message did not arrive.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    #[error("it answered {status}")]
    Status { status: u16, retry_after: Option<Duration> },
    #[error("it did not answer in time")]
    Timeout,
    #[error("it cannot be reached: {0}")]
    Unreachable(#[from] hyper_util::client::legacy::Error),
    #[error("the request cannot be made: {0}")]
    Request(#[from] hyper::http::Error),
}

/// Sends messages.
#[derive(Debug)]
pub(super) struct Poster(HttpClient<Full<Bytes>>);

impl Poster {
    pub(super) fn new() -> Result<Self, std::io::Error> {
        Ok(Self(https::client_over(https::by_system()?)))
    }

    /// Sends a message; only an answer of success counts.
    pub(super) async fn post(&self, endpoint: &Endpoint, body: Bytes) -> Result<(), PostError> {
        // What is equal has one id, so that a receiver may leave out what it has heard before.
        let id = format!("msg_{}", hex(&Sha256::digest(&body)[..16]));
        let timestamp_s = now_ms() / 1000;
        let request = Request::builder()
            .method(Method::POST)
            .uri(&endpoint.url)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("syncline-server/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", &id)
            .header("webhook-timestamp", timestamp_s)
            .header("webhook-signature", signature(&endpoint.secrets, &id, timestamp_s, &body))
            .body(Full::new(body))?;
        let answered = async {
            let response = self.0.request(request).await?;
            let status = response.status();
            let retry_after =
                response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            // Whatever else it says; an answer that is too long only costs the connection.
            let _ = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            if status.is_success() {
                Ok(())
            } else {
                let retry_after = retry_after.map(Duration::from_secs);
                Err(PostError::Status { status: status.as_u16(), retry_after })
            }
        };
        tokio::time::timeout(endpoint.timeout, answered).await.unwrap_or(Err(PostError::Timeout))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
