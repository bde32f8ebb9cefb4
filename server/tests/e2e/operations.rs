//! Health, metrics and the admin page's data.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use syncline_protocol::Room;
use syncline_server::access::{Authorize, Identity, Rights, Ruling};
use syncline_server::{Config, Mode};

use crate::support::{
    Agent, EmbeddedServer, SECRET, STEP_TIMEOUT, ServerProcess, client_id, command, create, http, http_with,
    push, token,
};

pub(crate) const ADMIN_TOKEN: &str = "an admin token of the tests, long enough";

pub(crate) fn config(folder: &Path) -> Config {
    let mode = Mode::Production { jwt_secret: SECRET.into() };
    let mut config = Config::new("127.0.0.1:0".parse().unwrap(), folder.join("data"), mode);
    let file = folder.join("admin-token");
    std::fs::write(&file, format!("{ADMIN_TOKEN}\n")).unwrap();
    config.operations.admin_token_file = Some(file);
    config.operations.sample_interval_ms = 100;
    config
}

fn with_token(url: &str, method: &str, path: &str) -> (u16, String, String) {
    http_with(url, method, path, &[("authorization", &format!("Bearer {ADMIN_TOKEN}"))], "")
}

fn overview(url: &str) -> Value {
    let (status, _, body) = with_token(url, "GET", "/admin/api/overview");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// The value of a metric with its labels.
fn metric(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn metrics_count_requests_by_event_and_outcome_and_know_no_user_or_room() {
    let folder = tempfile::tempdir().unwrap();
    let server = EmbeddedServer::start(config(folder.path()));
    let agent = Agent::start();
    let auth = json!({"token": token("canary-user", &["canary-room"]), "client_id": client_id(1)});
    agent.connect("a", &server.url, auth);
    agent.ask("a", "sync:subscribe", json!({"room": "canary-room", "cursor": 0}));
    agent.ask("a", "sync:push", push("canary-room", None, &[create(1, "d", 0), create(2, "e", 0)]));
    agent.ask("a", "sync:pull", json!({"room": "someone-elses", "cursor": 0, "limit": 1}));
    agent.connect("b", &server.url, json!({"token": "no token"}));
    let (status, head, text) = with_token(&server.url, "GET", "/metrics");
    assert_eq!(status, 200);
    assert!(head.contains("application/openmetrics-text"), "{head}");
    for (name, value) in [
        ("syncline_connections", 1.0),
        ("syncline_users", 1.0),
        ("syncline_rooms_subscribed", 1.0),
        ("syncline_subscriptions", 1.0),
        ("syncline_requests_total{event=\"sync:push\",outcome=\"ok\"}", 1.0),
        ("syncline_requests_total{event=\"sync:pull\",outcome=\"forbidden\"}", 1.0),
        ("syncline_request_duration_seconds_count{event=\"sync:push\"}", 1.0),
        ("syncline_mutations_total{status=\"applied\"}", 2.0),
        ("syncline_storage_duration_seconds_count{operation=\"push\"}", 1.0),
        ("syncline_handshakes_refused_total{reason=\"unauthorized\"}", 1.0),
        ("syncline_storage_healthy", 1.0),
        ("syncline_ready", 1.0),
    ] {
        assert_eq!(metric(&text, name), Some(value), "{name} in {text}");
    }
    for name in
        ["syncline_received_bytes_total", "syncline_sent_bytes_total", "process_resident_memory_bytes"]
    {
        assert!(metric(&text, name).is_some_and(|value| value > 100.0), "{name} in {text}");
    }
    assert!(!text.contains("canary"), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn without_the_admin_token_there_is_nothing_to_see() {
    let folder = tempfile::tempdir().unwrap();
    let server = EmbeddedServer::start(config(folder.path()));
    for path in ["/metrics", "/admin/api/overview"] {
        assert_eq!(http(&server.url, "GET", path, None, "").0, 401, "{path}");
        let wrong = [("authorization", "Bearer an admin token of the tests, long enougH")];
        assert_eq!(http_with(&server.url, "GET", path, &wrong, "").0, 401, "{path}");
    }
    assert_eq!(http(&server.url, "POST", "/admin/api/clients/1/disconnect", None, "").0, 401);
    drop(server);
    let mut without = config(folder.path());
    without.operations.admin_token_file = None;
    let server = EmbeddedServer::start(without);
    for path in ["/metrics", "/admin", "/admin/api/overview"] {
        assert_eq!(with_token(&server.url, "GET", path).0, 404, "{path}");
    }
}

#[test]
fn a_listener_of_its_own_has_the_metrics_and_the_page_and_clients_do_not_see_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = free.local_addr().unwrap();
    drop(free);
    config.operations.listen = Some(listen);
    let server = EmbeddedServer::start(config);
    let operations = format!("http://{listen}");
    assert_eq!(http(&operations, "GET", "/metrics", None, "").0, 200);
    assert_eq!(http(&operations, "GET", "/admin/api/overview", None, "").0, 401);
    assert_eq!(with_token(&operations, "GET", "/admin/api/overview").0, 200);
    for path in ["/metrics", "/admin", "/admin/api/overview"] {
        assert_eq!(with_token(&server.url, "GET", path).0, 404, "{path}");
    }
}

#[test]
fn the_overview_lists_clients_and_rooms_and_disconnects_one() {
    let folder = tempfile::tempdir().unwrap();
    let server = EmbeddedServer::start(config(folder.path()));
    let agent = Agent::start();
    for (name, user) in [("a", "ann"), ("b", "bob")] {
        agent.connect(name, &server.url, json!({"token": token(user, &["team"])}));
        agent.ask(name, "sync:subscribe", json!({"room": "team", "cursor": 0}));
    }
    let seen = overview(&server.url);
    assert_eq!(seen["rooms"], json!([{"room": "team", "subscribers": 2}]));
    let clients = seen["clients"].as_array().unwrap();
    assert_eq!(clients.len(), 2);
    let ann = clients.iter().find(|client| client["user"] == "ann").unwrap();
    assert_eq!(
        (&ann["rooms"], &ann["requests"], &ann["rooms_lagging"]),
        (&json!(["team"]), &json!(1), &json!(0))
    );
    assert!(ann["address"].as_str().unwrap().starts_with("127.0.0.1:"));
    let path = format!("/admin/api/clients/{}/disconnect", ann["id"]);
    assert_eq!(with_token(&server.url, "POST", &path).0, 204);
    assert_eq!(agent.next("a", "$disconnect")["value"], "io server disconnect");
    assert_eq!(with_token(&server.url, "POST", &path).0, 404);
    assert_eq!(overview(&server.url)["clients"].as_array().unwrap().len(), 1);
}

#[test]
fn tokens_are_taken_back_with_the_admin_token_and_by_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let server = EmbeddedServer::start(config(folder.path()));
    let agent = Agent::start();
    let [ann, bob] = ["ann", "bob"].map(|user| json!({"token": token(user, &["team"])}));
    agent.connect("a", &server.url, ann.clone());
    agent.connect("b", &server.url, bob);
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let revoke = |headers: &[(&str, &str)], body: &str| {
        http_with(&server.url, "POST", "/admin/api/revoke", headers, body).0
    };
    let admin = [("authorization", bearer.as_str())];
    assert_eq!(revoke(&[], r#"{"user":"bob"}"#), 401);
    assert_eq!(revoke(&admin, r#"{"everybody":"bob"}"#), 422);
    assert_eq!(revoke(&admin, &json!({"user": "b".repeat(5000)}).to_string()), 413);
    assert_eq!(revoke(&admin, r#"{"user":"ann"}"#), 204);
    assert_eq!(agent.next("a", "$disconnect")["value"], "io server disconnect");
    assert_eq!(agent.connect("again", &server.url, ann)["message"], "unauthorized: the token was revoked");
    assert_eq!(agent.ask("b", "presence:ping", json!({}))["heads"], json!({}));
}

#[test]
fn the_admin_page_acts_whatever_origins_may_connect() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.door.origins = vec!["https://app.example".to_owned()];
    let server = EmbeddedServer::start(config);
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("origin", server.url.as_str())];
    let post = |path: &str| http_with(&server.url, "POST", path, &headers, r#"{"user":"ann"}"#).0;
    assert_eq!(post("/admin/api/revoke"), 204);
    for path in ["/rooms", "/admins", "/admin/of-an-app"] {
        assert_eq!(post(path), 403, "{path}: a page of the server's own origin is listed like any other");
    }
}

#[test]
fn a_server_is_ready_once_it_answers() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let (status, _, body) = http(&server.url, "GET", "/ready", None, "");
    assert_eq!((status, body.as_str()), (200, r#"{"status":"ready"}"#));
    let listen = server.url.strip_prefix("http://").unwrap().to_owned();
    let ask = || command(folder.path(), &listen).arg("ready").status().unwrap().code();
    assert_eq!(ask(), Some(0));
    let (_, _, body) = http(&server.url, "GET", "/health", None, "");
    let health: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&health["ready"], &health["status"]), (&json!("ready"), &json!("ok")));
    assert_eq!(health["storage"], json!({"kind": "sled", "healthy": true}));
    assert_eq!(health.get("cluster"), None, "it is alone");
    assert_eq!(server.terminate(), Some(0));
    assert_eq!(ask(), Some(1));
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < STEP_TIMEOUT, "{what}: not in time");
    }
}

/// Says yes once it is told to.
struct Slow(tokio::sync::watch::Sender<bool>);

impl Authorize for Slow {
    fn rights<'a>(&'a self, _: &'a Identity, _: &'a Room) -> Ruling<'a> {
        let mut told = self.0.subscribe();
        Box::pin(async move {
            let _ = told.wait_for(|told| *told).await;
            Ok(Rights::ALL)
        })
    }
}

#[test]
fn a_server_that_ends_says_so_and_takes_nobody_until_what_it_took_in_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let slow = Arc::new(Slow(tokio::sync::watch::Sender::new(false)));
    let mut config = config(folder.path());
    config.hooks.authorize = Some(Arc::clone(&slow) as Arc<dyn Authorize>);
    config.security.authorize_timeout_ms = 10 * 60 * 1000;
    config.shutdown_timeout_ms = 10 * 60 * 1000;
    let mut server = EmbeddedServer::start(config);
    let agent = Agent::start();
    let auth = json!({"token": token("ann", &[]), "client_id": client_id(1)});
    agent.connect("a", &server.url, auth);
    let write = json!({"name": "a", "event": "sync:push", "plain": push("room", None, &[create(1, "d", 0)])});
    let written = agent.begin("emit", write);
    until("the write is taken in", || overview(&server.url)["clients"][0]["requests"] == 1);
    server.begin_end();
    let ready = || http(&server.url, "GET", "/ready", None, "");
    until("it says that it ends", || ready().0 != 200);
    let (status, _, body) = ready();
    assert_eq!((status, body.as_str()), (503, r#"{"status":"draining"}"#));
    let (status, _, body) = http(&server.url, "GET", "/health", None, "");
    assert_eq!(status, 200, "it is no reason to restart it");
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["ready"], "draining");
    let handshake = "/socket.io/?EIO=4&transport=polling";
    let (status, head, body) = http(&server.url, "GET", handshake, None, "");
    assert_eq!(status, 503);
    assert!(head.to_lowercase().contains("retry-after: 1"), "{head}");
    assert!(body.contains("\"code\":\"unavailable\""), "{body}");
    slow.0.send_replace(true);
    assert_eq!(agent.finish(written)["value"]["results"][0]["status"], "applied");
}

#[test]
fn the_admin_page_works_in_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.connection.ping_interval_ms = 100;
    let server = EmbeddedServer::start(config);
    let agent = Agent::start();
    // Names are anything; none becomes markup.
    let names = [("a", "ann <b>"), ("b", "bob")];
    for (name, user) in names {
        let auth = json!({"token": token(user, &["team"])});
        let connect = json!({"name": name, "url": server.url, "auth": auth, "transports": ["websocket"]});
        assert_eq!(agent.call("connect", connect)["connected"], true);
        agent.ask(name, "sync:subscribe", json!({"room": "team", "cursor": 0}));
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/npm/admin.mjs");
    let mut browser = std::process::Command::new("node");
    browser.arg(script).args([&server.url, ADMIN_TOKEN, "ann <b>"]);
    if let Some(folder) = std::env::var_os("SYNCLINE_SHOTS") {
        browser.arg(Path::new(&folder).join("admin.png"));
    }
    let output = browser.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(agent.next("a", "$disconnect")["value"], "io server disconnect");
    assert_eq!(seen["rooms"], "team\t2");
    let round_trips = seen["roundTrips"].as_array().unwrap();
    assert_eq!(round_trips.len(), 2);
    for told in round_trips.iter().chain([&seen["roundTrip"]]) {
        assert!(told.as_str().unwrap().trim().ends_with(" ms"), "{told}");
    }
    let plots = seen["plots"].as_array().unwrap();
    assert_eq!(plots.len(), 4);
    assert!(plots[0].as_str().unwrap().starts_with("Throughput: now requests"), "{plots:?}");
    let policy = seen["csp"].as_str().unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(
        (&seen["inline"], &seen["nameless"], &seen["complaints"]),
        (&json!(false), &json!(0), &json!([]))
    );
}

#[test]
fn a_backup_by_the_command_asks_for_the_admin_token_and_restores() {
    let folder = tempfile::tempdir().unwrap();
    let server = EmbeddedServer::start(config(folder.path()));
    let agent = Agent::start();
    let auth = json!({"token": token("ann", &["team"]), "client_id": client_id(1)});
    agent.connect("a", &server.url, auth.clone());
    agent.ask("a", "sync:push", push("team", None, &[create(1, "d", "kept")]));
    let at = |name: &str| folder.path().join(name);
    let run = |data: &Path, token: &str, arguments: &[&str]| {
        let token = format!("operations.admin_token_file={}", at(token).display());
        let output = command(data, "127.0.0.1:0").args(["--set", &token]).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    std::fs::write(at("wrong"), "another admin token, long enough too").unwrap();
    let file = at("backup");
    let backup = ["backup", "--to", file.to_str().unwrap(), "--server", &server.url];
    let (code, reason) = run(&at("none"), "wrong", &backup);
    assert_eq!((code, reason.contains("401")), (Some(1), true), "{reason}");
    assert!(!file.exists());
    assert_eq!(run(&at("none"), "admin-token", &backup).0, Some(0));
    let (code, reason) = run(&at("data"), "admin-token", &["backup", "--to", at("other").to_str().unwrap()]);
    assert_eq!((code, reason.contains("in use")), (Some(1), true), "{reason}");
    let restore = ["restore", "--from", file.to_str().unwrap()];
    assert_eq!(run(&at("restored"), "admin-token", &restore).0, Some(0));
    drop(server);

    let mut again = config(folder.path());
    again.data_dir = at("restored");
    let server = EmbeddedServer::start(again);
    agent.connect("b", &server.url, auth);
    let page = agent.ask("b", "sync:pull", json!({"room": "team", "cursor": 1, "limit": 10}));
    assert_eq!((&page["reset"], &page["changes"][0]["id"]), (&json!(true), &json!("d")), "{page}");
}
