//! When a room's subscribers are told of what was committed: in rounds. While one is under way, what comes meanwhile waits
//! and becomes one message. So a room hears at once as long as its subscribers keep up, and where they do not, each message
//! costs them less, instead of more of them waiting.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use syncline_protocol::Room;

use super::head_hint;
use super::pace::Pace;
use crate::config::HubConfig;
use crate::hub::{LiveChanges, changes_byte_len};

/// All rooms of which there is something to tell, or was just now.
#[derive(Debug)]
pub(super) struct Rounds {
    rooms: HashMap<Room, VecDeque<Waiting>>,
    /// Those that may be told at once.
    ready: VecDeque<Room>,
    pace: Pace<Instant>,
    /// Of all that waits.
    bytes: usize,
    bytes_max: usize,
    live_bytes_max: usize,
    round_max: Duration,
}

#[derive(Debug)]
struct Waiting {
    changes: LiveChanges,
    /// What they took when they came.
    bytes: usize,
}

/// What to do next.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// Tell the subscribers, and [end](Rounds::end) the round when they have taken it.
    Tell { changes: LiveChanges, bytes: usize, number: u64 },
    /// Ask again then, or when there is more.
    At(Instant),
    /// Ask again when there is more.
    Nothing,
}

impl Rounds {
    pub(super) fn new(config: &HubConfig) -> Self {
        Self {
            rooms: HashMap::new(),
            ready: VecDeque::new(),
            pace: Pace::default(),
            bytes: 0,
            bytes_max: config.live_queued_bytes_max,
            live_bytes_max: config.live_bytes_max,
            round_max: Duration::from_millis(config.live_round_ms_max),
        }
    }

    /// Takes what follows in a room's log. Answers whether it may be told at once.
    pub(super) fn offer(&mut self, changes: LiveChanges) -> bool {
        let room = changes.room.clone();
        let line = self.rooms.entry(room.clone()).or_default();
        let was_idle = line.is_empty() && !self.pace.is_under_way(&room);
        let mut next = Waiting { bytes: changes_byte_len(&changes), changes };
        if self.bytes > 0 && self.bytes + next.bytes > self.bytes_max {
            // Those who hear of the head read the rest for themselves.
            self.bytes -= line.drain(..).map(|waiting| waiting.bytes).sum::<usize>();
            next = Waiting { changes: head_hint(room.clone(), next.changes.to_seq), bytes: 0 };
        }
        self.bytes += next.bytes;
        match line.back_mut() {
            Some(last) if last.bytes + next.bytes <= self.live_bytes_max && last.is_before(&next) => {
                last.append(next);
            }
            _ => line.push_back(next),
        }
        if was_idle {
            self.ready.push_back(room);
        }
        was_idle
    }

    /// What is to be told next.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        while let Some(room) = self.pace.end_late(now) {
            self.go_on(&room);
        }
        while let Some(room) = self.ready.pop_front() {
            let Some(line) = self.rooms.get_mut(&room) else { continue };
            let Some(Waiting { changes, bytes }) = line.pop_front() else { continue };
            self.bytes -= bytes;
            let number = self.pace.begin(&room, now + self.round_max);
            return Next::Tell { changes, bytes, number };
        }
        self.pace.next_end().map_or(Next::Nothing, Next::At)
    }

    /// A round is over. Answers whether another one may begin.
    pub(super) fn end(&mut self, room: &Room, number: u64) -> bool {
        self.pace.end(room, number) && self.go_on(room)
    }

    /// Has a room that has just ended a round begin the next one, if there is more to tell.
    fn go_on(&mut self, room: &Room) -> bool {
        let has_more = self.rooms.get(room).is_some_and(|line| !line.is_empty());
        if has_more {
            self.ready.push_back(room.clone());
        } else {
            self.rooms.remove(room);
        }
        has_more
    }
}

impl Waiting {
    /// Whether the two are one range; a mere head is none.
    fn is_before(&self, next: &Self) -> bool {
        let is_range = |changes: &LiveChanges| changes.from_seq <= changes.to_seq;
        is_range(&self.changes) && is_range(&next.changes) && self.changes.to_seq + 1 == next.changes.from_seq
    }

    /// Makes one range of two. Each document is in it once, as it stands in the log.
    fn append(&mut self, next: Self) {
        let LiveChanges { to_seq, changes: new, .. } = next.changes;
        self.changes
            .changes
            .retain(|old| !new.iter().any(|new| new.id == old.id && new.collection == old.collection));
        self.changes.changes.extend(new);
        self.changes.to_seq = to_seq;
        self.bytes += next.bytes;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#[path = "rounds_tests.rs"]
mod tests;
