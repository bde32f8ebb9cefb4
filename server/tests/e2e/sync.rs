//! Subscribing, pushing and pulling, in both encodings over both parsers.

use serde_json::{Value, json};

use crate::support::{Agent, ServerProcess, client_id, create, http, push, token};

const ROOM: &str = "list:1";

fn auth(user: &str, client: u8, encoding: &str) -> Value {
    json!({"token": token(user, &["list:*"]), "client_id": client_id(client), "encoding": encoding})
}

fn bytes(client: u8) -> Value {
    json!({"$bin": format!("{client:02x}").repeat(16)})
}

#[test]
fn plain_maps_over_the_default_parser() {
    let folder = tempfile::tempdir().unwrap();
    two_clients(&ServerProcess::start(folder.path()));
}

/// What one client writes, the other one hears and reads.
pub(crate) fn two_clients(server: &ServerProcess) {
    let agent = Agent::start();
    assert_eq!(agent.connect("a", &server.url, auth("ann", 1, "plain"))["connected"], true);
    assert_eq!(agent.connect("b", &server.url, auth("bob", 2, "plain"))["connected"], true);

    let hello = agent.next("a", "sync:hello")["value"].clone();
    assert_eq!(
        (&hello["protocol"], &hello["encoding"], &hello["user_id"]),
        (&json!(1), &json!("plain"), &json!("ann"))
    );
    assert_eq!(hello["limits"]["push_count_max"], 500);

    let empty = agent.ask("b", "sync:subscribe", json!({"room": ROOM, "cursor": 0}));
    assert_eq!(
        empty,
        json!({"changes": [], "cursor": 0, "more": false, "reset": false, "checksum": "0".repeat(16), "snapshot": null})
    );

    let answer = agent.ask("a", "sync:push", push(ROOM, None, &[create(1, "d", "\"quoted\"\n")]));
    assert_eq!(answer["error"], Value::Null);
    assert_eq!(answer["results"][0]["status"], "applied");
    assert_eq!(answer["results"][0]["seq"], 1);

    let live = agent.next("b", "sync:changes");
    assert_eq!(live["encoding"], "plain");
    let change = &live["value"]["changes"][0];
    assert_eq!((&live["value"]["from_seq"], &live["value"]["to_seq"]), (&json!(1), &json!(1)));
    assert_eq!(change["fields"], json!({"title": "\"quoted\"\n"}));
    assert_eq!(change["version"], json!({client_id(1): 1}));

    let page = agent.ask("b", "sync:pull", json!({"room": ROOM, "cursor": 0, "limit": 10}));
    assert_eq!(&page["changes"][0], change);
    assert_eq!((&page["cursor"], &page["more"]), (&json!(1), &json!(false)));
    assert_ne!(page["checksum"], empty["checksum"]);
}

#[test]
fn the_default_client_starts_by_polling_and_upgrades() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let agent = Agent::start();
    let connect = json!({
        "name": "a", "url": server.url, "auth": auth("ann", 1, "compact"), "transports": ["polling"],
    });
    assert_eq!(agent.call("connect", connect), json!({"connected": true, "transport": "polling"}));
    let page = agent.ask_compact("a", "sync:subscribe", json!([ROOM, 0, null]));
    assert_eq!(page, json!([[], 0, false, false, 0, null]));
}

/// What one client does in the compact encoding, whatever its parser.
fn compact_round(parser: Option<&str>) {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let agent = Agent::start();
    for (name, client) in [("a", 1), ("b", 2)] {
        let connect = json!({
            "name": name, "url": server.url, "auth": auth("ann", client, "compact"), "parser": parser,
        });
        assert_eq!(agent.call("connect", connect)["connected"], true);
    }
    assert_eq!(agent.next("a", "sync:hello")["value"]["encoding"], "compact");
    agent.ask_compact("b", "sync:subscribe", json!([ROOM, 0, null]));

    let created = json!([1, "todos", "d", {"create": {"n": 1, "a b": [null, 1.5, "ü"]}}, [1000, 0], null]);
    let changed = json!([2, "todos", "d", {"update": {"n": {"increment": 2}}}, [1001, 0], null]);
    let answer = agent.ask_compact("a", "sync:push", json!([ROOM, null, [created, changed]]));
    assert_eq!(
        answer,
        json!([[[1, "applied", 1, null, null, null], [2, "applied", 2, null, null, null]], null])
    );

    let live = agent.next("b", "sync:changes");
    assert_eq!(live["encoding"], "compact");
    let document = json!([
        "todos", "d", {"n": 3, "a b": [null, 1.5, "ü"]}, 2, {"01".repeat(16): 2},
        [[1000, 0, bytes(1)], {}], false,
    ]);
    assert_eq!(live["value"], json!([ROOM, 1, 2, [document]]));

    // The same client may ask in maps as well; then it is answered in maps.
    let page = agent.ask("b", "sync:pull", json!({"room": ROOM, "cursor": 0, "limit": 10}));
    assert_eq!(page["changes"][0]["version"], json!({client_id(1): 2}));
    assert_eq!(page["changes"][0]["stamps"]["base"], json!([1000, 0, client_id(1)]));

    let typed = json!({"name": "b", "event": "sync:pull", "compact": [ROOM, 2, 10], "typed": true});
    assert_eq!(agent.call("emit", typed)["value"][1], 2);

    let error = agent.call("emit", json!({"name": "b", "event": "sync:pull", "compact": ["other", 0, 10]}));
    assert_eq!(
        (&error["encoding"], &error["value"]["error"]["code"]),
        (&json!("plain"), &json!("forbidden"))
    );
}

#[test]
fn compact_binaries_over_the_default_parser() {
    compact_round(None);
}

#[test]
fn compact_binaries_over_the_messagepack_parser() {
    compact_round(Some("msgpack"));
}

#[test]
fn both_parsers_and_encodings_share_rooms() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let agent = Agent::start();
    agent.connect("json", &server.url, auth("ann", 1, "plain"));
    let connect = json!({
        "name": "msgpack", "url": server.url, "auth": auth("bob", 2, "compact"), "parser": "msgpack",
    });
    agent.call("connect", connect);
    agent.ask("json", "sync:subscribe", json!({"room": ROOM, "cursor": 0}));
    agent.ask_compact("msgpack", "sync:subscribe", json!([ROOM, 0, null]));
    agent.ask("json", "sync:push", push(ROOM, None, &[create(1, "d", 1)]));
    let created = json!([1, "todos", "e", {"create": {}}, [1000, 0], null]);
    agent.ask_compact("msgpack", "sync:push", json!([ROOM, null, [created]]));
    for place in [1, 2] {
        assert_eq!(agent.next("json", "sync:changes")["value"]["to_seq"], place);
        assert_eq!(agent.next("msgpack", "sync:changes")["value"][2], place);
    }
    let (_, _, health) = http(&server.url, "GET", "/health", None, "");
    let health: Value = serde_json::from_str(&health).unwrap();
    assert_eq!((&health["connected_clients"], &health["users"]), (&json!(2), &json!(2)));
}

#[test]
fn pipelined_pushes_are_applied_in_order_and_a_broken_chain_stops() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let agent = Agent::start();
    agent.connect("a", &server.url, auth("ann", 1, "plain"));

    let chain: Vec<Value> = (1..=50)
        .map(|seq| push(ROOM, (seq > 1).then(|| seq - 1), &[create(seq, &format!("d{seq}"), seq)]))
        .collect();
    let answers = agent.call("burst", json!({"name": "a", "event": "sync:push", "plains": chain}));
    let seqs: Vec<u64> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| answer["value"]["results"][0]["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, (1..=50).collect::<Vec<_>>());

    // The second is refused whole, so the third, which follows it, may not be applied either.
    let too_many: Vec<Value> = (52..=552).map(|seq| create(seq, "x", 0)).collect();
    let broken = [
        push(ROOM, Some(50), &[create(51, "e51", 0)]),
        push(ROOM, Some(51), &too_many),
        push(ROOM, Some(552), &[create(553, "e553", 0)]),
        push(ROOM, Some(51), &[create(554, "e554", 0)]),
        push(ROOM, None, &[create(555, "e555", 0)]),
    ];
    let answers = agent.call("burst", json!({"name": "a", "event": "sync:push", "plains": broken}));
    let told: Vec<&Value> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| match &answer["value"]["error"]["code"] {
            Value::Null => &answer["value"]["results"][0]["status"],
            code => code,
        })
        .collect();
    assert_eq!(told, ["applied", "too_large", "out_of_order", "out_of_order", "applied"]);
}

#[test]
fn a_subscription_may_be_narrowed_to_collections() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let agent = Agent::start();
    agent.connect("a", &server.url, auth("ann", 1, "plain"));
    let request = json!({"room": ROOM, "cursor": 0, "collections": ["notes"]});
    assert_eq!(agent.ask("a", "sync:subscribe", request)["checksum"], Value::Null);
    let mut note = create(2, "n", "note");
    note["collection"] = "notes".into();
    agent.ask("a", "sync:push", push(ROOM, None, &[create(1, "t", "todo"), note]));
    let live = agent.next("a", "sync:changes")["value"].clone();
    assert_eq!((&live["from_seq"], &live["to_seq"]), (&json!(1), &json!(2)));
    let ids: Vec<&Value> = live["changes"].as_array().unwrap().iter().map(|change| &change["id"]).collect();
    assert_eq!(ids, ["n"]);
}

#[test]
fn malformed_requests_are_answered_and_have_no_effect() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let agent = Agent::start();
    for (name, parser) in [("json", None), ("msgpack", Some("msgpack"))] {
        let connect =
            json!({"name": name, "url": server.url, "auth": auth("ann", 1, "plain"), "parser": parser});
        agent.call("connect", connect);
        let nested = (0..100).fold(json!(1), |inner, _| json!([inner]));
        let mut bad_path = create(1, "d", 0);
        bad_path["write"] = json!({"update": {"a\\": "unset"}});
        for (event, plain) in [
            ("sync:push", json!(null)),
            ("sync:push", json!([1, 2])),
            ("sync:push", json!({"room": ROOM})),
            ("sync:push", push("", None, &[create(1, "d", 0)])),
            ("sync:push", push(ROOM, None, &[create(1, "line\nbreak", 0)])),
            ("sync:push", push(ROOM, None, &[create(1, "d", nested)])),
            ("sync:push", push(ROOM, None, &[bad_path])),
            ("sync:push", push(ROOM, None, &[])),
            ("sync:pull", json!({"room": ROOM, "cursor": -1, "limit": 1})),
            ("sync:pull", json!({"room": {"$bin": "00"}, "cursor": 0, "limit": 1})),
            ("no:such", json!({})),
        ] {
            let answer = agent.ask(name, event, plain.clone());
            assert_eq!(answer["error"]["code"], "invalid", "{name} {event} {plain}: {answer}");
        }
        let missing = agent.call("emit", json!({"name": name, "event": "sync:push"}));
        assert_eq!(missing["value"]["error"]["code"], "invalid");
        for compact in [json!([]), json!([ROOM, null, 7]), json!({"room": ROOM})] {
            let answer = agent.call("emit", json!({"name": name, "event": "sync:push", "compact": compact}));
            assert_eq!(answer["value"]["error"]["code"], "invalid", "{answer}");
        }
        let page = agent.ask(name, "sync:pull", json!({"room": ROOM, "cursor": 0, "limit": 1}));
        assert_eq!(page["cursor"], 0);
    }
}
