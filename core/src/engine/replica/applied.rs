//! A change of the cache, and what it means for the rest of the engine.

use syncline_protocol::{Checksum, Document, HybridTime, Room};

use super::super::query::Queries;
use crate::store::{DocumentKey, OwnedUpdate, RoomState, Store, StoreError};

/// What an applied page or live change means for the rest of the engine.
#[derive(Debug, Default)]
pub struct Applied {
    /// Documents that somebody watches, whose confirmed state changed, and what it is; `None` for a deleted one.
    pub changed: Vec<(DocumentKey, Option<Document>)>,
    /// How many documents changed, watched or not.
    pub count: u64,
    /// Whether all of the room's documents may have changed.
    pub reset: bool,
    /// The newest time at which any of them was written.
    pub newest_time: Option<HybridTime>,
    /// Where the server's log ends, if this was its last page.
    pub log_end: Option<u64>,
    /// What to ask for next.
    pub next: NextPull,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum NextPull {
    #[default]
    Nothing,
    /// The page after this cursor.
    After(u64),
    /// What was asked for already.
    Asked,
    /// The next page, but not at once: the server has this room start over again and again.
    Later,
}

/// Gives a change to the cache, and keeps of it what is watched.
pub(super) fn apply(
    room: &Room,
    update: OwnedUpdate,
    queries: &Queries,
    store: &mut dyn Store,
) -> Result<Applied, StoreError> {
    let applied = Applied::of(room, &update, queries);
    store.apply_owned(room, update)?;
    Ok(applied)
}

impl Applied {
    fn of(room: &Room, OwnedUpdate { reset, documents, .. }: &OwnedUpdate, queries: &Queries) -> Self {
        let newest_time = newest_time(documents);
        let watched = documents.iter().filter(|document| queries.reach(room, &document.collection));
        let changed = watched.map(|document| {
            let live = Some(document).filter(|document| !document.deleted);
            (key(room, document), live.cloned())
        });
        Self {
            changed: changed.collect(),
            count: documents.len() as u64,
            reset: *reset,
            newest_time,
            ..Self::default()
        }
    }
}

/// When the newest of these was written.
pub(super) fn newest_time(documents: &[Document]) -> Option<HybridTime> {
    documents.iter().map(|document| document.newest_stamp().time).max()
}

/// The documents that are newer than what the cache holds, and the room's checksum with them.
pub(super) fn newer_than_cache(
    room: &Room,
    before: RoomState,
    changes: Vec<Document>,
    store: &dyn Store,
) -> Result<(Vec<Document>, Checksum), StoreError> {
    let mut checksum = before.checksum;
    let mut documents = Vec::with_capacity(changes.len());
    for document in changes {
        let is_news = before.cursor == 0 || before.is_news(&document);
        let cached = if is_news { None } else { store.document(&key(room, &document))? };
        if cached.as_ref().is_some_and(|cached| cached.seq >= document.seq) {
            continue;
        }
        let old = cached.map_or(Checksum::default(), |cached| cached.checksum());
        checksum = checksum.replace(old, document.checksum());
        documents.push(document);
    }
    Ok((documents, checksum))
}

fn key(room: &Room, document: &Document) -> DocumentKey {
    DocumentKey { room: room.clone(), collection: document.collection.clone(), id: document.id.clone() }
}
