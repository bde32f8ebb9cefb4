//! Turns of the driver that its callers take, and a panic inside the core, done on purpose in a store.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use syncline_protocol::Room;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::store::{Cache, Entry, Live, Record, Retain, RoomUpdate, StoreStats};

const PATIENCE: Duration = Duration::from_secs(20);

/// Where a store panics.
#[derive(Default)]
struct Mines {
    at_commit: AtomicBool,
    /// In every turn that a caller takes.
    at_callers_turn: AtomicBool,
}

/// A real store that panics where it is told to.
struct PanickingStore {
    inner: Box<dyn Store + Send>,
    mines: Arc<Mines>,
}

impl Store for PanickingStore {
    fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        self.inner.append(record)
    }

    fn append_after_flush(&mut self, record: Record) {
        self.inner.append_after_flush(record);
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        assert!(!self.mines.at_commit.load(Ordering::SeqCst), "for the test");
        self.inner.commit()
    }

    fn entry(&self, client_seq: u64) -> Result<Entry, StoreError> {
        self.inner.entry(client_seq)
    }

    fn compact_if_worthwhile(&mut self, live: &mut dyn FnMut() -> Live) -> Result<(), StoreError> {
        self.inner.compact_if_worthwhile(live)
    }

    fn replace_journal(&mut self, live: &Live) -> Result<(), StoreError> {
        self.inner.replace_journal(live)
    }

    fn rewrite_cache(&mut self, version: Option<u32>, retain: &mut dyn Retain) -> Result<(), StoreError> {
        self.inner.rewrite_cache(version, retain)
    }

    fn apply(&mut self, room: &Room, update: &RoomUpdate<'_>) -> Result<(), StoreError> {
        self.inner.apply(room, update)
    }

    fn take_loss(&mut self) -> Option<String> {
        let is_caller = std::thread::current().name() != Some(DRIVER_THREAD);
        assert!(!(is_caller && self.mines.at_callers_turn.load(Ordering::SeqCst)), "for the test");
        self.inner.take_loss()
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.inner.flush()
    }

    fn stats(&self) -> StoreStats {
        self.inner.stats()
    }

    fn cache(&self) -> &dyn Cache {
        self.inner.cache()
    }

    fn cache_mut(&mut self) -> &mut dyn Cache {
        self.inner.cache_mut()
    }
}

/// A client as [`Client::open`] makes it, over such a store.
fn open(config: ClientConfig, mines: Arc<Mines>, sink: impl EventSink) -> Client {
    let (calls, inbox) = mpsc::channel(CALLS_QUEUED_MAX);
    let endpoint = config.endpoint().unwrap();
    let http = config.http(&endpoint).unwrap();
    let runtime = runtime().unwrap();
    let handle = runtime.handle().clone();
    let desk = Arc::new(Desk::default());
    let driver_desk = Arc::clone(&desk);
    let body = move || {
        let mut driver = prepare(config, endpoint, http, inbox, driver_desk, Box::new(sink)).unwrap();
        driver.store = Box::new(PanickingStore { inner: driver.store, mines });
        run(driver, runtime);
    };
    spawn(DRIVER_THREAD, DRIVER_STACK_BYTES, Box::new(body)).unwrap();
    Client { calls, desk, runtime: handle }
}

/// A sink, and the events that it is told.
fn heard() -> (impl EventSink, mpsc::Receiver<Event>) {
    let (told, events) = mpsc::channel(64);
    let sink = move |batch: Vec<Event>| batch.into_iter().for_each(|event| drop(told.try_send(event)));
    (sink, events)
}

/// Waits for such an event.
async fn until(events: &mut mpsc::Receiver<Event>, is_it: impl Fn(&Event) -> bool) {
    let told = async { while !is_it(&events.recv().await.expect("it is told")) {} };
    tokio::time::timeout(PATIENCE, told).await.unwrap();
}

fn is_closed(event: &Event) -> bool {
    matches!(event, Event::Connection { status } if status.state == ConnectionState::Closed)
}

fn write(id: &str) -> Command {
    let write =
        serde_json::json!({"room": "user:ada", "collection": "notes", "id": id, "write": {"create": {}}});
    serde_json::from_value(serde_json::json!({"type": "write", "writes": [write]})).unwrap()
}

#[tokio::test]
async fn a_panic_in_the_core_is_a_typed_error_and_the_app_opens_its_data_again() {
    let directory = tempfile::tempdir().unwrap();
    let config = ClientConfig {
        directory: Some(directory.path().to_path_buf()),
        auto_connect: false,
        ..ClientConfig::new("http://127.0.0.1:9")
    };
    let mines = Arc::new(Mines::default());
    let (sink, mut events) = heard();
    let client = open(config.clone(), Arc::clone(&mines), sink);
    client.execute(write("accepted")).await.unwrap();
    mines.at_commit.store(true, Ordering::SeqCst);
    let error = tokio::time::timeout(PATIENCE, client.execute(write("lost"))).await.unwrap().unwrap_err();
    assert_eq!(error.code, Code::Closed);
    until(&mut events, |event| matches!(event, Event::Error { error } if error.code == Code::Internal)).await;
    let closed = tokio::time::timeout(PATIENCE, events.recv()).await.unwrap();
    assert!(closed.is_some_and(|event| is_closed(&event)));
    assert_eq!(client.execute(Command::Queue).await.unwrap_err().code, Code::Closed);

    let client = Client::open(config, |_: Vec<Event>| {}).await.unwrap();
    let Reply::Queue(queue) = client.execute(Command::Queue).await.unwrap() else { panic!("no queue") };
    assert_eq!(queue.count, 1, "what was accepted");
    client.execute(Command::Close).await.unwrap();
}

/// A Socket.IO backend for one connection, which answers every event that asks for it, and tells of each.
async fn backend() -> (ClientConfig, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = ClientConfig {
        store: StoreKind::Memory,
        parser: Parser::Json,
        auto_connect: false,
        ..ClientConfig::new(format!("http://{}", listener.local_addr().unwrap()))
    };
    config.settings.token_required = false;
    let (told, heard) = mpsc::channel(1024);
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(tcp).await.unwrap();
        let open =
            r#"0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        socket.send(Message::text(open)).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else { continue };
            if text.starts_with("40") {
                socket.send(Message::text(r#"40{"sid":"b"}"#)).await.unwrap();
            } else if let Some(event) = text.strip_prefix("42") {
                let id = event.split('[').next().unwrap();
                if !id.is_empty() {
                    socket.send(Message::text(format!("43{id}[]"))).await.unwrap();
                }
                told.send(event[id.len()..].to_owned()).await.unwrap();
            }
        }
    });
    (config, heard)
}

fn command(of: serde_json::Value) -> Command {
    serde_json::from_value(of).unwrap()
}

/// Has the caller take the turn, once the driver rests.
async fn execute_as_caller(client: &Client, command: Command) -> Result<Reply, Error> {
    let (reply, result) = oneshot::channel();
    let mut call = Call { command, called_at: Instant::now(), reply };
    let taken = async {
        while let Some(returned) = client.desk.take(call, &client.calls) {
            call = returned;
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, taken).await.expect("the driver rests");
    tokio::time::timeout(PATIENCE, result).await.unwrap().map_err(|_| Error::closed())?
}

#[tokio::test]
async fn an_event_that_its_caller_sends_is_answered() {
    let (config, mut heard) = backend().await;
    let client = open(config, Arc::default(), |_: Vec<Event>| {});
    client.execute(Command::Connect).await.unwrap();
    for round in 0..20 {
        let emit = command(serde_json::json!({"type": "emitWithAck", "event": "echo", "args": [round]}));
        let reply = execute_as_caller(&client, emit).await.unwrap();
        assert!(matches!(reply, Reply::Answered(_)), "{reply:?}");
        assert_eq!(heard.recv().await.unwrap(), format!(r#"["echo",{round}]"#));
    }
    client.execute(Command::Close).await.unwrap();
}

#[tokio::test]
async fn an_event_that_its_caller_sends_overtakes_nothing_that_was_called_before() {
    let (config, mut heard) = backend().await;
    let client = open(config, Arc::default(), |_: Vec<Event>| {});
    client.execute(Command::Connect).await.unwrap();
    for round in 0..100 {
        for _ in 0..round % 4 {
            client.post(command(serde_json::json!({"type": "emit", "event": "before", "args": []}))).unwrap();
        }
        let emit = command(serde_json::json!({"type": "emitWithAck", "event": "last", "args": []}));
        client.execute(emit).await.unwrap();
        for _ in 0..round % 4 {
            assert_eq!(heard.recv().await.unwrap(), r#"["before"]"#);
        }
        assert_eq!(heard.recv().await.unwrap(), r#"["last"]"#);
    }
    client.execute(Command::Close).await.unwrap();
}

#[tokio::test]
async fn a_panic_in_a_callers_turn_ends_the_client_and_not_the_caller() {
    let (config, _heard) = backend().await;
    let (sink, mut events) = heard();
    let mines = Arc::new(Mines::default());
    let client = open(config, Arc::clone(&mines), sink);
    client.execute(Command::Connect).await.unwrap();
    let emit = serde_json::json!({"type": "emitWithAck", "event": "echo", "args": []});
    execute_as_caller(&client, command(emit.clone())).await.unwrap();
    mines.at_callers_turn.store(true, Ordering::SeqCst);
    let error = execute_as_caller(&client, command(emit)).await.unwrap_err();
    assert_eq!(error.code, Code::Closed);
    until(&mut events, is_closed).await;
    assert_eq!(client.execute(Command::Queue).await.unwrap_err().code, Code::Closed);
}
