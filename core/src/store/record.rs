//! What the journal's lines are, and what they add up to.

use serde::{Deserialize, Serialize};
use syncline_protocol::{ClientId, ConflictKind, Document, HybridTime, Mutation, Path, Room, WireError};

use super::queued::Queued;
use crate::job::{EndedJob, Job, JobId};

/// One line of the journal. [`Recovered`] is what the lines add up to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// Stands first in every segment.
    Identity(Identity),
    /// Entries accepted together: all of them or none survive. Each replaces an earlier one with its number.
    Queued(Vec<Entry>),
    /// Nothing is left to send of the entry with this number.
    Settled { client_seq: u64 },
    /// An entry failed for good. It leaves the outbox, and the outcome stays until the app has seen it.
    Failed(Outcome),
    /// The app has seen the outcome of the write that it knows by this number.
    OutcomeSeen { client_seq: u64 },
    /// Entries take the place of those with these numbers: the same writes, sent again under new numbers.
    Resent { client_seqs: Vec<u64>, entries: Vec<Entry> },
    /// An entry met a conflict that the app decides. It leaves the outbox.
    Parked(Parked),
    /// The app decided about the parked write that it knows by this number; the entry is what is sent of it.
    Resolved { client_seq: u64, entry: Option<Entry> },
    /// Jobs accepted together, retried or edited. Each replaces whatever has its number.
    Jobs(Vec<Job>),
    /// A failed attempt used up one of the job's.
    JobAttempted { id: JobId, attempts: u32 },
    /// A job ended, and how is kept.
    JobEnded(EndedJob),
    /// Nothing is left of these jobs.
    JobsGone(Vec<JobId>),
    /// No job gets a number up to this one.
    LastJob { id: JobId },
}

impl Record {
    /// The entries that it queues.
    pub(crate) fn entries(&self) -> &[Entry] {
        match self {
            Self::Queued(entries) | Self::Resent { entries, .. } => entries,
            Self::Resolved { entry, .. } => entry.as_slice(),
            _ => &[],
        }
    }

    /// The entry that leaves the outbox by it, and no other takes its place.
    pub(super) fn unqueued(&self) -> Option<u64> {
        match self {
            Self::Settled { client_seq } => Some(*client_seq),
            Self::Failed(Outcome { entry, .. }) | Self::Parked(Parked { entry, .. }) => {
                Some(entry.mutation.client_seq)
            }
            _ => None,
        }
    }
}

/// What a journal written anew holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Live {
    /// They begin with the identity.
    pub records: Vec<Record>,
    /// The numbers of the entries that stay as the journal has them, in ascending order.
    pub kept: Vec<u64>,
}

impl From<Vec<Record>> for Live {
    fn from(records: Vec<Record>) -> Self {
        Self { records, kept: Vec::new() }
    }
}

/// Who this installation is, and how far its numbers and its clock have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub client_id: ClientId,
    /// No number up to this one may be used again.
    pub last_client_seq: u64,
    /// No stamp may be issued up to this one.
    pub last_time: HybridTime,
    /// The version of the app's schema that the journal's writes have; absent until one is noted.
    #[serde(default)]
    pub schema_version: Option<u32>,
    /// A hash of the name of the installation whose data this is; absent until one is told.
    #[serde(default)]
    pub installation: Option<u64>,
}

/// One accepted write, waiting to be applied by the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub room: Room,
    pub mutation: Mutation,
    /// When it was accepted, in milliseconds since the epoch.
    pub queued_at_ms: u64,
    /// How it was accepted; absent unless it was sent again under another number.
    #[serde(default)]
    pub accepted: Option<Accepted>,
}

/// The number and the time that a write was accepted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    pub client_seq: u64,
    pub time: HybridTime,
}

impl Entry {
    /// The number and the time that it was accepted with. The app knows it by this number for good.
    pub fn accepted(&self) -> Accepted {
        let Mutation { client_seq, time, .. } = self.mutation;
        self.accepted.unwrap_or(Accepted { client_seq, time })
    }
}

/// A write that the server refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub entry: Entry,
    pub error: WireError,
    /// What it was in conflict with, where that was the reason.
    #[serde(default)]
    pub conflict: Option<Conflict>,
}

/// What a write was in conflict with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
pub struct Conflict {
    pub kind: ConflictKind,
    /// The paths that both sides wrote.
    pub fields: Vec<Path>,
}

/// A write in conflict, waiting for the app's decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parked {
    pub entry: Entry,
    pub conflict: Conflict,
    /// What the server held, `None` for nothing.
    pub document: Option<Document>,
}

/// What the journal held when it was opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Recovered {
    pub identity: Identity,
    /// The store has their bodies: see [`Store::entry`](super::Store::entry).
    pub queued: Queued,
    /// In the order of their numbers.
    pub outcomes: Vec<Outcome>,
    /// In the order of the numbers that the app knows.
    pub parked: Vec<Parked>,
    /// No job gets a number up to this one.
    pub last_job: JobId,
    /// In the order of their numbers.
    pub jobs: Vec<Job>,
    /// In the order of their numbers.
    pub ended_jobs: Vec<EndedJob>,
    /// Damage that was found, cut off or set aside, for the log and for the app.
    pub damage: Vec<String>,
}
