//! Servers, as processes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;
use syncline_integration::SECRET;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::{Process, free_address};
use crate::{GRACE_MS, LEASE_MS};

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
}

impl Node {
    pub fn start(data: &Path, storage: &str, redis: &str) -> Self {
        std::fs::create_dir_all(data).unwrap();
        std::fs::write(data.join("secret"), SECRET).unwrap();
        let (storage, redis) = (storage.to_owned(), redis.to_owned());
        let mut node =
            Self { process: None, address: free_address(), data: data.to_path_buf(), storage, redis };
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
        ] {
            command.arg("--set").arg(format!("{setting}={value}"));
        }
        command.stdout(Stdio::null());
        self.process = Some(Process::start(&mut command, self.address));
    }

    /// What `/health` says.
    pub async fn health(&self) -> Json {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET /health HTTP/1.0\r\nhost: {}\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").expect("an answer has a body");
        serde_json::from_str(body).unwrap()
    }
}

/// The server's command.
pub fn server() -> Command {
    let binary = std::env::var_os(BINARY_VARIABLE)
        .unwrap_or_else(|| panic!("{BINARY_VARIABLE} names the server, as scripts/test cluster sets it"));
    Command::new(binary)
}
