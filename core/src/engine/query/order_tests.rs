#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use syncline_protocol::collation::{KEY_VALUE_BYTES_MAX, compare};
use syncline_protocol::{DocumentId, Fields, Path, Value};

use super::fixtures::any_value;
use super::order::{Direction, OrderBy, SortKey};

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
