use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ProtocolVersion, ServerConfig, SupportedProtocolVersion};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::websocket::{Client, LIMITS};
use crate::transport::tls::PROTOCOL_VERSIONS;
use crate::transport::{
    CloseReason, ConnectRequest, Frame, Pins, Roots, SocketEvent, Tls, TlsError, TlsFailure, TlsOptions,
};

/// A private authority, made for one test.
pub(super) struct TestCa {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl TestCa {
    pub(super) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // An authority of the same name with another key would be a bad signature, not an unknown issuer.
        params.distinguished_name.push(DnType::CommonName, super::to_hex(&key.public_key_raw()[..16]));
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A client configuration that believes this authority alone.
    pub(super) fn config(&self) -> Tls {
        self.config_with(Pins::default())
    }

    /// The same, of which the server must have one of these keys.
    pub(super) fn config_with(&self, pins: Pins) -> Tls {
        let roots = Roots::PrivateCa { pem: self.pem.clone().into_bytes() };
        Tls::new(TlsOptions { roots, pins }).unwrap()
    }

    pub(super) fn server(&self, params: &CertificateParams) -> TlsAcceptor {
        self.server_with(&KeyPair::generate().unwrap(), params)
    }

    pub(super) fn server_with(&self, key: &KeyPair, params: &CertificateParams) -> TlsAcceptor {
        // One that would rather speak HTTP/2, in which a WebSocket is another thing.
        self.server_of(key, params, PROTOCOL_VERSIONS, &["h2", "http/1.1"])
    }

    /// The same, which speaks these versions of TLS, and these protocols over it, and no others.
    pub(super) fn server_of(
        &self,
        key: &KeyPair,
        params: &CertificateParams,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
    ) -> TlsAcceptor {
        let certificate = params.signed_by(key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

pub(super) fn certificate_for(name: &str) -> CertificateParams {
    CertificateParams::new([name.to_owned()]).unwrap()
}

/// Starts a server that echoes one message; returns its port.
pub(super) async fn echo_server(acceptor: TlsAcceptor) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        // The client may refuse the certificate: then there is nothing to echo.
        let Ok(stream) = acceptor.accept(tcp).await else { return };
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let message = socket.next().await.unwrap().unwrap();
        socket.send(message).await.unwrap();
        while let Some(Ok(_)) = socket.next().await {}
    });
    port
}

/// What becomes of a connection to a server with this certificate.
async fn connect(server: &TestCa, params: &CertificateParams, config: Tls, host: &str) -> SocketEvent {
    let port = echo_server(server.server(params)).await;
    let request = ConnectRequest::new(&format!("https://{host}:{port}"), config).unwrap();
    Client::open(request.with_limits(LIMITS)).next().await
}

#[tokio::test]
async fn a_server_of_the_private_authority_is_believed() {
    let ca = TestCa::new();
    let port = echo_server(ca.server(&certificate_for("localhost"))).await;
    let request = ConnectRequest::new(&format!("wss://localhost:{port}"), ca.config()).unwrap();
    let mut client = Client::open(request.with_limits(LIMITS));
    assert_eq!(client.next().await, SocketEvent::Opened);
    let frame = Frame::Binary(vec![7; 100_000].into());
    client.socket.send(vec![frame.clone()]);
    assert_eq!(client.next().await, SocketEvent::Frame(frame));
    client.socket.close();
    assert_eq!(client.next().await, SocketEvent::Closed(CloseReason::Local));
}

#[tokio::test]
async fn a_certificate_may_name_an_address() {
    let ca = TestCa::new();
    let event = connect(&ca, &certificate_for("127.0.0.1"), ca.config(), "127.0.0.1").await;
    assert_eq!(event, SocketEvent::Opened);
}

#[tokio::test]
async fn a_server_of_another_authority_is_refused() {
    let ca = TestCa::new();
    let event = connect(&ca, &certificate_for("localhost"), TestCa::new().config(), "localhost").await;
    assert_eq!(event, SocketEvent::Closed(CloseReason::Tls(TlsFailure::UnknownIssuer)));
}

#[tokio::test]
async fn the_platform_does_not_believe_a_private_authority() {
    let platform = Tls::new(TlsOptions::default()).unwrap();
    let event = connect(&TestCa::new(), &certificate_for("localhost"), platform, "localhost").await;
    assert_eq!(event, SocketEvent::Closed(CloseReason::Tls(TlsFailure::UnknownIssuer)));
}

#[tokio::test]
async fn a_certificate_of_another_host_is_refused() {
    let ca = TestCa::new();
    let event = connect(&ca, &certificate_for("other.example"), ca.config(), "localhost").await;
    assert_eq!(event, SocketEvent::Closed(CloseReason::Tls(TlsFailure::WrongHost)));
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let ca = TestCa::new();
    let mut params = certificate_for("localhost");
    params.not_after = date_time_ymd(2020, 1, 1);
    let event = connect(&ca, &params, ca.config(), "localhost").await;
    assert_eq!(event, SocketEvent::Closed(CloseReason::Tls(TlsFailure::Expired)));
}

#[tokio::test]
async fn a_server_without_tls_is_a_failed_handshake() {
    let (listener, request) = super::websocket::listen("https").await;
    tokio::spawn(super::websocket::answer(listener, "HTTP/1.1 400 Bad Request\r\n\r\n"));
    let event = Client::open(request).next().await;
    assert_eq!(event, SocketEvent::Closed(CloseReason::Tls(TlsFailure::Handshake)));
}

#[test]
fn a_private_authority_that_is_none_is_a_typed_error() {
    let error = |pem: &str| {
        let roots = Roots::PrivateCa { pem: pem.as_bytes().to_vec() };
        Tls::new(TlsOptions { roots, ..TlsOptions::default() }).unwrap_err()
    };
    assert!(matches!(error(""), TlsError::NoCertificate));
    assert!(matches!(error("not PEM"), TlsError::NoCertificate));
    assert!(matches!(error(&KeyPair::generate().unwrap().serialize_pem()), TlsError::NoCertificate));
    let cut = TestCa::new().pem.replace("-----END CERTIFICATE-----", "");
    assert!(matches!(error(&cut), TlsError::Pem));
    let not_base64 = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
    assert!(matches!(error(not_base64), TlsError::Pem));
    let not_x509 = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(error(not_x509), TlsError::Certificate(_)));
}

#[test]
fn nothing_older_than_tls_1_2_is_spoken() {
    let versions: Vec<_> = PROTOCOL_VERSIONS.iter().map(|version| version.version).collect();
    assert_eq!(versions, [ProtocolVersion::TLSv1_3, ProtocolVersion::TLSv1_2]);
}
