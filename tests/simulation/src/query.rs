//! Watches that select: what users ask for, and what the answer is by the documented rules alone.

use std::cmp::Ordering;

use syncline::engine::io::Row;
use syncline::engine::query::filter::Filter;
use syncline::engine::query::order::{Cursor, Direction, OrderBy};
use syncline::engine::query::selection::Selection;
use syncline_protocol::{DocumentId, Fields, Path, Value};

use crate::random::Random;

/// Fields that users write and query, two of them nested.
pub(crate) const FIELDS: [&str; 6] = ["x", "y", "z", "z.x", "list", "z.list"];

#[allow(clippy::expect_used)]
pub(crate) fn path(text: &str) -> Path {
    Path::parse(text).expect("a valid path")
}

/// A value of any kind, out of so few that some are equal.
pub(crate) fn value(random: &mut Random) -> Value {
    match random.below(8) {
        0 => Value::Null,
        1 => Value::Bool(random.percent(50)),
        2 => Value::Float(0.5),
        3 => Value::from(random.one_of(["", "a", "ab", "b", "ü"])),
        4 => Value::Array(vec![number(random), Value::from("a")]),
        5 => Value::Object(Fields::from([("x".into(), number(random))])),
        _ => number(random),
    }
}

pub(crate) fn number(random: &mut Random) -> Value {
    Value::Int(i64::try_from(random.below(6)).unwrap_or(0) - 1)
}

/// What some screen of an app shows.
pub(crate) fn selection(random: &mut Random) -> Selection {
    if random.percent(25) {
        return Selection::default();
    }
    let keys = random.below(3);
    let order_by: Vec<OrderBy> = (0..keys)
        .map(|_| OrderBy {
            path: path(random.one_of(FIELDS)),
            direction: random.one_of([None, Some(Direction::Asc), Some(Direction::Desc)]),
        })
        .collect();
    let after = random.percent(20).then(|| cursor(order_by.len(), random));
    Selection {
        filter: random.percent(70).then(|| filter(2, random)),
        order_by,
        limit: random.one_of([None, Some(0), Some(1), Some(2), Some(3)]),
        after,
    }
}

#[allow(clippy::expect_used)]
fn cursor(keys: usize, random: &mut Random) -> Cursor {
    let id = DocumentId::new(random.one_of(["a", "b", "c"])).expect("a valid name");
    Cursor { values: (0..keys).map(|_| value(random)).collect(), id }
}

fn filter(depth: u64, random: &mut Random) -> Filter {
    let at = path(random.one_of(FIELDS));
    let kinds = if depth == 0 { 9 } else { 12 };
    match random.below(kinds) {
        0 => Filter::Eq(at, value(random)),
        1 => Filter::Ne(at, value(random)),
        2 => Filter::Lt(at, value(random)),
        3 => Filter::Lte(at, value(random)),
        4 => Filter::Gt(at, value(random)),
        5 => Filter::Gte(at, value(random)),
        6 => Filter::In(at, vec![value(random), value(random)]),
        7 => Filter::Contains(at, value(random)),
        8 => Filter::Exists(at),
        9 => Filter::Not(Box::new(filter(depth - 1, random))),
        10 => Filter::And(vec![filter(depth - 1, random), filter(depth - 1, random)]),
        _ => Filter::Or(vec![filter(depth - 1, random), filter(depth - 1, random)]),
    }
}

/// The rows of the window, and how many match in all.
pub(crate) fn evaluate(selection: &Selection, rows: &[Row]) -> (Vec<Row>, u64) {
    let matching = |row: &&Row| selection.filter.as_ref().is_none_or(|filter| matches(filter, &row.fields));
    let mut rows: Vec<&Row> = rows.iter().filter(matching).collect();
    let count = rows.len() as u64;
    rows.sort_by(|a, b| compare_rows(&selection.order_by, (&a.fields, &a.id), (&b.fields, &b.id)));
    if let Some(cursor) = &selection.after {
        rows.retain(|row| compare_to_cursor(&selection.order_by, row, cursor).is_gt());
    }
    let limit = selection.limit.map_or(usize::MAX, |limit| limit as usize);
    (rows.into_iter().take(limit).cloned().collect(), count)
}

fn directed(key: &OrderBy, order: Ordering) -> Ordering {
    if key.direction == Some(Direction::Desc) { order.reverse() } else { order }
}

fn compare_rows(order: &[OrderBy], left: (&Fields, &str), right: (&Fields, &str)) -> Ordering {
    let keys = order.iter().map(|key| {
        let of = |fields| key.path.value_in(fields).unwrap_or(&Value::Null);
        directed(key, compare(of(left.0), of(right.0)))
    });
    keys.fold(Ordering::Equal, Ordering::then).then_with(|| left.1.cmp(right.1))
}

fn compare_to_cursor(order: &[OrderBy], row: &Row, cursor: &Cursor) -> Ordering {
    let keys = order.iter().zip(&cursor.values).map(|(key, value)| {
        directed(key, compare(key.path.value_in(&row.fields).unwrap_or(&Value::Null), value))
    });
    keys.fold(Ordering::Equal, Ordering::then).then_with(|| row.id.as_str().cmp(cursor.id.as_str()))
}

fn matches(filter: &Filter, fields: &Fields) -> bool {
    let found = |path: &Path| path.value_in(fields);
    let is = |path: &Path, value: &Value, accepted: &[Ordering]| {
        found(path).is_some_and(|found| accepted.contains(&compare(found, value)))
    };
    use Ordering::{Equal, Greater, Less};
    match filter {
        Filter::And(all) => all.iter().all(|filter| matches(filter, fields)),
        Filter::Or(any) => any.iter().any(|filter| matches(filter, fields)),
        Filter::Not(inner) => !matches(inner, fields),
        Filter::Eq(path, value) => is(path, value, &[Equal]),
        Filter::Ne(path, value) => !is(path, value, &[Equal]),
        Filter::Lt(path, value) => is(path, value, &[Less]),
        Filter::Lte(path, value) => is(path, value, &[Less, Equal]),
        Filter::Gt(path, value) => is(path, value, &[Greater]),
        Filter::Gte(path, value) => is(path, value, &[Greater, Equal]),
        Filter::In(path, values) => values.iter().any(|value| is(path, value, &[Equal])),
        Filter::Contains(path, value) => match (found(path), value) {
            (Some(Value::Array(items)), value) => items.iter().any(|item| compare(item, value).is_eq()),
            (Some(Value::String(text)), Value::String(part)) => text.contains(part.as_str()),
            _ => false,
        },
        Filter::Exists(path) => found(path).is_some(),
    }
}

/// null < false < true < numbers < strings < arrays < objects.
fn compare(left: &Value, right: &Value) -> Ordering {
    fn rank(value: &Value) -> u8 {
        match value {
            Value::Null => 0,
            Value::Bool(_) => 1,
            Value::Int(_) | Value::Float(_) => 2,
            Value::String(_) => 3,
            Value::Array(_) => 4,
            Value::Object(_) => 5,
        }
    }
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Array(left), Value::Array(right)) => {
            let items = left.iter().zip(right).map(|(left, right)| compare(left, right));
            items.fold(Ordering::Equal, Ordering::then).then(left.len().cmp(&right.len()))
        }
        (Value::Object(left), Value::Object(right)) => {
            let fields = left.iter().zip(right);
            let fields = fields.map(|(a, b)| a.0.cmp(b.0).then_with(|| compare(a.1, b.1)));
            fields.fold(Ordering::Equal, Ordering::then).then(left.len().cmp(&right.len()))
        }
        // The numbers of a run are small, and exact as floats.
        _ => rank(left).cmp(&rank(right)).then_with(|| match (left.as_f64(), right.as_f64()) {
            (Some(left), Some(right)) => left.total_cmp(&right),
            _ => Ordering::Equal,
        }),
    }
}
