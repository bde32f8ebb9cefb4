//! What this process takes: memory and time.

use crate::scenario::BenchError;

/// One line of `/proc/self/status`, in MiB: `VmRSS` is what is held now, `VmHWM` the most that ever was.
pub(crate) fn memory_mib(line: &str) -> Result<f64, BenchError> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let value = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':'));
    let kib = value.and_then(|value| value.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0).ok_or_else(|| BenchError::failed(line, "the system does not tell"))
}

/// The processor's time that this process has used, in microseconds; its clock ticks every 10 ms.
pub(crate) fn cpu_us() -> Result<f64, BenchError> {
    const US_PER_TICK: f64 = 10_000.0;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name, in parentheses, may hold spaces; user and system time are the 12th and 13th fields after it.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    let ticks = fields.map(str::parse::<f64>).sum::<Result<f64, _>>();
    ticks.map(|ticks| ticks * US_PER_TICK).map_err(|error| BenchError::failed("/proc/self/stat", error))
}
