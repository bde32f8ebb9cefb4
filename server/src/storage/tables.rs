//! The trees of the embedded database, and a push's transaction over them.
//!
//! | tree | key | record |
//! |---|---|---|
//! | rooms | room | head, floor, how many tombstones |
//! | documents | room, collection, id, chunk | document, split |
//! | log | room, seq | collection and id of the document whose newest change stands there |
//! | tombstones | room, seq | when the deletion that stands there was committed |
//! | owners | client | user |
//! | clients | room, client | last number, how many rejections are kept, the last one that no longer is |
//! | rejections | room, client, number | why it was refused |
//! | applied | nothing | the number of the last commit |

mod copy;
mod list;
#[cfg(feature = "postgres")]
mod rows;

use std::convert::Infallible;
use std::fs::File;
use std::ops::{Bound, ControlFlow};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sled::transaction::{ConflictableTransactionError, TransactionError, Transactional};
use sled::{Batch, Db, Tree};
use syncline_protocol::{Checksum, ClientId, Collection, Document, Room, WireError};

#[cfg(feature = "postgres")]
pub(crate) use self::copy::moved_on;
pub(crate) use self::copy::{REVOCATIONS, Record, Walk};
#[cfg(feature = "postgres")]
pub(crate) use self::rows::{DocumentRow, Row, Rows};
use super::StorageError;
use super::codec::{
    chunk_key, client_key, decode, encode, later_chunk_key, log_key, read_first_chunk, read_last_number,
    read_room, rejection_key, room_end, split,
};
use super::opening::{is_locked, open_unlocked};
use crate::hub::{
    Commit, Compaction, DocumentKey, Extent, Head, Logged, PushStore, RoomStore, Tombstone, Written,
};

/// sled's log, which [`Tables::flush`] syncs itself.
const LOG_FILE: &str = "db";

/// The only key of its tree.
const APPLIED_KEY: &[u8] = b"";

#[derive(Debug)]
pub(crate) struct Tables {
    db: Db,
    log_file: File,
    rooms: Tree,
    documents: Tree,
    log: Tree,
    tombstones: Tree,
    owners: Tree,
    clients: Tree,
    rejections: Tree,
    applied: Tree,
    rejections_kept_max: usize,
}

#[derive(Serialize, Deserialize)]
struct HeadRecord {
    seq: u64,
    checksum: Checksum,
    // Absent from records of before deletions were purged.
    #[serde(default)]
    floor: u64,
    #[serde(default)]
    tombstones: u64,
}

#[derive(Default, Serialize, Deserialize)]
struct ClientRecord {
    last_client_seq: u64,
    rejections: u64,
    #[serde(default)]
    rejections_dropped_through: u64,
}

/// One transaction's writes, per tree.
#[derive(Default)]
struct Writes {
    rooms: Batch,
    documents: Batch,
    log: Batch,
    tombstones: Batch,
    owners: Batch,
    clients: Batch,
    rejections: Batch,
    applied: Batch,
}

impl Tables {
    /// Opens the database in a folder, which is made when missing. A folder in use by another process is refused.
    pub(crate) fn open(
        path: &Path,
        cache_bytes: u64,
        rejections_kept_max: usize,
    ) -> Result<Self, StorageError> {
        let failed = |reason: String| StorageError::Open { path: path.to_owned(), reason };
        std::fs::create_dir_all(path).map_err(|error| failed(error.to_string()))?;
        remove_interrupted_snapshots(path).map_err(|error| failed(error.to_string()))?;
        // A damaged file can make sled panic.
        let opened = std::panic::catch_unwind(|| open_unlocked(path, cache_bytes));
        let db = match opened {
            Ok(Ok(db)) => db,
            Ok(Err(error)) if is_locked(&error) => {
                return Err(StorageError::InUse { path: path.to_owned() });
            }
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(_) => return Err(failed("its files are damaged".to_owned())),
        };
        let tree = |name: &str| db.open_tree(name).map_err(|error| failed(error.to_string()));
        let log_file = File::open(path.join(LOG_FILE)).map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            log_file,
            rooms: tree("rooms")?,
            documents: tree("documents")?,
            log: tree("log")?,
            tombstones: tree("tombstones")?,
            owners: tree("owners")?,
            clients: tree("clients")?,
            rejections: tree("rejections")?,
            applied: tree("applied")?,
            db,
            rejections_kept_max,
        })
    }

    /// Makes everything written so far durable.
    ///
    /// On Linux sled ends its own flush with `sync_file_range`, which leaves the file's size and the drive's cache
    /// to chance, so its log file is synced as well. That covers every record: none is large enough for sled to
    /// keep it in a file of its own.
    pub(crate) fn flush(&self) -> Result<(), StorageError> {
        self.db.flush()?;
        self.log_file.sync_data()?;
        Ok(())
    }

    /// Makes a push's effect in one transaction, and notes its number.
    pub(crate) fn apply(&self, commit: &Commit, number: u64) -> Result<(), StorageError> {
        let mut writes = self.writes(commit)?;
        writes.applied.insert(APPLIED_KEY, encode(&number)?);
        self.write(&writes)
    }

    /// The number of the last commit, 0 for none.
    pub(crate) fn applied(&self) -> Result<u64, StorageError> {
        self.applied.get(APPLIED_KEY)?.map_or(Ok(0), |bytes| decode("applied", &bytes))
    }

    /// Removes tombstones in one transaction.
    pub(crate) fn compact(&self, compaction: &Compaction) -> Result<(), StorageError> {
        let Compaction { room, head, removed } = compaction;
        let mut writes = Writes::default();
        writes.rooms.insert(room.as_str(), encode(&HeadRecord::from(*head))?);
        for tombstone in removed {
            writes.log.remove(log_key(room, tombstone.seq));
            writes.tombstones.remove(log_key(room, tombstone.seq));
            let names = names(&tombstone.key);
            for chunk in 0..self.chunk_count(room, names)? {
                writes.documents.remove(chunk_key(room, names, chunk));
            }
        }
        self.write(&writes)
    }

    /// The rooms after this one, in the order of their names, and where the log of each ends.
    pub(crate) fn rooms(&self, after: Option<&Room>, limit: usize) -> Result<Vec<(Room, u64)>, StorageError> {
        let start = after.map(room_end).unwrap_or_default();
        let mut rooms = Vec::new();
        for entry in self.rooms.range(start..).take(limit) {
            let room = read_room("rooms", &entry?.0)?;
            let seq = self.head(&room)?.seq;
            rooms.push((room, seq));
        }
        Ok(rooms)
    }

    /// The first room after this one, in the order of their names, that holds tombstones.
    pub(crate) fn room_with_tombstones(&self, after: Option<&Room>) -> Result<Option<Room>, StorageError> {
        let start = after.map(room_end).unwrap_or_default();
        let Some(entry) = self.tombstones.range(start..).next() else { return Ok(None) };
        read_room("tombstones", &entry?.0).map(Some)
    }

    fn write(&self, writes: &Writes) -> Result<(), StorageError> {
        let trees = (
            &self.rooms,
            &self.documents,
            &self.log,
            &self.tombstones,
            &self.owners,
            &self.clients,
            &self.rejections,
            &self.applied,
        );
        let outcome: Result<(), TransactionError<Infallible>> =
            trees.transaction(|(rooms, documents, log, tombstones, owners, clients, rejections, applied)| {
                rooms.apply_batch(&writes.rooms)?;
                documents.apply_batch(&writes.documents)?;
                log.apply_batch(&writes.log)?;
                tombstones.apply_batch(&writes.tombstones)?;
                owners.apply_batch(&writes.owners)?;
                clients.apply_batch(&writes.clients)?;
                rejections.apply_batch(&writes.rejections)?;
                applied.apply_batch(&writes.applied)?;
                Ok::<(), ConflictableTransactionError<Infallible>>(())
            });
        match outcome {
            Ok(()) => Ok(()),
            Err(TransactionError::Storage(error)) => Err(error.into()),
            Err(TransactionError::Abort(never)) => match never {},
        }
    }

    fn writes(&self, commit: &Commit) -> Result<Writes, StorageError> {
        let Commit { room, client, .. } = commit;
        let mut writes = Writes::default();
        writes.rooms.insert(room.as_str(), encode(&HeadRecord::from(commit.head))?);
        if let Some(owner) = &commit.owner {
            writes.owners.insert(client.as_bytes(), encode(owner)?);
        }
        for Written { document, replaced } in &commit.documents {
            let key = (document.collection.clone(), document.id.clone());
            if let Some(replaced) = replaced {
                writes.log.remove(log_key(room, replaced.seq));
                if replaced.deleted {
                    writes.tombstones.remove(log_key(room, replaced.seq));
                }
            }
            if document.deleted {
                let key = log_key(room, document.seq);
                writes.tombstones.insert(key, encode(&commit.committed_at_ms)?);
            }
            writes.log.insert(log_key(room, document.seq), encode(&key)?);
            let chunks_before = match replaced {
                Some(_) => self.chunk_count(room, names(&key))?,
                None => 0,
            };
            write_document(&mut writes.documents, room, &key, document, chunks_before)?;
        }
        self.write_client(&mut writes, commit)?;
        Ok(writes)
    }

    fn document_named(&self, room: &Room, names: [&str; 2]) -> Result<Option<Document>, StorageError> {
        let key = chunk_key(room, names, 0);
        let Some(first) = self.documents.get(&key)? else { return Ok(None) };
        self.document_at(&key, &first).map(Some)
    }

    /// The document that begins with this chunk.
    fn document_at(&self, key: &[u8], first: &[u8]) -> Result<Document, StorageError> {
        let (count, part) = read_first_chunk("documents", first)?;
        if count == 1 {
            return decode("documents", part);
        }
        let mut bytes = part.to_vec();
        for chunk in 1..count {
            let Some(part) = self.documents.get(later_chunk_key(key, chunk))? else {
                let reason = format!("chunk {chunk} of {count} is missing");
                return Err(StorageError::Damaged { tree: "documents", reason });
            };
            bytes.extend_from_slice(&part);
        }
        decode("documents", &bytes)
    }

    /// How many chunks a document is in, 0 for one that does not exist.
    fn chunk_count(&self, room: &Room, names: [&str; 2]) -> Result<u16, StorageError> {
        match self.documents.get(chunk_key(room, names, 0))? {
            Some(first) => Ok(read_first_chunk("documents", &first)?.0),
            None => Ok(0),
        }
    }

    /// Notes the client's number and rejections, and drops the oldest of too many.
    fn write_client(&self, writes: &mut Writes, commit: &Commit) -> Result<(), StorageError> {
        let Commit { room, client, .. } = commit;
        let before = self.client(room, *client)?;
        let mut kept = before.rejections + commit.rejections.len() as u64;
        let mut dropped_through = before.rejections_dropped_through;
        for (client_seq, error) in &commit.rejections {
            writes.rejections.insert(rejection_key(room, *client, *client_seq), encode(error)?);
        }
        let surplus = kept.saturating_sub(self.rejections_kept_max as u64).min(before.rejections);
        let oldest = self.rejections.scan_prefix(client_key(room, *client)).keys();
        for key in oldest.take(usize::try_from(surplus).unwrap_or(usize::MAX)) {
            let key = key?;
            dropped_through = read_last_number("rejections", &key)?;
            writes.rejections.remove(key);
            kept -= 1;
        }
        let record = ClientRecord {
            last_client_seq: commit.last_client_seq,
            rejections: kept,
            rejections_dropped_through: dropped_through,
        };
        writes.clients.insert(client_key(room, *client), encode(&record)?);
        Ok(())
    }

    fn client(&self, room: &Room, client: ClientId) -> Result<ClientRecord, StorageError> {
        match self.clients.get(client_key(room, client))? {
            Some(bytes) => decode("clients", &bytes),
            None => Ok(ClientRecord::default()),
        }
    }
}

impl PushStore for Tables {
    type Error = StorageError;

    fn head(&self, room: &Room) -> Result<Head, StorageError> {
        let Some(bytes) = self.rooms.get(room.as_str())? else { return Ok(Head::default()) };
        decode::<HeadRecord>("rooms", &bytes).map(Head::from)
    }

    fn document(&self, room: &Room, key: &DocumentKey) -> Result<Option<Document>, StorageError> {
        self.document_named(room, names(key))
    }

    fn owner(&self, client: ClientId) -> Result<Option<String>, StorageError> {
        self.owners.get(client.as_bytes())?.map(|bytes| decode("owners", &bytes)).transpose()
    }

    fn last_client_seq(&self, room: &Room, client: ClientId) -> Result<u64, StorageError> {
        self.client(room, client).map(|client| client.last_client_seq)
    }

    fn rejection(
        &self,
        room: &Room,
        client: ClientId,
        client_seq: u64,
    ) -> Result<Option<WireError>, StorageError> {
        let record = self.rejections.get(rejection_key(room, client, client_seq))?;
        record.map(|bytes| decode("rejections", &bytes)).transpose()
    }

    fn rejections_dropped_through(&self, room: &Room, client: ClientId) -> Result<u64, StorageError> {
        self.client(room, client).map(|client| client.rejections_dropped_through)
    }
}

impl RoomStore for Tables {
    fn tombstones(
        &self,
        room: &Room,
        visit: &mut dyn FnMut(Tombstone) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        for entry in self.tombstones.range(log_key(room, 0)..=log_key(room, u64::MAX)) {
            let (place, deleted_at_ms) = entry?;
            let seq = read_last_number("tombstones", &place)?;
            let Some(key) = self.log.get(&place)? else {
                let reason = format!("nothing stands in the log at {seq}");
                return Err(StorageError::Damaged { tree: "tombstones", reason });
            };
            let deleted_at_ms = decode("tombstones", &deleted_at_ms)?;
            if visit(Tombstone { seq, deleted_at_ms, key: decode("log", &key)? }).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn changes_after(
        &self,
        room: &Room,
        seq: u64,
        is_wanted: &dyn Fn(&Collection) -> bool,
        visit: &mut dyn FnMut(Logged) -> ControlFlow<()>,
    ) -> Result<Extent, StorageError> {
        let after = Bound::Excluded(log_key(room, seq));
        let last = Bound::Included(log_key(room, u64::MAX));
        for entry in self.log.range((after, last)) {
            let (place, bytes) = entry?;
            let key: DocumentKey = decode("log", &bytes)?;
            let logged = if is_wanted(&key.0) {
                let Some(document) = self.document(room, &key)? else {
                    let reason = "it names a document that is missing".to_owned();
                    return Err(StorageError::Damaged { tree: "log", reason });
                };
                Logged::Wanted(document)
            } else {
                Logged::Unwanted { seq: read_last_number("log", &place)? }
            };
            if visit(logged).is_break() {
                return Ok(Extent::Part);
            }
        }
        Ok(Extent::Whole)
    }
}

/// Writes a document in place of one that is in so many chunks.
fn write_document(
    writes: &mut Batch,
    room: &Room,
    key: &DocumentKey,
    document: &Document,
    chunks_before: u16,
) -> Result<(), StorageError> {
    let chunks = split(&encode(document)?)?;
    let count = u16::try_from(chunks.len()).unwrap_or(u16::MAX);
    let names = names(key);
    for surplus in count..chunks_before {
        writes.remove(chunk_key(room, names, surplus));
    }
    for (chunk, part) in (0..count).zip(chunks) {
        writes.insert(chunk_key(room, names, chunk), part);
    }
    Ok(())
}

/// A document's key as its place in the tree is made of it.
fn names((collection, id): &DocumentKey) -> [&str; 2] {
    [collection.as_str(), id.as_str()]
}

impl From<Head> for HeadRecord {
    fn from(Head { seq, checksum, floor, tombstones }: Head) -> Self {
        Self { seq, checksum, floor, tombstones }
    }
}

impl From<HeadRecord> for Head {
    fn from(HeadRecord { seq, checksum, floor, tombstones }: HeadRecord) -> Self {
        Self { seq, checksum, floor, tombstones }
    }
}

/// An interrupted snapshot otherwise keeps sled from opening, for ever.
fn remove_interrupted_snapshots(path: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;
