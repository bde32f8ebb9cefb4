//! Another token on the session that is open.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use syncline_protocol::message::{AccessLost, Done, Members, TokenRefresh, event};
use syncline_protocol::{ErrorCode, WireError};

use super::bench::*;
use super::server_log::ServerLog;
use crate::engine::io::{Command, ConnectionState, Event, RoomPhase};
use crate::engine::socket::cause::DisconnectCause;

const DONE: Done = Done { ok: true };

/// One of many tokens of a user.
fn token(user: &str, number: u64) -> String {
    let exp_s = WALL_MS / 1000 + 600 + number;
    let claims = BASE64_URL_SAFE_NO_PAD.encode(format!(r#"{{"sub":"{user}","exp":{exp_s}}}"#));
    format!("e30.{claims}.c2ln")
}

fn set(token: &str) -> Command {
    Command::SetToken { token: Some(token.into()), expires_at_ms: None }
}

/// A client whose session is open, by a server that takes tokens there.
fn opened() -> Bench {
    let mut bench = Bench::with_token(at_once(), Some(&token("ada", 1)));
    bench.offers = vec![event::AUTH_REFRESH.to_owned()];
    bench.open();
    bench
}

/// Gives the client another token; the ack of what it asks for.
#[track_caller]
fn refresh(bench: &mut Bench, number: u64) -> u64 {
    bench.call(set(&token("ada", number))).unwrap();
    match bench.asked.pop_front() {
        Some((ack, Asked::TokenRefresh(TokenRefresh { token: sent }))) => {
            assert_eq!(sent, token("ada", number));
            ack
        }
        other => panic!("{other:?}"),
    }
}

fn forbidden() -> WireError {
    WireError::new(ErrorCode::Forbidden, "not this one")
}

#[track_caller]
fn assert_reconnects(bench: &mut Bench, what: &str, act: impl FnOnce(&mut Bench)) {
    let old = bench.socket;
    act(bench);
    assert!(bench.socket > old, "{what}: no new connection");
    bench.expect_silence();
    let Ok(crate::engine::io::Reply::Connection(status)) = bench.call(Command::Connection) else { panic!() };
    assert_eq!(status.cause, Some(DisconnectCause::TokenChanged), "{what}");
    bench.accept();
    assert_eq!(bench.state(), ConnectionState::Open, "{what}");
}

#[test]
fn a_server_that_offers_it_gets_a_newer_token_on_the_open_session() {
    let mut bench = opened();
    let socket = bench.socket;
    while !bench.events.iter().any(|event| matches!(event, Event::TokenNeeded { .. })) {
        bench.stay_open_ms(1_000);
    }
    bench.events.clear();
    let ack = refresh(&mut bench, 2);
    bench.answer(ack, &DONE);
    assert_eq!((bench.socket, bench.state(), bench.greetings), (socket, ConnectionState::Open, 1));
    assert!(!bench.events.iter().any(|event| matches!(event, Event::Connection { .. })));
    bench.expect_silence();
}

#[test]
fn a_token_that_the_session_cannot_take_takes_a_new_connection() {
    let mut bench = opened();
    assert_reconnects(&mut bench, "another user's", |bench| {
        bench.call(set(&token("eve", 2))).unwrap();
    });
    assert_reconnects(&mut bench, "no JSON Web Token", |bench| {
        bench.call(set("opaque")).unwrap();
    });
    let mut bench = opened();
    let admin = Command::ConnectNamespace(crate::engine::socket::types::NamespaceOptions {
        namespace: "/admin".to_owned(),
        auth: None,
    });
    bench.start(admin);
    assert_reconnects(&mut bench, "two namespaces", |bench| {
        bench.call(set(&token("ada", 2))).unwrap();
    });
    let mut bench = opened();
    bench.offers.clear();
    bench.reconnect();
    assert_reconnects(&mut bench, "not offered any more", |bench| {
        bench.call(set(&token("ada", 2))).unwrap();
    });
}

#[test]
fn a_token_that_the_session_refuses_is_shown_to_a_new_one() {
    for code in [ErrorCode::Internal, ErrorCode::Unauthorized, ErrorCode::Invalid, ErrorCode::RateLimited] {
        let mut bench = opened();
        let ack = refresh(&mut bench, 2);
        let error = WireError::new(code, "no");
        assert_reconnects(&mut bench, "refused", |bench| bench.refuse(ack, error));
    }
}

#[test]
fn a_token_that_is_not_answered_takes_the_next_connection_like_any_request() {
    let mut bench = opened();
    refresh(&mut bench, 2);
    bench.advance_ms(bench.settings.request_timeout_ms);
    assert_eq!((bench.state(), bench.socket), (ConnectionState::Backoff, None));
    let delay_ms = bench.retry_in_ms();
    bench.advance_ms(delay_ms + 1);
    bench.accept();
    assert_eq!(bench.state(), ConnectionState::Open);
}

#[test]
fn what_was_denied_to_the_token_before_is_asked_for_again() {
    let mut log = ServerLog::default();
    let mut bench = opened();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    let (ack, _) = bench.expect_subscribe();
    bench.refuse(ack, forbidden());
    bench.write(vec![create("a", 1)]);
    let (ack, _) = bench.expect_push();
    bench.refuse(ack, forbidden());
    bench.call(Command::PresenceJoin { room: room(), state: count(1) }).unwrap();
    let Some((ack, Asked::PresenceJoin(_))) = bench.asked.pop_front() else { panic!() };
    let refreshed = refresh(&mut bench, 2);
    bench.refuse(ack, forbidden());
    bench.expect_silence();
    bench.answer(refreshed, &DONE);
    let Some((ack, Asked::PresenceJoin(_))) = bench.asked.pop_front() else { panic!("{:?}", bench.asked) };
    bench.answer(ack, &Members { members: vec![] });
    let (ack, subscribe) = bench.expect_subscribe();
    bench.answer(ack, &log.page(subscribe.cursor));
    let (ack, push) = bench.expect_push();
    let answer = log.push(&push);
    bench.answer(ack, &answer);
    assert_eq!(bench.engine.replica.status(&room()).state, RoomPhase::Live);
}

#[test]
fn what_the_newer_token_takes_away_is_not_asked_for_again() {
    let log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = opened();
    bench.enter(&log);
    let ack = refresh(&mut bench, 2);
    bench.emit(
        event::ACCESS_LOST,
        &AccessLost { room: room(), lost: vec!["read".to_owned()], error: forbidden() },
    );
    bench.answer(ack, &DONE);
    bench.expect_silence();
    assert_eq!(bench.engine.replica.status(&room()).state, RoomPhase::Denied);
    let ack = refresh(&mut bench, 3);
    bench.answer(ack, &DONE);
    bench.expect_subscribe();
}
