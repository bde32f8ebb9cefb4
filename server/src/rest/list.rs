//! Many documents: a list by query, and a room's changes.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use syncline_protocol::query::{Cursor, Selection, SortKey};
use syncline_protocol::value::fields_byte_len;
use syncline_protocol::{Collection, Document, DocumentId, ErrorCode, Fields, Room, Value, WireError};
use utoipa::{IntoParams, ToSchema};

use super::access::Caller;
use super::documents::DocumentBody;
use super::error::RestError;
use super::openapi::{IfNoneMatch, Refusals};
use super::{Rest, request};
use crate::access::Right;
use crate::hub::PageRequest;

/// The last place that JavaScript counts to exactly.
pub(super) const SEQ_MAX: u64 = (1 << 53) - 1;

/// The largest count that may be asked for, whatever is answered.
const COUNT_MAX: u32 = i32::MAX.unsigned_abs();

/// How often a list begins anew because deletions were purged under it.
const READINGS_MAX: usize = 3;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct ListNames {
    /// Such as `list:9`; at most 128 bytes.
    #[param(min_length = 1, max_length = 128, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")]
    room: String,
    /// Such as `todos`; at most 64 bytes.
    #[param(min_length = 1, max_length = 64, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")]
    collection: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// A filter of the query language, as JSON: `{"eq":["done",false]}`.
    #[param(example = "{\"eq\":[\"done\",false]}", nullable = false)]
    filter: Option<String>,
    /// An order of the query language, as JSON: `[{"path":"due","direction":"desc"}]`.
    #[param(example = "[{\"path\":\"due\",\"direction\":\"desc\"}]", nullable = false)]
    order_by: Option<String>,
    /// How many documents to answer; the server's own limit applies as well.
    #[param(minimum = 0, maximum = 2147483647, nullable = false)]
    limit: Option<u32>,
    /// The `next` of the answer before this one, for the same order.
    #[param(nullable = false)]
    after: Option<String>,
}

/// A part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ListAnswer {
    documents: Vec<DocumentBody>,
    /// How many documents match in all.
    count: u64,
    /// Asks for the next part as `after`; null on the last one.
    next: Option<String>,
    /// Where the room's log ended when the list was made, at least.
    head: u64,
}

/// Lists documents of a collection by a query.
#[utoipa::path(
    get,
    path = "/v1/rooms/{room}/collections/{collection}/documents",
    operation_id = "listDocuments",
    params(ListNames, ListQuery, IfNoneMatch),
    responses(
        (status = 200, description = "The documents.", body = ListAnswer, content_type = "application/json",
            headers(("ETag" = String, description = "Of the room."))),
        (status = 304, description = "Nothing in the room has changed."),
        Refusals
    ),
    security(("token" = []))
)]
pub(crate) async fn list(
    State(rest): State<Rest>,
    caller: Caller,
    Path(names): Path<ListNames>,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
) -> Result<Response, RestError> {
    let (room, collection) = (request::room(&names.room)?, request::collection(&names.collection)?);
    caller.authorize(&rest, &room, Right::Read).await?;
    count_asked(query.limit, 0)?;
    let selection = selection(&query)?;
    let head = head(&rest, &room).await?;
    let mut response = if request::has_already(&headers, head)? {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let matching = matching(&rest, &room, collection, &selection).await?;
        Json(window(&rest, matching, &selection, head)?).into_response()
    };
    if let Ok(tag) = HeaderValue::from_str(&format!("W/{}", request::tag(head))) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

pub(super) fn selection(query: &ListQuery) -> Result<Selection, RestError> {
    fn read<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, RestError> {
        serde_json::from_str(text)
            .map_err(|error| RestError::senseless(format!("{name} does not read: {error}")))
    }
    let selection = Selection {
        filter: query.filter.as_deref().map(|text| read("filter", text)).transpose()?,
        order_by: query
            .order_by
            .as_deref()
            .map(|text| read("order_by", text))
            .transpose()?
            .unwrap_or_default(),
        limit: query.limit,
        after: query.after.as_deref().map(read_cursor).transpose()?,
    };
    selection.check().map_err(|error| RestError::senseless(error.to_string()))?;
    Ok(selection)
}

pub(super) fn read_cursor(token: &str) -> Result<Cursor, RestError> {
    let cursor = URL_SAFE_NO_PAD.decode(token).ok().and_then(|json| serde_json::from_slice(&json).ok());
    cursor.ok_or_else(|| RestError::senseless("after is not what an answer gave as next"))
}

pub(super) fn cursor_token(cursor: &Cursor) -> Result<String, RestError> {
    let json = serde_json::to_vec(cursor)
        .map_err(|_| WireError::new(ErrorCode::Internal, "the cursor cannot be encoded"))?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

/// Refuses a count that no list has.
fn count_asked(limit: Option<u32>, min: u32) -> Result<(), RestError> {
    match limit {
        Some(limit) if !(min..=COUNT_MAX).contains(&limit) => {
            Err(RestError::malformed(format!("limit is from {min} to {COUNT_MAX}")))
        }
        _ => Ok(()),
    }
}

async fn head(rest: &Rest, room: &Room) -> Result<u64, RestError> {
    let heads = rest.shared.storage.heads(vec![room.clone()]).await?;
    Ok(heads.first().map_or(0, |(_, head)| *head))
}

/// The documents that match, each in its newest state.
async fn matching(
    rest: &Rest,
    room: &Room,
    collection: Collection,
    selection: &Selection,
) -> Result<BTreeMap<DocumentId, Document>, RestError> {
    let mut wanted = PageRequest {
        room: room.clone(),
        cursor: 0,
        limit: rest.shared.limits.page_count_max,
        collections: Some(vec![collection]),
        snapshot: None,
    };
    let too_much =
        |message: String| RestError::new(StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::TooLarge, message);
    let mut matching: BTreeMap<DocumentId, Document> = BTreeMap::new();
    let (mut scanned, mut bytes, mut readings) = (0, 0, 0);
    loop {
        let page = rest.shared.storage.page(wanted.clone()).await?;
        if page.reset {
            readings += 1;
            if readings >= READINGS_MAX {
                let message = "the room changes faster than it can be read";
                return Err(WireError::new(ErrorCode::Unavailable, message).into());
            }
            matching.clear();
            (scanned, bytes) = (0, 0);
        }
        scanned += page.changes.len();
        if scanned > rest.config.query_scan_max {
            let message =
                format!("the collection has more than {} documents to look at", rest.config.query_scan_max);
            return Err(too_much(message));
        }
        for document in page.changes {
            // A document that changed meanwhile stands in the log once more.
            if let Some(old) = matching.remove(&document.id) {
                bytes -= fields_byte_len(&old.fields);
            }
            let matches = selection.filter.as_ref().is_none_or(|filter| filter.matches(&document.fields));
            if !document.deleted && matches {
                bytes += fields_byte_len(&document.fields);
                matching.insert(document.id.clone(), document);
            }
        }
        if bytes > rest.config.query_bytes_max {
            let message = format!("more than {} bytes match", rest.config.query_bytes_max);
            return Err(too_much(message));
        }
        if !page.more {
            return Ok(matching);
        }
        wanted.cursor = page.cursor;
        wanted.snapshot = page.snapshot.or(wanted.snapshot);
    }
}

/// The part of a list that was asked for.
fn window(
    rest: &Rest,
    matching: BTreeMap<DocumentId, Document>,
    selection: &Selection,
    head: u64,
) -> Result<ListAnswer, RestError> {
    let order = &selection.order_by;
    let count = matching.len() as u64;
    let mut rows: Vec<(SortKey, Document)> = matching
        .into_values()
        .map(|document| (SortKey::of(document.id.clone(), &document.fields, order), document))
        .collect();
    if let Some(after) = &selection.after {
        let after = SortKey::of_cursor(after, order);
        rows.retain(|(key, _)| *key > after);
    }
    rows.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    let limit = selection.limit.unwrap_or(rest.config.page_count_default).min(rest.config.page_count_max);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = match rows.last() {
        Some((_, last)) if more => {
            let value = |path: &syncline_protocol::Path| path.value_in(&last.fields).cloned();
            let values = order.iter().map(|key| value(&key.path).unwrap_or(Value::Null)).collect();
            Some(cursor_token(&Cursor { values, id: last.id.clone() })?)
        }
        _ => None,
    };
    let documents = rows.into_iter().map(|(_, document)| document.into()).collect();
    Ok(ListAnswer { documents, count, next, head })
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct RoomName {
    /// Such as `list:9`; at most 128 bytes.
    #[param(min_length = 1, max_length = 128, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")]
    pub(super) room: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ChangesQuery {
    /// The `cursor` of the answer before this one, 0 for the first.
    #[serde(default)]
    #[param(required = false, minimum = 0, maximum = 9007199254740991u64)]
    cursor: u64,
    /// The `snapshot` of the first answer, until there is no more.
    #[param(minimum = 0, maximum = 9007199254740991u64, nullable = false)]
    snapshot: Option<u64>,
    /// How many changes to answer; the server's own limit applies as well.
    #[param(minimum = 1, maximum = 2147483647, nullable = false)]
    limit: Option<u32>,
}

/// A document that changed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangeBody {
    collection: String,
    id: String,
    /// Where in the room's log it stands.
    seq: u64,
    /// Empty when it is deleted.
    #[schema(value_type = Object)]
    fields: Fields,
    deleted: bool,
}

impl From<Document> for ChangeBody {
    fn from(document: Document) -> Self {
        let Document { collection, id, seq, fields, deleted, .. } = document.for_clients();
        Self { collection: collection.as_str().into(), id: id.as_str().into(), seq, fields, deleted }
    }
}

/// A part of a room's log. A document that changed several times stands at its newest place alone.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangesAnswer {
    changes: Vec<ChangeBody>,
    /// Asks for what comes after.
    cursor: u64,
    /// Whether there is more at once.
    more: bool,
    /// Whether the reader must forget the room first: it missed deletions that are no longer kept.
    reset: bool,
    /// To be sent along until there is no more, if not null.
    snapshot: Option<u64>,
}

/// Reads what changed in a room after a cursor.
#[utoipa::path(
    get,
    path = "/v1/rooms/{room}/changes",
    operation_id = "readChanges",
    params(RoomName, ChangesQuery),
    responses(
        (status = 200, description = "The changes.", body = ChangesAnswer, content_type = "application/json"),
        Refusals
    ),
    security(("token" = []))
)]
pub(crate) async fn changes(
    State(rest): State<Rest>,
    caller: Caller,
    Path(RoomName { room }): Path<RoomName>,
    Query(query): Query<ChangesQuery>,
) -> Result<Json<ChangesAnswer>, RestError> {
    let room = request::room(&room)?;
    caller.authorize(&rest, &room, Right::Read).await?;
    let ChangesQuery { cursor, snapshot, limit } = query;
    count_asked(limit, 1)?;
    if cursor.max(snapshot.unwrap_or(0)) > SEQ_MAX {
        return Err(RestError::malformed(format!("no place is beyond {SEQ_MAX}")));
    }
    let limit = limit.unwrap_or(rest.config.page_count_default).min(rest.config.page_count_max);
    let page =
        rest.shared.storage.page(PageRequest { room, cursor, limit, collections: None, snapshot }).await?;
    Ok(Json(ChangesAnswer {
        changes: page.changes.into_iter().map(ChangeBody::from).collect(),
        cursor: page.cursor,
        more: page.more,
        reset: page.reset,
        snapshot: page.snapshot,
    }))
}
