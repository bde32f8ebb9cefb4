#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;
use crate::limits::PATH_SEGMENTS_MAX;
use crate::name::{Collection, DocumentId};
use crate::stamp::HybridTime;

const NOW_MS: u64 = 1_800_000_000_000;
const ALICE: ClientId = ClientId::from_bytes([1; 16]);
const BOB: ClientId = ClientId::from_bytes([2; 16]);

/// One mutation of a writer, at a time that doubles as its number.
#[derive(Debug, Clone)]
struct Act {
    writer: ClientId,
    at_ms: u64,
    write: Write,
}

fn act(writer: ClientId, at_ms: u64, write: Write) -> Act {
    Act { writer, at_ms, write }
}

fn create(writer: ClientId, at_ms: u64, json: &str) -> Act {
    act(writer, at_ms, Write::Create(fields(json)))
}

fn update(writer: ClientId, at_ms: u64, ops: &[(&str, Op)]) -> Act {
    let ops = ops.iter().map(|(path, op)| (Path::parse(path).unwrap(), op.clone()));
    act(writer, at_ms, Write::Update(ops.collect()))
}

fn set(writer: ClientId, at_ms: u64, path: &str, json: &str) -> Act {
    update(writer, at_ms, &[(path, Op::Set(value(json)))])
}

fn unset(writer: ClientId, at_ms: u64, path: &str) -> Act {
    update(writer, at_ms, &[(path, Op::Unset)])
}

fn increment(writer: ClientId, at_ms: u64, path: &str, amount: i64) -> Act {
    update(writer, at_ms, &[(path, Op::Increment(amount.into()))])
}

fn delete(writer: ClientId, at_ms: u64) -> Act {
    act(writer, at_ms, Write::Delete)
}

fn value(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

fn fields(json: &str) -> Fields {
    serde_json::from_str(json).unwrap()
}

fn stamp(writer: ClientId, at_ms: u64) -> Stamp {
    Stamp { time: HybridTime { wall_ms: at_ms, counter: 0 }, writer }
}

fn apply_to(document: &mut Option<Document>, act: &Act) -> Result<(), NotFound> {
    let mutation = Mutation {
        client_seq: act.at_ms,
        collection: Collection::new("tasks").unwrap(),
        id: DocumentId::new("t1").unwrap(),
        write: act.write.clone(),
        time: stamp(act.writer, act.at_ms).time,
        base: None,
    };
    let mut owned = document.clone();
    let applied = apply(document, &mutation, act.writer, NOW_MS);
    assert_eq!(apply_owned(&mut owned, mutation, act.writer, NOW_MS), applied);
    assert_eq!(owned, *document, "what is not needed any more has the same effect");
    applied
}

fn after<'a>(acts: impl IntoIterator<Item = &'a Act>) -> Document {
    let mut document = None;
    for act in acts {
        apply_to(&mut document, act).unwrap();
    }
    document.unwrap()
}

/// Alice creates the document at time 1; the rest follows in this order.
#[track_caller]
fn assert_fields(json: &str, initial: &str, acts: &[Act]) {
    let start = create(ALICE, 1, initial);
    assert_eq!(after(std::iter::once(&start).chain(acts)).fields, fields(json));
}

#[test]
fn the_newer_write_of_a_field_wins_whichever_arrives_first() {
    let (older, newer) = (set(ALICE, 10, "title", r#""old""#), set(BOB, 11, "title", r#""new""#));
    assert_fields(r#"{"title": "new"}"#, "{}", &[older.clone(), newer.clone()]);
    assert_fields(r#"{"title": "new"}"#, "{}", &[newer, older]);
}

#[test]
fn writes_of_different_fields_both_stay() {
    let acts = [set(BOB, 11, "b", "2"), set(ALICE, 10, "a", "1")];
    assert_fields(r#"{"a": 1, "b": 2}"#, "{}", &acts);
}

#[test]
fn two_writes_at_one_time_are_decided_by_their_writers() {
    let (alice, bob) = (set(ALICE, 10, "n", "1"), set(BOB, 10, "n", "2"));
    assert_fields(r#"{"n": 2}"#, "{}", &[alice.clone(), bob.clone()]);
    assert_fields(r#"{"n": 2}"#, "{}", &[bob, alice]);
}

#[test]
fn a_field_older_than_the_creation_loses_to_it() {
    let acts = [create(ALICE, 20, r#"{"n": 1}"#), set(BOB, 10, "n", "2"), set(BOB, 11, "m", "3")];
    assert_eq!(after(&acts).fields, fields(r#"{"n": 1}"#));
}

#[test]
fn an_unset_field_stays_unset_against_older_writes() {
    let acts = [unset(ALICE, 11, "n"), set(BOB, 10, "n", "2")];
    assert_fields("{}", r#"{"n": 1}"#, &acts);
    assert_fields(r#"{"n": 2}"#, r#"{"n": 1}"#, &[unset(ALICE, 10, "n"), set(BOB, 11, "n", "2")]);
}

#[test]
fn increments_always_add_up() {
    let acts = [increment(ALICE, 10, "xp", 5), increment(BOB, 2, "xp", -2), increment(BOB, 3, "xp", 4)];
    assert_fields(r#"{"xp": 17}"#, r#"{"xp": 10}"#, &acts);
}

#[test]
fn an_increment_of_nothing_counts_from_zero() {
    assert_fields(r#"{"a": {"n": 3}}"#, "{}", &[increment(ALICE, 10, "a.n", 3)]);
    assert_fields(r#"{"n": 3}"#, r#"{"n": null}"#, &[increment(ALICE, 10, "n", 3)]);
}

#[test]
fn an_increment_is_not_undone_by_a_write_that_is_older_than_the_field() {
    let acts = [set(ALICE, 10, "n", "100"), increment(BOB, 11, "n", 1), set(BOB, 9, "n", "0")];
    assert_fields(r#"{"n": 101}"#, "{}", &acts);
}

#[test]
fn a_union_adds_what_is_missing_and_a_removal_takes_all_equal_items() {
    let union = update(ALICE, 10, &[("tags", Op::Union(vec!["b".into(), "c".into(), "c".into()]))]);
    assert_fields(r#"{"tags": ["a", "b", "c"]}"#, r#"{"tags": ["a", "b"]}"#, &[union]);
    let removal = update(ALICE, 10, &[("tags", Op::Remove(vec!["a".into()]))]);
    assert_fields(r#"{"tags": ["b"]}"#, r#"{"tags": ["a", "b", "a"]}"#, &[removal]);
}

#[test]
fn an_append_keeps_duplicates() {
    let append = update(ALICE, 10, &[("log", Op::Append(vec!["a".into(), "a".into()]))]);
    assert_fields(r#"{"log": ["a", "a", "a"]}"#, r#"{"log": ["a"]}"#, &[append]);
}

#[test]
fn array_operations_on_nothing_begin_with_an_empty_array() {
    let acts = [
        update(ALICE, 10, &[("a", Op::Append(vec![1.into()]))]),
        update(ALICE, 11, &[("b", Op::Union(vec![2.into()]))]),
        update(ALICE, 12, &[("c", Op::Remove(vec![3.into()]))]),
    ];
    assert_fields(r#"{"a": [1], "b": [2], "c": []}"#, "{}", &acts);
}

#[test]
fn array_operations_apply_whatever_their_time() {
    let acts = [set(ALICE, 10, "tags", r#"["x"]"#), update(BOB, 2, &[("tags", Op::Union(vec!["y".into()]))])];
    assert_fields(r#"{"tags": ["x", "y"]}"#, "{}", &acts);
}

#[test]
fn an_older_write_of_an_object_keeps_a_newer_field_within() {
    let (outer, inner) = (set(ALICE, 10, "a", r#"{"x": 1}"#), set(BOB, 11, "a.y", "2"));
    assert_fields(r#"{"a": {"x": 1, "y": 2}}"#, "{}", &[outer.clone(), inner.clone()]);
    assert_fields(r#"{"a": {"x": 1, "y": 2}}"#, "{}", &[inner, outer]);
}

#[test]
fn a_newer_write_of_an_object_replaces_the_fields_within() {
    let (inner, outer) = (set(BOB, 10, "a.y", "2"), set(ALICE, 11, "a", r#"{"x": 1}"#));
    assert_fields(r#"{"a": {"x": 1}}"#, "{}", &[inner.clone(), outer.clone()]);
    assert_fields(r#"{"a": {"x": 1}}"#, "{}", &[outer, inner]);
}

#[test]
fn a_field_unset_within_stays_unset_in_an_older_object() {
    let (outer, inner) = (set(ALICE, 10, "a", r#"{"x": 1, "y": 2}"#), unset(BOB, 11, "a.y"));
    assert_fields(r#"{"a": {"x": 1}}"#, "{}", &[outer.clone(), inner.clone()]);
    assert_fields(r#"{"a": {"x": 1}}"#, "{}", &[inner, outer]);
}

#[test]
fn a_write_through_a_scalar_replaces_the_scalar_if_it_is_newer() {
    let (scalar, inner) = (set(ALICE, 10, "a", "7"), set(BOB, 11, "a.b.c", "1"));
    assert_fields(r#"{"a": {"b": {"c": 1}}}"#, "{}", &[scalar.clone(), inner.clone()]);
    assert_fields(r#"{"a": {"b": {"c": 1}}}"#, "{}", &[inner, scalar]);
    assert_fields(r#"{"a": 7}"#, "{}", &[set(ALICE, 11, "a", "7"), set(BOB, 10, "a.b", "1")]);
}

#[test]
fn a_name_that_begins_like_another_is_not_within_it() {
    let acts = [set(BOB, 11, "ab", "1"), set(BOB, 11, "a-", "1"), set(ALICE, 12, "a", "{}")];
    assert_fields(r#"{"a": {}, "ab": 1, "a-": 1}"#, "{}", &acts);
}

#[test]
fn an_operation_that_does_not_fit_changes_nothing() {
    let initial = r#"{"text": "x", "n": 1, "list": [1]}"#;
    let misfits = [
        increment(BOB, 10, "text", 1),
        increment(BOB, 10, "n.deep", 1),
        increment(BOB, 10, "list.0", 1),
        update(BOB, 10, &[("n", Op::Union(vec![1.into()]))]),
        update(BOB, 10, &[("text", Op::Append(vec![1.into()]))]),
        update(BOB, 10, &[("text", Op::Remove(vec![1.into()]))]),
        unset(BOB, 10, "n.deep"),
    ];
    for misfit in misfits {
        assert_fields(initial, initial, &[misfit]);
    }
}

#[test]
fn an_increment_beyond_all_numbers_changes_nothing() {
    let huge = update(BOB, 10, &[("n", Op::Increment(Value::Float(f64::MAX)))]);
    let document = after(&[create(ALICE, 1, "{}"), huge.clone(), huge]);
    assert_eq!(document.fields["n"], Value::Float(f64::MAX));
}

#[test]
fn the_server_time_is_the_clock_of_the_applying_end() {
    let acts = [create(ALICE, 1, "{}"), update(ALICE, 10, &[("at", Op::ServerTime)])];
    assert_eq!(after(&acts).fields["at"], Value::Int(i64::try_from(NOW_MS).unwrap()));
    let older = update(BOB, 9, &[("at", Op::ServerTime)]);
    assert_fields(r#"{"at": "mine"}"#, "{}", &[set(ALICE, 10, "at", r#""mine""#), older]);
}

#[test]
fn a_deletion_holds_against_an_older_update() {
    let document = after(&[create(ALICE, 1, r#"{"n": 1}"#), delete(ALICE, 11), set(BOB, 10, "n", "2")]);
    assert!(document.deleted);
    let document = after(&[create(ALICE, 1, r#"{"n": 1}"#), set(BOB, 10, "n", "2"), delete(ALICE, 11)]);
    assert!(document.deleted);
    assert_eq!(document.stamps, Stamps::new(stamp(ALICE, 11)));
}

#[test]
fn an_update_newer_than_the_deletion_brings_the_document_back() {
    let start = create(ALICE, 1, r#"{"n": 1, "m": 5}"#);
    let (deletion, newer) = (delete(ALICE, 10), set(BOB, 11, "n", "2"));
    for acts in [[&start, &deletion, &newer], [&start, &newer, &deletion]] {
        let document = after(acts);
        assert!(!document.deleted);
        assert_eq!(document.fields, fields(r#"{"n": 2, "m": 5}"#));
    }
}

#[test]
fn an_older_increment_does_not_bring_a_document_back() {
    let document = after(&[create(ALICE, 1, "{}"), delete(ALICE, 10), increment(BOB, 9, "n", 1)]);
    assert!(document.deleted);
    assert_eq!(document.version.seen(BOB), 9);
}

#[test]
fn a_creation_of_a_live_document_sets_its_fields() {
    let newer = create(BOB, 10, r#"{"n": 2, "new": true}"#);
    assert_fields(r#"{"n": 2, "kept": 1, "new": true}"#, r#"{"n": 1, "kept": 1}"#, &[newer]);
    let document = after(&[create(ALICE, 20, r#"{"n": 1}"#), create(BOB, 10, r#"{"n": 2}"#)]);
    assert_eq!(document.fields, fields(r#"{"n": 1}"#));
}

#[test]
fn a_creation_newer_than_a_tombstone_begins_afresh() {
    let acts = [create(ALICE, 1, r#"{"old": 1}"#), delete(ALICE, 10), create(BOB, 11, r#"{"new": 1}"#)];
    let document = after(&acts);
    assert!(!document.deleted);
    assert_eq!(document.fields, fields(r#"{"new": 1}"#));
    assert_eq!(document.stamps, Stamps::new(stamp(BOB, 11)));
    assert_eq!((document.version.seen(ALICE), document.version.seen(BOB)), (10, 11));
}

#[test]
fn a_creation_older_than_a_tombstone_leaves_it_deleted() {
    let document = after(&[create(ALICE, 1, "{}"), delete(ALICE, 10), create(BOB, 9, r#"{"n": 1}"#)]);
    assert!(document.deleted);
    assert_eq!(document.version.seen(BOB), 9);
}

#[test]
fn a_creation_keeps_the_place_in_the_log() {
    let mut document = Some(after(&[create(ALICE, 1, "{}"), delete(ALICE, 10)]));
    document.as_mut().unwrap().seq = 7;
    apply_to(&mut document, &create(BOB, 11, "{}")).unwrap();
    assert_eq!(document.unwrap().seq, 7);
}

#[test]
fn only_a_creation_makes_a_document() {
    let mut document = None;
    assert_eq!(apply_to(&mut document, &set(ALICE, 1, "n", "1")), Err(NotFound));
    assert_eq!(apply_to(&mut document, &delete(ALICE, 2)), Err(NotFound));
    assert_eq!(document, None);
}

#[test]
fn the_version_records_a_mutation_without_effect() {
    let acts = [create(ALICE, 20, r#"{"n": 1}"#), set(BOB, 10, "n", "2")];
    let document = after(&acts);
    assert_eq!(document.fields, fields(r#"{"n": 1}"#));
    assert_eq!(document.version, VersionVector::from_iter([(ALICE, 20), (BOB, 10)]));
}

#[track_caller]
fn check_one(initial: &str, path: &str, op: Op) -> Result<(), PatchError> {
    check(&fields(initial), &Patch::new().with(Path::parse(path).unwrap(), op))
}

#[test]
fn a_patch_that_does_not_fit_is_refused_with_what_it_found() {
    let increment = || Op::Increment(1.into());
    assert_eq!(
        check_one(r#"{"n": "text"}"#, "n", increment()),
        Err(PatchError::TypeMismatch { path: Path::field("n"), op: "increment", found: "a string" })
    );
    assert_eq!(
        check_one(r#"{"a": {"n": {}}}"#, "a.n", Op::Union(vec![])),
        Err(PatchError::TypeMismatch { path: Path::parse("a.n").unwrap(), op: "union", found: "an object" })
    );
    for op in [Op::Remove(vec![]), Op::Append(vec![])] {
        assert!(matches!(
            check_one(r#"{"n": true}"#, "n", op),
            Err(PatchError::TypeMismatch { found: "a boolean", .. })
        ));
    }
    assert_eq!(check_one(r#"{"n": null}"#, "n", increment()), Ok(()));
    assert_eq!(check_one("{}", "n", increment()), Ok(()));
    assert_eq!(check_one(r#"{"n": "text"}"#, "n", Op::Set(1.into())), Ok(()));
}

#[test]
fn a_patch_through_what_is_no_object_is_refused() {
    for op in [Op::Set(1.into()), Op::Unset, Op::ServerTime, Op::Increment(1.into())] {
        let name = op.name();
        assert_eq!(
            check_one(r#"{"tags": ["a", "b"]}"#, "tags.0", op),
            Err(PatchError::TypeMismatch {
                path: Path::parse("tags.0").unwrap(),
                op: name,
                found: "an array"
            })
        );
    }
    assert_eq!(check_one(r#"{"a": null}"#, "a.b.c", Op::Set(1.into())), Ok(()));
}

#[test]
fn a_malformed_patch_is_refused_before_its_types() {
    assert_eq!(check(&Fields::new(), &Patch::new()), Err(PatchError::Empty));
    assert_eq!(
        check_one(r#"{"n": "text"}"#, "n", Op::Increment("1".into())),
        Err(PatchError::NotANumber { path: Path::field("n") })
    );
    let deep = vec!["a"; PATH_SEGMENTS_MAX + 1].join(".");
    assert_eq!(Path::parse(&deep), Err(PatchError::PathTooDeep { segments: PATH_SEGMENTS_MAX + 1 }));
}

const FLAT: [&str; 3] = ["a", "b", "c"];

/// Sets and unsets of flat fields, each at a time of its own, in any order.
fn field_writes() -> impl Strategy<Value = Vec<Act>> {
    let write = (any::<bool>(), 0..FLAT.len(), proptest::option::of(0i64..5));
    proptest::collection::vec(write, 1..8).prop_map(|writes| {
        let acts = writes.into_iter().zip(10..).map(|((by_alice, field, value), at_ms)| {
            let op = value.map_or(Op::Unset, |value| Op::Set(value.into()));
            update(if by_alice { ALICE } else { BOB }, at_ms, &[(FLAT[field], op)])
        });
        acts.collect()
    })
}

/// The same acts twice, in two orders.
fn in_two_orders(acts: impl Strategy<Value = Vec<Act>>) -> impl Strategy<Value = (Vec<Act>, Vec<Act>)> {
    acts.prop_flat_map(|acts| (Just(acts.clone()), Just(acts).prop_shuffle()))
}

proptest! {
    #[test]
    fn field_writes_commute((one, other) in in_two_orders(field_writes())) {
        let start = create(ALICE, 1, r#"{"a": 0, "b": 0}"#);
        let one = after(std::iter::once(&start).chain(&one));
        let other = after(std::iter::once(&start).chain(&other));
        prop_assert_eq!(one, other);
    }

    #[test]
    fn whether_a_document_is_deleted_does_not_depend_on_the_order(
        (one, other) in in_two_orders(field_writes().prop_flat_map(|acts| {
            let deleted_at = 5..30u64;
            (Just(acts), deleted_at).prop_map(|(mut acts, at_ms)| {
                // Writers differ, so no two acts carry one stamp.
                acts.push(delete(ClientId::from_bytes([3; 16]), at_ms));
                acts
            })
        })),
    ) {
        let start = create(ALICE, 1, r#"{"a": 0}"#);
        let one = after(std::iter::once(&start).chain(&one));
        let other = after(std::iter::once(&start).chain(&other));
        prop_assert_eq!(one.deleted, other.deleted);
        prop_assert_eq!(one.version, other.version);
        prop_assert_eq!(one.stamps.fields.values().max(), other.stamps.fields.values().max());
    }

    #[test]
    fn increments_commute(
        (one, other) in in_two_orders(proptest::collection::vec((0..FLAT.len(), -9i64..9), 1..8).prop_map(|amounts| {
            let acts = amounts.into_iter().zip(10..);
            acts.map(|((field, amount), at_ms)| increment(BOB, at_ms, FLAT[field], amount)).collect()
        })),
    ) {
        let start = create(ALICE, 1, r#"{"a": 100}"#);
        let one = after(std::iter::once(&start).chain(&one));
        let other = after(std::iter::once(&start).chain(&other));
        prop_assert_eq!(one, other);
    }

    #[test]
    fn field_writes_that_arrive_again_change_nothing(
        (acts, again) in field_writes().prop_flat_map(|acts| {
            let again = proptest::sample::subsequence(acts.clone(), 0..=acts.len()).prop_shuffle();
            (Just(acts), again)
        }),
    ) {
        let start = create(ALICE, 1, r#"{"a": 0}"#);
        let once = after(std::iter::once(&start).chain(&acts));
        let twice = after(std::iter::once(&start).chain(&acts).chain(&again));
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn a_patch_of_several_paths_is_its_parts_one_after_another(
        values in proptest::collection::vec(proptest::option::of(-9i64..9), FLAT.len()),
        at_ms in 2..9u64,
    ) {
        let start = [create(ALICE, 1, r#"{"a": 1, "b": 2}"#), set(BOB, 5, "b", "3")];
        let op = |value: Option<i64>| value.map_or(Op::Unset, |value| Op::Increment(value.into()));
        let ops: Vec<_> = FLAT.iter().zip(values).map(|(field, value)| (*field, op(value))).collect();
        let whole = [update(ALICE, at_ms, &ops)];
        let parts: Vec<_> = ops.iter().map(|part| update(ALICE, at_ms, std::slice::from_ref(part))).collect();
        prop_assert_eq!(after(start.iter().chain(&whole)), after(start.iter().chain(&parts)));
    }

    #[test]
    fn unions_hold_the_same_items_in_every_order_and_however_often(
        (one, other) in in_two_orders(proptest::collection::vec(0..4i64, 1..8).prop_map(|items| {
            let union = |(item, at_ms): (i64, u64)| {
                update(BOB, at_ms, &[("a", Op::Union(vec![item.into(), (item + 1).into()]))])
            };
            items.into_iter().zip(10..).map(union).collect()
        })),
    ) {
        let items = |acts: &[Act]| {
            let start = create(ALICE, 1, r#"{"a": [0]}"#);
            let Value::Array(items) = &after(std::iter::once(&start).chain(acts)).fields["a"] else {
                panic!("an array became something else");
            };
            let mut items: Vec<_> = items.iter().map(|item| format!("{item:?}")).collect();
            items.sort();
            items
        };
        prop_assert_eq!(items(&one), items(&other));
        prop_assert_eq!(items(&one), items(&[one.as_slice(), other.as_slice()].concat()));
    }
}
