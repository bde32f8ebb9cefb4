//! Servers, as processes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;
use syncline_integration::{PATIENCE, SECRET};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::{LOOK, Process, free_address};
use crate::services::Redis;
use crate::{GRACE_MS, LEASE_MS};

/// Who may ask a node's operator's questions.
const ADMIN_TOKEN: &str = "an admin token of the tests, long enough";

/// The variable that names the server's binary.
const BINARY_VARIABLE: &str = "SYNCLINE_SERVER_BIN";

/// The file with more settings, in a node's folder.
pub(crate) const SETTINGS: &str = "settings.toml";

/// One server of a cluster.
pub struct Node {
    process: Option<Process>,
    pub address: SocketAddr,
    data: PathBuf,
    storage: String,
    redis: String,
    redis_ca_file: Option<PathBuf>,
}

impl Node {
    pub fn start(data: &Path, storage: &str, redis: &Redis) -> Self {
        Self::start_believing(data, storage, redis, redis.ca_file())
    }

    /// One that believes Redis by these authorities, or by the system's.
    pub fn start_believing(data: &Path, storage: &str, redis: &Redis, ca_file: Option<&Path>) -> Self {
        std::fs::create_dir_all(data).unwrap();
        std::fs::write(data.join("secret"), SECRET).unwrap();
        std::fs::write(data.join("admin"), ADMIN_TOKEN).unwrap();
        let mut node = Self {
            process: None,
            address: free_address(),
            data: data.to_path_buf(),
            storage: storage.to_owned(),
            redis: redis.url(),
            redis_ca_file: ca_file.map(Path::to_path_buf),
        };
        node.resume();
        node
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("the node runs");
        process.kill();
    }

    /// SIGTERM. Answers the exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        let mut process = self.process.take().expect("the node runs");
        process.signal("TERM")
    }

    /// Starts it where it was.
    pub fn resume(&mut self) {
        let mut command = server();
        command.arg("--listen").arg(self.address.to_string()).arg("--data").arg(&self.data);
        command.arg("--jwt-secret-file").arg(self.data.join("secret"));
        if self.data.join(SETTINGS).exists() {
            command.arg("--config").arg(self.data.join(SETTINGS));
        }
        command.arg("--storage").arg(&self.storage).arg("--cluster").arg(&self.redis);
        for (setting, value) in [
            ("log", "warn".to_owned()),
            ("cluster.lease_ms", LEASE_MS.to_string()),
            ("cluster.heads_interval_ms", "1000".to_owned()),
            ("cluster.retry_ms_max", "500".to_owned()),
            ("cluster.drain_ms", "1500".to_owned()),
            ("presence.grace_ms", GRACE_MS.to_string()),
            ("operations.admin_token_file", self.data.join("admin").display().to_string()),
        ] {
            command.arg("--set").arg(format!("{setting}={value}"));
        }
        if let Some(ca_file) = &self.redis_ca_file {
            command.arg("--set").arg(format!("cluster.ca_file={}", ca_file.display()));
        }
        command.stdout(Stdio::null());
        self.process = Some(Process::start(&mut command, self.address));
    }

    /// What `/health` says.
    pub async fn health(&self) -> Json {
        let answer = self.ask("GET /health", "").await;
        let (_, body) = answer.split_once("\r\n\r\n").expect("an answer has a body");
        serde_json::from_str(body).unwrap()
    }

    /// Waits until `/health` is as wanted.
    pub async fn until_health(&self, what: &str, condition: impl Fn(&Json) -> bool) {
        let mut health = Json::Null;
        let waiting = async {
            while {
                health = self.health().await;
                !condition(&health)
            } {
                tokio::time::sleep(LOOK).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(waited.is_ok(), "never {what}: {health}");
    }

    /// Takes tokens back, as who runs this node does.
    pub async fn revoke(&self, what: &Json) {
        let body = what.to_string();
        let answer = self.ask("POST /admin/api/revoke", &body).await;
        assert!(answer.starts_with("HTTP/1.0 204"), "{answer}");
    }

    async fn ask(&self, method_and_path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "{method_and_path} HTTP/1.0\r\nhost: {}\r\nauthorization: Bearer {ADMIN_TOKEN}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

/// The server's command.
pub fn server() -> Command {
    let binary = std::env::var_os(BINARY_VARIABLE)
        .unwrap_or_else(|| panic!("{BINARY_VARIABLE} names the server, as scripts/test cluster sets it"));
    Command::new(binary)
}
