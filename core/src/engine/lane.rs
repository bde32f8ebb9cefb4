//! The push order of one room, and when its next batch may go.

use std::collections::BTreeSet;

use super::runs::Runs;

/// What stands between a room's writes and the wire.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Numbers without an answer.
    pub(super) unanswered: Runs,
    /// In the log but not yet in the cache: where in the log, and the number.
    pub(super) unconfirmed: BTreeSet<(u64, u64)>,
    /// The highest number pushed on this connection since the lane last started over.
    pub(super) pushed_through: Option<u64>,
    pub(super) in_flight: u32,
    /// Nothing is pushed while this is set.
    pub(super) hold: Option<Hold>,
    /// One at a time, to find the mutation for which the server refuses whole batches.
    pub(super) isolate: bool,
    pub(super) gathering: Gathering,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// Until the batches under way are answered; then from the start, at the earliest at this time.
    Restart { at_us: u64 },
    /// Until the next connection, or another token: the room may not be written to.
    Denied,
}

/// Writes that wait for others to be sent with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Gathering {
    /// Nothing waits: what is not pushed yet goes as soon as it can.
    #[default]
    Done,
    /// Until this time, or until a batch is full.
    Until { at_us: u64, count: u64, bytes: u64 },
}

/// When a batch is full.
#[derive(Debug, Clone, Copy)]
pub(super) struct Full {
    pub(super) count: u64,
    pub(super) bytes: u64,
}

impl Gathering {
    /// One more write, which need not wait beyond `due_us`.
    pub(super) fn add(&mut self, due_us: u64, bytes: u64) {
        match self {
            Self::Done => *self = Self::Until { at_us: due_us, count: 1, bytes },
            Self::Until { at_us, count, bytes: gathered } => {
                *at_us = due_us.min(*at_us);
                *count += 1;
                *gathered += bytes;
            }
        }
    }

    fn is_over(self, now_us: u64, full: Full) -> bool {
        match self {
            Self::Done => true,
            Self::Until { at_us, count, bytes } => {
                at_us <= now_us || count >= full.count || bytes >= full.bytes
            }
        }
    }
}

impl Lane {
    pub(super) fn is_idle(&self) -> bool {
        self.unanswered.is_empty() && self.unconfirmed.is_empty() && self.in_flight == 0
    }

    /// The first number that was not pushed since the lane last started over.
    pub(super) fn first_unpushed(&self) -> u64 {
        self.pushed_through.map_or(0, |through| through + 1)
    }

    pub(super) fn has_unpushed(&self) -> bool {
        self.unanswered.from(self.first_unpushed()).next().is_some()
    }

    /// Starts over, and ends the gathering, if that is due.
    pub(super) fn handle_time(&mut self, now_us: u64, full: Full) {
        if let Some(Hold::Restart { at_us }) = self.hold
            && self.in_flight == 0
            && at_us <= now_us
        {
            self.hold = None;
            self.start_over();
        }
        if self.gathering.is_over(now_us, full) {
            self.gathering = Gathering::Done;
        }
    }

    /// From the first unanswered number, without waiting for more.
    pub(super) fn start_over(&mut self) {
        self.pushed_through = None;
        self.gathering = Gathering::Done;
    }

    pub(super) fn is_ready(&self, durable_through: u64) -> bool {
        if self.hold.is_some() || self.gathering != Gathering::Done || (self.isolate && self.in_flight > 0) {
            return false;
        }
        self.unanswered.from(self.first_unpushed()).next().is_some_and(|number| number <= durable_through)
    }

    /// When [`handle_time`](Self::handle_time) has something to do, on the monotonic clock.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        let gathering = match self.gathering {
            Gathering::Until { at_us, .. } => Some(at_us),
            Gathering::Done => None,
        };
        match self.hold {
            Some(Hold::Restart { at_us }) if self.in_flight == 0 => Some(at_us),
            Some(_) => None,
            None => gathering,
        }
    }
}
