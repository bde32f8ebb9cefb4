//! What jobs are called, and what they may not be.

use super::bench::*;
use super::jobs::*;
use crate::argument::Argument;
use crate::engine::io::Command;
use crate::engine::queue::command::{JobCommand, NewJob};
use crate::error::Code;
use crate::job::JobWork;

fn lane(bench: &Bench, job: u64) -> &str {
    &bench.engine.jobs.held(job).expect("the job is gone").job.lane
}

#[test]
fn a_long_endpoint_has_a_lane_of_its_own_whose_name_ends_in_a_hash() {
    let mut bench = Bench::new();
    let long = format!("/{}", "path/".repeat(100));
    let [first, second, other] =
        ["a", "a?query=1", "b"].map(|end| enqueue(&mut bench, request(&format!("{long}{end}"))));
    assert_eq!(lane(&bench, first), lane(&bench, second));
    assert_ne!(lane(&bench, first), lane(&bench, other));
    // It stands in journals.
    assert_eq!(&lane(&bench, first)[..20], "request:/path/path/p");
    assert_eq!(&lane(&bench, first)[239..], "~3d08dbcd17b9d630");
}

#[test]
fn the_longest_names_of_events_and_keys_need_no_lane_to_be_named() {
    let mut bench = Bench::new();
    let name = "ü".repeat(128);
    let event = enqueue(
        &mut bench,
        NewJob::new(JobWork::Event { namespace: None, name: name.clone(), args: vec![] }),
    );
    let handler = enqueue(&mut bench, NewJob::new(JobWork::Handler { key: name, payload: Argument::Null }));
    assert!(lane(&bench, event).len() <= 256 && lane(&bench, handler).len() <= 256);
}

#[test]
fn an_event_that_no_app_may_emit_cannot_be_queued_either() {
    let mut bench = Bench::new();
    let named =
        |name: &str| NewJob::new(JobWork::Event { namespace: None, name: name.to_owned(), args: vec![] });
    for name in ["disconnect", "connect_error", "sync:push", "presence:leave"] {
        let error = jobs(&mut bench, JobCommand::Enqueue { jobs: vec![named(name)] }).unwrap_err();
        assert_eq!(error.code, Code::Invalid, "{name}");
    }
    let job = enqueue(&mut bench, named("sync"));
    jobs(&mut bench, JobCommand::Edit { job, work: named("sync:pull").work }).unwrap_err();
}

#[test]
fn a_token_that_no_header_can_carry_is_refused_where_it_is_set() {
    let mut bench = Bench::new();
    enqueue(&mut bench, request("/a"));
    respond(&mut bench, 401);
    for token in ["newer\n", "ne\0wer", "\u{7f}"] {
        let set = Command::SetToken { token: Some(token.into()), expires_at_ms: None };
        assert_eq!(bench.call(set).unwrap_err().code, Code::Invalid);
        assert!(bench.http.is_empty());
    }
}
