//! Who is present in which room, and what they show there.

use std::collections::{BTreeMap, BTreeSet};

use syncline_protocol::message::{Member, Presence, PresenceStatus};
use syncline_protocol::presence::ShownState;
use syncline_protocol::{ClientId, ErrorCode, Room, WireError};

use super::{ConnectionId, Roster};

/// A client in a room.
#[derive(Debug)]
pub(super) struct Present {
    pub(super) connection: ConnectionId,
    pub(super) user: String,
    pub(super) shown: ShownState,
    pub(super) status: PresenceStatus,
    /// When it last said something while it was active.
    pub(super) active_at_ms: u64,
}

impl Present {
    pub(super) fn member(&self, client_id: ClientId, now_ms: u64) -> Member {
        let (state, expires_ms) = self.shown.left(now_ms);
        let idle_ms = now_ms.saturating_sub(self.active_at_ms);
        Member { client_id, user_id: self.user.clone(), state, status: self.status, expires_ms, idle_ms }
    }
}

impl Roster {
    /// Makes the connection's client present in a room, with a state instead of any it has there. What an older
    /// connection of the client says late changes nothing.
    pub fn join(&mut self, id: ConnectionId, presence: &Presence, now_ms: u64) -> Result<(), WireError> {
        let (user, client) = self.who(id)?;
        let room = &presence.room;
        let members = self.members.get(room);
        let held = members.and_then(|members| members.get(&client));
        match held {
            Some(held) if held.user != user => return Err(self.not_yours(held.connection, now_ms)),
            Some(held) if held.connection > id => return Ok(()),
            None if members.map_or(0, BTreeMap::len) >= self.limits.presence_members_max as usize => {
                let message = format!("{} clients are present already", self.limits.presence_members_max);
                return Err(WireError::new(ErrorCode::TooLarge, message));
            }
            _ => {}
        }
        let shown = ShownState::new(&presence.state, &presence.expires_ms, now_ms, &self.limits)?;
        let status = presence.status;
        let active_at_ms = match held {
            Some(held) if status == PresenceStatus::Away => held.active_at_ms,
            _ => now_ms,
        };
        let present = Present { connection: id, user, shown, status, active_at_ms };
        self.note_status(id, presence);
        self.put(id, room, client, present);
        self.renew(id, now_ms);
        Ok(())
    }

    /// Gives the connection its client's place in a room, whoever has it.
    pub(super) fn put(&mut self, id: ConnectionId, room: &Room, client: ClientId, present: Present) {
        let before = self.members.entry(room.clone()).or_default().insert(client, present);
        let before = before.map(|before| before.connection);
        self.untold.note(room, client, before.is_some());
        if let Some(older) = before.filter(|older| *older != id) {
            if let Some(connection) = self.connections.get_mut(&older) {
                connection.present.remove(room);
            }
            self.note(older, room);
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.present.insert(room.clone(), client);
        }
        self.note(id, room);
    }

    /// Changes what the connection's client shows in a room.
    pub fn update(&mut self, id: ConnectionId, presence: &Presence, now_ms: u64) -> Result<(), WireError> {
        let (_, client) = self.who(id)?;
        let room = &presence.room;
        let held = self.members.get_mut(room).and_then(|members| members.get_mut(&client));
        let Some(held) = held.filter(|held| held.connection == id) else {
            return Err(WireError::new(ErrorCode::NotFound, "the client is not present in this room"));
        };
        held.shown = held.shown.with(&presence.state, &presence.expires_ms, now_ms, &self.limits)?;
        held.status = presence.status;
        if presence.status == PresenceStatus::Active {
            held.active_at_ms = now_ms;
        }
        self.untold.note(room, client, true);
        self.note_status(id, presence);
        self.renew(id, now_ms);
        self.note(id, room);
        Ok(())
    }

    /// Ends the presence of the connection's client in a room.
    pub fn leave(&mut self, id: ConnectionId, room: &Room) {
        let Ok((user, client)) = self.who(id) else { return };
        let holders = self.ghosts_of(&user, Some(client)).into_iter().chain([id]);
        let held = holders.into_iter().find(|holder| {
            let holder = self.connections.get_mut(holder);
            holder.is_some_and(|holder| holder.present.remove(room).is_some())
        });
        let Some(held) = held else { return };
        self.remove_member(room, client);
        self.note(held, room);
    }

    pub fn members(&self, room: &Room, now_ms: u64) -> Vec<Member> {
        let members = self.members.get(room).into_iter().flatten();
        members.map(|(client, present)| present.member(*client, now_ms)).collect()
    }

    /// Rooms of `announced` in which the connection does not hold its client's place.
    pub fn lapsed(&self, id: ConnectionId, announced: &BTreeSet<Room>) -> Vec<Room> {
        let Some(connection) = self.connections.get(&id) else { return Vec::new() };
        announced.iter().filter(|room| !connection.present.contains_key(*room)).cloned().collect()
    }

    /// The connection holds nobody's place any more.
    pub(super) fn end_members(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else { return };
        let rooms: Vec<Room> = connection.present.keys().cloned().collect();
        rooms.iter().for_each(|room| self.end_member(id, room));
    }

    /// The connection holds nobody's place in a room any more.
    pub(super) fn end_member(&mut self, id: ConnectionId, room: &Room) {
        let held = self.connections.get_mut(&id).and_then(|connection| connection.present.remove(room));
        let Some(client) = held else { return };
        self.remove_member(room, client);
        self.note(id, room);
    }

    /// A lost connection's members are shown as away.
    pub(super) fn show_away(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else { return };
        let rooms: Vec<Room> = connection.rooms.iter().cloned().collect();
        for (room, client) in &connection.present {
            let held = self.members.get_mut(room).and_then(|members| members.get_mut(client));
            if let Some(held) = held.filter(|held| held.status != PresenceStatus::Away) {
                held.status = PresenceStatus::Away;
                self.untold.note(room, *client, true);
            }
        }
        rooms.iter().for_each(|room| self.note(id, room));
    }

    fn who(&self, id: ConnectionId) -> Result<(String, ClientId), WireError> {
        let connection = self.connections.get(&id);
        let connection = connection.ok_or_else(|| WireError::new(ErrorCode::Internal, "not connected"))?;
        let missing = || WireError::new(ErrorCode::Invalid, "the handshake named no client id");
        Ok((connection.user.clone(), connection.client.ok_or_else(missing)?))
    }

    /// The client id is another user's: for good, or until that user's lost connection is forgotten.
    fn not_yours(&self, holder: ConnectionId, now_ms: u64) -> WireError {
        let lease = self.connections.get(&holder).map(|holder| &holder.lease);
        match lease.filter(|lease| lease.is_lost()) {
            Some(lease) => WireError {
                retry_after_ms: Some(lease.left_ms(now_ms)),
                ..WireError::new(ErrorCode::Unavailable, "another user of this client was here just now")
            },
            None => WireError::new(ErrorCode::Forbidden, "the client id is another user's"),
        }
    }

    fn remove_member(&mut self, room: &Room, client: ClientId) {
        if let Some(members) = self.members.get_mut(room) {
            members.remove(&client);
            if members.is_empty() {
                self.members.remove(room);
            }
            self.untold.note(room, client, true);
        }
    }
}
