//! The rooms one connection is in, and telling the others of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use syncline_protocol::message::{Member, Presence};
use syncline_protocol::{ClientId, Collection, Room, WireError};

use crate::access::{Right, Rights};
use crate::fanout::Mailbox;
use crate::gateway::Shared;
use crate::presence::ConnectionId;

/// A connection's place among the others, given up when dropped, however the session ends.
pub(crate) struct Membership {
    shared: Arc<Shared>,
    pub(crate) id: ConnectionId,
    pub(crate) subscribed: BTreeMap<Room, Option<Vec<Collection>>>,
    pub(crate) joined: BTreeSet<Room>,
    pub(crate) present: BTreeSet<Room>,
    /// Whether the client said goodbye.
    left: Arc<AtomicBool>,
}

impl Membership {
    pub(crate) fn register(
        shared: &Arc<Shared>,
        user: &str,
        client: Option<ClientId>,
        left: Arc<AtomicBool>,
        mailbox: &Arc<Mailbox>,
    ) -> Self {
        let mut roster = shared.roster();
        let id = shared.next_connection(roster.newest(user, client));
        shared.fanout.connect(id, Arc::clone(mailbox));
        roster.connect(id, user, client, shared.now_ms());
        drop(roster);
        Self {
            shared: Arc::clone(shared),
            id,
            subscribed: BTreeMap::new(),
            joined: BTreeSet::new(),
            present: BTreeSet::new(),
            left,
        }
    }

    /// Is in a room from now on, and seen there if it may be present.
    pub(crate) fn enter(&self, room: &Room, rights: Rights) {
        self.shared.change_roster(|roster, _| match rights.contains(Right::Presence) {
            true => roster.enter(self.id, room),
            false => roster.enter_unseen(self.id, room),
        });
    }

    pub(crate) fn uses(&self, room: &Room) -> bool {
        self.subscribed.contains_key(room) || self.joined.contains(room) || self.present.contains(room)
    }

    pub(crate) fn exit_if_unused(&self, room: &Room) {
        if !self.uses(room) {
            self.shared.change_roster(|roster, _| roster.exit(self.id, room));
        }
    }

    /// Shows the client's state in a room, and tells the others there. Answers who is there.
    pub(crate) fn show(&mut self, presence: &Presence, rights: Rights) -> Result<Vec<Member>, WireError> {
        let room = &presence.room;
        let is_new = self.present.insert(room.clone());
        self.enter(room, rights);
        let mut answer = Ok(Vec::new());
        self.shared.change_roster(|roster, now_ms| {
            let joined = roster.join(self.id, presence, now_ms);
            answer = joined.map(|()| roster.members(room, now_ms));
            Vec::new()
        });
        if answer.is_err() && is_new {
            self.present.remove(room);
            self.exit_if_unused(room);
        }
        answer
    }

    /// Changes what the client shows in a room.
    pub(crate) fn update(&self, presence: &Presence) -> Result<(), WireError> {
        let mut answer = Ok(());
        self.shared.change_roster(|roster, now_ms| {
            answer = roster.update(self.id, presence, now_ms);
            Vec::new()
        });
        answer
    }

    pub(crate) fn hide(&mut self, room: &Room) {
        self.present.remove(room);
        self.shared.change_roster(|roster, _| {
            roster.leave(self.id, room);
            Vec::new()
        });
        self.exit_if_unused(room);
    }

    /// The client was heard of. Answers in which rooms its presence has lapsed before that.
    pub(crate) fn renew(&self) -> Vec<Room> {
        let mut lapsed = Vec::new();
        self.shared.change_roster(|roster, now_ms| {
            roster.renew(self.id, now_ms);
            lapsed = roster.lapsed(self.id, &self.present);
            Vec::new()
        });
        lapsed
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.shared.fanout.disconnect(self.id, std::mem::take(&mut self.subscribed).into_keys());
        let left = self.left.load(Ordering::Relaxed);
        self.shared.change_roster(|roster, now_ms| match left {
            true => roster.disconnect(self.id),
            false => roster.lose(self.id, now_ms),
        });
    }
}
