//! What survives a restart. Two halves with different promises:
//!
//! - The **journal** holds what nothing else can rebuild: the client's identity, the outbox, conflicts that the app
//!   has not decided, and outcomes that it has not seen. [`Store::commit`] makes it durable.
//! - The **cache** holds documents and cursors. It may lag behind or vanish; the server and the journal rebuild it.

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
mod recovery;
mod room_change;
mod sealing;
mod sled_cache;
mod sled_index;
mod sled_rewrite;

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
pub use file_system::{FileSystem, OpenMode, OsFiles, RandomAccessFile};
pub use index::{INDEX_FIELDS_MAX, INDEXES_MAX, Index, IndexError, IndexRange, Indexes};
pub use lock::DirectoryLock;
pub use memory::MemoryStore;
pub(crate) use recovery::{job_records, queued_records};
pub use sled_cache::SledCache;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use syncline_protocol::{
    Checksum, ClientId, Collection, ConflictKind, Document, DocumentId, HybridTime, Mutation, Path, Room,
    WireError,
};

use crate::job::{EndedJob, Job, JobId};

/// One line of the journal. [`Recovered`] is what the lines add up to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// Stands first in every segment.
    Identity(Identity),
    /// Entries accepted together: all of them or none survive. Each replaces an earlier one with its number.
    Queued(Vec<Entry>),
    /// Nothing is left to send of the entry with this number.
    Settled { client_seq: u64 },
    /// An entry failed for good. It leaves the outbox, and the outcome stays until the app has seen it.
    Failed(Outcome),
    /// The app has seen the outcome of the write that it knows by this number.
    OutcomeSeen { client_seq: u64 },
    /// Entries take the place of those with these numbers: the same writes, sent again under new numbers.
    Resent { client_seqs: Vec<u64>, entries: Vec<Entry> },
    /// An entry met a conflict that the app decides. It leaves the outbox.
    Parked(Parked),
    /// The app decided about the parked write that it knows by this number; the entry is what is sent of it.
    Resolved { client_seq: u64, entry: Option<Entry> },
    /// Jobs accepted together, retried or edited. Each replaces whatever has its number.
    Jobs(Vec<Job>),
    /// A failed attempt used up one of the job's.
    JobAttempted { id: JobId, attempts: u32 },
    /// A job ended, and how is kept.
    JobEnded(EndedJob),
    /// Nothing is left of these jobs.
    JobsGone(Vec<JobId>),
    /// No job gets a number up to this one.
    LastJob { id: JobId },
}

/// Who this installation is, and how far its numbers and its clock have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub client_id: ClientId,
    /// No number up to this one may be used again.
    pub last_client_seq: u64,
    /// No stamp may be issued up to this one.
    pub last_time: HybridTime,
    /// The version of the app's schema that the journal's writes have; absent until one is noted.
    #[serde(default)]
    pub schema_version: Option<u32>,
    /// A hash of the name of the installation whose data this is; absent until one is told.
    #[serde(default)]
    pub installation: Option<u64>,
}

/// One accepted write, waiting to be applied by the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub room: Room,
    pub mutation: Mutation,
    /// When it was accepted, in milliseconds since the epoch.
    pub queued_at_ms: u64,
    /// How it was accepted; absent unless it was sent again under another number.
    #[serde(default)]
    pub accepted: Option<Accepted>,
}

/// The number and the time that a write was accepted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    pub client_seq: u64,
    pub time: HybridTime,
}

impl Entry {
    /// The number and the time that it was accepted with. The app knows it by this number for good.
    pub fn accepted(&self) -> Accepted {
        let Mutation { client_seq, time, .. } = self.mutation;
        self.accepted.unwrap_or(Accepted { client_seq, time })
    }
}

/// A write that the server refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub entry: Entry,
    pub error: WireError,
    /// What it was in conflict with, where that was the reason.
    #[serde(default)]
    pub conflict: Option<Conflict>,
}

/// What a write was in conflict with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
pub struct Conflict {
    pub kind: ConflictKind,
    /// The paths that both sides wrote.
    pub fields: Vec<Path>,
}

/// A write in conflict, waiting for the app's decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parked {
    pub entry: Entry,
    pub conflict: Conflict,
    /// What the server held, `None` for nothing.
    pub document: Option<Document>,
}

/// What the journal held when it was opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Recovered {
    pub identity: Identity,
    /// In the order of their numbers.
    pub entries: Vec<Entry>,
    /// In the order of their numbers.
    pub outcomes: Vec<Outcome>,
    /// In the order of the numbers that the app knows.
    pub parked: Vec<Parked>,
    /// No job gets a number up to this one.
    pub last_job: JobId,
    /// In the order of their numbers.
    pub jobs: Vec<Job>,
    /// In the order of their numbers.
    pub ended_jobs: Vec<EndedJob>,
    /// Damage that was found, cut off or set aside, for the log and for the app.
    pub damage: Vec<String>,
}

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

    /// Writes the journal anew from what is still alive, if enough of it is dead to make that worthwhile.
    /// `live` is asked for only then, and must begin with the identity.
    fn compact_if_worthwhile(&mut self, live: &mut dyn FnMut() -> Vec<Record>) -> Result<(), StoreError>;

    /// Writes the journal anew from these records, which begin with the identity: a crash leaves the old ones or the
    /// new ones. What waits for a flush is flushed first.
    fn replace_journal(&mut self, records: &[Record]) -> Result<(), StoreError>;

    /// The half of it that may be lost.
    fn cache(&self) -> &dyn Cache;

    fn cache_mut(&mut self) -> &mut dyn Cache;

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

    /// Why the cache was lost, if it was since the last call. Any call may lose it, also a read: whoever caches what
    /// it read must ask.
    fn take_loss(&mut self) -> Option<String> {
        self.cache_mut().take_loss()
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

    /// Makes every change durable.
    fn flush(&mut self) -> Result<(), StoreError>;

    /// See [`Store::take_loss`].
    fn take_loss(&mut self) -> Option<String>;

    /// In bytes; 0 if unknown.
    fn bytes_on_disk(&self) -> u64;
}
