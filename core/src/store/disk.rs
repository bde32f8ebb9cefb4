//! The store on disk: journal, cache, and the lock of the directory they share.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use syncline_protocol::message::{decode_compact, encode_compact};
use syncline_protocol::{ClientId, Collection, Document, Room};

use super::envelope::{seal, unseal};
use super::files::{Quarantine, harmless, sync_directory, write_atomically};
use super::garbage::LiveBytes;
use super::journal::{Journal, Opened};
use super::lock::DirectoryLock;
use super::recovery::{Fold, Outset};
use super::sled_cache::SledCache;
use super::{DocumentKey, Identity, Record, Recovered, RoomState, RoomUpdate, Store, StoreError, StoreStats};

/// A journal is compacted only beyond this size, in bytes.
const COMPACTION_BYTES_MIN: u64 = 1 << 20;
/// How much of it must be dead, as one part in so many.
const COMPACTION_DEAD_PARTS: u64 = 2;
/// How much of records that cannot be decoded is kept of one open, in bytes.
const UNDECODABLE_KEPT_BYTES_MAX: usize = 16 << 20;

const CACHE_FOLDER: &str = "cache";
const IDENTITY_FILE: &str = "identity";
const QUARANTINE_FOLDER: &str = "quarantine";

/// A [`Store`] in a directory of its own.
#[derive(Debug)]
pub struct DiskStore {
    directory: PathBuf,
    journal: Journal,
    live: LiveBytes,
    /// Numbers of entries appended since the last commit.
    uncommitted: Vec<u64>,
    /// Records that wait for a flush of the cache.
    after_flush: Vec<Record>,
    cache: SledCache,
    // Last, so that it is released when everything else is closed.
    _lock: DirectoryLock,
}

impl DiskStore {
    /// Opens the store in a directory, or creates both. `fresh_client_id` becomes the client's if there is none.
    ///
    /// # Errors
    /// `InUse`, `TooNew`, `Full`, `Io`: nothing was lost. `Journal`: damage was repaired, but not durably; open
    /// again. Damage is not an error: see [`Recovered::damage`].
    pub fn open(directory: &Path, fresh_client_id: ClientId) -> Result<(Self, Recovered), StoreError> {
        create_private_directory(directory).map_err(harmless)?;
        let lock = DirectoryLock::acquire(directory)?;
        let quarantine = Quarantine::new(directory.join(QUARANTINE_FOLDER));
        let spare = read_identity(directory)?;

        let mut fold = Fold::default();
        let mut undecodable = Undecodable::default();
        let mut live = LiveBytes::default();
        let opened = Journal::open(directory, &quarantine, &mut |bytes| match decode_compact(bytes) {
            Ok(record) => {
                live.add(&record, Journal::record_bytes(bytes));
                fold.add(record);
            }
            Err(error) => undecodable.note(bytes, &error),
        })?;
        let Opened { journal, created, mut damage } = opened;
        if created && spare.is_some() {
            damage.push("the journal was missing".to_owned());
        }
        damage.extend(undecodable.set_aside(&quarantine));

        let Outset { mut recovered, repairs } = fold.finish(spare, fresh_client_id, damage);
        let (cache, lost) =
            SledCache::open(directory.join(CACHE_FOLDER), quarantine.directory().join(CACHE_FOLDER));
        recovered.damage.extend(lost.map(|reason| format!("the cache was lost: {reason}")));
        for line in &recovered.damage {
            tracing::warn!(damage = line.as_str(), "the store was damaged");
        }

        let directory = directory.to_owned();
        let mut store = Self {
            directory,
            journal,
            live,
            uncommitted: Vec::new(),
            after_flush: Vec::new(),
            cache,
            _lock: lock,
        };
        for repair in &repairs {
            store.append(repair)?;
        }
        store.commit()?;
        if spare.is_none_or(|spare| spare.client_id != recovered.identity.client_id) || !repairs.is_empty() {
            store.write_identity(&recovered.identity)?;
        }
        Ok((store, recovered))
    }

    /// Keeps the identity beside the journal, for the day when the journal has lost it.
    fn write_identity(&self, identity: &Identity) -> Result<(), StoreError> {
        let sealed = seal(&encode(identity)?);
        write_atomically(&self.directory.join(IDENTITY_FILE), &sealed).map_err(harmless)
    }

    fn is_compaction_worthwhile(&self) -> bool {
        let used = self.journal.used_bytes();
        let dead = used.saturating_sub(self.live.total());
        used > COMPACTION_BYTES_MIN && dead > used / COMPACTION_DEAD_PARTS
    }
}

impl Store for DiskStore {
    fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        let bytes = encode(record)?;
        self.journal.append(&bytes)?;
        self.live.add(record, Journal::record_bytes(&bytes));
        if let Record::Queued(entries) = record {
            self.uncommitted.extend(entries.iter().map(|entry| entry.mutation.client_seq));
        }
        Ok(())
    }

    fn append_after_flush(&mut self, record: Record) {
        self.after_flush.push(record);
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let uncommitted = std::mem::take(&mut self.uncommitted);
        self.journal.commit().inspect_err(|_| {
            for client_seq in uncommitted {
                self.live.add(&Record::Settled { client_seq }, 0);
            }
        })
    }

    fn compact_if_worthwhile(&mut self, live: &mut dyn FnMut() -> Vec<Record>) -> Result<(), StoreError> {
        if !self.is_compaction_worthwhile() {
            return Ok(());
        }
        self.replace_journal(&live())
    }

    fn replace_journal(&mut self, records: &[Record]) -> Result<(), StoreError> {
        // What the caller counts as settled may still wait for the cache: without this, a rewrite would drop it
        // from the journal first.
        self.flush()?;
        if let Some(Record::Identity(identity)) = records.first() {
            self.write_identity(identity)?;
        }
        let encoded = records.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
        self.journal.rewrite(encoded.iter().map(Vec::as_slice))?;
        self.live = LiveBytes::default();
        for (record, bytes) in records.iter().zip(&encoded) {
            self.live.add(record, Journal::record_bytes(bytes));
        }
        Ok(())
    }

    fn document(&self, key: &DocumentKey) -> Result<Option<Document>, StoreError> {
        self.cache.document(key)
    }

    fn visit_collection(
        &self,
        room: &Room,
        collection: &Collection,
        visit: &mut dyn FnMut(Document),
    ) -> Result<(), StoreError> {
        self.cache.visit_collection(room, collection, visit)
    }

    fn rooms(&self) -> Result<Vec<(Room, RoomState)>, StoreError> {
        self.cache.rooms()
    }

    fn apply(&mut self, room: &Room, update: &RoomUpdate<'_>) -> Result<(), StoreError> {
        self.cache.apply(room, update)
    }

    fn take_loss(&mut self) -> Option<String> {
        self.cache.take_loss()
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.cache.flush()?;
        if self.after_flush.is_empty() {
            return Ok(());
        }
        // The caller's own records first: they do not wait for these.
        self.commit()?;
        let waiting = std::mem::take(&mut self.after_flush);
        let result = waiting.iter().try_for_each(|record| self.append(record)).and_then(|()| self.commit());
        if result.is_err() {
            self.after_flush = waiting;
        }
        result
    }

    fn stats(&self) -> StoreStats {
        StoreStats { journal_bytes: self.journal.file_bytes(), cache_bytes: self.cache.bytes_on_disk() }
    }
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        if let Err(error) = self.flush() {
            tracing::warn!(%error, "the store was closed without a flush");
        }
    }
}

/// Records of which the frame is whole and the contents are not understood.
#[derive(Debug, Default)]
struct Undecodable {
    count: usize,
    first_error: Option<String>,
    kept: Vec<u8>,
}

impl Undecodable {
    fn note(&mut self, bytes: &[u8], error: &rmp_serde::decode::Error) {
        self.count += 1;
        self.first_error.get_or_insert_with(|| error.to_string());
        if self.kept.len() + bytes.len() <= UNDECODABLE_KEPT_BYTES_MAX {
            self.kept.extend_from_slice(bytes);
        }
    }

    /// What to report.
    fn set_aside(&self, quarantine: &Quarantine) -> Option<String> {
        let first_error = self.first_error.as_ref()?;
        let keep = || -> io::Result<()> {
            let (mut file, _) = quarantine.create("records")?;
            file.write_all(&self.kept)?;
            file.sync_all()?;
            sync_directory(quarantine.directory())
        };
        let kept =
            keep().map_or_else(|error| format!("could not be set aside: {error}"), |()| "set aside".into());
        Some(format!("{} records could not be decoded ({first_error}); {kept}", self.count))
    }
}

fn encode<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    encode_compact(value).map_err(|error| StoreError::Encode(error.to_string()))
}

/// The spare identity; none if it is missing or damaged.
fn read_identity(directory: &Path) -> Result<Option<Identity>, StoreError> {
    match fs::read(directory.join(IDENTITY_FILE)) {
        Ok(sealed) => Ok(unseal(&sealed).ok().and_then(|contents| decode_compact(contents).ok())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn create_private_directory(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
