//! Who is there, and what they show.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use syncline_server::{Config, Mode};

use crate::support::{Agent, EmbeddedServer, SECRET, ServerProcess, client_id, create, push, token};

const ROOM: &str = "list:1";

fn connect(agent: &Agent, server: &ServerProcess, name: &str, user: &str, client: u8, encoding: &str) {
    let auth = json!({"token": token(user, &[ROOM]), "client_id": client_id(client), "encoding": encoding});
    assert_eq!(agent.connect(name, &server.url, auth)["connected"], true);
}

/// A member without the time since it was active, which no test knows.
fn member(client: u8, user: &str, state: Value) -> Value {
    json!({"client_id": client_id(client), "user_id": user, "state": state, "status": "active", "expires_ms": {}})
}

/// Members, or a difference, likewise.
fn timeless(mut message: Value) -> Value {
    for list in ["members", "joined", "updated"] {
        for member in message[list].as_array_mut().into_iter().flatten() {
            member.as_object_mut().unwrap().remove("idle_ms").unwrap();
        }
    }
    message.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    message
}

#[test]
fn members_see_each_other_come_change_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let agent = Agent::start();
    connect(&agent, &server, "a", "ann", 1, "plain");
    connect(&agent, &server, "b", "bob", 2, "plain");
    let join =
        |name: &str, state: Value| agent.ask(name, "presence:join", json!({"room": ROOM, "state": state}));

    let ann = member(1, "ann", json!({"at": 1}));
    assert_eq!(timeless(join("a", json!({"at": 1}))), json!({"members": [ann]}));
    let bob = member(2, "bob", json!({}));
    assert_eq!(timeless(join("b", json!({}))), json!({"members": [ann, bob]}));
    let diff = |joined: Value, updated: Value, left: Value| json!({"room": ROOM, "joined": joined, "updated": updated, "left": left});
    assert_eq!(
        timeless(agent.next("a", "presence:diff")["value"].clone()),
        diff(json!([bob]), json!([]), json!([]))
    );

    let update = json!({"room": ROOM, "state": {"at": 2}, "status": "away"});
    assert_eq!(agent.ask("b", "presence:update", update), json!({"ok": true}));
    let mut away = member(2, "bob", json!({"at": 2}));
    away["status"] = "away".into();
    assert_eq!(
        timeless(agent.next("a", "presence:diff")["value"].clone()),
        diff(json!([]), json!([away]), json!([]))
    );

    agent.call("disconnect", json!({"name": "b"}));
    assert_eq!(agent.next("a", "presence:diff")["value"], diff(json!([]), json!([]), json!([client_id(2)])));

    assert_eq!(agent.ask("a", "presence:leave", json!({"room": ROOM})), json!({"ok": true}));
    let gone = agent.ask("a", "presence:update", json!({"room": ROOM, "state": {}}));
    assert_eq!(gone["error"]["code"], "not_found");
    let large = json!({"room": ROOM, "state": {"text": "x".repeat(5000)}});
    assert_eq!(agent.ask("a", "presence:join", large)["error"]["code"], "too_large");
}

#[test]
fn events_come_in_the_encoding_of_the_handshake() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let agent = Agent::start();
    connect(&agent, &server, "a", "ann", 1, "compact");
    connect(&agent, &server, "b", "bob", 2, "plain");
    agent.ask("a", "presence:join", json!({"room": ROOM, "state": {}}));
    agent.ask("b", "presence:join", json!({"room": ROOM, "state": {}}));
    let mut diff = agent.next("a", "presence:diff");
    assert_eq!(diff["encoding"], "compact");
    let idle_ms = diff["value"][1][0][5].take();
    assert!(idle_ms.is_u64(), "{idle_ms}");
    let bob = json!([{"$bin": "02".repeat(16)}, "bob", {}, "active", {}, null]);
    assert_eq!(diff["value"], json!([ROOM, [bob], [], []]));
}

#[test]
fn users_come_online_and_go_offline_for_those_who_share_a_room() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let agent = Agent::start();
    connect(&agent, &server, "a", "ann", 1, "plain");
    agent.ask("a", "room:join", json!({"room": ROOM}));
    connect(&agent, &server, "b", "bob", 2, "plain");
    agent.ask("b", "sync:subscribe", json!({"room": ROOM, "cursor": 0}));
    assert_eq!(agent.next("a", "user:online")["value"], json!({"userId": "bob"}));
    connect(&agent, &server, "b2", "bob", 3, "plain");
    agent.ask("b2", "room:join", json!({"room": ROOM}));
    agent.call("disconnect", json!({"name": "b"}));
    agent.call("disconnect", json!({"name": "b2"}));
    assert_eq!(agent.next("a", "user:offline")["value"], json!({"userId": "bob"}));
    connect(&agent, &server, "c", "cai", 4, "plain");
    agent.ask("c", "room:join", json!({"room": ROOM}));
    // The next one after bob's first: neither his second connection nor the end of his first was told.
    assert_eq!(agent.next("a", "user:online")["value"], json!({"userId": "cai"}));
}

#[test]
fn a_ping_tells_where_the_logs_of_subscribed_rooms_end() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let agent = Agent::start();
    connect(&agent, &server, "a", "ann", 1, "plain");
    agent.ask("a", "sync:subscribe", json!({"room": ROOM, "cursor": 0}));
    agent.ask("a", "sync:push", push(ROOM, None, &[create(1, "d", 1), create(2, "e", 1)]));
    agent.ask("a", "sync:push", push("user:ann", None, &[create(1, "d", 1)]));
    assert_eq!(agent.ask("a", "presence:ping", json!({})), json!({"heads": {ROOM: 2}, "lapsed": []}));
    assert_eq!(agent.ask_compact("a", "presence:ping", json!([])), json!([{ROOM: 2}, []]));
    agent.ask("a", "sync:unsubscribe", json!({"room": ROOM}));
    assert_eq!(agent.ask("a", "presence:ping", json!({})), json!({"heads": {}, "lapsed": []}));
}

/// A server with times that a test can wait for.
fn quick(folder: &std::path::Path, change: impl FnOnce(&mut Config)) -> EmbeddedServer {
    let mode = Mode::Production { jwt_secret: SECRET.into() };
    let mut config = Config::new("127.0.0.1:0".parse().unwrap(), folder.join("data"), mode);
    config.presence.grace_ms = 300;
    config.limits.presence_lease_ms = 1_000;
    change(&mut config);
    EmbeddedServer::start(config)
}

/// Ann watches the room from a connection that lives; bob is there, too.
fn pair(agent: &Agent, url: &str) {
    for (name, user, client) in [("a", "ann", 1), ("b", "bob", 2)] {
        connect_to(agent, url, name, user, client);
        agent.ask(name, "presence:join", json!({"room": ROOM, "state": {}}));
    }
    assert_eq!(agent.next("a", "user:online")["value"], json!({"userId": "bob"}));
    assert_eq!(agent.next("a", "presence:diff")["value"]["joined"][0]["user_id"], "bob");
}

/// What the next difference says of clients, in a word.
fn next_diff(agent: &Agent) -> (String, Value) {
    let diff = agent.next("a", "presence:diff")["value"].clone();
    let kinds = ["joined", "updated", "left"];
    let kind = kinds.into_iter().find(|kind| diff[kind] != json!([])).unwrap();
    (kind.to_owned(), diff[kind][0].clone())
}

#[test]
fn a_client_whose_connection_broke_is_away_for_the_grace_and_then_gone() {
    let folder = tempfile::tempdir().unwrap();
    let server = quick(folder.path(), |config| config.limits.presence_lease_ms = 60_000);
    let agent = Agent::start();
    pair(&agent, &server.url);
    agent.call("sever", json!({"name": "b"}));
    let (kind, bob) = next_diff(&agent);
    assert_eq!((kind.as_str(), &bob["status"]), ("updated", &json!("away")));
    let members = agent.ask("a", "presence:join", json!({"room": ROOM, "state": {}}));
    assert_eq!(members["members"].as_array().unwrap().len(), 2);
    assert_eq!(next_diff(&agent), ("left".to_owned(), json!(client_id(2))));
    assert_eq!(agent.next("a", "user:offline")["value"], json!({"userId": "bob"}));
}

#[test]
fn a_client_that_reconnects_within_the_grace_neither_leaves_nor_joins() {
    let folder = tempfile::tempdir().unwrap();
    let server = quick(folder.path(), |config| {
        config.limits.presence_lease_ms = 60_000;
        config.presence.grace_ms = 30_000;
    });
    let agent = Agent::start();
    pair(&agent, &server.url);
    agent.call("sever", json!({"name": "b"}));
    assert_eq!(next_diff(&agent).1["status"], "away");
    connect_to(&agent, &server.url, "b2", "bob", 2);
    agent.ask("b2", "presence:join", json!({"room": ROOM, "state": {"back": true}}));
    let (kind, bob) = next_diff(&agent);
    assert_eq!(
        (kind.as_str(), &bob["status"], &bob["state"]),
        ("updated", &json!("active"), &json!({"back": true}))
    );
    // The next of each is of the farewell: nothing was told of the reconnect.
    agent.call("disconnect", json!({"name": "b2"}));
    assert_eq!(next_diff(&agent), ("left".to_owned(), json!(client_id(2))));
    assert_eq!(agent.next("a", "user:offline")["value"], json!({"userId": "bob"}));
}

#[test]
fn a_silent_client_is_gone_after_its_lease_and_a_ping_tells_it_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = quick(folder.path(), |_| {});
    let agent = Agent::start();
    pair(&agent, &server.url);
    // Ann pings, bob does not.
    let gone = agent.begin("next", json!({"name": "a", "event": "presence:diff"}));
    let start = Instant::now();
    let diff = loop {
        agent.ask("a", "presence:ping", json!({}));
        if let Some(diff) = agent.try_finish(gone, Duration::from_millis(100)) {
            break diff;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "bob never left");
    };
    assert_eq!(diff["value"]["left"], json!([client_id(2)]));
    assert_eq!(agent.ask("b", "presence:ping", json!({})), json!({"heads": {}, "lapsed": [ROOM]}));
    let update = agent.ask("b", "presence:update", json!({"room": ROOM, "state": {}}));
    assert_eq!(update["error"]["code"], "not_found");
}

#[test]
fn a_client_in_the_background_is_away_until_its_own_lease_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let server = quick(folder.path(), |config| config.presence.background_lease_ms_max = 1_500);
    let agent = Agent::start();
    pair(&agent, &server.url);
    let away = json!({"room": ROOM, "state": {}, "status": "away", "background_lease_ms": 600_000});
    let start = Instant::now();
    agent.ask("b", "presence:update", away);
    assert_eq!(next_diff(&agent).1["status"], "away");
    agent.call("sever", json!({"name": "b"}));
    let gone = agent.begin("next", json!({"name": "a", "event": "user:offline"}));
    while agent.try_finish(gone, Duration::from_millis(100)).is_none() {
        agent.ask("a", "presence:ping", json!({}));
        assert!(start.elapsed() < Duration::from_secs(20), "bob never went offline");
    }
    assert!(start.elapsed() >= Duration::from_millis(1_500), "{:?}", start.elapsed());
}

#[test]
fn fields_merge_are_removed_by_null_and_expire_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let server = quick(folder.path(), |config| config.limits.presence_lease_ms = 60_000);
    let agent = Agent::start();
    pair(&agent, &server.url);
    let update = |state: Value, expires_ms: Value| {
        agent.ask("b", "presence:update", json!({"room": ROOM, "state": state, "expires_ms": expires_ms}))
    };
    update(json!({"a": 1, "b": 1}), json!({}));
    assert_eq!(next_diff(&agent).1["state"], json!({"a": 1, "b": 1}));
    update(json!({"a": null, "typing": true}), json!({"typing": 400}));
    let (_, bob) = next_diff(&agent);
    assert_eq!(bob["state"], json!({"b": 1, "typing": true}));
    assert!(bob["expires_ms"]["typing"].as_u64().unwrap() <= 400);
    let start = Instant::now();
    let shown =
        || agent.ask("a", "presence:join", json!({"room": ROOM, "state": {}}))["members"][1]["state"].clone();
    while shown() != json!({"b": 1}) {
        assert!(start.elapsed() < Duration::from_secs(20), "it never expires");
    }
    assert_eq!(update(json!({}), json!({"x": 1}))["error"]["code"], "invalid");
}

#[test]
fn presence_said_too_often_is_refused_for_now_and_other_requests_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let server = quick(folder.path(), |config| {
        config.presence.requests_burst_max = 3;
        config.presence.requests_per_s_max = 1;
    });
    let agent = Agent::start();
    pair(&agent, &server.url);
    let update = || agent.ask("b", "presence:update", json!({"room": ROOM, "state": {}}));
    let refused = (0..5).map(|_| update()).find(|answer| answer.get("error").is_some()).unwrap();
    assert_eq!(refused["error"]["code"], "rate_limited");
    assert!(refused["error"]["retry_after_ms"].as_u64().unwrap() > 0);
    assert_eq!(agent.ask("b", "presence:ping", json!({}))["heads"], json!({}));
}

fn connect_to(agent: &Agent, url: &str, name: &str, user: &str, client: u8) {
    let auth = json!({"token": token(user, &[ROOM]), "client_id": client_id(client)});
    let connect = json!({"name": name, "url": url, "auth": auth, "transports": ["websocket"]});
    assert_eq!(agent.call("connect", connect)["connected"], true);
}
