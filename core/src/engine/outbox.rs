//! Writes on their way to the server: accepted, durable, pushed, applied, confirmed.
//!
//! The outbox knows what is to be sent and in which order; it neither sends nor stores. Numbers of one room are
//! pushed in order. A batch that fails stops the room until all batches behind it are answered; then the room
//! starts again at its first unanswered number. The server refuses batches that do not follow each other, so
//! nothing overtakes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use syncline_protocol::{Mutation, Room};

use crate::store::{DocumentKey, Entry};

/// How far a write has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Not answered yet.
    Waiting,
    /// In the room's log at `seq`; shown as pending until the cache holds it.
    Applied { seq: u64 },
}

#[derive(Debug, Clone)]
pub struct Pending {
    pub entry: Entry,
    pub stage: Stage,
    pub bytes: u64,
    /// When it was accepted, on the monotonic clock; `None` for one recovered from the journal.
    pub accepted_us: Option<u64>,
}

/// A batch to push, and what must be known when its answer comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub room: Room,
    pub client_seqs: Vec<u64>,
    pub bytes: u64,
}

/// Sizes of batches.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    pub count_max: u64,
    pub bytes_max: u64,
    pub window_bytes: u64,
}

/// The push order of one room.
#[derive(Debug, Default)]
struct Lane {
    /// Numbers without an answer.
    unanswered: BTreeSet<u64>,
    /// In the log but not yet in the cache: where in the log, and the number.
    unconfirmed: BTreeSet<(u64, u64)>,
    /// The highest number pushed on this connection since the lane last started over.
    pushed_through: Option<u64>,
    in_flight: u32,
    /// Nothing is pushed while this is set.
    hold: Option<Hold>,
    /// One at a time, to find the mutation for which the server refuses whole batches.
    isolate: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// Until the batches under way are answered; then from the start, at the earliest at this time.
    Restart { at_us: u64 },
    /// Until the next connection: the room may not be written to.
    Denied,
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

    /// Adds a write; it is pushed once [`mark_durable`](Self::mark_durable) covers its number.
    pub fn insert(&mut self, entry: Entry, accepted_us: Option<u64>) {
        let number = entry.mutation.client_seq;
        let bytes = entry.mutation.byte_len() as u64;
        let key = document_key(&entry.room, &entry.mutation);
        let numbers = self.by_document.entry(key).or_default();
        // Nearly always the end; a write taken back has an older number.
        let place = numbers.partition_point(|other| *other < number);
        numbers.insert(place, number);
        self.lanes.entry(entry.room.clone()).or_default().unanswered.insert(number);
        self.bytes += bytes;
        self.pending.insert(number, Pending { entry, stage: Stage::Waiting, bytes, accepted_us });
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
                Stage::Waiting => lane.unanswered.remove(&client_seq),
                Stage::Applied { seq } => lane.unconfirmed.remove(&(seq, client_seq)),
            };
        }
        self.drop_idle_lane(&pending.entry.room);
        Some(pending)
    }

    pub fn mark_durable(&mut self, through: u64) {
        self.durable_through = self.durable_through.max(through);
    }

    /// Numbers accepted but not durable.
    pub fn not_durable(&self) -> Vec<u64> {
        self.pending.range(self.durable_through + 1..).map(|(number, _)| *number).collect()
    }

    /// The server has the write in its log. It stays visible as pending until it is confirmed.
    pub fn mark_applied(&mut self, client_seq: u64, seq: u64) {
        let Some(pending) = self.pending.get_mut(&client_seq) else { return };
        if pending.stage != Stage::Waiting {
            return;
        }
        pending.stage = Stage::Applied { seq };
        if let Some(lane) = self.lanes.get_mut(&pending.entry.room) {
            lane.unanswered.remove(&client_seq);
            lane.unconfirmed.insert((seq, client_seq));
        }
    }

    /// The writes of a room that the cache, at `cursor`, holds.
    pub fn confirmed_at(&self, room: &Room, cursor: u64) -> Vec<u64> {
        let lane = self.lanes.get(room);
        let confirmed = lane.into_iter().flat_map(|lane| lane.unconfirmed.range(..=(cursor, u64::MAX)));
        confirmed.map(|(_, number)| *number).collect()
    }

    /// Takes the next batch to push, of any room; `None` when there is nothing to do now.
    pub fn next_batch(&mut self, now_us: u64, limits: BatchLimits) -> Option<(Batch, Option<u64>)> {
        for lane in self.lanes.values_mut() {
            lane.release(now_us);
        }
        let room = self.next_ready_room()?;
        let lane = self.lanes.get_mut(&room)?;
        let count_max = if lane.isolate { 1 } else { limits.count_max.max(1) };
        let first = lane.pushed_through.map_or(0, |through| through + 1);
        let mut client_seqs = Vec::new();
        let mut bytes = 0;
        for &number in lane.unanswered.range(first..=self.durable_through) {
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
        self.last_room = Some(room.clone());
        Some((Batch { room, client_seqs, bytes }, after))
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
            lane.hold = Some(Hold::Restart { at_us: at_us.max(earlier_us) });
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
            lane.pushed_through = None;
            lane.in_flight = 0;
            lane.hold = None;
            lane.isolate = false;
        }
        self.lanes.retain(|_, lane| !lane.is_idle());
    }

    /// When a room that waits may be pushed to again, on the monotonic clock.
    pub fn next_deadline(&self) -> Option<u64> {
        self.lanes
            .values()
            .filter(|lane| lane.in_flight == 0)
            .filter_map(|lane| match lane.hold {
                Some(Hold::Restart { at_us }) => Some(at_us),
                _ => None,
            })
            .min()
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

impl Lane {
    fn is_idle(&self) -> bool {
        self.unanswered.is_empty() && self.unconfirmed.is_empty() && self.in_flight == 0
    }

    /// Starts over, if that is due and nothing is under way.
    fn release(&mut self, now_us: u64) {
        if let Some(Hold::Restart { at_us }) = self.hold
            && self.in_flight == 0
            && at_us <= now_us
        {
            self.hold = None;
            self.pushed_through = None;
        }
    }

    fn is_ready(&self, durable_through: u64) -> bool {
        if self.hold.is_some() || (self.isolate && self.in_flight > 0) {
            return false;
        }
        let first = self.pushed_through.map_or(0, |through| through + 1);
        first <= durable_through && self.unanswered.range(first..=durable_through).next().is_some()
    }
}
