//! A device's store: it dies where the seed says, and shows the oracle what the engine appends.

use syncline::store::{
    DocumentKey, Index, IndexRange, Indexes, MemoryStore, Record, Recovered, Retain, RoomState, RoomUpdate,
    Store, StoreError, StoreStats,
};
use syncline_protocol::{Collection, Document, Room};

/// When the process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    /// Writing operations of the store until then.
    pub operations: u64,
    /// Whether the last of them takes effect.
    pub after_effect: bool,
}

#[derive(Debug)]
pub struct TappedStore {
    inner: MemoryStore,
    death: Option<Death>,
    dead: bool,
    /// Appended since the last [`take_noted`](Self::take_noted), durable or not.
    noted: Vec<Record>,
}

impl TappedStore {
    pub fn new(inner: MemoryStore) -> Self {
        Self { inner, death: None, dead: false, noted: Vec::new() }
    }

    /// Loses power, and finds what is left.
    pub fn crash(self) -> (MemoryStore, Recovered) {
        self.inner.crash()
    }

    pub fn die_after(&mut self, death: Death) {
        self.death = Some(death);
    }

    pub fn live_on(&mut self) {
        self.death = None;
    }

    pub fn is_dead(&self) -> bool {
        self.dead
    }

    pub fn take_noted(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.noted)
    }

    /// Counts an operation. `Ok(true)` when it is the last one, and takes effect.
    fn begin(&mut self) -> Result<bool, StoreError> {
        let killed = || StoreError::Io(std::io::Error::other("the process was killed"));
        if self.dead {
            return Err(killed());
        }
        let Some(death) = &mut self.death else { return Ok(false) };
        if death.operations > 0 {
            death.operations -= 1;
            return Ok(false);
        }
        self.dead = true;
        if death.after_effect { Ok(true) } else { Err(killed()) }
    }
}

impl Store for TappedStore {
    fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        self.begin()?;
        self.noted.push(record.clone());
        self.inner.append(record)
    }

    fn append_after_flush(&mut self, record: Record) {
        if self.begin().is_ok() {
            self.noted.push(record.clone());
            self.inner.append_after_flush(record);
        }
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.begin()?;
        self.inner.commit()
    }

    fn compact_if_worthwhile(&mut self, live: &mut dyn FnMut() -> Vec<Record>) -> Result<(), StoreError> {
        self.begin()?;
        self.inner.compact_if_worthwhile(live)
    }

    fn replace_journal(&mut self, records: &[Record]) -> Result<(), StoreError> {
        self.begin()?;
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
        self.begin()?;
        self.inner.rewrite_cache(schema_version, retain)
    }

    fn rooms(&self) -> Result<Vec<(Room, RoomState)>, StoreError> {
        self.inner.rooms()
    }

    fn apply(&mut self, room: &Room, update: &RoomUpdate<'_>) -> Result<(), StoreError> {
        self.begin()?;
        self.inner.apply(room, update)
    }

    fn take_loss(&mut self) -> Option<String> {
        self.inner.take_loss()
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.begin()?;
        self.inner.flush()
    }

    fn stats(&self) -> StoreStats {
        self.inner.stats()
    }
}
