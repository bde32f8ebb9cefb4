//! Which rooms are loaded first.

use syncline_protocol::Room;
use syncline_protocol::message::Page;

use super::bench::*;
use crate::config::Settings;
use crate::engine::io::{Command, Reply};
use crate::engine::query::Query;
use crate::engine::query::selection::Selection;

fn named(name: &str) -> Room {
    Room::new(name).unwrap()
}

/// A client that loads so many rooms at once.
fn loading(pulls_parallel_max: u64) -> Bench {
    let mut bench = Bench::with(Settings { pulls_parallel_max, ..at_once() });
    bench.open();
    bench
}

fn subscribe(bench: &mut Bench, rooms: &[&str]) {
    for room in rooms {
        bench.call(Command::Subscribe { room: named(room) }).unwrap();
    }
}

fn watch(bench: &mut Bench, room: &str) -> u64 {
    let selection = Selection::default();
    let command = Command::Watch(Query { room: named(room), collection: collection(), id: None, selection });
    match bench.call(command).unwrap() {
        Reply::Watching { watch, .. } => watch,
        other => panic!("{other:?}"),
    }
}

/// The room that is asked for next, and the id of its ack.
#[track_caller]
fn next(bench: &mut Bench) -> (u64, String) {
    let (ack, room, _) = next_after(bench);
    (ack, room)
}

#[track_caller]
fn next_after(bench: &mut Bench) -> (u64, String, u64) {
    match bench.asked.pop_front().expect("nothing was asked") {
        (ack, Asked::Subscribe(body)) => (ack, body.room.to_string(), body.cursor),
        (ack, Asked::Pull(body)) => (ack, body.room.to_string(), body.cursor),
        other => panic!("{other:?}"),
    }
}

/// The rooms in the order in which they are loaded, each of one page.
fn order(bench: &mut Bench) -> Vec<String> {
    let mut rooms = Vec::new();
    while !bench.asked.is_empty() {
        let (ack, room, cursor) = next_after(bench);
        rooms.push(room);
        bench.answer(ack, &page(vec![], cursor));
    }
    rooms
}

#[test]
fn no_more_rooms_load_at_once_than_the_setting_says() {
    let mut bench = loading(2);
    subscribe(&mut bench, &["r:1", "r:2", "r:3", "r:4"]);
    assert_eq!(bench.asked.len(), 2);
    let (ack, room) = next(&mut bench);
    assert_eq!(room, "r:1");
    bench.answer(ack, &page(vec![], 0));
    assert_eq!(bench.asked.len(), 2);
    assert_eq!(order(&mut bench), ["r:2", "r:3", "r:4"]);
}

#[test]
fn rooms_on_screen_come_first_and_those_with_writes_alone_last() {
    let mut bench = Bench::with(Settings { pulls_parallel_max: 1, ..at_once() });
    let mut written = create("a", 1);
    written.room = named("a:pending");
    bench.write(vec![written]);
    subscribe(&mut bench, &["b:subscribed", "c:subscribed"]);
    watch(&mut bench, "d:watched");
    watch(&mut bench, "e:watched-last");
    bench.open();
    bench.asked.retain(|(_, asked)| !matches!(asked, Asked::Push(_)));
    assert_eq!(
        order(&mut bench),
        ["e:watched-last", "d:watched", "b:subscribed", "c:subscribed", "a:pending"]
    );
}

#[test]
fn a_room_that_comes_on_screen_overtakes_the_others_between_two_pages() {
    let mut bench = loading(1);
    subscribe(&mut bench, &["r:1", "r:2"]);
    let (ack, _) = next(&mut bench);
    watch(&mut bench, "r:3");
    bench.expect_silence();
    bench.answer(ack, &Page { more: true, ..page(vec![], 1) });
    let (ack, room) = next(&mut bench);
    assert_eq!(room, "r:3");
    bench.answer(ack, &page(vec![], 0));
    assert_eq!(order(&mut bench), ["r:2", "r:1"]);
}

#[test]
fn rooms_that_matter_alike_take_turns_page_by_page() {
    let mut bench = loading(1);
    subscribe(&mut bench, &["r:1", "r:2"]);
    let mut turns = Vec::new();
    for cursor in 1..=3 {
        for _ in 0..2 {
            let (ack, room) = next(&mut bench);
            turns.push(room);
            bench.answer(ack, &Page { more: cursor < 3, ..page(vec![], cursor) });
        }
    }
    assert_eq!(turns, ["r:1", "r:2", "r:1", "r:2", "r:1", "r:2"]);
    bench.expect_silence();
}

#[test]
fn a_room_that_left_the_screen_has_no_precedence() {
    let mut bench = loading(1);
    subscribe(&mut bench, &["r:0", "r:1", "r:2"]);
    let watch = watch(&mut bench, "r:2");
    bench.call(Command::Unwatch { watch }).unwrap();
    assert_eq!(order(&mut bench), ["r:0", "r:1", "r:2"]);
}

#[test]
fn a_room_that_is_let_go_before_its_turn_is_not_asked_for() {
    let mut bench = loading(1);
    subscribe(&mut bench, &["r:1", "r:2"]);
    bench.call(Command::Unsubscribe { room: named("r:2") }).unwrap();
    let (ack, _) = next(&mut bench);
    assert!(matches!(bench.asked.pop_front(), Some((_, Asked::Unsubscribe(_)))));
    bench.answer(ack, &page(vec![], 0));
    bench.expect_silence();
}

#[test]
fn a_connection_that_ends_forgets_the_turns_and_the_next_one_starts_them_anew() {
    let mut bench = loading(1);
    subscribe(&mut bench, &["r:1", "r:2"]);
    bench.reconnect();
    assert_eq!(order(&mut bench), ["r:1", "r:2"]);
}
