//! What survives a loss of power, wherever it strikes.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use syncline_protocol::message::{MutationStatus, PushAnswer, event};
use syncline_protocol::{ErrorCode, Value, WireError};

use super::bench::*;
use super::faulty_store::Fault;
use super::jobs::{enqueue, event as job};
use super::server_log::{ServerLog, rejected};
use crate::engine::io::{Command, Input, Output, Reply};
use crate::engine::queue::command::{JobCommand, NewJob};
use crate::error::Code;
use crate::store::Store;

fn refuse_write(bench: &mut Bench) {
    let (ack, push) = bench.expect_push();
    let error = WireError::new(ErrorCode::TooLarge, "too much");
    let results = vec![rejected(push.mutations[0].client_seq, error)];
    bench.answer(ack, &PushAnswer { results, error: None });
}

#[test]
fn an_accepted_write_survives_a_crash_with_its_number() {
    let mut bench = Bench::new();
    bench.write(vec![create("a", 1)]);
    bench.crash();
    assert_eq!((bench.field("a", "n"), bench.queued()), (Value::Int(1), 1));
    bench.open();
    bench.expect_subscribe();
    assert_eq!(numbers(&bench.expect_push().1), [1]);
    assert_eq!(bench.write(vec![create("b", 1)]), [2]);
}

#[test]
fn a_job_does_not_overtake_one_whose_drop_is_taken_back() {
    let mut bench = Bench::opened();
    let in_lane = |job| NewJob { lane: Some("lane".to_owned()), ..job };
    let first = enqueue(&mut bench, job("first", 1));
    let ahead = enqueue(&mut bench, in_lane(NewJob { after: vec![first], ..job("ahead", 1) }));
    enqueue(&mut bench, in_lane(job("behind", 1)));
    bench.emitted.clear();
    bench.store.fault = Some(Fault::Commit);
    let drop_ahead = || Command::Jobs { command: JobCommand::Drop { job: ahead } };
    bench.call(drop_ahead()).unwrap_err();
    assert_eq!(bench.emitted.len(), 0);
    bench.call(drop_ahead()).unwrap();
    assert_eq!(bench.emitted.iter().map(|(_, name, _)| name.as_str()).collect::<Vec<_>>(), ["job:behind"]);
}

#[test]
fn a_confirmed_write_is_sent_again_if_the_cache_was_not_durable() {
    let mut log = ServerLog::of(vec![create("a", 10)]);
    let mut bench = Bench::in_room(&log);
    bench.store.flush().unwrap();
    bench.write(vec![increment("a", 1)]);
    let (ack, push) = bench.expect_push();
    let answer = log.push(&push);
    bench.answer(ack, &answer);
    bench.emit(event::SYNC_CHANGES, &log.changes(2));
    assert_eq!(bench.queued(), 0);
    bench.crash();
    assert_eq!((bench.queued(), bench.field("a", "n")), (1, Value::Int(11)));
    bench.open();
    let (ack, subscribe) = bench.expect_subscribe();
    bench.answer(ack, &log.page(subscribe.cursor));
    let (ack, push) = bench.expect_push();
    let answer = log.push(&push);
    assert_eq!(answer.results[0].status, MutationStatus::Duplicate);
    bench.answer(ack, &answer);
    assert_eq!((bench.queued(), bench.field("a", "n")), (0, Value::Int(11)));
}

#[test]
fn a_confirmed_write_is_forgotten_once_the_cache_is_durable() {
    let mut log = ServerLog::of(vec![create("a", 10)]);
    let mut bench = Bench::in_room(&log);
    bench.write(vec![increment("a", 1)]);
    let (ack, push) = bench.expect_push();
    let answer = log.push(&push);
    bench.answer(ack, &answer);
    bench.emit(event::SYNC_CHANGES, &log.changes(2));
    bench.advance_ms(bench.settings.cache_flush_ms);
    bench.crash();
    assert_eq!((bench.queued(), bench.field("a", "n")), (0, Value::Int(11)));
}

#[test]
fn an_outcome_survives_restarts_until_the_app_has_seen_it() {
    let mut bench = Bench::in_room(&ServerLog::of(vec![create("a", 10)]));
    bench.write(vec![increment("a", 1)]);
    refuse_write(&mut bench);
    bench.crash();
    assert_eq!((bench.outcomes(), bench.queued()), (vec![(1, Code::TooLarge)], 0));
    bench.call(Command::AcknowledgeOutcome { client_seq: 1 }).unwrap();
    bench.call(Command::AcknowledgeOutcome { client_seq: 1 }).unwrap_err();
    bench.crash();
    assert_eq!(bench.outcomes(), []);
}

#[test]
fn an_outcome_is_kept_when_the_disk_does_not_take_that_the_app_has_seen_it() {
    let mut bench = Bench::in_room(&ServerLog::of(vec![create("a", 10)]));
    bench.write(vec![increment("a", 1)]);
    refuse_write(&mut bench);
    bench.store.fault = Some(Fault::Commit);
    bench.call(Command::AcknowledgeOutcome { client_seq: 1 }).unwrap_err();
    assert_eq!(bench.outcomes(), [(1, Code::TooLarge)]);
    bench.call(Command::AcknowledgeOutcome { client_seq: 1 }).unwrap();
    bench.crash();
    assert_eq!(bench.outcomes(), []);
}

#[test]
fn an_outcome_that_could_not_be_saved_is_saved_with_the_next_flush() {
    let mut bench = Bench::in_room(&ServerLog::of(vec![create("a", 10)]));
    bench.advance_ms(bench.settings.cache_flush_ms);
    bench.write(vec![increment("a", 1)]);
    bench.store.fault = Some(Fault::Commit);
    refuse_write(&mut bench);
    assert_eq!(bench.store.fault, None);
    bench.advance_ms(bench.settings.cache_flush_ms);
    bench.crash();
    assert_eq!((bench.outcomes(), bench.queued()), (vec![(1, Code::TooLarge)], 0));
}

#[test]
fn time_goes_on_after_a_crash_even_if_the_clock_went_back() {
    let mut bench = Bench::new();
    bench.write(vec![create("a", 1)]);
    let before = bench.store.entry(1).unwrap().mutation.time;
    bench.crash();
    bench.now.wall_ms = 5;
    bench.write(vec![create("b", 1)]);
    let after = bench.store.entry(2).unwrap().mutation.time;
    assert!(after > before);
}

/// What happens next in a random life.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// So many writes in one command.
    Write(usize),
    /// The power fails after the append, before the commit.
    CrashInWrite,
    /// The commit fails.
    FailWrite,
    /// The server reads one push and, perhaps, its answer arrives.
    Push {
        answered: bool,
    },
    /// The room's changes arrive.
    Hear,
    Flush,
    Reconnect,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1usize..4).prop_map(Step::Write),
        1 => Just(Step::CrashInWrite),
        1 => Just(Step::FailWrite),
        4 => any::<bool>().prop_map(|answered| Step::Push { answered }),
        3 => Just(Step::Hear),
        2 => Just(Step::Flush),
        1 => Just(Step::Reconnect),
        2 => Just(Step::Crash),
    ]
}

struct Life {
    bench: Bench,
    log: ServerLog,
    /// Numbers that the app was told are accepted.
    accepted: BTreeSet<u64>,
    next_id: u64,
}

impl Life {
    fn new() -> Self {
        let log = ServerLog::default();
        Self { bench: Bench::in_room(&log), log, accepted: BTreeSet::new(), next_id: 0 }
    }

    fn creations(&mut self, count: usize) -> Vec<crate::engine::io::WriteRequest> {
        let ids = (0..count).map(|_| {
            self.next_id += 1;
            create(&format!("d{}", self.next_id), 1)
        });
        ids.collect()
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Write(count) => {
                let writes = self.creations(count);
                self.accepted.extend(self.bench.write(writes));
            }
            Step::CrashInWrite => {
                let command = Command::Write { writes: self.creations(1) };
                let mut out = Vec::new();
                let Bench { engine, store, now, .. } = &mut self.bench;
                engine.handle(*now, Input::Command { request: u64::MAX, command }, store, &mut out);
                let answered =
                    |output: &Output| matches!(output, Output::Reply(_, Ok(Reply::Written { .. })));
                assert!(!out.iter().any(answered), "answered before it was durable");
                self.restart();
            }
            Step::FailWrite => {
                self.bench.store.fault = Some(Fault::Commit);
                let writes = self.creations(1);
                self.bench.call(Command::Write { writes }).unwrap_err();
            }
            Step::Push { answered } => self.log.serve_push(&mut self.bench, answered),
            Step::Hear => {
                let hint = self.log.changes(self.log.head.max(1));
                if self.bench.socket.is_some() && self.log.head > 0 {
                    self.bench.emit(event::SYNC_CHANGES, &hint);
                    self.log.serve_pages(&mut self.bench);
                }
            }
            Step::Flush => self.bench.store.flush().unwrap(),
            Step::Reconnect => {
                self.bench.reconnect();
                self.log.serve_pages(&mut self.bench);
            }
            Step::Crash => self.restart(),
        }
    }

    fn restart(&mut self) {
        self.bench.crash();
        self.check();
        self.bench.call(Command::Subscribe { room: room() }).unwrap();
        self.bench.open();
        self.log.serve_pages(&mut self.bench);
    }

    /// Every accepted write is in the outbox or in the log; the app sees each once.
    fn check(&self) {
        let queued: BTreeSet<u64> = self.bench.engine.outbox.numbers().collect();
        let confirmed: BTreeSet<u64> =
            self.log.page(0).changes.iter().map(|document| document.version.seen(ME)).collect();
        for number in &self.accepted {
            assert!(queued.contains(number) || confirmed.contains(number), "write {number} is lost");
        }
        for number in queued {
            assert!(self.accepted.contains(&number), "write {number} was never accepted");
        }
    }

    fn settle(&mut self) {
        for _ in 0..1_000 {
            self.take(Step::Push { answered: true });
            self.take(Step::Hear);
            if self.bench.queued() == 0 {
                return;
            }
        }
        panic!("{} writes never settled", self.bench.queued());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn an_accepted_write_is_in_the_outbox_or_confirmed_wherever_the_power_fails(
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let mut life = Life::new();
        for step in steps {
            life.take(step);
            life.check();
        }
        life.settle();
        let versions = life.log.page(0).changes.into_iter().map(|document| (document.version.seen(ME), ()));
        let confirmed: BTreeMap<u64, ()> = versions.collect();
        prop_assert!(confirmed.keys().eq(&life.accepted));
    }
}
