//! Reading a room's log.

use std::ops::ControlFlow;

use syncline_protocol::message::Page;
use syncline_protocol::{Collection, Document, Limits, Room};

use super::{RoomStore, document_byte_len};
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
}

/// The page of changes after a cursor. A cursor beyond the end of the log means that the server lost history: the
/// page starts from 0 and says `reset`.
pub fn page<S: RoomStore>(
    store: &S,
    request: &PageRequest,
    limits: &Limits,
    config: &HubConfig,
) -> Result<Page, S::Error> {
    let head = store.head(&request.room)?;
    let reset = request.cursor > head.seq;
    let after = if reset { 0 } else { request.cursor };
    let count_max = request.limit.clamp(1, limits.page_count_max.max(1)) as usize;
    let wanted = |document: &Document| {
        request.collections.as_ref().is_none_or(|collections| collections.contains(&document.collection))
    };
    let mut changes: Vec<Document> = Vec::new();
    let mut bytes = 0;
    let mut scanned = 0;
    let mut cursor = after;
    let mut more = false;
    store.changes_after(&request.room, after, &mut |document| {
        let full = changes.len() >= count_max || scanned >= config.page_scan_max;
        let document = document.for_clients();
        let document_bytes = document_byte_len(&document);
        if full || (!changes.is_empty() && bytes + document_bytes > config.page_bytes_max) {
            more = true;
            return ControlFlow::Break(());
        }
        scanned += 1;
        cursor = document.seq;
        if wanted(&document) {
            bytes += document_bytes;
            changes.push(document);
        }
        ControlFlow::Continue(())
    })?;
    if !more {
        cursor = head.seq;
    }
    let checksum = (!more && request.collections.is_none()).then_some(head.checksum);
    Ok(Page { changes, cursor, more, reset, checksum })
}
