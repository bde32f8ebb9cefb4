//! What the standard library's maps take for the same updates, without any rule.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use syncline_protocol::Value;

use super::{DOCUMENTS, FIELDS, MAP, Updates, document_name, field_name, rate};
use crate::contender::{Answer, Order};
use crate::scenario::BenchError;

#[derive(Debug)]
pub(super) struct Contender {
    documents: HashMap<String, BTreeMap<String, Value>>,
    updates: Updates,
}

impl Contender {
    pub(super) fn new() -> Self {
        let fields: BTreeMap<String, Value> =
            (0..FIELDS).map(|number| (field_name(number), Value::Int(0))).collect();
        let documents = (0..DOCUMENTS).map(|number| (document_name(number), fields.clone())).collect();
        Self { documents, updates: Updates::default() }
    }

    pub(super) fn run(&mut self, order: &Order) -> Result<Answer, BenchError> {
        let operations = order.work.operations();
        let mut values = Vec::with_capacity(order.samples);
        for _ in 0..order.samples {
            let update = |(document, field, value)| (document_name(document), field_name(field), value);
            let updates: Vec<_> = (0..operations).map(|_| update(self.updates.next())).collect();
            let begin = Instant::now();
            for (document, field, value) in updates {
                self.documents.entry(document).or_default().insert(field, value);
            }
            values.push(rate(operations, begin.elapsed().as_secs_f64()));
        }
        if self.documents.len() != DOCUMENTS {
            return Err(BenchError::failed(MAP, "documents were lost"));
        }
        Ok(Answer { values, also: Vec::new(), bytes: None })
    }
}
