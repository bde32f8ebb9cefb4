//! Requests and their answers on one Socket.IO session: ack ids, deadlines, encodings.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use syncline_protocol::Room;
use syncline_protocol::message::{self, Encoding, Failure, Hello, event};
use tracing::Span;

use super::io::{Now, Output};
use super::outbox::Batch;
use super::trace::span_of;
use crate::error::{Code, Error};
use crate::job::JobId;
use crate::transport::{Message, Namespace, Packet, Parser, Payload};

/// What a packet adds to its argument at most: the event's name, the ack id, the notation around them.
const PACKET_OVERHEAD_BYTES: u64 = 128;

/// What a request was about, for when its answer comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    /// `sync:subscribe` or `sync:pull` after the cursor `asked`.
    Page {
        room: Room,
        asked: u64,
    },
    Push(Batch),
    PresenceJoin {
        room: Room,
    },
    PresenceUpdate {
        room: Room,
    },
    PresenceLeave {
        room: Room,
    },
    Ping,
    /// An event of the app, or about a room of its own.
    Socket(super::socket::Ticket),
    /// An event of the queue.
    Job(JobId),
    /// Another token for the session.
    TokenRefresh,
    /// The answer does not matter.
    Notice,
}

#[derive(Debug)]
struct Sent {
    request: Request,
    sent_us: u64,
    timeout_ms: u64,
    deadline_us: u64,
    /// Ends with the answer, or with the connection.
    span: Span,
}

#[derive(Debug)]
pub(super) struct Wire {
    parser: Parser,
    /// The namespace of the sync protocol.
    main: Namespace,
    encoding: Encoding,
    /// Whether the server has said anything on this session, so that its encoding is known.
    heard: bool,
    /// Whether the server takes another token on this session.
    takes_tokens: bool,
    /// The largest message that the server takes on this connection.
    message_bytes_max: u64,
    last_id: u64,
    sent: HashMap<u64, Sent>,
    /// Of those that are not awaited as long as the connection lasts.
    deadlines: BTreeSet<(u64, u64)>,
}

impl Wire {
    pub(super) fn new(parser: Parser, main: Namespace) -> Self {
        Self {
            parser,
            main,
            encoding: Encoding::Plain,
            heard: false,
            takes_tokens: false,
            message_bytes_max: u64::MAX,
            last_id: 0,
            sent: HashMap::new(),
            deadlines: BTreeSet::new(),
        }
    }

    pub(super) fn parser(&self) -> Parser {
        self.parser
    }

    /// The client's own namespace.
    pub(super) fn main(&self) -> &Namespace {
        &self.main
    }

    pub(super) fn reset_connection(&mut self) {
        self.encoding = Encoding::Plain;
        self.heard = false;
        self.takes_tokens = false;
        self.message_bytes_max = u64::MAX;
        self.sent.clear();
        self.deadlines.clear();
    }

    /// The server closes a connection that brings it a larger message.
    pub(super) fn set_message_bytes_max(&mut self, bytes_max: u64) {
        self.message_bytes_max = bytes_max;
    }

    pub(super) fn message_bytes_max(&self) -> u64 {
        self.message_bytes_max
    }

    pub(super) fn handle_hello(&mut self, hello: &Hello) {
        self.encoding = hello.encoding;
        self.heard = true;
        self.takes_tokens = hello.offers.iter().any(|offer| offer == event::AUTH_REFRESH);
    }

    /// Whether the server takes another token on this session.
    pub(super) fn takes_tokens(&self) -> bool {
        self.takes_tokens
    }

    /// Whether the server said hello, or answered anything: then it is known how to encode for it.
    pub(super) fn is_settled(&self) -> bool {
        self.heard
    }

    /// Pages asked for and not answered.
    pub(super) fn pages_under_way(&self) -> u64 {
        let pages = self.sent.values().filter(|sent| matches!(sent.request, Request::Page { .. }));
        pages.count() as u64
    }

    /// How long the oldest page or push without an answer has been under way, in microseconds.
    pub(super) fn longest_transfer_us(&self, now: Now) -> Option<u64> {
        let is_transfer = |sent: &&Sent| matches!(sent.request, Request::Page { .. } | Request::Push(_));
        let sent_us = self.sent.values().filter(is_transfer).map(|sent| sent.sent_us).min()?;
        Some(now.mono_us.saturating_sub(sent_us))
    }

    /// Whatever has a deadline is awaited for its time anew, but for `longest_ms` in all at most.
    pub(super) fn put_off(&mut self, now: Now, longest_ms: u64) {
        let Self { sent, deadlines, .. } = self;
        for (_, id) in std::mem::take(deadlines) {
            let Some(sent) = sent.get_mut(&id) else { continue };
            let last_us = sent.sent_us.saturating_add(longest_ms.saturating_mul(1000));
            sent.deadline_us = sent.deadline_us.max(now.after_ms(sent.timeout_ms).min(last_us));
            deadlines.insert((sent.deadline_us, id));
        }
    }

    /// Whether a token that was sent on this session is not answered.
    pub(super) fn is_refreshing(&self) -> bool {
        self.sent.values().any(|sent| sent.request == Request::TokenRefresh)
    }

    /// The earliest time at which a request counts as unanswered.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.deadlines.first().map(|(deadline_us, _)| *deadline_us)
    }

    /// Sends a request whose answer is awaited for `timeout_ms`; `too_large` if the server would not take it.
    pub(super) fn request<T: Serialize>(
        &mut self,
        event: &str,
        body: &T,
        request: Request,
        timeout_ms: u64,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<(), Error> {
        self.request_with(event, self.encode(body)?, request, timeout_ms, now, out)
    }

    /// As [`request`](Self::request), with what was encoded for this connection.
    pub(super) fn request_with(
        &mut self,
        event: &str,
        body: Payload,
        request: Request,
        timeout_ms: u64,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<(), Error> {
        let main = self.main.clone();
        self.emit(&main, event, vec![body], request, timeout_ms, now, out).map(drop)
    }

    /// Sends an event, and returns the id of its answer, which is awaited for `timeout_ms`, at `u64::MAX` as long as the connection lasts;
    /// `too_large` if the server would not take it.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn emit(
        &mut self,
        namespace: &Namespace,
        event: &str,
        args: Vec<Payload>,
        request: Request,
        timeout_ms: u64,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<u64, Error> {
        self.check_size(&args)?;
        self.last_id += 1;
        let span = span_of(&request);
        let deadline_us = now.after_ms(timeout_ms);
        let sent = Sent { request, sent_us: now.mono_us, timeout_ms, deadline_us, span };
        if sent.deadline_us < u64::MAX {
            self.deadlines.insert((sent.deadline_us, self.last_id));
        }
        self.sent.insert(self.last_id, sent);
        let packet = Packet::Event { name: event.to_owned(), args, ack: Some(self.last_id) };
        out.push(Output::Send(Message::Socket { namespace: namespace.clone(), packet }));
        Ok(self.last_id)
    }

    /// Sends an event that is not answered; `too_large` if the server would not take it.
    pub(super) fn notify(
        &self,
        namespace: &Namespace,
        event: String,
        args: Vec<Payload>,
        out: &mut Vec<Output>,
    ) -> Result<(), Error> {
        self.check_size(&args)?;
        let packet = Packet::Event { name: event, args, ack: None };
        out.push(Output::Send(Message::Socket { namespace: namespace.clone(), packet }));
        Ok(())
    }

    fn check_size(&self, args: &[Payload]) -> Result<(), Error> {
        let bytes = args.iter().map(|arg| arg.byte_len() as u64).sum::<u64>() + PACKET_OVERHEAD_BYTES;
        if bytes <= self.message_bytes_max {
            return Ok(());
        }
        let message = format!("a message takes {bytes} bytes, the server takes {}", self.message_bytes_max);
        Err(Error::new(Code::TooLarge, message))
    }

    /// The answers to these requests are not awaited any more.
    pub(super) fn forget(&mut self, is_moot: impl Fn(&Request) -> bool) {
        let Self { sent, deadlines, .. } = self;
        sent.retain(|id, sent| {
            let is_kept = !is_moot(&sent.request);
            if !is_kept {
                deadlines.remove(&(sent.deadline_us, *id));
            }
            is_kept
        });
    }

    /// The request that an ack answers, and how long it took, in microseconds.
    pub(super) fn take(&mut self, id: u64, now: Now) -> Option<(Request, u64)> {
        self.heard = true;
        let sent = self.sent.remove(&id)?;
        self.deadlines.remove(&(sent.deadline_us, id));
        sent.span.record("answered", true);
        Some((sent.request, now.mono_us.saturating_sub(sent.sent_us)))
    }

    /// A connect packet's auth object: always plain.
    pub(super) fn greet<T: Serialize>(&self, auth: &T, out: &mut Vec<Output>) -> Result<(), Error> {
        let data = Payload::encode(self.parser, auth).map_err(internal)?;
        let packet = Packet::Connect { data: Some(data) };
        out.push(Output::Send(Message::Socket { namespace: self.main.clone(), packet }));
        Ok(())
    }

    pub(super) fn encoding(&self) -> Encoding {
        self.encoding
    }

    pub(super) fn encode<T: Serialize>(&self, body: &T) -> Result<Payload, Error> {
        match self.encoding {
            Encoding::Plain => Payload::encode(self.parser, body).map_err(internal),
            Encoding::Compact => {
                message::encode_compact(body).map(|body| Payload::Binary(Bytes::from(body))).map_err(internal)
            }
        }
    }
}

/// A compact [`Push`](message::Push) of so many mutations, which are encoded one after the other.
pub(super) fn packed_push(
    room: &Room,
    after: Option<u64>,
    count: usize,
    mutations: &[u8],
) -> Result<Payload, Error> {
    let head = || -> Option<Vec<u8>> {
        let mut head = Vec::with_capacity(mutations.len() + PACKET_OVERHEAD_BYTES as usize + Room::BYTES_MAX);
        rmp::encode::write_array_len(&mut head, 3).ok()?;
        rmp::encode::write_str(&mut head, room.as_str()).ok()?;
        match after {
            Some(after) => drop(rmp::encode::write_uint(&mut head, after).ok()?),
            None => rmp::encode::write_nil(&mut head).ok()?,
        }
        rmp::encode::write_array_len(&mut head, u32::try_from(count).ok()?).ok()?;
        Some(head)
    };
    let mut push = head().ok_or_else(|| internal("a push holds too much"))?;
    push.extend_from_slice(mutations);
    Ok(Payload::Binary(Bytes::from(push)))
}

/// Reads an event's or an answer's first argument, in either encoding.
pub(super) fn decode<T: DeserializeOwned>(args: &[Payload]) -> Result<T, Error> {
    let Some(argument) = args.first() else {
        return Err(Error::new(Code::Protocol, "a message without an argument"));
    };
    match argument.as_binary() {
        Some(bytes) => message::decode_compact(bytes).map_err(protocol),
        None => argument.decode().map_err(protocol),
    }
}

/// Reads an answer: what was asked for, or the server's error.
pub(super) fn decode_answer<T: DeserializeOwned>(args: &[Payload]) -> Result<T, Error> {
    decode(args).map_err(|error| decode::<Failure>(args).map_or(error, |failure| failure.error.into()))
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::new(Code::Internal, format!("a message could not be encoded: {error}"))
}

fn protocol(error: impl std::fmt::Display) -> Error {
    Error::new(Code::Protocol, format!("a message could not be read: {error}"))
}

#[cfg(test)]
mod tests {
    use syncline_protocol::message::{Mutation, Push};
    use syncline_protocol::{Collection, DocumentId, HybridTime, Write};

    use super::*;

    #[test]
    #[allow(clippy::unwrap_used)]
    fn a_packed_push_is_that_of_the_encoder() {
        for (count, after) in [(1u64, None), (15, Some(7)), (16, Some(1 << 40)), (300, Some(u64::MAX))] {
            let mutation = |client_seq| Mutation {
                client_seq,
                collection: Collection::new("notes").unwrap(),
                id: DocumentId::new(format!("note-{client_seq}")).unwrap(),
                write: Write::Delete,
                time: HybridTime { wall_ms: 1_800_000_000_000, counter: 3 },
                base: None,
            };
            let room = Room::new("list:1").unwrap();
            let mutations: Vec<_> = (0..count).map(mutation).collect();
            let packed: Vec<u8> =
                mutations.iter().flat_map(|mutation| message::encode_compact(mutation).unwrap()).collect();
            let spliced = packed_push(&room, after, mutations.len(), &packed).unwrap();
            let encoded = message::encode_compact(&Push { room, after, mutations }).unwrap();
            assert_eq!(spliced.as_binary().unwrap().as_ref(), encoded);
        }
    }
}
