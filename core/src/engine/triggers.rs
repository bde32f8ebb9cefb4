//! What sets a round of synchronization in motion besides the connection itself, and who waits for its end.

use std::collections::BTreeSet;

use syncline_protocol::Room;
use syncline_protocol::gather::Gather as _;

use super::Engine;
use super::io::{ConnectionState, Now, Output, Reply, RequestId, RoomPhase};
use super::outbox::Unanswered;
use crate::error::{Code, Error};
use crate::job::JobId;
use crate::store::Store;

/// A command that is answered once something has come about.
#[derive(Debug)]
pub(super) struct Waiter {
    request: RequestId,
    goal: Goal,
    /// Jobs up to this number are waited for, too, where writes are.
    jobs_through: JobId,
    /// On the monotonic clock.
    deadline_us: u64,
}

#[derive(Debug)]
enum Goal {
    /// These rooms have caught up with the server.
    Pulled { rooms: BTreeSet<Room> },
    /// The server has answered every write up to this number.
    Flushed { through: u64 },
    /// Both, for every followed room. The connection is kept open for it.
    Synced { through: u64 },
}

/// Who waits, and when the next round is due by itself.
#[derive(Debug, Default)]
pub(super) struct Triggers {
    waiters: Vec<Waiter>,
    sync_at_us: Option<u64>,
}

impl Triggers {
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.waiters.iter().map(|waiter| waiter.deadline_us).chain(self.sync_at_us).min()
    }

    /// Whether somebody waits until what the server applied is in the cache.
    pub(super) fn awaits_confirmation(&self) -> bool {
        self.waiters.iter().any(|waiter| matches!(waiter.goal, Goal::Synced { .. }))
    }

    pub(super) fn is_awaited(&self) -> bool {
        !self.waiters.is_empty()
    }

    /// A write is sent again under another number.
    pub(super) fn handle_renumbered(&mut self, old: u64, new: u64) {
        for waiter in &mut self.waiters {
            match &mut waiter.goal {
                Goal::Flushed { through } | Goal::Synced { through } if *through >= old => {
                    *through = new.max(*through);
                }
                _ => {}
            }
        }
    }
}

impl Engine {
    /// Connects without backoff, pulls and drains.
    pub(super) fn sync_now(&mut self, now: Now, out: &mut Vec<Output>) {
        self.outbox.hurry(self.identity.last_client_seq);
        self.jobs.hurry();
        self.triggers.sync_at_us = None;
        // Also where a task has opened the session, which would end with the task.
        let step = self.session.handle_sync_now(now);
        self.apply_step(now, step, out);
        if self.session.is_open() {
            self.ask_for_news(now, out);
        }
    }

    /// Finds out what live changes may have failed to tell.
    fn ask_for_news(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.ping_at_us.is_some() {
            return self.ping(now, self.settings.request_timeout_ms, out);
        }
        // A backend that said no hello may know no ping.
        for room in self.followed_rooms() {
            self.subscribe_room(&room);
        }
    }

    /// A round that nobody asked for, if it is due. Without a connection there is nothing to ask: the next attempt has a
    /// time of its own, which the server may have set.
    pub(super) fn sync_if_due(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.triggers.sync_at_us.is_none_or(|at_us| at_us > now.mono_us) {
            return;
        }
        self.triggers.sync_at_us = None;
        if self.session.is_open() {
            self.ask_for_news(now, out);
        }
    }

    /// Plans the next round, while the app is on screen and wants a connection.
    pub(super) fn plan_next_sync(&mut self, now: Now) {
        let interval_ms = self.settings.sync_interval_ms;
        let planned = self.triggers.sync_at_us.unwrap_or_else(|| now.after_ms(interval_ms));
        let wanted = interval_ms > 0 && self.session.is_wanted_in_foreground();
        self.triggers.sync_at_us = wanted.then_some(planned);
    }

    /// Asks the server what is new in a room, or in all of them.
    pub(super) fn pull_rooms(
        &mut self,
        now: Now,
        request: RequestId,
        room: Option<Room>,
    ) -> Result<(), Error> {
        if let Some(room) = room.as_ref().filter(|room| !self.replica.is_followed(room)) {
            return Err(Error::new(Code::NotFound, format!("room {room} is not subscribed")));
        }
        let rooms = room.map_or_else(|| self.followed_rooms(), |room| vec![room]);
        if self.session.is_open() {
            rooms.iter().for_each(|room| self.pull_again(room));
        }
        let goal = Goal::Pulled { rooms: rooms.into_iter().gather() };
        self.wait_for(goal, request, now.after_ms(self.settings.sync_timeout_ms));
        Ok(())
    }

    /// Sends what was written so far, without waiting for more.
    pub(super) fn flush_outbox(&mut self, now: Now, request: RequestId) {
        let through = self.identity.last_client_seq;
        self.outbox.hurry(through);
        self.jobs.hurry();
        self.wait_for(Goal::Flushed { through }, request, now.after_ms(self.settings.sync_timeout_ms));
    }

    /// Connects if need be, whatever the app's state is; pulls and drains; then the connection is again what the
    /// app's state wants.
    pub(super) fn sync_once(
        &mut self,
        now: Now,
        request: RequestId,
        deadline_ms: u64,
        out: &mut Vec<Output>,
    ) {
        let through = self.identity.last_client_seq;
        self.outbox.hurry(through);
        self.jobs.hurry();
        if self.session.is_open() {
            if self.ping_at_us.is_some() && !self.session.is_wanted_in_foreground() {
                // The socket may have died while the app was frozen, and a task has little time.
                self.ping(now, self.settings.probe_timeout_ms, out);
            }
            self.followed_rooms().iter().for_each(|room| self.pull_again(room));
        }
        let step = self.session.handle_task_begin(now);
        self.apply_step(now, step, out);
        self.wait_for(Goal::Synced { through }, request, now.after_ms(deadline_ms));
    }

    fn wait_for(&mut self, goal: Goal, request: RequestId, deadline_us: u64) {
        let jobs_through = self.jobs.last_id();
        self.triggers.waiters.push(Waiter { request, goal, jobs_through, deadline_us });
    }

    fn followed_rooms(&self) -> Vec<Room> {
        self.replica.rooms().map(|(room, _)| room.clone()).collect()
    }

    /// Answers whoever has waited long enough. Called at the end of each turn.
    pub(super) fn answer_waiters(&mut self, now: Now, store: &mut dyn Store, out: &mut Vec<Output>) {
        let answered = |engine: &Self| {
            let mut waiters = engine.triggers.waiters.iter().enumerate();
            waiters.find_map(|(place, waiter)| Some((place, engine.answer_to(waiter, now)?)))
        };
        // One at a time: the end of a task may end the connection that another waits for.
        while let Some((place, answer)) = answered(self) {
            let waiter = self.triggers.waiters.remove(place);
            out.push(Output::Reply(waiter.request, answer));
            if let Goal::Synced { .. } = waiter.goal {
                let step = self.session.handle_task_end(now);
                self.apply_step(now, step, out);
                // The system may end the process as soon as the task is done.
                self.flush(now, store);
            }
        }
    }

    fn answer_to(&self, waiter: &Waiter, now: Now) -> Option<Result<Reply, Error>> {
        if self.closed {
            return Some(Err(Error::closed()));
        }
        let late = (waiter.deadline_us <= now.mono_us)
            .then(|| Error::new(Code::Timeout, "the server did not answer in time"));
        let result = match &waiter.goal {
            Goal::Pulled { rooms } => self.rooms_caught_up(rooms.iter()),
            Goal::Flushed { through } => {
                let jobs = self.jobs_answered(now, waiter.jobs_through);
                self.writes_answered(*through).and_then(|writes| jobs.map(|jobs| writes.and(jobs)))
            }
            Goal::Synced { through } => {
                let jobs = self.jobs_answered(now, waiter.jobs_through);
                // A lane that waits goes on before the deadline, perhaps.
                let in_time = self.jobs.next_lane_us().is_some_and(|at_us| at_us <= waiter.deadline_us);
                let jobs = jobs.filter(|jobs| jobs.is_ok() || !in_time);
                return self.synced(*through, jobs, late).map(Ok);
            }
        };
        let result = result.or_else(|| late.or_else(|| self.hindrance()).map(Err));
        result.map(|result| result.map(|()| Reply::Done {}))
    }

    /// Why nothing will come from the server for now. Nothing while it is being connected.
    fn hindrance(&self) -> Option<Error> {
        match self.session.state() {
            ConnectionState::Open | ConnectionState::Connecting => None,
            _ => Some(self.reason()),
        }
    }

    fn reason(&self) -> Error {
        let reason = self.session.reason().cloned();
        reason.unwrap_or_else(|| Error::new(Code::Offline, "there is no connection"))
    }

    /// Whether the server has nothing more for these rooms; an error if it refuses one of them.
    fn rooms_caught_up<'a>(&self, rooms: impl Iterator<Item = &'a Room>) -> Option<Result<(), Error>> {
        let mut result = Ok(());
        if !self.session.is_open() {
            return None;
        }
        // A room that was let go has nothing to catch up with.
        for followed in rooms.filter_map(|room| self.replica.room(room)) {
            match (followed.phase, &followed.error) {
                (RoomPhase::Live, _) => {}
                // Also one that is refused for now: it may take any time.
                (RoomPhase::Denied | RoomPhase::Waiting, Some(error)) => result = Err(error.clone()),
                _ => return None,
            }
        }
        Some(result)
    }

    /// Whether the server has answered every write up to this number; an error if it will not for now.
    fn writes_answered(&self, through: u64) -> Option<Result<(), Error>> {
        match self.outbox.unanswered(through) {
            Unanswered::None => Some(Ok(())),
            Unanswered::Some => None,
            Unanswered::OnlyDenied(room) => {
                let error = self.replica.room(room).and_then(|followed| followed.error.clone());
                let denied = || Error::new(Code::Forbidden, format!("room {room} may not be written to"));
                Some(Err(error.unwrap_or_else(denied)))
            }
        }
    }

    fn synced(&self, through: u64, jobs: Option<Result<(), Error>>, late: Option<Error>) -> Option<Reply> {
        let reply = |reason: Option<Error>| Reply::SyncedOnce {
            complete: reason.is_none(),
            pending: self.outbox.len(),
            reason: reason.map(Into::into),
        };
        if !self.session.is_open() {
            // A token may come yet, and another attempt is made.
            let ended = matches!(self.session.state(), ConnectionState::Idle | ConnectionState::Closed);
            return (ended || late.is_some()).then(|| reply(Some(self.reason())));
        }
        // A room that is refused for now is asked for again before the deadline, perhaps.
        let retried = self.replica.rooms().any(|(_, followed)| followed.retry_at_us.is_some());
        let rooms = self.rooms_caught_up(self.replica.rooms().map(|(room, _)| room));
        match (rooms, self.writes_answered(through), jobs) {
            (Some(rooms), Some(writes), Some(jobs)) if !retried && !self.outbox.has_unconfirmed(through) => {
                Some(reply(rooms.and(writes).and(jobs).err()))
            }
            _ => late.map(|late| reply(Some(late))),
        }
    }
}
