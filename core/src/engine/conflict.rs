//! What becomes of a write that the server found in conflict. Pure; `resolution` carries it out.

use serde::{Deserialize, Serialize};
use syncline_protocol::{Document, Stamp, VersionVector, Write};

use crate::boxed_map::BoxedMap;
use crate::store::Parked;

/// Who decides when two clients wrote a document without having seen each other's write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum ConflictStrategy {
    /// The server merges, field by field: both writes take effect, and nothing is ever in conflict.
    #[default]
    Merge,
    /// The newer write stays whole; the older one is dropped.
    LastWriteWins,
    /// The older write stays whole; the newer one is dropped.
    FirstWriteWins,
    /// What the server has stays; this client's write is dropped.
    ServerWins,
    /// This client's write is sent again, on top of what the server has.
    ClientWins,
    /// The write waits for the app's decision.
    Manual,
}

/// A write in conflict, and what the server holds.
#[derive(Debug, Clone, Copy)]
pub struct Dispute<'a> {
    pub strategy: ConflictStrategy,
    pub write: &'a Write,
    /// The version that the write was made upon; empty if the app saw no document.
    pub base: &'a VersionVector,
    /// When, and by whom, it was written first.
    pub written: Stamp,
    /// `None` where the server holds nothing, not even a deletion.
    pub document: Option<&'a Document>,
    /// Whether a later write of this client took effect, or may have: sent again, this one would come behind it.
    pub overtaken: bool,
}

/// What becomes of a write in conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Sent again without a base: the server merges.
    Merge,
    /// Sent again on the server's version, with its own time, which is the newer one.
    Rebase,
    /// Sent again on the server's version, as newer than it.
    Override,
    /// Rolled back and reported.
    Drop,
    /// Left to the app.
    Park,
    /// Both sides deleted the document: nothing is left to do.
    Settle,
}

impl Decision {
    pub fn of(dispute: Dispute<'_>) -> Self {
        let Dispute { strategy, write, base, written, document, overtaken } = dispute;
        let deleted = document.is_none_or(|document| document.deleted);
        match (write, document) {
            (Write::Delete, _) if deleted => return Self::Settle,
            _ if overtaken && strategy == ConflictStrategy::Manual => return Self::Park,
            // What it deleted was made anew since.
            (Write::Delete, _) if overtaken => return Self::Settle,
            _ if overtaken => return Self::Drop,
            (_, Some(_)) if strategy == ConflictStrategy::Merge => return Self::Merge,
            // The app saw no document, and there is none: the cache keeps no trace of deletions.
            (Write::Create(_), Some(_)) if deleted && base.is_empty() => return Self::Override,
            _ => {}
        }
        let newest = document.map(Document::newest_stamp);
        match strategy {
            ConflictStrategy::Manual => Self::Park,
            ConflictStrategy::ServerWins => Self::Drop,
            ConflictStrategy::LastWriteWins if newest.is_some_and(|newest| written > newest) => Self::Rebase,
            ConflictStrategy::FirstWriteWins if newest.is_some_and(|newest| written < newest) => {
                Self::Override
            }
            ConflictStrategy::ClientWins if document.is_some() => Self::Override,
            // Without a document there is no version to send it again upon, and writes behind it may be applied.
            _ => Self::Drop,
        }
    }
}

/// Writes that wait for the app's decision, by the numbers that the app knows.
#[derive(Debug, Default)]
pub struct ParkedWrites {
    writes: BoxedMap<u64, Parked>,
    bytes: u64,
}

impl ParkedWrites {
    pub fn insert(&mut self, parked: Parked) {
        self.bytes += byte_len(&parked);
        if let Some(old) = self.writes.insert(parked.entry.accepted().client_seq, parked) {
            self.bytes -= byte_len(&old);
        }
    }

    pub fn remove(&mut self, client_seq: u64) -> Option<Parked> {
        let parked = self.writes.remove(&client_seq)?;
        self.bytes -= byte_len(&parked);
        Some(parked)
    }

    pub fn find(&self, client_seq: u64) -> Option<&Parked> {
        self.writes.get(&client_seq)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Parked> {
        self.writes.values()
    }

    pub fn len(&self) -> u64 {
        self.writes.len() as u64
    }

    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// The writes with the documents they met.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn byte_len(parked: &Parked) -> u64 {
    let document = parked
        .document
        .as_ref()
        .map_or(0, |document| syncline_protocol::value::fields_byte_len(&document.fields));
    (parked.entry.mutation.byte_len() + document) as u64
}

#[cfg(test)]
#[path = "conflict_tests.rs"]
mod tests;
