//! What the journal adds up to as far as some place in it, kept beside it: an open reads that, and decodes only the records
//! that follow.
//!
//! It is written by an open, and is what that found: a journal written anew would hold the same, with bodies instead of the
//! places of the entries. The journal stays the truth: a summary that is missing, damaged or of another segment costs time
//! and nothing else. So nobody waits until it is durable.
//!
//! The file is an envelope, sealed as the journal is, around: the length of the head (4 bytes, little endian), the head as
//! a compact message, and for each entry numbers of variable length, most of them as differences to the entry before.

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
const ENTRY_BYTES: usize = 20;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Summary {
    /// Of the segment.
    pub(super) tag: u32,
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
    through: u64,
    records: Vec<Record>,
    /// The entries name them by their places in this list.
    scopes: Vec<(Room, Collection)>,
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
    pub(super) fn read(&self, keyring: &Keyring) -> Option<Summary> {
        let file = read_if_there(&self.files, &self.path).ok().flatten()?;
        let stored = unseal(&file).ok()?;
        match keyring.open(&PLACE, stored) {
            Some((_, contents)) => decode(&contents),
            None => decode(stored),
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
    let head = FileHead { tag, through, records: found.records(), scopes: names };
    let head = encode_compact(&head).map_err(encode_error)?;
    let length = u32::try_from(head.len()).map_err(encode_error)?;
    let mut contents = Vec::with_capacity(4 + head.len() + ENTRY_BYTES * queued.len());
    contents.extend_from_slice(&length.to_le_bytes());
    contents.extend_from_slice(&head);
    let mut before = Before::default();
    let left_out = usize::from(is_active(Sabotage::SummaryIncomplete));
    for (number, head) in queued.iter().take(queued.len().saturating_sub(left_out)) {
        let (Some(position), Some(place)) = (bodies.position(number), place_of(head.scope)) else {
            return Err(encode_error(format_args!("entry {number} stands nowhere")));
        };
        put(&mut contents, number.wrapping_sub(before.number));
        put(&mut contents, place);
        contents.extend_from_slice(&head.id.0.to_le_bytes());
        put(&mut contents, head.bytes);
        put(&mut contents, zigzag(head.queued_at_ms.wrapping_sub(before.queued_at_ms)));
        put(&mut contents, zigzag(position.record.wrapping_sub(before.record)));
        put(&mut contents, u64::from(position.start));
        put(&mut contents, u64::from(position.length.get()));
        before = Before { number, queued_at_ms: head.queued_at_ms, record: position.record };
    }
    Ok(contents)
}

/// What an entry is told as a difference to.
#[derive(Debug, Default)]
struct Before {
    number: u64,
    queued_at_ms: u64,
    record: u64,
}

/// `None`: it is no summary that this version wrote.
fn decode(contents: &[u8]) -> Option<Summary> {
    let (length, rest) = contents.split_first_chunk::<4>()?;
    let (head, mut rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let FileHead { tag, through, records, scopes: names } = decode_compact(head).ok()?;
    let (mut scopes, listed) = Scopes::from_list(names)?;
    let (mut heads, mut positions) = (Ascending::default(), Ascending::default());
    let mut is_first = true;
    let mut before = Before::default();
    while !rest.is_empty() {
        let number = before.number.wrapping_add(take(&mut rest)?);
        let scope = *listed.get(usize::try_from(take(&mut rest)?).ok()?)?;
        let (id, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        let id = IdHash(u32::from_le_bytes(*id));
        let bytes = take(&mut rest)?;
        let queued_at_ms = before.queued_at_ms.wrapping_add(unzigzag(take(&mut rest)?));
        let record = before.record.wrapping_add(unzigzag(take(&mut rest)?));
        let start = usize::try_from(take(&mut rest)?).ok()?;
        let end = start.checked_add(usize::try_from(take(&mut rest)?).ok()?)?;
        let is_behind = number > before.number || is_first;
        if !is_behind || record >= through {
            return None;
        }
        scopes.hold_again(scope);
        heads.push(number, Head { scope, id, bytes, queued_at_ms });
        positions.push(number, Position::new(record, &(start..end))?);
        is_first = false;
        before = Before { number, queued_at_ms, record };
    }
    let queued = Queued::from_parts(scopes, heads.finish());
    Some(Summary { tag, through, records, queued, bodies: Bodies::of(positions.finish()) })
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
