//! Benchmarks that compare: Syncline, its peers and the physical limit in one run, interleaved block by block.
//!
//! - [`scenario`]: what a scenario is; [`SCENARIOS`] lists them.
//! - [`contender`]: a contender is a process of its own, which runs a block when told to.
//! - [`run`]: the rounds; [`statistics`] and [`report`]: what comes of them.
//! - [`local_write`], [`live_query`], [`apply`], [`merge`], [`converge`], [`enqueue`], [`reopen`], [`drain`],
//!   [`footprint`], [`rtt`], [`cold_start`], [`ffi`], [`render`], [`push`], [`crowd`]: the scenarios.
//! - [`listening`], [`server`], [`backend`], [`device`]: real servers in processes of their own, and a client that remembers what it
//!   was told; [`process`]: what a process takes; [`document`]: what is written.

mod apply;
mod backend;
mod cold_start;
mod contender;
mod converge;
mod crowd;
mod device;
mod document;
mod drain;
mod enqueue;
mod ffi;
mod footprint;
mod listening;
mod live_query;
mod local_write;
mod merge;
mod process;
mod push;
mod render;
mod reopen;
mod report;
mod rtt;
mod run;
mod scenario;
mod server;
mod statistics;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use contender::Programs;
use scenario::{BenchError, Scenario};

/// All scenarios, by name.
const SCENARIOS: [&Scenario; 18] = [
    &local_write::SCENARIO,
    &live_query::SCENARIO,
    &apply::SCENARIO,
    &merge::SCENARIO,
    &converge::SCENARIO,
    &drain::SCENARIO,
    &footprint::SCENARIO,
    &enqueue::SCENARIO,
    &reopen::SCENARIO,
    &rtt::SCENARIO,
    &cold_start::SCENARIO,
    &ffi::SCENARIO,
    &render::SCENARIO,
    &push::SCENARIO,
    &crowd::FANOUT,
    &crowd::CONNECTIONS,
    &crowd::HERD,
    &crowd::PRESENCE,
];

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
    /// How many rounds to measure; each scenario has its own default
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: Option<u32>,
    /// The folder of the contenders that run in Node
    #[arg(long, hide = true, default_value = "tests/bench/peers")]
    peers: PathBuf,
    /// The server that scenarios with a network run against
    #[arg(long, hide = true, default_value = "target/fast/syncline-server")]
    server: PathBuf,
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
        return contend(name, directory, &arguments.server, &arguments.peers);
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
    let programs = Programs { peers: arguments.peers.clone(), server: arguments.server.clone() };
    let rounds = arguments.rounds.unwrap_or(scenario.rounds);
    let samples = run::rounds(scenario, rounds, &arguments.data, &programs)?;
    let report = report::Report::new(scenario, &samples);
    write!(out, "{report}")?;
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    }
    Ok(())
}

/// Is one of a scenario's own contenders: `scenario/contender`.
fn contend(name: &str, directory: &Path, server: &Path, peers: &Path) -> Result<(), BenchError> {
    match name.split('/').next() {
        Some("local-write") => local_write::contend(name, directory),
        Some("live-query") => live_query::contend(name, directory),
        Some("apply") => apply::contend(name, directory, server),
        Some("enqueue") => enqueue::contend(name, directory),
        Some("reopen") => reopen::contend(name, directory),
        Some("merge") => merge::contend(name),
        Some("drain") => drain::contend(name, directory, server, peers),
        Some("cold-start") => cold_start::contend(name, directory, server),
        Some("ffi") => ffi::contend(name),
        Some("rtt") => rtt::contend(name, directory, peers),
        Some("footprint") => footprint::contend(name, directory, peers),
        Some("fanout" | "connections" | "herd" | "presence") => {
            crowd::contend(name, directory, server, peers)
        }
        Some("push") => push::contend(name, directory),
        Some("converge") => converge::contend(name, directory, server),
        _ => Err(BenchError::failed(name, "is not known")),
    }
}
