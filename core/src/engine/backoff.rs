//! How long to wait before the next attempt.

/// Exponential backoff with equal jitter: half of the delay is fixed, half is random, so that clients which lost
/// the same server do not come back together.
///
/// Source: Brooker, "Exponential Backoff And Jitter", 2015. The random numbers come from a given seed, so that a
/// simulation replays them.
#[derive(Debug, Clone)]
pub struct Backoff {
    delay_ms_min: u64,
    delay_ms_max: u64,
    attempts: u32,
    random: u64,
}

impl Backoff {
    pub fn new(delay_ms_min: u64, delay_ms_max: u64, seed: u64) -> Self {
        Self { delay_ms_min, delay_ms_max: delay_ms_max.max(delay_ms_min), attempts: 0, random: seed }
    }

    /// Failed attempts since the last [`reset`](Self::reset).
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Counts a failed attempt and says how long to wait, in milliseconds.
    pub fn next_delay_ms(&mut self) -> u64 {
        let doublings = self.attempts.min(u64::BITS - 1);
        self.attempts = self.attempts.saturating_add(1);
        let delay_ms = self.delay_ms_min.saturating_mul(1 << doublings).min(self.delay_ms_max);
        let fixed_ms = delay_ms / 2;
        fixed_ms + next_random(&mut self.random) % (delay_ms - fixed_ms + 1)
    }

    /// A time from the given one to half as long again: those who were told the same one do not come together.
    pub fn spread_ms(&mut self, ms: u64) -> u64 {
        ms.saturating_add(next_random(&mut self.random) % (ms / 2 + 1))
    }
}

/// SplitMix64.
///
/// Source: Steele et al., "Fast Splittable Pseudorandom Number Generators", 2014.
pub fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_maximum_and_keep_half_as_jitter() {
        let mut backoff = Backoff::new(500, 5_000, 7);
        for nominal in [500, 1_000, 2_000, 4_000, 5_000, 5_000] {
            let delay_ms = backoff.next_delay_ms();
            assert!((nominal / 2..=nominal).contains(&delay_ms), "{delay_ms} of {nominal}");
        }
        assert_eq!(backoff.attempts(), 6);
        backoff.reset();
        assert!(backoff.next_delay_ms() <= 500);
    }

    #[test]
    fn a_seed_gives_the_same_delays_again() {
        let delays = |seed| {
            let mut backoff = Backoff::new(500, 5_000, seed);
            [(); 8].map(|()| backoff.next_delay_ms())
        };
        assert_eq!(delays(1), delays(1));
        assert_ne!(delays(1), delays(2));
    }

    #[test]
    fn what_many_are_told_is_spread_over_half_as_long_again_and_is_never_sooner() {
        let spread: Vec<u64> =
            (0..1000).map(|seed| Backoff::new(500, 5_000, seed).spread_ms(1_000)).collect();
        assert!(spread.iter().all(|ms| (1_000..=1_500).contains(ms)));
        let early = spread.iter().filter(|ms| **ms < 1_250).count();
        assert!((400..600).contains(&early), "{early} of 1000 in the first half");
        assert_eq!(Backoff::new(1, 1, 1).spread_ms(0), 0);
        assert!(Backoff::new(1, 1, 1).spread_ms(u64::MAX) == u64::MAX);
    }

    #[test]
    fn attempts_without_end_do_not_overflow() {
        let mut backoff = Backoff::new(1, u64::MAX, 1);
        for _ in 0..200 {
            backoff.next_delay_ms();
        }
        assert_eq!(backoff.attempts(), 200);
    }
}
