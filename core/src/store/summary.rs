//! What the journal adds up to as far as some place in it, kept beside it: an open reads that, and decodes only the records
//! that follow.
//!
//! It is written by an open, and is what that found: a journal written anew would hold the same, with bodies instead of the
//! places of the entries. The journal stays the truth: a summary that is missing, damaged or of another segment costs time
//! and nothing else. So nobody waits until it is durable.
//!
//! The file is an envelope, sealed as the journal is, around: the length of the head (4 bytes, little endian), the head as
//! a compact message, and the entries. The head says where some of the journal's records end, so that it can be checked in
//! several places at once while entries are read. An entry is a byte that tells what of it is not as expected after the one
//! before (`told`); the hash of its id (4 bytes, little endian); then as numbers of variable length its size, its length in the
//! journal, and what is not as expected, in the order of `told`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use syncline_protocol::message::{decode_compact, encode_compact};
use syncline_protocol::sabotage::{Sabotage, is_active};
use syncline_protocol::{Collection, Room};

use super::bodies::{Bodies, Position};
use super::crypt::{Keyring, Place, Vault};
use super::envelope::{seal, unseal};
use super::file_system::{FileSystem, OpenMode, RandomAccessFile};
use super::files::{harmless, read_if_there, remove_if_there};
use super::queued::{Head, IdHash, Queued, Scopes};
use super::{Record, Recovered, StoreError};
use crate::numbered::Ascending;

const FILE: &str = "summary";
const FILE_NEW: &str = "summary.new";
const PLACE: Place<'_> = Place { kind: b"summary", name: b"" };

/// What an entry takes, in bytes, roughly.
const ENTRY_BYTES: usize = 12;
/// What of the journal is checked in one go, in bytes, unless a record is longer.
const PART_BYTES_MIN: u64 = 1 << 20;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Summary {
    /// Where the records end that it covers.
    pub(super) through: u64,
    pub(super) records: Vec<Record>,
    pub(super) queued: Queued,
    pub(super) bodies: Bodies,
}

/// What a summary is of.
#[derive(Debug)]
pub(super) struct Segment<'j> {
    pub(super) tag: u32,
    pub(super) through: u64,
    pub(super) vault: Option<&'j Vault>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FileHead {
    tag: u32,
    /// Of some of the records that it covers, the last of them too.
    ends: Vec<u64>,
    records: Vec<Record>,
    /// The entries name them by their places in this list.
    scopes: Vec<(Room, Collection)>,
}

/// A summary of which the entries were not read yet.
#[derive(Debug)]
pub(super) struct Begun {
    head: FileHead,
    contents: Vec<u8>,
    /// Where in the contents the entries begin.
    entries: usize,
}

/// The file of one store.
#[derive(Debug)]
pub(super) struct SummaryFile<F> {
    files: F,
    path: PathBuf,
    new_path: PathBuf,
}

impl<F: FileSystem> SummaryFile<F> {
    pub(super) fn new(files: F, directory: &Path) -> Self {
        Self { files, path: directory.join(FILE), new_path: directory.join(FILE_NEW) }
    }

    /// The summary, if there is one that can be read.
    pub(super) fn read(&self, keyring: &Keyring) -> Option<Begun> {
        let file = read_if_there(&self.files, &self.path).ok().flatten()?;
        let stored = unseal(&file).ok()?;
        match keyring.open(&PLACE, stored) {
            Some((_, contents)) => Begun::of(contents),
            None => Begun::of(stored.into()),
        }
    }

    /// Puts what was found of a journal up to here in the place of the summary before.
    pub(super) fn write(
        &self,
        segment: &Segment<'_>,
        found: &Recovered,
        bodies: &Bodies,
    ) -> Result<(), StoreError> {
        let Segment { tag, through, vault } = *segment;
        let mut contents = encode(tag, through, found, bodies)?;
        if let Some(vault) = vault {
            contents = vault.seal(&PLACE, &contents)?;
        }
        let contents = seal(&contents);
        let write = || {
            let mut file = self.files.open(&self.new_path, OpenMode::Empty)?;
            file.write_at(0, &contents)?;
            drop(file);
            self.files.rename(&self.new_path, &self.path)
        };
        write().map_err(|error| {
            // A leftover is harmless: the next one takes its place.
            let _ = remove_if_there(&self.files, &self.new_path);
            harmless(error)
        })
    }

    /// Removes it, and one that was not finished.
    pub(super) fn remove(&self) -> Result<(), StoreError> {
        remove_if_there(&self.files, &self.new_path)?;
        Ok(remove_if_there(&self.files, &self.path)?)
    }
}

fn encode(tag: u32, through: u64, found: &Recovered, bodies: &Bodies) -> Result<Vec<u8>, StoreError> {
    let queued = &found.queued;
    let (names, place_of) = queued.scopes().listed();
    let ends = part_ends(queued.iter().filter_map(|(number, _)| bodies.position(number)), through);
    let head = FileHead { tag, ends, records: found.records(), scopes: names };
    let head = encode_compact(&head).map_err(encode_error)?;
    let length = u32::try_from(head.len()).map_err(encode_error)?;
    let mut contents = Vec::with_capacity(4 + head.len() + ENTRY_BYTES * queued.len());
    contents.extend_from_slice(&length.to_le_bytes());
    contents.extend_from_slice(&head);
    let mut before = Before::default();
    let mut unexpected = Vec::new();
    let left_out = usize::from(is_active(Sabotage::SummaryIncomplete));
    for (number, head) in queued.iter().take(queued.len().saturating_sub(left_out)) {
        let (Some(position), Some(place)) = (bodies.position(number), place_of(head.scope)) else {
            return Err(encode_error(format_args!("entry {number} stands nowhere")));
        };
        let Position { record, start, length } = position;
        let (start, length) = (u64::from(start), u64::from(length.get()));
        let mut told = 0;
        let mut tell = |what, is_expected: bool, value| {
            if !is_expected {
                told |= what;
                put(&mut unexpected, value);
            }
        };
        tell(told::NUMBER, number == before.number.wrapping_add(1), number.wrapping_sub(before.number));
        tell(told::SCOPE, place == before.place, place);
        let later = head.queued_at_ms.wrapping_sub(before.queued_at_ms);
        tell(told::TIME, later == 0, zigzag(later));
        let behind = record.wrapping_sub(before.record);
        tell(told::RECORD, behind == 0, zigzag(behind));
        tell(told::START, start == before.expected_start(record), start);
        contents.push(told);
        contents.extend_from_slice(&head.id.0.to_le_bytes());
        put(&mut contents, head.bytes);
        put(&mut contents, length);
        contents.append(&mut unexpected);
        before = Before { number, place, queued_at_ms: head.queued_at_ms, record, start, length };
    }
    Ok(contents)
}

/// What of an entry is not as expected.
mod told {
    /// The next number.
    pub(super) const NUMBER: u8 = 1;
    /// The same room and collection.
    pub(super) const SCOPE: u8 = 1 << 1;
    /// Queued at the same moment.
    pub(super) const TIME: u8 = 1 << 2;
    /// In the same record.
    pub(super) const RECORD: u8 = 1 << 3;
    /// In it behind the entry before, or in another one at the same place.
    pub(super) const START: u8 = 1 << 4;
}

/// Where the journal may be cut into parts: before records that hold these entries, and at its end.
fn part_ends(positions: impl Iterator<Item = Position>, through: u64) -> Vec<u64> {
    let mut ends = Vec::new();
    let mut next = PART_BYTES_MIN;
    for Position { record, .. } in positions {
        if record >= next {
            ends.push(record);
            next = record + PART_BYTES_MIN;
        }
    }
    ends.push(through);
    ends
}

/// The entry before, or zeros.
#[derive(Debug, Default)]
struct Before {
    number: u64,
    place: u64,
    queued_at_ms: u64,
    record: u64,
    start: u64,
    length: u64,
}

impl Before {
    fn expected_start(&self, record: u64) -> u64 {
        if record == self.record { self.start.wrapping_add(self.length) } else { self.start }
    }
}

impl Begun {
    /// `None`: it is no summary that this version wrote.
    fn of(contents: Vec<u8>) -> Option<Self> {
        let (length, rest) = contents.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let head = decode_compact(rest.get(..length)?).ok()?;
        Some(Self { head, contents, entries: 4 + length })
    }

    pub(super) fn tag(&self) -> u32 {
        self.head.tag
    }

    /// Where records of the journal end, in ascending order; the last is the last that is covered.
    pub(super) fn ends(&self) -> &[u64] {
        &self.head.ends
    }

    /// `None`: it is no summary that this version wrote.
    pub(super) fn finish(self) -> Option<Summary> {
        let Self { head, contents, entries } = self;
        let FileHead { ends, records, scopes: names, .. } = head;
        let through = *ends.last()?;
        let (mut scopes, listed) = Scopes::from_list(names)?;
        let (mut heads, mut positions) = (Ascending::default(), Ascending::default());
        let mut rest = contents.get(entries..)?;
        let mut is_first = true;
        let mut before = Before::default();
        while let Some((&[told, ref id @ ..], after)) = rest.split_first_chunk::<5>() {
            rest = after;
            let id = IdHash(u32::from_le_bytes(*id));
            let bytes = take(&mut rest)?;
            let length = take(&mut rest)?;
            let mut hear = |what, expected| if told & what == 0 { Some(expected) } else { take(&mut rest) };
            let number = before.number.wrapping_add(hear(told::NUMBER, 1)?);
            let place = hear(told::SCOPE, before.place)?;
            let queued_at_ms = before.queued_at_ms.wrapping_add(unzigzag(hear(told::TIME, 0)?));
            let record = before.record.wrapping_add(unzigzag(hear(told::RECORD, 0)?));
            let start = hear(told::START, before.expected_start(record))?;
            let is_behind = number > before.number || is_first;
            if !is_behind || record >= through {
                return None;
            }
            let scope = *listed.get(usize::try_from(place).ok()?)?;
            scopes.hold_again(scope);
            heads.push(number, Head { scope, id, bytes, queued_at_ms });
            let within = usize::try_from(start).ok()?..usize::try_from(start.checked_add(length)?).ok()?;
            positions.push(number, Position::new(record, &within)?);
            is_first = false;
            before = Before { number, place, queued_at_ms, record, start, length };
        }
        if !rest.is_empty() {
            return None;
        }
        let queued = Queued::from_parts(scopes, heads.finish());
        Some(Summary { through, records, queued, bodies: Bodies::of(positions.finish()) })
    }
}

fn encode_error(error: impl std::fmt::Display) -> StoreError {
    StoreError::Encode(error.to_string())
}

/// Differences of either sign, so that small ones are small.
fn zigzag(difference: u64) -> u64 {
    (difference << 1) ^ 0u64.wrapping_sub(difference >> 63)
}

fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ 0u64.wrapping_sub(number & 1)
}

/// Seven bits a byte, the lowest first; all bytes but the last have the highest bit.
fn put(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

fn take(from: &mut &[u8]) -> Option<u64> {
    // Most are that short.
    if let Some((&byte @ 0..0x80, rest)) = from.split_first() {
        *from = rest;
        return Some(byte.into());
    }
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        number |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
#[path = "summary_tests.rs"]
mod tests;
