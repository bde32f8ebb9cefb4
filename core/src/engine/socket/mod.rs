//! Socket.IO for the app itself: its own events, their answers, rooms and namespaces, beside the sync protocol on the same
//! connection.
//!
//! - `commands`: what the app asks for; `incoming`: what the server says; `lifecycle`: as sessions open and end.
//! - `emits`: events that wait for a connection, and answers that are awaited.
//! - `listeners`, `inbox`: which events the app hears, and those that wait for it to take them.
//! - `rooms`, `namespaces`: what is entered again on each new session. [`recovery`]: sessions that go on instead.
//! - [`cause`]: why a connection ended. `refusal`: what a server says with its no.
//! - [`types`]: the values of all this, as JavaScript sees them.

pub mod cause;
mod commands;
mod emits;
mod inbox;
mod incoming;
mod lifecycle;
mod listeners;
mod namespaces;
pub mod recovery;
mod refusal;
mod rooms;
pub mod types;

use self::cause::DisconnectCause;
pub(super) use self::emits::Ticket;
use self::emits::{Awaiting, Buffer, Owed};
use self::inbox::Inbox;
pub(super) use self::lifecycle::Greeting;
use self::listeners::Listeners;
use self::namespaces::Namespaces;
use self::recovery::Recovery;
pub(super) use self::refusal::Refusal;
use self::rooms::JoinedRooms;
use super::io::Event;
use crate::argument::Argument;

#[derive(Debug, Default)]
pub(super) struct SocketIo {
    listeners: Listeners,
    inbox: Inbox,
    buffer: Buffer,
    awaiting: Awaiting,
    owed: Owed,
    pub(super) rooms: JoinedRooms,
    pub(super) namespaces: Namespaces,
    /// Of the client's own namespace.
    pub(super) recovery: Recovery,
    /// Why the last connection or attempt ended, while none is open.
    cause: Option<DisconnectCause>,
    /// What the server sent with its refusal.
    data: Option<Argument>,
    /// What the engine knows of the end that it is about to bring about.
    next_cause: Option<DisconnectCause>,
}

impl SocketIo {
    /// The next end of the session has this cause.
    pub(super) fn expect(&mut self, cause: DisconnectCause) {
        self.next_cause = Some(cause);
    }

    /// The server refused the session, and sent this with it.
    pub(super) fn set_refusal_data(&mut self, data: Option<Argument>) {
        self.data = data;
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        let deadlines =
            [self.awaiting.next_deadline(), self.rooms.next_deadline(), self.namespaces.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    pub(super) fn poll_events(&mut self, events: &mut Vec<Event>) {
        self.namespaces.poll_events(events);
        self.inbox.poll_events(events);
    }

    /// Messages that the app took too late.
    pub(super) fn dropped_messages(&self) -> u64 {
        self.inbox.dropped_in_all()
    }
}
