//! Tells members of rooms of each other, round by round.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use syncline_protocol::Room;
use tokio::sync::Notify;

use crate::gateway::Shared;
use crate::presence::{Notice, Telling};

/// What has happened to rounds since whoever tells looked.
#[derive(Debug, Default)]
pub(crate) struct RoundEnds {
    over: Mutex<Vec<(Room, u64)>>,
    changed: Notify,
}

/// A round under way. Where it is dropped the roster may be locked, so its end is only noted.
struct UnderWay {
    ends: Arc<RoundEnds>,
    room: Room,
    number: u64,
}

impl RoundEnds {
    /// There is something to be told.
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    fn take_over(&self) -> Vec<(Room, u64)> {
        std::mem::take(&mut self.over.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let over = (self.room.clone(), self.number);
        self.ends.over.lock().unwrap_or_else(PoisonError::into_inner).push(over);
        self.ends.wake();
    }
}

impl Shared {
    /// Tells what there is, for ever.
    pub(crate) async fn tell_members(&self) {
        loop {
            let changed = self.round_ends.changed.notified();
            match self.tell_changed_members().await {
                // Either is a reason to look again.
                Some(wait) => drop(tokio::time::timeout(wait, changed).await),
                None => changed.await,
            }
        }
    }

    /// Tells what may be told now. Answers when more may be, unless that is heard of.
    pub(crate) async fn tell_changed_members(&self) -> Option<Duration> {
        loop {
            let next = {
                let mut roster = self.roster();
                for (room, number) in self.round_ends.take_over() {
                    roster.end_round(&room, number);
                }
                let now_ms = self.now_ms();
                roster
                    .next_telling(now_ms)
                    .map_err(|end_ms| end_ms.map(|end_ms| end_ms.saturating_sub(now_ms)))
            };
            match next {
                Ok(Telling { notice: Notice { to, news }, room, number }) => {
                    let round = UnderWay { ends: Arc::clone(&self.round_ends), room, number };
                    self.fanout.tell_in_round(to, news, Box::new(round)).await;
                }
                Err(wait_ms) => return wait_ms.map(Duration::from_millis),
            }
        }
    }
}
