use std::sync::{Arc, Mutex};

use rustls::ClientConfig;
use rustls::crypto::ring;

use super::tls::{TestCa, certificate_for, echo_server};
use super::websocket::{Client, LIMITS};
use crate::transport::system_trust::{JudgeSlot, SystemVerifier};
use crate::transport::tls::PROTOCOL_VERSIONS;
use crate::transport::{CloseReason, ConnectRequest, Distrust, SocketEvent, SystemJudge, Tls, TlsFailure};
use crate::{Code, Error};

/// Answers always the same, and remembers what it was asked.
struct Judge {
    verdict: Result<(), Distrust>,
    asked: Mutex<Vec<(usize, String)>>,
}

impl Judge {
    fn new(verdict: Result<(), Distrust>) -> Arc<Self> {
        Arc::new(Self { verdict, asked: Mutex::default() })
    }
}

impl SystemJudge for Judge {
    fn judge(&self, chain: Vec<Vec<u8>>, server: &str) -> Result<(), Distrust> {
        self.asked.lock().unwrap().push((chain.len(), server.to_owned()));
        self.verdict.clone()
    }
}

struct Panics;

impl SystemJudge for Panics {
    fn judge(&self, _: Vec<Vec<u8>>, _: &str) -> Result<(), Distrust> {
        panic!("a judge that panics");
    }
}

/// A configuration as on a system whose rules Rust cannot read.
fn config(slot: &Arc<JudgeSlot>) -> Tls {
    let provider = Arc::new(ring::default_provider());
    let verifier = SystemVerifier::with(Arc::clone(slot), None, Arc::clone(&provider));
    let builder =
        ClientConfig::builder_with_provider(provider).with_protocol_versions(PROTOCOL_VERSIONS).unwrap();
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    Tls::of_config(builder.with_no_client_auth())
}

async fn connect(judge: Option<Arc<dyn SystemJudge>>, named: &str) -> SocketEvent {
    let slot = Arc::new(JudgeSlot::default());
    let config = config(&slot);
    // It may come after the configuration was made.
    slot.set(judge);
    let port = echo_server(TestCa::new().server(&certificate_for(named))).await;
    let request = ConnectRequest::new(&format!("https://localhost:{port}"), config).unwrap();
    Client::open(request.with_limits(LIMITS)).next().await
}

#[tokio::test]
async fn without_a_judge_no_server_is_believed_and_the_error_says_why() {
    let SocketEvent::Closed(reason) = connect(None, "localhost").await else { panic!("it was believed") };
    assert_eq!(reason, CloseReason::Tls(TlsFailure::NoSystemCheck));
    let error = Error::from(reason);
    assert_eq!(error.code, Code::TlsNotReady);
    assert!(error.retryable());
}

#[tokio::test]
async fn a_server_that_the_judge_believes_is_connected() {
    let judge = Judge::new(Ok(()));
    assert_eq!(connect(Some(judge.clone()), "localhost").await, SocketEvent::Opened);
    assert_eq!(*judge.asked.lock().unwrap(), [(1, "localhost".to_owned())]);
}

#[tokio::test]
async fn a_server_that_the_judge_does_not_believe_is_refused() {
    let verdicts = [
        (Distrust::NotTrusted { reason: "no path".to_owned() }, TlsFailure::UnknownIssuer),
        (Distrust::Expired, TlsFailure::Expired),
        (Distrust::Unavailable { reason: "it is away".to_owned() }, TlsFailure::Certificate),
    ];
    for (verdict, failure) in verdicts {
        let event = connect(Some(Judge::new(Err(verdict))), "localhost").await;
        assert_eq!(event, SocketEvent::Closed(CloseReason::Tls(failure)));
    }
}

#[tokio::test]
async fn a_judge_that_panics_believes_nobody() {
    let event = connect(Some(Arc::new(Panics)), "localhost").await;
    assert_eq!(event, SocketEvent::Closed(CloseReason::Tls(TlsFailure::Certificate)));
}

#[tokio::test]
async fn a_believed_certificate_of_another_host_is_refused() {
    let event = connect(Some(Judge::new(Ok(()))), "other.example").await;
    assert_eq!(event, SocketEvent::Closed(CloseReason::Tls(TlsFailure::WrongHost)));
}
