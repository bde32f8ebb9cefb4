//! The session, under app states, networks, sockets, tokens, commands and clocks in any order: it never gets stuck, and
//! never storms.

use proptest::prelude::*;
use syncline_protocol::{ErrorCode, WireError};

use super::bench::*;
use crate::engine::io::{AppState, Command, ConnectionState, Input, Network, Reply};
use crate::error::{Code, Error};
use crate::transport::{Message, Packet, Parser, Payload};

const YEARS_10_MS: u64 = 10 * 365 * 24 * 3_600_000;

#[derive(Debug, Clone, Copy)]
enum Step {
    App(AppState),
    Network(bool, &'static str),
    Connect,
    Disconnect,
    SyncNow,
    SyncOnce(u64),
    Token(bool),
    TokenFailed(bool),
    Accept,
    AcceptPlain,
    Lose,
    LoseWith(Code),
    Refuse(&'static str),
    ServerPing,
    RefuseAsked,
    Write,
    Wait(u64),
    Sleep(u64),
    WallBack(u64),
}

fn step() -> impl Strategy<Value = Step> {
    use prop::sample::select;
    let states = vec![AppState::Active, AppState::Inactive, AppState::Background];
    let codes = vec![Code::Unreachable, Code::Protocol, Code::TlsPinMismatch, Code::Unauthorized];
    prop_oneof![
        3 => select(states).prop_map(Step::App),
        3 => (any::<bool>(), select(vec!["wifi", "cellular", "none", "unknown"]))
            .prop_map(|(available, kind)| Step::Network(available, kind)),
        2 => Just(Step::Connect),
        1 => Just(Step::Disconnect),
        1 => Just(Step::SyncNow),
        1 => (1..60_000u64).prop_map(Step::SyncOnce),
        2 => any::<bool>().prop_map(Step::Token),
        1 => any::<bool>().prop_map(Step::TokenFailed),
        4 => Just(Step::Accept),
        2 => Just(Step::AcceptPlain),
        2 => Just(Step::Lose),
        1 => select(codes).prop_map(Step::LoseWith),
        1 => select(vec!["unauthorized", "forbidden", "unavailable", "unsupported_protocol"]).prop_map(Step::Refuse),
        2 => Just(Step::ServerPing),
        1 => Just(Step::RefuseAsked),
        1 => Just(Step::Write),
        4 => (1..40_000u64).prop_map(Step::Wait),
        1 => prop_oneof![1..120_000u64, Just(30 * 24 * 3_600_000), Just(YEARS_10_MS)].prop_map(Step::Sleep),
        1 => prop_oneof![1..120_000u64, Just(YEARS_10_MS)].prop_map(Step::WallBack),
    ]
}

/// What the app and the system said last.
struct Said {
    app: AppState,
    wanted: bool,
    writes: u64,
    tokens: u64,
}

fn take(bench: &mut Bench, said: &mut Said, step: Step) {
    match step {
        Step::App(state) => {
            said.app = state;
            bench.call(Command::SetAppState { state }).unwrap();
        }
        Step::Network(available, kind) => {
            let network = Network { available, expensive: false, kind: kind.to_owned() };
            bench.call(Command::SetNetwork { network }).unwrap();
        }
        Step::Connect => {
            said.wanted = true;
            bench.start(Command::Connect);
        }
        Step::Disconnect => {
            said.wanted = false;
            bench.call(Command::Disconnect).unwrap();
        }
        Step::SyncNow => {
            said.wanted = true;
            bench.call(Command::SyncNow).unwrap();
        }
        Step::SyncOnce(deadline_ms) => drop(bench.start(Command::SyncOnce { deadline_ms })),
        Step::Token(some) => {
            said.tokens += 1;
            let token = some.then(|| format!("token {}", said.tokens).into());
            bench.call(Command::SetToken { token, expires_at_ms: None }).unwrap();
        }
        Step::TokenFailed(retryable) => {
            let message = "failed".to_owned();
            bench.call(Command::TokenFailed { message, request: None, retryable }).unwrap();
        }
        Step::Accept if bench.state() == ConnectionState::Connecting => {
            bench.accept_plain();
            // A round that is done at once ends the connection that was made for it.
            if bench.socket.is_some() {
                bench.hello(syncline_protocol::Limits::default());
            }
        }
        Step::AcceptPlain if bench.state() == ConnectionState::Connecting => bench.accept_plain(),
        Step::Lose if bench.socket.is_some() => bench.lose_connection(),
        Step::LoseWith(code) if bench.socket.is_some() => {
            let generation = bench.socket.take().unwrap();
            bench.asked.clear();
            bench.input(Input::SocketClosed(generation, Error::new(code, "gone")));
        }
        Step::Refuse(code) if bench.state() == ConnectionState::Connecting => {
            let body = serde_json::json!({"message": format!("{code}: no")});
            let data = Payload::encode(Parser::Msgpack, &body).unwrap();
            bench.packet(Packet::ConnectError { data: Some(data) });
        }
        Step::ServerPing if bench.state() == ConnectionState::Open => bench.message(Message::Ping),
        Step::RefuseAsked if bench.socket.is_some() => {
            if let Some((ack, _)) = bench.asked.pop_front() {
                bench.refuse(ack, WireError::new(ErrorCode::Unauthorized, "expired"));
            }
        }
        Step::Write => {
            said.writes += 1;
            bench.write(vec![create(&format!("n{}", said.writes), 1)]);
        }
        Step::Wait(ms) => bench.advance_ms(ms),
        Step::Sleep(ms) => bench.now.wall_ms += ms,
        Step::WallBack(ms) => bench.now.wall_ms = bench.now.wall_ms.saturating_sub(ms),
        // Nothing to do it to.
        _ => {}
    }
}

/// A session that is wanted on screen either is there, or has a time at which it is tried, or waits for a token; and it
/// says why.
fn check(bench: &mut Bench, said: &Said) -> Result<(), TestCaseError> {
    let Ok(Reply::Connection(status)) = bench.call(Command::Connection) else { panic!("no status") };
    let deadline_us = bench.engine.next_deadline();
    let foreground = said.app != AppState::Background;
    match status.state {
        ConnectionState::Connecting | ConnectionState::Open => {
            prop_assert!(bench.socket.is_some());
            prop_assert!(deadline_us.is_some(), "nothing would find the socket dead");
        }
        ConnectionState::Backoff | ConnectionState::Offline => {
            let retry_ms = status.retry_in_ms.unwrap();
            prop_assert!(status.reason.is_some());
            let settings = &bench.settings;
            let slow = settings.unsupported_retry_ms;
            let bound_ms = match status.reason.map(|reason| reason.code) {
                Some(Code::UnsupportedProtocol | Code::TlsPinMismatch) => slow,
                _ => settings.offline_probe_ms.max(settings.reconnect_delay_ms_max),
            };
            prop_assert!(retry_ms <= bound_ms, "{retry_ms}");
            prop_assert!(deadline_us.unwrap() <= bench.now.after_ms(retry_ms + 1));
        }
        ConnectionState::Unauthorized => prop_assert!(status.reason.is_some()),
        ConnectionState::Suspended => prop_assert!(!foreground, "suspended on screen"),
        ConnectionState::Idle => {
            prop_assert!(!said.wanted, "idle though a connection is wanted");
            prop_assert!(bench.socket.is_none());
        }
        ConnectionState::Closed => prop_assert!(false, "nobody closed the client"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_session_never_gets_stuck_and_comes_back_when_it_can(steps in prop::collection::vec(step(), 1..60)) {
        let mut bench = Bench::new();
        let mut said = Said { app: AppState::Active, wanted: false, writes: 0, tokens: 0 };
        for step in steps {
            take(&mut bench, &mut said, step);
            check(&mut bench, &said)?;
        }
        // All is well again: it must be open before the longest pause is over.
        take(&mut bench, &mut said, Step::Network(true, "wifi"));
        take(&mut bench, &mut said, Step::App(AppState::Background));
        take(&mut bench, &mut said, Step::App(AppState::Active));
        take(&mut bench, &mut said, Step::Token(true));
        take(&mut bench, &mut said, Step::Connect);
        let patience_ms = bench.settings.connect_timeout_ms + bench.settings.offline_probe_ms;
        for _ in 0..patience_ms / 100 {
            match bench.state() {
                ConnectionState::Open => break,
                ConnectionState::Connecting => bench.accept(),
                _ => bench.advance_ms(100),
            }
        }
        prop_assert_eq!(bench.state(), ConnectionState::Open);
        prop_assert_eq!(bench.queued(), said.writes, "the queue is kept");
    }

    #[test]
    fn a_server_that_is_not_there_is_dialed_at_most_as_often_as_the_backoff_allows(
        steps in prop::collection::vec(step(), 1..30),
        app in prop::sample::select(vec![AppState::Active, AppState::Inactive]),
    ) {
        let mut bench = Bench::new();
        let mut said = Said { app: AppState::Active, wanted: false, writes: 0, tokens: 0 };
        for step in steps {
            take(&mut bench, &mut said, step);
        }
        take(&mut bench, &mut said, Step::App(app));
        take(&mut bench, &mut said, Step::Connect);
        let mut dials = 0;
        let minutes = 10;
        for _ in 0..minutes * 60 * 10 {
            if bench.socket.is_some() {
                dials += 1;
                bench.lose_connection();
            }
            bench.advance_ms(100);
        }
        // Half of the delay is jitter; the first few come sooner.
        let most = minutes * 60_000 / (bench.settings.reconnect_delay_ms_max / 2) + 8;
        prop_assert!(dials <= most, "{dials} dials in {minutes} minutes");
    }
}
