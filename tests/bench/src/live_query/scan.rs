//! The query over plain rows, evaluated as a whole after each change.

use std::time::Instant;

use syncline_protocol::{Fields, Value};

use super::{Changes, DOCUMENTS, WINDOW, document_name, fields};
use crate::contender::{Answer, Order};
use crate::scenario::BenchError;

#[derive(Debug)]
pub(super) struct Contender {
    rows: Vec<(String, Fields)>,
    changes: Changes,
}

impl Contender {
    pub(super) fn new() -> Self {
        let rows = (0..DOCUMENTS).map(|number| (document_name(number), fields(number))).collect();
        Self { rows, changes: Changes::default() }
    }

    pub(super) fn run(&mut self, order: &Order) -> Result<Answer, BenchError> {
        let mut values = Vec::with_capacity(order.samples);
        for _ in 0..order.samples {
            let (number, position) = self.changes.next();
            let begin = Instant::now();
            self.rows[number].1.insert("position".into(), Value::Int(position));
            let window = self.window();
            values.push(begin.elapsed().as_secs_f64() * 1e6);
            if window.first().is_none_or(|&(first, _)| first != position) {
                let reason = "the change is not in the window".to_owned();
                return Err(BenchError::Contender { name: super::SCAN.to_owned(), reason });
            }
        }
        Ok(Answer { values, also: Vec::new(), bytes: None })
    }

    fn window(&self) -> Vec<(i64, &str)> {
        let positions = self.rows.iter().filter(|(_, fields)| fields.contains_key("done"));
        let mut keys: Vec<(i64, &str)> = positions
            .filter_map(|(id, fields)| match fields.get("position") {
                Some(Value::Int(position)) => Some((*position, id.as_str())),
                _ => None,
            })
            .collect();
        if keys.len() > WINDOW {
            keys.select_nth_unstable(WINDOW);
            keys.truncate(WINDOW);
        }
        keys.sort_unstable();
        keys
    }
}
