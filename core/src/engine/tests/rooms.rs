//! How a room's documents arrive, and what happens when they do not add up.

use syncline_protocol::message::{Changes, Page, PresencePong, event};
use syncline_protocol::{Checksum, ErrorCode, Room, Value, WireError};

use super::bench::*;
use super::faulty_store::Fault;
use super::server_log::ServerLog;
use crate::engine::io::{Command, RoomPhase, RoomStatus};

fn status(bench: &mut Bench) -> RoomStatus {
    bench.engine.replica.status(&room())
}

/// A checksum that is not the room's.
fn wrong() -> Checksum {
    serde_json::from_str("\"00000000000000ff\"").unwrap()
}

#[test]
fn a_subscription_made_offline_starts_with_the_session() {
    let log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::new();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    assert_eq!(status(&mut bench).state, RoomPhase::Waiting);
    bench.open();
    let (ack, subscribe) = bench.expect_subscribe();
    assert_eq!((subscribe.cursor, status(&mut bench).state), (0, RoomPhase::Loading));
    assert!(!status(&mut bench).complete);
    bench.answer(ack, &log.page(0));
    assert_eq!(status(&mut bench).state, RoomPhase::Live);
    assert!(status(&mut bench).complete);
    assert_eq!(bench.field("a", "n"), Value::Int(1));
}

#[test]
fn pages_are_read_until_there_are_no_more() {
    let log = ServerLog::of(vec![create("a", 1), create("b", 2)]);
    let mut bench = Bench::opened();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    let (ack, _) = bench.expect_subscribe();
    let first = log.page(0).changes.into_iter().take(1).collect();
    bench.answer(ack, &Page { more: true, ..page(first, 1) });
    assert!(!status(&mut bench).complete);
    let (ack, pull) = bench.expect_pull();
    assert_eq!(pull.cursor, 1);
    bench.answer(ack, &log.page(1));
    bench.expect_silence();
    assert!(status(&mut bench).complete);
}

#[test]
fn a_reconnect_goes_on_after_the_cursor() {
    let mut log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::in_room(&log);
    log.write(create("b", 2));
    bench.reconnect();
    let (ack, subscribe) = bench.expect_subscribe();
    assert_eq!(subscribe.cursor, 1);
    bench.answer(ack, &log.page(1));
    assert_eq!(bench.field("b", "n"), Value::Int(2));
}

#[test]
fn live_changes_that_follow_are_applied() {
    let mut log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::in_room(&log);
    let change = log.write(set("a", "n", 2));
    bench.emit(event::SYNC_CHANGES, &change);
    bench.emit(event::SYNC_CHANGES, &change);
    bench.expect_silence();
    assert_eq!(bench.field("a", "n"), Value::Int(2));
}

#[test]
fn a_gap_in_live_changes_is_pulled() {
    let mut log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::in_room(&log);
    log.write(create("b", 1));
    let third = log.write(create("c", 1));
    bench.emit(event::SYNC_CHANGES, &third);
    assert_eq!(bench.row("c"), None);
    let (ack, pull) = bench.expect_pull();
    assert_eq!(pull.cursor, 1);
    bench.answer(ack, &log.page(1));
    assert!(bench.row("b").is_some() && bench.row("c").is_some());
    bench.expect_silence();
}

#[test]
fn a_change_heard_while_a_page_is_under_way_is_pulled_after_it() {
    let mut log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::opened();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    let (ack, _) = bench.expect_subscribe();
    let stale = log.page(0);
    bench.emit(event::SYNC_CHANGES, &log.clone().write(create("b", 1)));
    log.write(create("b", 1));
    bench.answer(ack, &stale);
    let (ack, pull) = bench.expect_pull();
    bench.answer(ack, &log.page(pull.cursor));
    assert!(bench.row("b").is_some());
    assert_eq!(status(&mut bench).state, RoomPhase::Live);
}

#[test]
fn a_change_heard_while_an_empty_page_is_under_way_is_pulled_after_it() {
    let mut log = ServerLog::of(vec![]);
    let mut bench = Bench::opened();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    let (ack, _) = bench.expect_subscribe();
    let stale = log.page(0);
    bench.emit(event::SYNC_CHANGES, &log.write(create("a", 1)));
    bench.answer(ack, &stale);
    let (ack, pull) = bench.expect_pull();
    bench.answer(ack, &log.page(pull.cursor));
    assert!(bench.row("a").is_some());
    bench.expect_silence();
}

#[test]
fn a_head_heard_while_a_page_is_under_way_is_asked_for_once() {
    let log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::in_room(&log);
    let hint: Changes = Changes { room: room(), from_seq: u64::MAX, to_seq: u64::MAX, changes: vec![] };
    bench.emit(event::SYNC_CHANGES, &hint);
    let (ack, _) = bench.expect_pull();
    bench.emit(event::SYNC_CHANGES, &hint);
    bench.answer(ack, &log.page(1));
    let (ack, _) = bench.expect_pull();
    bench.answer(ack, &log.page(1));
    bench.expect_silence();
    assert_eq!(status(&mut bench).state, RoomPhase::Live);
}

#[test]
fn a_head_beyond_the_cursor_is_pulled() {
    let mut log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::in_room(&log);
    log.write(create("b", 1));
    bench.call(Command::SyncNow).unwrap();
    let (ack, asked) = bench.asked.pop_front().unwrap();
    assert_eq!(asked, Asked::Ping);
    bench.answer(ack, &PresencePong { heads: [(room(), 2)].into(), lapsed: vec![] });
    let (ack, pull) = bench.expect_pull();
    bench.answer(ack, &log.page(pull.cursor));
    assert!(bench.row("b").is_some());
}

#[test]
fn a_head_that_no_page_reaches_is_not_asked_for_without_end() {
    let log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::in_room(&log);
    let hint: Changes = Changes { room: room(), from_seq: u64::MAX, to_seq: u64::MAX, changes: vec![] };
    bench.emit(event::SYNC_CHANGES, &hint);
    let (ack, pull) = bench.expect_pull();
    bench.answer(ack, &log.page(pull.cursor));
    bench.expect_silence();
    assert_eq!(status(&mut bench).state, RoomPhase::Live);
}

#[test]
fn a_deleted_document_is_gone() {
    let mut log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::in_room(&log);
    bench.emit(event::SYNC_CHANGES, &log.write(write("a", syncline_protocol::Write::Delete)));
    assert_eq!(bench.row("a"), None);
}

#[test]
fn a_page_with_reset_replaces_everything() {
    let mut bench = Bench::in_room(&ServerLog::of(vec![create("a", 1), create("b", 1)]));
    bench.write(vec![set("b", "n", 9)]);
    bench.reconnect();
    let (ack, _) = bench.expect_subscribe();
    let log = ServerLog::of(vec![create("b", 5), create("c", 1), create("d", 1)]);
    bench.answer(ack, &Page { reset: true, ..log.page(0) });
    assert_eq!(bench.row("a"), None);
    assert_eq!(bench.field("b", "n"), Value::Int(9), "what is pending stays on top");
    assert!(bench.row("d").is_some());
}

#[test]
fn a_server_that_lost_its_log_is_read_from_the_start() {
    let mut bench = Bench::in_room(&ServerLog::of(vec![create("a", 1), create("b", 1), create("c", 1)]));
    bench.reconnect();
    let (ack, subscribe) = bench.expect_subscribe();
    assert_eq!(subscribe.cursor, 3);
    let mut log = ServerLog::of(vec![create("z", 1)]);
    bench.answer(ack, &Page { reset: true, ..log.page(0) });
    bench.expect_silence();
    assert_eq!((bench.row("a"), status(&mut bench).state), (None, RoomPhase::Live));
    bench.emit(event::SYNC_CHANGES, &log.write(create("y", 1)));
    assert!(bench.row("y").is_some() && bench.row("z").is_some());
}

#[test]
fn a_log_shorter_than_the_cursor_is_read_from_the_start_even_if_the_server_does_not_say_so() {
    let mut bench = Bench::in_room(&ServerLog::of(vec![create("a", 1), create("b", 1), create("c", 1)]));
    bench.reconnect();
    let (ack, subscribe) = bench.expect_subscribe();
    let log = ServerLog::of(vec![create("z", 1)]);
    bench.answer(ack, &Page { checksum: None, ..log.page(subscribe.cursor) });
    let (ack, pull) = bench.expect_pull();
    assert_eq!(pull.cursor, 0);
    bench.answer(ack, &Page { checksum: None, ..log.page(0) });
    bench.expect_silence();
    assert_eq!((bench.row("a"), bench.field("z", "n")), (None, Value::Int(1)));
}

#[test]
fn a_wrong_checksum_has_the_room_read_again_once_and_the_outbox_kept() {
    let mut log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::in_room(&log);
    bench.write(vec![create("mine", 1)]);
    bench.reconnect();
    let (ack, _) = bench.expect_subscribe();
    bench.asked.clear();
    bench.answer(ack, &Page { checksum: Some(wrong()), ..log.page(1) });
    let (ack, pull) = bench.expect_pull();
    assert_eq!(pull.cursor, 0);
    bench.answer(ack, &log.page(0));
    assert_eq!((status(&mut bench).state, status(&mut bench).error), (RoomPhase::Live, None));
    assert!(bench.row("a").is_some() && bench.row("mine").is_some());
    log.write(create("b", 1));
    let gap = log.write(create("c", 1));
    bench.emit(event::SYNC_CHANGES, &gap);
    let (ack, pull) = bench.expect_pull();
    bench.answer(ack, &log.page(pull.cursor));
    for id in ["a", "b", "c", "mine"] {
        assert!(bench.row(id).is_some(), "{id} is gone after a later page");
    }
}

#[test]
fn a_room_that_is_read_again_in_pages_keeps_them_all() {
    let log = ServerLog::of(vec![create("a", 1), create("b", 1)]);
    let mut bench = Bench::in_room(&log);
    bench.reconnect();
    let (ack, _) = bench.expect_subscribe();
    bench.answer(ack, &Page { checksum: Some(wrong()), ..log.page(2) });
    let (ack, _) = bench.expect_pull();
    let first = log.page(0).changes.into_iter().take(1).collect();
    bench.answer(ack, &Page { more: true, ..page(first, 1) });
    let (ack, pull) = bench.expect_pull();
    assert_eq!(pull.cursor, 1);
    bench.answer(ack, &log.page(1));
    bench.expect_silence();
    assert!(bench.row("a").is_some() && bench.row("b").is_some());
    assert_eq!(status(&mut bench).error, None);
}

#[test]
fn a_checksum_that_stays_wrong_is_not_read_again_for_ever() {
    let mut log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::in_room(&log);
    bench.reconnect();
    let (ack, _) = bench.expect_subscribe();
    bench.answer(ack, &Page { checksum: Some(wrong()), ..log.page(1) });
    let (ack, _) = bench.expect_pull();
    bench.answer(ack, &Page { checksum: Some(wrong()), ..log.page(0) });
    bench.expect_silence();
    assert_eq!(status(&mut bench).state, RoomPhase::Live);
    assert!(status(&mut bench).error.is_some());
    log.write(create("b", 1));
    let gap = log.write(create("c", 1));
    bench.emit(event::SYNC_CHANGES, &gap);
    let (ack, pull) = bench.expect_pull();
    assert_eq!(pull.cursor, 1);
    bench.answer(ack, &Page { checksum: Some(wrong()), ..log.page(1) });
    bench.expect_silence();
    assert!(bench.row("a").is_some());
}

#[test]
fn a_lost_cache_is_read_from_the_start_and_the_outbox_kept() {
    let mut log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::in_room(&log);
    bench.write(vec![create("mine", 1)]);
    bench.expect_push();
    bench.store.fault = Some(Fault::CacheLost);
    bench.emit(event::SYNC_CHANGES, &log.write(create("b", 1)));
    assert_eq!((bench.row("a"), bench.queued()), (None, 1));
    bench.advance_ms(bench.settings.retry_delay_ms);
    let (ack, subscribe) = bench.expect_subscribe();
    assert_eq!(subscribe.cursor, 0);
    bench.answer(ack, &log.page(0));
    assert!(bench.row("a").is_some() && bench.row("b").is_some() && bench.row("mine").is_some());
}

#[test]
fn a_cache_lost_by_a_read_is_read_from_the_start_too() {
    let log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::in_room(&log);
    bench.store.lose_cache().unwrap();
    assert!(bench.row("a").is_none() && !status(&mut bench).complete);
    bench.advance_ms(bench.settings.retry_delay_ms);
    let (ack, subscribe) = bench.expect_subscribe();
    assert_eq!(subscribe.cursor, 0);
    bench.answer(ack, &log.page(0));
    assert!(bench.row("a").is_some() && status(&mut bench).complete);
}

#[test]
fn a_page_asked_for_before_the_cache_was_lost_is_not_taken_for_all() {
    let mut log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::in_room(&log);
    let other = Room::new("list:2").unwrap();
    bench.call(Command::Subscribe { room: other }).unwrap();
    let (ack_other, _) = bench.expect_subscribe();
    log.write(create("b", 1));
    let gap = log.write(create("c", 1));
    bench.emit(event::SYNC_CHANGES, &gap);
    let (ack_late, _) = bench.expect_pull();
    bench.store.fault = Some(Fault::CacheLost);
    bench.answer(ack_other, &page(vec![], 0));
    bench.answer(ack_late, &Page { checksum: None, ..log.page(1) });
    assert!(!status(&mut bench).complete);
    bench.advance_ms(bench.settings.retry_delay_ms);
    let subscribed: Vec<_> = std::mem::take(&mut bench.asked).into();
    assert_eq!(subscribed.len(), 2);
    for (ack, asked) in subscribed {
        let Asked::Subscribe(subscribe) = asked else { panic!("{asked:?}") };
        let answer = if subscribe.room == room() { log.page(subscribe.cursor) } else { page(vec![], 0) };
        bench.answer(ack, &answer);
    }
    for id in ["a", "b", "c"] {
        assert!(bench.row(id).is_some(), "{id} is missing");
    }
}

#[test]
fn a_room_refused_for_now_is_asked_for_again_and_one_refused_for_good_is_not() {
    let mut bench = Bench::opened();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    let (ack, _) = bench.expect_subscribe();
    bench.refuse(ack, WireError { retry_after_ms: Some(3_000), ..unavailable() });
    assert_eq!(status(&mut bench).state, RoomPhase::Waiting);
    bench.advance_ms(2_999);
    bench.expect_silence();
    bench.advance_ms(1);
    let (ack, _) = bench.expect_subscribe();
    bench.refuse(ack, WireError::new(ErrorCode::Forbidden, "not yours"));
    assert_eq!(status(&mut bench).state, RoomPhase::Denied);
    bench.advance_ms(20_000);
    bench.expect_silence();
    bench.reconnect();
    bench.expect_subscribe();
}

#[test]
fn a_write_to_a_room_that_may_not_be_read_is_confirmed_by_its_answer() {
    for denied_first in [true, false] {
        let mut log = ServerLog::default();
        let mut bench = Bench::opened();
        bench.write(vec![create("a", 1)]);
        let (ack_room, _) = bench.expect_subscribe();
        let (ack_push, push) = bench.expect_push();
        let answer = log.push(&push);
        let forbidden = WireError::new(ErrorCode::Forbidden, "write only");
        if denied_first {
            bench.refuse(ack_room, forbidden);
            bench.answer(ack_push, &answer);
        } else {
            bench.answer(ack_push, &answer);
            bench.refuse(ack_room, forbidden);
        }
        assert_eq!(bench.queued(), 0, "denied first: {denied_first}");
        bench.asked.clear();
        bench.reconnect();
        bench.expect_silence();
    }
}

#[test]
fn every_subscription_needs_its_end_before_the_room_is_let_go() {
    let mut log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::in_room(&log);
    bench.call(Command::Subscribe { room: room() }).unwrap();
    bench.call(Command::Unsubscribe { room: room() }).unwrap();
    bench.expect_silence();
    bench.call(Command::Unsubscribe { room: room() }).unwrap();
    assert!(matches!(bench.asked.pop_front(), Some((_, Asked::Unsubscribe(_)))));
    bench.emit(event::SYNC_CHANGES, &log.write(create("b", 1)));
    assert_eq!(bench.row("b"), None);
    assert!(bench.row("a").is_some(), "the cache stays");
    bench.call(Command::Unsubscribe { room: room() }).unwrap_err();
}

#[test]
fn a_room_with_pending_writes_is_let_go_once_they_are_confirmed() {
    let mut log = ServerLog::default();
    let mut bench = Bench::in_room(&log);
    bench.write(vec![create("a", 1)]);
    let (ack, push) = bench.expect_push();
    bench.call(Command::Unsubscribe { room: room() }).unwrap();
    bench.expect_silence();
    let answer = log.push(&push);
    bench.answer(ack, &answer);
    bench.expect_silence();
    bench.emit(event::SYNC_CHANGES, &log.changes(1));
    assert!(matches!(bench.asked.pop_front(), Some((_, Asked::Unsubscribe(_)))));
}
