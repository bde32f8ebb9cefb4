//! Edits that become one write, wherever the power, the disk and the connection fail.

use proptest::prelude::*;
use syncline_protocol::Value;
use syncline_protocol::message::event;

use super::bench::*;
use super::faulty_store::Fault;
use super::server_log::ServerLog;
use crate::collections::Collections;
use crate::config::Settings;
use crate::engine::io::{Command, Input, WriteRequest};
use crate::store::Store;

/// What happens next in a random life.
#[derive(Debug, Clone)]
enum Step {
    /// Increments, by the documents' names, written together.
    Write(Vec<(bool, i64)>),
    /// The disk is full.
    FailWrite(i64),
    /// One of the writes is refused, and so all of them.
    RefuseWrite(i64),
    /// The power fails before the commit.
    CrashInWrite(i64),
    Wait(u64),
    /// The server takes a push; its answer may be lost with the connection.
    Push {
        answered: bool,
    },
    Hear,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let amount = || -9..10_i64;
    prop_oneof![
        6 => prop::collection::vec((any::<bool>(), amount()), 1..4).prop_map(Step::Write),
        1 => amount().prop_map(Step::FailWrite),
        1 => amount().prop_map(Step::RefuseWrite),
        1 => amount().prop_map(Step::CrashInWrite),
        2 => (0..30_u64).prop_map(Step::Wait),
        3 => any::<bool>().prop_map(|answered| Step::Push { answered }),
        2 => Just(Step::Hear),
        1 => Just(Step::Crash),
    ]
}

/// A device with two counters, and what they must come to.
struct Life {
    bench: Bench,
    log: ServerLog,
    sums: [i64; 2],
}

const NAMES: [&str; 2] = ["a", "b"];

impl Life {
    fn new() -> Self {
        let log = ServerLog::of(vec![create("a", 0), create("b", 0)]);
        let bench = Bench::made_of(Settings::default(), Collections::default(), Some("token"));
        let mut life = Self { bench, log, sums: [0, 0] };
        life.enter();
        life
    }

    fn enter(&mut self) {
        self.bench.call(Command::Subscribe { room: room() }).unwrap();
        self.bench.open();
        self.log.serve_pages(&mut self.bench);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Write(edits) => {
                let writes = edits.iter().map(|(is_b, amount)| increment(NAMES[usize::from(*is_b)], *amount));
                self.bench.write(writes.collect());
                for (is_b, amount) in edits {
                    self.sums[usize::from(is_b)] += amount;
                }
            }
            Step::FailWrite(amount) => {
                self.bench.store.fault = Some(Fault::Commit);
                self.refuse(vec![increment("a", amount), increment("b", amount), increment("a", amount)]);
            }
            Step::RefuseWrite(amount) => {
                self.refuse(vec![increment("a", amount), increment("missing", amount)]);
            }
            Step::CrashInWrite(amount) => {
                let command = Command::Write { writes: vec![increment("a", amount)] };
                let Bench { engine, store, now, .. } = &mut self.bench;
                let input = Input::Command { request: u64::MAX, command };
                engine.handle(*now, input, store, &mut Vec::new());
                self.restart();
            }
            Step::Wait(ms) => self.bench.advance_ms(ms),
            Step::Push { answered } => self.log.serve_push(&mut self.bench, answered),
            Step::Hear => {
                self.bench.emit(event::SYNC_CHANGES, &self.log.changes(self.log.head));
                self.log.serve_pages(&mut self.bench);
            }
            Step::Crash => self.restart(),
        }
        self.check();
    }

    fn refuse(&mut self, writes: Vec<WriteRequest>) {
        self.bench.call(Command::Write { writes }).unwrap_err();
    }

    fn restart(&mut self) {
        // What the app saw of a room is not at stake here.
        self.bench.store.flush().unwrap();
        self.bench.crash();
        self.enter();
    }

    /// The app sees every accepted edit once.
    fn check(&mut self) {
        for (name, sum) in NAMES.into_iter().zip(self.sums) {
            assert_eq!(self.bench.field(name, "n"), Value::Int(sum), "{name}");
        }
    }

    /// The server has every accepted edit once.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            if self.bench.queued() == 0 {
                break;
            }
            self.take(Step::Wait(self.bench.settings.push_debounce_ms));
            self.take(Step::Push { answered: true });
            self.take(Step::Hear);
        }
        assert_eq!(self.bench.queued(), 0);
        for document in self.log.page(0).changes {
            let place = NAMES.iter().position(|name| *name == document.id.as_str()).unwrap();
            assert_eq!(document.fields["n"], Value::Int(self.sums[place]));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_accepted_edit_takes_effect_once(steps in prop::collection::vec(step(), 1..40)) {
        let mut life = Life::new();
        for step in steps {
            life.take(step);
        }
        life.settle();
    }
}
