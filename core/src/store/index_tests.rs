#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use syncline_protocol::{Room, Value};
use tempfile::TempDir;

use super::*;
use crate::store::fixtures::{CLIENT, Random, collection, deleted, document, room, state};
use crate::store::{DiskStore, MemoryStore, RoomUpdate, Store};

/// More than one transaction builds.
const DOCUMENTS: u64 = 1500;
/// Values of the field `kind`.
const KINDS: u64 = 5;

fn indexes(fields: &[&[&str]]) -> Indexes {
    let index = |fields: &[&str]| Index { fields: fields.iter().map(|name| Path::field(*name)).collect() };
    Indexes::new([(collection("tasks"), fields.iter().map(|fields| index(fields)).collect())]).unwrap()
}

fn task(number: u64, kind: u64) -> Document {
    let mut task = document(&format!("task-{number}"), number, "text");
    task.fields.insert("kind".into(), Value::Int(i64::try_from(kind).unwrap()));
    task
}

fn apply(store: &mut dyn Store, reset: bool, documents: &[Document]) {
    store.apply(&room("list:1"), &RoomUpdate { reset, documents, state: state(1) }).unwrap();
}

fn of_kind(store: &dyn Store, room: &Room, kind: u64) -> BTreeSet<DocumentId> {
    let mut key = Vec::new();
    encode_key(&Value::Int(i64::try_from(kind).unwrap()), &mut key);
    let range = IndexRange { number: 0, low: key.clone(), high: key };
    let mut found = BTreeSet::new();
    let mut visit = |document: Document| assert!(found.insert(document.id));
    store.visit_range(room, &collection("tasks"), &range, &mut visit).unwrap();
    found
}

/// Every range holds what a look at all documents finds, and nothing else.
fn check(store: &dyn Store) {
    for kind in 0..=KINDS {
        let mut expected = BTreeSet::new();
        let value = Value::Int(i64::try_from(kind).unwrap());
        let mut visit = |document: Document| {
            if document.fields.get("kind") == Some(&value) {
                expected.insert(document.id);
            }
        };
        store.visit_collection(&room("list:1"), &collection("tasks"), &mut visit).unwrap();
        assert_eq!(of_kind(store, &room("list:1"), kind), expected, "kind {kind}");
    }
    let mut expected = BTreeSet::new();
    let mut visit = |document: Document| {
        let mut values = Vec::new();
        for path in &store.indexes(&document.collection)[0].fields {
            encode_key(path.value_in(&document.fields).unwrap_or(&Value::Null), &mut values);
        }
        expected.insert((values, document.id));
    };
    store.visit_collection(&room("list:1"), &collection("tasks"), &mut visit).unwrap();
    let all = IndexRange { number: 0, low: vec![], high: vec![] };
    let mut found = Vec::new();
    let mut visit = |values: &[u8], id| found.push((values.to_vec(), id));
    assert!(store.visit_entries(&room("list:1"), &collection("tasks"), &all, &mut visit).unwrap());
    assert!(found.into_iter().eq(expected), "the entries are not those of the documents, in their order");
}

fn change_at_random(store: &mut dyn Store, random: &mut Random) {
    for _ in 0..20 {
        let documents: Vec<_> = (0..random.below(5) + 1)
            .map(|_| {
                let number = random.below(DOCUMENTS);
                match random.below(4) {
                    0 => deleted(&format!("task-{number}"), number),
                    1 => document(&format!("task-{number}"), number, "of no kind"),
                    _ => task(number, random.below(KINDS)),
                }
            })
            .collect();
        apply(store, false, &documents);
    }
    check(store);
}

fn keeps_up(store: &mut dyn Store) {
    let mut random = Random(7);
    store.declare_indexes(indexes(&[&["kind", "text"]]));
    assert_eq!(store.indexes(&collection("tasks")).len(), 1);
    let tasks: Vec<_> = (0..DOCUMENTS).map(|number| task(number, random.below(KINDS))).collect();
    apply(store, false, &tasks);
    change_at_random(store, &mut random);
    apply(store, true, &tasks[..100]);
    change_at_random(store, &mut random);
    assert_eq!(of_kind(store, &room("list:2"), 1), BTreeSet::new());
    let contradiction = IndexRange { number: 0, low: vec![9], high: vec![1] };
    let mut visit = |document| panic!("{document:?}");
    store.visit_range(&room("list:1"), &collection("tasks"), &contradiction, &mut visit).unwrap();
}

#[test]
fn an_index_keeps_up_in_memory() {
    keeps_up(&mut MemoryStore::new(CLIENT).0);
}

#[test]
fn an_index_keeps_up_on_disk() {
    let directory = TempDir::new().unwrap();
    keeps_up(&mut DiskStore::open(directory.path(), CLIENT).unwrap().0);
}

#[test]
fn an_index_that_is_declared_later_is_built_and_one_that_changes_is_built_anew() {
    let directory = TempDir::new().unwrap();
    let open = || DiskStore::open(directory.path(), CLIENT).unwrap().0;
    let mut random = Random(9);
    let tasks: Vec<_> = (0..DOCUMENTS).map(|number| task(number, random.below(KINDS))).collect();
    apply(&mut open(), false, &tasks);
    for fields in [&["kind", "text"][..], &["kind"], &["kind", "text"]] {
        let mut store = open();
        // Without indexes a change leaves those of before behind.
        apply(&mut store, false, &[task(random.below(DOCUMENTS), random.below(KINDS))]);
        store.declare_indexes(indexes(&[fields]));
        check(&store);
        change_at_random(&mut store, &mut random);
    }
    let mut store = open();
    store.declare_indexes(indexes(&[&["kind", "text"]]));
    check(&store);
}

#[test]
fn a_part_of_an_index_ends_where_the_next_begins() {
    let mut store = MemoryStore::new(CLIENT).0;
    store.declare_indexes(indexes(&[&["kind"], &["text"]]));
    apply(&mut store, false, &[task(1, 1), task(2, 2)]);
    let all = IndexRange { number: 0, low: vec![], high: vec![] };
    let mut count = 0;
    store.visit_range(&room("list:1"), &collection("tasks"), &all, &mut |_| count += 1).unwrap();
    assert_eq!(count, 2);
}

#[test]
fn a_declaration_has_its_limits() {
    let many = vec![Index { fields: vec![Path::field("a")] }; INDEXES_MAX + 1];
    let error = Indexes::new([(collection("tasks"), many)]).unwrap_err();
    assert!(matches!(error, IndexError::TooMany { indexes, .. } if indexes == INDEXES_MAX + 1));
    for fields in [0, INDEX_FIELDS_MAX + 1] {
        let index = Index { fields: vec![Path::field("a"); fields] };
        let error = Indexes::new([(collection("tasks"), vec![index])]).unwrap_err();
        assert!(matches!(error, IndexError::Fields { fields: found, .. } if found == fields));
    }
}
