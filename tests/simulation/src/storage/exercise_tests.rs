#![allow(clippy::unwrap_used)]

use std::path::Path;

use syncline_protocol::sabotage::{Sabotage, activate};

use super::*;
use crate::storage::JOURNAL;

const SEEDS: u64 = 500;
const SEEDS_TO_FIND_A_BUG: u64 = 200;

fn first_failure(seeds: u64) -> Option<(u64, String)> {
    (0..seeds).find_map(|seed| run(seed).err().map(|error| (seed, error)))
}

#[test]
fn whatever_happens_what_was_accepted_is_there_and_nothing_else() {
    assert_eq!(first_failure(SEEDS), None);
}

#[test]
fn bugs_of_the_store_are_found() {
    let bugs = [
        Sabotage::SyncSkipped,
        Sabotage::AfterFlushIgnored,
        Sabotage::SyncErrorIgnored,
        Sabotage::DirectorySyncSkipped,
        Sabotage::ChecksumIgnored,
    ];
    for bug in bugs {
        activate(Some(bug));
        let found = first_failure(SEEDS_TO_FIND_A_BUG);
        activate(None);
        assert!(found.is_some(), "{bug:?} was not found");
    }
}

#[test]
fn the_same_seed_does_the_same() {
    let trace = |seed| {
        let mut user = User::new(seed);
        let step = |_| {
            user.step().unwrap();
            (user.storage.disk.operations(), user.storage.disk.contents(Path::new(JOURNAL)))
        };
        (0..STEPS).map(step).collect::<Vec<_>>()
    };
    assert!((0..20).all(|seed| trace(seed) == trace(seed)));
}
