//! Reading a room's log.

use std::ops::ControlFlow;

use syncline_protocol::message::Page;
use syncline_protocol::sabotage::{self, Sabotage};
use syncline_protocol::{Collection, Document, Limits, Room};

use super::terms::is_hidden;
use super::{Extent, Head, Logged, RoomStore, document_byte_len};
use crate::config::HubConfig;

/// Which part of a room's log to read.
#[derive(Debug, Clone)]
pub struct PageRequest {
    pub room: Room,
    /// The last `seq` the client holds.
    pub cursor: u64,
    /// Changes wanted, at least 1; the server's own limits apply as well.
    pub limit: u32,
    /// All collections when absent.
    pub collections: Option<Vec<Collection>>,
    /// Where the log ended when the reading from 0 that this page continues began.
    pub snapshot: Option<u64>,
}

/// The page of changes after a cursor. A reader that cannot go on from there starts again: the page is read from 0
/// and says `reset`.
pub fn page<S: RoomStore>(
    store: &S,
    request: &PageRequest,
    limits: &Limits,
    config: &HubConfig,
) -> Result<Page, S::Error> {
    let head = store.head(&request.room)?;
    let reset = !can_go_on(request, head);
    let after = if reset { 0 } else { request.cursor };
    let count_max = request.limit.clamp(1, limits.page_count_max.max(1)) as usize;
    let (scan_max, scan_bytes_max) = (config.page_scan_max.max(1), config.page_scan_bytes_max.max(1));
    let is_wanted = |collection: &Collection| {
        let collections = request.collections.as_ref();
        !is_hidden(collection) && collections.is_none_or(|collections| collections.contains(collection))
    };
    let mut changes: Vec<Document> = Vec::new();
    let mut bytes = 0;
    let (mut scanned, mut scanned_bytes) = (0, 0);
    let mut cursor = after;
    let extent = store.changes_after(&request.room, after, &is_wanted, &mut |logged| {
        if changes.len() >= count_max || scanned >= scan_max || scanned_bytes >= scan_bytes_max {
            return ControlFlow::Break(());
        }
        match logged {
            Logged::Unwanted { seq } => cursor = seq,
            Logged::Wanted(document) => {
                // A deletion takes little in the page, and all that is kept of it to read.
                let read_bytes = document_byte_len(&document);
                let (document, document_bytes) = match document.deleted {
                    true => sent(document),
                    false => (document, read_bytes),
                };
                if !changes.is_empty() && bytes + document_bytes > config.page_bytes_max {
                    return ControlFlow::Break(());
                }
                scanned_bytes += read_bytes;
                bytes += document_bytes;
                cursor = document.seq;
                changes.push(document);
            }
        }
        scanned += 1;
        ControlFlow::Continue(())
    })?;
    let more = extent == Extent::Part && cursor < head.seq;
    if !more {
        cursor = head.seq;
    }
    let checksum = (!more && request.collections.is_none()).then_some(head.checksum);
    let snapshot = (after == 0 && more).then_some(head.seq);
    Ok(Page { changes, cursor, more, reset, checksum, snapshot })
}

/// A document as it is sent, and what it takes.
fn sent(document: Document) -> (Document, usize) {
    let document = document.for_clients();
    let bytes = document_byte_len(&document);
    (document, bytes)
}

/// Whether a reader misses nothing if it goes on after its cursor.
///
/// It does when it has got beyond the log, for then the server lost history; and when it may hold a document whose
/// tombstone was purged. What a reading from 0 holds was live when the reading began, so it was deleted after the
/// snapshot, if at all.
fn can_go_on(request: &PageRequest, head: Head) -> bool {
    let reached = request.cursor.max(request.snapshot.unwrap_or(0));
    let holds_nothing = request.cursor == 0;
    let above_floor = reached >= head.floor || sabotage::is_active(Sabotage::FloorIgnored);
    holds_nothing || (reached <= head.seq && above_floor)
}
