//! Replaying differences equals a fresh evaluation.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cmp::Ordering;
use std::collections::BTreeMap;

use proptest::prelude::*;
use syncline_protocol::{DocumentId, Fields, Path, Value};

use super::fixtures::{any_fields, any_name, any_selection, document_id};
use super::live::{Difference, Live};
use super::order::{Direction, OrderBy};
use super::selection::Selection;
use crate::engine::io::Row;
use syncline_protocol::collation::compare;

type Documents = BTreeMap<DocumentId, Fields>;

fn row(id: &DocumentId, fields: &Fields) -> Row {
    Row { id: id.as_str().to_owned(), fields: fields.clone(), seq: 1, pending: false }
}

fn live(selection: &Selection, documents: &Documents) -> Live {
    let keys = documents.iter().filter_map(|(id, fields)| Live::place(selection, id, &row(id, fields)));
    Live::new(selection.clone(), keys.collect())
}

/// How two documents stand to each other, by the definition and without any key.
fn order(order: &[OrderBy], left: (&[Value], &DocumentId), right: (&[Value], &DocumentId)) -> Ordering {
    let keys = order.iter().zip(left.0.iter().zip(right.0)).map(|(key, (left, right))| match key.direction {
        Some(Direction::Desc) => compare(right, left),
        _ => compare(left, right),
    });
    keys.fold(Ordering::Equal, Ordering::then).then_with(|| left.1.cmp(right.1))
}

/// How many documents match, and the window of them.
fn evaluate(selection: &Selection, documents: &Documents) -> (usize, Vec<(DocumentId, Fields)>) {
    let mut matching: Vec<(Vec<Value>, &DocumentId, &Fields)> = documents
        .iter()
        .filter(|(_, fields)| selection.filter.as_ref().is_none_or(|filter| filter.matches(fields)))
        .map(|(id, fields)| {
            let values = selection.order_by.iter().map(|key| key.path.value_in(fields).cloned());
            (values.map(|value| value.unwrap_or(Value::Null)).collect(), id, fields)
        })
        .collect();
    matching.sort_by(|left, right| order(&selection.order_by, (&left.0, left.1), (&right.0, right.1)));
    let count = matching.len();
    let window = matching
        .into_iter()
        .filter(|(values, id, _)| {
            selection.after.as_ref().is_none_or(|cursor| {
                order(&selection.order_by, (values, id), (&cursor.values, &cursor.id)) == Ordering::Greater
            })
        })
        .take(selection.limit.map_or(usize::MAX, |limit| limit as usize));
    (count, window.map(|(_, id, fields)| (id.clone(), fields.clone())).collect())
}

/// The rule by which an app keeps its rows.
fn apply(shown: &mut Vec<(DocumentId, Fields)>, difference: Difference, documents: &Documents) {
    for id in &difference.removed {
        assert!(shown.iter().any(|(other, _)| other == id), "{id} was removed but never shown");
    }
    let Difference { placed, removed } = difference;
    shown.retain(|(id, _)| !removed.contains(id) && placed.iter().all(|placed| placed.id != *id));
    for placed in placed {
        let fields = placed.row.map_or_else(|| documents[&placed.id].clone(), |row| row.fields);
        shown.insert(placed.index, (placed.id, fields));
    }
}

fn by_n(limit: u32) -> Selection {
    let order_by = vec![OrderBy { path: Path::field("n"), direction: None }];
    Selection { order_by, limit: Some(limit), ..Selection::default() }
}

fn numbered(numbers: &[(&str, i64)]) -> Documents {
    let fields = |n: i64| Fields::from([("n".into(), Value::Int(n))]);
    numbers.iter().map(|(id, n)| (document_id(id), fields(*n))).collect()
}

fn change(live: &mut Live, id: &str, n: Option<i64>) -> (Vec<(usize, String)>, Vec<String>) {
    let id = document_id(id);
    let state = n.map(|n| row(&id, &numbered(&[(id.as_str(), n)])[&id]));
    let Difference { placed, removed } = live.update(BTreeMap::from([(id, state)]));
    let placed = placed.into_iter().map(|placed| (placed.index, placed.id.to_string()));
    (placed.collect(), removed.iter().map(ToString::to_string).collect())
}

fn placed(index: usize, id: &str) -> (usize, String) {
    (index, id.to_owned())
}

#[test]
fn a_row_that_enters_a_full_window_pushes_the_last_one_out() {
    let mut live = live(&by_n(2), &numbered(&[("a", 1), ("b", 2), ("c", 3)]));
    assert_eq!(change(&mut live, "d", Some(0)), (vec![placed(0, "d")], vec!["b".to_owned()]));
    assert_eq!(change(&mut live, "e", Some(9)), (vec![], vec![]));
    assert_eq!(live.count(), 5);
}

#[test]
fn a_row_that_leaves_lets_the_next_one_in() {
    let mut live = live(&by_n(2), &numbered(&[("a", 1), ("b", 2), ("c", 3)]));
    assert_eq!(change(&mut live, "a", None), (vec![placed(1, "c")], vec!["a".to_owned()]));
    assert_eq!(change(&mut live, "b", Some(7)), (vec![placed(1, "b")], vec![]));
}

#[test]
fn a_moved_row_is_told_with_its_new_index_alone() {
    let mut live = live(&by_n(9), &numbered(&[("a", 1), ("b", 2), ("c", 3)]));
    assert_eq!(change(&mut live, "a", Some(4)), (vec![placed(2, "a")], vec![]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn replayed_differences_equal_a_fresh_evaluation(
        selection in any_selection(),
        first in prop::collection::btree_map(any_name(), any_fields(), 0..12),
        batches in prop::collection::vec(
            prop::collection::btree_map(any_name(), prop::option::weighted(0.8, any_fields()), 1..6),
            1..12,
        ),
    ) {
        let mut documents: Documents = first.iter().map(|(id, fields)| (document_id(id), fields.clone())).collect();
        let mut live = live(&selection, &documents);
        let (count, mut shown) = evaluate(&selection, &documents);
        prop_assert_eq!(live.count(), count);
        prop_assert!(live.window().eq(shown.iter().map(|(id, _)| id)));
        for batch in batches {
            let mut changes = BTreeMap::new();
            for (name, fields) in batch {
                let id = document_id(&name);
                match &fields {
                    Some(fields) => drop(documents.insert(id.clone(), fields.clone())),
                    None => drop(documents.remove(&id)),
                }
                let state = fields.map(|fields| row(&id, &fields));
                changes.insert(id, state);
            }
            let size = changes.len();
            let difference = live.update(changes);
            prop_assert!(difference.placed.len() + difference.removed.len() <= 3 * size);
            apply(&mut shown, difference, &documents);
            let (count, expected) = evaluate(&selection, &documents);
            prop_assert_eq!(&shown, &expected);
            prop_assert_eq!(live.count(), count);
        }
    }
}
