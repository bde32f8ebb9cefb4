//! Writes, pages and errors as the tests need them.

use syncline_protocol::message::{Page, Push};
use syncline_protocol::{
    Collection, Document, DocumentId, ErrorCode, Fields, Op, Patch, Path, Room, Value, WireError, Write,
};

use crate::engine::io::WriteRequest;

pub(super) fn room() -> Room {
    Room::new("list:1").unwrap()
}

pub(super) fn collection() -> Collection {
    Collection::new("todos").unwrap()
}

pub(super) fn document_id(id: &str) -> DocumentId {
    DocumentId::new(id).unwrap()
}

pub(super) fn write(id: &str, write: Write) -> WriteRequest {
    WriteRequest { room: room(), collection: collection(), id: document_id(id), write }
}

pub(super) fn count(n: i64) -> Fields {
    Fields::from([("n".into(), Value::Int(n))])
}

/// Creates a document with the field `n`.
pub(super) fn create(id: &str, n: i64) -> WriteRequest {
    write(id, Write::Create(count(n)))
}

pub(super) fn increment(id: &str, amount: i64) -> WriteRequest {
    write(id, Write::Update(Patch::new().with(Path::field("n"), Op::Increment(amount.into()))))
}

pub(super) fn set(id: &str, field: &str, value: i64) -> WriteRequest {
    write(id, Write::Update(Patch::new().with(Path::field(field), Op::Set(value.into()))))
}

pub(super) fn unavailable() -> WireError {
    WireError::new(ErrorCode::Unavailable, "not now")
}

pub(super) fn numbers(push: &Push) -> Vec<u64> {
    push.mutations.iter().map(|mutation| mutation.client_seq).collect()
}

pub(super) fn page(changes: Vec<Document>, cursor: u64) -> Page {
    Page { changes, cursor, more: false, reset: false, checksum: None, snapshot: None }
}
