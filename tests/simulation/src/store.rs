//! A device's store, which shows the oracle what the engine appends.

use syncline::store::{Cache, Entry, Live, Record, Store, StoreError, StoreStats};

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

    fn entry(&self, client_seq: u64) -> Result<Entry, StoreError> {
        self.inner.entry(client_seq)
    }

    fn pack_mutation(&self, client_seq: u64, into: &mut Vec<u8>) -> Result<(), StoreError> {
        self.inner.pack_mutation(client_seq, into)
    }

    fn compact_if_worthwhile(&mut self, live: &mut dyn FnMut() -> Live) -> Result<(), StoreError> {
        self.inner.compact_if_worthwhile(live)
    }

    fn replace_journal(&mut self, live: &Live) -> Result<(), StoreError> {
        self.inner.replace_journal(live)
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let result = self.inner.flush();
        self.watch(result)
    }

    fn stats(&self) -> StoreStats {
        self.inner.stats()
    }

    fn cache(&self) -> &dyn Cache {
        self.inner.cache()
    }

    fn cache_mut(&mut self) -> &mut dyn Cache {
        self.inner.cache_mut()
    }
}
