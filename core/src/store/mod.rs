//! What survives a restart. Two halves with different promises:
//!
//! - The **journal** holds what nothing else can rebuild: the client's identity, the outbox, conflicts that the app
//!   has not decided, and outcomes that it has not seen. [`Store::commit`] makes it durable.
//! - The **cache** holds documents and cursors. It may lag behind or vanish; the server and the journal rebuild it.

mod behind;
mod bodies;
mod cached_document;
mod crypt;
mod database;
mod disk;
mod envelope;
mod file_system;
mod files;
mod frame;
mod free_space;
mod garbage;
mod index;
mod journal;
mod lock;
mod memory;
mod packed;
mod queued;
mod recent;
mod record;
mod recovering;
mod recovery;
mod room_change;
mod sealing;
mod sled_cache;
mod sled_index;
mod sled_rewrite;
mod summary;

#[cfg(test)]
mod conformance_tests;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod locked_tests;
#[cfg(test)]
mod sealed_tests;

pub(crate) use crypt::installation_hash;
pub use crypt::{EncryptionKey, InvalidKey, KEY_BYTES, Keyring};
pub use disk::{DiskSettings, DiskStore};
pub use file_system::{FileSystem, OpenMode, OsFiles, PartCheck, RandomAccessFile};
#[cfg(fuzzing)]
pub use frame::fuzz_journal;
pub use index::{INDEX_FIELDS_MAX, INDEXES_MAX, Index, IndexError, IndexRange, Indexes};
pub use lock::DirectoryLock;
pub use memory::MemoryStore;
pub use queued::{Head, IdHash, Queued, Scope, Scopes};
pub use record::{Accepted, Conflict, Entry, Identity, Live, Outcome, Parked, Record, Recovered};
pub(crate) use recovery::job_records;
pub use sled_cache::SledCache;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use syncline_protocol::message::encode_compact_into;
use syncline_protocol::{Checksum, Collection, Document, DocumentId, HybridTime, Room};

/// A document's full name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentKey {
    pub room: Room,
    pub collection: Collection,
    pub id: DocumentId,
}

/// What the cache knows of a room besides its documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomState {
    /// The last `seq` of the room's log that the cache holds, 0 for none.
    pub cursor: u64,
    /// Of the documents in the cache.
    pub checksum: Checksum,
    /// Whether the cache once held everything up to the end of the log.
    pub complete: bool,
    /// Where the log ended when the reading from 0 that is under way began.
    #[serde(default)]
    pub snapshot: Option<u64>,
    /// Whether the documents were changed here, by a migration, and must be read from the server again.
    #[serde(default)]
    pub stale: bool,
    /// When somebody began or ceased to follow the room last, in milliseconds since the epoch.
    #[serde(default)]
    pub last_used_ms: u64,
    /// Of everything that the cache was given of the room, deletions included, when the newest was written.
    #[serde(default)]
    pub newest_time: Option<HybridTime>,
}

/// What is kept of a cache that is written anew.
pub trait Retain {
    /// `None` leaves the room out, with its documents.
    fn room(&mut self, room: &Room, state: RoomState) -> Option<RoomState>;

    /// `None` leaves the document out. One that moves to another collection leaves the document that it finds there.
    fn document(&mut self, document: Document) -> Option<Document>;
}

/// Keeps all rooms but these.
struct Without<'a>(&'a BTreeSet<Room>);

impl Retain for Without<'_> {
    fn room(&mut self, room: &Room, state: RoomState) -> Option<RoomState> {
        (!self.0.contains(room)).then_some(state)
    }

    fn document(&mut self, document: Document) -> Option<Document> {
        Some(document)
    }
}

impl RoomState {
    /// Whether a document of the log cannot be in a cache in this state, in no version. Each document stands in the
    /// log once: what a reading from nothing finds up to the end that the log had when it began, it has not found
    /// before.
    pub fn is_news(&self, document: &Document) -> bool {
        self.snapshot.is_some_and(|head| self.cursor < document.seq && document.seq <= head)
    }
}

/// A change of the cache that becomes visible, and durable, as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct RoomUpdate<'a> {
    /// Whether all documents of the room are forgotten first.
    pub reset: bool,
    /// Replace older states; a deleted document is removed.
    pub documents: &'a [Document],
    pub state: RoomState,
}

/// A [`RoomUpdate`] whose documents are handed over.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnedUpdate {
    pub reset: bool,
    pub documents: Vec<Document>,
    pub state: RoomState,
}

impl OwnedUpdate {
    pub fn borrowed(&self) -> RoomUpdate<'_> {
        RoomUpdate { reset: self.reset, documents: &self.documents, state: self.state }
    }
}

/// How much of what is only in memory was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spilled {
    /// Nothing is left but the flush itself.
    All,
    Some,
}

/// Sizes on disk, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    pub journal_bytes: u64,
    pub cache_bytes: u64,
}

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another client, in this process or another, has this directory open.
    #[error("the directory is open in another client")]
    InUse,
    /// The disk is full. What was accepted before is intact, and the store goes on when there is room.
    #[error("the disk is full")]
    Full,
    /// The directory was written by a newer version.
    #[error("the data has format {found}, this version reads up to {supported}")]
    TooNew { found: u32, supported: u32 },
    /// The data is sealed with a key that was not given, or one is needed; nothing was touched.
    #[error("the data is sealed with another key")]
    WrongKey,
    /// The system keeps the files closed, as it does before the device is unlocked for the first time; nothing is lost.
    #[error("the system does not open the files now")]
    Locked,
    /// The cache broke and was replaced by an empty one; the failed change was not made.
    #[error("the cache was lost and starts empty: {reason}")]
    CacheLost { reason: String },
    /// The journal can no longer promise durability; the store must be closed and opened again.
    #[error("the journal failed: {0}")]
    Journal(#[source] std::io::Error),
    #[error(transparent)]
    Io(std::io::Error),
    /// A record is larger than the journal takes; nothing of it was written.
    #[error("a record has {bytes} bytes, the journal takes {bytes_max}")]
    TooLarge { bytes: usize, bytes_max: usize },
    /// What the journal held is not there any more as it was written.
    #[error("a record of the journal could not be read: {0}")]
    Unreadable(String),
    /// A record could not be encoded.
    #[error("a record could not be encoded: {0}")]
    Encode(String),
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::PermissionDenied { Self::Locked } else { Self::Io(error) }
    }
}

/// The engine's only way to the disk. One owner, one writer.
pub trait Store {
    /// Adds a record to the journal, durable after the next [`commit`](Self::commit).
    fn append(&mut self, record: &Record) -> Result<(), StoreError>;

    /// Adds a record once the cache as it is now is durable. Until then a restart finds the journal as if the
    /// record did not exist: so a confirmed write is never in neither half.
    fn append_after_flush(&mut self, record: Record);

    /// Makes every appended record durable. An error means that none may be reported as accepted.
    fn commit(&mut self) -> Result<(), StoreError>;

    /// The entry that was queued last under this number and is queued still, durable or not. Only what became of it is
    /// kept in memory: this may read the disk.
    ///
    /// # Errors
    /// `Unreadable`: there is none, or not any more. `Io`, `Locked`: it may be read later.
    fn entry(&self, client_seq: u64) -> Result<Entry, StoreError>;

    /// Adds the mutation of that entry, as a compact message has it.
    ///
    /// # Errors
    /// As [`entry`](Self::entry).
    fn pack_mutation(&self, client_seq: u64, into: &mut Vec<u8>) -> Result<(), StoreError> {
        encode_compact_into(&self.entry(client_seq)?.mutation, into)
            .map_err(|error| StoreError::Encode(error.to_string()))
    }

    /// Writes the journal anew from what is still alive, if enough of it is dead to make that worthwhile.
    /// `live` is asked for only then.
    fn compact_if_worthwhile(&mut self, live: &mut dyn FnMut() -> Live) -> Result<(), StoreError>;

    /// Writes the journal anew: a crash leaves the old one or the new one. What waits for a flush is flushed first.
    fn replace_journal(&mut self, live: &Live) -> Result<(), StoreError>;

    /// The half of it that may be lost.
    fn cache(&self) -> &dyn Cache;

    fn cache_mut(&mut self) -> &mut dyn Cache;

    /// Everything that is queued, which may be much.
    fn entries(&self, queued: &Queued) -> Result<Vec<Entry>, StoreError> {
        queued.numbers().map(|client_seq| self.entry(client_seq)).collect()
    }

    /// A live document in the cache.
    fn document(&self, key: &DocumentKey) -> Result<Option<Document>, StoreError> {
        self.cache().document(key)
    }

    /// Visits the live documents of a collection, in the order of their ids unless the store is sealed.
    fn visit_collection(
        &self,
        room: &Room,
        collection: &Collection,
        visit: &mut dyn FnMut(Document),
    ) -> Result<(), StoreError> {
        self.cache().visit_collection(room, collection, visit)
    }

    /// Which indexes there are from now on. They are built where they are missing, when they are needed first.
    fn declare_indexes(&mut self, indexes: Indexes) {
        self.cache_mut().declare_indexes(indexes);
    }

    /// The indexes of a collection.
    fn indexes(&self, collection: &Collection) -> &[Index] {
        self.cache().indexes(collection)
    }

    /// Visits the live documents in a part of an index, in no particular order.
    fn visit_range(
        &self,
        room: &Room,
        collection: &Collection,
        range: &IndexRange,
        visit: &mut dyn FnMut(Document),
    ) -> Result<(), StoreError> {
        self.cache().visit_range(room, collection, range, visit)
    }

    /// Visits the entries in a part of an index, in their order: the values' key, and the id. Returns false, and has
    /// visited nothing, where the index cannot be had.
    fn visit_entries(
        &self,
        room: &Room,
        collection: &Collection,
        range: &IndexRange,
        visit: &mut dyn FnMut(&[u8], DocumentId),
    ) -> Result<bool, StoreError> {
        self.cache().visit_entries(room, collection, range, visit)
    }

    /// Every room the cache knows.
    fn rooms(&self) -> Result<Vec<(Room, RoomState)>, StoreError> {
        self.cache().rooms()
    }

    /// What the documents of each room take, in bytes, without the overhead of whatever keeps them.
    fn room_bytes(&self) -> Result<Vec<(Room, u64)>, StoreError> {
        self.cache().room_bytes()
    }

    /// The version of the app's schema that the cache has; `None` if none was noted.
    fn cache_schema_version(&self) -> Result<Option<u32>, StoreError> {
        self.cache().schema_version()
    }

    /// Writes the cache anew, in the app's schema of this version, and gives back what the rest took on the disk: a
    /// crash leaves the old one or the new one.
    fn rewrite_cache(
        &mut self,
        schema_version: Option<u32>,
        retain: &mut dyn Retain,
    ) -> Result<(), StoreError> {
        self.cache_mut().rewrite(schema_version, retain)
    }

    /// Writes the cache anew without these rooms.
    fn evict(&mut self, rooms: &BTreeSet<Room>) -> Result<(), StoreError> {
        let schema_version = self.cache_schema_version()?;
        self.rewrite_cache(schema_version, &mut Without(rooms))
    }

    /// Applies a change to the cache; on an error nothing of it is visible.
    fn apply(&mut self, room: &Room, update: &RoomUpdate<'_>) -> Result<(), StoreError> {
        self.cache_mut().apply(room, update)
    }

    /// As [`apply`](Self::apply), for who does not need the documents any more.
    fn apply_owned(&mut self, room: &Room, update: OwnedUpdate) -> Result<(), StoreError> {
        self.apply(room, &update.borrowed())
    }

    /// Why the cache was lost, if it was since the last call. Any call may lose it, also a read: whoever caches what
    /// it read must ask.
    fn take_loss(&mut self) -> Option<String> {
        self.cache_mut().take_loss()
    }

    /// See [`Cache::spill`].
    fn spill(&mut self) -> Result<Spilled, StoreError> {
        self.cache_mut().spill()
    }

    /// Makes the cache durable, then commits what waited for it.
    fn flush(&mut self) -> Result<(), StoreError>;

    fn stats(&self) -> StoreStats;
}

/// The half of a store that may lag behind or vanish: documents and cursors. After an error it holds what it held
/// before, or it is lost and empty; see [`take_loss`](Self::take_loss).
pub trait Cache: std::fmt::Debug {
    /// See [`Store::document`].
    fn document(&self, key: &DocumentKey) -> Result<Option<Document>, StoreError>;

    /// See [`Store::visit_collection`].
    fn visit_collection(
        &self,
        room: &Room,
        collection: &Collection,
        visit: &mut dyn FnMut(Document),
    ) -> Result<(), StoreError>;

    /// See [`Store::declare_indexes`]. A cache may do without.
    fn declare_indexes(&mut self, _: Indexes) {}

    /// The indexes of a collection that the cache has.
    fn indexes(&self, _: &Collection) -> &[Index] {
        &[]
    }

    /// Visits the documents in a part of an index, and any others of the collection.
    fn visit_range(
        &self,
        room: &Room,
        collection: &Collection,
        _: &IndexRange,
        visit: &mut dyn FnMut(Document),
    ) -> Result<(), StoreError> {
        self.visit_collection(room, collection, visit)
    }

    /// See [`Store::visit_entries`].
    fn visit_entries(
        &self,
        _: &Room,
        _: &Collection,
        _: &IndexRange,
        _: &mut dyn FnMut(&[u8], DocumentId),
    ) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// See [`Store::rooms`].
    fn rooms(&self) -> Result<Vec<(Room, RoomState)>, StoreError>;

    /// See [`Store::room_bytes`].
    fn room_bytes(&self) -> Result<Vec<(Room, u64)>, StoreError>;

    /// See [`Store::cache_schema_version`].
    fn schema_version(&self) -> Result<Option<u32>, StoreError>;

    /// See [`Store::rewrite_cache`]. All of it is durable afterwards.
    fn rewrite(&mut self, schema_version: Option<u32>, retain: &mut dyn Retain) -> Result<(), StoreError>;

    /// Applies a change, visible at once and durable at the latest after the next [`flush`](Self::flush). After a
    /// crash the changes since the last flush are there up to some point in their order, each whole or not at all.
    /// Nothing is added to a cache that was lost before [`take_loss`](Self::take_loss) was asked.
    fn apply(&mut self, room: &Room, update: &RoomUpdate<'_>) -> Result<(), StoreError>;

    /// See [`Store::apply_owned`].
    fn apply_owned(&mut self, room: &Room, update: OwnedUpdate) -> Result<(), StoreError> {
        self.apply(room, &update.borrowed())
    }

    /// Does a part of what a [`flush`](Self::flush) would have to do, so that nobody waits long for it.
    fn spill(&mut self) -> Result<Spilled, StoreError> {
        Ok(Spilled::All)
    }

    /// Makes every change durable.
    fn flush(&mut self) -> Result<(), StoreError>;

    /// See [`Store::take_loss`].
    fn take_loss(&mut self) -> Option<String>;

    /// In bytes; 0 if unknown.
    fn bytes_on_disk(&self) -> u64;
}
