//! How long a job may wait, whatever the device's clock says meanwhile.

use super::bench::*;
use super::jobs::{dead_letters, enqueue, event, handler, jobs, leases};
use crate::engine::io::Input;
use crate::engine::queue::command::{JobCommand, NewJob};
use crate::error::Code;
use crate::job::DeadReason;

const YEARS_10_MS: u64 = 10 * 365 * 24 * 60 * 60 * 1000;
const TTL_MS: u64 = 5_000;

fn expiring(name: &str) -> NewJob {
    NewJob { ttl_ms: Some(Some(TTL_MS)), ..event(name, 1) }
}

#[test]
fn a_job_that_waits_too_long_expires_and_one_without_a_limit_does_not() {
    let mut bench = Bench::new();
    let job = enqueue(&mut bench, expiring("a"));
    let lasting = enqueue(&mut bench, NewJob { ttl_ms: Some(None), ..event("b", 1) });
    bench.crash();
    bench.advance_ms(1);
    bench.input(Input::Tick);
    bench.advance_ms(2 * TTL_MS);
    assert_eq!(dead_letters(&mut bench), [(job, DeadReason::Expired)]);
    bench.now.wall_ms += YEARS_10_MS;
    bench.now.lived_ms += YEARS_10_MS;
    bench.input(Input::Tick);
    assert!(bench.engine.jobs.held(lasting).is_some());
}

#[test]
fn a_clock_that_is_set_forward_ends_no_job() {
    let mut bench = Bench::new();
    let job = enqueue(&mut bench, expiring("a"));
    bench.now.wall_ms += YEARS_10_MS;
    bench.advance_ms(TTL_MS - 1);
    bench.input(Input::Tick);
    assert_eq!(dead_letters(&mut bench), []);
    bench.advance_ms(1);
    assert_eq!(dead_letters(&mut bench), [(job, DeadReason::Expired)]);
}

#[test]
fn a_clock_that_is_set_back_keeps_no_job() {
    let mut bench = Bench::new();
    let first = enqueue(&mut bench, expiring("a"));
    bench.now.wall_ms -= YEARS_10_MS;
    let second = enqueue(&mut bench, expiring("b"));
    bench.advance_ms(TTL_MS);
    assert_eq!(dead_letters(&mut bench), [(first, DeadReason::Expired), (second, DeadReason::Expired)]);
}

#[test]
fn a_clock_that_was_set_back_while_the_client_was_closed_keeps_a_job_no_longer_than_its_time() {
    let mut bench = Bench::new();
    let job = enqueue(&mut bench, expiring("a"));
    bench.crash();
    bench.now.wall_ms -= YEARS_10_MS;
    bench.input(Input::Tick);
    bench.advance_ms(TTL_MS - 1);
    assert_eq!(dead_letters(&mut bench), []);
    bench.advance_ms(1);
    assert_eq!(dead_letters(&mut bench), [(job, DeadReason::Expired)]);
    jobs(&mut bench, JobCommand::Retry { job, work: None }).unwrap();
    bench.advance_ms(TTL_MS - 1);
    assert_eq!(dead_letters(&mut bench), [], "retried, it has its whole time again");
}

#[test]
fn the_time_that_the_device_sleeps_counts() {
    let mut bench = Bench::new();
    let job = enqueue(&mut bench, expiring("a"));
    // The clock that times are waited for on stands still meanwhile.
    bench.now.lived_ms += TTL_MS;
    bench.input(Input::Tick);
    assert_eq!(dead_letters(&mut bench), [(job, DeadReason::Expired)]);
}

#[test]
fn a_dead_letter_that_is_retried_has_its_whole_time_again() {
    let mut bench = Bench::new();
    let job = enqueue(&mut bench, expiring("a"));
    bench.advance_ms(TTL_MS);
    bench.now.wall_ms += YEARS_10_MS;
    jobs(&mut bench, JobCommand::Retry { job, work: None }).unwrap();
    bench.advance_ms(TTL_MS - 1);
    assert_eq!(dead_letters(&mut bench), []);
    bench.advance_ms(1);
    assert_eq!(dead_letters(&mut bench), [(job, DeadReason::Expired)]);
}

#[test]
fn a_lease_is_not_extended_beyond_the_time_to_live_of_its_job() {
    let mut bench = Bench::new();
    let job = enqueue(&mut bench, NewJob { ttl_ms: Some(Some(TTL_MS)), ..handler("upload", 1) });
    jobs(&mut bench, JobCommand::RegisterHandlers { keys: vec!["upload".to_owned()] }).unwrap();
    let [(_, lease)] = leases(&mut bench)[..] else { panic!("not leased") };
    bench.advance_ms(TTL_MS - 1);
    jobs(&mut bench, JobCommand::ExtendLease { job, lease }).unwrap();
    bench.advance_ms(1);
    let error = jobs(&mut bench, JobCommand::ExtendLease { job, lease }).unwrap_err();
    assert_eq!(error.code, Code::Conflict);
    bench.advance_ms(bench.settings.job_lease_ms);
    assert_eq!(dead_letters(&mut bench), [(job, DeadReason::Expired)]);
}
