//! Whether the clients of the façade have come to rest, for a host that asks the system for time until then.

use std::collections::BTreeSet;
use std::sync::Arc;

use once_cell::sync::Lazy;
use syncline::Event;
use syncline::engine::io::ConnectionState;
use tokio::sync::watch;

use crate::background;
use crate::cancel::CancelHandle;

/// What clients need time for, by their handles.
static BUSY: Lazy<watch::Sender<BTreeSet<(u64, Need)>>> = Lazy::new(watch::Sender::default);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    /// There is a connection, or it is tried for.
    Connection,
    /// A write or a job is under way, which may be a request that needs no such connection.
    Queue,
}

/// What is known of one client; forgotten with it.
pub(crate) struct Activity {
    client: u64,
}

impl Activity {
    pub(crate) fn of(client: u64) -> Self {
        Self { client }
    }

    pub(crate) fn note(&self, events: &[Event]) {
        for event in events {
            match event {
                Event::Connection { status } => self.set_busy(Need::Connection, is_connected(status.state)),
                Event::Queue { status } => self.set_busy(Need::Queue, status.processing),
                _ => {}
            }
        }
    }

    fn set_busy(&self, need: Need, is_busy: bool) {
        let entry = (self.client, need);
        BUSY.send_if_modified(|busy| if is_busy { busy.insert(entry) } else { busy.remove(&entry) });
    }
}

fn is_connected(state: ConnectionState) -> bool {
    match state {
        ConnectionState::Connecting | ConnectionState::Open | ConnectionState::Backoff => true,
        ConnectionState::Idle
        | ConnectionState::Suspended
        | ConnectionState::Offline
        | ConnectionState::Unauthorized
        | ConnectionState::Closed => false,
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        self.set_busy(Need::Connection, false);
        self.set_busy(Need::Queue, false);
    }
}

/// Returns when no client of the façade has a connection or tries for one, as in the background after `backgroundGraceMs`, none
/// has a write or a job under way, and the device keeps what rounds in the background need. Sooner if `cancel` is cancelled.
#[uniffi::export]
pub async fn json_at_rest(cancel: Arc<CancelHandle>) {
    background::settle();
    let mut busy = BUSY.subscribe();
    tokio::select! {
        biased;
        () = cancel.wait() => {}
        // Its sender is never dropped.
        _ = busy.wait_for(BTreeSet::is_empty) => {}
    }
}
