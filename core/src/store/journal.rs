//! An append-only file of byte records that survives crashes. It knows nothing of what they mean.
//!
//! The file is zero-filled ahead of its end, so that a commit overwrites blocks that already exist and
//! `sync_data` has no metadata to write. At least one frame header of zeros follows the last record: a file that
//! ends without them has been cut short.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::StoreError;
use super::files::{Quarantine, harmless, is_full, remove_if_there, sync_directory};
use super::frame::{FRAME_HEADER_BYTES, HEADER_BYTES, Header, RECORD_BYTES_MAX, Scan, encode_frame, scan};

/// The file grows by multiples of this, in bytes.
const PREALLOCATION_BYTES: u64 = 256 << 10;
/// A buffer that grew beyond this is given back after the commit, in bytes.
const BUFFER_KEPT_BYTES_MAX: usize = 1 << 20;
/// How much damage of one file is kept, in bytes.
const DAMAGE_KEPT_BYTES_MAX: u64 = 16 << 20;

const FILE: &str = "journal";
const FILE_NEW: &str = "journal.new";

/// See the module's documentation. One owner; the caller holds the directory's lock.
#[derive(Debug)]
pub(super) struct Journal {
    directory: PathBuf,
    file: File,
    tag: u32,
    /// Frames that the next commit writes.
    pending: Vec<u8>,
    /// Where the committed frames end.
    end: u64,
    /// Where the file ends; at least one frame header after `end`, except just after it was cut short.
    allocated: u64,
    failure: Option<Failure>,
}

/// Why the journal takes nothing more.
#[derive(Debug, Clone)]
struct Failure {
    kind: io::ErrorKind,
    message: String,
}

/// What [`Journal::open`] found.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) journal: Journal,
    /// Whether there was no journal before.
    pub(super) created: bool,
    /// One sentence for each damage.
    pub(super) damage: Vec<String>,
}

impl Journal {
    /// Opens the journal of a directory, or creates it, and visits its records in order. Damage is set aside and
    /// reported; the records around it are kept.
    ///
    /// # Errors
    /// `TooNew`: nothing was touched. `Full`, `Io`: nothing was lost, opening may succeed later.
    pub(super) fn open(
        directory: &Path,
        quarantine: &Quarantine,
        visit: &mut dyn FnMut(&[u8]),
    ) -> Result<Opened, StoreError> {
        remove_if_there(&directory.join(FILE_NEW))?;
        let mut file = match File::options().read(true).write(true).open(directory.join(FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let segment = write_segment(directory, random_tag(), |_| Ok(())).map_err(harmless)?;
                let journal = Self::new(directory, segment);
                return Ok(Opened { journal, created: true, damage: Vec::new() });
            }
            Err(error) => return Err(error.into()),
        };
        let mut head = Vec::new();
        (&mut file).take(HEADER_BYTES as u64).read_to_end(&mut head)?;
        let found = match Header::decode(&head) {
            Header::Valid { tag } => scan(&file, HEADER_BYTES as u64, Some(tag), visit)?,
            Header::TooNew { version } => {
                let supported = super::frame::FORMAT_VERSION;
                return Err(StoreError::TooNew { found: version, supported });
            }
            Header::Damaged => {
                file.rewind()?;
                let mut found = scan(&file, 0, None, visit)?;
                // A header overwritten by zeros is damage as well.
                let first_valid = found.valid.first().map_or(found.tail.end, |range| range.start);
                found.damaged.retain(|range| range.start != 0);
                found.damaged.insert(0, 0..first_valid);
                if found.valid.is_empty() {
                    found.tail = first_valid..first_valid;
                }
                found
            }
        };
        Self::repair(directory, file, &found, quarantine)
    }

    /// Makes a journal of what a scan found valid.
    fn repair(
        directory: &Path,
        mut file: File,
        found: &Scan,
        quarantine: &Quarantine,
    ) -> Result<Opened, StoreError> {
        let end = found.valid.last().map_or(HEADER_BYTES as u64, |range| range.end);
        let mut damage = Vec::new();
        for range in &found.damaged {
            damage.push(format!("the journal was damaged from byte {} to {}", range.start, range.end));
        }
        if found.tail.end > found.tail.start {
            damage.push(format!("the journal's end was torn, {} bytes", found.tail.end - found.tail.start));
        } else if found.damaged.is_empty() && found.file_bytes < end + FRAME_HEADER_BYTES as u64 {
            damage.push(format!("the journal was cut short at byte {}", found.file_bytes));
        }
        let ranges = found.damaged.iter().chain(std::iter::once(&found.tail));
        let kept = if damage.is_empty() { Ok(()) } else { set_aside(&mut file, ranges, quarantine) };
        if let Err(error) = &kept {
            damage.push(format!("the damaged bytes could not be set aside: {error}"));
        }
        let header_is_damaged = found.damaged.first().is_some_and(|range| range.start == 0);
        if header_is_damaged || (!found.damaged.is_empty() && kept.is_ok()) {
            let tag = found.tag.unwrap_or_else(random_tag);
            let copy = write_segment(directory, tag, |into| {
                found.valid.iter().try_for_each(|range| copy_range(&mut file, range, into))
            });
            match copy {
                Ok(segment) => {
                    return Ok(Opened { journal: Self::new(directory, segment), created: false, damage });
                }
                Err(error) if header_is_damaged => return Err(harmless(error)),
                // Damage between records does not keep the file from being used as it is.
                Err(error) => damage.push(format!("the damage stays in the journal: {error}")),
            }
        }
        if found.tail.end > found.tail.start {
            write_zeros(&mut file, found.tail.clone())?;
            file.sync_data()?;
        }
        let tag = found.tag.unwrap_or_else(random_tag);
        let segment = Segment { file, tag, end, allocated: found.file_bytes };
        Ok(Opened { journal: Self::new(directory, segment), created: false, damage })
    }

    fn new(directory: &Path, Segment { file, tag, end, allocated }: Segment) -> Self {
        let directory = directory.to_owned();
        Self { directory, file, tag, pending: Vec::new(), end, allocated, failure: None }
    }

    /// The committed records with their framing, in bytes.
    pub(super) fn used_bytes(&self) -> u64 {
        self.end
    }

    pub(super) fn file_bytes(&self) -> u64 {
        self.allocated
    }

    /// What a record takes in the file, in bytes.
    pub(super) fn record_bytes(record: &[u8]) -> u64 {
        (FRAME_HEADER_BYTES + record.len()) as u64
    }

    /// Adds a record to the next commit.
    ///
    /// # Errors
    /// `TooLarge`: the record is, and the others stay. `Journal`: it failed before.
    pub(super) fn append(&mut self, record: &[u8]) -> Result<(), StoreError> {
        self.check()?;
        check_size(record)?;
        encode_frame(&mut self.pending, self.tag, record);
        Ok(())
    }

    /// Makes the appended records durable.
    ///
    /// # Errors
    /// None of the records appended since the last commit are in the journal. `Full`: the journal goes on when
    /// there is room. `Journal`: whether they will be found by a restart is unknown, and nothing more is taken.
    pub(super) fn commit(&mut self) -> Result<(), StoreError> {
        self.check()?;
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut frames = std::mem::take(&mut self.pending);
        let result = self.write(&frames);
        frames.clear();
        frames.shrink_to(BUFFER_KEPT_BYTES_MAX);
        self.pending = frames;
        result
    }

    /// Replaces all records, in a new file that takes the place of the old one at once. Commits first.
    ///
    /// # Errors
    /// `Journal`: see [`commit`](Self::commit). Any other: the journal is as it was.
    pub(super) fn rewrite<'a>(
        &mut self,
        records: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), StoreError> {
        self.commit()?;
        let tag = random_tag();
        let mut frame = Vec::new();
        let written = write_segment(&self.directory, tag, |into| {
            records.into_iter().try_for_each(|record| {
                check_size(record).map_err(io::Error::other)?;
                frame.clear();
                encode_frame(&mut frame, tag, record);
                into.write_all(&frame)
            })
        });
        match written {
            Ok(segment) => {
                *self = Self::new(&self.directory, segment);
                Ok(())
            }
            // The new file may have taken the old one's place, for now or for good.
            Err(error) if !is_same_file(&self.file, &self.directory.join(FILE)) => Err(self.fail(error)),
            Err(error) => Err(harmless(error)),
        }
    }

    fn write(&mut self, frames: &[u8]) -> Result<(), StoreError> {
        let end = self.end + frames.len() as u64;
        let needed = end + FRAME_HEADER_BYTES as u64;
        if needed > self.allocated {
            self.extend(needed)?;
        }
        match write_at(&mut self.file, self.end, frames) {
            Ok(()) => {}
            // File systems that never overwrite in place can be full even here.
            Err(error) if is_full(&error) => {
                self.erase(self.end..end).map_err(|error| self.fail(error))?;
                return Err(StoreError::Full);
            }
            Err(error) => return Err(self.fail(error)),
        }
        self.file.sync_data().map_err(|error| self.fail(error))?;
        self.end = end;
        Ok(())
    }

    /// Zero-fills the file up to `needed` or beyond, before any record is written there: so a full disk is noticed
    /// while there is nothing to take back.
    fn extend(&mut self, needed: u64) -> Result<(), StoreError> {
        let allocated = needed.next_multiple_of(PREALLOCATION_BYTES);
        let grown =
            write_zeros(&mut self.file, self.allocated..allocated).and_then(|()| self.file.sync_data());
        match grown {
            Ok(()) => {
                self.allocated = allocated;
                Ok(())
            }
            Err(error) if is_full(&error) => {
                self.file.set_len(self.allocated).map_err(|error| self.fail(error))?;
                Err(StoreError::Full)
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    fn erase(&mut self, range: Range<u64>) -> io::Result<()> {
        if write_zeros(&mut self.file, range.clone()).is_err() {
            self.file.set_len(range.start)?;
            self.allocated = range.start;
        }
        self.file.sync_data()
    }

    fn check(&self) -> Result<(), StoreError> {
        match &self.failure {
            None => Ok(()),
            Some(Failure { kind, message }) => {
                Err(StoreError::Journal(io::Error::new(*kind, format!("failed before: {message}"))))
            }
        }
    }

    fn fail(&mut self, error: io::Error) -> StoreError {
        self.failure = Some(Failure { kind: error.kind(), message: error.to_string() });
        self.pending = Vec::new();
        StoreError::Journal(error)
    }
}

/// A journal file that is complete and in its place.
struct Segment {
    file: File,
    tag: u32,
    end: u64,
    allocated: u64,
}

/// Writes a new file and puts it in the journal's place.
fn write_segment(
    directory: &Path,
    tag: u32,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<Segment> {
    let path = directory.join(FILE_NEW);
    let write = || -> io::Result<Segment> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
        let mut writer = BufWriter::new(file);
        writer.write_all(&Header::encode(tag))?;
        fill(&mut writer)?;
        let end = writer.stream_position()?;
        let mut file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        let allocated = (end + FRAME_HEADER_BYTES as u64).next_multiple_of(PREALLOCATION_BYTES);
        write_zeros(&mut file, end..allocated)?;
        file.sync_all()?;
        std::fs::rename(&path, directory.join(FILE))?;
        sync_directory(directory)?;
        Ok(Segment { file, tag, end, allocated })
    };
    write().inspect_err(|_| {
        // A leftover is harmless: the next open removes it.
        let _ = remove_if_there(&path);
    })
}

fn check_size(record: &[u8]) -> Result<(), StoreError> {
    let (bytes, bytes_max) = (record.len(), RECORD_BYTES_MAX);
    if bytes <= bytes_max { Ok(()) } else { Err(StoreError::TooLarge { bytes, bytes_max }) }
}

/// Copies damaged bytes to the quarantine, one range after the other.
fn set_aside<'a>(
    file: &mut File,
    ranges: impl Iterator<Item = &'a Range<u64>>,
    quarantine: &Quarantine,
) -> io::Result<()> {
    let (mut copy, _) = quarantine.create(FILE)?;
    let mut left = DAMAGE_KEPT_BYTES_MAX;
    for range in ranges {
        let length = (range.end - range.start).min(left);
        copy_range(file, &(range.start..range.start + length), &mut copy)?;
        left -= length;
    }
    copy.sync_all()?;
    sync_directory(quarantine.directory())
}

fn copy_range(file: &mut File, range: &Range<u64>, into: &mut impl Write) -> io::Result<()> {
    file.seek(SeekFrom::Start(range.start))?;
    let length = range.end - range.start;
    if io::copy(&mut file.take(length), into)? == length {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

fn write_at(file: &mut File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

fn write_zeros(file: &mut File, range: Range<u64>) -> io::Result<()> {
    file.seek(SeekFrom::Start(range.start))?;
    io::copy(&mut io::repeat(0).take(range.end - range.start), file).map(drop)
}

/// Differs between the segments of one journal.
fn random_tag() -> u32 {
    let [.., a, b, c, d] = *uuid::Uuid::now_v7().as_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Whether an open file still is the one that a path names; `false` if in doubt.
fn is_same_file(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let id = |metadata: &std::fs::Metadata| (metadata.dev(), metadata.ino());
        matches!((file.metadata(), std::fs::metadata(path)), (Ok(a), Ok(b)) if id(&a) == id(&b))
    }
    #[cfg(not(unix))]
    {
        // An open file cannot be replaced here, so the rename failed.
        let _ = (file, path);
        true
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
