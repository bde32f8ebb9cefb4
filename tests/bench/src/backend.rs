//! A Socket.IO backend in a process of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::scenario::BenchError;

const NAME: &str = "the backend";
const SCRIPT: &str = "socketio_server.mjs";

/// A running backend; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Backend {
    child: Child,
    url: String,
}

impl Backend {
    /// An ordinary one on npm `socket.io`: the script in the folder of peers, for clients of this parser, `json` or `msgpack`.
    pub(crate) fn npm(peers: &Path, parser: &str) -> Result<Self, BenchError> {
        let mut command = Command::new("node");
        command.arg(peers.join(SCRIPT)).arg(parser);
        Self::start(command)
    }

    /// One that this program is, when it is told that name.
    pub(crate) fn own(name: &str) -> Result<Self, BenchError> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--contender", name, "--directory", "."]);
        Self::start(command)
    }

    fn start(mut command: Command) -> Result<Self, BenchError> {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| BenchError::failed(NAME, error))?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        // Made first: it ends the process if this fails.
        let mut server = Self { child, url: String::new() };
        let url = line.trim().strip_prefix("listening on ");
        url.ok_or_else(|| BenchError::failed(NAME, "did not start"))?.clone_into(&mut server.url);
        Ok(server)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        // It has nothing to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
