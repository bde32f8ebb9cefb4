//! Rights that end while the session lasts.

use serde_json::json;
use syncline_protocol::message::{AccessLost, Members, PresenceDiff, event};
use syncline_protocol::{ErrorCode, Value, WireError};

use super::bench::*;
use super::server_log::ServerLog;
use crate::engine::io::{Command, ConnectionState, Event, RoomPhase, RoomStatus};
use crate::engine::socket::types::SocketRoom;
use crate::error::Code;
use crate::transport::Packet;

fn status(bench: &mut Bench) -> RoomStatus {
    bench.engine.replica.status(&room())
}

fn lose(bench: &mut Bench, rights: &[&str]) {
    let lost = rights.iter().map(|right| (*right).to_owned()).collect();
    let error = WireError::new(ErrorCode::Forbidden, "the token no longer allows this");
    bench.emit(event::ACCESS_LOST, &AccessLost { room: room(), lost, error });
}

#[test]
fn a_room_that_may_no_longer_be_read_is_denied_until_the_next_session_and_keeps_its_documents() {
    let mut log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::in_room(&log);
    lose(&mut bench, &["read"]);
    let denied = status(&mut bench);
    assert_eq!(
        (denied.state, denied.error.map(|error| error.code)),
        (RoomPhase::Denied, Some(Code::Forbidden))
    );
    bench.advance_ms(10 * bench.settings.retry_delay_ms);
    assert!(bench.asked.iter().all(|(_, asked)| *asked == Asked::Ping), "{:?}", bench.asked);
    assert_eq!(bench.field("a", "n"), Value::Int(1));
    bench.asked.clear();
    log.write(create("b", 2));
    bench.reconnect();
    let (ack, subscribe) = bench.expect_subscribe();
    assert_eq!(subscribe.cursor, 1);
    bench.answer(ack, &log.page(1));
    assert_eq!(status(&mut bench).state, RoomPhase::Live);
    assert_eq!(status(&mut bench).error, None);
}

#[test]
fn a_page_that_comes_after_the_loss_changes_nothing() {
    let log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::opened();
    bench.call(Command::Subscribe { room: room() }).unwrap();
    let (ack, _) = bench.expect_subscribe();
    lose(&mut bench, &["read"]);
    bench.answer(ack, &log.page(0));
    assert_eq!(status(&mut bench).state, RoomPhase::Denied);
    assert_eq!(bench.row("a"), None);
}

#[test]
fn writes_to_a_room_that_may_no_longer_be_read_are_still_pushed_and_confirmed_by_their_answer() {
    let mut log = ServerLog::default();
    let mut bench = Bench::in_room(&log);
    bench.write(vec![create("a", 1)]);
    let (ack, push) = bench.expect_push();
    let answer = log.push(&push);
    bench.answer(ack, &answer);
    bench.write(vec![create("b", 1)]);
    let (ack, push) = bench.expect_push();
    lose(&mut bench, &["read"]);
    assert_eq!(bench.queued(), 1, "what the server has taken will not be seen here");
    let answer = log.push(&push);
    bench.answer(ack, &answer);
    assert_eq!(bench.queued(), 0);
}

#[test]
fn nobody_is_shown_where_presence_was_lost_and_it_is_announced_with_the_next_session() {
    let mut bench = Bench::opened();
    bench.call(Command::PresenceJoin { room: room(), state: count(1) }).unwrap();
    let Some((ack, Asked::PresenceJoin(_))) = bench.asked.pop_front() else { panic!() };
    bench.answer(ack, &Members { members: vec![] });
    bench.events.clear();
    lose(&mut bench, &["presence"]);
    let told = bench.events.drain(..).find_map(|event| match event {
        Event::Presence { members, error, .. } => Some((members.len(), error.map(|error| error.code))),
        _ => None,
    });
    assert_eq!(told, Some((0, Some(Code::Forbidden))));
    let late = PresenceDiff { room: room(), joined: vec![], updated: vec![], left: vec![] };
    bench.emit(event::PRESENCE_DIFF, &late);
    assert!(!bench.events.iter().any(|event| matches!(event, Event::Presence { .. })));
    bench.asked.clear();
    bench.reconnect();
    assert!(matches!(bench.asked.pop_front(), Some((_, Asked::PresenceJoin(_)))));
}

#[test]
fn what_another_backend_means_by_the_name_ends_no_session() {
    let mut bench = Bench::in_room(&ServerLog::default());
    bench.emit(event::ACCESS_LOST, &json!({"door": 7}));
    assert_eq!(bench.engine.session.state(), ConnectionState::Open);
    assert_eq!(status(&mut bench).state, RoomPhase::Live);
}

#[test]
fn a_socket_io_room_that_was_lost_is_told_and_joined_again_with_the_next_session() {
    let mut bench = Bench::opened();
    let join = Command::JoinRoom(SocketRoom { namespace: None, room: room() });
    bench.start(join);
    let asked = |bench: &mut Bench| match bench.sent.pop_front() {
        Some((_, Packet::Event { name, ack, .. })) if name == "room:join" => ack,
        other => panic!("{other:?}"),
    };
    let ack = asked(&mut bench).unwrap();
    bench.answer(ack, &json!({"ok": true}));
    bench.events.clear();
    lose(&mut bench, &["join"]);
    let is_told =
        |event: &Event| matches!(event, Event::JoinRefused { error, .. } if error.code == Code::Forbidden);
    assert!(bench.events.iter().any(is_told), "{:?}", bench.events);
    bench.reconnect();
    assert!(asked(&mut bench).is_some());
}
