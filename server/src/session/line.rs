//! What a session does with its socket.

use socketioxide::extract::SocketRef;
use socketioxide::{SendError, SocketError};
use syncline_protocol::Room;

use crate::cut::Cut;
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
}
