//! Settings that are read again while the server runs.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::{Agent, STEP_TIMEOUT, ServerProcess, client_id, create, now_s, push, sign, token};

const ROOM: &str = "list:1";

struct Settings {
    file: PathBuf,
    schema: PathBuf,
    log: PathBuf,
}

impl Settings {
    fn in_folder(folder: &Path) -> Self {
        let at = |name: &str| folder.join(name);
        let settings = Self { file: at("server.toml"), schema: at("todos.json"), log: at("log") };
        settings.write(r#"["read", "write"]"#, "");
        settings.limit_titles(20);
        settings
    }

    /// What is allowed in a list, and more settings.
    fn write(&self, allow: &str, more: &str) {
        let schema = self.schema.display();
        let text = format!(
            "schemas.todos.file = \"{schema}\"\n{more}\n\
             [[security.rules]]\nroom = \"list:{{list}}\"\nallow = {allow}\n"
        );
        std::fs::write(&self.file, text).unwrap();
    }

    fn limit_titles(&self, length_max: u32) {
        let schema = json!({"properties": {"title": {"maxLength": length_max}}});
        std::fs::write(&self.schema, schema.to_string()).unwrap();
    }

    fn serve(&self, folder: &Path) -> ServerProcess {
        let flags = ["--config", self.file.to_str().unwrap(), "--log", "info"];
        ServerProcess::start_logging(folder, &flags, &self.log)
    }

    /// Waits for a line of the log to come for the given time.
    fn until_logged(&self, text: &str, times: usize) -> String {
        let started = Instant::now();
        loop {
            assert!(started.elapsed() < STEP_TIMEOUT, "{text} is not logged");
            let log = std::fs::read_to_string(&self.log).unwrap();
            if log.matches(text).count() >= times {
                return log;
            }
            std::thread::yield_now();
        }
    }
}

fn title(agent: &Agent, seq: u64, length: usize) -> Value {
    let made = create(seq, &format!("d{seq}"), "x".repeat(length));
    let answer = agent.ask("a", "sync:push", push(ROOM, None, &[made]));
    answer["results"][0]["status"].clone()
}

/// A server with these settings, and a client of it.
fn served(folder: &Path) -> (Settings, ServerProcess, Agent) {
    let settings = Settings::in_folder(folder);
    let server = settings.serve(folder);
    let agent = Agent::start();
    agent.connect("a", &server.url, json!({"token": token("ann", &[]), "client_id": client_id(1)}));
    (settings, server, agent)
}

#[test]
fn a_hangup_takes_over_schemas_and_rules_and_names_what_needs_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (settings, server, agent) = served(folder.path());
    agent.ask("a", "sync:subscribe", json!({"room": ROOM, "cursor": 0}));
    assert_eq!(title(&agent, 1, 30), "rejected");

    settings.limit_titles(40);
    settings.write(r#"["write"]"#, "connection.ping_timeout_ms = 21000");
    assert_eq!(title(&agent, 2, 30), "rejected", "nothing changes by itself");
    server.signal("HUP");
    assert_eq!(agent.next("a", "access:lost")["value"]["lost"], json!(["read"]));
    assert_eq!(title(&agent, 3, 30), "applied");
    let log = settings.until_logged("need a restart", 1);
    assert!(log.contains("connection.ping_timeout_ms"), "{log}");
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn settings_that_cannot_be_used_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (settings, server, agent) = served(folder.path());
    let breaks: [&dyn Fn(); 3] = [
        &|| settings.write(r#"["everything"]"#, ""),
        &|| std::fs::write(&settings.file, "half a sett").unwrap(),
        &|| {
            settings.write("[]", "");
            settings.limit_titles(40);
        },
    ];
    for (index, break_it) in breaks.iter().enumerate() {
        break_it();
        server.signal("HUP");
        settings.until_logged("nothing is taken over", index + 1);
        let seq = u64::try_from(index).unwrap() * 2 + 1;
        assert_eq!(
            (title(&agent, seq, 30), title(&agent, seq + 1, 5)),
            ("rejected".into(), "applied".into())
        );
    }
    let other = sign(&json!({"sub": "bob", "exp": now_s() + 60}), crate::support::SECRET);
    assert_eq!(agent.connect("b", &server.url, json!({"token": other}))["connected"], true);
}
