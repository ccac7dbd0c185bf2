//! `trial verify`: is a run the same in another process, and with messages as bytes?

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use trial_reports::RunRecord;
use trial_scenarios::{Variant, catalog};

use crate::args::Verify;
use crate::out::say;

/// The three ways that must give one hash, as arguments to `trial run`.
const WAYS: [(&str, &[&str]); 3] =
    [("first process", &[]), ("second process", &[]), ("messages as bytes", &["--wire", "bytes"])];

/// Compares; true if every scenario's hashes are equal.
pub fn verify(verify: &Verify) -> Result<bool> {
    let names: Vec<&str> = match &verify.scenario {
        Some(name) => vec![name],
        None => catalog::FILES.iter().map(|(name, _)| *name).collect(),
    };
    let mut equal = true;
    for name in names {
        for variant in crate::input::scenario(name)?.all_variants() {
            equal &= compare(&Chosen { scenario: name, variant, seed: verify.seed })?;
        }
    }
    Ok(equal)
}

/// Which run to repeat.
struct Chosen<'a> {
    scenario: &'a str,
    variant: Variant,
    seed: u64,
}

impl Chosen<'_> {
    /// As it is shown.
    fn name(&self) -> String {
        match self.variant.to_string().as_str() {
            "" => format!("{:<20} seed {:<6}", self.scenario, self.seed),
            variant => format!("{:<20} seed {:<6} {variant}", self.scenario, self.seed),
        }
    }
}

fn compare(chosen: &Chosen<'_>) -> Result<bool> {
    let records = WAYS.map(|(_, wire)| record(chosen, wire));
    let [first, rest @ ..] = records;
    let first = first?;
    for (other, (way, wire)) in rest.into_iter().zip(&WAYS[1..]) {
        let other = other?;
        if other.trace_hash == first.trace_hash {
            continue;
        }
        say!(
            "{} DIFFERS: {} in the first process, {} with {way}",
            chosen.name(),
            first.trace_hash,
            other.trace_hash
        );
        print_difference(chosen, wire, &first, &other)?;
        return Ok(false);
    }
    say!("{} {} equal in two processes and with messages as bytes", chosen.name(), first.trace_hash);
    Ok(true)
}

/// Finds the stretch between two checkpoints in which the runs part, runs both again for its events, and names the first
/// that differs.
fn print_difference(chosen: &Chosen<'_>, wire: &[&str], first: &RunRecord, other: &RunRecord) -> Result<()> {
    let equal = first.checkpoints.iter().zip(&other.checkpoints).take_while(|(a, b)| a == b).count();
    let from = equal.checked_sub(1).map_or(0, |i| first.checkpoints[i].0) + 1;
    let to = first.checkpoints.get(equal).map_or(first.events.max(other.events), |c| c.0);
    let range = format!("{from}-{to}");
    let one = child(chosen, &["--events", &range])?;
    let two = child(chosen, &[&["--events", range.as_str()], wire].concat())?;
    match one.lines().zip(two.lines()).find(|(a, b)| a != b) {
        Some((a, b)) => say!("the first event that differs:\n  {a}\n  {b}"),
        None => say!("the events {range} are equal when run again: the difference does not repeat"),
    }
    Ok(())
}

fn record(chosen: &Chosen<'_>, wire: &[&str]) -> Result<RunRecord> {
    let printed = child(chosen, &[&["--json"], wire].concat())?;
    serde_json::from_str(&printed).context("reading the record of a child process")
}

fn child(chosen: &Chosen<'_>, more: &[&str]) -> Result<String> {
    let program = std::env::current_exe().context("finding this program")?;
    let output = Command::new(program)
        .args(["run", chosen.scenario, "--seed", &chosen.seed.to_string()])
        .args(crate::run::variant_arguments(chosen.variant))
        .args(more)
        .stderr(Stdio::inherit())
        .output()
        .context("starting a child process")?;
    // 1 is a run whose verdict is bad: still a run to compare.
    if !matches!(output.status.code(), Some(0 | 1)) {
        bail!("the child process for {} ended with {}", chosen.scenario, output.status);
    }
    String::from_utf8(output.stdout).context("reading a child process")
}
