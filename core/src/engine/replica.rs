//! The rooms this client follows: how far each has come, and what it does next.
//!
//! The log is the truth. Live changes are applied only where they follow the cursor; a gap, or a head seen
//! elsewhere, means another pull.

mod applied;

use std::cmp::Reverse;
use std::collections::BTreeSet;

use syncline_protocol::gather::Gather as _;
use syncline_protocol::message::{Changes, Page};
use syncline_protocol::sabotage::{Sabotage, is_active};
use syncline_protocol::{Document, Room};

pub use self::applied::{Applied, NextPull};

use self::applied::{apply, newer_than_cache, newest_time};
use super::io::{RoomPhase, RoomStatus};
use super::progress::RoomCounts;
use super::pulls::{AskAgain, Urgency};
use super::query::Queries;
use crate::boxed_map::BoxedMap;
use crate::error::{Code, Error};
use crate::store::{OwnedUpdate, RoomState, RoomUpdate, Store, StoreError};

/// A room the app subscribed to, or that has writes pending.
#[derive(Debug)]
pub struct FollowedRoom {
    /// Subscriptions and watches of the app.
    pub subscribers: u32,
    watches: u32,
    /// Orders the rooms by their last watch.
    watched: u64,
    /// Whether there is to be another page after the one under way.
    asked_again: bool,
    pub phase: RoomPhase,
    pub error: Option<Error>,
    /// When to subscribe again after a failure, on the monotonic clock.
    pub retry_at_us: Option<u64>,
    /// Whether the head was heard of while a page was under way, which may have been read before.
    heard_meanwhile: bool,
    /// The highest place in the log that was heard of.
    head: u64,
    /// Whether the last page was the last one. Between two pages the cache lacks some of what the log had up to the
    /// cursor: a document stands at its newest place only, which may be behind the page.
    level: bool,
    repair: Repair,
    /// Whether the server had it start over, and has not brought it to the end of the log since.
    starting_over: bool,
}

/// How far a room whose cache is not what the server has was brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repair {
    NotNeeded,
    /// The page after 0 is to replace everything.
    Needed,
    /// It has. Once is enough: a checksum that still does not match is the server's fault, and reading again
    /// would never end.
    Done,
}

#[derive(Debug, Default)]
pub struct Replica {
    rooms: BoxedMap<Room, FollowedRoom>,
    states: BoxedMap<Room, RoomState>,
    /// Rooms that somebody began or ceased to follow, until that is noted in the cache.
    used: BTreeSet<Room>,
    last_watch: u64,
}

impl Replica {
    pub fn new(states: Vec<(Room, RoomState)>) -> Self {
        Self { rooms: BoxedMap::default(), states: states.into_iter().gather(), ..Self::default() }
    }

    /// Follows a room, counting one subscriber more; `true` when it was not followed before.
    pub fn subscribe(&mut self, room: &Room) -> bool {
        let is_new = self.follow(room);
        if let Some(followed) = self.rooms.get_mut(room) {
            followed.subscribers += 1;
        }
        is_new
    }

    /// Follows a room without counting a subscriber; `true` when it was not followed before.
    pub fn follow(&mut self, room: &Room) -> bool {
        if self.rooms.contains_key(room) {
            return false;
        }
        let followed = FollowedRoom {
            subscribers: 0,
            watches: 0,
            watched: 0,
            asked_again: false,
            phase: RoomPhase::Waiting,
            error: None,
            retry_at_us: None,
            heard_meanwhile: false,
            head: 0,
            level: false,
            repair: if self.state(room).stale { Repair::Needed } else { Repair::NotNeeded },
            starting_over: false,
        };
        self.rooms.insert(room.clone(), followed);
        self.used.insert(room.clone());
        true
    }

    /// Counts one subscriber less; `false` when there was none.
    pub fn unsubscribe(&mut self, room: &Room) -> bool {
        match self.rooms.get_mut(room) {
            Some(followed) if followed.subscribers > 0 => {
                followed.subscribers -= 1;
                true
            }
            _ => false,
        }
    }

    /// A room that is followed came on screen.
    pub fn watch(&mut self, room: &Room) {
        self.last_watch += 1;
        if let Some(followed) = self.rooms.get_mut(room) {
            followed.watches += 1;
            followed.watched = self.last_watch;
        }
    }

    /// One watch less than [`watch`](Self::watch) counted.
    pub fn unwatch(&mut self, room: &Room) {
        if let Some(followed) = self.rooms.get_mut(room) {
            followed.watches = followed.watches.saturating_sub(1);
        }
    }

    /// How much it matters to load the room now.
    pub fn urgency(&self, room: &Room) -> Urgency {
        match self.rooms.get(room) {
            Some(followed) if followed.watches > 0 => Urgency::Watched(Reverse(followed.watched)),
            Some(followed) if followed.subscribers > 0 => Urgency::Subscribed,
            _ => Urgency::Pending,
        }
    }

    /// Somebody wants to know what is new in a room; the session is open.
    pub fn ask_again(&mut self, room: &Room) -> AskAgain {
        let cursor = self.state(room).cursor;
        let Some(followed) = self.rooms.get_mut(room) else { return AskAgain::AfterThisPage };
        match followed.phase {
            RoomPhase::Live => {
                followed.phase = RoomPhase::Loading;
                AskAgain::Now(cursor)
            }
            RoomPhase::Loading => {
                followed.asked_again = true;
                AskAgain::AfterThisPage
            }
            RoomPhase::Waiting | RoomPhase::Denied => AskAgain::WithSubscription,
        }
    }

    /// Stops following a room that nobody subscribes to; the cache keeps its documents.
    pub fn forget_if_unused(&mut self, room: &Room) -> bool {
        let unused = self.rooms.get(room).is_some_and(|followed| followed.subscribers == 0);
        if unused {
            self.rooms.remove(room);
            self.used.insert(room.clone());
        }
        unused
    }

    /// Notes in the cache which rooms were used since the last call.
    pub fn note_used(&mut self, now_ms: u64, store: &mut dyn Store) -> Result<(), StoreError> {
        for room in std::mem::take(&mut self.used) {
            // One that the cache does not hold is noted when it is followed no more.
            let Some(state) = self.states.get_mut(&room) else { continue };
            state.last_used_ms = now_ms;
            store.apply(&room, &RoomUpdate { reset: false, documents: &[], state: *state })?;
        }
        Ok(())
    }

    /// The rooms in the cache that nobody follows, and when they were used last.
    pub fn unfollowed(&self) -> impl Iterator<Item = (&Room, u64)> {
        let unfollowed = self.states.iter().filter(|(room, _)| !self.rooms.contains_key(*room));
        unfollowed.map(|(room, state)| (room, state.last_used_ms))
    }

    /// The cache does not hold these rooms any more.
    pub fn forget_cached(&mut self, rooms: &BTreeSet<Room>) {
        self.states.retain(|room, _| !rooms.contains(room));
    }

    pub fn rooms(&self) -> impl Iterator<Item = (&Room, &FollowedRoom)> {
        self.rooms.iter()
    }

    pub fn rooms_mut(&mut self) -> impl Iterator<Item = (&Room, &mut FollowedRoom)> {
        self.rooms.iter_mut()
    }

    pub fn room(&self, room: &Room) -> Option<&FollowedRoom> {
        self.rooms.get(room)
    }

    pub fn room_mut(&mut self, room: &Room) -> Option<&mut FollowedRoom> {
        self.rooms.get_mut(room)
    }

    pub fn is_followed(&self, room: &Room) -> bool {
        self.rooms.contains_key(room)
    }

    pub fn state(&self, room: &Room) -> RoomState {
        self.states.get(room).copied().unwrap_or_default()
    }

    pub fn status(&self, room: &Room) -> RoomStatus {
        let followed = self.rooms.get(room);
        RoomStatus {
            room: room.clone(),
            state: followed.map_or(RoomPhase::Waiting, |followed| followed.phase),
            complete: self.state(room).complete,
            error: followed.and_then(|followed| followed.error.clone()).map(Into::into),
        }
    }

    /// Whether the cache is known to hold all that the log has up to the cursor.
    pub fn is_level(&self, room: &Room) -> bool {
        self.rooms.get(room).is_some_and(|followed| followed.level)
    }

    /// Where the room's next subscription starts.
    pub fn cursor_to_ask(&self, room: &Room) -> u64 {
        match self.rooms.get(room) {
            Some(followed) if followed.repair == Repair::Needed => 0,
            _ => self.state(room).cursor,
        }
    }

    /// What is said with a request for the page after this cursor, so that a reading from 0 may go on.
    pub fn snapshot_to_tell(&self, room: &Room, asked: u64) -> Option<u64> {
        self.state(room).snapshot.filter(|_| asked > 0)
    }

    /// The connection is gone: every room waits for the next one.
    pub fn reset_connection(&mut self) {
        for followed in self.rooms.values_mut() {
            followed.phase = RoomPhase::Waiting;
            followed.retry_at_us = None;
            followed.asked_again = false;
        }
    }

    /// The cache was lost: every room starts from nothing.
    pub fn reset_cache(&mut self) {
        self.states.clear();
    }

    pub fn all_live(&self) -> bool {
        self.rooms.values().all(|followed| matches!(followed.phase, RoomPhase::Live | RoomPhase::Denied))
    }

    pub fn counts(&self) -> RoomCounts {
        let mut counts = RoomCounts::default();
        for followed in self.rooms.values() {
            match followed.phase {
                RoomPhase::Live => counts.live += 1,
                RoomPhase::Loading | RoomPhase::Waiting => counts.to_load += 1,
                RoomPhase::Denied => {}
            }
        }
        counts
    }

    /// The server said where a room's log ends. Returns the cursor to pull after if this client is behind.
    pub fn hear_head(&mut self, room: &Room, head: u64) -> Option<u64> {
        let cursor = self.state(room).cursor;
        let followed = self.rooms.get_mut(room)?;
        followed.head = followed.head.max(head);
        let behind = followed.phase == RoomPhase::Live && head > cursor;
        if behind {
            followed.phase = RoomPhase::Loading;
        } else if head > cursor {
            followed.heard_meanwhile = true;
        }
        behind.then_some(cursor)
    }

    /// Whether the page after this one can be asked for before this one is applied, because it will be applied as it
    /// is; then what is said with the request, so that a reading from 0 may go on.
    pub fn pull_ahead(&self, room: &Room, asked: u64, page: &Page) -> Option<Option<u64>> {
        let state = self.state(room);
        let followed = self.rooms.get(room)?;
        let continues = asked == state.cursor && followed.repair == Repair::NotNeeded;
        let goes_on = page.more && !page.reset && page.cursor > asked;
        let snapshot = if asked == 0 { page.snapshot } else { state.snapshot };
        (continues && goes_on).then_some(snapshot)
    }

    /// Applies the page that was asked for after the cursor `asked`.
    pub fn apply_page(
        &mut self,
        room: &Room,
        asked: u64,
        page: Page,
        queries: &Queries,
        store: &mut dyn Store,
    ) -> Result<Applied, StoreError> {
        let state = self.state(room);
        let Some(followed) = self.rooms.get_mut(room) else { return Ok(Applied::default()) };
        let repairs = asked == 0 && followed.repair == Repair::Needed;
        let reset = page.reset || repairs;
        if !reset && asked > state.cursor {
            // The cache was lost meanwhile: what lies before this page is not there, and is asked for anew.
            return Ok(Applied::default());
        }
        if !reset && page.cursor < asked {
            // A log that ends before the cursor is not the log this cache was filled from.
            followed.head = page.cursor;
            return Ok(Applied { next: followed.read_again(), ..Applied::default() });
        }
        if !reset && page.cursor < state.cursor {
            // Live changes came in before this answer, or another page did.
            let more = !followed.level;
            return Ok(Applied { next: followed.next_pull(state.cursor, more), ..Applied::default() });
        }
        let before = if reset { RoomState::default() } else { state };
        let (documents, checksum) = newer_than_cache(room, before, page.changes, store)?;
        let documents = if is_active(Sabotage::CursorBeforeApply) { vec![] } else { documents };
        // A server that gets nowhere is not asked for ever.
        let more = page.more && page.cursor > if reset { 0 } else { asked };
        let snapshot = if before.cursor == 0 { page.snapshot } else { before.snapshot };
        let new_state = RoomState {
            cursor: page.cursor,
            checksum,
            complete: !more || (state.complete && !reset),
            stale: state.stale && !reset,
            last_used_ms: state.last_used_ms,
            snapshot: snapshot.filter(|_| more),
            newest_time: newest_time(&documents).max(state.newest_time),
        };
        let applied = apply(room, OwnedUpdate { reset, documents, state: new_state }, queries, store)?;
        self.states.insert(room.clone(), new_state);
        followed.level = !more;
        if repairs {
            followed.repair = Repair::Done;
        }
        let heard_meanwhile = std::mem::take(&mut followed.heard_meanwhile);
        if !more && page.cursor <= asked && !heard_meanwhile {
            // The server's word on where the log ends: waiting for a head beyond it would never end.
            followed.head = page.cursor;
        }
        let next = match page.checksum.filter(|_| !more) {
            Some(expected) if expected != checksum => followed.handle_mismatch(page.cursor),
            _ => {
                if !more {
                    followed.repair = Repair::NotNeeded;
                }
                followed.error = None;
                followed.next_pull(page.cursor, more)
            }
        };
        let again = page.reset && more && followed.starting_over;
        followed.starting_over = more && (page.reset || followed.starting_over);
        let next = if again { NextPull::Later } else { next };
        let log_end = (!page.more).then_some(page.cursor);
        Ok(Applied { next, log_end, ..applied })
    }

    /// Applies a document that the server showed before the log brought it. The cursor stays, and the log skips what
    /// the cache already holds.
    pub fn apply_ahead(
        &mut self,
        room: &Room,
        document: &Document,
        queries: &Queries,
        store: &mut dyn Store,
    ) -> Result<Applied, StoreError> {
        let state = self.state(room);
        let readable = self.rooms.get(room).is_some_and(|followed| followed.phase != RoomPhase::Denied);
        // A reading from nothing does not look at what the cache holds.
        if !readable || state.cursor == 0 || state.snapshot.is_some() || document.seq <= state.cursor {
            return Ok(Applied::default());
        }
        let (documents, checksum) = newer_than_cache(room, state, vec![document.clone()], store)?;
        let newest_time = newest_time(&documents).max(state.newest_time);
        let new_state = RoomState { checksum, newest_time, ..state };
        let update = OwnedUpdate { reset: false, documents, state: new_state };
        let applied = apply(room, update, queries, store)?;
        self.states.insert(room.clone(), new_state);
        Ok(applied)
    }

    /// Applies live changes that follow the cursor; anything else is left to a pull.
    pub fn apply_live(
        &mut self,
        live: Changes,
        queries: &Queries,
        store: &mut dyn Store,
    ) -> Result<Applied, StoreError> {
        let room = &live.room;
        let state = self.state(room);
        let Some(followed) = self.rooms.get_mut(room) else { return Ok(Applied::default()) };
        if live.to_seq <= state.cursor {
            return Ok(Applied::default());
        }
        followed.head = followed.head.max(live.to_seq);
        if followed.phase != RoomPhase::Live {
            followed.heard_meanwhile = true;
            return Ok(Applied::default());
        }
        if live.from_seq > state.cursor + 1 && !is_active(Sabotage::GapIgnored) {
            followed.phase = RoomPhase::Loading;
            return Ok(Applied { next: NextPull::After(state.cursor), ..Applied::default() });
        }
        let (documents, checksum) = newer_than_cache(room, state, live.changes, store)?;
        let newest_time = newest_time(&documents).max(state.newest_time);
        let new_state = RoomState { cursor: live.to_seq, checksum, newest_time, ..state };
        let update = OwnedUpdate { reset: false, documents, state: new_state };
        let applied = apply(room, update, queries, store)?;
        self.states.insert(room.clone(), new_state);
        Ok(applied)
    }
}

impl FollowedRoom {
    fn handle_mismatch(&mut self, cursor: u64) -> NextPull {
        self.error = Some(Error::new(Code::Protocol, "the room's checksum does not match"));
        match self.repair {
            Repair::Done => self.next_pull(cursor, false),
            Repair::NotNeeded | Repair::Needed => self.read_again(),
        }
    }

    fn read_again(&mut self) -> NextPull {
        self.repair = Repair::Needed;
        self.phase = RoomPhase::Loading;
        NextPull::After(0)
    }

    fn next_pull(&mut self, cursor: u64, more: bool) -> NextPull {
        let behind = std::mem::take(&mut self.asked_again) || more || self.head > cursor;
        self.phase = if behind { RoomPhase::Loading } else { RoomPhase::Live };
        if behind { NextPull::After(cursor) } else { NextPull::Nothing }
    }
}
