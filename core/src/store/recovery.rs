//! What the journal's records add up to, and what is put right when some of them are lost.

use syncline_protocol::sabotage::{Sabotage, is_active};
use syncline_protocol::{ClientId, ErrorCode, HybridTime, NameError, WireError};

use super::packed::{EntryHead, QueuedEntries};
use super::{Entry, Identity, Outcome, Parked, Queued, Record, Recovered, StoreError};
use crate::boxed_map::BoxedMap;
use crate::job::{EndedJob, Job, JobId};

/// After damage, how many numbers and clock readings are left out: lost records may have used them, and the server
/// would take a new write under a used number for a repetition. More than an outbox ever holds.
pub(super) const SKIPPED_AFTER_DAMAGE: u32 = 1 << 20;

const LOST_IDENTITY: &str = "the client's identity was lost: it is unknown whether this write was applied";
const OTHER_INSTALLATION: &str =
    "the data was restored or copied from another installation: it is unknown whether this write was applied";

/// The sum of the records seen so far.
#[derive(Debug, Default)]
pub(super) struct Fold {
    client_id: Option<ClientId>,
    last_client_seq: u64,
    last_time: HybridTime,
    schema_version: Option<u32>,
    installation: Option<u64>,
    queued: Queued,
    outcomes: BoxedMap<u64, Outcome>,
    parked: BoxedMap<u64, Parked>,
    last_job: JobId,
    jobs: BoxedMap<JobId, Job>,
    ended_jobs: BoxedMap<JobId, EndedJob>,
}

/// Jobs in one record of a journal written anew, in bytes: far below what a record may have.
const JOBS_RECORD_BYTES: u64 = 256 << 10;

impl Recovered {
    /// The records of a journal that holds this and nothing else, but for the entries.
    pub(crate) fn records(&self) -> Vec<Record> {
        let failed = self.outcomes.iter().cloned().map(Record::Failed);
        let parked = self.parked.iter().cloned().map(Record::Parked);
        let jobs = job_records(self.last_job, self.jobs.iter(), self.ended_jobs.iter());
        std::iter::once(Record::Identity(self.identity)).chain(failed).chain(parked).chain(jobs).collect()
    }
}

/// The records of a journal written anew that hold these jobs.
pub(crate) fn job_records<'a>(
    last_job: JobId,
    jobs: impl Iterator<Item = &'a Job>,
    ended: impl Iterator<Item = &'a EndedJob>,
) -> Vec<Record> {
    let mut batches: Vec<Vec<Job>> = Vec::new();
    let mut bytes = 0;
    for job in jobs {
        match batches.last_mut().filter(|_| bytes + job.byte_len() <= JOBS_RECORD_BYTES) {
            Some(last) => last.push(job.clone()),
            None => {
                bytes = 0;
                batches.push(vec![job.clone()]);
            }
        }
        bytes += job.byte_len();
    }
    let last = (last_job > 0).then_some(Record::LastJob { id: last_job });
    let ended = ended.cloned().map(Record::JobEnded);
    last.into_iter().chain(batches.into_iter().map(Record::Jobs)).chain(ended).collect()
}

/// What a restart begins with.
#[derive(Debug)]
pub(super) struct Outset {
    pub(super) recovered: Recovered,
    /// What must be added to the journal, so that the next restart finds the same.
    pub(super) repairs: Vec<Record>,
}

impl Fold {
    /// Takes these entries for those that are queued so far; the identity that was added covers their numbers.
    pub(super) fn set_queued(&mut self, queued: Queued) {
        self.queued = queued;
    }

    pub(super) fn add(&mut self, record: Record) {
        match record {
            Record::Identity(identity) => {
                self.client_id = Some(identity.client_id);
                self.schema_version = identity.schema_version;
                self.installation = identity.installation;
                self.raise(identity.last_client_seq, identity.last_time);
            }
            Record::Queued(entries) => self.queue(&entries),
            Record::Settled { client_seq } => self.queued.remove(client_seq),
            Record::Failed(outcome) => {
                self.take_out(&outcome.entry);
                self.outcomes.insert(outcome.entry.accepted().client_seq, outcome);
            }
            Record::OutcomeSeen { client_seq } => {
                self.outcomes.remove(&client_seq);
            }
            Record::Resent { client_seqs, entries } => {
                client_seqs.into_iter().for_each(|client_seq| self.queued.remove(client_seq));
                self.queue(&entries);
            }
            Record::Parked(parked) => {
                self.take_out(&parked.entry);
                self.parked.insert(parked.entry.accepted().client_seq, parked);
            }
            Record::Resolved { client_seq, entry } => {
                self.parked.remove(&client_seq);
                self.queue(entry.as_slice());
            }
            Record::Jobs(jobs) => jobs.into_iter().for_each(|job| self.add_job(job)),
            Record::JobAttempted { id, attempts } => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.attempts = attempts;
                }
            }
            Record::JobEnded(ended) => {
                self.last_job = self.last_job.max(ended.job.id);
                self.jobs.remove(&ended.job.id);
                self.ended_jobs.insert(ended.job.id, ended);
            }
            Record::JobsGone(ids) => {
                for id in ids {
                    self.last_job = self.last_job.max(id);
                    self.jobs.remove(&id);
                    self.ended_jobs.remove(&id);
                }
            }
            Record::LastJob { id } => self.last_job = self.last_job.max(id),
        }
    }

    fn add_job(&mut self, job: Job) {
        self.last_job = self.last_job.max(job.id);
        self.ended_jobs.remove(&job.id);
        self.jobs.insert(job.id, job);
    }

    /// Adds a record of which no entry was decoded.
    pub(super) fn add_queued(&mut self, found: &QueuedEntries<'_>) -> Result<(), NameError> {
        found.replaced.iter().for_each(|client_seq| self.queued.remove(*client_seq));
        if let Some(resolved) = found.resolved {
            self.parked.remove(&resolved);
        }
        found.entries.iter().try_for_each(|(head, _)| self.queue_head(head))
    }

    fn queue_head(&mut self, head: &EntryHead<'_>) -> Result<(), NameError> {
        self.raise(head.client_seq, head.time);
        self.queued.insert(head)
    }

    fn queue(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.raise(entry.mutation.client_seq, entry.mutation.time);
            self.queued.insert_entry(entry);
        }
    }

    fn take_out(&mut self, entry: &Entry) {
        self.raise(entry.mutation.client_seq, entry.mutation.time);
        self.queued.remove(entry.mutation.client_seq);
    }

    /// Ends the recovery. `spare` is the identity kept beside the journal, `fresh` the one of a new installation,
    /// `installation` the one that opens the store, if the app tells, `damage` what is known of lost records; `read` gives
    /// the entry with a number.
    ///
    /// # Errors
    /// Those of `read`.
    pub(super) fn finish(
        mut self,
        spare: Option<Identity>,
        fresh: ClientId,
        installation: Option<u64>,
        mut damage: Vec<String>,
        read: &dyn Fn(u64) -> Result<Entry, StoreError>,
    ) -> Result<Outset, StoreError> {
        let mut repairs = Vec::new();
        let mut client_id = match (self.client_id, spare) {
            (Some(client_id), Some(spare)) if spare.client_id == client_id => {
                self.raise(spare.last_client_seq, spare.last_time);
                client_id
            }
            (Some(client_id), _) => client_id,
            (None, Some(spare)) => {
                damage.push("the journal had lost the client's identity".to_owned());
                self.schema_version = spare.schema_version;
                self.installation = spare.installation;
                self.raise(spare.last_client_seq, spare.last_time);
                spare.client_id
            }
            (None, None) => {
                if !self.queued.is_empty() {
                    damage
                        .push("the client's identity was lost, with it the numbers of the outbox".to_owned());
                }
                repairs.extend(self.fail_entries(LOST_IDENTITY, read)?.into_iter().map(Record::Failed));
                fresh
            }
        };
        let is_copy = matches!((self.installation, installation), (Some(of), Some(by)) if of != by);
        if is_copy {
            // The installation that it was copied from goes on under the old id, and may have sent the entries.
            tracing::warn!("the data is that of another installation; it goes on as another client");
            repairs.extend(self.fail_entries(OTHER_INSTALLATION, read)?.into_iter().map(Record::Failed));
            client_id = fresh;
        }
        let is_named = installation.is_some() && installation != self.installation;
        self.installation = installation.or(self.installation);
        if !damage.is_empty() {
            self.skip(SKIPPED_AFTER_DAMAGE);
        }
        if is_active(Sabotage::NumberReused) {
            self.last_client_seq = self.queued.last_number().unwrap_or(0);
        }
        let identity = Identity {
            client_id,
            last_client_seq: self.last_client_seq,
            last_time: self.last_time,
            schema_version: self.schema_version,
            installation: self.installation,
        };
        if !damage.is_empty() {
            repairs.push(Record::LastJob { id: self.last_job });
        }
        if self.client_id.is_none() || is_named || !damage.is_empty() {
            // Last: torn off, it comes again, and no entry is sent in its name before it failed.
            repairs.push(Record::Identity(identity));
        }
        let recovered = Recovered {
            identity,
            queued: self.queued,
            outcomes: self.outcomes.into_values().collect(),
            parked: self.parked.into_values().collect(),
            last_job: self.last_job,
            jobs: self.jobs.into_values().collect(),
            ended_jobs: self.ended_jobs.into_values().collect(),
            damage,
        };
        Ok(Outset { recovered, repairs })
    }

    /// Without its client's identity the server cannot tell whether it has applied an entry: sent under another
    /// one it might take effect twice. So the app decides.
    fn fail_entries(
        &mut self,
        message: &str,
        read: &dyn Fn(u64) -> Result<Entry, StoreError>,
    ) -> Result<Vec<Outcome>, StoreError> {
        let outcome = |number| {
            let error = WireError::new(ErrorCode::Internal, message);
            Ok(Outcome { entry: read(number)?, error, conflict: None })
        };
        let failed = self.queued.numbers().map(outcome).collect::<Result<Vec<_>, StoreError>>()?;
        self.queued = Queued::default();
        for outcome in &failed {
            self.outcomes.insert(outcome.entry.accepted().client_seq, outcome.clone());
        }
        Ok(failed)
    }

    fn raise(&mut self, client_seq: u64, time: HybridTime) {
        self.last_client_seq = self.last_client_seq.max(client_seq);
        self.last_time = self.last_time.max(time);
    }

    fn skip(&mut self, count: u32) {
        self.last_client_seq = self.last_client_seq.saturating_add(count.into());
        // What a lost number was is unknown to the app, too: it must not mean another job.
        self.last_job = self.last_job.saturating_add(count.into());
        // A job whose end was lost is done again, under its idempotency key.
        self.last_time = match self.last_time.counter.checked_add(count) {
            Some(counter) => HybridTime { counter, ..self.last_time },
            None => HybridTime { wall_ms: self.last_time.wall_ms.saturating_add(1), counter: count },
        };
    }
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
