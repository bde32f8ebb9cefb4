//! The merge that the client and the server run, over documents that are found by their names.

use std::collections::HashMap;
use std::time::Instant;

use syncline_protocol::message::Mutation;
use syncline_protocol::{
    ClientId, Collection, Document, DocumentId, Fields, HybridTime, Op, Patch, Path, Value, Write, merge,
};

use super::{DOCUMENTS, FIELDS, SYNCLINE, Updates, document_name, field_name, rate};
use crate::contender::{Answer, Order};
use crate::scenario::BenchError;

/// Who takes turns in writing.
const WRITERS: u8 = 2;
const WALL_MS: u64 = 1_800_000_000_000;

#[derive(Debug)]
pub(super) struct Contender {
    documents: HashMap<DocumentId, Option<Document>>,
    updates: Updates,
    collection: Collection,
    written: u64,
}

impl Contender {
    pub(super) fn new() -> Result<Self, BenchError> {
        let collection = Collection::new("notes").map_err(failed)?;
        let mut contender =
            Self { documents: HashMap::new(), updates: Updates::default(), collection, written: 0 };
        let fields: Fields = (0..FIELDS).map(|number| (field_name(number).into(), Value::Int(0))).collect();
        for number in 0..DOCUMENTS {
            let (writer, creation) = contender.mutation(number, Write::Create(fields.clone()))?;
            let mut document = None;
            merge::apply(&mut document, &creation, writer, WALL_MS).map_err(failed)?;
            contender.documents.insert(creation.id, document);
        }
        Ok(contender)
    }

    pub(super) fn run(&mut self, order: &Order) -> Result<Answer, BenchError> {
        let operations = order.work.operations();
        let mut values = Vec::with_capacity(order.samples);
        for _ in 0..order.samples {
            let mutations = (0..operations).map(|_| self.update()).collect::<Result<Vec<_>, _>>()?;
            let begin = Instant::now();
            for (writer, mutation) in &mutations {
                let document =
                    self.documents.get_mut(&mutation.id).ok_or_else(|| failed("a document is missing"))?;
                merge::apply(document, mutation, *writer, WALL_MS).map_err(failed)?;
            }
            values.push(rate(operations, begin.elapsed().as_secs_f64()));
            self.check(mutations.last().map(|(_, mutation)| mutation))?;
        }
        Ok(Answer { values, also: Vec::new(), bytes: None })
    }

    fn update(&mut self) -> Result<(ClientId, Mutation), BenchError> {
        let (document, field, value) = self.updates.next();
        let patch = Patch::new().with(Path::field(field_name(field)), Op::Set(value));
        self.mutation(document, Write::Update(patch))
    }

    fn mutation(&mut self, document: usize, write: Write) -> Result<(ClientId, Mutation), BenchError> {
        self.written += 1;
        let writer = u8::try_from(self.written % u64::from(WRITERS)).unwrap_or_default();
        let mutation = Mutation {
            client_seq: self.written,
            collection: self.collection.clone(),
            id: DocumentId::new(document_name(document)).map_err(failed)?,
            write,
            time: HybridTime { wall_ms: WALL_MS + self.written, counter: 0 },
            base: None,
        };
        Ok((ClientId::from_bytes([writer; 16]), mutation))
    }

    /// The last update is there.
    fn check(&self, last: Option<&Mutation>) -> Result<(), BenchError> {
        let Some(Mutation { id, write: Write::Update(patch), .. }) = last else { return Ok(()) };
        let fields =
            self.documents.get(id).and_then(|document| document.as_ref()).map(|document| &document.fields);
        let there = |(path, op): (&Path, &Op)| match op {
            Op::Set(value) => fields.and_then(|fields| path.value_in(fields)) == Some(value),
            _ => false,
        };
        if patch.ops().all(there) { Ok(()) } else { Err(failed("an update was lost")) }
    }
}

fn failed(error: impl std::fmt::Display) -> BenchError {
    BenchError::failed(SYNCLINE, error)
}
