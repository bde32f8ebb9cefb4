//! Opened and closed a thousand times, as by an app in development, the client leaves nothing behind.

use syncline_faults::cases;
use syncline_integration::TestServer;
use tempfile::TempDir;

use crate::process::Process;

/// What the allocator may keep besides, in KiB.
const GROWTH_KIB_MAX: u64 = 2 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_thousand_cycles_leave_threads_handles_and_memory_as_they_were() {
    let (data, directory) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = TestServer::start(data.path()).await;
    let cycles = cases(1_000, 5_000).to_string();
    let mut process =
        Process::start("cycle", [directory.path().as_os_str(), server.url().as_ref(), cycles.as_ref()]);
    let mut footprints = Vec::new();
    let mut last = "nothing".to_owned();
    while let Some(line) = process.hear_after(&last).await {
        last = line;
        let Some(line) = last.strip_prefix("footprint ") else { continue };
        let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
        footprints.push(<[u64; 3]>::try_from(numbers).unwrap());
    }
    println!("{cycles} cycles: threads, handles, KiB {footprints:?}");
    let [[threads, handles, resident_kib], after] = footprints[..] else { panic!("it ended after {last:?}") };
    assert!(after[0] <= threads, "threads: {footprints:?}");
    assert!(after[1] <= handles, "handles: {footprints:?}");
    assert!(after[2] <= resident_kib + GROWTH_KIB_MAX, "memory: {footprints:?}");
    server.stop().await;
}
