//! Requests as the server reads them.

use serde::de::DeserializeOwned;
use syncline_protocol::message::{
    Presence, Pull, Push, RoomRequest, Subscribe, TokenRefresh, decode_compact, event,
};

use crate::transport::Payload;

/// A request as the server reads it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Asked {
    Subscribe(Subscribe),
    Unsubscribe(RoomRequest),
    Pull(Pull),
    Push(Push),
    PresenceJoin(Presence),
    PresenceUpdate(Presence),
    PresenceLeave(RoomRequest),
    Ping,
    TokenRefresh(TokenRefresh),
}

/// What an event asks for.
pub(super) fn asked(name: &str, body: &Payload) -> Asked {
    fn read<T: DeserializeOwned>(body: &Payload) -> T {
        match body.as_binary() {
            Some(bytes) => decode_compact(bytes).unwrap(),
            None => body.decode().unwrap(),
        }
    }
    match name {
        event::SYNC_SUBSCRIBE => Asked::Subscribe(read(body)),
        event::SYNC_UNSUBSCRIBE => Asked::Unsubscribe(read(body)),
        event::SYNC_PULL => Asked::Pull(read(body)),
        event::SYNC_PUSH => Asked::Push(read(body)),
        event::PRESENCE_JOIN => Asked::PresenceJoin(read(body)),
        event::PRESENCE_UPDATE => Asked::PresenceUpdate(read(body)),
        event::PRESENCE_LEAVE => Asked::PresenceLeave(read(body)),
        event::PRESENCE_PING => Asked::Ping,
        event::AUTH_REFRESH => Asked::TokenRefresh(read(body)),
        other => panic!("unknown request {other}"),
    }
}
