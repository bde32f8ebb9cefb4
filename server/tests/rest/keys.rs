//! The same answer again: idempotency keys.

use std::sync::Arc;

use serde_json::json;
use sha2::{Digest, Sha256};
use syncline_protocol::{ClientId, Collection, DocumentId, Room};
use syncline_server::{Config, Mode};

use crate::client::{Http, ROOM, at};
use crate::support::{EmbeddedServer, SECRET, ServerProcess};

#[test]
fn a_request_sent_again_is_answered_as_before_and_has_no_effect_after_a_kill_too() {
    let folder = tempfile::tempdir().unwrap();
    let key = [("idempotency-key", "payment-7")];
    let upsert = format!("{}?upsert=true", at("a"));
    let ask = |server: &ServerProcess| {
        Http::ann(&server.url).ask("PATCH", &upsert, &key, Some(json!({"__increment": {"n": 1}})))
    };
    let server = ServerProcess::start(folder.path());
    let first = ask(&server);
    assert_eq!((first.status, first.header("idempotency-replayed")), (200, None));
    // What happens to the document meanwhile does not change the answer.
    Http::ann(&server.url).patch(&at("a"), json!({"__increment": {"n": 10}}));
    let again = ask(&server);
    assert_eq!((again.status, &again.body, again.header("etag")), (200, &first.body, first.header("etag")));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    server.kill();
    let server = ServerProcess::start(folder.path());
    let after = ask(&server);
    assert_eq!((after.status, &after.body), (200, &first.body));
    assert_eq!(Http::ann(&server.url).get(&at("a")).body["fields"], json!({"n": 11}));
    Http::ann(&server.url).delete(&at("a"));
    assert_eq!(ask(&server).body, first.body);
    assert_eq!(Http::ann(&server.url).get(&at("a")).status, 404);
}

#[test]
fn what_is_remembered_is_read_by_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let mode = Mode::Production { jwt_secret: SECRET.as_bytes().to_vec() };
    let config = Config::new("127.0.0.1:0".parse().unwrap(), folder.path().join("data"), mode);
    let server = EmbeddedServer::start(config.clone());
    let http = Http::ann(&server.url);
    let put = http.ask("PUT", &at("a"), &[("idempotency-key", "k")], Some(json!({"n": 1})));
    assert_eq!(put.status, 200);
    // Who knows the user's name knows where her answers are kept.
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(b"syncline server-side client\0ann")[..16]);
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let ids: Vec<String> = (0..64).map(|book| format!("{}-{book:02}", ClientId::from_bytes(bytes))).collect();
    let collection = format!("/v1/rooms/{ROOM}/collections/$receipts/documents");
    for id in &ids {
        assert_eq!(http.get(&format!("{collection}/{id}")).status, 404);
    }
    assert_eq!(http.get(&collection).body["documents"], json!([]));
    drop(server);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let kept = runtime.block_on(async {
        let storage = syncline_server::storage::open(&config, Arc::new(|_| {})).await.unwrap();
        let receipts = Collection::new("$receipts").unwrap();
        let keys = ids.iter().map(|id| (receipts.clone(), DocumentId::new(id).unwrap())).collect();
        storage.documents(Room::new(ROOM).unwrap(), keys).await.unwrap()
    });
    assert_eq!(kept.iter().flatten().count(), 1, "it is there");
}

#[test]
fn a_refusal_is_answered_again_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let http = Http::ann(&server.url);
    let ask = || http.ask("PATCH", &at("a"), &[("idempotency-key", "k")], Some(json!({"n": 1})));
    assert_eq!(ask().status, 404);
    http.put(&at("a"), json!({}));
    assert_eq!(ask().status, 404);
    assert_eq!(http.get(&at("a")).body["fields"], json!({}));
}

#[test]
fn a_key_is_of_no_use_for_another_request() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let http = Http::ann(&server.url);
    let ask = |method: &str, id: &str, headers: &[(&str, &str)], n: i64| {
        let headers = [&[("idempotency-key", "k")], headers].concat();
        http.ask(method, &at(id), &headers, Some(json!({"n": n}))).status
    };
    assert_eq!(ask("PUT", "a", &[], 1), 200);
    for status in [
        ask("PUT", "a", &[], 2),
        ask("PUT", "b", &[], 1),
        ask("PATCH", "a", &[], 1),
        ask("PUT", "a", &[("if-match", "*")], 1),
    ] {
        assert_eq!(status, 422);
    }
    assert_eq!(ask("PUT", "a", &[], 1), 200);
    let long = "x".repeat(256);
    for key in ["", "with space", &long] {
        let refused = http.ask("PUT", &at("a"), &[("idempotency-key", key)], Some(json!({})));
        assert_eq!((refused.status, refused.code()), (400, "invalid"), "{key}");
    }
}

#[test]
fn a_batch_sent_many_times_at_once_takes_effect_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let path = format!("/v1/rooms/{ROOM}/batch");
    let patch = json!({"op": "patch", "collection": "todos", "id": "a", "patch": {"__increment": {"n": 1}}, "upsert": true});
    let missing = json!({"op": "delete", "collection": "todos", "id": "missing"});
    let body = json!({"operations": [patch, missing]});
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask =
            || Http::ann(&server.url).ask("POST", &path, &[("idempotency-key", "k")], Some(body.clone()));
        let askers: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        askers.into_iter().map(|asker| asker.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| answer.body == answers[0].body), "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.header("idempotency-replayed").is_none()).count(), 1);
    assert_eq!(Http::ann(&server.url).get(&at("a")).body["fields"], json!({"n": 1}));
}
