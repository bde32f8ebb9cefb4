//! The log, handed to the host: what the core says by `tracing`, filtered by a level and redacted.
//!
//! One sink per process. Lines wait in a bounded buffer for a thread that does nothing but hand them over, so that a slow
//! host delays its log and nothing else; lines beyond the buffer are dropped and counted.

use std::fmt::{self, Write as _};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use once_cell::sync::OnceCell;
use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::error::{Code, Error};
use crate::threads::spawn;

/// Lines that wait for the host.
pub const LINES_QUEUED_MAX: usize = 1024;
/// Lines handed over at once.
pub const LINES_BATCH_MAX: usize = 128;
/// The longest line, in bytes.
pub const LINE_BYTES_MAX: usize = 2048;
const STACK_BYTES: usize = 256 << 10;
/// Whose events are handed over: those of the client.
const OWN_TARGETS: [&str; 3] = ["syncline", "syncline_protocol", "syncline_ffi"];
/// Where events come from that are said as often as messages come: at the level [`LogLevel::Trace`], but by `debug!`. By `trace!`
/// dependencies say so much that libraries for phones are compiled without it.
pub const TRACE_TARGET: &str = "syncline::trace";
/// Fields whose values could hold what is nobody's business.
const REDACTED_FIELDS: [&str; 8] =
    ["token", "auth", "key", "password", "secret", "fields", "document", "payload"];

/// How much is logged; each level holds those before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    #[default]
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    fn of(level: &Level, target: &str) -> Self {
        match *level {
            Level::DEBUG if target == TRACE_TARGET => Self::Trace,
            Level::ERROR => Self::Error,
            Level::WARN => Self::Warn,
            Level::INFO => Self::Info,
            Level::DEBUG => Self::Debug,
            Level::TRACE => Self::Trace,
        }
    }
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// Milliseconds since the epoch, as the device believes.
    pub at_ms: u64,
    pub level: LogLevel,
    /// Which part of the core it comes from.
    pub target: String,
    /// A stable name such as `syncline.connect`, for what has one.
    pub event: Option<String>,
    pub message: String,
    /// Lines that were lost before this one, because the host was too slow or failed.
    pub dropped: u64,
}

impl LogLine {
    /// How many lines are lost if this one is.
    pub fn lost(&self) -> u64 {
        self.dropped.saturating_add(1)
    }
}

/// Takes lines, all that wait at once, on a thread that does nothing else. Blocking or panicking there delays or loses lines,
/// and nothing more.
pub trait LogSink: Send + Sync + 'static {
    /// Returns how many lines are lost: the sum of [`LogLine::lost`] of those that it did not take.
    fn lines(&self, lines: Vec<LogLine>) -> u64;
}

impl<F: Fn(LogLine) + Send + Sync + 'static> LogSink for F {
    fn lines(&self, lines: Vec<LogLine>) -> u64 {
        lines.into_iter().for_each(self);
        0
    }
}

/// What the subscriber, which lives as long as the process, and the host's thread share.
#[derive(Default)]
struct Shared {
    level: AtomicU8,
    dropped: AtomicU64,
    sink: Mutex<Option<Arc<dyn LogSink>>>,
}

struct Installed {
    shared: Arc<Shared>,
}

static INSTALLED: OnceCell<Installed> = OnceCell::new();

/// Sets where the log of this process goes, and how much of it; `None` or [`LogLevel::Off`] ends it. Fails with
/// `in_use` when the program has a `tracing` subscriber of its own, which then gets everything.
pub fn set_log_sink(level: LogLevel, sink: Option<Arc<dyn LogSink>>) -> Result<(), Error> {
    let installed = INSTALLED.get_or_try_init(install)?;
    let level = if sink.is_some() { level } else { LogLevel::Off };
    *installed.shared.sink.lock().unwrap_or_else(PoisonError::into_inner) = sink;
    installed.shared.level.store(level as u8, Ordering::Relaxed);
    tracing::callsite::rebuild_interest_cache();
    Ok(())
}

fn install() -> Result<Installed, Error> {
    let shared = Arc::new(Shared::default());
    let (lines, inbox) = sync_channel(LINES_QUEUED_MAX);
    let subscriber = HostSubscriber { shared: Arc::clone(&shared), lines };
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|_| Error::new(Code::InUse, "the program has a tracing subscriber of its own"))?;
    let handed = Arc::clone(&shared);
    spawn("syncline-log", STACK_BYTES, Box::new(move || hand_over(&handed, &inbox)))?;
    Ok(Installed { shared })
}

fn hand_over(shared: &Shared, inbox: &Receiver<LogLine>) {
    while let Ok(mut first) = inbox.recv() {
        first.dropped = shared.dropped.swap(0, Ordering::Relaxed);
        let mut lines = vec![first];
        lines.extend(inbox.try_iter().take(LINES_BATCH_MAX - 1));
        let sink = shared.sink.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(sink) = sink {
            // The host's mistake is counted, not logged: that would end up here again.
            let all = lines.iter().map(LogLine::lost).sum();
            let lost = std::panic::catch_unwind(AssertUnwindSafe(|| sink.lines(lines))).unwrap_or(all);
            shared.dropped.fetch_add(lost, Ordering::Relaxed);
        }
    }
}

struct HostSubscriber {
    shared: Arc<Shared>,
    lines: SyncSender<LogLine>,
}

impl Subscriber for HostSubscriber {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let level = LogLevel::of(metadata.level(), metadata.target());
        let part = metadata.target().split("::").next().unwrap_or_default();
        OWN_TARGETS.contains(&part) && level as u8 <= self.shared.level.load(Ordering::Relaxed)
    }

    /// Spans carry no data here: what an event needs, it says itself.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = LineText::default();
        event.record(&mut text);
        let LineText { message, event: name, fields } = text;
        let metadata = event.metadata();
        let mut message = message + &fields;
        message.truncate(message.floor_char_boundary(LINE_BYTES_MAX));
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let line = LogLine {
            at_ms: u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
            level: LogLevel::of(metadata.level(), metadata.target()),
            target: metadata.target().to_owned(),
            event: name,
            message,
            dropped: 0,
        };
        if self.lines.try_send(line).is_err() {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// An event's fields as text.
#[derive(Default)]
struct LineText {
    message: String,
    event: Option<String>,
    fields: String,
}

impl LineText {
    fn push(&mut self, name: &str, value: &dyn fmt::Debug) {
        let written = match name {
            "message" => write!(self.message, "{value:?}"),
            name if REDACTED_FIELDS.contains(&name) => write!(self.fields, " {name}=***"),
            name => write!(self.fields, " {name}={value:?}"),
        };
        // A String takes everything.
        let _ = written;
    }
}

impl Visit for LineText {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "event" => self.event = Some(value.to_owned()),
            name => self.push(name, &format_args!("{value}")),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field.name(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_as_often_as_messages_come_is_of_the_level_below_debug() {
        assert_eq!(LogLevel::of(&Level::DEBUG, TRACE_TARGET), LogLevel::Trace);
        assert_eq!(LogLevel::of(&Level::WARN, TRACE_TARGET), LogLevel::Warn);
        assert_eq!(LogLevel::of(&Level::DEBUG, "syncline::sync"), LogLevel::Debug);
    }
}
