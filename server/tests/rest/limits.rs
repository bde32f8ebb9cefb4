//! What one request, and one user, may take.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};
use syncline_server::{Config, Mode};

use crate::client::{Http, ROOM, at};
use crate::support::{EmbeddedServer, SECRET, STEP_TIMEOUT};

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

/// The documents of each part of a list, by `next`.
fn parts(http: &Http, path: &str) -> Vec<Vec<String>> {
    let mut parts = Vec::new();
    let mut after = String::new();
    loop {
        let part = http.get(&format!("{path}{after}"));
        assert_eq!(part.status, 200, "{}", part.body);
        let documents = part.body["documents"].as_array().unwrap();
        parts.push(documents.iter().map(|document| document["id"].as_str().unwrap().to_owned()).collect());
        match part.body["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return parts,
        }
        assert!(parts.len() < 100, "it has an end");
    }
}

#[test]
fn a_list_looks_at_so_many_documents_and_goes_on_by_its_cursor_or_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = served(&folder, |config| {
        config.rest.query_scan_max = 3;
        config.rest.page_count_max = 2;
    });
    let http = Http::ann(&server.url);
    let path = format!("/v1/rooms/{ROOM}/collections/todos/documents");
    for number in 0..8 {
        http.put(&at(&number.to_string()), json!({"last": number == 7}));
    }
    http.delete(&at("2"));
    assert_eq!(
        parts(&http, &format!("{path}?")),
        [vec!["0", "1"], vec!["3", "4"], vec!["5", "6"], vec!["7"]]
    );
    let filtered = parts(&http, &format!("{path}?filter=%7B%22eq%22%3A%5B%22last%22%2Ctrue%5D%7D"));
    assert_eq!(filtered.concat(), ["7"]);
    assert!(filtered.len() > 1, "parts in which nothing matches are answered, too: {filtered:?}");
    let refused = http.get(&format!("{path}?order_by=%5B%7B%22path%22%3A%22last%22%7D%5D"));
    assert_eq!((refused.status, refused.code()), (422, "too_large"));
    assert_eq!(http.get(&format!("{path}?limit=0")).status, 422, "a count needs all of them");
}

#[test]
fn a_list_is_bounded_in_bytes_in_every_order_and_answers_one_document_at_least() {
    let folder = tempfile::tempdir().unwrap();
    let server = served(&folder, |config| config.rest.page_bytes_max = 2_500);
    let http = Http::ann(&server.url);
    let path = format!("/v1/rooms/{ROOM}/collections/todos/documents");
    for (id, bytes) in [("a", 900), ("b", 900), ("c", 5_000), ("d", 900), ("e", 900)] {
        http.put(&at(id), json!({"text": "x".repeat(bytes), "bytes": bytes}));
    }
    assert_eq!(parts(&http, &format!("{path}?")), [vec!["a", "b"], vec!["c"], vec!["d", "e"]]);
    let descending = "%5B%7B%22path%22%3A%22bytes%22%2C%22direction%22%3A%22desc%22%7D%5D";
    let ordered = parts(&http, &format!("{path}?order_by={descending}"));
    assert_eq!(ordered, [vec!["c"], vec!["a", "b"], vec!["d", "e"]]);
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

#[test]
fn who_shows_no_token_that_holds_is_answered_unread_and_takes_no_place() {
    let folder = tempfile::tempdir().unwrap();
    let server = served(&folder, |config| config.rest.requests_at_once_max = 1);
    let address = server.url.strip_prefix("http://").unwrap();
    let document = at("a");
    for (method, path, token, status) in [
        ("PUT", document.as_str(), None, 401),
        ("PUT", document.as_str(), Some("x"), 401),
        ("PUT", "/nowhere", None, 404),
        ("POST", document.as_str(), None, 405),
    ] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(STEP_TIMEOUT)).unwrap();
        let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        // A body that never comes.
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: a\r\n{token}content-length: 9\r\n\r\n").unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(String::from_utf8_lossy(&head), format!("HTTP/1.1 {status}"), "{method} {path}");
    }
    assert_eq!(Http::ann(&server.url).put(&at("a"), json!({"text": "x"})).status, 200);
}
