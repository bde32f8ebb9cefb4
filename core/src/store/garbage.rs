//! How much of the journal is still needed, besides the queued entries.

use std::collections::HashMap;

use super::Record;

/// The sizes of the records that a rewrite would keep, without the entries. An estimate: it decides only when to compact.
#[derive(Debug, Default)]
pub(super) struct LiveBytes {
    outcomes: HashMap<u64, u64>,
    parked: HashMap<u64, u64>,
    jobs: HashMap<u64, u64>,
    identity: u64,
    total: u64,
}

impl LiveBytes {
    /// Notes a record that takes so many bytes in the journal.
    pub(super) fn add(&mut self, record: &Record, bytes: u64) {
        match record {
            Record::Identity(_) => {
                self.total = self.total - self.identity + bytes;
                self.identity = bytes;
            }
            Record::Failed(outcome) => {
                let old = self.outcomes.insert(outcome.entry.accepted().client_seq, bytes).unwrap_or(0);
                self.total = self.total + bytes - old;
            }
            Record::OutcomeSeen { client_seq } => {
                self.total -= self.outcomes.remove(client_seq).unwrap_or(0);
            }
            Record::Parked(parked) => {
                let old = self.parked.insert(parked.entry.accepted().client_seq, bytes).unwrap_or(0);
                self.total = self.total + bytes - old;
            }
            Record::Resolved { client_seq, .. } => self.resolve(*client_seq),
            Record::Jobs(jobs) => {
                let share = (bytes / jobs.len().max(1) as u64).max(1);
                jobs.iter().for_each(|job| self.add_job(job.id, share));
            }
            Record::JobEnded(ended) => self.add_job(ended.job.id, bytes),
            Record::JobsGone(ids) => {
                for id in ids {
                    self.total -= self.jobs.remove(id).unwrap_or(0);
                }
            }
            // Entries, or nothing to speak of.
            Record::Queued(_)
            | Record::Settled { .. }
            | Record::Resent { .. }
            | Record::JobAttempted { .. }
            | Record::LastJob { .. } => {}
        }
    }

    /// The app decided about a parked write.
    pub(super) fn resolve(&mut self, client_seq: u64) {
        self.total -= self.parked.remove(&client_seq).unwrap_or(0);
    }

    /// A job's number stands for one record: that it waits, or how it ended.
    fn add_job(&mut self, id: u64, bytes: u64) {
        let old = self.jobs.insert(id, bytes).unwrap_or(0);
        self.total = self.total + bytes - old;
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixtures::{entry, outcome, parked, resent};

    #[test]
    fn only_what_a_rewrite_keeps_counts() {
        let mut live = LiveBytes::default();
        live.add(&Record::Queued(vec![entry(1)]), 100);
        live.add(&Record::Failed(outcome(1)), 150);
        live.add(&Record::Failed(outcome(1)), 140);
        assert_eq!(live.total(), 140);
        live.add(&Record::OutcomeSeen { client_seq: 1 }, 20);
        assert_eq!(live.total(), 0);
        live.add(&Record::Parked(parked(resent(1, 2))), 300);
        assert_eq!(live.total(), 300);
        live.add(&Record::Resolved { client_seq: 1, entry: Some(resent(1, 3)) }, 110);
        assert_eq!(live.total(), 0);
    }
}
