//! What a failed attempt costs: the job, its lane, and all others of its kind.

use std::collections::BTreeMap;

use super::bench::*;
use super::jobs::*;
use crate::argument::Argument;
use crate::config::Settings;
use crate::engine::io::{AppState, Command, Event, Input, Reply, RequestId};
use crate::engine::queue::command::{JobCommand, NewJob};
use crate::engine::queue::http::HttpResponse;
use crate::job::{Category, DeadReason, LanePolicy};

#[test]
fn a_lane_waits_ever_longer_while_the_server_fails_also_after_the_last_attempt_of_a_job() {
    let mut bench = Bench::with(Settings { job_attempts_max: 1, ..at_once() });
    let in_lane = |n: usize| NewJob { lane: Some("a".to_owned()), ..request(&format!("/{n}")) };
    let first = enqueue(&mut bench, in_lane(1));
    for n in 2..=10 {
        enqueue(&mut bench, in_lane(n));
    }
    for given_up in 1..=8 {
        respond(&mut bench, 500);
        assert_eq!((bench.http.len(), dead_letters(&mut bench).len()), (0, given_up));
        // While it waits, this only tells how many there were.
        let failures = bench.engine.jobs.count_failure("a");
        assert_eq!(failures as usize, given_up);
        while bench.http.is_empty() {
            bench.advance_ms(1_000);
        }
    }
    respond(&mut bench, 500);
    jobs(&mut bench, JobCommand::Retry { job: first, work: None }).unwrap();
    assert_eq!(bench.http[0].2.url, "/1", "what the app asks for waits for nothing");
}

/// Lets time pass until the handler is asked.
fn next_lease(bench: &mut Bench) -> (u64, u64) {
    loop {
        match leases(bench)[..] {
            [] => bench.advance_ms(1_000),
            [lease] => return lease,
            ref more => panic!("leased more than once: {more:?}"),
        }
    }
}

#[test]
fn an_event_that_is_asked_to_come_later_uses_up_no_attempt() {
    let mut bench = Bench::opened();
    let job = enqueue(&mut bench, event("a", 1));
    for _ in 0..5 {
        answer_event(
            &mut bench,
            &serde_json::json!({ "error": { "code": "unavailable", "retry_after_ms": 5_000 } }),
        );
        assert_eq!(attempts(&bench, job), 0);
        while bench.emitted.is_empty() {
            bench.stay_open_ms(1_000);
        }
    }
}

#[test]
fn a_handler_that_asks_to_come_later_uses_up_no_attempt() {
    let mut bench = Bench::new();
    let job = enqueue(&mut bench, handler("upload", 1));
    jobs(&mut bench, JobCommand::RegisterHandlers { keys: vec!["upload".to_owned()] }).unwrap();
    for _ in 0..5 {
        let (_, lease) = next_lease(&mut bench);
        let (category, code, message) = (Category::Unknown, String::new(), String::new());
        let retry_after_ms = Some(5_000);
        jobs(&mut bench, JobCommand::Fail { job, lease, category, code, message, retry_after_ms }).unwrap();
        assert_eq!(attempts(&bench, job), 0);
    }
}

#[test]
fn a_lease_that_ends_uses_up_no_attempt_and_the_next_one_does_not_follow_at_once() {
    let mut bench = Bench::new();
    let job = enqueue(&mut bench, handler("upload", 1));
    jobs(&mut bench, JobCommand::RegisterHandlers { keys: vec!["upload".to_owned()] }).unwrap();
    for _ in 0..5 {
        next_lease(&mut bench);
        bench.advance_ms(bench.settings.job_lease_ms);
        assert_eq!((leases(&mut bench), attempts(&bench, job)), (vec![], 0));
    }
}

#[test]
fn no_lease_ends_or_is_given_while_the_app_rests_in_the_background() {
    let mut bench = Bench::new();
    let first = enqueue(&mut bench, handler("a", 1));
    let keys = vec!["a".to_owned(), "b".to_owned()];
    jobs(&mut bench, JobCommand::RegisterHandlers { keys }).unwrap();
    let (_, lease) = next_lease(&mut bench);
    bench.call(Command::SetAppState { state: AppState::Background }).unwrap();
    bench.advance_ms(bench.settings.background_grace_ms + 3 * bench.settings.job_lease_ms);
    let second = enqueue(&mut bench, handler("b", 1));
    assert_eq!(leases(&mut bench), []);
    // Frozen, without a tick.
    bench.now.mono_us += 2_000 * bench.settings.job_lease_ms;
    bench.call(Command::SetAppState { state: AppState::Active }).unwrap();
    bench.input(Input::Tick);
    assert_eq!(next_lease(&mut bench).0, second);
    let result = Argument::Null;
    jobs(&mut bench, JobCommand::Complete { job: first, lease, result }).unwrap();
}

#[test]
fn answers_that_came_while_the_app_was_frozen_are_all_heard_before_the_time_is_looked_at() {
    let mut bench = Bench::opened();
    for lane in ["a", "b", "c"] {
        enqueue(&mut bench, event(lane, 1));
    }
    bench.now.mono_us += 1_000 * bench.settings.job_ack_timeout_ms;
    for _ in 0..2 {
        answer_event(&mut bench, &1);
    }
    assert_eq!(bench.engine.jobs.running().len(), 1);
    bench.input(Input::Tick);
    assert_eq!((bench.queued(), bench.engine.jobs.running().len()), (1, 0));
}

/// Whether jobs wait for another token, as the app is told.
fn is_paused(bench: &mut Bench) -> bool {
    match bench.call(Command::Queue).unwrap() {
        Reply::Queue(status) => status.paused,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_401_of_somebody_who_is_not_given_the_token_is_a_failure_of_that_job_alone() {
    let mut bench = Bench::new();
    let job = enqueue(&mut bench, request("https://elsewhere.example/a"));
    let (status, headers) = (401, BTreeMap::new());
    respond_with(&mut bench, HttpResponse { status, headers, body: vec![], takes_token: false });
    assert_eq!(dead_letters(&mut bench), [(job, DeadReason::Refused)]);
    assert!(!is_paused(&mut bench));
    assert!(!bench.events.iter().any(|event| matches!(event, Event::TokenNeeded { .. })));
}

#[test]
fn a_token_that_is_given_again_is_tried_again() {
    let mut bench = Bench::new();
    enqueue(&mut bench, request("/a"));
    respond(&mut bench, 401);
    assert!(is_paused(&mut bench) && bench.http.is_empty());
    bench.call(Command::SetToken { token: Some("token".into()), expires_at_ms: None }).unwrap();
    respond(&mut bench, 401);
    assert!(is_paused(&mut bench) && bench.http.is_empty());
}

#[test]
fn jobs_wait_for_a_token_no_longer_than_the_one_that_was_refused_is_there() {
    for is_dropped in [true, false] {
        let mut bench = Bench::new();
        let job = enqueue(&mut bench, request("/a"));
        respond(&mut bench, 401);
        enqueue(&mut bench, request("/b"));
        assert!(is_paused(&mut bench) && bench.http.is_empty());
        match is_dropped {
            true => jobs(&mut bench, JobCommand::Drop { job }).unwrap(),
            false => jobs(&mut bench, JobCommand::Edit { job, work: request("/c").work }).unwrap(),
        };
        assert!(!is_paused(&mut bench));
        assert!(bench.http.iter().any(|(_, _, request)| request.url == "/b"));
    }
}

/// What a round of synchronization was answered: whether all is done, and if not, why.
fn round(bench: &mut Bench, request: RequestId) -> Option<(bool, Option<String>)> {
    match bench.replies.remove(&request)?.unwrap() {
        Reply::SyncedOnce { complete, reason, .. } => Some((complete, reason.map(|reason| reason.message))),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_round_does_not_wait_for_jobs_that_cannot_be_tried_before_its_deadline() {
    let mut bench = Bench::opened();
    let letter = enqueue(&mut bench, NewJob { policy: LanePolicy::Hold, ..event("a", 1) });
    answer_event(&mut bench, &failure("invalid"));
    let held = enqueue(&mut bench, event("a", 2));
    let request = bench.start(Command::SyncOnce { deadline_ms: 25_000 });
    let (complete, reason) = round(&mut bench, request).expect("it waits");
    assert!(!complete && reason.unwrap().contains(&format!("job {held}")));
    jobs(&mut bench, JobCommand::Drop { job: letter }).unwrap();
    let advice = |ms: u64| serde_json::json!({ "error": { "code": "unavailable", "retry_after_ms": ms } });
    answer_event(&mut bench, &advice(30_000));
    let request = bench.start(Command::SyncOnce { deadline_ms: 25_000 });
    assert!(!round(&mut bench, request).expect("it waits").0);
}

#[test]
fn a_round_waits_for_a_lane_that_goes_on_before_its_deadline() {
    let mut bench = Bench::opened();
    enqueue(&mut bench, event("a", 1));
    let advice = serde_json::json!({ "error": { "code": "unavailable", "retry_after_ms": 5_000 } });
    answer_event(&mut bench, &advice);
    let request = bench.start(Command::SyncOnce { deadline_ms: 25_000 });
    assert_eq!(round(&mut bench, request), None);
    bench.stay_open_ms(5_000);
    answer_event(&mut bench, &1);
    assert_eq!(round(&mut bench, request), Some((true, None)));
}

#[test]
fn an_event_behind_a_page_that_still_comes_in_uses_up_no_attempt() {
    let mut bench = Bench::opened();
    let job = enqueue(&mut bench, event("a", 1));
    let timeout_ms = bench.settings.job_ack_timeout_ms;
    for _ in 0..4 {
        bench.now.mono_us = bench.now.after_ms(timeout_ms);
        let generation = bench.socket.expect("no socket");
        bench.turn_of([Input::SocketMoved { generation, received: true }, Input::Tick]);
        assert_eq!(attempts(&bench, job), 0);
    }
    answer_event(&mut bench, &1);
    assert!(bench.engine.jobs.held(job).is_none());
    assert!(bench.emitted.is_empty(), "it was emitted once");
}

#[test]
fn a_round_waits_for_a_job_that_was_queued_in_the_same_turn() {
    let mut bench = Bench::opened();
    let command = JobCommand::Enqueue { jobs: vec![event("a", 1)] };
    let (_, queued) = bench.command(Command::Jobs { command });
    let (request, synced) = bench.command(Command::SyncOnce { deadline_ms: 25_000 });
    bench.turn_of([queued, synced]);
    assert_eq!(round(&mut bench, request), None);
    answer_event(&mut bench, &1);
    assert_eq!(round(&mut bench, request), Some((true, None)));
}
