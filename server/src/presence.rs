//! Who is connected, in which rooms, and what they show of themselves there. Pure: time is an argument, and every
//! change answers with who must be told what.
//!
//! A connection that is lost, rather than left, stays as a *ghost* for a while: its user is still online, its members
//! are away. So a phone that comes back soon is not seen to leave and to join.

mod lease;
mod members;
mod sight;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use syncline_protocol::{ClientId, Limits, Room};

pub use self::lease::PresenceConfig;
use self::lease::{Deadlines, Lease};
use self::members::Present;
use crate::fanout::News;

/// One connection, never reused while the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Something that some connections are to be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    pub to: Vec<ConnectionId>,
    pub news: News,
}

/// Connections, the rooms they are in, and the members those rooms show. All times are milliseconds on one clock that
/// never jumps.
#[derive(Debug)]
pub struct Roster {
    config: PresenceConfig,
    limits: Limits,
    connections: BTreeMap<ConnectionId, Connection>,
    rooms: BTreeMap<Room, BTreeSet<ConnectionId>>,
    users: BTreeMap<String, BTreeSet<ConnectionId>>,
    members: BTreeMap<Room, BTreeMap<ClientId, Present>>,
    deadlines: Deadlines,
}

#[derive(Debug)]
struct Connection {
    user: String,
    client: Option<ClientId>,
    rooms: BTreeSet<Room>,
    /// Rooms in which this connection holds its client's place.
    present: BTreeMap<Room, ClientId>,
    lease: Lease,
}

impl Roster {
    pub fn new(config: PresenceConfig, limits: Limits) -> Self {
        Self {
            config,
            limits,
            connections: BTreeMap::new(),
            rooms: BTreeMap::new(),
            users: BTreeMap::new(),
            members: BTreeMap::new(),
            deadlines: Deadlines::default(),
        }
    }

    pub fn connect(&mut self, id: ConnectionId, user: &str, client: Option<ClientId>, now_ms: u64) {
        let connection = Connection {
            user: user.to_owned(),
            client,
            rooms: BTreeSet::new(),
            present: BTreeMap::new(),
            lease: Lease::default(),
        };
        // A client has one connection: what this one does not take over of older ones, lost or about to be found so,
        // is not kept for longer than if they had been lost only now.
        for older in self.connections_of(user, client) {
            self.shorten_to_grace(older, now_ms);
        }
        self.connections.insert(id, connection);
        self.users.entry(user.to_owned()).or_default().insert(id);
    }

    /// The connection was closed on purpose: its client is gone at once.
    pub fn disconnect(&mut self, id: ConnectionId) -> Vec<Notice> {
        let Some(connection) = self.connections.get(&id) else { return Vec::new() };
        let mut ended = self.ghosts_of(&connection.user.clone(), connection.client);
        ended.push(id);
        ended.into_iter().flat_map(|id| self.end(id)).collect()
    }

    /// Ghosts of the same client, which are as good as itself.
    fn ghosts_of(&self, user: &str, client: Option<ClientId>) -> Vec<ConnectionId> {
        let mut ids = self.connections_of(user, client);
        ids.retain(|id| self.connections.get(id).is_some_and(|found| found.lease.is_lost()));
        ids
    }

    fn connections_of(&self, user: &str, client: Option<ClientId>) -> Vec<ConnectionId> {
        let ids = self.users.get(user).into_iter().flatten().copied();
        let is_of_client = |id: &ConnectionId| {
            client.is_some() && self.connections.get(id).is_some_and(|found| found.client == client)
        };
        ids.filter(is_of_client).collect()
    }

    /// Takes a connection out of everything.
    fn end(&mut self, id: ConnectionId) -> Vec<Notice> {
        let mut notices = self.end_members(id);
        self.deadlines.clear(id, self.connections.get(&id).map(|connection| &connection.lease));
        let Some(connection) = self.connections.remove(&id) else { return notices };
        if let Some(connections) = self.users.get_mut(&connection.user) {
            connections.remove(&id);
            if connections.is_empty() {
                self.users.remove(&connection.user);
            }
        }
        for room in &connection.rooms {
            self.remove_from_room(id, room);
        }
        notices.extend(self.tell_lost_sight(&connection.user, &connection.rooms));
        notices
    }

    /// Connections that are open.
    pub fn connection_count(&self) -> usize {
        self.connections.len() - self.deadlines.ghosts()
    }

    /// The rooms that a connection is in.
    pub fn rooms_of(&self, id: ConnectionId) -> Option<&BTreeSet<Room>> {
        self.connections.get(&id).map(|connection| &connection.rooms)
    }

    /// Users who are online.
    pub fn user_count(&self) -> usize {
        self.users.len()
    }
}
