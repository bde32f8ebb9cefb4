//! The log of commits that the tables may not have yet: durable at the price of one write.
//!
//! There are two files. Groups of commits are added to one until it is full; then the other one is written over, of which
//! the tables hold everything. A group is a frame: `marker, number of its first commit, length, CRC32C, payload`,
//! integers little endian, and it is synced before the next one is written. So only the last group can be torn: what does
//! not read before others that are newer is damage. Behind the newest group a file holds older ones, or zeros.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use syncline_protocol::message::{decode_compact, encode_compact_into};

use super::StorageError;
use crate::hub::Commit;

const NAMES: [&str; 2] = ["ahead-0", "ahead-1"];
/// The last byte is the format's version. Not UTF-8, so it does not occur within text.
const MARKER: [u8; 4] = [0xF5, 0xA4, 0xED, 1];
const FRAME_HEADER_BYTES: usize = 20;
/// Of the length before each commit.
const LENGTH_BYTES: usize = size_of::<u32>();
/// What the memory for a group keeps for the next one, in bytes: after a larger one it would be held for good.
const GROUP_BYTES_KEPT: usize = 1 << 20;
/// A file grows by multiples of this, in bytes: a write over blocks that exist needs no other sync than its own.
const PREALLOCATION_BYTES: u64 = 1 << 20;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct AheadLog {
    files: [LogFile; 2],
    current: usize,
    /// A file that has grown beyond this is full.
    file_bytes: u64,
    /// The number of the next commit.
    next: u64,
    /// The group that is not written yet, with its first number.
    group: Vec<u8>,
    group_first: u64,
}

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: File,
    end: u64,
    allocated: u64,
    /// The highest number in it, 0 for none.
    last: u64,
}

/// What a log held when it was opened, in order, each with its number.
pub(super) type Replayed = Vec<(u64, Commit)>;

impl AheadLog {
    /// Opens the log in a folder, or makes it. `applied` is the number up to which the tables hold the commits.
    pub(super) fn open(
        folder: &Path,
        file_bytes: u64,
        applied: u64,
    ) -> Result<(Self, Replayed), StorageError> {
        let mut replayed = Replayed::new();
        let mut open = |name: &str| LogFile::open(folder.join(name), applied, &mut replayed);
        let files = [open(NAMES[0])?, open(NAMES[1])?];
        replayed.sort_by_key(|(number, _)| *number);
        let expected = applied + 1..;
        if !replayed.iter().map(|(number, _)| *number).eq(expected.take(replayed.len())) {
            return Err(damaged("commits are missing"));
        }
        let next = files.iter().map(|file| file.last).fold(applied, u64::max) + 1;
        let current = usize::from(files[1].last > files[0].last);
        Ok((Self { files, current, file_bytes, next, group: Vec::new(), group_first: next }, replayed))
    }

    /// Adds a commit to the group that [`sync`](Self::sync) writes next, and returns its number and what it takes.
    pub(super) fn append(&mut self, commit: &Commit) -> Result<(u64, usize), StorageError> {
        let before = self.group.len();
        if before == 0 {
            self.group.resize(FRAME_HEADER_BYTES, 0);
            self.group_first = self.next;
        }
        // What failed half-way must not be in the group.
        let bytes = self.add(commit).inspect_err(|_| self.group.truncate(before))?;
        let number = self.next;
        self.next += 1;
        Ok((number, bytes))
    }

    /// Adds a commit behind its length, which it answers.
    fn add(&mut self, commit: &Commit) -> Result<usize, StorageError> {
        let head = self.group.len();
        self.group.extend_from_slice(&[0; LENGTH_BYTES]);
        encode_compact_into(commit, &mut self.group)?;
        let bytes = self.group.len() - head - LENGTH_BYTES;
        let length = u32::try_from(bytes).map_err(|_| io::Error::other("a commit is too large"))?;
        self.group[head..head + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
        Ok(bytes)
    }

    /// Makes the group durable.
    pub(super) fn sync(&mut self) -> Result<(), StorageError> {
        if self.group.is_empty() {
            return Ok(());
        }
        let (header, payload) = self.group.split_at_mut(FRAME_HEADER_BYTES);
        let length = u32::try_from(payload.len()).map_err(|_| io::Error::other("a group is too large"))?;
        header[..4].copy_from_slice(&MARKER);
        header[4..12].copy_from_slice(&self.group_first.to_le_bytes());
        header[12..16].copy_from_slice(&length.to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&header[4..16]), payload);
        header[16..].copy_from_slice(&crc.to_le_bytes());
        let file = &mut self.files[self.current];
        file.write(&self.group)?;
        file.last = self.next - 1;
        self.group.clear();
        self.group.shrink_to(GROUP_BYTES_KEPT);
        Ok(())
    }

    /// What the group has that is not written yet, in bytes.
    pub(super) fn group_bytes(&self) -> usize {
        self.group.len()
    }

    /// Whether another file must be [begun](Self::begin_other): then the highest number in it, which the tables must
    /// hold first, durably.
    pub(super) fn is_full(&self) -> Option<u64> {
        let is_full = self.files[self.current].end >= self.file_bytes;
        is_full.then(|| self.files[1 - self.current].last)
    }

    pub(super) fn begin_other(&mut self) {
        self.current = 1 - self.current;
        self.files[self.current].end = 0;
    }
}

impl LogFile {
    fn open(path: PathBuf, applied: u64, replayed: &mut Replayed) -> Result<Self, StorageError> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (mut end, mut last) = (0, 0);
        while let Some((first, payload)) = frame(&bytes[end..]) {
            // Older ones are what this file held before.
            if first <= last {
                break;
            }
            end += FRAME_HEADER_BYTES + payload.len();
            last = read_group(first, payload, applied, replayed)?;
        }
        if newest_behind(&bytes[end..]) > last.max(applied) {
            return Err(damaged("it does not read up to its end"));
        }
        let allocated = bytes.len() as u64;
        Ok(Self { path, file, end: end as u64, allocated, last })
    }

    fn write(&mut self, frame: &[u8]) -> Result<(), StorageError> {
        let end = self.end + frame.len() as u64;
        if end > self.allocated {
            let allocated = end.next_multiple_of(PREALLOCATION_BYTES);
            self.file.seek(SeekFrom::Start(self.allocated))?;
            io::copy(&mut io::repeat(0).take(allocated - self.allocated), &mut self.file)?;
            self.file.sync_all()?;
            if self.allocated == 0
                && cfg!(unix)
                && let Some(folder) = self.path.parent()
            {
                File::open(folder)?.sync_all()?;
            }
            self.allocated = allocated;
        }
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(frame)?;
        self.file.sync_data()?;
        self.end = end;
        Ok(())
    }
}

/// The number and the payload of the frame that begins with these bytes, if a whole one does.
fn frame(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<FRAME_HEADER_BYTES>()?;
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if header[..4] != MARKER {
        return None;
    }
    let payload = rest.get(..usize::try_from(word(12)).ok()?)?;
    let is_whole = crc32c::crc32c_append(crc32c::crc32c(&header[4..16]), payload) == word(16);
    is_whole.then_some((u64::from(word(4)) | u64::from(word(8)) << 32, payload))
}

/// Reads the commits of a group that the tables do not hold, and returns the last number in it.
fn read_group(
    first: u64,
    mut payload: &[u8],
    applied: u64,
    replayed: &mut Replayed,
) -> Result<u64, StorageError> {
    let mut number = first;
    while let Some((length, rest)) = payload.split_first_chunk() {
        let length = u32::from_le_bytes(*length) as usize;
        let (commit, rest) = rest.split_at_checked(length).ok_or_else(|| damaged("a commit is cut"))?;
        if number > applied {
            let commit = decode_compact(commit).map_err(|error| damaged(&error.to_string()))?;
            replayed.push((number, commit));
        }
        payload = rest;
        number += 1;
    }
    Ok(number - 1)
}

/// The highest number of a frame that begins anywhere in these bytes, 0 for none.
fn newest_behind(bytes: &[u8]) -> u64 {
    let begins = bytes.windows(MARKER.len()).enumerate().filter(|(_, window)| **window == MARKER);
    begins.filter_map(|(at, _)| frame(&bytes[at..])).map(|(first, _)| first).max().unwrap_or(0)
}

fn damaged(reason: &str) -> StorageError {
    StorageError::Damaged { tree: "the log of commits", reason: reason.to_owned() }
}

#[cfg(test)]
#[path = "ahead_log_tests.rs"]
mod tests;
