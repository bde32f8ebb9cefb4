//! Who is present: what this client announced, and what the server said of the others.
//!
//! A change of what is announced is sent at most every `presence_throttle_ms` in each room: the first at once, of the
//! later ones the newest values when the time has passed.

mod aggregate;
mod announced;
pub mod present;

use std::collections::{BTreeMap, BTreeSet};

use syncline_protocol::gather::Gather as _;
use syncline_protocol::message::{Member, Presence, PresenceDiff, PresenceStatus};
use syncline_protocol::presence::ShownState;
use syncline_protocol::{ClientId, Fields, Limits, Room, WireError};

use self::announced::Announced;
use super::io::{Event, Now, PresentMember};
use crate::boxed_map::BoxedMap;
use crate::error::Error;

#[derive(Debug)]
pub struct PresenceBook {
    /// What to announce, again after every reconnect.
    announced: BoxedMap<Room, Announced>,
    members: BoxedMap<Room, BTreeMap<ClientId, Seen>>,
    /// Rooms whose members are as a connection that is gone knew them, and until when they are shown.
    stale: BTreeMap<Room, u64>,
    status: PresenceStatus,
    refused: BoxedMap<Room, Refused>,
    /// Rooms that were left, of which the server did not take notice: when it is told again, on the monotonic clock.
    left: BoxedMap<Room, u64>,
    changed: BTreeSet<Room>,
    throttle_ms: u64,
    background_ms: u64,
}

/// A member as the server told of it.
#[derive(Debug)]
struct Seen {
    user_id: String,
    shown: ShownState,
    status: PresenceStatus,
    /// When it last said something while it was active, on the monotonic clock; before the client began, 0.
    active_at_ms: u64,
}

/// Why the server does not let this client be present.
#[derive(Debug)]
struct Refused {
    error: Error,
    retry_at_us: Option<u64>,
}

/// What to tell the server.
#[derive(Debug, PartialEq)]
pub enum Announcement {
    /// The whole state.
    Join(Presence),
    /// What changed.
    Update(Presence),
    Leave(Room),
}

impl Seen {
    fn new(member: &Member, now_ms: u64) -> Self {
        Self {
            user_id: member.user_id.clone(),
            shown: ShownState::of_member(member, now_ms),
            status: member.status,
            active_at_ms: now_ms.saturating_sub(member.idle_ms),
        }
    }
}

impl PresenceBook {
    pub fn new(throttle_ms: u64, background_ms: u64) -> Self {
        Self {
            announced: BoxedMap::default(),
            members: BoxedMap::default(),
            stale: BTreeMap::new(),
            status: PresenceStatus::default(),
            refused: BoxedMap::default(),
            left: BoxedMap::default(),
            changed: BTreeSet::new(),
            throttle_ms,
            background_ms,
        }
    }

    /// Joins a room, or shows another state there instead.
    pub fn join(&mut self, room: &Room, state: &Fields, now: Now, limits: &Limits) -> Result<(), WireError> {
        let shown = ShownState::new(state, &BTreeMap::new(), now.mono_ms(), limits)?;
        self.announced.insert(room.clone(), Announced::new(shown));
        self.refused.remove(room);
        self.left.remove(room);
        self.note_change(room);
        Ok(())
    }

    /// Changes the fields that `changes` names, for good or for `expires_in_ms`; a null removes its field.
    pub fn update(
        &mut self,
        room: &Room,
        changes: &Fields,
        expires_in_ms: Option<u64>,
        now: Now,
        limits: &Limits,
    ) -> Result<(), WireError> {
        let Some(announced) = self.announced.get_mut(room) else { return Ok(()) };
        announced.change(changes, expires_in_ms, now, limits)?;
        match self.refused.get(room).map(|refused| refused.retry_at_us) {
            // The next try tells all of it.
            Some(Some(_)) => announced.wait(),
            // Perhaps it was for what was shown.
            Some(None) => announced.set_unsent(now),
            None => {}
        }
        self.note_change(room);
        Ok(())
    }

    pub fn is_joined(&self, room: &Room) -> bool {
        self.announced.contains_key(room)
    }

    /// Leaves a room; `false` when it was not joined.
    pub fn leave(&mut self, room: &Room) -> bool {
        self.members.remove(room);
        self.stale.remove(room);
        self.refused.remove(room);
        self.announced.remove(room).is_some()
    }

    /// The server did not take notice that this client left a room: it is told again.
    pub fn leave_again(&mut self, room: &Room, at_us: u64) {
        if !self.is_joined(room) {
            self.left.insert(room.clone(), at_us);
        }
    }

    /// What to announce as a session opens: everything.
    pub fn announce_all(&mut self, now: Now) -> Vec<Announcement> {
        for announced in self.announced.values_mut() {
            announced.set_unsent(now);
        }
        self.due_announcements(now)
    }

    /// What is to be sent now, in an open session.
    pub fn due_announcements(&mut self, now: Now) -> Vec<Announcement> {
        let due = |at_us: Option<u64>| at_us.is_some_and(|at_us| at_us <= now.mono_us);
        self.refused.retain(|room, refused| {
            let retried = due(refused.retry_at_us);
            if retried && let Some(announced) = self.announced.get_mut(room) {
                announced.set_unsent(now);
            }
            !retried
        });
        let mut announcements = Vec::new();
        self.left.retain(|room, at_us| {
            let is_due = due(Some(*at_us));
            announcements.extend(is_due.then(|| Announcement::Leave(room.clone())));
            !is_due
        });
        for (room, announced) in &mut self.announced {
            if due(announced.send_at_us()) {
                let background_ms = (self.status == PresenceStatus::Away).then_some(self.background_ms);
                let next_at_us = now.after_ms(self.throttle_ms);
                announcements.push(announced.take(room, self.status, background_ms, now, next_at_us));
            }
        }
        announcements
    }

    /// Forgets what has expired.
    pub fn expire(&mut self, now: Now) {
        let is_over = |(_, until_us): &(&Room, &u64)| **until_us <= now.mono_us;
        let over: Vec<Room> = self.stale.iter().filter(is_over).map(|(room, _)| room.clone()).collect();
        over.iter().for_each(|room| self.forget_members(room));
        for (room, announced) in &mut self.announced {
            if announced.expire(now) && self.members.contains_key(room) {
                self.changed.insert(room.clone());
            }
        }
        for (room, members) in &mut self.members {
            let expired =
                members.values_mut().filter_map(|seen| seen.shown.expire(now.mono_ms()).then_some(()));
            if expired.count() > 0 {
                self.changed.insert(room.clone());
            }
        }
    }

    /// Returns whether the status is another one than before; it is then to be sent everywhere.
    pub fn set_status(&mut self, status: PresenceStatus, now: Now) -> bool {
        let changed = std::mem::replace(&mut self.status, status) != status;
        if changed {
            self.announced.values_mut().for_each(|announced| announced.hurry(now));
            self.changed.extend(self.members.keys().cloned());
        }
        changed
    }

    fn note_change(&mut self, room: &Room) {
        if self.members.contains_key(room) {
            self.changed.insert(room.clone());
        }
    }

    /// The connection is gone. Until the next one tells anew, those who were present are shown, for this long at most.
    pub fn lose_connection(&mut self, until_us: u64) {
        for room in self.members.keys() {
            self.stale.entry(room.clone()).or_insert(until_us);
        }
        self.refused.clear();
        self.left.clear();
    }

    /// There is no connection, and none is wanted: nobody is known to be present.
    pub fn forget_connection(&mut self) {
        self.changed.extend(self.members.keys().cloned());
        self.members.clear();
        self.stale.clear();
        self.refused.clear();
        self.left.clear();
    }

    /// Nobody is known to be in the room any more.
    pub fn forget_members(&mut self, room: &Room) {
        self.stale.remove(room);
        if self.members.remove(room).is_some() {
            self.changed.insert(room.clone());
        }
    }

    /// The server refused to let this client be present in a room, or what it shows there. It is tried again at
    /// `retry_at_us`, or on the next connection.
    pub fn handle_refused(&mut self, room: &Room, error: Error, retry_at_us: Option<u64>) {
        if self.is_joined(room) {
            if retry_at_us.is_none() && self.stale.contains_key(room) {
                self.forget_members(room);
            }
            // Who is there and was only too fast is still there.
            let is_told = retry_at_us.is_none() || !self.members.contains_key(room);
            self.refused.insert(room.clone(), Refused { error, retry_at_us });
            if is_told {
                self.changed.insert(room.clone());
            }
        }
    }

    /// What was refused for good is tried again, but for these rooms.
    pub fn ask_refused_again(&mut self, except: &BTreeSet<Room>, now: Now) {
        let is_refused =
            |(room, refused): &(&Room, &Refused)| refused.retry_at_us.is_none() && !except.contains(*room);
        for (room, _) in self.refused.iter().filter(is_refused) {
            if let Some(announced) = self.announced.get_mut(room) {
                announced.set_unsent(now);
            }
        }
    }

    /// The server has lost sight of this client in some rooms, unless it is about to join them anyway.
    pub fn handle_lapsed(&mut self, rooms: Vec<Room>, now: Now) {
        for room in rooms {
            if self.knows(&room)
                && let Some(announced) = self.announced.get_mut(&room)
            {
                announced.set_unsent(now);
            }
        }
    }

    /// When something is to be sent in an open session, on the monotonic clock.
    pub fn next_announcement(&self) -> Option<u64> {
        let retries = self.refused.values().filter_map(|refused| refused.retry_at_us);
        let own = self.announced.values().filter_map(Announced::send_at_us);
        retries.chain(own).chain(self.left.values().copied()).min()
    }

    /// When something [expires](Self::expire), on the monotonic clock.
    pub fn next_expiry(&self) -> Option<u64> {
        let own = self.announced.values().filter_map(Announced::next_expiry_ms);
        let others = self.members.values().flat_map(BTreeMap::values);
        let others = others.filter_map(|seen| seen.shown.next_expiry_ms());
        let fields = own.chain(others).map(|at_ms| at_ms.saturating_mul(1000));
        fields.chain(self.stale.values().copied()).min()
    }

    /// Whether this connection has told who is in the room.
    fn knows(&self, room: &Room) -> bool {
        self.members.contains_key(room) && !self.stale.contains_key(room)
    }

    pub fn handle_members(&mut self, room: &Room, members: &[Member], now: Now) {
        if self.is_joined(room) {
            let seen = members.iter().map(|member| (member.client_id, Seen::new(member, now.mono_ms())));
            self.members.insert(room.clone(), seen.gather());
            self.stale.remove(room);
            self.refused.remove(room);
            self.changed.insert(room.clone());
        }
    }

    pub fn handle_diff(&mut self, diff: PresenceDiff, now: Now) {
        if !self.knows(&diff.room) {
            return;
        }
        let Some(members) = self.members.get_mut(&diff.room) else { return };
        for member in diff.joined.iter().chain(&diff.updated) {
            members.insert(member.client_id, Seen::new(member, now.mono_ms()));
        }
        for client_id in diff.left {
            members.remove(&client_id);
        }
        self.changed.insert(diff.room);
    }

    /// One event for each room with changes since the last call.
    pub fn poll_events(&mut self, me: ClientId, events: &mut Vec<Event>) {
        for room in std::mem::take(&mut self.changed) {
            let seen = self.members.get(&room).into_iter().flatten();
            let announced = self.announced.get(&room);
            let members = seen.map(|(client_id, seen)| {
                // The server tells everybody but this client of what it announced last.
                let own = announced.filter(|_| *client_id == me);
                let own = own.map(|announced| (announced.fields(), self.status, announced.active_at_ms()));
                let (state, status, active_at_ms) =
                    own.unwrap_or((seen.shown.fields(), seen.status, seen.active_at_ms));
                let member = PresentMember {
                    client_id: client_id.to_string(),
                    user_id: seen.user_id.clone(),
                    state: state.clone(),
                    status,
                    me: *client_id == me,
                };
                (member, active_at_ms)
            });
            let members: Vec<(PresentMember, u64)> = members.collect();
            let users = aggregate::users(&members);
            let members = members.into_iter().map(|(member, _)| member).collect();
            let error = self
                .refused
                .get(&room)
                .filter(|refused| refused.retry_at_us.is_none() || !self.members.contains_key(&room));
            let error = error.map(|refused| refused.error.clone().into());
            events.push(Event::Presence { members, users, error, room });
        }
    }
}
