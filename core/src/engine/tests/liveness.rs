//! How the engine finds out that a socket is dead, from a server that may answer no probe.

use syncline_protocol::Write;
use syncline_protocol::message::Page;

use super::bench::*;
use super::server_log::ServerLog;
use crate::engine::io::{AppState, Command, ConnectionState, Input, Network};
use crate::transport::Message;

const SILENCE_MS: u64 = PING_INTERVAL_MS + PING_TIMEOUT_MS;

fn app(state: AppState) -> Command {
    Command::SetAppState { state }
}

/// A session with a backend that never says hello.
fn plain() -> Bench {
    let mut bench = Bench::new();
    bench.start(Command::Connect);
    bench.accept_plain();
    bench
}

/// The device sleeps: the clock that never jumps stands still.
fn sleep_ms(bench: &mut Bench, ms: u64) {
    bench.now.wall_ms += ms;
}

#[test]
fn a_server_that_falls_silent_counts_as_dead_after_ping_interval_and_timeout() {
    let mut bench = plain();
    bench.advance_ms(PING_INTERVAL_MS - 1);
    bench.message(Message::Ping);
    assert_eq!(bench.pongs, 1);
    bench.advance_ms(SILENCE_MS - 1);
    assert_eq!(bench.state(), ConnectionState::Open);
    bench.advance_ms(1);
    assert_eq!(bench.state(), ConnectionState::Backoff);
}

#[test]
fn any_frame_is_a_sign_of_life() {
    let mut bench = plain();
    for _ in 0..10 {
        bench.advance_ms(SILENCE_MS - 1);
        bench.emit("news", &"of the application");
    }
    assert_eq!(bench.state(), ConnectionState::Open);
    bench.advance_ms(SILENCE_MS);
    assert_eq!(bench.state(), ConnectionState::Backoff);
}

#[test]
fn back_in_front_a_server_without_probes_gets_little_time_beyond_its_next_ping() {
    let mut bench = plain();
    bench.call(app(AppState::Background)).unwrap();
    sleep_ms(&mut bench, PING_INTERVAL_MS + 1_000);
    bench.call(app(AppState::Active)).unwrap();
    assert_eq!(bench.state(), ConnectionState::Open);
    bench.advance_ms(bench.settings.probe_timeout_ms - 1);
    assert_eq!(bench.state(), ConnectionState::Open);
    bench.advance_ms(1);
    assert_eq!(bench.state(), ConnectionState::Backoff);
}

#[test]
fn back_in_front_a_ping_that_waited_saves_the_connection() {
    let mut bench = plain();
    bench.call(app(AppState::Background)).unwrap();
    sleep_ms(&mut bench, PING_INTERVAL_MS + 1_000);
    bench.call(app(AppState::Active)).unwrap();
    bench.message(Message::Ping);
    bench.advance_ms(SILENCE_MS - 1);
    assert_eq!(bench.state(), ConnectionState::Open);
}

#[test]
fn back_in_front_after_a_long_sleep_the_socket_is_replaced_at_once() {
    for asleep_ms in [SILENCE_MS, 24 * 3_600_000, 30 * 24 * 3_600_000] {
        let mut bench = plain();
        let old = bench.socket;
        bench.call(app(AppState::Background)).unwrap();
        sleep_ms(&mut bench, asleep_ms);
        bench.call(app(AppState::Active)).unwrap();
        assert_eq!(bench.state(), ConnectionState::Connecting);
        assert!(bench.socket > old);
    }
}

#[test]
fn a_glance_at_another_app_hurries_nobody() {
    let mut bench = plain();
    bench.call(app(AppState::Background)).unwrap();
    bench.advance_ms(bench.settings.foreground_check_ms - 1);
    bench.call(app(AppState::Active)).unwrap();
    bench.advance_ms(SILENCE_MS - bench.settings.foreground_check_ms);
    assert_eq!(bench.state(), ConnectionState::Open);
}

#[test]
fn a_wall_clock_that_jumps_kills_no_connection_on_screen() {
    let mut bench = plain();
    bench.now.wall_ms += 10 * 365 * 24 * 3_600_000;
    bench.advance_ms(PING_INTERVAL_MS);
    assert_eq!(bench.state(), ConnectionState::Open);
    bench.now.wall_ms = 1;
    bench.message(Message::Ping);
    bench.advance_ms(PING_INTERVAL_MS);
    assert_eq!(bench.state(), ConnectionState::Open);
}

#[test]
fn going_to_the_background_while_connecting_ends_after_the_grace() {
    let mut bench = Bench::new();
    bench.start(Command::Connect);
    bench.call(app(AppState::Background)).unwrap();
    bench.accept_plain();
    assert_eq!(bench.state(), ConnectionState::Open);
    bench.advance_ms(bench.settings.background_grace_ms);
    assert_eq!((bench.state(), bench.engine.next_deadline()), (ConnectionState::Suspended, None));
}

/// A part of a message passes, and the deadline that is due after it.
fn move_some(bench: &mut Bench, received: bool, ms: u64) {
    let deadline_us = bench.now.after_ms(ms);
    bench.now.mono_us = deadline_us;
    bench.now.wall_ms += ms;
    let generation = bench.socket.expect("no socket");
    bench.turn_of([Input::SocketMoved { generation, received }, Input::Tick]);
}

#[test]
fn a_page_that_is_still_coming_in_is_awaited_and_not_for_ever() {
    let mut bench = Bench::opened();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    bench.expect_subscribe();
    let (timeout_ms, longest_ms) = (bench.settings.request_timeout_ms, bench.settings.transfer_timeout_ms);
    for _ in 0..longest_ms / timeout_ms - 1 {
        move_some(&mut bench, true, timeout_ms);
        assert_eq!(bench.state(), ConnectionState::Open);
    }
    move_some(&mut bench, true, timeout_ms);
    assert_eq!(bench.state(), ConnectionState::Backoff);
}

#[test]
fn a_page_of_which_nothing_comes_any_more_ends_the_connection() {
    let mut bench = Bench::opened();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    bench.expect_subscribe();
    let timeout_ms = bench.settings.request_timeout_ms;
    move_some(&mut bench, true, timeout_ms);
    bench.advance_ms(timeout_ms - 1);
    assert_eq!(bench.state(), ConnectionState::Open);
    bench.advance_ms(1);
    assert_eq!(bench.state(), ConnectionState::Backoff);
}

#[test]
fn movement_that_was_seen_before_a_deadline_counts_for_all_that_is_awaited() {
    let mut bench = Bench::opened();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    bench.expect_subscribe();
    let timeout_ms = bench.settings.request_timeout_ms;
    move_some(&mut bench, true, timeout_ms - 1);
    bench.advance_ms(timeout_ms - 1);
    assert_eq!(bench.state(), ConnectionState::Open);
    bench.advance_ms(1);
    assert_eq!(bench.state(), ConnectionState::Backoff);
}

#[test]
fn a_request_is_put_off_by_its_own_time_and_not_by_that_of_others() {
    let mut bench = Bench::opened();
    let away_ms = bench.settings.foreground_check_ms;
    bench.call(app(AppState::Background)).unwrap();
    sleep_ms(&mut bench, away_ms);
    bench.call(app(AppState::Active)).unwrap();
    let probe_timeout_ms = bench.settings.probe_timeout_ms;
    move_some(&mut bench, false, probe_timeout_ms);
    assert_eq!(bench.state(), ConnectionState::Open);
    bench.advance_ms(probe_timeout_ms);
    assert_eq!(bench.state(), ConnectionState::Backoff);
}

#[test]
fn another_route_is_not_taken_for_a_slow_one() {
    let mut bench = Bench::opened();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    bench.expect_subscribe();
    bench.advance_ms(bench.settings.request_timeout_ms);
    let network = |available| Network { available, expensive: false, kind: "wifi".to_owned() };
    for available in [false, true] {
        bench.call(Command::SetNetwork { network: network(available) }).unwrap();
    }
    bench.accept();
    let (ack, _) = bench.expect_subscribe();
    bench.answer(ack, &Page { more: true, ..page(vec![], 1) });
    assert_eq!(u64::from(bench.expect_pull().1.limit), bench.settings.page_count_max);
}

#[test]
fn what_this_client_sends_is_no_sign_of_life_of_the_server() {
    let mut bench = plain();
    move_some(&mut bench, false, SILENCE_MS);
    assert_eq!(bench.state(), ConnectionState::Backoff);
    let mut bench = plain();
    move_some(&mut bench, true, SILENCE_MS);
    assert_eq!(bench.state(), ConnectionState::Open);
}

#[test]
fn after_connections_that_broke_over_pages_smaller_ones_are_asked_for() {
    let mut bench = Bench::opened();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    for _ in 0..2 {
        bench.expect_subscribe();
        bench.advance_ms(bench.settings.request_timeout_ms);
        assert_eq!(bench.state(), ConnectionState::Backoff);
        bench.advance_ms(bench.settings.reconnect_delay_ms_max);
        bench.accept();
    }
    let more = |cursor| Page { more: true, ..page(vec![], cursor) };
    let (ack, _) = bench.expect_subscribe();
    bench.answer(ack, &more(1));
    let page_count_max = bench.settings.page_count_max;
    let (ack, pull) = bench.expect_pull();
    assert_eq!(u64::from(pull.limit), page_count_max / 4);
    // One that is large and comes quickly doubles the next one.
    let text = "x".repeat(16 << 10);
    let log = ServerLog::of(vec![write("a", Write::Create([("text".into(), text.as_str().into())].into()))]);
    let large = log.page(0).changes;
    bench.answer(ack, &Page { more: true, ..page(large, 2) });
    assert_eq!(u64::from(bench.expect_pull().1.limit), page_count_max / 2);
}
