//! How pending writes travel: batches, refusals, order.

use syncline_protocol::message::{MutationStatus, PushAnswer, event};
use syncline_protocol::{ErrorCode, Fields, Value, WireError, Write};

use super::bench::*;
use super::server_log::{ServerLog, not_tried, result};
use crate::config::Settings;
use crate::engine::io::{Command, Event};
use crate::error::Code;

/// A client that pushes two writes at a time, in a room with the document `a`.
fn two_by_two(log: &ServerLog) -> Bench {
    let mut bench = Bench::with(Settings { push_count_max: 2, ..at_once() });
    bench.open();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    let (ack, _) = bench.expect_subscribe();
    bench.answer(ack, &log.page(0));
    bench
}

fn increments(count: usize) -> Vec<crate::engine::io::WriteRequest> {
    (0..count).map(|_| increment("a", 1)).collect()
}

fn out_of_order() -> WireError {
    WireError::new(ErrorCode::OutOfOrder, "does not follow")
}

#[test]
fn each_batch_names_the_last_number_of_the_one_before() {
    let mut bench = two_by_two(&ServerLog::of(vec![create("a", 0)]));
    bench.write(increments(5));
    let pushes = [bench.expect_push().1, bench.expect_push().1, bench.expect_push().1];
    assert_eq!(pushes.each_ref().map(numbers), [vec![1, 2], vec![3, 4], vec![5]]);
    assert_eq!(pushes.map(|push| push.after), [None, Some(2), Some(4)]);
}

#[test]
fn no_more_is_under_way_than_the_window_holds() {
    let mut log = ServerLog::of(vec![create("a", 0)]);
    let mut bench = Bench::with(Settings { push_window_bytes: 1, ..at_once() });
    bench.open();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    let (ack, _) = bench.expect_subscribe();
    bench.answer(ack, &log.page(0));
    bench.write(increments(2));
    let (ack, push) = bench.expect_push();
    assert_eq!(numbers(&push), [1]);
    bench.expect_silence();
    let answer = log.push(&push);
    bench.answer(ack, &answer);
    assert_eq!(numbers(&bench.expect_push().1), [2]);
}

#[test]
fn a_failed_batch_stops_the_ones_behind_it_and_all_start_again_in_order() {
    let mut log = ServerLog::of(vec![create("a", 0)]);
    let mut bench = two_by_two(&log);
    bench.write(increments(6));
    let acks = [bench.expect_push().0, bench.expect_push().0, bench.expect_push().0];
    bench.refuse(acks[0], unavailable());
    bench.advance_ms(10 * bench.settings.retry_delay_ms);
    bench.expect_silence();
    bench.refuse(acks[1], out_of_order());
    bench.refuse(acks[2], out_of_order());
    bench.advance_ms(bench.settings.retry_delay_ms);
    for expected in [[1, 2], [3, 4], [5, 6]] {
        let (ack, push) = bench.expect_push();
        assert_eq!(numbers(&push), expected);
        assert_eq!(push.after, expected[0].checked_sub(1).filter(|after| *after > 0));
        let answer = log.push(&push);
        bench.answer(ack, &answer);
    }
    bench.emit(event::SYNC_CHANGES, &log.changes(2));
    assert_eq!((bench.field("a", "n"), bench.queued()), (Value::Int(6), 0));
}

#[test]
fn a_batch_that_failed_half_way_goes_on_at_its_first_untried_write() {
    let mut log = ServerLog::of(vec![create("a", 0)]);
    let mut bench = two_by_two(&log);
    bench.write(increments(2));
    let (ack, mut push) = bench.expect_push();
    push.mutations.truncate(1);
    let answer = PushAnswer { error: Some(unavailable()), ..log.push(&push) };
    bench.answer(ack, &answer);
    bench.expect_silence();
    bench.advance_ms(bench.settings.retry_delay_ms);
    let (_, push) = bench.expect_push();
    assert_eq!((numbers(&push), push.after), (vec![2], None));
}

#[test]
fn the_servers_advice_on_when_to_come_back_outlives_the_batches_behind() {
    let mut bench = two_by_two(&ServerLog::of(vec![create("a", 0)]));
    bench.write(increments(4));
    let (first, second) = (bench.expect_push().0, bench.expect_push().0);
    bench.refuse(first, WireError { retry_after_ms: Some(7_000), ..unavailable() });
    bench.refuse(second, out_of_order());
    bench.advance_ms(6_999);
    bench.expect_silence();
    bench.advance_ms(1);
    assert_eq!(numbers(&bench.expect_push().1), [1, 2]);
}

#[test]
fn one_poisoned_write_is_found_and_the_others_go_through() {
    let mut log = ServerLog::of(vec![create("a", 0)]);
    let mut bench = two_by_two(&log);
    bench.write(increments(6));
    let poisoned = 4;
    let mut sizes = Vec::new();
    for _ in 0..20 {
        bench.advance_ms(bench.settings.retry_delay_ms);
        let mut failed = false;
        for (ack, asked) in std::mem::take(&mut bench.asked) {
            let Asked::Push(push) = asked else { panic!("{asked:?}") };
            sizes.push(push.mutations.len());
            if failed && push.after.is_some() {
                bench.refuse(ack, out_of_order());
            } else if numbers(&push).contains(&poisoned) {
                failed = true;
                bench.refuse(ack, WireError::new(ErrorCode::Invalid, "cannot be read"));
            } else {
                let answer = log.push(&push);
                bench.answer(ack, &answer);
            }
        }
    }
    assert_eq!(bench.outcomes(), [(poisoned, Code::Invalid)]);
    bench.emit(event::SYNC_CHANGES, &log.changes(2));
    assert_eq!((bench.field("a", "n"), bench.queued()), (Value::Int(5), 0));
    assert_eq!(sizes.last(), Some(&2), "whole batches again");
}

#[test]
fn a_write_larger_than_the_server_takes_is_refused_here_and_the_others_go() {
    let mut log = ServerLog::of(vec![create("a", 0)]);
    let mut bench = Bench::in_room(&log);
    bench.lose_connection();
    bench.max_payload_bytes = Some(1_000);
    let text = Fields::from([("text".into(), Value::String("x".repeat(1_000)))]);
    bench.write(vec![increment("a", 1), write("big", Write::Create(text)), increment("a", 1)]);
    bench.advance_ms(bench.settings.reconnect_delay_ms_max);
    bench.accept();
    bench.load(&log);
    for number in [1, 3] {
        let (ack, push) = bench.expect_push();
        assert_eq!(numbers(&push), [number]);
        let answer = log.push(&push);
        bench.answer(ack, &answer);
    }
    assert_eq!(bench.outcomes(), [(2, Code::TooLarge)]);
    bench.emit(event::SYNC_CHANGES, &log.changes(1));
    assert_eq!((bench.field("a", "n"), bench.queued()), (Value::Int(2), 0));
    assert!(bench.engine.session.is_open());
}

#[test]
fn a_room_that_may_not_be_written_to_keeps_its_writes_for_the_next_connection() {
    let mut log = ServerLog::of(vec![create("a", 0)]);
    let mut bench = Bench::in_room(&log);
    bench.write(increments(1));
    let (ack, _) = bench.expect_push();
    bench.refuse(ack, WireError::new(ErrorCode::Forbidden, "not yours"));
    assert!(
        bench
            .events
            .iter()
            .any(|event| matches!(event, Event::Error { error } if error.code == Code::Forbidden))
    );
    bench.write(increments(1));
    bench.expect_silence();
    assert_eq!((bench.queued(), bench.field("a", "n")), (2, Value::Int(2)));
    assert_eq!(bench.outcomes(), []);
    bench.reconnect();
    bench.expect_subscribe();
    let (ack, push) = bench.expect_push();
    assert_eq!(numbers(&push), [1, 2]);
    let answer = log.push(&push);
    bench.answer(ack, &answer);
    assert_eq!(bench.field("a", "n"), Value::Int(2));
}

#[test]
fn a_server_that_answers_less_than_was_pushed_is_asked_for_the_rest() {
    let mut bench = two_by_two(&ServerLog::of(vec![create("a", 0)]));
    bench.write(increments(2));
    let (ack, _) = bench.expect_push();
    bench.answer(ack, &not_tried(unavailable()));
    bench.advance_ms(bench.settings.retry_delay_ms);
    let (ack, push) = bench.expect_push();
    assert_eq!(numbers(&push), [1, 2]);
    bench.answer(ack, &PushAnswer { results: vec![result(1, MutationStatus::Applied)], error: None });
    bench.advance_ms(bench.settings.retry_delay_ms);
    assert_eq!(numbers(&bench.expect_push().1), [2]);
}

#[test]
fn a_server_that_answers_one_write_twice_is_asked_for_the_other() {
    let mut bench = two_by_two(&ServerLog::of(vec![create("a", 0)]));
    bench.write(increments(2));
    let (ack, _) = bench.expect_push();
    let twice = || result(1, MutationStatus::Applied);
    bench.answer(ack, &PushAnswer { results: vec![twice(), twice()], error: None });
    bench.advance_ms(bench.settings.retry_delay_ms);
    assert_eq!(numbers(&bench.expect_push().1), [2]);
}

#[test]
fn rooms_do_not_wait_for_each_other() {
    let log = ServerLog::of(vec![create("a", 0)]);
    let mut bench = Bench::in_room(&log);
    let mut elsewhere = create("b", 1);
    elsewhere.room = syncline_protocol::Room::new("list:2").unwrap();
    bench.write(increments(1));
    let (ack, _) = bench.expect_push();
    bench.refuse(ack, unavailable());
    bench.write(vec![elsewhere.clone()]);
    bench.expect_subscribe();
    let (_, push) = bench.expect_push();
    assert_eq!((push.room, push.after), (elsewhere.room, None));
}

#[test]
fn rooms_take_turns() {
    let log = ServerLog::of(vec![create("a", 0)]);
    let settings = Settings { push_count_max: 1, push_window_bytes: 1, ..at_once() };
    let mut bench = Bench::with(settings);
    bench.open();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    let (ack, _) = bench.expect_subscribe();
    bench.answer(ack, &log.page(0));
    let mut elsewhere = create("b", 1);
    elsewhere.room = syncline_protocol::Room::new("zoo:1").unwrap();
    let mut writes = increments(3);
    writes.push(elsewhere.clone());
    bench.write(writes);
    bench.expect_subscribe();
    let (ack, first) = bench.expect_push();
    assert_eq!(first.room, room());
    bench.answer(ack, &PushAnswer { results: vec![result(1, MutationStatus::Applied)], error: None });
    assert_eq!(bench.expect_push().1.room, elsewhere.room);
}
