//! Who sees whose user online: those who share a room.

use std::collections::BTreeSet;

use syncline_protocol::Room;
use syncline_protocol::message::UserStatus;

use super::{ConnectionId, Notice, Roster};
use crate::fanout::News;

impl Roster {
    /// Puts a connection into a room; its user comes online to those who did not see it.
    pub fn enter(&mut self, id: ConnectionId, room: &Room) -> Vec<Notice> {
        let Some(connection) = self.connections.get_mut(&id) else { return Vec::new() };
        if !connection.rooms.insert(room.clone()) {
            return Vec::new();
        }
        let (user, is_local) = (connection.user.clone(), connection.home.is_none());
        if is_local {
            self.open_room(room);
        }
        self.note(id, room);
        // Asked of one after the other: of a user with thousands of connections, the first ones tell.
        let is_there = |other: &ConnectionId| {
            *other != id && self.connections.get(other).is_some_and(|other| other.rooms.contains(room))
        };
        let new_to_room = !self.users.get(&user).into_iter().flatten().any(is_there);
        self.rooms.entry(room.clone()).or_default().insert(id);
        if !new_to_room {
            return Vec::new();
        }
        let elsewhere = self.users_rooms(&user).into_iter().filter(|other| other != room).collect();
        let others = self.others_in(room, &user).into_iter();
        let to = others.filter(|other| !self.is_in_any(*other, &elsewhere)).collect();
        notice(to, News::Online(UserStatus { user_id: user }))
    }

    /// Takes a connection out of a room, and what was lost of its client there; its user goes offline to those who do
    /// not see it any more.
    pub fn exit(&mut self, id: ConnectionId, room: &Room) -> Vec<Notice> {
        let Some(connection) = self.connections.get(&id) else { return Vec::new() };
        let (user, client) = (connection.user.clone(), connection.client);
        let mut leaving = self.ghosts_of(&user, client);
        leaving.push(id);
        let mut was_there = false;
        for id in leaving {
            let connection = self.connections.get_mut(&id);
            if connection.is_some_and(|connection| connection.rooms.remove(room)) {
                was_there = true;
                self.note_outside(id, room, true);
                self.remove_from_room(id, room);
            }
        }
        if !was_there {
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
            inside.remove(&id);
            if inside.is_empty() {
                self.rooms.remove(room);
            }
        }
        if self.is_local(id) {
            self.close_room(room);
        }
    }

    /// Tells those in rooms that a connection of the user has left, if they share no room with the user now.
    pub(super) fn tell_lost_sight(&self, user: &str, rooms: &BTreeSet<Room>) -> Vec<Notice> {
        let still = self.users_rooms(user);
        let left = rooms.iter().filter(|room| !still.contains(*room));
        let others: BTreeSet<ConnectionId> = left.flat_map(|room| self.others_in(room, user)).collect();
        let lost = others.into_iter().filter(|other| !self.is_in_any(*other, &still)).collect();
        notice(lost, News::Offline(UserStatus { user_id: user.to_owned() }))
    }

    fn is_in_any(&self, id: ConnectionId, rooms: &BTreeSet<Room>) -> bool {
        self.connections.get(&id).is_some_and(|connection| !connection.rooms.is_disjoint(rooms))
    }

    /// Open connections of other users in a room.
    fn others_in(&self, room: &Room, user: &str) -> Vec<ConnectionId> {
        let is_other = |id: &&ConnectionId| {
            self.connections.get(id).is_some_and(|other| other.user != user && other.hears())
        };
        self.rooms.get(room).into_iter().flatten().filter(is_other).copied().collect()
    }

    /// The rooms a user is in, by any connection.
    fn users_rooms(&self, user: &str) -> BTreeSet<Room> {
        let connections = self.users.get(user).into_iter().flatten();
        connections
            .filter_map(|id| self.connections.get(id))
            .flat_map(|connection| connection.rooms.iter().cloned())
            .collect()
    }
}

pub(super) fn notice(to: Vec<ConnectionId>, news: News) -> Vec<Notice> {
    if to.is_empty() { Vec::new() } else { vec![Notice { to, news }] }
}
