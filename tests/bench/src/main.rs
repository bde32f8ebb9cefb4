//! Benchmarks that compare: Syncline, its peers and the physical limit in one run, interleaved block by block.
//!
//! - [`scenario`]: what a scenario is; [`SCENARIOS`] lists them.
//! - [`contender`]: a contender is a process of its own, which runs a block when told to.
//! - [`run`]: the rounds; [`statistics`] and [`report`]: what comes of them.
//! - [`local_write`], [`live_query`]: the scenarios.

mod contender;
mod live_query;
mod local_write;
mod report;
mod run;
mod scenario;
mod statistics;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use scenario::{BenchError, Scenario};

/// All scenarios, by name.
const SCENARIOS: [&Scenario; 2] = [&local_write::SCENARIO, &live_query::SCENARIO];

const EXIT_USAGE: u8 = 2;

/// Runs Syncline, its peers and the physical limit side by side, and prints the ratios.
#[derive(Debug, Parser)]
#[command(name = "scripts/bench")]
struct Arguments {
    /// Which scenario to run
    #[arg(required_unless_present_any = ["list", "contender"])]
    scenario: Option<String>,
    /// Print the scenarios, a line each
    #[arg(long)]
    list: bool,
    /// Print one JSON object on the last line
    #[arg(long)]
    json: bool,
    /// How many rounds to measure
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// The folder of the contenders that run in Node
    #[arg(long, hide = true, default_value = "tests/bench/peers")]
    peers: PathBuf,
    /// Where data is written, on the disk to be measured
    #[arg(long, default_value = "target")]
    data: PathBuf,
    /// Be a contender: answer blocks on standard input, with data in this folder
    #[arg(long, hide = true, requires = "directory")]
    contender: Option<String>,
    #[arg(long, hide = true)]
    directory: Option<PathBuf>,
}

fn main() -> ExitCode {
    match start(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "bench: {error}");
            let usage = matches!(error, BenchError::UnknownScenario { .. });
            if usage { ExitCode::from(EXIT_USAGE) } else { ExitCode::FAILURE }
        }
    }
}

fn start(arguments: &Arguments) -> Result<(), BenchError> {
    let mut out = std::io::stdout().lock();
    if let (Some(name), Some(directory)) = (&arguments.contender, &arguments.directory) {
        let contend = if name.starts_with(live_query::SCENARIO.name) {
            live_query::contend
        } else {
            local_write::contend
        };
        return contend(name, directory);
    }
    if arguments.list {
        for scenario in SCENARIOS {
            writeln!(out, "{:12} {}", scenario.name, scenario.description)?;
        }
        return Ok(());
    }
    let name = arguments.scenario.as_deref().unwrap_or_default();
    let scenario = SCENARIOS.into_iter().find(|scenario| scenario.name == name).ok_or_else(|| {
        let known = SCENARIOS.map(|scenario| scenario.name).join(", ");
        BenchError::UnknownScenario { name: name.to_owned(), known }
    })?;
    let samples = run::rounds(scenario, arguments.rounds, &arguments.data, &arguments.peers)?;
    let report = report::Report::new(scenario, &samples);
    write!(out, "{report}")?;
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    }
    Ok(())
}
