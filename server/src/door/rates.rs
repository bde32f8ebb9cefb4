//! How often an address, a user, or a user's event may be heard of.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;
use governor::{Quota, RateLimiter};

use super::Door;
use crate::config::{DoorConfig, Rate};

/// How often rates that nobody uses up are forgotten at most.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// All rates that are of more than one connection.
#[derive(Debug)]
pub(crate) struct Rates {
    handshakes: Keyed<IpAddr>,
    users: Keyed<Arc<str>>,
    events: BTreeMap<String, Keyed<Arc<str>>>,
}

impl Rates {
    pub(crate) fn new(config: &DoorConfig) -> Self {
        let kept_max = config.rates_kept_max;
        let events = config.events.iter();
        Self {
            handshakes: Keyed::new(config.handshakes_per_address, kept_max, WhenFull::LetPass),
            users: Keyed::new(config.requests_per_user, kept_max, WhenFull::LetPass),
            events: events
                .map(|(name, rate)| (name.clone(), Keyed::new(*rate, kept_max, WhenFull::LetPass)))
                .collect(),
        }
    }

    /// Answers how long to wait, if it is too often.
    pub(crate) fn handshake(&self, address: IpAddr) -> Result<(), Duration> {
        self.handshakes.take(&address)
    }

    /// Answers how long to wait, if it is too often.
    pub(crate) fn request(&self, user: &Arc<str>, event: &str) -> Result<(), Duration> {
        self.users.take(user)?;
        self.events.get(event).map_or(Ok(()), |rate| rate.take(user))
    }
}

/// The rates of one user.
#[derive(Debug, Clone)]
pub(crate) struct UserRates {
    user: Arc<str>,
    door: Arc<Door>,
}

impl UserRates {
    pub(crate) fn new(user: Arc<str>, door: &Arc<Door>) -> Self {
        Self { user, door: Arc::clone(door) }
    }

    /// Answers how long to wait, if it is too often.
    pub(crate) fn take(&self, event: &str) -> Result<(), Duration> {
        self.door.rates.request(&self.user, event)
    }
}

/// What becomes of a new key when as many are kept as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// It is let pass and not remembered: those who are known are held to their rates whoever else comes.
    LetPass,
    /// It is held to its rate, and those forgotten that asked for the least of late.
    ForgetOthers,
}

/// A wait in whole milliseconds, as it is told.
pub(crate) fn whole_ms(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1)
}

pub(super) fn quota(rate: Rate) -> Quota {
    let at_least_one = |count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
    Quota::per_second(at_least_one(rate.per_s)).allow_burst(at_least_one(rate.burst))
}

/// One rate for each key, and no more keys than that.
#[derive(Debug)]
pub(crate) struct Keyed<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, Kept<K>, DefaultClock>,
    kept_max: usize,
    swept: Mutex<Option<Instant>>,
}

impl<K: Hash + Eq + Clone> Keyed<K> {
    pub(crate) fn new(rate: Rate, kept_max: usize, when_full: WhenFull) -> Self {
        let kept = Kept { states: Mutex::default(), max: kept_max.max(1), when_full };
        let limiter = RateLimiter::new(quota(rate), kept, DefaultClock::default());
        Self { limiter, kept_max, swept: Mutex::new(None) }
    }

    /// Answers how long to wait, if it is too often.
    pub(crate) fn take(&self, key: &K) -> Result<(), Duration> {
        if self.limiter.len() >= self.kept_max {
            self.make_room();
        }
        let now = self.limiter.clock().now();
        self.limiter.check_key(key).map_err(|not_until| not_until.wait_time_from(now))
    }

    /// Forgets those that have not been used lately.
    fn make_room(&self) {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if swept.is_none_or(|swept| swept.elapsed() >= SWEEP_INTERVAL) {
            *swept = Some(Instant::now());
            self.limiter.retain_recent();
        }
    }
}

/// The states of the keys: when each will have recovered.
#[derive(Debug)]
struct Kept<K> {
    states: Mutex<HashMap<K, Nanos>>,
    max: usize,
    when_full: WhenFull,
}

impl<K> Kept<K> {
    fn states(&self) -> MutexGuard<'_, HashMap<K, Nanos>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone> StateStore for Kept<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut states = self.states();
        let before = states.get(key).copied();
        let (outcome, after) = measure(before)?;
        if before.is_none() && states.len() >= self.max {
            match self.when_full {
                WhenFull::LetPass => return Ok(outcome),
                WhenFull::ForgetOthers => forget_half(&mut states),
            }
        }
        states.insert(key.clone(), after);
        Ok(outcome)
    }
}

/// Half of them at once, so that making room costs little for each.
fn forget_half<K: Hash + Eq>(states: &mut HashMap<K, Nanos>) {
    let mut recovered: Vec<Nanos> = states.values().copied().collect();
    let middle = recovered.len() / 2;
    let (_, median, _) = recovered.select_nth_unstable(middle);
    let median = *median;
    states.retain(|_, state| *state > median);
}

impl<K: Hash + Eq + Clone> ShrinkableKeyedStateStore<K> for Kept<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        self.states().retain(|_, state| *state > drop_below);
    }

    fn len(&self) -> usize {
        self.states().len()
    }

    fn is_empty(&self) -> bool {
        self.states().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_a_rate_of_its_own_and_is_told_how_long_to_wait() {
        let rates = Keyed::new(Rate { per_s: 1, burst: 3 }, 10, WhenFull::LetPass);
        for key in ["a", "b"] {
            let taken: Vec<bool> = (0..4).map(|_| rates.take(&key).is_ok()).collect();
            assert_eq!(taken, [true, true, true, false], "{key}");
        }
        let wait = rates.take(&"a").err();
        assert!(wait > Some(Duration::ZERO) && wait <= Some(Duration::from_secs(1)), "{wait:?}");
    }

    #[test]
    fn a_new_key_that_is_held_to_its_rate_takes_the_place_of_those_that_asked_for_little() {
        let rates = Keyed::new(Rate { per_s: 1, burst: 100 }, 10, WhenFull::ForgetOthers);
        for _ in 0..100 {
            rates.limiter.check_key(&0).ok();
        }
        for key in 1..1000 {
            assert!(rates.take(&key).is_ok());
            assert!(rates.limiter.len() <= 10, "{}", rates.limiter.len());
        }
        assert!(rates.take(&0).is_err(), "who asked for much is remembered");
    }

    #[test]
    fn keys_are_bounded_and_those_that_recovered_make_room() {
        let busy = Keyed::new(Rate { per_s: 1, burst: 1 }, 100, WhenFull::LetPass);
        for key in 0..10_000 {
            assert!(busy.take(&key).is_ok());
        }
        assert!(busy.limiter.len() <= 100, "{}", busy.limiter.len());
        assert!(busy.take(&0).is_err(), "a key that is kept is held to its rate");
        let quick = Keyed::new(Rate { per_s: 1_000_000, burst: 1 }, 100, WhenFull::LetPass);
        for key in 0..100 {
            assert!(quick.take(&key).is_ok());
        }
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(1) {
            std::hint::spin_loop();
        }
        quick.make_room();
        assert!(quick.limiter.is_empty());
    }
}
