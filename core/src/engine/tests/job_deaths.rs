//! Jobs that die in the turn in which they are queued or edited: before they are durable.

use super::bench::*;
use super::faulty_store::Fault;
use super::jobs::{dead_letters, enqueue, event};
use crate::engine::io::{Command, Event, Input, Reply};
use crate::engine::queue::command::{JobCommand, JobEvent, JobReply, NewJob};
use crate::error::Error;
use crate::job::{DeadReason, JobId};
use crate::transport::{Message, Namespace, Packet, Parser, Payload};

/// A command that comes together with an input after it; its answer comes with their commit.
#[track_caller]
fn call_before(bench: &mut Bench, command: Command, then: Input) -> Result<Reply, Error> {
    let (request, command) = bench.command(command);
    bench.turn_of([command, then]);
    bench.replies.remove(&request).expect("no answer")
}

/// Queues a job that follows another, and drops that one, in one turn.
#[track_caller]
fn queue_and_drop_below(bench: &mut Bench, first: JobId) -> [Result<Reply, Error>; 2] {
    let follower = NewJob { after: vec![first], ..event("b", 1) };
    let enqueue = Command::Jobs { command: JobCommand::Enqueue { jobs: vec![follower] } };
    let (dropping, drop) = bench.command(Command::Jobs { command: JobCommand::Drop { job: first } });
    let enqueued = call_before(bench, enqueue, drop);
    [enqueued, bench.replies.remove(&dropping).expect("no answer")]
}

/// What the server says of the event that was sent last.
fn refusal(bench: &mut Bench) -> Input {
    let (id, ..) = bench.emitted.pop_front().expect("nothing was emitted");
    let body = serde_json::json!({ "error": { "code": "invalid", "message": "no" } });
    let packet = Packet::Ack { id, args: vec![Payload::encode(Parser::Msgpack, &body).unwrap()] };
    let message = Message::Socket { namespace: Namespace::ROOT, packet };
    Input::SocketReceived(bench.socket.expect("no socket"), message)
}

/// Which deaths the app was told of.
fn told_deaths(bench: &mut Bench) -> Vec<JobId> {
    let events = std::mem::take(&mut bench.events).into_iter();
    let deaths = events.filter_map(|event| match event {
        Event::Job { event: JobEvent::Dead { letter } } => Some(letter.job),
        _ => None,
    });
    deaths.collect()
}

/// Starts again from the disk, after what is appended anew had its time.
fn restart(bench: &mut Bench) {
    bench.advance_ms(bench.settings.cache_flush_ms);
    bench.crash();
}

#[test]
fn a_job_that_dies_before_it_is_accepted_is_a_dead_letter() {
    let mut bench = Bench::new();
    let first = enqueue(&mut bench, event("a", 1));
    let [enqueued, dropped] = queue_and_drop_below(&mut bench, first);
    let Ok(Reply::Jobs(JobReply::Enqueued { enqueued })) = enqueued else { panic!("{enqueued:?}") };
    dropped.unwrap();
    let job = enqueued[0].job;
    assert_eq!(told_deaths(&mut bench), [job]);
    restart(&mut bench);
    assert_eq!((dead_letters(&mut bench), bench.queued()), (vec![(job, DeadReason::Dependency)], 0));
}

#[test]
fn a_job_that_dies_before_it_is_accepted_was_never_there_if_the_commit_fails() {
    let mut bench = Bench::new();
    let first = enqueue(&mut bench, event("a", 1));
    bench.store.fault = Some(Fault::Commit);
    for answer in queue_and_drop_below(&mut bench, first) {
        answer.unwrap_err();
    }
    assert_eq!((told_deaths(&mut bench), dead_letters(&mut bench), bench.queued()), (vec![], vec![], 1));
    restart(&mut bench);
    assert_eq!((dead_letters(&mut bench), bench.queued()), (vec![], 1));
}

#[test]
fn who_died_of_a_drop_that_is_taken_back_waits_again() {
    let mut bench = Bench::new();
    let first = enqueue(&mut bench, event("a", 1));
    let second = enqueue(&mut bench, NewJob { after: vec![first], ..event("b", 1) });
    enqueue(&mut bench, NewJob { after: vec![second], ..event("c", 1) });
    bench.store.fault = Some(Fault::Commit);
    bench.call(Command::Jobs { command: JobCommand::Drop { job: first } }).unwrap_err();
    assert_eq!((told_deaths(&mut bench), dead_letters(&mut bench), bench.queued()), (vec![], vec![], 3));
    restart(&mut bench);
    assert_eq!((dead_letters(&mut bench), bench.queued()), (vec![], 3));
}

#[test]
fn who_died_behind_one_that_stays_dead_stays_dead_when_the_commit_fails() {
    let mut bench = Bench::opened();
    let first = enqueue(&mut bench, event("a", 1));
    let second = enqueue(&mut bench, NewJob { after: vec![first], ..event("b", 1) });
    let third = enqueue(&mut bench, NewJob { after: vec![second], ..event("c", 1) });
    let refusal = refusal(&mut bench);
    bench.store.fault = Some(Fault::Commit);
    bench.turn_of([refusal]);
    assert_eq!(told_deaths(&mut bench), [first, second, third]);
    restart(&mut bench);
    let dead: Vec<JobId> = dead_letters(&mut bench).into_iter().map(|(job, _)| job).collect();
    assert_eq!((dead, bench.queued()), (vec![first, second, third], 0));
}

#[test]
fn an_edit_that_is_taken_back_leaves_its_job_dead_behind_one_that_stays_dead() {
    let mut bench = Bench::opened();
    let first = enqueue(&mut bench, event("a", 1));
    let second = enqueue(&mut bench, NewJob { after: vec![first], ..event("b", 1) });
    let refusal = refusal(&mut bench);
    bench.store.fault = Some(Fault::Commit);
    let edit = Command::Jobs { command: JobCommand::Edit { job: second, work: event("b", 2).work } };
    call_before(&mut bench, edit, refusal).unwrap_err();
    assert_eq!(told_deaths(&mut bench), [first, second]);
    let dead = vec![(first, DeadReason::Refused), (second, DeadReason::Dependency)];
    assert_eq!(dead_letters(&mut bench), dead);
    restart(&mut bench);
    assert_eq!(dead_letters(&mut bench), dead);
}
