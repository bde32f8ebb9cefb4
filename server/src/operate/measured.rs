//! A storage that is watched: how long it takes, and what became of writes.

use std::sync::Arc;
use std::time::Instant;

use syncline_protocol::message::{Page, Push, PushAnswer};
use syncline_protocol::{ClientId, Document, Room, WireError};
use tracing::{Instrument, debug_span};

use super::{Operate, SPAN_TARGET};
use crate::hub::{Author, DocumentKey, PageRequest};
use crate::storage::{ListRequest, Listing, Reply, Storage};

/// Passes everything on, and notes it.
pub(crate) struct Measured {
    storage: Arc<dyn Storage>,
    operate: Arc<Operate>,
}

impl Measured {
    pub(crate) fn new(storage: Arc<dyn Storage>, operate: &Arc<Operate>) -> Self {
        Self { storage, operate: Arc::clone(operate) }
    }

    fn measured<'a, T: Send + 'a>(&'a self, operation: &'static str, reply: Reply<'a, T>) -> Reply<'a, T> {
        let started = Instant::now();
        let span = debug_span!(target: SPAN_TARGET, "storage", operation);
        Box::pin(async move {
            let answer = reply.instrument(span).await;
            self.operate.metrics.storage(
                operation,
                started.elapsed(),
                answer.as_ref().is_err_and(is_failure),
            );
            answer
        })
    }
}

/// Whether the storage failed, rather than refused.
fn is_failure(error: &WireError) -> bool {
    use syncline_protocol::ErrorCode::{Internal, Unavailable};
    matches!(error.code, Unavailable | Internal)
}

impl Storage for Measured {
    fn push(&self, push: Push, author: Author) -> Reply<'_, PushAnswer> {
        let reply = self.measured("push", self.storage.push(push, author));
        Box::pin(async move {
            let answer = reply.await;
            for result in answer.iter().flat_map(|answer| &answer.results) {
                self.operate.metrics.mutation(&result.status);
            }
            answer
        })
    }

    fn page(&self, request: PageRequest) -> Reply<'_, Page> {
        self.measured("page", self.storage.page(request))
    }

    fn heads(&self, rooms: Vec<Room>) -> Reply<'_, Vec<(Room, u64)>> {
        self.measured("heads", self.storage.heads(rooms))
    }

    fn owner(&self, client: ClientId) -> Reply<'_, Option<String>> {
        self.measured("owner", self.storage.owner(client))
    }

    fn documents(&self, room: Room, keys: Vec<DocumentKey>) -> Reply<'_, Vec<Option<Document>>> {
        self.measured("documents", self.storage.documents(room, keys))
    }

    fn list(&self, request: ListRequest) -> Reply<'_, Listing> {
        self.measured("list", self.storage.list(request))
    }

    fn rooms(&self, after: Option<Room>, limit: usize) -> Reply<'_, Vec<(Room, u64)>> {
        self.measured("rooms", self.storage.rooms(after, limit))
    }

    fn backup(&self) -> Reply<'_, std::fs::File> {
        self.measured("backup", self.storage.backup())
    }

    fn is_healthy(&self) -> bool {
        self.storage.is_healthy()
    }

    fn close(&self) -> Reply<'_, ()> {
        self.storage.close()
    }
}
