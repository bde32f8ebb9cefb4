//! A process that listens, and says where in its first line.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::scenario::BenchError;

/// What it prints when it takes connections, before its address.
const LISTENING: &str = "listening on ";

/// A running one; ends when it is dropped, with all that it has.
#[derive(Debug)]
pub(crate) struct Listening {
    child: Child,
    url: String,
}

impl Listening {
    /// Starts a command; `name` is what an error calls it.
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Self, BenchError> {
        let spawned = command.stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| BenchError::failed(name, error))?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        // Made first: it ends the process if this fails.
        let mut listening = Self { child, url: String::new() };
        let url = line.trim().strip_prefix(LISTENING);
        url.ok_or_else(|| BenchError::failed(name, "did not start"))?.clone_into(&mut listening.url);
        Ok(listening)
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
