//! How much of the journal is still needed.

use std::collections::HashMap;

use super::Record;

/// The sizes of the records that a rewrite would keep. An estimate: it decides only when to compact.
#[derive(Debug, Default)]
pub(super) struct LiveBytes {
    entries: HashMap<u64, u64>,
    outcomes: HashMap<u64, u64>,
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
            Record::Queued(entries) => {
                let share = (bytes / entries.len().max(1) as u64).max(1);
                for entry in entries {
                    let old = self.entries.insert(entry.mutation.client_seq, share);
                    self.total = self.total + share - old.unwrap_or(0);
                }
            }
            Record::Settled { client_seq } => self.total -= self.entries.remove(client_seq).unwrap_or(0),
            Record::Failed(outcome) => {
                let client_seq = outcome.entry.mutation.client_seq;
                let entry = self.entries.remove(&client_seq).unwrap_or(0);
                let old = self.outcomes.insert(client_seq, bytes).unwrap_or(0);
                self.total = self.total + bytes - entry - old;
            }
            Record::OutcomeSeen { client_seq } => {
                self.total -= self.outcomes.remove(client_seq).unwrap_or(0);
            }
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixtures::{entry, outcome};

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
}
