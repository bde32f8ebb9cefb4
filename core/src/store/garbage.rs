//! How much of the journal is still needed.

use std::collections::HashMap;

use super::{Entry, Record};

/// The sizes of the records that a rewrite would keep. An estimate: it decides only when to compact.
#[derive(Debug, Default)]
pub(super) struct LiveBytes {
    entries: HashMap<u64, u64>,
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
            Record::Queued(entries) => self.add_entries(entries, bytes),
            Record::Settled { client_seq } => self.remove_entry(*client_seq),
            Record::Failed(outcome) => {
                self.remove_entry(outcome.entry.mutation.client_seq);
                let old = self.outcomes.insert(outcome.entry.accepted().client_seq, bytes).unwrap_or(0);
                self.total = self.total + bytes - old;
            }
            Record::OutcomeSeen { client_seq } => {
                self.total -= self.outcomes.remove(client_seq).unwrap_or(0);
            }
            Record::Resent { client_seqs, entries } => {
                client_seqs.iter().for_each(|client_seq| self.remove_entry(*client_seq));
                self.add_entries(entries, bytes);
            }
            Record::Parked(parked) => {
                self.remove_entry(parked.entry.mutation.client_seq);
                let old = self.parked.insert(parked.entry.accepted().client_seq, bytes).unwrap_or(0);
                self.total = self.total + bytes - old;
            }
            Record::Resolved { client_seq, entry } => {
                self.total -= self.parked.remove(client_seq).unwrap_or(0);
                self.add_entries(entry.as_slice(), bytes);
            }
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
            // Nothing to speak of.
            Record::JobAttempted { .. } | Record::LastJob { .. } => {}
        }
    }

    fn add_entries(&mut self, entries: &[Entry], bytes: u64) {
        let share = (bytes / entries.len().max(1) as u64).max(1);
        for entry in entries {
            let old = self.entries.insert(entry.mutation.client_seq, share);
            self.total = self.total + share - old.unwrap_or(0);
        }
    }

    /// A job's number stands for one record: that it waits, or how it ended.
    fn add_job(&mut self, id: u64, bytes: u64) {
        let old = self.jobs.insert(id, bytes).unwrap_or(0);
        self.total = self.total + bytes - old;
    }

    fn remove_entry(&mut self, client_seq: u64) {
        self.total -= self.entries.remove(&client_seq).unwrap_or(0);
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
        live.add(&Record::Queued(vec![entry(1)]), 130);
        live.add(&Record::Queued(vec![entry(2)]), 50);
        assert_eq!(live.total(), 180);
        live.add(&Record::Settled { client_seq: 2 }, 20);
        live.add(&Record::Settled { client_seq: 2 }, 20);
        assert_eq!(live.total(), 130);
        live.add(&Record::Failed(outcome(1)), 150);
        assert_eq!(live.total(), 150);
        live.add(&Record::OutcomeSeen { client_seq: 1 }, 20);
        assert_eq!(live.total(), 0);
    }

    #[test]
    fn a_write_counts_once_wherever_a_conflict_takes_it() {
        let mut live = LiveBytes::default();
        live.add(&Record::Queued(vec![entry(1)]), 100);
        live.add(&Record::Resent { client_seqs: vec![1], entries: vec![resent(1, 2)] }, 120);
        assert_eq!(live.total(), 120);
        live.add(&Record::Parked(parked(resent(1, 2))), 300);
        assert_eq!(live.total(), 300);
        live.add(&Record::Resolved { client_seq: 1, entry: Some(resent(1, 3)) }, 110);
        assert_eq!(live.total(), 110);
        live.add(&Record::Settled { client_seq: 3 }, 20);
        assert_eq!(live.total(), 0);
    }
}
