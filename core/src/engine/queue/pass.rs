//! One round of processing that somebody waits for: each job is tried at most once.

use std::collections::BTreeSet;

use super::command::{JobReply, ProcessReport};
use crate::engine::Engine;
use crate::engine::io::{ConnectionState, Now, Output, Reply, RequestId};
use crate::error::Error;
use crate::job::{JobId, JobKind};

#[derive(Debug)]
pub(super) struct Pass {
    request: RequestId,
    /// Not tried yet.
    remaining: BTreeSet<JobId>,
    report: ProcessReport,
}

impl Pass {
    pub(super) fn is_to_try(&self, id: JobId) -> bool {
        self.remaining.contains(&id)
    }

    /// An attempt is over.
    pub(super) fn note(&mut self, id: JobId, succeeded: bool) {
        if self.remaining.remove(&id) {
            let count = if succeeded { &mut self.report.processed } else { &mut self.report.failed };
            *count += 1;
        }
    }

    pub(super) fn forget(&mut self, id: JobId) {
        self.remaining.remove(&id);
    }
}

impl Engine {
    pub(super) fn begin_pass(&mut self, request: RequestId) {
        self.jobs.hurry();
        self.drain.resume();
        let remaining =
            self.jobs.all_held().map(|held| held.job.id).filter(|id| self.jobs.is_durable(*id)).collect();
        self.drain.passes.push(Pass { request, remaining, report: ProcessReport::default() });
    }

    /// Answers the rounds of which nothing is left that could be tried.
    pub(super) fn end_passes(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.drain.passes.is_empty() {
            return;
        }
        let passes = std::mem::take(&mut self.drain.passes);
        let (ended, going): (Vec<Pass>, Vec<Pass>) =
            passes.into_iter().partition(|pass| self.closed || self.is_over(now, pass));
        self.drain.passes = going;
        for Pass { request, remaining, report } in ended {
            let report = ProcessReport { skipped: remaining.len() as u64, ..report };
            let result =
                if self.closed { Err(Error::closed()) } else { Ok(Reply::Jobs(JobReply::Processed(report))) };
            out.push(Output::Reply(request, result));
        }
    }

    fn is_over(&self, now: Now, pass: &Pass) -> bool {
        if self.jobs.running().keys().any(|id| pass.is_to_try(*id)) {
            return false;
        }
        let mut kinds = self.open_kinds(now);
        // The attempt to connect ends by itself.
        if self.session.state() == ConnectionState::Connecting && !kinds.contains(&JobKind::Event) {
            kinds.push(JobKind::Event);
        }
        self.next_job(&kinds, |id| pass.is_to_try(id)).is_none()
    }
}
