//! Tokens that are taken back, and rights that the embedding program decides.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use syncline_protocol::Room;
use syncline_server::access::{Authorize, Identity, Rights, Ruling};
use syncline_server::auth::Revocation;
use syncline_server::{Config, Mode};

use crate::support::{Agent, EmbeddedServer, SECRET, client_id, create, now_s, push, sign};

fn config(folder: &tempfile::TempDir) -> Config {
    let mode = Mode::Production { jwt_secret: SECRET.into() };
    Config::new("127.0.0.1:0".parse().unwrap(), folder.path().join("data"), mode)
}

fn token(user: &str, id: &str, issued_s: u64) -> String {
    sign(&json!({"sub": user, "jti": id, "iat": issued_s, "exp": now_s() + 3600}), SECRET)
}

#[test]
fn a_revoked_user_is_disconnected_and_needs_a_newer_token_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = EmbeddedServer::start(config(&folder));
    let agent = Agent::start();
    let old = token("ann", "1", now_s() - 60);
    agent.connect("ann", &server.url, json!({"token": old}));
    agent.connect("bob", &server.url, json!({"token": token("bob", "2", now_s() - 60)}));
    server.revoke(Revocation::User("ann".to_owned()));
    assert_eq!(agent.next("ann", "$disconnect")["value"], "io server disconnect");
    assert_eq!(agent.ask("bob", "presence:ping", json!({}))["heads"], json!({}));
    let refused = agent.connect("again", &server.url, json!({"token": old}));
    assert_eq!(refused["message"], "unauthorized: the token was revoked");
    drop(server);
    let server = EmbeddedServer::start(config(&folder));
    let refused = agent.connect("again", &server.url, json!({"token": old}));
    assert_eq!(refused["message"], "unauthorized: the token was revoked");
    let newer = json!({"token": token("ann", "3", now_s() + 60)});
    assert_eq!(agent.connect("again", &server.url, newer)["connected"], true);
}

#[test]
fn one_revoked_token_ends_its_connection_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let server = EmbeddedServer::start(config(&folder));
    let agent = Agent::start();
    for id in ["phone", "laptop"] {
        agent.connect(id, &server.url, json!({"token": token("ann", id, now_s())}));
    }
    server.revoke(Revocation::Token("phone".to_owned()));
    assert_eq!(agent.next("phone", "$disconnect")["value"], "io server disconnect");
    let refreshed = agent.ask("laptop", "auth:refresh", json!({"token": token("ann", "phone", now_s())}));
    assert_eq!(refreshed["error"]["code"], "unauthorized");
    assert_eq!(agent.ask("laptop", "presence:ping", json!({}))["heads"], json!({}));
}

/// Lets everybody do everything, until it is closed.
struct Gate(AtomicBool);

impl Authorize for Gate {
    fn rights<'a>(&'a self, _: &'a Identity, _: &'a Room) -> Ruling<'a> {
        Box::pin(async {
            // As one does that asks a database.
            tokio::task::yield_now().await;
            Ok(if self.0.load(Ordering::SeqCst) { Rights::ALL } else { Rights::NONE })
        })
    }
}

#[test]
fn a_hook_decides_and_takes_back_what_it_gave() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Arc::new(Gate(AtomicBool::new(true)));
    let mut config = config(&folder);
    config.hooks.authorize = Some(Arc::clone(&gate) as Arc<dyn Authorize>);
    let server = EmbeddedServer::start(config);
    let agent = Agent::start();
    for (name, client) in [("a", 1), ("b", 2)] {
        let auth = json!({"token": token(name, name, now_s()), "client_id": client_id(client)});
        agent.connect(name, &server.url, auth);
        agent.ask(name, "sync:subscribe", json!({"room": "any", "cursor": 0}));
    }
    let answer = agent.ask("b", "sync:push", push("any", None, &[create(1, "d", 0)]));
    assert_eq!(answer["results"][0]["status"], "applied");
    assert_eq!(agent.next("a", "sync:changes")["value"]["to_seq"], 1);
    gate.0.store(false, Ordering::SeqCst);
    server.recheck();
    assert_eq!(agent.next("a", "access:lost")["value"]["lost"], json!(["read"]));
    let refused = agent.ask("b", "sync:push", push("any", None, &[create(2, "d", 1)]));
    assert_eq!(refused["error"]["code"], "forbidden");
}
