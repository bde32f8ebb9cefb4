//! Documents that must satisfy a schema or a hook.

use std::sync::Arc;

use serde_json::json;
use syncline_protocol::Value;
use syncline_server::validate::{Effect, SchemaSource, Validate};
use syncline_server::{Config, Mode};

use crate::support::{Agent, EmbeddedServer, SECRET, client_id, create, now_s, push, token};

const ROOM: &str = "list:1";

fn config(folder: &tempfile::TempDir) -> Config {
    let mode = Mode::Production { jwt_secret: SECRET.into() };
    Config::new("127.0.0.1:0".parse().unwrap(), folder.path().join("data"), mode)
}

fn connect(agent: &Agent, url: &str) {
    let auth = json!({"token": token("ann", &[ROOM]), "client_id": client_id(1)});
    assert_eq!(agent.connect("a", url, auth)["connected"], true);
}

#[test]
fn a_write_that_the_schema_does_not_allow_is_rejected_alone_by_what_it_would_make() {
    let folder = tempfile::tempdir().unwrap();
    let schema = json!({
        "type": "object",
        "properties": {"title": {"type": "string", "maxLength": 20}, "count": {"type": "integer", "maximum": 10}},
        "required": ["title"],
        "additionalProperties": false,
    });
    let file = folder.path().join("todos.json");
    std::fs::write(&file, schema.to_string()).unwrap();
    let mut config = config(&folder);
    config.schemas.insert("todos".to_owned(), SchemaSource::File(file));
    let server = EmbeddedServer::start(config);
    let agent = Agent::start();
    connect(&agent, &server.url);
    let update = |seq: u64, patch: serde_json::Value| {
        json!({"client_seq": seq, "collection": "todos", "id": "d", "time": [now_s() * 1000, seq],
               "write": {"update": patch}})
    };
    let mut other = create(8, "d", 7);
    other["collection"] = "notes".into();
    let mutations = [
        create(1, "d", "fine"),
        create(2, "e", 7),
        update(3, json!({"count": {"increment": 6}})),
        update(4, json!({"count": {"increment": 6}})),
        update(5, json!({"title": "unset"})),
        update(6, json!({"secret": {"set": "hush"}})),
        update(7, json!({"title": {"set": "fine, too"}})),
        other,
    ];
    let answer = agent.ask("a", "sync:push", push(ROOM, None, &mutations));
    let results = answer["results"].as_array().unwrap();
    let statuses: Vec<&str> = results.iter().map(|result| result["status"].as_str().unwrap()).collect();
    assert_eq!(
        statuses,
        ["applied", "rejected", "applied", "rejected", "rejected", "rejected", "applied", "applied"]
    );
    for result in results.iter().filter(|result| result["status"] == "rejected") {
        let error = &result["error"];
        assert_eq!(error["code"], "invalid");
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with("the schema of its collection does not allow this: "), "{message}");
        assert!(!message.contains("hush") && !message.contains("12"), "values stay out of it: {message}");
    }
    let again = agent.ask("a", "sync:push", push(ROOM, None, &mutations[1..2]));
    assert_eq!(
        (&again["results"][0]["status"], &again["results"][0]["error"]["code"]),
        (&json!("duplicate"), &json!("invalid"))
    );
    let page = agent.ask("a", "sync:pull", json!({"room": ROOM, "cursor": 0, "limit": 10}));
    assert_eq!(page["changes"][0]["fields"], json!({"title": "fine, too", "count": 6}));
}

/// Only who made a document may delete it.
struct OnlyTheAuthorDeletes;

impl Validate for OnlyTheAuthorDeletes {
    fn validate(&self, Effect { user, before, after, .. }: &Effect<'_>) -> Result<(), String> {
        match before.and_then(|before| before.fields.get("title")) {
            Some(Value::String(author)) if after.deleted && author != user => {
                Err("only who wrote it may delete it".to_owned())
            }
            _ => Ok(()),
        }
    }
}

#[test]
fn a_hook_sees_the_document_before_and_after_and_who_writes() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.hooks.validate = Some(Arc::new(OnlyTheAuthorDeletes));
    let server = EmbeddedServer::start(config);
    let agent = Agent::start();
    connect(&agent, &server.url);
    let delete = |seq: u64, id: &str| json!({"client_seq": seq, "collection": "todos", "id": id, "time": [now_s() * 1000 + 1000, 0], "write": "delete"});
    let mutations = [create(1, "hers", "ann"), create(2, "his", "bob"), delete(3, "hers"), delete(4, "his")];
    let answer = agent.ask("a", "sync:push", push(ROOM, None, &mutations));
    let statuses: Vec<_> =
        answer["results"].as_array().unwrap().iter().map(|it| it["status"].clone()).collect();
    assert_eq!(statuses, ["applied", "applied", "applied", "rejected"]);
    assert_eq!(answer["results"][3]["error"]["message"], "only who wrote it may delete it");
}
