//! What a change of a room means for the trees of the database.

use std::collections::BTreeMap;

use syncline_protocol::{Document, Room};

use super::cached_document::{
    CachedIndex, CachedRoom, Digest, Layout, Stored, chunk_count, chunk_key, stored_bytes,
};
use super::database::{Database, Failure, Writes};
use super::{DocumentKey, Indexes, RoomState, RoomUpdate, StoreError};

/// A change of a room, as it is stored.
#[derive(Debug)]
pub(super) struct RoomChange<'a> {
    room: &'a Room,
    indexes: &'a Indexes,
    reset: bool,
    state: RoomState,
    /// By key; the newest of several.
    newest: BTreeMap<Vec<u8>, Replacement<'a>>,
}

#[derive(Debug)]
struct Replacement<'a> {
    document: &'a Document,
    /// `None` for a deleted one.
    stored: Option<Stored>,
}

impl<'a> RoomChange<'a> {
    pub(super) fn new(
        layout: &Layout,
        room: &'a Room,
        update: &RoomUpdate<'a>,
        indexes: &'a Indexes,
    ) -> Result<Self, StoreError> {
        let mut newest = BTreeMap::new();
        for document in update.documents {
            let key = document_key(layout, room, document);
            let stored = if document.deleted {
                None
            } else {
                Some(layout.encode(&key, document).map_err(StoreError::Encode)?)
            };
            newest.insert(key, Replacement { document, stored });
        }
        Ok(Self { room, indexes, reset: update.reset, state: update.state, newest })
    }

    /// Of all documents, in bytes.
    pub(super) fn byte_len(&self) -> u64 {
        self.newest.values().filter_map(|replacement| replacement.stored.as_ref()).map(Stored::byte_len).sum()
    }

    /// What is to be written; `room` is the room as it is now.
    pub(super) fn writes(&self, database: &Database, mut room: CachedRoom) -> Result<Writes, Failure> {
        let mut writes = Writes::default();
        if self.reset {
            remove_all(database, self.room, &mut room, &mut writes)?;
        }
        room.index = self.index_of(&room);
        let was_empty = self.reset || room.digest == Digest::default();
        for (key, replacement) in &self.newest {
            let is_news = was_empty || room.state.is_news(replacement.document);
            let replaced = if is_news { None } else { database.documents.get(key)? };
            if let Some(value) = replaced {
                self.unindex(database, key, &value, &mut room, &mut writes)?;
                remove(&mut writes, &mut room, key, &value)?;
            }
            let Some(stored) = &replacement.stored else { continue };
            room.digest.add(key, &stored.value);
            room.bytes += stored_bytes(key, &stored.value)?;
            writes.documents.insert(key.as_slice(), stored.value.as_slice());
            for (number, chunk) in (0..).zip(&stored.chunks) {
                writes.chunks.insert(chunk_key(key, number), chunk.as_slice());
            }
            if room.index.fingerprint != 0 {
                add_entries(
                    &database.layout,
                    self.room,
                    replacement.document,
                    self.indexes,
                    &mut room.index.digest,
                    &mut writes,
                );
            }
        }
        room.state = self.state;
        let encoded = database.layout.encode_room(self.room, &room)?;
        writes.rooms.insert(database.layout.room_key(self.room), encoded);
        Ok(writes)
    }

    /// What the room's indexes are while this change is made: those of other indexes are left alone, and built anew
    /// when they are needed.
    fn index_of(&self, room: &CachedRoom) -> CachedIndex {
        let fingerprint = self.indexes.fingerprint();
        if room.index.fingerprint == fingerprint {
            room.index
        } else if room.digest == Digest::default() {
            CachedIndex { fingerprint, ..CachedIndex::default() }
        } else {
            CachedIndex::default()
        }
    }

    fn unindex(
        &self,
        database: &Database,
        key: &[u8],
        value: &[u8],
        room: &mut CachedRoom,
        writes: &mut Writes,
    ) -> Result<(), Failure> {
        let Some(replacement) = self.newest.get(key) else { return Ok(()) };
        let collection = &replacement.document.collection;
        if room.index.fingerprint == 0 || self.indexes.of(collection).is_empty() {
            return Ok(());
        }
        let document = database.read(key, value)?;
        for (number, entry) in self.indexes.entries(&document) {
            let entry = database.layout.index_key(self.room, collection, number, &entry);
            room.index.digest.remove(&entry, document.id.as_str().as_bytes());
            writes.indexes.remove(entry);
        }
        Ok(())
    }
}

pub(super) fn document_key(layout: &Layout, room: &Room, document: &Document) -> Vec<u8> {
    let (collection, id) = (document.collection.clone(), document.id.clone());
    layout.key(&DocumentKey { room: room.clone(), collection, id })
}

/// Adds the entries of a document to the indexes.
pub(super) fn add_entries(
    layout: &Layout,
    room: &Room,
    document: &Document,
    indexes: &Indexes,
    digest: &mut Digest,
    writes: &mut Writes,
) {
    for (number, entry) in indexes.entries(document) {
        let entry = layout.index_key(room, &document.collection, number, &entry);
        let id = document.id.as_str().as_bytes();
        digest.add(&entry, id);
        writes.index_bytes += (entry.len() + id.len()) as u64;
        writes.indexes.insert(entry, id);
    }
}

fn remove_all(
    database: &Database,
    name: &Room,
    room: &mut CachedRoom,
    writes: &mut Writes,
) -> Result<(), Failure> {
    for item in database.documents.scan_prefix(database.layout.room_prefix(name)) {
        let (key, value) = item?;
        remove(writes, room, &key, &value)?;
    }
    for item in database.indexes.scan_prefix(database.layout.room_prefix(name)) {
        writes.indexes.remove(item?.0);
    }
    // Whatever it was: a sum that was wrong must not stay so.
    *room = CachedRoom { state: room.state, ..CachedRoom::default() };
    Ok(())
}

fn remove(writes: &mut Writes, room: &mut CachedRoom, key: &[u8], value: &[u8]) -> Result<(), Failure> {
    room.digest.remove(key, value);
    room.bytes = room.bytes.saturating_sub(stored_bytes(key, value)?);
    writes.documents.remove(key);
    for number in 0..chunk_count(value)? {
        writes.chunks.remove(chunk_key(key, number));
    }
    Ok(())
}
