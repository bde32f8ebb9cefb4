//! Who sees whose user online: those who watch a room that the user is in.

use std::collections::BTreeSet;

use syncline_protocol::Room;
use syncline_protocol::message::UserStatus;

use super::{ConnectionId, Notice, Roster};
use crate::fanout::News;

/// The connections in a room.
#[derive(Debug, Default)]
pub(super) struct Inside {
    all: BTreeSet<ConnectionId>,
    /// Of this node's, open: those that hear who comes and goes. Each does until it leaves, so whoever saw a user come online
    /// sees it go.
    watching: BTreeSet<ConnectionId>,
    /// The rest of these, which take the places of those.
    waiting: BTreeSet<ConnectionId>,
}

impl Inside {
    pub(super) fn all(&self) -> impl Iterator<Item = &ConnectionId> {
        self.all.iter()
    }

    pub(super) fn into_all(self) -> BTreeSet<ConnectionId> {
        self.all
    }

    fn watch(&mut self, id: ConnectionId, watchers_max: usize) {
        if self.watching.len() < watchers_max {
            self.watching.insert(id);
        } else {
            self.waiting.insert(id);
        }
    }

    fn exit(&mut self, id: ConnectionId) {
        self.watch_no_longer(id);
        self.all.remove(&id);
    }

    fn watch_no_longer(&mut self, id: ConnectionId) {
        if self.watching.remove(&id) {
            self.watching.extend(self.waiting.pop_first());
        } else {
            self.waiting.remove(&id);
        }
    }
}

impl Roster {
    /// Puts a connection into a room; its user comes online to those who did not see it.
    pub fn enter(&mut self, id: ConnectionId, room: &Room) -> Vec<Notice> {
        self.put_into(id, room);
        self.come_into_sight(id, room)
    }

    /// Puts a connection that may not be present into a room: it is not seen there and sees nobody, any longer either.
    pub fn enter_unseen(&mut self, id: ConnectionId, room: &Room) -> Vec<Notice> {
        let Some(connection) = self.connections.get_mut(&id) else { return Vec::new() };
        let (was_seen, user) = (connection.is_seen_in(room), connection.user.clone());
        connection.unseen.insert(room.clone());
        self.put_into(id, room);
        if !was_seen {
            return Vec::new();
        }
        self.note_outside(id, room, true);
        if let Some(inside) = self.rooms.get_mut(room) {
            inside.watch_no_longer(id);
        }
        self.tell_lost_sight(&user, &BTreeSet::from([room.clone()]))
    }

    /// Puts a connection into a room, where nobody sees it yet.
    fn put_into(&mut self, id: ConnectionId, room: &Room) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let is_local = connection.home.is_none();
        if !connection.rooms.insert(room.clone()) {
            return;
        }
        connection.unseen.insert(room.clone());
        self.rooms.entry(room.clone()).or_default().all.insert(id);
        if is_local {
            self.open_room(room);
        }
    }

    fn come_into_sight(&mut self, id: ConnectionId, room: &Room) -> Vec<Notice> {
        let Some(connection) = self.connections.get(&id).filter(|found| !found.is_seen_in(room)) else {
            return Vec::new();
        };
        let (user, hears) = (connection.user.clone(), connection.hears());
        let new_to_room = !self.is_inside(&user, room);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.unseen.remove(room);
        }
        self.note(id, room);
        let watchers_max = self.config.watchers_max;
        if hears && let Some(inside) = self.rooms.get_mut(room) {
            inside.watch(id, watchers_max);
        }
        if !new_to_room {
            return Vec::new();
        }
        let watchers: Vec<ConnectionId> = self.watchers(room, &user).collect();
        if watchers.is_empty() {
            return Vec::new();
        }
        let mut elsewhere = self.users_rooms(&user);
        elsewhere.remove(room);
        let to = watchers.into_iter().filter(|other| !self.watches_any(*other, &elsewhere)).collect();
        notice(to, News::Online(UserStatus { user_id: user }))
    }

    /// Takes a connection out of a room, and what was lost of its client there; its user goes offline to those who do
    /// not see it any more.
    pub fn exit(&mut self, id: ConnectionId, room: &Room) -> Vec<Notice> {
        let Some(connection) = self.connections.get(&id) else { return Vec::new() };
        let (user, client) = (connection.user.clone(), connection.client);
        // Nobody is present where they are not, by a ghost either.
        self.leave(id, room);
        let mut leaving = self.ghosts_of(&user, client);
        leaving.push(id);
        let mut was_seen = false;
        for id in leaving {
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            was_seen |= connection.is_seen_in(room);
            connection.unseen.remove(room);
            if connection.rooms.remove(room) {
                self.note_outside(id, room, true);
                self.remove_from_room(id, room);
            }
        }
        if !was_seen {
            return Vec::new();
        }
        self.tell_lost_sight(&user, &BTreeSet::from([room.clone()]))
    }

    /// Takes one connection out of a room.
    pub(super) fn exit_alone(&mut self, id: ConnectionId, room: &Room) -> Vec<Notice> {
        let Some(connection) = self.connections.get_mut(&id) else { return Vec::new() };
        if !connection.rooms.remove(room) {
            return Vec::new();
        }
        let user = connection.user.clone();
        self.remove_from_room(id, room);
        self.tell_lost_sight(&user, &BTreeSet::from([room.clone()]))
    }

    /// Follows a connection that has left a room.
    pub(super) fn remove_from_room(&mut self, id: ConnectionId, room: &Room) {
        if let Some(inside) = self.rooms.get_mut(room) {
            inside.exit(id);
            if inside.all.is_empty() {
                self.rooms.remove(room);
            }
        }
        if self.is_local(id) {
            self.close_room(room);
        }
    }

    /// Tells those who watch rooms that a connection of the user has left, if they watch no room with the user now.
    pub(super) fn tell_lost_sight(&self, user: &str, rooms: &BTreeSet<Room>) -> Vec<Notice> {
        let left: Vec<&Room> = rooms.iter().filter(|room| !self.is_inside(user, room)).collect();
        if left.is_empty() {
            return Vec::new();
        }
        let others: BTreeSet<ConnectionId> =
            left.into_iter().flat_map(|room| self.watchers(room, user)).collect();
        if others.is_empty() {
            return Vec::new();
        }
        let still = self.users_rooms(user);
        let lost = others.into_iter().filter(|other| !self.watches_any(*other, &still)).collect();
        notice(lost, News::Offline(UserStatus { user_id: user.to_owned() }))
    }

    /// A lost connection hears nothing.
    pub(super) fn watch_no_longer(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else { return };
        for room in &connection.rooms {
            if let Some(inside) = self.rooms.get_mut(room) {
                inside.watch_no_longer(id);
            }
        }
    }

    /// Looks at whichever are fewer: those rooms, or the ones that it is in.
    fn watches_any(&self, id: ConnectionId, rooms: &BTreeSet<&Room>) -> bool {
        let Some(connection) = self.connections.get(&id) else { return false };
        let watches = |room: &Room| self.rooms.get(room).is_some_and(|inside| inside.watching.contains(&id));
        if connection.rooms.len() < rooms.len() {
            return connection.rooms.iter().any(|room| rooms.contains(room) && watches(room));
        }
        rooms.iter().any(|room| watches(room))
    }

    /// Connections of other users that watch a room.
    fn watchers(&self, room: &Room, user: &str) -> impl Iterator<Item = ConnectionId> {
        let watching = self.rooms.get(room).into_iter().flat_map(|inside| &inside.watching);
        watching.copied().filter(move |id| self.connections.get(id).is_some_and(|other| other.user != user))
    }

    /// Whether a user is seen in a room, by any connection. They are asked one after the other: of a user with thousands, the first
    /// ones tell.
    fn is_inside(&self, user: &str, room: &Room) -> bool {
        let mut connections = self.users.get(user).into_iter().flatten();
        connections.any(|id| self.connections.get(id).is_some_and(|connection| connection.is_seen_in(room)))
    }

    /// The rooms a user is seen in, by any connection.
    fn users_rooms(&self, user: &str) -> BTreeSet<&Room> {
        let connections = self.users.get(user).into_iter().flatten();
        connections
            .filter_map(|id| self.connections.get(id))
            .flat_map(|connection| connection.rooms.difference(&connection.unseen))
            .collect()
    }
}

pub(super) fn notice(to: Vec<ConnectionId>, news: News) -> Vec<Notice> {
    if to.is_empty() { Vec::new() } else { vec![Notice { to, news }] }
}
