//! A server's key must be pinned, beyond a certificate that is believed.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{KeyPair, PublicKeyData};
use ring::digest::{SHA256, digest};

use super::tls::{TestCa, certificate_for, echo_server};
use super::websocket::{Client, LIMITS};
use crate::transport::{CloseReason, ConnectRequest, Pins, SocketEvent, TlsFailure};

pub(super) fn pin_of(key: &KeyPair) -> String {
    let hash = digest(&SHA256, &key.subject_public_key_info());
    format!("sha256/{}", BASE64_STANDARD.encode(hash.as_ref()))
}

/// What becomes of a connection to a server with this key, by a client with these pins.
async fn connect(ca: &TestCa, key: &KeyPair, believed: &TestCa, pins: [&KeyPair; 2]) -> SocketEvent {
    let port = echo_server(ca.server_with(key, &certificate_for("localhost"))).await;
    let pins = Pins::parse(&pins.map(pin_of)).unwrap();
    let request =
        ConnectRequest::new(&format!("https://localhost:{port}"), believed.config_with(pins)).unwrap();
    Client::open(request.with_limits(LIMITS)).next().await
}

#[tokio::test]
async fn a_server_with_the_pinned_key_or_the_one_in_reserve_is_believed() {
    let ca = TestCa::new();
    let [used, reserve] = [(); 2].map(|()| KeyPair::generate().unwrap());
    for key in [&used, &reserve] {
        assert_eq!(connect(&ca, key, &ca, [&used, &reserve]).await, SocketEvent::Opened);
    }
}

#[tokio::test]
async fn a_good_certificate_of_another_key_is_a_pin_mismatch() {
    let ca = TestCa::new();
    let [used, reserve, other] = [(); 3].map(|()| KeyPair::generate().unwrap());
    let event = connect(&ca, &other, &ca, [&used, &reserve]).await;
    assert_eq!(event, SocketEvent::Closed(CloseReason::Tls(TlsFailure::Pin)));
}

#[tokio::test]
async fn a_pinned_key_does_not_replace_the_authority() {
    let [used, reserve] = [(); 2].map(|()| KeyPair::generate().unwrap());
    let event = connect(&TestCa::new(), &used, &TestCa::new(), [&used, &reserve]).await;
    assert_eq!(event, SocketEvent::Closed(CloseReason::Tls(TlsFailure::UnknownIssuer)));
}
