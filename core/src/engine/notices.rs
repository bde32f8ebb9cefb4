//! What the app is told once, waiting for it to listen. States are not here: they are told as they are by then.

use std::collections::VecDeque;

use super::io::Event;
use super::queue::command::JobEvent;

/// Errors, and news of users, that wait at most; beyond, the oldest gives way. Outcomes and conflicts all stay: the
/// outbox bounds them.
const NOTICES_MAX: usize = 256;

/// Ends of jobs that wait at most; beyond, the oldest gives way. Leases and dead letters all stay: the queue bounds them.
const JOB_NOTICES_MAX: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Notices {
    outcomes: Vec<Event>,
    jobs: VecDeque<Event>,
    news: VecDeque<Event>,
    dropped: u64,
}

impl Notices {
    pub(super) fn push(&mut self, event: Event) {
        if matches!(event, Event::Outcome { .. } | Event::Conflict { .. }) {
            return self.outcomes.push(event);
        }
        if matches!(event, Event::Job { .. }) {
            if self.jobs.len() >= JOB_NOTICES_MAX {
                let oldest = self.jobs.iter().position(|job| !is_lasting(job));
                self.dropped += u64::from(oldest.and_then(|place| self.jobs.remove(place)).is_some());
            }
            return self.jobs.push_back(event);
        }
        self.news.retain(|earlier| !is_outdated(earlier, &event));
        if self.news.len() >= NOTICES_MAX {
            self.news.pop_front();
            self.dropped += 1;
        }
        self.news.push_back(event);
    }

    /// How many gave way.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn take(&mut self) -> impl Iterator<Item = Event> + use<> {
        let (outcomes, jobs) = (std::mem::take(&mut self.outcomes), std::mem::take(&mut self.jobs));
        outcomes.into_iter().chain(jobs).chain(std::mem::take(&mut self.news))
    }
}

fn is_lasting(event: &Event) -> bool {
    matches!(event, Event::Job { event: JobEvent::Leased { .. } | JobEvent::Dead { .. } })
}

/// Whether the later event says all that the earlier one does.
fn is_outdated(earlier: &Event, later: &Event) -> bool {
    match (earlier, later) {
        (Event::User { user_id: earlier, .. }, Event::User { user_id: later, .. }) => earlier == later,
        (Event::TokenNeeded { .. }, Event::TokenNeeded { .. }) => true,
        _ => earlier == later,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Code, Error};
    use crate::job::{Category, JobError};

    fn user(name: usize, online: bool) -> Event {
        Event::User { user_id: name.to_string(), online }
    }

    fn error(message: &str) -> Event {
        Event::Error { error: Error::new(Code::Storage, message).into() }
    }

    #[test]
    fn what_happens_again_is_told_once_as_it_was_last() {
        let mut notices = Notices::default();
        for event in [user(1, true), error("full"), user(2, true), user(1, false), error("full")] {
            notices.push(event);
        }
        assert_eq!(notices.take().collect::<Vec<_>>(), [user(2, true), user(1, false), error("full")]);
        assert_eq!(notices.take().count(), 0);
    }

    #[test]
    fn an_app_that_does_not_listen_misses_the_oldest_news() {
        let mut notices = Notices::default();
        for name in 0..=NOTICES_MAX {
            notices.push(user(name, true));
        }
        assert_eq!(notices.dropped(), 1);
        let told: Vec<_> = notices.take().collect();
        assert_eq!((told.len(), &told[0]), (NOTICES_MAX, &user(1, true)));
    }

    #[test]
    fn an_app_that_does_not_listen_misses_the_oldest_failures_of_jobs_and_no_dead_letter() {
        let failed = |job| {
            let error = JobError::new(Category::Network, "unreachable", "");
            Event::Job { event: JobEvent::Failed { job, error, attempts: 0 } }
        };
        let mut notices = Notices::default();
        for job in 0..JOB_NOTICES_MAX as u64 + 3 {
            notices.push(failed(job));
        }
        assert_eq!(notices.dropped(), 3);
        assert_eq!(notices.take().next(), Some(failed(3)));
    }
}
