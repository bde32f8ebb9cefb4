//! The document that scenarios write: 206 bytes of JSON, as the goals were measured with.

use syncline_protocol::{Fields, Value};

/// Fills the document up.
const TEXT_BYTES: usize = 164;

pub(crate) fn fields(position: usize) -> Fields {
    Fields::from([
        ("done".into(), Value::Bool(false)),
        ("position".into(), Value::Int(i64::try_from(position).unwrap_or(i64::MAX))),
        ("text".into(), Value::String("x".repeat(TEXT_BYTES))),
    ])
}
