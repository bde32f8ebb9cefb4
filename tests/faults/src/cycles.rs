//! A client that is opened and closed again and again, and what its process holds of the system meanwhile.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use syncline_integration::{Device, config};

use crate::drained;

const ROOM: &str = "user:ada";
/// Cycles until every pool and cache of the process has its size.
const WARM_UP: u64 = 500;
/// How often a cycle connects and synchronizes.
const ONLINE_EVERY: u64 = 10;

/// How long threads have to end before they are first counted.
const SETTLING: Duration = Duration::from_secs(3);
/// How long they may take afterwards, until there are no more than then.
const SETTLING_MAX: Duration = Duration::from_secs(20);

/// What a process holds of the system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Footprint {
    pub threads: u64,
    pub handles: u64,
    pub resident_kib: u64,
}

impl Footprint {
    /// Of this process.
    pub fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let field = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let handles = fs::read_dir("/proc/self/fd").unwrap().count() as u64;
        Self { threads: field("Threads:"), handles, resident_kib: field("VmRSS:") }
    }

    /// Waits until there are no more threads and handles than `wanted`, for a while: a thread ends a little after
    /// its work.
    async fn settled(wanted: Self, within: Duration) -> Self {
        let started = Instant::now();
        loop {
            let now = Self::now();
            let is_settled = now.threads <= wanted.threads && now.handles <= wanted.handles;
            if is_settled || started.elapsed() > within {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn cycle(number: u64, url: &str, directory: &Path) {
    let is_online = number.is_multiple_of(ONLINE_EVERY);
    let mut config = config("ada", &[], url, directory);
    config.auto_connect = is_online;
    let device = Device::open(config).await.unwrap();
    let id = format!("n{}", number % 50);
    device.write(ROOM, &id, json!({"create": {"cycle": number}})).await.unwrap();
    if is_online {
        device.watch(ROOM).await;
        drained(&device, &[ROOM]).await;
    }
    device.close().await;
}

/// Tells `say` the footprint after a warm-up, and after `cycles` more, as `footprint THREADS HANDLES KIB`; and
/// `cycle N` now and then.
pub async fn run(directory: &Path, url: &str, cycles: u64, say: &dyn Fn(&str)) {
    let tell = |Footprint { threads, handles, resident_kib }| {
        say(&format!("footprint {threads} {handles} {resident_kib}"));
    };
    run_range(0..WARM_UP, directory, url, say).await;
    let before = Footprint::settled(Footprint::default(), SETTLING).await;
    tell(before);
    run_range(WARM_UP..WARM_UP + cycles, directory, url, say).await;
    tell(Footprint::settled(before, SETTLING_MAX).await);
}

async fn run_range(cycles: Range<u64>, directory: &Path, url: &str, say: &dyn Fn(&str)) {
    for number in cycles {
        if number.is_multiple_of(ONLINE_EVERY) {
            say(&format!("cycle {number}"));
        }
        cycle(number, url, directory).await;
    }
}
