//! The rooms one connection is in, and telling the others of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use syncline_protocol::message::{Member, PresenceDiff, UserStatus};
use syncline_protocol::{ClientId, Collection, Room, WireError};

use crate::fanout::{Mailbox, News};
use crate::gateway::Shared;
use crate::presence::{Arrival, ConnectionId, Roster};

/// A connection's place among the others, given up when dropped, however the session ends.
pub(crate) struct Membership {
    shared: Arc<Shared>,
    pub(crate) id: ConnectionId,
    pub(crate) subscribed: BTreeMap<Room, Option<Vec<Collection>>>,
    pub(crate) joined: BTreeSet<Room>,
    pub(crate) present: BTreeSet<Room>,
    user: String,
}

impl Membership {
    pub(crate) fn register(shared: &Arc<Shared>, user: &str, mailbox: &Arc<Mailbox>) -> Self {
        let id = shared.next_connection();
        shared.fanout.connect(id, Arc::clone(mailbox));
        shared.roster().connect(id, user);
        Self {
            shared: Arc::clone(shared),
            id,
            subscribed: BTreeMap::new(),
            joined: BTreeSet::new(),
            present: BTreeSet::new(),
            user: user.to_owned(),
        }
    }

    pub(crate) fn enter(&self, room: &Room) {
        let mut roster = self.shared.roster();
        let see_it = roster.enter(self.id, room);
        self.shared.fanout.tell(see_it, News::Online(self.status()));
    }

    pub(crate) fn exit_if_unused(&self, room: &Room) {
        let used =
            self.subscribed.contains_key(room) || self.joined.contains(room) || self.present.contains(room);
        if !used {
            let mut roster = self.shared.roster();
            let lost = roster.exit(self.id, room);
            self.shared.fanout.tell(lost, News::Offline(self.status()));
        }
    }

    /// Shows the client's state in a room, and tells the others there.
    pub(crate) fn show(&mut self, room: &Room, member: Member) -> Result<(), WireError> {
        self.enter(room);
        self.present.insert(room.clone());
        let mut roster = self.shared.roster();
        let arrival = match roster.join(self.id, room, member.clone()) {
            Ok(arrival) => arrival,
            Err(error) => {
                drop(roster);
                self.present.remove(room);
                self.exit_if_unused(room);
                return Err(error);
            }
        };
        let mut diff = PresenceDiff { room: room.clone(), joined: vec![], updated: vec![], left: vec![] };
        match arrival {
            Arrival::Joined => diff.joined.push(member),
            Arrival::Updated => diff.updated.push(member),
            Arrival::Outdated => return Ok(()),
        }
        self.shared.fanout.tell(roster.present_in(room, self.id), News::Presence(diff));
        Ok(())
    }

    pub(crate) fn hide(&mut self, room: &Room) {
        self.present.remove(room);
        let mut roster = self.shared.roster();
        if let Some(client) = roster.leave(self.id, room) {
            self.tell_left(&roster, room, client);
        }
        drop(roster);
        self.exit_if_unused(room);
    }

    fn tell_left(&self, roster: &Roster, room: &Room, client: ClientId) {
        let diff = PresenceDiff { room: room.clone(), joined: vec![], updated: vec![], left: vec![client] };
        self.shared.fanout.tell(roster.present_in(room, self.id), News::Presence(diff));
    }

    fn status(&self) -> UserStatus {
        UserStatus { user_id: self.user.clone() }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.shared.fanout.disconnect(self.id, std::mem::take(&mut self.subscribed).into_keys());
        let mut roster = self.shared.roster();
        let departure = roster.disconnect(self.id);
        for (room, client) in &departure.left {
            self.tell_left(&roster, room, *client);
        }
        self.shared.fanout.tell(departure.offline_to, News::Offline(self.status()));
    }
}
