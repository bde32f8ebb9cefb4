//! The order of the documents in a watch.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use syncline_protocol::{DocumentId, Fields, Path, Value};

use crate::collation::encode_key;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    #[default]
    Asc,
    Desc,
}

/// One key of an order. A missing field counts as null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
pub struct OrderBy {
    pub path: Path,
    /// Ascending when absent.
    #[serde(default)]
    #[cfg_attr(feature = "contract", ts(optional))]
    pub direction: Option<Direction>,
}

/// The last row of a window: the next one begins behind it, whether or not that row is still there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
pub struct Cursor {
    /// The row's values at the paths of `orderBy`, in that order; null for a missing one.
    pub values: Vec<Value>,
    pub id: DocumentId,
}

/// A document's place in the order of its watch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SortKey {
    /// Bytes that compare as the values do.
    pub(super) values: Arc<[u8]>,
    pub(super) id: DocumentId,
}

impl SortKey {
    pub(super) fn of(id: DocumentId, fields: &Fields, order: &[OrderBy]) -> Self {
        let values = order.iter().map(|key| (key, key.path.value_in(fields).unwrap_or(&Value::Null)));
        Self { values: encode_all(values), id }
    }

    /// The place of which the index `values` are in ascending order.
    pub(super) fn of_entry(id: DocumentId, values: &[u8], direction: Direction) -> Self {
        let values = match direction {
            Direction::Asc => values.into(),
            Direction::Desc => values.iter().map(|byte| !byte).collect(),
        };
        Self { values, id }
    }

    /// The place of the row that a cursor names. Values that the cursor lacks count as null.
    pub(super) fn of_cursor(cursor: &Cursor, order: &[OrderBy]) -> Self {
        let nulls = std::iter::repeat(&Value::Null);
        let values = order.iter().zip(cursor.values.iter().chain(nulls));
        Self { values: encode_all(values), id: cursor.id.clone() }
    }
}

fn encode_all<'a>(values: impl Iterator<Item = (&'a OrderBy, &'a Value)>) -> Arc<[u8]> {
    let mut out = Vec::new();
    for (key, value) in values {
        let start = out.len();
        encode_key(value, &mut out);
        if key.direction == Some(Direction::Desc) {
            // No encoding is the beginning of another, so the complement reverses the order.
            out[start..].iter_mut().for_each(|byte| *byte = !*byte);
        }
    }
    out.into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixtures::any_value;
    use super::*;
    use crate::collation::{KEY_VALUE_BYTES_MAX, compare};

    fn json(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn values_of_every_kind_have_one_order() {
        let ascending = [
            "null",
            "false",
            "true",
            "-1e300",
            "-9007199254740993",
            "-9007199254740992",
            "-1.5",
            "0",
            "1e-300",
            "1",
            "1.5",
            "9007199254740992",
            "9007199254740993",
            "9223372036854775807",
            "1e300",
            r#""""#,
            r#""a""#,
            r#""a\u0000""#,
            r#""aa""#,
            r#""é""#,
            r#""😀""#,
            "[]",
            "[null]",
            "[1]",
            "[1,2]",
            "[2]",
            "{}",
            r#"{"a":1}"#,
            r#"{"a":1,"b":0}"#,
            r#"{"a":2}"#,
            r#"{"b":0}"#,
        ];
        for (place, left) in ascending.iter().enumerate() {
            for (other, right) in ascending.iter().enumerate() {
                assert_eq!(compare(&json(left), &json(right)), place.cmp(&other), "{left} and {right}");
            }
        }
    }

    #[test]
    fn long_texts_take_a_bounded_key() {
        let order = [OrderBy { path: Path::field("a"), direction: Some(Direction::Desc) }];
        let fields = Fields::from([("a".into(), Value::from("x".repeat(1 << 20)))]);
        let key = SortKey::of(DocumentId::new("a").unwrap(), &fields, &order);
        assert_eq!(key.values.len(), KEY_VALUE_BYTES_MAX);
    }

    #[test]
    fn a_path_leads_through_objects_only() {
        let Value::Object(fields) = json(r#"{"a":{"b":[1]},"a.b":2}"#) else { unreachable!() };
        let at = |path: &str| Path::parse(path).unwrap().value_in(&fields).cloned();
        assert_eq!(at("a.b"), Some(json("[1]")));
        assert_eq!(at(r"a\.b"), Some(json("2")));
        assert_eq!(at("a.b.0"), None);
        assert_eq!(at("c"), None);
    }

    proptest! {
        #[test]
        fn encoded_values_compare_as_the_values_do(left in any_value(), right in any_value()) {
            for direction in [Direction::Asc, Direction::Desc] {
                let order = [OrderBy { path: Path::field("a"), direction: Some(direction) }];
                let key = |value: &Value| {
                    let fields = Fields::from([("a".into(), value.clone())]);
                    SortKey::of(DocumentId::new("a").unwrap(), &fields, &order)
                };
                let expected = match direction {
                    Direction::Asc => compare(&left, &right),
                    Direction::Desc => compare(&right, &left),
                };
                prop_assert_eq!(key(&left).cmp(&key(&right)), expected);
            }
        }

        #[test]
        fn numbers_compare_by_their_exact_value(left in any::<i64>(), nearby in -600i64..600) {
            let right = left.saturating_add(nearby);
            prop_assert_eq!(compare(&Value::Int(left), &Value::Int(right)), left.cmp(&right));
            let float = Value::number(right as f64).unwrap();
            prop_assert_eq!(compare(&Value::Int(left), &float), i128::from(left).cmp(&(right as f64 as i128)));
        }
    }
}
