//! A store that fails when a test says so.

use syncline_protocol::Room;

use crate::store::{
    Cache, Entry, Live, MemoryStore, Record, Retain, RoomState, RoomUpdate, Store, StoreError, StoreStats,
};

/// What the store does wrong next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Commit,
    CacheLost,
}

/// A [`MemoryStore`] that fails once when told to.
#[derive(Debug)]
pub(super) struct FaultyStore {
    pub inner: MemoryStore,
    /// Since the last commit.
    appended: Vec<Record>,
    pub fault: Option<Fault>,
    loss: Option<String>,
    /// Whether no queued entry can be read now.
    pub unreadable: bool,
    /// What the cache is said to take on the disk.
    pub cache_bytes: u64,
    /// How often the cache was written anew.
    pub rewrites: u32,
}

impl FaultyStore {
    pub(super) fn new(inner: MemoryStore) -> Self {
        Self {
            inner,
            appended: Vec::new(),
            fault: None,
            loss: None,
            unreadable: false,
            cache_bytes: 0,
            rewrites: 0,
        }
    }

    /// Loses the cache, as any call of a real store may.
    pub(super) fn lose_cache(&mut self) -> Result<(), StoreError> {
        let empty = RoomUpdate { reset: true, documents: &[], state: RoomState::default() };
        for (room, _) in self.inner.rooms()? {
            self.inner.apply(&room, &empty)?;
        }
        self.loss = Some("for the test".to_owned());
        Ok(())
    }

    fn fails(&mut self, fault: Fault) -> bool {
        self.fault.take_if(|next| *next == fault).is_some()
    }
}

impl Store for FaultyStore {
    fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        self.appended.push(record.clone());
        Ok(())
    }

    fn append_after_flush(&mut self, record: Record) {
        self.inner.append_after_flush(record);
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        if self.fails(Fault::Commit) {
            self.appended.clear();
            return Err(StoreError::Full);
        }
        for record in self.appended.drain(..) {
            self.inner.append(&record)?;
        }
        self.inner.commit()
    }

    fn entry(&self, client_seq: u64) -> Result<Entry, StoreError> {
        if self.unreadable {
            return Err(StoreError::Io(std::io::Error::other("for the test")));
        }
        let mut entries = self.appended.iter().rev().flat_map(Record::entries);
        match entries.find(|entry| entry.mutation.client_seq == client_seq) {
            Some(entry) => Ok(entry.clone()),
            None => self.inner.entry(client_seq),
        }
    }

    fn compact_if_worthwhile(&mut self, live: &mut dyn FnMut() -> Live) -> Result<(), StoreError> {
        self.inner.compact_if_worthwhile(live)
    }

    fn replace_journal(&mut self, live: &Live) -> Result<(), StoreError> {
        self.inner.replace_journal(live)
    }

    fn rewrite_cache(
        &mut self,
        schema_version: Option<u32>,
        retain: &mut dyn Retain,
    ) -> Result<(), StoreError> {
        self.rewrites += 1;
        self.cache_bytes = 0;
        self.inner.rewrite_cache(schema_version, retain)
    }

    fn apply(&mut self, room: &Room, update: &RoomUpdate<'_>) -> Result<(), StoreError> {
        if self.fails(Fault::CacheLost) {
            self.lose_cache()?;
            return Err(StoreError::CacheLost { reason: "for the test".to_owned() });
        }
        self.inner.apply(room, update)
    }

    fn take_loss(&mut self) -> Option<String> {
        self.loss.take()
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.inner.flush()
    }

    fn stats(&self) -> StoreStats {
        StoreStats { cache_bytes: self.cache_bytes, ..self.inner.stats() }
    }

    fn cache(&self) -> &dyn Cache {
        self.inner.cache()
    }

    fn cache_mut(&mut self) -> &mut dyn Cache {
        self.inner.cache_mut()
    }
}
