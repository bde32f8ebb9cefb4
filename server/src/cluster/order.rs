//! The order of one room's changes, which several nodes commit and tell of. Pure: time is an argument.

use std::collections::BTreeMap;

use syncline_protocol::Room;
use syncline_protocol::message::Page;

use crate::fanout::head_hint;
use crate::hub::LiveChanges;

/// How far a room's log was delivered here, and what waits for what it follows.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Unknown until something was delivered, or a reader says where it begins.
    delivered: Option<u64>,
    /// Where the log is known to end.
    head: u64,
    held: BTreeMap<u64, LiveChanges>,
    /// When what is missing is read from the storage.
    due_ms: Option<u64>,
}

/// For how long and how much is waited.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) reorder_ms: u64,
    pub(super) held_count_max: usize,
}

/// What is to be read from the storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missing {
    /// Everything up to here is known.
    pub(super) after: u64,
    /// Where the log was known to end.
    head: u64,
}

impl Order {
    /// Takes changes, or a hint where the log ends; answers what is to be delivered now, in order.
    pub(super) fn offer(
        &mut self,
        changes: LiveChanges,
        now_ms: u64,
        patience: Patience,
    ) -> Vec<LiveChanges> {
        let LiveChanges { from_seq, to_seq, .. } = changes;
        let Some(delivered) = self.delivered else {
            self.delivered = Some(to_seq);
            self.head = self.head.max(to_seq);
            return vec![changes];
        };
        if to_seq <= delivered {
            return Vec::new();
        }
        self.head = self.head.max(to_seq);
        if from_seq <= delivered + 1 {
            self.delivered = Some(to_seq);
            return self.with_what_follows(vec![changes], now_ms, patience);
        }
        // A hint holds nothing that could be waited for.
        let is_hint = from_seq > to_seq;
        if !is_hint && self.held.len() < patience.held_count_max {
            self.held.insert(from_seq, changes);
        }
        let due_ms = if is_hint { now_ms } else { now_ms.saturating_add(patience.reorder_ms) };
        self.due_ms = Some(self.due_ms.map_or(due_ms, |earlier| earlier.min(due_ms)));
        Vec::new()
    }

    /// Somebody here has read the log up to `cursor`, or reads it from there.
    pub(super) fn begin(&mut self, cursor: u64) {
        self.delivered.get_or_insert(cursor);
    }

    /// What was delivered, to [compare](Self::compare) with what the storage is asked for next.
    pub(super) fn delivered(&self) -> Option<u64> {
        self.delivered
    }

    /// Takes where the storage says that the log ends, and what had been delivered before it was asked. Answers what is to be
    /// delivered.
    pub(super) fn compare(
        &mut self,
        room: &Room,
        head: u64,
        delivered_before: Option<u64>,
        now_ms: u64,
        patience: Patience,
    ) -> Vec<LiveChanges> {
        // The storage has lost something since: what is committed from now on is new.
        let is_unchanged = self.delivered == delivered_before && self.held.is_empty();
        if is_unchanged && self.delivered.is_some_and(|delivered| delivered > head) {
            self.delivered = Some(head);
            self.head = head;
        }
        self.offer(head_hint(room.clone(), head), now_ms, patience)
    }

    /// When to look for what is missing.
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }

    /// What is missing, if it is time to read it.
    pub(super) fn missing(&self, now_ms: u64) -> Option<Missing> {
        let after = self.due_ms.filter(|due_ms| *due_ms <= now_ms).and(self.delivered)?;
        Some(Missing { after, head: self.head })
    }

    /// The storage did not answer: it is asked again later.
    pub(super) fn postpone(&mut self, until_ms: u64) {
        self.due_ms = self.due_ms.map(|_| until_ms);
    }

    /// Takes what the storage holds of what was [missing](Self::missing).
    pub(super) fn fill(
        &mut self,
        room: &Room,
        missing: Missing,
        page: Page,
        now_ms: u64,
        patience: Patience,
    ) -> Vec<LiveChanges> {
        self.due_ms = None;
        let delivered = self.delivered.unwrap_or(missing.after);
        let changes = if page.reset || page.more {
            // Too much for one message: the readers pull for themselves.
            self.held.clear();
            self.head = self.head.max(page.cursor);
            head_hint(room.clone(), self.head)
        } else {
            // What was told of before the storage was asked, and is not there, was never committed.
            if self.head == missing.head {
                self.head = page.cursor.max(delivered);
            }
            LiveChanges {
                room: room.clone(),
                from_seq: missing.after + 1,
                to_seq: page.cursor,
                changes: page.changes.into_iter().map(Into::into).collect(),
            }
        };
        if changes.to_seq <= delivered {
            return self.with_what_follows(Vec::new(), now_ms, patience);
        }
        self.delivered = Some(changes.to_seq);
        self.with_what_follows(vec![changes], now_ms, patience)
    }

    /// Adds what was held and follows now.
    fn with_what_follows(
        &mut self,
        mut ready: Vec<LiveChanges>,
        now_ms: u64,
        patience: Patience,
    ) -> Vec<LiveChanges> {
        let mut delivered = self.delivered.unwrap_or_default();
        while let Some(first) = self.held.first_entry() {
            let LiveChanges { from_seq, to_seq, .. } = *first.get();
            if from_seq > delivered + 1 {
                break;
            }
            let changes = first.remove();
            if to_seq > delivered {
                delivered = to_seq;
                ready.push(changes);
            }
        }
        self.delivered = Some(delivered);
        self.head = self.head.max(delivered);
        self.due_ms = match self.held.is_empty() && self.head <= delivered {
            true => None,
            false => self.due_ms.or(Some(now_ms.saturating_add(patience.reorder_ms))),
        };
        ready
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATIENCE: Patience = Patience { reorder_ms: 100, held_count_max: 4 };

    fn room() -> Room {
        Room::new("r").unwrap()
    }

    fn changes(from_seq: u64, to_seq: u64) -> LiveChanges {
        LiveChanges { room: room(), from_seq, to_seq, changes: Vec::new() }
    }

    fn page(cursor: u64) -> Page {
        Page { changes: Vec::new(), cursor, more: false, reset: false, checksum: None, snapshot: None }
    }

    fn ranges(delivered: &[LiveChanges]) -> Vec<(u64, u64)> {
        delivered.iter().map(|changes| (changes.from_seq, changes.to_seq)).collect()
    }

    /// The storage is asked and answers at once.
    fn compare(order: &mut Order, head: u64, now_ms: u64) -> Vec<LiveChanges> {
        let delivered = order.delivered();
        order.compare(&room(), head, delivered, now_ms, PATIENCE)
    }

    #[test]
    fn what_is_delivered_while_heads_are_read_is_no_step_back() {
        let mut order = Order::default();
        order.begin(100);
        let before = order.delivered();
        order.offer(changes(101, 101), 0, PATIENCE);
        assert!(order.compare(&room(), 100, before, 0, PATIENCE).is_empty());
        assert_eq!(ranges(&order.offer(changes(102, 102), 0, PATIENCE)), [(102, 102)]);
    }

    #[test]
    fn changes_that_overtook_others_wait_for_them() {
        let mut order = Order::default();
        order.begin(4);
        assert!(order.offer(changes(6, 7), 0, PATIENCE).is_empty());
        assert!(order.missing(99).is_none());
        assert_eq!(ranges(&order.offer(changes(5, 5), 50, PATIENCE)), [(5, 5), (6, 7)]);
        assert_eq!(order.due_ms(), None);
    }

    #[test]
    fn what_does_not_come_in_time_is_read_from_the_storage() {
        let mut order = Order::default();
        order.begin(4);
        order.offer(changes(7, 7), 0, PATIENCE);
        let missing = order.missing(100).unwrap();
        assert_eq!(missing.after, 4);
        assert_eq!(ranges(&order.fill(&room(), missing, page(6), 100, PATIENCE)), [(5, 6), (7, 7)]);
        assert_eq!(order.due_ms(), None);
    }

    #[test]
    fn a_hint_is_read_at_once_and_only_once() {
        let mut order = Order::default();
        order.begin(4);
        assert!(compare(&mut order, 9, 0).is_empty());
        let missing = order.missing(0).unwrap();
        assert_eq!(ranges(&order.fill(&room(), missing, page(9), 0, PATIENCE)), [(5, 9)]);
        assert!(compare(&mut order, 9, 0).is_empty());
        assert_eq!(order.due_ms(), None);
    }

    #[test]
    fn what_is_heard_while_the_storage_is_read_is_not_forgotten() {
        let mut order = Order::default();
        order.begin(4);
        compare(&mut order, 6, 0);
        let missing = order.missing(0).unwrap();
        compare(&mut order, 7, 1);
        order.fill(&room(), missing, page(6), 2, PATIENCE);
        assert_eq!(order.missing(102).unwrap().after, 6);
    }

    #[test]
    fn a_hint_of_what_was_never_committed_is_looked_for_once() {
        let mut order = Order::default();
        order.begin(4);
        compare(&mut order, 9, 0);
        let missing = order.missing(0).unwrap();
        assert!(order.fill(&room(), missing, page(4), 0, PATIENCE).is_empty());
        assert_eq!(order.due_ms(), None);
    }

    #[test]
    fn a_storage_that_went_back_is_followed() {
        let mut order = Order::default();
        order.begin(9);
        compare(&mut order, 5, 0);
        assert_eq!(ranges(&order.offer(changes(6, 6), 0, PATIENCE)), [(6, 6)]);
    }

    #[test]
    fn too_much_for_one_page_is_left_to_the_readers() {
        let mut order = Order::default();
        order.begin(4);
        compare(&mut order, 5000, 0);
        let missing = order.missing(0).unwrap();
        let delivered = order.fill(&room(), missing, Page { more: true, ..page(1004) }, 0, PATIENCE);
        assert_eq!(ranges(&delivered), [(5001, 5000)]);
        assert_eq!(ranges(&order.offer(changes(5001, 5001), 0, PATIENCE)), [(5001, 5001)]);
    }

    proptest! {
        /// Whatever is lost, doubled or overtakes: a reader that follows what is delivered gets to the end, without a gap
        /// but for those that a hint tells.
        #[test]
        fn all_of_the_log_is_delivered_in_order(
            told in proptest::collection::vec((1_u64..40, 0_u64..4), 0..60),
        ) {
            let mut order = Order::default();
            order.begin(0);
            let (mut cursor, mut now_ms, mut head) = (0, 0, 0);
            let follow = |delivered: Vec<LiveChanges>, cursor: &mut u64| {
                for changes in delivered {
                    prop_assert!(changes.from_seq <= *cursor + 1, "a gap after {}: {:?}", cursor, changes);
                    prop_assert!(changes.to_seq > *cursor, "nothing new");
                    *cursor = changes.to_seq;
                }
                Ok(())
            };
            for (from_seq, more) in told {
                now_ms += 10;
                head = head.max(from_seq + more);
                follow(order.offer(changes(from_seq, from_seq + more), now_ms, PATIENCE), &mut cursor)?;
                if let Some(missing) = order.missing(now_ms) {
                    follow(order.fill(&room(), missing, page(head), now_ms, PATIENCE), &mut cursor)?;
                }
            }
            now_ms += 1000;
            follow(compare(&mut order, head, now_ms), &mut cursor)?;
            if let Some(missing) = order.missing(now_ms) {
                follow(order.fill(&room(), missing, page(head), now_ms, PATIENCE), &mut cursor)?;
            }
            prop_assert_eq!(cursor, head);
            prop_assert_eq!(order.due_ms(), None);
        }
    }
}
