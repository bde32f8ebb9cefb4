//! What is pushed next, and what becomes of a batch.

use std::collections::BTreeSet;
use std::ops::Bound;

use syncline_protocol::Room;
use syncline_protocol::sabotage::{self, Sabotage};

use super::super::lane::{Full, Gathering, Hold, Lane};
use super::{Outbox, Pending, Stage};

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

impl Outbox {
    /// Everything accepted so far is pushed without waiting for more.
    pub fn hurry(&mut self, through: u64) {
        self.hurried_through = through;
        for lane in self.lanes.values_mut() {
            lane.gathering = Gathering::Done;
        }
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
        let unpushed = lane.unanswered.from(lane.first_unpushed());
        for number in unpushed.take_while(|number| *number <= self.durable_through) {
            let entry_bytes = self.pending.get(number).map_or(0, Pending::bytes);
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
            if let Some(pending) = self.pending.get_mut(*number) {
                pending.set_stage(Stage::Waiting);
            }
        }
        self.gather_rest(&room);
        self.last_room = Some(room.clone());
        Some((Batch { room, client_seqs, bytes }, after))
    }

    /// Once everything durable is pushed, what is not durable waits for others again.
    fn gather_rest(&mut self, room: &Room) {
        let Some(lane) = self.lanes.get_mut(room) else { return };
        let mut rest = lane.unanswered.from(lane.first_unpushed()).peekable();
        let at_once = self.durable_through.max(self.hurried_through);
        if rest.peek().is_some_and(|number| *number <= at_once) {
            return;
        }
        for pending in rest.filter_map(|number| self.pending.get(number)) {
            lane.gathering.add(pending.stage().due_us(), pending.bytes());
        }
    }

    /// The first room with something to push after the one that pushed last: rooms take turns.
    fn next_ready_room(&self) -> Option<Room> {
        let ready = |(room, lane): (&Room, &Lane)| lane.is_ready(self.durable_through).then(|| room.clone());
        let after = match &self.last_room {
            Some(last) => (Bound::Excluded(last), Bound::Unbounded),
            None => (Bound::Unbounded, Bound::Unbounded),
        };
        self.lanes.range(after).find_map(ready).or_else(|| self.lanes.iter().find_map(ready))
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

    /// The denied rooms, but for these, may perhaps be written to again.
    pub fn lift_denials(&mut self, except: &BTreeSet<Room>, now_us: u64) {
        for (room, lane) in &mut self.lanes {
            if lane.hold == Some(Hold::Denied) && !except.contains(room) {
                lane.hold = Some(Hold::Restart { at_us: now_us });
            }
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
}
