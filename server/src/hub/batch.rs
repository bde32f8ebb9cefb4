//! A push, mutation by mutation.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use syncline_protocol::conflict::fields_in_conflict;
use syncline_protocol::limits::VALUE_DEPTH_MAX;
use syncline_protocol::message::{MutationResult, MutationStatus};
use syncline_protocol::sabotage::{Sabotage, is_active};
use syncline_protocol::value::fields_byte_len;
use syncline_protocol::{
    Checksum, ClientId, Document, ErrorCode, Limits, Mutation, Room, WireError, Write, merge,
};

use super::terms::{hidden, is_hidden};
use super::{Author, Commit, DocumentKey, Head, LiveChanges, PushStore, Replaced, SharedDocument, Written};
use crate::validate::{Effect, Validation};

/// A push under way: what it has read and will write.
pub(super) struct Batch<'a, S> {
    store: &'a S,
    room: Room,
    pub(super) client: ClientId,
    user: &'a str,
    pub(super) limits: &'a Limits,
    validation: &'a Validation,
    head_before: Head,
    head: Head,
    last_client_seq_before: u64,
    pub(super) last_client_seq: u64,
    documents: HashMap<DocumentKey, Working>,
    rejections: Vec<(u64, WireError)>,
    pub(super) written_bytes: usize,
}

pub(super) struct Working {
    replaced: Option<Replaced>,
    pub(super) document: Option<Document>,
    /// What the push has written of it so far, in bytes; `None` for nothing.
    written_bytes: Option<usize>,
}

/// A document as a mutation makes it, with its [`document_byte_len`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Weighed {
    pub(super) document: Document,
    pub(super) bytes: usize,
}

impl<'a, S: PushStore> Batch<'a, S> {
    pub(super) fn open(
        store: &'a S,
        room: Room,
        author: &'a Author,
        limits: &'a Limits,
        validation: &'a Validation,
        mutations: usize,
    ) -> Result<Self, S::Error> {
        let client = author.client;
        let head = store.head(&room)?;
        let last_client_seq = store.last_client_seq(&room, client)?;
        Ok(Self {
            store,
            room,
            client,
            user: &author.user,
            limits,
            validation,
            head_before: head,
            head,
            last_client_seq_before: last_client_seq,
            last_client_seq,
            documents: HashMap::with_capacity(mutations),
            rejections: Vec::new(),
            written_bytes: 0,
        })
    }

    pub(super) fn apply(&mut self, mutation: Mutation, now_ms: u64) -> Result<MutationResult, S::Error> {
        let key = (mutation.collection.clone(), mutation.id.clone());
        if mutation.client_seq <= self.last_client_seq_before && !is_active(Sabotage::DedupeOff) {
            return self.duplicate(&mutation, &key);
        }
        let client_seq = mutation.client_seq;
        self.last_client_seq = client_seq;
        if is_hidden(&mutation.collection) {
            self.rejections.push((client_seq, hidden()));
            return Ok(MutationResult {
                error: Some(hidden()),
                ..result(client_seq, MutationStatus::Rejected)
            });
        }
        let current = self.working(&key)?.document.clone();
        let conflict = match &current {
            Some(document) => fields_in_conflict(document, &mutation, self.client),
            None => is_of_purged(&mutation).then(Vec::new),
        };
        if let Some(fields) = conflict {
            let error = WireError::new(ErrorCode::Conflict, "the document changed since the mutation's base");
            self.rejections.push((client_seq, error));
            return Ok(MutationResult {
                document: current.map(Document::for_clients),
                fields: Some(fields),
                ..result(client_seq, MutationStatus::Conflict)
            });
        }
        if current.is_none() && mutation.write == Write::Delete {
            // What is to be gone is gone. A reader that got to the floor does not have it either.
            return Ok(MutationResult {
                seq: Some(self.head_before.floor),
                ..result(client_seq, MutationStatus::Applied)
            });
        }
        let before = current.as_ref().map(|document| (document.checksum(), document.deleted));
        match self.effect(current, mutation, &key, now_ms) {
            Ok(document) => Ok(self.put(client_seq, &key, document, before.unwrap_or_default())),
            Err(error) => {
                self.rejections.push((client_seq, error.clone()));
                Ok(MutationResult { error: Some(error), ..result(client_seq, MutationStatus::Rejected) })
            }
        }
    }

    /// What a mutation makes of a document, if the document may become that.
    pub(super) fn effect(
        &self,
        current: Option<Document>,
        mutation: Mutation,
        key: &DocumentKey,
        now_ms: u64,
    ) -> Result<Weighed, WireError> {
        let after = merged(current, mutation, self.client, now_ms, self.limits)?;
        if !self.validation.is_empty() {
            let before = self.documents.get(key).and_then(|working| working.document.as_ref());
            let effect = Effect { room: &self.room, user: self.user, before, after: &after.document };
            let validated = self.validation.validate(&effect);
            validated.map_err(|reason| WireError::new(ErrorCode::Invalid, reason))?;
        }
        Ok(after)
    }

    pub(super) fn put(
        &mut self,
        client_seq: u64,
        key: &DocumentKey,
        Weighed { mut document, bytes }: Weighed,
        (checksum_before, deleted_before): (Checksum, bool),
    ) -> MutationResult {
        self.head.seq += if is_active(Sabotage::SequenceGap) { 2 } else { 1 };
        document.seq = self.head.seq;
        if !is_hidden(&document.collection) && !is_active(Sabotage::ChecksumNotUpdated) {
            self.head.checksum = self.head.checksum.replace(checksum_before, document.checksum());
        }
        let tombstones = self.head.tombstones.saturating_sub(u64::from(deleted_before));
        self.head.tombstones = tombstones + u64::from(document.deleted);
        self.written_bytes += bytes;
        let seq = Some(document.seq);
        if let Some(working) = self.documents.get_mut(key) {
            self.written_bytes -= working.written_bytes.replace(bytes).unwrap_or(0);
            working.document = Some(document);
        }
        MutationResult { seq, ..result(client_seq, MutationStatus::Applied) }
    }

    pub(super) fn working(&mut self, key: &DocumentKey) -> Result<&Working, S::Error> {
        match self.documents.entry(key.clone()) {
            Entry::Occupied(found) => Ok(found.into_mut()),
            Entry::Vacant(place) => {
                let document = self.store.document(&self.room, key)?;
                let replaced = document
                    .as_ref()
                    .map(|document| Replaced { seq: document.seq, deleted: document.deleted });
                Ok(place.insert(Working { replaced, document, written_bytes: None }))
            }
        }
    }

    /// The first outcome of a number used before: a rejection that is kept tells, and what was not refused was
    /// applied. A document that no longer holds the number went with its tombstone, which stood at the floor or
    /// below.
    fn duplicate(&mut self, mutation: &Mutation, key: &DocumentKey) -> Result<MutationResult, S::Error> {
        let rejection = self.store.rejection(&self.room, self.client, mutation.client_seq)?;
        let client = self.client;
        let document = self.working(key)?.document.clone();
        let duplicate = result(mutation.client_seq, MutationStatus::Duplicate);
        let holds = document.as_ref().is_some_and(|held| held.version.seen(client) >= mutation.client_seq);
        Ok(match rejection {
            Some(error) if error.code == ErrorCode::Conflict => MutationResult {
                document: document.map(Document::for_clients),
                error: Some(error),
                ..duplicate
            },
            Some(error) => MutationResult { error: Some(error), ..duplicate },
            None if holds && !is_active(Sabotage::StaleAnswer) => {
                MutationResult { seq: document.map(|document| document.seq), ..duplicate }
            }
            None if self.may_have_gone(mutation)? => {
                MutationResult { seq: Some(self.head_before.floor), ..duplicate }
            }
            None => {
                let error =
                    WireError::new(ErrorCode::Invalid, "refused before; the reason is no longer kept");
                MutationResult { error: Some(error), ..duplicate }
            }
        })
    }

    /// Whether a number without a trace was applied: not where its rejection may have been dropped, nor where
    /// nothing that it could have written was ever purged.
    fn may_have_gone(&self, mutation: &Mutation) -> Result<bool, S::Error> {
        let leaves_a_trace = self.head_before.floor == 0 && mutation.write != Write::Delete;
        let dropped_through = self.store.rejections_dropped_through(&self.room, self.client)?;
        Ok(!leaves_a_trace && mutation.client_seq > dropped_through)
    }

    pub(super) fn close(self, owner: Option<String>, now_ms: u64) -> (Option<Commit>, Option<LiveChanges>) {
        if self.last_client_seq == self.last_client_seq_before {
            return (None, None);
        }
        let mut documents: Vec<_> = self
            .documents
            .into_values()
            .filter_map(|Working { document, replaced, written_bytes }| {
                let written = Weighed { document: document?, bytes: written_bytes? };
                Some(Written { document: written.into(), replaced })
            })
            .collect();
        documents.sort_by_key(|written| written.document.seq);
        let changes = (self.head.seq > self.head_before.seq).then(|| LiveChanges {
            room: self.room.clone(),
            from_seq: self.head_before.seq + 1,
            to_seq: self.head.seq,
            changes: documents
                .iter()
                .filter(|written| !is_hidden(&written.document.collection))
                .map(|written| match written.document.deleted {
                    true => Document::clone(&written.document).for_clients().into(),
                    false => written.document.clone(),
                })
                .collect(),
        });
        let commit = Commit {
            room: self.room,
            client: self.client,
            owner,
            head: self.head,
            last_client_seq: self.last_client_seq,
            committed_at_ms: now_ms,
            documents,
            rejections: self.rejections,
        };
        (Some(commit), changes)
    }
}

pub(super) fn result(client_seq: u64, status: MutationStatus) -> MutationResult {
    MutationResult { client_seq, status, seq: None, document: None, fields: None, error: None }
}

/// Whether a mutation changes a document that its writer has seen, and that is no longer there: its deletion was
/// purged since.
fn is_of_purged(mutation: &Mutation) -> bool {
    matches!(mutation.write, Write::Update(_)) && mutation.base.as_ref().is_some_and(|base| !base.is_empty())
}

/// The document after the mutation, or why the mutation is refused.
fn merged(
    current: Option<Document>,
    mutation: Mutation,
    client: ClientId,
    now_ms: u64,
    limits: &Limits,
) -> Result<Weighed, WireError> {
    let bytes_max = usize::try_from(limits.document_bytes_max).unwrap_or(usize::MAX);
    let too_large = |bytes: usize| {
        let message = format!("the document takes {bytes} bytes, at most {bytes_max} are allowed");
        WireError::new(ErrorCode::TooLarge, message)
    };
    let written = match &mutation.write {
        Write::Create(fields) => fields_byte_len(fields),
        Write::Update(patch) => {
            patch.validate().map_err(|error| WireError::new(ErrorCode::Invalid, error.to_string()))?;
            patch.byte_len()
        }
        Write::Delete => 0,
    };
    if written > bytes_max {
        return Err(too_large(written));
    }
    // A creation of what is not there makes just what it writes.
    let known = (current.is_none() && matches!(mutation.write, Write::Create(_))).then_some(written);
    let mut document = current;
    merge::apply_owned(&mut document, mutation, client, now_ms)
        .map_err(|error| WireError::new(ErrorCode::NotFound, error.to_string()))?;
    let Some(document) = document else {
        return Err(WireError::new(ErrorCode::NotFound, merge::NotFound.to_string()));
    };
    let bytes = known.unwrap_or_else(|| fields_byte_len(&document.fields));
    if bytes > bytes_max {
        return Err(too_large(bytes));
    }
    let metadata_bytes = metadata_byte_len(&document);
    if metadata_bytes > bytes_max {
        return Err(WireError::new(ErrorCode::TooLarge, "the document's history of writes takes too much"));
    }
    if !document.fields.values().all(|value| value.nests_within(VALUE_DEPTH_MAX)) {
        let message = format!("the document would nest deeper than {VALUE_DEPTH_MAX}");
        return Err(WireError::new(ErrorCode::Invalid, message));
    }
    Ok(Weighed { document, bytes: bytes + metadata_bytes })
}

/// What a document takes in memory and, roughly, on the wire.
pub fn document_byte_len(document: &Document) -> usize {
    fields_byte_len(&document.fields) + metadata_byte_len(document)
}

/// What all documents in changes take.
pub fn changes_byte_len(changes: &LiveChanges) -> usize {
    changes.changes.iter().map(SharedDocument::byte_len).sum()
}

fn metadata_byte_len(document: &Document) -> usize {
    const STAMP_BYTES: usize = 40;
    const VERSION_ENTRY_BYTES: usize = 26;
    let stamps: usize = document
        .stamps
        .fields
        .keys()
        .map(|path| STAMP_BYTES + path.segments().iter().map(|name| name.len() + 1).sum::<usize>())
        .sum();
    64 + document.collection.as_str().len()
        + document.id.as_str().len()
        + stamps
        + document.version.len() * VERSION_ENTRY_BYTES
}
