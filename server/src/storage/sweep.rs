//! The search for deletions to purge: through all rooms that hold tombstones, a few at a time.

use std::time::{Duration, Instant};

use syncline_protocol::Room;

use super::StorageError;
use super::ahead::Ahead;

/// Between two steps of a sweep; jobs that come in meanwhile go first.
const PAUSE_MS: u64 = 10;

/// The clock cannot count for ever.
const INTERVAL_MS_MAX: u64 = 365 * 24 * 60 * 60 * 1000;

/// Rooms looked at in one step.
const ROOMS_MAX: usize = 64;

/// A sweep under way, or the wait for the next one.
pub(super) struct Sweep {
    interval: Duration,
    due: Instant,
    /// The last room that is done.
    after: Option<Room>,
}

impl Sweep {
    /// The first sweep starts at once.
    pub(super) fn new(interval_ms: u64) -> Self {
        let interval = Duration::from_millis(interval_ms.min(INTERVAL_MS_MAX));
        Self { interval, due: Instant::now(), after: None }
    }

    /// When to take the next step.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Ends the sweep until the next one.
    pub(super) fn rest(&mut self) {
        self.after = None;
        self.due = Instant::now() + self.interval;
    }

    /// Looks at the next rooms, up to the first of which `compact` purges something; whether it did. That room is
    /// looked at again, and one that fails is passed over.
    pub(super) fn step(
        &mut self,
        rooms: &mut Ahead,
        compact: impl Fn(&mut Ahead, &Room) -> Result<bool, StorageError>,
    ) -> Result<bool, StorageError> {
        self.due = Instant::now() + Duration::from_millis(PAUSE_MS);
        for _ in 0..ROOMS_MAX {
            let found = rooms.with_all().and_then(|tables| tables.room_with_tombstones(self.after.as_ref()));
            let Ok(Some(room)) = found else {
                self.rest();
                return found.map(|_| false);
            };
            match compact(rooms, &room) {
                Ok(false) => self.after = Some(room),
                Ok(true) => return Ok(true),
                Err(error) => {
                    self.after = Some(room);
                    return Err(error);
                }
            }
        }
        Ok(false)
    }
}
