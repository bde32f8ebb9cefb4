//! Public keys, and key sets that change.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use syncline_server::{Config, Mode};

use crate::support::{Agent, EmbeddedServer, SECRET, now_s};

const RSA: &[u8] = include_bytes!("../keys/rsa.pem");
const RSA_PUBLIC: &[u8] = include_bytes!("../keys/rsa.pub.pem");

/// A key to sign with, and how it is published.
struct Signer {
    key: EncodingKey,
    algorithm: Algorithm,
    id: Option<&'static str>,
}

impl Signer {
    fn rsa(id: Option<&'static str>) -> Self {
        Self { key: EncodingKey::from_rsa_pem(RSA).unwrap(), algorithm: Algorithm::RS256, id }
    }

    fn elliptic(id: Option<&'static str>) -> (Self, String) {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
        (Self { key, algorithm: Algorithm::ES256, id }, pair.public_key_pem())
    }

    fn token(&self, more: Value) -> String {
        let mut claims = json!({"sub": "ann", "exp": now_s() + 3600});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let header = Header { kid: self.id.map(str::to_owned), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, &claims, &self.key).unwrap()
    }

    fn published(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = self.id.map(str::to_owned);
        serde_json::to_value(jwk).unwrap()
    }
}

/// An HTTP server with a key set, on a thread that ends with the process; with a certificate, an HTTPS one.
#[derive(Clone)]
struct KeyServer {
    url: String,
    /// None answers 503.
    keys: Arc<Mutex<Option<Vec<Value>>>>,
    fetches: Arc<AtomicUsize>,
}

impl KeyServer {
    fn start(keys: Vec<Value>) -> Self {
        Self::start_with(keys, None)
    }

    fn start_with(keys: Vec<Value>, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}/keys", listener.local_addr().unwrap());
        let server = Self { url, keys: Arc::new(Mutex::new(Some(keys))), fetches: Arc::default() };
        let serving = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                match &tls {
                    Some(tls) => {
                        let connection = ServerConnection::new(Arc::clone(tls)).unwrap();
                        serving.serve(StreamOwned::new(connection, stream));
                    }
                    None => serving.serve(stream),
                }
            }
        });
        server
    }

    /// Answers one request.
    fn serve(&self, stream: impl Read + Write) {
        let mut stream = BufReader::new(stream);
        let lines = stream.by_ref().lines();
        let head = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).count();
        if head == 0 {
            return;
        }
        self.fetches.fetch_add(1, Ordering::SeqCst);
        let (status, body) = match &*self.keys.lock().unwrap() {
            Some(keys) => ("200 OK", json!({"keys": keys}).to_string()),
            None => ("503 Service Unavailable", String::new()),
        };
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
        let _ = stream.get_mut().write_all(answer.as_bytes());
        let _ = stream.get_mut().flush();
    }

    fn publish(&self, keys: Option<Vec<Value>>) {
        *self.keys.lock().unwrap() = keys;
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

fn config(folder: &Path, mode: Mode) -> Config {
    Config::new("127.0.0.1:0".parse().unwrap(), folder.join("data"), mode)
}

/// Why a token is refused; empty when it is taken.
fn refusal(agent: &Agent, url: &str, token: &str) -> String {
    let answer = agent.connect("a", url, json!({"token": token}));
    answer["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_key_decides_its_algorithm_whatever_the_token_says() {
    let folder = tempfile::tempdir().unwrap();
    let (elliptic, public) = Signer::elliptic(None);
    let files = [("rsa.pem", RSA_PUBLIC), ("ec.pem", public.as_bytes())].map(|(name, text)| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    });
    let mut config = config(folder.path(), Mode::PublicKeys);
    config.auth.public_key_files = files.into();
    let server = EmbeddedServer::start(config);
    let agent = Agent::start();
    let rsa = Signer::rsa(None);
    assert_eq!(refusal(&agent, &server.url, &rsa.token(json!({}))), "");
    assert_eq!(refusal(&agent, &server.url, &elliptic.token(json!({}))), "");

    // The public key, which everybody has, taken for a shared secret.
    for public in [RSA_PUBLIC, public.as_bytes()] {
        let key = EncodingKey::from_secret(public);
        let forged = Signer { key, algorithm: Algorithm::HS256, id: None };
        assert!(refusal(&agent, &server.url, &forged.token(json!({}))).starts_with("unauthorized: "));
    }
    let (other, _) = Signer::elliptic(None);
    assert!(refusal(&agent, &server.url, &other.token(json!({}))).starts_with("unauthorized: "));
    let other_hash = Signer { algorithm: Algorithm::RS384, ..Signer::rsa(None) };
    assert!(refusal(&agent, &server.url, &other_hash.token(json!({}))).starts_with("unauthorized: "));
    let signed = rsa.token(json!({}));
    let body = signed.split('.').nth(1).unwrap();
    // {"alg":"none","typ":"JWT"}
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}.");
    assert!(refusal(&agent, &server.url, &unsigned).starts_with("unauthorized: "));
}

#[test]
fn audience_and_issuer_must_be_there_and_right_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path(), Mode::Production { jwt_secret: SECRET.into() });
    config.auth.audience = vec!["sync".to_owned()];
    config.auth.issuer = vec!["https://id.example".to_owned(), "https://old.example".to_owned()];
    let server = EmbeddedServer::start(config);
    let agent = Agent::start();
    let signer =
        Signer { key: EncodingKey::from_secret(SECRET.as_bytes()), algorithm: Algorithm::HS256, id: None };
    for (claims, is_taken) in [
        (json!({"aud": "sync", "iss": "https://id.example"}), true),
        (json!({"aud": ["other", "sync"], "iss": "https://old.example"}), true),
        (json!({"aud": "other", "iss": "https://id.example"}), false),
        (json!({"aud": "sync", "iss": "https://evil.example"}), false),
        (json!({"aud": "sync"}), false),
        (json!({"iss": "https://id.example"}), false),
    ] {
        let refused = refusal(&agent, &server.url, &signer.token(claims.clone()));
        assert_eq!(refused.is_empty(), is_taken, "{claims} {refused}");
    }
}

#[test]
fn a_key_set_is_fetched_anew_for_a_key_it_lacks_and_kept_while_it_cannot_be_fetched() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = Signer::elliptic(Some("first"));
    let second = Signer::rsa(Some("second"));
    let keys = KeyServer::start(vec![first.published()]);
    let mut config = config(folder.path(), Mode::PublicKeys);
    config.auth.jwks = Some(keys.url.clone());
    config.auth.jwks_refetch_min_ms = 0;
    let server = EmbeddedServer::start(config);
    let agent = Agent::start();
    assert_eq!(refusal(&agent, &server.url, &first.token(json!({}))), "");
    assert_eq!(refusal(&agent, &server.url, &first.token(json!({}))), "");
    assert_eq!(keys.fetches(), 1, "one set serves many tokens");

    assert!(refusal(&agent, &server.url, &second.token(json!({}))).starts_with("unauthorized: "));
    keys.publish(Some(vec![json!({"kty": "what is this"}), second.published()]));
    assert_eq!(refusal(&agent, &server.url, &second.token(json!({}))), "");
    assert!(refusal(&agent, &server.url, &first.token(json!({}))).starts_with("unauthorized: "));

    keys.publish(None);
    assert!(refusal(&agent, &server.url, &first.token(json!({}))).starts_with("unauthorized: "));
    assert_eq!(refusal(&agent, &server.url, &second.token(json!({}))), "", "the last good set counts");
    keys.publish(Some(Vec::new()));
    assert!(refusal(&agent, &server.url, &first.token(json!({}))).starts_with("unauthorized: "));
    assert_eq!(refusal(&agent, &server.url, &second.token(json!({}))), "", "an empty set is none");
}

#[test]
fn tokens_of_unknown_keys_make_the_server_fetch_no_more_often_than_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let (known, _) = Signer::elliptic(Some("known"));
    let keys = KeyServer::start(vec![known.published()]);
    let mut config = config(folder.path(), Mode::PublicKeys);
    config.auth.jwks = Some(keys.url.clone());
    config.auth.jwks_refetch_min_ms = 3_600_000;
    let server = EmbeddedServer::start(config);
    let agents: Vec<Agent> = (0..3).map(|_| Agent::start()).collect();
    let (unknown, _) = Signer::elliptic(Some("unknown"));
    let token = unknown.token(json!({}));
    let asked: Vec<u64> = agents
        .iter()
        .map(|agent| {
            agent.begin("connect", json!({"name": "a", "url": server.url, "auth": {"token": token}}))
        })
        .collect();
    for (agent, id) in agents.iter().zip(asked) {
        assert_eq!(agent.finish(id)["connected"], false);
    }
    assert_eq!(keys.fetches(), 1);
    assert_eq!(refusal(&agents[0], &server.url, &known.token(json!({}))), "");
}

#[test]
fn without_any_key_yet_a_client_is_told_to_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let signer = Signer::rsa(Some("rsa"));
    let keys = KeyServer::start(Vec::new());
    keys.publish(None);
    let mut config = config(folder.path(), Mode::PublicKeys);
    config.auth.jwks = Some(keys.url.clone());
    config.auth.jwks_refetch_min_ms = 0;
    let server = EmbeddedServer::start(config);
    let agent = Agent::start();
    assert!(refusal(&agent, &server.url, &signer.token(json!({}))).starts_with("unavailable: "));
    keys.publish(Some(vec![signer.published()]));
    assert_eq!(refusal(&agent, &server.url, &signer.token(json!({}))), "");
}

#[test]
fn a_key_set_in_a_file_is_read_again_when_it_is_old() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = Signer::elliptic(Some("first"));
    let (second, _) = Signer::elliptic(Some("second"));
    let file = folder.path().join("keys.json");
    std::fs::write(&file, json!({"keys": [first.published()]}).to_string()).unwrap();
    let mut config = config(folder.path(), Mode::PublicKeys);
    config.auth.jwks = Some(file.to_str().unwrap().to_owned());
    config.auth.jwks_max_age_s = 0;
    config.auth.jwks_refetch_min_ms = 0;
    let server = EmbeddedServer::start(config);
    let agent = Agent::start();
    assert_eq!(refusal(&agent, &server.url, &first.token(json!({}))), "");
    std::fs::write(&file, json!({"keys": [second.published()]}).to_string()).unwrap();
    assert!(refusal(&agent, &server.url, &first.token(json!({}))).starts_with("unauthorized: "));
    assert_eq!(refusal(&agent, &server.url, &second.token(json!({}))), "");
}

/// What a server of this machine needs to speak TLS, and the certificate that it shows, its own authority.
fn certificate() -> (Arc<ServerConfig>, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    (Arc::new(config), made.cert.pem())
}

#[test]
fn a_key_set_is_fetched_over_https_from_whom_the_authorities_vouch_for_and_from_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let (signer, _) = Signer::elliptic(Some("key"));
    let (tls, authority) = certificate();
    let (_, another) = certificate();
    let keys = KeyServer::start_with(vec![signer.published()], Some(tls));
    let agent = Agent::start();
    for (name, authority, refused) in [("right", authority, ""), ("another", another, "unavailable: ")] {
        let mut config = config(&folder.path().join(name), Mode::PublicKeys);
        config.auth.jwks = Some(keys.url.clone());
        let file = folder.path().join(format!("{name}.pem"));
        std::fs::write(&file, authority).unwrap();
        config.auth.jwks_ca_file = Some(file);
        let server = EmbeddedServer::start(config);
        let refusal = refusal(&agent, &server.url, &signer.token(json!({})));
        assert!(
            refusal.starts_with(refused) && refusal.is_empty() == refused.is_empty(),
            "{name}: {refusal}"
        );
    }
    assert_eq!(keys.fetches(), 1, "nothing was asked of a server that is not believed");
}
