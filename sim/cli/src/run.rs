//! `trial run`.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use trial_net::engine::{Driver, Tcp, Turmoil};
use trial_reports::{
    Distribution, JunitBroken, JunitRun, Latencies, OutsideTraffic, RunRecord, Series, Timeline,
    Transactions, Verdict,
};
use trial_scenarios::{Finished, Member, Run as ScenarioRun, RunOptions, Scenario, Variant};
use trial_world::Engine as Carries;

use crate::args::{Engine, GroupProtocol, Run, Seeds, VariantArgs, Wire};
use crate::input::{self, HistoryForm};
use crate::out::{complain, say};

/// What there is to say in JUnit XML.
#[derive(Default)]
struct Suites {
    /// The runs that have ended.
    ended: Vec<(Variant, RunRecord)>,
    /// The run that goes on: its scenario with the variant, its seed, and the command that repeats it.
    under_way: Option<(String, u64, String)>,
}

/// Runs what was asked for; true if everything held.
pub fn run(run: &Run) -> Result<bool> {
    let mut suites = Suites::default();
    // A CI server publishes the file whatever happens: it never has what an earlier run has left there.
    write_junit(run, &suites, Some("it did not come to its end"))?;
    let outcome = carry(run, &mut suites);
    let broken = outcome.as_ref().err().map(|error| format!("{error:#}"));
    let written = write_junit(run, &suites, broken.as_deref());
    match (outcome, suites.under_way) {
        (Err(error), Some((_, _, repeat))) if run.seeds.is_some() => {
            Err(error.context(format!("repeat: {repeat}")))
        }
        (Err(error), _) => Err(error),
        (Ok(passed), _) => written.map(|()| passed),
    }
}

fn carry(run: &Run, suites: &mut Suites) -> Result<bool> {
    ensure!(
        run.engine == Engine::World || run.wire == Wire::Typed,
        "--wire bytes is for the engine world; on sockets messages are bytes anyway"
    );
    let scenario = input::scenario(&run.scenario)?.choose(wanted(run.variant))?;
    let mut options = RunOptions {
        seed: run.seed,
        wire: match run.wire {
            Wire::Typed => trial_scenarios::Wire::Typed,
            Wire::Bytes => trial_scenarios::Wire::Bytes,
        },
        corpus: run.corpus.as_deref().map(input::corpus).transpose()?,
        events: run.events.map(|range| (range.first, range.last)),
        history: run.history.is_some(),
        outside: None,
    };
    let history = run.history.as_deref().map(input::history_form).transpose()?;
    if let Some(note) = long(&scenario, run.engine) {
        complain!("note: {}: {note}", run.scenario);
    }
    if let Some(seeds) = run.seeds {
        return many(run, &scenario, &mut options, seeds, suites);
    }
    let folder = match (&run.report, run.json || run.events.is_some()) {
        (Some(folder), _) => Some(folder.clone()),
        (None, true) => None,
        (None, false) => Some(default_folder(run, &scenario)),
    };
    let made = folder.as_deref().map(input::report_folder).transpose()?.unwrap_or_default();
    suites.begin(run, &scenario, run.seed);
    let finished = one(run.engine, &scenario, options, !run.json);
    if finished.is_err() {
        // There is nothing to report; what another run has put its own report into stays.
        let remove = |folder: &PathBuf| std::fs::remove_dir(folder).is_ok();
        made.iter().take_while(|folder| remove(folder)).for_each(drop);
    }
    let finished = finished?;
    if run.events.is_some() {
        finished.recorded.iter().for_each(|line| say!("{line}"));
    }
    let history = run.history.as_deref().zip(history);
    let (record, html) = written(finished, history, folder.as_deref())?;
    let passed = record.verdict == Verdict::Pass;
    if run.json {
        say!("{}", serde_json::to_string(&record).context("the record as JSON")?);
    } else if run.events.is_none() {
        print_summary(&record, html);
        say!("  repeat        {}", command(run, scenario.variant(), record.seed));
    }
    suites.end(scenario.variant(), record);
    Ok(passed)
}

impl Suites {
    fn begin(&mut self, run: &Run, scenario: &Scenario, seed: u64) {
        let variant = scenario.variant();
        let name = match variant.to_string().as_str() {
            "" => scenario.name.clone(),
            variant => format!("{} ({variant})", scenario.name),
        };
        self.under_way = Some((name, seed, command(run, variant, seed)));
    }

    fn end(&mut self, variant: Variant, record: RunRecord) {
        self.under_way = None;
        // What happened in each run is not needed any more; a campaign has thousands.
        let small = RunRecord { series: Series::default(), timeline: Timeline::default(), ..record };
        self.ended.push((variant, small));
    }
}

/// A run's record, once its history and its report are written where they are wanted, and where the report's page is.
pub fn written(
    finished: Finished,
    history: Option<(&Path, HistoryForm)>,
    folder: Option<&Path>,
) -> Result<(RunRecord, Option<PathBuf>)> {
    if let Some((file, form)) = history {
        input::write("--history", file, &form(&finished))?;
    }
    let record = finished.record;
    let html = folder.map(|folder| {
        trial_reports::write(&record, folder)
            .with_context(|| format!("--report {}: cannot be written", folder.display()))
    });
    let html = html.transpose()?;
    Ok((record, html))
}

/// What a record costs roughly, from its producer to its consumers: time in ns, memory in bytes.
const RECORD_COST: (u128, u128) = (10_000, 400);
/// What a simulated second costs roughly in which nobody does anything, in ns.
const IDLE_COST: u128 = 100_000;
/// From so many ns on, somebody who waits should know for how long.
const LONG: u128 = 2 * MINUTE;
const MINUTE: u128 = 60_000_000_000;

/// What to reckon with, if it is much.
fn long(scenario: &Scenario, engine: Engine) -> Option<String> {
    let (end, load) = (scenario.planned_end(), scenario.planned_load());
    let (ns, bytes) =
        (load * RECORD_COST.0 + u128::from(end.0) / 1_000_000_000 * IDLE_COST, load * RECORD_COST.1);
    let ns = if engine == Engine::Tcp { ns.max(u128::from(end.0)) } else { ns };
    (ns >= LONG).then(|| {
        let (end, takes) = (hours_or_minutes(u128::from(end.0)), hours_or_minutes(ns));
        let gigabytes = bytes.div_ceil(1_000_000_000);
        format!(
            "{load} records or transactions in {end} of simulated time: reckon with {takes} or more a run, and \
             {gigabytes} GB of memory; Ctrl-C gives up"
        )
    })
}

/// A length of time in ns, rounded up.
fn hours_or_minutes(ns: u128) -> String {
    match ns.div_ceil(MINUTE) {
        minutes if minutes < 100 => format!("{minutes} min"),
        minutes => format!("{} h", minutes.div_ceil(60)),
    }
}

/// Where the report goes unless the command line says so: a folder for each scenario or file, seed, variant and engine.
fn default_folder(run: &Run, scenario: &Scenario) -> PathBuf {
    let mut name = format!("{}-{}", input::report_name(&run.scenario, &scenario.name), run.seed);
    let variant = scenario.variant();
    if variant != scenario.all_variants()[0] {
        let protocol = variant.group_protocol.map(|protocol| format!("-{}", protocol.name()));
        let version = variant.transaction_version.map(|version| format!("-tv{version}"));
        name.extend([protocol, version].into_iter().flatten());
    }
    name += match run.engine {
        Engine::World => "",
        Engine::Turmoil => "-turmoil",
        Engine::Tcp => "-tcp",
    };
    PathBuf::from("trial-report").join(name)
}

/// The variant that the command line asks for.
pub fn wanted(variant: VariantArgs) -> Variant {
    Variant {
        group_protocol: variant.group_protocol.map(|protocol| match protocol {
            GroupProtocol::Classic => trial_scenarios::GroupProtocol::Classic,
            GroupProtocol::Consumer => trial_scenarios::GroupProtocol::Consumer,
            GroupProtocol::Mixed => trial_scenarios::GroupProtocol::Mixed,
        }),
        transaction_version: variant.transaction_version,
    }
}

fn many(
    run: &Run,
    scenario: &Scenario,
    options: &mut RunOptions,
    seeds: Seeds,
    suites: &mut Suites,
) -> Result<bool> {
    let variants = if run.every_variant { scenario.all_variants() } else { vec![scenario.variant()] };
    let mut all_passed = true;
    'runs: for variant in variants {
        let scenario = scenario.clone().choose(variant)?;
        for seed in seeds.first..=seeds.last {
            options.seed = seed;
            suites.begin(run, &scenario, seed);
            let record = one(run.engine, &scenario, options.clone(), false)?.record;
            if run.json {
                say!("{}", serde_json::to_string(&record).context("the record as JSON")?);
            } else {
                say!(
                    "{:<20} seed {seed:<6} {} {} {} records acknowledged, {} violations{}{}",
                    record.scenario,
                    verdict(&record),
                    record.trace_hash,
                    record.acked_records,
                    record.violations.len(),
                    if record.variant.is_empty() { "" } else { ", " },
                    record.variant,
                );
            }
            all_passed = record.verdict == Verdict::Pass;
            if !all_passed && !run.json {
                print_failures(&record);
                say!("repeat: {}", command(run, variant, seed));
            }
            suites.end(variant, record);
            if !all_passed {
                break 'runs;
            }
        }
    }
    Ok(all_passed)
}

fn write_junit(run: &Run, suites: &Suites, error: Option<&str>) -> Result<()> {
    let Some(file) = &run.junit else { return Ok(()) };
    let repeats: Vec<String> =
        suites.ended.iter().map(|(variant, record)| command(run, *variant, record.seed)).collect();
    let ended = suites.ended.iter().zip(&repeats);
    let runs: Vec<JunitRun<'_>> = ended.map(|((_, record), repeat)| JunitRun { record, repeat }).collect();
    let broken = error.map(|error| match &suites.under_way {
        Some((scenario, seed, repeat)) => JunitBroken { scenario, run: Some((*seed, repeat)), error },
        None => JunitBroken { scenario: &run.scenario, run: None, error },
    });
    input::write("--junit", file, &trial_reports::junit(&runs, broken))
}

/// Runs one seed, with a progress bar if somebody watches.
fn one(engine: Engine, scenario: &Scenario, options: RunOptions, bar: bool) -> Result<Finished> {
    let began = Instant::now();
    let (name, scenario) = (bar.then_some(scenario.name.as_str()), scenario.clone());
    let mut finished = match engine {
        Engine::World => carry_out(ScenarioRun::new(scenario, options)?, name),
        Engine::Turmoil => {
            let make = |config| Driver::<Member, _>::new(&config, Turmoil::new(&config));
            carry_out(ScenarioRun::on(scenario, options, make)?, name)
        }
        Engine::Tcp => {
            let sockets = Tcp::new().context("sockets")?;
            carry_out(ScenarioRun::on(scenario, options, |config| Driver::new(&config, sockets))?, name)
        }
    }?;
    finished.record.wall_ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    finished.record.commit = env!("TRIAL_COMMIT").to_owned();
    Ok(finished)
}

/// Carries a run out, with a progress bar of that name if somebody watches.
fn carry_out<E: Carries<Member>>(run: ScenarioRun<E>, bar: Option<&str>) -> Result<Finished> {
    let planned = run.planned().0 / 1_000_000_000;
    let bar = if let Some(name) = bar.filter(|_| std::io::stderr().is_terminal()) {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} seconds")?;
        ProgressBar::new(planned).with_style(style).with_message(name.to_owned())
    } else {
        ProgressBar::hidden()
    };
    let finished = run.finish(&mut |now| bar.set_position(now.0 / 1_000_000_000))?;
    bar.finish_and_clear();
    Ok(finished)
}

fn verdict(record: &RunRecord) -> &'static str {
    match record.verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "FAIL",
    }
}

/// The arguments that choose a variant.
pub fn variant_arguments(variant: Variant) -> Vec<String> {
    let protocol =
        variant.group_protocol.map(|protocol| ["--group-protocol".to_owned(), protocol.name().to_owned()]);
    let version =
        variant.transaction_version.map(|version| ["--transaction-version".to_owned(), version.to_string()]);
    [protocol, version].into_iter().flatten().flatten().collect()
}

/// The command that repeats a run.
fn command(run: &Run, variant: Variant, seed: u64) -> String {
    let mut command = format!("trial run {} --seed {seed}", run.scenario);
    for argument in variant_arguments(variant) {
        command += &format!(" {argument}");
    }
    match run.engine {
        Engine::World => {}
        Engine::Turmoil => command += " --engine turmoil",
        Engine::Tcp => command += " --engine tcp",
    }
    if run.wire == Wire::Bytes {
        command += " --wire bytes";
    }
    if let Some(corpus) = &run.corpus {
        command += &format!(" --corpus {}", corpus.display());
    }
    command
}

/// Says what came of a run.
pub fn print_summary(record: &RunRecord, html: Option<PathBuf>) {
    let chosen = if record.variant.is_empty() { String::new() } else { format!(", {}", record.variant) };
    say!("{}: {} (seed {}{chosen})", record.scenario, verdict(record), record.seed);
    say!("  {}\n", record.about);
    print_failures(record);
    let seconds = |ns: u64| format!("{}.{:03} s", ns / 1_000_000_000, ns / 1_000_000 % 1_000);
    say!(
        "  records       {} scheduled, {} sent, {} acknowledged, {} failed, {} read",
        record.scheduled_records,
        record.sent_records,
        record.acked_records,
        record.failed_records,
        record.read_records
    );
    let t = record.transactions;
    if t != Transactions::default() {
        say!("  transactions  {} committed, {} aborted, {} in doubt", t.committed, t.aborted, t.unknown);
    }
    for p in &record.pipelines {
        say!(
            "  pipeline      {} ({}): {} of {} records read, {} written, {} lost, {} duplicated",
            p.group,
            p.semantics,
            p.committed,
            p.inputs,
            p.outputs,
            p.lost,
            p.duplicated
        );
    }
    if let Some(outside) = &record.outside {
        print_outside(outside);
    }
    if record.lost_records > 0 {
        say!("  lost          {} acknowledged records are not in the log at the end", record.lost_records);
    }
    for (error, count) in &record.failures {
        say!("  failed        {count} with {error}");
    }
    for fault in record.timeline.faults.iter().filter(|f| f.what.contains("(nobody: ")) {
        say!("  no effect     {} at {}", fault.what, trial_node::Time(fault.from_ns));
    }
    let Latencies { produce, end_to_end } = &record.latency_ns;
    for (name, measured) in [("produce   ", produce), ("end to end", end_to_end)] {
        if measured.count > 0 {
            say!("  {name}    {}", latency(measured));
        }
    }
    if record.compression.record_bytes > 0 {
        say!("  compression   {:.2} bytes of records per byte of batches", record.compression.ratio());
    }
    if let Some(worst) =
        record.unavailability.iter().filter_map(|u| Some((u.to_ns? - u.from_ns, u))).max_by_key(|w| w.0)
    {
        say!("  unavailable   {} at most ({})", seconds(worst.0), worst.1.partition);
    }
    if record.in_real_time() {
        let (events, rpcs) = (record.events, record.rpcs);
        say!("  real time     {}, {events} events, {rpcs} RPCs", seconds(record.simulated_ns));
    } else {
        say!(
            "  simulated     {} in {} of wall time, {} events, {} RPCs",
            seconds(record.simulated_ns),
            seconds(record.wall_ns),
            record.events,
            record.rpcs
        );
        say!("  trace hash    {}", record.trace_hash);
    }
    if let Some(html) = html {
        say!("  report        {}", html.display());
    }
}

/// Says what clients from outside did.
fn print_outside(outside: &OutsideTraffic) {
    let OutsideTraffic { connections, ended_connections, requests, responses, .. } = outside;
    say!(
        "  outside       {connections} connections ({ended_connections} ended by the cluster), {requests} requests, {responses} responses"
    );
    if outside.sent_records > 0 {
        say!(
            "                {} records produced, {} acknowledged{}",
            outside.sent_records,
            outside.acked_records,
            throughput(outside).map_or(String::new(), |bytes| format!(", {bytes} kB/s of batches"))
        );
        say!("                {}", latency(&outside.produce_latency_ns));
    }
    for (error, count) in &outside.failures {
        say!("                {count} refused with {error}");
    }
    if outside.fetched_records > 0 {
        say!("                {} records fetched", outside.fetched_records);
    }
}

/// How many thousand bytes a second were acknowledged, from the first Produce request to the last.
fn throughput(outside: &OutsideTraffic) -> Option<u64> {
    let span = outside.last_produce_ns?.checked_sub(outside.first_produce_ns?).filter(|ns| *ns > 0)?;
    u64::try_from(u128::from(outside.acked_bytes) * 1_000_000 / u128::from(span)).ok()
}

fn print_failures(record: &RunRecord) {
    for expectation in record.expectations.iter().filter(|e| !e.met) {
        say!("  EXPECTED      {}; found: {}", expectation.what, expectation.found);
    }
    let mut traced = BTreeSet::new();
    for violation in &record.violations {
        let at = trial_node::Time(violation.at_ns);
        let note = if violation.expected { " (expected by the scenario)" } else { "" };
        say!("  VIOLATION     {} at {at}{note}", violation.property);
        violation.evidence.iter().for_each(|line| say!("                {line}"));
        // One trace a property will do; the report has them all.
        if !violation.expected && traced.insert(&violation.property) {
            say!("                last trace lines before it:");
            violation.trace.iter().for_each(|line| say!("                  {line}"));
        }
    }
    if record.expectations.iter().any(|e| !e.met) || !record.violations.is_empty() {
        say!("");
    }
}

fn latency(d: &Distribution) -> String {
    let ms = |ns: u64| format!("{}.{:03}", ns / 1_000_000, ns / 1_000 % 1_000);
    format!(
        "p50 {} ms, p99 {} ms, p99.9 {} ms, p99.99 {} ms, max {} ms",
        ms(d.p50),
        ms(d.p99),
        ms(d.p99_9),
        ms(d.p99_99),
        ms(d.max)
    )
}
