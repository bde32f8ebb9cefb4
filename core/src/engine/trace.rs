//! The last events of the synchronization, for a debugging screen, and the same as log events with stable names.
//!
//! Neither names a room, a document or a user: a room is a tag that stays the same while the client is open and says
//! nothing outside of it.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};
use syncline_protocol::Room;
use tracing::Span;

use super::Engine;
use super::io::Now;
use super::wire::Request;
use crate::logging::TRACE_TARGET;

/// Where log events of the synchronization come from.
const TARGET: &str = "syncline::sync";
/// The longest detail, in bytes.
const DETAIL_BYTES_MAX: usize = 256;

/// What happened. The spelling in [`TraceKind::name`] does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum TraceKind {
    /// A socket is dialed.
    Connect,
    Connected,
    Disconnected,
    /// The server said what it is.
    Hello,
    /// Another token was asked for.
    TokenNeeded,
    TokenSet,
    TokenFailed,
    AppState,
    Network,
    /// Writes were sent.
    Push,
    Pushed,
    /// A page was asked for.
    Pull,
    Pulled,
    /// A live change came.
    Live,
    /// A room or a push was refused.
    Refused,
    Rejected,
    Conflict,
    Error,
}

impl TraceKind {
    /// The name of the log event.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "syncline.connect",
            Self::Connected => "syncline.connected",
            Self::Disconnected => "syncline.disconnected",
            Self::Hello => "syncline.hello",
            Self::TokenNeeded => "syncline.token_needed",
            Self::TokenSet => "syncline.token_set",
            Self::TokenFailed => "syncline.token_failed",
            Self::AppState => "syncline.app_state",
            Self::Network => "syncline.network",
            Self::Push => "syncline.push",
            Self::Pushed => "syncline.pushed",
            Self::Pull => "syncline.pull",
            Self::Pulled => "syncline.pulled",
            Self::Live => "syncline.live",
            Self::Refused => "syncline.refused",
            Self::Rejected => "syncline.rejected",
            Self::Conflict => "syncline.conflict",
            Self::Error => "syncline.error",
        }
    }
}

/// One event of the synchronization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct TraceEvent {
    /// Milliseconds since the epoch, as the device believes.
    pub at_ms: u64,
    pub kind: TraceKind,
    pub detail: String,
}

/// Remembers the last events; the oldest gives way.
#[derive(Debug)]
pub(super) struct Trace {
    events: VecDeque<TraceEvent>,
    events_max: usize,
    salt: u64,
}

impl Trace {
    pub(super) fn new(events_max: u64, salt: u64) -> Self {
        let events_max = usize::try_from(events_max).unwrap_or(usize::MAX);
        Self { events: VecDeque::new(), events_max, salt }
    }

    pub(super) fn note(&mut self, now: Now, kind: TraceKind, detail: fmt::Arguments<'_>) {
        match kind {
            TraceKind::Error | TraceKind::TokenFailed => {
                tracing::warn!(target: TARGET, event = kind.name(), "{detail}");
            }
            TraceKind::Connect | TraceKind::Connected | TraceKind::Disconnected | TraceKind::Rejected => {
                tracing::info!(target: TARGET, event = kind.name(), "{detail}");
            }
            TraceKind::Live => tracing::debug!(target: TRACE_TARGET, event = kind.name(), "{detail}"),
            _ => tracing::debug!(target: TARGET, event = kind.name(), "{detail}"),
        }
        if self.events_max == 0 {
            return;
        }
        if self.events.len() >= self.events_max {
            self.events.pop_front();
        }
        let mut detail = detail.to_string();
        detail.truncate(detail.floor_char_boundary(DETAIL_BYTES_MAX));
        self.events.push_back(TraceEvent { at_ms: now.wall_ms, kind, detail });
    }

    pub(super) fn events(&self) -> Vec<TraceEvent> {
        self.events.iter().cloned().collect()
    }

    /// Tells rooms apart without naming them.
    pub(super) fn tag(&self, room: &Room) -> RoomTag {
        let mut hasher = DefaultHasher::new();
        (self.salt, room.as_str()).hash(&mut hasher);
        RoomTag(hasher.finish())
    }
}

/// A span from the request to its answer, or to the end of the connection, of pushes and pulls.
pub(super) fn span_of(request: &Request) -> Span {
    match request {
        Request::Push(batch) => {
            let writes = batch.client_seqs.len();
            tracing::debug_span!(target: TARGET, "syncline.push", writes, answered = false)
        }
        Request::Page { .. } => tracing::debug_span!(target: TARGET, "syncline.pull", answered = false),
        _ => Span::none(),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RoomTag(u64);

impl fmt::Display for RoomTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "room #{:06x}", self.0 & 0xff_ffff)
    }
}

impl Engine {
    pub(super) fn trace(&mut self, now: Now, kind: TraceKind, detail: fmt::Arguments<'_>) {
        self.trace.note(now, kind, detail);
    }

    /// A push or a page was answered.
    pub(super) fn note_answer(&mut self, now: Now, request: &Request, took_us: u64) {
        let took_ms = took_us / 1000;
        match request {
            Request::Push(batch) => {
                self.counters.push_us.record(took_us);
                let count = batch.client_seqs.len();
                let what = format_args!("{count} writes answered in {took_ms} ms");
                self.trace_room(now, TraceKind::Pushed, &batch.room, what);
            }
            Request::Page { room, asked } => {
                self.counters.pull_us.record(took_us);
                let what = format_args!("the page after {asked} came in {took_ms} ms");
                self.trace_room(now, TraceKind::Pulled, room, what);
            }
            _ => {}
        }
    }

    /// An event of one room; `what` follows its tag.
    pub(super) fn trace_room(&mut self, now: Now, kind: TraceKind, room: &Room, what: fmt::Arguments<'_>) {
        let tag = self.trace.tag(room);
        self.trace.note(now, kind, format_args!("{tag}: {what}"));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NOW: Now = Now { mono_us: 0, lived_ms: 0, wall_ms: 7 };

    #[test]
    fn the_oldest_event_gives_way() {
        let mut trace = Trace::new(2, 0);
        for number in 0..5 {
            trace.note(NOW, TraceKind::Push, format_args!("{number}"));
        }
        let details: Vec<String> = trace.events().into_iter().map(|event| event.detail).collect();
        assert_eq!(details, ["3", "4"]);
    }

    #[test]
    fn a_long_detail_is_cut_between_characters() {
        let mut trace = Trace::new(1, 0);
        trace.note(NOW, TraceKind::Error, format_args!("{}", "ä".repeat(DETAIL_BYTES_MAX)));
        assert_eq!(trace.events()[0].detail.len(), DETAIL_BYTES_MAX);
    }

    #[test]
    fn nothing_is_remembered_without_room_for_it() {
        let mut trace = Trace::new(0, 0);
        trace.note(NOW, TraceKind::Live, format_args!("x"));
        assert_eq!(trace.events(), []);
    }

    #[test]
    fn a_room_keeps_its_tag_which_differs_between_clients() {
        let room = Room::new("user:ada").unwrap();
        let tag = |salt| Trace::new(1, salt).tag(&room).to_string();
        assert_eq!(tag(1), tag(1));
        assert_ne!(tag(1), tag(2));
        assert!(!tag(1).contains("ada"));
    }
}
