//! A filtered, ordered window, kept up to date document by document.
//!
//! The index holds a key for each matching document, and no rows. A change moves one key; which rows came into the
//! window and which left it follows from the keys at its ends, so a batch of `k` changes costs `O(k log n)`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use syncline_protocol::DocumentId;
use syncline_protocol::sabotage::{Sabotage, is_active};

use super::order::SortKey;
use super::ranked::RankedSet;
use super::selection::Selection;
use crate::engine::io::Row;

#[derive(Debug)]
pub(super) struct Live {
    selection: Selection,
    /// Where each matching document stands in `ranked`.
    places: BTreeMap<DocumentId, Arc<[u8]>>,
    ranked: RankedSet<SortKey>,
    after: Option<SortKey>,
    end: End,
}

/// How far the window reaches.
#[derive(Debug, Clone, PartialEq)]
enum End {
    /// The limit is 0.
    Nothing,
    /// The window is full, and this is its last row.
    Through(SortKey),
    /// The window has room: whatever comes after its start is in it.
    Open,
}

/// A document in the window: its position there, and its row where that was at hand.
#[derive(Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) index: usize,
    pub(super) id: DocumentId,
    pub(super) row: Option<Row>,
}

/// What turns the window before into the window after: take out the removed and the placed ids, then put each placed
/// row in at its index, in ascending order.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Difference {
    pub(super) placed: Vec<Placed>,
    pub(super) removed: Vec<DocumentId>,
}

impl Live {
    /// Builds the index from the keys of all matching documents, in any order; see [`Live::place`].
    pub(super) fn new(selection: Selection, mut keys: Vec<SortKey>) -> Self {
        keys.sort_unstable();
        let places = keys.iter().map(|key| (key.id.clone(), Arc::clone(&key.values))).collect();
        let after = selection.after.as_ref().map(|cursor| SortKey::of_cursor(cursor, &selection.order_by));
        let ranked = RankedSet::from_ascending(keys);
        let mut live = Self { selection, places, ranked, after, end: End::Open };
        live.end = live.current_end();
        live
    }

    /// Where a document stands among those that match; `None` when it does not match.
    pub(super) fn place(selection: &Selection, id: &DocumentId, row: &Row) -> Option<SortKey> {
        let matches = selection.filter.as_ref().is_none_or(|filter| filter.matches(&row.fields));
        matches.then(|| SortKey::of(id.clone(), &row.fields, &selection.order_by))
    }

    /// How many documents match, in the window or not.
    pub(super) fn count(&self) -> usize {
        self.ranked.len()
    }

    /// The ids in the window, in order.
    pub(super) fn window(&self) -> impl Iterator<Item = &DocumentId> {
        let start = self.start();
        (start..start + self.window_len()).filter_map(|rank| self.ranked.select(rank)).map(|key| &key.id)
    }

    /// Takes in the new states of documents, `None` for one that is gone, and tells what that does to the window.
    pub(super) fn update(&mut self, changes: BTreeMap<DocumentId, Option<Row>>) -> Difference {
        let dirty: BTreeSet<DocumentId> = changes.keys().cloned().collect();
        let end_before = self.end.clone();
        let mut changed = Vec::with_capacity(changes.len());
        for (id, row) in changes {
            let old =
                self.places.get(&id).map(|values| SortKey { values: Arc::clone(values), id: id.clone() });
            let new = row.as_ref().and_then(|row| Self::place(&self.selection, &id, row));
            self.replace(old.as_ref(), new.as_ref());
            let was_shown = old.is_some_and(|old| self.is_shown(&old, &end_before));
            changed.push((id, was_shown, new, row));
        }
        self.end = self.current_end();
        let start = self.start();
        let mut difference = Difference::default();
        for (id, was_shown, new, row) in changed {
            match new.filter(|new| self.is_shown(new, &self.end)) {
                Some(_) if was_shown && is_active(Sabotage::MoveNotTold) => {}
                Some(new) => {
                    let index = self.ranked.count_through(&new) - 1 - start;
                    difference.placed.push(Placed { index, id, row });
                }
                None if was_shown => difference.removed.push(id),
                None => {}
            }
        }
        self.add_displaced(&end_before, &dirty, &mut difference);
        difference.placed.sort_unstable_by_key(|placed| placed.index);
        difference
    }

    fn replace(&mut self, old: Option<&SortKey>, new: Option<&SortKey>) {
        if old == new {
            return;
        }
        if let Some(old) = old {
            self.ranked.remove(old);
            self.places.remove(&old.id);
        }
        if let Some(new) = new {
            self.ranked.insert(new.clone());
            self.places.insert(new.id.clone(), Arc::clone(&new.values));
        }
    }

    /// Adds the documents that did not change themselves, but came into the window or left it at its end. There are
    /// no more of them than changes.
    fn add_displaced(&self, end_before: &End, dirty: &BTreeSet<DocumentId>, difference: &mut Difference) {
        let start = self.start();
        let len = self.window_len();
        for index in (0..len).rev() {
            let Some(key) = self.ranked.select(start + index) else { break };
            if self.is_shown(key, end_before) {
                break;
            }
            if !dirty.contains(&key.id) {
                difference.placed.push(Placed { index, id: key.id.clone(), row: None });
            }
        }
        for rank in start + len.. {
            match self.ranked.select(rank) {
                Some(key) if self.is_shown(key, end_before) => {
                    if !dirty.contains(&key.id) {
                        difference.removed.push(key.id.clone());
                    }
                }
                _ => break,
            }
        }
    }

    /// Whether a key lies in the window that ends at `end`.
    fn is_shown(&self, key: &SortKey, end: &End) -> bool {
        self.after.as_ref().is_none_or(|after| key > after)
            && match end {
                End::Nothing => false,
                End::Through(last) => key <= last,
                End::Open => true,
            }
    }

    /// How many matching documents lie before the window.
    fn start(&self) -> usize {
        self.after.as_ref().map_or(0, |after| self.ranked.count_through(after))
    }

    fn window_len(&self) -> usize {
        let rest = self.ranked.len() - self.start();
        self.selection.limit.map_or(rest, |limit| rest.min(limit as usize))
    }

    fn current_end(&self) -> End {
        let Some(limit) = self.selection.limit else { return End::Open };
        let Some(last) = (limit as usize).checked_sub(1) else { return End::Nothing };
        self.ranked.select(self.start() + last).cloned().map_or(End::Open, End::Through)
    }
}
