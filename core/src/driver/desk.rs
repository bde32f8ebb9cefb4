//! A message is sent by whoever has it: the driver lies on a desk between its turns, and a caller may take one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Context;

use tokio::sync::mpsc;

use super::{Call, Running, read_clocks};
use crate::engine::io::{Command, Output};

/// Where a running driver lies between its turns, for whoever takes the next one.
#[derive(Default)]
pub(crate) struct Desk(Mutex<Option<Running>>);

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Desk")
    }
}

impl Desk {
    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends what a panic left.
    pub(crate) fn clear(&self) {
        drop(self.lock().take());
    }

    /// Carries out, on the caller's thread, a call that only sends a message, if nobody else is served: where more are, one write
    /// for many of their messages costs less than the change of threads. `calls` is where it is put otherwise.
    pub(crate) fn take(&self, call: Call, calls: &mpsc::Sender<Call>) -> Result<(), Call> {
        let Ok(mut desk) = self.0.try_lock() else { return Err(call) };
        let Some(running) = desk.as_mut() else { return Err(call) };
        // What was called earlier comes first.
        if calls.capacity() < calls.max_capacity() || !running.is_free_for(&call.command) {
            return Err(call);
        }
        let waker = running.waker.clone();
        let turn = catch_unwind(AssertUnwindSafe(|| running.take_callers_turn(call)));
        if turn.is_err() {
            // The driver finds nothing, and ends as by a panic of its own.
            *desk = None;
        }
        let is_driver_needed = desk.as_ref().is_none_or(|running| running.is_left_over);
        drop(desk);
        if is_driver_needed && let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }
}

impl Running {
    /// Nobody is served, nothing waits, and the command only sends.
    fn is_free_for(&self, command: &Command) -> bool {
        let is_at_rest = self.waiting.is_empty() && self.outputs.is_empty() && !self.is_left_over;
        is_at_rest && !self.engine.needs_commit() && self.engine.only_sends(command)
    }

    /// A turn for a call that only sends a message. What it does beyond that is left to the driver, in the order of a turn.
    fn take_callers_turn(&mut self, call: Call) {
        let span = self.span.clone();
        let _entered = span.enter();
        self.now = read_clocks(self.started);
        self.take_call(call);
        let only_sends = |output: &Output| matches!(output, Output::Send(_) | Output::Reply(..));
        self.is_left_over = self.engine.needs_commit() || !self.outputs.iter().all(only_sends);
        if !self.is_left_over {
            self.transmit();
            self.is_left_over = !self.write() || self.deadline() < self.alarm_at;
        }
    }

    /// Writes what the network takes. Returns whether nothing is left for the driver.
    fn write(&mut self) -> bool {
        let Some(waker) = &self.waker else { return false };
        let mut cx = Context::from_waker(waker);
        self.connection.as_mut().is_none_or(|connection| connection.socket.write(&mut cx))
    }
}
