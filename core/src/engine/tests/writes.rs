//! What the app sees of its own writes, before and after the server.

use syncline_protocol::message::{MutationStatus, PushAnswer, event};
use syncline_protocol::{ErrorCode, Value, WireError, Write};

use super::bench::*;
use super::faulty_store::Fault;
use super::server_log::{ServerLog, rejected, result};
use crate::config::Settings;
use crate::engine::io::{Command, Event, Input, Output, Reply};
use crate::error::Code;
use crate::store::Store;

#[test]
fn a_write_is_neither_answered_nor_sent_before_it_is_durable() {
    let mut bench = Bench::in_room(&ServerLog::default());
    let mut out = Vec::new();
    let command = Command::Write { writes: vec![create("a", 1)] };
    let input = Input::Command { request: 99, command };
    bench.engine.handle(bench.now, input, &mut bench.store, &mut out);
    assert!(out.is_empty(), "{out:?}");
    assert!(bench.engine.needs_commit());
    bench.store.commit().unwrap();
    bench.engine.handle(bench.now, Input::Committed, &mut bench.store, &mut out);
    assert!(matches!(out[0], Output::Reply(99, Ok(Reply::Written { .. }))), "{out:?}");
    assert!(matches!(out[1], Output::Send(_)), "{out:?}");
}

#[test]
fn a_failed_commit_rolls_back_and_says_why() {
    let mut bench = Bench::in_room(&ServerLog::default());
    bench.store.fault = Some(Fault::Commit);
    let error = bench.call(Command::Write { writes: vec![create("a", 1)] }).unwrap_err();
    assert_eq!(error.code, Code::DiskFull);
    assert_eq!((bench.row("a"), bench.queued()), (None, 0));
    bench.expect_silence();
    assert_eq!(bench.write(vec![create("a", 2)]), [2], "the number is not used again");
    assert_eq!(numbers(&bench.expect_push().1), [2]);
}

#[test]
fn a_write_that_was_rolled_back_leaves_its_room() {
    let mut bench = Bench::opened();
    bench.store.fault = Some(Fault::Commit);
    bench.call(Command::Write { writes: vec![create("a", 1)] }).unwrap_err();
    bench.expect_subscribe();
    assert!(matches!(bench.asked.pop_front(), Some((_, Asked::Unsubscribe(_)))));
    bench.reconnect();
    bench.expect_silence();
}

#[test]
fn a_document_over_document_bytes_max_is_refused_before_anything_is_written() {
    let settings = Settings { document_bytes_max: 100, write_bytes_max: 250, ..at_once() };
    let mut bench = Bench::with(settings);
    bench.open();
    bench.enter(&ServerLog::default());
    let of = |id: &str, bytes: usize| {
        write(id, Write::Create([("text".into(), Value::from("x".repeat(bytes)))].into()))
    };
    // The second spoils the call, and the three are too much together though none is by itself.
    let refused = [vec![of("a", 10), of("b", 101)], vec![of("a", 80), of("b", 80), of("c", 80)]];
    for writes in refused {
        let request = bench.start(Command::Write { writes });
        assert_eq!(bench.replies[&request].as_ref().unwrap_err().code, Code::TooLarge);
        assert!(!bench.engine.needs_commit());
        assert_eq!((bench.row("a"), bench.queued()), (None, 0));
        bench.expect_silence();
    }
    assert_eq!(bench.write(vec![of("a", 80)]), [2], "the number given up is not used again");
    bench.crash();
    assert_eq!(bench.queued(), 1);
}

#[test]
fn a_batch_is_accepted_whole_or_not_at_all() {
    let mut bench = Bench::in_room(&ServerLog::default());
    let writes = vec![create("a", 1), increment("missing", 1)];
    assert_eq!(bench.call(Command::Write { writes }).unwrap_err().code, Code::NotFound);
    assert_eq!((bench.row("a"), bench.queued()), (None, 0));
    bench.expect_silence();
    bench.crash();
    assert_eq!(bench.queued(), 0);
}

#[test]
fn a_write_that_does_not_fit_what_the_app_sees_is_refused() {
    let mut bench = Bench::in_room(&ServerLog::default());
    let text = write("a", Write::Create([("n".into(), Value::from("text"))].into()));
    bench.write(vec![text]);
    assert_eq!(
        bench.call(Command::Write { writes: vec![increment("a", 1)] }).unwrap_err().code,
        Code::Invalid
    );
    assert_eq!(bench.call(Command::Write { writes: vec![] }).unwrap_err().code, Code::Invalid);
}

#[test]
fn an_update_of_a_room_that_is_not_loaded_is_left_to_the_server() {
    let mut bench = Bench::new();
    assert_eq!(bench.write(vec![increment("a", 1)]), [1]);
    assert_eq!(bench.row("a"), None);
}

#[test]
fn a_full_outbox_refuses_and_drops_nothing() {
    let mut bench = Bench::with(Settings { queue_count_max: 2, ..at_once() });
    bench.write(vec![create("a", 1), create("b", 1)]);
    let error = bench.call(Command::Write { writes: vec![create("c", 1)] }).unwrap_err();
    assert_eq!((error.code, bench.queued()), (Code::QueueFull, 2));
}

#[test]
fn an_outcome_that_the_app_has_not_seen_counts_against_the_outbox() {
    let log = ServerLog::of(vec![create("a", 10)]);
    let mut bench = Bench::with(Settings { queue_count_max: 1, ..at_once() });
    bench.open();
    bench.enter(&log);
    bench.write(vec![increment("a", 1)]);
    let (ack, _) = bench.expect_push();
    let refused = rejected(1, WireError::new(ErrorCode::Invalid, "no"));
    bench.answer(ack, &PushAnswer { results: vec![refused], error: None });
    for is_restarted in [false, true] {
        let error = bench.call(Command::Write { writes: vec![increment("a", 1)] }).unwrap_err();
        assert_eq!((error.code, bench.outcomes().len()), (Code::QueueFull, 1));
        if !is_restarted {
            bench.crash();
        }
    }
    bench.call(Command::AcknowledgeOutcome { client_seq: 1 }).unwrap();
    bench.write(vec![increment("a", 1)]);
}

#[test]
fn the_app_sees_its_writes_at_once_on_top_of_what_is_confirmed() {
    let mut bench = Bench::in_room(&ServerLog::of(vec![create("a", 10)]));
    bench.write(vec![increment("a", 1), set("a", "m", 5)]);
    let row = bench.row("a").unwrap();
    assert_eq!((row.fields["n"].clone(), row.fields["m"].clone()), (Value::Int(11), Value::Int(5)));
    assert_eq!((row.seq, row.pending), (1, true));
    bench.write(vec![write("a", Write::Delete)]);
    assert_eq!(bench.row("a"), None);
}

#[test]
fn a_change_that_arrives_before_its_answer_counts_once() {
    let mut log = ServerLog::of(vec![create("a", 10)]);
    let mut bench = Bench::in_room(&log);
    bench.write(vec![increment("a", 1)]);
    let (ack, push) = bench.expect_push();
    let answer = log.push(&push);
    bench.emit(event::SYNC_CHANGES, &log.changes(2));
    assert_eq!(bench.field("a", "n"), Value::Int(11));
    assert_eq!(bench.queued(), 1, "not answered");
    bench.answer(ack, &answer);
    assert_eq!((bench.field("a", "n"), bench.queued()), (Value::Int(11), 0));
    assert!(!bench.row("a").unwrap().pending);
}

#[test]
fn an_answer_that_arrives_before_its_change_leaves_the_write_pending() {
    let mut log = ServerLog::of(vec![create("a", 10)]);
    let mut bench = Bench::in_room(&log);
    bench.write(vec![increment("a", 1)]);
    let (ack, push) = bench.expect_push();
    let answer = log.push(&push);
    bench.answer(ack, &answer);
    assert_eq!(bench.field("a", "n"), Value::Int(11));
    assert!(bench.row("a").unwrap().pending);
    bench.emit(event::SYNC_CHANGES, &log.changes(2));
    assert_eq!((bench.field("a", "n"), bench.queued()), (Value::Int(11), 0));
    assert!(!bench.row("a").unwrap().pending);
}

#[test]
fn a_lost_answer_is_asked_for_again_under_the_same_number() {
    let mut log = ServerLog::of(vec![create("a", 10)]);
    let mut bench = Bench::in_room(&log);
    bench.write(vec![increment("a", 1)]);
    let (_, push) = bench.expect_push();
    log.push(&push);
    bench.reconnect();
    let (ack, subscribe) = bench.expect_subscribe();
    bench.answer(ack, &log.page(subscribe.cursor));
    assert_eq!(bench.field("a", "n"), Value::Int(11));
    let (ack, again) = bench.expect_push();
    assert_eq!((again.mutations, again.after), (push.mutations, None));
    let answer = PushAnswer { results: vec![result(1, MutationStatus::Duplicate)], error: None };
    bench.answer(ack, &answer);
    assert_eq!((bench.field("a", "n"), bench.queued()), (Value::Int(11), 0));
    bench.expect_silence();
}

#[test]
fn a_rejected_write_is_rolled_back_alone() {
    let log = ServerLog::of(vec![create("a", 10)]);
    let mut bench = Bench::in_room(&log);
    bench.write(vec![increment("a", 1), set("a", "m", 5)]);
    let (ack, push) = bench.expect_push();
    let error = WireError::new(ErrorCode::TooLarge, "too much");
    let applied = syncline_protocol::message::MutationResult {
        seq: Some(2),
        ..result(push.mutations[1].client_seq, MutationStatus::Applied)
    };
    bench.answer(ack, &PushAnswer { results: vec![rejected(1, error), applied], error: None });
    let row = bench.row("a").unwrap();
    assert_eq!(row.fields, [("n".into(), 10.into()), ("m".into(), 5.into())].into());
    assert!(row.pending);
    assert_eq!(bench.outcomes(), [(1, Code::TooLarge)]);
    let told = |event: &Event| matches!(event, Event::Outcome { outcome } if outcome.client_seq == 1);
    assert_eq!(bench.events.iter().filter(|event| told(event)).count(), 1);
}

#[test]
fn a_write_refused_the_first_time_and_again_as_a_duplicate_is_one_outcome() {
    let mut bench = Bench::in_room(&ServerLog::of(vec![create("a", 10)]));
    bench.write(vec![increment("a", 1)]);
    let (ack, _) = bench.expect_push();
    let error = WireError::new(ErrorCode::Invalid, "no");
    let duplicate = syncline_protocol::message::MutationResult {
        error: Some(error),
        ..result(1, MutationStatus::Duplicate)
    };
    bench.answer(ack, &PushAnswer { results: vec![duplicate], error: None });
    assert_eq!(bench.outcomes(), [(1, Code::Invalid)]);
    assert_eq!((bench.field("a", "n"), bench.queued()), (Value::Int(10), 0));
}

#[test]
fn a_write_is_newer_than_what_it_was_made_upon_whatever_the_clock_says() {
    let mut log = ServerLog::of(vec![create("a", 10)]);
    let mut bench = Bench::in_room(&log);
    bench.now.wall_ms = 5;
    bench.write(vec![set("a", "n", 3)]);
    let (ack, push) = bench.expect_push();
    let answer = log.push(&push);
    bench.answer(ack, &answer);
    bench.emit(event::SYNC_CHANGES, &log.changes(2));
    assert_eq!(bench.field("a", "n"), Value::Int(3));
}

#[test]
fn what_is_created_after_a_restart_is_newer_than_a_deletion_seen_before() {
    let mut log = ServerLog::of(vec![create("a", 10)]);
    let mut bench = Bench::in_room(&log);
    let deletion = log.write(write("a", Write::Delete));
    bench.emit(event::SYNC_CHANGES, &deletion);
    bench.advance_ms(bench.settings.cache_flush_ms);
    bench.crash();
    bench.now.wall_ms = 5;
    bench.call(Command::Subscribe { room: room() }).unwrap();
    bench.open();
    bench.load(&log);
    bench.write(vec![create("a", 3)]);
    let (ack, push) = bench.expect_push();
    let answer = log.push(&push);
    bench.answer(ack, &answer);
    bench.emit(event::SYNC_CHANGES, &log.changes(3));
    assert_eq!(bench.field("a", "n"), Value::Int(3));
}
