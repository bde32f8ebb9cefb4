//! A contender is a process that reads an [`Order`] per line and answers each with an [`Answer`] on a line, so that
//! contenders in any language take turns in one run. Nothing runs in it between two orders.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::scenario::{BenchError, Contender, Program, Work};

/// How long one block may take.
const BLOCK_S_MAX: u64 = 300;

/// Where the programs are that a run starts.
#[derive(Debug)]
pub(crate) struct Programs {
    /// The folder of the contenders that run in Node.
    pub(crate) peers: PathBuf,
    /// The binary `syncline-server`.
    pub(crate) server: PathBuf,
}

/// Names this program to contenders in Node, for a backend that it can be.
const OWN_PROGRAM_VARIABLE: &str = "SYNCLINE_BENCH_BIN";

/// How long a contender may take to end what it started.
const END_S_MAX: u64 = 5;

/// Run one block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Its name, for contenders that do different things in different blocks.
    pub(crate) block: String,
    pub(crate) samples: usize,
    pub(crate) work: Work,
    /// What Syncline wrote to disk per operation, for whoever writes the same bytes.
    pub(crate) bytes: usize,
}

/// What a block took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// Each sample, per operation.
    pub(crate) values: Vec<f64>,
    /// For each further figure of the block, a value per sample.
    #[serde(default)]
    pub(crate) also: Vec<Vec<f64>>,
    /// What was written to disk per operation, where the contender can tell.
    #[serde(default)]
    pub(crate) bytes: Option<usize>,
}

/// A running contender; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    /// Closed to end it.
    orders: Option<ChildStdin>,
    answers: Receiver<std::io::Result<String>>,
}

impl Process {
    /// Starts a contender with its data in `directory`, which exists. `None` where it is not to be had.
    pub(crate) fn start(
        contender: &Contender,
        directory: &Path,
        programs: &Programs,
    ) -> Result<Option<Self>, BenchError> {
        let mut command = match contender.program {
            Program::Own(name) => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("--contender").arg(name).arg("--directory").arg(directory);
                command.arg("--server").arg(&programs.server).arg("--peers").arg(&programs.peers);
                command
            }
            Program::Node(script) => {
                let mut command = Command::new("node");
                command.arg(programs.peers.join(script)).arg(directory);
                command.env(OWN_PROGRAM_VARIABLE, std::env::current_exe()?);
                command
            }
            Program::Given(variable) => {
                let Some(program) = std::env::var_os(variable) else { return Ok(None) };
                let mut command = Command::new(program);
                command.arg(directory);
                command
            }
        };
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(orders), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(BenchError::failed(contender.name, "has no standard streams"));
        };
        let (lines, answers) = sync_channel(1);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Some(Self { name: contender.name, child, orders: Some(orders), answers }))
    }

    /// Has the contender run one block.
    pub(crate) fn run(&mut self, order: &Order) -> Result<Answer, BenchError> {
        let line = serde_json::to_string(order)?;
        let orders = self.orders.as_mut().ok_or_else(|| BenchError::failed(self.name, "it ended"))?;
        writeln!(orders, "{line}").map_err(|error| BenchError::failed(self.name, &error))?;
        let answer = self
            .answers
            .recv_timeout(Duration::from_secs(BLOCK_S_MAX))
            .map_err(|error| BenchError::failed(self.name, format!("no answer: {error}")))?;
        let answer: Answer =
            serde_json::from_str(&answer?).map_err(|error| BenchError::failed(self.name, error))?;
        for values in std::iter::once(&answer.values).chain(&answer.also) {
            if values.len() != order.samples {
                return Err(BenchError::failed(
                    self.name,
                    format!("{} samples of {}", values.len(), order.samples),
                ));
            }
        }
        Ok(answer)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It ends with its orders, and ends what it started; then its output ends.
        drop(self.orders.take());
        while self.answers.recv_timeout(Duration::from_secs(END_S_MAX)).is_ok() {}
        // It has nothing to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs one sample of this program's own in a process that ends with it: `said` goes to its standard input, and the
/// line that it answers is read as JSON.
pub(crate) fn in_new_process<T: DeserializeOwned>(
    name: &str,
    directory: &Path,
    said: &str,
) -> Result<T, BenchError> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--contender").arg(name).arg("--directory").arg(directory);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let answer = converse(&mut child, said);
    let ended = child.wait()?;
    serde_json::from_str(&answer?).map_err(|error| BenchError::failed(name, format!("{ended}, {error}")))
}

fn converse(child: &mut Child, said: &str) -> std::io::Result<String> {
    if let Some(mut input) = child.stdin.take() {
        writeln!(input, "{said}")?;
    }
    let mut line = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output).read_line(&mut line)?;
    }
    Ok(line)
}

/// The other side: answers orders from standard input with `run` until it closes.
pub(crate) fn serve(mut run: impl FnMut(&Order) -> Result<Answer, BenchError>) -> Result<(), BenchError> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer = run(&serde_json::from_str(&line?)?)?;
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
        out.flush()?;
    }
    Ok(())
}
