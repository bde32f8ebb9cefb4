//! How what happens in a room reaches the connections that care.

pub mod local;
mod mailbox;
pub(crate) mod pace;
mod rounds;

use std::any::Any;
use std::sync::OnceLock;

use serde::Serialize;
use syncline_protocol::Room;
use syncline_protocol::message::{Encoding, PresenceDiff, UserStatus, event};

pub use local::{Interest, LocalFanout};
pub use mailbox::{Mail, Mailbox, Outlet, Waiting};

use crate::hub::{LiveChanges, changes_byte_len};
use crate::presence::member_byte_len;
use crate::wire::{self, Body};

/// Something that happened, encoded once per encoding however many hear of it.
#[derive(Debug)]
pub struct LiveEvent {
    pub news: News,
    bytes: usize,
    plain: OnceLock<Option<Body>>,
    compact: OnceLock<Option<Body>>,
    /// Dropped when everybody has taken it.
    _round: Option<Round>,
}

/// A round under way, over when it is dropped.
pub(crate) type Round = Box<dyn Any + Send + Sync>;

/// What a connection may hear unasked.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    Changes(LiveChanges),
    Presence(PresenceDiff),
    Online(UserStatus),
    Offline(UserStatus),
}

impl News {
    /// The Socket.IO event.
    pub fn event(&self) -> &'static str {
        match self {
            Self::Changes(_) => event::SYNC_CHANGES,
            Self::Presence(_) => event::PRESENCE_DIFF,
            Self::Online(_) => event::USER_ONLINE,
            Self::Offline(_) => event::USER_OFFLINE,
        }
    }

    /// The payload, or `None` when it cannot be encoded.
    pub fn encode(&self, encoding: Encoding) -> Option<Body> {
        fn body<T: Serialize>(message: &T, encoding: Encoding) -> Option<Body> {
            wire::encode(message, encoding)
                .inspect_err(|error| tracing::error!(%error, "an event cannot be encoded"))
                .ok()
        }
        match self {
            Self::Changes(changes) => body(changes, encoding),
            Self::Presence(diff) => body(diff, encoding),
            Self::Online(status) | Self::Offline(status) => body(status, encoding),
        }
    }
}

impl LiveEvent {
    pub fn new(news: News) -> Self {
        Self::in_round(news, None)
    }

    fn in_round(news: News, round: Option<Round>) -> Self {
        let bytes = match &news {
            News::Changes(changes) => changes_byte_len(changes),
            News::Presence(diff) => diff.joined.iter().chain(&diff.updated).map(member_byte_len).sum(),
            News::Online(_) | News::Offline(_) => 0,
        };
        Self::measured(news, bytes, round)
    }

    /// What was measured before; `bytes` are those of its documents or members.
    fn measured(news: News, bytes: usize, round: Option<Round>) -> Self {
        const SMALL_EVENT_BYTES: usize = 256;
        let (plain, compact) = (OnceLock::new(), OnceLock::new());
        Self { news, bytes: bytes + SMALL_EVENT_BYTES, plain, compact, _round: round }
    }

    /// Roughly, in memory and on the wire.
    pub fn byte_len(&self) -> usize {
        self.bytes
    }

    /// The payload in one encoding, or `None` when it cannot be encoded.
    pub fn body(&self, encoding: Encoding) -> Option<&Body> {
        let slot = match encoding {
            Encoding::Plain => &self.plain,
            Encoding::Compact => &self.compact,
        };
        slot.get_or_init(|| self.news.encode(encoding)).as_ref()
    }
}

/// Tells a subscriber that lags where the log ends, without the changes: the empty range after `seq`, a gap to
/// whoever holds less.
pub fn head_hint(room: Room, seq: u64) -> LiveChanges {
    LiveChanges { room, from_seq: seq + 1, to_seq: seq, changes: Vec::new() }
}
