//! What whole runs promise: the same seed, the same trace; and a bug does not go unnoticed.

use syncline_protocol::sabotage::Sabotage;
use syncline_simulation::{farm, run};

#[test]
fn a_seed_gives_the_same_run_again() {
    for seed in [1, 2, 3, 4, 5, 6] {
        assert_eq!(run::run(seed, false), run::run(seed, false), "seed {seed}");
    }
}

#[test]
fn seeds_differ() {
    assert_ne!(run::run(1, false).trace_hash, run::run(2, false).trace_hash);
}

#[test]
fn a_run_does_not_depend_on_the_runs_beside_it() {
    let alone = run::run(7, false);
    let all = farm::run_all(0..20, false, |_| {});
    assert_eq!(run::run(7, false), alone);
    assert_eq!(all.seeds, 20);
}

#[test]
fn runs_without_a_bug_pass() {
    let harvest = farm::run_all(0..60, false, |_| {});
    assert_eq!(harvest.failures, []);
    assert!(harvest.device_hours() > 0.5, "{} device-hours", harvest.device_hours());
}

#[test]
fn a_bug_is_found_and_the_first_seed_that_does_so_is_told() {
    let first = farm::first_to_catch(Sabotage::IncrementTwice, 0..20);
    let seeds = first.map(|report| report.seed);
    assert!(seeds.is_some());
    assert_eq!(seeds, farm::first_to_catch(Sabotage::IncrementTwice, 0..20).map(|report| report.seed));
}
