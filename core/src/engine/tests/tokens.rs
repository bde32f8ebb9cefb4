//! When the engine asks for a token, and how often.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::bench::*;
use crate::config::Settings;
use crate::engine::io::{AppState, Command, ConnectionState, Event};
use crate::error::Code;
use crate::transport::{Packet, Parser, Payload};

fn set(token: &str) -> Command {
    Command::SetToken { token: Some(token.into()), expires_at_ms: None }
}

fn failed(retryable: bool) -> Command {
    Command::TokenFailed { message: "no network".to_owned(), request: None, retryable }
}

/// A token that ends at this time.
fn jwt(exp_s: u64) -> String {
    let claims = BASE64_URL_SAFE_NO_PAD.encode(format!(r#"{{"sub":"ada","exp":{exp_s}}}"#));
    format!("e30.{claims}.c2ln")
}

fn requests(bench: &Bench) -> Vec<u64> {
    let requests = bench.events.iter().filter_map(|event| match event {
        Event::TokenNeeded { request, .. } => Some(*request),
        _ => None,
    });
    requests.collect()
}

fn refuse(bench: &mut Bench) {
    let body = serde_json::json!({"message": "expired", "data": {"code": "unauthorized"}});
    let data = Payload::encode(Parser::Msgpack, &body).unwrap();
    bench.packet(Packet::ConnectError { data: Some(data) });
}

#[test]
fn a_token_is_replaced_ahead_of_its_expiry_and_asked_for_once() {
    let token = jwt(WALL_MS / 1000 + 600);
    let mut bench = Bench::with_token(at_once(), Some(&token));
    bench.open();
    let ahead_ms = bench.settings.token_refresh_ahead_ms;
    bench.stay_open_ms(600_000 - ahead_ms * 3 / 2 - 1_000);
    assert_eq!(requests(&bench), [0; 0]);
    let last_ms = bench.now.wall_ms + ahead_ms / 2 + 1_000;
    while requests(&bench).is_empty() {
        bench.stay_open_ms(1_000);
    }
    assert!(bench.now.wall_ms <= last_ms, "within the jitter");
    bench.stay_open_ms(bench.settings.token_timeout_ms - 1_000);
    assert_eq!(requests(&bench).len(), 1);
    assert_eq!(bench.state(), ConnectionState::Open, "the old token still opens a session");
    let old = bench.socket;
    bench.call(set(&jwt(WALL_MS / 1000 + 3_600))).unwrap();
    assert!(bench.socket > old);
    bench.accept();
    bench.stay_open_ms(60_000);
    assert_eq!(requests(&bench).len(), 1);
}

#[test]
fn an_expiry_given_by_the_app_counts_for_a_token_of_any_kind() {
    let mut bench = Bench::opened();
    let expires_at_ms = Some(WALL_MS + 600_000);
    bench.call(Command::SetToken { token: Some("token".into()), expires_at_ms }).unwrap();
    bench.stay_open_ms(600_000 - bench.settings.token_refresh_ahead_ms);
    assert_eq!(requests(&bench), [1]);
}

#[test]
fn a_refused_handshake_takes_one_fresh_token_and_then_ever_longer_pauses() {
    let mut bench = Bench::new();
    bench.write(vec![create("a", 1)]);
    bench.start(Command::Connect);
    refuse(&mut bench);
    assert_eq!(requests(&bench), [1], "at once");
    let mut pauses_ms = Vec::new();
    for round in 2..=6 {
        bench.call(set(&format!("fresh {round}"))).unwrap();
        assert_eq!(bench.state(), ConnectionState::Connecting);
        refuse(&mut bench);
        assert_eq!((bench.state(), requests(&bench).len()), (ConnectionState::Unauthorized, round - 1));
        let before_ms = bench.now.wall_ms;
        while requests(&bench).len() < round {
            bench.advance_ms(10);
        }
        pauses_ms.push(bench.now.wall_ms - before_ms);
    }
    assert!(pauses_ms.windows(2).all(|pair| pair[0] < pair[1] + 1_000), "{pauses_ms:?}");
    assert!(pauses_ms[4] >= 8_000, "{pauses_ms:?}");
    assert_eq!(bench.queued(), 1, "nothing is spent");
    bench.call(set("good")).unwrap();
    bench.accept();
    bench.expect_subscribe();
    bench.expect_push();
}

#[test]
fn a_provider_that_failed_is_asked_again_later() {
    let mut bench = Bench::new();
    bench.start(Command::Connect);
    refuse(&mut bench);
    bench.call(failed(true)).unwrap();
    bench.advance_ms(bench.settings.token_retry_delay_ms / 2 - 1);
    assert_eq!(requests(&bench), [1]);
    bench.advance_ms(bench.settings.token_retry_delay_ms);
    assert_eq!(requests(&bench), [1, 2]);
}

#[test]
fn a_token_that_cannot_be_sent_is_asked_for_again() {
    let mut bench = Bench::new();
    bench.start(Command::Connect);
    refuse(&mut bench);
    assert_eq!(requests(&bench).len(), 1);
    let error = bench.call(set("<html>\n<h1>Welcome to our Wi-Fi</h1>")).unwrap_err();
    assert_eq!(error.code, Code::Invalid);
    bench.call(failed(false)).unwrap();
    bench.advance_ms(bench.settings.token_retry_delay_ms);
    assert_eq!(requests(&bench), [1, 2]);
}

#[test]
fn a_late_failure_of_an_earlier_request_is_ignored() {
    let mut bench = Bench::new();
    bench.start(Command::Connect);
    refuse(&mut bench);
    bench.call(failed(true)).unwrap();
    bench.advance_ms(bench.settings.token_retry_delay_ms);
    assert_eq!(requests(&bench), [1, 2]);
    let late = Command::TokenFailed { message: String::new(), request: Some(1), retryable: false };
    bench.call(late).unwrap();
    bench.call(failed(true)).unwrap();
    bench.advance_ms(bench.settings.token_retry_delay_ms * 2);
    assert_eq!(requests(&bench), [1, 2, 3]);
}

#[test]
fn somebody_who_is_signed_out_is_not_asked_until_the_app_connects() {
    let mut bench = Bench::new();
    bench.start(Command::Connect);
    refuse(&mut bench);
    bench.call(failed(false)).unwrap();
    bench.advance_ms(600_000);
    assert_eq!(requests(&bench), [1]);
    bench.start(Command::Connect);
    refuse(&mut bench);
    assert_eq!(requests(&bench), [1, 2]);
}

#[test]
fn a_request_that_nobody_answers_is_made_again() {
    let mut bench = Bench::new();
    bench.start(Command::Connect);
    refuse(&mut bench);
    bench.advance_ms(bench.settings.token_timeout_ms - 1);
    assert_eq!(requests(&bench), [1]);
    bench.advance_ms(bench.settings.token_retry_delay_ms + 1);
    assert_eq!(requests(&bench), [1, 2]);
}

#[test]
fn no_token_is_asked_for_in_the_background() {
    let mut bench = Bench::new();
    bench.start(Command::Connect);
    refuse(&mut bench);
    bench.call(Command::SetAppState { state: AppState::Background }).unwrap();
    bench.call(failed(true)).unwrap();
    bench.advance_ms(bench.settings.background_grace_ms);
    let asked = requests(&bench).len();
    bench.advance_ms(24 * 3_600_000);
    assert_eq!(requests(&bench).len(), asked);
    bench.call(Command::SetAppState { state: AppState::Active }).unwrap();
    assert_eq!(requests(&bench).len(), asked + 1);
}

#[test]
fn a_device_whose_clock_is_years_ahead_does_not_ask_in_a_loop() {
    let mut bench = Bench::with_token(at_once(), Some(&jwt(WALL_MS / 1000 - 300_000_000)));
    bench.open();
    for _ in 0..600 {
        bench.stay_open_ms(1_000);
        if requests(&bench).len() > bench.tokens_given {
            bench.tokens_given += 1;
            bench.call(set(&jwt(WALL_MS / 1000 - 300_000_000 + bench.tokens_given as u64))).unwrap();
            bench.accept();
        }
    }
    assert!(requests(&bench).len() < 20, "{}", requests(&bench).len());
    assert_eq!(bench.state(), ConnectionState::Open);
}

#[test]
fn a_session_that_needs_no_token_asks_for_none() {
    let mut bench = Bench::with_token(Settings { token_required: false, ..at_once() }, None);
    bench.open();
    bench.stay_open_ms(600_000);
    assert_eq!(requests(&bench), [0; 0]);
}

#[test]
fn a_session_that_the_server_ends_for_its_token_pauses_and_keeps_everything() {
    let mut bench = Bench::opened();
    bench.write(vec![create("a", 1)]);
    bench.expect_subscribe();
    let (ack, _) = bench.expect_push();
    bench.refuse(
        ack,
        syncline_protocol::WireError::new(syncline_protocol::ErrorCode::Unauthorized, "revoked"),
    );
    assert_eq!((bench.state(), requests(&bench)), (ConnectionState::Unauthorized, vec![1]));
    assert_eq!((bench.queued(), bench.outcomes()), (1, Vec::<(u64, Code)>::new()));
}
