//! What a run comes to, for people and as JSON.

use std::fmt;

use serde::Serialize;

use crate::run::Samples;
use crate::scenario::{Goal, Scenario};
use crate::statistics::{median, quantile};

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    scenario: &'static str,
    rows: Vec<Row>,
    ratios: Vec<Ratio>,
}

/// One contender in one kind of block, over all rounds.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    unit: &'static str,
    median: f64,
    p10: f64,
    p90: f64,
}

/// Two contenders, paired per round; or one alone.
#[derive(Debug, PartialEq, Serialize)]
struct Ratio {
    name: String,
    median: f64,
    goal: String,
    met: bool,
}

impl Report {
    pub(crate) fn new(scenario: &Scenario, samples: &Samples) -> Self {
        let mut rows = Vec::new();
        for (place, figure) in scenario.figures().enumerate() {
            for (index, contender) in scenario.contenders.iter().enumerate() {
                let values = samples.of(index, place);
                // Of a contender that was not to be had.
                if values.is_empty() {
                    continue;
                }
                rows.push(Row {
                    name: format!("{}: {}", figure.name, contender.name),
                    unit: figure.unit,
                    median: rounded(median(values)),
                    p10: rounded(quantile(values, 0.1)),
                    p90: rounded(quantile(values, 0.9)),
                });
            }
        }
        let ratios = scenario.goals.iter().filter_map(|goal| ratio(scenario, samples, goal)).collect();
        Self { scenario: scenario.name, rows, ratios }
    }
}

/// `None` when a goal names nobody, or somebody who was not to be had.
fn ratio(scenario: &Scenario, samples: &Samples, goal: &Goal) -> Option<Ratio> {
    let contender = |name| scenario.contenders.iter().position(|contender| contender.name == name);
    let figure = scenario.figures().position(|figure| figure.name == goal.figure)?;
    let over = samples.of(contender(goal.over)?, figure);
    if over.is_empty() {
        return None;
    }
    let (median, under) = match goal.under {
        Some(name) => {
            let under = samples.of(contender(name)?, figure);
            let paired: Vec<f64> = over.iter().zip(under).map(|(over, under)| over / under).collect();
            (median(&paired), format!(" / {name}"))
        }
        None => (median(over), String::new()),
    };
    Some(Ratio {
        name: format!("{}: {}{under}", goal.figure, goal.over),
        median: rounded(median),
        goal: goal.bound.to_string(),
        met: goal.bound.is_met(median),
    })
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.rows.iter().map(|row| &row.name).chain(self.ratios.iter().map(|ratio| &ratio.name));
        let width = names.map(|name| name.chars().count()).max().unwrap_or(0);
        writeln!(f, "{}", self.scenario)?;
        writeln!(f, "  {:width$}  {:>10}  {:>10}  {:>10}", "", "median", "p10", "p90")?;
        for Row { name, unit, median, p10, p90 } in &self.rows {
            writeln!(f, "  {name:width$}  {median:>10.2}  {p10:>10.2}  {p90:>10.2}  {unit}")?;
        }
        writeln!(f, "  {:width$}  {:>10}  {:>10}", "goals, ratios paired per round", "median", "goal")?;
        for Ratio { name, median, goal, met } in &self.ratios {
            let met = if *met { "met" } else { "MISSED" };
            writeln!(f, "  {name:width$}  {median:>10.2}  {goal:>10}  {met}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Block, Bound, Contender, Figure, Program, Work};

    const BYTES: Figure = Figure { name: "bytes", unit: "bytes" };
    const SCENARIO: Scenario = Scenario {
        name: "test",
        description: "",
        contenders: &[
            Contender { name: "a", program: Program::Own("a") },
            Contender { name: "b", program: Program::Own("b") },
        ],
        blocks: &[Block { name: "one", samples: 1, work: Work::One, unit: "µs", also: &[BYTES] }],
        rounds: 3,
        goals: &[
            Goal { figure: "one", over: "a", under: Some("b"), bound: Bound::AtMost(2.0) },
            Goal { figure: "one", over: "b", under: Some("a"), bound: Bound::AtLeast(0.6) },
            Goal { figure: "one", over: "a", under: Some("nobody"), bound: Bound::AtLeast(0.0) },
            Goal { figure: "bytes", over: "b", under: None, bound: Bound::AtMost(64.0) },
        ],
    };

    #[test]
    fn ratios_are_paired_before_the_median_is_taken() {
        let mut samples = Samples::new(2, 2);
        for (a, b) in [(2.0, 1.0), (30.0, 10.0), (4.0, 4.0)] {
            samples.push(0, 0, a);
            samples.push(1, 0, b);
            samples.push(0, 1, 1.0);
            samples.push(1, 1, 64.0);
        }
        let report = Report::new(&SCENARIO, &samples);
        let ratio =
            |name: &str, median, goal: &str, met| Ratio { name: name.into(), median, goal: goal.into(), met };
        let expected = [
            ratio("one: a / b", 2.0, "<= 2", true),
            ratio("one: b / a", 0.5, ">= 0.6", false),
            ratio("bytes: b", 64.0, "<= 64", true),
        ];
        assert_eq!(report.ratios, expected);
        assert_eq!(report.rows[0].median, 4.0);
    }
}
