//! Writes that the server refused, until the app has seen that. They count against the outbox's caps: an app that
//! never looks must not make memory and journal grow.

use serde::Serialize;

use super::io::WriteRequest;
use crate::boxed_map::BoxedMap;
use crate::error::{Error, ErrorBody};
use crate::store::{Conflict, Entry, Outcome};

/// A write that the server refused. It is rolled back, and kept here until the app acknowledges it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub struct RejectedWrite {
    pub client_seq: u64,
    #[serde(flatten)]
    pub request: WriteRequest,
    pub error: ErrorBody,
    /// What it was in conflict with, where that was the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "contract", ts(optional))]
    pub conflict: Option<Conflict>,
}

impl From<&Outcome> for RejectedWrite {
    fn from(outcome: &Outcome) -> Self {
        let Entry { room, mutation, .. } = &outcome.entry;
        Self {
            client_seq: outcome.entry.accepted().client_seq,
            conflict: outcome.conflict.clone(),
            request: WriteRequest {
                room: room.clone(),
                collection: mutation.collection.clone(),
                id: mutation.id.clone(),
                write: mutation.write.clone(),
            },
            error: Error::from(outcome.error.clone()).into(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Outcomes {
    /// By the numbers that the app knows.
    outcomes: BoxedMap<u64, Outcome>,
    bytes: u64,
}

impl Outcomes {
    pub(super) fn insert(&mut self, outcome: Outcome) {
        self.bytes += byte_len(&outcome);
        if let Some(old) = self.outcomes.insert(outcome.entry.accepted().client_seq, outcome) {
            self.bytes -= byte_len(&old);
        }
    }

    pub(super) fn contains(&self, client_seq: u64) -> bool {
        self.outcomes.contains_key(&client_seq)
    }

    /// Forgets the outcome of a write.
    pub(super) fn remove(&mut self, client_seq: u64) -> Option<Outcome> {
        let removed = self.outcomes.remove(&client_seq);
        self.bytes -= removed.as_ref().map_or(0, byte_len);
        removed
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.values()
    }

    pub(super) fn len(&self) -> u64 {
        self.outcomes.len() as u64
    }

    /// Of the writes and of what the server said.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn byte_len(outcome: &Outcome) -> u64 {
    (outcome.entry.mutation.byte_len() + outcome.error.message.len()) as u64
}
