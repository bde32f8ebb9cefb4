//! When a cache over its cap is written anew, which keeps everybody waiting.

use super::bench::*;
use super::server_log::ServerLog;
use crate::config::Settings;
use crate::engine::io::{AppState, Command};

const CAP_BYTES: u64 = 4 << 20;
const OVER_CAP_BYTES: u64 = 6 << 20;

/// A client whose cache is over its cap, by garbage.
fn over_cap() -> Bench {
    let log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::with(Settings { cache_bytes_max: CAP_BYTES, ..at_once() });
    bench.open();
    bench.enter(&log);
    bench.store.cache_bytes = OVER_CAP_BYTES;
    bench
}

fn background(bench: &mut Bench) {
    bench.call(Command::SetAppState { state: AppState::Background }).unwrap();
}

fn wait_for_flush(bench: &mut Bench) {
    bench.advance_ms(bench.settings.cache_flush_ms);
}

#[test]
fn a_cache_over_its_cap_waits_until_the_app_is_off_the_screen() {
    let mut bench = over_cap();
    wait_for_flush(&mut bench);
    assert_eq!(bench.store.rewrites, 0);
    background(&mut bench);
    assert_eq!(bench.store.rewrites, 0, "what the app's leaving brings about is sent first");
    wait_for_flush(&mut bench);
    assert_eq!(bench.store.rewrites, 1);
}

#[test]
fn a_cache_far_over_its_cap_does_not_wait() {
    let mut bench = over_cap();
    bench.store.cache_bytes = CAP_BYTES * 10;
    wait_for_flush(&mut bench);
    assert_eq!(bench.store.rewrites, 1);
}

#[test]
fn writes_that_are_not_confirmed_go_first() {
    let mut bench = over_cap();
    bench.write(vec![create("b", 1)]);
    background(&mut bench);
    wait_for_flush(&mut bench);
    assert_eq!(bench.store.rewrites, 0);
}

#[test]
fn neither_a_close_nor_the_end_of_a_background_task_waits_for_it() {
    let mut bench = over_cap();
    bench.store.cache_bytes = CAP_BYTES * 10;
    let deadline_ms = bench.settings.cache_flush_ms * 2;
    bench.lose_connection();
    background(&mut bench);
    let task = bench.start(Command::SyncOnce { deadline_ms });
    bench.advance_ms(deadline_ms);
    assert!(bench.replies.contains_key(&task));
    assert_eq!(bench.store.rewrites, 0);
    bench.call(Command::Close).unwrap();
    assert_eq!(bench.store.rewrites, 0);
}
