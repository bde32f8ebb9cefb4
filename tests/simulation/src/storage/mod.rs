//! The storage of one device: a simulated disk under the real journal, and beside it a cache that promises no more
//! than sled does.

mod cache;
mod contents;
mod disk;
pub mod exercise;
mod mount;
mod names;

use std::path::Path;

use syncline::store::{DiskSettings, DiskStore, EncryptionKey, Keyring, Recovered, StoreError};
use syncline_protocol::ClientId;

pub use cache::{CacheContents, CacheFault, Ending, SimulatedCache};
pub use disk::{SimulatedDisk, Space};
pub use mount::{Mount, SimulatedFile, SimulatedLock};

use crate::random::Random;

/// The real store on a simulated disk.
pub type SimulatedStore = DiskStore<Mount, SimulatedCache>;

/// Small, so that a run of seconds sees the file grow and the journal compacted.
const PREALLOCATION_BYTES: u64 = 4 << 10;
const COMPACTION_BYTES_MIN: u64 = 2 << 10;
const SUMMARY_BYTES_MIN: u64 = 1 << 10;

/// Where the store stands on the disk.
pub const DIRECTORY: &str = "/app/store";
/// The journal's file.
pub const JOURNAL: &str = "/app/store/journal";

/// What a device keeps when its process ends.
#[derive(Debug)]
pub struct SimulatedStorage {
    pub disk: SimulatedDisk,
    pub cache: CacheContents,
    /// What the journal is sealed with, if it is.
    pub key: Option<EncryptionKey>,
    random: Random,
}

impl SimulatedStorage {
    /// An empty device, whose faults are drawn from `random`.
    pub fn new(mut random: Random) -> Self {
        Self { disk: SimulatedDisk::new(random.fork()), cache: CacheContents::default(), key: None, random }
    }

    /// Opens the store, as a process does that starts. `fresh_client_id` becomes the client's if it has none.
    ///
    /// # Errors
    /// Those of [`DiskStore::assemble`], and `Io` if the process dies meanwhile.
    pub fn open(&mut self, fresh_client_id: ClientId) -> Result<(SimulatedStore, Recovered), StoreError> {
        let settings = DiskSettings {
            preallocation_bytes: PREALLOCATION_BYTES,
            compaction_bytes_min: COMPACTION_BYTES_MIN,
            summary_bytes_min: SUMMARY_BYTES_MIN,
            keyring: Keyring::new(self.key.as_ref(), &[])?,
            ..DiskSettings::new(fresh_client_id, self.random.number())
        };
        let mount = self.disk.mount();
        DiskStore::assemble(mount.clone(), Path::new(DIRECTORY), settings, || {
            SimulatedCache::open(&self.cache, &mount)
        })
    }

    /// Ends the process that has the store open, without a close: whatever it does from now on fails.
    pub fn end_life(&mut self, ending: Ending) {
        match ending {
            Ending::Kill => self.disk.kill(),
            Ending::PowerLoss => self.disk.crash(),
        }
        self.cache.end_life(ending, &mut self.random);
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
