//! One document: read, replace, patch, delete.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use syncline_protocol::{Document, ErrorCode, Fields, Room, WireError, Write};
use utoipa::{IntoParams, ToSchema};

use super::access::Caller;
use super::error::RestError;
use super::openapi::{IdempotencyKey, IfMatch, IfNoneMatch, IfNoneMatchAny, Refusals};
use super::patch::{self, Numbers};
use super::write::{self, Asked, Item, WriteAnswer, write_one};
use super::{Rest, request};
use crate::access::Right;
use crate::hub::is_hidden;

/// What names a document.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct Names {
    /// Such as `list:9`; at most 128 bytes.
    #[param(min_length = 1, max_length = 128, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")]
    room: String,
    /// Such as `todos`; at most 64 bytes.
    #[param(min_length = 1, max_length = 64, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")]
    collection: String,
    /// The document's id; at most 128 bytes.
    #[param(min_length = 1, max_length = 128, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")]
    id: String,
}

/// A document as it is read.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DocumentBody {
    collection: String,
    id: String,
    /// Where in the room's log its newest change stands; with quotes, it is the document's tag.
    seq: u64,
    #[schema(value_type = Object)]
    fields: Fields,
}

impl From<Document> for DocumentBody {
    fn from(document: Document) -> Self {
        let Document { collection, id, seq, fields, .. } = document;
        Self { collection: collection.as_str().into(), id: id.as_str().into(), seq, fields }
    }
}

/// All fields of a document.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(value_type = Object, example = json!({"title": "Milk", "done": false}))]
pub(crate) struct FieldsBody(pub(crate) Fields);

/// Fields to set by their dotted paths, and operations.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"title": "Milk", "__increment": {"count": 1}, "__unset": ["due"]}))]
#[allow(dead_code)]
pub(crate) struct PatchBody {
    /// Paths and the values to set there.
    #[schema(value_type = Option<Object>, nullable = false)]
    __set: Option<Fields>,
    /// Paths to remove.
    #[schema(nullable = false)]
    __unset: Option<Vec<String>>,
    /// Paths and the numbers to add there.
    #[schema(nullable = false)]
    __increment: Option<std::collections::BTreeMap<String, f64>>,
    /// Paths and the items that their arrays are to have.
    #[schema(value_type = Option<std::collections::BTreeMap<String, Vec<serde_json::Value>>>, nullable = false)]
    __union: Option<Fields>,
    /// Paths and the items that their arrays are to lose.
    #[schema(value_type = Option<std::collections::BTreeMap<String, Vec<serde_json::Value>>>, nullable = false)]
    __remove: Option<Fields>,
    /// Paths and the items to add to the end of their arrays.
    #[schema(value_type = Option<std::collections::BTreeMap<String, Vec<serde_json::Value>>>, nullable = false)]
    __append: Option<Fields>,
    /// Paths to set to the server's time, in milliseconds since the epoch.
    #[schema(nullable = false)]
    __server_time: Option<Vec<String>>,
}

/// How a patch treats a document that is missing.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PatchQuery {
    /// Whether the patch makes a document that is missing.
    #[serde(default)]
    upsert: bool,
}

/// Reads a document.
#[utoipa::path(
    get,
    path = "/v1/rooms/{room}/collections/{collection}/documents/{id}",
    operation_id = "readDocument",
    params(Names, IfNoneMatch),
    responses(
        (status = 200, description = "The document.", body = DocumentBody, content_type = "application/json",
            headers(("ETag" = String, description = "The document's tag."))),
        (status = 304, description = "The reader has it already."),
        Refusals
    ),
    security(("token" = []))
)]
pub(crate) async fn read(
    State(rest): State<Rest>,
    caller: Caller,
    Path(names): Path<Names>,
    headers: HeaderMap,
) -> Result<Response, RestError> {
    let document = find(&rest, &caller, &names.room, &names.collection, &names.id).await?;
    let seq = document.seq;
    answer(&headers, seq, DocumentBody::from(document))
}

/// Reads a document for somebody who may.
pub(crate) async fn find(
    rest: &Rest,
    caller: &Caller,
    room: &str,
    collection: &str,
    id: &str,
) -> Result<Document, RestError> {
    let room: Room = request::room(room)?;
    let key = (request::collection(collection)?, request::document_id(id)?);
    caller.authorize(rest, &room, Right::Read).await?;
    let not_found = || WireError::new(ErrorCode::NotFound, "the document does not exist");
    if is_hidden(&key.0) {
        return Err(not_found().into());
    }
    let found = rest.shared.storage.documents(room, vec![key]).await?;
    Ok(found.into_iter().next().flatten().ok_or_else(not_found)?)
}

/// Answers with a body and its tag, or that the reader has it.
pub(crate) fn answer(headers: &HeaderMap, seq: u64, body: impl Serialize) -> Result<Response, RestError> {
    let mut response = if request::has_already(headers, seq)? {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Json(body).into_response()
    };
    if let Ok(tag) = HeaderValue::from_str(&request::tag(seq)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// Makes a document, or replaces all of its fields.
#[utoipa::path(
    put,
    path = "/v1/rooms/{room}/collections/{collection}/documents/{id}",
    operation_id = "replaceDocument",
    params(Names, IfMatch, IfNoneMatchAny, IdempotencyKey),
    request_body(content = FieldsBody, content_type = "application/json"),
    responses(
        (status = 200, description = "It is written.", body = WriteAnswer, content_type = "application/json",
            headers(("ETag" = String, description = "The document's tag."))),
        Refusals
    ),
    security(("token" = []))
)]
pub(crate) async fn replace(
    State(rest): State<Rest>,
    caller: Caller,
    Path(names): Path<Names>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RestError> {
    let room = request::room(&names.room)?;
    let FieldsBody(fields) = request::json(&headers, &body)?;
    let term = write::replace(request::condition(&headers)?);
    let item = Item::new(&names.collection, &names.id, Write::Create(fields), term)?;
    let asked = names.asked("PUT", &headers, &body);
    write_one(&rest, &caller, room, item, &asked).await
}

/// Changes fields of a document.
#[utoipa::path(
    patch,
    path = "/v1/rooms/{room}/collections/{collection}/documents/{id}",
    operation_id = "patchDocument",
    params(Names, PatchQuery, IfMatch, IdempotencyKey),
    request_body(content = PatchBody, content_type = "application/json"),
    responses(
        (status = 200, description = "It is written.", body = WriteAnswer, content_type = "application/json",
            headers(("ETag" = String, description = "The document's tag."))),
        Refusals
    ),
    security(("token" = []))
)]
pub(crate) async fn patch(
    State(rest): State<Rest>,
    caller: Caller,
    Path(names): Path<Names>,
    Query(query): Query<PatchQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RestError> {
    let room = request::room(&names.room)?;
    let FieldsBody(spelled) = request::json(&headers, &body)?;
    let patch = read_patch(spelled, Numbers::Set)?;
    let term = write::patch(query.upsert, request::condition(&headers)?);
    let item = Item::new(&names.collection, &names.id, Write::Update(patch), term)?;
    let asked = names.asked(if query.upsert { "PATCH, upsert" } else { "PATCH" }, &headers, &body);
    write_one(&rest, &caller, room, item, &asked).await
}

pub(crate) fn read_patch(spelled: Fields, numbers: Numbers) -> Result<syncline_protocol::Patch, RestError> {
    patch::read(spelled, numbers).map_err(|error| RestError::senseless(error.to_string()))
}

/// Deletes a document.
#[utoipa::path(
    delete,
    path = "/v1/rooms/{room}/collections/{collection}/documents/{id}",
    operation_id = "deleteDocument",
    params(Names, IfMatch, IdempotencyKey),
    responses((status = 204, description = "It is deleted."), Refusals),
    security(("token" = []))
)]
pub(crate) async fn delete(
    State(rest): State<Rest>,
    caller: Caller,
    Path(names): Path<Names>,
    headers: HeaderMap,
) -> Result<Response, RestError> {
    let room = request::room(&names.room)?;
    let term = write::patch(false, request::condition(&headers)?);
    let item = Item::new(&names.collection, &names.id, Write::Delete, term)?;
    let asked = names.asked("DELETE", &headers, &[]);
    write_one(&rest, &caller, room, item, &asked).await
}

impl Names {
    fn asked<'a>(&self, method: &str, headers: &'a HeaderMap, body: &'a [u8]) -> Asked<'a> {
        // No name holds a control character.
        let subject = format!("{method}\n{}\n{}\n{}", self.room, self.collection, self.id);
        Asked { subject, headers, body }
    }
}
