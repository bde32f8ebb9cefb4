//! An append-only file of byte records that survives crashes. It knows nothing of what they mean.
//!
//! The file is zero-filled ahead of its end, so that a commit overwrites blocks that already exist and
//! `sync_data` has no metadata to write. At least one frame header of zeros follows the last record: a file that
//! ends without them has been cut short.

mod reading;

use std::io::{self, BufWriter, Read, Write};
use std::ops::Range;
use std::path::PathBuf;

use syncline_protocol::sabotage::{Sabotage, is_active};

pub(super) use self::reading::Moved;

use super::StoreError;
use super::crypt::{Keyring, Vault};
use super::file_system::{FileSystem, OpenMode, OsFiles, Part, RandomAccessFile, Stream};
use super::files::{Quarantine, harmless, is_full, remove_if_there, sync_parent};
use super::frame::{FRAME_HEADER_BYTES, HEADER_BYTES, Header, RECORD_BYTES_MAX, Scan, encode_frame, scan};
use super::recent::Recent;
use super::sealing::{Opener, Sealing};
use crate::engine::backoff::next_random;

/// A buffer that grew beyond this is given back after the commit, in bytes.
const BUFFER_KEPT_BYTES_MAX: usize = 1 << 20;
/// How much damage of one file is kept, in bytes.
const DAMAGE_KEPT_BYTES_MAX: u64 = 16 << 20;

const FILE: &str = "journal";
const FILE_NEW: &str = "journal.new";

/// See the module's documentation. One owner; the caller holds the directory's lock.
#[derive(Debug)]
pub(super) struct Journal<F: FileSystem = OsFiles> {
    place: Place<F>,
    file: F::File,
    sealing: Sealing,
    /// Frames that the next commit writes.
    pending: Vec<u8>,
    /// Where the committed frames end.
    end: u64,
    /// The last of them.
    recent: Recent,
    /// Where the file ends; at least one frame header after `end`, except just after it was cut short.
    allocated: u64,
    failure: Option<Failure>,
}

/// Where a journal stands, and how its files are made.
#[derive(Debug)]
pub(super) struct Place<F> {
    pub(super) files: F,
    pub(super) directory: PathBuf,
    /// The file grows by multiples of this, in bytes.
    pub(super) preallocation_bytes: u64,
    /// Of the tags; every open needs another one.
    pub(super) tag_seed: u64,
    pub(super) keyring: Keyring,
    /// Whether what is kept beside the journal is sealed with a key that is not in the keyring.
    pub(super) is_spare_locked: bool,
}

/// A record of the journal, as it is stored and, if it could be opened, what is in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visited<'r> {
    /// Where its frame stands in the file.
    pub(super) offset: u64,
    pub(super) stored: &'r [u8],
    pub(super) record: Option<&'r [u8]>,
}

/// Adds a record to a journal that is written anew, and returns the offset by which it can be read.
pub(super) type AddRecord<'a> = dyn FnMut(&[u8]) -> Result<u64, StoreError> + 'a;

/// Why the journal takes nothing more.
#[derive(Debug, Clone)]
struct Failure {
    kind: io::ErrorKind,
    message: String,
}

/// What [`Journal::open`] found.
#[derive(Debug)]
pub(super) struct Opened<F: FileSystem = OsFiles> {
    pub(super) journal: Journal<F>,
    /// Whether there was no journal before.
    pub(super) created: bool,
    /// One sentence for each damage.
    pub(super) damage: Vec<String>,
    /// Where the records are now, if not where they were visited.
    pub(super) moved: Option<Moved>,
}

impl<F: FileSystem> Journal<F> {
    /// Opens the journal of a directory, or creates it, and visits its records in order; the first ones are left out where
    /// it [`is_whole`](Self::is_whole) as far as `known`. Damage is set aside and reported; the records around it are kept.
    ///
    /// # Errors
    /// `TooNew`, `WrongKey`: nothing was touched. `Full`, `Io`: nothing was lost, opening may succeed later.
    pub(super) fn open(
        mut place: Place<F>,
        quarantine: &Quarantine<F>,
        known: Option<u64>,
        visit: &mut dyn FnMut(Visited<'_>),
    ) -> Result<Opened<F>, StoreError> {
        let file = match place.files.open(&place.path(), OpenMode::Existing) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let vault = Opener::new(&place.keyring).finish(place.is_spare_locked)?;
                let sealing = Sealing { tag: place.next_tag(), vault };
                // A process that died may have made the directory and no more.
                sync_parent(&place.files, &place.directory).map_err(harmless)?;
                let segment = place.write_segment(sealing, |_| Ok(())).map_err(harmless)?;
                let journal = Self::new(place, segment);
                return Ok(Opened { journal, created: true, damage: Vec::new(), moved: None });
            }
            Err(error) => return Err(error.into()),
        };
        let mut opener = Opener::new(&place.keyring);
        let found = match read_header(&file)? {
            Header::Valid { tag, key_id } => {
                opener.expect(key_id)?;
                let first = HEADER_BYTES as u64;
                let offset = known.unwrap_or(first);
                let source = Part::of(&file, offset..u64::MAX);
                let mut found = scan(source, offset, Some(tag), &mut opening(&mut opener, visit))?;
                found.add_before(first..offset);
                found
            }
            Header::TooNew { version } => {
                let supported = super::frame::FORMAT_VERSION;
                return Err(StoreError::TooNew { found: version, supported });
            }
            Header::Damaged if known.is_some() => {
                return Err(io::Error::other("the journal changed while it was opened").into());
            }
            Header::Damaged => {
                let source = Part::of(&file, 0..u64::MAX);
                let mut found = scan(source, 0, None, &mut opening(&mut opener, visit))?;
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
        let vault = opener.finish(place.is_spare_locked)?;
        remove_if_there(&place.files, &place.new_path())?;
        let sealing = Sealing { tag: found.tag.unwrap_or_else(|| place.next_tag()), vault };
        Self::repair(place, sealing, file, &found, quarantine)
    }

    /// Makes a journal of what a scan found valid.
    fn repair(
        place: Place<F>,
        sealing: Sealing,
        mut file: F::File,
        found: &Scan,
        quarantine: &Quarantine<F>,
    ) -> Result<Opened<F>, StoreError> {
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
        let kept = if damage.is_empty() { Ok(()) } else { set_aside(&file, ranges, quarantine) };
        if let Err(error) = &kept {
            damage.push(format!("the damaged bytes could not be set aside: {error}"));
        }
        let header_is_damaged = found.damaged.first().is_some_and(|range| range.start == 0);
        if header_is_damaged || (!found.damaged.is_empty() && kept.is_ok()) {
            let copy = place.write_segment(sealing.clone(), |into| {
                found.valid.iter().try_for_each(|range| copy_range(&file, range, into))
            });
            match copy {
                Ok(segment) => {
                    let journal = Self::new(place, segment);
                    let moved = Some(Moved(found.valid.clone()));
                    return Ok(Opened { journal, created: false, damage, moved });
                }
                Err(error) if header_is_damaged => return Err(harmless(error)),
                // Damage between records does not keep the file from being used as it is.
                Err(error) => damage.push(format!("the damage stays in the journal: {error}")),
            }
        }
        if found.tail.end > found.tail.start {
            file.write_zeros(found.tail.clone())?;
        }
        // A process that died may have left what is read here, or the file's very name, without a sync.
        file.sync_all()?;
        place.files.sync_directory(&place.directory)?;
        let segment = Segment { file, sealing, end, allocated: found.file_bytes };
        Ok(Opened { journal: Self::new(place, segment), created: false, damage, moved: None })
    }

    fn new(place: Place<F>, Segment { file, sealing, end, allocated }: Segment<F::File>) -> Self {
        let recent = Recent::after(end);
        Self { place, file, sealing, pending: Vec::new(), end, recent, allocated, failure: None }
    }

    /// The committed records with their framing, in bytes.
    pub(super) fn used_bytes(&self) -> u64 {
        self.end
    }

    /// What tells this segment from others.
    pub(super) fn tag(&self) -> u32 {
        self.sealing.tag
    }

    /// What its records are sealed with.
    pub(super) fn vault(&self) -> Option<&Vault> {
        self.sealing.vault.as_deref()
    }

    pub(super) fn file_bytes(&self) -> u64 {
        self.allocated
    }

    /// Whether the records are sealed with another key than new ones shall be, or not at all.
    pub(super) fn is_sealed_otherwise(&self) -> bool {
        self.sealing.key_id() != self.place.keyring.current().map(|vault| vault.key_id())
    }

    /// What a record takes in the file, in bytes.
    pub(super) fn record_bytes(&self, record: &[u8]) -> u64 {
        stored_bytes(record.len() + self.sealing.added_bytes())
    }

    /// Adds a record to the next commit, and returns the offset by which it can be read.
    ///
    /// # Errors
    /// `TooLarge`: the record is, and the others stay. `Journal`: it failed before.
    pub(super) fn append(&mut self, record: &[u8]) -> Result<u64, StoreError> {
        self.check()?;
        let stored = self.sealing.seal(record)?;
        check_size(&stored)?;
        let offset = self.end + self.pending.len() as u64;
        encode_frame(&mut self.pending, self.sealing.tag, &stored);
        Ok(offset)
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
        if result.is_ok() {
            self.recent.add(&frames);
        }
        frames.clear();
        frames.shrink_to(BUFFER_KEPT_BYTES_MAX);
        self.pending = frames;
        result
    }

    /// Replaces all records, in a new file that takes the place of the old one at once, sealed with the key of today.
    /// `fill` adds the new ones, and is told where each stands; it may read the old ones. Commits first.
    ///
    /// # Errors
    /// `Journal`: see [`commit`](Self::commit). Any other: the journal is as it was.
    pub(super) fn rewrite(
        &mut self,
        fill: impl FnOnce(&Self, &mut AddRecord<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.commit()?;
        let sealing = Sealing { tag: self.place.next_tag(), vault: self.place.keyring.current().cloned() };
        let mut frame = Vec::new();
        let mut end = HEADER_BYTES as u64;
        let written = self.place.write_segment(sealing.clone(), |into| {
            let filled = fill(self, &mut |record| {
                let stored = sealing.seal(record)?;
                check_size(&stored)?;
                frame.clear();
                encode_frame(&mut frame, sealing.tag, &stored);
                into.write_all(&frame).map_err(harmless)?;
                let offset = end;
                end += frame.len() as u64;
                Ok(offset)
            });
            filled.map_err(io::Error::other)
        });
        match written {
            Ok(Segment { file, sealing, end, allocated }) => {
                (self.file, self.sealing, self.end, self.allocated) = (file, sealing, end, allocated);
                self.recent = Recent::after(end);
                Ok(())
            }
            // The new file may have taken the old one's place, for now or for good.
            Err(error) if !self.place.files.is_named(&self.file, &self.place.path()) => Err(self.fail(error)),
            Err(error) => Err(error.downcast().unwrap_or_else(harmless)),
        }
    }

    fn write(&mut self, frames: &[u8]) -> Result<(), StoreError> {
        let end = self.end + frames.len() as u64;
        let needed = end + FRAME_HEADER_BYTES as u64;
        if needed > self.allocated {
            self.extend(needed)?;
        }
        match self.file.write_at(self.end, frames) {
            Ok(()) => {}
            // File systems that never overwrite in place can be full even here.
            Err(error) if is_full(&error) => {
                self.erase(self.end..end).map_err(|error| self.fail(error))?;
                return Err(StoreError::Full);
            }
            Err(error) => return Err(self.abandon(self.end..end, error)),
        }
        let synced = if is_active(Sabotage::SyncSkipped) { Ok(()) } else { self.file.sync_data() };
        if let Err(error) = synced
            && !is_active(Sabotage::SyncErrorIgnored)
        {
            return Err(self.abandon(self.end..end, error));
        }
        self.end = end;
        Ok(())
    }

    /// Zero-fills the file up to `needed` or beyond, before any record is written there: so a full disk is noticed
    /// while there is nothing to take back.
    fn extend(&mut self, needed: u64) -> Result<(), StoreError> {
        let allocated = needed.next_multiple_of(self.place.preallocation_bytes);
        let grown = self.file.write_zeros(self.allocated..allocated).and_then(|()| self.file.sync_data());
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

    /// Fails over a range that may not be on the disk. The system may still show its bytes, though it never writes
    /// them: the next open must not take them for durable records.
    fn abandon(&mut self, range: Range<u64>, error: io::Error) -> StoreError {
        let _best_effort = self.file.write_zeros(range);
        self.fail(error)
    }

    fn erase(&mut self, range: Range<u64>) -> io::Result<()> {
        if self.file.write_zeros(range.clone()).is_err() {
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
struct Segment<File> {
    file: File,
    sealing: Sealing,
    end: u64,
    allocated: u64,
}

impl<F: FileSystem> Place<F> {
    fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    /// Differs from the tag of every other segment, but for bad luck.
    fn next_tag(&mut self) -> u32 {
        (next_random(&mut self.tag_seed) >> 32) as u32
    }

    fn new_path(&self) -> PathBuf {
        self.directory.join(FILE_NEW)
    }

    /// Writes a new file and puts it in the journal's place.
    fn write_segment(
        &self,
        sealing: Sealing,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<Segment<F::File>> {
        let path = self.new_path();
        let write = || -> io::Result<Segment<F::File>> {
            let mut file = self.files.open(&path, OpenMode::Empty)?;
            let mut writer = BufWriter::new(Stream::at(&mut file, 0));
            writer.write_all(&Header::encode(sealing.tag, sealing.key_id()))?;
            fill(&mut writer)?;
            let end = writer.into_inner().map_err(io::IntoInnerError::into_error)?.offset();
            let allocated = (end + FRAME_HEADER_BYTES as u64).next_multiple_of(self.preallocation_bytes);
            file.write_zeros(end..allocated)?;
            file.sync_all()?;
            self.files.rename(&path, &self.path())?;
            if !is_active(Sabotage::DirectorySyncSkipped) {
                self.files.sync_directory(&self.directory)?;
            }
            Ok(Segment { file, sealing, end, allocated })
        };
        write().inspect_err(|_| {
            // A leftover is harmless: the next open removes it.
            let _ = remove_if_there(&self.files, &path);
        })
    }
}

/// What a record of so many bytes, as it is stored, takes in the file, in bytes.
pub(super) fn stored_bytes(bytes: usize) -> u64 {
    (FRAME_HEADER_BYTES + bytes) as u64
}

fn read_header(file: &impl RandomAccessFile) -> io::Result<Header> {
    let mut head = Vec::new();
    Part::of(file, 0..HEADER_BYTES as u64).read_to_end(&mut head)?;
    Ok(Header::decode(&head))
}

fn opening<'o>(
    opener: &'o mut Opener<'_>,
    visit: &'o mut dyn FnMut(Visited<'_>),
) -> impl FnMut(u32, u64, &[u8]) + 'o {
    |tag, offset, stored| {
        let record = opener.open(tag, stored);
        visit(Visited { offset, stored, record: record.as_deref() });
    }
}

fn check_size(record: &[u8]) -> Result<(), StoreError> {
    let (bytes, bytes_max) = (record.len(), RECORD_BYTES_MAX);
    if bytes <= bytes_max { Ok(()) } else { Err(StoreError::TooLarge { bytes, bytes_max }) }
}

/// Copies damaged bytes to the quarantine, one range after the other.
fn set_aside<'a, F: FileSystem>(
    file: &F::File,
    ranges: impl Iterator<Item = &'a Range<u64>>,
    quarantine: &Quarantine<F>,
) -> io::Result<()> {
    quarantine.keep(FILE, |copy| {
        let mut left = DAMAGE_KEPT_BYTES_MAX;
        for range in ranges {
            let length = (range.end - range.start).min(left);
            copy_range(file, &(range.start..range.start + length), copy)?;
            left -= length;
        }
        Ok(())
    })
}

fn copy_range(file: &impl RandomAccessFile, range: &Range<u64>, into: &mut dyn Write) -> io::Result<()> {
    let length = range.end - range.start;
    if io::copy(&mut Part::of(file, range.clone()), into)? == length {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
