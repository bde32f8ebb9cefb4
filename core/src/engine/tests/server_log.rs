//! One room's log, as a server keeps it: just enough to script answers.

use std::collections::{BTreeMap, BTreeSet};

use syncline_protocol::conflict::fields_in_conflict;
use syncline_protocol::message::{Changes, MutationResult, MutationStatus, Page, Push, PushAnswer};
use syncline_protocol::{
    Checksum, ClientId, Document, DocumentId, ErrorCode, HybridTime, Mutation, WireError, Write, merge,
};

use super::bench::{Asked, Bench, ME, OTHER, WALL_MS, room};
use crate::engine::io::WriteRequest;

#[derive(Debug, Clone, Default)]
pub(super) struct ServerLog {
    pub head: u64,
    documents: BTreeMap<DocumentId, Document>,
    last_client_seq: BTreeMap<ClientId, u64>,
    /// Numbers used up by conflicts.
    conflicts: BTreeSet<u64>,
}

impl ServerLog {
    /// A log whose first entries another client wrote.
    pub(super) fn of(writes: Vec<WriteRequest>) -> Self {
        let mut log = Self::default();
        for write in writes {
            log.write(write);
        }
        log
    }

    /// Another client writes; returns the live change.
    pub(super) fn write(&mut self, request: WriteRequest) -> Changes {
        let client_seq = self.last_client_seq.get(&OTHER).copied().unwrap_or(0) + 1;
        let mutation = Mutation {
            client_seq,
            collection: request.collection,
            id: request.id,
            write: request.write,
            time: HybridTime { wall_ms: WALL_MS - 1_000_000 + client_seq, counter: 0 },
            base: None,
        };
        self.apply(OTHER, &mutation);
        self.changes(self.head)
    }

    /// The document was deleted, and its tombstone is purged.
    pub(super) fn purge(&mut self, id: &str) {
        self.documents.retain(|held, _| held.as_str() != id);
    }

    /// Applies a push of the client under test.
    pub(super) fn push(&mut self, push: &Push) -> PushAnswer {
        let results = push.mutations.iter().map(|mutation| self.apply(ME, mutation));
        PushAnswer { results: results.collect(), error: None }
    }

    fn apply(&mut self, writer: ClientId, mutation: &Mutation) -> MutationResult {
        let last = self.last_client_seq.entry(writer).or_insert(0);
        if mutation.client_seq <= *last && self.conflicts.contains(&mutation.client_seq) {
            let document = self.documents.get(&mutation.id).cloned().map(Document::for_clients);
            let error = WireError::new(ErrorCode::Conflict, "in conflict before");
            let duplicate = result(mutation.client_seq, MutationStatus::Duplicate);
            return MutationResult { document, error: Some(error), ..duplicate };
        }
        if mutation.client_seq <= *last {
            let seq = self.documents.get(&mutation.id).map(|document| document.seq);
            return MutationResult { seq, ..result(mutation.client_seq, MutationStatus::Duplicate) };
        }
        *last = mutation.client_seq;
        let current = self.documents.get(&mutation.id);
        let of_purged = || matches!(mutation.write, Write::Update(_)) && mutation.base.is_some();
        let conflict = match current {
            Some(current) => fields_in_conflict(current, mutation, writer),
            None => of_purged().then(Vec::new),
        };
        if let Some(fields) = conflict {
            self.conflicts.insert(mutation.client_seq);
            return MutationResult {
                document: current.cloned().map(Document::for_clients),
                fields: Some(fields),
                ..result(mutation.client_seq, MutationStatus::Conflict)
            };
        }
        let mut document = self.documents.remove(&mutation.id);
        if document.is_none() && mutation.write == Write::Delete {
            return MutationResult { seq: Some(0), ..result(mutation.client_seq, MutationStatus::Applied) };
        }
        merge::apply(&mut document, mutation, writer, WALL_MS).unwrap();
        self.head += 1;
        let mut document = document.unwrap();
        document.seq = self.head;
        self.documents.insert(mutation.id.clone(), document);
        MutationResult { seq: Some(self.head), ..result(mutation.client_seq, MutationStatus::Applied) }
    }

    /// Everything after a cursor, as one page.
    pub(super) fn page(&self, cursor: u64) -> Page {
        let mut changes: Vec<Document> =
            self.documents.values().filter(|document| document.seq > cursor).cloned().collect();
        changes.sort_by_key(|document| document.seq);
        let changes = changes.into_iter().map(Document::for_clients).collect();
        Page {
            changes,
            cursor: self.head,
            more: false,
            reset: false,
            checksum: Some(self.checksum()),
            snapshot: None,
        }
    }

    /// Takes the next push, if one is under way. The answer may be lost.
    pub(super) fn serve_push(&mut self, bench: &mut Bench, answered: bool) {
        let place = bench.asked.iter().position(|(_, asked)| matches!(asked, Asked::Push(_)));
        let Some((ack, Asked::Push(push))) = place.and_then(|place| bench.asked.remove(place)) else {
            return;
        };
        let answer = self.push(&push);
        if answered {
            bench.answer(ack, &answer);
        } else {
            // On one connection answers come in order, so one that is lost takes the connection with it.
            bench.reconnect();
            self.serve_pages(bench);
        }
    }

    /// Answers every page that was asked for.
    pub(super) fn serve_pages(&self, bench: &mut Bench) {
        for (ack, asked) in std::mem::take(&mut bench.asked) {
            match asked {
                Asked::Subscribe(body) => bench.answer(ack, &self.page(body.cursor)),
                Asked::Pull(body) => bench.answer(ack, &self.page(body.cursor)),
                push => bench.asked.push_back((ack, push)),
            }
        }
    }

    /// The live change from `from_seq` to the end of the log.
    pub(super) fn changes(&self, from_seq: u64) -> Changes {
        let changes = self.page(from_seq - 1).changes;
        Changes { room: room(), from_seq, to_seq: self.head, changes }
    }

    fn checksum(&self) -> Checksum {
        self.documents
            .values()
            .fold(Checksum::default(), |sum, document| sum.replace(Checksum::default(), document.checksum()))
    }
}

pub(super) fn result(client_seq: u64, status: MutationStatus) -> MutationResult {
    MutationResult { client_seq, status, seq: None, document: None, fields: None, error: None }
}

pub(super) fn rejected(client_seq: u64, error: WireError) -> MutationResult {
    MutationResult { error: Some(error), ..result(client_seq, MutationStatus::Rejected) }
}

/// An answer without results: nothing of the push was tried.
pub(super) fn not_tried(error: WireError) -> PushAnswer {
    PushAnswer { results: vec![], error: Some(error) }
}
