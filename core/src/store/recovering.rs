//! What an open learns of the journal, record by record, or from a summary of those that stand first.

use syncline_protocol::message::decode_compact;

use super::bodies::{Bodies, Change};
use super::file_system::FileSystem;
use super::files::Quarantine;
use super::garbage::LiveBytes;
use super::journal::{Visited, stored_bytes};
use super::packed::queued_entries;
use super::recovery::Fold;
use super::summary::Summary;
use super::{Record, StoreError};

/// How much of records that cannot be decoded is kept of one open, in bytes.
const UNDECODABLE_KEPT_BYTES_MAX: usize = 16 << 20;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Recovering {
    pub(super) fold: Fold,
    pub(super) live: LiveBytes,
    pub(super) bodies: Bodies,
    undecodable: Undecodable,
}

impl Recovering {
    /// Begins with what a summary says; `record_bytes` tells what a record takes in the journal.
    pub(super) fn after(
        summary: Summary,
        record_bytes: impl Fn(&Record) -> Result<u64, StoreError>,
    ) -> Result<Self, StoreError> {
        let Summary { records, queued, bodies, .. } = summary;
        let mut recovering = Self { bodies, ..Self::default() };
        for record in records {
            recovering.live.add(&record, record_bytes(&record)?);
            recovering.fold.add(record);
        }
        // As in a journal written anew, they come last.
        recovering.fold.set_queued(queued);
        Ok(recovering)
    }

    pub(super) fn visit(&mut self, visited: Visited<'_>) {
        let Visited { offset, stored, record } = visited;
        let recovered = match record {
            Some(record) => self.record(record, offset, stored_bytes(stored.len())),
            None => Err("the seal is broken".to_owned()),
        };
        if let Err(error) = recovered {
            self.undecodable.note(stored, error);
        }
    }

    fn record(&mut self, record: &[u8], offset: u64, bytes: u64) -> Result<(), String> {
        let Self { fold, live, bodies, .. } = self;
        match queued_entries(record).map_err(|error| error.to_string())? {
            Some(found) => {
                fold.add_queued(&found).map_err(|error| error.to_string())?;
                found.resolved.into_iter().for_each(|resolved| live.resolve(resolved));
                bodies.recover(&Change::Entries(found), offset);
            }
            None => {
                let record: Record = decode_compact(record).map_err(|error| error.to_string())?;
                let gone = record.unqueued().map(Change::Gone);
                gone.into_iter().for_each(|change| bodies.recover(&change, offset));
                live.add(&record, bytes);
                fold.add(record);
            }
        }
        Ok(())
    }

    /// Sets aside what was not understood, and returns what to report.
    pub(super) fn set_aside(&self, quarantine: &Quarantine<impl FileSystem>) -> Option<String> {
        self.undecodable.set_aside(quarantine)
    }
}

/// Records of which the frame is whole and the contents are not understood.
#[derive(Debug, Default)]
struct Undecodable {
    count: usize,
    first_error: Option<String>,
    kept: Vec<u8>,
}

impl Undecodable {
    fn note(&mut self, bytes: &[u8], error: String) {
        self.count += 1;
        self.first_error.get_or_insert(error);
        if self.kept.len() + bytes.len() <= UNDECODABLE_KEPT_BYTES_MAX {
            self.kept.extend_from_slice(bytes);
        }
    }

    /// What to report.
    fn set_aside(&self, quarantine: &Quarantine<impl FileSystem>) -> Option<String> {
        let first_error = self.first_error.as_ref()?;
        let kept = quarantine
            .keep("records", |file| file.write_all(&self.kept))
            .map_or_else(|error| format!("could not be set aside: {error}"), |()| "set aside".into());
        Some(format!("{} records could not be decoded ({first_error}); {kept}", self.count))
    }
}
