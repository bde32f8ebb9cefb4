//! The queued entries, which stay in the journal: where each stands there, and how it is read.

use std::cell::RefCell;
use std::fmt;
use std::num::NonZeroU32;
use std::ops::Range;

use syncline_protocol::message::{decode_compact, encode_compact_into};
use syncline_protocol::sabotage::{Sabotage, is_active};

use super::file_system::FileSystem;
use super::journal::{AddRecord, Journal};
use super::packed::{QueuedEntries, packed_mutation, queued_entries, queued_record};
use super::{Entry, Record, StoreError};
use crate::numbered::Numbered;

/// Entries in one record of a journal written anew, in bytes: each is read with all of them.
const RECORD_BYTES: usize = 16 << 10;
/// What an entry takes in the journal besides itself, in bytes, roughly: most have a record of their own.
const ENTRY_OVERHEAD_BYTES: u64 = 24;

/// Where an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// Of the record, in the journal.
    pub(super) record: u64,
    /// Within the record.
    pub(super) start: u32,
    pub(super) length: NonZeroU32,
}

impl Position {
    /// `None`: an entry is never empty, and never as large.
    pub(super) fn new(record: u64, within: &Range<usize>) -> Option<Self> {
        let length = u32::try_from(within.len()).ok().and_then(NonZeroU32::new)?;
        Some(Self { record, start: u32::try_from(within.start).ok()?, length })
    }

    fn within(&self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.length.get() as usize
    }

    fn bytes(&self) -> u64 {
        u64::from(self.length.get()) + ENTRY_OVERHEAD_BYTES
    }
}

/// Where the queued entries stand, by their numbers.
#[derive(Debug, Default)]
struct Positions {
    positions: Numbered<Position>,
    bytes: u64,
}

impl Positions {
    /// Notes where an entry stands now, if it still is queued, and returns where it was.
    fn set(&mut self, client_seq: u64, position: Option<Position>) -> Option<Position> {
        let old = match position {
            Some(position) => {
                self.bytes += position.bytes();
                self.positions.insert(client_seq, position)
            }
            None => self.positions.remove(client_seq),
        };
        self.bytes -= old.as_ref().map_or(0, Position::bytes);
        old
    }

    /// The records stand elsewhere now.
    fn relocate(&mut self, offset: impl Fn(u64) -> Option<u64>) {
        for (client_seq, position) in std::mem::take(self).positions.drain() {
            let moved = offset(position.record).map(|record| Position { record, ..position });
            self.set(client_seq, moved);
        }
    }

    /// Notes what a record that stands at this offset changes; `old` hears where each entry was before.
    fn apply(&mut self, change: &Change<'_>, offset: u64, mut old: impl FnMut(u64, Option<Position>)) {
        match change {
            Change::Entries(found) => {
                for client_seq in &found.replaced {
                    old(*client_seq, self.set(*client_seq, None));
                }
                for (head, within) in &found.entries {
                    old(head.client_seq, self.set(head.client_seq, Position::new(offset, within)));
                }
            }
            Change::Added(entries) => {
                for (client_seq, within) in entries {
                    old(*client_seq, self.set(*client_seq, Position::new(offset, within)));
                }
            }
            Change::Gone(client_seq) => old(*client_seq, self.set(*client_seq, None)),
            Change::Nothing => {}
        }
    }
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    positions: Positions,
    /// The entries that moved since the last commit, and where they were.
    uncommitted: Vec<(u64, Option<Position>)>,
    /// The record that was read last: mostly the next entry is in it, too.
    read: RefCell<ReadRecord>,
}

#[derive(Debug, Default)]
struct ReadRecord {
    /// Where it stands; `None` for nothing.
    offset: Option<u64>,
    record: Vec<u8>,
}

/// What a record changes of the queue.
#[derive(Debug)]
pub(super) enum Change<'r> {
    Entries(QueuedEntries<'r>),
    /// Entries are added to it: their numbers, and where each stands in the record.
    Added(Vec<(u64, Range<usize>)>),
    /// The entry with this number leaves it.
    Gone(u64),
    Nothing,
}

/// A record of these entries, which are encoded one by one, and what it changes.
pub(super) fn encode_queued(entries: &[Entry]) -> Result<(Vec<u8>, Change<'static>), StoreError> {
    let encode_error = |error: rmp_serde::encode::Error| StoreError::Encode(error.to_string());
    let (mut packed, mut added) = (Vec::new(), Vec::with_capacity(entries.len()));
    for entry in entries {
        let start = packed.len();
        encode_compact_into(entry, &mut packed).map_err(encode_error)?;
        added.push((entry.mutation.client_seq, start..packed.len()));
    }
    let count = u32::try_from(entries.len()).map_err(|error| StoreError::Encode(error.to_string()))?;
    let record = queued_record(count, &packed)?;
    let head = record.len() - packed.len();
    for (_, within) in &mut added {
        *within = within.start + head..within.end + head;
    }
    Ok((record, Change::Added(added)))
}

impl<'r> Change<'r> {
    /// Of a record, which takes these bytes.
    pub(super) fn of(record: &Record, bytes: &'r [u8]) -> Result<Self, StoreError> {
        match record {
            Record::Queued(_) | Record::Resent { .. } | Record::Resolved { .. } => {
                let found = queued_entries(bytes).map_err(|error| StoreError::Encode(error.to_string()))?;
                Ok(found.map_or(Self::Nothing, Self::Entries))
            }
            record => Ok(record.unqueued().map_or(Self::Nothing, Self::Gone)),
        }
    }
}

impl Bodies {
    /// Notes a record that is in the journal at this offset.
    pub(super) fn recover(&mut self, change: &Change<'_>, offset: u64) {
        self.positions.apply(change, offset, |_, _| {});
    }

    /// Of entries whose places are known.
    pub(super) fn of(positions: Numbered<Position>) -> Self {
        let bytes = positions.iter().map(|(_, position)| position.bytes()).sum();
        Self { positions: Positions { positions, bytes }, ..Self::default() }
    }

    pub(super) fn position(&self, client_seq: u64) -> Option<Position> {
        self.positions.positions.get(client_seq).copied()
    }

    /// The records that were recovered stand elsewhere now.
    pub(super) fn relocate(&mut self, offset: impl Fn(u64) -> Option<u64>) {
        self.positions.relocate(offset);
    }

    /// Notes a record that was appended at this offset.
    pub(super) fn append(&mut self, change: &Change<'_>, offset: u64) {
        let Self { positions, uncommitted, .. } = self;
        positions.apply(change, offset, |client_seq, old| uncommitted.push((client_seq, old)));
    }

    /// What was appended is in the journal.
    pub(super) fn commit(&mut self) {
        self.uncommitted.clear();
    }

    /// What was appended since the last commit is not in the journal.
    pub(super) fn roll_back(&mut self) {
        // The last first: an entry may have moved twice.
        let uncommitted = std::mem::take(&mut self.uncommitted).into_iter().rev();
        for (client_seq, old) in uncommitted.filter(|_| !is_active(Sabotage::BodiesNotRolledBack)) {
            self.positions.set(client_seq, old);
        }
        self.forget_read();
    }

    /// What the entries take in the journal, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.positions.bytes
    }

    /// See [`Store::entry`](super::Store::entry).
    pub(super) fn entry<F: FileSystem>(
        &self,
        journal: &Journal<F>,
        client_seq: u64,
    ) -> Result<Entry, StoreError> {
        let entry: Entry =
            self.with_packed(journal, client_seq, |entry| decode_compact(entry))?.map_err(unreadable)?;
        let is_it = entry.mutation.client_seq == client_seq;
        if is_it { Ok(entry) } else { Err(unreadable("an entry has another number")) }
    }

    /// See [`Store::pack_mutation`](super::Store::pack_mutation).
    pub(super) fn pack_mutation<F: FileSystem>(
        &self,
        journal: &Journal<F>,
        client_seq: u64,
        into: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        self.with_packed(journal, client_seq, |entry| {
            let (number, mutation) = packed_mutation(entry).map_err(unreadable)?;
            if number != client_seq {
                return Err(unreadable("an entry has another number"));
            }
            into.extend_from_slice(&entry[mutation]);
            Ok(())
        })?
    }

    /// Finds an entry as it stands in its record.
    fn with_packed<F: FileSystem, T>(
        &self,
        journal: &Journal<F>,
        client_seq: u64,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, StoreError> {
        let position = self.positions.positions.get(client_seq);
        let position =
            position.ok_or_else(|| unreadable(format_args!("no entry has number {client_seq}")))?;
        let ReadRecord { offset, record } = &mut *self.read.borrow_mut();
        if *offset != Some(position.record) {
            *offset = None;
            journal.read(position.record, record)?;
            *offset = Some(position.record);
        }
        record.get(position.within()).map(take).ok_or_else(|| unreadable("a record is too short"))
    }

    /// Adds these entries to a journal that is written anew, by records of several; `add` returns where each is.
    ///
    /// # Errors
    /// Those of `add`; `Unreadable`, `Io`, `Locked`: one of them could not be read.
    pub(super) fn copy<F: FileSystem>(
        &self,
        journal: &Journal<F>,
        kept: &[u64],
        add: &mut AddRecord<'_>,
        into: &mut Self,
    ) -> Result<(), StoreError> {
        let (mut packed, mut count) = (Vec::new(), 0);
        for (index, client_seq) in kept.iter().enumerate() {
            self.with_packed(journal, *client_seq, |entry| packed.extend_from_slice(entry))?;
            count += 1;
            if packed.len() >= RECORD_BYTES || index + 1 == kept.len() {
                let record = queued_record(count, &packed)?;
                let found = queued_entries(&record).map_err(unreadable)?;
                into.recover(&found.map_or(Change::Nothing, Change::Entries), add(&record)?);
                packed.clear();
                count = 0;
            }
        }
        Ok(())
    }

    fn forget_read(&self) {
        self.read.take();
    }
}

fn unreadable(reason: impl fmt::Display) -> StoreError {
    StoreError::Unreadable(reason.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_counts_where_it_stands_last() {
        let at = |record, within| Position::new(record, &within);
        let mut positions = Positions::default();
        positions.set(1, at(32, 10..110));
        positions.set(2, at(160, 10..60));
        assert_eq!(positions.bytes, 150 + 2 * ENTRY_OVERHEAD_BYTES);
        assert_eq!(positions.set(1, at(300, 12..212)), at(32, 10..110));
        assert_eq!(positions.bytes, 250 + 2 * ENTRY_OVERHEAD_BYTES);
        positions.relocate(|offset| (offset != 160).then_some(offset - 100));
        assert_eq!(
            (positions.positions.get(1).copied(), positions.positions.get(2)),
            (at(200, 12..212), None)
        );
        positions.set(1, None);
        assert_eq!(positions.bytes, 0);
    }
}
