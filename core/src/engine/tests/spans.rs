//! What the engine tells a log of pushes, pulls and errors.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};

use super::bench::*;
use super::server_log::ServerLog;
use crate::engine::io::{Command, Input, Reply};
use crate::engine::trace::TraceKind;

#[derive(Debug, Clone, Default, PartialEq)]
struct Spanned {
    name: String,
    fields: BTreeMap<String, String>,
    closed: bool,
}

/// Keeps every span.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Spanned>>>);

struct Fields<'a>(&'a mut BTreeMap<String, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl Spans {
    fn at(&self, id: &Id, change: impl FnOnce(&mut Spanned)) {
        let at = usize::try_from(id.into_u64()).unwrap() - 1;
        change(&mut self.0.lock().unwrap()[at]);
    }

    /// The spans of this name: whether each is over, and its fields.
    fn named(&self, name: &str) -> Vec<(bool, BTreeMap<String, String>)> {
        let spans = self.0.lock().unwrap();
        let named = spans.iter().filter(|span| span.name == name);
        named.map(|span| (span.closed, span.fields.clone())).collect()
    }
}

impl Subscriber for Spans {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut span = Spanned { name: attributes.metadata().name().to_owned(), ..Spanned::default() };
        attributes.record(&mut Fields(&mut span.fields));
        let mut spans = self.0.lock().unwrap();
        spans.push(span);
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        self.at(id, |span| values.record(&mut Fields(&mut span.fields)));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}

    fn try_close(&self, id: Id) -> bool {
        self.at(&id, |span| span.closed = true);
        true
    }
}

fn fields(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_push_and_a_pull_are_spans_from_the_request_to_its_answer() {
    // Where there is but one subscriber, and another test's thread is the first to open a span of a kind, that kind is noted as
    // one that nobody listens to: so there is a second.
    let _second = tracing::Dispatch::new(Spans::default());
    let spans = Spans::default();
    tracing::subscriber::with_default(spans.clone(), || {
        let log = ServerLog::default();
        let mut bench = Bench::in_room(&log);
        assert_eq!(spans.named("syncline.pull"), [(true, fields(&[("answered", "true")]))]);
        bench.write(vec![create("a", 1)]);
        let (_ack, push) = bench.expect_push();
        assert_eq!(push.mutations.len(), 1);
        assert_eq!(
            spans.named("syncline.push"),
            [(false, fields(&[("answered", "false"), ("writes", "1")]))]
        );
        bench.lose_connection();
        assert_eq!(spans.named("syncline.push"), [(true, fields(&[("answered", "false"), ("writes", "1")]))]);
    });
}

#[test]
fn an_error_that_reaches_the_app_is_in_the_trace_by_its_code() {
    let mut bench = Bench::in_room(&ServerLog::default());
    bench.store.lose_cache().unwrap();
    bench.input(Input::Tick);
    let Reply::Trace { events } = bench.call(Command::Trace).unwrap() else { panic!("no trace") };
    let errors: Vec<&str> = events
        .iter()
        .filter(|event| event.kind == TraceKind::Error)
        .map(|event| event.detail.as_str())
        .collect();
    assert_eq!(errors, ["storage"]);
}
