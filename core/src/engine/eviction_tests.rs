#![allow(clippy::unwrap_used)]

use super::*;

fn candidate(room: &str, last_used_ms: u64, bytes: u64) -> Candidate {
    Candidate { last_used_ms, room: Room::new(room).unwrap(), bytes }
}

fn rewrite(rooms: &[&str]) -> Decision {
    Decision::Rewrite(rooms.iter().map(|room| Room::new(*room).unwrap()).collect())
}

fn excess(cache_bytes: u64, live_bytes: u64, target_bytes: u64) -> Excess {
    Excess { cache_bytes, live_bytes, target_bytes, was_rewritten: false, rewritten_bytes: 0 }
}

#[test]
fn the_least_recently_used_go_until_it_fits() {
    let candidates = || vec![candidate("new", 30, 10), candidate("old", 10, 10), candidate("older", 5, 10)];
    assert_eq!(decide(candidates(), excess(200, 100, 90)), rewrite(&["older"]));
    assert_eq!(decide(candidates(), excess(200, 100, 85)), rewrite(&["older", "old"]));
    assert_eq!(decide(candidates(), excess(200, 100, 10)), rewrite(&["older", "old", "new"]));
}

#[test]
fn garbage_alone_is_reason_enough_to_write_it_anew_once() {
    let mostly_garbage = excess(EMPTY_BYTES * 3, 50, 50);
    assert_eq!(decide(vec![candidate("a", 1, 10)], mostly_garbage), rewrite(&[]));
    assert_eq!(decide(vec![], Excess { was_rewritten: true, ..mostly_garbage }), Decision::InUse);
    assert_eq!(decide(vec![], excess(EMPTY_BYTES / 2, 50, 50)), Decision::Wait);
}

#[test]
fn a_cache_that_takes_more_than_the_guess_is_not_written_anew_again_and_again() {
    let without_garbage = Excess { rewritten_bytes: EMPTY_BYTES * 10, ..excess(EMPTY_BYTES * 11, 50, 50) };
    assert_eq!(decide(vec![], without_garbage), Decision::Wait);
    let grown = Excess { cache_bytes: EMPTY_BYTES * 16, ..without_garbage };
    assert_eq!(decide(vec![], grown), rewrite(&[]));
}

#[test]
fn what_is_in_use_stays_whatever_it_takes() {
    assert_eq!(decide(vec![], excess(200, 100, 50)), Decision::InUse);
}
