//! Tokens, rooms and client ids.

use std::process::Stdio;

use serde_json::{Value, json};
use syncline_server::{Config, Mode};

use crate::support::{
    Agent, EmbeddedServer, SECRET, ServerProcess, client_id, command, create, now_s, push, sign, soon_enough,
    token,
};

/// {"alg":"none","typ":"JWT"}.{"sub":"ann","exp":4000000000}, without a signature.
const UNSIGNED: &str = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJhbm4iLCJleHAiOjQwMDAwMDAwMDB9.";

#[test]
fn a_token_that_does_not_hold_is_refused_at_the_handshake() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let agent = Agent::start();
    let claims = |exp: u64| json!({"sub": "ann", "exp": exp});
    let wrong_key = sign(&claims(now_s() + 60), "some other secret of sufficient length");
    let cases = [
        (json!({}), "unauthorized: there is no token"),
        (json!({"token": "nonsense"}), "unauthorized: the token is malformed"),
        (json!({"token": wrong_key}), "unauthorized: the token's signature does not match"),
        (json!({"token": sign(&claims(now_s() - 60), SECRET)}), "unauthorized: the token has expired"),
        (json!({"token": UNSIGNED}), "unauthorized: the token is malformed"),
        (
            json!({"token": token("ann", &[]), "protocol": 2}),
            "unsupported_protocol: this server speaks version 1, not 2",
        ),
    ];
    for parser in [None, Some("msgpack")] {
        for (auth, message) in &cases {
            let connect = json!({"name": "a", "url": server.url, "auth": auth, "parser": parser});
            assert_eq!(
                agent.call("connect", connect),
                json!({"connected": false, "message": message, "data": null})
            );
        }
        let malformed = json!({"token": token("ann", &[]), "client_id": "42"});
        let refused = agent
            .call("connect", json!({"name": "a", "url": server.url, "auth": malformed, "parser": parser}));
        assert!(refused["message"].as_str().unwrap().starts_with("invalid: "), "{refused}");
    }
}

#[test]
fn a_room_that_the_token_does_not_name_is_forbidden() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let agent = Agent::start();
    agent.connect("a", &server.url, json!({"token": token("ann", &["list:1"]), "client_id": client_id(1)}));
    for room in ["user:bob", "list:2", "list:10"] {
        for (event, request) in [
            ("room:join", json!({"room": room})),
            ("sync:subscribe", json!({"room": room, "cursor": 0})),
            ("sync:pull", json!({"room": room, "cursor": 0, "limit": 1})),
            ("sync:push", push(room, None, &[create(1, "d", 0)])),
            ("presence:join", json!({"room": room, "state": {}})),
            ("presence:update", json!({"room": room, "state": {}})),
        ] {
            assert_eq!(agent.ask("a", event, request)["error"]["code"], "forbidden", "{event} {room}");
        }
    }
    for room in ["user:ann", "list:1"] {
        assert_eq!(agent.ask("a", "room:join", json!({"room": room})), json!({"ok": true}));
        assert_eq!(agent.ask("a", "room:leave", json!({"room": room})), json!({"ok": true}));
    }
}

#[test]
fn another_users_client_id_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let agent = Agent::start();
    let auth = |user: &str| json!({"token": token(user, &["list:1"]), "client_id": client_id(1)});
    agent.connect("early", &server.url, auth("eve"));
    agent.connect("a", &server.url, auth("ann"));
    agent.ask("a", "sync:push", push("list:1", None, &[create(1, "d", 0)]));
    let refused = agent.ask("early", "sync:push", push("list:1", None, &[create(2, "d", 1)]));
    assert_eq!(refused["error"]["code"], "forbidden");
    let late = agent.connect("late", &server.url, auth("eve"));
    assert_eq!(late["message"], "forbidden: the client id is another user's");
}

#[test]
fn a_client_id_that_others_are_shown_is_its_users_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let agent = Agent::start();
    let auth = |user: &str| json!({"token": token(user, &["list:1"]), "client_id": client_id(1)});
    agent.connect("early", &server.url, auth("eve"));
    agent.connect("a", &server.url, auth("ann"));
    let joined = agent.ask("a", "presence:join", json!({"room": "list:1", "state": {}}));
    assert_eq!(joined["members"][0]["client_id"], client_id(1));
    let refused = agent.ask("early", "presence:join", json!({"room": "list:1", "state": {}}));
    assert_eq!(refused["error"]["code"], "forbidden");
    let refused = agent.ask("early", "sync:push", push("list:1", None, &[create(1, "d", 1)]));
    assert_eq!(refused["error"]["code"], "forbidden");
    let refusal = "forbidden: the client id is another user's";
    assert_eq!(agent.connect("beside", &server.url, auth("eve"))["message"], refusal);
    // Also while its user is away, and the server was.
    agent.call("disconnect", json!({"name": "a"}));
    server.kill();
    let server = ServerProcess::start(folder.path());
    assert_eq!(agent.connect("later", &server.url, auth("eve"))["message"], refusal);
    assert_eq!(agent.connect("b", &server.url, auth("ann"))["connected"], true);
    let pushed = agent.ask("b", "sync:push", push("list:1", None, &[create(1, "d", 0)]));
    assert_eq!(pushed["results"][0]["status"], "applied");
}

#[test]
fn without_a_client_id_one_may_read_but_not_write() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    let agent = Agent::start();
    assert_eq!(agent.connect("a", &server.url, json!({"token": token("ann", &[])}))["connected"], true);
    let page = agent.ask("a", "sync:subscribe", json!({"room": "user:ann", "cursor": 0}));
    assert_eq!(page["cursor"], 0);
    for (event, request) in [
        ("sync:push", push("user:ann", None, &[create(1, "d", 0)])),
        ("presence:join", json!({"room": "user:ann", "state": {}})),
    ] {
        assert_eq!(agent.ask("a", event, request)["error"]["code"], "invalid", "{event}");
    }
}

#[test]
fn a_connection_ends_with_its_token() {
    let folder = tempfile::tempdir().unwrap();
    let mode = Mode::Production { jwt_secret: SECRET.into() };
    let mut config = Config::new("127.0.0.1:0".parse().unwrap(), folder.path().join("data"), mode);
    config.connection.token_leeway_s = 1;
    let server = EmbeddedServer::start(config);
    let agent = Agent::start();
    soon_enough(|left_s| {
        let token = sign(&json!({"sub": "ann", "exp": now_s() + left_s}), SECRET);
        agent.connect("a", &server.url, json!({"token": token}))["connected"] == true
    });
    assert_eq!(agent.next("a", "$disconnect")["value"], "io server disconnect");
}

#[test]
fn a_secret_must_be_given_readable_and_long_enough() {
    let folder = tempfile::tempdir().unwrap();
    let short = folder.path().join("short");
    std::fs::write(&short, "too short\n").unwrap();
    let run = |arguments: &[&str]| {
        let output =
            command(folder.path(), "127.0.0.1:0").args(arguments).stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (arguments, reason) in [
        (&[][..], "--dev|--jwt-secret-file"),
        (&["--jwt-secret-file", "/nowhere/secret"], "cannot read the JWT secret"),
        (&["--jwt-secret-file", short.to_str().unwrap()], "at least 32 are needed"),
    ] {
        let (code, stderr) = run(arguments);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(reason), "{stderr}");
    }
}

#[test]
fn tokens_stay_out_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let log_file = folder.path().join("log");
    let mut server = command(&folder.path().join("data"), "127.0.0.1:0")
        .args(["--log", "trace", "--jwt-secret-file", secret.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&log_file).unwrap())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(server.stdout.take().unwrap()), &mut line)
        .unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap();
    let agent = Agent::start();
    let token = token("ann", &[]);
    agent.connect("a", url, json!({"token": token, "client_id": client_id(1)}));
    let refused: Value = agent.connect("b", url, json!({"token": format!("{token}x")}));
    assert_eq!(refused["connected"], false);
    agent.ask("a", "sync:push", push("user:ann", None, &[create(1, "d", "canary of the contents")]));
    agent.ask("a", "sync:push", push("user:bob", None, &[create(2, "d", "canary of the contents")]));
    let state = json!({"room": "user:ann", "state": {"mood": "canary of the presence"}});
    agent.ask("a", "presence:join", state);
    let newer = sign(&json!({"sub": "ann", "exp": now_s() + 7200, "jti": "newer"}), SECRET);
    for token in [newer.clone(), format!("{newer}x")] {
        agent.ask("a", "auth:refresh", json!({"token": token}));
    }
    agent.ask("a", "auth:refresh", json!({"token": 7, "canary of the malformed": 1}));
    server.kill().unwrap();
    server.wait().unwrap();
    let log = std::fs::read_to_string(&log_file).unwrap();
    assert!(log.contains("a handshake was refused"), "the log was on");
    assert!(log.contains("audit: denied"), "denials are told");
    for canary in [token.as_str(), newer.as_str(), SECRET, "canary of the"] {
        assert!(!log.contains(canary), "{canary}");
    }
}

#[test]
fn the_settings_in_force_are_printed_without_what_is_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("syncline.toml");
    std::fs::write(&file, "jwt_secret_file = '/run/secret'\n[connection]\nping_interval_ms = 1000\n")
        .unwrap();
    let run = |arguments: &[&str]| {
        let output = command(folder.path(), "127.0.0.1:7000")
            .arg("--config")
            .arg(&file)
            .env("SYNCLINE_CONNECTION__PING_TIMEOUT_MS", "2000")
            .args(arguments)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, printed, _) = run(&["--set", "hub.page_bytes_max=77", "config"]);
    assert_eq!(code, Some(0));
    for line in [
        "listen = \"127.0.0.1:7000\"",
        "jwt_secret_file = \"/run/secret\"",
        "ping_interval_ms = 1000",
        "ping_timeout_ms = 2000",
        "presence_lease_ms = 4000",
        "page_bytes_max = 77",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line} in {printed}");
    }
    let (code, _, reason) = run(&["--set", "hub.page_bytes=77"]);
    assert_eq!(code, Some(2));
    assert!(reason.contains("hub.page_bytes"), "{reason}");
}
