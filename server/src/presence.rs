//! Who is connected, in which rooms, and what they show of themselves there. Pure: every change answers with who
//! must be told.

use std::collections::{BTreeMap, BTreeSet};

use syncline_protocol::message::Member;
use syncline_protocol::{ClientId, ErrorCode, Room, WireError};

/// Clients present in one room; beyond it a join is refused, for its answer lists them all.
pub const MEMBERS_MAX: usize = 5000;

/// One connection, never reused while the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Connections, the rooms they are in, and the members those rooms show.
#[derive(Debug, Default)]
pub struct Roster {
    connections: BTreeMap<ConnectionId, Connection>,
    rooms: BTreeMap<Room, BTreeSet<ConnectionId>>,
    users: BTreeMap<String, BTreeSet<ConnectionId>>,
    members: BTreeMap<Room, BTreeMap<ClientId, Present>>,
}

#[derive(Debug)]
struct Connection {
    user: String,
    rooms: BTreeSet<Room>,
    /// Rooms in which this connection holds its client's place.
    present: BTreeMap<Room, ClientId>,
}

#[derive(Debug)]
struct Present {
    connection: ConnectionId,
    member: Member,
}

/// What a join changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The client was not there before.
    Joined,
    /// It was, perhaps by an older connection.
    Updated,
    /// It is, by a newer connection: what an older one says late changes nothing.
    Outdated,
}

/// What a connection's end means to the others.
#[derive(Debug, Default, PartialEq)]
pub struct Departure {
    /// Members gone.
    pub left: Vec<(Room, ClientId)>,
    /// Who shared a room with the user and shares none any more.
    pub offline_to: Vec<ConnectionId>,
}

impl Roster {
    pub fn connect(&mut self, id: ConnectionId, user: &str) {
        let connection =
            Connection { user: user.to_owned(), rooms: BTreeSet::new(), present: BTreeMap::new() };
        self.connections.insert(id, connection);
        self.users.entry(user.to_owned()).or_default().insert(id);
    }

    /// Puts a connection into a room; answers who sees its user come online by this.
    pub fn enter(&mut self, id: ConnectionId, room: &Room) -> Vec<ConnectionId> {
        let Some(connection) = self.connections.get_mut(&id) else { return Vec::new() };
        if !connection.rooms.insert(room.clone()) {
            return Vec::new();
        }
        let user = connection.user.clone();
        let others = self.others_in(room, &user);
        let new_to_room = !self.users_rooms(&user, Some(id)).contains(room);
        self.rooms.entry(room.clone()).or_default().insert(id);
        if !new_to_room {
            return Vec::new();
        }
        let elsewhere = self.users_rooms(&user, None).into_iter().filter(|other| other != room).collect();
        others.into_iter().filter(|other| !self.is_in_any(*other, &elsewhere)).collect()
    }

    /// Takes a connection out of a room; answers who does not see its user any more.
    pub fn exit(&mut self, id: ConnectionId, room: &Room) -> Vec<ConnectionId> {
        let Some(connection) = self.connections.get_mut(&id) else { return Vec::new() };
        connection.rooms.remove(room);
        let user = connection.user.clone();
        self.remove_from_room(id, room);
        self.lost_sight(&user, room)
    }

    fn remove_from_room(&mut self, id: ConnectionId, room: &Room) {
        if let Some(inside) = self.rooms.get_mut(room) {
            inside.remove(&id);
            if inside.is_empty() {
                self.rooms.remove(room);
            }
        }
    }

    /// Makes a client present in a room.
    pub fn join(&mut self, id: ConnectionId, room: &Room, member: Member) -> Result<Arrival, WireError> {
        let members = self.members.entry(room.clone()).or_default();
        let client = member.client_id;
        let arrival = match members.get(&client) {
            Some(held) if held.member.user_id != member.user_id => {
                return Err(WireError::new(ErrorCode::Forbidden, "the client id is another user's"));
            }
            Some(held) if held.connection > id => return Ok(Arrival::Outdated),
            Some(_) => Arrival::Updated,
            None if members.len() >= MEMBERS_MAX => {
                let message = format!("{MEMBERS_MAX} clients are present already");
                return Err(WireError::new(ErrorCode::TooLarge, message));
            }
            None => Arrival::Joined,
        };
        let before = members.insert(client, Present { connection: id, member });
        if let Some(before) = before
            && before.connection != id
            && let Some(older) = self.connections.get_mut(&before.connection)
        {
            older.present.remove(room);
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.present.insert(room.clone(), client);
        }
        Ok(arrival)
    }

    /// Whether this connection holds its client's place in a room.
    pub fn is_present(&self, id: ConnectionId, room: &Room) -> bool {
        self.connections.get(&id).is_some_and(|connection| connection.present.contains_key(room))
    }

    /// Ends a client's presence in a room; answers whether it was there.
    pub fn leave(&mut self, id: ConnectionId, room: &Room) -> Option<ClientId> {
        let client = self.connections.get_mut(&id)?.present.remove(room)?;
        self.remove_member(room, client);
        Some(client)
    }

    /// The connections by which clients are present in a room, but for one.
    pub fn present_in(&self, room: &Room, except: ConnectionId) -> Vec<ConnectionId> {
        let members = self.members.get(room).into_iter().flat_map(BTreeMap::values);
        members.map(|present| present.connection).filter(|id| *id != except).collect()
    }

    pub fn members(&self, room: &Room) -> Vec<Member> {
        let members = self.members.get(room).into_iter().flat_map(BTreeMap::values);
        members.map(|present| present.member.clone()).collect()
    }

    pub fn disconnect(&mut self, id: ConnectionId) -> Departure {
        let Some(connection) = self.connections.remove(&id) else { return Departure::default() };
        let mut left = Vec::new();
        for (room, client) in connection.present {
            self.remove_member(&room, client);
            left.push((room, client));
        }
        if let Some(connections) = self.users.get_mut(&connection.user) {
            connections.remove(&id);
            if connections.is_empty() {
                self.users.remove(&connection.user);
            }
        }
        for room in &connection.rooms {
            self.remove_from_room(id, room);
        }
        let lost = connection.rooms.iter().flat_map(|room| self.lost_sight(&connection.user, room));
        let offline_to: BTreeSet<ConnectionId> = lost.collect();
        Departure { left, offline_to: offline_to.into_iter().collect() }
    }

    /// Who is in a room that a connection of the user has left, and shares no room with the user now.
    fn lost_sight(&self, user: &str, room: &Room) -> Vec<ConnectionId> {
        let still = self.users_rooms(user, None);
        if still.contains(room) {
            return Vec::new();
        }
        let others = self.others_in(room, user).into_iter();
        others.filter(|other| !self.is_in_any(*other, &still)).collect()
    }

    fn is_in_any(&self, id: ConnectionId, rooms: &BTreeSet<Room>) -> bool {
        self.connections.get(&id).is_some_and(|connection| !connection.rooms.is_disjoint(rooms))
    }

    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    pub fn user_count(&self) -> usize {
        self.users.len()
    }

    fn remove_member(&mut self, room: &Room, client: ClientId) {
        if let Some(members) = self.members.get_mut(room) {
            members.remove(&client);
            if members.is_empty() {
                self.members.remove(room);
            }
        }
    }

    /// Connections of other users in a room.
    fn others_in(&self, room: &Room, user: &str) -> Vec<ConnectionId> {
        let inside = self.rooms.get(room).into_iter().flatten();
        inside
            .filter(|id| self.connections.get(id).is_some_and(|other| other.user != user))
            .copied()
            .collect()
    }

    /// The rooms a user is in, by any connection but `except`.
    fn users_rooms(&self, user: &str, except: Option<ConnectionId>) -> BTreeSet<Room> {
        let connections = self.users.get(user).into_iter().flatten().filter(|id| Some(**id) != except);
        connections
            .filter_map(|id| self.connections.get(id))
            .flat_map(|connection| connection.rooms.iter().cloned())
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use syncline_protocol::message::PresenceStatus;
    use syncline_protocol::value::Fields;

    use super::*;

    const A: ConnectionId = ConnectionId(1);
    const A2: ConnectionId = ConnectionId(2);
    const B: ConnectionId = ConnectionId(3);

    fn room(name: &str) -> Room {
        Room::new(name).unwrap()
    }

    fn member(client: u8, user: &str) -> Member {
        Member {
            client_id: ClientId::from_bytes([client; 16]),
            user_id: user.to_owned(),
            state: Fields::new(),
            status: PresenceStatus::Active,
        }
    }

    fn roster() -> Roster {
        let mut roster = Roster::default();
        roster.connect(A, "a");
        roster.connect(B, "b");
        roster
    }

    #[test]
    fn a_user_comes_online_once_to_those_who_share_a_room() {
        let mut roster = roster();
        roster.connect(A2, "a");
        assert_eq!(roster.enter(B, &room("r")), []);
        assert_eq!(roster.enter(B, &room("s")), []);
        assert_eq!(roster.enter(A, &room("r")), [B]);
        assert_eq!(roster.enter(A, &room("s")), [], "b sees a in the first room already");
        assert_eq!(roster.enter(A2, &room("r")), [], "a was there already");
    }

    #[test]
    fn a_user_goes_offline_with_the_last_connection() {
        let mut roster = roster();
        roster.connect(A2, "a");
        roster.enter(B, &room("r"));
        roster.enter(A, &room("r"));
        roster.enter(A2, &room("r"));
        assert_eq!(roster.disconnect(A), Departure::default());
        assert_eq!(roster.disconnect(A2).offline_to, [B]);
        assert_eq!((roster.connection_count(), roster.user_count()), (1, 1));
    }

    #[test]
    fn whoever_saw_a_user_come_online_sees_it_go() {
        let mut roster = roster();
        roster.connect(A2, "a");
        roster.enter(B, &room("r"));
        assert_eq!(roster.enter(A, &room("r")), [B]);
        roster.enter(A2, &room("s"));
        assert_eq!(roster.disconnect(A).offline_to, [B], "b sees nothing of a's other connection");
        roster.enter(B, &room("s"));
        assert_eq!(roster.exit(A2, &room("s")), [B]);
        assert_eq!(roster.disconnect(A2), Departure::default(), "b knows already");
    }

    #[test]
    fn a_newer_connection_takes_over_its_clients_place() {
        let mut roster = roster();
        roster.connect(A2, "a");
        assert_eq!(roster.join(A, &room("r"), member(1, "a")), Ok(Arrival::Joined));
        assert_eq!(roster.join(A2, &room("r"), member(1, "a")), Ok(Arrival::Updated));
        assert_eq!(roster.disconnect(A).left, []);
        assert_eq!(roster.members(&room("r")).len(), 1);
        assert_eq!(roster.disconnect(A2).left, [(room("r"), ClientId::from_bytes([1; 16]))]);
        assert_eq!(roster.members(&room("r")), []);
    }

    #[test]
    fn a_client_id_present_for_another_user_is_refused() {
        let mut roster = roster();
        roster.join(A, &room("r"), member(1, "a")).unwrap();
        assert_eq!(roster.join(B, &room("r"), member(1, "b")).unwrap_err().code, ErrorCode::Forbidden);
    }
}
