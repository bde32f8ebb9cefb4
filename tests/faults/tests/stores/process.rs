//! A process of this crate's own binary.

use std::ffi::OsStr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// How long a process may be silent when something is expected of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process, and what it says. It ends with its handle.
pub(crate) struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// Its end would end the process.
    _input: Option<ChildStdin>,
}

impl Process {
    /// Starts the binary with a role and what it needs.
    pub(crate) fn start<A: AsRef<OsStr>>(role: &str, arguments: impl IntoIterator<Item = A>) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_syncline-faults"))
            .arg(role)
            .args(arguments)
            // Of many threads, glibc lets each keep what it freed: memory that says nothing of the client.
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let input = child.stdin.take();
        Self { child, lines, _input: input }
    }

    /// The next line, or `None` at the end.
    pub(crate) async fn hear(&mut self) -> Option<String> {
        self.hear_after("nothing").await
    }

    /// The next line; `last` is the one before, for the complaint if there is none.
    pub(crate) async fn hear_after(&mut self, last: &str) -> Option<String> {
        let heard = timeout(PATIENCE, self.lines.next_line()).await;
        heard.unwrap_or_else(|_| panic!("the process hangs, it said last: {last}")).unwrap()
    }

    /// Ends it with SIGKILL. It must not have ended by itself.
    pub(crate) async fn kill(&mut self) {
        self.child.start_kill().unwrap();
        let status = self.child.wait().await.unwrap();
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(signal, Some(9), "it ended by itself: {status}");
    }

    pub(crate) async fn end(&mut self) -> ExitStatus {
        self.child.wait().await.unwrap()
    }
}
