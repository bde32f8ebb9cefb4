//! Who is present: what this client announced, and what the server said of the others.

use std::collections::{BTreeMap, BTreeSet};

use syncline_protocol::message::{Member, Presence, PresenceDiff, PresenceStatus};
use syncline_protocol::{ClientId, Fields, Room};

use super::io::{Event, PresentMember};
use crate::error::Error;

#[derive(Debug, Default)]
pub struct PresenceBook {
    /// What to announce, again after every reconnect.
    announced: BTreeMap<Room, Fields>,
    members: BTreeMap<Room, BTreeMap<ClientId, Member>>,
    status: PresenceStatus,
    refused: BTreeMap<Room, Refused>,
    changed: BTreeSet<Room>,
}

/// Why the server does not let this client be present.
#[derive(Debug)]
struct Refused {
    error: Error,
    retry_at_us: Option<u64>,
}

impl PresenceBook {
    /// Joins a room, or changes what is announced there.
    pub fn announce(&mut self, room: Room, state: Fields) -> Presence {
        self.announced.insert(room.clone(), state.clone());
        self.refused.remove(&room);
        self.note_change(&room);
        Presence { room, state, status: self.status }
    }

    pub fn is_joined(&self, room: &Room) -> bool {
        self.announced.contains_key(room)
    }

    /// Leaves a room; `false` when it was not joined.
    pub fn leave(&mut self, room: &Room) -> bool {
        self.members.remove(room);
        self.refused.remove(room);
        self.announced.remove(room).is_some()
    }

    /// What to announce now, in every room.
    pub fn announcements(&self) -> Vec<Presence> {
        let rooms = self.announced.iter();
        rooms
            .map(|(room, state)| Presence { room: room.clone(), state: state.clone(), status: self.status })
            .collect()
    }

    /// Returns whether the status is another one than before.
    pub fn set_status(&mut self, status: PresenceStatus) -> bool {
        let changed = std::mem::replace(&mut self.status, status) != status;
        if changed {
            self.changed.extend(self.members.keys().cloned());
        }
        changed
    }

    fn note_change(&mut self, room: &Room) {
        if self.members.contains_key(room) {
            self.changed.insert(room.clone());
        }
    }

    /// The connection is gone: nobody is known to be present.
    pub fn reset_connection(&mut self) {
        self.changed.extend(self.members.keys().cloned());
        self.members.clear();
        self.refused.clear();
    }

    /// The server refused to let this client be present in a room. It is tried again at `retry_at_us`, or on the next
    /// connection.
    pub fn handle_refused(&mut self, room: &Room, error: Error, retry_at_us: Option<u64>) {
        if self.is_joined(room) {
            self.refused.insert(room.clone(), Refused { error, retry_at_us });
            self.changed.insert(room.clone());
        }
    }

    /// When a refused room is to be tried again, on the monotonic clock.
    pub fn next_deadline(&self) -> Option<u64> {
        self.refused.values().filter_map(|refused| refused.retry_at_us).min()
    }

    /// What to announce again now, after a refusal.
    pub fn due_announcements(&mut self, now_us: u64) -> Vec<Presence> {
        let due = |refused: &Refused| refused.retry_at_us.is_some_and(|at_us| at_us <= now_us);
        let rooms: Vec<Room> =
            self.refused.iter().filter(|(_, refused)| due(refused)).map(|(room, _)| room.clone()).collect();
        self.refused.retain(|_, refused| !due(refused));
        self.announcements().into_iter().filter(|presence| rooms.contains(&presence.room)).collect()
    }

    pub fn handle_members(&mut self, room: &Room, members: Vec<Member>) {
        if self.is_joined(room) {
            let members = members.into_iter().map(|member| (member.client_id, member)).collect();
            self.members.insert(room.clone(), members);
            self.refused.remove(room);
            self.changed.insert(room.clone());
        }
    }

    pub fn handle_diff(&mut self, diff: PresenceDiff) {
        let Some(members) = self.members.get_mut(&diff.room) else { return };
        for member in diff.joined.into_iter().chain(diff.updated) {
            members.insert(member.client_id, member);
        }
        for client_id in diff.left {
            members.remove(&client_id);
        }
        self.changed.insert(diff.room);
    }

    /// One event for each room with changes since the last call.
    pub fn poll_events(&mut self, me: ClientId, events: &mut Vec<Event>) {
        for room in std::mem::take(&mut self.changed) {
            let members = self.members.get(&room).into_iter().flat_map(BTreeMap::values);
            let announced = self.announced.get(&room);
            let members = members.map(|member| {
                // The server tells everybody but this client of what it announced last.
                let own = announced.filter(|_| member.client_id == me).map(|state| (state, self.status));
                let (state, status) = own.unwrap_or((&member.state, member.status));
                PresentMember {
                    client_id: member.client_id.to_string(),
                    user_id: member.user_id.clone(),
                    state: state.clone(),
                    status,
                    me: member.client_id == me,
                }
            });
            let error = self.refused.get(&room).map(|refused| refused.error.clone().into());
            events.push(Event::Presence { members: members.collect(), error, room });
        }
    }
}
