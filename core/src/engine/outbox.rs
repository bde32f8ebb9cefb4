//! Writes on their way to the server: accepted, durable, pushed, applied, confirmed.
//!
//! The outbox knows what is to be sent and in which order; it neither sends nor stores. Numbers of one room are
//! pushed in order. A batch that fails stops the room until all batches behind it are answered; then the room
//! starts again at its first unanswered number. The server refuses batches that do not follow each other, so
//! nothing overtakes. A write waits a moment for others to be sent with, unless there is a backlog.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use syncline_protocol::sabotage::{self, Sabotage};
use syncline_protocol::{Mutation, Room};

use super::lane::{Full, Gathering, Hold, Lane};
use crate::store::{DocumentKey, Entry};

/// How far a write has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Never sent: another write of the document may still become part of it.
    Unsent,
    /// Perhaps sent, and not answered yet.
    Waiting,
    /// In the room's log at `seq`; shown as pending until the cache holds it.
    Applied { seq: u64 },
}

#[derive(Debug, Clone)]
pub struct Pending {
    pub entry: Entry,
    pub stage: Stage,
    pub bytes: u64,
    /// When it was accepted, on the monotonic clock; `None` for one recovered from the journal. Of several that
    /// became one, when the first was that still leaves a stamp.
    pub accepted_us: Option<u64>,
    /// Until when it may wait for others to be sent with, on the monotonic clock.
    due_us: u64,
}

/// A batch to push, and what must be known when its answer comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub room: Room,
    pub client_seqs: Vec<u64>,
    pub bytes: u64,
}

/// Whether writes wait for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered<'a> {
    None,
    Some,
    /// Only in rooms that may not be written to, such as this one.
    OnlyDenied(&'a Room),
}

/// Sizes of batches.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    pub count_max: u64,
    pub bytes_max: u64,
    pub window_bytes: u64,
}

#[derive(Debug, Default)]
pub struct Outbox {
    pending: BTreeMap<u64, Pending>,
    by_document: HashMap<DocumentKey, Vec<u64>>,
    lanes: BTreeMap<Room, Lane>,
    bytes: u64,
    in_flight_bytes: u64,
    /// The room that pushed last.
    last_room: Option<Room>,
    /// No number above this one is on disk yet.
    durable_through: u64,
    /// No number up to this one waits for others to be sent with.
    hurried_through: u64,
    /// Writes that were put in the place of durable ones, and are not durable themselves.
    folds_not_durable: u64,
}

pub fn document_key(room: &Room, mutation: &Mutation) -> DocumentKey {
    DocumentKey { room: room.clone(), collection: mutation.collection.clone(), id: mutation.id.clone() }
}

impl Outbox {
    pub fn len(&self) -> u64 {
        self.pending.len() as u64
    }

    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn is_pushing(&self) -> bool {
        self.in_flight_bytes > 0
    }

    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.pending.values().map(|pending| &pending.entry)
    }

    pub fn rooms(&self) -> impl Iterator<Item = &Room> {
        self.lanes.keys()
    }

    /// Whether any write of the room waits for an answer or for its confirmation.
    pub fn holds_room(&self, room: &Room) -> bool {
        self.lanes.contains_key(room)
    }

    pub fn pending(&self, client_seq: u64) -> Option<&Pending> {
        self.pending.get(&client_seq)
    }

    /// The pending writes of a document, oldest first.
    pub fn of_document(&self, key: &DocumentKey) -> impl Iterator<Item = &Pending> {
        let numbers = self.by_document.get(key).map_or(&[][..], Vec::as_slice);
        numbers.iter().filter_map(|number| self.pending.get(number))
    }

    /// The documents that have pending writes.
    pub fn documents(&self) -> impl Iterator<Item = &DocumentKey> {
        self.by_document.keys()
    }

    /// Adds a write accepted earlier: it is pushed as soon as it can.
    pub fn insert(&mut self, entry: Entry, accepted_us: Option<u64>) {
        let bytes = entry.mutation.byte_len() as u64;
        self.put(Pending { entry, stage: Stage::Waiting, bytes, accepted_us, due_us: 0 });
    }

    /// Adds a write accepted at `now_us`, which may wait until `due_us` for others to be sent with. It is pushed
    /// once [`mark_durable`](Self::mark_durable) covers its number.
    pub fn insert_new(&mut self, entry: Entry, now_us: u64, due_us: u64) {
        let bytes = entry.mutation.byte_len() as u64;
        self.put(Pending { entry, stage: Stage::Unsent, bytes, accepted_us: Some(now_us), due_us });
    }

    fn put(&mut self, pending: Pending) {
        let number = pending.entry.mutation.client_seq;
        let key = document_key(&pending.entry.room, &pending.entry.mutation);
        let numbers = self.by_document.entry(key).or_default();
        // Nearly always the end; a write taken back has an older number.
        let place = numbers.partition_point(|other| *other < number);
        numbers.insert(place, number);
        let lane = self.lanes.entry(pending.entry.room.clone()).or_default();
        // What waits behind a backlog goes with it.
        let waits_for_nothing = lane.gathering == Gathering::Done && lane.has_unpushed();
        lane.unanswered.insert(number);
        if pending.due_us == 0 {
            lane.gathering = Gathering::Done;
        } else if !waits_for_nothing {
            lane.gathering.add(pending.due_us, pending.bytes);
        }
        self.bytes += pending.bytes;
        self.pending.insert(number, pending);
    }

    /// The newest pending write of a document, if it was never sent.
    pub fn last_unsent(&self, key: &DocumentKey) -> Option<&Pending> {
        let newest = self.by_document.get(key)?.last()?;
        let may_change = |stage| match stage {
            Stage::Unsent => true,
            Stage::Waiting => sabotage::is_active(Sabotage::CoalescedSent),
            Stage::Applied { .. } => false,
        };
        self.pending.get(newest).filter(|pending| may_change(pending.stage))
    }

    /// Puts a write in the place of the one with its number, which was never sent, and returns that. Nothing is
    /// pushed until [`mark_folds_durable`](Self::mark_folds_durable): the number counts as durable already.
    pub fn fold(&mut self, entry: Entry, accepted_us: Option<u64>) -> Option<Pending> {
        let pending = self.pending.get_mut(&entry.mutation.client_seq)?;
        let bytes = entry.mutation.byte_len() as u64;
        let new = Pending { entry, bytes, accepted_us, ..pending.clone() };
        let old = std::mem::replace(pending, new);
        self.bytes = self.bytes - old.bytes + bytes;
        self.folds_not_durable += 1;
        Some(old)
    }

    /// Takes a fold back.
    pub fn unfold(&mut self, old: Pending) {
        if let Some(pending) = self.pending.get_mut(&old.entry.mutation.client_seq) {
            self.bytes = self.bytes - pending.bytes + old.bytes;
            *pending = old;
            self.folds_not_durable = self.folds_not_durable.saturating_sub(1);
        }
    }

    /// No fold is on its way to the disk any more.
    pub fn mark_folds_durable(&mut self) {
        self.folds_not_durable = 0;
    }

    /// Everything accepted so far is pushed without waiting for more.
    pub fn hurry(&mut self, through: u64) {
        self.hurried_through = through;
        for lane in self.lanes.values_mut() {
            lane.gathering = Gathering::Done;
        }
    }

    /// Takes a write out: confirmed, failed, or not durable after all.
    pub fn remove(&mut self, client_seq: u64) -> Option<Pending> {
        let pending = self.pending.remove(&client_seq)?;
        self.bytes -= pending.bytes;
        let key = document_key(&pending.entry.room, &pending.entry.mutation);
        if let Some(numbers) = self.by_document.get_mut(&key) {
            numbers.retain(|number| *number != client_seq);
            if numbers.is_empty() {
                self.by_document.remove(&key);
            }
        }
        if let Some(lane) = self.lanes.get_mut(&pending.entry.room) {
            match pending.stage {
                Stage::Unsent | Stage::Waiting => lane.unanswered.remove(&client_seq),
                Stage::Applied { seq } => lane.unconfirmed.remove(&(seq, client_seq)),
            };
        }
        self.drop_idle_lane(&pending.entry.room);
        Some(pending)
    }

    pub fn mark_durable(&mut self, through: u64) {
        self.durable_through = self.durable_through.max(through);
    }

    /// What the server has not answered of the writes up to this number.
    pub fn unanswered(&self, through: u64) -> Unanswered<'_> {
        let mut denied = None;
        for (room, lane) in &self.lanes {
            if lane.unanswered.first().is_none_or(|first| *first > through) {
                continue;
            }
            if lane.hold != Some(Hold::Denied) {
                return Unanswered::Some;
            }
            denied = Some(room);
        }
        denied.map_or(Unanswered::None, Unanswered::OnlyDenied)
    }

    /// Whether the server has not answered one of these.
    pub fn awaits_any(&self, client_seqs: &[u64]) -> bool {
        let is_awaited = |pending: &Pending| !matches!(pending.stage, Stage::Applied { .. });
        client_seqs.iter().any(|number| self.pending.get(number).is_some_and(is_awaited))
    }

    /// Whether the cache does not hold yet what the server has applied of the writes up to this number.
    pub fn has_unconfirmed(&self, through: u64) -> bool {
        self.lanes.values().any(|lane| lane.unconfirmed.iter().any(|(_, number)| *number <= through))
    }

    /// The server has the write in its log. It stays visible as pending until it is confirmed.
    pub fn mark_applied(&mut self, client_seq: u64, seq: u64) {
        let Some(pending) = self.pending.get_mut(&client_seq) else { return };
        if matches!(pending.stage, Stage::Applied { .. }) {
            return;
        }
        pending.stage = Stage::Applied { seq };
        if let Some(lane) = self.lanes.get_mut(&pending.entry.room) {
            lane.unanswered.remove(&client_seq);
            lane.unconfirmed.insert((seq, client_seq));
        }
    }

    /// The server's log ends at `seq`: what it applied behind that is lost there, and pushed again, at the earliest at
    /// `at_us`.
    pub fn push_again_behind(&mut self, room: &Room, seq: u64, at_us: u64) {
        let Some(lane) = self.lanes.get_mut(room) else { return };
        let lost = lane.unconfirmed.split_off(&(seq.saturating_add(1), 0));
        if lost.is_empty() {
            return;
        }
        for (_, number) in lost {
            lane.unanswered.insert(number);
            if let Some(pending) = self.pending.get_mut(&number) {
                pending.stage = Stage::Waiting;
            }
        }
        self.start_over(room, at_us);
    }

    /// The writes of a room that the cache, at `cursor`, holds.
    pub fn confirmed_at(&self, room: &Room, cursor: u64) -> Vec<u64> {
        let lane = self.lanes.get(room);
        let confirmed = lane.into_iter().flat_map(|lane| lane.unconfirmed.range(..=(cursor, u64::MAX)));
        confirmed.map(|(_, number)| *number).collect()
    }

    /// Lets pass what is due. [`next_deadline`](Self::next_deadline) says when.
    pub fn handle_time(&mut self, now_us: u64, limits: BatchLimits) {
        let full = Full { count: limits.count_max, bytes: limits.bytes_max };
        for lane in self.lanes.values_mut() {
            lane.handle_time(now_us, full);
        }
    }

    /// Takes the next batch to push, of any room; `None` when there is nothing to do now.
    pub fn next_batch(&mut self, limits: BatchLimits) -> Option<(Batch, Option<u64>)> {
        if self.folds_not_durable > 0 {
            return None;
        }
        let room = self.next_ready_room()?;
        let lane = self.lanes.get_mut(&room)?;
        let count_max = if lane.isolate { 1 } else { limits.count_max.max(1) };
        let mut client_seqs = Vec::new();
        let mut bytes = 0;
        for &number in lane.unanswered.range(lane.first_unpushed()..=self.durable_through) {
            let entry_bytes = self.pending.get(&number).map_or(0, |pending| pending.bytes);
            let is_first = client_seqs.is_empty();
            let in_flight = self.in_flight_bytes + bytes;
            let fits = bytes + entry_bytes <= limits.bytes_max;
            // One batch may always be under way, however large its only mutation is.
            let in_window = in_flight == 0 || in_flight + entry_bytes <= limits.window_bytes;
            if !in_window || !(fits || is_first) || client_seqs.len() as u64 >= count_max {
                break;
            }
            client_seqs.push(number);
            bytes += entry_bytes;
        }
        let last = *client_seqs.last()?;
        let after = lane.pushed_through.replace(last);
        lane.in_flight += 1;
        self.in_flight_bytes += bytes;
        for number in &client_seqs {
            if let Some(pending) = self.pending.get_mut(number) {
                pending.stage = Stage::Waiting;
            }
        }
        self.gather_rest(&room);
        self.last_room = Some(room.clone());
        Some((Batch { room, client_seqs, bytes }, after))
    }

    /// Once everything durable is pushed, what is not durable waits for others again.
    fn gather_rest(&mut self, room: &Room) {
        let Some(lane) = self.lanes.get_mut(room) else { return };
        let first = lane.first_unpushed();
        let mut rest = lane.unanswered.range(first..).peekable();
        let at_once = self.durable_through.max(self.hurried_through);
        if rest.peek().is_some_and(|number| **number <= at_once) {
            return;
        }
        for pending in rest.filter_map(|number| self.pending.get(number)) {
            lane.gathering.add(pending.due_us, pending.bytes);
        }
    }

    /// The first room with something to push after the one that pushed last: rooms take turns.
    fn next_ready_room(&self) -> Option<Room> {
        let ready = |(room, lane): (&Room, &Lane)| lane.is_ready(self.durable_through).then(|| room.clone());
        let after = match &self.last_room {
            Some(last) => (Bound::Excluded(last), Bound::Unbounded),
            None => (Bound::Unbounded, Bound::Unbounded),
        };
        self.lanes.range::<Room, _>(after).find_map(ready).or_else(|| self.lanes.iter().find_map(ready))
    }

    /// A batch was answered in full.
    pub fn complete(&mut self, batch: &Batch) {
        self.landed(batch);
        self.drop_idle_lane(&batch.room);
    }

    /// A batch, or its tail, was refused for now: the room starts over at its first unanswered number.
    pub fn restart(&mut self, batch: &Batch, at_us: u64) {
        self.landed(batch);
        self.start_over(&batch.room, at_us);
        self.drop_idle_lane(&batch.room);
    }

    /// The room starts over at its first unanswered number, once nothing is under way.
    pub fn start_over(&mut self, room: &Room, at_us: u64) {
        if let Some(lane) = self.lanes.get_mut(room)
            && lane.hold != Some(Hold::Denied)
        {
            // A batch behind a refused one is refused too, and knows less of when to come back.
            let earlier_us = match lane.hold {
                Some(Hold::Restart { at_us }) => at_us,
                _ => 0,
            };
            let lost = sabotage::is_active(Sabotage::RetryLost);
            let at_us = if lost { u64::MAX } else { at_us.max(earlier_us) };
            lane.hold = Some(Hold::Restart { at_us });
        }
    }

    /// As [`restart`](Self::restart), with one mutation a batch, to find the one that is refused.
    pub fn isolate(&mut self, batch: &Batch, at_us: u64) {
        if let Some(lane) = self.lanes.get_mut(&batch.room) {
            lane.isolate = true;
        }
        self.restart(batch, at_us);
    }

    /// The refused mutation was found: whole batches again.
    pub fn end_isolation(&mut self, room: &Room) {
        if let Some(lane) = self.lanes.get_mut(room) {
            lane.isolate = false;
        }
    }

    /// The room may not be written to. Its writes are kept for the next connection.
    pub fn deny(&mut self, batch: &Batch) {
        self.landed(batch);
        if let Some(lane) = self.lanes.get_mut(&batch.room) {
            lane.hold = Some(Hold::Denied);
        }
    }

    /// The connection is gone: everything unanswered is pushed again on the next one.
    pub fn reset_connection(&mut self) {
        self.in_flight_bytes = 0;
        for lane in self.lanes.values_mut() {
            lane.start_over();
            lane.in_flight = 0;
            lane.hold = None;
            lane.isolate = false;
        }
        self.lanes.retain(|_, lane| !lane.is_idle());
    }

    /// When [`handle_time`](Self::handle_time) has something to do, on the monotonic clock.
    pub fn next_deadline(&self) -> Option<u64> {
        self.lanes.values().filter_map(Lane::next_deadline).min()
    }

    fn landed(&mut self, batch: &Batch) {
        self.in_flight_bytes = self.in_flight_bytes.saturating_sub(batch.bytes);
        if let Some(lane) = self.lanes.get_mut(&batch.room) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
        }
    }

    fn drop_idle_lane(&mut self, room: &Room) {
        if self.lanes.get(room).is_some_and(Lane::is_idle) {
            self.lanes.remove(room);
        }
    }
}
