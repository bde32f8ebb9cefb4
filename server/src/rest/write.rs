//! Writes: every one is a push on terms, so that order, merging, limits and live changes are those of the sockets.

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};
use syncline_protocol::message::{MutationResult, MutationStatus, Push};
use syncline_protocol::{Collection, DocumentId, ErrorCode, HybridTime, Mutation, Room, WireError, Write};
use utoipa::ToSchema;

use super::Rest;
use super::access::Caller;
use super::error::RestError;
use super::request;
use crate::access::Right;
use crate::hub::{Author, Effect, Receipt, Term, Terms};
use crate::server_client::server_client;

/// Marks an answer that was given before.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// One write of one document.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) collection: Collection,
    pub(crate) id: DocumentId,
    pub(crate) write: Write,
    pub(crate) term: Term,
}

impl Item {
    pub(crate) fn new(collection: &str, id: &str, write: Write, term: Term) -> Result<Self, RestError> {
        Ok(Self { collection: request::collection(collection)?, id: request::document_id(id)?, write, term })
    }
}

/// What a request asks for, as its idempotency key is held to it.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    /// The method and what it acts on.
    pub(crate) subject: String,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

/// What became of the writes, in their order.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) results: Vec<MutationResult>,
    /// Whether this was answered before.
    pub(crate) replayed: bool,
}

/// The answer to a write of one document.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WriteAnswer {
    collection: String,
    id: String,
    /// Where in the room's log the write stands; with quotes, it is the document's tag.
    seq: u64,
}

/// Makes all writes in one transaction, each for itself.
pub(crate) async fn write(
    rest: &Rest,
    caller: &Caller,
    room: Room,
    items: Vec<Item>,
    asked: &Asked<'_>,
) -> Result<Written, RestError> {
    caller.authorize(rest, &room, Right::Write).await?;
    let client = server_client(caller.user());
    let receipt = request::idempotency_key(asked.headers)?.map(|key| receipt(rest, caller, key, asked));
    let mut mutations = Vec::with_capacity(items.len() + 1);
    if let Some(receipt) = &receipt {
        mutations.push(receipt.mutation(client)?);
    }
    let mut terms = Vec::with_capacity(items.len());
    for (client_seq, item) in (mutations.len() as u64 + 1..).zip(items) {
        let Item { collection, id, write, term } = item;
        mutations.push(Mutation {
            client_seq,
            collection,
            id,
            write,
            time: HybridTime::default(),
            base: None,
        });
        terms.push(term);
    }
    let is_kept = receipt.is_some();
    let author =
        Author { user: caller.user().to_owned(), client, terms: Some(Terms { items: terms, receipt }) };
    let answer = rest.shared.storage.push(Push { room, after: None, mutations }, author).await?;
    let mut results = answer.results;
    let mut replayed = false;
    if is_kept && !results.is_empty() {
        replayed = results.remove(0).status == MutationStatus::Duplicate;
    }
    Ok(Written { results, replayed })
}

/// Makes one write, and answers it.
pub(crate) async fn write_one(
    rest: &Rest,
    caller: &Caller,
    room: Room,
    item: Item,
    asked: &Asked<'_>,
) -> Result<Response, RestError> {
    let (collection, id) = (item.collection.clone(), item.id.clone());
    let deletes = item.write == Write::Delete;
    let Written { mut results, replayed } = write(rest, caller, room, vec![item], asked).await?;
    let missing = || RestError::from(WireError::new(ErrorCode::Internal, "the write was not answered"));
    let seq = outcome(results.pop().ok_or_else(missing)?)?;
    let mut response = if deletes {
        StatusCode::NO_CONTENT.into_response()
    } else {
        let answer = WriteAnswer { collection: collection.as_str().into(), id: id.as_str().into(), seq };
        let mut response = Json(answer).into_response();
        if let Ok(tag) = HeaderValue::from_str(&request::tag(seq)) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    };
    mark_replayed(&mut response, replayed);
    Ok(response)
}

pub(crate) fn mark_replayed(response: &mut Response, replayed: bool) {
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
}

/// Where a write stands, or why it was refused.
pub(crate) fn outcome(result: MutationResult) -> Result<u64, WireError> {
    match (result.error, result.seq) {
        (Some(error), _) => Err(error),
        (None, Some(seq)) => Ok(seq),
        (None, None) => Err(WireError::new(ErrorCode::Internal, "the write has no place")),
    }
}

fn receipt(rest: &Rest, caller: &Caller, key: &str, asked: &Asked<'_>) -> Receipt {
    let headers = [header::IF_MATCH, header::IF_NONE_MATCH]
        .map(|name| asked.headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default());
    let request = [asked.subject.as_bytes(), headers[0], headers[1], asked.body];
    Receipt {
        key: digest(&[caller.user().as_bytes(), key.as_bytes()]),
        request: digest(&request),
        kept_ms: rest.config.receipts_kept_ms,
        kept_max: rest.config.receipts_kept_max,
    }
}

/// A digest of parts, told apart by their lengths.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// A write that sets exactly these fields.
pub(crate) fn replace(condition: crate::hub::Condition) -> Term {
    Term { effect: Effect::Replace, condition }
}

/// A patch, which may make the document.
pub(crate) fn patch(upsert: bool, condition: crate::hub::Condition) -> Term {
    Term { effect: if upsert { Effect::Upsert } else { Effect::AsWritten }, condition }
}
