#![allow(clippy::unwrap_used, clippy::panic)]

use serde_json::json;
use syncline_protocol::{
    ClientId, Collection, ConflictKind, DocumentId, Fields, HybridTime, Mutation, Path, Room, Stamp, Stamps,
    VersionVector, Write,
};

use super::*;
use crate::schema::MigrationStep;
use crate::store::{Identity, Queued};

fn entry(client_seq: u64, collection: &str, write: serde_json::Value) -> Entry {
    let time = HybridTime { wall_ms: client_seq, counter: 0 };
    let mutation = Mutation {
        client_seq,
        collection: Collection::new(collection).unwrap(),
        id: DocumentId::new("1").unwrap(),
        write: serde_json::from_value(write).unwrap(),
        time,
        base: None,
    };
    Entry { room: Room::new("user:1").unwrap(), mutation, queued_at_ms: 1, accepted: None }
}

fn update(client_seq: u64, field: &str) -> Entry {
    entry(client_seq, "tasks", json!({"update": {field: {"set": 1}}}))
}

fn conflict(fields: &[&str]) -> Conflict {
    let fields = fields.iter().map(|&field| Path::parse(field).unwrap()).collect();
    Conflict { kind: ConflictKind::UpdateUpdate, fields }
}

fn document(fields: serde_json::Value) -> Document {
    let stamp = Stamp { time: HybridTime { wall_ms: 1, counter: 0 }, writer: ClientId::from_bytes([9; 16]) };
    Document {
        collection: Collection::new("tasks").unwrap(),
        id: DocumentId::new("1").unwrap(),
        fields: serde_json::from_value(fields).unwrap(),
        seq: 1,
        version: VersionVector::default(),
        stamps: Stamps::new(stamp),
        deleted: false,
    }
}

fn recovered() -> Recovered {
    let client_id = ClientId::from_bytes([7; 16]);
    let identity = Identity {
        client_id,
        last_client_seq: 9,
        last_time: HybridTime::default(),
        schema_version: None,
        installation: None,
    };
    Recovered {
        identity,
        queued: Queued::default(),
        outcomes: vec![],
        parked: vec![],
        last_job: 0,
        jobs: vec![],
        ended_jobs: vec![],
        damage: vec![],
    }
}

fn migrations(steps: serde_json::Value) -> Vec<Migration> {
    let steps: Vec<MigrationStep> = serde_json::from_value(steps).unwrap();
    // One step each, so that a message can tell which one it was.
    (2..).zip(steps).map(|(to, step)| Migration { to, steps: vec![step] }).collect()
}

#[test]
fn steps_run_in_order_upon_what_the_ones_before_left() {
    let migrations = migrations(json!([
        {"renameCollection": {"from": "todos", "to": "tasks"}},
        {"renameField": {"collection": "tasks", "from": "name", "to": "title"}},
        {"renameField": {"collection": "tasks", "from": "title", "to": "label"}},
        {"renameField": {"collection": "todos", "from": "label", "to": "never"}},
    ]));
    let todo = entry(1, "todos", json!({"update": {"name": {"set": "x"}}}));
    let (after, entries) = migrate_journal(&migrations, recovered(), vec![todo]);
    assert_eq!(after.queued, entries.iter().collect());
    assert_eq!(entries, [entry(1, "tasks", json!({"update": {"label": {"set": "x"}}}))]);
    assert_eq!(after.outcomes, []);
}

#[test]
fn a_write_of_which_nothing_is_left_becomes_an_outcome_as_it_was() {
    let migrations = migrations(json!([
        {"renameField": {"collection": "tasks", "from": "legacy", "to": "older"}},
        {"removeField": {"collection": "tasks", "path": "older"}},
        {"removeCollection": {"collection": "drafts"}},
    ]));
    let (emptied, draft) = (update(1, "legacy"), entry(2, "drafts", json!("delete")));
    let entries = vec![emptied.clone(), draft.clone(), update(3, "title")];
    let (after, entries) = migrate_journal(&migrations, recovered(), entries);
    assert_eq!(after.queued, entries.iter().collect());
    assert_eq!(entries, [update(3, "title")]);
    assert_eq!(after.outcomes.len(), 2);
    assert_eq!(after.outcomes[0].entry, emptied);
    assert!(after.outcomes[0].error.message.contains("version 3"), "{}", after.outcomes[0].error);
    assert_eq!(after.outcomes[1].entry, draft);
    assert!(after.outcomes[1].error.message.contains("version 4"), "{}", after.outcomes[1].error);
}

#[test]
fn a_parked_write_keeps_its_decision_open_in_the_new_shape() {
    let migrations = migrations(json!([
        {"renameField": {"collection": "tasks", "from": "name", "to": "title"}},
        {"removeField": {"collection": "tasks", "path": "legacy"}},
        {"renameCollection": {"from": "tasks", "to": "todos"}},
    ]));
    let parked = Parked {
        entry: entry(1, "tasks", json!({"update": {"name": {"set": 1}, "legacy": {"set": 1}}})),
        conflict: conflict(&["name", "legacy"]),
        document: Some(document(json!({"name": 2, "legacy": 2}))),
    };
    let (after, _) = migrate_journal(&migrations, Recovered { parked: vec![parked], ..recovered() }, vec![]);
    let [parked] = after.parked.as_slice() else { panic!("{after:?}") };
    assert_eq!(parked.entry, entry(1, "todos", json!({"update": {"title": {"set": 1}}})));
    assert_eq!(parked.conflict, conflict(&["title"]));
    let document = parked.document.as_ref().unwrap();
    assert_eq!(document.collection.as_str(), "todos");
    assert_eq!(document.fields, serde_json::from_value::<Fields>(json!({"title": 2})).unwrap());
}

#[test]
fn a_parked_write_of_which_nothing_is_left_is_no_longer_waiting() {
    let migrations = migrations(json!([{"removeCollection": {"collection": "tasks"}}]));
    let parked = Parked { entry: update(1, "name"), conflict: conflict(&["name"]), document: None };
    let (after, _) = migrate_journal(&migrations, Recovered { parked: vec![parked], ..recovered() }, vec![]);
    assert_eq!(after.parked, []);
    assert_eq!(after.outcomes[0].entry, update(1, "name"));
    assert_eq!(after.outcomes[0].conflict, Some(conflict(&["name"])));
}

#[test]
fn an_outcome_stays_until_it_is_seen_whatever_is_left_of_its_write() {
    let migrations = migrations(json!([
        {"renameField": {"collection": "tasks", "from": "name", "to": "title"}},
        {"removeField": {"collection": "tasks", "path": "legacy"}},
    ]));
    let outcome = |entry: Entry, field| Outcome {
        entry,
        error: WireError::new(ErrorCode::Forbidden, "not yours"),
        conflict: Some(conflict(&[field])),
    };
    let outcomes = vec![outcome(update(1, "name"), "name"), outcome(update(2, "legacy"), "legacy")];
    let (after, _) = migrate_journal(&migrations, Recovered { outcomes, ..recovered() }, vec![]);
    assert_eq!(after.outcomes[0], outcome(update(1, "title"), "title"));
    assert_eq!(after.outcomes[1], outcome(update(2, "legacy"), "legacy"));
}

#[test]
fn numbers_and_identity_are_not_touched() {
    let migrations = migrations(json!([{"removeCollection": {"collection": "tasks"}}]));
    let resent = Entry { accepted: Some(update(1, "a").accepted()), ..update(5, "a") };
    let (after, _) = migrate_journal(&migrations, recovered(), vec![resent]);
    assert_eq!(after.identity, recovered().identity);
    assert_eq!(after.outcomes[0].entry.accepted().client_seq, 1);
    let Write::Update(_) = after.outcomes[0].entry.mutation.write else { panic!("{after:?}") };
}
