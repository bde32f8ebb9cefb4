//! A panic inside the core, done on purpose in a store.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use syncline_protocol::Room;

use super::*;
use crate::store::{Cache, Entry, Live, Record, Retain, RoomUpdate, StoreStats};

const PATIENCE: Duration = Duration::from_secs(20);

/// A real store that panics at the next commit once it is armed.
struct PanickingStore {
    inner: Box<dyn Store + Send>,
    armed: Arc<AtomicBool>,
}

impl Store for PanickingStore {
    fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        self.inner.append(record)
    }

    fn append_after_flush(&mut self, record: Record) {
        self.inner.append_after_flush(record);
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        assert!(!self.armed.load(Ordering::SeqCst), "for the test");
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
fn open(config: ClientConfig, armed: Arc<AtomicBool>, sink: impl EventSink) -> Client {
    let (calls, inbox) = mpsc::channel(CALLS_QUEUED_MAX);
    let endpoint = config.endpoint().unwrap();
    let http = config.http(&endpoint).unwrap();
    let runtime = runtime().unwrap();
    let handle = runtime.handle().clone();
    let desk = Arc::new(Desk::default());
    let driver_desk = Arc::clone(&desk);
    spawn("syncline", DRIVER_STACK_BYTES, move || {
        let mut driver = prepare(config, endpoint, http, inbox, driver_desk, Box::new(sink)).unwrap();
        driver.store = Box::new(PanickingStore { inner: driver.store, armed });
        run(driver, runtime);
    })
    .unwrap();
    Client { calls, desk, runtime: handle }
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
    let armed = Arc::new(AtomicBool::new(false));
    let (told, mut events) = mpsc::channel(64);
    let client = open(config.clone(), Arc::clone(&armed), move |batch: Vec<Event>| {
        batch.into_iter().for_each(|event| drop(told.try_send(event)));
    });
    client.execute(write("accepted")).await.unwrap();
    armed.store(true, Ordering::SeqCst);
    let error = tokio::time::timeout(PATIENCE, client.execute(write("lost"))).await.unwrap().unwrap_err();
    assert_eq!(error.code, Code::Closed);
    let internal = async {
        loop {
            match events.recv().await.expect("an error event") {
                Event::Error { error } if error.code == Code::Internal => break,
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, internal).await.unwrap();
    let closed = tokio::time::timeout(PATIENCE, events.recv()).await.unwrap();
    assert!(matches!(closed, Some(Event::Connection { status }) if status.state == ConnectionState::Closed));
    assert_eq!(client.execute(Command::Queue).await.unwrap_err().code, Code::Closed);

    let client = Client::open(config, |_: Vec<Event>| {}).await.unwrap();
    let Reply::Queue(queue) = client.execute(Command::Queue).await.unwrap() else { panic!("no queue") };
    assert_eq!(queue.count, 1, "what was accepted");
    client.execute(Command::Close).await.unwrap();
}
