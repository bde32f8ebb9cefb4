//! Opening sled, whose lock can outlive the process or the database that held it by a moment.

use std::path::Path;
use std::time::{Duration, Instant};

/// How long an open waits for the lock of a database closed before, and how often it looks.
const LOCK_WAIT_MS_MAX: u64 = 3_000;
const LOCK_POLL_MS: u64 = 5;

/// Opens the database in a folder. One that is locked is tried again for [`LOCK_WAIT_MS_MAX`]: threads of a database
/// that was just closed still hold it, as does a server that is being replaced.
#[allow(
    clippy::disallowed_methods,
    reason = "sled tells nobody when its threads have ended; the wait is bounded"
)]
pub(super) fn open_unlocked(path: &Path, cache_bytes: u64) -> Result<sled::Db, sled::Error> {
    let config = sled::Config::new().path(path).cache_capacity(cache_bytes).flush_every_ms(None);
    let deadline = Instant::now() + Duration::from_millis(LOCK_WAIT_MS_MAX);
    loop {
        match config.open() {
            Err(error) if is_locked(&error) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(LOCK_POLL_MS));
            }
            opened => return opened,
        }
    }
}

pub(super) fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}
