//! What a process takes: memory and time.

use rustix::time::{ClockId, clock_gettime};

use crate::scenario::BenchError;

/// One line of this process's status, in MiB: `VmRSS` is what is held now, `VmHWM` the most that ever was.
pub(crate) fn memory_mib(line: &str) -> Result<f64, BenchError> {
    memory_mib_of(std::process::id(), line)
}

/// The same of any process.
pub(crate) fn memory_mib_of(process: u32, line: &str) -> Result<f64, BenchError> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let value = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':'));
    let kib = value.and_then(|value| value.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0).ok_or_else(|| BenchError::failed(line, "the system does not tell"))
}

/// The processor's time that this process has used, in microseconds.
pub(crate) fn cpu_us() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    #[allow(clippy::cast_precision_loss)]
    let (seconds, nanoseconds) = (used.tv_sec as f64, used.tv_nsec as f64);
    seconds * 1e6 + nanoseconds / 1e3
}

/// In which Linux tells a process's times, on every kind of machine.
const TICKS_PER_S: f64 = 100.0;

/// The same of any process, in seconds.
pub(crate) fn cpu_s_of(process: u32) -> Result<f64, BenchError> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // After the program's name, which may hold anything, the times are the 12th and 13th.
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields.split_whitespace().skip(11).take(2));
    let ticks: Option<Vec<f64>> = fields.and_then(|ticks| ticks.map(|ticks| ticks.parse().ok()).collect());
    let ticks = ticks.ok_or_else(|| BenchError::failed("a process's times", "the system does not tell"))?;
    Ok(ticks.iter().sum::<f64>() / TICKS_PER_S)
}
