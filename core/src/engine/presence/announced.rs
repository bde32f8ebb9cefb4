//! What this client shows in one room, and what of it the server has not been told.

use std::collections::{BTreeMap, BTreeSet};

use syncline_protocol::gather::Gather as _;
use syncline_protocol::message::{Presence, PresenceStatus};
use syncline_protocol::presence::ShownState;
use syncline_protocol::{FieldName, Fields, Limits, Room, Value, WireError};

use super::Announcement;
use crate::engine::io::Now;

#[derive(Debug)]
pub(super) struct Announced {
    shown: ShownState,
    /// Whether the server was told of this client on this connection.
    joined: bool,
    /// Fields that the server was not told of.
    unsent: BTreeSet<FieldName>,
    /// When to send, if there is something to send.
    send_at_us: Option<u64>,
    /// Not before this.
    throttled_until_us: u64,
    active_at_ms: u64,
}

impl Announced {
    pub(super) fn new(shown: ShownState) -> Self {
        Self {
            shown,
            joined: false,
            unsent: BTreeSet::new(),
            send_at_us: Some(0),
            throttled_until_us: 0,
            active_at_ms: 0,
        }
    }

    pub(super) fn change(
        &mut self,
        changes: &Fields,
        expires_in_ms: Option<u64>,
        now: Now,
        limits: &Limits,
    ) -> Result<(), WireError> {
        let set = changes.iter().filter(|(_, value)| **value != Value::Null);
        let expires_ms: BTreeMap<String, u64> =
            expires_in_ms.map(|ms| set.map(|(name, _)| (name.to_string(), ms)).gather()).unwrap_or_default();
        self.shown = self.shown.with(changes, &expires_ms, now.mono_ms(), limits)?;
        self.unsent.extend(changes.keys().cloned());
        self.send_at_us.get_or_insert(self.throttled_until_us);
        Ok(())
    }

    pub(super) fn fields(&self) -> &Fields {
        self.shown.fields()
    }

    pub(super) fn active_at_ms(&self) -> u64 {
        self.active_at_ms
    }

    pub(super) fn send_at_us(&self) -> Option<u64> {
        self.send_at_us
    }

    pub(super) fn next_expiry_ms(&self) -> Option<u64> {
        self.shown.next_expiry_ms()
    }

    /// Every end lets a field expire by itself: there is nothing to send.
    pub(super) fn expire(&mut self, now: Now) -> bool {
        self.shown.expire(now.mono_ms())
    }

    /// Nothing is to be sent before everything is.
    pub(super) fn wait(&mut self) {
        self.send_at_us = None;
    }

    /// Everything is to be sent now.
    pub(super) fn set_unsent(&mut self, now: Now) {
        self.joined = false;
        self.hurry(now);
    }

    /// Something is to be sent now, whatever was sent just before.
    pub(super) fn hurry(&mut self, now: Now) {
        self.send_at_us = Some(now.mono_us);
    }

    /// What is to be sent, as if it had been; nothing more before `next_at_us`.
    pub(super) fn take(
        &mut self,
        room: &Room,
        status: PresenceStatus,
        background_lease_ms: Option<u64>,
        now: Now,
        next_at_us: u64,
    ) -> Announcement {
        self.send_at_us = None;
        self.throttled_until_us = next_at_us;
        if status == PresenceStatus::Active {
            self.active_at_ms = now.mono_ms();
        }
        let unsent = std::mem::take(&mut self.unsent);
        let (mut state, mut expires_ms) = self.shown.left(now.mono_ms());
        let is_join = !std::mem::replace(&mut self.joined, true);
        if !is_join {
            expires_ms.retain(|name, _| unsent.contains(name.as_str()));
            let changed = unsent.into_iter().map(|name| {
                let value = state.remove(&name).unwrap_or(Value::Null);
                (name, value)
            });
            state = changed.gather();
        }
        let presence = Presence { room: room.clone(), state, status, expires_ms, background_lease_ms };
        if is_join { Announcement::Join(presence) } else { Announcement::Update(presence) }
    }
}
