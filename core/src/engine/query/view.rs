//! What the app sees: what the cache holds, with the pending writes of this client applied.

use std::collections::BTreeSet;

use syncline_protocol::{ClientId, Document, merge};

use super::Query;
use super::plan::plan;
use crate::engine::io::{Now, Row};
use crate::engine::outbox::Outbox;
use crate::store::{DocumentKey, Store, StoreError};

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
        Ok(self.row_of(key, confirmed))
    }

    /// The row of a document of which the cache holds `confirmed`.
    pub(super) fn row_of(&self, key: &DocumentKey, confirmed: Option<Document>) -> Option<Row> {
        self.overlay(key, confirmed).map(row)
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
        let mut written: BTreeSet<&DocumentKey> =
            self.outbox.documents().filter(|key| query.reaches(key)).collect();
        let mut overlaid = |document: Document| {
            let key = query.key(document.id.clone());
            written.remove(&key);
            if let Some(visible) = self.overlay(&key, Some(document)) {
                visit(key, row(visible));
            }
        };
        let filter = query.selection.filter.as_ref();
        match filter.and_then(|filter| plan(filter, self.store.indexes(&query.collection))) {
            Some(range) => self.store.visit_range(&query.room, &query.collection, &range, &mut overlaid)?,
            None => self.store.visit_collection(&query.room, &query.collection, &mut overlaid)?,
        }
        // What only this client knows of, or what has the index's values only by its writes.
        for key in written {
            if let Some(row) = self.row(key)? {
                visit(key.clone(), row);
            }
        }
        Ok(())
    }
}

fn row((document, pending): (Document, bool)) -> Row {
    Row { id: document.id.as_str().to_owned(), fields: document.fields, seq: document.seq, pending }
}
