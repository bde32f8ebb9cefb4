//! For how long a connection counts without being heard of.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use syncline_protocol::message::{Presence, PresenceStatus};

use super::{ConnectionId, Notice, Roster};

/// Settings of presence that only the server knows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PresenceConfig {
    /// How long a client whose connection was lost is away, and its user online, before both are gone, in milliseconds.
    pub grace_ms: u64,
    /// The longest that a client in the background is away without being heard of, in milliseconds.
    pub background_lease_ms_max: u64,
    /// Connections of a room, on each node, that hear whose user comes online there and goes offline: those that came first,
    /// and one of the others for each that leaves. What they hear of a room would otherwise grow with the square of its users.
    pub watchers_max: usize,
    /// How long what changes of a room's members waits at most, and becomes one message, while some of them have not taken the
    /// one before, in milliseconds.
    pub round_ms_max: u64,
    /// What the members in one such message take, roughly, in bytes; what is beyond comes in the next one.
    pub round_bytes_max: usize,
    /// Lost connections that are remembered; beyond it those that are nearest to their end are forgotten.
    pub lost_connections_max: usize,
    /// Joins, updates and leaves per second and connection, after a first burst.
    pub requests_per_s_max: u32,
    /// Requests of that burst.
    pub requests_burst_max: u32,
}

impl Default for PresenceConfig {
    fn default() -> Self {
        Self {
            grace_ms: 15_000,
            background_lease_ms_max: 15 * 60 * 1000,
            watchers_max: 256,
            round_ms_max: 100,
            round_bytes_max: 256 << 10,
            lost_connections_max: 10_000,
            requests_per_s_max: 100,
            requests_burst_max: 1_000,
        }
    }
}

/// What is left of a connection's time.
#[derive(Debug, Default)]
pub(super) struct Lease {
    /// Absent while nobody is present by the connection.
    until_ms: Option<u64>,
    /// How long the client asked to be kept while it is in the background.
    background_ms: Option<u64>,
    lost: bool,
}

impl Lease {
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// The node that holds the connection decides how long that lasts.
    pub(super) fn set_lost_elsewhere(&mut self, lost: bool) {
        self.lost = lost;
    }

    pub(super) fn left_ms(&self, now_ms: u64) -> u64 {
        self.until_ms.map_or(0, |until_ms| until_ms.saturating_sub(now_ms))
    }
}

/// The ends of all leases, in their order.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    all: BTreeSet<(u64, ConnectionId)>,
    ghosts: BTreeSet<(u64, ConnectionId)>,
}

impl Deadlines {
    pub(super) fn ghosts(&self) -> usize {
        self.ghosts.len()
    }

    pub(super) fn clear(&mut self, id: ConnectionId, lease: Option<&Lease>) {
        if let Some(until_ms) = lease.and_then(|lease| lease.until_ms) {
            self.all.remove(&(until_ms, id));
            self.ghosts.remove(&(until_ms, id));
        }
    }

    fn set(&mut self, id: ConnectionId, lease: &mut Lease, until_ms: Option<u64>) {
        self.clear(id, Some(lease));
        lease.until_ms = until_ms;
        if let Some(until_ms) = until_ms {
            self.all.insert((until_ms, id));
            if lease.lost {
                self.ghosts.insert((until_ms, id));
            }
        }
    }
}

impl Roster {
    /// When [`expire`](Self::expire) has something to do.
    pub fn next_expiry_ms(&self) -> Option<u64> {
        self.deadlines.all.first().map(|(until_ms, _)| *until_ms)
    }

    /// Ends what has outlived its lease.
    pub fn expire(&mut self, now_ms: u64) -> Vec<Notice> {
        let mut notices = Vec::new();
        while let Some((until_ms, id)) = self.deadlines.all.first().copied()
            && until_ms <= now_ms
        {
            let is_lost = self.connections.get(&id).is_some_and(|connection| connection.lease.lost);
            // A connection that is open and silent is no member any more; its transport's heartbeat decides the rest.
            if is_lost {
                notices.extend(self.end(id, false));
            } else {
                self.end_members(id);
                self.set_deadline(id, None);
            }
        }
        notices
    }

    /// The client was heard of.
    pub fn renew(&mut self, id: ConnectionId, now_ms: u64) {
        let lease_ms = self.limits.presence_lease_ms;
        let renewed = self.connections.get(&id).filter(|found| !found.lease.lost && found.home.is_none());
        let Some(connection) = renewed else { return };
        let until_ms = connection.lease.background_ms.unwrap_or(lease_ms).saturating_add(now_ms);
        let has_members = !connection.present.is_empty();
        self.set_deadline(id, has_members.then_some(until_ms));
    }

    pub(super) fn note_status(&mut self, id: ConnectionId, presence: &Presence) {
        let max_ms = self.config.background_lease_ms_max;
        if let Some(connection) = self.connections.get_mut(&id) {
            let told_ms = presence.background_lease_ms.filter(|_| presence.status == PresenceStatus::Away);
            connection.lease.background_ms = told_ms.map(|ms| ms.min(max_ms));
        }
    }

    /// The connection broke: its client may come back.
    pub fn lose(&mut self, id: ConnectionId, now_ms: u64) -> Vec<Notice> {
        let grace_until_ms = now_ms.saturating_add(self.config.grace_ms);
        let Some(connection) = self.connections.get_mut(&id) else { return Vec::new() };
        if connection.rooms.is_empty() {
            return self.end(id, false);
        }
        let lease = &mut connection.lease;
        let until_ms = match (lease.until_ms, lease.background_ms) {
            (Some(until_ms), Some(_)) => until_ms,
            (Some(until_ms), None) => until_ms.min(grace_until_ms),
            (None, _) => grace_until_ms,
        };
        self.deadlines.clear(id, Some(lease));
        lease.lost = true;
        self.set_deadline(id, Some(until_ms));
        self.watch_no_longer(id);
        self.show_away(id);
        let mut notices = Vec::new();
        while self.deadlines.ghosts.len() > self.config.lost_connections_max
            && let Some((_, ghost)) = self.deadlines.ghosts.first().copied()
        {
            notices.extend(self.end(ghost, false));
        }
        notices.extend(self.expire(now_ms));
        notices
    }

    pub(super) fn shorten_to_grace(&mut self, id: ConnectionId, now_ms: u64) {
        let grace_until_ms = now_ms.saturating_add(self.config.grace_ms);
        let until_ms = self.connections.get(&id).and_then(|connection| connection.lease.until_ms);
        if until_ms.is_some_and(|until_ms| until_ms > grace_until_ms) {
            self.set_deadline(id, Some(grace_until_ms));
        }
    }

    fn set_deadline(&mut self, id: ConnectionId, until_ms: Option<u64>) {
        if let Some(connection) = self.connections.get_mut(&id) {
            self.deadlines.set(id, &mut connection.lease, until_ms);
        }
    }
}
