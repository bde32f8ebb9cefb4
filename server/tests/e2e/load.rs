//! Clients that ask too much, send too much, or do not read.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use syncline_server::{Config, Mode};

use crate::support::{Agent, EmbeddedServer, SECRET, ServerProcess, client_id, create, push, token};

const ROOM: &str = "list:1";

fn connect(agent: &Agent, url: &str, name: &str, client: u8, transports: Value) {
    let auth = json!({"token": token("ann", &[ROOM]), "client_id": client_id(client)});
    let connect = json!({"name": name, "url": url, "auth": auth, "transports": transports});
    assert_eq!(agent.call("connect", connect)["connected"], true);
}

#[test]
fn a_flood_is_rate_limited_and_the_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let (flooder, other) = (Agent::start(), Agent::start());
    connect(&flooder, &server.url, "flooder", 1, json!(["websocket"]));
    connect(&other, &server.url, "other", 2, json!(["websocket"]));
    let pings: Vec<Value> = vec![json!({}); 1900];
    let flood = flooder.begin("burst", json!({"name": "flooder", "event": "presence:ping", "plains": pings}));
    let started = Instant::now();
    let answer = other.ask("other", "sync:push", push(ROOM, None, &[create(1, "d", 1)]));
    assert_eq!(answer["results"][0]["status"], "applied");
    assert!(started.elapsed() < Duration::from_secs(5));
    let answers = flooder.finish(flood);
    let limited = answers.as_array().unwrap().iter().filter(|answer| {
        let error = &answer["value"]["error"];
        error["code"] == "rate_limited" && error["retry_after_ms"].as_u64().is_some()
    });
    let limited = limited.count();
    assert!((1..1900).contains(&limited), "{limited} of 1900 were limited");
}

#[test]
fn a_client_that_goes_on_flooding_is_disconnected() {
    let folder = tempfile::tempdir().unwrap();
    let mode = Mode::Production { jwt_secret: SECRET.into() };
    let mut config = Config::new("127.0.0.1:0".parse().unwrap(), folder.path().join("data"), mode);
    config.connection.requests_burst_max = 10;
    config.connection.requests_per_s_max = 1;
    config.connection.refusals_max = 50;
    let server = EmbeddedServer::start(config);
    let agent = Agent::start();
    connect(&agent, &server.url, "a", 1, json!(["websocket"]));
    agent.begin("burst", json!({"name": "a", "event": "presence:ping", "plains": vec![json!({}); 200]}));
    // Which of the two it hears depends on whether the goodbye or the end of the transport comes first.
    let reason = agent.next("a", "$disconnect")["value"].clone();
    assert!(["io server disconnect", "transport close"].contains(&reason.as_str().unwrap()), "{reason}");
}

#[test]
fn a_message_beyond_the_limit_closes_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let agent = Agent::start();
    connect(&agent, &server.url, "a", 1, json!(["websocket"]));
    let large = create(1, "d", "x".repeat(9 << 20));
    agent.begin("emit", json!({"name": "a", "event": "sync:push", "plain": push(ROOM, None, &[large])}));
    let reason = agent.next("a", "$disconnect")["value"].clone();
    assert!(["transport close", "transport error"].contains(&reason.as_str().unwrap()), "{reason}");
    connect(&agent, &server.url, "b", 1, json!(["websocket"]));
    let large = create(1, "d", "x".repeat(2 << 20));
    let answer = agent.ask("b", "sync:push", push(ROOM, None, &[large]));
    assert_eq!(answer["results"][0]["error"]["code"], "too_large");
}

#[test]
fn a_client_that_does_not_read_lags_and_catches_up_by_its_cursor() {
    const PUSHES: u64 = 120;
    let folder = tempfile::tempdir().unwrap();
    let mode = Mode::Production { jwt_secret: SECRET.into() };
    let mut config = Config::new("127.0.0.1:0".parse().unwrap(), folder.path().join("data"), mode);
    config.connection.packets_queued_max = 4;
    config.connection.events_queued_max = 4;
    let server = EmbeddedServer::start(config);
    let (slow, writer) = (Agent::start(), Agent::start());
    connect(&slow, &server.url, "slow", 1, json!(["websocket"]));
    connect(&writer, &server.url, "writer", 2, json!(["websocket"]));
    slow.ask("slow", "sync:subscribe", json!({"room": ROOM, "cursor": 0}));
    slow.call("pause", json!({"name": "slow"}));

    let started = Instant::now();
    let text = "x".repeat(200_000);
    for seq in 1..=PUSHES {
        writer.ask("writer", "sync:push", push(ROOM, None, &[create(seq, "d", format!("{seq}{text}"))]));
    }
    assert!(started.elapsed() < Duration::from_secs(60), "nobody waits for the one who does not read");

    slow.call("resume", json!({"name": "slow"}));
    let mut held = 0;
    loop {
        let changes = slow.next("slow", "sync:changes")["value"].clone();
        let (from, to) = (changes["from_seq"].as_u64().unwrap(), changes["to_seq"].as_u64().unwrap());
        if from > held + 1 {
            assert_eq!((from, to), (PUSHES + 1, PUSHES), "what was dropped is announced by the head");
            break;
        }
        held = to;
        assert!(held < PUSHES, "something was dropped");
    }
    let page = slow.ask("slow", "sync:pull", json!({"room": ROOM, "cursor": held, "limit": 10}));
    assert_eq!((&page["cursor"], &page["changes"][0]["seq"]), (&json!(PUSHES), &json!(PUSHES)));
}
