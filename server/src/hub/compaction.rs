//! Forgetting deletions. The log holds each document once, so tombstones are all that grows without bound.
//!
//! A room's tombstones are purged from the start of its log, in order. The place of the last one purged is the
//! room's floor: a reader that got at least so far has missed none of them, any other starts again from nothing.

use std::ops::ControlFlow;

use syncline_protocol::Room;
use syncline_protocol::sabotage::{self, Sabotage};

use super::{DocumentKey, Head, RoomStore};
use crate::config::HubConfig;

/// A deleted document, where its deletion stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    pub seq: u64,
    /// By the server's clock, in milliseconds since the epoch.
    pub deleted_at_ms: u64,
    pub key: DocumentKey,
}

/// Tombstones to remove, all or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compaction {
    pub room: Room,
    /// With the new floor; `seq` and `checksum` stay, for a deleted document adds nothing to the checksum.
    pub head: Head,
    /// In the order of their places.
    pub removed: Vec<Tombstone>,
}

/// The oldest tombstones of a room that are past their retention or too many, one step's worth; `None` if there
/// are none.
pub fn compact<S: RoomStore>(
    store: &S,
    room: &Room,
    now_ms: u64,
    config: &HubConfig,
) -> Result<Option<Compaction>, S::Error> {
    let mut head = store.head(room)?;
    if head.tombstones == 0 {
        return Ok(None);
    }
    let mut removed = Vec::new();
    store.tombstones(room, &mut |tombstone| {
        let expired = now_ms.saturating_sub(tombstone.deleted_at_ms) >= config.tombstone_retention_ms;
        let surplus = head.tombstones > config.tombstones_kept_max;
        if !(expired || surplus) || removed.len() >= config.compaction_count_max {
            return ControlFlow::Break(());
        }
        head.tombstones = head.tombstones.saturating_sub(1);
        if !sabotage::is_active(Sabotage::TombstonePurgedAboveFloor) {
            // A room that was restored has its floor above them.
            head.floor = head.floor.max(tombstone.seq);
        }
        removed.push(tombstone);
        ControlFlow::Continue(())
    })?;
    let compaction = Compaction { room: room.clone(), head, removed };
    Ok((!compaction.removed.is_empty()).then_some(compaction))
}

#[cfg(test)]
#[path = "compaction_tests.rs"]
mod tests;
