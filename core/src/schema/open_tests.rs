#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;
use syncline_protocol::{
    ClientId, Collection, DocumentId, HybridTime, Mutation, Stamp, Stamps, VersionVector,
};
use tempfile::TempDir;

use super::*;
use crate::store::{DiskStore, Entry, MemoryStore, Record, RoomUpdate};

const CLIENT: ClientId = ClientId::from_bytes([7; 16]);

fn schema(version: u32, steps: &serde_json::Value) -> Schema {
    serde_json::from_value(json!({"version": version, "migrations": [{"to": version, "steps": steps}]}))
        .unwrap()
}

/// Renames `name` to `title`.
fn second() -> Schema {
    schema(2, &json!([{"renameField": {"collection": "tasks", "from": "name", "to": "title"}}]))
}

/// Removes `title`, if it comes from version 2.
fn third() -> Schema {
    let mut schema = schema(3, &json!([{"removeField": {"collection": "tasks", "path": "title"}}]));
    schema.migrations.insert(0, second().migrations.remove(0));
    schema
}

fn entry(client_seq: u64, field: &str) -> Entry {
    let mutation = Mutation {
        client_seq,
        collection: Collection::new("tasks").unwrap(),
        id: DocumentId::new("1").unwrap(),
        write: serde_json::from_value(json!({"update": {field: {"set": 1}}})).unwrap(),
        time: HybridTime { wall_ms: client_seq, counter: 0 },
        base: None,
    };
    Entry { room: Room::new("user:1").unwrap(), mutation, queued_at_ms: 1, accepted: None }
}

fn open(directory: &Path, schema: &Schema) -> Result<(DiskStore, Recovered), SchemaError> {
    let (mut store, recovered) = DiskStore::open(directory, CLIENT)?;
    let recovered = bring_up_to_date(schema, &mut store, recovered)?;
    Ok((store, recovered))
}

fn room() -> Room {
    Room::new("user:1").unwrap()
}

fn document(collection: &str, id: &str, fields: serde_json::Value) -> Document {
    let time = HybridTime { wall_ms: 1, counter: 0 };
    Document {
        collection: Collection::new(collection).unwrap(),
        id: DocumentId::new(id).unwrap(),
        fields: serde_json::from_value(fields).unwrap(),
        seq: 1,
        version: VersionVector::default(),
        stamps: Stamps::new(Stamp { time, writer: CLIENT }),
        deleted: false,
    }
}

/// Fills the room with documents, as if they were all there are.
fn fill(store: &mut dyn Store, documents: &[Document]) {
    let state = RoomState { cursor: 7, complete: true, ..RoomState::default() };
    store.apply(&room(), &RoomUpdate { reset: false, documents, state }).unwrap();
    store.flush().unwrap();
}

/// The fields of each document of a collection.
fn fields(store: &dyn Store, collection: &str) -> serde_json::Value {
    let mut found = BTreeMap::new();
    let collection = Collection::new(collection).unwrap();
    store
        .visit_collection(&room(), &collection, &mut |document| {
            found.insert(document.id.as_str().to_owned(), document.fields);
        })
        .unwrap();
    serde_json::to_value(found).unwrap()
}

fn room_state(store: &dyn Store) -> RoomState {
    store.rooms().unwrap()[0].1
}

/// A directory of version 1 with one write of the field `name`.
fn first_version() -> TempDir {
    let directory = TempDir::new().unwrap();
    let (mut store, _) = open(directory.path(), &Schema::default()).unwrap();
    store.append(&Record::Queued(vec![entry(1, "name")])).unwrap();
    store.commit().unwrap();
    directory
}

#[test]
fn an_update_of_the_app_finds_its_writes_in_the_new_shape() {
    let directory = first_version();
    let (store, recovered) = open(directory.path(), &second()).unwrap();
    assert_eq!(store.entries(&recovered.queued).unwrap(), [entry(1, "title")]);
    drop(store);
    let (_, again) = open(directory.path(), &second()).unwrap();
    assert_eq!(again, recovered, "it ran once");
}

#[test]
fn cached_documents_have_the_new_shape_until_they_are_read_again() {
    let directory = TempDir::new().unwrap();
    let (mut store, _) = open(directory.path(), &Schema::default()).unwrap();
    fill(
        &mut store,
        &[document("tasks", "1", json!({"name": "a"})), document("notes", "1", json!({"name": "b"}))],
    );
    drop(store);
    let (store, _) = open(directory.path(), &second()).unwrap();
    assert_eq!(fields(&store, "tasks"), json!({"1": {"title": "a"}}));
    assert_eq!(fields(&store, "notes"), json!({"1": {"name": "b"}}));
    assert_eq!(
        room_state(&store),
        RoomState { cursor: 7, complete: true, stale: true, ..RoomState::default() }
    );
}

#[test]
fn a_cache_that_the_journal_has_overtaken_follows_at_the_next_open() {
    let directory = first_version();
    let (mut store, recovered) = DiskStore::open(directory.path(), CLIENT).unwrap();
    fill(&mut store, &[document("tasks", "1", json!({"name": "a"}))]);
    bring_journal(&second(), &mut store, recovered).unwrap();
    // Killed here.
    drop(store);
    let (store, recovered) = open(directory.path(), &second()).unwrap();
    assert_eq!(store.entries(&recovered.queued).unwrap(), [entry(1, "title")]);
    assert_eq!(fields(&store, "tasks"), json!({"1": {"title": "a"}}));
    assert!(room_state(&store).stale);
}

#[test]
fn a_cache_that_no_migration_starts_from_is_read_anew() {
    let directory = first_version();
    let (mut store, recovered) = DiskStore::open(directory.path(), CLIENT).unwrap();
    fill(&mut store, &[document("tasks", "1", json!({"name": "a"}))]);
    bring_journal(&second(), &mut store, recovered).unwrap();
    drop(store);
    let later = schema(3, &json!([]));
    let (store, recovered) = open(directory.path(), &later).unwrap();
    assert_eq!(store.entries(&recovered.queued).unwrap(), [entry(1, "title")]);
    assert_eq!(store.rooms().unwrap(), []);
}

#[test]
fn collections_in_the_cache_are_renamed_and_removed() {
    let steps = json!([
        {"removeCollection": {"collection": "notes"}},
        {"renameCollection": {"from": "tasks", "to": "notes"}},
        {"renameCollection": {"from": "todos", "to": "tasks"}},
    ]);
    let documents = [
        document("tasks", "1", json!({"is": "task"})),
        document("notes", "1", json!({"is": "note"})),
        document("todos", "1", json!({"is": "todo"})),
        document("todos", "2", json!({"is": "todo"})),
    ];
    let check = |store: &mut dyn Store| {
        fill(store, &documents);
        bring_cache(&schema(2, &steps), store).unwrap();
        assert_eq!(fields(store, "notes"), json!({"1": {"is": "task"}}));
        assert_eq!(fields(store, "tasks"), json!({"1": {"is": "todo"}, "2": {"is": "todo"}}));
        assert_eq!(fields(store, "todos"), json!({}));
    };
    let directory = TempDir::new().unwrap();
    check(&mut open(directory.path(), &Schema::default()).unwrap().0);
    let (mut store, recovered) = MemoryStore::new(CLIENT);
    bring_up_to_date(&Schema::default(), &mut store, recovered).unwrap();
    check(&mut store);
}

#[test]
fn versions_in_between_are_not_left_out() {
    let directory = first_version();
    let (store, recovered) = open(directory.path(), &third()).unwrap();
    assert_eq!(store.entries(&recovered.queued).unwrap(), []);
    assert_eq!(recovered.outcomes[0].entry, entry(1, "name"));
}

#[test]
fn a_new_store_has_the_version_of_the_app() {
    let directory = TempDir::new().unwrap();
    drop(open(directory.path(), &second()).unwrap());
    let result = open(directory.path(), &Schema::default()).map(drop);
    assert!(matches!(result, Err(SchemaError::TooNew { found: 2, wanted: 1 })), "{result:?}");
}

#[test]
fn an_older_app_is_refused_and_nothing_is_touched() {
    let directory = first_version();
    drop(open(directory.path(), &second()).unwrap());
    let journal = || std::fs::read(directory.path().join("journal")).unwrap();
    let before = journal();
    let result = open(directory.path(), &Schema::default()).map(drop);
    assert!(matches!(result, Err(SchemaError::TooNew { found: 2, wanted: 1 })), "{result:?}");
    assert_eq!(journal(), before);
    let (store, recovered) = open(directory.path(), &second()).unwrap();
    assert_eq!(store.entries(&recovered.queued).unwrap(), [entry(1, "title")]);
}

#[test]
fn without_the_needed_migrations_nothing_is_touched() {
    let directory = first_version();
    let without_second = Schema { migrations: third().migrations.split_off(1), ..third() };
    let result = open(directory.path(), &without_second).map(drop);
    assert!(matches!(result, Err(SchemaError::Missing { found: 1, missing: 2 })), "{result:?}");
    let (store, recovered) = open(directory.path(), &second()).unwrap();
    assert_eq!(store.entries(&recovered.queued).unwrap(), [entry(1, "title")]);
}

#[test]
fn what_the_journal_wrote_over_an_interrupted_migration_does_not_count() {
    let directory = first_version();
    // Killed before the new segment took the old one's place.
    std::fs::write(directory.path().join("journal.new"), b"half a segment").unwrap();
    let (store, recovered) = open(directory.path(), &second()).unwrap();
    assert_eq!(store.entries(&recovered.queued).unwrap(), [entry(1, "title")]);
}

#[test]
fn a_store_in_memory_migrates_the_same() {
    let (mut store, recovered) = MemoryStore::new(CLIENT);
    bring_up_to_date(&Schema::default(), &mut store, recovered).unwrap();
    store.append(&Record::Queued(vec![entry(1, "name")])).unwrap();
    store.commit().unwrap();
    let (mut store, recovered) = store.crash();
    let migrated = bring_up_to_date(&second(), &mut store, recovered).unwrap();
    assert_eq!(store.entries(&migrated.queued).unwrap(), [entry(1, "title")]);
    let (_, recovered) = store.crash();
    assert_eq!(recovered, migrated);
}
