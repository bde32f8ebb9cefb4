//! When the engine dials, gives up and waits.

use syncline_protocol::ErrorCode;

use super::bench::*;
use crate::config::Settings;
use crate::engine::io::{AppState, Command, ConnectionState, Event, Input, Network, Reply};
use crate::error::{Code, Error};
use crate::transport::{Message, Packet, Parser, Payload};

fn network(available: bool, kind: &str) -> Command {
    Command::SetNetwork { network: Network { available, expensive: false, kind: kind.to_owned() } }
}

fn app(state: AppState) -> Command {
    Command::SetAppState { state }
}

fn token(token: &str) -> Command {
    Command::SetToken { token: Some(token.into()), expires_at_ms: None }
}

fn tokens_needed(bench: &Bench) -> usize {
    bench.events.iter().filter(|event| matches!(event, Event::TokenNeeded { .. })).count()
}

#[test]
fn connecting_is_answered_when_the_session_is_open() {
    let mut bench = Bench::new();
    let request = bench.start(Command::Connect);
    assert_eq!(bench.state(), ConnectionState::Connecting);
    assert!(!bench.replies.contains_key(&request));
    bench.accept();
    assert_eq!(bench.replies[&request], Ok(Reply::Done {}));
    assert_eq!((bench.state(), bench.greetings), (ConnectionState::Open, 1));
    assert_eq!(bench.call(Command::Connect), Ok(Reply::Done {}));
}

#[test]
fn a_handshake_that_never_comes_is_given_up_and_tried_again() {
    let mut bench = Bench::new();
    let request = bench.start(Command::Connect);
    let first = bench.socket;
    bench.advance_ms(bench.settings.connect_timeout_ms);
    assert_eq!(bench.replies[&request].as_ref().unwrap_err().code, Code::Timeout);
    assert_eq!((bench.state(), bench.socket), (ConnectionState::Backoff, None));
    bench.advance_ms(bench.settings.reconnect_delay_ms);
    assert_eq!(bench.state(), ConnectionState::Connecting);
    assert!(bench.socket > first);
}

#[test]
fn an_attempt_over_a_route_that_is_gone_is_made_anew_over_the_other() {
    let mut bench = Bench::new();
    bench.call(network(true, "wifi")).unwrap();
    bench.start(Command::Connect);
    let first = bench.socket;
    bench.call(network(true, "wifi")).unwrap();
    assert_eq!((bench.socket, bench.http_connections_forgotten), (first, 0));
    bench.call(network(true, "cellular")).unwrap();
    assert_eq!((bench.state(), bench.http_connections_forgotten), (ConnectionState::Connecting, 1));
    assert!(bench.socket > first);
}

#[test]
fn reconnect_delays_double_with_jitter_up_to_the_maximum() {
    let mut bench = Bench::new();
    bench.start(Command::Connect);
    for nominal_ms in [500, 1_000, 2_000, 4_000, 5_000, 5_000] {
        bench.lose_connection();
        let delay_ms = bench.retry_in_ms();
        assert!((nominal_ms / 2..=nominal_ms).contains(&delay_ms), "{delay_ms} of {nominal_ms}");
        bench.advance_ms(delay_ms - 1);
        assert_eq!(bench.state(), ConnectionState::Backoff);
        bench.advance_ms(1);
        assert_eq!(bench.state(), ConnectionState::Connecting);
    }
    bench.accept();
    bench.lose_connection();
    assert!(bench.retry_in_ms() >= 2_500, "a session that was dropped at once changes nothing");
}

#[test]
fn a_session_that_lasts_starts_the_delays_over() {
    let mut bench = Bench::new();
    bench.start(Command::Connect);
    for _ in 0..4 {
        bench.lose_connection();
        let delay_ms = bench.retry_in_ms();
        bench.advance_ms(delay_ms);
    }
    bench.accept();
    bench.advance_ms(bench.settings.reconnect_delay_ms_max);
    bench.lose_connection();
    assert!(bench.retry_in_ms() <= 500);
}

#[test]
fn a_request_without_an_answer_ends_the_connection() {
    let mut bench = Bench::opened();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    bench.advance_ms(bench.settings.request_timeout_ms - 1);
    assert_eq!(bench.state(), ConnectionState::Open);
    bench.advance_ms(1);
    assert_eq!(bench.state(), ConnectionState::Backoff);
}

#[test]
fn events_of_an_earlier_socket_are_ignored() {
    let mut bench = Bench::opened();
    let old = bench.socket.unwrap();
    bench.reconnect();
    bench.input(Input::SocketClosed(old, Error::new(Code::Unreachable, "late")));
    bench.input(Input::SocketReceived(old, Message::Close));
    assert_eq!(bench.state(), ConnectionState::Open);
}

#[test]
fn without_a_network_a_probe_goes_out_now_and_then() {
    let mut bench = Bench::new();
    bench.call(network(false, "none")).unwrap();
    let request = bench.start(Command::Connect);
    assert_eq!(bench.replies[&request].as_ref().unwrap_err().code, Code::Offline);
    assert_eq!((bench.state(), bench.socket), (ConnectionState::Offline, None));
    bench.advance_ms(bench.settings.offline_probe_ms);
    assert!(bench.socket.is_some());
    bench.lose_connection();
    assert_eq!(bench.retry_in_ms(), bench.settings.offline_probe_ms);
}

#[test]
fn a_network_that_returns_is_dialed_at_once() {
    let mut bench = Bench::new();
    bench.call(network(false, "none")).unwrap();
    bench.start(Command::Connect);
    bench.call(network(true, "wifi")).unwrap();
    assert_eq!(bench.state(), ConnectionState::Connecting);
}

#[test]
fn a_socket_survives_a_network_loss_and_is_replaced_when_the_network_returns() {
    for kind in ["wifi", "unknown"] {
        let mut bench = Bench::opened();
        let old = bench.socket;
        bench.call(network(false, kind)).unwrap();
        assert_eq!((bench.state(), bench.socket), (ConnectionState::Open, old));
        bench.call(network(true, kind)).unwrap();
        assert_eq!(bench.state(), ConnectionState::Connecting);
        assert!(bench.socket > old);
    }
}

#[test]
fn another_kind_of_network_replaces_the_socket_but_the_first_report_does_not() {
    let mut bench = Bench::opened();
    let old = bench.socket;
    bench.call(network(true, "wifi")).unwrap();
    assert_eq!(bench.socket, old);
    bench.call(network(true, "cellular")).unwrap();
    assert!(bench.socket > old);
}

#[test]
fn a_repeated_report_of_the_network_does_not_defeat_the_backoff() {
    let mut bench = Bench::opened();
    bench.call(network(true, "wifi")).unwrap();
    bench.lose_connection();
    bench.call(network(true, "wifi")).unwrap();
    assert_eq!(bench.state(), ConnectionState::Backoff);
    bench.call(network(true, "cellular")).unwrap();
    assert_eq!(bench.state(), ConnectionState::Connecting);
}

#[test]
fn in_the_background_the_socket_closes_after_the_grace_period() {
    let mut bench = Bench::opened();
    bench.call(app(AppState::Background)).unwrap();
    bench.advance_ms(bench.settings.background_grace_ms - 1);
    assert_eq!(bench.state(), ConnectionState::Open);
    bench.advance_ms(1);
    assert_eq!((bench.state(), bench.socket), (ConnectionState::Suspended, None));
    assert_eq!(bench.engine.next_deadline(), None, "nothing wakes a suspended app");
    bench.call(app(AppState::Active)).unwrap();
    assert_eq!(bench.state(), ConnectionState::Connecting);
}

#[test]
fn a_connection_lost_in_the_background_is_not_dialed_after_the_grace_period() {
    let mut bench = Bench::opened();
    bench.call(app(AppState::Background)).unwrap();
    bench.advance_ms(bench.settings.background_grace_ms - 1);
    bench.lose_connection();
    bench.advance_ms(60_000);
    assert_eq!((bench.state(), bench.socket), (ConnectionState::Suspended, None));
}

#[test]
fn coming_back_within_the_grace_period_asks_whether_the_socket_lives() {
    let mut bench = Bench::opened();
    bench.call(app(AppState::Background)).unwrap();
    bench.call(app(AppState::Active)).unwrap();
    assert_eq!(bench.asked.pop_front().unwrap().1, Asked::Ping);
    bench.advance_ms(bench.settings.probe_timeout_ms);
    assert_eq!(bench.state(), ConnectionState::Backoff);
}

#[test]
fn without_a_token_none_is_dialed_until_there_is_one() {
    let mut bench = Bench::with_token(Settings::default(), None);
    let request = bench.start(Command::Connect);
    assert_eq!(bench.replies[&request].as_ref().unwrap_err().code, Code::NoAuthToken);
    assert_eq!((bench.state(), tokens_needed(&bench)), (ConnectionState::Unauthorized, 1));
    assert_eq!(bench.socket, None);
    bench.call(token("new")).unwrap();
    assert_eq!(bench.state(), ConnectionState::Connecting);
}

#[test]
fn a_backend_without_tokens_needs_none() {
    let mut bench = Bench::with_token(Settings { token_required: false, ..at_once() }, None);
    bench.open();
    assert_eq!(bench.state(), ConnectionState::Open);
}

#[test]
fn a_refused_token_waits_for_a_new_one() {
    let mut bench = Bench::new();
    bench.start(Command::Connect);
    let body = serde_json::json!({"message": "expired", "data": {"code": "unauthorized"}});
    let data = Payload::encode(Parser::Msgpack, &body).unwrap();
    bench.packet(Packet::ConnectError { data: Some(data) });
    assert_eq!((bench.state(), tokens_needed(&bench)), (ConnectionState::Unauthorized, 1));
    bench.advance_ms(600_000);
    assert_eq!(bench.socket, None);
    bench.call(token("new")).unwrap();
    bench.accept();
    assert_eq!(bench.state(), ConnectionState::Open);
}

#[test]
fn a_token_refused_in_mid_session_is_asked_for_again() {
    let mut bench = Bench::opened();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    let (ack, _) = bench.expect_subscribe();
    bench.refuse(ack, syncline_protocol::WireError::new(ErrorCode::Unauthorized, "expired"));
    assert_eq!((bench.state(), tokens_needed(&bench)), (ConnectionState::Unauthorized, 1));
}

#[test]
fn a_new_token_takes_a_new_connection_and_the_same_one_does_not() {
    let mut bench = Bench::opened();
    let old = bench.socket;
    bench.call(token("token")).unwrap();
    assert_eq!(bench.socket, old);
    bench.call(token("another")).unwrap();
    assert!(bench.socket > old);
    bench.accept();
    assert_eq!(bench.state(), ConnectionState::Open);
}

#[test]
fn a_token_that_is_forgotten_ends_the_connection() {
    let mut bench = Bench::opened();
    bench.call(Command::SetToken { token: None, expires_at_ms: None }).unwrap();
    assert_eq!((bench.state(), bench.socket), (ConnectionState::Unauthorized, None));
}

#[test]
fn disconnecting_stays_disconnected() {
    let mut bench = Bench::opened();
    bench.call(Command::Disconnect).unwrap();
    assert_eq!((bench.state(), bench.socket), (ConnectionState::Idle, None));
    bench.advance_ms(60_000);
    bench.call(network(true, "wifi")).unwrap();
    assert_eq!(bench.socket, None);
}

#[test]
fn a_closed_client_takes_no_more_commands() {
    let mut bench = Bench::opened();
    bench.call(Command::Close).unwrap();
    assert!(bench.engine.is_closed());
    assert_eq!(bench.socket, None);
    assert_eq!(bench.call(Command::Connect).unwrap_err().code, Code::Closed);
}

#[test]
fn a_message_that_cannot_be_read_ends_the_session() {
    let mut bench = Bench::opened();
    bench.emit(syncline_protocol::message::event::SYNC_CHANGES, &"nonsense");
    assert_eq!(bench.state(), ConnectionState::Backoff);
}

#[test]
fn asking_while_there_is_no_network_does_not_put_off_the_probe() {
    let mut bench = Bench::new();
    bench.call(network(false, "none")).unwrap();
    assert_eq!(bench.call(Command::Connect).unwrap_err().code, Code::Offline);
    bench.advance_ms(bench.settings.offline_probe_ms - 1);
    assert_eq!(bench.call(Command::Connect).unwrap_err().code, Code::Offline);
    bench.advance_ms(1);
    assert_eq!(bench.state(), ConnectionState::Connecting);
}

#[test]
fn synchronizing_now_dials_whatever_the_system_says() {
    let mut bench = Bench::new();
    bench.call(network(false, "none")).unwrap();
    bench.call(Command::SyncNow).unwrap();
    assert_eq!(bench.state(), ConnectionState::Connecting);
    bench.call(network(false, "none")).unwrap();
    assert_eq!(bench.state(), ConnectionState::Connecting, "a repeated hint ends no attempt");
}

#[test]
fn a_handshake_refused_for_good_waits_for_another_token() {
    let mut bench = Bench::new();
    bench.start(Command::Connect);
    bench.input(Input::SocketOpened(bench.socket.unwrap()));
    let text = "forbidden: the client id is another user's";
    let data = Payload::encode(Parser::Json, &serde_json::json!({ "message": text })).unwrap();
    bench.packet(Packet::ConnectError { data: Some(data) });
    assert_eq!((bench.state(), tokens_needed(&bench)), (ConnectionState::Unauthorized, 1));
    bench.call(token("of the other user")).unwrap();
    assert_eq!(bench.state(), ConnectionState::Connecting);
}

#[test]
fn a_handshake_refused_for_another_reason_is_tried_again() {
    for refusal in [
        serde_json::json!({"message": "invalid: the payload is malformed"}),
        serde_json::json!({"message": "back soon", "data": {"code": "maintenance", "retry_after_ms": 7_000}}),
    ] {
        let mut bench = Bench::new();
        bench.start(Command::Connect);
        bench.input(Input::SocketOpened(bench.socket.unwrap()));
        bench.packet(Packet::ConnectError { data: Some(Payload::encode(Parser::Json, &refusal).unwrap()) });
        assert_eq!(bench.state(), ConnectionState::Backoff, "{refusal}");
        let delay_ms = bench.retry_in_ms();
        bench.advance_ms(delay_ms + 1);
        assert_eq!(bench.state(), ConnectionState::Connecting);
    }
}

#[test]
fn a_connection_made_in_the_background_ends_after_the_grace_too() {
    let mut bench = Bench::opened();
    bench.call(app(AppState::Background)).unwrap();
    bench.advance_ms(bench.settings.background_grace_ms);
    assert_eq!(bench.state(), ConnectionState::Suspended);
    bench.call(Command::SyncNow).unwrap();
    bench.accept();
    bench.advance_ms(bench.settings.background_grace_ms);
    assert_eq!(bench.state(), ConnectionState::Suspended);
}

fn refuse_protocol(bench: &mut Bench) {
    bench.input(Input::SocketOpened(bench.socket.unwrap()));
    let text = "unsupported_protocol: this server speaks version 2, not 1";
    let data = Payload::encode(Parser::Json, &serde_json::json!({ "message": text })).unwrap();
    bench.packet(Packet::ConnectError { data: Some(data) });
}

#[test]
fn a_server_of_another_protocol_is_asked_seldom_while_local_work_goes_on() {
    let mut bench = Bench::new();
    let request = bench.start(Command::Connect);
    refuse_protocol(&mut bench);
    let refused = bench.replies[&request].clone().unwrap_err();
    assert_eq!(refused.code, Code::UnsupportedProtocol);
    assert!(refused.message.contains("speaks version 2"), "{}", refused.message);
    bench.write(vec![create("a", 1)]);
    assert_eq!((bench.queued(), bench.field("a", "n")), (1, 1.into()));
    let Ok(Reply::Connection(status)) = bench.call(Command::Connection) else { panic!("no status") };
    assert_eq!((status.state, status.reason.unwrap().code), (ConnectionState::Backoff, refused.code));

    let delay_ms = bench.settings.unsupported_retry_ms;
    for _ in 0..3 {
        bench.advance_ms(delay_ms - 1);
        assert_eq!(bench.socket, None, "it does not ask again and again");
        bench.advance_ms(1);
        refuse_protocol(&mut bench);
    }
    bench.call(app(AppState::Background)).unwrap();
    bench.call(app(AppState::Active)).unwrap();
    bench.accept();
    assert_eq!((bench.state(), bench.queued()), (ConnectionState::Open, 1));
}

#[test]
fn a_hello_of_another_protocol_ends_the_session() {
    let mut bench = Bench::opened();
    let hello = serde_json::json!({"protocol": 2, "encoding": "plain", "limits": {}, "server_time_ms": 1, "user_id": "ada"});
    bench.emit(syncline_protocol::message::event::SYNC_HELLO, &hello);
    assert_eq!((bench.state(), bench.socket), (ConnectionState::Backoff, None));
    assert_eq!(bench.retry_in_ms(), bench.settings.unsupported_retry_ms);
}

fn fail_dial(bench: &mut Bench, error: Error) {
    let generation = bench.socket.take().unwrap();
    bench.input(Input::SocketClosed(generation, error));
}

#[test]
fn a_server_without_a_pinned_key_is_tried_seldom_and_on_another_network_at_once() {
    let mut bench = Bench::new();
    bench.call(network(true, "wifi")).unwrap();
    let request = bench.start(Command::Connect);
    fail_dial(&mut bench, Error::new(Code::TlsPinMismatch, "TLS: no pinned key"));
    assert_eq!(bench.replies[&request].as_ref().unwrap_err().code, Code::TlsPinMismatch);
    assert_eq!(bench.retry_in_ms(), bench.settings.unsupported_retry_ms);
    bench.call(network(true, "cellular")).unwrap();
    assert_eq!(bench.state(), ConnectionState::Connecting);
}

#[test]
fn a_server_that_says_when_to_come_back_is_not_dialed_before() {
    let mut bench = Bench::new();
    bench.start(Command::Connect);
    let error = Error { retry_after_ms: Some(60_000), ..Error::new(Code::Unreachable, "HTTP status 503") };
    fail_dial(&mut bench, error);
    let wait_ms = bench.retry_in_ms();
    assert!((60_000..=90_000).contains(&wait_ms), "{wait_ms}");
}
