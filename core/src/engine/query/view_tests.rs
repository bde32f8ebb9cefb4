//! What an index alone tells of a watch is what its documents tell.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use syncline_protocol::{
    Collection, Document, Fields, HybridTime, Mutation, Op, Patch, Path, Room, Stamp, Stamps, Value,
    VersionVector, Write,
};

use super::super::filter::Filter;
use super::super::fixtures::{any_fields, any_name, any_path, any_selection, any_value, document_id};
use super::super::selection::Selection;
use super::*;
use crate::store::{Index, Indexes, MemoryStore, RoomState, RoomUpdate};

const CLIENT: ClientId = ClientId::from_bytes([1; 16]);
const NOW: Now = Now { mono_us: 0, lived_ms: 0, wall_ms: 0 };

fn query(selection: Selection) -> Query {
    Query {
        room: Room::new("list:1").unwrap(),
        collection: Collection::new("notes").unwrap(),
        id: None,
        selection,
    }
}

fn stored(query: &Query, name: &str, fields: Fields) -> Document {
    Document {
        collection: query.collection.clone(),
        id: document_id(name),
        fields,
        seq: 1,
        version: VersionVector::default(),
        stamps: Stamps::new(Stamp { time: HybridTime::default(), writer: CLIENT }),
        deleted: false,
    }
}

fn store(query: &Query, indexes: Vec<Index>, documents: &[Document]) -> MemoryStore {
    let (mut store, _) = MemoryStore::new(CLIENT);
    store.declare_indexes(Indexes::new([(query.collection.clone(), indexes)]).unwrap());
    let update = RoomUpdate { reset: false, documents, state: RoomState::default() };
    store.apply(&query.room, &update).unwrap();
    store
}

fn outbox(query: &Query, writes: Vec<(String, Write)>) -> Outbox {
    let mut outbox = Outbox::default();
    for (client_seq, (name, write)) in (1..).zip(writes) {
        let (collection, id) = (query.collection.clone(), document_id(&name));
        let mutation = Mutation {
            client_seq,
            collection,
            id,
            write,
            time: HybridTime { wall_ms: client_seq, counter: 0 },
            base: None,
        };
        let bytes = mutation.byte_len() as u64;
        let entry = Entry { room: query.room.clone(), mutation, queued_at_ms: 0, accepted: None };
        outbox.insert_new(entry, bytes, 0, 0);
    }
    outbox
}

/// The places of what a query selects, by its documents.
fn read(view: View<'_>, query: &Query) -> BTreeSet<SortKey> {
    let mut places = BTreeSet::new();
    view.visit(query, &mut |key, row| places.extend(Live::place(&query.selection, &key.id, &row))).unwrap();
    places
}

fn any_write() -> impl Strategy<Value = Write> {
    let set = (any_path(), any_value())
        .prop_map(|(path, value)| Write::Update(Patch::new().with(path, Op::Set(value))));
    prop_oneof![any_fields().prop_map(Write::Create), set, Just(Write::Delete)]
}

/// A selection whose filter fixes fields, with as many of its order's keys as it has.
fn any_covered_selection() -> impl Strategy<Value = Selection> {
    let fixed = prop::collection::vec((any_path(), any_value()), 0..3);
    (any_selection(), fixed).prop_map(|(selection, fixed)| {
        let conditions = fixed.into_iter().map(|(path, value)| Filter::Eq(path, value));
        Selection { filter: Some(Filter::And(conditions.collect())), ..selection }
    })
}

/// The index that is made for a selection.
fn index_for(selection: &Selection) -> Index {
    let Some(Filter::And(conditions)) = &selection.filter else { return Index { fields: vec![] } };
    let fixed = conditions.iter().filter_map(|filter| match filter {
        Filter::Eq(path, _) => Some(path.clone()),
        _ => None,
    });
    Index { fields: fixed.chain(selection.order_by.iter().map(|key| key.path.clone())).collect() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn an_index_tells_the_places_that_the_documents_have(
        selection in any_covered_selection(),
        documents in prop::collection::btree_map(any_name(), any_fields(), 0..12),
        writes in prop::collection::vec((any_name(), any_write()), 0..8),
    ) {
        let index = index_for(&selection);
        let query = query(selection);
        if index.fields.is_empty() {
            return Ok(());
        }
        let documents: Vec<_> =
            documents.into_iter().map(|(name, fields)| stored(&query, &name, fields)).collect();
        let store = store(&query, vec![index], &documents);
        let outbox = outbox(&query, writes);
        let view = View { store: &store, outbox: &outbox, client_id: CLIENT, now: NOW };
        if let Some(places) = view.places(&query).unwrap() {
            prop_assert_eq!(places.len(), places.iter().collect::<BTreeSet<_>>().len());
            prop_assert_eq!(places.into_iter().collect::<BTreeSet<_>>(), read(view, &query));
        }
    }
}

#[test]
fn pending_writes_move_what_the_index_places() {
    let selection: Selection = serde_json::from_str(
        r#"{"filter":{"eq":["a",1]},"orderBy":[{"path":"b","direction":"desc"}],"limit":2}"#,
    )
    .unwrap();
    let query = query(selection);
    let fields = |a: i64, b: i64| Fields::from([("a".into(), Value::Int(a)), ("b".into(), Value::Int(b))]);
    let documents: Vec<_> =
        (0..9).map(|number| stored(&query, &format!("d{number}"), fields(number % 2, number))).collect();
    let index = Index { fields: vec![Path::field("a"), Path::field("b")] };
    let store = store(&query, vec![index], &documents);
    let outbox = outbox(
        &query,
        vec![("d7".to_owned(), Write::Update(Patch::new().with(Path::field("b"), Op::Set(Value::Int(0)))))],
    );
    let view = View { store: &store, outbox: &outbox, client_id: CLIENT, now: NOW };
    let live = Live::new(query.selection.clone(), view.places(&query).unwrap().unwrap());
    assert_eq!(live.count(), 4);
    assert_eq!(live.window().map(DocumentId::as_str).collect::<Vec<_>>(), ["d5", "d3"]);
}
