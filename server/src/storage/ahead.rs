//! The tables, and commits that are ahead of them: durable in a log of their own, and seen by the next push at once. The
//! tables get them later, in their order: they take several times as long for a document as everything before them.

use std::collections::{HashMap, VecDeque};
use std::path::Path;

use syncline_protocol::{ClientId, Document, Room, WireError};

use super::StorageError;
use super::ahead_log::AheadLog;
use super::tables::Tables;
use crate::config::StorageConfig;
use crate::hub::{Commit, Compaction, DocumentKey, Head, PushStore};

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Ahead {
    tables: Tables,
    log: AheadLog,
    /// In their order.
    waiting: VecDeque<Waiting>,
    /// The number of the first of them.
    first: u64,
    bytes: usize,
    bytes_max: usize,
    /// What they add up to.
    rooms: HashMap<Room, WaitingRoom>,
    owners: HashMap<ClientId, (u64, String)>,
}

#[derive(Debug)]
struct Waiting {
    commit: Commit,
    bytes: usize,
}

#[derive(Debug, Default)]
struct WaitingRoom {
    commits: usize,
    /// Whether the tables hold anything of the room: otherwise they need not be asked for a document.
    is_in_tables: bool,
    head: Head,
    /// The newest version of each document: the number of its commit, and its place there.
    documents: HashMap<DocumentKey, (u64, usize)>,
    /// The number of the last commit, and the client's last number in it.
    clients: HashMap<ClientId, (u64, u64)>,
}

impl Ahead {
    /// Opens the database in a folder; see [`Tables::open`].
    pub(crate) fn open(path: &Path, config: &StorageConfig) -> Result<Self, StorageError> {
        let tables = Tables::open(path, config.cache_bytes, config.rejections_kept_max)?;
        let applied = tables.applied()?;
        let (log, replayed) = AheadLog::open(path, config.ahead_file_bytes, applied)?;
        let mut ahead = Self {
            tables,
            log,
            waiting: VecDeque::new(),
            first: applied + 1,
            bytes: 0,
            bytes_max: config.ahead_bytes_max,
            rooms: HashMap::new(),
            owners: HashMap::new(),
        };
        for (number, commit) in replayed {
            ahead.put(number, commit, 0)?;
            ahead.write_first()?;
        }
        Ok(ahead)
    }

    /// Makes a push's effect. It is durable after the next [`sync`](Self::sync).
    pub(crate) fn commit(&mut self, commit: Commit) -> Result<(), StorageError> {
        let (number, bytes) = self.log.append(&commit)?;
        let is_refused_in_part = !commit.rejections.is_empty();
        self.put(number, commit, bytes)?;
        // Which rejections are kept is known in the tables only.
        while self.bytes > self.bytes_max || (is_refused_in_part && !self.waiting.is_empty()) {
            self.write_first()?;
        }
        Ok(())
    }

    /// Makes every commit durable.
    pub(crate) fn sync(&mut self) -> Result<(), StorageError> {
        self.log.sync()?;
        let Some(in_the_other) = self.log.is_full() else { return Ok(()) };
        while self.first <= in_the_other {
            self.write_first()?;
        }
        self.tables.flush()?;
        self.log.begin_other();
        Ok(())
    }

    /// What the next [`sync`](Self::sync) makes durable, in bytes.
    pub(crate) fn unsynced_bytes(&self) -> usize {
        self.log.group_bytes()
    }

    /// Whether the tables lack anything.
    pub(crate) fn is_ahead(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Brings the tables one commit further.
    pub(crate) fn write_first(&mut self) -> Result<(), StorageError> {
        let Some(Waiting { commit, .. }) = self.waiting.front() else { return Ok(()) };
        let number = self.first;
        self.tables.apply(commit, number)?;
        let Some(Waiting { commit, bytes }) = self.waiting.pop_front() else { return Ok(()) };
        self.first += 1;
        self.bytes -= bytes;
        if self.owners.get(&commit.client).is_some_and(|(last, _)| *last == number) {
            self.owners.remove(&commit.client);
        }
        let Some(room) = self.rooms.get_mut(&commit.room) else { return Ok(()) };
        room.commits -= 1;
        room.is_in_tables = true;
        if room.commits == 0 {
            self.rooms.remove(&commit.room);
            return Ok(());
        }
        if room.clients.get(&commit.client).is_some_and(|(last, _)| *last == number) {
            room.clients.remove(&commit.client);
        }
        for written in commit.documents {
            let key = (written.document.collection.clone(), written.document.id.clone());
            if room.documents.get(&key).is_some_and(|(last, _)| *last == number) {
                room.documents.remove(&key);
            }
        }
        Ok(())
    }

    /// The tables, which hold all of a room.
    pub(crate) fn with_all_of(&mut self, room: &Room) -> Result<&Tables, StorageError> {
        if self.rooms.contains_key(room) { self.with_all() } else { Ok(&self.tables) }
    }

    /// The tables, which hold everything.
    pub(crate) fn with_all(&mut self) -> Result<&Tables, StorageError> {
        while self.is_ahead() {
            self.write_first()?;
        }
        Ok(&self.tables)
    }

    /// Removes tombstones of a room of which the tables hold all. Durable after the next [`flush`](Self::flush).
    pub(crate) fn compact(&self, compaction: &Compaction) -> Result<(), StorageError> {
        self.tables.compact(compaction)
    }

    /// Makes durable what the tables hold.
    pub(crate) fn flush(&self) -> Result<(), StorageError> {
        self.tables.flush()
    }

    fn put(&mut self, number: u64, commit: Commit, bytes: usize) -> Result<(), StorageError> {
        let client = commit.client;
        if let Some(owner) = &commit.owner {
            self.owners.insert(client, (number, owner.clone()));
        }
        if !self.rooms.contains_key(&commit.room) {
            let is_in_tables = self.tables.head(&commit.room)? != Head::default();
            self.rooms.insert(commit.room.clone(), WaitingRoom { is_in_tables, ..WaitingRoom::default() });
        }
        if let Some(room) = self.rooms.get_mut(&commit.room) {
            room.commits += 1;
            room.head = commit.head;
            room.clients.insert(client, (number, commit.last_client_seq));
            for (place, written) in commit.documents.iter().enumerate() {
                let key = (written.document.collection.clone(), written.document.id.clone());
                room.documents.insert(key, (number, place));
            }
        }
        self.bytes += bytes;
        self.waiting.push_back(Waiting { commit, bytes });
        Ok(())
    }

    fn waiting_document(&self, room: &Room, key: &DocumentKey) -> Option<&Document> {
        let (number, place) = self.rooms.get(room)?.documents.get(key)?;
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.waiting.get(index)?.commit.documents.get(*place).map(|written| &*written.document)
    }
}

impl PushStore for Ahead {
    type Error = StorageError;

    fn head(&self, room: &Room) -> Result<Head, StorageError> {
        match self.rooms.get(room) {
            Some(waiting) => Ok(waiting.head),
            None => self.tables.head(room),
        }
    }

    fn document(&self, room: &Room, key: &DocumentKey) -> Result<Option<Document>, StorageError> {
        match self.waiting_document(room, key) {
            Some(document) => Ok(Some(document.clone())),
            None if self.rooms.get(room).is_some_and(|room| !room.is_in_tables) => Ok(None),
            None => self.tables.document(room, key),
        }
    }

    fn owner(&self, client: ClientId) -> Result<Option<String>, StorageError> {
        match self.owners.get(&client) {
            Some((_, owner)) => Ok(Some(owner.clone())),
            None => self.tables.owner(client),
        }
    }

    fn last_client_seq(&self, room: &Room, client: ClientId) -> Result<u64, StorageError> {
        match self.rooms.get(room).and_then(|room| room.clients.get(&client)) {
            Some((_, last_client_seq)) => Ok(*last_client_seq),
            None => self.tables.last_client_seq(room, client),
        }
    }

    fn rejection(
        &self,
        room: &Room,
        client: ClientId,
        client_seq: u64,
    ) -> Result<Option<WireError>, StorageError> {
        self.tables.rejection(room, client, client_seq)
    }

    fn rejections_dropped_through(&self, room: &Room, client: ClientId) -> Result<u64, StorageError> {
        self.tables.rejections_dropped_through(room, client)
    }
}

#[cfg(test)]
#[path = "ahead_tests.rs"]
mod tests;
