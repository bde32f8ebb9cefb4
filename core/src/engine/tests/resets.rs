//! Reading a room from nothing, in pages, and being told to start over.

use syncline_protocol::Value;
use syncline_protocol::message::{MutationResult, MutationStatus, Page, PushAnswer, event};

use super::bench::*;
use super::server_log::{ServerLog, result};
use crate::engine::io::{Command, RoomPhase, RoomStatus};

fn status(bench: &mut Bench) -> RoomStatus {
    bench.engine.replica.status(&room())
}

/// The first page after 0 of a log, with a single change.
fn first_page(log: &ServerLog) -> Page {
    let first = log.page(0).changes.into_iter().next().unwrap();
    let cursor = first.seq;
    Page { more: true, snapshot: Some(log.head), ..page(vec![first], cursor) }
}

/// A client that holds the first page of a log of three documents, and has asked for the next.
fn reading(log: &ServerLog) -> Bench {
    let mut bench = Bench::opened();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    let (ack, subscribe) = bench.expect_subscribe();
    assert_eq!((subscribe.cursor, subscribe.snapshot), (0, None));
    bench.answer(ack, &first_page(log));
    bench
}

fn three() -> ServerLog {
    ServerLog::of(vec![create("a", 1), create("b", 1), create("c", 1)])
}

#[test]
fn a_reading_from_nothing_says_when_it_began_until_it_is_through() {
    let mut log = three();
    let mut bench = reading(&log);
    let (ack, pull) = bench.expect_pull();
    assert_eq!((pull.cursor, pull.snapshot), (1, Some(3)));
    let second = log.page(1).changes.into_iter().take(1).collect();
    bench.answer(ack, &Page { more: true, ..page(second, 2) });
    let (ack, pull) = bench.expect_pull();
    assert_eq!((pull.cursor, pull.snapshot), (2, Some(3)));
    bench.answer(ack, &log.page(2));
    assert!(status(&mut bench).complete);
    log.write(create("d", 1));
    bench.reconnect();
    let (_, subscribe) = bench.expect_subscribe();
    assert_eq!((subscribe.cursor, subscribe.snapshot), (3, None));
}

#[test]
fn a_reading_from_nothing_goes_on_after_a_lost_connection_and_a_restart() {
    let log = three();
    let mut bench = reading(&log);
    bench.reconnect();
    let (_, subscribe) = bench.expect_subscribe();
    assert_eq!((subscribe.cursor, subscribe.snapshot), (1, Some(3)));
    bench.advance_ms(bench.settings.cache_flush_ms);
    bench.crash();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    bench.open();
    let (ack, subscribe) = bench.expect_subscribe();
    assert_eq!((subscribe.cursor, subscribe.snapshot), (1, Some(3)));
    bench.answer(ack, &log.page(1));
    for id in ["a", "b", "c"] {
        assert!(bench.row(id).is_some(), "{id} is missing");
    }
}

#[test]
fn a_reset_in_the_middle_of_a_reading_starts_over_and_keeps_what_is_pending() {
    let mut bench = reading(&three());
    bench.write(vec![create("mine", 7)]);
    let (ack, _) = bench.expect_pull();
    let log = ServerLog::of(vec![create("x", 1), create("y", 1), create("z", 1), create("b", 2)]);
    bench.answer(ack, &Page { reset: true, ..first_page(&log) });
    assert_eq!((bench.row("a"), bench.field("x", "n")), (None, Value::Int(1)));
    assert_eq!((bench.field("mine", "n"), bench.queued()), (Value::Int(7), 1));
    assert_eq!((status(&mut bench).state, status(&mut bench).complete), (RoomPhase::Loading, false));
    bench.asked.retain(|(_, asked)| matches!(asked, Asked::Pull(_)));
    let (ack, pull) = bench.expect_pull();
    assert_eq!((pull.cursor, pull.snapshot), (1, Some(4)));
    bench.answer(ack, &log.page(1));
    assert_eq!((status(&mut bench).state, status(&mut bench).complete), (RoomPhase::Live, true));
    assert_eq!((bench.field("b", "n"), bench.row("c")), (Value::Int(2), None));
    bench.expect_silence();
}

#[test]
fn a_complete_room_that_must_be_read_anew_is_not_complete_until_it_is_through() {
    let mut bench = Bench::in_room(&three());
    bench.reconnect();
    let (ack, _) = bench.expect_subscribe();
    let log = ServerLog::of(vec![create("b", 5), create("x", 1)]);
    bench.answer(ack, &Page { reset: true, ..first_page(&log) });
    assert!(!status(&mut bench).complete);
    let (ack, pull) = bench.expect_pull();
    assert_eq!((pull.cursor, pull.snapshot), (1, Some(2)));
    bench.answer(ack, &log.page(1));
    assert!(status(&mut bench).complete);
    assert_eq!((bench.row("a"), bench.field("b", "n")), (None, Value::Int(5)));
}

#[test]
fn what_a_server_applied_and_lost_with_its_log_is_pushed_again() {
    let mut before = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::in_room(&before);
    bench.write(vec![create("mine", 7)]);
    let (ack, push) = bench.expect_push();
    let answer = before.push(&push);
    bench.answer(ack, &answer);
    let mut after = ServerLog::default();
    bench.reconnect();
    bench.load(&after);
    let (ack, pull) = bench.expect_pull();
    assert_eq!(pull.cursor, 0);
    bench.answer(ack, &after.page(0));
    bench.advance_ms(bench.settings.retry_delay_ms);
    let (ack, push) = bench.expect_push();
    assert_eq!(numbers(&push), [1]);
    let answer = after.push(&push);
    bench.answer(ack, &answer);
    bench.emit(event::SYNC_CHANGES, &after.changes(1));
    assert_eq!((bench.queued(), bench.field("mine", "n")), (0, 7.into()));
}

#[test]
fn a_server_that_always_says_reset_does_not_keep_the_client_busy() {
    let log = three();
    let mut bench = reading(&log);
    let endless = Page { reset: true, ..first_page(&log) };
    let (ack, _) = bench.expect_pull();
    bench.answer(ack, &endless);
    for _ in 0..3 {
        while let Some((ack, _)) = bench.asked.pop_front() {
            bench.answer(ack, &endless);
        }
        assert_eq!(status(&mut bench).state, RoomPhase::Waiting);
        bench.advance_ms(bench.settings.retry_delay_ms - 1);
        bench.expect_silence();
        bench.advance_ms(1);
        assert_eq!(bench.asked.len(), 1);
    }
    let (ack, subscribe) = bench.expect_subscribe();
    bench.answer(ack, &log.page(subscribe.cursor));
    assert_eq!((status(&mut bench).state, status(&mut bench).complete), (RoomPhase::Live, true));
}

#[test]
fn a_write_whose_effect_was_purged_stays_in_view_until_the_cache_has_caught_up() {
    let mut bench = Bench::in_room(&three());
    let numbers = bench.write(vec![increment("a", 1)]);
    let (ack, _) = bench.expect_push();
    let floor = 9;
    let replayed = MutationResult { seq: Some(floor), ..result(numbers[0], MutationStatus::Duplicate) };
    let results = vec![replayed];
    bench.answer(ack, &PushAnswer { results, error: None });
    assert_eq!((bench.queued(), bench.field("a", "n")), (1, Value::Int(2)), "reads follow writes");
    bench.reconnect();
    let (ack, subscribe) = bench.expect_subscribe();
    assert_eq!(subscribe.cursor, 3);
    let kept = three().page(1).changes;
    bench.answer(ack, &Page { reset: true, ..page(kept, floor) });
    assert_eq!((bench.queued(), bench.row("a")), (0, None));
    assert!(bench.row("b").is_some());
}

#[test]
fn the_next_page_is_asked_for_before_one_is_applied_and_only_once() {
    let log = three();
    let mut bench = Bench::opened();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    let (ack, _) = bench.expect_subscribe();
    bench.take_without_tick(ack, &first_page(&log));
    let (ack, pull) = bench.expect_pull();
    assert_eq!((pull.cursor, pull.snapshot), (1, Some(3)));
    assert_eq!(bench.engine.replica.state(&room()).cursor, 0, "it is not applied yet");
    bench.answer(ack, &log.page(1));
    for id in ["a", "b", "c"] {
        assert!(bench.row(id).is_some(), "{id} is missing");
    }
    bench.expect_silence();
}

#[test]
fn a_page_that_waits_is_applied_though_the_connection_is_lost() {
    let log = three();
    let mut bench = Bench::opened();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    let (ack, _) = bench.expect_subscribe();
    bench.take_without_tick(ack, &first_page(&log));
    bench.reconnect();
    let (ack, subscribe) = bench.expect_subscribe();
    assert_eq!((subscribe.cursor, subscribe.snapshot), (1, Some(3)));
    bench.answer(ack, &log.page(1));
    assert!(status(&mut bench).complete);
}
