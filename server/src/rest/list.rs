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
use syncline_protocol::{Document, DocumentId, ErrorCode, Fields, Room, Value, WireError};
use utoipa::{IntoParams, ToSchema};

use super::access::Caller;
use super::documents::DocumentBody;
use super::error::RestError;
use super::openapi::{IfNoneMatch, Refusals};
use super::{Rest, request};
use crate::access::Right;
use crate::hub::PageRequest;
use crate::storage::{ListRequest, Listing};

/// The last place that JavaScript counts to exactly.
pub(super) const SEQ_MAX: u64 = (1 << 53) - 1;

/// The largest count that may be asked for, whatever is answered.
const COUNT_MAX: u32 = i32::MAX.unsigned_abs();

/// Documents that a list reads at a time.
const SCAN_STEP: usize = 500;

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
    /// How many documents match in all; null unless all of them were looked at.
    count: Option<u64>,
    /// Asks for the next part as `after`; null on the last one. The part before it may have fewer documents than asked for.
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
        let request = ListRequest { room, collection, after: None, limit: SCAN_STEP };
        let scan = Scan { rest: &rest, request, looked_at: 0 };
        let is_by_id = selection.order_by.is_empty() && selection.limit != Some(0);
        let answer = match is_by_id {
            true => by_id(scan, &selection, head).await?,
            // Nothing but a count needs to see all of it, too.
            false => ordered(scan, &selection, head).await?,
        };
        Json(answer).into_response()
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

/// What a list looks at, step by step.
struct Scan<'a> {
    rest: &'a Rest,
    request: ListRequest,
    looked_at: usize,
}

impl Scan<'_> {
    /// The next documents that match, and where to go on; never more than one list looks at, nor than are wanted if all match.
    async fn step(
        &mut self,
        selection: &Selection,
        wanted: usize,
    ) -> Result<(Vec<Document>, Option<DocumentId>), RestError> {
        let step = if selection.filter.is_some() { SCAN_STEP } else { wanted.min(SCAN_STEP) };
        self.request.limit = self.left().min(step);
        let Listing { mut documents, looked_at, next } =
            self.rest.shared.storage.list(self.request.clone()).await?;
        self.looked_at += looked_at;
        self.request.after.clone_from(&next);
        if let Some(filter) = &selection.filter {
            documents.retain(|document| filter.matches(&document.fields));
        }
        Ok((documents, next))
    }

    fn left(&self) -> usize {
        self.rest.config.query_scan_max.max(1).saturating_sub(self.looked_at)
    }
}

fn limit(rest: &Rest, selection: &Selection) -> usize {
    let limit = selection.limit.unwrap_or(rest.config.page_count_default).min(rest.config.page_count_max);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// A list in the order of ids: as far as it goes is looked at, and no further.
async fn by_id(mut scan: Scan<'_>, selection: &Selection, head: u64) -> Result<ListAnswer, RestError> {
    let (limit, bytes_max) = (limit(scan.rest, selection), scan.rest.config.page_bytes_max);
    scan.request.after = selection.after.as_ref().map(|after| after.id.clone());
    let mut documents: Vec<DocumentBody> = Vec::new();
    let mut bytes = 0;
    let mut last: Option<DocumentId> = None;
    let next = loop {
        // One more tells whether there are more.
        let wanted = limit.saturating_sub(documents.len()).saturating_add(1);
        let (found, looked_to) = scan.step(selection, wanted).await?;
        let mut found = found.into_iter();
        let beyond = found.find_map(|document| {
            bytes += fields_byte_len(&document.fields);
            if documents.len() >= limit || (bytes > bytes_max && !documents.is_empty()) {
                return Some(last.clone());
            }
            last = Some(document.id.clone());
            documents.push(document.into());
            None
        });
        match (beyond, looked_to) {
            (Some(last), _) => break last,
            (None, None) => break None,
            (None, Some(looked_to)) if scan.left() == 0 => break Some(looked_to),
            (None, Some(_)) => {}
        }
    };
    let is_all = selection.after.is_none() && next.is_none();
    let next = next.map(|id| cursor_token(&Cursor { values: Vec::new(), id })).transpose()?;
    Ok(ListAnswer { count: is_all.then_some(documents.len() as u64), documents, next, head })
}

/// The first rows of an order after a place, within a number and bytes.
struct Window {
    rows: BTreeMap<SortKey, Document>,
    bytes: usize,
    count_max: usize,
    bytes_max: usize,
    /// The first row that did not fit.
    beyond: Option<SortKey>,
}

impl Window {
    fn put(&mut self, key: SortKey, document: Document) {
        if self.beyond.as_ref().is_some_and(|beyond| key >= *beyond) {
            return;
        }
        self.bytes += fields_byte_len(&document.fields);
        self.rows.insert(key, document);
        while self.rows.len() > self.count_max || (self.bytes > self.bytes_max && self.rows.len() > 1) {
            let Some((key, last)) = self.rows.pop_last() else { break };
            self.bytes -= fields_byte_len(&last.fields);
            self.beyond = Some(key);
        }
    }
}

/// A list in another order: every document of the collection is looked at.
async fn ordered(mut scan: Scan<'_>, selection: &Selection, head: u64) -> Result<ListAnswer, RestError> {
    let (order, config) = (&selection.order_by, &scan.rest.config);
    let after = selection.after.as_ref().map(|after| SortKey::of_cursor(after, order));
    let mut count = 0;
    let mut window = Window {
        rows: BTreeMap::new(),
        bytes: 0,
        count_max: limit(scan.rest, selection),
        bytes_max: config.page_bytes_max,
        beyond: None,
    };
    loop {
        let (found, looked_to) = scan.step(selection, SCAN_STEP).await?;
        for document in found {
            count += 1;
            let key = SortKey::of(document.id.clone(), &document.fields, order);
            if after.as_ref().is_none_or(|after| key > *after) {
                window.put(key, document);
            }
        }
        if looked_to.is_none() {
            break;
        }
        if scan.left() == 0 {
            let message =
                format!("the collection has more than {} documents to look at", config.query_scan_max);
            return Err(RestError::new(StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::TooLarge, message));
        }
    }
    let next = match window.rows.last_key_value() {
        Some((_, last)) if window.beyond.is_some() => {
            let value = |path: &syncline_protocol::Path| path.value_in(&last.fields).cloned();
            let values = order.iter().map(|key| value(&key.path).unwrap_or(Value::Null)).collect();
            Some(cursor_token(&Cursor { values, id: last.id.clone() })?)
        }
        _ => None,
    };
    let documents = window.rows.into_values().map(DocumentBody::from).collect();
    Ok(ListAnswer { documents, count: Some(count), next, head })
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
