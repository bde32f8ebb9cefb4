//! What an app is told of the rows it watches.

use syncline_protocol::message::{Page, event};
use syncline_protocol::{ErrorCode, Path, Value, WireError, Write};

use super::bench::*;
use super::server_log::{ServerLog, rejected};
use crate::engine::io::{Command, Event, Reply, WatchId};
use crate::engine::query::Query;
use crate::engine::query::filter::Filter;
use crate::engine::query::selection::Selection;
use crate::error::Code;
use crate::store::{Index, Indexes, Store};

fn watch(bench: &mut Bench, id: Option<&str>) -> (WatchId, Vec<String>) {
    let command = Command::Watch(Query {
        room: room(),
        collection: collection(),
        id: id.map(document_id),
        selection: Selection::default(),
    });
    match bench.call(command).unwrap() {
        Reply::Watching { watch, rows, .. } => (watch, rows.into_iter().map(|row| row.id).collect()),
        other => panic!("{other:?}"),
    }
}

/// Each event of rows since the last call: whether it was a reset, the upserted and the removed ids.
fn told(bench: &mut Bench) -> Vec<(bool, Vec<String>, Vec<String>)> {
    let rows = std::mem::take(&mut bench.events).into_iter().filter_map(|event| match event {
        Event::Rows { reset, upserted, removed, .. } => {
            Some((reset, upserted.into_iter().map(|row| row.id).collect(), removed))
        }
        _ => None,
    });
    rows.collect()
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[test]
fn a_watch_begins_with_the_rows_there_are() {
    let mut bench = Bench::in_room(&ServerLog::of(vec![create("b", 1)]));
    bench.write(vec![create("a", 1)]);
    let (_, rows) = watch(&mut bench, None);
    assert_eq!(rows, ["a", "b"]);
    assert_eq!(told(&mut bench), []);
}

#[test]
fn a_change_is_told_as_a_difference() {
    let mut log = ServerLog::of(vec![create("a", 1), create("b", 1)]);
    let mut bench = Bench::in_room(&log);
    watch(&mut bench, None);
    bench.emit(event::SYNC_CHANGES, &log.write(set("a", "n", 2)));
    assert_eq!(told(&mut bench), [(false, ids(&["a"]), vec![])]);
    bench.emit(event::SYNC_CHANGES, &log.write(write("b", Write::Delete)));
    assert_eq!(told(&mut bench), [(false, vec![], ids(&["b"]))]);
}

#[test]
fn own_writes_are_told_at_once_and_once_per_turn() {
    let mut bench = Bench::in_room(&ServerLog::of(vec![create("a", 1)]));
    watch(&mut bench, None);
    bench.write(vec![set("a", "n", 2), set("a", "n", 3), create("b", 1)]);
    assert_eq!(told(&mut bench), [(false, ids(&["a", "b"]), vec![])]);
}

#[test]
fn rows_that_are_not_watched_cause_no_event() {
    let mut log = ServerLog::of(vec![create("a", 1), create("b", 1)]);
    let mut bench = Bench::in_room(&log);
    watch(&mut bench, Some("a"));
    bench.emit(event::SYNC_CHANGES, &log.write(set("b", "n", 2)));
    let mut elsewhere = create("a", 1);
    elsewhere.collection = syncline_protocol::Collection::new("notes").unwrap();
    bench.write(vec![elsewhere]);
    assert_eq!(told(&mut bench), []);
    bench.emit(event::SYNC_CHANGES, &log.write(set("a", "n", 2)));
    assert_eq!(told(&mut bench), [(false, ids(&["a"]), vec![])]);
}

#[test]
fn a_document_that_never_was_shown_is_not_told_as_removed() {
    let mut log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::in_room(&log);
    log.write(create("b", 1));
    log.write(write("b", Write::Delete));
    watch(&mut bench, None);
    bench.emit(event::SYNC_CHANGES, &log.changes(2));
    assert_eq!(told(&mut bench), []);
}

#[test]
fn a_reset_tells_all_rows() {
    let mut bench = Bench::in_room(&ServerLog::of(vec![create("a", 1), create("b", 1)]));
    watch(&mut bench, None);
    bench.reconnect();
    let (ack, _) = bench.expect_subscribe();
    told(&mut bench);
    bench.answer(ack, &Page { reset: true, ..ServerLog::of(vec![create("c", 1)]).page(0) });
    assert_eq!(told(&mut bench), [(true, ids(&["c"]), vec![])]);
}

#[test]
fn a_rejected_creation_is_told_as_removed() {
    let mut bench = Bench::in_room(&ServerLog::default());
    watch(&mut bench, None);
    bench.write(vec![create("a", 1)]);
    told(&mut bench);
    let (ack, _) = bench.expect_push();
    let results = vec![rejected(1, WireError::new(ErrorCode::Invalid, "no"))];
    bench.answer(ack, &syncline_protocol::message::PushAnswer { results, error: None });
    assert_eq!(told(&mut bench), [(false, vec![], ids(&["a"]))]);
}

#[test]
fn the_end_of_a_watch_is_the_end_of_its_events_and_of_its_subscription() {
    let mut log = ServerLog::of(vec![create("a", 1)]);
    let mut bench = Bench::opened();
    let (watch_id, _) = watch(&mut bench, None);
    let (ack, _) = bench.expect_subscribe();
    bench.answer(ack, &log.page(0));
    assert_eq!(told(&mut bench), [(false, ids(&["a"]), vec![])]);
    bench.call(Command::Unwatch { watch: watch_id }).unwrap();
    assert!(matches!(bench.asked.pop_front(), Some((_, Asked::Unsubscribe(_)))));
    bench.emit(event::SYNC_CHANGES, &log.write(set("a", "n", 2)));
    assert_eq!(told(&mut bench), []);
    assert_eq!(bench.field("a", "n"), Value::Int(1));
    bench.call(Command::Unwatch { watch: watch_id }).unwrap_err();
}

/// Starts a watch given as JavaScript gives it; returns the ids in its window and the count.
fn select(bench: &mut Bench, selection: &str) -> Result<(Vec<String>, u64), Code> {
    let command = format!(r#"{{"type":"watch","room":"list:1","collection":"todos",{selection}}}"#);
    match bench.call(serde_json::from_str(&command).unwrap()).map_err(|error| error.code)? {
        Reply::Watching { rows, count, .. } => Ok((rows.into_iter().map(|row| row.id).collect(), count)),
        other => panic!("{other:?}"),
    }
}

const TOP_TWO: &str = r#""filter":{"gt":["n",0]},"orderBy":[{"path":"n","direction":"desc"}],"limit":2"#;

/// What the last event of rows told: the upserted with their indexes, the removed, and the count.
type Told = (Vec<(u64, String)>, Vec<String>, Option<u64>);

fn told_places(bench: &mut Bench) -> Vec<Told> {
    let rows = std::mem::take(&mut bench.events).into_iter().filter_map(|event| match event {
        Event::Rows { reset: false, upserted, removed, indexes, count, .. } => {
            let placed = indexes.unwrap().into_iter().zip(upserted.into_iter().map(|row| row.id));
            Some((placed.collect(), removed, count))
        }
        _ => None,
    });
    rows.collect()
}

#[test]
fn a_watch_that_selects_begins_with_its_window() {
    let mut bench = Bench::in_room(&ServerLog::of(vec![create("a", 1), create("b", 3), create("c", 0)]));
    bench.write(vec![create("d", 2)]);
    assert_eq!(select(&mut bench, TOP_TWO), Ok((ids(&["b", "d"]), 3)));
    let next = format!(r#"{TOP_TWO},"after":{{"values":[2],"id":"d"}}"#);
    assert_eq!(select(&mut bench, &next), Ok((ids(&["a"]), 3)));
    assert_eq!(select(&mut bench, r#""limit":0"#), Ok((vec![], 4)));
}

#[test]
fn a_change_in_a_window_is_told_with_places_and_count() {
    let mut log = ServerLog::of(vec![create("a", 1), create("b", 3), create("c", 2)]);
    let mut bench = Bench::in_room(&log);
    select(&mut bench, TOP_TWO).unwrap();
    bench.write(vec![create("d", 4), set("b", "n", 1)]);
    assert_eq!(told_places(&mut bench), [(vec![(0, "d".to_owned())], ids(&["b"]), Some(4))]);
    bench.emit(event::SYNC_CHANGES, &log.write(write("c", Write::Delete)));
    assert_eq!(told_places(&mut bench), [(vec![(1, "a".to_owned())], ids(&["c"]), Some(3))]);
    bench.emit(event::SYNC_CHANGES, &log.write(create("e", 0)));
    assert_eq!(told_places(&mut bench), []);
}

#[test]
fn a_reset_tells_the_window_anew() {
    let mut bench = Bench::in_room(&ServerLog::of(vec![create("a", 1)]));
    select(&mut bench, TOP_TWO).unwrap();
    bench.reconnect();
    let (ack, _) = bench.expect_subscribe();
    told(&mut bench);
    let log = ServerLog::of(vec![create("b", 1), create("c", 0), create("d", 2), create("e", 3)]);
    bench.answer(ack, &Page { reset: true, ..log.page(0) });
    assert_eq!(told(&mut bench), [(true, ids(&["e", "d"]), vec![])]);
}

#[test]
fn a_selection_that_asks_too_much_is_refused() {
    let mut bench = Bench::in_room(&ServerLog::default());
    let values = ["1"; 1000].join(",");
    let filter = format!(r#""filter":{{"in":["n",[{values}]]}}"#);
    assert_eq!(select(&mut bench, &filter), Err(Code::Invalid));
    let keys = [r#"{"path":"n"}"#; 9].join(",");
    assert_eq!(select(&mut bench, &format!(r#""orderBy":[{keys}]"#)), Err(Code::Invalid));
    assert_eq!(select(&mut bench, r#""after":{"values":[1],"id":"a"}"#), Err(Code::Invalid));
}

#[test]
fn a_pending_write_counts_whatever_part_of_an_index_is_read() {
    let log = ServerLog::of(vec![create("in", 1), create("out", 2), create("leaves", 1), create("comes", 2)]);
    let mut bench = Bench::in_room(&log);
    let index = Index { fields: vec![Path::field("n")] };
    bench.store.declare_indexes(Indexes::new([(collection(), vec![index])]).unwrap());
    bench.write(vec![set("leaves", "n", 2), set("comes", "n", 1), create("new", 1)]);
    let selection =
        Selection { filter: Some(Filter::Eq(Path::field("n"), Value::Int(1))), ..Selection::default() };
    let command = Command::Watch(Query { room: room(), collection: collection(), id: None, selection });
    let Reply::Watching { mut rows, .. } = bench.call(command).unwrap() else { panic!("no watch") };
    rows.sort_by(|left, right| left.id.cmp(&right.id));
    let found: Vec<_> = rows.into_iter().map(|row| (row.id, row.pending)).collect();
    let expected = [("comes", true), ("in", false), ("new", true)];
    assert_eq!(found, expected.map(|(id, pending)| (id.to_owned(), pending)));
}
