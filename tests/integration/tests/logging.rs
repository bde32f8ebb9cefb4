//! The log as a host gets it. Process-wide, and so a program of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use serde_json::json;
use syncline::logging::{LINES_QUEUED_MAX, LogLevel, LogLine, LogSink, set_log_sink};
use syncline_integration::{Device, PATIENCE, TestServer};
use tempfile::tempdir;

const ROOM: &str = "user:ada";

async fn session() {
    let (data, dir) = (tempdir().unwrap(), tempdir().unwrap());
    let server = TestServer::start(data.path()).await;
    let device = Device::of("ada", &[], &server.url(), dir.path()).await;
    device.watch(ROOM).await;
    device.write(ROOM, "n", json!({"create": {}})).await.unwrap();
    device.synced(ROOM).await;
    device.close().await;
    server.stop().await;
}

fn until(lines: &Receiver<LogLine>, event: &str) -> Vec<LogLine> {
    let mut seen = Vec::new();
    loop {
        let line = lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {event} in {seen:#?}"));
        let found = line.event.as_deref() == Some(event);
        seen.push(line);
        if found {
            return seen;
        }
    }
}

/// Takes no line but the last.
struct Losing(SyncSender<LogLine>);

impl LogSink for Losing {
    fn lines(&self, lines: Vec<LogLine>) -> u64 {
        let (taken, lost): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.message == "the last");
        taken.into_iter().for_each(|line| drop(self.0.try_send(line)));
        lost.iter().map(LogLine::lost).sum()
    }
}

// One test: the sink is the process's.
#[tokio::test]
async fn a_sink_gets_the_lines_of_its_level_and_a_slow_one_loses_some_and_hears_how_many() {
    let (told, lines) = sync_channel(100_000);
    let sink = Arc::new(move |line: LogLine| drop(told.try_send(line)));
    set_log_sink(LogLevel::Debug, Some(sink)).unwrap();
    session().await;
    let seen = until(&lines, "syncline.disconnected");
    let names: Vec<&str> = seen.iter().filter_map(|line| line.event.as_deref()).collect();
    for name in
        ["syncline.connect", "syncline.connected", "syncline.hello", "syncline.push", "syncline.pushed"]
    {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    assert!(seen.iter().all(|line| line.level <= LogLevel::Debug && line.target.starts_with("syncline")));
    assert!(seen.iter().all(|line| !line.target.starts_with("syncline_server")), "only the client's");

    let (told, lines) = sync_channel(100_000);
    let sink = Arc::new(move |line: LogLine| drop(told.try_send(line)));
    set_log_sink(LogLevel::Info, Some(sink)).unwrap();
    session().await;
    let seen = until(&lines, "syncline.disconnected");
    assert!(seen.iter().all(|line| line.level <= LogLevel::Info), "{seen:#?}");

    // A host that takes nothing for a while.
    let gate = Arc::new(Mutex::new(()));
    let (told, lines) = sync_channel(100_000);
    let held = Arc::clone(&gate);
    let sink = Arc::new(move |line: LogLine| {
        let _open = held.lock().unwrap();
        drop(told.try_send(line));
    });
    let closed = gate.lock().unwrap();
    set_log_sink(LogLevel::Debug, Some(sink)).unwrap();
    for number in 0..LINES_QUEUED_MAX * 2 {
        tracing::info!(target: "syncline::test", number, token = "canary", "a line");
    }
    drop(closed);
    let mut count = 0;
    let mut dropped = 0;
    while count + dropped < LINES_QUEUED_MAX as u64 * 2 {
        let Ok(line) = lines.recv_timeout(PATIENCE) else { break };
        assert!(!line.message.contains("canary"), "{}", line.message);
        count += 1;
        dropped += line.dropped;
    }
    assert!(
        dropped > 0 && count + dropped == LINES_QUEUED_MAX as u64 * 2,
        "{count} lines, {dropped} dropped"
    );

    // A host that fails at most lines. The last may be handed over together with some that are lost: said again, it counts them.
    let (told, lines) = sync_channel(100_000);
    set_log_sink(LogLevel::Debug, Some(Arc::new(Losing(told)))).unwrap();
    (0..10).for_each(|_| tracing::info!(target: "syncline::test", "lost"));
    tracing::info!(target: "syncline::test", "the last");
    let first = lines.recv_timeout(PATIENCE).expect("the last line").dropped;
    tracing::info!(target: "syncline::test", "the last");
    let second = lines.recv_timeout(PATIENCE).expect("the last line, again").dropped;
    assert!(first + second >= 10, "{first} and {second}");

    set_log_sink(LogLevel::Trace, None).unwrap();
    tracing::info!(target: "syncline::test", "nobody hears this");
    assert!(lines.try_iter().all(|line| line.message != "nobody hears this"));
}
