//! What a room does with pushes and pulls: sequencing, dedupe, merge, conflicts, pages. Pure: reads come through
//! [`RoomStore`], a push answers with the [`Commit`] that the store then makes in one transaction, and the caller
//! says what time it is.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use syncline_protocol::limits::VALUE_DEPTH_MAX;
use syncline_protocol::message::{Changes, MutationResult, MutationStatus, Page, Push, PushAnswer};
use syncline_protocol::value::fields_byte_len;
use syncline_protocol::{
    Checksum, ClientId, Collection, Document, DocumentId, ErrorCode, Limits, Mutation, Path, Room, Stamp,
    Value, VersionVector, WireError, Write, merge,
};

use crate::config::HubConfig;

/// Where a room's log ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Head {
    /// The last number given, 0 for none.
    pub seq: u64,
    /// Of all live documents at `seq`.
    pub checksum: Checksum,
}

/// A document's name within its room.
pub type DocumentKey = (Collection, DocumentId);

/// What the room logic reads. A room, client or document never seen is not an error.
pub trait RoomStore {
    type Error;

    fn head(&self, room: &Room) -> Result<Head, Self::Error>;

    fn document(&self, room: &Room, key: &DocumentKey) -> Result<Option<Document>, Self::Error>;

    /// Whose client it is, once it has pushed.
    fn owner(&self, client: ClientId) -> Result<Option<String>, Self::Error>;

    /// The highest number this client used in this room, 0 for none.
    fn last_client_seq(&self, room: &Room, client: ClientId) -> Result<u64, Self::Error>;

    /// Why a mutation was refused, if it was and is still kept.
    fn rejection(
        &self,
        room: &Room,
        client: ClientId,
        client_seq: u64,
    ) -> Result<Option<WireError>, Self::Error>;

    /// Every document whose newest change stands after `seq`, in order, deleted ones included, until told to stop.
    fn changes_after(
        &self,
        room: &Room,
        seq: u64,
        visit: &mut dyn FnMut(Document) -> ControlFlow<()>,
    ) -> Result<(), Self::Error>;
}

/// What a push writes, all or nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    pub room: Room,
    pub client: ClientId,
    /// Binds the client to its user, on its first push.
    pub owner: Option<String>,
    pub head: Head,
    pub last_client_seq: u64,
    /// With the place each had in the log before, if it had one.
    pub documents: Vec<(Option<u64>, Document)>,
    pub rejections: Vec<(u64, WireError)>,
}

/// The effect of a push.
#[derive(Debug, Clone, PartialEq)]
pub struct Pushed {
    pub answer: PushAnswer,
    /// Absent when there is nothing to write.
    pub commit: Option<Commit>,
    /// For the room's subscribers, once the commit is durable.
    pub changes: Option<Changes>,
}

/// Who pushes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    pub user: String,
    pub client: ClientId,
}

/// Why a push had no effect at all.
#[derive(Debug, PartialEq)]
pub enum PushError<E> {
    Refused(WireError),
    Store(E),
}

impl<E> From<E> for PushError<E> {
    fn from(error: E) -> Self {
        Self::Store(error)
    }
}

/// Applies a push. `now_ms` is the wall clock, in milliseconds since the epoch.
///
/// Mutations are tried in order. One whose number was used before is answered `duplicate` with its first outcome;
/// a refused one uses up its number.
pub fn push<S: RoomStore>(
    store: &S,
    push: &Push,
    author: &Author,
    now_ms: u64,
    limits: &Limits,
    config: &HubConfig,
) -> Result<Pushed, PushError<S::Error>> {
    check_batch(&push.mutations, limits).map_err(PushError::Refused)?;
    let owner = store.owner(author.client)?;
    if owner.as_ref().is_some_and(|owner| *owner != author.user) {
        return Err(PushError::Refused(WireError::new(
            ErrorCode::Forbidden,
            "the client id is another user's",
        )));
    }
    let mut batch = Batch::open(store, &push.room, author.client, limits)?;
    let mut answer = PushAnswer { results: Vec::with_capacity(push.mutations.len()), error: None };
    let wall_ms_max = now_ms.saturating_add(config.clock_drift_ms_max);
    for mutation in &push.mutations {
        if batch.written_bytes > config.transaction_bytes_max {
            answer.error = Some(WireError::new(
                ErrorCode::Unavailable,
                "the batch writes too much at once; send the rest again",
            ));
            break;
        }
        let mut mutation = mutation.clone();
        mutation.time = mutation.time.capped(wall_ms_max);
        answer.results.push(batch.apply(&mutation, now_ms)?);
    }
    let bind = owner.is_none().then(|| author.user.clone());
    let (commit, changes) = batch.close(bind);
    Ok(Pushed { answer, commit, changes })
}

fn check_batch(mutations: &[Mutation], limits: &Limits) -> Result<(), WireError> {
    let invalid = |message: &str| Err(WireError::new(ErrorCode::Invalid, message));
    if mutations.is_empty() {
        return invalid("the push is empty");
    }
    if mutations.len() > limits.push_count_max as usize {
        let message = format!(
            "{} mutations in one push, at most {} are allowed",
            mutations.len(),
            limits.push_count_max
        );
        return Err(WireError::new(ErrorCode::TooLarge, message));
    }
    let ascending = mutations.windows(2).all(|pair| pair[0].client_seq < pair[1].client_seq);
    if !ascending || mutations[0].client_seq == 0 {
        return invalid("mutation numbers start at 1 and grow within a push");
    }
    Ok(())
}

/// A push under way: what it has read and will write.
struct Batch<'a, S> {
    store: &'a S,
    room: &'a Room,
    client: ClientId,
    limits: &'a Limits,
    head_before: Head,
    head: Head,
    last_client_seq_before: u64,
    last_client_seq: u64,
    documents: BTreeMap<DocumentKey, Working>,
    rejections: Vec<(u64, WireError)>,
    written_bytes: usize,
}

struct Working {
    seq_before: Option<u64>,
    document: Option<Document>,
    changed: bool,
}

impl<'a, S: RoomStore> Batch<'a, S> {
    fn open(store: &'a S, room: &'a Room, client: ClientId, limits: &'a Limits) -> Result<Self, S::Error> {
        let head = store.head(room)?;
        let last_client_seq = store.last_client_seq(room, client)?;
        Ok(Self {
            store,
            room,
            client,
            limits,
            head_before: head,
            head,
            last_client_seq_before: last_client_seq,
            last_client_seq,
            documents: BTreeMap::new(),
            rejections: Vec::new(),
            written_bytes: 0,
        })
    }

    fn apply(&mut self, mutation: &Mutation, now_ms: u64) -> Result<MutationResult, S::Error> {
        let key = (mutation.collection.clone(), mutation.id.clone());
        if mutation.client_seq <= self.last_client_seq_before {
            return self.duplicate(mutation, &key);
        }
        self.last_client_seq = mutation.client_seq;
        let current = self.working(&key)?.document.clone();
        if let Some(document) = &current
            && let Some(base) = &mutation.base
            && let Some(fields) = conflict(document, mutation, base, self.client)
        {
            let error = WireError::new(ErrorCode::Conflict, "the document changed since the mutation's base");
            self.rejections.push((mutation.client_seq, error));
            return Ok(MutationResult {
                document: Some(document.clone().for_clients()),
                fields: Some(fields),
                ..result(mutation, MutationStatus::Conflict)
            });
        }
        let checksum_before = current.as_ref().map(Document::checksum).unwrap_or_default();
        match merged(current, mutation, self.client, now_ms, self.limits) {
            Ok(document) => Ok(self.put(mutation, &key, document, checksum_before)),
            Err(error) => {
                self.rejections.push((mutation.client_seq, error.clone()));
                Ok(MutationResult { error: Some(error), ..result(mutation, MutationStatus::Rejected) })
            }
        }
    }

    fn put(
        &mut self,
        mutation: &Mutation,
        key: &DocumentKey,
        mut document: Document,
        checksum_before: Checksum,
    ) -> MutationResult {
        self.head.seq += 1;
        document.seq = self.head.seq;
        self.head.checksum = self.head.checksum.replace(checksum_before, document.checksum());
        self.written_bytes += document_byte_len(&document);
        let seq = Some(document.seq);
        if let Some(working) = self.documents.get_mut(key) {
            if working.changed {
                self.written_bytes -= working.document.as_ref().map_or(0, document_byte_len);
            }
            working.document = Some(document);
            working.changed = true;
        }
        MutationResult { seq, ..result(mutation, MutationStatus::Applied) }
    }

    fn working(&mut self, key: &DocumentKey) -> Result<&Working, S::Error> {
        if !self.documents.contains_key(key) {
            let document = self.store.document(self.room, key)?;
            let seq_before = document.as_ref().map(|document| document.seq);
            self.documents.insert(key.clone(), Working { seq_before, document, changed: false });
        }
        Ok(&self.documents[key])
    }

    /// The first outcome of a number used before.
    fn duplicate(&mut self, mutation: &Mutation, key: &DocumentKey) -> Result<MutationResult, S::Error> {
        let rejection = self.store.rejection(self.room, self.client, mutation.client_seq)?;
        let client = self.client;
        let document = self.working(key)?.document.clone();
        let duplicate = result(mutation, MutationStatus::Duplicate);
        let holds = document.as_ref().is_some_and(|held| held.version.seen(client) >= mutation.client_seq);
        Ok(match rejection {
            Some(error) if error.code == ErrorCode::Conflict => MutationResult {
                document: document.map(Document::for_clients),
                error: Some(error),
                ..duplicate
            },
            Some(error) => MutationResult { error: Some(error), ..duplicate },
            None if holds => MutationResult { seq: document.map(|document| document.seq), ..duplicate },
            // Its number was used up without a trace in the document: it was refused, so long ago that the
            // reason is gone.
            None => {
                let error =
                    WireError::new(ErrorCode::Invalid, "refused before; the reason is no longer kept");
                MutationResult { error: Some(error), ..duplicate }
            }
        })
    }

    fn close(self, owner: Option<String>) -> (Option<Commit>, Option<Changes>) {
        if self.last_client_seq == self.last_client_seq_before {
            return (None, None);
        }
        let mut documents: Vec<_> = self
            .documents
            .into_values()
            .filter(|working| working.changed)
            .filter_map(|working| Some((working.seq_before, working.document?)))
            .collect();
        documents.sort_by_key(|(_, document)| document.seq);
        let changes = (self.head.seq > self.head_before.seq).then(|| Changes {
            room: self.room.clone(),
            from_seq: self.head_before.seq + 1,
            to_seq: self.head.seq,
            changes: documents.iter().map(|(_, document)| document.clone().for_clients()).collect(),
        });
        let commit = Commit {
            room: self.room.clone(),
            client: self.client,
            owner,
            head: self.head,
            last_client_seq: self.last_client_seq,
            documents,
            rejections: self.rejections,
        };
        (Some(commit), changes)
    }
}

fn result(mutation: &Mutation, status: MutationStatus) -> MutationResult {
    MutationResult {
        client_seq: mutation.client_seq,
        status,
        seq: None,
        document: None,
        fields: None,
        error: None,
    }
}

/// The document after the mutation, or why the mutation is refused.
fn merged(
    current: Option<Document>,
    mutation: &Mutation,
    client: ClientId,
    now_ms: u64,
    limits: &Limits,
) -> Result<Document, WireError> {
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
    let mut document = current;
    merge::apply(&mut document, mutation, client, now_ms)
        .map_err(|error| WireError::new(ErrorCode::NotFound, error.to_string()))?;
    let Some(document) = document else {
        return Err(WireError::new(ErrorCode::NotFound, merge::NotFound.to_string()));
    };
    let bytes = fields_byte_len(&document.fields);
    if bytes > bytes_max {
        return Err(too_large(bytes));
    }
    if metadata_byte_len(&document) > bytes_max {
        return Err(WireError::new(ErrorCode::TooLarge, "the document's history of writes takes too much"));
    }
    if !document.fields.values().all(|value| nests_within(value, VALUE_DEPTH_MAX)) {
        let message = format!("the document would nest deeper than {VALUE_DEPTH_MAX}");
        return Err(WireError::new(ErrorCode::Invalid, message));
    }
    Ok(document)
}

/// Whether a value nests at most `depth_max` deep, as the wire counts.
fn nests_within(value: &Value, depth_max: usize) -> bool {
    let inner = depth_max.checked_sub(1);
    match value {
        Value::Array(items) => items.iter().all(|item| inner.is_some_and(|depth| nests_within(item, depth))),
        Value::Object(fields) => {
            fields.values().all(|item| inner.is_some_and(|depth| nests_within(item, depth)))
        }
        _ => true,
    }
}

/// The fields in conflict when the document holds mutations that `base` lacks; `None` when it holds none. A
/// client has always seen its own.
fn conflict(
    document: &Document,
    mutation: &Mutation,
    base: &VersionVector,
    client: ClientId,
) -> Option<Vec<Path>> {
    let mut seen = base.clone();
    seen.record(client, mutation.client_seq);
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

/// What a document takes in memory and, roughly, on the wire.
pub fn document_byte_len(document: &Document) -> usize {
    fields_byte_len(&document.fields) + metadata_byte_len(document)
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

/// Which part of a room's log to read.
#[derive(Debug, Clone)]
pub struct PageRequest {
    pub room: Room,
    /// The last `seq` the client holds.
    pub cursor: u64,
    /// Changes wanted, at least 1; the server's own limits apply as well.
    pub limit: u32,
    /// All collections when absent.
    pub collections: Option<Vec<Collection>>,
}

/// The page of changes after a cursor. A cursor beyond the end of the log means that the server lost history: the
/// page starts from 0 and says `reset`.
pub fn page<S: RoomStore>(
    store: &S,
    request: &PageRequest,
    limits: &Limits,
    config: &HubConfig,
) -> Result<Page, S::Error> {
    let head = store.head(&request.room)?;
    let reset = request.cursor > head.seq;
    let after = if reset { 0 } else { request.cursor };
    let count_max = request.limit.clamp(1, limits.page_count_max.max(1)) as usize;
    let wanted = |document: &Document| {
        request.collections.as_ref().is_none_or(|collections| collections.contains(&document.collection))
    };
    let mut changes: Vec<Document> = Vec::new();
    let mut bytes = 0;
    let mut scanned = 0;
    let mut cursor = after;
    let mut more = false;
    store.changes_after(&request.room, after, &mut |document| {
        let full = changes.len() >= count_max || scanned >= config.page_scan_max;
        let document = document.for_clients();
        let document_bytes = document_byte_len(&document);
        if full || (!changes.is_empty() && bytes + document_bytes > config.page_bytes_max) {
            more = true;
            return ControlFlow::Break(());
        }
        scanned += 1;
        cursor = document.seq;
        if wanted(&document) {
            bytes += document_bytes;
            changes.push(document);
        }
        ControlFlow::Continue(())
    })?;
    if !more {
        cursor = head.seq;
    }
    let checksum = (!more && request.collections.is_none()).then_some(head.checksum);
    Ok(Page { changes, cursor, more, reset, checksum })
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
