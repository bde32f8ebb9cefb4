//! The real socket: one task owns it, and a handle that never blocks talks to the task.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::error::Error as WebSocketError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::close::{CloseReason, NO_STATUS};
use super::codec::Frame;
use super::dial::ByteStream;
use super::endpoint::{ConnectRequest, SocketLimits};
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

/// The handle of a socket that is being opened, is open, or has ended. Dropping it ends the socket at once,
/// without a close frame and without a `Closed`; events already in the channel stay there.
#[derive(Debug)]
pub struct Socket {
    commands: mpsc::UnboundedSender<Command>,
    closing: watch::Sender<bool>,
    queued_bytes: Arc<AtomicUsize>,
    task: AbortHandle,
}

#[derive(Debug)]
enum Command {
    Send(Vec<Frame>),
    Close,
}

/// The task's end of the handle.
struct Inbox {
    commands: mpsc::UnboundedReceiver<Command>,
    closing: watch::Receiver<bool>,
    queued_bytes: Arc<AtomicUsize>,
}

/// Where the task's events go.
struct Outlet {
    events: mpsc::Sender<(u64, SocketEvent)>,
    generation: u64,
}

impl Socket {
    /// Starts to connect, on `runtime`. Every event carries `generation`, so that the driver can tell the events
    /// of a socket from those of the one before it.
    ///
    /// The channel is the backpressure: while it is full, nothing is read from the network. Writing goes on.
    pub fn open(
        runtime: &Handle,
        request: ConnectRequest,
        events: mpsc::Sender<(u64, SocketEvent)>,
        generation: u64,
    ) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the engine bounds the bytes it has under way")]
        let (commands, inbox_commands) = mpsc::unbounded_channel();
        let (closing, inbox_closing) = watch::channel(false);
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let inbox = Inbox {
            commands: inbox_commands,
            closing: inbox_closing,
            queued_bytes: Arc::clone(&queued_bytes),
        };
        let outlet = Outlet { events, generation };
        let task = runtime.spawn(async move {
            let reason = run(&request, &outlet, inbox).await;
            outlet.send(SocketEvent::Closed(reason)).await;
        });
        Self { commands, closing, queued_bytes, task: task.abort_handle() }
    }

    /// Queues frames, in order, also before the socket is open. The queue has no limit of its own: who sends
    /// watches [`Socket::queued_bytes`]. After the end, frames are dropped.
    pub fn send(&self, frames: Vec<Frame>) {
        let bytes = frames.iter().map(Frame::byte_len).sum();
        self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        // Fails only when the task has ended.
        let _ = self.commands.send(Command::Send(frames));
    }

    /// Bytes of frames that the network has not taken yet, but for a write buffer's worth. 0 after the end.
    pub fn queued_bytes(&self) -> usize {
        if self.commands.is_closed() { 0 } else { self.queued_bytes.load(Ordering::Relaxed) }
    }

    /// Writes what is queued, then a close frame, and ends when the server has answered it or
    /// [`SocketLimits::close_timeout_ms`] have passed. A socket not open yet ends at once.
    pub fn close(&self) {
        // Either fails only when the task has ended.
        let _ = self.commands.send(Command::Close);
        let _ = self.closing.send(true);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Outlet {
    /// Returns whether anybody listens.
    async fn send(&self, event: SocketEvent) -> bool {
        self.events.send((self.generation, event)).await.is_ok()
    }
}

type WebSocket = WebSocketStream<Box<dyn ByteStream>>;

async fn run(request: &ConnectRequest, outlet: &Outlet, mut inbox: Inbox) -> CloseReason {
    let limits = request.limits();
    let connected = tokio::select! {
        _ = inbox.closing.wait_for(|closing| *closing) => return CloseReason::Local,
        connected = timeout(Duration::from_millis(limits.connect_timeout_ms), connect(request)) => connected,
    };
    match connected {
        Ok(Ok(socket)) => exchange(socket, outlet, &mut inbox, limits).await,
        Ok(Err(reason)) => reason,
        Err(_) => CloseReason::Timeout,
    }
}

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
    match client_async_with_config(upgrade, stream, Some(config)).await {
        Ok((socket, _)) => Ok(socket),
        Err(error) => Err(CloseReason::from_upgrade(&error)),
    }
}

/// Reads and writes until one side ends it. The two run side by side: were a write that the server does not take
/// to stop the reading, two full buffers could wait for each other for ever.
async fn exchange(
    socket: WebSocket,
    outlet: &Outlet,
    inbox: &mut Inbox,
    limits: &SocketLimits,
) -> CloseReason {
    let close_timeout = Duration::from_millis(limits.close_timeout_ms);
    let Inbox { commands, closing, queued_bytes } = inbox;
    let mut close_deadline = std::pin::pin!(async {
        // An error says that the handle is gone, which ends the task anyway.
        let _ = closing.wait_for(|closing| *closing).await;
        sleep(close_timeout).await;
    });
    let (mut sink, mut stream) = socket.split();
    let reason = {
        let mut reading = std::pin::pin!(read(&mut stream, outlet));
        tokio::select! {
            reason = &mut reading => Some(reason),
            written = write(&mut sink, commands, queued_bytes) => match written {
                Ok(()) => None,
                // The server may have said why, before it stopped to listen.
                Err(error) => {
                    let said = timeout(close_timeout, reading).await;
                    Some(said.unwrap_or_else(|_| CloseReason::from_open(&error)))
                }
            },
            () = &mut close_deadline => return CloseReason::Local,
        }
    };
    match reason {
        Some(reason) => {
            if matches!(reason, CloseReason::Remote { .. }) {
                // The answer to the server's close frame; whether it arrives changes nothing.
                let _ = timeout(close_timeout, sink.flush()).await;
            }
            reason
        }
        None => {
            tokio::select! {
                () = discard(&mut stream) => {}
                () = &mut close_deadline => {}
            }
            CloseReason::Local
        }
    }
}

async fn read(stream: &mut SplitStream<WebSocket>, outlet: &Outlet) -> CloseReason {
    if !outlet.send(SocketEvent::Opened).await {
        return CloseReason::Local;
    }
    loop {
        // Room first, then a frame: a frame that is read always has a place to go.
        let Ok(room) = outlet.events.reserve().await else {
            return CloseReason::Local;
        };
        let frame = loop {
            match stream.next().await {
                Some(Ok(Message::Text(text))) => break Frame::Text(text.as_str().to_owned()),
                Some(Ok(Message::Binary(bytes))) => break Frame::Binary(bytes),
                Some(Ok(Message::Close(frame))) => {
                    let code = frame.map_or(NO_STATUS, |frame| frame.code.into());
                    return CloseReason::Remote { code };
                }
                // Pings are answered by the library, when it is asked for the next message.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return CloseReason::from_open(&error),
                None => return CloseReason::Eof,
            }
        };
        room.send((outlet.generation, SocketEvent::Frame(frame)));
    }
}

/// Reads to the end, which the server's answer to our close frame brings.
async fn discard(stream: &mut SplitStream<WebSocket>) {
    while let Some(Ok(_)) = stream.next().await {}
}

/// Writes what is queued, with one flush for all of it, until it has written a close frame.
async fn write(
    sink: &mut SplitSink<WebSocket, Message>,
    commands: &mut mpsc::UnboundedReceiver<Command>,
    queued_bytes: &AtomicUsize,
) -> Result<(), WebSocketError> {
    while let Some(first) = commands.recv().await {
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                Command::Send(frames) => {
                    for frame in frames {
                        let bytes = frame.byte_len();
                        sink.feed(into_message(frame)).await?;
                        queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
                    }
                }
                Command::Close => {
                    let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
                    return sink.send(Message::Close(Some(frame))).await;
                }
            }
            next = commands.try_recv().ok();
        }
        sink.flush().await?;
    }
    Ok(())
}

fn into_message(frame: Frame) -> Message {
    match frame {
        Frame::Text(text) => Message::Text(text.into()),
        Frame::Binary(bytes) => Message::Binary(bytes),
    }
}
