//! What a session may do, and what becomes of it when that changes.

use std::sync::Arc;
use std::time::Duration;

use syncline_protocol::message::{AccessLost, Done, PushAnswer, TokenRefresh, event};
use syncline_protocol::{ErrorCode, Room, WireError};
use tokio::sync::watch;

use super::{Running, Session};
use crate::access::audit::Denial;
use crate::access::{Identity, Right, Rights};
use crate::gateway::Shared;
use crate::storage::sled::now_ms;
use crate::wire;

/// Waits until the connection must end, and says why. A new identity counts from when it is there.
pub(super) async fn ended(
    shared: Arc<Shared>,
    mut identities: watch::Receiver<Arc<Identity>>,
) -> &'static str {
    let revocations = shared.auth.revocations();
    let mut revoked = revocations.changes();
    loop {
        revoked.mark_unchanged();
        if revocations.is_revoked(&identities.borrow()) {
            return "its token was revoked";
        }
        let ends = Duration::from_secs(identities.borrow_and_update().ends_s);
        let ends_in = ends.saturating_sub(Duration::from_millis(now_ms()));
        tokio::select! {
            () = tokio::time::sleep(ends_in) => return "its token expired",
            // Its sender is the server's.
            _ = revoked.changed() => {}
            changed = identities.changed() => if changed.is_err() {
                // The session is over anyway.
                return "its session ended";
            }
        }
    }
}

/// Takes out of a push's answer what only a reader of the room may see.
pub(super) fn withhold_documents(answer: &mut PushAnswer) {
    for result in &mut answer.results {
        result.document = None;
        result.fields = None;
    }
}

impl Session {
    pub(super) fn who(&self) -> Arc<Identity> {
        Arc::clone(&self.identity.borrow())
    }

    /// Refuses what is not allowed. What it was allowed there before and is no longer, it loses at once.
    pub(super) async fn check(&mut self, right: Right, room: &Room) -> Result<Rights, WireError> {
        let who = self.who();
        let access = &self.shared.access;
        let rights = access.rights(&who, room).await?;
        let checked = access.demand(right, rights, &who, Some(self.membership.id), room);
        if self.grants.get(room).is_some_and(|granted| *granted != rights) {
            let lost = self.settle(room, rights);
            // The answer goes first in any case; whether this is heard is the transport's matter.
            let _ = self.tell_lost(room, lost).await;
        }
        checked.map(|()| rights)
    }

    /// Whether a right was there when it was last looked at.
    pub(super) fn holds(&self, right: Right, room: &Room) -> bool {
        self.grants.get(room).is_some_and(|rights| rights.contains(right))
    }

    /// Whether it may see in any of its rooms who else is there.
    pub(super) fn sees_anybody(&self) -> bool {
        self.grants.values().any(|rights| rights.contains(Right::Presence))
    }

    /// Looks at the rights in all rooms again, and takes away what is no longer allowed.
    pub(super) async fn recheck(&mut self) -> Running {
        let rooms: Vec<Room> = self.grants.keys().cloned().collect();
        let who = self.who();
        for room in rooms {
            // Who cannot be asked now is asked the next time.
            if let Ok(rights) = self.shared.access.rights(&who, &room).await {
                let lost = self.settle(&room, rights);
                self.tell_lost(&room, lost).await?;
            }
        }
        Ok(())
    }

    /// Goes by another token of the same user from now on.
    pub(super) async fn auth_refresh(&mut self, request: TokenRefresh) -> Result<Done, WireError> {
        let identity = self.shared.auth.verify(&request.token).await?;
        let who = self.who();
        if identity.user != who.user {
            let (user, room) = (who.user.as_str(), "");
            let connection = Some(self.membership.id);
            let denial = Denial { user, connection, action: "refresh", room, reason: "another_user" };
            self.shared.access.audit().denied(&denial);
            return Err(WireError::new(ErrorCode::Forbidden, "the token is another user's"));
        }
        self.identity.send_replace(Arc::new(identity));
        // A transport that is gone is found out by the answer.
        let _ = self.recheck().await;
        Ok(Done { ok: true })
    }

    /// Leaves what the rights no longer allow; answers what that was.
    fn settle(&mut self, room: &Room, rights: Rights) -> Vec<Right> {
        let mut lost = Vec::new();
        if !rights.contains(Right::Read) && self.membership.subscribed.contains_key(room) {
            self.leave_subscription(room);
            lost.push(Right::Read);
        }
        if !rights.contains(Right::Presence) && self.membership.present.contains(room) {
            self.leave_presence(room);
            lost.push(Right::Presence);
        }
        if !rights.contains(Right::Join) && self.membership.joined.contains(room) {
            self.leave_joined(room);
            lost.push(Right::Join);
        }
        if let Some(granted) = self.grants.get_mut(room) {
            let before = std::mem::replace(granted, rights);
            if before.contains(Right::Presence) != rights.contains(Right::Presence) {
                self.membership.enter(room, rights);
            }
        }
        lost
    }

    async fn tell_lost(&self, room: &Room, lost: Vec<Right>) -> Running {
        if lost.is_empty() {
            return Ok(());
        }
        let who = self.who();
        for right in &lost {
            self.shared.access.withdrawn(*right, &who, self.membership.id, room);
        }
        let lost = lost.into_iter().map(|right| right.as_str().to_owned()).collect();
        let error = WireError::new(ErrorCode::Forbidden, "the token no longer allows this");
        let news = AccessLost { room: room.clone(), lost, error };
        let body = wire::encode(&news, self.encoding).ok();
        self.emit(event::ACCESS_LOST, body.as_ref()).await
    }

    pub(super) fn leave_joined(&mut self, room: &Room) {
        self.line.leave(room);
        self.membership.joined.remove(room);
        self.exit_if_unused(room);
    }

    pub(super) fn leave_presence(&mut self, room: &Room) {
        self.membership.hide(room);
        self.exit_if_unused(room);
    }

    pub(super) fn exit_if_unused(&mut self, room: &Room) {
        self.membership.exit_if_unused(room);
        if !self.membership.uses(room) {
            self.grants.remove(room);
        }
    }
}
