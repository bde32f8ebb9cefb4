#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use syncline_protocol::{
    ClientId, Collection, Document, DocumentId, Fields, HybridTime, Room, Stamp, Stamps, VersionVector,
};

use super::super::fixtures::{any_fields, any_filter, any_path, any_value, document_id};
use super::*;
use crate::store::{Indexes, MemoryStore, RoomState, RoomUpdate, Store};

fn index(fields: &[&str]) -> Index {
    Index { fields: fields.iter().map(|field| Path::parse(field).unwrap()).collect() }
}

fn filter(json: &str) -> Filter {
    serde_json::from_str(json).unwrap()
}

/// The keys of these values, one after the other.
fn key(values: &[i64]) -> Vec<u8> {
    let mut key = Vec::new();
    values.iter().for_each(|&value| encode_key(&Value::Int(value), &mut key));
    key
}

#[test]
fn equal_fields_and_one_range_after_them_narrow_it_down() {
    let indexes = [index(&["a", "b", "c"])];
    for (filter_json, low, high) in [
        (r#"{"eq":["a",1]}"#, key(&[1]), key(&[1])),
        (r#"{"and":[{"eq":["b",2]},{"eq":["a",1]}]}"#, key(&[1, 2]), key(&[1, 2])),
        (r#"{"and":[{"eq":["a",1]},{"gt":["b",2]}]}"#, key(&[1, 2]), key(&[1])),
        (r#"{"and":[{"eq":["a",1]},{"and":[{"gte":["b",2]},{"lt":["b",5]}]}]}"#, key(&[1, 2]), key(&[1, 5])),
        (r#"{"lte":["a",3]}"#, vec![], key(&[3])),
        // The gap ends it.
        (r#"{"and":[{"eq":["a",1]},{"eq":["c",3]}]}"#, key(&[1]), key(&[1])),
    ] {
        let range = plan(&filter(filter_json), &indexes);
        assert_eq!(range, Some(IndexRange { number: 0, low, high }), "{filter_json}");
    }
}

#[test]
fn a_filter_that_does_not_fix_the_first_field_needs_everything() {
    let indexes = [index(&["a", "b"])];
    for filter_json in [
        r#"{"eq":["b",1]}"#,
        r#"{"ne":["a",1]}"#,
        r#"{"not":{"eq":["a",1]}}"#,
        r#"{"or":[{"eq":["a",1]},{"eq":["a",2]}]}"#,
        r#"{"and":[]}"#,
    ] {
        assert_eq!(plan(&filter(filter_json), &indexes), None, "{filter_json}");
    }
    assert_eq!(plan(&filter(r#"{"eq":["a",1]}"#), &[]), None);
}

#[test]
fn bounds_that_exclude_each_other_leave_nothing() {
    let collection = Collection::new("notes").unwrap();
    let (mut store, _) = MemoryStore::new(ClientId::from_bytes([1; 16]));
    let fields = Fields::from([("a".into(), Value::Int(2))]);
    let documents = [document(1, fields)];
    let update = RoomUpdate { reset: false, documents: &documents, state: RoomState::default() };
    let room = Room::new("list:1").unwrap();
    store.declare_indexes(Indexes::new([(collection.clone(), vec![index(&["a"])])]).unwrap());
    store.apply(&room, &update).unwrap();
    let contradiction = filter(r#"{"and":[{"gt":["a",3]},{"lt":["a",1]}]}"#);
    let range = plan(&contradiction, store.indexes(&collection)).unwrap();
    store.visit_range(&room, &collection, &range, &mut |found| panic!("{found:?}")).unwrap();
}

#[test]
fn an_index_of_what_the_filter_fixes_and_then_the_order_covers_both() {
    let indexes = [index(&["a"]), index(&["b", "a"]), index(&["a", "b", "c"])];
    let covering = |selection: &str| covering(&serde_json::from_str(selection).unwrap(), &indexes);
    let covered = |number, prefix: Vec<u8>, direction| {
        Some(Covering { range: IndexRange { number, low: prefix.clone(), high: prefix }, direction })
    };
    for (selection, expected) in [
        (r#"{"orderBy":[{"path":"a"}]}"#, covered(0, vec![], Direction::Asc)),
        (r#"{"orderBy":[{"path":"a","direction":"desc"}]}"#, covered(0, vec![], Direction::Desc)),
        (
            r#"{"filter":{"and":[]},"orderBy":[{"path":"b"},{"path":"a"}]}"#,
            covered(1, vec![], Direction::Asc),
        ),
        (r#"{"filter":{"eq":["b",1]},"orderBy":[{"path":"a"}]}"#, covered(1, key(&[1]), Direction::Asc)),
        (r#"{"filter":{"eq":["a",1]}}"#, covered(0, key(&[1]), Direction::Asc)),
        (
            r#"{"filter":{"and":[{"eq":["b",2]},{"eq":["a",1]}]},"orderBy":[{"path":"c"}]}"#,
            covered(2, key(&[1, 2]), Direction::Asc),
        ),
    ] {
        assert_eq!(covering(selection), expected, "{selection}");
    }
}

#[test]
fn what_an_index_does_not_tell_in_full_is_not_covered() {
    let indexes = [index(&["a"]), index(&["a", "a"]), index(&["a", "b"])];
    let long = "x".repeat(KEY_VALUE_BYTES_MAX);
    for selection in [
        // Another order, or one in two directions.
        r#"{"orderBy":[{"path":"b"}]}"#.to_owned(),
        r#"{"orderBy":[{"path":"a"},{"path":"b","direction":"desc"}]}"#.to_owned(),
        // A condition that the entries do not decide.
        r#"{"filter":{"gt":["a",1]},"orderBy":[{"path":"b"}]}"#.to_owned(),
        r#"{"filter":{"and":[{"eq":["a",1]},{"gt":["a",1]}]},"orderBy":[{"path":"b"}]}"#.to_owned(),
        r#"{"filter":{"and":[{"eq":["a",1]},{"eq":["a",2]}]}}"#.to_owned(),
        r#"{"filter":{"and":[{"eq":["a",1]},{"eq":["c",2]}]}}"#.to_owned(),
        // Null stands also for what is missing, and the beginning for all that goes on with it.
        r#"{"filter":{"eq":["a",null]},"orderBy":[{"path":"b"}]}"#.to_owned(),
        format!(r#"{{"filter":{{"eq":["a","{long}"]}},"orderBy":[{{"path":"b"}}]}}"#),
    ] {
        assert_eq!(covering(&serde_json::from_str(&selection).unwrap(), &indexes), None, "{selection}");
    }
}

#[test]
fn the_index_that_fixes_most_is_taken() {
    let indexes = [index(&["b"]), index(&["a", "b"]), index(&["a", "c"])];
    let number = |filter_json| plan(&filter(filter_json), &indexes).unwrap().number;
    assert_eq!(number(r#"{"and":[{"eq":["a",1]},{"eq":["b",1]}]}"#), 1);
    assert_eq!(number(r#"{"and":[{"eq":["a",1]},{"gt":["c",1]}]}"#), 2);
    assert_eq!(number(r#"{"and":[{"gt":["a",1]},{"eq":["b",1]}]}"#), 0);
}

fn document(number: usize, fields: Fields) -> Document {
    let writer = ClientId::from_bytes([1; 16]);
    let stamp = Stamp { time: HybridTime::default(), writer };
    Document {
        collection: Collection::new("notes").unwrap(),
        id: document_id(&format!("d{number:02}")),
        fields,
        seq: 1,
        version: VersionVector::default(),
        stamps: Stamps::new(stamp),
        deleted: false,
    }
}

/// An index, and a filter that it may help.
fn any_index_and_filter() -> impl Strategy<Value = (Vec<Index>, Filter)> {
    let fields = prop::collection::vec(any_path(), 1..4);
    let condition = (any_path(), any_value(), 0..5).prop_map(|(path, value, kind)| match kind {
        0 => Filter::Gt(path, value),
        1 => Filter::Lte(path, value),
        2 => Filter::Lt(path, value),
        _ => Filter::Eq(path, value),
    });
    let filter = (prop::collection::vec(condition, 1..4), any_filter())
        .prop_map(|(conditions, other)| Filter::And(conditions.into_iter().chain([other]).collect()));
    (prop::collection::vec(fields.prop_map(|fields| Index { fields }), 1..3), filter)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_range_holds_every_document_that_the_filter_accepts(
        (indexes, filter) in any_index_and_filter(),
        before in prop::collection::vec(any_fields(), 12),
        after in prop::collection::vec(any_fields(), 6),
    ) {
        let Some(range) = plan(&filter, &indexes) else { return Ok(()) };
        let collection = Collection::new("notes").unwrap();
        let room = Room::new("list:1").unwrap();
        let (mut store, _) = MemoryStore::new(ClientId::from_bytes([1; 16]));
        store.declare_indexes(Indexes::new([(collection.clone(), indexes)]).unwrap());
        for state in [before, after] {
            let documents: Vec<_> =
                state.into_iter().enumerate().map(|(number, fields)| document(number, fields)).collect();
            let state = RoomState::default();
            store.apply(&room, &RoomUpdate { reset: false, documents: &documents, state }).unwrap();
        }
        let mut accepted: BTreeSet<DocumentId> = BTreeSet::new();
        let mut note = |document: Document| {
            if filter.matches(&document.fields) {
                accepted.insert(document.id);
            }
        };
        store.visit_range(&room, &collection, &range, &mut note).unwrap();
        let found = std::mem::take(&mut accepted);
        let mut note = |document: Document| {
            if filter.matches(&document.fields) {
                accepted.insert(document.id);
            }
        };
        store.visit_collection(&room, &collection, &mut note).unwrap();
        prop_assert_eq!(found, accepted);
    }
}
