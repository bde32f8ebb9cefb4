//! Deletions that the server has purged, and what was said of them before.

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use syncline_server::{Config, Mode};

use crate::support::{
    Agent, EmbeddedServer, SECRET, STEP_TIMEOUT, ServerProcess, client_id, create, push, token,
};

const ROOM: &str = "list:1";

/// A server over the data that [`ServerProcess`] has in a folder, for which every deletion is old.
fn purging_server(folder: &Path) -> EmbeddedServer {
    let mode = Mode::Production { jwt_secret: SECRET.into() };
    let mut config = Config::new("127.0.0.1:0".parse().unwrap(), folder.join("data"), mode);
    config.hub.tombstone_retention_ms = 0;
    config.hub.compaction_count_max = 1;
    config.storage.sweep_interval_ms = 10;
    EmbeddedServer::start(config)
}

fn connect(agent: &Agent, name: &str, url: &str, client: u8) {
    let auth = json!({"token": token("ann", &[ROOM]), "client_id": client_id(client)});
    assert_eq!(agent.connect(name, url, auth)["connected"], true);
}

fn pull(agent: &Agent, name: &str, cursor: u64, snapshot: Option<u64>, limit: u64) -> Value {
    let pull = json!({"room": ROOM, "cursor": cursor, "limit": limit, "snapshot": snapshot});
    agent.ask(name, "sync:pull", pull)
}

/// Newer than what was written before under lower numbers.
fn delete(client_seq: u64, id: &str) -> Value {
    let mut delete = create(client_seq, id, 0);
    delete["write"] = "delete".into();
    delete["time"][1] = client_seq.into();
    delete
}

fn increment(client_seq: u64, id: &str) -> Value {
    let mut update = create(client_seq, id, 0);
    update["write"] = json!({"update": {"n": {"increment": 1}}});
    update
}

/// Reads the room from its start until its log holds so many documents, deleted ones included.
fn until_log_holds(agent: &Agent, name: &str, documents: usize) {
    let started = Instant::now();
    loop {
        let page = pull(agent, name, 0, None, 1000);
        if page["changes"].as_array().is_some_and(|changes| changes.len() == documents) {
            return;
        }
        assert!(started.elapsed() < STEP_TIMEOUT, "{page}");
    }
}

#[test]
fn a_replay_has_its_first_outcome_after_the_purge_and_another_restart() {
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::start();
    let batch = push(
        ROOM,
        None,
        &[
            create(1, "gone", 1),
            increment(2, "missing"),
            create(3, "kept", 1),
            delete(4, "gone"),
            create(5, "gone too", 1),
            delete(6, "gone too"),
        ],
    );

    let server = ServerProcess::start(folder.path());
    connect(&agent, "first", &server.url, 1);
    let first = agent.ask("first", "sync:push", batch.clone());
    let before = pull(&agent, "first", 0, None, 1000);
    assert_eq!(server.terminate(), Some(0));

    let server = purging_server(folder.path());
    connect(&agent, "purging", &server.url, 1);
    until_log_holds(&agent, "purging", 1);
    drop(server);

    let server = ServerProcess::start(folder.path());
    connect(&agent, "after", &server.url, 1);
    let replay = agent.ask("after", "sync:push", batch);
    let floor = json!(5);
    for (index, seq) in [(0, &floor), (1, &Value::Null), (2, &json!(2)), (3, &floor), (5, &floor)] {
        let result = &replay["results"][index];
        assert_eq!((&result["status"], &result["seq"]), (&json!("duplicate"), seq), "{index}");
        assert_eq!(result["error"], first["results"][index]["error"], "{index}");
    }
    assert_eq!(replay["results"][1]["error"]["code"], "not_found");

    let page = pull(&agent, "after", 0, None, 1000);
    assert_eq!(page["changes"].as_array().unwrap().len(), 1, "{page}");
    assert_eq!((&page["cursor"], &page["checksum"]), (&before["cursor"], &before["checksum"]));
}

#[test]
fn a_reader_that_missed_purged_deletions_starts_over_and_one_on_its_way_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::start();
    let server = purging_server(folder.path());
    connect(&agent, "a", &server.url, 1);
    let made: Vec<Value> = (1..=4).map(|seq| create(seq, &format!("d{seq}"), seq)).collect();
    agent.ask("a", "sync:push", push(ROOM, None, &made));
    agent.ask("a", "sync:push", push(ROOM, Some(4), &[delete(5, "d1"), delete(6, "d2")]));
    connect(&agent, "b", &server.url, 2);
    until_log_holds(&agent, "b", 2);
    let missed = pull(&agent, "b", 4, None, 1);
    assert_eq!((&missed["reset"], &missed["cursor"]), (&json!(true), &json!(3)));
    assert_eq!((&missed["more"], &missed["snapshot"]), (&json!(true), &json!(6)));
    let next = pull(&agent, "b", 3, Some(6), 1);
    assert_eq!((&next["reset"], &next["more"], &next["cursor"]), (&json!(false), &json!(false), &json!(6)));
    let subscribe = json!({"room": ROOM, "cursor": 3, "snapshot": 6});
    assert_eq!(agent.ask("b", "sync:subscribe", subscribe)["reset"], false);
    let subscribe = json!({"room": ROOM, "cursor": 3});
    assert_eq!(agent.ask("b", "sync:subscribe", subscribe)["reset"], true);
}

#[test]
fn late_writes_of_a_purged_document_are_answered_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::start();
    let server = purging_server(folder.path());
    connect(&agent, "a", &server.url, 1);
    agent.ask("a", "sync:push", push(ROOM, None, &[create(1, "d", 1), delete(2, "d")]));
    connect(&agent, "b", &server.url, 2);
    until_log_holds(&agent, "b", 0);
    let mut based = increment(2, "d");
    based["base"] = json!({client_id(1): 1});
    let late = push(ROOM, None, &[increment(1, "d"), based, delete(3, "d")]);
    let answer = agent.ask("b", "sync:push", late);
    let told = |index: usize| answer["results"][index].clone();
    assert_eq!((&told(0)["status"], &told(0)["error"]["code"]), (&json!("rejected"), &json!("not_found")));
    assert_eq!((&told(1)["status"], &told(1)["document"]), (&json!("conflict"), &Value::Null));
    assert_eq!((&told(2)["status"], &told(2)["seq"]), (&json!("applied"), &json!(2)));
    assert_eq!(pull(&agent, "b", 0, None, 10)["cursor"], 2);
}
