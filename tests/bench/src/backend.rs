//! A Socket.IO backend in a process of its own.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::listening::Listening;
use crate::scenario::BenchError;

const NAME: &str = "the backend";
const SCRIPT: &str = "socketio_server.mjs";

/// A running backend; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Backend(Listening);

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
        // It ends with its input.
        Listening::start(NAME, command.stdin(Stdio::piped())).map(Self)
    }

    pub(crate) fn url(&self) -> &str {
        self.0.url()
    }
}
