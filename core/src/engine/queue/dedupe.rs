//! Which job is the same as another: by the key that the app gave, or by what it does.

use std::collections::HashMap;

use crate::job::{Job, JobId};

/// The jobs that have not ended, by what tells duplicates. Not kept on disk: made anew from the jobs.
#[derive(Debug, Default)]
pub(super) struct Dedupe {
    by_key: HashMap<String, JobId>,
    /// Only narrows down: who finds a job by it compares the work.
    by_work: HashMap<u64, JobId>,
}

impl Dedupe {
    pub(super) fn insert(&mut self, job: &Job) {
        match (&job.dedupe_key, job.dedupe) {
            (Some(key), _) => drop(self.by_key.entry(key.clone()).or_insert(job.id)),
            (None, true) => drop(self.by_work.entry(work_hash(job)).or_insert(job.id)),
            (None, false) => {}
        }
    }

    pub(super) fn remove(&mut self, job: &Job) {
        match (&job.dedupe_key, job.dedupe) {
            (Some(key), _) => remove_if(&mut self.by_key, key, job.id),
            (None, true) => remove_if(&mut self.by_work, &work_hash(job), job.id),
            (None, false) => {}
        }
    }

    pub(super) fn find<'a>(&self, job: &Job, held: impl Fn(JobId) -> Option<&'a Job>) -> Option<JobId> {
        match (&job.dedupe_key, job.dedupe) {
            (Some(key), _) => self.by_key.get(key).copied(),
            (None, true) => {
                let id = *self.by_work.get(&work_hash(job))?;
                held(id).filter(|other| other.work == job.work && other.lane == job.lane).map(|_| id)
            }
            (None, false) => None,
        }
    }
}

fn remove_if<K: std::hash::Hash + Eq>(map: &mut HashMap<K, JobId>, key: &K, id: JobId) {
    if map.get(key) == Some(&id) {
        map.remove(key);
    }
}

/// FNV-1a over the work as the journal has it, and the lane. Two that differ may share it: then both are kept.
///
/// Source: Fowler, Noll and Vo's hash, in its 64-bit variant.
fn work_hash(job: &Job) -> u64 {
    let work = rmp_serde::to_vec(&job.work).unwrap_or_default();
    let bytes = work.iter().chain(job.lane.as_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
