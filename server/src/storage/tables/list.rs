//! A collection in the order of its ids.

use syncline_protocol::DocumentId;

use super::{StorageError, Tables};
use crate::config::HubConfig;
use crate::hub::{document_byte_len, is_hidden};
use crate::storage::codec::{collection_end, collection_prefix, document_end, is_first_chunk};
use crate::storage::{ListRequest, Listing};

impl Tables {
    pub(crate) fn list(&self, request: &ListRequest, hub: &HubConfig) -> Result<Listing, StorageError> {
        let ListRequest { room, collection, after, limit } = request;
        let mut listing = Listing::default();
        if is_hidden(collection) {
            return Ok(listing);
        }
        let start = match after {
            Some(id) => document_end(room, [collection.as_str(), id.as_str()]),
            None => collection_prefix(room, collection),
        };
        let count_max = (*limit).min(hub.page_scan_max).max(1);
        let (mut bytes, mut read_bytes) = (0, 0);
        let mut last: Option<DocumentId> = None;
        for entry in self.documents.range(start..collection_end(room, collection)) {
            let (key, value) = entry?;
            if !is_first_chunk(&key) {
                continue;
            }
            let is_full = bytes > hub.page_bytes_max || read_bytes >= hub.page_scan_bytes_max;
            if listing.looked_at >= count_max || (is_full && last.is_some()) {
                listing.next = last;
                break;
            }
            let document = self.document_at(&key, &value)?;
            listing.looked_at += 1;
            last = Some(document.id.clone());
            let document_bytes = document_byte_len(&document);
            read_bytes += document_bytes;
            if !document.deleted {
                bytes += document_bytes;
                listing.documents.push(document);
            }
        }
        Ok(listing)
    }
}
