//! What the app watches: which rows changed since it was last told.

use std::collections::{BTreeMap, BTreeSet};

use syncline_protocol::{ClientId, Collection, Document, DocumentId, Room, merge};

use super::io::{Event, Now, Row, WatchId};
use super::outbox::Outbox;
use crate::store::{DocumentKey, Store, StoreError};

/// A collection of a room, or one document of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub room: Room,
    pub collection: Collection,
    pub id: Option<DocumentId>,
}

impl Query {
    fn matches(&self, key: &DocumentKey) -> bool {
        self.room == key.room
            && self.collection == key.collection
            && self.id.as_ref().is_none_or(|id| *id == key.id)
    }
}

#[derive(Debug)]
struct Watch {
    query: Query,
    dirty: Dirty,
    /// The ids the app was told of.
    shown: BTreeSet<DocumentId>,
}

#[derive(Debug, Default)]
enum Dirty {
    #[default]
    Nothing,
    Some(BTreeSet<DocumentId>),
    All,
}

#[derive(Debug, Default)]
pub struct Queries {
    watches: BTreeMap<WatchId, Watch>,
    last_id: WatchId,
}

/// Reads rows: what the cache holds, with the pending writes of this client applied.
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations)]
pub struct View<'a> {
    pub store: &'a dyn Store,
    pub outbox: &'a Outbox,
    pub client_id: ClientId,
    pub now: Now,
}

impl View<'_> {
    pub fn row(&self, key: &DocumentKey) -> Result<Option<Row>, StoreError> {
        let confirmed = self.store.document(key)?;
        Ok(self.overlay(key, confirmed).map(row))
    }

    /// The document as the app sees it; `None` where there is none.
    pub fn document(&self, key: &DocumentKey) -> Result<Option<Document>, StoreError> {
        let confirmed = self.store.document(key)?;
        Ok(self.overlay(key, confirmed).map(|(document, _)| document))
    }

    /// The confirmed document with pending writes applied, and whether there were any.
    fn overlay(&self, key: &DocumentKey, confirmed: Option<Document>) -> Option<(Document, bool)> {
        let held = confirmed.as_ref().map_or(0, |document| document.version.seen(self.client_id));
        let mut document = confirmed;
        let mut pending = false;
        for write in self.outbox.of_document(key) {
            let mutation = &write.entry.mutation;
            // A confirmation may come before the answer to the push: then the cache already holds the write.
            if mutation.client_seq > held {
                pending = true;
                // A write of a document that another client deleted shows nothing until the server decides.
                let _not_found = merge::apply(&mut document, mutation, self.client_id, self.now.wall_ms);
            }
        }
        document.filter(|document| !document.deleted).map(|document| (document, pending))
    }

    fn rows(&self, query: &Query) -> Result<BTreeMap<DocumentId, Row>, StoreError> {
        let mut rows = BTreeMap::new();
        if let Some(id) = &query.id {
            let key = query.key(id.clone());
            rows.extend(self.row(&key)?.map(|row| (id.clone(), row)));
            return Ok(rows);
        }
        self.store.visit_collection(&query.room, &query.collection, &mut |document| {
            let key = query.key(document.id.clone());
            if let Some(visible) = self.overlay(&key, Some(document)) {
                rows.insert(key.id, row(visible));
            }
        })?;
        for key in self.outbox.documents().filter(|key| query.matches(key)) {
            if !rows.contains_key(&key.id)
                && let Some(row) = self.row(key)?
            {
                rows.insert(key.id.clone(), row);
            }
        }
        Ok(rows)
    }
}

fn row((document, pending): (Document, bool)) -> Row {
    Row { id: document.id.as_str().to_owned(), fields: document.fields, seq: document.seq, pending }
}

impl Query {
    fn key(&self, id: DocumentId) -> DocumentKey {
        DocumentKey { room: self.room.clone(), collection: self.collection.clone(), id }
    }
}

impl Queries {
    /// Starts a watch, and returns the rows it begins with.
    pub fn watch(&mut self, query: Query, view: View<'_>) -> Result<(WatchId, Vec<Row>), StoreError> {
        let rows = view.rows(&query)?;
        self.last_id += 1;
        let shown = rows.keys().cloned().collect();
        self.watches.insert(self.last_id, Watch { query, dirty: Dirty::Nothing, shown });
        Ok((self.last_id, rows.into_values().collect()))
    }

    /// Ends a watch, and returns its room.
    pub fn unwatch(&mut self, watch: WatchId) -> Option<Room> {
        self.watches.remove(&watch).map(|watch| watch.query.room)
    }

    /// A document's confirmed state or its pending writes changed.
    pub fn touch(&mut self, key: &DocumentKey) {
        for watch in self.watches.values_mut().filter(|watch| watch.query.matches(key)) {
            match &mut watch.dirty {
                Dirty::All => {}
                Dirty::Some(ids) => {
                    ids.insert(key.id.clone());
                }
                Dirty::Nothing => watch.dirty = Dirty::Some(BTreeSet::from([key.id.clone()])),
            }
        }
    }

    /// Everything in a room may have changed.
    pub fn touch_room(&mut self, room: &Room) {
        for watch in self.watches.values_mut().filter(|watch| watch.query.room == *room) {
            watch.dirty = Dirty::All;
        }
    }

    /// One event for each watch with changes since the last call.
    pub fn poll_events(&mut self, view: View<'_>, events: &mut Vec<Event>) -> Result<(), StoreError> {
        for (&watch_id, watch) in &mut self.watches {
            match watch.poll_event(watch_id, view) {
                Ok(event) => events.extend(event),
                Err(error) => {
                    // Told in full once it can be read again.
                    watch.dirty = Dirty::All;
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

impl Watch {
    fn poll_event(&mut self, watch: WatchId, view: View<'_>) -> Result<Option<Event>, StoreError> {
        match std::mem::take(&mut self.dirty) {
            Dirty::Nothing => Ok(None),
            Dirty::All => {
                let rows = view.rows(&self.query)?;
                self.shown = rows.keys().cloned().collect();
                let upserted = rows.into_values().collect();
                Ok(Some(Event::Rows { watch, reset: true, upserted, removed: vec![] }))
            }
            Dirty::Some(ids) => self.diff(watch, ids, view),
        }
    }

    fn diff(
        &mut self,
        watch: WatchId,
        ids: BTreeSet<DocumentId>,
        view: View<'_>,
    ) -> Result<Option<Event>, StoreError> {
        let (mut upserted, mut removed) = (Vec::new(), Vec::new());
        for id in ids {
            match view.row(&self.query.key(id.clone()))? {
                Some(row) => {
                    upserted.push(row);
                    self.shown.insert(id);
                }
                None if self.shown.remove(&id) => removed.push(id.as_str().to_owned()),
                None => {}
            }
        }
        let changed = !upserted.is_empty() || !removed.is_empty();
        Ok(changed.then_some(Event::Rows { watch, reset: false, upserted, removed }))
    }
}
