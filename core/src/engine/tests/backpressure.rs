//! Events of the app on a connection that is open and takes nothing.

use super::bench::*;
use crate::engine::io::{Command, Reply};
use crate::engine::socket::types::{Emit, EmitWithAck};
use crate::error::Code;

fn emit(volatile: bool) -> Command {
    Command::Emit(Emit { namespace: None, event: "typing".to_owned(), args: vec![], volatile })
}

fn ask() -> Command {
    Command::EmitWithAck(EmitWithAck {
        namespace: None,
        event: "ask".to_owned(),
        args: vec![],
        timeout_ms: None,
    })
}

const SENT: Reply = Reply::Emitted { sent: true, waiting: false };
const DROPPED: Reply = Reply::Emitted { sent: false, waiting: false };

#[test]
fn a_volatile_event_is_dropped_while_the_connection_takes_nothing() {
    let mut bench = Bench::opened();
    bench.engine.set_unsent_bytes(1);
    assert_eq!(bench.call(emit(true)), Ok(DROPPED));
    assert!(bench.sent.is_empty());
    bench.engine.set_unsent_bytes(0);
    assert_eq!(bench.call(emit(true)), Ok(SENT));
}

#[test]
fn other_events_are_refused_once_too_many_bytes_wait_for_the_connection() {
    let mut bench = Bench::opened();
    bench.engine.set_unsent_bytes(bench.settings.emit_buffer_bytes_max);
    assert_eq!(bench.call(emit(false)), Ok(SENT));
    bench.sent.clear();
    bench.engine.set_unsent_bytes(bench.settings.emit_buffer_bytes_max + 1);
    for refused in [emit(false), ask()] {
        assert_eq!(bench.call(refused).unwrap_err().code, Code::QueueFull);
    }
    assert!(bench.sent.is_empty());
}
