//! Pushes that wait for their room's turn: one transaction at a time for a room, so that its pushes share one instead of
//! waiting for the room's row with a connection each.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use syncline_protocol::message::{Push, PushAnswer};
use syncline_protocol::{Room, WireError};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::hub::Author;

/// A push that was accepted.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) push: Push,
    pub(super) author: Author,
    pub(super) answer: oneshot::Sender<Result<PushAnswer, WireError>>,
    /// Held until the answer.
    pub(super) _place: OwnedSemaphorePermit,
}

/// The rooms that have pushes, each with one worker.
#[derive(Debug, Default)]
pub(super) struct Queues(Mutex<HashMap<Room, VecDeque<Job>>>);

/// A room's worker. Should it end before its room has no pushes, by a panic, they are let go, and the next push starts
/// another one.
pub(super) struct Worker<'a> {
    queues: &'a Queues,
    room: &'a Room,
    is_done: bool,
}

impl<'a> Worker<'a> {
    pub(super) fn new(queues: &'a Queues, room: &'a Room) -> Self {
        Self { queues, room, is_done: false }
    }

    /// The next pushes, at least one; `None` when there are none, and then the worker is done.
    pub(super) fn take(&mut self, count_max: usize, bytes_max: usize) -> Option<Vec<Job>> {
        let taken = self.queues.take(self.room, count_max, bytes_max);
        self.is_done = taken.is_none();
        taken
    }
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.queues.lock().remove(self.room);
        }
    }
}

impl Job {
    pub(super) fn answer(self, answer: Result<PushAnswer, WireError>) {
        // The asker may be gone; the effect stands.
        let _ = self.answer.send(answer);
    }

    fn byte_len(&self) -> usize {
        self.push.mutations.iter().map(syncline_protocol::Mutation::byte_len).sum()
    }
}

impl Queues {
    /// Adds a push; whether a worker must be started for its room.
    pub(super) fn put(&self, job: Job) -> bool {
        let mut rooms = self.lock();
        let is_first = !rooms.contains_key(&job.push.room);
        rooms.entry(job.push.room.clone()).or_default().push_back(job);
        is_first
    }

    fn take(&self, room: &Room, count_max: usize, bytes_max: usize) -> Option<Vec<Job>> {
        let mut rooms = self.lock();
        let waiting = rooms.get_mut(room)?;
        let mut taken = Vec::new();
        let mut bytes = 0;
        while taken.len() < count_max.max(1)
            && let Some(next) = waiting.front()
        {
            bytes += next.byte_len();
            if bytes > bytes_max && !taken.is_empty() {
                break;
            }
            taken.extend(waiting.pop_front());
        }
        if taken.is_empty() {
            rooms.remove(room);
            return None;
        }
        Some(taken)
    }

    /// Pushes that were taken and are still to be made, before all others.
    pub(super) fn put_back(&self, room: &Room, jobs: Vec<Job>) {
        let mut rooms = self.lock();
        let waiting = rooms.entry(room.clone()).or_default();
        for job in jobs.into_iter().rev() {
            waiting.push_front(job);
        }
    }

    /// All pushes of a room.
    pub(super) fn drain(&self, room: &Room) -> Vec<Job> {
        self.lock().get_mut(room).map(|waiting| waiting.drain(..).collect()).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Room, VecDeque<Job>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
