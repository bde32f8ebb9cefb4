//! Traces, to a collector that is real but small.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;

use crate::support::{Agent, STEP_TIMEOUT, ServerProcess, client_id, create, http_with, push, token};

/// Exports that the test has not looked at yet.
const EXPORTS_QUEUED_MAX: usize = 1024;

/// Takes what is exported, until the test ends.
fn collector() -> (String, Receiver<ExportTraceServiceRequest>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let (sender, received) = sync_channel(EXPORTS_QUEUED_MAX);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut input = BufReader::new(stream.try_clone().unwrap());
                while let Some(body) = request(&mut input) {
                    let spans = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
                    (&stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
                    let _ = sender.send(spans);
                }
            });
        }
    });
    (url, received)
}

/// The body of the next request on a connection.
fn request(input: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut length = 0;
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if input.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        let line = line.to_lowercase();
        if let Some(bytes) = line.strip_prefix("content-length: ") {
            length = bytes.trim().parse().unwrap();
        }
        head += &line;
    }
    assert!(head.starts_with("post /v1/traces "), "{head}");
    assert!(head.contains("content-type: application/x-protobuf"), "{head}");
    let mut body = vec![0; length];
    input.read_exact(&mut body).ok()?;
    Some(body)
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        AnyValue::StringValue(text) => Some(text.clone()),
        other => Some(format!("{other:?}")),
    }
}

#[test]
fn each_request_is_a_span_with_the_storages_work_in_it_and_no_contents() {
    let folder = tempfile::tempdir().unwrap();
    let (url, received) = collector();
    let endpoint = format!("operations.otlp_endpoint={url}");
    let server = ServerProcess::start_with(
        folder.path(),
        &["--set", &endpoint, "--set", "operations.otlp_delay_ms=50"],
    );
    let agent = Agent::start();
    let auth = json!({"token": token("canary", &["canary"]), "client_id": client_id(1)});
    agent.connect("a", &server.url, auth);
    agent.ask("a", "sync:push", push("canary", None, &[create(1, "canary", "canary")]));
    agent.ask("a", "sync:pull", json!({"room": "other", "cursor": 0, "limit": 1}));

    let mut spans: Vec<Span> = Vec::new();
    let outcome = |spans: &[Span], event: &str| {
        let found = spans.iter().find(|span| attribute(span, "event").as_deref() == Some(event));
        found.map(|span| (span.clone(), attribute(span, "outcome")))
    };
    while outcome(&spans, "sync:pull").is_none() || outcome(&spans, "sync:push").is_none() {
        let export = received.recv_timeout(STEP_TIMEOUT).expect("spans are exported");
        let text = format!("{export:?}");
        assert!(text.contains("syncline-server"), "{text}");
        assert!(!text.contains("canary"), "{text}");
        let scopes = export.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        spans.extend(scopes.flat_map(|scope| scope.spans));
    }
    let (pushed, answered) = outcome(&spans, "sync:push").unwrap();
    assert_eq!((pushed.name.as_str(), answered.as_deref()), ("request", Some("ok")));
    assert!(attribute(&pushed, "request").is_some() && attribute(&pushed, "connection").is_some());
    let stored = spans.iter().find(|span| span.parent_span_id == pushed.span_id).expect("the storage's span");
    assert_eq!((stored.name.as_str(), attribute(stored, "operation").as_deref()), ("storage", Some("push")));
    assert_eq!(stored.trace_id, pushed.trace_id);
    assert_eq!(outcome(&spans, "sync:pull").unwrap().1.as_deref(), Some("forbidden"));
}

#[test]
fn a_collector_that_is_gone_costs_traces_only() {
    let folder = tempfile::tempdir().unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("operations.otlp_endpoint=http://{}/v1/traces", gone.local_addr().unwrap());
    drop(gone);
    let flags = ["--set", &endpoint, "--set", "operations.otlp_timeout_ms=500"];
    let server = ServerProcess::start_with(folder.path(), &flags);
    let agent = Agent::start();
    agent.connect("a", &server.url, json!({"token": token("ann", &["team"]), "client_id": client_id(1)}));
    let answer = agent.ask("a", "sync:push", push("team", None, &[create(1, "d", 0)]));
    assert_eq!(answer["results"][0]["status"], "applied");
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_log_in_json_has_the_number_of_a_request_that_was_refused() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let flags = ["--log", "debug", "--set", "log_format=json"];
    let server = ServerProcess::start_logging(folder.path(), &flags, &log);
    let agent = Agent::start();
    agent.connect("a", &server.url, json!({"token": token("ann", &[])}));
    agent.ask("a", "sync:pull", json!({"room": "other", "cursor": 0, "limit": 1}));
    assert_eq!(server.terminate(), Some(0));
    let lines = std::fs::read_to_string(&log).unwrap();
    let lines =
        lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a line is JSON"));
    let refused: Vec<_> = lines.filter(|line| line["fields"]["message"] == "a request was refused").collect();
    assert_eq!(refused.len(), 1);
    let span = &refused[0]["span"];
    assert_eq!((&span["event"], span["request"].as_u64()), (&json!("sync:pull"), Some(1)), "{span}");
}

/// The id in an answer's head.
fn request_id(head: &str) -> String {
    let mut ids = head.lines().filter_map(|line| line.strip_prefix("x-request-id: "));
    let id = ids.next().unwrap_or_else(|| panic!("no id in {head}"));
    assert_eq!(ids.next(), None, "{head}");
    id.to_owned()
}

#[test]
fn an_http_request_keeps_a_sane_id_and_gets_one_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let ask = |path: &str, headers: &[(&str, &str)]| {
        let (status, head, _) = http_with(&server.url, "GET", path, headers, "");
        (status, request_id(&head))
    };
    assert_eq!(ask("/health", &[("x-request-id", "Root=1-42_a.b")]), (200, "Root=1-42_a.b".to_owned()));
    let (status, first) = ask("/v1/rooms/r/changes?cursor=0", &[]);
    let (_, second) = ask("/nowhere", &[]);
    assert_eq!((status, first.len(), second.len()), (401, 36, 36));
    assert_ne!(first, second);
    let long = "x".repeat(129);
    for strange in ["a b", "<script>", long.as_str()] {
        assert_eq!(ask("/health", &[("x-request-id", strange)]).1.len(), 36, "{strange}");
    }
    let twice = [("x-request-id", "a"), ("x-request-id", "b")];
    assert_eq!(ask("/health", &twice).1.len(), 36);
}

#[test]
fn an_http_request_is_a_span_and_a_line_with_its_id_and_no_contents() {
    let folder = tempfile::tempdir().unwrap();
    let (url, received) = collector();
    let endpoint = format!("operations.otlp_endpoint={url}");
    let log = folder.path().join("log");
    let flags = [
        "--set",
        &endpoint,
        "--set",
        "operations.otlp_delay_ms=50",
        "--log",
        "debug",
        "--set",
        "log_format=json",
    ];
    let server = ServerProcess::start_logging(folder.path(), &flags, &log);
    let path = "/v1/rooms/canary/collections/canary/documents/canary?canary=canary";
    let bearer = format!("Bearer {}", token("canary", &["canary"]));
    let headers = [("authorization", bearer.as_str()), ("x-request-id", "asked-1")];
    assert_eq!(http_with(&server.url, "GET", path, &headers, "").0, 404);

    let mut spans: Vec<Span> = Vec::new();
    let of_http = |spans: &[Span]| spans.iter().find(|span| span.name == "http").cloned();
    while of_http(&spans).is_none() {
        let export = received.recv_timeout(STEP_TIMEOUT).expect("spans are exported");
        assert!(!format!("{export:?}").contains("canary"), "{export:?}");
        let scopes = export.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        spans.extend(scopes.flat_map(|scope| scope.spans));
    }
    let span = of_http(&spans).unwrap();
    let route = "/v1/rooms/{room}/collections/{collection}/documents/{id}";
    assert_eq!(attribute(&span, "route").as_deref(), Some(route));
    assert_eq!(attribute(&span, "request_id").as_deref(), Some("asked-1"));
    assert_eq!(attribute(&span, "method").as_deref(), Some("GET"));
    assert_eq!(attribute(&span, "status").as_deref(), Some("404"));
    let stored = spans.iter().find(|inner| inner.parent_span_id == span.span_id).expect("the storage's span");
    assert_eq!(stored.name, "storage");

    assert_eq!(server.terminate(), Some(0));
    let lines = std::fs::read_to_string(&log).unwrap();
    let refused = lines.lines().find(|line| line.contains("an HTTP request was refused")).expect("a line");
    let refused: serde_json::Value = serde_json::from_str(refused).unwrap();
    assert_eq!(refused["span"]["request_id"], "asked-1", "{refused}");
    assert!(!lines.contains("canary"), "{lines}");
}
