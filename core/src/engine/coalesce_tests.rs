#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use syncline_protocol::{ClientId, Collection, Document, DocumentId, HybridTime, Mutation, merge};

use super::*;

const NOW_MS: u64 = 1_800_000_000_000;
const ME: ClientId = ClientId::from_bytes([1; 16]);
const OTHER: ClientId = ClientId::from_bytes([2; 16]);

/// When the two writes were made; other clients' writes are at times from 1 to 90.
const FIRST_MS: u64 = 40;
const SECOND_MS: u64 = 50;

#[derive(Debug, Clone)]
struct Act {
    writer: ClientId,
    at_ms: u64,
    write: Write,
}

fn apply(document: &mut Option<Document>, act: &Act) {
    let mutation = Mutation {
        client_seq: act.at_ms,
        collection: Collection::new("todos").unwrap(),
        id: DocumentId::new("a").unwrap(),
        write: act.write.clone(),
        time: HybridTime { wall_ms: act.at_ms, counter: 0 },
        base: None,
    };
    // A write of a document that does not exist has no effect, alone or joined.
    let _not_found = merge::apply(document, &mutation, act.writer, NOW_MS);
}

/// What everybody sees in the end.
fn outcome(acts: impl IntoIterator<Item = Act>) -> Option<Fields> {
    let mut document = None;
    for act in acts {
        apply(&mut document, &act);
    }
    document.filter(|document| !document.deleted).map(|document| document.fields)
}

fn path() -> impl Strategy<Value = Path> {
    const TEXTS: &[&str] = &["a", "b", "a.x", "a.y", "a.x.p", "b.x"];
    prop::sample::select(TEXTS).prop_map(|text| Path::parse(text).unwrap())
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![(0..5_i64).prop_map(Value::Int), Just(Value::Null), Just(Value::from("text"))]
}

fn items() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(leaf(), 0..3)
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => leaf(),
        1 => items().prop_map(Value::Array),
        2 => prop::collection::btree_map(prop::sample::select(&["x", "y"][..]), leaf(), 0..3)
            .prop_map(|fields| Value::Object(fields.into_iter().map(|(n, v)| (n.into(), v)).collect())),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => value().prop_map(Op::Set),
        1 => Just(Op::Unset),
        1 => Just(Op::ServerTime),
        3 => (-5..5_i64).prop_map(|amount| Op::Increment(amount.into())),
        1 => items().prop_map(Op::Union),
        1 => items().prop_map(Op::Remove),
        1 => items().prop_map(Op::Append),
    ]
}

fn patch() -> impl Strategy<Value = Patch> {
    let patch = prop::collection::btree_map(path(), op(), 1..4);
    patch
        .prop_map(|ops| ops.into_iter().collect::<Patch>())
        .prop_filter("valid", |patch| patch.validate().is_ok())
}

fn fields() -> impl Strategy<Value = Fields> {
    prop::collection::btree_map(prop::sample::select(&["a", "b", "c"][..]), value(), 0..4)
        .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

fn edit() -> impl Strategy<Value = Write> {
    prop_oneof![1 => fields().prop_map(Write::Create), 3 => patch().prop_map(Write::Update)]
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![9 => edit(), 1 => Just(Write::Delete)]
}

/// What others wrote before and after the two arrived, at these times.
fn others(
    at_ms: impl Strategy<Value = u64> + Clone,
    write: impl Strategy<Value = Write> + Clone,
) -> impl Strategy<Value = (Vec<Act>, Vec<Act>)> {
    let act = (at_ms, write).prop_map(|(at_ms, write)| Act { writer: OTHER, at_ms, write });
    (prop::collection::vec(act.clone(), 0..5), prop::collection::vec(act, 0..4))
}

/// The outcomes with both writes, and with the one that stands for them.
fn compare(
    (before, after): (Vec<Act>, Vec<Act>),
    first: &Write,
    second: &Write,
    joined: &Write,
) -> (Option<Fields>, Option<Fields>) {
    let mine = |at_ms, write: &Write| Act { writer: ME, at_ms, write: write.clone() };
    let both = [mine(FIRST_MS, first), mine(SECOND_MS, second)];
    let with = |acts: &[Act]| outcome(before.iter().chain(acts).chain(&after).cloned());
    (with(&both), with(&[mine(SECOND_MS, joined)]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn one_write_does_what_two_did_unless_somebody_wrote_between_them(
        others in others(prop_oneof![1..FIRST_MS, SECOND_MS + 1..90], write().boxed()),
        first in edit(),
        second in patch().prop_map(Write::Update),
    ) {
        if let Some(joined) = coalesce(&first, &second) {
            let (both, one) = compare(others, &first, &second, &joined);
            prop_assert_eq!(both, one);
        }
    }

    #[test]
    fn a_write_that_supersedes_does_so_whatever_was_written_between(
        others in others(1..90_u64, edit().boxed()),
        first in patch().prop_map(Write::Update),
        second in patch().prop_map(Write::Update),
    ) {
        if let Some(joined) = coalesce(&first, &second).filter(|_| supersedes(&first, &second)) {
            let (both, one) = compare(others, &first, &second, &joined);
            prop_assert_eq!(both, one);
        }
    }

    #[test]
    fn what_comes_out_is_a_valid_patch(first in patch(), second in patch()) {
        if let Some(Write::Update(joined)) = coalesce(&Write::Update(first), &Write::Update(second)) {
            prop_assert_eq!(joined.validate(), Ok(()));
        }
    }
}

fn update(ops: &[(&str, Op)]) -> Write {
    Write::Update(ops.iter().map(|(path, op)| (Path::parse(path).unwrap(), op.clone())).collect())
}

fn set(value: i64) -> Op {
    Op::Set(value.into())
}

fn add(amount: i64) -> Op {
    Op::Increment(amount.into())
}

fn object(json: &str) -> Fields {
    serde_json::from_str(json).unwrap()
}

#[test]
fn edits_that_compose_become_one() {
    let cases = [
        (
            update(&[("a", set(1))]),
            update(&[("a", set(2)), ("b", set(3))]),
            update(&[("a", set(2)), ("b", set(3))]),
        ),
        (update(&[("n", add(1))]), update(&[("n", add(2))]), update(&[("n", add(3))])),
        (
            update(&[("a.x", set(1))]),
            update(&[("a.y", Op::Unset)]),
            update(&[("a.x", set(1)), ("a.y", Op::Unset)]),
        ),
        (update(&[("a", Op::ServerTime)]), update(&[("a", Op::Unset)]), update(&[("a", Op::Unset)])),
        (
            update(&[("t", Op::Union(vec![1.into()]))]),
            update(&[("t", Op::Union(vec![1.into(), 2.into()]))]),
            update(&[("t", Op::Union(vec![1.into(), 2.into()]))]),
        ),
        (
            update(&[("t", Op::Append(vec![1.into()]))]),
            update(&[("t", Op::Append(vec![1.into()]))]),
            update(&[("t", Op::Append(vec![1.into(), 1.into()]))]),
        ),
        (
            Write::Create(object(r#"{"a": {"x": 1}}"#)),
            update(&[("a.y", set(2)), ("b", set(3))]),
            Write::Create(object(r#"{"a": {"x": 1, "y": 2}, "b": 3}"#)),
        ),
    ];
    for (first, second, joined) in cases {
        assert_eq!(coalesce(&first, &second), Some(joined), "{first:?} and {second:?}");
    }
}

#[test]
fn edits_whose_effect_depends_on_the_document_stay_two() {
    let cases = [
        (update(&[("a", set(1))]), update(&[("a", add(1))])),
        (update(&[("a", add(1))]), update(&[("a", set(1))])),
        (update(&[("a", set(1))]), update(&[("a.x", set(1))])),
        (update(&[("a.x", set(1))]), update(&[("a", set(1))])),
        (update(&[("a.x", set(1))]), update(&[("a.x", Op::Unset)])),
        (update(&[("a.x", set(1))]), update(&[("a.y", add(1))])),
        (update(&[("n", add(i64::MAX))]), update(&[("n", add(1))])),
        (
            update(&[("n", Op::Increment(Value::Float(0.5)))]),
            update(&[("n", Op::Increment(Value::Float(0.5)))]),
        ),
        (Write::Create(object(r#"{"n": 1}"#)), update(&[("n", add(1))])),
        (Write::Create(object(r#"{"n": 1}"#)), update(&[("n", Op::Unset)])),
        (Write::Create(object(r#"{"n": 1}"#)), update(&[("a.x", set(1))])),
        (Write::Create(object(r#"{"a": null}"#)), update(&[("a.x", set(1))])),
        (Write::Create(object(r#"{"a": {}}"#)), update(&[("a.x.p", set(1))])),
        (Write::Create(object("{}")), Write::Delete),
        (update(&[("a", set(1))]), Write::Delete),
        (Write::Delete, Write::Create(object("{}"))),
    ];
    for (first, second) in cases {
        assert_eq!(coalesce(&first, &second), None, "{first:?} and {second:?}");
    }
}

#[test]
fn only_what_stamps_the_same_fields_supersedes() {
    assert!(supersedes(&update(&[("a", set(1))]), &update(&[("a", set(2)), ("b", set(3))])));
    assert!(supersedes(&update(&[("n", add(1))]), &update(&[("a", set(2))])));
    assert!(!supersedes(&update(&[("a", set(1)), ("b", set(1))]), &update(&[("a", set(2))])));
    assert!(!supersedes(&Write::Create(object("{}")), &update(&[("a", set(2))])));
}

#[test]
fn a_creation_takes_no_part_that_would_nest_deeper_than_anybody_reads() {
    let nested = |depth| (0..depth).fold(Value::Int(1), |inner, _| Value::Array(vec![inner]));
    let first = Write::Create([("a".into(), Value::Object(Fields::new()))].into());
    let with = |depth| {
        let path = Path::parse("a.b").unwrap();
        coalesce(&first, &Write::Update([(path, Op::Set(nested(depth)))].into_iter().collect()))
    };
    assert!(with(VALUE_DEPTH_MAX - 1).is_some());
    assert_eq!(with(VALUE_DEPTH_MAX), None);
}
