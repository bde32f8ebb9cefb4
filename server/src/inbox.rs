//! What one socket asked and was not served yet: in order, bounded, rate limited.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::AckSender;
use socketioxide::handler::{FromMessageParts, MessageHandler, Value};
use socketioxide::socket::Socket;
use syncline_protocol::message::event;
use syncline_protocol::{ErrorCode, WireError};
use tokio::sync::Notify;

use crate::config::ConnectionConfig;
use crate::door::{UserRates, whole_ms};
use crate::wire::{self, Body};

/// When a refused client may try again.
const RETRY_AFTER_MS: u64 = 1000;

/// The requests a client can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestKind {
    RoomJoin,
    RoomLeave,
    Subscribe,
    Unsubscribe,
    Pull,
    Push,
    PresenceJoin,
    PresenceUpdate,
    PresenceLeave,
    PresencePing,
    AuthRefresh,
    Unknown,
}

impl RequestKind {
    const NAMED: [(&'static str, Self); 11] = [
        (event::ROOM_JOIN, Self::RoomJoin),
        (event::ROOM_LEAVE, Self::RoomLeave),
        (event::SYNC_SUBSCRIBE, Self::Subscribe),
        (event::SYNC_UNSUBSCRIBE, Self::Unsubscribe),
        (event::SYNC_PULL, Self::Pull),
        (event::SYNC_PUSH, Self::Push),
        (event::PRESENCE_JOIN, Self::PresenceJoin),
        (event::PRESENCE_UPDATE, Self::PresenceUpdate),
        (event::PRESENCE_LEAVE, Self::PresenceLeave),
        (event::PRESENCE_PING, Self::PresencePing),
        (event::AUTH_REFRESH, Self::AuthRefresh),
    ];

    /// All but [`Self::Unknown`], with the events that ask for them.
    pub(crate) fn named() -> impl Iterator<Item = (&'static str, Self)> {
        Self::NAMED.into_iter()
    }

    /// The event that asks for it, as metrics and the log spell it.
    pub(crate) fn event(self) -> &'static str {
        Self::NAMED.iter().find(|(_, kind)| *kind == self).map_or("unknown", |(event, _)| event)
    }
}

/// One request, unread.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) kind: RequestKind,
    pub(crate) packet: Value,
    /// When it may be made again, where it is refused.
    retry_after_ms: u64,
    bytes: usize,
    socket: Arc<Socket<LocalAdapter>>,
    ack_id: Option<i64>,
}

impl Request {
    /// The answer to one that is refused, because there were too many.
    pub(crate) fn refusal(&self) -> Body {
        let retry_after_ms = Some(self.retry_after_ms);
        wire::failure(WireError { retry_after_ms, ..too_often() })
    }

    /// Sends the answer; nothing happens when none was asked for. May be tried again.
    pub(crate) fn answer(&self, body: &Body) -> Result<(), socketioxide::SendError> {
        let mut unused = Value::Bytes(bytes::Bytes::new());
        let Ok(sender) = AckSender::from_message_parts(&self.socket, &mut unused, &self.ack_id);
        sender.send(body)
    }
}

/// Takes requests as they are read from the socket, in their order: socketioxide would spawn a task for each.
#[derive(Debug)]
pub(crate) struct Inbox {
    requests: Arc<Queue>,
    refused: Arc<Queue>,
    waiting_bytes: AtomicUsize,
    bytes_max: usize,
    bucket: Mutex<TokenBucket>,
    refusals: AtomicU32,
    refusals_max: u32,
    rates: UserRates,
    /// Woken when the client must go.
    pub(crate) flooded: Notify,
    received: AtomicU64,
}

impl Inbox {
    pub(crate) fn new(config: &ConnectionConfig, rates: UserRates) -> (Arc<Self>, Waiting) {
        let requests = Arc::new(Queue::new(config.requests_queued_max));
        let refused = Arc::new(Queue::new(usize::try_from(config.refusals_max).unwrap_or(usize::MAX)));
        let waiting =
            Waiting { requests: Receiver(Arc::clone(&requests)), refused: Receiver(Arc::clone(&refused)) };
        let inbox = Self {
            requests,
            refused,
            waiting_bytes: AtomicUsize::new(0),
            bytes_max: config.requests_queued_bytes_max,
            bucket: Mutex::new(TokenBucket::full(config.requests_per_s_max, config.requests_burst_max)),
            refusals: AtomicU32::new(0),
            refusals_max: config.refusals_max,
            rates,
            flooded: Notify::new(),
            received: AtomicU64::new(0),
        };
        (Arc::new(inbox), waiting)
    }

    /// Makes room for others once a request is served.
    pub(crate) fn served(&self, request: &Request) {
        self.waiting_bytes.fetch_sub(request.bytes, Ordering::Relaxed);
    }

    /// Requests that wait their turn.
    pub(crate) fn waiting_count(&self) -> usize {
        self.requests.len()
    }

    /// Requests since the connection opened.
    pub(crate) fn received_count(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    fn put(&self, mut request: Request) {
        self.received.fetch_add(1, Ordering::Relaxed);
        let allowed = self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        let bytes = request.bytes;
        let fits = self.waiting_bytes.load(Ordering::Relaxed).saturating_add(bytes) <= self.bytes_max;
        if !allowed || !fits {
            return self.refuse(request);
        }
        if let Err(wait) = self.rates.take(request.kind.event()) {
            request.retry_after_ms = whole_ms(wait);
            return self.refuse(request);
        }
        self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        match self.requests.push(request) {
            Ok(()) => self.refusals.store(0, Ordering::Relaxed),
            Err(request) => {
                self.served(&request);
                self.refuse(request);
            }
        }
    }

    /// Leaves a request to be answered with [`Request::refusal`], without what it said.
    fn refuse(&self, mut request: Request) {
        request.packet = Value::Bytes(bytes::Bytes::new());
        let refusals = self.refusals.fetch_add(1, Ordering::Relaxed);
        if refusals >= self.refusals_max || self.refused.push(request).is_err() {
            self.flooded.notify_one();
        }
    }
}

/// The other end of an inbox.
pub(crate) struct Waiting {
    /// To be served, in order.
    pub(crate) requests: Receiver,
    /// To be answered with [`Request::refusal`].
    pub(crate) refused: Receiver,
}

/// A bounded queue that takes no memory while it is empty, as those of idle connections are: tokio's begins with room for 32.
#[derive(Debug)]
struct Queue {
    /// None once nobody receives: what waits holds its socket, and the socket this queue.
    waiting: Mutex<Option<VecDeque<Request>>>,
    receiver: AtomicWaker,
    count_max: usize,
}

impl Queue {
    fn new(count_max: usize) -> Self {
        let waiting = Mutex::new(Some(VecDeque::new()));
        Self { waiting, receiver: AtomicWaker::new(), count_max: count_max.max(1) }
    }

    fn len(&self) -> usize {
        self.lock().as_ref().map_or(0, VecDeque::len)
    }

    /// Gives the request back when there is no room; takes it and drops it when nobody receives.
    fn push(&self, request: Request) -> Result<(), Request> {
        if let Some(waiting) = &mut *self.lock() {
            if waiting.len() >= self.count_max {
                return Err(request);
            }
            waiting.push_back(request);
        }
        self.receiver.wake();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<VecDeque<Request>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of a queue that requests are taken out of.
pub(crate) struct Receiver(Arc<Queue>);

impl Receiver {
    /// Waits for the next request; nothing is lost when it is dropped.
    pub(crate) async fn next(&mut self) -> Request {
        poll_fn(|cx| {
            if let Some(request) = self.take() {
                return Poll::Ready(request);
            }
            self.0.receiver.register(cx.waker());
            // What came in between has woken nobody.
            self.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    pub(crate) fn take(&mut self) -> Option<Request> {
        let mut locked = self.0.lock();
        let waiting = locked.as_mut()?;
        let request = waiting.pop_front();
        if waiting.is_empty() {
            *waiting = VecDeque::new();
        }
        request
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let waiting = self.0.lock().take();
        drop(waiting);
    }
}

/// The refusal of who may try again after a time.
pub(crate) fn too_often_for(wait: Duration) -> WireError {
    WireError { retry_after_ms: Some(whole_ms(wait)), ..too_often() }
}

pub(crate) fn too_often() -> WireError {
    let error = WireError::new(ErrorCode::RateLimited, "too many requests at once");
    WireError { retry_after_ms: Some(RETRY_AFTER_MS), ..error }
}

/// Puts requests of one kind into an inbox.
pub(crate) struct Enqueue {
    pub(crate) kind: RequestKind,
    pub(crate) inbox: Arc<Inbox>,
}

/// Tells this handler from socketioxide's own, which are functions.
pub(crate) enum InOrder {}

impl MessageHandler<LocalAdapter, InOrder> for Enqueue {
    fn call(&self, socket: Arc<Socket<LocalAdapter>>, packet: Value, ack_id: Option<i64>) {
        let bytes = wire::byte_len(&packet);
        let retry_after_ms = RETRY_AFTER_MS;
        self.inbox.put(Request { kind: self.kind, packet, retry_after_ms, bytes, socket, ack_id });
    }
}

/// So many per second, after a first burst.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    per_s: f64,
    burst: f64,
    tokens: f64,
    filled: Option<Instant>,
}

impl TokenBucket {
    pub(crate) fn full(per_s: u32, burst: u32) -> Self {
        Self { per_s: per_s.into(), burst: burst.into(), tokens: burst.into(), filled: None }
    }

    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let elapsed = self.filled.map_or(0.0, |filled| now.saturating_duration_since(filled).as_secs_f64());
        self.filled = Some(now);
        self.tokens = (self.tokens + elapsed * self.per_s).min(self.burst);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_allows_a_burst_and_then_its_rate() {
        let mut bucket = TokenBucket::full(10, 3);
        let start = Instant::now();
        let taken: Vec<bool> = (0..4).map(|_| bucket.take(start)).collect();
        assert_eq!(taken, [true, true, true, false]);
        assert!(!bucket.take(start + Duration::from_millis(50)));
        assert!(bucket.take(start + Duration::from_millis(150)));
        assert!(!bucket.take(start + Duration::from_millis(150)));
    }
}
