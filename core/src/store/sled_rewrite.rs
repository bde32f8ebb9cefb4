//! How the database is written anew: sled never gives back what its file has taken, and a migration must not stop
//! half-way. So what is kept is copied into a fresh folder, which then takes the place of the old one.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use syncline_protocol::{Document, Room};

use super::cached_document::{Digest, stored_bytes};
use super::database::{Database, Failure, Writes};
use super::file_system::{FileSystem, OsFiles};
use super::room_change::{RoomChange, document_key};
use super::sled_index::EnsureRoom;
use super::{Indexes, Retain, RoomState, RoomUpdate};

/// What one transaction of a copy writes, in bytes, unless a single document is larger.
const WRITE_BYTES: u64 = 256 << 10;

const FRESH_EXTENSION: &str = "fresh";
const OLD_EXTENSION: &str = "old";

/// The folder of the database, and those that are there only while it is written anew.
#[derive(Debug)]
pub(super) struct Folders {
    current: PathBuf,
    /// What is being copied; complete once `old` is there.
    pub(super) fresh: PathBuf,
    /// What was `current`.
    old: PathBuf,
}

impl Folders {
    pub(super) fn of(current: &Path) -> Self {
        Self {
            current: current.to_owned(),
            fresh: current.with_extension(FRESH_EXTENSION),
            old: current.with_extension(OLD_EXTENSION),
        }
    }

    /// Ends a switch that was interrupted, and forgets a copy that was.
    pub(super) fn settle(&self) -> io::Result<()> {
        if self.old.exists() && !self.current.exists() && self.fresh.exists() {
            fs::rename(&self.fresh, &self.current)?;
            self.sync_parent()?;
        }
        self.forget_others()
    }

    /// Removes everything but the folder of the database.
    pub(super) fn forget_others(&self) -> io::Result<()> {
        remove_folder(&self.fresh)?;
        remove_folder(&self.old)
    }

    /// Puts the copy, which must be durable and closed, in the place of the database, which must be closed.
    pub(super) fn switch(&self) -> io::Result<()> {
        OsFiles.sync_directory(&self.fresh)?;
        self.sync_parent()?;
        fs::rename(&self.current, &self.old)?;
        self.settle()
    }

    fn sync_parent(&self) -> io::Result<()> {
        self.current.parent().map_or(Ok(()), |parent| OsFiles.sync_directory(parent))
    }
}

pub(super) fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Copies what is kept.
pub(super) fn copy(
    from: &Database,
    to: &Database,
    indexes: &Indexes,
    ensure_room: EnsureRoom<'_>,
    retain: &mut dyn Retain,
) -> Result<(), Failure> {
    let mut changes = from.changes()?;
    for (room, cached) in from.all_rooms()? {
        let Some(state) = retain.room(&room, cached.state) else { continue };
        let documents = BTreeMap::new();
        let mut batch = Batch { to, indexes, ensure_room, room: &room, state, documents, bytes: 0 };
        let mut found = Digest::default();
        for item in from.documents.scan_prefix(from.layout.room_prefix(&room)) {
            let (key, value) = item?;
            found.add(&key, &value);
            let document_bytes = stored_bytes(&key, &value)?;
            let document = from.read(&key, &value)?;
            let collection = document.collection.clone();
            let Some(document) = retain.document(document) else { continue };
            let key = document_key(&to.layout, &room, &document);
            // One that moves leaves the document that it finds.
            if document.collection == collection || !batch.holds(&key)? {
                batch.bytes += document_bytes;
                batch.documents.insert(key, document);
            }
            if batch.bytes >= WRITE_BYTES {
                changes += 1;
                batch.write(changes)?;
            }
        }
        if found != cached.digest {
            // The copy would count as whole.
            return Err("documents are missing".into());
        }
        changes += 1;
        batch.write(changes)?;
    }
    // Where nothing is kept as well: fewer changes than were flushed once are taken for damage.
    to.write(&Writes::default(), changes + 1)
}

/// Documents of one room that are written together.
struct Batch<'a> {
    to: &'a Database,
    indexes: &'a Indexes,
    ensure_room: EnsureRoom<'a>,
    room: &'a Room,
    state: RoomState,
    documents: BTreeMap<Vec<u8>, Document>,
    bytes: u64,
}

impl Batch<'_> {
    fn holds(&self, key: &[u8]) -> Result<bool, Failure> {
        Ok(self.documents.contains_key(key) || self.to.documents.contains_key(key)?)
    }

    fn write(&mut self, changes: u64) -> Result<(), Failure> {
        self.bytes = 0;
        let documents: Vec<Document> = std::mem::take(&mut self.documents).into_values().collect();
        let update = RoomUpdate { reset: false, documents: &documents, state: self.state };
        let change = RoomChange::new(&self.to.layout, self.room, &update, self.indexes)
            .map_err(|error| error.to_string())?;
        let writes = change.writes(self.to, self.to.room(self.room)?)?;
        (self.ensure_room)(change.byte_len() + writes.index_bytes)?;
        self.to.write(&writes, changes)
    }
}

#[cfg(test)]
#[path = "sled_rewrite_tests.rs"]
mod tests;
