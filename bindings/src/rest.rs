//! Whether the clients of the façade have come to rest, for a host that asks the system for time until then.

use std::collections::BTreeSet;
use std::sync::Arc;

use once_cell::sync::Lazy;
use syncline::Event;
use syncline::engine::io::ConnectionState;
use tokio::sync::watch;

use crate::background;
use crate::cancel::CancelHandle;

/// The handles of those that have a connection, or try for one.
static BUSY: Lazy<watch::Sender<BTreeSet<u64>>> = Lazy::new(watch::Sender::default);

/// What is known of one client; forgotten with it.
pub(crate) struct Activity {
    client: u64,
}

impl Activity {
    pub(crate) fn of(client: u64) -> Self {
        Self { client }
    }

    pub(crate) fn note(&self, events: &[Event]) {
        let states = events.iter().filter_map(|event| match event {
            Event::Connection { status } => Some(status.state),
            _ => None,
        });
        let Some(state) = states.last() else { return };
        self.set_busy(match state {
            ConnectionState::Connecting | ConnectionState::Open | ConnectionState::Backoff => true,
            ConnectionState::Idle
            | ConnectionState::Suspended
            | ConnectionState::Offline
            | ConnectionState::Unauthorized
            | ConnectionState::Closed => false,
        });
    }

    fn set_busy(&self, is_busy: bool) {
        BUSY.send_if_modified(
            |busy| if is_busy { busy.insert(self.client) } else { busy.remove(&self.client) },
        );
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        self.set_busy(false);
    }
}

/// Returns when no client of the façade has a connection or tries for one, as in the background after `backgroundGraceMs`, and
/// the device keeps what rounds in the background need. Sooner if `cancel` is cancelled.
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
