//! Many writes of one room in one transaction, each with a result of its own.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use syncline_protocol::message::{MutationResult, MutationStatus};
use syncline_protocol::{ErrorCode, Value, WireError, Write};
use utoipa::ToSchema;

use super::access::Caller;
use super::documents::{FieldsBody, PatchBody, read_patch};
use super::error::{ErrorBody, RestError};
use super::list::{RoomName, SEQ_MAX};
use super::openapi::{IdempotencyKey, Refusals};
use super::patch::Numbers;
use super::write::{self, Asked, Item, Written, outcome};
use super::{Rest, request};
use crate::hub::Condition;

/// Writes of one room.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchBody {
    #[schema(min_items = 1)]
    pub(super) operations: Vec<Operation>,
}

/// One write.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Operation {
    /// Makes the document, or replaces all of its fields.
    Put {
        #[schema(min_length = 1, max_length = 64)]
        collection: String,
        #[schema(min_length = 1, max_length = 128)]
        id: String,
        fields: FieldsBody,
        /// The document must stand at this place.
        #[serde(default, deserialize_with = "whole")]
        #[schema(minimum = 0, maximum = 9007199254740991u64)]
        if_seq: Option<u64>,
        /// The document must not exist.
        #[serde(default)]
        #[schema(required = false)]
        if_absent: bool,
    },
    /// Changes fields of the document.
    Patch {
        #[schema(min_length = 1, max_length = 64)]
        collection: String,
        #[schema(min_length = 1, max_length = 128)]
        id: String,
        #[schema(value_type = PatchBody)]
        patch: FieldsBody,
        /// Whether the patch makes a document that is missing.
        #[serde(default)]
        #[schema(required = false)]
        upsert: bool,
        /// The document must stand at this place.
        #[serde(default, deserialize_with = "whole")]
        #[schema(minimum = 0, maximum = 9007199254740991u64)]
        if_seq: Option<u64>,
    },
    /// Deletes the document.
    Delete {
        #[schema(min_length = 1, max_length = 64)]
        collection: String,
        #[schema(min_length = 1, max_length = 128)]
        id: String,
        /// The document must stand at this place.
        #[serde(default, deserialize_with = "whole")]
        #[schema(minimum = 0, maximum = 9007199254740991u64)]
        if_seq: Option<u64>,
    },
}

/// A whole number however it is spelled: JSON does not tell `7` from `7.0`.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    match Option::<Value>::deserialize(deserializer)? {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Int(number)) => {
            let place = u64::try_from(number).ok().filter(|place| *place <= SEQ_MAX);
            place.map(Some).ok_or_else(|| D::Error::custom(format_args!("a place is from 0 to {SEQ_MAX}")))
        }
        Some(_) => Err(D::Error::custom("a place is a whole number")),
    }
}

impl Operation {
    fn into_item(self) -> Result<Item, RestError> {
        let at = |if_seq: Option<u64>| if_seq.map_or(Condition::Always, |seq| Condition::At(vec![seq]));
        match self {
            Self::Put { collection, id, fields, if_seq, if_absent } => {
                let condition = match (if_seq, if_absent) {
                    (Some(_), true) => {
                        return Err(RestError::senseless("if_seq and if_absent exclude each other"));
                    }
                    (None, true) => Condition::Absent,
                    (if_seq, false) => at(if_seq),
                };
                Item::new(&collection, &id, Write::Create(fields.0), write::replace(condition))
            }
            Self::Patch { collection, id, patch, upsert, if_seq } => {
                let patch = read_patch(patch.0, Numbers::Set)?;
                Item::new(&collection, &id, Write::Update(patch), write::patch(upsert, at(if_seq)))
            }
            Self::Delete { collection, id, if_seq } => {
                Item::new(&collection, &id, Write::Delete, write::patch(false, at(if_seq)))
            }
        }
    }
}

pub(super) fn items(operations: Vec<Operation>) -> Result<Vec<Item>, RestError> {
    operations.into_iter().map(Operation::into_item).collect()
}

/// A result for each operation, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchAnswer {
    results: Vec<ItemAnswer>,
}

/// What became of one operation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ItemAnswer {
    status: ItemStatus,
    /// Where in the room's log the write stands; for a conflict, where the document does; else null.
    seq: Option<u64>,
    /// Why it was not applied, else null.
    error: Option<ErrorBody>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ItemStatus {
    Applied,
    /// The document is not as the operation expects it.
    Conflict,
    Rejected,
}

impl From<MutationResult> for ItemAnswer {
    fn from(result: MutationResult) -> Self {
        let (conflict, seq) = (result.status == MutationStatus::Conflict, result.seq);
        match outcome(result) {
            Ok(seq) => Self { status: ItemStatus::Applied, seq: Some(seq), error: None },
            Err(error) => {
                let status = if conflict { ItemStatus::Conflict } else { ItemStatus::Rejected };
                Self { status, seq, error: Some(error.into()) }
            }
        }
    }
}

/// Makes many writes of a room in one transaction: what one does, the next ones see. One that is refused does not keep
/// the others from being made.
#[utoipa::path(
    post,
    path = "/v1/rooms/{room}/batch",
    operation_id = "writeBatch",
    params(RoomName, IdempotencyKey),
    request_body(content = BatchBody, content_type = "application/json"),
    responses(
        (status = 200, description = "A result for each operation.", body = BatchAnswer, content_type = "application/json"),
        Refusals
    ),
    security(("token" = []))
)]
pub(crate) async fn batch(
    State(rest): State<Rest>,
    caller: Caller,
    Path(RoomName { room }): Path<RoomName>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RestError> {
    let subject = format!("POST\n{room}\nbatch");
    let room = request::room(&room)?;
    let BatchBody { operations } = request::json(&headers, &body)?;
    // The answer's receipt takes one.
    let count_max =
        rest.config.batch_count_max.min(rest.shared.limits.push_count_max.saturating_sub(1) as usize);
    if operations.is_empty() {
        return Err(RestError::malformed("the batch is empty"));
    }
    if operations.len() > count_max {
        let message = format!("{} operations, at most {count_max} are allowed", operations.len());
        return Err(WireError::new(ErrorCode::TooLarge, message).into());
    }
    let items = items(operations)?;
    let asked = Asked { subject, headers: &headers, body: &body };
    let Written { results, replayed } = write::write(&rest, &caller, room, items, &asked).await?;
    let results = results.into_iter().map(ItemAnswer::from).collect();
    let mut response = Json(BatchAnswer { results }).into_response();
    write::mark_replayed(&mut response, replayed);
    Ok(response)
}
