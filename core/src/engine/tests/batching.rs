//! When writes are sent, and which of them as one.

use syncline_protocol::message::{MutationStatus, Push, PushAnswer};
use syncline_protocol::{ErrorCode, Op, Patch, Path, Value, WireError, Write};

use super::bench::*;
use super::faulty_store::Fault;
use super::server_log::{ServerLog, rejected, result};
use crate::collections::{CollectionOptions, Collections};
use crate::config::Settings;
use crate::engine::conflict::ConflictStrategy;
use crate::engine::io::{AppState, Command, Input, Output, Reply, WriteRequest};
use crate::error::Code;
use crate::store::Store;

const WINDOW_MS: u64 = 20;

/// A client with the default window that makes one of edits, in a room with this log.
fn batching(log: &ServerLog) -> Bench {
    let settings = Settings { push_debounce_ms: WINDOW_MS, ..Settings::default() };
    let mut bench = Bench::made_of(settings, Collections::default(), Some("token"));
    bench.open();
    bench.enter(log);
    bench
}

/// A client without a connection that makes one of edits, whenever they were made.
fn offline() -> Bench {
    Bench::made_of(Settings::default(), Collections::default(), Some("token"))
}

fn elsewhere(mut write: WriteRequest) -> WriteRequest {
    write.room = syncline_protocol::Room::new("list:2").unwrap();
    write
}

fn set_both(id: &str, n: i64, m: i64) -> WriteRequest {
    let patch = Patch::new().with(Path::field("n"), Op::Set(n.into()));
    write(id, Write::Update(patch.with(Path::field("m"), Op::Set(m.into()))))
}

fn writes(push: &Push) -> Vec<Write> {
    push.mutations.iter().map(|mutation| mutation.write.clone()).collect()
}

#[test]
fn a_write_waits_for_others_to_be_sent_with() {
    let mut bench = batching(&ServerLog::default());
    bench.write(vec![create("a", 1)]);
    bench.advance_ms(WINDOW_MS / 2);
    bench.write(vec![create("b", 1)]);
    bench.advance_ms(WINDOW_MS / 2 - 1);
    bench.expect_silence();
    bench.advance_ms(1);
    assert_eq!(numbers(&bench.expect_push().1), [1, 2]);
    bench.write(vec![create("c", 1)]);
    bench.expect_silence();
    bench.advance_ms(WINDOW_MS);
    assert_eq!(numbers(&bench.expect_push().1), [3]);
}

#[test]
fn a_write_is_answered_before_its_window_ends() {
    let mut bench = batching(&ServerLog::default());
    assert_eq!(bench.write(vec![create("a", 1)]), [1]);
    bench.crash();
    assert_eq!(bench.queued(), 1);
}

#[test]
fn a_full_batch_does_not_wait() {
    let full_by_count = Settings { push_count_max: 2, ..Settings::default() };
    let full_by_bytes = Settings { push_bytes_max: 100, ..Settings::default() };
    for settings in [full_by_count, full_by_bytes] {
        let mut bench = Bench::with(Settings { push_debounce_ms: 600, ..settings });
        bench.open();
        bench.enter(&ServerLog::default());
        bench.write(vec![create("a", 1)]);
        bench.expect_silence();
        bench.write(vec![create("b", 1)]);
        bench.expect_push();
    }
}

#[test]
fn a_batch_holds_no_more_bytes_than_its_limit() {
    let mut bench = Bench::with(Settings { push_bytes_max: 150, ..at_once() });
    bench.open();
    bench.enter(&ServerLog::default());
    bench.write(vec![create("a", 1), create("b", 1), create("c", 1)]);
    assert_eq!(
        [bench.expect_push().1, bench.expect_push().1].map(|push| numbers(&push)),
        [vec![1, 2], vec![3]]
    );
}

#[test]
fn the_shortest_window_of_a_room_counts() {
    let slow = CollectionOptions { push_debounce_ms: Some(600), ..CollectionOptions::default() };
    let collections = Collections { options: [(collection(), slow)].into(), ..Collections::default() };
    let mut bench = Bench::made_of(Settings::default(), collections, Some("token"));
    bench.open();
    bench.enter(&ServerLog::default());
    bench.write(vec![create("a", 1)]);
    bench.advance_ms(599);
    bench.expect_silence();
    let mut other = create("b", 1);
    other.collection = syncline_protocol::Collection::new("quick").unwrap();
    bench.advance_ms(1);
    bench.expect_push();
    bench.write(vec![create("c", 1)]);
    bench.write(vec![other]);
    bench.advance_ms(WINDOW_MS);
    assert_eq!(numbers(&bench.expect_push().1), [2, 3]);
}

#[test]
fn a_backlog_goes_at_once_after_a_connect() {
    let mut bench = batching(&ServerLog::default());
    bench.write(vec![create("a", 1)]);
    bench.crash();
    bench.open();
    bench.expect_subscribe();
    assert_eq!(numbers(&bench.expect_push().1), [1]);
    bench.lose_connection();
    bench.write(vec![create("b", 1)]);
    bench.advance_ms(bench.settings.reconnect_delay_ms_max);
    bench.accept();
    bench.expect_subscribe();
    assert_eq!(numbers(&bench.expect_push().1), [1, 2]);
}

#[test]
fn what_asks_for_haste_ends_the_window() {
    let haste = [Command::SyncNow, Command::SetAppState { state: AppState::Background }];
    for command in haste {
        let mut bench = batching(&ServerLog::default());
        bench.write(vec![create("a", 1)]);
        bench.expect_silence();
        bench.call(command).unwrap();
        assert!(bench.asked.iter().any(|(_, asked)| matches!(asked, Asked::Push(_))));
    }
}

#[test]
fn unsent_edits_of_a_document_are_one_that_the_app_knows_by_one_number() {
    let mut log = ServerLog::of(vec![create("a", 10)]);
    let mut bench = batching(&log);
    assert_eq!(bench.write(vec![increment("a", 1), increment("a", 2)]), [1, 1]);
    assert_eq!(bench.write(vec![increment("a", 4)]), [1]);
    assert_eq!((bench.queued(), bench.field("a", "n")), (1, Value::Int(17)));
    bench.advance_ms(WINDOW_MS);
    let (ack, push) = bench.expect_push();
    assert_eq!((numbers(&push), writes(&push)), (vec![1], vec![increment("a", 7).write]));
    let answer = log.push(&push);
    bench.answer(ack, &answer);
    assert_eq!(bench.write(vec![increment("a", 1)]), [2]);
}

#[test]
fn an_edit_never_becomes_part_of_what_may_have_been_sent() {
    let mut bench = batching(&ServerLog::of(vec![create("a", 10)]));
    bench.store.flush().unwrap();
    bench.write(vec![increment("a", 1)]);
    bench.advance_ms(WINDOW_MS);
    assert_eq!(numbers(&bench.expect_push().1), [1]);
    assert_eq!(bench.write(vec![increment("a", 1)]), [2], "it is under way");
    bench.lose_connection();
    assert_eq!(bench.write(vec![increment("a", 1)]), [2]);
    bench.crash();
    assert_eq!(bench.write(vec![increment("a", 1)]), [3], "it may have been sent before the restart");
    assert_eq!(bench.field("a", "n"), Value::Int(14));
}

#[test]
fn an_edit_is_part_of_one_that_waits_whatever_was_written_elsewhere() {
    let mut bench = offline();
    bench.write(vec![set("a", "n", 1), set("b", "n", 1), elsewhere(set("a", "n", 1))]);
    assert_eq!(bench.write(vec![set("b", "n", 2), set("a", "n", 2)]), [2, 1]);
    assert_eq!(bench.queued(), 3);
}

#[test]
fn edits_of_different_fields_are_one_only_within_the_window() {
    let mut bench = offline();
    bench.write(vec![set("a", "n", 1)]);
    bench.advance_ms(WINDOW_MS);
    assert_eq!(bench.write(vec![set("a", "m", 1)]), [1]);
    bench.advance_ms(1);
    assert_eq!(bench.write(vec![set("a", "k", 1)]), [2], "another client may have set `n` meanwhile");
    bench.advance_ms(60_000);
    assert_eq!(bench.write(vec![set("a", "k", 2)]), [2], "nothing is left of the older edit");
    bench.advance_ms(WINDOW_MS);
    assert_eq!(bench.write(vec![set("a", "m", 2)]), [2], "what is left is not older than the window");
}

#[test]
fn a_hundred_thousand_offline_edits_of_one_document_are_a_few_writes() {
    let mut bench = offline();
    for n in 0..100_000 {
        bench.now.mono_us += 5_000;
        bench.write(vec![if n % 2 == 0 { set_both("a", n, n) } else { increment("b", 1) }]);
    }
    assert_eq!(bench.queued(), 2);
    bench.crash();
    assert_eq!(bench.queued(), 2);
    bench.open();
    bench.expect_subscribe();
    let (_, push) = bench.expect_push();
    assert_eq!(writes(&push), [set_both("a", 99_998, 99_998).write, increment("b", 50_000).write]);
}

#[test]
fn a_document_that_grows_edit_by_edit_is_not_written_anew_with_each() {
    let mut bench = offline();
    let append = || {
        let item = Value::String("x".repeat(1_000));
        write("a", Write::Update(Patch::new().with(Path::field("items"), Op::Append(vec![item]))))
    };
    for _ in 0..20 {
        bench.write(vec![append()]);
    }
    assert!((4..=10).contains(&bench.queued()), "{}", bench.queued());
}

#[test]
fn a_collection_can_keep_every_edit() {
    let apart = CollectionOptions { coalesce: Some(false), ..CollectionOptions::default() };
    let collections = Collections { options: [(collection(), apart)].into(), ..Collections::default() };
    let mut bench = Bench::made_of(Settings::default(), collections, Some("token"));
    assert_eq!(bench.write(vec![set("a", "n", 1), set("a", "n", 2)]), [1, 2]);
}

#[test]
fn a_failed_commit_takes_back_only_the_new_edit() {
    let mut bench = batching(&ServerLog::of(vec![create("a", 10)]));
    bench.store.flush().unwrap();
    bench.write(vec![increment("a", 1)]);
    bench.store.fault = Some(Fault::Commit);
    let failing = Command::Write { writes: vec![increment("a", 2), create("b", 1), increment("a", 4)] };
    assert_eq!(bench.call(failing).unwrap_err().code, Code::DiskFull);
    assert_eq!((bench.field("a", "n"), bench.row("b"), bench.queued()), (Value::Int(11), None, 1));
    bench.advance_ms(WINDOW_MS);
    assert_eq!(writes(&bench.expect_push().1), [increment("a", 1).write]);
    bench.crash();
    assert_eq!((bench.field("a", "n"), bench.queued()), (Value::Int(11), 1));
}

#[test]
fn a_refused_batch_takes_back_only_its_own_edits() {
    let mut bench = batching(&ServerLog::of(vec![create("a", 10)]));
    bench.write(vec![increment("a", 1)]);
    let refused = Command::Write { writes: vec![increment("a", 2), increment("missing", 1)] };
    assert_eq!(bench.call(refused).unwrap_err().code, Code::NotFound);
    bench.advance_ms(WINDOW_MS);
    assert_eq!(writes(&bench.expect_push().1), [increment("a", 1).write]);
}

#[test]
fn an_edit_that_became_part_of_another_is_not_sent_before_it_is_durable() {
    let mut bench = batching(&ServerLog::of(vec![create("a", 10)]));
    bench.write(vec![increment("a", 1)]);
    bench.now.mono_us += WINDOW_MS * 1_000;
    let command = Command::Write { writes: vec![increment("a", 2)] };
    let mut out = Vec::new();
    bench.engine.handle(bench.now, Input::Command { request: 99, command }, &mut bench.store, &mut out);
    assert!(out.is_empty(), "{out:?}");
    bench.store.commit().unwrap();
    bench.engine.handle(bench.now, Input::Committed, &mut bench.store, &mut out);
    assert!(matches!(out[0], Output::Reply(99, Ok(Reply::Written { .. }))), "{out:?}");
    assert!(matches!(out[1], Output::Send(_)), "{out:?}");
}

#[test]
fn a_rejection_tells_the_app_of_every_edit_in_the_write() {
    let mut bench = batching(&ServerLog::of(vec![create("a", 10)]));
    bench.write(vec![increment("a", 1)]);
    bench.write(vec![increment("a", 2)]);
    bench.advance_ms(WINDOW_MS);
    let (ack, _) = bench.expect_push();
    let results = vec![rejected(1, WireError::new(ErrorCode::TooLarge, "too much"))];
    bench.answer(ack, &PushAnswer { results, error: None });
    let Reply::Outcomes { outcomes } = bench.call(Command::Outcomes).unwrap() else { panic!() };
    assert_eq!((outcomes.len(), outcomes[0].client_seq), (1, 1));
    assert_eq!(outcomes[0].request.write, increment("a", 3).write);
    assert_eq!(bench.field("a", "n"), Value::Int(10));
}

#[test]
fn edits_that_saw_the_same_version_are_one_whatever_the_strategy() {
    let log = ServerLog::of(vec![create("a", 10)]);
    let collections = Collections::with_conflict(ConflictStrategy::Manual);
    let mut bench = Bench::made_of(Settings::default(), collections, Some("token"));
    bench.open();
    bench.enter(&log);
    bench.write(vec![set("a", "n", 1)]);
    assert_eq!(bench.write(vec![set("a", "n", 2)]), [1]);
    bench.advance_ms(WINDOW_MS);
    let (_, push) = bench.expect_push();
    assert_eq!(writes(&push), [set("a", "n", 2).write]);
    assert_eq!(push.mutations[0].base.as_ref().unwrap().seen(OTHER), 1);
}

#[test]
fn an_edit_that_may_win_for_being_the_older_one_keeps_its_time() {
    let mut log = ServerLog::of(vec![create("a", 10)]);
    let collections = Collections::with_conflict(ConflictStrategy::FirstWriteWins);
    let mut bench = Bench::made_of(Settings::default(), collections, Some("token"));
    bench.open();
    bench.enter(&log);
    bench.lose_connection();
    bench.now.wall_ms = 5;
    bench.write(vec![set("a", "n", 1)]);
    log.write(set("a", "n", 50));
    bench.advance_ms(WINDOW_MS + 1);
    bench.now.wall_ms = WALL_MS;
    assert_eq!(bench.write(vec![set("a", "n", 2)]), [2]);
    let delay_ms = bench.retry_in_ms();
    bench.advance_ms(delay_ms + 1);
    bench.accept();
    bench.load(&log);
    for _ in 0..2 {
        let (ack, push) = bench.expect_push();
        let answer = log.push(&push);
        bench.answer(ack, &answer);
    }
    assert_eq!((bench.field("a", "n"), bench.outcomes()), (Value::Int(2), vec![]));
}

#[test]
fn only_what_failed_is_sent_again() {
    let log = ServerLog::of(vec![create("a", 0)]);
    let mut bench = Bench::with(Settings { push_count_max: 2, ..at_once() });
    bench.open();
    bench.enter(&log);
    bench.write((0..4).map(|_| increment("a", 1)).collect());
    let acks = [bench.expect_push().0, bench.expect_push().0];
    let applied = |numbers: &[u64]| {
        let results = numbers.iter().map(|number| result(*number, MutationStatus::Applied)).collect();
        PushAnswer { results, error: None }
    };
    bench.answer(acks[0], &applied(&[1, 2]));
    bench.refuse(acks[1], unavailable());
    bench.advance_ms(bench.settings.retry_delay_ms);
    let (_, again) = bench.expect_push();
    assert_eq!((numbers(&again), again.after), (vec![3, 4], None));
    bench.expect_silence();
}

#[test]
fn the_batches_of_different_rooms_are_under_way_together() {
    let mut bench = Bench::opened();
    bench.write(vec![create("a", 1), elsewhere(create("b", 1))]);
    let pushed = bench.asked.iter().filter(|(_, asked)| matches!(asked, Asked::Push(_)));
    assert_eq!(pushed.count(), 2);
}
