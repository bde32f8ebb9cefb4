//! A document cache that promises no more than sled does.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use syncline::store::{Cache, DocumentKey, Retain, RoomState, RoomUpdate, StoreError};
use syncline_protocol::{Collection, Document, DocumentId, Room};

use super::disk::Space;
use super::mount::Mount;
use crate::random::Random;

/// What a document is taken to occupy, in bytes.
const DOCUMENT_BYTES: u64 = 256;

/// How a cache breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheFault {
    /// It is found broken once, and an empty one takes its place.
    Lost,
    /// It is found broken, and every operation fails until the store is opened again.
    Failing,
}

/// What the cache of one device holds, in memory and on the disk. Clones are handles of the same one.
#[derive(Debug, Clone, Default)]
pub struct CacheContents {
    inner: Rc<RefCell<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    visible: Rooms,
    durable: Rooms,
    /// In their order, since the last flush.
    unflushed: Vec<Change>,
    schema_version: Option<u32>,
    fault: Option<CacheFault>,
    /// Why it was lost, until somebody asks.
    lost: Option<String>,
}

type Rooms = BTreeMap<Room, CachedRoom>;

#[derive(Debug, Clone, Default)]
struct CachedRoom {
    state: RoomState,
    documents: BTreeMap<Collection, BTreeMap<DocumentId, Rc<Document>>>,
}

#[derive(Debug)]
struct Change {
    room: Room,
    reset: bool,
    documents: Vec<Rc<Document>>,
    state: RoomState,
}

impl CacheContents {
    /// The cache breaks; the next operation finds out, or the next open.
    pub fn fail(&self, fault: CacheFault) {
        self.inner.borrow_mut().fault = Some(fault);
    }

    /// Whether a process found out that it was lost, and ended before anybody asked.
    pub fn is_loss_untold(&self) -> bool {
        self.inner.borrow().lost.is_some()
    }

    /// The process died, or the power went. sled writes its log from memory and in order: of the changes since the
    /// last flush the first ones may be on the disk, more often none. After a loss of power they stay there.
    pub fn end_life(&self, ending: Ending, random: &mut Random) {
        let inner = &mut *self.inner.borrow_mut();
        let kept = if random.percent(50) { 0 } else { random.index(inner.unflushed.len() + 1) };
        inner.unflushed.truncate(kept);
        if ending == Ending::PowerLoss {
            inner.write_unflushed();
        }
        inner.visible.clone_from(&inner.durable);
        for change in &inner.unflushed {
            change.apply(&mut inner.visible);
        }
    }
}

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The process dies alone: the system still has what it wrote.
    Kill,
    /// The whole device goes.
    PowerLoss,
}

impl Inner {
    fn write_unflushed(&mut self) {
        for change in self.unflushed.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    fn rewrite(&mut self, schema_version: Option<u32>, retain: &mut dyn Retain) {
        let mut rooms = Rooms::new();
        for (room, cached) in std::mem::take(&mut self.visible) {
            let Some(state) = retain.room(&room, cached.state) else { continue };
            let mut kept = CachedRoom { state, ..CachedRoom::default() };
            let mut moved = Vec::new();
            for (collection, documents) in cached.documents {
                for document in documents.into_values() {
                    let Some(document) = retain.document(Document::clone(&document)) else { continue };
                    if document.collection == collection {
                        kept.insert(document);
                    } else {
                        moved.push(document);
                    }
                }
            }
            for document in moved {
                let place = kept.documents.entry(document.collection.clone()).or_default();
                place.entry(document.id.clone()).or_insert_with(|| Rc::new(document));
            }
            rooms.insert(room, kept);
        }
        self.schema_version = schema_version;
        self.unflushed.clear();
        self.durable.clone_from(&rooms);
        self.visible = rooms;
    }

    fn lose(&mut self) -> String {
        let reason = "the database is damaged".to_owned();
        *self = Self { fault: self.fault, lost: Some(reason.clone()), ..Self::default() };
        reason
    }
}

impl CachedRoom {
    fn byte_len(&self) -> u64 {
        self.documents.values().map(|collection| collection.len() as u64 * DOCUMENT_BYTES).sum()
    }

    fn insert(&mut self, document: Document) {
        let collection = self.documents.entry(document.collection.clone()).or_default();
        collection.insert(document.id.clone(), Rc::new(document));
    }
}

impl Change {
    fn apply(&self, rooms: &mut Rooms) {
        let cached = rooms.entry(self.room.clone()).or_default();
        if self.reset {
            cached.documents.clear();
        }
        for document in &self.documents {
            let collection = cached.documents.entry(document.collection.clone()).or_default();
            if document.deleted {
                collection.remove(&document.id);
            } else {
                collection.insert(document.id.clone(), Rc::clone(document));
            }
        }
        cached.state = self.state;
    }
}

/// The cache as one process sees it: every change is visible at once and durable at the latest after a flush.
#[derive(Debug)]
pub struct SimulatedCache {
    contents: CacheContents,
    mount: Mount,
}

/// What an operation does to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
    Flush,
}

impl SimulatedCache {
    /// Opens the cache; one that broke while it was closed is lost now.
    pub fn open(contents: &CacheContents, mount: &Mount) -> Self {
        let mut inner = contents.inner.borrow_mut();
        inner.lost = None;
        if mount.is_alive() && inner.fault.take().is_some() && !inner.visible.is_empty() {
            inner.lose();
        }
        drop(inner);
        Self { contents: contents.clone(), mount: mount.clone() }
    }

    fn operate<T>(&self, access: Access, effect: impl FnOnce(&mut Inner) -> T) -> Result<T, StoreError> {
        let inner = &mut *self.contents.inner.borrow_mut();
        self.mount
            .operate(|disk| {
                let is_full = disk.space != Space::Free;
                // Only now and then it is looked whether there is room for a change, and always before a flush.
                if is_full && (access == Access::Flush || access == Access::Write && disk.random.percent(50))
                {
                    return Ok(Err(StoreError::Full));
                }
                // Who dies meanwhile does not find out.
                let is_lost = !disk.is_dying()
                    && (inner.fault.is_some() || access == Access::Flush && disk.take_sync_failure());
                if is_lost {
                    return Ok(Err(lost(inner)));
                }
                if let (Access::Write, Some(reason)) = (access, inner.lost.clone()) {
                    // The caller counts on what is gone, and does not know yet.
                    return Ok(Err(StoreError::CacheLost { reason }));
                }
                Ok(Ok(effect(inner)))
            })
            .map_err(|error: io::Error| StoreError::Io(error))?
    }
}

fn lost(inner: &mut Inner) -> StoreError {
    let reason = inner.lose();
    inner.fault = inner.fault.filter(|fault| *fault == CacheFault::Failing);
    StoreError::CacheLost { reason }
}

impl Cache for SimulatedCache {
    fn document(&self, key: &DocumentKey) -> Result<Option<Document>, StoreError> {
        self.operate(Access::Read, |inner| {
            let collection = inner.visible.get(&key.room)?.documents.get(&key.collection)?;
            collection.get(&key.id).map(|document| Document::clone(document))
        })
    }

    fn visit_collection(
        &self,
        room: &Room,
        collection: &Collection,
        visit: &mut dyn FnMut(Document),
    ) -> Result<(), StoreError> {
        let documents: Vec<Rc<Document>> = self.operate(Access::Read, |inner| {
            let documents = inner.visible.get(room).and_then(|cached| cached.documents.get(collection));
            documents.map(|documents| documents.values().cloned().collect()).unwrap_or_default()
        })?;
        documents.iter().for_each(|document| visit(Document::clone(document)));
        Ok(())
    }

    fn rooms(&self) -> Result<Vec<(Room, RoomState)>, StoreError> {
        self.operate(Access::Read, |inner| {
            inner.visible.iter().map(|(room, cached)| (room.clone(), cached.state)).collect()
        })
    }

    fn room_bytes(&self) -> Result<Vec<(Room, u64)>, StoreError> {
        self.operate(Access::Read, |inner| {
            let rooms = inner.visible.iter().map(|(room, cached)| (room.clone(), cached.byte_len()));
            rooms.collect()
        })
    }

    fn schema_version(&self) -> Result<Option<u32>, StoreError> {
        self.operate(Access::Read, |inner| inner.schema_version)
    }

    fn rewrite(&mut self, schema_version: Option<u32>, retain: &mut dyn Retain) -> Result<(), StoreError> {
        self.operate(Access::Flush, |inner| inner.rewrite(schema_version, retain))
    }

    fn apply(&mut self, room: &Room, update: &RoomUpdate<'_>) -> Result<(), StoreError> {
        let change = Change {
            room: room.clone(),
            reset: update.reset,
            documents: update.documents.iter().cloned().map(Rc::new).collect(),
            state: update.state,
        };
        self.operate(Access::Write, |inner| {
            change.apply(&mut inner.visible);
            inner.unflushed.push(change);
        })
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        if self.contents.inner.borrow().unflushed.is_empty() {
            return Ok(());
        }
        self.operate(Access::Flush, Inner::write_unflushed)
    }

    fn take_loss(&mut self) -> Option<String> {
        if self.mount.is_alive() { self.contents.inner.borrow_mut().lost.take() } else { None }
    }

    fn bytes_on_disk(&self) -> u64 {
        let inner = self.contents.inner.borrow();
        inner.visible.values().map(CachedRoom::byte_len).sum()
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
