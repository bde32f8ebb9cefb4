//! A listener of the app that panics, blocks, or calls back in: it harms itself at most.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::{Value as Json, json};
use syncline::{Client, ClientConfig, Command, Event, Reply};
use syncline_ffi::json::{self, EventSink, Parcel};
use syncline_integration::PATIENCE;
use tempfile::TempDir;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

fn config(directory: &Path) -> ClientConfig {
    ClientConfig {
        directory: Some(directory.to_path_buf()),
        auto_connect: false,
        ..ClientConfig::new("http://127.0.0.1:9")
    }
}

fn command(command: Json) -> Command {
    serde_json::from_value(command).unwrap()
}

fn create(number: u64) -> Json {
    let write = json!({
        "room": "user:ada", "collection": "notes", "id": format!("n{number}"), "write": {"create": {"number": number}},
    });
    json!({"type": "write", "writes": [write]})
}

async fn run(client: &Client, json: Json) -> Reply {
    timeout(PATIENCE, client.execute(command(json))).await.expect("an answer in time").unwrap()
}

async fn queued(client: &Client) -> u64 {
    match run(client, json!({"type": "queue"})).await {
        Reply::Queue(status) => status.count,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_listener_that_panics_hears_the_next_event_and_the_client_goes_on() {
    let directory = TempDir::new().unwrap();
    let (heard, mut panics) = mpsc::channel(64);
    let client = Client::open(config(directory.path()), move |_: Vec<Event>| {
        // Full: heard often enough.
        let _ = heard.try_send(());
        panic!("the listener's own mistake");
    })
    .await
    .unwrap();
    for number in 0..20 {
        run(&client, create(number)).await;
        timeout(PATIENCE, panics.recv()).await.expect("it is called again").unwrap();
    }
    assert_eq!(queued(&client).await, 20);
    run(&client, json!({"type": "close"})).await;
}

/// Blocks in its first call until it is let go, and counts its calls and the rows it was told of.
struct Blocking {
    gate: Receiver<()>,
    calls: Arc<AtomicU64>,
    rows: Arc<Mutex<BTreeMap<String, u64>>>,
    told: Arc<Notify>,
}

impl syncline::EventSink for Blocking {
    fn events(&mut self, events: Vec<Event>) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        // An error says that the gate is open for good.
        let _open = self.gate.recv();
        for event in events {
            if let Event::Rows { upserted, .. } = event {
                let mut rows = self.rows.lock().unwrap();
                upserted.into_iter().for_each(|row| *rows.entry(row.id).or_default() += 1);
            }
        }
        self.told.notify_one();
    }
}

fn blocking() -> (Blocking, SyncSender<()>) {
    let (open, gate) = sync_channel(0);
    let blocking = Blocking { gate, calls: Arc::default(), rows: Arc::default(), told: Arc::default() };
    (blocking, open)
}

#[tokio::test]
async fn a_listener_that_blocks_delays_events_and_nothing_else() {
    const WRITES: u64 = 2_000;
    let directory = TempDir::new().unwrap();
    let (sink, gate) = blocking();
    let (calls, rows, told) = (Arc::clone(&sink.calls), Arc::clone(&sink.rows), Arc::clone(&sink.told));
    let client = Client::open(config(directory.path()), sink).await.unwrap();
    run(&client, json!({"type": "watch", "room": "user:ada", "collection": "notes"})).await;
    for number in 0..WRITES {
        // The same documents again and again: what is not told yet is told once.
        run(&client, create(number % 100)).await;
    }
    assert_eq!(queued(&client).await, WRITES);
    assert!(calls.load(Ordering::Relaxed) <= 1, "it was called while it was busy");
    drop(gate);
    timeout(PATIENCE, async {
        while rows.lock().unwrap().len() < 100 {
            told.notified().await;
        }
    })
    .await
    .expect("all rows are told");
    let told_rows: u64 = rows.lock().unwrap().values().sum();
    assert!(told_rows <= 300, "{told_rows} rows for 100 documents were kept for it");
    run(&client, json!({"type": "close"})).await;
}

#[tokio::test]
async fn a_client_closes_while_its_listener_blocks() {
    let directory = TempDir::new().unwrap();
    let (sink, gate) = blocking();
    let client = Client::open(config(directory.path()), sink).await.unwrap();
    run(&client, create(1)).await;
    run(&client, json!({"type": "close"})).await;
    let next = Client::open(config(directory.path()), |_| ()).await.expect("the directory is free");
    assert_eq!(queued(&next).await, 1);
    run(&next, json!({"type": "close"})).await;
    drop(gate);
}

#[tokio::test]
async fn a_listener_may_call_the_client_and_wait_for_the_answer() {
    let directory = TempDir::new().unwrap();
    let this: Arc<OnceLock<Client>> = Arc::default();
    let (answered, mut answers) = mpsc::channel(64);
    let inside = Arc::clone(&this);
    let runtime = tokio::runtime::Handle::current();
    let mut number = 1_000;
    let sink = move |_: Vec<Event>| {
        let Some(client) = inside.get() else { return };
        number += 1;
        let write = client.execute(command(create(number)));
        let reply = runtime.block_on(write);
        // Full: answered often enough.
        let _ = answered.try_send(reply.is_ok());
    };
    let client = Client::open(config(directory.path()), sink).await.unwrap();
    this.set(client.clone()).unwrap();
    run(&client, create(1)).await;
    // Each answer brings the next event, and so the next call.
    for _ in 0..50 {
        assert!(timeout(PATIENCE, answers.recv()).await.expect("no deadlock").unwrap());
    }
    assert!(queued(&client).await > 50);
    run(&client, json!({"type": "close"})).await;
}

/// Closes its own client from within an event, through the façade.
struct ClosesItself {
    runtime: tokio::runtime::Handle,
    closed: mpsc::Sender<String>,
}

impl EventSink for ClosesItself {
    fn events(&self, client: u64, _events: Parcel) {
        let reply = self.runtime.block_on(json::call(client, json!({"type": "close"}).to_string().into()));
        // Only the first close is waited for.
        let _ = self.closed.try_send(reply.text);
        panic!("and panics on its way out");
    }
}

#[tokio::test]
async fn javascript_may_close_its_client_from_within_an_event() {
    let directory = TempDir::new().unwrap();
    let (closed, mut replies) = mpsc::channel(1);
    let sink = Arc::new(ClosesItself { runtime: tokio::runtime::Handle::current(), closed });
    let config = json!({"url": "http://127.0.0.1:9", "directory": directory.path(), "autoConnect": false});
    let reply: Json = serde_json::from_str(&json::open(config.to_string(), sink).await).unwrap();
    let client = reply["ok"]["client"].as_u64().unwrap();
    let write = timeout(PATIENCE, json::call(client, create(1).to_string().into()))
        .await
        .expect("an answer in time")
        .text;
    assert!(write.contains("clientSeqs") || write.contains("closed"), "{write}");
    let closed = timeout(PATIENCE, replies.recv()).await.expect("no deadlock").unwrap();
    assert!(closed.contains("ok"), "{closed}");
    let late: Json =
        serde_json::from_str(&json::call(client, create(2).to_string().into()).await.text).unwrap();
    assert_eq!(late["error"]["code"], "closed");
}
