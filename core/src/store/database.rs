//! One open sled database, and the guards around it.
//!
//! sled panics on some damage that it finds. Everything that calls into it goes through [`guarded`].

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sled::Transactional;
use sled::transaction::{ConflictableTransactionError, TransactionError};

use syncline_protocol::{Document, Room};

use super::cached_document::{CachedRoom, Layout, chunk_key};
use super::crypt::{KeyId, Keyring, Vault};
use super::envelope::{seal, unseal};
use super::files::is_full;

/// What sled may hold in memory, in bytes.
const CACHE_CAPACITY_BYTES: u64 = 8 << 20;
/// How long an open waits for the lock of a database closed before, and how often it looks.
const LOCK_WAIT_MS_MAX: u64 = 3_000;
const LOCK_POLL_MS: u64 = 5;
/// Of what the trees hold.
const FORMAT_VERSION: u32 = 1;

const FORMAT_KEY: &[u8] = b"format";
const CHANGES_KEY: &[u8] = b"changes";
const SCHEMA_KEY: &[u8] = b"schema";

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The system does not open the files now.
    Locked,
    /// The disk is full, which was noticed before the database was touched.
    Full,
    /// The database must not be used any more.
    Broken(String),
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Broken(reason)
    }
}

impl From<&str> for Failure {
    fn from(reason: &str) -> Self {
        Self::Broken(reason.to_owned())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::Locked,
            _ if is_full(&error) => Self::Full,
            _ => Self::Broken(error.to_string()),
        }
    }
}

impl From<sled::Error> for Failure {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => Self::Locked,
            error => Self::Broken(error.to_string()),
        }
    }
}

/// Turns a panic into a failure.
pub(super) fn guarded<T>(call: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    // After a failure nobody looks at what the call left behind: the handle is given up.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(Failure::Broken(format!("the database panicked: {message}")))
    })
}

/// The fixed trees.
#[derive(Debug)]
pub(super) struct Database {
    db: sled::Db,
    pub(super) documents: sled::Tree,
    pub(super) chunks: sled::Tree,
    pub(super) rooms: sled::Tree,
    /// The entries of the indexes, with the ids as values.
    pub(super) indexes: sled::Tree,
    meta: sled::Tree,
    pub(super) layout: Layout,
}

/// Writes to the trees that become visible together.
#[derive(Debug, Default)]
pub(super) struct Writes {
    pub(super) documents: sled::Batch,
    pub(super) chunks: sled::Batch,
    pub(super) rooms: sled::Batch,
    pub(super) indexes: sled::Batch,
    /// What the new entries of the indexes take, in bytes.
    pub(super) index_bytes: u64,
}

/// Opens sled, which may find the folder locked by itself: threads of a database that was just closed end a moment
/// later. Nobody else can have it, for the directory's lock is ours.
#[allow(
    clippy::disallowed_methods,
    reason = "sled tells nobody when its threads have ended; the wait is bounded"
)]
fn open_unlocked(folder: &Path) -> Result<sled::Db, sled::Error> {
    let config = sled::Config::new().path(folder).cache_capacity(CACHE_CAPACITY_BYTES).flush_every_ms(None);
    let deadline = Instant::now() + Duration::from_millis(LOCK_WAIT_MS_MAX);
    loop {
        match config.open() {
            Err(error) if is_locked(&error) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(LOCK_POLL_MS));
            }
            opened => return opened,
        }
    }
}

fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

impl Database {
    /// Opens the database in a folder, or creates it.
    pub(super) fn open(folder: &Path, keyring: &Keyring) -> Result<Self, Failure> {
        remove_unfinished_snapshots(folder)?;
        let db = open_unlocked(folder)?;
        let mut database = Self {
            documents: db.open_tree("documents")?,
            chunks: db.open_tree("chunks")?,
            rooms: db.open_tree("rooms")?,
            indexes: db.open_tree("indexes")?,
            meta: db.open_tree("meta")?,
            layout: Layout { vault: keyring.current().cloned() },
            db,
        };
        match database.meta.get(FORMAT_KEY)? {
            None if database.documents.is_empty() && database.rooms.is_empty() => {
                let mut format = FORMAT_VERSION.to_le_bytes().to_vec();
                format.extend(keyring.current().iter().flat_map(|vault| vault.key_id()));
                database.meta.insert(FORMAT_KEY, seal(&format))?;
            }
            None => return Err("the format is not noted".into()),
            Some(format) => match unseal(&format)?.split_first_chunk() {
                Some((&version, [])) if version == FORMAT_VERSION.to_le_bytes() => {
                    database.layout.vault = None;
                }
                Some((&version, key_id)) if version == FORMAT_VERSION.to_le_bytes() => {
                    let key_id = KeyId::try_from(key_id).map_err(|_| "the cache's key is not noted")?;
                    let vault = keyring.find(key_id).ok_or("the cache is sealed with another key")?;
                    database.layout.vault = Some(Arc::clone(vault));
                }
                // A cache of another version is not worth a migration.
                _ => return Err("the cache has another format".into()),
            },
        }
        Ok(database)
    }

    /// Whether it is sealed with another key than a new one would be, or not at all.
    pub(super) fn is_sealed_otherwise(&self, keyring: &Keyring) -> bool {
        let key_id = |vault: Option<&Arc<Vault>>| vault.map(|vault| vault.key_id());
        key_id(self.layout.vault.as_ref()) != key_id(keyring.current())
    }

    /// How many changes were ever made.
    pub(super) fn changes(&self) -> Result<u64, Failure> {
        let Some(sealed) = self.meta.get(CHANGES_KEY)? else { return Ok(0) };
        let bytes = unseal(&sealed)?.try_into().map_err(|_| "the count of changes has the wrong length")?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// The version of the app's schema that the documents have; `None` if none was noted.
    pub(super) fn schema_version(&self) -> Result<Option<u32>, Failure> {
        let Some(sealed) = self.meta.get(SCHEMA_KEY)? else { return Ok(None) };
        let bytes = unseal(&sealed)?.try_into().map_err(|_| "the schema version has the wrong length")?;
        Ok(Some(u32::from_le_bytes(bytes)))
    }

    pub(super) fn note_schema_version(&self, version: u32) -> Result<(), Failure> {
        self.meta.insert(SCHEMA_KEY, seal(&version.to_le_bytes()))?;
        Ok(())
    }

    /// What is known of a room.
    pub(super) fn room(&self, room: &Room) -> Result<CachedRoom, Failure> {
        let key = self.layout.room_key(room);
        let Some(value) = self.rooms.get(&key)? else { return Ok(CachedRoom::default()) };
        Ok(self.layout.decode_room(&key, &value)?.1)
    }

    /// Every room in the database.
    pub(super) fn all_rooms(&self) -> Result<Vec<(Room, CachedRoom)>, Failure> {
        let mut rooms = Vec::new();
        for item in self.rooms.iter() {
            let (key, value) = item?;
            rooms.push(self.layout.decode_room(&key, &value)?);
        }
        Ok(rooms)
    }

    /// Puts a document together from its value, and its chunks if it has some.
    pub(super) fn read(&self, key: &[u8], value: &[u8]) -> Result<Document, Failure> {
        self.layout.decode(key, value, |index| {
            Ok(self.chunks.get(chunk_key(key, index))?.map(|chunk| chunk.to_vec()))
        })
    }

    /// Makes a change, as one transaction; `changes` is its number.
    pub(super) fn write(&self, writes: &Writes, changes: u64) -> Result<(), Failure> {
        let count = seal(&changes.to_le_bytes());
        let trees = (&self.documents, &self.chunks, &self.rooms, &self.indexes, &self.meta);
        let result = trees.transaction(|(documents, chunks, rooms, indexes, meta)| {
            documents.apply_batch(&writes.documents)?;
            chunks.apply_batch(&writes.chunks)?;
            rooms.apply_batch(&writes.rooms)?;
            indexes.apply_batch(&writes.indexes)?;
            meta.insert(CHANGES_KEY, count.as_slice())?;
            Ok::<(), ConflictableTransactionError<()>>(())
        });
        match result {
            Ok(()) => Ok(()),
            Err(TransactionError::Storage(error)) => Err(error.into()),
            Err(TransactionError::Abort(())) => Err("the transaction was aborted".into()),
        }
    }

    /// Blocks until everything written is durable.
    pub(super) fn flush(&self) -> Result<(), Failure> {
        self.db.flush()?;
        Ok(())
    }

    pub(super) fn bytes_on_disk(&self) -> Result<u64, Failure> {
        Ok(self.db.size_on_disk()?)
    }
}

/// sled takes a snapshot that it did not finish for a damaged one, and would fail for ever.
fn remove_unfinished_snapshots(folder: &Path) -> io::Result<()> {
    let items = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        items => items?,
    };
    for item in items {
        let item = item?;
        let name = item.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(item.path())?;
        }
    }
    Ok(())
}
