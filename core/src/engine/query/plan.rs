//! Which part of an index holds all documents that a filter accepts. Pure.

use syncline_protocol::{Path, Value};

use super::filter::Filter;
use crate::collation::encode_key;
use crate::store::{Index, IndexRange};

/// The range that narrows the filter down the most; `None` when none of the indexes helps. Every document that the
/// filter accepts is in it.
pub(super) fn plan(filter: &Filter, indexes: &[Index]) -> Option<IndexRange> {
    let mut conditions = Vec::new();
    collect(filter, &mut conditions);
    let ranges = (0..).zip(indexes).filter_map(|(number, index)| range(number, index, &conditions));
    let best = ranges.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map(|(_, range)| range)
}

/// What must hold in any case.
fn collect<'f>(filter: &'f Filter, conditions: &mut Vec<&'f Filter>) {
    match filter {
        Filter::And(filters) => filters.iter().for_each(|filter| collect(filter, conditions)),
        other => conditions.push(other),
    }
}

/// How much of the index is fixed: fields by `eq`, then ends of the range.
type Fixed = (usize, usize);

fn range(number: u8, index: &Index, conditions: &[&Filter]) -> Option<(Fixed, IndexRange)> {
    let mut prefix = Vec::new();
    let mut equal = 0;
    for path in &index.fields {
        let Some(value) = conditions.iter().find_map(|filter| equal_to(filter, path)) else { break };
        encode_key(value, &mut prefix);
        equal += 1;
    }
    let (mut low, mut high) = (prefix.clone(), prefix);
    let mut ends = 0;
    if let Some(path) = index.fields.get(equal) {
        if let Some(value) = conditions.iter().find_map(|filter| lower_bound(filter, path)) {
            encode_key(value, &mut low);
            ends += 1;
        }
        if let Some(value) = conditions.iter().find_map(|filter| upper_bound(filter, path)) {
            encode_key(value, &mut high);
            ends += 1;
        }
    }
    (equal + ends > 0).then_some(((equal, ends), IndexRange { number, low, high }))
}

fn equal_to<'f>(filter: &'f Filter, of: &Path) -> Option<&'f Value> {
    match filter {
        Filter::Eq(path, value) if path == of => Some(value),
        _ => None,
    }
}

/// The bounds are included, also those that the filter excludes: of long values a key holds only the beginning.
fn lower_bound<'f>(filter: &'f Filter, of: &Path) -> Option<&'f Value> {
    match filter {
        Filter::Gt(path, value) | Filter::Gte(path, value) if path == of => Some(value),
        _ => None,
    }
}

fn upper_bound<'f>(filter: &'f Filter, of: &Path) -> Option<&'f Value> {
    match filter {
        Filter::Lt(path, value) | Filter::Lte(path, value) if path == of => Some(value),
        _ => None,
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
