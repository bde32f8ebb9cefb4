//! Which job has a key that the app gave to tell duplicates.

use std::collections::HashMap;

use crate::job::{Job, JobId};

/// The jobs that have not ended, by their keys. Not kept on disk: made anew from the jobs.
#[derive(Debug, Default)]
pub(super) struct Dedupe {
    by_key: HashMap<String, JobId>,
}

impl Dedupe {
    pub(super) fn insert(&mut self, job: &Job) {
        if let Some(key) = &job.dedupe_key {
            self.by_key.entry(key.clone()).or_insert(job.id);
        }
    }

    pub(super) fn remove(&mut self, job: &Job) {
        if let Some(key) = &job.dedupe_key
            && self.by_key.get(key) == Some(&job.id)
        {
            self.by_key.remove(key);
        }
    }

    pub(super) fn find(&self, key: &str) -> Option<JobId> {
        self.by_key.get(key).copied()
    }
}
