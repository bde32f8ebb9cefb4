//! Secondary indexes: documents by the values of some of their fields. Pure; a cache keeps the entries.
//!
//! An entry is a key of bytes that compare as the values do, and the id. Every document has one, with null for what it
//! lacks. Of long values only the beginning counts, so whoever filters by a range still looks at each document; the order
//! of a watch goes by the same beginnings, so entries alone tell where a document stands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use syncline_protocol::gather::Gather as _;
use syncline_protocol::message::encode_compact;
use syncline_protocol::{Collection, Document, DocumentId, Fields, Path, Value};

use syncline_protocol::collation::encode_key;

/// Indexes of one collection.
pub const INDEXES_MAX: usize = 16;
/// Fields of one index.
pub const INDEX_FIELDS_MAX: usize = 8;

/// Finds documents by these fields, the first one first. Helps a filter that compares the first of them, or more, with
/// `eq`, and the next one with `eq`, `lt`, `lte`, `gt` or `gte`. A watch with a limit reads only the documents that it
/// shows if the index has the fields that its filter compares with `eq`, and then those of its order, all in one
/// direction, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Index {
    pub fields: Vec<Path>,
}

/// Why indexes cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    #[error("the collection {collection} has {indexes} indexes, at most {INDEXES_MAX} are allowed")]
    TooMany { collection: Collection, indexes: usize },
    #[error(
        "an index of the collection {collection} has {fields} fields, 1 to {INDEX_FIELDS_MAX} are allowed"
    )]
    Fields { collection: Collection, fields: usize },
}

/// The indexes of every collection that has some.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Indexes {
    by_collection: BTreeMap<Collection, Vec<Index>>,
    fingerprint: u64,
}

impl Indexes {
    pub fn new(indexes: impl IntoIterator<Item = (Collection, Vec<Index>)>) -> Result<Self, IndexError> {
        let by_collection: BTreeMap<_, _> =
            indexes.into_iter().filter(|(_, indexes)| !indexes.is_empty()).gather();
        for (collection, indexes) in &by_collection {
            if indexes.len() > INDEXES_MAX {
                return Err(IndexError::TooMany { collection: collection.clone(), indexes: indexes.len() });
            }
            let lengths = indexes.iter().map(|index| index.fields.len());
            if let Some(fields) = lengths.into_iter().find(|fields| !(1..=INDEX_FIELDS_MAX).contains(fields))
            {
                return Err(IndexError::Fields { collection: collection.clone(), fields });
            }
        }
        let fingerprint = if by_collection.is_empty() { 0 } else { fingerprint(&by_collection) };
        Ok(Self { by_collection, fingerprint })
    }

    /// The indexes of one collection.
    pub fn of(&self, collection: &Collection) -> &[Index] {
        self.by_collection.get(collection).map_or(&[], Vec::as_slice)
    }

    pub(super) fn collections(&self) -> impl Iterator<Item = &Collection> {
        self.by_collection.keys()
    }

    /// Differs from that of other indexes; 0 for none at all.
    pub(super) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The values' key of a document's entry, if that is in this part of an index.
    pub(super) fn values_within(&self, document: &Document, range: &IndexRange) -> Option<Vec<u8>> {
        let (low, end) = range.bounds(&[]);
        let (number, mut key) = self.entries(document).find(|(number, _)| *number == range.number)?;
        let full = [&[number], &key[..]].concat();
        key.truncate(key.len() - document.id.as_str().len());
        (low <= full && end.is_none_or(|end| full < end)).then_some(key)
    }

    /// The entries of a document: the number of the index, and the key.
    pub(super) fn entries<'a>(&'a self, document: &'a Document) -> impl Iterator<Item = (u8, Vec<u8>)> + 'a {
        let indexes = (0..).zip(self.of(&document.collection));
        indexes.map(|(number, index)| (number, index.entry(&document.fields, &document.id)))
    }
}

/// What an entry is made of; raised when that changes, so that older ones are built anew.
const ENTRIES_VERSION: u8 = 2;

fn fingerprint(by_collection: &BTreeMap<Collection, Vec<Index>>) -> u64 {
    // Names and paths always have an encoding.
    let encoded = encode_compact(&(ENTRIES_VERSION, by_collection)).unwrap_or_default();
    (1 << 63) | (encoded.len() as u64) << 32 | u64::from(crc32c::crc32c(&encoded))
}

impl Index {
    /// The values' key and then the id.
    fn entry(&self, fields: &Fields, id: &DocumentId) -> Vec<u8> {
        let mut key = Vec::new();
        for path in &self.fields {
            encode_key(path.value_in(fields).unwrap_or(&Value::Null), &mut key);
        }
        key.extend_from_slice(id.as_str().as_bytes());
        key
    }
}

/// The entries of one index from `low` to `high`, both included: an entry belongs to them that begins with `high`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRange {
    /// Which of the collection's indexes.
    pub number: u8,
    pub low: Vec<u8>,
    pub high: Vec<u8>,
}

impl IndexRange {
    /// The range with `prefix` before each key, as bounds of which the second is not included; `None` for no bound.
    pub(super) fn bounds(&self, prefix: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
        let with_prefix = |key: &[u8]| [prefix, &[self.number], key].concat();
        let low = with_prefix(&self.low);
        // A filter may ask for what is above one value and below a lesser one.
        let end = after_all_with(with_prefix(&self.high)).map(|end| end.max(low.clone()));
        (low, end)
    }
}

/// The first key after all that begin with `prefix`.
fn after_all_with(mut prefix: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = prefix.pop() {
        if let Some(next) = last.checked_add(1) {
            prefix.push(next);
            return Some(prefix);
        }
    }
    None
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
