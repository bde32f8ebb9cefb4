//! Rules, and what becomes of a connection whose rights change.

use serde_json::{Value, json};
use syncline_server::access::rules::Rule;
use syncline_server::{Config, Mode};

use crate::support::{Agent, EmbeddedServer, SECRET, client_id, create, now_s, push, sign, soon_enough};

const ROOM: &str = "org:acme:list";

fn config(folder: &tempfile::TempDir) -> Config {
    let mode = Mode::Production { jwt_secret: SECRET.into() };
    let mut config = Config::new("127.0.0.1:0".parse().unwrap(), folder.path().join("data"), mode);
    let rule = |right: &str| json!({"room": "org:{org}:*", "when": {"claims.org": "{org}", "claims.can": right}, "allow": [right]});
    let rules = json!(["join", "read", "write", "presence"].map(rule));
    config.security.rules = serde_json::from_value::<Vec<Rule>>(rules).unwrap();
    config
}

fn token(user: &str, org: &str, can: &[&str]) -> String {
    sign(&json!({"sub": user, "org": org, "can": can, "exp": now_s() + 3600}), SECRET)
}

fn connect(agent: &Agent, url: &str, user: &str, client: u8, org: &str, can: &[&str]) {
    let auth = json!({"token": token(user, org, can), "client_id": client_id(client)});
    assert_eq!(agent.connect(user, url, auth)["connected"], true);
}

/// Each request that needs a right, with that right.
fn requests(room: &str) -> [(&'static str, &'static str, Value); 6] {
    [
        ("join", "room:join", json!({"room": room})),
        ("read", "sync:subscribe", json!({"room": room, "cursor": 0})),
        ("read", "sync:pull", json!({"room": room, "cursor": 0, "limit": 1})),
        ("write", "sync:push", push(room, None, &[create(1, "d", 0)])),
        ("presence", "presence:join", json!({"room": room, "state": {}})),
        ("presence", "presence:update", json!({"room": room, "state": {}})),
    ]
}

#[test]
fn a_rule_gives_each_right_alone_and_in_its_own_rooms_only() {
    let folder = tempfile::tempdir().unwrap();
    let server = EmbeddedServer::start(config(&folder));
    let agent = Agent::start();
    for (index, given) in ["join", "read", "write", "presence", "none"].into_iter().enumerate() {
        connect(&agent, &server.url, given, u8::try_from(index).unwrap() + 1, "acme", &[given]);
        for (right, event, request) in requests(ROOM) {
            let answer = agent.ask(given, event, request);
            let is_denied = answer["error"]["code"] == "forbidden";
            assert_eq!(is_denied, right != given, "{given} {event} {answer}");
        }
        for (_, event, request) in requests("org:other:list") {
            assert_eq!(agent.ask(given, event, request)["error"]["code"], "forbidden", "{given} {event}");
        }
    }
}

#[test]
fn who_may_write_and_not_read_is_shown_nothing_of_the_document_in_a_conflict() {
    let folder = tempfile::tempdir().unwrap();
    let server = EmbeddedServer::start(config(&folder));
    let agent = Agent::start();
    connect(&agent, &server.url, "editor", 1, "acme", &["read", "write"]);
    connect(&agent, &server.url, "letterbox", 2, "acme", &["write"]);
    agent.ask("editor", "sync:push", push(ROOM, None, &[create(1, "d", "the secret")]));
    let mut late = create(1, "d", "mine");
    late["base"] = json!({});
    for (client, sees) in [("letterbox", false), ("editor", true)] {
        late["client_seq"] = 2.into();
        let result = agent.ask(client, "sync:push", push(ROOM, None, &[late.clone()]))["results"][0].clone();
        if sees {
            assert_ne!(result["status"], "rejected", "{result}");
        } else {
            assert_eq!((&result["status"], &result["document"]), (&json!("conflict"), &Value::Null));
        }
    }
    let deletion = json!({
        "client_seq": 3, "collection": "todos", "id": "d", "write": "delete", "time": late["time"], "base": {},
    });
    let result = agent.ask("letterbox", "sync:push", push(ROOM, None, &[deletion]))["results"][0].clone();
    assert_eq!((&result["status"], &result["fields"]), (&json!("conflict"), &Value::Null));
}

#[test]
fn who_may_not_be_present_neither_hears_who_else_is_there_nor_is_announced() {
    let folder = tempfile::tempdir().unwrap();
    let server = EmbeddedServer::start(config(&folder));
    let agent = Agent::start();
    let all = ["read", "presence"];
    connect(&agent, &server.url, "ann", 1, "acme", &all);
    connect(&agent, &server.url, "reader", 2, "acme", &["read"]);
    connect(&agent, &server.url, "bob", 3, "acme", &all);
    for client in ["ann", "reader", "bob"] {
        agent.ask(client, "sync:subscribe", json!({"room": ROOM, "cursor": 0}));
    }
    let heard = |client: &str, event: &str| agent.next(client, event)["value"]["userId"].clone();
    assert_eq!(heard("ann", "user:online"), "bob");
    let early = agent.begin("next", json!({"name": "reader", "event": "user:online"}));
    agent.ask("reader", "presence:ping", json!({}));
    assert!(agent.try_finish(early, std::time::Duration::from_millis(200)).is_none());
    // With the right it comes into sight and sees; without it, no longer.
    agent.ask("reader", "auth:refresh", json!({"token": token("reader", "acme", &all)}));
    assert_eq!(heard("ann", "user:online"), "reader");
    connect(&agent, &server.url, "cid", 4, "acme", &all);
    agent.ask("cid", "sync:subscribe", json!({"room": ROOM, "cursor": 0}));
    assert_eq!(agent.finish(early)["value"]["userId"], "cid");
    agent.ask("reader", "auth:refresh", json!({"token": token("reader", "acme", &["read"])}));
    assert_eq!(heard("ann", "user:offline"), "reader");
}

#[test]
fn a_refreshed_token_takes_away_what_it_no_longer_allows_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = EmbeddedServer::start(config(&folder));
    let agent = Agent::start();
    let all = ["join", "read", "write", "presence"];
    connect(&agent, &server.url, "ann", 1, "acme", &all);
    connect(&agent, &server.url, "bob", 2, "acme", &all);
    for client in ["ann", "bob"] {
        agent.ask(client, "sync:subscribe", json!({"room": ROOM, "cursor": 0}));
        agent.ask(client, "presence:join", json!({"room": ROOM, "state": {}}));
    }
    agent.ask("bob", "sync:push", push(ROOM, None, &[create(1, "before", 0)]));
    assert_eq!(agent.next("ann", "sync:changes")["value"]["changes"][0]["id"], "before");

    let narrower = token("ann", "acme", &["presence", "write"]);
    assert_eq!(agent.ask("ann", "auth:refresh", json!({"token": narrower})), json!({"ok": true}));
    let lost = agent.next("ann", "access:lost")["value"].clone();
    assert_eq!((&lost["room"], &lost["lost"]), (&json!(ROOM), &json!(["read"])));
    assert_eq!(lost["error"]["code"], "forbidden");
    agent.ask("bob", "sync:push", push(ROOM, Some(1), &[create(2, "after", 0)]));
    agent.ask("bob", "presence:update", json!({"room": ROOM, "state": {"is": "there"}}));
    // What bob shows comes after what he wrote: the changes would have been there by now.
    while agent.next("ann", "presence:diff")["value"]["updated"][0]["state"]["is"] != "there" {}
    let early = agent.begin("next", json!({"name": "ann", "event": "sync:changes"}));
    let pong = agent.ask("ann", "presence:ping", json!({}));
    assert_eq!(pong["heads"], json!({}), "it is not subscribed");
    assert!(agent.try_finish(early, std::time::Duration::from_millis(200)).is_none());
    let answer = agent.ask("ann", "sync:push", push(ROOM, None, &[create(1, "hers", 0)]));
    assert_eq!(answer["results"][0]["status"], "applied");
}

#[test]
fn a_refresh_that_does_not_hold_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = EmbeddedServer::start(config(&folder));
    let agent = Agent::start();
    connect(&agent, &server.url, "ann", 1, "acme", &["read"]);
    let expired = sign(&json!({"sub": "ann", "org": "acme", "exp": now_s() - 3600}), SECRET);
    for (token, code) in [
        (token("bob", "acme", &["read", "write"]), "forbidden"),
        (expired, "unauthorized"),
        ("nonsense".to_owned(), "unauthorized"),
    ] {
        let answer = agent.ask("ann", "auth:refresh", json!({"token": token}));
        assert_eq!(answer["error"]["code"], code);
    }
    assert_eq!(agent.ask("ann", "sync:subscribe", json!({"room": ROOM, "cursor": 0}))["cursor"], 0);
}

#[test]
fn a_refreshed_token_makes_the_connection_last_as_long_as_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.connection.token_leeway_s = 0;
    let server = EmbeddedServer::start(config);
    let agent = Agent::start();
    let short = |s: u64| sign(&json!({"sub": "ann", "exp": now_s() + s}), SECRET);
    let refreshed = |s: u64| {
        let written = json!({"name": "a", "event": "auth:refresh", "plain": {"token": short(s)}});
        agent.call("emit", written)["value"] == json!({"ok": true})
    };
    let mut first_s = 0;
    soon_enough(|left_s| {
        first_s = left_s;
        agent.connect("a", &server.url, json!({"token": short(left_s)}))["connected"] == true
            && refreshed(3600)
    });
    let ended = agent.begin("next", json!({"name": "a", "event": "$disconnect"}));
    let first = std::time::Duration::from_secs(first_s + 1);
    assert!(agent.try_finish(ended, first).is_none(), "it outlived its first token");
    soon_enough(&refreshed);
    assert_eq!(agent.finish(ended)["value"], "io server disconnect");
}
