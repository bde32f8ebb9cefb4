#![allow(clippy::unwrap_used)]

use super::*;

fn candidate(room: &str, last_used_ms: u64, bytes: u64) -> Candidate {
    Candidate { last_used_ms, room: Room::new(room).unwrap(), bytes }
}

fn rewrite(rooms: &[&str]) -> Decision {
    Decision::Rewrite(rooms.iter().map(|room| Room::new(*room).unwrap()).collect())
}

#[test]
fn the_least_recently_used_go_until_it_fits() {
    let candidates = || vec![candidate("new", 30, 10), candidate("old", 10, 10), candidate("older", 5, 10)];
    assert_eq!(decide(candidates(), 100, 90, false), rewrite(&["older"]));
    assert_eq!(decide(candidates(), 100, 85, false), rewrite(&["older", "old"]));
    assert_eq!(decide(candidates(), 100, 10, false), rewrite(&["older", "old", "new"]));
}

#[test]
fn garbage_alone_is_reason_enough_to_write_it_anew() {
    assert_eq!(decide(vec![candidate("a", 1, 10)], 50, 50, true), rewrite(&[]));
}

#[test]
fn what_is_in_use_stays_whatever_it_takes() {
    assert_eq!(decide(vec![], 100, 50, false), Decision::Nothing);
}
