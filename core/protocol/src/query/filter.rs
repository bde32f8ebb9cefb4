//! Which documents a watch shows.

use std::cmp::Ordering;

use crate::collation::compare;
use crate::patch::Path;
use crate::value::{Fields, Value};
use serde::{Deserialize, Serialize};

/// A condition on a document's fields. Values compare across kinds too: null < false < true < numbers < strings <
/// arrays < objects. A missing field fails every comparison, so it satisfies only `ne`, and `not` of what it fails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// All of these; true when there are none.
    And(Vec<Filter>),
    /// At least one of these; false when there are none.
    Or(Vec<Filter>),
    Not(Box<Filter>),
    Eq(Path, Value),
    /// The opposite of `eq`: true also for a missing field.
    Ne(Path, Value),
    Lt(Path, Value),
    Lte(Path, Value),
    Gt(Path, Value),
    Gte(Path, Value),
    /// Equal to one of these.
    In(Path, Vec<Value>),
    /// An array with an item equal to the value, or a string with the value as a part.
    Contains(Path, Value),
    /// There is a value, possibly null.
    Exists(Path),
}

impl Filter {
    /// Whether a document with these fields satisfies it.
    pub fn matches(&self, fields: &Fields) -> bool {
        let is = |path: &Path, value: &Value, accepts: fn(Ordering) -> bool| {
            path.value_in(fields).is_some_and(|found| accepts(compare(found, value)))
        };
        match self {
            Self::And(filters) => filters.iter().all(|filter| filter.matches(fields)),
            Self::Or(filters) => filters.iter().any(|filter| filter.matches(fields)),
            Self::Not(filter) => !filter.matches(fields),
            Self::Eq(path, value) => is(path, value, Ordering::is_eq),
            Self::Ne(path, value) => !is(path, value, Ordering::is_eq),
            Self::Lt(path, value) => is(path, value, Ordering::is_lt),
            Self::Lte(path, value) => is(path, value, Ordering::is_le),
            Self::Gt(path, value) => is(path, value, Ordering::is_gt),
            Self::Gte(path, value) => is(path, value, Ordering::is_ge),
            Self::In(path, values) => {
                path.value_in(fields).is_some_and(|found| values.iter().any(|value| equal(found, value)))
            }
            Self::Contains(path, value) => match path.value_in(fields) {
                Some(Value::Array(items)) => items.iter().any(|item| equal(item, value)),
                Some(Value::String(text)) => {
                    matches!(value, Value::String(part) if text.contains(part.as_str()))
                }
                _ => false,
            },
            Self::Exists(path) => path.value_in(fields).is_some(),
        }
    }

    /// How much one evaluation compares: the conditions, and the values of each `in`.
    pub fn cost(&self) -> usize {
        match self {
            Self::And(filters) | Self::Or(filters) => 1 + filters.iter().map(Self::cost).sum::<usize>(),
            Self::Not(filter) => 1 + filter.cost(),
            Self::In(_, values) => 1 + values.len(),
            _ => 1,
        }
    }
}

fn equal(left: &Value, right: &Value) -> bool {
    compare(left, right).is_eq()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const DOCUMENT: &str =
        r#"{"n":5,"s":"hello","none":null,"tags":["a",1],"at":{"city":"Bern","geo":{"lat":46.9}}}"#;

    fn matches(filter: &str) -> bool {
        let filter: Filter = serde_json::from_str(filter).unwrap();
        filter.matches(&serde_json::from_str(DOCUMENT).unwrap())
    }

    #[test]
    fn comparisons_hold_for_what_is_there() {
        for (filter, expected) in [
            (r#"{"eq":["n",5.0]}"#, true),
            (r#"{"ne":["n",5]}"#, false),
            (r#"{"lt":["n",5]}"#, false),
            (r#"{"lte":["n",5]}"#, true),
            (r#"{"gt":["at.geo.lat",46]}"#, true),
            (r#"{"gte":["s","hello"]}"#, true),
            (r#"{"gt":["s",1000]}"#, true),
            (r#"{"eq":["none",null]}"#, true),
            (r#"{"in":["at.city",["Basel","Bern"]]}"#, true),
            (r#"{"in":["at.city",[]]}"#, false),
            (r#"{"contains":["tags",1]}"#, true),
            (r#"{"contains":["tags","b"]}"#, false),
            (r#"{"contains":["s","ell"]}"#, true),
            (r#"{"contains":["n",5]}"#, false),
            (r#"{"exists":"none"}"#, true),
        ] {
            assert_eq!(matches(filter), expected, "{filter}");
        }
    }

    #[test]
    fn a_missing_field_satisfies_only_what_negates() {
        for operator in ["eq", "lt", "lte", "gt", "gte", "contains"] {
            assert!(!matches(&format!(r#"{{"{operator}":["at.street",null]}}"#)), "{operator}");
        }
        assert!(!matches(r#"{"in":["at.street",[null]]}"#));
        assert!(!matches(r#"{"exists":"at.street"}"#));
        assert!(matches(r#"{"ne":["at.street",null]}"#));
        assert!(matches(r#"{"not":{"gt":["at.street",1]}}"#));
    }

    #[test]
    fn conditions_combine() {
        assert!(matches(r#"{"and":[]}"#));
        assert!(!matches(r#"{"or":[]}"#));
        assert!(matches(r#"{"or":[{"eq":["n",1]},{"and":[{"eq":["n",5]},{"not":{"exists":"x"}}]}]}"#));
        assert!(!matches(r#"{"and":[{"eq":["n",5]},{"eq":["s",5]}]}"#));
    }
}
