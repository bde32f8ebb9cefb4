//! Who is in a room, as the app is told.

use std::collections::BTreeMap;

use syncline_protocol::message::{Member, Members, PresenceDiff, PresencePong, PresenceStatus, event};
use syncline_protocol::{ClientId, ErrorCode, Fields, Value, WireError};

use super::bench::*;
use crate::engine::io::{AppState, Command, Event};
use crate::error::Code;

fn join(bench: &mut Bench) {
    bench.call(Command::PresenceJoin { room: room(), state: count(1) }).unwrap();
}

fn update(state: Fields, expires_in_ms: Option<u64>) -> Command {
    Command::PresenceUpdate { room: room(), state, expires_in_ms }
}

fn member(client_id: ClientId) -> Member {
    Member {
        client_id,
        user_id: "u".to_owned(),
        state: count(1),
        status: PresenceStatus::Active,
        expires_ms: BTreeMap::new(),
        idle_ms: 0,
    }
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

/// A client that is in the room, alone.
fn joined() -> Bench {
    let mut bench = Bench::opened();
    join(&mut bench);
    let ack = expect_join(&mut bench);
    bench.answer(ack, &Members { members: vec![member(ME)] });
    bench
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
    let mut bench = joined();
    assert_eq!(told(&mut bench), Some(vec![true]));
    let mut diff = PresenceDiff { room: room(), joined: vec![member(OTHER)], updated: vec![], left: vec![] };
    bench.emit(event::PRESENCE_DIFF, &diff);
    assert_eq!(told(&mut bench), Some(vec![true, false]));
    (diff.joined, diff.left) = (vec![], vec![OTHER]);
    bench.emit(event::PRESENCE_DIFF, &diff);
    assert_eq!(told(&mut bench), Some(vec![true]));
}

/// A client that is in the room with another.
fn with_another() -> Bench {
    let mut bench = Bench::opened();
    join(&mut bench);
    let ack = expect_join(&mut bench);
    bench.answer(ack, &Members { members: vec![member(ME), member(OTHER)] });
    assert_eq!(told(&mut bench), Some(vec![true, false]));
    bench
}

#[test]
fn who_was_there_is_shown_until_the_next_connection_tells_anew() {
    let mut bench = with_another();
    bench.reconnect();
    assert_eq!(told(&mut bench), None);
    let late = PresenceDiff { room: room(), joined: vec![], updated: vec![], left: vec![OTHER] };
    bench.emit(event::PRESENCE_DIFF, &late);
    assert_eq!(told(&mut bench), None, "what follows a list that has not come");
    let ack = expect_join(&mut bench);
    bench.answer(ack, &Members { members: vec![member(ME)] });
    assert_eq!(told(&mut bench), Some(vec![true]));
}

#[test]
fn nobody_is_shown_any_more_once_the_server_would_not_keep_them_either() {
    let mut bench = with_another();
    let lease_ms = bench.engine.limits.presence_lease_ms;
    bench.lose_connection();
    bench.advance_ms(lease_ms / 2);
    if bench.socket.is_some() {
        bench.lose_connection();
    }
    bench.advance_ms(lease_ms / 2 - 1);
    assert_eq!(told(&mut bench), None);
    bench.advance_ms(1);
    assert_eq!(told(&mut bench), Some(vec![]), "attempts that fail put nothing off");
}

#[test]
fn a_field_that_expires_vanishes_without_a_connection_too() {
    let mut bench = with_another();
    let mut typing = member(OTHER);
    typing.state.insert("typing".into(), true.into());
    typing.expires_ms.insert("typing".to_owned(), 700);
    let diff = PresenceDiff { room: room(), joined: vec![], updated: vec![typing], left: vec![] };
    bench.emit(event::PRESENCE_DIFF, &diff);
    bench.lose_connection();
    bench.events.clear();
    bench.advance_ms(700);
    assert_eq!(states(&mut bench), Some(vec![count(1), count(1)]));
}

#[test]
fn nobody_is_shown_to_an_app_that_disconnects() {
    let mut bench = with_another();
    bench.call(Command::Disconnect).unwrap();
    assert_eq!(told(&mut bench), Some(vec![]));
}

#[test]
fn nobody_is_shown_in_a_room_that_the_next_connection_refuses() {
    let mut bench = with_another();
    bench.reconnect();
    let ack = expect_join(&mut bench);
    bench.refuse(ack, WireError::new(ErrorCode::Forbidden, "not yours"));
    assert_eq!(told(&mut bench), Some(vec![]));
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
    bench.call(update(count(2), None)).unwrap_err();
}

#[test]
fn who_left_is_told_again_if_the_server_did_not_take_notice() {
    let mut bench = joined();
    bench.call(Command::PresenceLeave { room: room() }).unwrap();
    for _ in 0..2 {
        let Some((ack, Asked::PresenceLeave(_))) = bench.asked.pop_front() else { panic!() };
        bench.refuse(ack, unavailable());
        bench.expect_silence();
        bench.advance_ms(bench.settings.retry_delay_ms);
    }
    let Some((ack, Asked::PresenceLeave(_))) = bench.asked.pop_front() else { panic!() };
    bench.refuse(ack, unavailable());
    join(&mut bench);
    expect_join(&mut bench);
    bench.advance_ms(bench.settings.retry_delay_ms);
    assert!(!bench.asked.iter().any(|(_, asked)| matches!(asked, Asked::PresenceLeave(_))));
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
    let state = [("text".into(), "x".repeat(5_000).into())].into();
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

#[track_caller]
fn expect_update(bench: &mut Bench) -> (Fields, BTreeMap<String, u64>) {
    match bench.asked.pop_front() {
        Some((_, Asked::PresenceUpdate(presence))) => (presence.state, presence.expires_ms),
        other => panic!("{other:?}"),
    }
}

fn fields(entries: &[(&str, Value)]) -> Fields {
    entries.iter().map(|(name, value)| ((*name).into(), value.clone())).collect()
}

#[test]
fn of_quick_updates_the_first_goes_at_once_and_then_the_newest_values() {
    let mut bench = joined();
    bench.advance_ms(bench.settings.presence_throttle_ms);
    bench.call(update(fields(&[("a", 1.into())]), None)).unwrap();
    assert_eq!(expect_update(&mut bench).0, fields(&[("a", 1.into())]));
    bench.call(update(fields(&[("a", 2.into()), ("b", 1.into())]), None)).unwrap();
    bench.call(update(fields(&[("a", 3.into()), ("b", Value::Null)]), None)).unwrap();
    bench.expect_silence();
    bench.advance_ms(bench.settings.presence_throttle_ms);
    assert_eq!(expect_update(&mut bench).0, fields(&[("a", 3.into()), ("b", Value::Null)]));
    bench.advance_ms(bench.settings.presence_throttle_ms);
    bench.expect_silence();
}

#[test]
fn a_field_that_expires_vanishes_here_without_a_message() {
    let mut bench = joined();
    bench.advance_ms(bench.settings.presence_throttle_ms);
    bench.call(update(fields(&[("typing", true.into())]), Some(2_000))).unwrap();
    let (state, expires_ms) = expect_update(&mut bench);
    assert_eq!((state.len(), expires_ms), (1, BTreeMap::from([("typing".to_owned(), 2_000)])));
    assert!(own_state(&mut bench).unwrap().contains_key("typing"));
    bench.advance_ms(1_999);
    assert_eq!(own_state(&mut bench), None);
    bench.advance_ms(1);
    assert_eq!(own_state(&mut bench), Some(count(1)));
    bench.expect_silence();
}

#[test]
fn a_field_of_another_vanishes_after_what_was_left_of_its_time() {
    let mut bench = joined();
    let mut other = member(OTHER);
    other.state.insert("typing".into(), true.into());
    other.expires_ms.insert("typing".to_owned(), 700);
    let diff = PresenceDiff { room: room(), joined: vec![other], updated: vec![], left: vec![] };
    bench.emit(event::PRESENCE_DIFF, &diff);
    assert_eq!(states(&mut bench).map(|states| states.len()), Some(2));
    bench.advance_ms(700);
    assert_eq!(states(&mut bench), Some(vec![count(1), count(1)]));
}

#[test]
fn a_reconnect_announces_the_state_as_it_was_updated_with_what_is_left_of_a_fields_time() {
    let mut bench = joined();
    bench.call(update(fields(&[("typing", true.into())]), Some(60_000))).unwrap();
    bench.lose_connection();
    bench.call(update(fields(&[("at", 3.into()), ("n", Value::Null)]), None)).unwrap();
    bench.advance_ms(10_000);
    bench.accept();
    let Some((_, Asked::PresenceJoin(presence))) = bench.asked.pop_front() else { panic!() };
    assert_eq!(presence.state, fields(&[("at", 3.into()), ("typing", true.into())]));
    assert_eq!(presence.expires_ms, BTreeMap::from([("typing".to_owned(), 50_000)]));
    bench.expect_silence();
}

#[test]
fn a_presence_that_lapsed_is_announced_again() {
    let mut bench = joined();
    bench.advance_ms(bench.settings.presence_ping_ms);
    let Some((ack, Asked::Ping)) = bench.asked.pop_front() else { panic!() };
    bench.answer(ack, &PresencePong { heads: BTreeMap::new(), lapsed: vec![room()] });
    expect_join(&mut bench);
}

#[test]
fn an_update_that_came_too_often_is_told_whole_and_later_and_is_no_failure() {
    let mut bench = joined();
    bench.advance_ms(bench.settings.presence_throttle_ms);
    bench.call(update(fields(&[("a", 1.into())]), None)).unwrap();
    let Some((ack, _)) = bench.asked.pop_front() else { panic!() };
    bench.events.clear();
    let often = WireError { retry_after_ms: Some(3_000), ..WireError::new(ErrorCode::RateLimited, "often") };
    bench.refuse(ack, often);
    bench.call(update(fields(&[("a", 2.into())]), None)).unwrap();
    assert_eq!(refusal(&mut bench), None);
    bench.advance_ms(2_999);
    bench.expect_silence();
    bench.advance_ms(1);
    let Some((_, Asked::PresenceJoin(presence))) = bench.asked.pop_front() else { panic!() };
    assert_eq!(presence.state.get("a"), Some(&2.into()));
}

#[test]
fn a_user_is_as_active_as_the_best_device_and_shows_what_the_last_active_one_does() {
    let mut bench = joined();
    let device = |number: u8, status, idle_ms| {
        let client_id = ClientId::from_bytes([number; 16]);
        let state = fields(&[("device", i64::from(number).into())]);
        Member { user_id: "v".to_owned(), state, status, idle_ms, ..member(client_id) }
    };
    let (active, away) = (PresenceStatus::Active, PresenceStatus::Away);
    let devices = vec![device(51, away, 0), device(52, active, 500), device(53, active, 400)];
    let diff = PresenceDiff { room: room(), joined: devices, updated: vec![], left: vec![] };
    bench.events.clear();
    bench.emit(event::PRESENCE_DIFF, &diff);
    let users = bench.events.drain(..).find_map(|event| match event {
        Event::Presence { users, .. } => Some(users),
        _ => None,
    });
    let users = users.unwrap();
    let [me, other] = users.as_slice() else { panic!("{users:?}") };
    assert!(me.me && me.devices == 1 && !other.me);
    assert_eq!((other.status, other.devices), (active, 3));
    assert_eq!(other.state, fields(&[("device", 53.into())]));
}

#[test]
fn a_farewell_is_said_before_the_app_disconnects_and_not_when_it_goes_to_the_background() {
    let mut bench = joined();
    bench.call(Command::SetAppState { state: AppState::Background }).unwrap();
    bench.advance_ms(bench.settings.background_grace_ms);
    assert_eq!((bench.socket, bench.farewells), (None, 0));
    bench.call(Command::SetAppState { state: AppState::Active }).unwrap();
    bench.accept();
    bench.call(Command::Disconnect).unwrap();
    assert_eq!((bench.socket, bench.farewells), (None, 1));
}

/// What each member was last told to show.
fn states(bench: &mut Bench) -> Option<Vec<Fields>> {
    let last = std::mem::take(&mut bench.events).into_iter().rev().find_map(|event| match event {
        Event::Presence { members, .. } => Some(members),
        _ => None,
    });
    last.map(|members| members.into_iter().map(|member| member.state).collect())
}

fn own_state(bench: &mut Bench) -> Option<Fields> {
    states(bench).and_then(|states| states.into_iter().next())
}

/// Why the newest presence event says that this client cannot be present.
fn refusal(bench: &mut Bench) -> Option<Code> {
    bench.events.drain(..).rev().find_map(|event| match event {
        Event::Presence { error, .. } => Some(error.map(|error| error.code)),
        _ => None,
    })?
}
