//! Connection state recovery of Socket.IO 4.6 and later: the server continues a session that was lost, with what was
//! missed, when it is told the session's private id and the offset of the last event.

use serde::{Deserialize, Serialize};

use crate::transport::Payload;

/// Longer ones are no ids of a server that means well.
const ID_BYTES_MAX: usize = 256;

/// What one namespace's session can be continued by.
#[derive(Debug, Default)]
pub(in crate::engine) struct Recovery {
    pid: Option<String>,
    offset: Option<String>,
    /// Whether the open session is the one before.
    recovered: bool,
}

/// Added to what the server is told when a namespace is joined.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(in crate::engine) struct Continuation<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::engine) pid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::engine) offset: Option<&'a str>,
}

#[derive(Default, Deserialize)]
struct Connected {
    #[serde(default)]
    pid: Option<String>,
}

impl Recovery {
    pub(in crate::engine) fn continuation(&self) -> Continuation<'_> {
        let pid = self.pid.as_deref();
        Continuation { pid, offset: self.offset.as_deref().filter(|_| pid.is_some()) }
    }

    /// The server let the client in; `data` is what it said.
    pub(in crate::engine) fn handle_connected(&mut self, data: Option<&Payload>) {
        let connected = data.and_then(|data| data.decode::<Connected>().ok()).unwrap_or_default();
        let pid = connected.pid.filter(|pid| pid.len() <= ID_BYTES_MAX);
        self.recovered = pid.is_some() && pid == self.pid;
        if !self.recovered {
            self.offset = None;
        }
        self.pid = pid;
    }

    /// A server that continues sessions appends an offset to each event that it keeps. As in npm's client it stays
    /// among the arguments: nothing tells it from one of them.
    pub(in crate::engine) fn handle_event(&mut self, args: &[Payload], asks: bool) {
        if self.pid.is_none() || asks {
            return;
        }
        let Some(last) = args.last().filter(|last| last.is_text() && last.byte_len() <= ID_BYTES_MAX + 8)
        else {
            return;
        };
        if let Ok(offset) = last.decode() {
            self.offset = Some(offset);
        }
    }

    pub(in crate::engine) fn is_recovered(&self) -> bool {
        self.recovered
    }

    /// Whether the server may continue the session that was lost.
    pub(in crate::engine) fn may_continue(&self) -> bool {
        self.pid.is_some() && self.offset.is_some()
    }

    pub(in crate::engine) fn handle_lost(&mut self) {
        self.recovered = false;
    }

    /// The session is not to be continued: somebody else's begins.
    pub(in crate::engine) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::transport::Parser;

    fn payload(value: &serde_json::Value) -> Payload {
        Payload::encode(Parser::Json, value).unwrap()
    }

    fn connected(pid: &str) -> Payload {
        payload(&serde_json::json!({"sid": "s", "pid": pid}))
    }

    #[test]
    fn the_last_offset_continues_the_session_that_the_server_still_knows() {
        let mut recovery = Recovery::default();
        recovery.handle_event(&[payload(&"before".into())], false);
        recovery.handle_connected(Some(&connected("p1")));
        assert_eq!(recovery.continuation(), Continuation { pid: Some("p1"), offset: None });
        recovery.handle_event(&[payload(&1.into()), payload(&"o1".into())], false);
        recovery.handle_event(&[payload(&1.into())], false);
        recovery.handle_event(&[payload(&"of a question".into())], true);
        assert_eq!(recovery.continuation(), Continuation { pid: Some("p1"), offset: Some("o1") });
        recovery.handle_lost();
        recovery.handle_connected(Some(&connected("p1")));
        assert!(recovery.is_recovered() && recovery.may_continue());
        recovery.handle_lost();
        recovery.handle_connected(Some(&connected("p2")));
        assert!(!recovery.is_recovered());
        assert_eq!(recovery.continuation(), Continuation { pid: Some("p2"), offset: None });
    }

    #[test]
    fn a_server_that_continues_nothing_is_told_nothing() {
        let mut recovery = Recovery::default();
        recovery.handle_connected(Some(&payload(&serde_json::json!({"sid": "s"}))));
        recovery.handle_event(&[payload(&"text".into())], false);
        assert_eq!(recovery.continuation(), Continuation { pid: None, offset: None });
        recovery.handle_connected(None);
        assert!(!recovery.is_recovered());
    }
}
