//! When the rights of live connections are looked at again.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior};

use crate::config::Config;

/// Tells all connections to look again.
#[derive(Debug)]
pub(crate) struct Rechecks {
    generation: watch::Sender<u64>,
    /// None where the rights follow from the token alone.
    interval: Option<Duration>,
}

impl Rechecks {
    pub(crate) fn new(config: &Config) -> Self {
        let interval = Duration::from_millis(config.security.recheck_ms.max(1));
        Self {
            generation: watch::Sender::new(0),
            interval: config.hooks.authorize.is_some().then_some(interval),
        }
    }

    pub(crate) fn all(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }

    pub(crate) fn subscribe(&self) -> Recheck {
        let timer = self.interval.map(|interval| {
            let mut timer = tokio::time::interval_at(tokio::time::Instant::now() + interval, interval);
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
            timer
        });
        Recheck { generation: self.generation.subscribe(), timer }
    }
}

/// One connection's end of it.
#[derive(Debug)]
pub(crate) struct Recheck {
    generation: watch::Receiver<u64>,
    timer: Option<Interval>,
}

impl Recheck {
    /// Waits until it is time to look, and gives itself back for the next time.
    pub(crate) async fn due(mut self) -> Self {
        let timer = async {
            match &mut self.timer {
                Some(timer) => timer.tick().await,
                None => std::future::pending().await,
            }
        };
        let told = async {
            if self.generation.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            _ = timer => {}
            () = told => {}
        }
        self
    }
}
