//! Who is there, and what they show.

use serde_json::{Value, json};

use crate::support::{Agent, ServerProcess, client_id, create, push, token};

const ROOM: &str = "list:1";

fn connect(agent: &Agent, server: &ServerProcess, name: &str, user: &str, client: u8, encoding: &str) {
    let auth = json!({"token": token(user, &[ROOM]), "client_id": client_id(client), "encoding": encoding});
    assert_eq!(agent.connect(name, &server.url, auth)["connected"], true);
}

fn member(client: u8, user: &str, state: Value) -> Value {
    json!({"client_id": client_id(client), "user_id": user, "state": state, "status": "active"})
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
    assert_eq!(join("a", json!({"at": 1})), json!({"members": [ann]}));
    let bob = member(2, "bob", json!({}));
    assert_eq!(join("b", json!({})), json!({"members": [ann, bob]}));
    let diff = |joined: Value, updated: Value, left: Value| json!({"room": ROOM, "joined": joined, "updated": updated, "left": left});
    assert_eq!(agent.next("a", "presence:diff")["value"], diff(json!([bob]), json!([]), json!([])));

    let update = json!({"room": ROOM, "state": {"at": 2}, "status": "away"});
    assert_eq!(agent.ask("b", "presence:update", update), json!({"ok": true}));
    let mut away = member(2, "bob", json!({"at": 2}));
    away["status"] = "away".into();
    assert_eq!(agent.next("a", "presence:diff")["value"], diff(json!([]), json!([away]), json!([])));

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
    let diff = agent.next("a", "presence:diff");
    assert_eq!(diff["encoding"], "compact");
    let bob = json!([{"$bin": "02".repeat(16)}, "bob", {}, "active"]);
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
    assert_eq!(agent.ask("a", "presence:ping", json!({})), json!({"heads": {ROOM: 2}}));
    assert_eq!(agent.ask_compact("a", "presence:ping", json!([])), json!([{ROOM: 2}]));
    agent.ask("a", "sync:unsubscribe", json!({"room": ROOM}));
    assert_eq!(agent.ask("a", "presence:ping", json!({})), json!({"heads": {}}));
}
