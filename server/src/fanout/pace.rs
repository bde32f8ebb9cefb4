//! One round of a room at a time: it is over when all have taken what they were told, or after a while.

use std::collections::{HashMap, VecDeque};

use syncline_protocol::Room;

/// The rounds under way, on a clock of `T`.
#[derive(Debug)]
pub(crate) struct Pace<T> {
    under_way: HashMap<Room, u64>,
    /// When each round is over at the latest, in order.
    ends: VecDeque<(T, Room, u64)>,
    last_number: u64,
}

impl<T> Default for Pace<T> {
    fn default() -> Self {
        Self { under_way: HashMap::new(), ends: VecDeque::new(), last_number: 0 }
    }
}

impl<T: Copy + Ord> Pace<T> {
    pub(crate) fn is_under_way(&self, room: &Room) -> bool {
        self.under_way.contains_key(room)
    }

    /// Begins a round, which is over at `end` at the latest. Answers its number.
    pub(crate) fn begin(&mut self, room: &Room, end: T) -> u64 {
        self.last_number += 1;
        self.under_way.insert(room.clone(), self.last_number);
        self.ends.push_back((end, room.clone(), self.last_number));
        self.last_number
    }

    /// A round is over. Answers whether it was not before.
    pub(crate) fn end(&mut self, room: &Room, number: u64) -> bool {
        let is_under_way = self.under_way.get(room) == Some(&number);
        if is_under_way {
            self.under_way.remove(room);
        }
        is_under_way
    }

    /// Ends a round whose time is over.
    pub(crate) fn end_late(&mut self, now: T) -> Option<Room> {
        while let Some((_, room, number)) = self.ends.pop_front_if(|(end, ..)| *end <= now) {
            if self.end(&room, number) {
                return Some(room);
            }
        }
        None
    }

    /// When a round is over at the latest.
    pub(crate) fn next_end(&self) -> Option<T> {
        self.ends.front().map(|(end, ..)| *end)
    }
}
