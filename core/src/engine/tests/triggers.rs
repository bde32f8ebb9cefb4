//! What sets a round of synchronization in motion, and when it is over.

use syncline_protocol::message::{PresencePong, event};
use syncline_protocol::{ErrorCode, Room, Value, WireError};

use super::bench::*;
use super::server_log::ServerLog;
use crate::config::Settings;
use crate::engine::io::ProgressPhase::{Complete, Downloading, Idle, Preparing, Uploading};
use crate::engine::io::{
    AppState, Command, ConnectionState, Event, Network, Progress, ProgressPhase, Reply, RequestId,
};
use crate::error::Code;

const DEADLINE_MS: u64 = 25_000;

fn app(bench: &mut Bench, state: AppState) {
    bench.call(Command::SetAppState { state }).unwrap();
}

fn sync_once(bench: &mut Bench) -> RequestId {
    bench.start(Command::SyncOnce { deadline_ms: DEADLINE_MS })
}

/// What a command that waits was answered, if it was.
fn answer(bench: &mut Bench, request: RequestId) -> Option<Result<Reply, Code>> {
    bench.replies.remove(&request).map(|result| result.map_err(|error| error.code))
}

/// The answer to `SyncOnce`: complete, pending, and why not.
#[track_caller]
fn synced(bench: &mut Bench, request: RequestId) -> (bool, u64, Option<Code>) {
    match answer(bench, request).expect("not answered") {
        Ok(Reply::SyncedOnce { complete, pending, reason }) => {
            (complete, pending, reason.map(|reason| reason.code))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_write_is_sent_by_itself() {
    let mut bench = Bench::in_room(&ServerLog::default());
    bench.write(vec![create("a", 1)]);
    bench.expect_push();
}

#[test]
fn coming_to_the_foreground_and_a_network_that_returns_synchronize() {
    let back = Command::SetAppState { state: AppState::Active };
    let online = Network { available: true, expensive: false, kind: "wifi".to_owned() };
    for (trigger, is_app) in [(back, true), (Command::SetNetwork { network: online }, false)] {
        let mut log = ServerLog::of(vec![create("a", 1)]);
        let mut bench = Bench::in_room(&log);
        if is_app {
            app(&mut bench, AppState::Background);
            bench.advance_ms(bench.settings.background_grace_ms);
        } else {
            let network = Network { available: false, expensive: false, kind: "none".to_owned() };
            bench.call(Command::SetNetwork { network }).unwrap();
            bench.lose_connection();
        }
        assert_eq!(bench.socket, None);
        bench.write(vec![create("mine", 1)]);
        log.write(set("a", "n", 2));
        bench.call(trigger).unwrap();
        bench.accept();
        bench.load(&log);
        assert_eq!(bench.field("a", "n"), Value::Int(2));
        assert_eq!(numbers(&bench.expect_push().1), [1]);
    }
}

#[test]
fn an_open_connection_is_asked_now_and_then_what_is_new() {
    let log = ServerLog::of(vec![create("a", 1)]);
    let sync_interval_ms = 3_000;
    let mut bench = Bench::with(Settings { sync_interval_ms, ..at_once() });
    bench.open();
    bench.enter(&log);
    for _ in 0..3 {
        bench.advance_ms(sync_interval_ms - 1);
        bench.expect_silence();
        bench.advance_ms(1);
        let (ack, asked) = bench.asked.pop_front().unwrap();
        assert_eq!(asked, Asked::Ping);
        bench.answer(ack, &PresencePong { heads: [(room(), log.head)].into(), lapsed: vec![] });
    }
}

#[test]
fn a_lost_connection_keeps_the_pause_that_it_has() {
    let mut bench = Bench::with(Settings {
        sync_interval_ms: 3_000,
        reconnect_delay_ms: 60_000,
        reconnect_delay_ms_max: 60_000,
        ..at_once()
    });
    bench.open();
    bench.lose_connection();
    let delay_ms = bench.retry_in_ms();
    bench.advance_ms(delay_ms - 1);
    assert_eq!(bench.state(), ConnectionState::Backoff);
    bench.advance_ms(1);
    assert_eq!(bench.state(), ConnectionState::Connecting);
}

#[test]
fn nothing_is_done_by_itself_when_the_app_does_not_want_it() {
    for settings in
        [Settings { sync_interval_ms: 0, ..at_once() }, Settings { sync_interval_ms: 1_000, ..at_once() }]
    {
        let never = settings.sync_interval_ms == 0;
        let mut bench = Bench::with(settings);
        bench.open();
        if !never {
            bench.call(Command::Disconnect).unwrap();
        }
        bench.advance_ms(20_000);
        bench.expect_silence();
        assert_eq!(bench.socket.is_some(), never);
    }
}

#[test]
fn a_pull_is_answered_when_the_rooms_have_what_is_new() {
    let mut log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::in_room(&log);
    for room in [Some(room()), None] {
        log.write(set("a", "n", 2));
        let request = bench.start(Command::Pull { room });
        let (ack, pull) = bench.expect_pull();
        assert_eq!(answer(&mut bench, request), None);
        bench.answer(ack, &log.page(pull.cursor));
        assert_eq!(answer(&mut bench, request), Some(Ok(Reply::Done {})));
        assert_eq!(bench.field("a", "n"), Value::Int(2));
    }
}

#[test]
fn a_pull_while_a_page_is_under_way_asks_once_more() {
    let mut log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::opened();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    let (ack, _) = bench.expect_subscribe();
    let page_before = log.page(0);
    log.write(create("b", 1));
    let request = bench.start(Command::Pull { room: None });
    bench.answer(ack, &page_before);
    assert_eq!(answer(&mut bench, request), None);
    let (ack, pull) = bench.expect_pull();
    bench.answer(ack, &log.page(pull.cursor));
    assert_eq!(answer(&mut bench, request), Some(Ok(Reply::Done {})));
    assert!(bench.row("b").is_some());
}

#[test]
fn a_pull_that_cannot_be_says_why() {
    let mut bench = Bench::new();
    let elsewhere = Command::Pull { room: Some(Room::new("list:2").unwrap()) };
    assert_eq!(bench.call(elsewhere).unwrap_err().code, Code::NotFound);
    assert_eq!(bench.call(Command::Pull { room: None }).unwrap_err().code, Code::Offline);
    bench.open();
    assert_eq!(bench.call(Command::Pull { room: None }), Ok(Reply::Done {}));
    bench.call(Command::Subscribe { room: room() }).unwrap();
    let request = bench.start(Command::Pull { room: None });
    let (ack, _) = bench.expect_subscribe();
    bench.refuse(ack, WireError::new(ErrorCode::Forbidden, "not yours"));
    assert_eq!(answer(&mut bench, request), Some(Err(Code::Forbidden)));
    let request = bench.start(Command::Pull { room: None });
    bench.expect_subscribe();
    bench.lose_connection();
    assert_eq!(answer(&mut bench, request), Some(Err(Code::Unreachable)));
}

#[test]
fn a_pull_asked_for_while_connecting_waits_for_the_connection() {
    let log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::new();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    bench.start(Command::Connect);
    let request = bench.start(Command::Pull { room: None });
    bench.accept();
    bench.load(&log);
    assert_eq!(answer(&mut bench, request), Some(Ok(Reply::Done {})));
}

#[test]
fn a_flush_is_answered_when_the_server_has_answered_what_was_written_before() {
    let mut log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::with(Settings { push_debounce_ms: 600, ..Settings::default() });
    bench.open();
    bench.enter(&log);
    assert_eq!(bench.call(Command::Flush), Ok(Reply::Done {}), "nothing waits");
    bench.write(vec![increment("a", 1)]);
    bench.expect_silence();
    let request = bench.start(Command::Flush);
    let (ack, push) = bench.expect_push();
    bench.write(vec![increment("a", 1)]);
    bench.expect_silence();
    assert_eq!(answer(&mut bench, request), None);
    let pushed = log.push(&push);
    bench.answer(ack, &pushed);
    assert_eq!(answer(&mut bench, request), Some(Ok(Reply::Done {})));
    assert_eq!(bench.queued(), 2);
}

#[test]
fn a_flush_that_cannot_be_says_why() {
    let mut bench = Bench::new();
    bench.write(vec![create("a", 1)]);
    assert_eq!(bench.call(Command::Flush).unwrap_err().code, Code::Offline);
    bench.open();
    bench.expect_subscribe();
    let request = bench.start(Command::Flush);
    let (ack, _) = bench.expect_push();
    bench.refuse(ack, WireError::new(ErrorCode::Forbidden, "read only"));
    assert_eq!(answer(&mut bench, request), Some(Err(Code::Forbidden)));
}

#[test]
fn a_flush_does_not_wait_for_ever() {
    let mut bench = Bench::with(Settings { sync_timeout_ms: 5_000, ..at_once() });
    bench.open();
    bench.enter(&ServerLog::default());
    bench.write(vec![create("a", 1)]);
    let request = bench.start(Command::Flush);
    bench.advance_ms(4_999);
    assert_eq!(answer(&mut bench, request), None);
    bench.advance_ms(1);
    assert_eq!(answer(&mut bench, request), Some(Err(Code::Timeout)));
}

#[test]
fn one_round_in_the_background_connects_pulls_drains_and_lets_go() {
    let mut log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::in_room(&log);
    app(&mut bench, AppState::Background);
    bench.advance_ms(bench.settings.background_grace_ms);
    assert_eq!(bench.state(), ConnectionState::Suspended);
    bench.write(vec![create("mine", 1)]);
    log.write(set("a", "n", 2));
    let request = sync_once(&mut bench);
    bench.accept();
    bench.load(&log);
    assert_eq!(answer(&mut bench, request), None);
    let (ack, push) = bench.expect_push();
    let pushed = log.push(&push);
    bench.answer(ack, &pushed);
    assert_eq!(answer(&mut bench, request), None, "the write is not confirmed");
    let (ack, pull) = bench.expect_pull();
    bench.answer(ack, &log.page(pull.cursor));
    assert_eq!(synced(&mut bench, request), (true, 0, None));
    assert_eq!((bench.state(), bench.field("a", "n")), (ConnectionState::Suspended, Value::Int(2)));
    bench.crash();
    assert_eq!((bench.field("a", "n"), bench.queued()), (Value::Int(2), 0), "it is on disk");
}

#[test]
fn one_round_of_a_client_that_is_not_connected_ends_disconnected() {
    let mut bench = Bench::new();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    let request = sync_once(&mut bench);
    bench.accept();
    bench.load(&ServerLog::default());
    assert_eq!(synced(&mut bench, request), (true, 0, None));
    assert_eq!((bench.state(), bench.socket), (ConnectionState::Idle, None));
}

#[test]
fn who_connects_during_one_round_stays_connected() {
    let mut bench = Bench::new();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    let request = sync_once(&mut bench);
    bench.accept();
    bench.call(Command::Connect).unwrap();
    bench.load(&ServerLog::default());
    assert_eq!(synced(&mut bench, request), (true, 0, None));
    assert_eq!(bench.state(), ConnectionState::Open);
}

#[test]
fn one_round_of_a_connected_client_on_screen_stays_connected() {
    let mut log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::in_room(&log);
    log.write(set("a", "n", 2));
    let request = sync_once(&mut bench);
    let (ack, pull) = bench.expect_pull();
    bench.answer(ack, &log.page(pull.cursor));
    assert_eq!(synced(&mut bench, request), (true, 0, None));
    assert_eq!(bench.state(), ConnectionState::Open);
}

#[test]
fn one_round_outlasts_the_grace_period() {
    let log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::in_room(&log);
    app(&mut bench, AppState::Background);
    let request = sync_once(&mut bench);
    let (ack, asked) = bench.asked.pop_front().unwrap();
    assert_eq!(asked, Asked::Ping, "whether the socket lives");
    bench.answer(ack, &PresencePong::default());
    let (ack, pull) = bench.expect_pull();
    bench.advance_ms(bench.settings.background_grace_ms + 1);
    assert_eq!(bench.state(), ConnectionState::Open);
    bench.answer(ack, &log.page(pull.cursor));
    assert_eq!(synced(&mut bench, request), (true, 0, None));
    assert_eq!(bench.state(), ConnectionState::Suspended);
}

#[test]
fn one_round_finds_out_soon_that_the_socket_died_while_the_app_was_frozen() {
    let mut log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::in_room(&log);
    app(&mut bench, AppState::Background);
    log.write(set("a", "n", 2));
    let request = sync_once(&mut bench);
    bench.asked.clear();
    let soon_ms = bench.settings.probe_timeout_ms + bench.settings.reconnect_delay_ms;
    bench.advance_ms(soon_ms);
    bench.accept();
    bench.load(&log);
    assert_eq!(synced(&mut bench, request), (true, 0, None));
    assert_eq!(bench.field("a", "n"), Value::Int(2));
}

#[test]
fn one_round_is_answered_at_its_deadline_whatever_the_network_does() {
    let mut bench = Bench::new();
    app(&mut bench, AppState::Background);
    bench.write(vec![create("a", 1)]);
    let request = sync_once(&mut bench);
    bench.lose_connection();
    assert_eq!(bench.state(), ConnectionState::Backoff, "it is tried again");
    bench.advance_ms(DEADLINE_MS - 1);
    assert_eq!(answer(&mut bench, request), None);
    bench.advance_ms(1);
    let (complete, pending, reason) = synced(&mut bench, request);
    assert_eq!((complete, pending), (false, 1));
    assert!(reason.is_some());
    assert_eq!((bench.state(), bench.socket), (ConnectionState::Idle, None));
    let mut bench = Bench::in_room(&ServerLog::default());
    bench.write(vec![create("a", 1)]);
    let request = sync_once(&mut bench);
    bench.asked.clear();
    bench.advance_ms(bench.settings.request_timeout_ms - 1);
    assert_eq!(answer(&mut bench, request), None);
    bench.advance_ms(DEADLINE_MS);
    assert!(!synced(&mut bench, request).0);
}

#[test]
fn one_round_says_which_room_refused() {
    let mut bench = Bench::opened();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    let (ack, _) = bench.expect_subscribe();
    let request = sync_once(&mut bench);
    bench.refuse(ack, WireError::new(ErrorCode::Forbidden, "not yours"));
    assert_eq!(synced(&mut bench, request), (false, 0, Some(Code::Forbidden)));
}

#[test]
fn two_rounds_share_a_connection_and_the_last_one_lets_it_go() {
    let mut bench = Bench::new();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    let first = bench.start(Command::SyncOnce { deadline_ms: 1_000 });
    let second = sync_once(&mut bench);
    bench.advance_ms(1_000);
    assert!(!synced(&mut bench, first).0);
    assert_eq!(bench.state(), ConnectionState::Connecting);
    bench.accept();
    bench.load(&ServerLog::default());
    assert!(synced(&mut bench, second).0);
    assert_eq!(bench.state(), ConnectionState::Idle);
}

#[test]
fn a_connection_that_is_asked_for_during_a_round_outlasts_it() {
    let mut bench = Bench::new();
    bench.write(vec![create("a", 1)]);
    let round = bench.start(Command::SyncOnce { deadline_ms: 1_000 });
    bench.accept();
    bench.call(Command::SyncNow).unwrap();
    bench.advance_ms(1_000);
    assert!(!synced(&mut bench, round).0);
    assert_eq!(bench.state(), ConnectionState::Open);
}

#[test]
fn who_waits_when_the_client_closes_is_told() {
    let mut bench = Bench::new();
    bench.write(vec![create("a", 1)]);
    bench.start(Command::Connect);
    let waiting = [bench.start(Command::Flush), sync_once(&mut bench)];
    bench.call(Command::Close).unwrap();
    for request in waiting {
        assert_eq!(answer(&mut bench, request), Some(Err(Code::Closed)));
    }
}

/// The phases told, without repetitions, and the last progress.
fn progress(bench: &mut Bench) -> (Vec<ProgressPhase>, Progress) {
    let told = bench.events.drain(..).filter_map(|event| match event {
        Event::Progress { progress } => Some(progress),
        _ => None,
    });
    let told: Vec<Progress> = told.collect();
    let mut phases: Vec<_> = told.iter().map(|progress| progress.phase).collect();
    phases.dedup();
    (phases, *told.last().expect("no progress was told"))
}

#[test]
fn progress_counts_what_is_done_and_what_is_left_until_a_round_is_complete() {
    let mut log = ServerLog::of(vec![create("a", 1), create("b", 1)]);
    let mut bench = Bench::with(Settings { push_count_max: 1, ..at_once() });
    bench.call(Command::Subscribe { room: room() }).unwrap();
    bench.write(vec![create("c", 1), create("d", 1)]);
    bench.open();
    let left = |to_upload, rooms_to_load| Progress { to_upload, rooms_to_load, ..Progress::default() };
    assert_eq!(
        progress(&mut bench),
        (vec![Idle, Preparing, Downloading], Progress { phase: Downloading, ..left(2, 1) })
    );
    bench.load(&log);
    let loaded = Progress { downloaded: 2, rooms_live: 1, ..left(2, 0) };
    assert_eq!(progress(&mut bench), (vec![Uploading], Progress { phase: Uploading, ..loaded }));
    for uploaded in 1..=2 {
        let (ack, push) = bench.expect_push();
        let pushed = log.push(&push);
        bench.answer(ack, &pushed);
        bench.emit(event::SYNC_CHANGES, &log.changes(log.head));
        let phase = if uploaded == 2 { Complete } else { Uploading };
        let (_, told) = progress(&mut bench);
        let downloaded = 2 + uploaded;
        assert_eq!(told, Progress { phase, uploaded, downloaded, to_upload: 2 - uploaded, ..loaded });
    }
    bench.advance_ms(10_000);
    assert!(!bench.events.iter().any(|event| matches!(event, Event::Progress { .. })), "nothing is new");
    bench.emit(event::SYNC_CHANGES, &log.write(create("e", 1)));
    let round = Progress { phase: Complete, downloaded: 1, rooms_live: 1, ..left(0, 0) };
    assert_eq!(progress(&mut bench), (vec![Complete], round), "the next round begins at zero");
}

#[test]
fn progress_says_that_a_round_failed() {
    let mut bench = Bench::opened();
    bench.lose_connection();
    assert_eq!(progress(&mut bench).1.phase, ProgressPhase::Error);
}
