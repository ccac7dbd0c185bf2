//! `trial verify`: is a run the same in another process, and with messages as bytes?

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use trial_reports::RunRecord;
use trial_scenarios::catalog;

use crate::args::Verify;
use crate::out::say;

/// The three ways that must give one hash, as arguments to `trial run`.
const WAYS: [(&str, &[&str]); 3] =
    [("first process", &[]), ("second process", &[]), ("messages as bytes", &["--wire", "bytes"])];

/// Compares; true if every scenario's hashes are equal.
pub fn verify(verify: &Verify) -> Result<bool> {
    let names: Vec<&str> = match &verify.scenario {
        Some(name) => {
            crate::input::scenario(name)?;
            vec![name]
        }
        None => catalog::FILES.iter().map(|(name, _)| *name).collect(),
    };
    let mut equal = true;
    for name in names {
        equal &= compare(name, verify.seed)?;
    }
    Ok(equal)
}

fn compare(scenario: &str, seed: u64) -> Result<bool> {
    let records = WAYS.map(|(_, wire)| record(scenario, seed, wire));
    let [first, rest @ ..] = records;
    let first = first?;
    for (other, (way, wire)) in rest.into_iter().zip(&WAYS[1..]) {
        let other = other?;
        if other.trace_hash == first.trace_hash {
            continue;
        }
        say!(
            "{scenario:<20} seed {seed} DIFFERS: {} in the first process, {} with {way}",
            first.trace_hash,
            other.trace_hash
        );
        print_difference(scenario, seed, wire, &first, &other)?;
        return Ok(false);
    }
    say!(
        "{scenario:<20} seed {seed:<6} {} equal in two processes and with messages as bytes",
        first.trace_hash
    );
    Ok(true)
}

/// Finds the stretch between two checkpoints in which the runs part, runs both again for its events, and names the first
/// that differs.
fn print_difference(
    scenario: &str,
    seed: u64,
    wire: &[&str],
    first: &RunRecord,
    other: &RunRecord,
) -> Result<()> {
    let equal = first.checkpoints.iter().zip(&other.checkpoints).take_while(|(a, b)| a == b).count();
    let from = equal.checked_sub(1).map_or(0, |i| first.checkpoints[i].0) + 1;
    let to = first.checkpoints.get(equal).map_or(first.events.max(other.events), |c| c.0);
    let range = format!("{from}-{to}");
    let one = child(scenario, seed, &["--events", &range])?;
    let two = child(scenario, seed, &[&["--events", range.as_str()], wire].concat())?;
    match one.lines().zip(two.lines()).find(|(a, b)| a != b) {
        Some((a, b)) => say!("the first event that differs:\n  {a}\n  {b}"),
        None => say!("the events {range} are equal when run again: the difference does not repeat"),
    }
    Ok(())
}

fn record(scenario: &str, seed: u64, wire: &[&str]) -> Result<RunRecord> {
    let printed = child(scenario, seed, &[&["--json"], wire].concat())?;
    serde_json::from_str(&printed).context("reading the record of a child process")
}

fn child(scenario: &str, seed: u64, more: &[&str]) -> Result<String> {
    let program = std::env::current_exe().context("finding this program")?;
    let output = Command::new(program)
        .args(["run", scenario, "--seed", &seed.to_string()])
        .args(more)
        .stderr(Stdio::inherit())
        .output()
        .context("starting a child process")?;
    // 1 is a run whose verdict is bad: still a run to compare.
    if !matches!(output.status.code(), Some(0 | 1)) {
        bail!("the child process for {scenario} ended with {}", output.status);
    }
    String::from_utf8(output.stdout).context("reading a child process")
}
