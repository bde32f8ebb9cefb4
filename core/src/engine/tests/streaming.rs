//! Lanes whose events do not wait for each other's answers.

use super::bench::*;
use super::jobs::{enqueue, event};
use crate::argument::Argument;
use crate::config::Settings;
use crate::engine::queue::command::NewJob;
use crate::job::LanePolicy;

fn stream(n: i64) -> NewJob {
    NewJob { policy: LanePolicy::Stream, ..event("a", n) }
}

/// A connected client with these events in one lane that streams.
fn streaming(numbers: std::ops::RangeInclusive<i64>, settings: Settings) -> Bench {
    let mut bench = Bench::with(settings);
    for n in numbers {
        enqueue(&mut bench, stream(n));
    }
    bench.open();
    bench
}

fn number(args: &[Argument]) -> i64 {
    match args[0] {
        Argument::Int(n) => n,
        ref other => panic!("{other:?}"),
    }
}

/// What the server has received since it was last asked, in its order, with the ids of the answers that it owes.
fn received(bench: &mut Bench) -> Vec<(i64, u64)> {
    bench.emitted.drain(..).map(|(ack, _, args)| (number(&args), ack)).collect()
}

fn numbers(received: &[(i64, u64)]) -> Vec<i64> {
    received.iter().map(|(n, _)| *n).collect()
}

fn failure(code: &str) -> serde_json::Value {
    serde_json::json!({ "error": { "code": code, "message": "no" } })
}

#[test]
fn events_arrive_in_order_without_waiting_for_answers_up_to_a_window() {
    let mut bench = streaming(1..=5, Settings { job_stream_max: 3, ..at_once() });
    let first = received(&mut bench);
    assert_eq!(numbers(&first), [1, 2, 3]);
    bench.answer(first[0].1, &1);
    bench.answer(first[1].1, &1);
    assert_eq!(numbers(&received(&mut bench)), [4, 5]);
}

#[test]
fn a_lane_that_streams_counts_as_one_of_those_under_way() {
    let settings = Settings { jobs_parallel_max: 1, job_stream_max: 2, ..at_once() };
    let mut bench = Bench::with(settings);
    for n in 1..=3 {
        enqueue(&mut bench, stream(n));
    }
    enqueue(&mut bench, event("b", 9));
    bench.open();
    let first = received(&mut bench);
    assert_eq!(numbers(&first), [1, 2]);
    bench.answer(first[0].1, &1);
    let third = received(&mut bench);
    assert_eq!(numbers(&third), [3]);
    bench.answer(first[1].1, &1);
    assert_eq!(numbers(&received(&mut bench)), [] as [i64; 0]);
    bench.answer(third[0].1, &1);
    assert_eq!(numbers(&received(&mut bench)), [9]);
}

#[test]
fn what_was_not_answered_before_a_lost_connection_is_sent_again_in_order_with_the_same_keys() {
    let mut bench = streaming(1..=4, at_once());
    let keys = |bench: &Bench| -> Vec<Argument> {
        bench.emitted.iter().map(|(_, _, args)| args.last().unwrap().clone()).collect()
    };
    let keys_before = keys(&bench);
    let first = received(&mut bench);
    // The answers to 1, 3 and 4 are lost with the connection.
    bench.answer(first[1].1, &1);
    bench.reconnect();
    let keys_after = keys(&bench);
    assert_eq!(numbers(&received(&mut bench)), [1, 3, 4]);
    assert_eq!(keys_after, [keys_before[0].clone(), keys_before[2].clone(), keys_before[3].clone()]);
}

#[test]
fn a_lost_connection_is_one_failure_of_the_lane_however_many_were_under_way() {
    let mut bench = streaming(1..=20, at_once());
    assert_eq!(bench.emitted.len(), 20);
    for _ in 0..2 {
        bench.reconnect();
        assert_eq!(bench.emitted.len(), 20, "sent at once");
    }
}

#[test]
fn an_event_refused_for_good_does_not_stop_those_behind_it() {
    let mut bench = streaming(1..=4, Settings { job_stream_max: 2, ..at_once() });
    let first = received(&mut bench);
    bench.answer(first[0].1, &failure("invalid"));
    let third = received(&mut bench);
    assert_eq!(numbers(&third), [3]);
    for (_, ack) in first[1..].iter().chain(&third) {
        bench.answer(*ack, &1);
    }
    let (_, ack) = received(&mut bench)[0];
    bench.answer(ack, &1);
    assert_eq!((bench.queued(), bench.engine.jobs.dead()), (0, 1));
}

#[test]
fn an_event_refused_for_now_stops_the_lane_and_then_goes_first() {
    let mut bench = streaming(1..=5, Settings { job_stream_max: 3, ..at_once() });
    let first = received(&mut bench);
    bench.answer(first[0].1, &failure("unavailable"));
    // Those under way end, and neither hurries the lane nor is followed.
    bench.answer(first[1].1, &1);
    bench.answer(first[2].1, &1);
    assert_eq!(numbers(&received(&mut bench)), [] as [i64; 0]);
    bench.advance_ms(bench.settings.job_retry_delay_ms);
    assert_eq!(numbers(&received(&mut bench)), [1, 4, 5]);
}

#[test]
fn events_refused_together_slow_the_lane_down_once() {
    let mut bench = streaming(1..=3, at_once());
    for (_, ack) in received(&mut bench) {
        bench.answer(ack, &failure("internal"));
    }
    bench.advance_ms(bench.settings.job_retry_delay_ms);
    assert_eq!(numbers(&received(&mut bench)), [1, 2, 3]);
}

#[test]
fn a_lane_that_holds_never_has_more_than_one_event_under_way() {
    let mut bench = Bench::new();
    for job in [stream(1), NewJob { policy: LanePolicy::Hold, ..event("a", 2) }, stream(3)] {
        enqueue(&mut bench, job);
    }
    bench.open();
    let first = received(&mut bench);
    assert_eq!(numbers(&first), [1]);
    bench.answer(first[0].1, &1);
    let second = received(&mut bench);
    assert_eq!(numbers(&second), [2]);
    bench.answer(second[0].1, &failure("invalid"));
    assert_eq!(numbers(&received(&mut bench)), [] as [i64; 0]);
}

#[test]
fn the_end_of_an_event_is_journaled_with_those_of_others_under_way() {
    let mut bench = streaming(1..=3, at_once());
    let first = received(&mut bench);
    bench.answer(first[0].1, &1);
    assert!(!bench.engine.needs_commit());
    bench.crash();
    assert_eq!(bench.queued(), 3, "a crash repeats what was acknowledged just before");

    bench.open();
    let again = received(&mut bench);
    assert_eq!(numbers(&again), [1, 2, 3]);
    bench.answer(again[0].1, &1);
    bench.advance_ms(bench.settings.job_end_delay_ms);
    bench.crash();
    assert_eq!(bench.queued(), 2);

    bench.open();
    for (_, ack) in received(&mut bench) {
        bench.answer(ack, &1);
    }
    bench.crash();
    assert_eq!(bench.queued(), 0, "the last ones are journaled at once");
}

#[test]
fn an_event_that_is_never_acknowledged_is_sent_again_by_itself() {
    let mut bench = streaming(1..=2, at_once());
    let first = received(&mut bench);
    bench.stay_open_ms(bench.settings.job_ack_timeout_ms / 2);
    bench.answer(first[1].1, &1);
    bench.stay_open_ms(bench.settings.job_ack_timeout_ms / 2 + bench.settings.job_retry_delay_ms);
    let again: Vec<_> = bench.emitted.iter().map(|(_, _, args)| number(args)).collect();
    assert_eq!(again, [1]);
    assert_eq!(bench.engine.jobs.running().len(), 1);
}
