//! The order of values, and of the documents in a watch.
//!
//! Any two values compare: null < false < true < numbers < strings < arrays < objects. Numbers compare by their
//! exact value, strings by their code points, arrays item by item, objects as their fields sorted by name: first
//! name, first value, second name, and so on. Of two where one continues the other, the shorter comes first.

use std::cmp::Ordering;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use syncline_protocol::{DocumentId, Fields, Path, Value};

/// How much of a value's encoding counts for the order of documents; values that agree so far are ordered by the
/// next key. It bounds what a document takes in the index of a watch.
pub const KEY_VALUE_BYTES_MAX: usize = 256;

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

/// The order described above.
pub(super) fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Array(left), Value::Array(right)) => {
            let differ = left.iter().zip(right).map(|(left, right)| compare(left, right));
            differ.fold(Ordering::Equal, Ordering::then).then(left.len().cmp(&right.len()))
        }
        (Value::Object(left), Value::Object(right)) => {
            let differ = left
                .iter()
                .zip(right)
                .map(|(left, right)| left.0.cmp(right.0).then_with(|| compare(left.1, right.1)));
            differ.fold(Ordering::Equal, Ordering::then).then(left.len().cmp(&right.len()))
        }
        _ => tag(left).cmp(&tag(right)).then_with(|| number_key(left).cmp(&number_key(right))),
    }
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
        encode(value, &mut out);
        out.truncate(start + KEY_VALUE_BYTES_MAX);
        if key.direction == Some(Direction::Desc) {
            // No encoding is the beginning of another, so the complement reverses the order.
            out[start..].iter_mut().for_each(|byte| *byte = !*byte);
        }
    }
    out.into()
}

/// Less than every tag.
const END: u8 = 0;

/// Before each field of an object.
const FIELD: u8 = 1;

/// What each kind of value begins with, in the order of kinds.
fn tag(value: &Value) -> u8 {
    match value {
        Value::Null => 1,
        Value::Bool(_) => 2,
        Value::Int(_) | Value::Float(_) => 3,
        Value::String(_) => 4,
        Value::Array(_) => 5,
        Value::Object(_) => 6,
    }
}

fn encode(value: &Value, out: &mut Vec<u8>) {
    out.push(tag(value));
    match value {
        Value::Null => {}
        Value::Bool(flag) => out.push(u8::from(*flag)),
        Value::Int(_) | Value::Float(_) => out.extend(number_key(value)),
        Value::String(text) => encode_text(text, out),
        Value::Array(items) => {
            items.iter().for_each(|item| encode(item, out));
            out.push(END);
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                out.push(FIELD);
                encode_text(name, out);
                encode(value, out);
            }
            out.push(END);
        }
    }
}

/// A zero byte within the text is told from the end by what follows it.
fn encode_text(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes().take(KEY_VALUE_BYTES_MAX) {
        out.push(byte);
        if byte == END {
            out.push(0xff);
        }
    }
    out.extend([END, 1]);
}

/// Bytes that compare as numbers do: the nearest `f64`, then what an integer differs from it. Zeros for what is no
/// number.
fn number_key(value: &Value) -> [u8; 10] {
    const SIGN: u64 = 1 << 63;
    let Some(nearest) = value.as_f64() else { return [0; 10] };
    let bits = nearest.to_bits();
    let ordered = if bits & SIGN == 0 { bits | SIGN } else { !bits };
    let rest = match value {
        // The neighbour of an `i64` is at most 512 away, so the difference fits.
        #[allow(clippy::cast_possible_truncation)]
        Value::Int(number) => (i128::from(*number) - nearest as i128) as i16,
        _ => 0,
    };
    let mut key = [0; 10];
    key[..8].copy_from_slice(&ordered.to_be_bytes());
    key[8..].copy_from_slice(&rest.wrapping_add(i16::MIN).to_be_bytes());
    key
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixtures::any_value;
    use super::*;

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
        let fields = Fields::from([("a".to_owned(), Value::from("x".repeat(1 << 20)))]);
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
                    let fields = Fields::from([("a".to_owned(), value.clone())]);
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
