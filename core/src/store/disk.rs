//! The store on disk: journal, cache, and the lock of the directory they share.

use std::path::{Path, PathBuf};

use syncline_protocol::message::{decode_compact, encode_compact};
use syncline_protocol::sabotage::{Sabotage, is_active};
use syncline_protocol::{ClientId, Room};

use super::behind::Behind;
use super::bodies::{Bodies, Change, encode_queued};
use super::crypt::{Keyring, Place as SealedPlace, is_sealed};
use super::envelope::{seal, unseal};
use super::file_system::{FileSystem, OsFiles};
use super::files::{Quarantine, create_directory, harmless, read_if_there, write_atomically};
use super::garbage::LiveBytes;
use super::journal::{Journal, Opened, Place, stored_bytes};
use super::recovering::Recovering;
use super::recovery::Outset;
use super::sled_cache::SledCache;
use super::summary::{Segment, SummaryFile};
use super::{Cache, Entry, Identity, Live, OwnedUpdate, Record, Recovered, Store, StoreError, StoreStats};

/// How much of it must be dead, as one part in so many.
const COMPACTION_DEAD_PARTS: u64 = 2;
/// What records other than entries may take where a summary is written, in bytes: it repeats them.
const SUMMARY_RECORDS_BYTES_MAX: u64 = 1 << 20;

const CACHE_FOLDER: &str = "cache";
const IDENTITY_FILE: &str = "identity";
const IDENTITY_PLACE: SealedPlace<'_> = SealedPlace { kind: b"identity", name: b"" };
const QUARANTINE_FOLDER: &str = "quarantine";

/// What a store on disk begins with, and how it lays out its journal.
#[derive(Debug, Clone)]
pub struct DiskSettings {
    /// Becomes the client's id if there is none yet.
    pub fresh_client_id: ClientId,
    /// Of the random numbers that tell the journal's segments apart. Every open needs another one.
    pub tag_seed: u64,
    /// The journal's file grows by multiples of this, in bytes; 0 counts as 1.
    pub preallocation_bytes: u64,
    /// The journal is compacted only beyond this size, in bytes.
    pub compaction_bytes_min: u64,
    /// An open writes a summary when it has read more than this behind the one before, in bytes.
    pub summary_bytes_min: u64,
    pub keyring: Keyring,
    /// Of the installation that opens it, if the app tells: data of another one was restored or copied.
    pub installation: Option<u64>,
}

impl DiskSettings {
    /// The sizes that suit a phone.
    pub fn new(fresh_client_id: ClientId, tag_seed: u64) -> Self {
        Self {
            fresh_client_id,
            tag_seed,
            preallocation_bytes: 256 << 10,
            compaction_bytes_min: 1 << 20,
            summary_bytes_min: 256 << 10,
            keyring: Keyring::default(),
            installation: None,
        }
    }
}

/// A [`Store`] in a directory of its own: a journal in the files `F`, and the cache `C`.
#[derive(Debug)]
pub struct DiskStore<F: FileSystem = OsFiles, C: Cache = SledCache> {
    files: F,
    directory: PathBuf,
    keyring: Keyring,
    compaction_bytes_min: u64,
    journal: Journal<F>,
    live: LiveBytes,
    bodies: Bodies,
    /// Records that wait for a flush of the cache.
    after_flush: Vec<AfterFlush>,
    summary_bytes_min: u64,
    /// How far the journal's summary goes; 0 if there is none.
    summarized_through: u64,
    summary_file: SummaryFile<F>,
    cache: Behind<C>,
    // Last, so that it is released when everything else is closed.
    _lock: F::Lock,
}

/// A record that waits for a flush of the cache. Nearly all are of one kind, of which there may be thousands.
#[derive(Debug)]
enum AfterFlush {
    Settled { client_seq: u64 },
    Other(Box<Record>),
}

impl From<Record> for AfterFlush {
    fn from(record: Record) -> Self {
        match record {
            Record::Settled { client_seq } => Self::Settled { client_seq },
            other => Self::Other(Box::new(other)),
        }
    }
}

impl DiskStore {
    /// Opens the store in a directory, or creates both. `fresh_client_id` becomes the client's if there is none.
    ///
    /// # Errors
    /// See [`assemble`](Self::assemble).
    pub fn open(directory: &Path, fresh_client_id: ClientId) -> Result<(Self, Recovered), StoreError> {
        Self::open_with(directory, fresh_client_id, Keyring::default(), None)
    }

    /// The same, sealed, and for an installation; see [`DiskSettings`].
    ///
    /// # Errors
    /// See [`assemble`](Self::assemble).
    pub fn open_with(
        directory: &Path,
        fresh_client_id: ClientId,
        keyring: Keyring,
        installation: Option<u64>,
    ) -> Result<(Self, Recovered), StoreError> {
        let (_, tag_seed) = uuid::Uuid::now_v7().as_u64_pair();
        let settings = DiskSettings {
            keyring: keyring.clone(),
            installation,
            ..DiskSettings::new(fresh_client_id, tag_seed)
        };
        Self::assemble(OsFiles, directory, settings, || {
            let quarantine = directory.join(QUARANTINE_FOLDER).join(CACHE_FOLDER);
            SledCache::open_sealed(directory.join(CACHE_FOLDER), quarantine, keyring)
        })
    }
}

impl<F: FileSystem, C: Cache> DiskStore<F, C> {
    /// Opens the store in a directory of `files`, or creates both, with the cache that `open_cache` gives once the
    /// directory is locked and the journal is read.
    ///
    /// # Errors
    /// `InUse`, `TooNew`, `WrongKey`, `Locked`, `Full`, `Io`: nothing was lost. `Journal`: damage was repaired, but not durably; open
    /// again. Damage is not an error: see [`Recovered::damage`].
    pub fn assemble(
        files: F,
        directory: &Path,
        settings: DiskSettings,
        open_cache: impl FnOnce() -> C,
    ) -> Result<(Self, Recovered), StoreError> {
        let DiskSettings { compaction_bytes_min, keyring, installation, .. } = settings;
        create_directory(&files, directory).map_err(harmless)?;
        let lock = files.lock(directory)?;
        let quarantine = Quarantine::new(files.clone(), directory.join(QUARANTINE_FOLDER));
        let (spare, is_spare_locked) = read_identity(&files, directory, &keyring)?;
        let directory = directory.to_owned();

        let place = Place {
            files: files.clone(),
            directory: directory.clone(),
            preallocation_bytes: settings.preallocation_bytes.max(1),
            tag_seed: settings.tag_seed,
            keyring: keyring.clone(),
            is_spare_locked,
        };
        let summary_file = SummaryFile::new(files.clone(), &directory);
        // What cannot be read now is read from the journal itself.
        let summary = summary_file.read(&keyring).and_then(|begun| {
            let (tag, ends) = (begun.tag(), begun.ends().to_vec());
            let (is_whole, summary) = Journal::is_whole(&place, tag, &ends, || begun.finish()).ok()?;
            summary.filter(|_| is_whole || is_active(Sabotage::SummaryOutlivesJournal))
        });
        let known = summary.as_ref().map(|summary| summary.through);
        let mut recovering = match summary {
            Some(summary) => Recovering::after(summary, |record| Ok(stored_bytes(encode(record)?.len())))?,
            None => Recovering::default(),
        };
        let opened = Journal::open(place, &quarantine, known, &mut |visited| recovering.visit(visited))?;
        let Opened { journal, created, mut damage, moved } = opened;
        if known.is_none() || moved.is_some() {
            summary_file
                .remove()
                .unwrap_or_else(|error| tracing::warn!(%error, "a summary stays that is of no use"));
        }
        if let Some(moved) = &moved {
            recovering.bodies.relocate(|offset| moved.offset(offset));
        }
        if created && spare.is_some() {
            damage.push("the journal was missing".to_owned());
        }
        damage.extend(recovering.set_aside(&quarantine));
        let Recovering { fold, live, bodies, .. } = recovering;

        let outset = fold.finish(spare, settings.fresh_client_id, installation, damage, &|client_seq| {
            bodies.entry(&journal, client_seq)
        })?;
        let Outset { mut recovered, repairs } = outset;
        let mut cache = Behind::new(open_cache());
        recovered.damage.extend(cache.take_loss().map(|reason| format!("the cache was lost: {reason}")));
        for line in &recovered.damage {
            tracing::warn!(damage = line.as_str(), "the store was damaged");
        }

        let mut store = Self {
            files,
            directory,
            keyring,
            compaction_bytes_min,
            journal,
            live,
            bodies,
            after_flush: Vec::new(),
            summary_bytes_min: settings.summary_bytes_min,
            summarized_through: known.filter(|_| moved.is_none()).unwrap_or(0),
            summary_file,
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
        if store.journal.is_sealed_otherwise() {
            store.seal_anew(&recovered, &quarantine)?;
        } else if repairs.is_empty()
            && let Err(error) = store.summarize(&recovered)
        {
            tracing::warn!(%error, "the journal was not summarized");
        }
        Ok((store, recovered))
    }

    /// Goes over to the key of today. The cache, which comes first, has done so already; a crash leaves the old journal
    /// or the new one.
    fn seal_anew(&mut self, recovered: &Recovered, quarantine: &Quarantine<F>) -> Result<(), StoreError> {
        // What is kept there can be read with the old key, or without any. Only the old journal says that it is to go.
        quarantine.clear().map_err(harmless)?;
        self.replace_journal(&Live {
            records: recovered.records(),
            kept: recovered.queued.numbers().collect(),
        })
    }

    /// Keeps the identity beside the journal, for the day when the journal has lost it.
    fn write_identity(&self, identity: &Identity) -> Result<(), StoreError> {
        let mut contents = encode(identity)?;
        if let Some(vault) = self.keyring.current() {
            contents = vault.seal(&IDENTITY_PLACE, &contents)?;
        }
        let sealed = seal(&contents);
        write_atomically(&self.files, &self.directory.join(IDENTITY_FILE), &sealed).map_err(harmless)
    }

    /// Keeps what an open found, if it had much to read: the next one need not decode it again. No open waits for that.
    fn summarize(&mut self, found: &Recovered) -> Result<(), StoreError> {
        let through = self.journal.used_bytes();
        let new = through.saturating_sub(self.summarized_through);
        if new <= self.summary_bytes_min || self.live.total() > SUMMARY_RECORDS_BYTES_MAX {
            return Ok(());
        }
        let segment = Segment { tag: self.journal.tag(), through, vault: self.journal.vault() };
        self.summary_file.write(&segment, found, &self.bodies)?;
        self.summarized_through = through;
        Ok(())
    }

    fn is_compaction_worthwhile(&self) -> bool {
        let used = self.journal.used_bytes();
        let dead = used.saturating_sub(self.live.total() + self.bodies.bytes());
        used > self.compaction_bytes_min && dead > used / COMPACTION_DEAD_PARTS
    }
}

#[cfg(test)]
impl<F: FileSystem, C: Cache> DiskStore<F, C> {
    pub(super) fn is_summarized(&self) -> bool {
        self.summarized_through > 0
    }

    /// What a compaction counts as needed, without the identity, in bytes.
    pub(super) fn needed_bytes(&self) -> u64 {
        self.live.total() + self.bodies.bytes()
    }
}

impl<F: FileSystem, C: Cache> Store for DiskStore<F, C> {
    fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        let mut append = |bytes: &[u8], change: &Change<'_>| {
            let offset = self.journal.append(bytes)?;
            self.bodies.append(change, offset);
            self.live.add(record, self.journal.record_bytes(bytes));
            Ok(())
        };
        if let Record::Queued(entries) = record {
            let (bytes, change) = encode_queued(entries)?;
            return append(&bytes, &change);
        }
        let bytes = encode(record)?;
        append(&bytes, &Change::of(record, &bytes)?)
    }

    fn append_after_flush(&mut self, record: Record) {
        if is_active(Sabotage::AfterFlushIgnored) {
            return drop(self.append(&record));
        }
        self.after_flush.push(record.into());
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let committed = self.journal.commit();
        match committed {
            Ok(()) => self.bodies.commit(),
            Err(_) => self.bodies.roll_back(),
        }
        committed
    }

    fn entry(&self, client_seq: u64) -> Result<Entry, StoreError> {
        self.bodies.entry(&self.journal, client_seq)
    }

    fn pack_mutation(&self, client_seq: u64, into: &mut Vec<u8>) -> Result<(), StoreError> {
        self.bodies.pack_mutation(&self.journal, client_seq, into)
    }

    fn compact_if_worthwhile(&mut self, live: &mut dyn FnMut() -> Live) -> Result<(), StoreError> {
        if !self.is_compaction_worthwhile() {
            return Ok(());
        }
        self.replace_journal(&live())
    }

    fn replace_journal(&mut self, live: &Live) -> Result<(), StoreError> {
        // What the caller counts as settled may still wait for the cache: without this, a rewrite would drop it
        // from the journal first.
        self.flush()?;
        if let Some(Record::Identity(identity)) = live.records.first() {
            self.write_identity(identity)?;
        }
        // First: what it holds may be in the clear, and the new journal sealed.
        self.summarized_through = 0;
        if !is_active(Sabotage::SummaryOutlivesJournal) {
            self.summary_file.remove()?;
        }
        let (mut bodies, mut live_bytes) = (Bodies::default(), LiveBytes::default());
        let before = &self.bodies;
        self.journal.rewrite(|journal, add| {
            for record in &live.records {
                let bytes = encode(record)?;
                bodies.recover(&Change::of(record, &bytes)?, add(&bytes)?);
                live_bytes.add(record, journal.record_bytes(&bytes));
            }
            before.copy(journal, &live.kept, add, &mut bodies)
        })?;
        self.live = live_bytes;
        if !is_active(Sabotage::BodiesNotMoved) {
            self.bodies = bodies;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.cache.flush()?;
        if self.after_flush.is_empty() {
            return Ok(());
        }
        // The caller's own records first: they do not wait for these.
        self.commit()?;
        let waiting = std::mem::take(&mut self.after_flush);
        let appended = waiting.iter().try_for_each(|waiting| match waiting {
            AfterFlush::Settled { client_seq } => self.append(&Record::Settled { client_seq: *client_seq }),
            AfterFlush::Other(record) => self.append(record),
        });
        let result = appended.and_then(|()| self.commit());
        if result.is_err() {
            self.after_flush = waiting;
        }
        result
    }

    fn stats(&self) -> StoreStats {
        StoreStats { journal_bytes: self.journal.file_bytes(), cache_bytes: self.cache.bytes_on_disk() }
    }

    fn apply_owned(&mut self, room: &Room, update: OwnedUpdate) -> Result<(), StoreError> {
        self.cache.apply_owned(room, update)
    }

    fn cache(&self) -> &dyn Cache {
        &self.cache
    }

    fn cache_mut(&mut self) -> &mut dyn Cache {
        &mut self.cache
    }
}

impl<F: FileSystem, C: Cache> Drop for DiskStore<F, C> {
    fn drop(&mut self) {
        if let Err(error) = self.flush() {
            tracing::warn!(%error, "the store was closed without a flush");
        }
    }
}

fn encode<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    encode_compact(value).map_err(|error| StoreError::Encode(error.to_string()))
}

/// The spare identity, none if it is missing or damaged; and whether it is sealed with a key that is not there.
fn read_identity(
    files: &impl FileSystem,
    directory: &Path,
    keyring: &Keyring,
) -> Result<(Option<Identity>, bool), StoreError> {
    let Some(file) = read_if_there(files, &directory.join(IDENTITY_FILE))? else { return Ok((None, false)) };
    let Ok(contents) = unseal(&file) else { return Ok((None, false)) };
    if !is_sealed(contents) {
        return Ok((decode_compact(contents).ok(), false));
    }
    match keyring.open(&IDENTITY_PLACE, contents) {
        Some((_, contents)) => Ok((decode_compact(&contents).ok(), false)),
        None => Ok((None, true)),
    }
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
