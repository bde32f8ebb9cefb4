use std::collections::BTreeMap;
use std::fmt::Debug;

use proptest::prelude::*;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::*;
use crate::message::{Page, Push, PushAnswer};
use crate::query::filter::Filter;
use crate::{ClientId, Document, Value};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Nothing,
    One(Box<Shape>),
    Two(u8, i16),
    Named { id: ClientId, text: Option<String> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    numbers: (u64, i64, u8, i8, f32, f64),
    flag: bool,
    text: String,
    character: char,
    none: Option<u32>,
    some: Option<Vec<u16>>,
    unit: (),
    shapes: Vec<Shape>,
    by_name: BTreeMap<String, Value>,
}

fn everything() -> Everything {
    let id = ClientId::from_bytes([7; 16]);
    Everything {
        numbers: (u64::MAX, i64::MIN, 200, -100, 1.5, -0.1),
        flag: true,
        text: "ä".repeat(300),
        character: 'ß',
        none: None,
        some: Some((0..400).collect()),
        unit: (),
        shapes: vec![
            Shape::Nothing,
            Shape::One(Box::new(Shape::One(Box::new(Shape::Nothing)))),
            Shape::Two(255, -300),
            Shape::Named { id, text: Some(String::new()) },
        ],
        by_name: [("a".to_owned(), Value::Array(vec![Value::Null, Value::Int(-40_000), Value::Float(0.5)]))]
            .into(),
    }
}

/// As JavaScript does: structs are maps, ids are text.
fn named<T: Serialize>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    value
        .serialize(&mut rmp_serde::Serializer::new(&mut out).with_struct_map().with_human_readable())
        .unwrap();
    out
}

fn packed(json: &str) -> Vec<u8> {
    named(&serde_json::from_str::<serde_json::Value>(json).unwrap())
}

fn refusal<T: DeserializeOwned + Debug>(bytes: &[u8]) -> String {
    from_named::<T>(bytes).unwrap_err().to_string()
}

#[test]
fn every_type_reads_as_it_was_written_in_both_forms() {
    let compact = rmp_serde::to_vec(&everything()).unwrap();
    assert_eq!(from_compact::<Everything>(&compact), Ok(everything()));
    assert_eq!(from_named::<Everything>(&named(&everything())), Ok(everything()));
}

#[test]
fn numbers_read_at_any_width_that_holds_them() {
    for bytes in [&b"\x07"[..], b"\xcc\x07", b"\xcd\0\x07", b"\xd0\x07", b"\xd3\0\0\0\0\0\0\0\x07"] {
        assert_eq!(from_compact::<u8>(bytes), Ok(7), "{bytes:?}");
        assert_eq!(from_compact::<i64>(bytes), Ok(7), "{bytes:?}");
        assert_eq!(from_compact::<f64>(bytes), Ok(7.0), "{bytes:?}");
    }
    assert_eq!(from_compact::<i64>(b"\xff"), Ok(-1));
    assert_eq!(from_compact::<i64>(b"\xd1\xff\x00"), Ok(-256));
    assert!(from_compact::<u8>(b"\xcd\x01\x00").is_err());
    assert!(from_compact::<u8>(b"\xff").is_err());
    assert!(from_compact::<u8>(b"\xca\0\0\0\0").is_err());
}

#[test]
fn what_is_wrong_is_named() {
    assert_eq!(refusal::<u8>(b""), "the value ends too early");
    assert_eq!(refusal::<String>(b"\xa5abc"), "the value ends too early");
    assert_eq!(refusal::<Vec<u8>>(b"\xdd\xff\xff\xff\xff"), "the value ends too early");
    assert_eq!(refusal::<u8>(b"\x01\x02"), "bytes follow the value");
    assert_eq!(refusal::<String>(b"\xa1\xff"), "text is not UTF-8");
    assert_eq!(refusal::<(u8,)>(b"\x92\x01\x02"), "1 elements more than are known");
    assert_eq!(refusal::<String>(b"\x81\x01\x02"), "a map where text or bytes is expected");
    assert_eq!(refusal::<Value>(b"\xd4\x05\x00"), "an extension where a value is expected");
    assert_eq!(refusal::<Shape>(&packed(r#""One""#)), "its name alone where a variant's content is expected");
    assert!(refusal::<Shape>(&packed(r#""Three""#)).starts_with("unknown variant `Three`"));
}

#[test]
fn what_is_not_wanted_is_passed_over_and_checked_all_the_same() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Last {
        last: u8,
    }
    let more = packed(r#"{"more": [{"a": [1.5, "x", null, true]}, -70000], "last": 3}"#);
    assert_eq!(from_named::<Last>(&more), Ok(Last { last: 3 }));
    assert!(from_compact::<IgnoredAny>(b"\xc7\x02\x00\x01\x02").is_ok());
    for broken in [&b"\x92\x01"[..], b"\xa1\xff", b"\xc1", b"\xc7\x02\x00\x01"] {
        assert!(from_compact::<IgnoredAny>(broken).is_err(), "{broken:?}");
    }
}

#[test]
fn nesting_has_an_end_however_it_is_made() {
    let deep = |marker: &[u8], count| [marker.repeat(count), b"\xa7Nothing".to_vec()].concat();
    let one = b"\x81\xa3One";
    assert!(from_compact::<Shape>(&deep(one, usize::from(DEPTH_MAX))).is_ok());
    assert_eq!(refusal::<Shape>(&deep(one, usize::from(DEPTH_MAX) + 1)), "nested deeper than 256");
    assert!(from_compact::<Value>(&deep(b"\x91", 100_000)).is_err());
    assert!(from_compact::<IgnoredAny>(&deep(b"\x91", 100_000)).is_ok());
}

/// They take bytes for lists, and variants by their number: no writer makes either.
fn assert_agrees<T: DeserializeOwned + Debug>(bytes: &[u8]) {
    let theirs = T::deserialize(&mut rmp_serde::Deserializer::from_read_ref(bytes));
    let ours = T::deserialize(&mut Reader { rest: bytes, depth: 0, is_readable: false });
    if let (Ok(theirs), Ok(ours)) = (theirs, ours) {
        // As text, in which what is not a number equals itself.
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    }
}

proptest! {
    #[test]
    fn what_rmp_serde_writes_reads_the_same_and_what_is_damaged_never_reads_as_something_else(
        json in prop_oneof![
            Just(r#"{"documents": [], "cursor": 7, "more": false}"#),
            Just(r#"[{"a": 1, "b": [1.5, null, "text"]}, -1, 70000, true]"#),
            Just(r#"["r", 8, [[1, "c", "d", {"update": {"a.b": {"set": 1}}}, [1, 0]]]]"#),
            Just(r#"{"and": [{"eq": ["a", 1]}, {"not": {"gt": ["b", "x"]}}]}"#),
        ],
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = packed(json);
        prop_assert_eq!(
            from_compact::<Value>(&bytes).unwrap(),
            rmp_serde::from_slice::<Value>(&bytes).unwrap()
        );
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        assert_agrees::<Value>(&bytes);
        assert_agrees::<Document>(&bytes);
        assert_agrees::<Page>(&bytes);
        assert_agrees::<Push>(&bytes);
        assert_agrees::<PushAnswer>(&bytes);
        assert_agrees::<Filter>(&bytes);
        assert_agrees::<Everything>(&bytes);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        assert_agrees::<Value>(&bytes);
        assert_agrees::<Everything>(&bytes);
        assert_agrees::<Push>(&bytes);
        let _ = from_named::<Page>(&bytes);
    }
}
