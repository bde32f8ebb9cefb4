//! Runs the simulation over a range of seeds, or looks for deliberate bugs with it.

use std::ops::Range;
use std::process::ExitCode;

use clap::Parser;
use syncline_protocol::sabotage::Sabotage;
use syncline_simulation::farm;
use syncline_simulation::run::Report;

/// The client, the server's room logic, a disk and a network in simulated time, with faults that a seed chooses.
#[derive(Debug, Parser)]
#[command(name = "syncline-simulation")]
struct Arguments {
    /// Seeds to run, as `0..1000`; the end is not included.
    #[arg(long, default_value = "0..100", value_parser = parse_seeds)]
    seeds: Range<u64>,
    /// Prints what happens. Best with a single seed.
    #[arg(long)]
    trace: bool,
    /// Makes one deliberate bug happen, or each of them in turn with `all`, and looks for the first seed that finds it.
    #[arg(long, value_name = "NAME")]
    sabotage: Option<String>,
}

fn parse_seeds(text: &str) -> Result<Range<u64>, String> {
    let parts = text.split_once("..").ok_or("seeds are given as FIRST..END")?;
    let number = |part: &str| part.parse::<u64>().map_err(|error| format!("{part}: {error}"));
    let seeds = number(parts.0)?..number(parts.1)?;
    if seeds.is_empty() { Err("there is no seed in this range".to_owned()) } else { Ok(seeds) }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    farm::keep_panics_quiet();
    let passed = match &arguments.sabotage {
        Some(name) => hunt(name, &arguments.seeds),
        None => simulate(arguments.seeds, arguments.trace),
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn simulate(seeds: Range<u64>, trace: bool) -> bool {
    let harvest = farm::run_all(seeds, trace, tell);
    println!(
        "simulated {:.1} device-hours, {} seeds, {} failures, {:.0} times real time",
        harvest.device_hours(),
        harvest.seeds,
        harvest.failures.len(),
        harvest.times_real_time()
    );
    harvest.failures.is_empty()
}

fn tell(report: &Report) {
    let Report { seed, failure, .. } = report;
    let what = failure.as_ref().map(ToString::to_string).unwrap_or_default();
    let end = seed + 1;
    println!(
        "seed {seed} failed: {what}\n  cargo run --release -p syncline-simulation -- --seeds {seed}..{end} --trace"
    );
}

/// Whether every bug asked for is found.
fn hunt(name: &str, seeds: &Range<u64>) -> bool {
    let bugs: Vec<Sabotage> =
        Sabotage::ALL.iter().copied().filter(|bug| name == "all" || bug.name() == name).collect();
    if bugs.is_empty() {
        let names: Vec<&str> = Sabotage::ALL.iter().map(|bug| bug.name()).collect();
        eprintln!("there is no bug named {name}; there are: {}", names.join(", "));
        return false;
    }
    let mut all_caught = true;
    for bug in bugs {
        match farm::first_to_catch(bug, seeds.clone()) {
            Some(report) => {
                println!("{} caught by seed {}", bug.name(), report.seed);
                if let Some(failure) = report.failure.filter(|_| name != "all") {
                    println!("  {failure}");
                }
            }
            None => {
                println!("{} NOT caught", bug.name());
                all_caught = false;
            }
        }
    }
    all_caught
}
