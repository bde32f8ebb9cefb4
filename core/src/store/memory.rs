//! A store in memory that forgets at a crash exactly what the one on disk may forget.

use std::collections::BTreeMap;
use std::ops::Bound;

use syncline_protocol::value::fields_byte_len;
use syncline_protocol::{ClientId, Collection, Document, DocumentId, Room};

use super::garbage::LiveBytes;
use super::recovery::{Fold, Outset};
use super::{
    Cache, DocumentKey, Entry, Index, IndexRange, Indexes, Live, Record, Recovered, Retain, RoomState,
    RoomUpdate, Store, StoreError, StoreStats,
};
use crate::boxed_map::BoxedMap;
use crate::numbered::Numbered;

/// The journal is compacted only beyond so many records, and when more than half of them are dead.
const COMPACTION_RECORDS_MIN: usize = 64;

/// A [`Store`] for tests and simulations.
#[derive(Debug)]
pub struct MemoryStore {
    client_id: ClientId,
    committed: Vec<Record>,
    pending: Vec<Record>,
    after_flush: Vec<Record>,
    /// Counts records, not bytes.
    live: LiveBytes,
    /// Where each queued entry is: the record, counted over `committed` and `pending`, and the place in it.
    entries: Numbered<(usize, usize)>,
    cache: MemoryCache,
}

#[derive(Debug, Default)]
pub(super) struct MemoryCache {
    rooms: BoxedMap<Room, CachedRoom>,
    /// The rooms that changed since the last flush, as they were then.
    flushed: BoxedMap<Room, Option<CachedRoom>>,
    indexes: Indexes,
    schema_version: Option<u32>,
}

type Documents = BTreeMap<(Collection, DocumentId), Document>;

#[derive(Debug, Clone, Default)]
struct CachedRoom {
    state: RoomState,
    documents: Documents,
    /// The entries of the indexes.
    entries: BTreeMap<(Collection, Vec<u8>), DocumentId>,
}

impl CachedRoom {
    fn insert(&mut self, document: Document, indexes: &Indexes) {
        for (number, key) in indexes.entries(&document) {
            let place = (document.collection.clone(), [&[number], key.as_slice()].concat());
            self.entries.insert(place, document.id.clone());
        }
        self.documents.insert((document.collection.clone(), document.id.clone()), document);
    }

    /// A part of an index: the entries, with the number of the index before each, and the ids.
    fn range(
        &self,
        collection: &Collection,
        range: &IndexRange,
    ) -> impl Iterator<Item = (&[u8], &DocumentId)> {
        let (low, end) = range.bounds(&[]);
        let end = end.map_or(Bound::Unbounded, |end| Bound::Excluded((collection.clone(), end)));
        let entries = self.entries.range((Bound::Included((collection.clone(), low)), end));
        entries
            .take_while(move |((found, _), _)| found == collection)
            .map(|((_, entry), id)| (entry.as_slice(), id))
    }

    fn remove(&mut self, name: &(Collection, DocumentId), indexes: &Indexes) {
        let Some(document) = self.documents.remove(name) else { return };
        for (number, key) in indexes.entries(&document) {
            self.entries.remove(&(document.collection.clone(), [&[number], key.as_slice()].concat()));
        }
    }
}

impl MemoryCache {
    /// Goes back to the last flush.
    fn crash(&mut self) {
        for (room, before) in std::mem::take(&mut self.flushed) {
            match before {
                Some(before) => self.rooms.insert(room, before),
                None => self.rooms.remove(&room),
            };
        }
        self.declare_indexes(Indexes::default());
    }
}

impl MemoryStore {
    /// An empty store, and what an engine begins with.
    pub fn new(client_id: ClientId) -> (Self, Recovered) {
        let empty = Self {
            client_id,
            committed: Vec::new(),
            pending: Vec::new(),
            after_flush: Vec::new(),
            live: LiveBytes::default(),
            entries: Numbered::default(),
            cache: MemoryCache::default(),
        };
        empty.crash()
    }

    /// Loses power: what was not committed is gone, and the cache is as it was at the last flush.
    pub fn crash(mut self) -> (Self, Recovered) {
        self.pending.clear();
        self.after_flush.clear();
        self.cache.crash();
        let mut fold = Fold::default();
        for record in &self.committed {
            fold.add(record.clone());
        }
        self.recount();
        let read = |client_seq| self.entry(client_seq);
        let outset = fold.finish(None, self.client_id, None, Vec::new(), &read);
        let Outset { recovered, repairs } = match outset {
            Ok(outset) => outset,
            Err(error) => unreachable!("memory is read: {error}"),
        };
        repairs.into_iter().for_each(|repair| self.push(repair));
        (self, recovered)
    }

    fn push(&mut self, record: Record) {
        self.live.add(&record, 1);
        note(&mut self.entries, &record, self.committed.len());
        self.committed.push(record);
    }

    fn recount(&mut self) {
        (self.live, self.entries) = (LiveBytes::default(), Numbered::default());
        for (number, record) in self.committed.iter().enumerate() {
            self.live.add(record, 1);
            note(&mut self.entries, record, number);
        }
    }
}

/// Notes what a record, the one with this number, changes of the queue.
fn note(entries: &mut Numbered<(usize, usize)>, record: &Record, number: usize) {
    if let Some(client_seq) = record.unqueued() {
        entries.remove(client_seq);
    }
    if let Record::Resent { client_seqs, .. } = record {
        for client_seq in client_seqs {
            entries.remove(*client_seq);
        }
    }
    for (index, entry) in record.entries().iter().enumerate() {
        entries.insert(entry.mutation.client_seq, (number, index));
    }
}

impl Store for MemoryStore {
    fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        note(&mut self.entries, record, self.committed.len() + self.pending.len());
        self.pending.push(record.clone());
        Ok(())
    }

    fn append_after_flush(&mut self, record: Record) {
        self.after_flush.push(record);
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        for record in std::mem::take(&mut self.pending) {
            self.live.add(&record, 1);
            self.committed.push(record);
        }
        Ok(())
    }

    fn entry(&self, client_seq: u64) -> Result<Entry, StoreError> {
        let entry = self.entries.get(client_seq).and_then(|&(number, index)| {
            let pending = || self.pending.get(number - self.committed.len());
            self.committed.get(number).or_else(pending)?.entries().get(index)
        });
        entry.cloned().ok_or_else(|| StoreError::Unreadable(format!("no entry has number {client_seq}")))
    }

    fn compact_if_worthwhile(&mut self, live: &mut dyn FnMut() -> Live) -> Result<(), StoreError> {
        let count = self.committed.len();
        let needed = self.live.total() as usize + self.entries.len();
        if count <= COMPACTION_RECORDS_MIN || needed * 2 >= count {
            return Ok(());
        }
        self.replace_journal(&live())
    }

    fn replace_journal(&mut self, live: &Live) -> Result<(), StoreError> {
        self.flush()?;
        self.commit()?;
        let kept = live.kept.iter().map(|client_seq| Ok(Record::Queued(vec![self.entry(*client_seq)?])));
        let kept = kept.collect::<Result<Vec<_>, StoreError>>()?;
        self.committed = live.records.iter().cloned().chain(kept).collect();
        self.recount();
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.cache.flush()?;
        if !self.after_flush.is_empty() {
            self.commit()?;
            std::mem::take(&mut self.after_flush).into_iter().for_each(|record| self.push(record));
        }
        Ok(())
    }

    /// Zeros: nothing is on disk.
    fn stats(&self) -> StoreStats {
        StoreStats::default()
    }

    fn cache(&self) -> &dyn Cache {
        &self.cache
    }

    fn cache_mut(&mut self) -> &mut dyn Cache {
        &mut self.cache
    }
}

impl Cache for MemoryCache {
    fn document(&self, key: &DocumentKey) -> Result<Option<Document>, StoreError> {
        let name = (key.collection.clone(), key.id.clone());
        Ok(self.rooms.get(&key.room).and_then(|room| room.documents.get(&name)).cloned())
    }

    fn visit_collection(
        &self,
        room: &Room,
        collection: &Collection,
        visit: &mut dyn FnMut(Document),
    ) -> Result<(), StoreError> {
        let documents = self.rooms.get(room).into_iter().flat_map(|room| &room.documents);
        documents
            .filter(|((found, _), _)| found == collection)
            .for_each(|(_, document)| visit(document.clone()));
        Ok(())
    }

    fn declare_indexes(&mut self, indexes: Indexes) {
        self.indexes = indexes;
        for cached in self.rooms.values_mut() {
            cached.entries.clear();
            for document in std::mem::take(&mut cached.documents).into_values() {
                cached.insert(document, &self.indexes);
            }
        }
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
        let Some(cached) = self.rooms.get(room) else { return Ok(()) };
        for (_, id) in cached.range(collection, range) {
            if let Some(document) = cached.documents.get(&(collection.clone(), id.clone())) {
                visit(document.clone());
            }
        }
        Ok(())
    }

    fn visit_entries(
        &self,
        room: &Room,
        collection: &Collection,
        range: &IndexRange,
        visit: &mut dyn FnMut(&[u8], DocumentId),
    ) -> Result<bool, StoreError> {
        let entries = self.rooms.get(room).into_iter().flat_map(|cached| cached.range(collection, range));
        for (entry, id) in entries {
            visit(&entry[1..entry.len() - id.as_str().len()], id.clone());
        }
        Ok(true)
    }

    fn rooms(&self) -> Result<Vec<(Room, RoomState)>, StoreError> {
        Ok(self.rooms.iter().map(|(room, cached)| (room.clone(), cached.state)).collect())
    }

    fn room_bytes(&self) -> Result<Vec<(Room, u64)>, StoreError> {
        let bytes = |room: &CachedRoom| {
            room.documents.values().map(|document| fields_byte_len(&document.fields) as u64).sum()
        };
        Ok(self.rooms.iter().map(|(room, cached)| (room.clone(), bytes(cached))).collect())
    }

    fn schema_version(&self) -> Result<Option<u32>, StoreError> {
        Ok(self.schema_version)
    }

    fn rewrite(&mut self, schema_version: Option<u32>, retain: &mut dyn Retain) -> Result<(), StoreError> {
        self.schema_version = schema_version;
        for (room, cached) in std::mem::take(&mut self.rooms) {
            let Some(state) = retain.room(&room, cached.state) else { continue };
            let mut kept = CachedRoom { state, ..CachedRoom::default() };
            let (mut stayed, mut moved) = (Vec::new(), Vec::new());
            for ((collection, _), document) in cached.documents {
                let Some(document) = retain.document(document) else { continue };
                if document.collection == collection { stayed.push(document) } else { moved.push(document) }
            }
            for document in stayed.into_iter().chain(moved) {
                if !kept.documents.contains_key(&(document.collection.clone(), document.id.clone())) {
                    kept.insert(document, &self.indexes);
                }
            }
            self.rooms.insert(room, kept);
        }
        self.flushed.clear();
        Ok(())
    }

    fn apply(&mut self, room: &Room, update: &RoomUpdate<'_>) -> Result<(), StoreError> {
        self.flushed.get_or_insert_with(room.clone(), || self.rooms.get(room).cloned());
        let cached = self.rooms.get_or_insert_with(room.clone(), CachedRoom::default);
        if update.reset {
            cached.documents.clear();
            cached.entries.clear();
        }
        for document in update.documents {
            cached.remove(&(document.collection.clone(), document.id.clone()), &self.indexes);
            if !document.deleted {
                cached.insert(document.clone(), &self.indexes);
            }
        }
        cached.state = update.state;
        Ok(())
    }

    fn take_loss(&mut self) -> Option<String> {
        None
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.flushed.clear();
        Ok(())
    }

    /// Nothing is on disk.
    fn bytes_on_disk(&self) -> u64 {
        0
    }
}
