//! Who is present, as another client sees it, while the link of one of them breaks: no ghost outlives its lease, and who
//! is back at once never left.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use syncline::engine::io::PresentMember;
use syncline::{Client, ClientConfig, Command, Event, StoreKind};
use syncline_faults::cases;
use syncline_faults::proxy::{Fault, Proxy, Way};
use syncline_integration::{Device, PATIENCE, TestServer, config, server_config};
use syncline_protocol::message::PresenceStatus;
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::time::timeout;

const ROOM: &str = "list:1";
const PING_INTERVAL_MS: u64 = 300;
const PING_TIMEOUT_MS: u64 = 200;
const GRACE_MS: u64 = 800;
/// What a dead link costs until its heartbeat is missed, and then the grace; the lease below ends no sooner.
const LEASE_MS: u64 = PING_INTERVAL_MS + PING_TIMEOUT_MS + GRACE_MS + 700;
/// What a busy machine may add to a time that is measured.
const SLACK_MS: u64 = 2_000;

/// What an app was told of the room, each time it was told.
#[derive(Default)]
struct Told {
    members: Mutex<Vec<Vec<PresentMember>>>,
    news: Notify,
}

/// A client whose app keeps everything that it is told of the room.
struct Watcher {
    client: Client,
    told: Arc<Told>,
}

impl Watcher {
    async fn open(user: &str, url: &str) -> Self {
        let told = Arc::new(Told::default());
        let heard = Arc::clone(&told);
        let config =
            ClientConfig { store: StoreKind::Memory, ..config(user, &["list:*"], url, Path::new("")) };
        let client = Client::open(config, move |events: Vec<Event>| {
            for event in events {
                if let Event::Presence { members, .. } = event {
                    heard.members.lock().unwrap().push(members);
                }
            }
            heard.news.notify_one();
        });
        let watcher = Self { client: client.await.unwrap(), told };
        watcher.join(user).await;
        watcher
    }

    async fn join(&self, user: &str) {
        let join = json!({"type": "presenceJoin", "room": ROOM, "state": {"name": user}});
        self.client.execute(serde_json::from_value(join).unwrap()).await.unwrap();
    }

    /// The user as told last.
    fn member(&self, user: &str) -> Option<PresentMember> {
        let told = self.told.members.lock().unwrap();
        told.last()?.iter().find(|member| member.user_id == user).cloned()
    }

    async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let wait = async {
            while !condition(self) {
                self.told.news.notified().await;
            }
        };
        if timeout(PATIENCE, wait).await.is_err() {
            panic!("never seen: {what}; told {:?}", self.told.members.lock().unwrap().last());
        }
    }

    async fn until_active(&self, user: &str) {
        let active = |watcher: &Self| {
            watcher.member(user).is_some_and(|member| member.status == PresenceStatus::Active)
        };
        self.until(&format!("{user} active"), active).await;
    }
}

/// A server, a client that is next to it and looks, and one behind a proxy.
struct Setting {
    server: TestServer,
    proxy: Proxy,
    eve: Watcher,
    ada: Device,
    _data: TempDir,
}

impl Setting {
    async fn start() -> Self {
        let data = TempDir::new().unwrap();
        let mut server = server_config("127.0.0.1:0".parse().unwrap(), data.path());
        server.connection.ping_interval_ms = PING_INTERVAL_MS;
        server.connection.ping_timeout_ms = PING_TIMEOUT_MS;
        server.presence.grace_ms = GRACE_MS;
        server.limits.presence_lease_ms = LEASE_MS;
        let server = TestServer::start_with(server).await;
        let proxy = Proxy::start(server.addr, Fault::None).await;
        let eve = Watcher::open("eve", &server.url()).await;
        let mut config = ClientConfig {
            store: StoreKind::Memory,
            ..config("ada", &["list:*"], &proxy.url(), Path::new(""))
        };
        config.settings.reconnect_delay_ms = 40;
        config.settings.reconnect_delay_ms_max = 80;
        let ada = Device::open(config).await.unwrap();
        ada.run(json!({"type": "presenceJoin", "room": ROOM, "state": {"name": "ada"}})).await.unwrap();
        eve.until_active("ada").await;
        // Others may hear of it before its own app does.
        ada.until("a connection", |seen| seen.is_open()).await;
        Self { server, proxy, eve, ada, _data: data }
    }

    async fn end(self) {
        self.ada.close().await;
        self.eve.client.execute(Command::Close).await.unwrap();
        drop(self.proxy);
        self.server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ghost_behind_a_dead_link_is_gone_within_its_lease_and_back_with_the_link() {
    let setting = Setting::start().await;
    let Setting { eve, proxy, .. } = &setting;
    for way in [Way::ToServer, Way::Both] {
        proxy.set(Fault::Held(way));
        let began = Instant::now();
        eve.until("ada gone", |eve| eve.member("ada").is_none()).await;
        let gone_ms = began.elapsed().as_millis() as u64;
        assert!(gone_ms <= LEASE_MS + SLACK_MS, "{way:?}: a ghost stayed for {gone_ms} ms");
        assert!(gone_ms >= GRACE_MS, "{way:?}: gone after {gone_ms} ms, and it could have come back");
        proxy.set(Fault::None);
        eve.until_active("ada").await;
    }
    setting.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_back_at_once_never_left() {
    let setting = Setting::start().await;
    let Setting { eve, proxy, ada, .. } = &setting;
    eve.told.members.lock().unwrap().clear();
    for _ in 0..cases(10, 100) {
        let before = proxy.accepted();
        proxy.set(Fault::Down);
        ada.until("the loss", |seen| !seen.is_open()).await;
        proxy.set(Fault::None);
        ada.until("a connection, and both there", |seen| {
            seen.is_open() && seen.members.get(ROOM).is_some_and(|members| members.len() == 2)
        })
        .await;
        assert!(proxy.accepted() > before);
    }
    // Longer than the grace: the end of an older connection must not show either.
    tokio::time::sleep(Duration::from_millis(2 * GRACE_MS)).await;
    let told = eve.told.members.lock().unwrap().clone();
    let without = told.iter().filter(|members| !members.iter().any(|member| member.user_id == "ada"));
    assert_eq!(without.count(), 0, "ada left in between");
    assert!(eve.member("ada").is_none_or(|member| member.status == PresenceStatus::Active));
    setting.end().await;
}
