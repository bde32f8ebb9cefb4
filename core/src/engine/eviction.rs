//! Keeps the cache under its cap: rooms that nobody follows go, the least recently used first.

use std::collections::{BTreeMap, BTreeSet};

use syncline_protocol::Room;
use syncline_protocol::gather::Gather as _;

use super::Engine;
use super::io::{Event, Now};
use crate::error::{Code, Error};
use crate::store::{Store, StoreError};

/// A cache written anew takes, on the disk, less than so many times what its documents take, as a first guess: 2.4 for
/// documents of 200 bytes, and 4.3 with an index.
const OVERHEAD: u64 = 3;
/// A cache is not written anew for its garbage until it takes half as much again as when it had none.
const GROWTH_PARTS: u64 = 2;
/// What an empty cache takes, at most, in bytes.
const EMPTY_BYTES: u64 = 1 << 20;
/// Beyond so many times its cap a cache does not wait for a quiet moment.
const FAR_OVER_CAP: u64 = 2;
/// How often the guess is doubled.
const SHIFT_MAX: u32 = 6;

/// When it was looked last, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Eviction {
    /// On the monotonic clock.
    check_at_us: u64,
    /// How often the guess was doubled, because the cache was still over its cap.
    shift: u32,
    /// What the cache took when it was written anew last; 0 if it was not.
    rewritten_bytes: u64,
    /// Whether the app knows that nothing more can be evicted.
    is_told: bool,
}

/// A room in the cache that nobody follows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    last_used_ms: u64,
    room: Room,
    bytes: u64,
}

/// What is done about a cache over its cap.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// It is written anew without these rooms.
    Rewrite(BTreeSet<Room>),
    /// Nothing: what it holds is in use, and too much.
    InUse,
    /// Nothing yet: it fits once there is enough garbage to be worth writing it anew.
    Wait,
}

/// A cache over its cap.
#[derive(Debug, Clone, Copy)]
struct Excess {
    /// On the disk.
    cache_bytes: u64,
    /// The documents alone.
    live_bytes: u64,
    /// What shall be left of them.
    target_bytes: u64,
    /// Whether it was written anew since it last was under its cap.
    was_rewritten: bool,
    /// What it took without garbage; 0 if that is not known.
    rewritten_bytes: u64,
}

fn decide(mut candidates: Vec<Candidate>, excess: Excess) -> Decision {
    let Excess { cache_bytes, live_bytes, target_bytes, was_rewritten, rewritten_bytes } = excess;
    candidates.sort_unstable();
    let mut victims = BTreeSet::new();
    let mut left_bytes = live_bytes;
    for Candidate { room, bytes, .. } in candidates {
        if left_bytes <= target_bytes {
            break;
        }
        left_bytes = left_bytes.saturating_sub(bytes);
        victims.insert(room);
    }
    let has_garbage = cache_bytes > live_bytes * OVERHEAD + EMPTY_BYTES
        && cache_bytes > rewritten_bytes + rewritten_bytes / GROWTH_PARTS;
    if !victims.is_empty() || (has_garbage && !was_rewritten) {
        Decision::Rewrite(victims)
    } else if live_bytes > target_bytes || was_rewritten {
        Decision::InUse
    } else {
        Decision::Wait
    }
}

impl Engine {
    /// Evicts rooms if the cache is over its cap. Cheap when it is not, or when it was looked not long ago; otherwise
    /// it keeps everybody waiting for seconds, so not while somebody waits for the end of a pull or a background task;
    /// and not while the app is on screen or has writes to send, unless the cache is far over its cap.
    pub(super) fn evict_over_cap(&mut self, now: Now, store: &mut dyn Store) {
        let is_awaited = self.needs_commit() || self.triggers.is_awaited();
        if now.mono_us < self.eviction.check_at_us || is_awaited {
            return;
        }
        let (cache_bytes, cap) = (store.stats().cache_bytes, self.settings.cache_bytes_max);
        let is_quiet = self.session.is_in_background() && self.outbox.is_empty();
        if !is_quiet && cache_bytes > cap && cache_bytes / FAR_OVER_CAP <= cap {
            return;
        }
        self.eviction.check_at_us = now.after_ms(self.settings.cache_check_ms);
        if cache_bytes <= cap {
            let Eviction { check_at_us, rewritten_bytes, .. } = self.eviction;
            self.eviction = Eviction { check_at_us, rewritten_bytes, ..Eviction::default() };
            return;
        }
        match self.evict(store) {
            // The rooms start over, which the caller sees to.
            Ok(()) | Err(StoreError::CacheLost { .. }) => {}
            Err(error) => tracing::warn!(%error, "the cache is over its cap, and could not be written anew"),
        }
    }

    fn evict(&mut self, store: &mut dyn Store) -> Result<(), StoreError> {
        let cap = self.settings.cache_bytes_max;
        let sizes: BTreeMap<Room, u64> = store.room_bytes()?.into_iter().gather();
        let live_bytes = sizes.values().sum();
        let candidates = self.replica.unfollowed().map(|(room, last_used_ms)| {
            let bytes = sizes.get(room).copied().unwrap_or(0);
            Candidate { last_used_ms, room: room.clone(), bytes }
        });
        let cache_bytes = store.stats().cache_bytes;
        let target_bytes = (cap / OVERHEAD) >> self.eviction.shift;
        let Eviction { shift, rewritten_bytes, .. } = self.eviction;
        let excess =
            Excess { cache_bytes, live_bytes, target_bytes, was_rewritten: shift > 0, rewritten_bytes };
        match decide(candidates.collect(), excess) {
            Decision::Rewrite(victims) => {
                store.evict(&victims)?;
                self.replica.forget_cached(&victims);
                tracing::info!(rooms = victims.len(), cache_bytes, "rooms were evicted from the cache");
                self.eviction.rewritten_bytes = store.stats().cache_bytes;
                if self.eviction.rewritten_bytes > cap {
                    self.eviction.shift = (self.eviction.shift + 1).min(SHIFT_MAX);
                    // Also if nothing else happens meanwhile.
                    self.flush_at_us.get_or_insert(self.eviction.check_at_us);
                }
            }
            Decision::InUse if !self.eviction.is_told => {
                self.eviction.is_told = true;
                let message = format!(
                    "the cache takes {cache_bytes} bytes, its cap is {cap}, and all rooms are in use"
                );
                self.notices.push(Event::Error { error: Error::new(Code::Storage, message).into() });
            }
            Decision::InUse | Decision::Wait => {}
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "eviction_tests.rs"]
mod tests;
