//! Many documents: lists by query, and a room's changes.

use serde_json::{Value, json};

use crate::client::{Http, ROOM, at};
use crate::support::ServerProcess;

fn encoded(value: &Value) -> String {
    percent_encoding::utf8_percent_encode(&value.to_string(), percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn filled(http: &Http, count: u64) {
    for number in 0..count {
        let fields = json!({"n": number, "even": number % 2 == 0, "third": number / 3});
        assert_eq!(http.put(&at(&format!("d{number:02}")), fields).status, 200);
    }
}

fn ids(answer: &Value) -> Vec<String> {
    let documents = answer["documents"].as_array().unwrap();
    documents.iter().map(|document| document["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_list_is_filtered_ordered_and_read_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let http = Http::ann(&server.url);
    filled(&http, 10);
    http.delete(&at("d04"));
    http.put("/v1/rooms/list:1/collections/others/documents/x", json!({"even": true}));
    let filter = encoded(&json!({"and": [{"eq": ["even", true]}, {"gte": ["n", 2]}]}));
    let order = encoded(&json!([{"path": "third", "direction": "desc"}]));
    let path = format!("/v1/rooms/{ROOM}/collections/todos/documents");

    let all = http.get(&format!("{path}?filter={filter}&order_by={order}"));
    assert_eq!(all.status, 200, "{}", all.body);
    assert_eq!(ids(&all.body), ["d06", "d08", "d02"]);
    assert_eq!(
        (&all.body["count"], &all.body["next"], &all.body["head"]),
        (&json!(3), &Value::Null, &json!(12))
    );

    let first = http.get(&format!("{path}?filter={filter}&order_by={order}&limit=2"));
    assert_eq!((ids(&first.body).len(), &first.body["count"]), (2, &json!(3)));
    let next = first.body["next"].as_str().unwrap();
    http.delete(&at("d08"));
    let second = http.get(&format!("{path}?filter={filter}&order_by={order}&limit=2&after={next}"));
    assert_eq!((ids(&second.body), &second.body["next"]), (vec!["d02".to_owned()], &Value::Null));

    let by_id = http.get(&format!("{path}?limit=3"));
    assert_eq!(ids(&by_id.body), ["d00", "d01", "d02"]);
    assert_eq!(by_id.body["count"], Value::Null, "not all of them were looked at");
    let next = by_id.body["next"].as_str().unwrap();
    let rest = http.get(&format!("{path}?after={next}"));
    assert_eq!(ids(&rest.body), ["d03", "d05", "d06", "d07", "d09"]);
    assert_eq!(http.get(&path).body["count"], 8);
    let count = http.get(&format!("{path}?limit=0")).body;
    assert_eq!((ids(&count), &count["count"]), (vec![], &json!(8)));
}

#[test]
fn a_list_of_a_room_without_changes_is_not_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let http = Http::ann(&server.url);
    filled(&http, 1);
    let path = format!("/v1/rooms/{ROOM}/collections/todos/documents");
    let tag = http.get(&path).header("etag").unwrap().to_owned();
    let again = || http.ask("GET", &path, &[("if-none-match", &tag)], None).status;
    assert_eq!(again(), 304);
    filled(&http, 1);
    assert_eq!(again(), 200);
}

#[test]
fn a_query_that_makes_no_sense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let http = Http::ann(&server.url);
    let path = format!("/v1/rooms/{ROOM}/collections/todos/documents");
    let keys = vec![json!({"path": "a"}); 9];
    for (query, status) in [
        ("filter=x".to_owned(), 422),
        (format!("filter={}", encoded(&json!({"eq": ["a"]}))), 422),
        (format!("filter={}", encoded(&json!({"in": ["a", vec![1; 1001]]}))), 422),
        (format!("order_by={}", encoded(&json!(keys))), 422),
        ("after=x".to_owned(), 422),
        ("limit=x".to_owned(), 400),
        ("limit=-1".to_owned(), 400),
    ] {
        let refused = http.get(&format!("{path}?{query}"));
        assert_eq!((refused.status, refused.code()), (status, "invalid"), "{query}");
    }
}

#[test]
fn changes_are_read_on_from_a_cursor() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let http = Http::ann(&server.url);
    filled(&http, 5);
    let path = format!("/v1/rooms/{ROOM}/changes");
    let mut seen = Vec::new();
    let (mut cursor, mut snapshot) = (0, Value::Null);
    loop {
        let asked = match snapshot.as_u64() {
            Some(snapshot) => format!("{path}?cursor={cursor}&limit=2&snapshot={snapshot}"),
            None => format!("{path}?cursor={cursor}&limit=2"),
        };
        let page = http.get(&asked).body;
        seen.extend(page["changes"].as_array().unwrap().iter().map(|change| change["seq"].as_u64().unwrap()));
        cursor = page["cursor"].as_u64().unwrap();
        if page["more"] == false {
            break;
        }
        if !page["snapshot"].is_null() {
            snapshot = page["snapshot"].clone();
        }
    }
    assert_eq!((seen, cursor), (vec![1, 2, 3, 4, 5], 5));
    http.delete(&at("d00"));
    let change = http.get(&format!("{path}?cursor=5")).body["changes"][0].clone();
    assert_eq!(change, json!({"collection": "todos", "id": "d00", "seq": 6, "fields": {}, "deleted": true}));
    assert_eq!(http.get(&format!("{path}?cursor=99")).body["reset"], true);
}
