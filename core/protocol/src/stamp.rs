//! Hybrid logical clock: wall time that never runs backwards and respects causality.
//!
//! Source: Kulkarni et al., "Logical Physical Clocks and Consistent Snapshots in Globally Distributed
//! Databases", 2014.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::name::ClientId;
use crate::sabotage::{Sabotage, is_active};

/// A reading of a hybrid logical clock. Travels as `[wall_ms, counter]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HybridTime {
    /// Milliseconds since the Unix epoch.
    pub wall_ms: u64,
    /// Orders readings of one millisecond.
    pub counter: u32,
}

impl HybridTime {
    /// The reading, no later than `wall_ms_max`: a clock that runs ahead may not win for years. Readings that fall
    /// together on the cap keep the order of their mutations, by `client_seq`.
    #[must_use]
    pub fn capped(self, wall_ms_max: u64, client_seq: u64) -> Self {
        if self.wall_ms < wall_ms_max {
            return self;
        }
        Self { wall_ms: wall_ms_max, counter: u32::try_from(client_seq).unwrap_or(u32::MAX) }
    }

    fn next(self) -> Self {
        match self.counter.checked_add(1) {
            Some(counter) => Self { counter, ..self },
            None => Self { wall_ms: self.wall_ms.saturating_add(1), counter: 0 },
        }
    }
}

impl Serialize for HybridTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.wall_ms, self.counter).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for HybridTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (wall_ms, counter) = Deserialize::deserialize(deserializer)?;
        Ok(Self { wall_ms, counter })
    }
}

/// When, and by whom, a field was written. Ordered by time, then writer, so that two stamps are equal only if
/// they are the same write. Travels as `[wall_ms, counter, writer]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    pub time: HybridTime,
    pub writer: ClientId,
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.time.wall_ms, self.time.counter, self.writer).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (wall_ms, counter, writer) = Deserialize::deserialize(deserializer)?;
        Ok(Self { time: HybridTime { wall_ms, counter }, writer })
    }
}

/// A clock without a time source: the caller says what time it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HybridClock {
    last: HybridTime,
}

impl HybridClock {
    /// Goes on after `last`, the newest reading that was issued or observed before a restart.
    pub fn resume(last: HybridTime) -> Self {
        Self { last }
    }

    /// A reading after all that were issued or observed.
    pub fn tick(&mut self, now_ms: u64) -> HybridTime {
        let now = HybridTime { wall_ms: now_ms, counter: 0 };
        self.last = if now_ms > self.last.wall_ms { now } else { self.last.next() };
        self.last
    }

    /// Makes every later [`tick`](Self::tick) come after `seen`.
    pub fn observe(&mut self, seen: HybridTime) {
        if !is_active(Sabotage::ClockNotObserved) {
            self.last = self.last.max(seen);
        }
    }

    /// The newest reading issued or observed.
    pub fn last(&self) -> HybridTime {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn order_survives_a_clock_that_jumps_back_ten_years() {
        let mut clock = HybridClock::default();
        let before = clock.tick(1_800_000_000_000);
        let after = clock.tick(1_484_000_000_000);
        assert!(after > before);
    }

    #[test]
    fn a_write_after_a_read_is_newer_than_what_was_read() {
        let mut clock = HybridClock::default();
        let seen = HybridTime { wall_ms: 5_000, counter: 7 };
        clock.observe(seen);
        assert!(clock.tick(1_000) > seen);
    }

    #[test]
    fn a_full_counter_borrows_a_millisecond() {
        let mut clock = HybridClock::resume(HybridTime { wall_ms: 5, counter: u32::MAX });
        assert_eq!(clock.tick(1), HybridTime { wall_ms: 6, counter: 0 });
    }

    #[test]
    fn readings_beyond_the_cap_keep_their_order() {
        let ahead = |wall_ms, counter| HybridTime { wall_ms, counter };
        let earlier = ahead(900, 7).capped(500, 1);
        let later = ahead(901, 0).capped(500, 2);
        assert!(earlier < later);
        assert_eq!(later.wall_ms, 500);
        assert_eq!(ahead(499, 7).capped(500, 3), ahead(499, 7));
    }

    proptest! {
        #[test]
        fn ticks_strictly_increase_whatever_the_wall_clock_does(
            times in proptest::collection::vec(any::<u32>(), 2..20),
        ) {
            let mut clock = HybridClock::default();
            let readings: Vec<_> = times.iter().map(|&now| clock.tick(now.into())).collect();
            prop_assert!(readings.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
