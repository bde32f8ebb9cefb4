//! Who is in a room, as the app is told.

use syncline_protocol::message::{Member, Members, PresenceDiff, PresenceStatus, event};
use syncline_protocol::{ClientId, ErrorCode, WireError};

use super::bench::*;
use crate::engine::io::{AppState, Command, Event};
use crate::error::Code;

fn join(bench: &mut Bench) {
    bench.call(Command::PresenceJoin { room: room(), state: count(1) }).unwrap();
}

fn member(client_id: ClientId) -> Member {
    Member { client_id, user_id: "u".to_owned(), state: count(1), status: PresenceStatus::Active }
}

#[track_caller]
fn expect_join(bench: &mut Bench) -> u64 {
    match bench.asked.pop_front() {
        Some((ack, Asked::PresenceJoin(presence))) => {
            assert_eq!((presence.room, presence.state), (room(), count(1)));
            ack
        }
        other => panic!("{other:?}"),
    }
}

/// Who was last told to be present, and whether each is this client.
fn told(bench: &mut Bench) -> Option<Vec<bool>> {
    let last = std::mem::take(&mut bench.events).into_iter().rev().find_map(|event| match event {
        Event::Presence { members, .. } => Some(members),
        _ => None,
    });
    last.map(|members| members.into_iter().map(|member| member.me).collect())
}

#[test]
fn members_are_told_as_they_come_and_go() {
    let mut bench = Bench::opened();
    join(&mut bench);
    let ack = expect_join(&mut bench);
    bench.answer(ack, &Members { members: vec![member(ME)] });
    assert_eq!(told(&mut bench), Some(vec![true]));
    let mut diff = PresenceDiff { room: room(), joined: vec![member(OTHER)], updated: vec![], left: vec![] };
    bench.emit(event::PRESENCE_DIFF, &diff);
    assert_eq!(told(&mut bench), Some(vec![true, false]));
    (diff.joined, diff.left) = (vec![], vec![OTHER]);
    bench.emit(event::PRESENCE_DIFF, &diff);
    assert_eq!(told(&mut bench), Some(vec![true]));
}

#[test]
fn presence_is_announced_again_after_a_reconnect_and_nobody_is_there_meanwhile() {
    let mut bench = Bench::opened();
    join(&mut bench);
    let ack = expect_join(&mut bench);
    bench.answer(ack, &Members { members: vec![member(ME), member(OTHER)] });
    bench.lose_connection();
    assert_eq!(told(&mut bench), Some(vec![]));
    bench.advance_ms(bench.settings.reconnect_delay_ms);
    bench.accept();
    expect_join(&mut bench);
}

#[test]
fn a_presence_that_was_left_is_not_announced_again() {
    let mut bench = Bench::opened();
    join(&mut bench);
    let ack = expect_join(&mut bench);
    bench.call(Command::PresenceLeave { room: room() }).unwrap();
    assert!(matches!(bench.asked.pop_front(), Some((_, Asked::PresenceLeave(_)))));
    bench.answer(ack, &Members { members: vec![member(ME)] });
    assert_eq!(told(&mut bench), None);
    bench.reconnect();
    bench.expect_silence();
    bench.call(Command::PresenceUpdate { room: room(), state: count(2) }).unwrap_err();
}

#[test]
fn in_the_background_the_client_is_away() {
    let mut bench = Bench::opened();
    join(&mut bench);
    expect_join(&mut bench);
    for (state, status) in
        [(AppState::Background, PresenceStatus::Away), (AppState::Active, PresenceStatus::Active)]
    {
        bench.call(Command::SetAppState { state }).unwrap();
        let Some((_, Asked::PresenceUpdate(presence))) = bench.asked.pop_front() else { panic!() };
        assert_eq!(presence.status, status);
    }
}

#[test]
fn a_state_that_is_too_large_is_refused() {
    let mut bench = Bench::opened();
    let state = [("text".to_owned(), "x".repeat(5_000).into())].into();
    bench.call(Command::PresenceJoin { room: room(), state }).unwrap_err();
    bench.expect_silence();
}

#[test]
fn a_refused_presence_is_told_and_tried_again_if_that_can_help() {
    let mut bench = Bench::opened();
    join(&mut bench);
    let ack = expect_join(&mut bench);
    bench.refuse(ack, unavailable());
    assert_eq!(refusal(&mut bench), Some(Code::Unavailable));
    bench.advance_ms(bench.settings.retry_delay_ms);
    let ack = expect_join(&mut bench);
    bench.refuse(ack, WireError::new(ErrorCode::Forbidden, "not yours"));
    assert_eq!(refusal(&mut bench), Some(Code::Forbidden));
    bench.advance_ms(10 * bench.settings.retry_delay_ms);
    bench.expect_silence();
    bench.reconnect();
    let ack = expect_join(&mut bench);
    bench.answer(ack, &Members { members: vec![member(ME)] });
    assert_eq!(refusal(&mut bench), None);
}

/// Why the newest presence event says that this client cannot be present.
fn refusal(bench: &mut Bench) -> Option<Code> {
    bench.events.drain(..).rev().find_map(|event| match event {
        Event::Presence { error, .. } => Some(error.map(|error| error.code)),
        _ => None,
    })?
}
