//! Whose turn it is to be loaded: pages are asked for in a few rooms at a time, the ones on screen first.

use std::cmp::Reverse;

use syncline_protocol::Room;
use syncline_protocol::message::{Pull, Subscribe, event};

use super::Engine;
use super::io::{Now, Output, RoomPhase};
use super::trace::TraceKind;
use super::wire::Request;
use crate::boxed_map::BoxedMap;

/// What a room asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Live changes, and the page where it stands.
    Subscribe,
    PageAfter(u64),
}

/// How what is new in a room comes to be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskAgain {
    /// By a page after this cursor.
    Now(u64),
    /// By another page once the one under way is here.
    AfterThisPage,
    WithSubscription,
}

/// How much a room matters now; the least value first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// On screen; the one that came there last is first.
    Watched(Reverse<u64>),
    Subscribed,
    /// Only followed because it has pending writes.
    Pending,
}

#[derive(Debug)]
struct Turn {
    ask: Ask,
    /// When it began to wait.
    place: u64,
}

/// Rooms that wait for their next page. Each page is a turn, so a room that matters more overtakes between two pages
/// of another, and rooms that matter alike take turns.
#[derive(Debug, Default)]
pub struct PullQueue {
    waiting: BoxedMap<Room, Turn>,
    last_place: u64,
}

impl PullQueue {
    pub fn push(&mut self, room: &Room, ask: Ask) {
        if let Some(turn) = self.waiting.get_mut(room) {
            // A subscription brings the page, too.
            if turn.ask != Ask::Subscribe {
                turn.ask = ask;
            }
            return;
        }
        self.last_place += 1;
        self.waiting.insert(room.clone(), Turn { ask, place: self.last_place });
    }

    pub fn remove(&mut self, room: &Room) {
        self.waiting.remove(room);
    }

    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes out the room whose turn it is.
    pub fn pop(&mut self, urgency: impl Fn(&Room) -> Urgency) -> Option<(Room, Ask)> {
        let first = self.waiting.iter().min_by_key(|(room, turn)| (urgency(room), turn.place));
        let room = first.map(|(room, _)| room.clone())?;
        self.waiting.remove(&room).map(|turn| (room, turn.ask))
    }
}

impl Engine {
    pub(super) fn subscribe_room(&mut self, room: &Room) {
        let Some(followed) = self.replica.room_mut(room) else { return };
        followed.phase = RoomPhase::Loading;
        followed.retry_at_us = None;
        self.changed_rooms.insert(room.clone());
        self.pulls.push(room, Ask::Subscribe);
    }

    /// Follows a room that has a pending write.
    pub(super) fn follow_room(&mut self, room: &Room) {
        if self.replica.follow(room) && self.session.is_open() {
            self.subscribe_room(room);
        }
    }

    /// Asks for what is new in a room, also if its last page is under way.
    pub(super) fn pull_again(&mut self, room: &Room) {
        match self.replica.ask_again(room) {
            AskAgain::Now(cursor) => {
                self.changed_rooms.insert(room.clone());
                self.pulls.push(room, Ask::PageAfter(cursor));
            }
            AskAgain::WithSubscription => self.subscribe_room(room),
            AskAgain::AfterThisPage => {}
        }
    }

    /// Asks for the pages whose turn it is.
    pub(super) fn send_pages(&mut self, now: Now, out: &mut Vec<Output>) {
        if !self.session.is_open() {
            return;
        }
        let parallel_max = self.link.part_of(self.settings.pulls_parallel_max);
        while !self.pulls.is_empty() && self.wire.pages_under_way() < parallel_max {
            let Some((room, ask)) = self.pulls.pop(|room| self.replica.urgency(room)) else { return };
            match ask {
                Ask::Subscribe => {
                    let asked = self.replica.cursor_to_ask(&room);
                    let snapshot = self.replica.snapshot_to_tell(&room, asked);
                    self.trace_room(now, TraceKind::Pull, &room, format_args!("subscribed after {asked}"));
                    let body = Subscribe { room: room.clone(), cursor: asked, collections: None, snapshot };
                    self.request(now, event::SYNC_SUBSCRIBE, &body, Request::Page { room, asked }, out);
                }
                Ask::PageAfter(cursor) => self.pull(now, &room, cursor, out),
            }
        }
    }

    fn pull(&mut self, now: Now, room: &Room, cursor: u64, out: &mut Vec<Output>) {
        let page_count_max = self.link.part_of(self.settings.page_count_max);
        let page_count_max = u32::try_from(page_count_max).unwrap_or(u32::MAX);
        let limit = page_count_max.min(self.limits.page_count_max);
        let snapshot = self.snapshot_to_tell(room, cursor);
        self.trace_room(now, TraceKind::Pull, room, format_args!("after {cursor}"));
        let body = Pull { room: room.clone(), cursor, limit, snapshot };
        let request = Request::Page { room: room.clone(), asked: cursor };
        self.request(now, event::SYNC_PULL, &body, request, out);
    }
}
