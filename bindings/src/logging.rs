//! The log of the core, for the host.

use std::sync::Arc;

use syncline::logging::{self, LogLevel as CoreLogLevel, LogLine as CoreLogLine};

use crate::error::SynclineError;
use crate::listener::ListenerError;

/// How much is logged; each level holds those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<LogLevel> for CoreLogLevel {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Off => Self::Off,
            LogLevel::Error => Self::Error,
            LogLevel::Warn => Self::Warn,
            LogLevel::Info => Self::Info,
            LogLevel::Debug => Self::Debug,
            LogLevel::Trace => Self::Trace,
        }
    }
}

impl From<CoreLogLevel> for LogLevel {
    fn from(level: CoreLogLevel) -> Self {
        match level {
            CoreLogLevel::Off => Self::Off,
            CoreLogLevel::Error => Self::Error,
            CoreLogLevel::Warn => Self::Warn,
            CoreLogLevel::Info => Self::Info,
            CoreLogLevel::Debug => Self::Debug,
            CoreLogLevel::Trace => Self::Trace,
        }
    }
}

/// One line of the log. It holds no token, no document and no name of a room.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct LogLine {
    /// Milliseconds since the epoch, as the device believes.
    pub at_ms: u64,
    pub level: LogLevel,
    pub target: String,
    /// A stable name such as `syncline.connect`, for what has one.
    pub event: Option<String>,
    pub message: String,
    /// Lines that were lost before this one, because the listener was too slow or threw.
    pub dropped: u64,
}

impl From<CoreLogLine> for LogLine {
    fn from(line: CoreLogLine) -> Self {
        let CoreLogLine { at_ms, level, target, event, message, dropped } = line;
        Self { at_ms, level: level.into(), target, event, message, dropped }
    }
}

/// Takes the log, line by line, on a thread of its own. A line at which it throws is lost, and counted in the next.
#[uniffi::export(with_foreign)]
pub trait LogListener: Send + Sync {
    fn on_line(&self, line: LogLine) -> Result<(), ListenerError>;
}

struct ForeignLog(Arc<dyn LogListener>);

impl logging::LogSink for ForeignLog {
    fn lines(&self, lines: Vec<CoreLogLine>) -> u64 {
        let lost = |line: CoreLogLine| {
            let lost = line.lost();
            if self.0.on_line(line.into()).is_err() { lost } else { 0 }
        };
        lines.into_iter().map(lost).sum()
    }
}

/// Sets where the log of this process goes, and how much of it; no listener ends it.
#[uniffi::export]
pub fn set_logger(level: LogLevel, listener: Option<Arc<dyn LogListener>>) -> Result<(), SynclineError> {
    let sink = listener.map(|listener| {
        let sink: Arc<dyn logging::LogSink> = Arc::new(ForeignLog(listener));
        sink
    });
    Ok(logging::set_log_sink(level.into(), sink)?)
}

/// Takes the façade's log: a JSON array of lines, on a thread of its own. Lines at which it throws are lost, and counted in the next.
#[uniffi::export(with_foreign)]
pub trait JsonLogListener: Send + Sync {
    fn on_lines(&self, lines: String) -> Result<(), ListenerError>;
}

/// See [`crate::json::set_log_sink`].
// What crosses comes owned.
#[allow(clippy::needless_pass_by_value)]
#[uniffi::export]
pub fn json_set_log_sink(level: String, listener: Option<Arc<dyn JsonLogListener>>) -> String {
    let sink = listener.map(|listener| {
        let sink: crate::json::LogSink = Arc::new(move |lines| listener.on_lines(lines).is_ok());
        sink
    });
    crate::json::set_log_sink(&level, sink)
}
