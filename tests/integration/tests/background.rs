//! Rounds of synchronization without JavaScript, and secrets that the device keeps: the façade against the real server, with a
//! device in memory. Keychain and Keystore exist on phones only.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Instant;

use futures_util::FutureExt;
use serde_json::{Value as Json, json};
use syncline_ffi::background::{BackgroundOutcome, json_background_sync};
use syncline_ffi::cancel::CancelHandle;
use syncline_ffi::device::{Device as System, DeviceError, json_set_device};
use syncline_ffi::json::{self, AppState, EventSink, Parcel};
use syncline_ffi::rest::json_at_rest;
use syncline_integration::{Device, PATIENCE, TestServer, token};
use tempfile::TempDir;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};
use tokio::task::JoinHandle;

#[path = "background/kept.rs"]
mod kept;

const ROOM: &str = "list:a";
/// Longer than any test waits.
const LONG_MS: u64 = 600_000;

struct Phone {
    root: Mutex<PathBuf>,
    secrets: Mutex<BTreeMap<String, Vec<u8>>>,
    locked: Mutex<bool>,
    /// Held by a test while the device shall take its time.
    busy: Mutex<()>,
    /// How often it is asked for rounds, if it is.
    every_ms: Mutex<Option<u64>>,
}

impl Phone {
    fn unlocked(&self) -> Result<std::sync::MutexGuard<'_, BTreeMap<String, Vec<u8>>>, DeviceError> {
        if *self.locked.lock().unwrap() { Err(DeviceError::Locked) } else { Ok(self.secrets.lock().unwrap()) }
    }

    fn holds(&self, text: &str) -> bool {
        let secrets = self.secrets.lock().unwrap();
        secrets.values().any(|secret| String::from_utf8_lossy(secret).contains(text))
    }
}

impl System for Phone {
    fn directory(&self) -> Result<String, DeviceError> {
        Ok(self.root.lock().unwrap().to_str().unwrap().to_owned())
    }

    fn read_secret(&self, name: String) -> Result<Option<Vec<u8>>, DeviceError> {
        Ok(self.unlocked()?.get(&name).cloned())
    }

    fn keep_secret(&self, name: String, secret: Vec<u8>) -> Result<(), DeviceError> {
        drop(self.busy.lock().unwrap());
        self.unlocked()?.insert(name, secret);
        Ok(())
    }

    fn forget_secret(&self, name: String) -> Result<(), DeviceError> {
        self.unlocked()?.remove(&name);
        Ok(())
    }

    fn schedule(&self, every_ms: u64) -> Result<(), DeviceError> {
        *self.every_ms.lock().unwrap() = Some(every_ms);
        Ok(())
    }

    fn unschedule(&self) -> Result<(), DeviceError> {
        *self.every_ms.lock().unwrap() = None;
        Ok(())
    }
}

/// A process has one device, so one test at a time uses it.
static ONE_AT_A_TIME: AsyncMutex<()> = AsyncMutex::const_new(());

struct Bench {
    phone: Arc<Phone>,
    root: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Bench {
    async fn new() -> Self {
        let alone = ONE_AT_A_TIME.lock().await;
        let root = TempDir::new().unwrap();
        let phone = Arc::new(Phone {
            root: Mutex::new(root.path().join("syncline")),
            secrets: Mutex::default(),
            locked: Mutex::new(false),
            busy: Mutex::default(),
            every_ms: Mutex::new(None),
        });
        json_set_device(phone.clone());
        json::set_app_state(AppState::Active);
        Self { phone, root, _alone: alone }
    }

    fn directory(&self) -> PathBuf {
        self.phone.root.lock().unwrap().join("default")
    }

    fn options(&self, url: &str) -> Json {
        json!({
            "url": url,
            "directory": self.directory(),
            "token": token("ada", &[ROOM]),
            "autoConnect": false,
            "background": {"everyMs": 3_600_000, "deadlineMs": PATIENCE.as_millis() as u64},
        })
    }

    /// The options of an app with `getToken`.
    fn options_without_token(&self, url: &str) -> Json {
        let mut options = self.options(url);
        options.as_object_mut().unwrap().remove("token");
        options
    }

    /// What JavaScript does: opens, follows a room, writes a note, is put into the background, and is killed.
    async fn app_came_and_went(&self, options: &Json) {
        self.app_came_and_went_with(options, None).await;
    }

    /// The same with a token that is fetched when the client is open.
    async fn app_came_and_went_with(&self, options: &Json, fetched: Option<&str>) {
        let client = open(options).await;
        if let Some(token) = fetched {
            call(client, json!({"type": "setToken", "token": token})).await;
        }
        call(client, json!({"type": "subscribe", "room": ROOM})).await;
        call(client, create("from the phone")).await;
        json::set_app_state(AppState::Background);
        json::close_all().await;
    }
}

/// Takes how the connection is.
struct Watcher(mpsc::SyncSender<String>);

impl EventSink for Watcher {
    fn events(&self, _client: u64, events: Parcel) {
        let events: Vec<Json> = serde_json::from_str(&events.text).unwrap();
        for event in events.iter().filter(|event| event["type"] == "connection") {
            // Nobody asks any more when the test is over.
            let _ = self.0.try_send(event["status"]["state"].as_str().unwrap().to_owned());
        }
    }
}

struct Deaf;

impl EventSink for Deaf {
    fn events(&self, _client: u64, _events: Parcel) {}
}

async fn try_open(options: &Json) -> Json {
    try_open_for(options, Arc::new(Deaf)).await
}

async fn try_open_for(options: &Json, sink: Arc<dyn EventSink>) -> Json {
    serde_json::from_str(&json::open(options.to_string(), sink).await).unwrap()
}

async fn open(options: &Json) -> u64 {
    let reply = try_open(options).await;
    reply["ok"]["client"].as_u64().unwrap_or_else(|| panic!("{reply}"))
}

async fn call(client: u64, command: Json) -> Json {
    let reply: Json =
        serde_json::from_str(&json::call(client, command.to_string().into()).await.text).unwrap();
    assert!(reply.get("ok").is_some(), "{reply}");
    reply["ok"].clone()
}

/// What a call is refused with.
async fn refused(client: u64, command: Json) -> String {
    let reply: Json =
        serde_json::from_str(&json::call(client, command.to_string().into()).await.text).unwrap();
    reply["error"]["code"].as_str().expect("it was not refused").to_owned()
}

fn create(id: &str) -> Json {
    let write = json!({"room": ROOM, "collection": "notes", "id": id, "write": {"create": {}}});
    json!({"type": "write", "writes": [write]})
}

async fn holds(client: u64, id: &str) -> bool {
    let document = json!({"type": "document", "room": ROOM, "collection": "notes", "id": id});
    !call(client, document).await["row"].is_null()
}

async fn round() -> BackgroundOutcome {
    round_until(CancelHandle::new()).await
}

async fn round_until(cancel: Arc<CancelHandle>) -> BackgroundOutcome {
    tokio::time::timeout(PATIENCE * 2, json_background_sync(cancel)).await.unwrap()
}

/// A round under way, with a server that never says anything.
struct Stuck {
    options: Json,
    cancel: Arc<CancelHandle>,
    running: JoinHandle<BackgroundOutcome>,
    _silent: (TcpListener, TcpStream),
}

impl Stuck {
    async fn new(bench: &Bench) -> Self {
        let (listener, url) = silent();
        let mut options = bench.options(&url);
        options["background"]["deadlineMs"] = json!(LONG_MS);
        bench.app_came_and_went(&options).await;
        let cancel = CancelHandle::new();
        let running = tokio::spawn(round_until(cancel.clone()));
        Self { options, cancel, running, _silent: until_dialed(listener).await }
    }
}

/// Takes connections and never says anything.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

async fn other_device(server: &TestServer, data: &Path) -> Device {
    let device = Device::of("bob", &[ROOM], &server.url(), data).await;
    device.watch(ROOM).await;
    device
}

#[tokio::test]
async fn an_app_that_is_not_running_sends_what_waits_and_gets_what_is_new() {
    let bench = Bench::new().await;
    let (data, bobs) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = TestServer::start(data.path()).await;
    let mut options = bench.options(&server.url());
    options["encryption"] = json!("device");
    bench.app_came_and_went(&options).await;
    assert_eq!(*bench.phone.every_ms.lock().unwrap(), Some(3_600_000));
    let bob = other_device(&server, bobs.path()).await;
    bob.write(ROOM, "from bob", json!({"create": {}})).await.unwrap();
    bob.synced(ROOM).await;

    assert_eq!(round().await, BackgroundOutcome::Complete);

    bob.until("the note of the phone", |seen| {
        seen.rows.values().any(|rows| rows.contains_key("from the phone"))
    })
    .await;
    bob.close().await;
    server.stop().await;
    let client = open(&options).await;
    assert!(holds(client, "from bob").await);
    assert_eq!(call(client, json!({"type": "queue"})).await["count"], 0);
    json::close_all().await;
}

#[tokio::test]
async fn the_clients_are_at_rest_when_the_grace_in_the_background_is_over() {
    let bench = Bench::new().await;
    let data = TempDir::new().unwrap();
    let server = TestServer::start(data.path()).await;
    let mut options = bench.options(&server.url());
    options["settings"] = json!({"backgroundGraceMs": 50});
    let (watcher, states) = mpsc::sync_channel(64);
    let reply = try_open_for(&options, Arc::new(Watcher(watcher))).await;
    let client = reply["ok"]["client"].as_u64().unwrap();
    call(client, json!({"type": "connect"})).await;
    while states.recv_timeout(PATIENCE).unwrap() != "open" {}

    let cancel = CancelHandle::new();
    let mut rest = Box::pin(json_at_rest(cancel.clone()));
    assert!(rest.as_mut().now_or_never().is_none(), "it has a connection");
    cancel.cancel();
    tokio::time::timeout(PATIENCE, rest).await.unwrap();
    let rest = tokio::spawn(json_at_rest(CancelHandle::new()));
    json::set_app_state(AppState::Background);
    tokio::time::timeout(PATIENCE, rest).await.unwrap().unwrap();
    assert_eq!(call(client, json!({"type": "connection"})).await["state"], "suspended");
    json::close_all().await;
    server.stop().await;
}

#[tokio::test]
async fn a_client_whose_request_is_under_way_is_not_at_rest_though_it_has_no_connection() {
    let bench = Bench::new().await;
    let (listener, url) = silent();
    let mut options = bench.options(&url);
    options["autoConnect"] = json!(false);
    let client = open(&options).await;
    let job = json!({"request": {"method": "POST", "url": "/photos"}});
    call(client, json!({"type": "jobs", "command": {"type": "enqueue", "jobs": [{"work": job}]}})).await;
    let (_listener, server) = until_dialed(listener).await;
    let is_busy = async {
        while json_at_rest(CancelHandle::new()).now_or_never().is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, is_busy).await.expect("at rest while a request is under way");
    drop(server);
    json::close_all().await;
    tokio::time::timeout(PATIENCE, json_at_rest(CancelHandle::new())).await.unwrap();
}

#[tokio::test]
async fn a_client_that_is_open_does_the_round_itself_and_stays_open() {
    let bench = Bench::new().await;
    let data = TempDir::new().unwrap();
    let server = TestServer::start(data.path()).await;
    let client = open(&bench.options(&server.url())).await;
    call(client, create("a")).await;
    assert_eq!(round().await, BackgroundOutcome::Complete);
    assert_eq!(call(client, json!({"type": "queue"})).await["count"], 0);
    json::close_all().await;
    server.stop().await;
}

#[tokio::test]
async fn javascript_that_opens_during_a_round_takes_over_and_the_round_goes_on_with_its_client() {
    let bench = Bench::new().await;
    let data = TempDir::new().unwrap();
    let server = TestServer::start(data.path()).await;
    let mut stuck = Stuck::new(&bench).await;
    stuck.options["url"] = json!(server.url());
    let client = open(&stuck.options).await;
    assert_eq!(stuck.running.await.unwrap(), BackgroundOutcome::Complete);
    assert!(holds(client, "from the phone").await);
    assert_eq!(call(client, json!({"type": "queue"})).await["count"], 0);
    json::close_all().await;
    server.stop().await;
}

/// Waits until the round has opened the directory and dials.
async fn until_dialed(listener: TcpListener) -> (TcpListener, TcpStream) {
    let accepted = tokio::task::spawn_blocking(move || {
        let (stream, _) = listener.accept().unwrap();
        (listener, stream)
    });
    tokio::time::timeout(PATIENCE, accepted).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_round_that_is_cancelled_ends_soon_and_leaves_the_directory() {
    let bench = Bench::new().await;
    let stuck = Stuck::new(&bench).await;
    stuck.cancel.cancel();
    let outcome = tokio::time::timeout(PATIENCE, stuck.running).await.unwrap().unwrap();
    assert_eq!(outcome, BackgroundOutcome::Incomplete);
    let client = open(&stuck.options).await;
    assert!(holds(client, "from the phone").await);
    json::close_all().await;
}

#[tokio::test]
async fn a_round_that_is_abandoned_closes_what_it_opened() {
    let bench = Bench::new().await;
    let stuck = Stuck::new(&bench).await;
    stuck.running.abort();
    let started = Instant::now();
    let client = loop {
        let reply = try_open(&stuck.options).await;
        if let Some(client) = reply["ok"]["client"].as_u64() {
            break client;
        }
        assert_eq!(reply["error"]["code"], "in_use");
        assert!(started.elapsed() < PATIENCE, "it was never closed");
        tokio::task::yield_now().await;
    };
    assert!(holds(client, "from the phone").await);
    json::close_all().await;
}

#[tokio::test]
async fn a_token_that_the_server_refuses_ends_the_round_at_once() {
    let bench = Bench::new().await;
    let data = TempDir::new().unwrap();
    let server = TestServer::start(data.path()).await;
    let mut options = bench.options(&server.url());
    options["token"] = json!("no token of this server");
    options["background"]["deadlineMs"] = json!(LONG_MS);
    bench.app_came_and_went(&options).await;
    assert_eq!(round().await, BackgroundOutcome::Incomplete);
    server.stop().await;
}

#[tokio::test]
async fn an_update_of_the_app_may_move_its_folders() {
    let bench = Bench::new().await;
    let data = TempDir::new().unwrap();
    let server = TestServer::start(data.path()).await;
    bench.app_came_and_went(&bench.options(&server.url())).await;
    let moved = bench.root.path().join("moved");
    std::fs::rename(bench.root.path().join("syncline"), &moved).unwrap();
    *bench.phone.root.lock().unwrap() = moved;
    assert_eq!(round().await, BackgroundOutcome::Complete);
    let client = open(&bench.options(&server.url())).await;
    assert_eq!(call(client, json!({"type": "queue"})).await["count"], 0);
    json::close_all().await;
    server.stop().await;
}

#[tokio::test]
async fn what_an_installation_before_this_one_left_is_forgotten() {
    let bench = Bench::new().await;
    let (_listener, url) = silent();
    bench.app_came_and_went(&bench.options(&url)).await;
    std::fs::remove_dir_all(bench.directory()).unwrap();
    assert_eq!(round().await, BackgroundOutcome::Complete);
    assert_eq!(round().await, BackgroundOutcome::Nothing);
    assert!(!bench.directory().exists());
}

#[tokio::test]
async fn the_device_keeps_one_key_and_nothing_opens_without_it() {
    let bench = Bench::new().await;
    let (_listener, url) = silent();
    let mut options = bench.options(&url);
    options.as_object_mut().unwrap().remove("background");
    options["encryption"] = json!("device");
    let client = open(&options).await;
    call(client, create("a canary")).await;
    json::close_all().await;
    let kept = bench.phone.secrets.lock().unwrap().clone();
    assert_eq!(kept.len(), 1);
    let client = open(&options).await;
    assert!(holds(client, "a canary").await);
    json::close_all().await;
    assert_eq!(*bench.phone.secrets.lock().unwrap(), kept, "the same key");

    let mut files = vec![bench.directory()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(8).any(|window| window == b"a canary"), "{}", path.display());
        }
    }

    bench.phone.secrets.lock().unwrap().clear();
    assert_eq!(try_open(&options).await["error"]["code"], "wrong_key");
    *bench.phone.secrets.lock().unwrap() = kept;
    let client = open(&options).await;
    assert!(holds(client, "a canary").await);
    json::close_all().await;
}

#[tokio::test]
async fn a_device_that_was_not_unlocked_yet_is_asked_again_later() {
    let bench = Bench::new().await;
    let (_listener, url) = silent();
    let mut options = bench.options(&url);
    options["encryption"] = json!("device");
    *bench.phone.locked.lock().unwrap() = true;
    let error = try_open(&options).await["error"].clone();
    assert_eq!((error["code"].as_str(), error["retryable"].as_bool()), (Some("locked"), Some(true)));
    assert_eq!(round().await, BackgroundOutcome::Incomplete);
    *bench.phone.locked.lock().unwrap() = false;
    open(&options).await;
    json::close_all().await;
}

#[tokio::test]
async fn options_that_cannot_be_kept_to_are_refused() {
    let bench = Bench::new().await;
    let (_listener, url) = silent();
    let refused = async |name: &str, value: Json| {
        let mut options = bench.options(&url);
        options[name] = value;
        try_open(&options).await["error"]["code"].clone()
    };
    assert_eq!(refused("store", json!("memory")).await, "invalid");
    assert_eq!(refused("encryption", json!("somebody")).await, "invalid");
    assert_eq!(refused("background", json!({"sometimes": true})).await, "invalid");
    assert_eq!(refused("caPem", json!("x".repeat(64 << 10))).await, "too_large");
    let mut options = bench.options(&url);
    options["encryption"] = json!("device");
    options["encryptionKey"] = json!("A".repeat(43) + "=");
    assert_eq!(try_open(&options).await["error"]["code"], "invalid");
}
