//! What the properties of queries range over: few fields and few values, so that ties, kinds and absences meet.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use syncline_protocol::{DocumentId, FieldName, Fields, Path, Value};

use super::filter::Filter;
use super::order::{Cursor, Direction, OrderBy};
use super::selection::Selection;

pub(super) fn document_id(name: &str) -> DocumentId {
    DocumentId::new(name).unwrap()
}

/// How many documents a property has.
pub(super) const DOCUMENTS: usize = 12;

pub(super) fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-3i64..3).prop_map(Value::Int),
        prop::sample::select(vec![0.5, -1.5, 1e300]).prop_map(Value::Float),
        "[ab\u{0}é]{0,3}".prop_map(Value::String),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::btree_map("[ab]{1,2}".prop_map(FieldName::from), inner, 0..3)
                .prop_map(Value::Object),
        ]
    })
}

pub(super) fn any_fields() -> impl Strategy<Value = Fields> {
    prop::collection::btree_map("[a-c]".prop_map(FieldName::from), any_value(), 0..4)
}

pub(super) fn any_path() -> impl Strategy<Value = Path> {
    prop::sample::select(vec!["a", "b", "c", "a.a", "b.ab"]).prop_map(|text| Path::parse(text).unwrap())
}

pub(super) fn any_filter() -> impl Strategy<Value = Filter> {
    let leaf = prop_oneof![
        (any_path(), any_value()).prop_map(|(path, value)| Filter::Eq(path, value)),
        (any_path(), any_value()).prop_map(|(path, value)| Filter::Ne(path, value)),
        (any_path(), any_value()).prop_map(|(path, value)| Filter::Lte(path, value)),
        (any_path(), any_value()).prop_map(|(path, value)| Filter::Gt(path, value)),
        (any_path(), prop::collection::vec(any_value(), 0..3)).prop_map(|(path, any)| Filter::In(path, any)),
        any_path().prop_map(Filter::Exists),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Filter::Or),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

pub(super) fn any_name() -> impl Strategy<Value = String> {
    (0..DOCUMENTS).prop_map(|number| format!("d{number:02}"))
}

pub(super) fn any_selection() -> impl Strategy<Value = Selection> {
    let direction = prop::sample::select(vec![None, Some(Direction::Asc), Some(Direction::Desc)]);
    let key = (any_path(), direction).prop_map(|(path, direction)| OrderBy { path, direction });
    let order_by = prop::collection::vec(key, 0..3);
    let cursor = prop::option::of((prop::collection::vec(any_value(), 2), any_name()));
    (prop::option::of(any_filter()), order_by, prop::option::of(0u32..6), cursor).prop_map(
        |(filter, order_by, limit, cursor)| {
            let after = cursor.map(|(mut values, name)| {
                values.truncate(order_by.len());
                Cursor { values, id: document_id(&name) }
            });
            Selection { filter, order_by, limit, after }
        },
    )
}
