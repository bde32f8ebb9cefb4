//! What an app was promised about each of its jobs: one that is accepted ends once, and is told once how.

use std::collections::{BTreeMap, BTreeSet};

use syncline::Argument;
use syncline::engine::io::Now;
use syncline::engine::queue::command::JobEvent;
use syncline::job::{DeadReason, EndedJob, Job, JobId, JobKind, JobWork};
use syncline::store::{Record, Recovered};

use crate::backend::Backend;
use crate::failure::{Failure, ensure};

/// How far a job has come, as the app knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Given to the store; the app has no answer.
    Offered,
    /// The promise has resolved.
    Accepted,
    /// It succeeded; with what the app was told, unless a kill swallowed that.
    Done(Option<u64>),
    /// A dead letter.
    Dead,
    /// The app dropped it.
    Dropped,
    /// Never accepted. It was refused for a reason that leaves open what the disk holds, or simply never was.
    Forgotten { unsure: bool },
}

#[derive(Debug)]
struct Noted {
    job: Job,
    fate: Fate,
    /// When it was accepted by this process, on the clock that counts sleep.
    since_ms: Option<u64>,
    /// Whether its end was given to the store.
    ended: bool,
    /// Retried or dropped, and a kill may have swallowed the answer.
    undecided: bool,
    /// It was a dead letter before, so that later ones went before it.
    retried: bool,
}

/// All jobs of one device.
#[derive(Debug, Default)]
pub(crate) struct JobBook {
    jobs: BTreeMap<JobId, Noted>,
}

impl JobBook {
    pub(crate) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Accepted jobs that have not ended, as far as the app knows.
    pub(crate) fn waiting(&self) -> Vec<JobId> {
        self.jobs.iter().filter(|(_, noted)| noted.fate == Fate::Accepted).map(|(id, _)| *id).collect()
    }

    pub(crate) fn was_retried(&self, id: JobId) -> bool {
        self.jobs.get(&id).is_some_and(|noted| noted.retried)
    }

    /// The engine appended a record.
    pub(crate) fn note(&mut self, record: &Record) -> Result<(), Failure> {
        match record {
            Record::Jobs(jobs) => jobs.iter().try_for_each(|job| self.offer(job)),
            Record::JobEnded(EndedJob { job, .. }) => {
                self.end(job.id);
                Ok(())
            }
            Record::JobsGone(ids) => {
                ids.iter().for_each(|id| self.end(*id));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn offer(&mut self, job: &Job) -> Result<(), Failure> {
        let fate = self.jobs.get(&job.id).map(|noted| noted.fate);
        match fate {
            None | Some(Fate::Forgotten { .. }) => {
                let (fate, job) = (Fate::Offered, job.clone());
                let noted =
                    Noted { fate, since_ms: None, ended: false, undecided: false, retried: false, job };
                self.jobs.insert(noted.job.id, noted);
                Ok(())
            }
            // It is retried.
            Some(Fate::Dead) => Ok(()),
            Some(other) => Err(Failure(format!("job {} takes the number of one that is {other:?}", job.id))),
        }
    }

    fn end(&mut self, id: JobId) {
        if let Some(noted) = self.jobs.get_mut(&id) {
            noted.ended = true;
        }
    }

    /// The app's promise resolved.
    pub(crate) fn accepted(&mut self, ids: &[JobId], now: Now) -> Result<(), Failure> {
        for id in ids {
            let noted = self.find(*id)?;
            ensure!(noted.fate == Fate::Offered, "job {id} is accepted, and was {:?}", noted.fate);
            (noted.fate, noted.since_ms) = (Fate::Accepted, Some(now.lived_ms));
        }
        Ok(())
    }

    /// What was offered is not accepted.
    pub(crate) fn not_written(&mut self, unsure: bool) {
        for noted in self.jobs.values_mut().filter(|noted| noted.fate == Fate::Offered) {
            noted.fate = Fate::Forgotten { unsure };
        }
    }

    fn find(&mut self, id: JobId) -> Result<&mut Noted, Failure> {
        self.jobs.get_mut(&id).ok_or_else(|| Failure(format!("job {id} was never made")))
    }

    /// What the app is told.
    pub(crate) fn hear(&mut self, event: &JobEvent, now: Now) -> Result<(), Failure> {
        let (id, fate) = match event {
            JobEvent::Done { outcome } => {
                let receipt = receipt(&outcome.result);
                ensure!(receipt.is_some(), "job {} is done with {:?}", outcome.job, outcome.result);
                (outcome.job, Fate::Done(receipt))
            }
            JobEvent::Dead { letter } => {
                if letter.reason == DeadReason::Expired {
                    self.check_expiry(letter.job, now)?;
                }
                (letter.job, Fate::Dead)
            }
            JobEvent::Failed { .. } | JobEvent::Leased { .. } => return Ok(()),
        };
        let noted = self.find(id)?;
        if (noted.fate, fate) == (Fate::Dropped, Fate::Dead) {
            // It had died before the app dropped it, which was too busy to hear of it.
            return Ok(());
        }
        let before = std::mem::replace(&mut noted.fate, fate);
        ensure!(before == Fate::Accepted, "job {id} is told to be {fate:?}, and was {before:?}");
        Ok(())
    }

    pub(crate) fn is_dropped(&self, id: JobId) -> bool {
        self.jobs.get(&id).is_some_and(|noted| noted.fate == Fate::Dropped)
    }

    /// A job waits its whole time to live, whatever the device's clock says meanwhile.
    fn check_expiry(&mut self, id: JobId, now: Now) -> Result<(), Failure> {
        let noted = self.find(id)?;
        let ttl_ms = noted.job.expires_at_ms.map(|at_ms| at_ms.saturating_sub(noted.job.queued_at_ms));
        let ttl_ms = ttl_ms.ok_or_else(|| Failure(format!("job {id} expired, and was to wait for ever")))?;
        let waited_ms = noted.since_ms.map(|since_ms| now.lived_ms.saturating_sub(since_ms));
        let early = waited_ms.is_some_and(|waited_ms| waited_ms < ttl_ms);
        ensure!(!early, "job {id} expired after {waited_ms:?} ms, it was to wait for {ttl_ms} ms");
        Ok(())
    }

    /// The app is about to retry or to drop a job.
    pub(crate) fn deciding(&mut self, id: JobId) {
        self.set_undecided(id, true);
    }

    /// It did not come to that.
    pub(crate) fn not_decided(&mut self, id: JobId) {
        self.set_undecided(id, false);
    }

    fn set_undecided(&mut self, id: JobId, undecided: bool) {
        if let Some(noted) = self.jobs.get_mut(&id) {
            noted.undecided = undecided;
        }
    }

    pub(crate) fn retried(&mut self, id: JobId, now: Now) -> Result<(), Failure> {
        let noted = self.find(id)?;
        ensure!(noted.fate == Fate::Dead, "job {id} is retried, and was {:?}", noted.fate);
        (noted.fate, noted.since_ms) = (Fate::Accepted, Some(now.lived_ms));
        (noted.undecided, noted.ended, noted.retried) = (false, false, true);
        Ok(())
    }

    pub(crate) fn dropped(&mut self, id: JobId) -> Result<(), Failure> {
        let noted = self.find(id)?;
        let open = matches!(noted.fate, Fate::Dead | Fate::Accepted);
        ensure!(open, "job {id} is dropped, and was {:?}", noted.fate);
        (noted.fate, noted.undecided) = (Fate::Dropped, false);
        Ok(())
    }

    /// A restart: what the journal holds is what counts. After a failure of the disk (`shaken`) an end that was told may
    /// not be in it.
    pub(crate) fn recover(&mut self, recovered: &Recovered, shaken: bool) -> Result<(), Failure> {
        let waiting: BTreeMap<JobId, &Job> = recovered.jobs.iter().map(|job| (job.id, job)).collect();
        let dead: BTreeSet<JobId> = recovered.ended_jobs.iter().map(|ended| ended.job.id).collect();
        for (id, noted) in &mut self.jobs {
            let before = noted.fate;
            let open = shaken || std::mem::take(&mut noted.undecided);
            noted.since_ms = None;
            noted.fate = if let Some(job) = waiting.get(id) {
                let same = job.work == noted.job.work && job.idempotency_key == noted.job.idempotency_key;
                ensure!(same, "job {id} is another one after a restart: {job:?}, it was {:?}", noted.job);
                noted.retried |= before == Fate::Dead;
                noted.ended = false;
                match before {
                    Fate::Offered | Fate::Accepted | Fate::Forgotten { unsure: true } => Fate::Accepted,
                    Fate::Done(_) | Fate::Dead | Fate::Dropped if open => Fate::Accepted,
                    // The journal hears of the ends of events a little later, of several together.
                    Fate::Done(_) if noted.job.kind() == JobKind::Event => Fate::Accepted,
                    _ => {
                        return Err(Failure(format!("job {id} is back after a restart, and was {before:?}")));
                    }
                }
            } else if dead.contains(id) {
                match before {
                    Fate::Accepted | Fate::Dead => Fate::Dead,
                    Fate::Done(_) | Fate::Dropped if open => Fate::Dead,
                    _ => {
                        return Err(Failure(format!(
                            "job {id} is a dead letter after a restart, and was {before:?}"
                        )));
                    }
                }
            } else {
                match before {
                    Fate::Offered => Fate::Forgotten { unsure: false },
                    Fate::Dead | Fate::Accepted if open && noted.ended => Fate::Dropped,
                    Fate::Accepted if noted.ended => Fate::Done(None),
                    Fate::Dead | Fate::Accepted => {
                        return Err(Failure(format!("job {id} was {before:?}, and a restart lost it")));
                    }
                    other => other,
                }
            };
        }
        Ok(())
    }

    /// Nothing waits any more: each job has ended, those that succeeded took effect once, in the order of their lanes, and
    /// nothing else did.
    pub(crate) fn check_ends(&self, device: usize, backend: &Backend) -> Result<(), Failure> {
        let places = backend.places()?;
        let place = |noted: &Noted| tag(&noted.job.work).and_then(|tag| places.get(tag).copied());
        // The last place of any job of a lane, and of one that nothing overtakes.
        let mut lanes: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (id, noted) in &self.jobs {
            let (fate, place) = (noted.fate, place(noted));
            match fate {
                Fate::Offered | Fate::Accepted => {
                    return Err(Failure(format!("job {id} has not ended: {fate:?}")));
                }
                Fate::Forgotten { unsure: false } => {
                    ensure!(place.is_none(), "job {id} was never accepted, and took effect");
                }
                Fate::Done(receipt) => {
                    ensure!(place.is_some(), "job {id} is done, and took no effect");
                    let told = receipt.is_none() || receipt == place;
                    ensure!(told, "job {id} is done with receipt {receipt:?}, it has {place:?}");
                }
                Fate::Dead | Fate::Dropped | Fate::Forgotten { unsure: true } => {}
            }
            let (Fate::Done(_), Some(place), false) = (fate, place, noted.retried) else { continue };
            let (last, last_waited_for) = lanes.entry(&noted.job.lane).or_default();
            // Of those that stream, the backend may refuse one for now and take the next.
            let ahead = if noted.job.streams() { *last_waited_for } else { *last };
            ensure!(ahead <= place, "job {id} took effect before one ahead of it in {}", noted.job.lane);
            *last = place.max(*last);
            if !noted.job.streams() {
                *last_waited_for = place;
            }
        }
        self.check_followers(&place)?;
        let known: BTreeSet<&str> = self.jobs.values().filter_map(|noted| tag(&noted.job.work)).collect();
        let own = format!("{device}.");
        let unknown = places.keys().find(|tag| tag.starts_with(&own) && !known.contains(**tag));
        ensure!(unknown.is_none(), "{unknown:?} took effect, and is of no job");
        Ok(())
    }

    fn check_followers(&self, place: &impl Fn(&Noted) -> Option<u64>) -> Result<(), Failure> {
        for (id, noted) in self.jobs.iter().filter(|(_, noted)| matches!(noted.fate, Fate::Done(_))) {
            for first in noted.job.after.iter().filter_map(|first| self.jobs.get(first)) {
                // Retried, it no longer follows one that was dropped meanwhile.
                let follows = place(first).map_or(noted.retried, |before| Some(before) < place(noted));
                ensure!(follows, "job {id} took effect before job {}, which it follows", first.job.id);
            }
        }
        Ok(())
    }
}

/// What an errand's answer says, as an event or as a response.
fn receipt(result: &[Argument]) -> Option<u64> {
    let Some(Argument::Object(fields)) = result.first() else { return None };
    let fields = match fields.get("body") {
        Some(Argument::Object(body)) => body,
        _ => fields,
    };
    match fields.get("receipt") {
        Some(Argument::Int(receipt)) => u64::try_from(*receipt).ok(),
        _ => None,
    }
}

fn tag(work: &JobWork) -> Option<&str> {
    let errand = match work {
        JobWork::Event { args, .. } => args.first(),
        JobWork::Request { body, .. } => body.as_ref(),
        JobWork::Handler { .. } => None,
    };
    match errand {
        Some(Argument::Object(fields)) => match fields.get("tag") {
            Some(Argument::String(tag)) => Some(tag),
            _ => None,
        },
        _ => None,
    }
}
