//! Which part of an index holds all documents that a filter accepts, or even tells the order of a watch. Pure.

use syncline_protocol::{Path, Value};

use super::filter::Filter;
use super::order::Direction;
use super::selection::Selection;
use crate::store::{Index, IndexRange};
use syncline_protocol::collation::{KEY_VALUE_BYTES_MAX, encode_key};

/// The range that narrows the filter down the most; `None` when none of the indexes helps. Every document that the
/// filter accepts is in it.
pub(super) fn plan(filter: &Filter, indexes: &[Index]) -> Option<IndexRange> {
    let mut conditions = Vec::new();
    collect(filter, &mut conditions);
    let ranges = (0..).zip(indexes).filter_map(|(number, index)| range(number, index, &conditions));
    let best = ranges.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map(|(_, range)| range)
}

/// A part of an index that holds exactly the documents that a selection accepts, so that none need be read to know
/// where it stands: behind `range.low`, an entry goes on with the values of the order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Covering {
    pub(super) range: IndexRange,
    pub(super) direction: Direction,
}

/// The index that covers a selection: it has the fields that the filter fixes, then those of the order, and no other.
pub(super) fn covering(selection: &Selection, indexes: &[Index]) -> Option<Covering> {
    let mut conditions = Vec::new();
    if let Some(filter) = &selection.filter {
        collect(filter, &mut conditions);
    }
    let mut directions = selection.order_by.iter().map(|key| key.direction.unwrap_or_default());
    let direction = directions.next().unwrap_or_default();
    if directions.any(|other| other != direction) {
        return None;
    }
    let order = || selection.order_by.iter().map(|key| &key.path);
    let found = (0..).zip(indexes).find_map(|(number, index)| {
        let (fixed, rest) = index.fields.split_at_checked(conditions.len())?;
        let prefix = rest.iter().eq(order()).then(|| fixed_key(fixed, &conditions))??;
        Some(IndexRange { number, low: prefix.clone(), high: prefix })
    });
    found.map(|range| Covering { range, direction })
}

/// The key of these fields, if the conditions say that each equals some value, and nothing else.
fn fixed_key(fields: &[Path], conditions: &[&Filter]) -> Option<Vec<u8>> {
    let mut key = Vec::new();
    for (number, path) in fields.iter().enumerate() {
        let mut values = conditions.iter().filter_map(|filter| equal_to(filter, path));
        let (value, start) = (values.next()?, key.len());
        encode_key(value, &mut key);
        // A missing field has the entry of null, a longer value that of its beginning.
        let is_exact = *value != Value::Null && key.len() - start < KEY_VALUE_BYTES_MAX;
        if !is_exact || values.next().is_some() || fields[..number].contains(path) {
            return None;
        }
    }
    Some(key)
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
