//! Writes of authors who keep no numbers of their own, as those of requests: the server numbers them, applies them as
//! their terms say, and remembers by a key what it answered, in the transaction of the effect.

use serde::{Deserialize, Serialize};
use syncline_protocol::message::{MutationResult, MutationStatus, PushAnswer};
use syncline_protocol::patch::Patch;
use syncline_protocol::stamp::HybridClock;
use syncline_protocol::{
    ClientId, Collection, Document, DocumentId, ErrorCode, FieldName, Fields, HybridTime, Mutation, Op, Path,
    Stamp, Stamps, Value, VersionVector, WireError, Write, merge,
};

use super::batch::{Batch, Weighed, document_byte_len, result};
use super::{DocumentKey, PushError, PushStore};

/// The collection of receipts. It is part of a room's log, and no client sees it.
pub(crate) const RECEIPTS: &str = "$receipts";

/// The documents that one user's receipts in a room are spread over.
const BOOKS: u8 = 64;

/// What one of these documents may take, in bytes; the oldest receipts go first.
const BOOK_BYTES_MAX: usize = 256 << 10;

/// On what terms a push without numbers of its own is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// One for each mutation, in their order; the first one of [`Receipt::mutation`] has none.
    pub items: Vec<Term>,
    /// What the answer is remembered by.
    pub receipt: Option<Receipt>,
}

/// On what terms one mutation is applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Term {
    pub effect: Effect,
    pub condition: Condition,
}

/// What a mutation does beyond what it says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Effect {
    #[default]
    AsWritten,
    /// A creation also removes the fields that it does not name.
    Replace,
    /// An update makes the document where it is missing.
    Upsert,
}

/// What must hold of the document for a mutation to be applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Condition {
    #[default]
    Always,
    /// It stands at one of these places.
    At(Vec<u64>),
    /// It stands at none of these places, or not at all.
    NotAt(Vec<u64>),
    Exists,
    Absent,
}

impl Condition {
    fn holds(&self, document: Option<&Document>) -> bool {
        match self {
            Self::Always => true,
            Self::At(places) => document.is_some_and(|document| places.contains(&document.seq)),
            Self::NotAt(places) => document.is_none_or(|document| !places.contains(&document.seq)),
            Self::Exists => document.is_some(),
            Self::Absent => document.is_none(),
        }
    }
}

/// What an answer is remembered by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// A digest of the user and the key of the request, of 32 bytes.
    pub key: [u8; 32],
    /// A digest of what was asked: the key is of no use for anything else.
    pub request: [u8; 32],
    /// How long it is remembered, in milliseconds.
    pub kept_ms: u64,
    /// How many answers one user's key may share a document with; the oldest go first.
    pub kept_max: usize,
}

/// One remembered answer.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    request: String,
    at_ms: u64,
    results: Vec<MutationResult>,
}

impl Receipt {
    /// Names the document that remembers, as the first mutation of the push.
    pub fn mutation(&self, author: ClientId) -> Result<Mutation, WireError> {
        let internal =
            |error: syncline_protocol::NameError| WireError::new(ErrorCode::Internal, error.to_string());
        Ok(Mutation {
            client_seq: 1,
            collection: Collection::new(RECEIPTS).map_err(internal)?,
            id: DocumentId::new(format!("{author}-{:02}", self.key[0] % BOOKS)).map_err(internal)?,
            write: Write::Create(Fields::new()),
            time: HybridTime::default(),
            base: None,
        })
    }

    fn name(&self) -> String {
        hex(&self.key)
    }

    /// What was answered, if the key was used before and is still remembered.
    fn find(&self, book: &Fields, now_ms: u64) -> Option<Result<Vec<MutationResult>, WireError>> {
        let entry = read(book.get(self.name().as_str())?)?;
        if entry.at_ms.saturating_add(self.kept_ms) < now_ms {
            return None;
        }
        if entry.request != hex(&self.request) {
            let message = "the idempotency key was used for another request";
            return Some(Err(WireError::new(ErrorCode::Invalid, message)));
        }
        Some(Ok(entry.results))
    }

    /// Adds an answer, and forgets what is too old or too much.
    fn note(&self, book: &mut Fields, results: &[MutationResult], now_ms: u64) -> Result<(), WireError> {
        let entry = Entry { request: hex(&self.request), at_ms: now_ms, results: results.to_vec() };
        let text = serde_json::to_string(&entry)
            .map_err(|_| WireError::new(ErrorCode::Internal, "the answer cannot be kept"))?;
        book.retain(|_, value| {
            read(value).is_some_and(|entry| entry.at_ms.saturating_add(self.kept_ms) >= now_ms)
        });
        let mut ages: Vec<(u64, usize, FieldName)> = book
            .iter()
            .filter_map(|(name, value)| Some((read(value)?.at_ms, value.byte_len(), name.clone())))
            .collect();
        ages.sort_unstable();
        let mut count = ages.len() + 1;
        let mut bytes = text.len() + ages.iter().map(|(_, bytes, _)| bytes).sum::<usize>();
        for (_, entry_bytes, name) in ages {
            if count <= self.kept_max.max(1) && bytes <= BOOK_BYTES_MAX {
                break;
            }
            book.remove(&name);
            count -= 1;
            bytes -= entry_bytes;
        }
        book.insert(self.name().into(), Value::String(text));
        Ok(())
    }
}

fn read(value: &Value) -> Option<Entry> {
    match value {
        Value::String(text) => serde_json::from_str(text).ok(),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether no client sees a collection.
pub(crate) fn is_hidden(collection: &Collection) -> bool {
    collection.as_str() == RECEIPTS
}

/// Why a mutation of a hidden collection is refused.
pub(super) fn hidden() -> WireError {
    WireError::new(ErrorCode::Forbidden, "the collection is the server's own")
}

/// Applies mutations on terms. A key used before is answered as it was, with `duplicate` as the first result.
pub(super) fn apply<S: PushStore>(
    batch: &mut Batch<'_, S>,
    mutations: &[Mutation],
    terms: &Terms,
    now_ms: u64,
    bytes_max: usize,
) -> Result<PushAnswer, PushError<S::Error>> {
    let (book, mutations) = match (&terms.receipt, mutations.split_first()) {
        (Some(receipt), Some((book, rest))) => (Some((receipt, book)), rest),
        _ => (None, mutations),
    };
    if mutations.len() != terms.items.len() {
        let message = "the push and its terms do not match";
        return Err(PushError::Refused(WireError::new(ErrorCode::Internal, message)));
    }
    let mut results = Vec::with_capacity(mutations.len() + 1);
    if let Some((receipt, book)) = book {
        let held = batch.current(book)?;
        match held.and_then(|held| receipt.find(&held.fields, now_ms)) {
            Some(Ok(answered)) => {
                results.push(result(book.client_seq, MutationStatus::Duplicate));
                results.extend(answered);
                return Ok(PushAnswer { results, error: None });
            }
            Some(Err(error)) => return Err(PushError::Refused(error)),
            None => {}
        }
    }
    for (mutation, term) in mutations.iter().zip(&terms.items) {
        if batch.written_bytes > bytes_max {
            let message = "the request writes too much at once; send the rest as another request";
            results.push(rejected(mutation, WireError::new(ErrorCode::TooLarge, message)));
            continue;
        }
        results.push(batch.apply_on(mutation, term, now_ms)?);
    }
    if let Some((receipt, book)) = book {
        batch.keep(receipt, book, &results, now_ms)?;
        results.insert(0, result(book.client_seq, MutationStatus::Applied));
    }
    Ok(PushAnswer { results, error: None })
}

fn rejected(mutation: &Mutation, error: WireError) -> MutationResult {
    MutationResult { error: Some(error), ..result(mutation.client_seq, MutationStatus::Rejected) }
}

impl<S: PushStore> Batch<'_, S> {
    fn current(&mut self, mutation: &Mutation) -> Result<Option<Document>, S::Error> {
        let key = key_of(mutation);
        Ok(self.working(&key)?.document.clone())
    }

    fn apply_on(
        &mut self,
        mutation: &Mutation,
        term: &Term,
        now_ms: u64,
    ) -> Result<MutationResult, S::Error> {
        if is_hidden(&mutation.collection) {
            return Ok(rejected(mutation, hidden()));
        }
        let current = self.current(mutation)?;
        let live = current.as_ref().filter(|document| !document.deleted);
        if !term.condition.holds(live) {
            let error = WireError::new(ErrorCode::Conflict, "the document is not as the request expects it");
            return Ok(MutationResult {
                seq: live.map(|document| document.seq),
                error: Some(error),
                ..result(mutation.client_seq, MutationStatus::Conflict)
            });
        }
        let time = after(current.as_ref(), now_ms);
        let write = match written(mutation, term.effect, live, time, now_ms) {
            Ok(write) => write,
            Err(error) => return Ok(rejected(mutation, error)),
        };
        let client_seq = self.last_client_seq + 1;
        let numbered = Mutation { client_seq, write, time, base: None, ..mutation.clone() };
        let before = current.as_ref().map(|document| (document.checksum(), document.deleted));
        match self.effect(current, numbered, &key_of(mutation), now_ms) {
            Ok(document) => {
                self.last_client_seq = client_seq;
                let put = self.put(client_seq, &key_of(mutation), document, before.unwrap_or_default());
                Ok(MutationResult { client_seq: mutation.client_seq, ..put })
            }
            Err(error) => Ok(rejected(mutation, error)),
        }
    }

    /// Puts an answer into the document that remembers it.
    fn keep(
        &mut self,
        receipt: &Receipt,
        book: &Mutation,
        results: &[MutationResult],
        now_ms: u64,
    ) -> Result<(), PushError<S::Error>> {
        let held = self.current(book)?;
        let client_seq = self.last_client_seq + 1;
        let time = after(held.as_ref(), now_ms);
        let mut document = held.unwrap_or_else(|| Document {
            collection: book.collection.clone(),
            id: book.id.clone(),
            fields: Fields::new(),
            seq: 0,
            version: VersionVector::default(),
            stamps: Stamps::new(Stamp { time, writer: self.client }),
            deleted: false,
        });
        receipt.note(&mut document.fields, results, now_ms).map_err(PushError::Refused)?;
        document.version.record(self.client, client_seq);
        self.last_client_seq = client_seq;
        let bytes = document_byte_len(&document);
        self.put(book.client_seq, &key_of(book), Weighed { document, bytes }, Default::default());
        Ok(())
    }
}

fn key_of(mutation: &Mutation) -> DocumentKey {
    (mutation.collection.clone(), mutation.id.clone())
}

/// A time later than everything in the document: its author has seen all that the server has.
fn after(document: Option<&Document>, now_ms: u64) -> HybridTime {
    let newest = document.map(|document| document.newest_stamp().time).unwrap_or_default();
    HybridClock::resume(newest).tick(now_ms)
}

/// What the mutation does to the document that it finds.
fn written(
    mutation: &Mutation,
    effect: Effect,
    live: Option<&Document>,
    time: HybridTime,
    now_ms: u64,
) -> Result<Write, WireError> {
    let invalid =
        |error: syncline_protocol::PatchError| WireError::new(ErrorCode::Invalid, error.to_string());
    let not_found = || WireError::new(ErrorCode::NotFound, merge::NotFound.to_string());
    match (&mutation.write, live) {
        (Write::Create(fields), Some(document)) if effect == Effect::Replace => {
            Ok(replacement(fields, &document.fields))
        }
        (Write::Update(patch), Some(document)) => {
            merge::check(&document.fields, patch).map_err(invalid)?;
            Ok(mutation.write.clone())
        }
        (Write::Update(patch), None) if effect == Effect::Upsert => {
            merge::check(&Fields::new(), patch).map_err(invalid)?;
            Ok(Write::Create(from_nothing(mutation, patch, time, now_ms)))
        }
        (Write::Update(_) | Write::Delete, None) => Err(not_found()),
        (Write::Create(_), _) | (Write::Delete, Some(_)) => Ok(mutation.write.clone()),
    }
}

/// Sets these fields and removes all others.
fn replacement(fields: &Fields, held: &Fields) -> Write {
    let gone: Vec<&FieldName> = held.keys().filter(|name| !fields.contains_key(*name)).collect();
    if gone.is_empty() {
        return Write::Create(fields.clone());
    }
    let set = fields.iter().map(|(name, value)| (Path::field(name), Op::Set(value.clone())));
    let unset = gone.into_iter().map(|name| (Path::field(name), Op::Unset));
    Write::Update(set.chain(unset).collect::<Patch>())
}

/// The fields that a patch makes where there are none.
fn from_nothing(mutation: &Mutation, patch: &Patch, time: HybridTime, now_ms: u64) -> Fields {
    let writer = ClientId::from_bytes([0; 16]);
    let mut document = None;
    // Earlier than the patch, which would not be newer otherwise.
    let create =
        Mutation { write: Write::Create(Fields::new()), time: HybridTime::default(), ..mutation.clone() };
    let update = Mutation { write: Write::Update(patch.clone()), time, ..mutation.clone() };
    // The first of them makes the document, so neither fails.
    let _ = merge::apply(&mut document, &create, writer, now_ms);
    let _ = merge::apply(&mut document, &update, writer, now_ms);
    document.map(|document| document.fields).unwrap_or_default()
}
