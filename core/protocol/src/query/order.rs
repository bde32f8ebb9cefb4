//! The order of the documents in a watch.

use std::sync::Arc;

use crate::collation::encode_key;
use crate::name::DocumentId;
use crate::patch::Path;
use crate::value::{Fields, Value};
use serde::{Deserialize, Serialize};

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
pub struct SortKey {
    /// Bytes that compare as the values do.
    pub values: Arc<[u8]>,
    pub id: DocumentId,
}

impl SortKey {
    /// The place of a document.
    pub fn of(id: DocumentId, fields: &Fields, order: &[OrderBy]) -> Self {
        let values = order.iter().map(|key| (key, key.path.value_in(fields).unwrap_or(&Value::Null)));
        Self { values: encode_all(values), id }
    }

    /// The place of which the index `values` are in ascending order.
    pub fn of_entry(id: DocumentId, values: &[u8], direction: Direction) -> Self {
        let values = match direction {
            Direction::Asc => values.into(),
            Direction::Desc => values.iter().map(|byte| !byte).collect(),
        };
        Self { values, id }
    }

    /// The place of the row that a cursor names. Values that the cursor lacks count as null.
    pub fn of_cursor(cursor: &Cursor, order: &[OrderBy]) -> Self {
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
