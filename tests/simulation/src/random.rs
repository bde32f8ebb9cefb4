//! The one source of chance: a seed gives the same run again.

use syncline::engine::backoff::next_random;
use syncline_protocol::ClientId;

/// SplitMix64 behind the questions that a simulation asks.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        // Neighbouring seeds shall have nothing in common.
        let mut state = seed ^ 0x5eed_5eed_5eed_5eed;
        next_random(&mut state);
        Self(state)
    }

    pub fn number(&mut self) -> u64 {
        next_random(&mut self.0)
    }

    /// A number below `end`; 0 if that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end.max(1)
    }

    /// Both ends included.
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last.saturating_sub(first) + 1)
    }

    /// A place in something of this length.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn one_of<T: Copy, const N: usize>(&mut self, items: [T; N]) -> T {
        items[self.index(N)]
    }

    /// One of the items, the more often the heavier it is.
    pub fn weighted<T: Copy>(&mut self, items: &[(u64, T)]) -> Option<T> {
        let mut left = self.below(items.iter().map(|(weight, _)| weight).sum());
        items.iter().find_map(|(weight, item)| match left.checked_sub(*weight) {
            Some(rest) => {
                left = rest;
                None
            }
            None => Some(*item),
        })
    }

    pub fn client_id(&mut self) -> ClientId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.number().to_le_bytes());
        bytes[8..].copy_from_slice(&self.number().to_le_bytes());
        ClientId::from_bytes(bytes)
    }

    /// A stream of its own, so that what one part draws does not move another.
    pub fn fork(&mut self) -> Self {
        Self(self.number())
    }
}
