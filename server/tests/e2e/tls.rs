//! TLS, and a certificate that changes while the server runs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use serde_json::json;
use syncline_server::{Config, Mode, Server, ServerError};

use crate::support::{Agent, EmbeddedServer, SECRET, STEP_TIMEOUT, command, token};

/// How long the server gets to take a certificate that cannot be used: many times as long as it looks for.
const UNUSABLE_FOR: Duration = Duration::from_millis(400);

/// A certificate for this machine, written where the server reads it.
fn renew(folder: &Path) -> RootCertStore {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    std::fs::write(folder.join("key.pem"), key).unwrap();
    std::fs::write(folder.join("cert.pem"), &certificate).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    roots
}

fn config(folder: &Path) -> Config {
    let mode = Mode::Production { jwt_secret: SECRET.into() };
    let mut config = Config::new("127.0.0.1:0".parse().unwrap(), folder.join("data"), mode);
    config.door.tls_cert_file = Some(folder.join("cert.pem"));
    config.door.tls_key_file = Some(folder.join("key.pem"));
    config.door.tls_reload_ms = 20;
    config
}

fn health(
    server: &EmbeddedServer,
    roots: &RootCertStore,
    versions: &[&'static SupportedProtocolVersion],
) -> std::io::Result<String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let address: SocketAddr = server.url.strip_prefix("https://").unwrap().parse().unwrap();
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(STEP_TIMEOUT))?;
    let mut stream = StreamOwned::new(connection, stream);
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn a_certificate_is_shown_and_a_newer_one_when_its_files_change() {
    let folder = tempfile::tempdir().unwrap();
    let first = renew(folder.path());
    let server = EmbeddedServer::start(config(folder.path()));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let answer = health(&server, &first, &[version]).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let agent = Agent::start();
    let auth = json!({"token": token("ann", &[])});
    let connect = json!({"name": "a", "url": server.url, "auth": auth, "insecure": true});
    assert_eq!(agent.call("connect", connect)["connected"], true);

    std::fs::write(folder.path().join("cert.pem"), "half a certifi").unwrap();
    let started = Instant::now();
    while started.elapsed() < UNUSABLE_FOR {
        assert!(health(&server, &first, rustls::ALL_VERSIONS).is_ok(), "the old one stays");
    }

    let second = renew(folder.path());
    let started = Instant::now();
    while health(&server, &second, rustls::ALL_VERSIONS).is_err() {
        assert!(started.elapsed() < STEP_TIMEOUT, "the new certificate is never shown");
    }
    assert!(health(&server, &first, rustls::ALL_VERSIONS).is_err());
    assert_eq!(agent.ask("a", "presence:ping", json!({}))["heads"], json!({}), "connections go on");
}

#[test]
fn a_reload_shows_a_newer_certificate_at_once_and_one_that_cannot_be_used_never() {
    let folder = tempfile::tempdir().unwrap();
    let first = renew(folder.path());
    let mut settings = config(folder.path());
    settings.door.tls_reload_ms = 10 * 60 * 1000;
    let server = EmbeddedServer::start(settings.clone());
    std::fs::write(folder.path().join("cert.pem"), "half a certifi").unwrap();
    let refused = server.reload(settings.clone());
    assert!(matches!(refused, Err(ServerError::Tls(_))), "{refused:?}");
    assert!(health(&server, &first, rustls::ALL_VERSIONS).is_ok(), "the old one stays");
    let second = renew(folder.path());
    server.reload(settings).unwrap();
    assert!(health(&server, &second, rustls::ALL_VERSIONS).is_ok());
    assert!(health(&server, &first, rustls::ALL_VERSIONS).is_err());
}

#[test]
fn what_is_no_tls_gets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    renew(folder.path());
    let server = EmbeddedServer::start(config(folder.path()));
    let mut stream = TcpStream::connect(server.url.strip_prefix("https://").unwrap()).unwrap();
    stream.set_read_timeout(Some(STEP_TIMEOUT)).unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn a_certificate_without_a_key_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    renew(folder.path());
    for break_it in [
        (|config: &mut Config| config.door.tls_key_file = None) as fn(&mut Config),
        |config| config.door.tls_key_file = config.door.tls_cert_file.clone(),
        |config| config.door.tls_cert_file = Some("/nowhere/cert.pem".into()),
    ] {
        let mut config = config(folder.path());
        break_it(&mut config);
        let refused = Server::bind(config).await.map(drop);
        assert!(matches!(&refused, Err(error @ ServerError::Tls(_)) if error.is_usage()), "{refused:?}");
    }
}

#[test]
fn the_command_asks_a_server_with_a_certificate_by_tls() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    renew(folder.path());
    std::fs::write(at("admin-token"), "the admin token, which is long enough").unwrap();
    let mut config = config(folder.path());
    config.operations.admin_token_file = Some(at("admin-token").into());
    let server = EmbeddedServer::start(config);
    let listen = server.url.strip_prefix("https://").unwrap();
    let run = |arguments: &[&str]| {
        let mut command = command(&folder.path().join("none"), listen);
        for (name, file) in [
            ("door.tls_cert_file", "cert.pem"),
            ("door.tls_key_file", "key.pem"),
            ("operations.admin_token_file", "admin-token"),
        ] {
            command.args(["--set", &format!("{name}={}", at(file))]);
        }
        let output = command.args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run(&["ready"]), (Some(0), String::new()));

    let (_, port) = listen.rsplit_once(':').unwrap();
    let (url, file, authority) = (format!("https://localhost:{port}"), at("backup"), at("cert.pem"));
    let backup = ["backup", "--to", &file, "--server", &url];
    let (code, reason) = run(&backup);
    assert_eq!((code, reason.contains("certificate")), (Some(1), true), "{reason}");
    assert!(!Path::new(&file).exists(), "no token is told to who is not believed");
    assert_eq!(run(&[&backup[..], &["--ca-file", &authority]].concat()), (Some(0), String::new()));
    assert!(Path::new(&file).exists());
}
