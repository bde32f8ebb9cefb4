//! What the app sees, and what counts as the end of the log, while a room is read in pages.

use syncline_protocol::Value;
use syncline_protocol::message::{Page, event};

use super::bench::*;
use super::server_log::ServerLog;
use crate::engine::io::{Command, RoomPhase};

/// The page of at most one change.
fn first_of(log: &ServerLog, after: u64) -> Page {
    let whole = log.page(after);
    let first: Vec<_> = whole.changes.iter().take(1).cloned().collect();
    let cursor = first.last().map_or(whole.cursor, |document| document.seq);
    Page { more: cursor < whole.cursor, ..page(first, cursor) }
}

#[test]
fn a_confirmed_write_is_shown_though_its_document_stands_on_a_later_page() {
    let mut log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::in_room(&log);
    bench.write(vec![increment("a", 10)]);
    let (ack, push) = bench.expect_push();
    let pushed = log.push(&push);
    bench.answer(ack, &pushed);
    log.write(create("b", 2));
    let change = log.write(increment("a", 100));
    bench.emit(event::SYNC_CHANGES, &change);
    let (ack, pull) = bench.expect_pull();
    // The cursor passes the write, and the document comes with the next page.
    bench.answer(ack, &first_of(&log, pull.cursor));
    assert_eq!(bench.field("a", "n"), Value::Int(11));
    let (ack, pull) = bench.expect_pull();
    bench.answer(ack, &log.page(pull.cursor));
    assert_eq!((bench.field("a", "n"), bench.queued()), (Value::Int(111), 0));
}

#[test]
fn a_page_that_ends_at_the_cursor_is_not_the_last_one_if_it_says_so() {
    let log = ServerLog::of(vec![create("a", 1), create("b", 2), create("c", 3)]);
    let mut bench = Bench::opened();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    let (ack, subscribe) = bench.expect_subscribe();
    // The room is let go and taken again: two requests for the same page are under way.
    bench.call(Command::Unsubscribe { room: room() }).unwrap();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    bench.asked.clear();
    bench.answer(ack, &first_of(&log, subscribe.cursor));
    bench.answer(ack + 2, &first_of(&log, subscribe.cursor));
    assert_ne!(bench.engine.replica.status(&room()).state, RoomPhase::Live);
    assert!(!bench.engine.replica.is_level(&room()));
}
