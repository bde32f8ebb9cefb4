//! What the app watches: which rows changed since it was last told.
//!
//! - [`selection`], of the protocol: which documents a watch shows, by a [`filter`], in an [`order`], within a window.
//! - [`view`]: documents as the app sees them; `plan`: which index spares it most of them.
//! - [`live`]: the index of a watch that selects, on a [`ranked`] set. A watch of everything needs none.

mod live;
mod plan;
mod ranked;
mod view;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod live_tests;
#[cfg(test)]
mod order_tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer};
pub use syncline_protocol::query::{filter, order, selection};
use syncline_protocol::value::fields_byte_len;
use syncline_protocol::{Collection, Document, DocumentId, Room};

use self::live::{Difference, Live};
use self::selection::{Selection, SelectionError};
pub use self::view::View;
use super::io::{Event, Row, WatchId};
use crate::boxed_map::BoxedMap;
use crate::store::{DocumentKey, StoreError};
use crate::tagged;

/// A collection of a room, or one document of it, and what is shown of that.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
pub struct Query {
    pub room: Room,
    pub collection: Collection,
    /// One document, or the whole collection when absent.
    #[cfg_attr(feature = "contract", ts(optional))]
    pub id: Option<DocumentId>,
    /// What is shown of them: `filter`, `orderBy`, `limit`, `after`.
    #[cfg_attr(feature = "contract", ts(flatten))]
    pub selection: Selection,
}

impl<'de> Deserialize<'de> for Query {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Source {
            room: Room,
            collection: Collection,
            #[serde(default)]
            id: Option<DocumentId>,
        }
        let text = tagged::Text::read(deserializer)?;
        let Source { room, collection, id } = text.get()?;
        Ok(Self { room, collection, id, selection: text.get()? })
    }
}

impl Query {
    /// Whether a document belongs to what the query selects from.
    fn reaches(&self, key: &DocumentKey) -> bool {
        self.room == key.room
            && self.collection == key.collection
            && self.id.as_ref().is_none_or(|id| *id == key.id)
    }

    fn key(&self, id: DocumentId) -> DocumentKey {
        DocumentKey { room: self.room.clone(), collection: self.collection.clone(), id }
    }
}

/// Why a watch could not begin.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    #[error(transparent)]
    Selection(#[from] SelectionError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a watch begins with.
#[derive(Debug)]
pub struct Started {
    pub watch: WatchId,
    pub rows: Vec<Row>,
    /// How many documents match, in the window or not.
    pub count: u64,
}

#[derive(Debug)]
struct Watch {
    query: Query,
    dirty: Dirty,
    picture: Picture,
    /// The count that the app was told.
    count: u64,
}

/// What a watch must remember to tell differences.
#[derive(Debug)]
enum Picture {
    /// The ids the app was told of, for a watch of everything.
    Everything(BTreeSet<DocumentId>),
    Selected(Box<Live>),
}

#[derive(Debug, Default)]
enum Dirty {
    #[default]
    Nothing,
    /// With the confirmed documents that need not be read from the cache again.
    Some(BTreeMap<DocumentId, Option<Document>>),
    All,
}

/// What a watch keeps until its app is told, so that it need not be read again: about a page.
const KEPT_COUNT_MAX: usize = 1000;
/// A larger document is read again, in bytes.
const KEPT_DOCUMENT_BYTES_MAX: usize = 4 << 10;

#[derive(Debug, Default)]
pub struct Queries {
    watches: BoxedMap<WatchId, Watch>,
    last_id: WatchId,
}

impl Queries {
    /// Starts a watch.
    pub fn watch(&mut self, query: Query, view: View<'_>) -> Result<Started, WatchError> {
        query.selection.check()?;
        let (picture, rows) = Picture::draw(&query, view)?;
        self.last_id += 1;
        let count = picture.count();
        self.watches.insert(self.last_id, Watch { query, dirty: Dirty::Nothing, picture, count });
        Ok(Started { watch: self.last_id, rows, count })
    }

    /// Ends a watch, and returns its room.
    pub fn unwatch(&mut self, watch: WatchId) -> Option<Room> {
        self.watches.remove(&watch).map(|watch| watch.query.room)
    }

    /// Whether any watch shows documents of this collection.
    pub fn reach(&self, room: &Room, collection: &Collection) -> bool {
        let shows = |query: &Query| query.room == *room && query.collection == *collection;
        self.watches.values().any(|watch| shows(&watch.query))
    }

    /// A document's confirmed state or its pending writes changed.
    pub fn touch(&mut self, key: &DocumentKey) {
        self.touch_with(key, None);
    }

    /// As [`touch`](Self::touch), with the confirmed document as the cache holds it now, where there is one.
    pub fn touch_with(&mut self, key: &DocumentKey, confirmed: Option<&Document>) {
        for watch in self.watches.values_mut().filter(|watch| watch.query.reaches(key)) {
            if let Dirty::Nothing = watch.dirty {
                watch.dirty = Dirty::Some(BTreeMap::new());
            }
            if let Dirty::Some(changed) = &mut watch.dirty {
                let kept = confirmed.filter(|document| {
                    changed.len() < KEPT_COUNT_MAX
                        && fields_byte_len(&document.fields) <= KEPT_DOCUMENT_BYTES_MAX
                });
                changed.insert(key.id.clone(), kept.cloned());
            }
        }
    }

    /// Everything in a room may have changed.
    pub fn touch_room(&mut self, room: &Room) {
        for watch in self.watches.values_mut().filter(|watch| watch.query.room == *room) {
            watch.dirty = Dirty::All;
        }
    }

    /// One event for each watch with changes since the last call. The first error of those that cannot be read.
    pub fn poll_events(&mut self, view: View<'_>, events: &mut Vec<Event>) -> Result<(), StoreError> {
        let mut polled = Ok(());
        for (&watch_id, watch) in &mut self.watches {
            match watch.poll_event(watch_id, view) {
                Ok(event) => events.extend(event),
                Err(error) => {
                    // Told in full once it can be read again.
                    watch.dirty = Dirty::All;
                    polled = polled.and(Err(error));
                }
            }
        }
        polled
    }
}

impl Watch {
    fn poll_event(&mut self, watch: WatchId, view: View<'_>) -> Result<Option<Event>, StoreError> {
        match std::mem::take(&mut self.dirty) {
            Dirty::Nothing => Ok(None),
            Dirty::All => self.redraw(watch, view).map(Some),
            Dirty::Some(changed) => self.diff(watch, changed, view),
        }
    }

    fn redraw(&mut self, watch: WatchId, view: View<'_>) -> Result<Event, StoreError> {
        let (picture, upserted) = Picture::draw(&self.query, view)?;
        self.picture = picture;
        let count = self.news_of_count();
        Ok(Event::Rows { watch, reset: true, upserted, removed: vec![], indexes: None, count })
    }

    fn diff(
        &mut self,
        watch: WatchId,
        changed: BTreeMap<DocumentId, Option<Document>>,
        view: View<'_>,
    ) -> Result<Option<Event>, StoreError> {
        let mut changes = BTreeMap::new();
        for (id, confirmed) in changed {
            let key = self.query.key(id.clone());
            let row = match confirmed {
                Some(_) => view.row_of(&key, confirmed)?,
                None => view.row(&key)?,
            };
            changes.insert(id, row);
        }
        let (upserted, removed, indexes) = match &mut self.picture {
            Picture::Everything(shown) => {
                let (upserted, removed) = diff_of_everything(shown, changes);
                (upserted, removed, None)
            }
            Picture::Selected(live) => {
                let Difference { placed, removed } = live.update(changes);
                let (mut upserted, mut indexes) = (Vec::new(), Vec::new());
                for placed in placed {
                    let row = match placed.row {
                        Some(row) => Some(row),
                        None => view.row(&self.query.key(placed.id))?,
                    };
                    // The index is of another state than the store: told in full.
                    let Some(row) = row else { return self.redraw(watch, view).map(Some) };
                    upserted.push(row);
                    indexes.push(placed.index as u64);
                }
                (upserted, removed.iter().map(|id| id.as_str().to_owned()).collect(), Some(indexes))
            }
        };
        let count = self.news_of_count();
        let changed = !upserted.is_empty() || !removed.is_empty() || count.is_some();
        Ok(changed.then_some(Event::Rows { watch, reset: false, upserted, removed, indexes, count }))
    }

    /// The count, if the app was told another one.
    fn news_of_count(&mut self) -> Option<u64> {
        let count = self.picture.count();
        let changed = std::mem::replace(&mut self.count, count) != count;
        changed.then_some(count)
    }
}

fn diff_of_everything(
    shown: &mut BTreeSet<DocumentId>,
    changes: BTreeMap<DocumentId, Option<Row>>,
) -> (Vec<Row>, Vec<String>) {
    let (mut upserted, mut removed) = (Vec::new(), Vec::new());
    for (id, row) in changes {
        match row {
            Some(row) => {
                upserted.push(row);
                shown.insert(id);
            }
            None if shown.remove(&id) => removed.push(id.as_str().to_owned()),
            None => {}
        }
    }
    (upserted, removed)
}

impl Picture {
    /// Reads everything anew; returns the rows to show, in order.
    fn draw(query: &Query, view: View<'_>) -> Result<(Self, Vec<Row>), StoreError> {
        let selection = &query.selection;
        let mut rows = BTreeMap::new();
        if selection.is_everything() {
            view.visit(query, &mut |key, row| drop(rows.insert(key.id, row)))?;
            return Ok((Self::Everything(rows.keys().cloned().collect()), rows.into_values().collect()));
        }
        // Without a limit all rows are read in any case.
        let places = if selection.limit.is_some() { view.places(query)? } else { None };
        let keys = match places {
            Some(keys) => keys,
            None => {
                let mut keys = Vec::new();
                view.visit(query, &mut |document, row| {
                    let Some(key) = Live::place(selection, &document.id, &row) else { return };
                    // Of a window with a limit most rows would be held in vain.
                    if selection.limit.is_none() {
                        rows.insert(document.id, row);
                    }
                    keys.push(key);
                })?;
                keys
            }
        };
        let live = Live::new(selection.clone(), keys);
        let mut window = Vec::new();
        for id in live.window() {
            let row = match rows.remove(id) {
                Some(row) => Some(row),
                None => view.row(&query.key(id.clone()))?,
            };
            window.extend(row);
        }
        Ok((Self::Selected(Box::new(live)), window))
    }

    /// How many documents match.
    fn count(&self) -> u64 {
        let count = match self {
            Self::Everything(shown) => shown.len(),
            Self::Selected(live) => live.count(),
        };
        count as u64
    }
}
