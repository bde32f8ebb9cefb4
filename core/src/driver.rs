//! The loop that owns everything impure of one client: the clock, the socket, the timer, the store.
//!
//! It runs on a thread of its own, because the store blocks; its socket, requests and timers live on the same thread, so
//! that a message needs no other one on its way. Each turn goes: events, store, transmit, timer, notify. A turn that does
//! nothing but send a message is taken by its caller, who need not wake the driver for it: [`Desk::take`].

mod desk;

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tracing::Span;

pub(crate) use self::desk::Desk;
use crate::clock;
use crate::engine::Engine;
use crate::engine::io::{Command, Event, Generation, Input, Now, Output, Reply, RequestId};
use crate::engine::queue::http::{HttpRequest, HttpResponse};
use crate::error::{Code, Error, RETRY_AFTER_MS_MAX};
use crate::job::JobId;
use crate::metrics::Histogram;
use crate::store::Store;
use crate::transport::{
    self, CloseReason, ConnectRequest, DecodeLimits, Decoder, Frame, HttpClient, Movement, Parser, Socket,
    SocketEvent, TlsFailure,
};

/// Commands taken in one turn, and so committed together.
const COMMANDS_PER_TURN_MAX: usize = 1024;
/// Socket events taken in one turn.
const SOCKET_EVENTS_PER_TURN_MAX: usize = 64;
/// Turns in a row in which what is due waits for what has come already: it may be just what was waited for.
const TURNS_BEFORE_TICK_MAX: u32 = 16;

/// The runtime of one client, for the driver's thread.
pub(crate) fn runtime() -> Result<Runtime, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(Code::Internal, format!("no runtime: {error}")))
}

/// A command on its way to the driver.
#[derive(Debug)]
pub(crate) struct Call {
    pub command: Command,
    pub called_at: Instant,
    pub reply: oneshot::Sender<Result<Reply, Error>>,
}

#[derive(Debug)]
struct Waiting {
    reply: oneshot::Sender<Result<Reply, Error>>,
    called_at: Instant,
    is_write: bool,
}

#[derive(Debug)]
struct Connection {
    generation: Generation,
    socket: Socket,
    decoder: Decoder,
}

pub(crate) struct Driver {
    pub desk: Arc<Desk>,
    pub engine: Engine,
    pub store: Box<dyn Store + Send>,
    pub endpoint: ConnectRequest,
    pub parser: Parser,
    pub http: HttpClient,
    pub calls: mpsc::Receiver<Call>,
    /// Where events go. One batch at a time: while the app is busy with one, the engine coalesces the next.
    pub events: mpsc::Sender<Vec<Event>>,
}

/// A request that is over: the job, the attempt, and what came of it.
type Exchange = (JobId, u64, Result<HttpResponse, Error>);

/// The parts of a running driver that its inputs do not come from.
struct Running {
    engine: Engine,
    store: Box<dyn Store + Send>,
    endpoint: ConnectRequest,
    parser: Parser,
    http: HttpClient,
    /// Requests under way. They end with the driver.
    exchanges: JoinSet<Exchange>,
    connection: Option<Connection>,
    /// Finishes what it has to send.
    closing: Option<Socket>,
    waiting: HashMap<RequestId, Waiting>,
    /// Sent when the store is closed, so that whoever closed the client may open its directory again.
    last_replies: Vec<(Waiting, Result<Reply, Error>)>,
    last_request: RequestId,
    started: Instant,
    /// When the turn began, or its commit ended.
    now: Now,
    outputs: Vec<Output>,
    local_write_us: Histogram,
    bytes_sent: u64,
    bytes_received: u64,
    /// Of the driver, while it waits.
    waker: Option<Waker>,
    /// When the driver wakes by itself.
    alarm_at: Instant,
    /// A caller's turn left something that is the driver's.
    is_left_over: bool,
    span: Span,
}

impl Driver {
    /// Runs until the client is closed or its last handle is gone.
    pub(crate) async fn run(self) {
        let Self { desk, engine, store, endpoint, parser, http, mut calls, events } = self;
        let started = Instant::now();
        let running = Running {
            engine,
            store,
            endpoint,
            parser,
            http,
            exchanges: JoinSet::new(),
            connection: None,
            closing: None,
            waiting: HashMap::new(),
            last_replies: Vec::new(),
            last_request: 0,
            started,
            now: read_clocks(started),
            outputs: Vec::new(),
            local_write_us: Histogram::default(),
            bytes_sent: 0,
            bytes_received: 0,
            waker: None,
            alarm_at: started,
            is_left_over: false,
            span: Span::current(),
        };
        *desk.lock() = Some(running);
        let mut inputs = Inputs::default();
        let mut app_is_busy = false;
        let mut alarm = std::pin::pin!(tokio::time::sleep_until(started.into()));
        let running = loop {
            let mut app = std::pin::pin!(app_is_busy.then(|| events.reserve()));
            let turn = poll_fn(|cx| {
                let mut desk = desk.lock();
                let Some(running) = desk.as_mut() else { return Poll::Ready(Turn::Lost) };
                let mut is_ready = running.poll_inputs(cx, &mut inputs);
                is_ready |= calls
                    .poll_recv_many(cx, &mut inputs.calls, COMMANDS_PER_TURN_MAX)
                    .map(|count| {
                        inputs.is_abandoned = count == 0;
                    })
                    .is_ready();
                inputs.is_due |= alarm.as_mut().poll(cx).is_ready();
                is_ready |= inputs.is_due;
                is_ready |= app.as_mut().as_pin_mut().is_some_and(|app| app.poll(cx).is_ready());
                is_ready |= std::mem::take(&mut running.is_left_over);
                if !is_ready {
                    running.wait(cx);
                    return Poll::Pending;
                }
                running.take(&mut inputs);
                running.commit();
                running.transmit();
                let notified = running.notify(&events);
                running.set(alarm.as_mut());
                if running.engine.is_closed()
                    && let Some(running) = desk.take()
                {
                    return Poll::Ready(Turn::Last(Box::new(running)));
                }
                Poll::Ready(Turn::Done { app_is_busy: notified.is_err() })
            })
            .await;
            match turn {
                Turn::Done { app_is_busy: is_busy } => app_is_busy = is_busy,
                Turn::Last(running) => break running,
                Turn::Lost => resume_unwind(Box::new("a caller's turn ended by a panic")),
            }
        };
        let mut running = *running;
        // The last frames go out before the store, which blocks, is closed.
        poll_fn(|cx| Poll::Ready(running.poll_inputs(cx, &mut inputs))).await;
        let Running { store, last_replies, .. } = running;
        drop(store);
        for (waiting, result) in last_replies {
            let _unheard = waiting.reply.send(result);
        }
    }
}

/// How a turn of the driver ended.
enum Turn {
    Done {
        app_is_busy: bool,
    },
    /// The client is closed.
    Last(Box<Running>),
    /// A caller's turn ended by a panic.
    Lost,
}

/// What came for one turn.
#[derive(Debug, Default)]
struct Inputs {
    calls: Vec<Call>,
    /// Of the connection.
    socket: Vec<SocketEvent>,
    exchanges: Vec<Result<Exchange, tokio::task::JoinError>>,
    /// The alarm has gone off.
    is_due: bool,
    /// Turns since then that were full of socket events.
    turns_due: u32,
    /// Nobody holds the client any more.
    is_abandoned: bool,
}

/// The app has not taken the last events yet.
struct AppIsBusy;

impl Running {
    fn deadline(&self) -> Instant {
        /// Far enough to mean never.
        const IDLE: Duration = Duration::from_secs(24 * 60 * 60);
        let wait = self.engine.next_deadline().map_or(IDLE, Duration::from_micros);
        self.started + wait.min(self.started.elapsed() + IDLE)
    }

    /// The driver waits until something comes, or a caller's turn leaves it something.
    fn wait(&mut self, cx: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }

    /// Sets the alarm, if it is needed earlier: one that goes off too early costs less than setting it anew with each message.
    fn set(&mut self, alarm: Pin<&mut Sleep>) {
        let deadline = self.deadline();
        if deadline < self.alarm_at || alarm.is_elapsed() {
            self.alarm_at = deadline;
            alarm.reset(deadline.into());
        }
    }

    fn handle(&mut self, input: Input) {
        self.engine.handle(self.now, input, &mut *self.store, &mut self.outputs);
    }

    /// Writes what was sent, and reads. Returns whether anything came.
    fn poll_inputs(&mut self, cx: &mut Context<'_>, inputs: &mut Inputs) -> bool {
        while let Some(closing) = &mut self.closing
            && let Poll::Ready(event) = closing.poll_event(cx)
        {
            if matches!(event, SocketEvent::Closed(_)) {
                self.closing = None;
            }
        }
        if let Some(connection) = &mut self.connection {
            while inputs.socket.len() < SOCKET_EVENTS_PER_TURN_MAX
                && let Poll::Ready(event) = connection.socket.poll_event(cx)
            {
                inputs.socket.push(event);
            }
        }
        while let Poll::Ready(Some(ended)) = self.exchanges.poll_join_next(cx) {
            inputs.exchanges.push(ended);
        }
        !inputs.socket.is_empty() || !inputs.exchanges.is_empty()
    }

    fn take(&mut self, inputs: &mut Inputs) {
        self.now = read_clocks(self.started);
        let is_full = inputs.socket.len() == SOCKET_EVENTS_PER_TURN_MAX;
        // What came on the connection that there is now, before a call may end it.
        for event in inputs.socket.drain(..) {
            self.take_socket_event(event);
        }
        for call in inputs.calls.drain(..) {
            self.take_call(call);
        }
        for ended in inputs.exchanges.drain(..) {
            self.take_exchange(ended);
        }
        if std::mem::take(&mut inputs.is_abandoned) {
            self.take_command(Command::Close);
        }
        if inputs.is_due && is_full && inputs.turns_due < TURNS_BEFORE_TICK_MAX {
            inputs.turns_due += 1;
            return;
        }
        inputs.turns_due = 0;
        if std::mem::take(&mut inputs.is_due) && self.deadline() <= Instant::now() {
            self.take_movement();
            self.handle(Input::Tick);
        }
    }

    /// What moved since the last tick, before this one finds that something is overdue.
    fn take_movement(&mut self) {
        let Some(Connection { generation, socket, .. }) = &mut self.connection else { return };
        let (generation, moved) = (*generation, socket.take_movement());
        if moved != Movement::default() {
            self.handle(Input::SocketMoved { generation, received: moved.received });
        }
    }

    fn take_call(&mut self, call: Call) {
        let unsent_bytes = self.connection.as_ref().map_or(0, |connection| connection.socket.queued_bytes());
        self.engine.set_unsent_bytes(unsent_bytes as u64);
        let is_write = matches!(call.command, Command::Write { .. });
        let request = self.take_command(call.command);
        self.waiting.insert(request, Waiting { reply: call.reply, called_at: call.called_at, is_write });
    }

    fn take_command(&mut self, command: Command) -> RequestId {
        self.last_request += 1;
        self.handle(Input::Command { request: self.last_request, command });
        self.last_request
    }

    fn take_socket_event(&mut self, event: SocketEvent) {
        let Some(connection) = &mut self.connection else { return };
        let generation = connection.generation;
        let input = match event {
            SocketEvent::Opened => Input::SocketOpened(generation),
            SocketEvent::Closed(reason) => Input::SocketClosed(generation, reason.into()),
            SocketEvent::Frame(frame) => {
                self.bytes_received += frame.byte_len() as u64;
                match connection.decoder.feed(frame) {
                    Ok(None) => return,
                    Ok(Some(message)) => Input::SocketReceived(generation, message),
                    Err(error) => {
                        Input::SocketClosed(generation, Error::new(Code::Protocol, error.to_string()))
                    }
                }
            }
        };
        self.handle(input);
    }

    /// Makes durable what the turn accepted, before anything of it is answered or sent.
    fn commit(&mut self) {
        if !self.engine.needs_commit() {
            return;
        }
        let result = self.store.commit();
        self.now = read_clocks(self.started);
        let committed = result.is_ok();
        self.handle(result.map_or_else(Input::CommitFailed, |()| Input::Committed));
        if committed {
            let engine = &self.engine;
            if let Err(error) = self.store.compact_if_worthwhile(&mut || engine.live()) {
                tracing::warn!(%error, "journal not compacted");
            }
        }
    }

    fn transmit(&mut self) {
        let mut frames = Vec::new();
        for output in std::mem::take(&mut self.outputs) {
            match output {
                Output::Send(message) => match transport::encode(self.parser, &message) {
                    Ok(encoded) => frames.extend(encoded),
                    Err(error) => tracing::error!(%error, "message not encoded"),
                },
                Output::Open(generation) => self.open(generation),
                Output::Close(generation) => {
                    self.send(std::mem::take(&mut frames));
                    self.close(generation);
                }
                Output::ForgetHttpConnections => self.http.forget_connections(),
                Output::Http { job, run, request } => self.exchange(job, run, *request),
                Output::Reply(request, result) => self.reply(request, result),
            }
        }
        self.send(frames);
    }

    fn exchange(&mut self, job: JobId, run: u64, request: HttpRequest) {
        let http = self.http.clone();
        self.exchanges.spawn(async move { (job, run, http.send(request).await) });
    }

    fn take_exchange(&mut self, ended: Result<Exchange, tokio::task::JoinError>) {
        match ended {
            Ok((job, run, result)) => self.handle(Input::HttpDone { job, run, result }),
            // The engine stops waiting for it by itself.
            Err(error) => tracing::error!(%error, "a request ended by a panic"),
        }
    }

    fn send(&mut self, frames: Vec<Frame>) {
        if let Some(connection) = &mut self.connection
            && !frames.is_empty()
        {
            self.bytes_sent += frames.iter().map(|frame| frame.byte_len() as u64).sum::<u64>();
            connection.socket.send(frames);
        }
    }

    fn open(&mut self, generation: Generation) {
        let request = self.endpoint.clone();
        let socket = Socket::open(request);
        let decoder = Decoder::new(self.parser, DecodeLimits::DEFAULT);
        self.connection = Some(Connection { generation, socket, decoder });
    }

    fn close(&mut self, generation: Generation) {
        if let Some(mut connection) = self.connection.take_if(|open| open.generation == generation) {
            connection.socket.close();
            self.closing = Some(connection.socket);
        }
    }

    fn reply(&mut self, request: RequestId, mut result: Result<Reply, Error>) {
        // The driver's own commands have nobody waiting.
        let Some(waiting) = self.waiting.remove(&request) else { return };
        if waiting.is_write && result.is_ok() {
            self.local_write_us.record(micros(waiting.called_at.elapsed()));
        }
        if let Ok(Reply::Stats(stats)) = &mut result {
            stats.uptime_ms = micros(self.started.elapsed()) / 1000;
            stats.local_write_us = self.local_write_us.quantiles();
            stats.bytes_sent = self.bytes_sent;
            stats.bytes_received = self.bytes_received;
        }
        if self.engine.is_closed() {
            return self.last_replies.push((waiting, result));
        }
        // The caller may have lost interest.
        let _unheard = waiting.reply.send(result);
    }

    fn notify(&mut self, events: &mpsc::Sender<Vec<Event>>) -> Result<(), AppIsBusy> {
        match events.try_reserve() {
            Ok(permit) => {
                let batch = self.engine.poll_events(self.now, &mut *self.store);
                if !batch.is_empty() {
                    permit.send(batch);
                }
                Ok(())
            }
            Err(mpsc::error::TrySendError::Full(())) => Err(AppIsBusy),
            Err(mpsc::error::TrySendError::Closed(())) => Ok(()),
        }
    }
}

fn read_clocks(started: Instant) -> Now {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mono_us = micros(started.elapsed());
    Now {
        mono_us,
        lived_ms: clock::lived_ms().unwrap_or(mono_us / 1000),
        wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl From<CloseReason> for Error {
    fn from(reason: CloseReason) -> Self {
        let code = match &reason {
            reason if reason.is_auth() => Code::Unauthorized,
            CloseReason::Protocol(_) | CloseReason::TooLarge => Code::Protocol,
            CloseReason::Timeout => Code::Timeout,
            CloseReason::Tls(TlsFailure::Pin) => Code::TlsPinMismatch,
            CloseReason::Tls(TlsFailure::NoSystemCheck) => Code::TlsNotReady,
            _ => Code::Unreachable,
        };
        let retry_after_ms = reason.retry_after_ms().map(|ms| ms.min(RETRY_AFTER_MS_MAX));
        Self { retry_after_ms, ..Self::new(code, reason.to_string()) }
    }
}
