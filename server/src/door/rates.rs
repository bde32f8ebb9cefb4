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
            handshakes: Keyed::new(config.handshakes_per_address, kept_max),
            users: Keyed::new(config.requests_per_user, kept_max),
            events: events.map(|(name, rate)| (name.clone(), Keyed::new(*rate, kept_max))).collect(),
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
    pub(crate) fn new(user: &str, door: &Arc<Door>) -> Self {
        Self { user: user.into(), door: Arc::clone(door) }
    }

    /// Answers how long to wait, if it is too often.
    pub(crate) fn take(&self, event: &str) -> Result<(), Duration> {
        self.door.rates.request(&self.user, event)
    }
}

/// One rate for each key, and no more keys than that.
#[derive(Debug)]
struct Keyed<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, Kept<K>, DefaultClock>,
    kept_max: usize,
    swept: Mutex<Option<Instant>>,
}

impl<K: Hash + Eq + Clone> Keyed<K> {
    fn new(rate: Rate, kept_max: usize) -> Self {
        let at_least_one = |count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(at_least_one(rate.per_s)).allow_burst(at_least_one(rate.burst));
        let kept = Kept { states: Mutex::default(), max: kept_max };
        let limiter = RateLimiter::new(quota, kept, DefaultClock::default());
        Self { limiter, kept_max, swept: Mutex::new(None) }
    }

    fn take(&self, key: &K) -> Result<(), Duration> {
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

/// The states of the keys. Beyond the most that are kept, a new one is let pass and not remembered.
#[derive(Debug)]
struct Kept<K> {
    states: Mutex<HashMap<K, Nanos>>,
    max: usize,
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
        if before.is_some() || states.len() < self.max {
            states.insert(key.clone(), after);
        }
        Ok(outcome)
    }
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
        let rates = Keyed::new(Rate { per_s: 1, burst: 3 }, 10);
        for key in ["a", "b"] {
            let taken: Vec<bool> = (0..4).map(|_| rates.take(&key).is_ok()).collect();
            assert_eq!(taken, [true, true, true, false], "{key}");
        }
        let wait = rates.take(&"a").err();
        assert!(wait > Some(Duration::ZERO) && wait <= Some(Duration::from_secs(1)), "{wait:?}");
    }

    #[test]
    fn keys_are_bounded_and_those_that_recovered_make_room() {
        let busy = Keyed::new(Rate { per_s: 1, burst: 1 }, 100);
        for key in 0..10_000 {
            assert!(busy.take(&key).is_ok());
        }
        assert!(busy.limiter.len() <= 100, "{}", busy.limiter.len());
        assert!(busy.take(&0).is_err(), "a key that is kept is held to its rate");
        let quick = Keyed::new(Rate { per_s: 1_000_000, burst: 1 }, 100);
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
