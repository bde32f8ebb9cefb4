//! Rights that end while the session lasts.

use syncline_protocol::message::{AccessLost, event};

use super::Engine;
use super::io::{Now, Output};
use super::wire::{Request, decode};
use crate::error::Error;
use crate::store::Store;
use crate::transport::Payload;

/// The documents of the room are sent no longer.
const READ: &str = "read";
/// Who is in the room is told no longer.
const PRESENCE: &str = "presence";
/// The client is no longer in the Socket.IO room.
const JOIN: &str = "join";

impl Engine {
    /// What was lost counts as refused just now. The app hears of it as of any event, too.
    pub(super) fn handle_access_lost(
        &mut self,
        now: Now,
        args: &[Payload],
        ack: Option<u64>,
        store: &mut dyn Store,
        out: &mut Vec<Output>,
    ) -> Result<(), Error> {
        let main = self.wire.main().clone();
        self.take_message(&main, event::ACCESS_LOST, args, ack);
        // Another backend may mean something else by the name.
        let Ok(AccessLost { room, lost, error }) = decode(args) else { return Ok(()) };
        let error = Error::from(error);
        let has_lost = |right: &str| lost.iter().any(|lost| lost == right);
        if self.wire.is_refreshing() {
            self.lost_meanwhile.insert(room.clone());
        }
        if has_lost(JOIN) && self.socket.rooms.is_in(&main, &room) {
            self.refuse_join(now, &main, &room, error.clone(), out);
        }
        if has_lost(PRESENCE) {
            self.presence.forget_members(&room);
            self.handle_presence_refused(now, &room, error.clone())?;
        }
        if has_lost(READ) && self.replica.is_followed(&room) {
            self.pulls.remove(&room);
            // A page that still comes would bring the room to life again.
            self.wire
                .forget(|request| matches!(request, Request::Page { room: asked, .. } if *asked == room));
            self.handle_room_refused(now, &room, error, store)?;
        }
        Ok(())
    }
}
