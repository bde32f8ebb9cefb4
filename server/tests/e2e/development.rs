//! Development mode: tokens for anybody, on loopback only.

use serde_json::{Value, json};

use crate::support::{Agent, ServerProcess, client_id, command, create, http, push};

#[test]
fn development_mode_is_refused_beyond_loopback() {
    let folder = tempfile::tempdir().unwrap();
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let output = command(&folder.path().join("data"), listen).arg("--dev").output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8(output.stderr).unwrap().contains("listens on loopback only"));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn development_mode_issues_tokens_and_shows_documents() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start_development(folder.path());
    let (status, head, body) =
        http(&server.url, "POST", "/dev/token", None, r#"{"sub": "ann", "rooms": ["list:*"]}"#);
    assert_eq!(status, 200);
    assert!(head.contains("x-syncline-mode: development"));
    let token = serde_json::from_str::<Value>(&body).unwrap()["token"].clone();
    let agent = Agent::start();
    agent.connect("a", &server.url, json!({"token": token, "client_id": client_id(1)}));

    let mutations: Vec<Value> = (1..=3).map(|seq| create(seq, &format!("d{seq}"), seq)).collect();
    agent.ask("a", "sync:push", push("list:1", None, &mutations));
    let delete =
        json!({"client_seq": 4, "collection": "todos", "id": "d2", "write": "delete", "time": [9e15, 0]});
    assert_eq!(agent.ask("a", "sync:push", push("list:1", None, &[delete]))["error"], Value::Null);
    let (status, _, body) = http(&server.url, "GET", "/dev/rooms/list:1/documents", None, "");
    assert_eq!(status, 200);
    let documents: Vec<Value> = body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seen: Vec<_> =
        documents.iter().map(|document| (&document["id"], &document["fields"]["title"])).collect();
    assert_eq!(seen, [(&json!("d1"), &json!(1)), (&json!("d3"), &json!(3))]);
}

#[test]
fn a_name_that_merely_resolves_to_loopback_gets_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start_development(folder.path());
    let ask = |host| http(&server.url, "POST", "/dev/token", Some(host), r#"{"sub": "ann"}"#).0;
    assert_eq!(ask("rebound.example:80"), 403);
    assert_eq!(ask("127.0.0.1.example"), 403);
    assert_eq!(ask("localhost:1234"), 200);
}

#[test]
fn production_mode_has_no_development_routes() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    assert_eq!(http(&server.url, "POST", "/dev/token", None, r#"{"sub": "ann"}"#).0, 404);
    assert_eq!(http(&server.url, "GET", "/dev/rooms/list:1/documents", None, "").0, 404);
    let (status, head, body) = http(&server.url, "GET", "/health", None, "");
    assert_eq!(status, 200);
    assert!(!head.contains("x-syncline-mode"));
    let health: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&health["status"], &health["mode"]), (&json!("ok"), &json!("production")));
    assert_eq!((&health["connected_clients"], &health["users"]), (&json!(0), &json!(0)));
}
