//! Canaries in the place of secrets, through the real client and server: none comes out by a log, an error, a figure, a
//! trace, or debug output. Process-wide, and so a program of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::json;
use syncline::engine::io::ConnectionState;
use syncline::{ClientConfig, Command};
use syncline_integration::{Device, TestServer, config, token};
use tempfile::TempDir;
use tracing_subscriber::fmt::MakeWriter;

const ROOM: &str = "user:canary-user";
/// Room and user, collection, id, fields, presence.
const CANARIES: [&str; 6] =
    ["canary-user", "canary-collection", "canary-id", "canary-field", "canary-value", "canary-state"];

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn assert_clean(what: &str, text: &str, canaries: &[&str]) {
    for canary in canaries {
        if let Some(at) = text.find(canary) {
            let from = text[..at].rfind('\n').map_or(0, |at| at + 1);
            let line = text[from..].lines().next().unwrap_or_default();
            panic!("{what} holds {canary}: {line:.400}");
        }
    }
}

#[tokio::test]
async fn no_secret_comes_out_by_logs_errors_figures_traces_or_debug_output() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        // As the server's program does: these log whole packets below `warn`.
        .with_env_filter("trace,socketioxide=warn,engineioxide=warn")
        .with_writer(captured.clone())
        .with_ansi(false)
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let (data, directory) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = TestServer::start(data.path()).await;
    let good = token("canary-user", &[]);
    let mut config = config("canary-user", &[], &server.url(), directory.path());
    config.proxy = None;
    let device = Device::open(config.clone()).await.unwrap();
    device.run(json!({"type": "subscribe", "room": ROOM})).await.unwrap();
    let write = |write| {
        let write =
            json!({"room": ROOM, "collection": "canary-collection", "id": "canary-id", "write": write});
        json!({"type": "write", "writes": [write]})
    };
    device.run(write(json!({"create": {"canary-field": "canary-value"}}))).await.unwrap();
    device.run(json!({"type": "presenceJoin", "room": ROOM, "state": {"at": "canary-state"}})).await.unwrap();
    device.synced(ROOM).await;
    // Refusals of every kind: of the client, and of the server.
    let mut errors = vec![
        device.run(write(json!({"update": {"canary-field": {"increment": 1}}}))).await.unwrap_err(),
        device.run(json!({"type": "pull", "room": "user:canary-other"})).await.unwrap_err(),
    ];
    device.run(json!({"type": "subscribe", "room": "user:canary-other"})).await.unwrap();
    device.until("a denial", |seen| seen.rooms.contains_key("user:canary-other")).await;
    let bad = format!("{good}canary-token");
    device.run(json!({"type": "setToken", "token": bad})).await.unwrap();
    device
        .until("a refusal", |seen| {
            seen.connection.as_ref().is_some_and(|status| status.state == ConnectionState::Unauthorized)
        })
        .await;
    errors.push(device.run(json!({"type": "connect"})).await.unwrap_err());
    let failed = json!({"type": "tokenFailed", "message": "canary-failure"});
    device.run(failed).await.unwrap();

    let stats = format!("{:?}", device.run(json!({"type": "stats"})).await.unwrap());
    let trace = format!("{:?}", device.run(json!({"type": "trace"})).await.unwrap());
    assert!(trace.contains("Pushed") && trace.contains("TokenFailed"), "{trace}");
    device.run(json!({"type": "setToken", "token": good})).await.unwrap();
    device.synced(ROOM).await;
    device.close().await;
    server.stop().await;

    let secrets = [good.as_str(), "canary-token", "canary-failure"];
    let all: Vec<&str> = CANARIES.iter().copied().chain(secrets).collect();
    assert_clean("the figures", &stats, &all);
    assert_clean("the trace", &trace, &all);
    // The audit log is the server's: it names who was refused.
    let is_of_server = |line: &String| line.contains("syncline_server") || line.contains(" audit: ");
    let (server_log, client_log): (Vec<String>, Vec<String>) =
        captured.text().lines().map(str::to_owned).partition(is_of_server);
    let (server_log, client_log) = (server_log.join("\n"), client_log.join("\n"));
    assert!(client_log.contains("syncline.pushed"), "the log was captured");
    assert_clean("the log of the client", &client_log, &all);
    assert_clean("the log of the server", &server_log, &secrets);
    assert_clean("the log of the server", &server_log, &["canary-value", "canary-state"]);
    for error in errors {
        // An error may name the path or the room that the caller gave; never a value or a token.
        let text = format!("{error} {error:?}");
        assert_clean("an error", &text, &[&secrets[..], &["canary-value", "canary-state"]].concat());
    }
    let set = Command::SetToken { token: Some(good.as_str().into()), expires_at_ms: None };
    let proxied = ClientConfig { proxy: Some("http://ada:canary-password@127.0.0.1:1".to_owned()), ..config };
    let debug = format!("{set:?} {proxied:?}");
    assert_clean("debug output", &debug, &[good.as_str(), "canary-password"]);
}
