//! What a session does with its socket.

use std::fmt;
use std::sync::Arc;

use socketioxide::extract::SocketRef;
use socketioxide::{SendError, SocketError};
use syncline_protocol::Room;
use syncline_protocol::message::Encoding;

use crate::cut::Cut;
use crate::fanout::{LiveEvent, Outlet};
use crate::wire::Body;

/// The client's end of a session.
pub(super) trait Line: Send + Sync {
    fn emit(&self, event: &str, body: &Body) -> Result<(), SendError>;

    /// Lets it hear what is emitted to the Socket.IO room.
    fn join(&self, room: &Room);

    fn leave(&self, room: &Room);

    fn disconnect(&self) -> Result<(), SocketError>;

    /// Ends the transport, after which a client connects again by itself.
    fn cut(&self);

    /// Whether the transport is a connection of its own. Where a client began by polling, the connection that would be cut may
    /// carry the requests of others by now, behind a proxy.
    fn is_alone(&self) -> bool;
}

impl Line for SocketRef {
    fn emit(&self, event: &str, body: &Body) -> Result<(), SendError> {
        (**self).emit(event, body)
    }

    fn join(&self, room: &Room) {
        (**self).join(room.as_str().to_owned());
    }

    fn leave(&self, room: &Room) {
        (**self).leave(room.as_str().to_owned());
    }

    fn disconnect(&self) -> Result<(), SocketError> {
        self.clone().disconnect()
    }

    fn cut(&self) {
        if let Some(cut) = self.req_parts().extensions.get::<Cut>() {
            cut.cut();
        }
    }

    fn is_alone(&self) -> bool {
        let query = self.req_parts().uri.query().unwrap_or_default();
        query.split('&').any(|parameter| parameter == "transport=websocket")
    }
}

/// A line on which live events are sent as they are.
pub(super) struct Direct {
    pub(super) line: Arc<dyn Line>,
    pub(super) encoding: Encoding,
}

impl Outlet for Direct {
    fn send(&self, event: &LiveEvent) -> bool {
        let body = event.body(self.encoding);
        body.is_none_or(|body| self.line.emit(event.news.event(), body).is_ok())
    }
}

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Direct").field("encoding", &self.encoding).finish_non_exhaustive()
    }
}
