//! npm's client, in a process of its own: `server/tests/npm/agent.mjs`.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value as Json, json};
use syncline_integration::{PATIENCE, token};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Stock Socket.IO clients, by name; killed when dropped.
pub struct Agent {
    _child: Child,
    input: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    next_id: u64,
}

impl Agent {
    pub fn start() -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../server/tests/npm");
        assert!(
            folder.join("node_modules/socket.io-client").is_dir(),
            "npm's client is missing: run `npm ci` in {}",
            folder.display()
        );
        let mut command = Command::new("node");
        command.arg(folder.join("agent.mjs")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { _child: child, input, answers: BufReader::new(output).lines(), next_id: 1 }
    }

    /// One command at a time.
    pub async fn call(&mut self, command: &str, mut rest: Json) -> Json {
        let id = self.next_id;
        self.next_id += 1;
        rest["id"] = id.into();
        rest["command"] = command.into();
        self.input.write_all(format!("{rest}\n").as_bytes()).await.unwrap();
        let line = tokio::time::timeout(PATIENCE, self.answers.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("no answer to {rest}")).unwrap().unwrap();
        let answer: Json = serde_json::from_str(&line).unwrap();
        assert_eq!(answer["id"], id);
        assert!(answer.get("error").is_none(), "{rest}: {answer}");
        answer["answer"].clone()
    }

    /// A client of a user, which connects again by itself, over a WebSocket as clusters need it.
    pub async fn connect(&mut self, name: &str, url: &str, rooms: &[&str]) {
        let answer = self.try_to_connect(name, url, rooms).await;
        assert_eq!(answer["connected"], true, "{answer}");
    }

    /// The same, whatever the answer.
    pub async fn try_to_connect(&mut self, name: &str, url: &str, rooms: &[&str]) -> Json {
        let auth = json!({"token": token(name, rooms)});
        let rest = json!({
            "name": name, "url": url, "auth": auth, "transports": ["websocket"], "reconnection": true,
        });
        self.call("connect", rest).await
    }

    /// A plain request.
    pub async fn ask(&mut self, name: &str, event: &str, plain: Json) -> Json {
        let answer = self.call("emit", json!({"name": name, "event": event, "plain": plain})).await;
        answer["value"].clone()
    }

    /// The next event of a name.
    pub async fn next(&mut self, name: &str, event: &str) -> Json {
        self.call("next", json!({"name": name, "event": event})).await["value"].clone()
    }
}
