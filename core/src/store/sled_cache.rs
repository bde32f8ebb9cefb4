//! The cache in sled, which may break at any time: then it is set aside and an empty one takes its place.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use syncline_protocol::message::{decode_compact, encode_compact};
use syncline_protocol::{Collection, Document, Room};

use super::cached_document::{chunk_count, chunk_key, collection_prefix, decode, encode, key, room_prefix};
use super::database::{Database, Failure, Writes, guarded};
use super::envelope::{seal, unseal};
use super::{DocumentKey, RoomState, RoomUpdate, StoreError};

/// After so many losses the cache stays away until the store is opened again: something is wrong that an empty
/// database does not cure, and every loss leaks what the broken one held in memory.
const LOSSES_MAX: u32 = 4;

/// See the module's documentation. Every method may return `CacheLost`, or `Full` when the disk is full: then
/// nothing is lost, and the cache goes on when there is room.
#[derive(Debug)]
pub(super) struct SledCache {
    folder: PathBuf,
    /// Where a broken database goes, in the place of the one before.
    quarantine: PathBuf,
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    database: Option<Arc<Database>>,
    /// How many changes the database must hold to be the one that was closed; unknown before the first open.
    changes: Option<u64>,
    /// Whether there are changes that were not flushed.
    dirty: bool,
    losses: u32,
}

impl SledCache {
    /// Opens the cache. The second value tells why it starts empty, if it was lost.
    pub(super) fn open(folder: PathBuf, quarantine: PathBuf) -> (Self, Option<String>) {
        let state = State { database: None, changes: None, dirty: false, losses: 0 };
        let cache = Self { folder, quarantine, state: RefCell::new(state) };
        let lost = match cache.database() {
            Err(StoreError::CacheLost { reason }) => Some(reason),
            // A cache that cannot be opened now is opened by the first call that needs it.
            _ => None,
        };
        (cache, lost)
    }

    pub(super) fn document(&self, document: &DocumentKey) -> Result<Option<Document>, StoreError> {
        let key = key(document);
        self.run(|database| {
            let Some(value) = database.documents.get(&key)? else { return Ok(None) };
            read(database, &key, &value).map(Some)
        })
    }

    pub(super) fn visit_collection(
        &self,
        room: &Room,
        collection: &Collection,
        visit: &mut dyn FnMut(Document),
    ) -> Result<(), StoreError> {
        let mut items =
            self.run(|database| Ok(database.documents.scan_prefix(collection_prefix(room, collection))))?;
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

    pub(super) fn rooms(&self) -> Result<Vec<(Room, RoomState)>, StoreError> {
        self.run(|database| {
            let mut rooms = Vec::new();
            for item in database.rooms.iter() {
                let (name, state) = item?;
                let name = std::str::from_utf8(&name).map_err(|error| error.to_string())?;
                let room = Room::new(name).map_err(|error| error.to_string())?;
                let state = decode_compact(unseal(&state)?).map_err(|error| error.to_string())?;
                rooms.push((room, state));
            }
            Ok(rooms)
        })
    }

    pub(super) fn apply(&mut self, room: &Room, update: &RoomUpdate<'_>) -> Result<(), StoreError> {
        let state = encode_compact(&update.state).map_err(|error| StoreError::Encode(error.to_string()))?;
        let mut newest = BTreeMap::new();
        for document in update.documents {
            let stored = if document.deleted {
                None
            } else {
                Some(encode(document).map_err(|error| StoreError::Encode(error.to_string()))?)
            };
            let (collection, id) = (document.collection.clone(), document.id.clone());
            newest.insert(key(&DocumentKey { room: room.clone(), collection, id }), stored);
        }
        let changes = self.run(|database| {
            let mut writes = Writes::default();
            writes.rooms.insert(room.as_str(), seal(&state));
            if update.reset {
                for item in database.documents.scan_prefix(room_prefix(room)) {
                    let (key, value) = item?;
                    remove(&mut writes, &key, &value)?;
                }
            }
            for (key, stored) in &newest {
                if let Some(value) = database.documents.get(key)? {
                    remove(&mut writes, key, &value)?;
                }
                let Some(stored) = stored else { continue };
                writes.documents.insert(key.as_slice(), stored.value.as_slice());
                for (index, chunk) in (0..).zip(&stored.chunks) {
                    writes.chunks.insert(chunk_key(key, index), chunk.as_slice());
                }
            }
            let changes = database.changes()? + 1;
            database.write(&writes, changes)?;
            Ok(changes)
        })?;
        let state = self.state.get_mut();
        state.changes = Some(changes);
        state.dirty = true;
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        if self.state.get_mut().dirty {
            self.run(Database::flush)?;
            self.state.get_mut().dirty = false;
        }
        Ok(())
    }

    /// In bytes; 0 if unknown.
    pub(super) fn bytes_on_disk(&self) -> u64 {
        self.run(Database::bytes_on_disk).unwrap_or(0)
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
        let expected = state.changes;
        drop(state);
        let opened = guarded(|| {
            let database = Database::open(&self.folder)?;
            let changes = database.changes()?;
            if expected.is_some_and(|expected| expected != changes) {
                return Err("changes were lost when the disk was full".into());
            }
            Ok((Arc::new(database), changes))
        });
        let (database, changes) = opened.map_err(|failure| self.give_up(failure))?;
        let mut state = self.state.borrow_mut();
        state.database = Some(Arc::clone(&database));
        state.changes = Some(changes);
        Ok(database)
    }

    /// Parts with a database that failed.
    fn give_up(&self, failure: Failure) -> StoreError {
        let mut state = self.state.borrow_mut();
        let database = state.database.take();
        match failure {
            Failure::Full => {
                // What is on disk is sound: whether it is all, the next open finds out.
                let _ = guarded(|| {
                    drop(database);
                    Ok(())
                });
                StoreError::Full
            }
            Failure::Broken(reason) => {
                // Dropping it would write to it, which may panic, or wait for ever.
                std::mem::forget(database);
                state.changes = None;
                state.dirty = false;
                state.losses += 1;
                match self.set_aside() {
                    Ok(()) => StoreError::CacheLost { reason },
                    Err(error) => {
                        StoreError::CacheLost { reason: format!("{reason}; left in place: {error}") }
                    }
                }
            }
        }
    }

    fn set_aside(&self) -> io::Result<()> {
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

impl Drop for SledCache {
    fn drop(&mut self) {
        let database = self.state.get_mut().database.take();
        let _ = guarded(|| {
            if let Some(database) = database {
                database.flush()?;
            }
            Ok(())
        });
    }
}

fn read(database: &Database, key: &[u8], value: &[u8]) -> Result<Document, Failure> {
    decode(value, |index| Ok(database.chunks.get(chunk_key(key, index))?.map(|chunk| chunk.to_vec())))
}

fn remove(writes: &mut Writes, key: &[u8], value: &[u8]) -> Result<(), Failure> {
    writes.documents.remove(key);
    for index in 0..chunk_count(value)? {
        writes.chunks.remove(chunk_key(key, index));
    }
    Ok(())
}

fn remove_folder(path: &std::path::Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "sled_cache_tests.rs"]
mod tests;
