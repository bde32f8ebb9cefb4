//! A device's store, which shows the oracle what the engine appends.

use syncline::store::{
    DocumentKey, Index, IndexRange, Indexes, Record, Retain, RoomState, RoomUpdate, Store, StoreError,
    StoreStats,
};
use syncline_protocol::{Collection, Document, Room};

use crate::storage::SimulatedStore;

#[derive(Debug)]
pub struct TappedStore {
    inner: SimulatedStore,
    /// Appended since the last [`take_noted`](Self::take_noted), durable or not.
    noted: Vec<Record>,
    /// Whether the journal refused something since it was asked last.
    failed: bool,
}

impl TappedStore {
    pub fn new(inner: SimulatedStore) -> Self {
        Self { inner, noted: Vec::new(), failed: false }
    }

    pub fn take_failed(&mut self) -> bool {
        std::mem::take(&mut self.failed)
    }

    fn watch<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        self.failed |= result.is_err();
        result
    }

    pub fn take_noted(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.noted)
    }
}

impl Store for TappedStore {
    fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        self.noted.push(record.clone());
        let result = self.inner.append(record);
        self.watch(result)
    }

    fn append_after_flush(&mut self, record: Record) {
        self.noted.push(record.clone());
        self.inner.append_after_flush(record);
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let result = self.inner.commit();
        self.watch(result)
    }

    fn compact_if_worthwhile(&mut self, live: &mut dyn FnMut() -> Vec<Record>) -> Result<(), StoreError> {
        self.inner.compact_if_worthwhile(live)
    }

    fn replace_journal(&mut self, records: &[Record]) -> Result<(), StoreError> {
        self.inner.replace_journal(records)
    }

    fn document(&self, key: &DocumentKey) -> Result<Option<Document>, StoreError> {
        self.inner.document(key)
    }

    fn visit_collection(
        &self,
        room: &Room,
        collection: &Collection,
        visit: &mut dyn FnMut(Document),
    ) -> Result<(), StoreError> {
        self.inner.visit_collection(room, collection, visit)
    }

    fn declare_indexes(&mut self, indexes: Indexes) {
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
        self.inner.visit_range(room, collection, range, visit)
    }

    fn room_bytes(&self) -> Result<Vec<(Room, u64)>, StoreError> {
        self.inner.room_bytes()
    }

    fn cache_schema_version(&self) -> Result<Option<u32>, StoreError> {
        self.inner.cache_schema_version()
    }

    fn rewrite_cache(
        &mut self,
        schema_version: Option<u32>,
        retain: &mut dyn Retain,
    ) -> Result<(), StoreError> {
        self.inner.rewrite_cache(schema_version, retain)
    }

    fn rooms(&self) -> Result<Vec<(Room, RoomState)>, StoreError> {
        self.inner.rooms()
    }

    fn apply(&mut self, room: &Room, update: &RoomUpdate<'_>) -> Result<(), StoreError> {
        self.inner.apply(room, update)
    }

    fn take_loss(&mut self) -> Option<String> {
        self.inner.take_loss()
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let result = self.inner.flush();
        self.watch(result)
    }

    fn stats(&self) -> StoreStats {
        self.inner.stats()
    }
}
