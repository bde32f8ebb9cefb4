//! Whether what came is what a transcript expects.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

/// Says that an object may have other members than those named.
const MORE: &str = "$more";
/// Says that the elements may come in any order.
pub(super) const UNORDERED: &str = "$unordered";

/// What names stand for.
#[derive(Debug, Clone, Default)]
pub(super) struct Bindings(BTreeMap<String, Json>);

impl Bindings {
    pub(super) fn bind(&mut self, name: &str, value: impl Into<Json>) {
        self.0.insert(format!("${name}"), value.into());
    }

    /// What is sent: every name replaced by what it stands for.
    pub(super) fn fill(&self, template: &Json) -> Result<Json, String> {
        Ok(match template {
            Json::String(name) if name.starts_with('$') => {
                self.0.get(name).cloned().ok_or_else(|| format!("{name} stands for nothing yet"))?
            }
            Json::Array(items) => {
                Json::Array(items.iter().map(|item| self.fill(item)).collect::<Result<_, _>>()?)
            }
            Json::Object(members) => {
                let filled = members.iter().map(|(key, value)| Ok((key.clone(), self.fill(value)?)));
                Json::Object(filled.collect::<Result<_, String>>()?)
            }
            other => other.clone(),
        })
    }

    /// Whether `actual` is what is expected; names that stand for nothing yet are bound if so, and none otherwise.
    pub(super) fn matches(&mut self, expected: &Json, actual: &Json) -> bool {
        let mut tried = self.clone();
        let fits = tried.fits(expected, actual);
        if fits {
            *self = tried;
        }
        fits
    }

    fn fits(&mut self, expected: &Json, actual: &Json) -> bool {
        match (expected, actual) {
            (Json::String(name), _) if name.starts_with('$') => self.fits_name(name, actual),
            (Json::Array(expected), Json::Array(actual)) => {
                expected.len() == actual.len() && expected.iter().zip(actual).all(|(e, a)| self.fits(e, a))
            }
            (Json::Object(expected), Json::Array(actual)) => expected
                .get(UNORDERED)
                .and_then(Json::as_array)
                .is_some_and(|expected| self.fits_unordered(expected, actual)),
            (Json::Object(expected), Json::Object(actual)) => self.fits_object(expected, actual),
            (Json::Number(expected), Json::Number(actual)) => expected.as_f64() == actual.as_f64(),
            _ => expected == actual,
        }
    }

    fn fits_name(&mut self, name: &str, actual: &Json) -> bool {
        match name {
            "$any" => true,
            "$text" => actual.as_str().is_some_and(|text| !text.is_empty()),
            "$number" => actual.is_number(),
            _ => match self.0.get(name) {
                Some(bound) => bound == actual,
                None => self.0.insert(name.to_owned(), actual.clone()).is_none(),
            },
        }
    }

    fn fits_object(&mut self, expected: &Map<String, Json>, actual: &Map<String, Json>) -> bool {
        let more = expected.contains_key(MORE);
        let named = expected.len() - usize::from(more);
        (more || named == actual.len())
            && expected
                .iter()
                .filter(|(key, _)| *key != MORE)
                .all(|(key, expected)| actual.get(key).is_some_and(|actual| self.fits(expected, actual)))
    }

    fn fits_unordered(&mut self, expected: &[Json], actual: &[Json]) -> bool {
        let mut left: Vec<&Json> = expected.iter().collect();
        expected.len() == actual.len() && actual.iter().all(|actual| self.take_fitting(&mut left, actual))
    }

    /// Takes the first of `expected` that fits out of it.
    pub(super) fn take_fitting(&mut self, expected: &mut Vec<&Json>, actual: &Json) -> bool {
        let found = expected.iter().position(|expected| self.matches(expected, actual));
        found.map(|at| expected.remove(at)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fits(expected: &Json, actual: &Json) -> bool {
        Bindings::default().matches(expected, actual)
    }

    #[test]
    fn an_object_has_the_members_named_and_no_others_unless_told() {
        assert!(fits(&json!({ "a": 1 }), &json!({ "a": 1.0 })));
        assert!(!fits(&json!({ "a": 1 }), &json!({ "a": 1, "b": 2 })));
        assert!(!fits(&json!({ "a": 1, "b": null }), &json!({ "a": 1 })));
        assert!(fits(&json!({ "a": 1, "$more": true }), &json!({ "a": 1, "b": 2 })));
        assert!(!fits(&json!({ "c": 1, "$more": true }), &json!({ "a": 1, "b": 2 })));
    }

    #[test]
    fn a_name_stands_for_one_value() {
        assert!(fits(&json!(["$x", "$x"]), &json!([1, 1])));
        assert!(!fits(&json!(["$x", "$x"]), &json!([1, 2])));
        assert!(fits(&json!(["$any", "$text", "$number"]), &json!([null, "x", 1])));
        assert!(!fits(&json!("$text"), &json!("")));
        assert!(!fits(&json!("$number"), &json!("1")));
    }

    #[test]
    fn elements_in_any_order_are_still_each_matched_once() {
        let expected = json!({ "$unordered": [1, 2, 2] });
        assert!(fits(&expected, &json!([2, 1, 2])));
        assert!(!fits(&expected, &json!([2, 1, 1])));
        assert!(!fits(&expected, &json!([2, 1])));
    }

    #[test]
    fn what_does_not_fit_binds_nothing() {
        let mut bindings = Bindings::default();
        assert!(!bindings.matches(&json!(["$x", 1]), &json!([5, 2])));
        assert!(bindings.fill(&json!("$x")).is_err());
        assert!(bindings.matches(&json!("$x"), &json!(7)));
        assert_eq!(bindings.fill(&json!({ "a": ["$x"] })), Ok(json!({ "a": [7] })));
    }
}
