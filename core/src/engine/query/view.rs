//! What the app sees: what the cache holds, with the pending writes of this client applied.

use std::collections::BTreeSet;

use syncline_protocol::{ClientId, Document, DocumentId, merge};

use super::Query;
use super::live::Live;
use super::order::SortKey;
use super::plan::{covering, plan};
use crate::engine::io::{Now, Row};
use crate::engine::outbox::Outbox;
use crate::store::{DocumentKey, Entry, Store, StoreError};

/// Reads rows as the app sees them.
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
        self.row_of(key, confirmed)
    }

    /// The row of a document of which the cache holds `confirmed`.
    pub(super) fn row_of(
        &self,
        key: &DocumentKey,
        confirmed: Option<Document>,
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.overlay(key, confirmed)?.map(row))
    }

    /// The document as the app sees it; `None` where there is none.
    pub fn document(&self, key: &DocumentKey) -> Result<Option<Document>, StoreError> {
        let confirmed = self.store.document(key)?;
        Ok(self.overlay(key, confirmed)?.map(|(document, _)| document))
    }

    /// The confirmed document with pending writes applied, and whether there were any.
    fn overlay(
        &self,
        key: &DocumentKey,
        confirmed: Option<Document>,
    ) -> Result<Option<(Document, bool)>, StoreError> {
        self.overlay_with(confirmed, self.outbox.of_document(key, self.store))
    }

    fn overlay_with(
        &self,
        confirmed: Option<Document>,
        writes: impl Iterator<Item = Result<Entry, StoreError>>,
    ) -> Result<Option<(Document, bool)>, StoreError> {
        let held = confirmed.as_ref().map_or(0, |document| document.version.seen(self.client_id));
        let mut document = confirmed;
        let mut pending = false;
        for write in writes {
            let mutation = write?.mutation;
            // A confirmation may come before the answer to the push: then the cache already holds the write.
            if mutation.client_seq > held {
                pending = true;
                // A write of a document that another client deleted shows nothing until the server decides.
                let _not_found = merge::apply(&mut document, &mutation, self.client_id, self.now.wall_ms);
            }
        }
        Ok(document.filter(|document| !document.deleted).map(|document| (document, pending)))
    }

    /// Visits every row in a query's reach that its filter may accept, and perhaps others, in no particular order.
    pub(super) fn visit(
        &self,
        query: &Query,
        visit: &mut dyn FnMut(DocumentKey, Row),
    ) -> Result<(), StoreError> {
        if let Some(id) = &query.id {
            let key = query.key(id.clone());
            if let Some(row) = self.row(&key)? {
                visit(key, row);
            }
            return Ok(());
        }
        let mut overlaid = BTreeSet::new();
        let mut failed = None;
        let mut visit_cached = |document: Document| {
            if failed.is_some() {
                return;
            }
            let key = query.key(document.id.clone());
            let mut is_written = false;
            let writes = self.outbox.of_document(&key, self.store).inspect(|_| is_written = true);
            match self.overlay_with(Some(document), writes) {
                Ok(Some(visible)) => visit(key.clone(), row(visible)),
                Ok(None) => {}
                Err(error) => failed = Some(error),
            }
            if is_written {
                overlaid.insert(key.id);
            }
        };
        let filter = query.selection.filter.as_ref();
        match filter.and_then(|filter| plan(filter, self.store.indexes(&query.collection))) {
            Some(range) => {
                self.store.visit_range(&query.room, &query.collection, &range, &mut visit_cached)?;
            }
            None => self.store.visit_collection(&query.room, &query.collection, &mut visit_cached)?,
        }
        if let Some(error) = failed {
            return Err(error);
        }
        // What only this client knows of, or what has the values of an index only by its writes.
        for id in self.written(query)?.difference(&overlaid) {
            let key = query.key(id.clone());
            if let Some(row) = self.row(&key)? {
                visit(key, row);
            }
        }
        Ok(())
    }

    /// The place of every document that a query selects, in no particular order; `None` where no index tells them, and
    /// the documents must be read.
    pub(super) fn places(&self, query: &Query) -> Result<Option<Vec<SortKey>>, StoreError> {
        let Query { room, collection, id, selection } = query;
        let covering = id.is_none().then(|| covering(selection, self.store.indexes(collection))).flatten();
        let Some(covering) = covering else { return Ok(None) };
        let written = self.written(query)?;
        let (fixed, mut places) = (covering.range.low.len(), Vec::new());
        let mut visit = |values: &[u8], id: DocumentId| {
            if !written.contains(&id) {
                places.push(SortKey::of_entry(
                    id,
                    values.get(fixed..).unwrap_or_default(),
                    covering.direction,
                ));
            }
        };
        if !self.store.visit_entries(room, collection, &covering.range, &mut visit)? {
            return Ok(None);
        }
        for id in &written {
            let row = self.row(&query.key(id.clone()))?;
            places.extend(row.and_then(|row| Live::place(selection, id, &row)));
        }
        Ok(Some(places))
    }

    /// The documents of a query's collection with pending writes.
    fn written(&self, query: &Query) -> Result<BTreeSet<DocumentId>, StoreError> {
        let mut written = BTreeSet::new();
        for number in self.outbox.oldest_of_each(&query.room, &query.collection) {
            let oldest = self.outbox.entry(number, self.store)?;
            // Whoever's id has the same hash stands behind it.
            written.extend(self.outbox.ids_like(&oldest, self.store)?);
        }
        Ok(written)
    }
}

fn row((document, pending): (Document, bool)) -> Row {
    Row { id: document.id.as_str().to_owned(), fields: document.fields, seq: document.seq, pending }
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
