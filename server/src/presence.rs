//! Who is connected, in which rooms, and what they show of themselves there. Pure: time is an argument, and every
//! change answers with who must be told what.
//!
//! A connection that is lost, rather than left, stays as a *ghost* for a while: its user is still online, its members
//! are away. So a phone that comes back soon is not seen to leave and to join.

mod lease;
mod members;
mod remote;
#[cfg(test)]
mod remote_tests;
mod rounds;
#[cfg(test)]
mod rounds_tests;
mod sight;
#[cfg(test)]
mod sight_tests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use syncline_protocol::{ClientId, Limits, Room};

pub use self::lease::PresenceConfig;
use self::lease::{Deadlines, Lease};
use self::members::Present;
pub use self::remote::{Effect, Heard, NodeId, Place, Report};
use self::remote::{Home, Noted};
pub use self::rounds::Telling;
use self::rounds::Untold;
pub(crate) use self::rounds::member_byte_len;
use self::sight::Inside;
use crate::fanout::News;

/// One connection, never reused while the server runs. Of two of one client the newer one has the higher number, also
/// where other nodes hold them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

impl ConnectionId {
    const MIN: Self = Self(u64::MIN);
    const MAX: Self = Self(u64::MAX);
}

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
    rooms: BTreeMap<Room, Inside>,
    users: BTreeMap<String, BTreeSet<ConnectionId>>,
    /// How many of this node's own connections each user has.
    local_users: BTreeMap<String, usize>,
    /// The connections of each client.
    clients: BTreeSet<(ClientId, ConnectionId)>,
    members: BTreeMap<Room, BTreeMap<ClientId, Present>>,
    /// What members are to be told of each other.
    untold: Untold,
    deadlines: Deadlines,
    /// How many of this node's own connections are in each room.
    local_rooms: BTreeMap<Room, usize>,
    /// The connections of other nodes, by those nodes' numbers.
    remotes: BTreeMap<NodeId, BTreeMap<u64, ConnectionId>>,
    /// What other nodes must hear; `None` while there are none.
    noted: Option<Vec<Noted>>,
}

#[derive(Debug)]
struct Connection {
    user: String,
    /// Where it is, if not on this node.
    home: Option<Home>,
    client: Option<ClientId>,
    rooms: BTreeSet<Room>,
    /// Those in which it may not be present: there it is neither seen nor sees anybody.
    unseen: BTreeSet<Room>,
    /// Rooms in which this connection holds its client's place.
    present: BTreeMap<Room, ClientId>,
    lease: Lease,
}

impl Connection {
    /// Whether others in a room see its user there.
    fn is_seen_in(&self, room: &Room) -> bool {
        self.rooms.contains(room) && !self.unseen.contains(room)
    }

    /// Whether it can be told anything, here.
    fn hears(&self) -> bool {
        self.home.is_none() && !self.lease.is_lost()
    }
}

impl Roster {
    pub fn new(config: PresenceConfig, limits: Limits) -> Self {
        Self {
            config,
            limits,
            connections: BTreeMap::new(),
            rooms: BTreeMap::new(),
            users: BTreeMap::new(),
            local_users: BTreeMap::new(),
            clients: BTreeSet::new(),
            members: BTreeMap::new(),
            untold: Untold::default(),
            deadlines: Deadlines::default(),
            local_rooms: BTreeMap::new(),
            remotes: BTreeMap::new(),
            noted: None,
        }
    }

    /// Adds a connection of this node.
    pub fn connect(&mut self, id: ConnectionId, user: &str, client: Option<ClientId>, now_ms: u64) {
        self.add(id, user, client, None, now_ms);
        *self.local_users.entry(user.to_owned()).or_default() += 1;
    }

    fn add(
        &mut self,
        id: ConnectionId,
        user: &str,
        client: Option<ClientId>,
        home: Option<Home>,
        now_ms: u64,
    ) {
        let connection = Connection {
            user: user.to_owned(),
            home,
            client,
            rooms: BTreeSet::new(),
            unseen: BTreeSet::new(),
            present: BTreeMap::new(),
            lease: Lease::default(),
        };
        // A client has one connection: what this one does not take over of older ones, lost or about to be found so,
        // is not kept for longer than if they had been lost only now.
        let older: Vec<ConnectionId> =
            self.connections_of(user, client).take_while(|older| *older < id).collect();
        for older in older {
            self.shorten_to_grace(older, now_ms);
        }
        self.connections.insert(id, connection);
        self.clients.extend(client.map(|client| (client, id)));
        self.users.entry(user.to_owned()).or_default().insert(id);
    }

    /// The connection was closed on purpose: its client is gone at once.
    pub fn disconnect(&mut self, id: ConnectionId) -> Vec<Notice> {
        let Some(connection) = self.connections.get(&id) else { return Vec::new() };
        let mut ended = self.ghosts_of(&connection.user.clone(), connection.client);
        ended.push(id);
        ended.into_iter().flat_map(|id| self.end(id, true)).collect()
    }

    /// Ghosts of the same client, which are as good as itself.
    fn ghosts_of(&self, user: &str, client: Option<ClientId>) -> Vec<ConnectionId> {
        let is_lost = |id: &ConnectionId| self.connections.get(id).is_some_and(|found| found.lease.is_lost());
        self.connections_of(user, client).filter(is_lost).collect()
    }

    /// The connections of a user's client, the oldest first.
    fn connections_of(
        &self,
        user: &str,
        client: Option<ClientId>,
    ) -> impl DoubleEndedIterator<Item = ConnectionId> {
        let all = client
            .map(|client| self.clients.range((client, ConnectionId::MIN)..=(client, ConnectionId::MAX)));
        let ids = all.into_iter().flatten().map(|(_, id)| *id);
        ids.filter(move |id| self.connections.get(id).is_some_and(|found| found.user == user))
    }

    /// Takes a connection out of everything.
    fn end(&mut self, id: ConnectionId, on_purpose: bool) -> Vec<Notice> {
        self.end_members(id);
        self.deadlines.clear(id, self.connections.get(&id).map(|connection| &connection.lease));
        let rooms = self.connections.get_mut(&id).map(|connection| std::mem::take(&mut connection.rooms));
        let mut rooms = rooms.unwrap_or_default();
        for room in &rooms {
            self.note_outside(id, room, on_purpose);
            self.remove_from_room(id, room);
        }
        let Some(connection) = self.connections.remove(&id) else { return Vec::new() };
        match connection.home {
            Some(home) => self.forget_home(home),
            None => self.forget_local(&connection.user),
        }
        rooms.retain(|room| !connection.unseen.contains(room));
        if let Some(client) = connection.client {
            self.clients.remove(&(client, id));
        }
        if let Some(connections) = self.users.get_mut(&connection.user) {
            connections.remove(&id);
            if connections.is_empty() {
                self.users.remove(&connection.user);
            }
        }
        self.tell_lost_sight(&connection.user, &rooms)
    }

    /// One of this node's own connections of a user is gone.
    fn forget_local(&mut self, user: &str) {
        let Some(count) = self.local_users.get_mut(user) else { return };
        *count -= 1;
        if *count == 0 {
            self.local_users.remove(user);
        }
    }

    /// Connections of this node that are open.
    pub fn connection_count(&self) -> usize {
        self.connections.len() - self.deadlines.ghosts() - self.remote_count()
    }

    /// The rooms that a connection is in.
    pub fn rooms_of(&self, id: ConnectionId) -> Option<&BTreeSet<Room>> {
        self.connections.get(&id).map(|connection| &connection.rooms)
    }

    /// Users who are online by a connection of this node.
    pub fn user_count(&self) -> usize {
        self.local_users.len()
    }
}
