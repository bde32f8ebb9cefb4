//! A system without certificates to believe: an app whose server needs none does not notice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Command;

use syncline::{ClientConfig, Code, StoreKind};
use syncline_integration::{Device, TestServer, config};

/// Where the system's certificates are looked for.
const PLACES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
const NOWHERE: &str = "/nowhere/certificates";

/// Runs a test of this file once more, in a process that finds no certificates.
fn without_certificates(test: &str, body: impl FnOnce()) {
    if PLACES.iter().all(|place| std::env::var(place).is_ok_and(|value| value == NOWHERE)) {
        return body();
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test, "--nocapture"]).envs(PLACES.map(|place| (place, NOWHERE)));
    let output = child.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

fn block_on(body: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().unwrap().block_on(body);
}

#[test]
fn a_client_of_a_server_without_tls_opens_and_connects() {
    without_certificates("a_client_of_a_server_without_tls_opens_and_connects", || {
        block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let server = TestServer::start(&directory.path().join("server")).await;
            let device =
                Device::open(config("ada", &["list:1"], &server.url(), &directory.path().join("device")))
                    .await
                    .unwrap();
            device.until("an open connection", |seen| seen.is_open()).await;
            device.close().await;
            server.stop().await;
        });
    });
}

#[test]
fn a_client_of_a_server_with_tls_opens_and_says_what_it_misses() {
    without_certificates("a_client_of_a_server_with_tls_opens_and_says_what_it_misses", || {
        block_on(async {
            // Accepts, so that TLS is what fails.
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("wss://{}", listener.local_addr().unwrap());
            let config = ClientConfig {
                store: StoreKind::Memory,
                token: Some("any".to_owned()),
                ..ClientConfig::new(url)
            };
            let device = Device::open(config).await.unwrap();
            device
                .until("the reason", |seen| {
                    let reason = seen.connection.as_ref().and_then(|status| status.reason.as_ref());
                    reason.is_some_and(|reason| reason.code == Code::TlsNotReady && reason.retryable)
                })
                .await;
            device.close().await;
        });
    });
}
