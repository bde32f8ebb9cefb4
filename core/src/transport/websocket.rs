//! The real socket, polled by whoever owns it: no task of its own stands between the network and the driver.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::time::{Sleep, sleep, timeout};
use tokio_tungstenite::tungstenite::error::Error as WebSocketError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::close::{CloseReason, NO_STATUS};
use super::codec::Frame;
use super::endpoint::ConnectRequest;
use super::metered::Metered;
use super::tls::Protocols;

/// What a socket tells its driver, in this order: `Opened` at most once, frames, and `Closed` as the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketEvent {
    /// The server accepted the upgrade.
    Opened,
    /// A whole WebSocket message.
    Frame(Frame),
    /// The end, of an attempt to connect as well.
    Closed(CloseReason),
}

/// Which way bytes moved of a message that is not whole yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Movement {
    pub received: bool,
    pub sent: bool,
}

/// A socket that is being opened, is open, or has ended. It moves only while it is polled, within a Tokio runtime. Dropping
/// it ends it at once, without a close frame.
pub struct Socket {
    state: State,
    /// Not yet handed to the WebSocket, in order.
    outgoing: VecDeque<Frame>,
    queued_bytes: usize,
    farewell: Farewell,
    close_timeout: Duration,
}

enum State {
    Connecting(Pin<Box<dyn Future<Output = Result<WebSocket, CloseReason>> + Send>>),
    Open(Box<OpenSocket>),
    Ended,
}

struct OpenSocket {
    socket: WebSocket,
    /// Bytes read when the last whole message came, or movement was last asked for; bytes written when it was.
    read_bytes: u64,
    written_bytes: u64,
    /// Whether something was written since the last flush.
    is_unflushed: bool,
    /// Why a write failed that was not part of a poll.
    failure: Option<WebSocketError>,
    /// Why it ends, if what was still to be read or written does not say.
    ending: Option<CloseReason>,
    /// When it ends in any case.
    deadline: Option<Pin<Box<Sleep>>>,
}

/// How far the owner's wish to close it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Farewell {
    No,
    /// Once everything before it is written.
    Asked,
    /// Its answer is all that is still read.
    Sent,
}

impl std::fmt::Debug for Socket {
    /// Sizes only: frames carry tokens and the app's data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let queued_bytes = self.queued_bytes;
        f.debug_struct("Socket").field("queued_bytes", &queued_bytes).finish_non_exhaustive()
    }
}

impl Socket {
    /// Starts to connect.
    pub fn open(request: ConnectRequest) -> Self {
        let limits = *request.limits();
        let connecting = async move {
            timeout(Duration::from_millis(limits.connect_timeout_ms), connect(&request))
                .await
                .unwrap_or(Err(CloseReason::Timeout))
        };
        Self {
            state: State::Connecting(Box::pin(connecting)),
            outgoing: VecDeque::new(),
            queued_bytes: 0,
            farewell: Farewell::No,
            close_timeout: Duration::from_millis(limits.close_timeout_ms),
        }
    }

    /// Queues frames, in order, also before the socket is open. The next poll writes them. The queue has no limit of its own:
    /// who sends watches [`Socket::queued_bytes`]. After the end, frames are dropped.
    pub fn send(&mut self, frames: Vec<Frame>) {
        if matches!(self.state, State::Ended) || self.farewell != Farewell::No {
            return;
        }
        self.queued_bytes += frames.iter().map(Frame::byte_len).sum::<usize>();
        self.outgoing.extend(frames);
    }

    /// Bytes of frames that the network has not taken yet, but for a write buffer's worth. 0 after the end.
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Whether bytes of a message that is not whole yet moved since the last call.
    pub fn take_movement(&mut self) -> Movement {
        let State::Open(open) = &mut self.state else { return Movement::default() };
        let stream = open.socket.get_ref();
        let (read_bytes, written_bytes) = (stream.read_bytes(), stream.written_bytes());
        let is_sending = open.is_unflushed || !self.outgoing.is_empty();
        let received = read_bytes > std::mem::replace(&mut open.read_bytes, read_bytes);
        let sent = written_bytes > std::mem::replace(&mut open.written_bytes, written_bytes);
        Movement { received, sent: sent && is_sending }
    }

    /// Writes what is queued, then a close frame, and ends when the server has answered it or
    /// [`SocketLimits::close_timeout_ms`](super::SocketLimits::close_timeout_ms) have passed. A socket not open yet ends at
    /// once. The next poll begins with it.
    pub fn close(&mut self) {
        if self.farewell != Farewell::No {
            return;
        }
        self.farewell = Farewell::Asked;
        if let State::Open(open) = &mut self.state {
            open.end_by(self.close_timeout);
        }
    }

    /// Writes what the network takes, also outside of the runtime; `cx` is that of whoever polls. Returns whether the next poll
    /// has nothing to do for it: a failure is told there.
    pub(crate) fn write(&mut self, cx: &mut Context<'_>) -> bool {
        let written = self.poll_write(cx);
        if let (Poll::Ready(Err(error)), State::Open(open)) = (written, &mut self.state) {
            open.failure = Some(error);
            return false;
        }
        true
    }

    /// Writes what the network takes, and reads. Nothing more comes after `Closed`.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<SocketEvent> {
        let event = match &mut self.state {
            State::Ended => return Poll::Pending,
            State::Connecting(_) if self.farewell != Farewell::No => SocketEvent::Closed(CloseReason::Local),
            State::Connecting(connecting) => match ready!(connecting.as_mut().poll(cx)) {
                Ok(socket) => {
                    let open = OpenSocket {
                        socket,
                        read_bytes: 0,
                        written_bytes: 0,
                        is_unflushed: false,
                        failure: None,
                        ending: None,
                        deadline: None,
                    };
                    self.state = State::Open(Box::new(open));
                    SocketEvent::Opened
                }
                Err(reason) => SocketEvent::Closed(reason),
            },
            State::Open(_) => ready!(self.poll_open(cx)),
        };
        if let State::Open(open) = &mut self.state {
            open.read_bytes = open.socket.get_ref().read_bytes();
        }
        if matches!(event, SocketEvent::Closed(_)) {
            self.state = State::Ended;
            self.outgoing.clear();
            self.queued_bytes = 0;
        }
        Poll::Ready(event)
    }

    /// The next event.
    pub async fn next(&mut self) -> SocketEvent {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Reading goes on while the network takes nothing, and writing while nothing comes: were one to stop the other, two
    /// full buffers could wait for each other for ever.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<SocketEvent> {
        let written = self.poll_write(cx);
        let State::Open(open) = &mut self.state else { return Poll::Pending };
        if let Poll::Ready(Err(error)) = &written {
            // The server may have said why, before it stopped to listen.
            open.end_within(self.close_timeout, CloseReason::from_open(error));
        }
        if let Some(deadline) = &mut open.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(SocketEvent::Closed(open.ending.take().unwrap_or(CloseReason::Local)));
        }
        if let Some(CloseReason::Remote { code }) = open.ending {
            // The answer to the server's close frame; whether it arrives changes nothing.
            ready!(open.socket.poll_flush_unpin(cx)).ok();
            return Poll::Ready(SocketEvent::Closed(CloseReason::Remote { code }));
        }
        let event = loop {
            let read = ready!(open.socket.poll_next_unpin(cx));
            let is_over = !matches!(read, Some(Ok(_)));
            if self.farewell == Farewell::Sent {
                // The server's answer to our close frame is the end.
                if is_over {
                    break SocketEvent::Closed(CloseReason::Local);
                }
                continue;
            }
            break match read {
                Some(Ok(Message::Text(text))) => SocketEvent::Frame(Frame::Text(text.as_str().to_owned())),
                Some(Ok(Message::Binary(bytes))) => SocketEvent::Frame(Frame::Binary(bytes)),
                Some(Ok(Message::Close(frame))) => {
                    let code = frame.map_or(NO_STATUS, |frame| frame.code.into());
                    open.end_within(self.close_timeout, CloseReason::Remote { code });
                    return self.poll_open(cx);
                }
                // Pings are answered by the library, when it is asked for the next message.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Err(error)) => SocketEvent::Closed(CloseReason::from_open(&error)),
                None => SocketEvent::Closed(CloseReason::Eof),
            };
        };
        Poll::Ready(event)
    }

    /// Writes what is queued, with one flush for all of it, and at last a close frame.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WebSocketError>> {
        let State::Open(open) = &mut self.state else { return Poll::Pending };
        if open.ending.is_some() {
            return Poll::Pending;
        }
        if let Some(error) = open.failure.take() {
            return Poll::Ready(Err(error));
        }
        while !self.outgoing.is_empty() {
            ready!(open.socket.poll_ready_unpin(cx))?;
            let Some(frame) = self.outgoing.pop_front() else { break };
            self.queued_bytes -= frame.byte_len();
            open.is_unflushed = true;
            open.socket.start_send_unpin(into_message(frame))?;
        }
        if self.farewell == Farewell::Asked {
            ready!(open.socket.poll_ready_unpin(cx))?;
            let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
            open.is_unflushed = true;
            open.socket.start_send_unpin(Message::Close(Some(frame)))?;
            self.farewell = Farewell::Sent;
        }
        if open.is_unflushed {
            ready!(open.socket.poll_flush_unpin(cx))?;
            open.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl OpenSocket {
    /// It ends for this reason, unless what is still read tells a better one in time.
    fn end_within(&mut self, limit: Duration, reason: CloseReason) {
        self.ending = Some(reason);
        self.end_by(limit);
    }

    /// It ends after so long in any case. A deadline that is set is an earlier one.
    fn end_by(&mut self, limit: Duration) {
        self.deadline.get_or_insert_with(|| Box::pin(sleep(limit)));
    }
}

type WebSocket = WebSocketStream<Metered>;

async fn connect(request: &ConnectRequest) -> Result<WebSocket, CloseReason> {
    let secure = request.is_secure().then_some(Protocols::Upgrade);
    let stream = request.dialer().dial(request.host(), request.port(), secure).await?.stream;
    let limits = request.limits();
    let config = WebSocketConfig::default()
        .read_buffer_size(limits.read_buffer_bytes)
        .write_buffer_size(limits.write_buffer_bytes)
        .max_message_size(Some(limits.message_bytes_max))
        .max_frame_size(Some(limits.message_bytes_max));
    let upgrade = request.http_request().ok_or(CloseReason::NotWebSocket)?;
    match client_async_with_config(upgrade, Metered::new(stream), Some(config)).await {
        Ok((socket, _)) => Ok(socket),
        Err(error) => Err(CloseReason::from_upgrade(&error)),
    }
}

fn into_message(frame: Frame) -> Message {
    match frame {
        Frame::Text(text) => Message::Text(text.into()),
        Frame::Binary(bytes) => Message::Binary(bytes),
    }
}
