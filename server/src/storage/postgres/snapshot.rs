//! What a transaction has read of a room, for the pure functions of the hub to work on.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use syncline_protocol::{ClientId, Collection, Document, Room, WireError};

use crate::hub::{Commit, DocumentKey, Extent, Head, Logged, PushStore, RoomStore, Tombstone};

/// A part of one room as it was at one moment, and what pushes made of it since.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) head: Head,
    pub(super) documents: HashMap<DocumentKey, Document>,
    /// Documents that exist and were too much to be read.
    pub(super) unread: HashSet<DocumentKey>,
    pub(super) owners: HashMap<ClientId, String>,
    pub(super) clients: HashMap<ClientId, ClientState>,
    pub(super) rejections: HashMap<(ClientId, u64), WireError>,
    pub(super) log: Log,
    /// The first ones of the room, in the order of their places.
    pub(super) tombstones: Vec<Tombstone>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ClientState {
    pub(super) last_client_seq: u64,
    /// How many are kept.
    pub(super) rejections: u64,
    pub(super) rejections_dropped_through: u64,
}

/// A stretch of the room's log.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// The place after which it begins.
    pub(super) after: u64,
    pub(super) entries: Vec<Logged>,
    /// Whether it goes to the end.
    pub(super) is_whole: bool,
}

/// A part of the room that is needed and was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotRead {
    Document,
    /// The log from another place on.
    LogAfter(u64),
}

impl Snapshot {
    /// Makes a push's effect, for the next push to see.
    pub(super) fn apply(&mut self, commit: &Commit) {
        self.head = commit.head;
        if let Some(owner) = &commit.owner {
            self.owners.insert(commit.client, owner.clone());
        }
        for written in &commit.documents {
            let document = &written.document;
            let key = (document.collection.clone(), document.id.clone());
            self.documents.insert(key, Document::clone(document));
        }
        let client = self.clients.entry(commit.client).or_default();
        client.last_client_seq = commit.last_client_seq;
        client.rejections += commit.rejections.len() as u64;
        for (client_seq, error) in &commit.rejections {
            self.rejections.insert((commit.client, *client_seq), error.clone());
        }
    }
}

impl PushStore for Snapshot {
    type Error = NotRead;

    fn head(&self, _: &Room) -> Result<Head, NotRead> {
        Ok(self.head)
    }

    fn document(&self, _: &Room, key: &DocumentKey) -> Result<Option<Document>, NotRead> {
        match self.documents.get(key) {
            Some(document) => Ok(Some(document.clone())),
            None if self.unread.contains(key) => Err(NotRead::Document),
            None => Ok(None),
        }
    }

    fn owner(&self, client: ClientId) -> Result<Option<String>, NotRead> {
        Ok(self.owners.get(&client).cloned())
    }

    fn last_client_seq(&self, _: &Room, client: ClientId) -> Result<u64, NotRead> {
        Ok(self.clients.get(&client).map_or(0, |client| client.last_client_seq))
    }

    fn rejection(&self, _: &Room, client: ClientId, client_seq: u64) -> Result<Option<WireError>, NotRead> {
        Ok(self.rejections.get(&(client, client_seq)).cloned())
    }

    fn rejections_dropped_through(&self, _: &Room, client: ClientId) -> Result<u64, NotRead> {
        Ok(self.clients.get(&client).map_or(0, |client| client.rejections_dropped_through))
    }
}

impl RoomStore for Snapshot {
    fn changes_after(
        &self,
        _: &Room,
        seq: u64,
        // Whoever read the stretch left out what is not wanted.
        _: &dyn Fn(&Collection) -> bool,
        visit: &mut dyn FnMut(Logged) -> ControlFlow<()>,
    ) -> Result<Extent, NotRead> {
        if seq != self.log.after {
            return Err(NotRead::LogAfter(seq));
        }
        for logged in &self.log.entries {
            if visit(logged.clone()).is_break() {
                return Ok(Extent::Part);
            }
        }
        Ok(if self.log.is_whole { Extent::Whole } else { Extent::Part })
    }

    fn tombstones(
        &self,
        _: &Room,
        visit: &mut dyn FnMut(Tombstone) -> ControlFlow<()>,
    ) -> Result<(), NotRead> {
        for tombstone in &self.tombstones {
            if visit(tombstone.clone()).is_break() {
                break;
            }
        }
        Ok(())
    }
}
