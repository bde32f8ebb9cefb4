//! The cache in sled, which may break at any time: then it is set aside and an empty one takes its place.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use syncline_protocol::{Collection, Document, Room};

use super::cached_document::{
    CachedRoom, Digest, Stored, chunk_count, chunk_key, collection_prefix, decode, encode, key, room_prefix,
};
use super::database::{Database, Failure, Writes, ensure_room, guarded};
use super::envelope::{seal, unseal};
use super::file_system::OsFiles;
use super::files::{harmless, remove_if_there};
use super::{Cache, DocumentKey, RoomState, RoomUpdate, StoreError};

/// After so many losses the cache stays away until the store is opened again: something is wrong that an empty
/// database does not cure, and every loss leaks what the broken one held in memory.
const LOSSES_MAX: u32 = 4;

/// The file beside the database that holds how many changes were flushed. sled takes some damage for the end of its
/// log, and silently goes back to an older state, with holes: then the database holds fewer.
const MARK_EXTENSION: &str = "mark";
/// The file that is written, and removed, to see whether there is room.
const PROBE_EXTENSION: &str = "probe";

/// What must be free on the disk before the database may write, in bytes.
const HEADROOM_BYTES: u64 = 2 << 20;
/// How many bytes the database may write for each byte that changes: it writes whole pages anew.
const WRITE_AMPLIFICATION: u64 = 8;
/// After so many changed bytes it is looked again whether there is room.
const UNPROBED_BYTES_MAX: u64 = 128 << 10;

/// A [`Cache`] in sled. Every method may return `CacheLost`, or `Full` when the disk is full: then
/// nothing was done, nothing is lost, and the cache goes on when there is room.
#[derive(Debug)]
pub struct SledCache {
    folder: PathBuf,
    /// Where a broken database goes, in the place of the one before.
    quarantine: PathBuf,
    mark: PathBuf,
    probe: PathBuf,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    database: Option<Arc<Database>>,
    /// How many changes the database holds.
    changes: u64,
    /// What was changed since there was last seen to be room.
    unprobed_bytes: u64,
    /// Whether there are changes that were not flushed.
    dirty: bool,
    mark: Option<File>,
    /// The rooms whose documents were found complete.
    verified: BTreeSet<Room>,
    losses: u32,
    /// Why it was lost last, until somebody asks.
    lost: Option<String>,
}

impl SledCache {
    /// Opens the cache in `folder`; a broken one goes to the folder `quarantine`, and that is a loss.
    pub fn open(folder: PathBuf, quarantine: PathBuf) -> Self {
        let mark = folder.with_extension(MARK_EXTENSION);
        let probe = folder.with_extension(PROBE_EXTENSION);
        let cache = Self { folder, quarantine, mark, probe, state: RefCell::default() };
        // A cache that cannot be opened now is opened by the first call that needs it.
        let _opened = cache.database();
        cache
    }

    /// Looks whether there is room for a change of so many bytes, unless it looked not long ago.
    fn ensure_room(&self, bytes: u64) -> Result<(), StoreError> {
        let mut state = self.state.borrow_mut();
        let unprobed_bytes = state.unprobed_bytes + bytes;
        if state.database.is_none() || unprobed_bytes < UNPROBED_BYTES_MAX {
            // An open looks as well.
            state.unprobed_bytes = unprobed_bytes;
            return Ok(());
        }
        ensure_room(&self.probe, HEADROOM_BYTES + WRITE_AMPLIFICATION * unprobed_bytes).map_err(harmless)?;
        state.unprobed_bytes = 0;
        Ok(())
    }

    /// Makes sure, once, that a room's documents are complete.
    fn verify(&self, database: &Database, room: &Room) -> Result<(), Failure> {
        if self.state.borrow().verified.contains(room) {
            return Ok(());
        }
        let expected = cached_room(database, room)?.digest;
        let mut found = Digest::default();
        for item in database.documents.scan_prefix(room_prefix(room)) {
            let (key, value) = item?;
            unseal(&value)?;
            found.add(&key, &value);
        }
        if found != expected {
            return Err("documents are missing".into());
        }
        if expected != Digest::default() {
            self.state.borrow_mut().verified.insert(room.clone());
        }
        Ok(())
    }

    fn run<T>(&self, call: impl FnOnce(&Database) -> Result<T, Failure>) -> Result<T, StoreError> {
        let database = self.database()?;
        let result = guarded(|| call(&database));
        // Never the last one, which could panic: `give_up` sees to that.
        drop(database);
        result.map_err(|failure| self.give_up(failure))
    }

    /// The open database; opens it if it is closed.
    fn database(&self) -> Result<Arc<Database>, StoreError> {
        let state = self.state.borrow();
        if let Some(database) = &state.database {
            return Ok(Arc::clone(database));
        }
        if state.losses >= LOSSES_MAX {
            return Err(StoreError::CacheLost { reason: "it was lost too often".to_owned() });
        }
        drop(state);
        let opened = guarded(|| {
            // Even an open writes.
            ensure_room(&self.probe, HEADROOM_BYTES)?;
            let (mark, flushed) = open_mark(&self.mark)?;
            let database = Database::open(&self.folder)?;
            let changes = database.changes()?;
            if changes < flushed {
                return Err(format!("only {changes} of {flushed} changes are left").into());
            }
            Ok((Arc::new(database), changes, mark))
        });
        let (database, changes, mark) = opened.map_err(|failure| self.give_up(failure))?;
        let mut state = self.state.borrow_mut();
        state.database = Some(Arc::clone(&database));
        state.changes = changes;
        state.mark = Some(mark);
        Ok(database)
    }

    /// Parts with a database that failed.
    fn give_up(&self, failure: Failure) -> StoreError {
        let reason = match failure {
            Failure::Full => return StoreError::Full,
            Failure::Broken(reason) => reason,
        };
        let mut state = self.state.borrow_mut();
        // Dropping it would write to it, which may panic, or wait for ever.
        std::mem::forget(state.database.take());
        let reason = match self.set_aside() {
            Ok(()) => reason,
            Err(error) => format!("{reason}; left in place: {error}"),
        };
        *state = State { losses: state.losses + 1, lost: Some(reason.clone()), ..State::default() };
        StoreError::CacheLost { reason }
    }

    fn set_aside(&self) -> io::Result<()> {
        // First: an empty database must not be measured by the mark of another.
        remove_if_there(&OsFiles, &self.mark)?;
        if let Some(parent) = self.quarantine.parent() {
            fs::create_dir_all(parent)?;
        }
        let set_aside =
            remove_folder(&self.quarantine).and_then(|()| fs::rename(&self.folder, &self.quarantine));
        match set_aside {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(_) => remove_folder(&self.folder),
            Ok(()) => Ok(()),
        }
    }
}

impl Cache for SledCache {
    fn document(&self, document: &DocumentKey) -> Result<Option<Document>, StoreError> {
        let key = key(document);
        self.run(|database| {
            self.verify(database, &document.room)?;
            let Some(value) = database.documents.get(&key)? else { return Ok(None) };
            read(database, &key, &value).map(Some)
        })
    }

    fn visit_collection(
        &self,
        room: &Room,
        collection: &Collection,
        visit: &mut dyn FnMut(Document),
    ) -> Result<(), StoreError> {
        let mut items = self.run(|database| {
            self.verify(database, room)?;
            Ok(database.documents.scan_prefix(collection_prefix(room, collection)))
        })?;
        loop {
            let next = self.run(|database| {
                let Some(item) = items.next() else { return Ok(None) };
                let (key, value) = item?;
                read(database, &key, &value).map(Some)
            })?;
            // Outside of the guard: a panic of the visitor is not the database's.
            match next {
                Some(document) => visit(document),
                None => return Ok(()),
            }
        }
    }

    fn rooms(&self) -> Result<Vec<(Room, RoomState)>, StoreError> {
        self.run(|database| {
            let mut rooms = Vec::new();
            for item in database.rooms.iter() {
                let (name, state) = item?;
                let name = std::str::from_utf8(&name).map_err(|error| error.to_string())?;
                let room = Room::new(name).map_err(|error| error.to_string())?;
                rooms.push((room, CachedRoom::decode(&state)?.state));
            }
            Ok(rooms)
        })
    }

    fn apply(&mut self, room: &Room, update: &RoomUpdate<'_>) -> Result<(), StoreError> {
        let mut newest = BTreeMap::new();
        for document in update.documents {
            let stored = if document.deleted {
                None
            } else {
                Some(encode(document).map_err(|error| StoreError::Encode(error.to_string()))?)
            };
            let (collection, id) = (document.collection.clone(), document.id.clone());
            newest.insert(key(&DocumentKey { room: room.clone(), collection, id }), (document, stored));
        }
        let bytes = newest.values().filter_map(|(_, stored)| stored.as_ref()).map(Stored::byte_len).sum();
        self.ensure_room(bytes)?;
        let changes = self.run(|database| {
            self.verify(database, room)?;
            let CachedRoom { state: before, mut digest } = cached_room(database, room)?;
            let mut writes = Writes::default();
            if update.reset {
                for item in database.documents.scan_prefix(room_prefix(room)) {
                    let (key, value) = item?;
                    remove(&mut writes, &mut digest, &key, &value)?;
                }
            }
            let was_empty = digest == Digest::default();
            for (key, (document, stored)) in &newest {
                let is_news = update.reset || was_empty || before.is_news(document);
                let replaced = if is_news { None } else { database.documents.get(key)? };
                if let Some(value) = replaced {
                    remove(&mut writes, &mut digest, key, &value)?;
                }
                let Some(stored) = stored else { continue };
                digest.add(key, &stored.value);
                writes.documents.insert(key.as_slice(), stored.value.as_slice());
                for (index, chunk) in (0..).zip(&stored.chunks) {
                    writes.chunks.insert(chunk_key(key, index), chunk.as_slice());
                }
            }
            writes.rooms.insert(room.as_str(), CachedRoom { state: update.state, digest }.encode()?);
            let changes = database.changes()? + 1;
            database.write(&writes, changes)?;
            Ok(changes)
        })?;
        let state = self.state.get_mut();
        state.changes = changes;
        state.dirty = true;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        if !self.state.get_mut().dirty {
            return Ok(());
        }
        self.ensure_room(UNPROBED_BYTES_MAX)?;
        self.run(Database::flush)?;
        let state = self.state.get_mut();
        state.dirty = false;
        if let Some(mark) = &mut state.mark {
            // A mark that lags behind notices less, and does no harm.
            let _ = mark.rewind().and_then(|()| mark.write_all(&seal(&state.changes.to_le_bytes())));
        }
        Ok(())
    }

    fn take_loss(&mut self) -> Option<String> {
        self.state.get_mut().lost.take()
    }

    fn bytes_on_disk(&self) -> u64 {
        self.run(Database::bytes_on_disk).unwrap_or(0)
    }
}

impl Drop for SledCache {
    fn drop(&mut self) {
        if self.flush().is_err() {
            // Dropping the database would write as well.
            std::mem::forget(self.state.get_mut().database.take());
        }
        let database = self.state.get_mut().database.take();
        let _ = guarded(|| {
            drop(database);
            Ok(())
        });
    }
}

fn cached_room(database: &Database, room: &Room) -> Result<CachedRoom, Failure> {
    let stored = database.rooms.get(room.as_str())?;
    Ok(stored.map_or(Ok(CachedRoom::default()), |value| CachedRoom::decode(&value))?)
}

fn read(database: &Database, key: &[u8], value: &[u8]) -> Result<Document, Failure> {
    decode(value, |index| Ok(database.chunks.get(chunk_key(key, index))?.map(|chunk| chunk.to_vec())))
}

fn remove(writes: &mut Writes, digest: &mut Digest, key: &[u8], value: &[u8]) -> Result<(), Failure> {
    digest.remove(key, value);
    writes.documents.remove(key);
    for index in 0..chunk_count(value)? {
        writes.chunks.remove(chunk_key(key, index));
    }
    Ok(())
}

/// The mark, and how many changes it says were flushed; 0 if it is missing or torn.
fn open_mark(path: &Path) -> io::Result<(File, u64)> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    let mut sealed = Vec::new();
    file.read_to_end(&mut sealed)?;
    let flushed = unseal(&sealed).ok().and_then(|count| count.try_into().ok()).map_or(0, u64::from_le_bytes);
    Ok((file, flushed))
}

fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "sled_cache_tests.rs"]
mod tests;
