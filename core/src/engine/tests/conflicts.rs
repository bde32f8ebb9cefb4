//! Writes that the server finds in conflict, strategy by strategy.

use syncline_protocol::message::{MutationStatus, PushAnswer, event};
use syncline_protocol::{ConflictKind, Path, Value, Write};

mod brought_back;

use super::bench::*;
use super::faulty_store::Fault;
use super::server_log::{ServerLog, result};
use crate::engine::conflict::ConflictStrategy;
use crate::engine::conflict::ConflictStrategy::{
    ClientWins, FirstWriteWins, LastWriteWins, Manual, ServerWins,
};
use crate::engine::io::{Command, Event, ParkedWrite, Reply, Resolution};
use crate::error::{Code, Error};

/// A client and its room, of which another client wrote `a` since this one read it: `n` is 50 there.
struct Scene {
    bench: Bench,
    log: ServerLog,
}

impl Scene {
    /// This client's writes of `a` are pushed, and not answered.
    fn of(strategy: ConflictStrategy, writes: Vec<crate::engine::io::WriteRequest>) -> Self {
        Self::against(strategy, writes, set("a", "n", 50))
    }

    fn against(
        strategy: ConflictStrategy,
        writes: Vec<crate::engine::io::WriteRequest>,
        theirs: crate::engine::io::WriteRequest,
    ) -> Self {
        let mut log = ServerLog::of(vec![create("a", 10)]);
        let mut bench = Bench::resolving(strategy, &log);
        bench.write(writes);
        log.write(theirs);
        Self { bench, log }
    }

    /// The server took this client's first write of `a`, and nobody else wrote.
    fn with_a_write_that_was_taken() -> Self {
        let log = ServerLog::of(vec![create("a", 10)]);
        let mut scene = Self { bench: Bench::resolving(ClientWins, &log), log };
        scene.bench.write(vec![increment("a", 1)]);
        scene.serve();
        scene
    }

    /// The server answers the next push; returns its numbers.
    #[track_caller]
    fn serve(&mut self) -> Vec<u64> {
        let (ack, push) = self.bench.expect_push();
        let answer = self.log.push(&push);
        self.bench.answer(ack, &answer);
        numbers(&push)
    }

    /// The log arrives; returns `n` of the document `a` as the app and as the server has it.
    fn settle(&mut self) -> (Option<Value>, Option<Value>) {
        let changes = self.log.changes(2);
        self.bench.emit(event::SYNC_CHANGES, &changes);
        assert_eq!(self.bench.queued(), 0);
        let shown = self.bench.row("a").map(|row| {
            assert!(!row.pending);
            row.fields["n"].clone()
        });
        let page = self.log.page(0);
        let held = page.changes.into_iter().find(|document| document.id.as_str() == "a" && !document.deleted);
        (shown, held.map(|document| document.fields["n"].clone()))
    }

    fn conflicts(&mut self) -> Vec<ParkedWrite> {
        match self.bench.call(Command::Conflicts).unwrap() {
            Reply::Conflicts { conflicts } => conflicts,
            other => panic!("{other:?}"),
        }
    }

    fn resolve(&mut self, client_seq: u64, resolution: Resolution) -> Result<Reply, Error> {
        self.bench.call(Command::ResolveConflict { client_seq, resolution })
    }

    /// Loses power, and comes back into the room.
    fn restart(&mut self) {
        self.reopen();
        self.bench.load(&self.log);
    }

    /// Loses power, and comes back without a word from the server about the room.
    fn restart_before_the_room_is_read(&mut self) {
        self.reopen();
        self.bench.expect_subscribe();
    }

    fn reopen(&mut self) {
        self.bench.crash();
        self.bench.call(Command::Subscribe { room: room() }).unwrap();
        self.bench.open();
    }
}

fn both(n: i64) -> (Option<Value>, Option<Value>) {
    (Some(Value::Int(n)), Some(Value::Int(n)))
}

#[test]
fn only_collections_with_a_strategy_send_the_version_they_saw() {
    let log = ServerLog::of(vec![create("a", 10)]);
    let mut merging = Bench::in_room(&log);
    merging.write(vec![set("a", "n", 1)]);
    assert_eq!(merging.expect_push().1.mutations[0].base, None);
    let mut bench = Bench::resolving(ServerWins, &log);
    bench.write(vec![set("a", "n", 1), set("a", "n", 2), create("b", 1)]);
    let bases: Vec<_> =
        bench.expect_push().1.mutations.into_iter().map(|mutation| mutation.base.unwrap()).collect();
    assert_eq!(bases[0].seen(OTHER), 1);
    assert_eq!(bases[1], bases[0]);
    assert!(bases[2].is_empty());
}

#[test]
fn a_write_without_a_conflict_is_applied_as_it_is() {
    let mut log = ServerLog::of(vec![create("a", 10)]);
    let mut bench = Bench::resolving(Manual, &log);
    bench.write(vec![increment("a", 1), increment("a", 1)]);
    let (ack, push) = bench.expect_push();
    let answer = log.push(&push);
    assert!(answer.results.iter().all(|result| result.status == MutationStatus::Applied));
    bench.answer(ack, &answer);
    let mut scene = Scene { bench, log };
    assert_eq!(scene.settle(), both(12));
}

#[test]
fn the_client_wins_by_sending_again_under_new_numbers_in_order() {
    let mut scene = Scene::of(ClientWins, vec![set("a", "n", 1), increment("a", 5)]);
    assert_eq!(scene.serve(), [1, 2]);
    assert_eq!(scene.bench.field("a", "n"), Value::Int(6), "never hidden");
    assert_eq!(scene.serve(), [3, 4]);
    assert_eq!(scene.settle(), both(6));
    assert_eq!(scene.bench.outcomes(), []);
}

#[test]
fn a_later_write_that_is_not_pushed_yet_does_not_overtake() {
    let mut scene = Scene::of(ClientWins, vec![set("a", "n", 1)]);
    let (ack, push) = scene.bench.expect_push();
    scene.bench.write(vec![set("a", "n", 2), create("b", 7)]);
    let (behind_ack, behind) = scene.bench.expect_push();
    let answer = scene.log.push(&push);
    scene.bench.answer(ack, &answer);
    let answer = scene.log.push(&behind);
    assert_eq!(answer.results[0].status, MutationStatus::Conflict, "based as the first one is");
    scene.bench.answer(behind_ack, &answer);
    assert_eq!(scene.serve(), [4, 5]);
    assert_eq!(scene.settle(), both(2));
}

#[test]
fn a_write_behind_one_in_conflict_counts_once_even_if_it_saw_the_other_clients_write() {
    let mut scene = Scene::of(ClientWins, vec![increment("a", 1)]);
    let (ack, push) = scene.bench.expect_push();
    let theirs = scene.log.changes(2);
    scene.bench.emit(event::SYNC_CHANGES, &theirs);
    scene.bench.write(vec![increment("a", 5)]);
    let (behind_ack, behind) = scene.bench.expect_push();
    let answers = [scene.log.push(&push), scene.log.push(&behind)];
    scene.bench.answer(ack, &answers[0]);
    scene.bench.answer(behind_ack, &answers[1]);
    assert_eq!(scene.serve(), [3, 4]);
    assert_eq!(scene.settle(), both(56));
}

#[test]
fn a_write_stands_upon_what_was_sent_again_and_not_upon_what_the_server_took_before() {
    let mut scene = Scene::with_a_write_that_was_taken();
    scene.log.write(set("a", "n", 50));
    scene.bench.write(vec![increment("a", 1)]);
    assert_eq!(scene.serve(), [2], "in conflict, and sent again as 3");
    scene.restart_before_the_room_is_read();
    assert_eq!(scene.serve(), [1, 3], "the cache shows neither");
    scene.bench.write(vec![increment("a", 1)]);
    let (_, push) = scene.bench.expect_push();
    assert_eq!(scene.log.push(&push).results[0].status, MutationStatus::Applied);
}

#[test]
fn the_server_wins_and_the_app_is_told_what_was_in_conflict() {
    let mut scene = Scene::of(ServerWins, vec![set("a", "n", 1)]);
    scene.serve();
    assert_eq!(scene.bench.field("a", "n"), Value::Int(50), "shown before the log brings it");
    assert_eq!(scene.bench.outcomes(), [(1, Code::Conflict)]);
    let told = scene.bench.events.iter().find_map(|event| match event {
        Event::Outcome { outcome } => outcome.conflict.clone(),
        _ => None,
    });
    let told = told.unwrap();
    assert_eq!((told.kind, told.fields), (ConflictKind::UpdateUpdate, vec![Path::field("n")]));
    assert_eq!(scene.settle(), both(50));
    scene.restart();
    assert_eq!(scene.bench.outcomes(), [(1, Code::Conflict)]);
}

#[test]
fn the_newer_or_the_older_write_wins_as_the_strategy_says() {
    // What the other client writes is older than what this one writes.
    let mut last = Scene::of(LastWriteWins, vec![set("a", "n", 1)]);
    last.serve();
    last.serve();
    assert_eq!((last.settle(), last.bench.outcomes()), (both(1), vec![]));
    let mut first = Scene::of(FirstWriteWins, vec![set("a", "n", 1)]);
    first.serve();
    assert_eq!((first.settle(), first.bench.outcomes()), (both(50), vec![(1, Code::Conflict)]));
}

#[test]
fn an_older_write_that_wins_is_sent_as_newer_than_what_it_replaces() {
    let mut log = ServerLog::of(vec![create("a", 10)]);
    let mut bench = Bench::resolving(FirstWriteWins, &log);
    bench.now.wall_ms = 5;
    bench.write(vec![set("a", "n", 1)]);
    log.write(set("a", "n", 50));
    let mut scene = Scene { bench, log };
    scene.serve();
    scene.serve();
    assert_eq!(scene.settle(), both(1));
}

#[test]
fn a_deletion_and_an_update_meet() {
    let delete = || write("a", Write::Delete);
    let mut scene = Scene::against(ClientWins, vec![delete()], set("a", "n", 50));
    scene.serve();
    assert_eq!(scene.bench.row("a"), None);
    scene.serve();
    assert_eq!(scene.settle(), (None, None));

    let mut scene = Scene::against(ClientWins, vec![set("a", "n", 1)], delete());
    scene.serve();
    scene.serve();
    assert_eq!(scene.settle(), both(1));

    let mut scene = Scene::against(Manual, vec![set("a", "n", 1)], delete());
    scene.serve();
    let conflicts = scene.conflicts();
    assert_eq!((conflicts[0].conflict.kind, &conflicts[0].server), (ConflictKind::UpdateDelete, &None));

    let mut scene = Scene::against(Manual, vec![delete()], delete());
    scene.serve();
    assert_eq!((scene.conflicts().len(), scene.bench.outcomes()), (0, vec![]));
    assert_eq!(scene.settle(), (None, None));
}

#[test]
fn a_parked_write_is_listed_not_shown_and_survives_restarts() {
    let mut scene = Scene::of(Manual, vec![set("a", "n", 1)]);
    scene.serve();
    assert_eq!(scene.settle(), both(50));
    let conflicts = scene.conflicts();
    let [parked] = conflicts.as_slice() else { panic!("{conflicts:?}") };
    assert_eq!((parked.client_seq, parked.conflict.kind), (1, ConflictKind::UpdateUpdate));
    assert_eq!((&parked.local, &parked.server), (&set("a", "n", 1).write, &Some(count(50))));
    let told = |event: &Event| matches!(event, Event::Conflict { conflict } if **conflict == *parked);
    assert_eq!(scene.bench.events.iter().filter(|event| told(event)).count(), 1);
    scene.restart();
    assert_eq!(scene.conflicts(), conflicts);
    scene.bench.expect_silence();
}

#[test]
fn the_app_resolves_with_its_own_the_servers_or_merged_data() {
    let merged = [("n".into(), Value::Int(51)), ("m".into(), Value::Int(7))];
    let table = [
        (Resolution::Local, both(1)),
        (Resolution::Server, both(50)),
        (Resolution::Merged(merged.into()), both(51)),
    ];
    for (resolution, expected) in table {
        let mut scene = Scene::of(Manual, vec![set("a", "n", 1)]);
        scene.serve();
        scene.restart();
        assert_eq!(scene.resolve(1, resolution.clone()), Ok(Reply::Done {}));
        scene.restart();
        assert_eq!(scene.conflicts(), [], "{resolution:?}");
        if resolution != Resolution::Server {
            assert_eq!(scene.serve(), [2]);
        }
        assert_eq!(scene.settle(), expected, "{resolution:?}");
        assert_eq!(scene.resolve(1, Resolution::Local).unwrap_err().code, Code::NotFound);
    }
}

#[test]
fn a_merge_removes_the_fields_it_leaves_out() {
    let mut scene = Scene::against(Manual, vec![set("a", "n", 1)], set("a", "m", 5));
    scene.log.write(set("a", "n", 50));
    scene.serve();
    scene.resolve(1, Resolution::Merged(count(2))).unwrap();
    scene.serve();
    assert_eq!(scene.settle(), both(2));
    assert_eq!(scene.bench.row("a").unwrap().fields, count(2));
}

#[test]
fn a_resolution_that_meets_yet_another_write_is_parked_again_under_the_same_number() {
    let mut scene = Scene::of(Manual, vec![set("a", "n", 1)]);
    scene.serve();
    scene.log.write(set("a", "n", 60));
    scene.resolve(1, Resolution::Local).unwrap();
    assert_eq!(scene.serve(), [2]);
    let conflicts = scene.conflicts();
    assert_eq!((conflicts[0].client_seq, &conflicts[0].server), (1, &Some(count(60))));
    assert_eq!(scene.settle(), both(60));
}

#[test]
fn later_writes_of_a_document_with_a_parked_write_go_on() {
    let mut scene = Scene::of(Manual, vec![set("a", "n", 1)]);
    scene.serve();
    scene.bench.write(vec![increment("a", 1)]);
    assert_eq!(scene.serve(), [2]);
    assert_eq!(scene.settle(), both(51));
    assert_eq!(scene.conflicts().len(), 1);
}

#[test]
fn after_a_crash_before_the_answer_the_same_number_meets_the_same_conflict() {
    for (strategy, expected) in [(ClientWins, both(6)), (ServerWins, both(50))] {
        let mut scene = Scene::of(strategy, vec![set("a", "n", 1), increment("a", 5)]);
        let (_, push) = scene.bench.expect_push();
        scene.log.push(&push);
        scene.restart();
        assert_eq!(scene.serve(), [1, 2], "answered as duplicates");
        if strategy == ClientWins {
            assert_eq!(scene.serve(), [3, 4]);
        }
        assert_eq!(scene.settle(), expected);
    }
}

#[test]
fn after_a_crash_behind_the_answer_only_the_new_numbers_are_sent() {
    let mut scene = Scene::of(ClientWins, vec![increment("a", 1), increment("a", 5)]);
    scene.serve();
    let (_, push) = scene.bench.expect_push();
    scene.log.push(&push);
    scene.restart();
    assert_eq!(scene.serve(), [3, 4]);
    assert_eq!(scene.settle(), both(56), "each once");
}

#[test]
fn a_refused_write_does_not_come_behind_the_one_that_made_its_purged_document_anew() {
    for strategy in [LastWriteWins, FirstWriteWins, ServerWins, ClientWins, Manual] {
        let mut log = ServerLog::of(vec![create("a", 10)]);
        let mut bench = Bench::resolving(strategy, &log);
        bench.write(vec![increment("a", 1), write("a", Write::Delete), create("a", 30)]);
        log.purge("a");
        let (_, push) = bench.expect_push();
        let statuses: Vec<_> = log.push(&push).results.iter().map(|result| result.status).collect();
        assert_eq!(statuses, [MutationStatus::Conflict, MutationStatus::Applied, MutationStatus::Applied]);
        let mut scene = Scene { bench, log };
        scene.restart();
        assert_eq!(scene.serve(), [1, 2, 3], "answered as duplicates");
        scene.bench.expect_silence();
        assert_eq!(scene.settle(), both(30), "{strategy:?}");
        let parked = scene.conflicts().len();
        assert_eq!(parked, usize::from(strategy == Manual));
        assert_eq!(scene.bench.outcomes().len() + parked, 1, "the app is told");
    }
}

#[test]
fn a_conflict_that_could_not_be_saved_is_taken_back_and_asked_for_again() {
    for (strategy, expected) in [(ClientWins, both(6)), (Manual, both(50))] {
        let mut scene = Scene::of(strategy, vec![set("a", "n", 1), increment("a", 5)]);
        scene.bench.store.fault = Some(Fault::Commit);
        assert_eq!(scene.serve(), [1, 2]);
        assert_eq!(scene.bench.store.fault, None);
        assert_eq!((scene.bench.queued(), scene.conflicts().len()), (2, 0));
        assert_eq!(scene.bench.field("a", "n"), Value::Int(6));
        let told = |event: &Event| matches!(event, Event::Conflict { .. });
        assert!(!scene.bench.events.iter().any(told));
        scene.bench.advance_ms(scene.bench.settings.retry_delay_ms);
        assert_eq!(scene.serve(), [1, 2]);
        if strategy == ClientWins {
            assert_eq!(scene.serve(), [5, 6], "numbers that may be known are not used again");
        }
        assert_eq!(scene.settle(), expected);
    }
}

#[test]
fn a_room_that_was_let_go_is_subscribed_again_if_its_conflict_is_taken_back() {
    let mut scene = Scene::of(Manual, vec![set("a", "n", 1)]);
    scene.bench.call(Command::Unsubscribe { room: room() }).unwrap();
    scene.bench.store.fault = Some(Fault::Commit);
    scene.serve();
    assert!(matches!(scene.bench.asked.pop_front(), Some((_, Asked::Unsubscribe(_)))));
    scene.bench.expect_subscribe();
}

#[test]
fn a_resolution_that_could_not_be_saved_leaves_the_conflict() {
    let mut scene = Scene::of(Manual, vec![set("a", "n", 1)]);
    scene.serve();
    scene.bench.store.fault = Some(Fault::Commit);
    assert_eq!(scene.resolve(1, Resolution::Local).unwrap_err().code, Code::DiskFull);
    assert_eq!((scene.conflicts().len(), scene.bench.queued()), (1, 0));
    scene.bench.expect_silence();
    scene.resolve(1, Resolution::Local).unwrap();
    scene.serve();
    assert_eq!(scene.settle(), both(1));
}

#[test]
fn parked_writes_count_against_the_outbox() {
    let mut scene = Scene::of(Manual, vec![set("a", "n", 1)]);
    scene.serve();
    scene.bench.settings.queue_count_max = 1;
    scene.restart();
    let error = scene.bench.call(Command::Write { writes: vec![create("b", 1)] }).unwrap_err();
    assert_eq!(error.code, Code::QueueFull);
}

#[test]
fn a_server_that_sees_a_conflict_where_none_is_does_not_have_a_write_sent_again_for_ever() {
    let log = ServerLog::of(vec![create("a", 10)]);
    let document = log.page(0).changes.remove(0);
    let mut bench = Bench::resolving(ClientWins, &log);
    bench.write(vec![set("a", "n", 1)]);
    let (ack, _) = bench.expect_push();
    let conflict = syncline_protocol::message::MutationResult {
        document: Some(document),
        ..result(1, MutationStatus::Conflict)
    };
    bench.answer(ack, &PushAnswer { results: vec![conflict], error: None });
    assert_eq!(bench.outcomes(), [(1, Code::Conflict)]);
    bench.expect_silence();
}
