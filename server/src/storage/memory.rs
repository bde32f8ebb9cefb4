//! Rooms in memory, for tests and simulations.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::ControlFlow;

use syncline_protocol::{ClientId, Collection, Document, Room, WireError};

use crate::hub::{
    Commit, Compaction, DocumentKey, Extent, Head, Logged, PushStore, RoomStore, Tombstone, Written,
};

/// A [`RoomStore`] that forgets everything with the process.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    rooms: BTreeMap<Room, RoomState>,
    owners: BTreeMap<ClientId, String>,
    rejections_kept_max: usize,
}

#[derive(Debug, Clone, Default)]
struct RoomState {
    head: Head,
    documents: BTreeMap<DocumentKey, Document>,
    log: BTreeMap<u64, DocumentKey>,
    /// When each deletion was committed, by its place in the log.
    tombstones: BTreeMap<u64, u64>,
    clients: BTreeMap<ClientId, ClientState>,
}

#[derive(Debug, Clone, Default)]
struct ClientState {
    last_client_seq: u64,
    rejections: BTreeMap<u64, WireError>,
    rejections_dropped_through: u64,
}

impl MemoryStore {
    pub fn new(rejections_kept_max: usize) -> Self {
        Self { rooms: BTreeMap::new(), owners: BTreeMap::new(), rejections_kept_max }
    }

    /// Makes the effect of a push, as a transaction would.
    pub fn apply(&mut self, commit: Commit) {
        if let Some(owner) = commit.owner {
            self.owners.insert(commit.client, owner);
        }
        let room = self.rooms.entry(commit.room).or_default();
        room.head = commit.head;
        for Written { document, replaced } in commit.documents {
            let key = (document.collection.clone(), document.id.clone());
            if let Some(replaced) = replaced {
                room.log.remove(&replaced.seq);
                room.tombstones.remove(&replaced.seq);
            }
            if document.deleted {
                room.tombstones.insert(document.seq, commit.committed_at_ms);
            }
            room.log.insert(document.seq, key.clone());
            room.documents.insert(key, document.into_document());
        }
        let client = room.clients.entry(commit.client).or_default();
        client.last_client_seq = commit.last_client_seq;
        client.rejections.extend(commit.rejections);
        while client.rejections.len() > self.rejections_kept_max
            && let Some((client_seq, _)) = client.rejections.pop_first()
        {
            client.rejections_dropped_through = client_seq;
        }
    }

    /// Removes tombstones, as a transaction would.
    pub fn compact(&mut self, compaction: Compaction) {
        let room = self.rooms.entry(compaction.room).or_default();
        room.head = compaction.head;
        for tombstone in compaction.removed {
            room.log.remove(&tombstone.seq);
            room.tombstones.remove(&tombstone.seq);
            room.documents.remove(&tombstone.key);
        }
    }

    /// Every document of a room, deleted ones included.
    pub fn documents(&self, room: &Room) -> impl Iterator<Item = &Document> {
        self.rooms.get(room).into_iter().flat_map(|room| room.documents.values())
    }
}

impl PushStore for MemoryStore {
    type Error = Infallible;

    fn head(&self, room: &Room) -> Result<Head, Infallible> {
        Ok(self.rooms.get(room).map(|room| room.head).unwrap_or_default())
    }

    fn document(&self, room: &Room, key: &DocumentKey) -> Result<Option<Document>, Infallible> {
        Ok(self.rooms.get(room).and_then(|room| room.documents.get(key)).cloned())
    }

    fn owner(&self, client: ClientId) -> Result<Option<String>, Infallible> {
        Ok(self.owners.get(&client).cloned())
    }

    fn last_client_seq(&self, room: &Room, client: ClientId) -> Result<u64, Infallible> {
        let client = self.rooms.get(room).and_then(|room| room.clients.get(&client));
        Ok(client.map_or(0, |client| client.last_client_seq))
    }

    fn rejection(
        &self,
        room: &Room,
        client: ClientId,
        client_seq: u64,
    ) -> Result<Option<WireError>, Infallible> {
        let client = self.rooms.get(room).and_then(|room| room.clients.get(&client));
        Ok(client.and_then(|client| client.rejections.get(&client_seq)).cloned())
    }

    fn rejections_dropped_through(&self, room: &Room, client: ClientId) -> Result<u64, Infallible> {
        let client = self.rooms.get(room).and_then(|room| room.clients.get(&client));
        Ok(client.map_or(0, |client| client.rejections_dropped_through))
    }
}

impl RoomStore for MemoryStore {
    fn tombstones(
        &self,
        room: &Room,
        visit: &mut dyn FnMut(Tombstone) -> ControlFlow<()>,
    ) -> Result<(), Infallible> {
        let Some(room) = self.rooms.get(room) else { return Ok(()) };
        for (&seq, &deleted_at_ms) in &room.tombstones {
            let Some(key) = room.log.get(&seq).cloned() else { continue };
            if visit(Tombstone { seq, deleted_at_ms, key }).is_break() {
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
    ) -> Result<Extent, Infallible> {
        let Some(room) = self.rooms.get(room) else { return Ok(Extent::Whole) };
        let newer = room.log.range((std::ops::Bound::Excluded(seq), std::ops::Bound::Unbounded));
        for document in newer.filter_map(|(_, key)| room.documents.get(key)) {
            let logged = match is_wanted(&document.collection) {
                true => Logged::Wanted(document.clone()),
                false => Logged::Unwanted { seq: document.seq },
            };
            if visit(logged).is_break() {
                return Ok(Extent::Part);
            }
        }
        Ok(Extent::Whole)
    }
}
