//! What was answered is there after a kill.

use serde_json::{Value, json};

use crate::support::{Agent, ServerProcess, client_id, create, push, token};

const ROOM: &str = "list:1";

fn connect(agent: &Agent, name: &str, server: &ServerProcess) {
    let auth = json!({"token": token("ann", &[ROOM]), "client_id": client_id(1)});
    assert_eq!(agent.connect(name, &server.url, auth)["connected"], true);
}

fn pull(agent: &Agent, name: &str, cursor: u64) -> Value {
    agent.ask(name, "sync:pull", json!({"room": ROOM, "cursor": cursor, "limit": 1000}))
}

#[test]
fn an_answered_push_survives_sigkill_and_its_retry_is_a_duplicate() {
    let folder = tempfile::tempdir().unwrap();
    answered_push_survives(&|| ServerProcess::start(folder.path()));
}

pub(crate) fn answered_push_survives(start: &dyn Fn() -> ServerProcess) {
    let agent = Agent::start();
    let large = "x".repeat(100_000);
    let missing = json!({
        "client_seq": 3, "collection": "todos", "id": "missing",
        "write": {"update": {"n": {"increment": 1}}}, "time": [1, 0],
    });
    let batch = push(ROOM, None, &[create(1, "d", large.as_str()), create(2, "e", 2), missing]);

    let server = start();
    connect(&agent, "before", &server);
    let first = agent.ask("before", "sync:push", batch.clone());
    server.kill();

    let server = start();
    connect(&agent, "after", &server);
    let page = pull(&agent, "after", 0);
    let titles: Vec<_> =
        page["changes"].as_array().unwrap().iter().map(|change| &change["fields"]["title"]).collect();
    assert_eq!(titles, [&json!(large), &json!(2)]);

    let retry = agent.ask("after", "sync:push", batch);
    for (index, seq) in [(0, json!(1)), (1, json!(2)), (2, Value::Null)] {
        assert_eq!(retry["results"][index]["status"], "duplicate");
        assert_eq!(retry["results"][index]["seq"], seq);
        assert_eq!(retry["results"][index]["error"], first["results"][index]["error"]);
    }
    assert_eq!(retry["results"][2]["error"]["code"], "not_found");
    assert_eq!(pull(&agent, "after", 0), page, "the retry changed nothing");
}

#[test]
fn every_push_answered_before_a_kill_in_mid_stream_is_there() {
    let folder = tempfile::tempdir().unwrap();
    answered_pushes_are_there(&|| ServerProcess::start(folder.path()));
}

pub(crate) fn answered_pushes_are_there(start: &dyn Fn() -> ServerProcess) {
    let agent = Agent::start();
    let mut answered = 0;
    for round in 0..3 {
        let server = start();
        let name = format!("round {round}");
        connect(&agent, &name, &server);
        assert!(pull(&agent, &name, 0)["cursor"].as_u64().unwrap() >= answered);
        let pushes: Vec<u64> = (1..=40)
            .map(|step| {
                let seq = round * 1000 + step;
                let request = push(ROOM, None, &[create(seq, &format!("d{seq}"), seq)]);
                agent.begin("emit", json!({"name": name, "event": "sync:push", "plain": request}))
            })
            .collect();
        for id in &pushes[..20] {
            let seq = agent.finish(*id)["value"]["results"][0]["seq"].as_u64().unwrap();
            assert_eq!(seq, answered + 1, "no number is given twice or left out");
            answered = seq;
        }
        server.kill();
        let server = start();
        connect(&agent, &format!("check {round}"), &server);
        let page = pull(&agent, &format!("check {round}"), 0);
        let kept = page["cursor"].as_u64().unwrap();
        assert!(kept >= answered, "{kept} of {answered}");
        assert_eq!(page["changes"].as_array().unwrap().len() as u64, kept);
        answered = kept;
        server.kill();
    }
}

#[test]
fn a_terminated_server_closes_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::start();
    let server = ServerProcess::start(folder.path());
    connect(&agent, "a", &server);
    agent.ask("a", "sync:push", push(ROOM, None, &[create(1, "d", 1)]));
    assert_eq!(server.terminate(), Some(0));
    assert!(
        ["transport close", "io server disconnect"]
            .contains(&agent.next("a", "$disconnect")["value"].as_str().unwrap())
    );
    let server = ServerProcess::start(folder.path());
    connect(&agent, "b", &server);
    assert_eq!(pull(&agent, "b", 0)["cursor"], 1);
}

#[test]
fn a_client_ahead_of_a_server_that_lost_history_is_told_to_reset() {
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::start();
    let server = ServerProcess::start(folder.path());
    connect(&agent, "a", &server);
    agent.ask("a", "sync:push", push(ROOM, None, &[create(1, "d", 1)]));
    let page = pull(&agent, "a", 99);
    assert_eq!((&page["reset"], &page["cursor"]), (&json!(true), &json!(1)));
}
