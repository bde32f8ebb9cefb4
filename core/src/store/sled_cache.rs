//! The cache in sled, which may break at any time: then it is set aside and an empty one takes its place.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;

use syncline_protocol::{Collection, Document, DocumentId, Room};

use super::cached_document::{CachedRoom, Digest, Layout};
use super::crypt::Keyring;
use super::database::{Database, Failure, guarded};
use super::envelope::{seal, unseal};
use super::file_system::OsFiles;
use super::files::{harmless, remove_if_there};
use super::free_space::FreeSpace;
use super::room_change::RoomChange;
use super::sled_index::ensure_index;
use super::sled_rewrite::{Folders, remove_folder};
use super::{Cache, DocumentKey, Index, IndexRange, Indexes, Retain, RoomState, RoomUpdate, StoreError};

/// After so many losses the cache stays away until the store is opened again: something is wrong that an empty
/// database does not cure, and every loss leaks what the broken one held in memory.
const LOSSES_MAX: u32 = 4;

/// Rooms that are remembered to be empty; over it, all are forgotten.
const EMPTY_ROOMS_MAX: usize = 1024;

/// The file beside the database that holds how many changes were flushed. sled takes some damage for the end of its
/// log, and silently goes back to an older state, with holes: then the database holds fewer.
const MARK_EXTENSION: &str = "mark";

/// What must be free on the disk before the database may write, in bytes.
const HEADROOM_BYTES: u64 = 2 << 20;
/// How many bytes the database may write for each byte that changes: it writes whole pages anew.
const WRITE_AMPLIFICATION: u64 = 8;
/// After so many changed bytes it is looked again whether there is room.
const UNPROBED_BYTES_MAX: u64 = 128 << 10;
/// After so many changed bytes the database is waited for: what a slow disk has not taken yet is held in memory.
const UNFLUSHED_BYTES_MAX: u64 = 1 << 20;

/// A [`Cache`] in sled. Every method may return `CacheLost`, or `Full` when the disk is full: then
/// nothing was done, nothing is lost, and the cache goes on when there is room.
#[derive(Debug)]
pub struct SledCache {
    folder: PathBuf,
    /// Where a broken database goes, in the place of the one before.
    quarantine: PathBuf,
    mark: PathBuf,
    space: FreeSpace,
    keyring: Keyring,
    /// None in a sealed cache: their keys would tell what the documents hold.
    indexes: Indexes,
    /// Of a database that starts empty; that of the one before, unless another was asked for.
    schema_version: Cell<Option<u32>>,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    database: Option<Arc<Database>>,
    /// How many changes the database holds.
    changes: u64,
    /// What was changed since there was last seen to be room.
    unprobed_bytes: u64,
    /// What was changed since the last flush.
    unflushed_bytes: u64,
    /// Whether there are changes that were not flushed.
    dirty: bool,
    mark: Option<File>,
    /// The rooms whose documents were found complete.
    verified: BTreeSet<Room>,
    /// Rooms that were found to hold no document, so that a write there need not ask the database.
    empty: BTreeSet<Room>,
    /// The rooms whose indexes were found complete, or built.
    indexed: BTreeSet<Room>,
    losses: u32,
    /// Why it was lost last, until somebody asks.
    lost: Option<String>,
}

impl SledCache {
    /// Opens the cache in `folder`; a broken one goes to the folder `quarantine`, and that is a loss.
    pub fn open(folder: PathBuf, quarantine: PathBuf) -> Self {
        Self::open_sealed(folder, quarantine, Keyring::default())
    }

    /// The same, sealed. A cache that is sealed with another key of the keyring, or not at all, is written anew.
    pub fn open_sealed(folder: PathBuf, quarantine: PathBuf, keyring: Keyring) -> Self {
        let mark = folder.with_extension(MARK_EXTENSION);
        let space = FreeSpace::beside(&folder);
        let indexes = Indexes::default();
        let state = RefCell::default();
        let cache = Self {
            folder,
            quarantine,
            mark,
            space,
            keyring,
            indexes,
            schema_version: Cell::default(),
            state,
        };
        // A cache that cannot be opened now is opened by the first call that needs it.
        let _opened = cache.database();
        cache
    }

    /// Looks whether there is room for a change of so many bytes, unless it looked not long ago.
    fn ensure_room(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        let unprobed_bytes = state.unprobed_bytes + bytes;
        if state.database.is_none() || unprobed_bytes < UNPROBED_BYTES_MAX {
            // An open looks as well.
            state.unprobed_bytes = unprobed_bytes;
            return Ok(());
        }
        self.space.ensure(HEADROOM_BYTES + WRITE_AMPLIFICATION * unprobed_bytes)?;
        state.unprobed_bytes = 0;
        Ok(())
    }

    /// Makes sure, once, that a room's documents are complete, for a reader. Returns whether there are any.
    fn verify_for_reading(&self, database: &Database, room: &Room) -> Result<bool, Failure> {
        let state = self.state.borrow();
        if state.verified.contains(room) || state.empty.contains(room) {
            return Ok(!state.empty.contains(room));
        }
        drop(state);
        self.verify(database, room).map(|cached| cached.digest != Digest::default())
    }

    /// Makes sure, once, that a room's documents are complete. Returns what is known of the room.
    fn verify(&self, database: &Database, room: &Room) -> Result<CachedRoom, Failure> {
        let cached = database.room(room)?;
        if self.state.borrow().verified.contains(room) {
            return Ok(cached);
        }
        let mut found = Digest::default();
        for item in database.documents.scan_prefix(database.layout.room_prefix(room)) {
            let (key, value) = item?;
            unseal(&value)?;
            found.add(&key, &value);
        }
        if found != cached.digest {
            return Err("documents are missing".into());
        }
        let mut state = self.state.borrow_mut();
        if found != Digest::default() {
            state.verified.insert(room.clone());
        } else {
            if state.empty.len() >= EMPTY_ROOMS_MAX {
                state.empty.clear();
            }
            state.empty.insert(room.clone());
        }
        Ok(cached)
    }

    /// Makes sure, once, that a room's indexes are there.
    fn ensure_index(&self, database: &Database, room: &Room) -> Result<(), Failure> {
        self.verify(database, room)?;
        if self.state.borrow().indexed.contains(room) {
            return Ok(());
        }
        let ensured = ensure_index(database, &self.indexes, room, &|bytes| Ok(self.ensure_room(bytes)?));
        let changes = database.changes()?;
        let mut state = self.state.borrow_mut();
        state.dirty |= state.changes != changes;
        state.changes = changes;
        ensured?;
        state.indexed.insert(room.clone());
        Ok(())
    }

    /// A part of an index, and what its keys begin with; `None` where there is no index.
    fn open_range(
        &self,
        room: &Room,
        collection: &Collection,
        range: &IndexRange,
    ) -> Result<Option<(sled::Iter, Vec<u8>)>, StoreError> {
        if self.keyring.current().is_some() {
            return Ok(None);
        }
        let opened = self.run(|database| {
            let prefix = database.layout.collection_prefix(room, collection);
            let (low, end) = range.bounds(&prefix);
            self.ensure_index(database, room)?;
            let items = match end {
                Some(end) => database.indexes.range(low..end),
                None => database.indexes.range(low..),
            };
            Ok((items, prefix))
        });
        match opened {
            // An index can be done without.
            Err(StoreError::Full) => Ok(None),
            opened => opened.map(Some),
        }
    }

    fn visit<T>(
        &self,
        mut items: sled::Iter,
        read: impl Fn(&Database, &[u8], &[u8]) -> Result<T, Failure>,
        visit: &mut dyn FnMut(T),
    ) -> Result<(), StoreError> {
        loop {
            let next = self.run(|database| {
                let Some(item) = items.next() else { return Ok(None) };
                let (key, value) = item?;
                read(database, &key, &value).map(Some)
            })?;
            // Outside of the guard: a panic of the visitor is not the database's.
            match next {
                Some(found) => visit(found),
                None => return Ok(()),
            }
        }
    }

    pub(super) fn run<T>(&self, call: impl FnOnce(&Database) -> Result<T, Failure>) -> Result<T, StoreError> {
        let database = self.database()?;
        let result = guarded(|| call(&database));
        // Never the last one, which could panic: `give_up` sees to that.
        drop(database);
        result.map_err(|failure| self.give_up(failure))
    }

    /// Parts with a database that failed.
    fn give_up(&self, failure: Failure) -> StoreError {
        let reason = match failure {
            Failure::Full => return StoreError::Full,
            // Nothing is wrong with it: it stays, open or not, for the next call.
            Failure::Locked => return StoreError::Locked,
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
        Folders::of(&self.folder).forget_others()?;
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
        self.run(|database| {
            if !self.verify_for_reading(database, &document.room)? {
                return Ok(None);
            }
            let key = database.layout.key(document);
            let Some(value) = database.documents.get(&key)? else { return Ok(None) };
            database.read(&key, &value).map(Some)
        })
    }

    fn visit_collection(
        &self,
        room: &Room,
        collection: &Collection,
        visit: &mut dyn FnMut(Document),
    ) -> Result<(), StoreError> {
        let items = self.run(|database| {
            self.verify(database, room)?;
            Ok(database.documents.scan_prefix(database.layout.collection_prefix(room, collection)))
        })?;
        self.visit(items, Database::read, visit)
    }

    fn declare_indexes(&mut self, indexes: Indexes) {
        self.indexes = if self.keyring.current().is_some() { Indexes::default() } else { indexes };
        self.state.get_mut().indexed.clear();
    }

    fn indexes(&self, collection: &Collection) -> &[Index] {
        self.indexes.of(collection)
    }

    fn visit_range(
        &self,
        room: &Room,
        collection: &Collection,
        range: &IndexRange,
        visit: &mut dyn FnMut(Document),
    ) -> Result<(), StoreError> {
        let Some((items, prefix)) = self.open_range(room, collection, range)? else {
            return self.visit_collection(room, collection, visit);
        };
        let read = |database: &Database, _: &[u8], id: &[u8]| {
            let key = [&prefix[..], id].concat();
            let value = database.documents.get(&key)?.ok_or("an index names a document that is not there")?;
            database.read(&key, &value)
        };
        self.visit(items, read, visit)
    }

    fn visit_entries(
        &self,
        room: &Room,
        collection: &Collection,
        range: &IndexRange,
        visit: &mut dyn FnMut(&[u8], DocumentId),
    ) -> Result<bool, StoreError> {
        let Some((items, prefix)) = self.open_range(room, collection, range)? else { return Ok(false) };
        let read = |_: &Database, entry: &[u8], id: &[u8]| {
            let values = prefix.len() + 1..entry.len().saturating_sub(id.len());
            let values = entry.get(values).ok_or("an index has an entry without its id")?.to_vec();
            let id = std::str::from_utf8(id).ok().and_then(|id| DocumentId::new(id).ok());
            Ok((values, id.ok_or("an index names what is no id")?))
        };
        self.visit(items, read, &mut |(values, id)| visit(&values, id))?;
        Ok(true)
    }

    fn rooms(&self) -> Result<Vec<(Room, RoomState)>, StoreError> {
        let rooms = self.run(Database::all_rooms)?;
        Ok(rooms.into_iter().map(|(room, cached)| (room, cached.state)).collect())
    }

    fn room_bytes(&self) -> Result<Vec<(Room, u64)>, StoreError> {
        let rooms = self.run(Database::all_rooms)?;
        Ok(rooms.into_iter().map(|(room, cached)| (room, cached.bytes)).collect())
    }

    fn schema_version(&self) -> Result<Option<u32>, StoreError> {
        self.run(Database::schema_version)
    }

    fn rewrite(&mut self, schema_version: Option<u32>, retain: &mut dyn Retain) -> Result<(), StoreError> {
        // Also of a cache that is lost from now on, and starts empty.
        self.schema_version.set(schema_version);
        let is_empty = self.run(|database| {
            let is_empty = database.rooms.is_empty();
            if let (true, Some(version)) = (is_empty, schema_version) {
                database.note_schema_version(version)?;
            }
            Ok(is_empty)
        })?;
        if is_empty {
            self.state.get_mut().dirty = true;
            return Ok(());
        }
        let folders = Folders::of(&self.folder);
        self.copy(schema_version, retain).inspect_err(|_| {
            // A leftover is harmless: the next open removes it.
            let _ = folders.forget_others();
        })?;
        let state = self.state.get_mut();
        let State { losses, lost, database, .. } = std::mem::take(state);
        *state = State { losses, lost, ..State::default() };
        let switched = guarded(|| {
            // sled knows its folder by the name, so nothing of it may be open.
            drop(database);
            Ok(folders.switch()?)
        });
        match switched {
            Ok(()) => self.database().map(drop),
            Err(failure) => Err(self.give_up(failure)),
        }
    }

    fn apply(&mut self, room: &Room, update: &RoomUpdate<'_>) -> Result<(), StoreError> {
        if let Some(reason) = self.state.get_mut().lost.clone() {
            // The caller counts on what is gone, and does not know yet.
            return Err(StoreError::CacheLost { reason });
        }
        if self.state.get_mut().unflushed_bytes >= UNFLUSHED_BYTES_MAX {
            self.flush()?;
        }
        let layout = Layout { vault: self.keyring.current().cloned() };
        let change = RoomChange::new(&layout, room, update, &self.indexes)?;
        self.ensure_room(change.byte_len()).map_err(harmless)?;
        let changes = self.run(|database| {
            let cached = self.verify(database, room)?;
            self.state.borrow_mut().empty.remove(room);
            let writes = change.writes(database, cached)?;
            let changes = database.changes()? + 1;
            database.write(&writes, changes)?;
            Ok(changes)
        })?;
        let state = self.state.get_mut();
        state.changes = changes;
        state.unflushed_bytes += change.byte_len();
        state.dirty = true;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        if !self.state.get_mut().dirty {
            return Ok(());
        }
        self.ensure_room(UNPROBED_BYTES_MAX).map_err(harmless)?;
        self.run(Database::flush)?;
        let state = self.state.get_mut();
        state.dirty = false;
        state.unflushed_bytes = 0;
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

#[path = "sled_open.rs"]
mod open;

#[cfg(test)]
#[path = "sled_cache_tests.rs"]
mod tests;
