//! Events, requests and handlers that wait to be carried out.

use std::collections::BTreeMap;

use super::bench::*;
use super::faulty_store::Fault;
use crate::argument::Argument;
use crate::config::Settings;
use crate::engine::io::{Command, Event, Input, Network, Reply};
use crate::engine::queue::command::{Enqueued, JobCommand, JobEvent, JobReply, NewJob, ProcessReport};
use crate::engine::queue::http::HttpResponse;
use crate::error::{Code, Error};
use crate::job::{DeadReason, JobWork, LanePolicy};
use crate::store::Store;
use crate::transport::Payload;

pub(super) fn read_argument(payload: &Payload) -> Argument {
    Argument::from_payload(payload).unwrap()
}

pub(super) fn event(name: &str, n: i64) -> NewJob {
    NewJob::new(JobWork::Event { namespace: None, name: format!("job:{name}"), args: vec![Argument::Int(n)] })
}

pub(super) fn jobs(bench: &mut Bench, command: JobCommand) -> Result<JobReply, Error> {
    match bench.call(Command::Jobs { command })? {
        Reply::Jobs(reply) => Ok(reply),
        other => panic!("{other:?}"),
    }
}

pub(super) fn enqueue(bench: &mut Bench, job: NewJob) -> u64 {
    match jobs(bench, JobCommand::Enqueue { jobs: vec![job] }).unwrap() {
        JobReply::Enqueued { enqueued } => match enqueued[..] {
            [Enqueued { job, duplicate: false }] => job,
            ref other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_event_is_sent_when_connected_and_is_gone_with_its_answer() {
    let mut bench = Bench::new();
    let job = enqueue(&mut bench, event("like", 1));
    assert_eq!(bench.queued(), 1);
    bench.open();
    let (ack, name, args) = bench.emitted.pop_front().unwrap();
    assert_eq!((name.as_str(), &args[0]), ("job:like", &Argument::Int(1)));
    bench.answer(ack, &7);
    assert_eq!(bench.queued(), 0);
    let done = bench.events.iter().any(|event| {
        matches!(event, Event::Job { event: JobEvent::Done { outcome } }
            if outcome.job == job && outcome.result == [Argument::Int(7)])
    });
    assert!(done);
    bench.crash();
    assert_eq!(bench.queued(), 0);
}

pub(super) fn request(url: &str) -> NewJob {
    NewJob::new(JobWork::Request {
        method: "POST".to_owned(),
        url: url.to_owned(),
        headers: BTreeMap::new(),
        body: Some(Argument::Int(1)),
    })
}

pub(super) fn handler(key: &str, n: i64) -> NewJob {
    NewJob::new(JobWork::Handler { key: key.to_owned(), payload: Argument::Int(n) })
}

pub(super) fn failure(code: &str) -> serde_json::Value {
    serde_json::json!({ "error": { "code": code, "message": "no" } })
}

/// Answers the request that goes out next.
pub(super) fn respond(bench: &mut Bench, status: u16) {
    respond_with(bench, HttpResponse { status, headers: BTreeMap::new(), body: vec![], takes_token: true });
}

pub(super) fn respond_with(bench: &mut Bench, response: HttpResponse) {
    let (job, run, _) = bench.http.pop_front().expect("no request");
    bench.input(Input::HttpDone { job, run, result: Ok(response) });
}

fn break_off(bench: &mut Bench) {
    let (job, run, _) = bench.http.pop_front().expect("no request");
    let result = Err(Error::new(Code::Unreachable, "refused"));
    bench.input(Input::HttpDone { job, run, result });
}

pub(super) fn answer_event<T: serde::Serialize>(bench: &mut Bench, body: &T) -> String {
    let (ack, name, _) = bench.emitted.pop_front().expect("nothing was emitted");
    bench.answer(ack, body);
    name
}

pub(super) fn dead_letters(bench: &mut Bench) -> Vec<(u64, DeadReason)> {
    match jobs(bench, JobCommand::DeadLetters).unwrap() {
        JobReply::DeadLetters { dead_letters } => {
            dead_letters.iter().map(|letter| (letter.job, letter.reason)).collect()
        }
        other => panic!("{other:?}"),
    }
}

pub(super) fn leases(bench: &mut Bench) -> Vec<(u64, u64)> {
    let events = std::mem::take(&mut bench.events).into_iter();
    let leases = events.filter_map(|event| match event {
        Event::Job { event: JobEvent::Leased { job, lease, .. } } => Some((job, lease)),
        _ => None,
    });
    leases.collect()
}

pub(super) fn attempts(bench: &Bench, job: u64) -> u32 {
    bench.engine.jobs.held(job).expect("the job is gone").job.attempts
}

/// Lets a lane wait as long as it can.
fn wait_for_lane(bench: &mut Bench) {
    bench.advance_ms(bench.settings.job_retry_delay_ms_max);
}

#[test]
fn a_lane_is_strictly_in_order_and_lanes_go_side_by_side() {
    let mut bench = Bench::opened();
    for (name, n) in [("a", 1), ("a", 2), ("b", 3)] {
        enqueue(&mut bench, event(name, n));
    }
    assert_eq!(bench.emitted.len(), 2);
    assert_eq!(answer_event(&mut bench, &1), "job:a");
    assert_eq!(
        bench.emitted.iter().map(|(_, name, _)| name.as_str()).collect::<Vec<_>>(),
        ["job:b", "job:a"]
    );
}

#[test]
fn the_first_jobs_of_lanes_go_by_priority() {
    let settings = Settings { jobs_parallel_max: 1, ..at_once() };
    let mut bench = Bench::with(settings);
    for (name, priority) in [("low", -1), ("normal", 0), ("high", 5)] {
        enqueue(&mut bench, NewJob { priority, ..event(name, 1) });
    }
    bench.open();
    let order: Vec<String> = (0..3).map(|_| answer_event(&mut bench, &1)).collect();
    assert_eq!(order, ["job:high", "job:normal", "job:low"]);
}

#[test]
fn an_equal_job_that_has_not_ended_is_the_same_job() {
    let mut bench = Bench::new();
    let job = enqueue(&mut bench, event("like", 1));
    let again = jobs(&mut bench, JobCommand::Enqueue { jobs: vec![event("like", 1)] }).unwrap();
    assert_eq!(again, JobReply::Enqueued { enqueued: vec![Enqueued { job, duplicate: true }] });
    enqueue(&mut bench, NewJob { dedupe: false, ..event("like", 1) });
    enqueue(&mut bench, NewJob { dedupe_key: Some("k".to_owned()), ..event("like", 1) });
    bench.crash();
    let again = NewJob { dedupe_key: Some("k".to_owned()), ..event("other", 2) };
    let again = jobs(&mut bench, JobCommand::Enqueue { jobs: vec![again] }).unwrap();
    assert!(matches!(again, JobReply::Enqueued { enqueued } if enqueued[0].duplicate));
    bench.open();
    assert_eq!(bench.emitted.len(), 1);
    answer_event(&mut bench, &1);
    enqueue(&mut bench, event("like", 1));
}

#[test]
fn a_job_that_equals_one_with_others_behind_it_or_under_way_is_another_job() {
    let mut bench = Bench::new();
    for liked in [1, 0, 1] {
        enqueue(&mut bench, event("like", liked));
    }
    bench.open();
    let (ack, _, args) = bench.emitted.pop_front().unwrap();
    bench.answer(ack, &1);
    let (ack, _, second) = bench.emitted.pop_front().unwrap();
    bench.answer(ack, &1);
    assert_eq!((&args[0], &second[0]), (&Argument::Int(1), &Argument::Int(0)));
    enqueue(&mut bench, event("like", 1));
    answer_event(&mut bench, &1);
    answer_event(&mut bench, &1);
    assert_eq!(bench.queued(), 0);
}

#[test]
fn an_event_without_its_answer_is_sent_again_with_the_same_key() {
    let mut bench = Bench::opened();
    let job = enqueue(&mut bench, event("like", 1));
    let (_, _, first) = bench.emitted[0].clone();
    assert_eq!(first.len(), 2);
    bench.reconnect();
    assert_eq!(bench.emitted[0].2, first);
    bench.crash();
    bench.open();
    assert_eq!((&bench.emitted[0].2, attempts(&bench, job)), (&first, 0));
}

#[test]
fn a_refused_event_becomes_a_dead_letter_and_its_lane_goes_on() {
    let mut bench = Bench::opened();
    let bad = enqueue(&mut bench, event("a", 1));
    enqueue(&mut bench, event("a", 2));
    answer_event(&mut bench, &failure("out_of_stock"));
    assert_eq!(answer_event(&mut bench, &1), "job:a");
    bench.crash();
    assert_eq!((dead_letters(&mut bench), bench.queued()), (vec![(bad, DeadReason::Refused)], 0));
}

#[test]
fn a_lane_that_holds_waits_until_its_dead_letter_is_dropped() {
    let mut bench = Bench::opened();
    let bad = enqueue(&mut bench, NewJob { policy: LanePolicy::Hold, ..event("a", 1) });
    enqueue(&mut bench, event("a", 2));
    answer_event(&mut bench, &failure("invalid"));
    assert!(bench.emitted.is_empty());
    bench.crash();
    bench.open();
    assert!(bench.emitted.is_empty());
    jobs(&mut bench, JobCommand::Drop { job: bad }).unwrap();
    assert_eq!(bench.emitted.len(), 1);
}

#[test]
fn a_dead_letter_is_retried_as_it_was_or_edited() {
    let mut bench = Bench::opened();
    let job = enqueue(&mut bench, event("a", 1));
    let first = bench.emitted[0].2.clone();
    answer_event(&mut bench, &failure("invalid"));
    jobs(&mut bench, JobCommand::Retry { job, work: None }).unwrap();
    assert_eq!(bench.emitted[0].2, first);
    answer_event(&mut bench, &failure("invalid"));
    jobs(&mut bench, JobCommand::Retry { job, work: Some(event("a", 9).work) }).unwrap();
    let edited = bench.emitted[0].2.clone();
    assert_eq!(edited[0], Argument::Int(9));
    assert_ne!(edited[1], first[1], "an edited job needs another key");
    answer_event(&mut bench, &1);
    assert_eq!((dead_letters(&mut bench), bench.queued()), (vec![], 0));
}

#[test]
fn spent_attempts_make_a_dead_letter_across_restarts() {
    let mut bench = Bench::new();
    let job = enqueue(&mut bench, request("/orders"));
    for spent in 1..=2 {
        respond(&mut bench, 500);
        assert_eq!(attempts(&bench, job), spent);
        bench.crash();
        bench.advance_ms(1);
        bench.input(Input::Tick);
    }
    respond(&mut bench, 500);
    assert_eq!(dead_letters(&mut bench), [(job, DeadReason::AttemptsSpent)]);
}

#[test]
fn a_missing_network_uses_up_no_attempt() {
    let mut bench = Bench::new();
    let job = enqueue(&mut bench, request("/orders"));
    for _ in 0..20 {
        break_off(&mut bench);
        for _ in 0..=60 {
            if bench.http.is_empty() {
                bench.advance_ms(1_000);
            }
        }
    }
    assert_eq!(attempts(&bench, job), 0);
    respond(&mut bench, 200);
    assert_eq!(bench.queued(), 0);
}

#[test]
fn a_refused_token_pauses_requests_until_another_comes() {
    let mut bench = Bench::new();
    let job = enqueue(&mut bench, request("/a"));
    respond(&mut bench, 401);
    assert!(bench.events.iter().any(|event| matches!(event, Event::TokenNeeded { .. })));
    enqueue(&mut bench, request("/b"));
    wait_for_lane(&mut bench);
    assert_eq!((bench.http.len(), attempts(&bench, job)), (0, 0));
    bench.call(Command::SetToken { token: Some("newer".into()), expires_at_ms: None }).unwrap();
    let tokens: Vec<_> =
        bench.http.iter().map(|(_, _, request)| request.token.clone().unwrap().expose().to_owned()).collect();
    assert_eq!(tokens, ["newer", "newer"]);
}

#[test]
fn a_refusal_of_a_token_that_was_replaced_meanwhile_pauses_nothing() {
    let mut bench = Bench::new();
    enqueue(&mut bench, request("/a"));
    bench.call(Command::SetToken { token: Some("newer".into()), expires_at_ms: None }).unwrap();
    respond(&mut bench, 401);
    assert_eq!(bench.http.len(), 1);
}

#[test]
fn advice_on_when_to_come_back_is_followed_and_uses_up_no_attempt() {
    let mut bench = Bench::new();
    let job = enqueue(&mut bench, request("/a"));
    let headers = [("retry-after".to_owned(), "120".to_owned())].into();
    respond_with(&mut bench, HttpResponse { status: 503, headers, body: vec![], takes_token: true });
    bench.advance_ms(119_000);
    assert_eq!(bench.http.len(), 0);
    bench.advance_ms(1_001);
    assert_eq!((bench.http.len(), attempts(&bench, job)), (1, 0));
}

#[test]
fn a_job_waits_for_those_it_follows_and_fails_with_them() {
    let mut bench = Bench::opened();
    let first = enqueue(&mut bench, event("a", 1));
    let second = enqueue(&mut bench, NewJob { after: vec![first], ..event("b", 1) });
    let third = enqueue(&mut bench, NewJob { after: vec![second], ..event("c", 1) });
    assert_eq!(answer_event(&mut bench, &1), "job:a");
    assert_eq!(bench.emitted.len(), 1);
    answer_event(&mut bench, &failure("invalid"));
    let expected = [(second, DeadReason::Refused), (third, DeadReason::Dependency)];
    assert_eq!(dead_letters(&mut bench), expected);
    let follow = NewJob { after: vec![second], ..event("d", 1) };
    jobs(&mut bench, JobCommand::Enqueue { jobs: vec![follow] }).unwrap_err();
}

#[test]
fn a_handler_has_exactly_one_owner() {
    let mut bench = Bench::new();
    let job = enqueue(&mut bench, handler("upload", 1));
    assert_eq!(leases(&mut bench), []);
    jobs(&mut bench, JobCommand::RegisterHandlers { keys: vec!["upload".to_owned()] }).unwrap();
    let [(leased, old)] = leases(&mut bench)[..] else { panic!("not leased once") };
    assert_eq!(leased, job);
    bench.advance_ms(bench.settings.job_lease_ms + bench.settings.job_retry_delay_ms + 1);
    let [(_, new)] = leases(&mut bench)[..] else { panic!("not offered again") };
    let complete = |lease| JobCommand::Complete { job, lease, result: Argument::Null };
    assert_eq!(jobs(&mut bench, complete(old)).unwrap_err().code, Code::Conflict);
    bench.store.fault = Some(Fault::Commit);
    jobs(&mut bench, complete(new)).unwrap_err();
    bench.advance_ms(1);
    let [(_, newest)] = leases(&mut bench)[..] else { panic!("not offered after a failed commit") };
    jobs(&mut bench, complete(newest)).unwrap();
    bench.crash();
    assert_eq!(bench.queued(), 0);
}

#[test]
fn one_round_tries_each_job_once_and_counts() {
    let settings = Settings { job_auto: false, ..at_once() };
    let mut bench = Bench::with(settings);
    for url in ["/good", "/bad", "/busy"] {
        enqueue(&mut bench, request(url));
    }
    enqueue(&mut bench, event("unsent", 1));
    assert_eq!(bench.http.len(), 0);
    let pass = bench.start(Command::Jobs { command: JobCommand::Process });
    for status in [200, 422, 500] {
        respond(&mut bench, status);
    }
    let report = ProcessReport { processed: 1, failed: 2, skipped: 1 };
    assert_eq!(bench.replies.remove(&pass).unwrap().unwrap(), Reply::Jobs(JobReply::Processed(report)));
    wait_for_lane(&mut bench);
    assert_eq!(bench.http.len(), 0);
}

#[test]
fn a_network_that_the_system_denies_is_probed_by_one_request() {
    let mut bench = Bench::new();
    let network = Network { available: false, ..Network::default() };
    bench.call(Command::SetNetwork { network }).unwrap();
    enqueue(&mut bench, request("/a"));
    enqueue(&mut bench, request("/b"));
    assert_eq!(bench.http.len(), 0);
    bench.advance_ms(bench.settings.offline_probe_ms);
    assert_eq!(bench.http.len(), 1);
    respond(&mut bench, 200);
    assert_eq!(bench.http.len(), 1);
}

#[test]
fn a_network_report_that_says_nothing_new_neither_ends_a_wait_nor_puts_off_a_probe() {
    let mut bench = Bench::new();
    let report = |bench: &mut Bench, available, kind: &str| {
        let network = Network { available, kind: kind.to_owned(), expensive: false };
        bench.call(Command::SetNetwork { network }).unwrap();
    };
    report(&mut bench, true, "wifi");
    enqueue(&mut bench, request("/a"));
    respond(&mut bench, 500);
    report(&mut bench, true, "wifi");
    assert_eq!(bench.http.len(), 0);
    report(&mut bench, true, "cellular");
    respond(&mut bench, 500);
    report(&mut bench, false, "none");
    bench.advance_ms(bench.settings.offline_probe_ms / 2);
    report(&mut bench, false, "none");
    bench.advance_ms(bench.settings.offline_probe_ms / 2);
    assert_eq!(bench.http.len(), 1);
}

#[test]
fn a_kept_outcome_survives_until_it_is_acknowledged() {
    let mut bench = Bench::opened();
    let job = enqueue(&mut bench, NewJob { keep_outcome: true, ..event("a", 1) });
    answer_event(&mut bench, &"sold");
    bench.crash();
    let JobReply::Outcomes { outcomes } = jobs(&mut bench, JobCommand::Outcomes).unwrap() else { panic!() };
    assert_eq!((outcomes[0].job, &outcomes[0].result[0]), (job, &Argument::String("sold".to_owned())));
    jobs(&mut bench, JobCommand::Acknowledge { job }).unwrap();
    bench.crash();
    let outcomes = jobs(&mut bench, JobCommand::Outcomes).unwrap();
    assert_eq!(outcomes, JobReply::Outcomes { outcomes: vec![] });
}

#[test]
fn a_full_queue_and_a_failed_disk_accept_nothing() {
    let mut bench = Bench::with(Settings { queue_count_max: 2, ..at_once() });
    bench.write(vec![create("a", 1)]);
    enqueue(&mut bench, event("a", 1));
    let full = jobs(&mut bench, JobCommand::Enqueue { jobs: vec![event("b", 1)] }).unwrap_err();
    assert_eq!(full.code, Code::QueueFull);
    let mut bench = Bench::opened();
    bench.store.fault = Some(Fault::Commit);
    jobs(&mut bench, JobCommand::Enqueue { jobs: vec![event("a", 1)] }).unwrap_err();
    assert_eq!((bench.queued(), bench.emitted.len()), (0, 0));
}

#[test]
fn a_request_to_a_host_whose_name_is_not_ascii_is_refused_and_its_ascii_form_is_not() {
    let mut bench = Bench::new();
    let enqueue =
        |bench: &mut Bench, url: &str| jobs(bench, JobCommand::Enqueue { jobs: vec![request(url)] });
    let error = enqueue(&mut bench, "https://bücher.example/orders").unwrap_err();
    assert_eq!(error.code, Code::Invalid);
    assert!(error.message.contains("xn--"), "{error}");
    assert!(enqueue(&mut bench, "https://xn--bcher-kva.example/orders").is_ok());
}

#[test]
fn numbers_of_jobs_are_never_used_again() {
    let mut bench = Bench::opened();
    let job = enqueue(&mut bench, event("a", 1));
    answer_event(&mut bench, &1);
    let live = bench.engine.live();
    bench.store.replace_journal(&live).unwrap();
    bench.crash();
    assert!(enqueue(&mut bench, event("a", 1)) > job);
}

#[test]
fn a_flush_waits_for_jobs() {
    let mut bench = Bench::opened();
    enqueue(&mut bench, event("a", 1));
    let flush = bench.start(Command::Flush);
    assert!(!bench.replies.contains_key(&flush));
    answer_event(&mut bench, &1);
    bench.replies.remove(&flush).unwrap().unwrap();
    enqueue(&mut bench, request("/a"));
    let flush = bench.start(Command::Flush);
    respond(&mut bench, 500);
    bench.replies.remove(&flush).unwrap().unwrap_err();
}

#[test]
fn the_figures_tell_how_much_of_each_kind_waits_and_since_when() {
    let mut bench = Bench::new();
    bench.write(vec![super::bench::create("a", 1)]);
    bench.advance_ms(1_000);
    enqueue(&mut bench, event("like", 1));
    bench.advance_ms(500);
    let Reply::Stats(stats) = bench.call(Command::Stats).unwrap() else { panic!("no figures") };
    let depths: Vec<_> =
        stats.queue.iter().map(|depth| (depth.kind.as_str(), depth.count, depth.oldest_ms)).collect();
    let nothing = |kind| (kind, 0, None);
    let expected =
        [("mutation", 1, Some(1_500)), ("event", 1, Some(500)), nothing("request"), nothing("handler")];
    assert_eq!(depths, expected);
}
