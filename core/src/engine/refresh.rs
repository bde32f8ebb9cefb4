//! Another token for the session that is open, where the server takes it there.

use syncline_protocol::Room;
use syncline_protocol::message::{Done, TokenRefresh, event};

use super::Engine;
use super::io::{Now, Output, RoomPhase};
use super::session::Renewal;
use super::socket::cause::DisconnectCause;
use super::tokens::are_of_one_user;
use super::trace::TraceKind;
use super::wire::Request;
use crate::error::Error;
use crate::secret::Secret;

impl Engine {
    /// How the session would go on with this token.
    pub(super) fn renewal(&self, token: Option<&Secret>) -> Renewal {
        let is_of_same_user = || {
            let tokens = self.session.token().zip(token);
            tokens.is_some_and(|(old, new)| are_of_one_user(old.expose(), new.expose()))
        };
        // Other namespaces went by the token of their own handshake.
        if self.wire.takes_tokens() && self.socket.namespaces.wanted().is_empty() && is_of_same_user() {
            Renewal::InPlace
        } else {
            Renewal::Reconnect
        }
    }

    pub(super) fn send_token(&mut self, now: Now, out: &mut Vec<Output>) {
        let Some(token) = self.session.token() else { return };
        let body = TokenRefresh { token: token.expose().to_owned() };
        let timeout_ms = self.settings.request_timeout_ms;
        let sent = self.wire.request(event::AUTH_REFRESH, &body, Request::TokenRefresh, timeout_ms, now, out);
        if let Err(error) = sent {
            self.connect_with_token(now, &error, out);
        }
    }

    /// The server has answered to a token on the session. What it refused before this answer, it refused to the token
    /// before.
    pub(super) fn handle_refreshed(&mut self, now: Now, answer: Result<Done, Error>, out: &mut Vec<Output>) {
        let lost = std::mem::take(&mut self.lost_meanwhile);
        if let Err(error) = answer {
            return self.connect_with_token(now, &error, out);
        }
        self.trace(now, TraceKind::TokenSet, format_args!("taken by the session"));
        self.tokens.handle_accepted(now);
        let denied = self.replica.rooms().filter(|(_, followed)| followed.phase == RoomPhase::Denied);
        let denied: Vec<Room> = denied.map(|(room, _)| room.clone()).collect();
        for room in denied.iter().filter(|room| !lost.contains(*room)) {
            self.subscribe_room(room);
        }
        self.outbox.lift_denials(&lost, now.mono_us);
        self.presence.ask_refused_again(&lost, now);
        for announcement in self.presence.due_announcements(now) {
            self.announce(now, announcement, out);
        }
        let main = self.wire.main().clone();
        for room in self.socket.rooms.refused(&main).iter().filter(|room| !lost.contains(*room)) {
            self.ask_to_join(now, &main, room, out);
        }
    }

    /// The way that every server knows.
    fn connect_with_token(&mut self, now: Now, why: &Error, out: &mut Vec<Output>) {
        self.trace(now, TraceKind::TokenSet, format_args!("refused by the session: {}", why.code.as_str()));
        self.socket.expect(DisconnectCause::TokenChanged);
        let step = self.session.handle_refresh_refused(now);
        self.apply_step(now, step, out);
    }
}
