//! Events for the server: those that wait for a connection, and those that wait for an answer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use syncline_protocol::Room;

use crate::boxed_map::BoxedMap;
use crate::engine::io::RequestId;
use crate::error::{Code, Error};
use crate::transport::{Namespace, Payload};

/// Names an event that the server is to answer; never used twice.
pub(in crate::engine) type Ticket = u64;

/// An event as it will be sent.
#[derive(Debug)]
pub(in crate::engine) struct Outgoing {
    pub(in crate::engine) namespace: Namespace,
    pub(in crate::engine) event: String,
    pub(in crate::engine) args: Vec<Payload>,
    /// Under which its answer is awaited.
    pub(in crate::engine) ticket: Option<Ticket>,
}

impl Outgoing {
    pub(in crate::engine) fn byte_len(&self) -> u64 {
        let args = self.args.iter().map(Payload::byte_len).sum::<usize>();
        (self.namespace.as_str().len() + self.event.len() + args) as u64
    }
}

/// Events that wait until their namespace is open, in order. Kept in memory only.
#[derive(Debug, Default)]
pub(in crate::engine) struct Buffer {
    waiting: VecDeque<Outgoing>,
    bytes: u64,
}

impl Buffer {
    pub(in crate::engine) fn push(
        &mut self,
        outgoing: Outgoing,
        count_max: u64,
        bytes_max: u64,
    ) -> Result<(), Error> {
        let bytes = self.bytes + outgoing.byte_len();
        if self.waiting.len() as u64 >= count_max || bytes > bytes_max {
            let message = format!("at most {count_max} events of {bytes_max} bytes wait for the connection");
            return Err(Error::new(Code::QueueFull, message));
        }
        self.bytes = bytes;
        self.waiting.push_back(outgoing);
        Ok(())
    }

    /// What waited for this namespace.
    pub(in crate::engine) fn take(&mut self, namespace: &Namespace) -> Vec<Outgoing> {
        let all = std::mem::take(&mut self.waiting);
        let (taken, left): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|outgoing| outgoing.namespace == *namespace);
        self.bytes = left.iter().map(Outgoing::byte_len).sum();
        self.waiting = left.into();
        taken
    }

    /// Whether the event waited here.
    pub(in crate::engine) fn remove(&mut self, ticket: Ticket) -> bool {
        let Some(index) = self.waiting.iter().position(|outgoing| outgoing.ticket == Some(ticket)) else {
            return false;
        };
        if let Some(removed) = self.waiting.remove(index) {
            self.bytes -= removed.byte_len();
        }
        true
    }

    pub(in crate::engine) fn holds(&self, ticket: Ticket) -> bool {
        self.waiting.iter().any(|outgoing| outgoing.ticket == Some(ticket))
    }

    pub(in crate::engine) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Who waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) enum Asker {
    Emit(RequestId),
    Join(Room),
    Leave(RequestId),
}

#[derive(Debug)]
pub(in crate::engine) struct Awaited {
    pub(in crate::engine) namespace: Namespace,
    pub(in crate::engine) asker: Asker,
    deadline_us: u64,
}

/// Answers that are awaited. One that does not come concerns who asked, and not the connection.
#[derive(Debug, Default)]
pub(in crate::engine) struct Awaiting {
    last: Ticket,
    awaited: BoxedMap<Ticket, Awaited>,
    deadlines: BTreeSet<(u64, Ticket)>,
}

impl Awaiting {
    pub(in crate::engine) fn begin(
        &mut self,
        namespace: Namespace,
        asker: Asker,
        deadline_us: u64,
        count_max: u64,
    ) -> Result<Ticket, Error> {
        if self.awaited.len() as u64 >= count_max {
            return Err(Error::new(Code::QueueFull, format!("{count_max} events wait for their answers")));
        }
        self.last += 1;
        self.awaited.insert(self.last, Awaited { namespace, asker, deadline_us });
        self.deadlines.insert((deadline_us, self.last));
        Ok(self.last)
    }

    pub(in crate::engine) fn end(&mut self, ticket: Ticket) -> Option<Awaited> {
        let awaited = self.awaited.remove(&ticket)?;
        self.deadlines.remove(&(awaited.deadline_us, ticket));
        Some(awaited)
    }

    pub(in crate::engine) fn next_deadline(&self) -> Option<u64> {
        self.deadlines.first().map(|(deadline_us, _)| *deadline_us)
    }

    pub(in crate::engine) fn due(&self, now_us: u64) -> Vec<Ticket> {
        self.deadlines.range(..=(now_us, Ticket::MAX)).map(|(_, ticket)| *ticket).collect()
    }

    pub(in crate::engine) fn of_namespace(&self, namespace: &Namespace) -> Vec<Ticket> {
        self.tickets(|awaited| awaited.namespace == *namespace)
    }

    pub(in crate::engine) fn all(&self) -> Vec<Ticket> {
        self.tickets(|_| true)
    }

    fn tickets(&self, picks: impl Fn(&Awaited) -> bool) -> Vec<Ticket> {
        self.awaited.iter().filter(|(_, awaited)| picks(awaited)).map(|(ticket, _)| *ticket).collect()
    }
}

/// Events of the server that wait for the app's answer.
#[derive(Debug, Default)]
pub(in crate::engine) struct Owed {
    last: u64,
    owed: BTreeMap<u64, (Namespace, u64)>,
}

impl Owed {
    /// Returns the token to answer with. Beyond `count_max` the oldest is not answered any more.
    pub(in crate::engine) fn begin(&mut self, namespace: Namespace, ack: u64, count_max: u64) -> u64 {
        self.last += 1;
        self.owed.insert(self.last, (namespace, ack));
        if self.owed.len() as u64 > count_max {
            self.owed.pop_first();
        }
        self.last
    }

    /// Where the answer goes: namespace and ack id. Once.
    pub(in crate::engine) fn end(&mut self, token: u64) -> Option<(Namespace, u64)> {
        self.owed.remove(&token)
    }

    pub(in crate::engine) fn forget_namespace(&mut self, namespace: &Namespace) {
        self.owed.retain(|_, (of, _)| of != namespace);
    }

    pub(in crate::engine) fn clear(&mut self) {
        self.owed.clear();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn outgoing(namespace: &str, ticket: Ticket) -> Outgoing {
        let args = vec![Payload::Binary(vec![0; 100].into())];
        let namespace = Namespace::new(namespace).unwrap();
        Outgoing { namespace, event: "e".to_owned(), args, ticket: Some(ticket) }
    }

    #[test]
    fn what_waits_is_limited_by_count_and_bytes() {
        for (count_max, bytes_max) in [(2, 10_000), (10, 250)] {
            let mut buffer = Buffer::default();
            for ticket in 1..=2 {
                buffer.push(outgoing("/", ticket), count_max, bytes_max).unwrap();
            }
            let error = buffer.push(outgoing("/", 3), count_max, bytes_max).unwrap_err();
            assert_eq!(error.code, Code::QueueFull);
            assert!(buffer.remove(1) && !buffer.remove(1));
            buffer.push(outgoing("/", 3), count_max, bytes_max).unwrap();
        }
    }

    #[test]
    fn each_namespace_gets_its_own_events_in_order() {
        let mut buffer = Buffer::default();
        for (namespace, ticket) in [("/", 1), ("/a", 2), ("/", 3)] {
            buffer.push(outgoing(namespace, ticket), 10, 10_000).unwrap();
        }
        let taken: Vec<_> =
            buffer.take(&Namespace::ROOT).into_iter().map(|outgoing| outgoing.ticket).collect();
        assert_eq!(taken, [Some(1), Some(3)]);
        assert!(buffer.holds(2) && !buffer.holds(1));
    }

    #[test]
    fn a_question_of_the_server_is_answered_once() {
        let mut owed = Owed::default();
        let token = owed.begin(Namespace::ROOT, 7, 1);
        assert_eq!(owed.end(token), Some((Namespace::ROOT, 7)));
        assert_eq!(owed.end(token), None);
        let oldest = owed.begin(Namespace::ROOT, 8, 1);
        owed.begin(Namespace::ROOT, 9, 1);
        assert_eq!(owed.end(oldest), None);
    }
}
