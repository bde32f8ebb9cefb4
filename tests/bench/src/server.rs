//! The real server, in a process of its own, with its data in a folder.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use syncline_server::auth::Authenticator;

use crate::scenario::BenchError;

const NAME: &str = "syncline-server";
const SECRET: &[u8] = b"a secret that nothing but a benchmark uses";
const SECRET_FILE: &str = "secret";
const DATA_FOLDER: &str = "data";
/// What the server prints when it takes connections, before its address.
const LISTENING: &str = "listening on ";
/// The rooms that a token is for, and how long it lasts.
const ROOMS: &str = "list:*";
const TOKEN_S: u64 = 24 * 60 * 60;

/// A running server; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// Starts the binary on a free port of loopback, with its data in `directory`, which exists.
    pub(crate) fn start(binary: &Path, directory: &Path) -> Result<Self, BenchError> {
        let secret = directory.join(SECRET_FILE);
        std::fs::write(&secret, SECRET)?;
        let mut command = Command::new(binary);
        command.args(["--listen", "127.0.0.1:0", "--log", "warn"]);
        command.arg("--data").arg(directory.join(DATA_FOLDER)).arg("--jwt-secret-file").arg(secret);
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| BenchError::failed(NAME, error))?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        // Made first: it ends the process if this fails.
        let mut server = Self { child, url: String::new() };
        let url =
            line.trim().strip_prefix(LISTENING).ok_or_else(|| BenchError::failed(NAME, "did not start"))?;
        url.clone_into(&mut server.url);
        Ok(server)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A token for every room whose name begins with `list:`.
    pub(crate) fn token(user: &str) -> Result<String, BenchError> {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let issued = Authenticator::new(SECRET, 0).issue(
            user,
            vec![ROOMS.to_owned()],
            since_epoch.as_secs() + TOKEN_S,
        );
        issued.map_err(|error| BenchError::failed(NAME, error))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its data is thrown away.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
