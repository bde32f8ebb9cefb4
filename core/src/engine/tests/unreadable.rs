//! Pending writes whose bodies the store cannot read now: nothing is lost, and it goes on when it can.

use syncline_protocol::message::PushAnswer;
use syncline_protocol::{ErrorCode, WireError};

use super::bench::*;
use super::server_log::{ServerLog, rejected};
use crate::engine::io::{Command, Event};
use crate::error::Code;

fn heard_of(bench: &Bench) -> bool {
    bench.events.iter().any(|event| matches!(event, Event::Error { error } if error.code == Code::Storage))
}

#[test]
fn a_write_that_cannot_be_read_is_told_of_and_sent_later() {
    let mut bench = Bench::in_room(&ServerLog::default());
    bench.store.unreadable = true;
    bench.write(vec![create("a", 1)]);
    bench.expect_silence();
    assert_eq!((heard_of(&bench), bench.queued()), (true, 1));
    bench.advance_ms(bench.settings.retry_delay_ms);
    bench.expect_silence();
    bench.store.unreadable = false;
    bench.advance_ms(bench.settings.retry_delay_ms);
    assert_eq!(numbers(&bench.expect_push().1), [1]);
}

#[test]
fn an_edit_of_a_document_whose_writes_cannot_be_read_is_refused() {
    let mut bench = Bench::in_room(&ServerLog::default());
    bench.lose_connection();
    bench.write(vec![create("a", 1)]);
    bench.store.unreadable = true;
    let error = bench.call(Command::Write { writes: vec![increment("a", 1)] }).unwrap_err();
    assert_eq!(error.code, Code::Storage);
    bench.store.unreadable = false;
    assert_eq!((bench.field("a", "n"), bench.queued()), (1.into(), 1));
}

#[test]
fn a_refused_write_that_cannot_be_read_is_pushed_until_its_outcome_is_kept() {
    let mut bench = Bench::in_room(&ServerLog::default());
    bench.write(vec![create("a", 1)]);
    let (ack, _) = bench.expect_push();
    let answer =
        PushAnswer { results: vec![rejected(1, WireError::new(ErrorCode::Invalid, "no"))], error: None };
    bench.store.unreadable = true;
    bench.answer(ack, &answer);
    assert_eq!((bench.outcomes(), bench.queued()), (vec![], 1));
    bench.store.unreadable = false;
    bench.advance_ms(bench.settings.retry_delay_ms);
    let (ack, push) = bench.expect_push();
    assert_eq!(numbers(&push), [1]);
    bench.answer(ack, &answer);
    assert_eq!((bench.outcomes(), bench.queued()), (vec![(1, Code::Invalid)], 0));
}

#[test]
fn a_watch_that_cannot_be_read_keeps_no_other_one_from_its_rows() {
    let mut bench = Bench::in_room(&ServerLog::default());
    let watch = |room: &str| -> Command {
        let text = format!(r#"{{"type":"watch","room":"{room}","collection":"todos"}}"#);
        serde_json::from_str(&text).unwrap()
    };
    bench.call(watch(room().as_str())).unwrap();
    bench.call(watch("list:2")).unwrap();
    let (ack, other) = bench.expect_subscribe();
    bench.store.unreadable = true;
    bench.write(vec![create("a", 1)]);
    bench.events.clear();
    let log = ServerLog::of(vec![create("b", 2)]);
    bench.answer(ack, &log.page(other.cursor));
    let rows = bench.events.iter().filter_map(|event| match event {
        Event::Rows { upserted, .. } => Some(upserted.iter().map(|row| row.id.as_str()).collect::<Vec<_>>()),
        _ => None,
    });
    assert_eq!(rows.collect::<Vec<_>>(), [["b"]]);
    assert!(heard_of(&bench));
}
