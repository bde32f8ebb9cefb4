//! What waits until the journal is durable, and what is taken back when it could not be made so.

use syncline_protocol::Room;

use super::Engine;
use super::io::{Event, Now, Output, Reply, RequestId};
use super::outbox::document_key;
use super::resolution::Unsettled;
use crate::error::Error;
use crate::store::{Entry, Record, Store, StoreError};

/// Something appended to the journal and not committed yet.
#[derive(Debug)]
pub(super) enum Uncommitted {
    Write {
        request: RequestId,
        client_seqs: Vec<u64>,
    },
    /// Taken back if the commit fails.
    Conflict(Unsettled),
    /// Appended again if the commit fails.
    Other(Record),
}

impl Engine {
    pub(super) fn handle_committed(&mut self, out: &mut Vec<Output>) {
        for record in std::mem::take(&mut self.uncommitted) {
            match record {
                Uncommitted::Write { request, client_seqs } => {
                    if let Some(&last) = client_seqs.last() {
                        self.outbox.mark_durable(last);
                    }
                    out.push(Output::Reply(request, Ok(Reply::Written { client_seqs })));
                }
                Uncommitted::Conflict(unsettled) => self.commit_conflict(unsettled, out),
                Uncommitted::Other(_) => {}
            }
        }
    }

    pub(super) fn handle_commit_failed(
        &mut self,
        now: Now,
        error: StoreError,
        store: &mut dyn Store,
        out: &mut Vec<Output>,
    ) {
        let error = Error::from(error);
        let mut others = Vec::new();
        // The newest first: a conflict may have given a write of this very turn another number.
        for record in std::mem::take(&mut self.uncommitted).into_iter().rev() {
            match record {
                Uncommitted::Conflict(unsettled) => self.undo_conflict(now, unsettled, &error, out),
                Uncommitted::Write { request, client_seqs } => {
                    for client_seq in client_seqs {
                        if let Some(room) = self.roll_back(client_seq) {
                            self.forget_room_if_unused(now, &room, out);
                        }
                    }
                    out.push(Output::Reply(request, Err(error.clone())));
                }
                Uncommitted::Other(record) => others.push(record),
            }
        }
        // Kept in memory; a restart before they are saved hears the same answers from the server again.
        for record in others.into_iter().rev() {
            store.append_after_flush(record);
            self.schedule_flush(now);
        }
        self.notices.push(Event::Error { error: error.into() });
    }

    /// Forgets a write that was not accepted after all, and returns its room.
    pub(super) fn roll_back(&mut self, client_seq: u64) -> Option<Room> {
        let Entry { room, mutation, .. } = self.outbox.remove(client_seq)?.entry;
        self.queries.touch(&document_key(&room, &mutation));
        Some(room)
    }
}
