//! What waits until the journal is durable, and what is taken back when it could not be made so.

use syncline_protocol::Room;

use super::Engine;
use super::io::{Event, Now, Output, Reply, RequestId};
use super::outbox::Pending;
use super::queue::{Before, JobChange};
use super::resolution::Unsettled;
use crate::error::{Code, Error};
use crate::job::EndedJob;
use crate::store::{DocumentKey, Outcome, Record, Store, StoreError};

/// What an accepted write did to the outbox.
#[derive(Debug)]
pub(super) enum Change {
    Added {
        client_seq: u64,
        key: DocumentKey,
    },
    /// It became part of a write of the same document that was never sent.
    Folded {
        client_seq: u64,
        key: DocumentKey,
        old: Pending,
    },
}

/// Something appended to the journal and not committed yet.
#[derive(Debug)]
pub(super) enum Uncommitted {
    Write {
        request: RequestId,
        /// The numbers that the app knows its writes by.
        client_seqs: Vec<u64>,
        changes: Vec<Change>,
    },
    /// The app has seen this outcome; it is kept if the commit fails.
    Acknowledged { request: RequestId, outcome: Box<Outcome> },
    /// Taken back if the commit fails.
    Conflict(Unsettled),
    /// Taken back if the commit fails.
    Jobs(JobChange),
    /// A job that died because of another one. Told with the commit; taken back if the commit fails, for then the other one
    /// may be there still, or this one was never there.
    Died { before: Box<Before>, ended: Box<EndedJob> },
    /// Appended again if the commit fails.
    Other(Box<Record>),
}

impl Engine {
    pub(super) fn handle_committed(&mut self, out: &mut Vec<Output>) {
        for record in std::mem::take(&mut self.uncommitted) {
            match record {
                Uncommitted::Write { request, client_seqs, .. } => {
                    if let Some(&last) = client_seqs.iter().max() {
                        self.outbox.mark_durable(last);
                    }
                    out.push(Output::Reply(request, Ok(Reply::Written { client_seqs })));
                }
                Uncommitted::Acknowledged { request, .. } => {
                    out.push(Output::Reply(request, Ok(Reply::Done {})));
                }
                Uncommitted::Conflict(unsettled) => self.commit_conflict(unsettled, out),
                Uncommitted::Jobs(change) => self.commit_jobs(change, out),
                Uncommitted::Died { ended, .. } => self.tell_death(&ended),
                Uncommitted::Other(_) => {}
            }
        }
        self.outbox.mark_folds_durable();
    }

    pub(super) fn handle_commit_failed(
        &mut self,
        now: Now,
        error: StoreError,
        store: &mut dyn Store,
        out: &mut Vec<Output>,
    ) {
        let error = Error::from(error);
        let (mut others, mut undead) = (Vec::new(), Vec::new());
        // The newest first: a conflict may have given a write of this very turn another number.
        for record in std::mem::take(&mut self.uncommitted).into_iter().rev() {
            match record {
                Uncommitted::Acknowledged { request, outcome } => {
                    self.outcomes.insert(*outcome);
                    out.push(Output::Reply(request, Err(error.clone())));
                }
                Uncommitted::Conflict(unsettled) => self.undo_conflict(now, unsettled, &error, out),
                Uncommitted::Jobs(change) => self.undo_jobs(change, &error, out),
                Uncommitted::Died { before, ended } => {
                    self.jobs.restore(*before);
                    undead.push(ended.job.id);
                }
                Uncommitted::Write { request, changes, .. } => {
                    for room in self.undo(changes) {
                        self.forget_room_if_unused(now, &room, out);
                    }
                    out.push(Output::Reply(request, Err(error.clone())));
                }
                Uncommitted::Other(record) => others.push(record),
            }
        }
        // Kept in memory; a restart before they are saved hears the same answers from the server again.
        for record in others.into_iter().rev() {
            store.append_after_flush(*record);
            self.schedule_flush(now);
        }
        // The first ones first: who follows one that stays dead is hopeless, too.
        for id in undead.into_iter().rev() {
            self.bury_if_hopeless(now, id, store);
        }
        self.notices.push(Event::Error { error: error.into() });
    }

    /// Forgets an outcome that the app has seen. The answer comes with the commit.
    pub(super) fn acknowledge(
        &mut self,
        request: RequestId,
        client_seq: u64,
        store: &mut dyn Store,
    ) -> Result<(), Error> {
        if !self.outcomes.contains(client_seq) {
            return Err(Error::new(Code::NotFound, format!("no outcome of write {client_seq}")));
        }
        store.append(&Record::OutcomeSeen { client_seq })?;
        if let Some(outcome) = self.outcomes.remove(client_seq) {
            self.uncommitted.push(Uncommitted::Acknowledged { request, outcome: Box::new(outcome) });
        }
        Ok(())
    }

    /// Takes back what writes did that were not accepted after all, and returns their rooms.
    pub(super) fn undo(&mut self, changes: Vec<Change>) -> Vec<Room> {
        let mut rooms = Vec::new();
        // The newest first: it may be part of one before it.
        for change in changes.into_iter().rev() {
            match change {
                Change::Added { client_seq, key } => rooms.extend(self.roll_back(client_seq, &key)),
                Change::Folded { client_seq, key, old } => {
                    self.queries.touch(&key);
                    self.outbox.unfold(client_seq, old);
                }
            }
        }
        // What the store was not given, it is not given any more.
        drop(self.outbox.take_in_hand());
        rooms
    }

    /// Forgets a write of this document that was not accepted after all, and returns its room.
    pub(super) fn roll_back(&mut self, client_seq: u64, key: &DocumentKey) -> Option<Room> {
        self.queries.touch(key);
        Some(self.outbox.remove(client_seq)?.room)
    }
}
