//! A network that breaks in every way between a client and its server. The queue is kept, progress is made where any
//! is possible, everything reaches the server once, and the client does not hammer at a closed door.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use serde_json::json;
use syncline::engine::io::ConnectionState;
use syncline::{ClientConfig, Reply, StoreKind};
use syncline_faults::proxy::{Fault, Proxy, Way};
use syncline_faults::{cases, drained, rows};
use syncline_integration::{Device, PATIENCE, TestServer, config, server_config};
use tempfile::TempDir;
use tokio::time::timeout;

const ROOM: &str = "user:ada";

const PING_INTERVAL_MS: u64 = 300;
const PING_TIMEOUT_MS: u64 = 200;
/// More than a slow link needs for what stands before a pong.
const SLOW_PING_TIMEOUT_MS: u64 = 10_000;
const CONNECT_TIMEOUT_MS: u64 = 300;
const REQUEST_TIMEOUT_MS: u64 = 400;
const RECONNECT_DELAY_MS: u64 = 40;
const RECONNECT_DELAY_MS_MAX: u64 = 160;
/// What a busy machine may add to a time that is measured.
const SLACK_MS: u64 = 2_000;

/// A server, a proxy before it, and a client that knows only the proxy.
struct Setting {
    server: TestServer,
    proxy: Proxy,
    device: Device,
    writes: u64,
    _directories: [TempDir; 2],
}

impl Setting {
    async fn start(fault: Fault, change: impl FnOnce(&mut ClientConfig)) -> Self {
        Self::start_with(PING_TIMEOUT_MS, fault, change).await
    }

    async fn start_with(ping_timeout_ms: u64, fault: Fault, change: impl FnOnce(&mut ClientConfig)) -> Self {
        let (data, directory) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let mut server = server_config("127.0.0.1:0".parse().unwrap(), data.path());
        server.connection.ping_interval_ms = PING_INTERVAL_MS;
        server.connection.ping_timeout_ms = ping_timeout_ms;
        let server = TestServer::start_with(server).await;
        let proxy = Proxy::start(server.addr, fault).await;
        let mut config = config("ada", &[], &proxy.url(), directory.path());
        config.settings.connect_timeout_ms = CONNECT_TIMEOUT_MS;
        config.settings.request_timeout_ms = REQUEST_TIMEOUT_MS;
        config.settings.reconnect_delay_ms = RECONNECT_DELAY_MS;
        config.settings.reconnect_delay_ms_max = RECONNECT_DELAY_MS_MAX;
        change(&mut config);
        let device = Device::open(config).await.unwrap();
        device.write(ROOM, "tally", json!({"create": {}})).await.unwrap();
        device.run(json!({"type": "subscribe", "room": ROOM})).await.unwrap();
        Self { server, proxy, device, writes: 0, _directories: [data, directory] }
    }

    /// Writes that leave a trace each: one applied twice would leave a 2.
    async fn write(&mut self, count: u64) {
        for _ in 0..count {
            self.writes += 1;
            let field = format!("n{}", self.writes);
            let update = json!({"update": {field: {"increment": 1}}});
            self.device.write(ROOM, "tally", update).await.unwrap();
        }
    }

    async fn until_connected(&self) {
        self.device.until("a connection", |seen| seen.is_open()).await;
    }

    async fn until_attempts(&self, count: u64) {
        let attempts = async {
            while self.proxy.accepted() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, attempts).await.expect("the client tries again");
    }

    /// Everything that was written is still shown and waiting.
    async fn queue_is_kept(&self) {
        let shown = rows(&self.device, ROOM, "notes").await;
        assert_eq!(self.marks(&shown["tally"].fields), self.writes);
        if self.writes > 0 {
            assert!(shown["tally"].pending);
            assert!(
                matches!(self.device.run(json!({"type": "queue"})).await, Ok(Reply::Queue(status)) if status.count > 0)
            );
        }
    }

    fn marks(&self, fields: &serde_json::Value) -> u64 {
        let fields = fields.as_object().unwrap();
        assert!(fields.values().all(|count| *count == 1), "a write was applied more than once: {fields:?}");
        fields.len() as u64
    }

    /// Another client, next to the server.
    async fn witness(&self) -> Device {
        let nowhere = std::path::Path::new("");
        let config =
            ClientConfig { store: StoreKind::Memory, ..config("ada", &[], &self.server.url(), nowhere) };
        let witness = Device::open(config).await.unwrap();
        witness.run(json!({"type": "subscribe", "room": ROOM})).await.unwrap();
        drained(&witness, &[ROOM]).await;
        witness
    }

    async fn everything_arrives_once(self) {
        self.proxy.set(Fault::None);
        drained(&self.device, &[ROOM]).await;
        let witness = self.witness().await;
        let shown = rows(&witness, ROOM, "notes").await;
        assert_eq!(self.marks(&shown["tally"].fields), self.writes);
        assert_eq!(self.device.seen(|seen| seen.outcomes.len()), 0);
        witness.close().await;
        self.device.close().await;
        self.server.stop().await;
    }

    fn reason(&self) -> Option<String> {
        self.device.seen(|seen| {
            let reason = seen.connection.as_ref()?.reason.as_ref()?;
            Some(reason.code.as_str().to_owned())
        })
    }
}

#[tokio::test]
async fn a_connection_cut_at_any_byte_loses_and_doubles_nothing() {
    let mut setting = Setting::start(Fault::CutWithin { bytes: 5_000 }, |config| {
        config.settings.reconnect_delay_ms = 2;
        config.settings.reconnect_delay_ms_max = 4;
    })
    .await;
    let cuts = cases(300, 3_000);
    let started = Instant::now();
    while setting.proxy.accepted() < cuts {
        setting.write(1).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(started.elapsed() < PATIENCE * 10, "only {} cuts", setting.proxy.accepted());
    }
    assert!(setting.writes > cuts / 10);
    setting.everything_arrives_once().await;
}

/// Returns how long it took to notice.
async fn a_dead_link_is_noticed(way: Way) -> Duration {
    let mut setting = Setting::start(Fault::None, |_| ()).await;
    setting.until_connected().await;
    drained(&setting.device, &[ROOM]).await;
    setting.proxy.set(Fault::Held(way));
    let broken = Instant::now();
    setting.write(10).await;
    setting.device.until("the end of the connection", |seen| !seen.is_open()).await;
    let noticed = broken.elapsed();
    setting.queue_is_kept().await;
    setting.everything_arrives_once().await;
    noticed
}

#[tokio::test]
async fn a_partition_of_either_way_or_both_is_noticed_and_survived() {
    let limit = Duration::from_millis(PING_INTERVAL_MS + PING_TIMEOUT_MS + SLACK_MS);
    for way in [Way::ToServer, Way::ToClient, Way::Both] {
        let noticed = a_dead_link_is_noticed(way).await;
        assert!(noticed < limit, "{way:?}: noticed after {noticed:?}");
    }
}

#[tokio::test]
async fn a_half_open_socket_of_an_idle_client_is_noticed_within_ping_interval_and_timeout() {
    let setting = Setting::start(Fault::None, |config| config.settings.request_timeout_ms = 60_000).await;
    setting.until_connected().await;
    drained(&setting.device, &[ROOM]).await;
    setting.proxy.set(Fault::Held(Way::Both));
    let broken = Instant::now();
    setting.device.until("the end of the connection", |seen| !seen.is_open()).await;
    let noticed = broken.elapsed();
    assert!(noticed < Duration::from_millis(PING_INTERVAL_MS + PING_TIMEOUT_MS + SLACK_MS), "{noticed:?}");
    assert_eq!(setting.reason().as_deref(), Some("timeout"));
    setting.everything_arrives_once().await;
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_is_given_up_step_by_step() {
    let started = Instant::now();
    let mut setting = Setting::start(Fault::Held(Way::Both), |_| ()).await;
    setting.write(5).await;
    setting.until_attempts(6).await;
    // Five attempts ran out before the sixth began.
    assert!(started.elapsed() >= Duration::from_millis(5 * CONNECT_TIMEOUT_MS));
    setting
        .device
        .until("a timeout", |seen| seen.connection.as_ref().is_some_and(|c| c.reason.is_some()))
        .await;
    assert_eq!(setting.reason().as_deref(), Some("timeout"));
    setting.queue_is_kept().await;
    setting.everything_arrives_once().await;
}

#[tokio::test]
async fn a_link_that_flaps_makes_progress_with_few_attempts() {
    const FLAP_MS: u64 = 200;
    const FLAPS: u64 = 20;
    /// In one flap: with pauses that double from half of the first delay on.
    const ATTEMPTS_PER_FLAP: u64 = 8;
    let mut setting = Setting::start(Fault::None, |_| ()).await;
    let witness = setting.witness().await;
    let mut progress = Vec::new();
    for flap in 0..FLAPS {
        setting.proxy.set(if flap % 2 == 0 { Fault::None } else { Fault::Down });
        let until = Instant::now() + Duration::from_millis(FLAP_MS);
        while Instant::now() < until {
            setting.write(1).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let arrived =
            rows(&witness, ROOM, "notes").await.get("tally").map_or(0, |row| setting.marks(&row.fields));
        progress.push(arrived);
    }
    assert!(setting.proxy.accepted() <= FLAPS * ATTEMPTS_PER_FLAP, "{} attempts", setting.proxy.accepted());
    let steps = progress.windows(2).filter(|pair| pair[0] < pair[1]).count() as u64;
    assert!(steps >= FLAPS / 5, "hardly any progress: {progress:?}");
    witness.close().await;
    setting.everything_arrives_once().await;
}

#[tokio::test]
async fn a_captive_portal_is_a_transport_error_and_the_queue_is_kept() {
    const ATTEMPTS: u64 = 15;
    let started = Instant::now();
    let mut setting = Setting::start(Fault::Portal, |_| ()).await;
    setting.write(5).await;
    setting.until_attempts(ATTEMPTS).await;
    // At least half of each delay lies between two attempts; the first two delays are shorter than the others.
    assert!(started.elapsed() >= Duration::from_millis((ATTEMPTS - 3) * RECONNECT_DELAY_MS_MAX / 2));
    setting
        .device
        .until("a pause", |seen| {
            seen.connection
                .as_ref()
                .is_some_and(|c| c.state == ConnectionState::Backoff && c.reason.is_some())
        })
        .await;
    assert_eq!(setting.reason().as_deref(), Some("unreachable"));
    setting.queue_is_kept().await;
    setting.proxy.set(Fault::None);
    setting.until_connected().await;
    drained(&setting.device, &[ROOM]).await;
    // In the middle of a session, too.
    setting.proxy.set(Fault::Portal);
    setting.device.until("the end of the connection", |seen| !seen.is_open()).await;
    setting.write(5).await;
    setting.queue_is_kept().await;
    setting.everything_arrives_once().await;
}

#[tokio::test]
async fn a_slow_link_is_slow_and_not_dead() {
    let mut setting =
        Setting::start_with(SLOW_PING_TIMEOUT_MS, Fault::Slow { bytes_per_s: 20_000 }, |config| {
            config.settings.connect_timeout_ms = 10_000;
            config.settings.request_timeout_ms = 10_000;
        })
        .await;
    setting.until_connected().await;
    let connections = setting.proxy.accepted();
    setting.write(100).await;
    drained(&setting.device, &[ROOM]).await;
    assert_eq!(setting.proxy.accepted(), connections, "it was taken for dead");
    setting.everything_arrives_once().await;
}

#[tokio::test]
async fn a_page_that_takes_longer_than_a_request_may_comes_through_a_slow_link() {
    const DOCUMENT_BYTES: usize = 300_000;
    let setting =
        Setting::start_with(SLOW_PING_TIMEOUT_MS, Fault::Slow { bytes_per_s: 100_000 }, |_| {}).await;
    setting.until_connected().await;
    drained(&setting.device, &[ROOM]).await;
    setting.device.run(json!({"type": "disconnect"})).await.unwrap();
    let witness = setting.witness().await;
    let large = json!({"create": {"text": "x".repeat(DOCUMENT_BYTES)}});
    witness.write(ROOM, "large", large).await.unwrap();
    drained(&witness, &[ROOM]).await;
    let connections = setting.proxy.accepted();
    setting.device.run(json!({"type": "connect"})).await.unwrap();
    setting.device.until("the page", |seen| seen.is_live(ROOM)).await;
    assert_eq!(setting.proxy.accepted(), connections + 1, "it was given up on the way");
    assert!(rows(&setting.device, ROOM, "notes").await.contains_key("large"));
}

#[tokio::test]
async fn a_system_that_is_wrong_about_the_network_is_found_out_by_a_probe() {
    let mut setting = Setting::start(Fault::None, |config| {
        config.auto_connect = false;
        config.settings.offline_probe_ms = 200;
    })
    .await;
    let network = json!({"available": false, "expensive": false, "kind": "none"});
    setting.device.run(json!({"type": "setNetwork", "network": network})).await.unwrap();
    setting.write(3).await;
    let refused = setting.device.run(json!({"type": "connect"})).await.unwrap_err();
    assert_eq!(refused.code.as_str(), "offline");
    setting.until_connected().await;
    setting.everything_arrives_once().await;
}
