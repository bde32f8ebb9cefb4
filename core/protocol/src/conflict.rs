//! When two writes of one document are in conflict, and in what.

use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::message::{Mutation, Write};
use crate::name::ClientId;
use crate::patch::Path;
use crate::stamp::Stamp;

/// What the two writes do, this client's first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ConflictKind {
    UpdateUpdate,
    /// The document was deleted by another client.
    UpdateDelete,
    DeleteUpdate,
}

impl ConflictKind {
    /// `document` is what the server holds; `None` where it holds nothing any more.
    pub fn of(write: &Write, document: Option<&Document>) -> Self {
        match (write, document) {
            (Write::Delete, _) => Self::DeleteUpdate,
            (_, Some(document)) if !document.deleted => Self::UpdateUpdate,
            _ => Self::UpdateDelete,
        }
    }
}

/// The paths written by the mutation and by what its base lacks; `None` when the document holds nothing that the
/// base lacks, or the mutation has no base. A client has always seen its own writes.
pub fn fields_in_conflict(document: &Document, mutation: &Mutation, writer: ClientId) -> Option<Vec<Path>> {
    let mut seen = mutation.base.clone()?;
    seen.record(writer, mutation.client_seq);
    if document.version.is_within(&seen) {
        return None;
    }
    let unseen = |stamp: Stamp| document.version.seen(stamp.writer) > seen.seen(stamp.writer);
    let written: Vec<Path> = match &mutation.write {
        Write::Create(fields) => fields.keys().map(Path::field).collect(),
        Write::Update(patch) => patch.ops().map(|(path, _)| path.clone()).collect(),
        // A deletion touches every field.
        Write::Delete => document.fields.keys().map(Path::field).collect(),
    };
    let touched = |path: &Path| {
        unseen(document.stamps.governing(path))
            || document.stamps.fields.iter().any(|(inner, stamp)| inner.is_within(path) && unseen(*stamp))
    };
    Some(written.into_iter().filter(touched).collect())
}
