//! Many seeds on all cores.

use std::cell::RefCell;
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use syncline_protocol::sabotage::{self, Sabotage};

use crate::failure::Failure;
use crate::run::{self, Report};

/// What all seeds of a range came to.
#[derive(Debug)]
pub struct Harvest {
    pub seeds: u64,
    /// Simulated time of all devices, in microseconds.
    pub device_us: u64,
    pub elapsed: Duration,
    /// In the order of seeds.
    pub failures: Vec<Report>,
}

impl Harvest {
    /// Simulated hours of all devices.
    pub fn device_hours(&self) -> f64 {
        Duration::from_micros(self.device_us).as_secs_f64() / 3600.0
    }

    /// How much faster than the devices would have lived it.
    pub fn times_real_time(&self) -> f64 {
        Duration::from_micros(self.device_us).as_secs_f64() / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }
}

/// Runs all seeds, and tells of each failure as it is found.
pub fn run_all(seeds: Range<u64>, print: bool, tell: impl Fn(&Report) + Sync) -> Harvest {
    let started = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let device_us = AtomicU64::new(0);
    let failures = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..if print { 1 } else { workers } {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let report = run_guarded(seed, print);
                    device_us.fetch_add(report.device_us, Ordering::Relaxed);
                    if report.failure.is_some() {
                        tell(&report);
                        failures.lock().unwrap_or_else(PoisonError::into_inner).push(report);
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    failures.sort_by_key(|report| report.seed);
    Harvest {
        seeds: seeds.end.saturating_sub(seeds.start),
        device_us: device_us.into_inner(),
        elapsed: started.elapsed(),
        failures,
    }
}

/// The lowest seed that finds a bug, and what it says.
pub fn first_to_catch(bug: Sabotage, seeds: Range<u64>) -> Option<Report> {
    let next = AtomicU64::new(seeds.start);
    let caught: Mutex<Option<Report>> = Mutex::new(None);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let beaten = |best: &Report| best.seed < seed;
                    let best = || caught.lock().unwrap_or_else(PoisonError::into_inner);
                    if seed >= seeds.end || best().as_ref().is_some_and(beaten) {
                        break;
                    }
                    let report = catch(bug, seed);
                    if report.failure.is_some() && best().as_ref().is_none_or(|best| seed < best.seed) {
                        *best() = Some(report);
                    }
                }
            });
        }
    });
    caught.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// A run with the bug. What fails without it does not count.
fn catch(bug: Sabotage, seed: u64) -> Report {
    sabotage::activate(Some(bug));
    let with_bug = run_guarded(seed, false);
    sabotage::activate(None);
    if with_bug.failure.is_none() {
        with_bug
    } else {
        Report { failure: with_bug.failure.filter(|_| passes(seed)), ..with_bug }
    }
}

fn passes(seed: u64) -> bool {
    run_guarded(seed, false).failure.is_none()
}

std::thread_local! {
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps what a panic said, in the place of printing it.
pub fn keep_panics_quiet() {
    panic::set_hook(Box::new(|info| LAST_PANIC.set(info.to_string())));
}

/// A run whose panics, in the engine or in the hub, are failures.
fn run_guarded(seed: u64, print: bool) -> Report {
    match panic::catch_unwind(AssertUnwindSafe(|| run::run(seed, print))) {
        Ok(report) => report,
        Err(_) => Report {
            seed,
            trace_hash: 0,
            device_us: 0,
            failure: Some(Failure(format!("panic: {}", LAST_PANIC.take()))),
        },
    }
}
