//! What one request, and one user, may take.

use serde_json::{Value, json};
use syncline_server::{Config, Mode};

use crate::client::{Http, ROOM, at};
use crate::support::{EmbeddedServer, SECRET};

fn served(folder: &tempfile::TempDir, change: impl FnOnce(&mut Config)) -> EmbeddedServer {
    let mode = Mode::Production { jwt_secret: SECRET.as_bytes().to_vec() };
    let mut config = Config::new("127.0.0.1:0".parse().unwrap(), folder.path().join("data"), mode);
    change(&mut config);
    EmbeddedServer::start(config)
}

#[test]
fn a_body_or_document_over_its_limit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = served(&folder, |config| {
        config.rest.body_bytes_max = 2000;
        config.limits.document_bytes_max = 1000;
        config.rest.batch_count_max = 2;
    });
    let http = Http::ann(&server.url);
    for size in [1200, 3000] {
        let refused = http.put(&at("a"), json!({"text": "x".repeat(size)}));
        assert_eq!((refused.status, refused.code()), (413, "too_large"), "{size}");
    }
    let delete = json!({"op": "delete", "collection": "todos", "id": "a"});
    let batch = |operations: Vec<Value>| {
        let body = json!({"operations": operations});
        http.ask("POST", &format!("/v1/rooms/{ROOM}/batch"), &[], Some(body)).status
    };
    assert_eq!(batch(vec![delete.clone(); 2]), 200);
    assert_eq!(batch(vec![delete; 3]), 413);
    assert_eq!(batch(vec![]), 400);
}

#[test]
fn a_list_that_looks_at_too_much_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = served(&folder, |config| {
        config.rest.query_scan_max = 3;
        config.rest.page_count_max = 2;
    });
    let http = Http::ann(&server.url);
    let path = format!("/v1/rooms/{ROOM}/collections/todos/documents");
    for number in 0..3 {
        http.put(&at(&number.to_string()), json!({}));
    }
    assert_eq!(http.get(&path).body["documents"].as_array().unwrap().len(), 2, "the server's own limit");
    http.put(&at("3"), json!({}));
    let refused = http.get(&path);
    assert_eq!((refused.status, refused.code()), (422, "too_large"));
}

#[test]
fn a_user_who_asks_too_often_is_told_when_to_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let server = served(&folder, |config| {
        config.rest.requests_per_s_max = 1;
        config.rest.requests_burst_max = 3;
    });
    let http = Http::ann(&server.url);
    let answers: Vec<_> = (0..4).map(|_| http.get(&at("a"))).collect();
    assert!(answers[..3].iter().all(|answer| answer.status == 404));
    assert_eq!((answers[3].status, answers[3].code()), (429, "rate_limited"));
    assert!(answers[3].header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
}

#[test]
fn the_interface_can_be_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = served(&folder, |config| config.rest.enabled = false);
    let http = Http::ann(&server.url);
    assert_eq!(http.ask("GET", "/health", &[], None).status, 200);
    assert_eq!(http.ask_text("GET", "/v1/openapi.json", &[], None).status, 404);
}
