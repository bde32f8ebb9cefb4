//! The clock that goes on while the device sleeps.

#[cfg(unix)]
use rustix::time::{ClockId, clock_gettime};

/// Apple's monotonic clock counts sleep, Linux has another one that does.
#[cfg(any(target_os = "linux", target_os = "android"))]
const WITH_SLEEP: ClockId = ClockId::Boottime;
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
const WITH_SLEEP: ClockId = ClockId::Monotonic;

/// Milliseconds on that clock, whose zero means nothing; `None` where the system has none.
pub(crate) fn lived_ms() -> Option<u64> {
    #[cfg(unix)]
    {
        let time = clock_gettime(WITH_SLEEP);
        let (seconds, nanos) = (u64::try_from(time.tv_sec).ok()?, u64::try_from(time.tv_nsec).ok()?);
        Some(seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000))
    }
    #[cfg(not(unix))]
    None
}
