//! What this process holds in memory.

use crate::scenario::BenchError;

/// One line of `/proc/self/status`, in MiB: `VmRSS` is what is held now, `VmHWM` the most that ever was.
pub(crate) fn memory_mib(line: &str) -> Result<f64, BenchError> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let value = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':'));
    let kib = value.and_then(|value| value.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0).ok_or_else(|| BenchError::failed(line, "the system does not tell"))
}
