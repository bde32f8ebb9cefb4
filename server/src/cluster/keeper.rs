//! What the storage is asked for: changes that are missing, and where logs end. The storage is the truth; what nodes tell
//! each other only spares asking it.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use syncline_protocol::Room;

use super::Cluster;
use super::order::Missing;
use crate::gateway::Shared;
use crate::hub::PageRequest;

/// Rooms whose missing changes are read at the same time.
const READS_AT_ONCE: usize = 8;

/// Rooms whose heads are asked for at once.
const HEADS_AT_ONCE: usize = 500;

/// How long to wait before a storage that did not answer is asked again.
const RETRY_MS: u64 = 1_000;

impl Cluster {
    /// Fills gaps, and compares heads every now and then.
    pub(super) async fn keep(&self, shared: &Shared) {
        tokio::join!(self.fill_gaps(shared), self.compare_heads(shared));
    }

    /// The heads of all open rooms are compared next: something may have been missed.
    pub(super) fn compare_soon(&self) {
        self.compare.notify_one();
    }

    async fn fill_gaps(&self, shared: &Shared) {
        loop {
            let (due, next_ms) = self.gaps_due();
            let reads = futures_util::stream::iter(due);
            reads
                .for_each_concurrent(READS_AT_ONCE, |(room, missing)| self.fill_gap(shared, room, missing))
                .await;
            let until_next = async {
                match next_ms {
                    Some(next_ms) => {
                        let wait_ms = next_ms.saturating_sub(self.now_ms()).max(1);
                        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = until_next => {}
                () = self.gaps.notified() => {}
            }
        }
    }

    /// What is to be read now, and when there is more.
    fn gaps_due(&self) -> (Vec<(Room, Missing)>, Option<u64>) {
        let now_ms = self.now_ms();
        let rooms = self.rooms();
        let (mut due, mut next_ms) = (Vec::new(), None::<u64>);
        for room in &rooms.gapped {
            let Some(open) = rooms.open.get(room) else { continue };
            match (open.order.missing(now_ms), open.order.due_ms()) {
                (Some(missing), _) => due.push((room.clone(), missing)),
                (None, Some(at_ms)) => next_ms = Some(next_ms.map_or(at_ms, |next_ms| next_ms.min(at_ms))),
                (None, None) => {}
            }
        }
        (due, next_ms)
    }

    async fn fill_gap(&self, shared: &Shared, room: Room, missing: Missing) {
        let limit = shared.limits.page_count_max;
        let (cursor, name) = (missing.after, room.clone());
        let request = PageRequest { room: name, cursor, limit, collections: None, snapshot: None };
        match shared.storage.page(request).await {
            Ok(page) => self
                .advance(&room, |order, now_ms, patience| order.fill(&room, missing, page, now_ms, patience)),
            Err(error) => {
                tracing::debug!(%error, "missing changes cannot be read now");
                self.advance(&room, |order, now_ms, _| {
                    order.postpone(now_ms.saturating_add(RETRY_MS));
                    Vec::new()
                });
            }
        }
    }

    async fn compare_heads(&self, shared: &Shared) {
        let interval = Duration::from_millis(self.config.heads_interval_ms.max(1));
        let mut failed = false;
        loop {
            let pause = if failed { interval.min(Duration::from_millis(RETRY_MS)) } else { interval };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.compare.notified() => {}
            }
            let rooms: Vec<Room> = self.rooms().open.keys().cloned().collect();
            failed = false;
            for rooms in rooms.chunks(HEADS_AT_ONCE) {
                let before = self.delivered(rooms);
                match shared.storage.heads(rooms.to_vec()).await {
                    Ok(heads) => {
                        for (room, head) in heads {
                            let before = before.get(&room).copied();
                            self.advance(&room, |order, now_ms, patience| {
                                order.compare(&room, head, before, now_ms, patience)
                            });
                        }
                    }
                    Err(error) => {
                        tracing::debug!(%error, "heads cannot be compared now");
                        failed = true;
                    }
                }
            }
        }
    }

    fn delivered(&self, rooms: &[Room]) -> HashMap<Room, u64> {
        let all = self.rooms();
        let delivered = |room: &Room| Some((room.clone(), all.open.get(room)?.order.delivered()?));
        rooms.iter().filter_map(delivered).collect()
    }
}
