//! One document: read, replace, patch, delete, alone and in a batch.

use serde_json::{Value, json};

use crate::client::{Http, ROOM, at};
use crate::support::{Agent, ServerProcess, client_id, create, push, token};

#[test]
fn a_document_is_made_read_replaced_patched_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let http = Http::ann(&server.url);

    let made = http.put(&at("a"), json!({"title": "Milk", "done": false, "due": null}));
    assert_eq!((made.status, &made.body), (200, &json!({"collection": "todos", "id": "a", "seq": 1})));
    assert_eq!(made.header("etag"), Some("\"1\""));

    http.put(&at("a"), json!({"title": "Bread", "tags": ["x"], "n": 1}));
    let patch = json!({
        "done": true, "address.city": "Bern",
        "__set": {"title": "Rye"}, "__unset": ["due"], "__increment": {"n": 2.5},
        "__union": {"tags": ["x", "y"]}, "__append": {"log": [1]}, "__server_time": ["at"],
    });
    let patched = http.patch(&at("a"), patch);
    assert_eq!((patched.status, &patched.body["seq"]), (200, &json!(3)), "{}", patched.body);

    let read = http.get(&at("a"));
    assert_eq!((read.status, read.header("etag")), (200, Some("\"3\"")));
    let fields = &read.body["fields"];
    assert!(fields["at"].as_u64().unwrap() > 1_700_000_000_000);
    let mut rest = fields.clone();
    rest.as_object_mut().unwrap().remove("at");
    let expected = json!({
        "title": "Rye", "done": true, "tags": ["x", "y"], "n": 3.5, "log": [1], "address": {"city": "Bern"},
    });
    assert_eq!(rest, expected);

    assert_eq!(http.delete(&at("a")).status, 204);
    for gone in [http.get(&at("a")), http.delete(&at("a")), http.patch(&at("a"), json!({"n": 1}))] {
        assert_eq!((gone.status, gone.code()), (404, "not_found"));
    }
    let again = http.ask("PATCH", &format!("{}?upsert=true", at("a")), &[], Some(json!({"n": 1})));
    assert_eq!(again.status, 200);
    assert_eq!(http.get(&at("a")).body["fields"], json!({"n": 1}));
}

#[test]
fn names_may_hold_anything_that_a_path_can_spell() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let http = Http::ann(&server.url);
    let path = at("a%2Fb%20%C3%BC%3F");
    assert_eq!(http.put(&path, json!({"n": 1})).status, 200);
    assert_eq!(http.get(&path).body["id"], "a/b ü?");
}

#[test]
fn a_tag_guards_a_write_and_spares_a_read() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let http = Http::ann(&server.url);
    let put = |name: &str, value: &str| http.ask("PUT", &at("a"), &[(name, value)], Some(json!({"n": 1})));

    assert_eq!(put("if-match", "*").status, 412);
    assert_eq!(put("if-none-match", "*").status, 200);
    let taken = put("if-none-match", "*");
    assert_eq!((taken.status, taken.code()), (412, "conflict"));
    assert_eq!(put("if-match", "\"7\"").status, 412);
    assert_eq!(put("if-match", "W/\"1\"").status, 412, "a weak tag never guards a write");
    assert_eq!(put("if-match", "\"7\", \"1\"").status, 200);
    assert_eq!(put("if-match", "x").status, 400);

    let unchanged = http.ask("GET", &at("a"), &[("if-none-match", "\"2\"")], None);
    assert_eq!(
        (unchanged.status, unchanged.header("etag"), &unchanged.body),
        (304, Some("\"2\""), &Value::Null)
    );
    assert_eq!(http.ask("GET", &at("a"), &[("if-none-match", "\"1\"")], None).status, 200);
    assert_eq!(http.ask("DELETE", &at("a"), &[("if-match", "\"1\"")], None).status, 412);
    assert_eq!(http.ask("DELETE", &at("a"), &[("if-match", "\"2\"")], None).status, 204);
}

#[test]
fn of_many_that_write_upon_one_version_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    Http::ann(&server.url).put(&at("a"), json!({"n": 0}));
    let rounds = 10;
    for round in 0..rounds {
        let tag = Http::ann(&server.url).get(&at("a")).header("etag").unwrap().to_owned();
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let write = || {
                let body = Some(json!({"__increment": {"n": 1}}));
                Http::ann(&server.url).ask("PATCH", &at("a"), &[("if-match", &tag)], body).status
            };
            let writers: Vec<_> = (0..8).map(|_| scope.spawn(write)).collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 412).count(), 7, "{statuses:?}");
        assert_eq!(Http::ann(&server.url).get(&at("a")).body["fields"]["n"], round + 1);
    }
}

#[test]
fn a_batch_has_a_result_for_each_operation() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let http = Http::ann(&server.url);
    let path = format!("/v1/rooms/{ROOM}/batch");
    let operations = json!([
        {"op": "put", "collection": "todos", "id": "a", "fields": {"n": 1}, "if_absent": true},
        {"op": "patch", "collection": "todos", "id": "a", "patch": {"__increment": {"n": 1}}, "if_seq": 1},
        {"op": "patch", "collection": "todos", "id": "missing", "patch": {"n": 1}},
        {"op": "patch", "collection": "todos", "id": "b", "patch": {"__increment": {"n": 1}}, "upsert": true},
        {"op": "put", "collection": "todos", "id": "a", "fields": {}, "if_seq": 1},
        {"op": "delete", "collection": "todos", "id": "b"},
        {"op": "put", "collection": "$receipts", "id": "b", "fields": {}},
    ]);
    let answer = http.ask("POST", &path, &[], Some(json!({"operations": operations})));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let results = answer.body["results"].as_array().unwrap();
    let told: Vec<Value> = results
        .iter()
        .map(|result| json!([result["status"], result["seq"], result["error"]["code"]]))
        .collect();
    let expected = json!([
        ["applied", 1, null],
        ["applied", 2, null],
        ["rejected", null, "not_found"],
        ["applied", 3, null],
        ["conflict", 2, "conflict"],
        ["applied", 4, null],
        ["rejected", null, "forbidden"],
    ]);
    assert_eq!(Value::from(told), expected);
    assert_eq!(http.get(&at("a")).body["fields"], json!({"n": 2}));
    assert_eq!(http.get(&at("b")).status, 404);
}

#[test]
fn sockets_and_requests_see_each_others_writes() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let http = Http::ann(&server.url);
    let agent = Agent::start();
    let auth = json!({"token": token("bob", &[ROOM]), "client_id": client_id(1)});
    agent.connect("b", &server.url, auth);
    agent.ask("b", "sync:subscribe", json!({"room": ROOM, "cursor": 0}));

    let body = Some(json!({"title": "Milk"}));
    http.ask("PUT", &at("a"), &[("idempotency-key", "k")], body);
    let live = agent.next("b", "sync:changes")["value"].clone();
    let changes = live["changes"].as_array().unwrap();
    assert_eq!(
        (changes.len(), &changes[0]["fields"]),
        (1, &json!({"title": "Milk"})),
        "the receipt is not told"
    );
    assert_eq!((&live["from_seq"], &live["to_seq"]), (&json!(1), &json!(2)));

    agent.ask("b", "sync:push", push(ROOM, None, &[create(1, "d", "Bread")]));
    assert_eq!(http.get(&at("d")).body["fields"], json!({"title": "Bread"}));
    let page = agent.ask("b", "sync:pull", json!({"room": ROOM, "cursor": 0, "limit": 10}));
    let seen: Vec<&Value> = page["changes"].as_array().unwrap().iter().map(|change| &change["id"]).collect();
    assert_eq!(seen, ["a", "d"]);
}

#[test]
fn every_path_asks_for_a_token_that_allows_the_room() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let paths = |room: &str| {
        let documents = format!("/v1/rooms/{room}/collections/todos/documents");
        let one = format!("{documents}/a");
        let write = Some(json!({"n": 1}));
        let operations = json!({"operations": [{"op": "delete", "collection": "todos", "id": "a"}]});
        [
            ("GET", one.clone(), None),
            ("PUT", one.clone(), write.clone()),
            ("PATCH", one.clone(), write),
            ("DELETE", one, None),
            ("GET", documents, None),
            ("GET", format!("/v1/rooms/{room}/changes"), None),
            ("POST", format!("/v1/rooms/{room}/batch"), Some(operations)),
        ]
    };
    let nobody = Http::with(&server.url, None);
    let forger = Http::with(&server.url, Some("nonsense".into()));
    let ann = Http::ann(&server.url);
    for (method, path, body) in paths(ROOM) {
        for somebody in [&nobody, &forger] {
            let refused = somebody.ask(method, &path, &[], body.clone());
            assert_eq!((refused.status, refused.code()), (401, "unauthorized"), "{method} {path}");
            assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        }
    }
    for room in ["list:2", "user:bob", "list:10"] {
        for (method, path, body) in paths(room) {
            let refused = ann.ask(method, &path, &[], body);
            assert_eq!((refused.status, refused.code()), (403, "forbidden"), "{method} {path}");
        }
    }
}

#[test]
fn a_refusal_has_one_shape_whoever_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let http = Http::ann(&server.url);
    let long = "x".repeat(129);
    for (method, path, body, status) in [
        ("GET", "/nothing", None, 404),
        ("GET", "/v1/rooms", None, 404),
        ("POST", &*at("a"), None, 405),
        ("GET", &at("%FF"), None, 400),
        ("GET", &at(&long), None, 422),
        ("GET", &at("a%00"), None, 422),
        ("PUT", &at("a"), Some(("text/plain", "{}")), 415),
        ("PUT", &at("a"), Some(("application/json", "{")), 400),
        ("PUT", &at("a"), Some(("application/json", "[]")), 400),
        ("PATCH", &at("a"), Some(("application/json", "{}")), 422),
        ("PATCH", &at("a"), Some(("application/json", r#"{"__increment": {"n": "1"}}"#)), 422),
        ("PUT", "/v1/rooms/list:1/collections/$receipts/documents/a", Some(("application/json", "{}")), 403),
    ] {
        let refused = http.ask_text(method, path, &[], body);
        assert_eq!(refused.status, status, "{method} {path} {}", refused.body);
        assert_eq!(refused.header("content-type"), Some("application/json"), "{method} {path}");
        let error = refused.body["error"].as_object().unwrap();
        assert!(error["code"].is_string() && error["message"].is_string(), "{method} {path}");
        assert!(error.contains_key("retry_after_ms"));
    }
    assert_eq!(
        http.ask("POST", &at("a"), &[], None).header("allow").map(|allow| allow.contains("PUT")),
        Some(true)
    );
}
