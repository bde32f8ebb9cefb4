//! A watch that selects, kept by replaying what it is told, against its definition.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use syncline::engine::io::Row;
use syncline::engine::query::filter::Filter;
use syncline::engine::query::order::{Direction, OrderBy};
use syncline::engine::query::selection::Selection;
use syncline_protocol::{Path, Value};

const LIMIT: usize = 3;

/// The rows with the largest numbers `x`.
pub(crate) fn selection() -> Selection {
    let path = || Path::field("x");
    let is_number = vec![Filter::Gte(path(), Value::Int(i64::MIN)), Filter::Lt(path(), Value::from(""))];
    Selection {
        filter: Some(Filter::And(is_number)),
        order_by: vec![OrderBy { path: path(), direction: Some(Direction::Desc) }],
        limit: u32::try_from(LIMIT).ok(),
        after: None,
    }
}

/// What an app shows of such a watch.
pub(crate) struct Ranking {
    rows: Vec<Row>,
    count: u64,
}

impl Ranking {
    pub(crate) fn new(rows: Vec<Row>, count: u64) -> Self {
        Self { rows, count }
    }

    /// The rule by which an app keeps its rows in order.
    pub(crate) fn apply(
        &mut self,
        reset: bool,
        upserted: Vec<Row>,
        removed: &[String],
        indexes: Option<Vec<u64>>,
        count: Option<u64>,
    ) {
        self.count = count.unwrap_or(self.count);
        if reset {
            self.rows = upserted;
            return;
        }
        for id in removed {
            assert!(self.rows.iter().any(|row| row.id == *id), "{id} was removed but never shown");
        }
        self.rows.retain(|row| !removed.contains(&row.id) && upserted.iter().all(|new| new.id != row.id));
        for (row, index) in upserted.into_iter().zip(indexes.expect("no indexes")) {
            self.rows.insert(usize::try_from(index).unwrap(), row);
        }
    }

    /// Panics unless the rows are those that follow from all rows of the collection.
    pub(crate) fn check(&self, all: &BTreeMap<String, Row>) {
        let mut numbers: Vec<(Reverse<i64>, &Row)> = all
            .values()
            .filter_map(|row| match row.fields.get("x") {
                Some(Value::Int(x)) => Some((Reverse(*x), row)),
                _ => None,
            })
            .collect();
        assert_eq!(self.count, numbers.len() as u64, "the rows that match");
        // Stable, so that ties stay in the order of ids.
        numbers.sort_by_key(|(x, _)| *x);
        let expected: Vec<&Row> = numbers.into_iter().map(|(_, row)| row).take(LIMIT).collect();
        assert_eq!(self.rows.iter().collect::<Vec<_>>(), expected, "the rows of the window");
    }
}
