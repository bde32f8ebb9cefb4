//! Changes of the cache that its database was not given yet: they are seen at once, and written later, in their order.
//! A database takes several times as long for a document as a message does to bring it.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};

use syncline_protocol::gather::Gather as _;
use syncline_protocol::sabotage::{Sabotage, is_active};
use syncline_protocol::value::fields_byte_len;
use syncline_protocol::{Collection, Document, DocumentId, Room};

use super::{
    Cache, DocumentKey, Index, IndexRange, Indexes, OwnedUpdate, Retain, RoomState, RoomUpdate, Spilled,
    StoreError,
};
use crate::boxed_map::BoxedMap;

/// What may wait at most, in bytes, unless it is a single change: ten thousand small documents.
const WAITING_BYTES_MAX: u64 = 4 << 20;
/// What a document takes besides its fields, in bytes, roughly.
const DOCUMENT_OVERHEAD_BYTES: u64 = 128;

/// A [`Cache`] that writes to another one behind its callers' backs: at the latest when it is flushed.
#[derive(Debug)]
pub(super) struct Behind<C> {
    inner: C,
    indexes: Indexes,
    /// In their order.
    waiting: VecDeque<Change>,
    /// The number of the first of them.
    first: u64,
    bytes: u64,
    /// What they add up to.
    rooms: BoxedMap<Room, Waiting>,
    /// Whether the inner cache was lost, and nobody was told yet.
    is_lost: Cell<bool>,
}

#[derive(Debug)]
struct Change {
    room: Room,
    update: OwnedUpdate,
    bytes: u64,
}

/// What waits of one room.
#[derive(Debug, Default)]
struct Waiting {
    changes: usize,
    state: RoomState,
    /// The last change that forgets what the inner cache holds.
    reset: Option<u64>,
    /// Where the newest version of each document is.
    documents: BTreeMap<Collection, BTreeMap<DocumentId, Place>>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    change: u64,
    index: usize,
}

impl<C: Cache> Behind<C> {
    pub(super) fn new(inner: C) -> Self {
        Self {
            inner,
            indexes: Indexes::default(),
            waiting: VecDeque::new(),
            first: 0,
            bytes: 0,
            rooms: BoxedMap::default(),
            is_lost: Cell::new(false),
        }
    }

    /// What waits of a room; nothing counts any more once the cache below is lost.
    fn of(&self, room: &Room) -> Option<&Waiting> {
        self.rooms.get(room).filter(|_| !self.is_lost.get())
    }

    fn at(&self, place: Place) -> Option<&Document> {
        let change = usize::try_from(place.change.checked_sub(self.first)?).ok()?;
        self.waiting.get(change)?.update.documents.get(place.index)
    }

    /// What waits of a collection, in the order of the ids.
    fn collection(&self, room: &Room, collection: &Collection) -> Vec<&Document> {
        let places = self.of(room).and_then(|waiting| waiting.documents.get(collection));
        places.into_iter().flat_map(BTreeMap::values).filter_map(|place| self.at(*place)).collect()
    }

    fn heed<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if matches!(result, Err(StoreError::CacheLost { .. })) {
            self.is_lost.set(true);
        }
        result
    }

    fn push(&mut self, change: Change) {
        let number = self.first + self.waiting.len() as u64;
        let waiting = self.rooms.get_or_insert_with(change.room.clone(), Waiting::default);
        waiting.changes += 1;
        waiting.state = change.update.state;
        if change.update.reset {
            waiting.reset = Some(number);
            waiting.documents.clear();
        }
        for (index, document) in change.update.documents.iter().enumerate() {
            let place = Place { change: number, index };
            match waiting.documents.get_mut(&document.collection) {
                Some(documents) => drop(documents.insert(document.id.clone(), place)),
                None => {
                    let documents = BTreeMap::from([(document.id.clone(), place)]);
                    waiting.documents.insert(document.collection.clone(), documents);
                }
            }
        }
        self.bytes += change.bytes;
        self.waiting.push_back(change);
    }

    /// Gives the oldest change to the cache below.
    fn write_first(&mut self) -> Result<(), StoreError> {
        let Some(Change { room, update, .. }) = self.waiting.front() else { return Ok(()) };
        let written = self.inner.apply(room, &update.borrowed());
        self.heed(written)?;
        let Some(change) = self.waiting.pop_front() else { return Ok(()) };
        let number = self.first;
        self.first += 1;
        self.bytes -= change.bytes;
        let Some(waiting) = self.rooms.get_mut(&change.room) else { return Ok(()) };
        waiting.changes -= 1;
        if waiting.changes == 0 {
            self.rooms.remove(&change.room);
            return Ok(());
        }
        waiting.reset = waiting.reset.filter(|reset| *reset != number);
        for document in &change.update.documents {
            let Some(places) = waiting.documents.get_mut(&document.collection) else { continue };
            if places.get(&document.id).is_some_and(|place| place.change == number) {
                places.remove(&document.id);
            }
        }
        Ok(())
    }

    fn write_all(&mut self) -> Result<(), StoreError> {
        while !self.waiting.is_empty() {
            self.write_first()?;
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.first += self.waiting.len() as u64;
        self.waiting.clear();
        self.rooms.clear();
        self.bytes = 0;
    }
}

impl<C: Cache> Cache for Behind<C> {
    fn document(&self, key: &DocumentKey) -> Result<Option<Document>, StoreError> {
        if let Some(waiting) = self.of(&key.room).filter(|_| !is_active(Sabotage::WaitingNotSeen)) {
            let place = waiting.documents.get(&key.collection).and_then(|places| places.get(&key.id));
            if let Some(document) = place.and_then(|place| self.at(*place)) {
                return Ok((!document.deleted).then(|| document.clone()));
            }
            if waiting.reset.is_some() {
                return Ok(None);
            }
        }
        self.heed(self.inner.document(key))
    }

    fn visit_collection(
        &self,
        room: &Room,
        collection: &Collection,
        visit: &mut dyn FnMut(Document),
    ) -> Result<(), StoreError> {
        let newer = self.collection(room, collection);
        let mut next = newer.iter().filter(|document| !document.deleted).peekable();
        if self.of(room).is_none_or(|waiting| waiting.reset.is_none()) {
            let visited = self.inner.visit_collection(room, collection, &mut |document| {
                while let Some(newer) = next.next_if(|newer| newer.id <= document.id) {
                    visit(Document::clone(newer));
                }
                if newer.binary_search_by(|newer| newer.id.cmp(&document.id)).is_err() {
                    visit(document);
                }
            });
            self.heed(visited)?;
        }
        next.for_each(|document| visit(Document::clone(document)));
        Ok(())
    }

    fn declare_indexes(&mut self, indexes: Indexes) {
        self.indexes = indexes.clone();
        self.inner.declare_indexes(indexes);
    }

    fn indexes(&self, collection: &Collection) -> &[Index] {
        self.inner.indexes(collection)
    }

    fn visit_range(
        &self,
        room: &Room,
        collection: &Collection,
        range: &IndexRange,
        visit: &mut dyn FnMut(Document),
    ) -> Result<(), StoreError> {
        let newer = self.collection(room, collection);
        if self.of(room).is_none_or(|waiting| waiting.reset.is_none()) {
            let visited = self.inner.visit_range(room, collection, range, &mut |document| {
                if newer.binary_search_by(|newer| newer.id.cmp(&document.id)).is_err() {
                    visit(document);
                }
            });
            self.heed(visited)?;
        }
        let live = newer.into_iter().filter(|document| !document.deleted);
        let found = live.filter(|document| self.indexes.values_within(document, range).is_some());
        found.for_each(|document| visit(document.clone()));
        Ok(())
    }

    fn visit_entries(
        &self,
        room: &Room,
        collection: &Collection,
        range: &IndexRange,
        visit: &mut dyn FnMut(&[u8], DocumentId),
    ) -> Result<bool, StoreError> {
        let newer = self.collection(room, collection);
        let live = newer.iter().filter(|document| !document.deleted);
        let entry =
            |document: &&Document| Some((self.indexes.values_within(document, range)?, document.id.clone()));
        let mut entries: Vec<_> = live.filter_map(entry).collect();
        entries.sort_unstable();
        let mut next = entries.into_iter().peekable();
        if self.of(room).is_none_or(|waiting| waiting.reset.is_none()) {
            let visited = self.inner.visit_entries(room, collection, range, &mut |values, id| {
                while let Some((values, id)) =
                    next.next_if(|(newer, newer_id)| (&newer[..], newer_id) < (values, &id))
                {
                    visit(&values, id);
                }
                if newer.binary_search_by(|newer| newer.id.cmp(&id)).is_err() {
                    visit(values, id);
                }
            });
            if !self.heed(visited)? {
                return Ok(false);
            }
        }
        next.for_each(|(values, id)| visit(&values, id));
        Ok(true)
    }

    fn rooms(&self) -> Result<Vec<(Room, RoomState)>, StoreError> {
        let mut rooms: BTreeMap<_, _> = self.heed(self.inner.rooms())?.into_iter().gather();
        if !self.is_lost.get() {
            rooms.extend(self.rooms.iter().map(|(room, waiting)| (room.clone(), waiting.state)));
        }
        Ok(rooms.into_iter().collect())
    }

    fn room_bytes(&self) -> Result<Vec<(Room, u64)>, StoreError> {
        let mut rooms: BTreeMap<_, _> = self.heed(self.inner.room_bytes())?.into_iter().gather();
        for change in self.waiting.iter().filter(|_| !self.is_lost.get()) {
            let bytes = rooms.entry(change.room.clone()).or_default();
            *bytes = if change.update.reset { change.bytes } else { *bytes + change.bytes };
        }
        Ok(rooms.into_iter().collect())
    }

    fn schema_version(&self) -> Result<Option<u32>, StoreError> {
        self.heed(self.inner.schema_version())
    }

    fn rewrite(&mut self, schema_version: Option<u32>, retain: &mut dyn Retain) -> Result<(), StoreError> {
        self.write_all()?;
        let rewritten = self.inner.rewrite(schema_version, retain);
        self.heed(rewritten)
    }

    fn apply(&mut self, room: &Room, update: &RoomUpdate<'_>) -> Result<(), StoreError> {
        let RoomUpdate { reset, documents, state } = *update;
        self.apply_owned(room, OwnedUpdate { reset, documents: documents.to_vec(), state })
    }

    fn apply_owned(&mut self, room: &Room, update: OwnedUpdate) -> Result<(), StoreError> {
        if self.is_lost.get() {
            return Err(StoreError::CacheLost { reason: "nobody was told yet".to_owned() });
        }
        let sizes = update.documents.iter().map(|document| fields_byte_len(&document.fields) as u64);
        let bytes = sizes.map(|bytes| bytes + DOCUMENT_OVERHEAD_BYTES).sum::<u64>() + DOCUMENT_OVERHEAD_BYTES;
        while self.bytes + bytes > WAITING_BYTES_MAX && !self.waiting.is_empty() {
            self.write_first()?;
        }
        self.push(Change { room: room.clone(), update, bytes });
        Ok(())
    }

    fn spill(&mut self) -> Result<Spilled, StoreError> {
        self.write_first()?;
        Ok(if self.waiting.is_empty() { Spilled::All } else { Spilled::Some })
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        if !is_active(Sabotage::WaitingNotFlushed) {
            self.write_all()?;
        }
        let flushed = self.inner.flush();
        self.heed(flushed)
    }

    fn take_loss(&mut self) -> Option<String> {
        let reason = self.inner.take_loss();
        // A cache that stays away does not say so each time, and what waited for it is gone all the same.
        let is_news = self.is_lost.replace(false) && !self.waiting.is_empty();
        let reason = reason.or_else(|| is_news.then(|| "it takes nothing".to_owned()));
        if reason.is_some() {
            self.forget();
        }
        reason
    }

    fn bytes_on_disk(&self) -> u64 {
        self.inner.bytes_on_disk()
    }
}

#[cfg(test)]
#[path = "behind_tests.rs"]
mod tests;
