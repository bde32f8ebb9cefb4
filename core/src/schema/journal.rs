//! What migrations make of the journal's entries. Pure.
//!
//! No write gets lost without a word: one of which nothing is left becomes an outcome, as if the server had refused it.

use std::collections::BTreeMap;

use syncline_protocol::{Document, ErrorCode, WireError};

use super::Migration;
use crate::store::{Conflict, Entry, Outcome, Parked, Recovered};

/// A document after all of these migrations; `None` when its collection is removed.
pub(super) fn migrate_document(migrations: &[Migration], document: Document) -> Option<Document> {
    let mut steps = migrations.iter().flat_map(|migration| &migration.steps);
    steps.try_fold(document, |document, step| step.document(document))
}

/// All that the journal holds after these migrations; of what waited, with these entries.
pub(super) fn migrate_journal(
    migrations: &[Migration],
    recovered: Recovered,
    queued: Vec<Entry>,
) -> (Recovered, Vec<Entry>) {
    let mut outcomes: BTreeMap<u64, Outcome> = BTreeMap::new();
    let mut keep = |outcome: Outcome| outcomes.insert(outcome.entry.accepted().client_seq, outcome);
    for outcome in recovered.outcomes {
        keep(migrate_outcome(migrations, outcome));
    }
    let mut entries = Vec::with_capacity(queued.len());
    for entry in queued {
        match migrate_entry(migrations, &entry) {
            Ok(migrated) => entries.push(migrated),
            Err(emptied) => drop(keep(emptied.outcome(entry, None))),
        }
    }
    let mut parked = Vec::with_capacity(recovered.parked.len());
    for write in recovered.parked {
        let Parked { entry, conflict, document } = write;
        match migrate_entry(migrations, &entry) {
            Ok(migrated) => parked.push(Parked {
                conflict: migrate_conflict(migrations, &entry, conflict),
                document: document.and_then(|document| migrate_document(migrations, document)),
                entry: migrated,
            }),
            Err(emptied) => drop(keep(emptied.outcome(entry, Some(conflict)))),
        }
    }
    let queued = entries.iter().collect();
    (Recovered { queued, outcomes: outcomes.into_values().collect(), parked, ..recovered }, entries)
}

/// Nothing is left of a write since the migration to this version.
#[derive(Debug, PartialEq, Eq)]
struct Emptied {
    to: u32,
}

impl Emptied {
    /// The write as it was: the newer shape has no place for it.
    fn outcome(&self, entry: Entry, conflict: Option<Conflict>) -> Outcome {
        let message = format!("the migration to schema version {} left nothing of this write", self.to);
        Outcome { entry, error: WireError::new(ErrorCode::Invalid, message), conflict }
    }
}

fn migrate_entry(migrations: &[Migration], entry: &Entry) -> Result<Entry, Emptied> {
    let mut entry = entry.clone();
    for Migration { to, steps } in migrations {
        for step in steps {
            let mutation = &mut entry.mutation;
            let write = step.write(&mutation.collection, mutation.write.clone());
            let collection = step.collection(mutation.collection.clone());
            let (Some(write), Some(collection)) = (write, collection) else {
                return Err(Emptied { to: *to });
            };
            mutation.write = write;
            mutation.collection = collection;
        }
    }
    Ok(entry)
}

fn migrate_outcome(migrations: &[Migration], outcome: Outcome) -> Outcome {
    match migrate_entry(migrations, &outcome.entry) {
        Ok(entry) => Outcome {
            conflict: outcome.conflict.map(|conflict| migrate_conflict(migrations, &outcome.entry, conflict)),
            error: outcome.error,
            entry,
        },
        // It has failed already.
        Err(Emptied { .. }) => outcome,
    }
}

/// The fields in conflict, of which those that are removed are left out. `entry` is the write before the migrations.
fn migrate_conflict(migrations: &[Migration], entry: &Entry, conflict: Conflict) -> Conflict {
    let mut collection = Some(entry.mutation.collection.clone());
    let mut fields = conflict.fields;
    for step in migrations.iter().flat_map(|migration| &migration.steps) {
        let Some(current) = collection else { break };
        fields = fields.into_iter().filter_map(|path| step.path(&current, path)).collect();
        collection = step.collection(current);
    }
    Conflict { kind: conflict.kind, fields }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
