//! Connections of other nodes. A roster knows those that are in the rooms of its own connections, and no others.
//!
//! The node that holds a connection decides on it, and reports its state in a room each time that it changes. A report
//! holds the whole state, so it may come twice, and one that was lost is made good by the next or by a roll.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use syncline_protocol::message::Member;
use syncline_protocol::presence::ShownState;
use syncline_protocol::{ClientId, Room};

use super::members::Present;
use super::sight::Inside;
use super::{Connection, ConnectionId, Notice, Roster};

/// One life of a server process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u64);

impl std::fmt::Display for NodeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What the node that holds a connection tells the others of it, for one room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub room: Room,
    pub connection: u64,
    pub user: String,
    pub client: Option<ClientId>,
    pub place: Place,
}

/// Where a connection is, seen from a room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Place {
    Inside {
        /// It broke, and its client may come back.
        lost: bool,
        /// What its client shows, while the connection holds its place.
        member: Option<Box<Member>>,
    },
    Outside {
        /// Left or closed by its client, so that what was lost of it before ends as well.
        on_purpose: bool,
    },
}

/// What has changed of this node's own connections, for the others to hear, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// The first connection of this node has entered the room.
    Opened(Room),
    /// The last one has left it.
    Closed(Room),
    Report(Box<Report>),
}

/// An [`Effect`] that is made when it is taken, of the state that there is then.
#[derive(Debug)]
pub(super) enum Noted {
    Opened(Room),
    Closed(Room),
    Changed(ConnectionId, Room),
    Left(Box<Report>),
}

/// Why a report is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Something has changed.
    Change,
    /// Somebody asked: what is known already is no news.
    Snapshot,
}

/// The connection of another node, as that numbers it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Home {
    node: NodeId,
    number: u64,
}

impl Roster {
    /// Notes from now on what other nodes must hear.
    pub fn share(&mut self) {
        self.noted.get_or_insert_default();
    }

    /// What the others must hear of since the last call.
    pub fn take_effects(&mut self, now_ms: u64) -> Vec<Effect> {
        let noted = self.noted.as_mut().map(std::mem::take).unwrap_or_default();
        let effects = noted.into_iter().filter_map(|noted| {
            Some(match noted {
                Noted::Opened(room) => Effect::Opened(room),
                Noted::Closed(room) => Effect::Closed(room),
                Noted::Changed(id, room) => Effect::Report(Box::new(self.report(id, &room, now_ms)?)),
                Noted::Left(report) => Effect::Report(report),
            })
        });
        effects.collect()
    }

    /// The state of all of this node's connections in a room.
    pub fn reports(&self, room: &Room, now_ms: u64) -> Vec<Report> {
        let inside = self.rooms.get(room).into_iter().flat_map(Inside::all);
        inside.filter(|id| self.is_local(**id)).filter_map(|id| self.report(*id, room, now_ms)).collect()
    }

    /// Rooms that connections of this node are in.
    pub fn open_rooms(&self) -> Vec<Room> {
        self.local_rooms.keys().cloned().collect()
    }

    /// Takes in what another node says of a connection.
    pub fn apply(&mut self, node: NodeId, report: &Report, heard: Heard, now_ms: u64) -> Vec<Notice> {
        if !self.local_rooms.contains_key(&report.room) {
            return Vec::new();
        }
        let known = self.remotes.get(&node).and_then(|known| known.get(&report.connection)).copied();
        match (&report.place, known) {
            (Place::Inside { lost, member }, known) => {
                let id = known.unwrap_or_else(|| self.admit(node, report, now_ms));
                let notices = self.enter(id, &report.room);
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.lease.set_lost_elsewhere(*lost);
                }
                match member {
                    Some(member) => self.put_remote(id, &report.room, member, heard, now_ms),
                    None => self.end_member(id, &report.room),
                }
                notices
            }
            (Place::Outside { on_purpose }, Some(id)) => {
                let notices = if *on_purpose {
                    self.exit(id, &report.room)
                } else {
                    self.end_member(id, &report.room);
                    self.exit_alone(id, &report.room)
                };
                self.forget_if_nowhere(id);
                notices
            }
            (Place::Outside { .. }, None) => Vec::new(),
        }
    }

    /// Takes in which connections a node has in a room: others that are known of it have left unheard.
    pub fn apply_roll(&mut self, node: NodeId, room: &Room, present: &[u64]) -> Vec<Notice> {
        let present: BTreeSet<u64> = present.iter().copied().collect();
        let inside = self.rooms.get(room).into_iter().flat_map(Inside::all);
        let has_left = |id: &ConnectionId| {
            let home = self.connections.get(id).and_then(|connection| connection.home);
            home.is_some_and(|home| home.node == node && !present.contains(&home.number))
        };
        let left: Vec<ConnectionId> = inside.copied().filter(has_left).collect();
        let mut notices = Vec::new();
        for id in left {
            self.end_member(id, room);
            notices.extend(self.exit_alone(id, room));
            self.forget_if_nowhere(id);
        }
        notices
    }

    /// The node is gone without a word, and its connections with it.
    pub fn drop_node(&mut self, node: NodeId) -> Vec<Notice> {
        let ids = self.remotes.get(&node).cloned().unwrap_or_default();
        ids.into_values().flat_map(|id| self.end(id, false)).collect()
    }

    /// The node has sent its clients elsewhere: they have the grace to come back.
    pub fn lose_node(&mut self, node: NodeId, now_ms: u64) -> Vec<Notice> {
        let ids = self.remotes.remove(&node).unwrap_or_default();
        ids.into_values().flat_map(|id| self.lose(id, now_ms)).collect()
    }

    /// Nodes of which a connection is known.
    pub fn nodes(&self) -> Vec<NodeId> {
        self.remotes.keys().copied().collect()
    }

    /// The newest connection of a client that is known.
    pub fn newest(&self, user: &str, client: Option<ClientId>) -> Option<ConnectionId> {
        self.connections_of(user, client).next_back()
    }

    pub(super) fn is_local(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_some_and(|connection| connection.home.is_none())
    }

    /// Connections that other nodes hold.
    pub(super) fn remote_count(&self) -> usize {
        self.remotes.values().map(std::collections::BTreeMap::len).sum()
    }

    /// The state of one of this node's connections in a room is to be reported.
    pub(super) fn note(&mut self, id: ConnectionId, room: &Room) {
        if self.is_local(id) {
            self.push_noted(Noted::Changed(id, room.clone()));
        }
    }

    /// One of this node's connections is not in a room any more.
    pub(super) fn note_outside(&mut self, id: ConnectionId, room: &Room, on_purpose: bool) {
        let Some(connection) = self.connections.get(&id).filter(|connection| connection.home.is_none())
        else {
            return;
        };
        let report = Report {
            room: room.clone(),
            connection: id.0,
            user: connection.user.clone(),
            client: connection.client,
            place: Place::Outside { on_purpose },
        };
        self.push_noted(Noted::Left(Box::new(report)));
    }

    /// One of this node's connections has entered a room.
    pub(super) fn open_room(&mut self, room: &Room) {
        let count = self.local_rooms.entry(room.clone()).or_default();
        *count += 1;
        if *count == 1 {
            self.push_noted(Noted::Opened(room.clone()));
        }
    }

    /// One of this node's connections has left a room. Nobody here cares for the others of a room that none is in.
    pub(super) fn close_room(&mut self, room: &Room) {
        let Some(count) = self.local_rooms.get_mut(room) else { return };
        *count -= 1;
        if *count > 0 {
            return;
        }
        self.local_rooms.remove(room);
        self.push_noted(Noted::Closed(room.clone()));
        for id in self.rooms.remove(room).unwrap_or_default().into_all() {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.rooms.remove(room);
                connection.present.remove(room);
            }
            self.forget_if_nowhere(id);
        }
        self.members.remove(room);
        self.untold.forget(room);
    }

    /// Forgets another node's connection that is in no room known here.
    pub(super) fn forget_if_nowhere(&mut self, id: ConnectionId) {
        let nowhere = |connection: &Connection| connection.home.is_some() && connection.rooms.is_empty();
        if self.connections.get(&id).is_some_and(nowhere) {
            self.end(id, false);
        }
    }

    pub(super) fn forget_home(&mut self, home: Home) {
        if let Some(known) = self.remotes.get_mut(&home.node) {
            known.remove(&home.number);
            if known.is_empty() {
                self.remotes.remove(&home.node);
            }
        }
    }

    fn push_noted(&mut self, noted: Noted) {
        if let Some(all) = &mut self.noted {
            all.push(noted);
        }
    }

    fn report(&self, id: ConnectionId, room: &Room, now_ms: u64) -> Option<Report> {
        let connection = self.connections.get(&id).filter(|connection| connection.is_seen_in(room))?;
        let held = connection.present.get(room).copied();
        let member = held.and_then(|client| {
            let present = self.members.get(room)?.get(&client)?;
            Some(Box::new(present.member(client, now_ms)))
        });
        Some(Report {
            room: room.clone(),
            connection: id.0,
            user: connection.user.clone(),
            client: connection.client,
            place: Place::Inside { lost: connection.lease.is_lost(), member },
        })
    }

    /// Makes another node's connection known. It keeps its number, which tells how new it is, unless that is taken.
    fn admit(&mut self, node: NodeId, report: &Report, now_ms: u64) -> ConnectionId {
        let mut id = ConnectionId(report.connection);
        while self.connections.contains_key(&id) {
            id = ConnectionId(id.0.wrapping_add(1));
        }
        let home = Home { node, number: report.connection };
        self.add(id, &report.user, report.client, Some(home), now_ms);
        self.remotes.entry(node).or_default().insert(report.connection, id);
        id
    }

    /// Shows what another node's client shows, unless a newer connection holds its place.
    fn put_remote(&mut self, id: ConnectionId, room: &Room, member: &Member, heard: Heard, now_ms: u64) {
        let client = member.client_id;
        let held = self.members.get(room).and_then(|members| members.get(&client));
        if held.is_some_and(|held| held.connection > id) {
            return;
        }
        let present = Present {
            connection: id,
            user: member.user_id.clone(),
            shown: ShownState::of_member(member, now_ms),
            status: member.status,
            active_at_ms: now_ms.saturating_sub(member.idle_ms),
        };
        if heard == Heard::Snapshot && held.is_some_and(|held| held.is_shown_as(&present)) {
            return;
        }
        self.put(id, room, client, present);
    }
}

impl Present {
    /// Whether nobody would see the other in its place.
    fn is_shown_as(&self, other: &Self) -> bool {
        self.connection == other.connection
            && self.status == other.status
            && self.shown.fields() == other.shown.fields()
    }
}
