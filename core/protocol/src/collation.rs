//! The order of values, and bytes that compare as they do.
//!
//! Any two values compare: null < false < true < numbers < strings < arrays < objects. Numbers compare by their
//! exact value, strings by their code points, arrays item by item, objects as their fields sorted by name: first
//! name, first value, second name, and so on. Of two where one continues the other, the shorter comes first.

use std::cmp::Ordering;

use crate::Value;

/// How much of a value's encoding counts for the order of documents and for an index, in bytes; values that agree so
/// far are ordered by the next key. It bounds what a document takes there.
pub const KEY_VALUE_BYTES_MAX: usize = 256;

/// The order described above.
pub fn compare(left: &Value, right: &Value) -> Ordering {
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

/// Adds the bytes of a value, of which no other value's are the beginning.
pub fn encode_key(value: &Value, out: &mut Vec<u8>) {
    let start = out.len();
    encode(value, out);
    out.truncate(start + KEY_VALUE_BYTES_MAX);
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
