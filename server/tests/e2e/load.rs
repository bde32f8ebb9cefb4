//! Clients that ask too much, send too much, or do not read.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use syncline_server::config::ConnectionConfig;
use syncline_server::{Config, Mode};

use crate::support::{Agent, EmbeddedServer, SECRET, ServerProcess, client_id, create, push, token};

const ROOM: &str = "list:1";

/// Events of one client, as fast as it can send them.
const FLOOD: usize = 10_000;

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
    connect(&other, &server.url, "third", 3, json!(["websocket"]));
    other.ask("third", "sync:subscribe", json!({"room": ROOM, "cursor": 0}));
    let started = Instant::now();
    let pings: Vec<Value> = vec![json!({}); FLOOD];
    let flood = flooder.begin("burst", json!({"name": "flooder", "event": "presence:ping", "plains": pings}));
    for seq in 1..=100 {
        let answer = other.ask("other", "sync:push", push(ROOM, None, &[create(seq, "d", seq)]));
        assert_eq!(answer["results"][0]["status"], "applied", "{seq}: {answer}");
        assert_eq!(other.next("third", "sync:changes")["value"]["to_seq"], seq);
    }
    let answers = flooder.finish(flood);
    let answers = answers.as_array().unwrap();
    let (limited, served): (Vec<&Value>, Vec<&Value>) =
        answers.iter().map(|answer| &answer["value"]).partition(|value| value.get("error").is_some());
    assert_eq!(limited.len() + served.len(), FLOOD, "each is answered");
    for value in limited.iter().copied() {
        assert_eq!(value["error"]["code"], "rate_limited", "{value}");
        assert!(value["error"]["retry_after_ms"].as_u64().is_some(), "{value}");
    }
    let settings = ConnectionConfig::default();
    let refilled = started.elapsed().as_secs() + 1;
    let served_max =
        u64::from(settings.requests_burst_max) + refilled * u64::from(settings.requests_per_s_max);
    assert!((1..=served_max).contains(&(served.len() as u64)), "{} were served", served.len());
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
