//! The top of the page: what was run, whether it held, and what did not.

use std::collections::BTreeSet;

use crate::format::{bytes, count, counted, seconds, span};
use crate::markup::esc;
use crate::{RunRecord, Unavailability, Verdict};

/// How many violations are shown with all they have.
const VIOLATIONS_MAX: usize = 50;

/// Name, verdict, key numbers, and which run it is.
pub(crate) fn header(record: &RunRecord) -> String {
    let (class, verdict) = match record.verdict {
        Verdict::Pass => ("pass", "✓ pass"),
        Verdict::Fail => ("fail", "✗ fail"),
    };
    let mut out = format!(
        "<header>\n<h1>{} <span class=\"badge {class}\">{verdict}</span></h1>\n<p class=\"about\">{}</p>\n",
        esc(&record.scenario),
        esc(&record.about)
    );
    out += &format!("<p class=\"story\">{}</p>\n", story(record));
    out += &tiles(record);
    out += "<dl class=\"strip\">\n";
    if !record.variant.is_empty() {
        out += &format!("<div><dt>variant</dt><dd>{}</dd></div>\n", esc(&record.variant));
    }
    let seed = record.seed.to_string();
    let simulated = format!("{} s", seconds(record.simulated_ns));
    let time = format!("{} time", record.kind_of_time());
    for (name, value) in [
        ("engine", &record.engine),
        ("profile", &record.profile),
        ("seed", &seed),
        (&time, &simulated),
        ("commit", &record.commit),
        ("trace hash", &record.trace_hash),
    ] {
        out += &format!("<div><dt>{name}</dt><dd>{}</dd></div>\n", esc(value));
    }
    out += "</dl>\n</header>\n";
    out
}

/// The run in three sentences.
fn story(record: &RunRecord) -> String {
    let brokers = record.timeline.lanes.iter().filter(|l| l.broker).count() as u64;
    let clients = record.timeline.lanes.len() as u64 - brokers;
    let faults = record.timeline.faults.len() as u64;
    let mut out = format!(
        "A {} of {} served {} for {} s of {} time and went through {}. ",
        if record.in_real_time() { "Kafka cluster on loopback sockets" } else { "simulated Kafka cluster" },
        counted(brokers, "broker"),
        counted(clients, "client"),
        seconds(record.simulated_ns),
        record.kind_of_time(),
        if faults == 0 { "no fault".to_owned() } else { counted(faults, "fault") },
    );
    out += &format!(
        "Of {} sent, {} were acknowledged and {} given up. ",
        counted(record.sent_records, "record"),
        count(record.acked_records),
        count(record.failed_records),
    );
    let found = match record.violations.len() as u64 {
        0 => "no violation".to_owned(),
        n => counted(n, "violation"),
    };
    out += &match record.checkers.len() as u64 {
        0 => "No checker was on.".to_owned(),
        n => format!("The {} that watched the run found {found}.", counted(n, "checker")),
    };
    out
}

fn tiles(record: &RunRecord) -> String {
    let latency = |ns: u64, count: u64| if count == 0 { "–".to_owned() } else { span(ns) };
    let (produce, end_to_end) = (&record.latency_ns.produce, &record.latency_ns.end_to_end);
    let mut tiles = vec![
        ("acknowledged", count(record.acked_records), "records".to_owned()),
        ("read", count(record.read_records), "records, by all consumers".to_owned()),
        (
            "produce p99",
            latency(produce.p99, produce.count),
            format!("median {}", latency(produce.p50, produce.count)),
        ),
        (
            "end-to-end p99",
            latency(end_to_end.p99, end_to_end.count),
            format!("median {}", latency(end_to_end.p50, end_to_end.count)),
        ),
    ];
    if let Some((length, gap)) =
        record.unavailability.iter().map(|u| (length(u, record), u)).max_by_key(|(l, _)| *l)
    {
        let open = if gap.to_ns.is_none() { "≥ " } else { "" };
        tiles.push((
            "longest outage",
            format!("{open}{}", span(length)),
            format!("without writes, {}", gap.partition),
        ));
    }
    if record.compression.batch_bytes > 0 {
        let sizes = format!("{} of records", bytes(record.compression.record_bytes));
        tiles.push(("compression", format!("{:.2}", record.compression.ratio()), sizes));
    }
    let mut out = String::from("<div class=\"tiles\">\n");
    for (name, value, note) in tiles {
        out += &format!(
            "<div><span class=\"name\">{name}</span><b>{}</b><span class=\"note\">{}</span></div>\n",
            esc(&value),
            esc(&note)
        );
    }
    out + "</div>\n"
}

/// How long a partition took no writes; up to the end of the run if it never did again.
pub(crate) fn length(gap: &Unavailability, record: &RunRecord) -> u64 {
    gap.to_ns.unwrap_or(record.simulated_ns).saturating_sub(gap.from_ns)
}

/// The violations, each with its evidence.
pub(crate) fn violations(record: &RunRecord) -> String {
    if record.violations.is_empty() {
        return String::new();
    }
    let mut out = String::from("<section id=\"violations\">\n<h2>Violations</h2>\n");
    let mut traced = BTreeSet::new();
    for violation in record.violations.iter().take(VIOLATIONS_MAX) {
        let (class, note) = if violation.expected {
            ("expected", "the scenario expects this")
        } else {
            ("unexpected", "not expected")
        };
        out += &format!(
            "<article class=\"violation {class}\">\n<h3>{} <span class=\"badge small\">{note}</span></h3>\n",
            esc(&violation.property)
        );
        out +=
            &format!("<p>Found at {} s of {} time.</p>\n", seconds(violation.at_ns), record.kind_of_time());
        if !violation.evidence.is_empty() {
            out += "<ul class=\"evidence\">\n";
            for line in &violation.evidence {
                out += &format!("<li>{}</li>\n", esc(line));
            }
            out += "</ul>\n";
        }
        // What is found at one instant has one trace; the first will do to look at unasked.
        if !violation.trace.is_empty() && traced.insert((violation.expected, &violation.trace)) {
            let shown = traced.iter().filter(|(expected, _)| !expected).count();
            let open = if !violation.expected && shown == 1 { " open" } else { "" };
            out += &format!("<details{open}><summary>The last trace lines before it</summary>\n<pre>");
            for line in &violation.trace {
                out += &format!("{}\n", esc(line));
            }
            out += "</pre></details>\n";
        }
        out += "</article>\n";
    }
    if record.violations.len() > VIOLATIONS_MAX {
        let more = (record.violations.len() - VIOLATIONS_MAX) as u64;
        out += &format!("<p class=\"note\">{} more are in record.json.</p>\n", count(more));
    }
    out +=
        &format!("<p>This command repeats the run, violation included:</p>\n{}</section>\n", command(record));
    out
}

/// What the scenario expects beyond its checkers.
pub(crate) fn expectations(record: &RunRecord) -> String {
    if record.expectations.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "<section id=\"expectations\">\n<h2>What the scenario expects</h2>\n<ul class=\"expect\">\n",
    );
    let violated = record.violations.iter().filter(|v| !v.expected).count() as u64;
    let held = match violated {
        0 => "none was found".to_owned(),
        n => format!("{} found", count(n)),
    };
    let own = [("no violation that the scenario does not expect", violated == 0, held.as_str())];
    let listed = record.expectations.iter().map(|e| (e.what.as_str(), e.met, e.found.as_str()));
    for (what, met, found) in own.into_iter().chain(listed) {
        let (class, mark, word) = if met { ("met", "✓", "") } else { ("unmet", "✗", "not met: ") };
        out += &format!(
            "<li class=\"{class}\"><span class=\"mark\">{mark}</span><span class=\"what\">{}</span><span class=\"found\">{word}{}</span></li>\n",
            esc(what),
            esc(found)
        );
    }
    out + "</ul>\n</section>\n"
}

/// The command that repeats the run.
pub(crate) fn command(record: &RunRecord) -> String {
    if record.outside.is_some() {
        // What clients from outside did is in the record of the session, if there is one.
        return "<pre class=\"command\">trial replay SESSION</pre>\n<p>SESSION is what <code>trial serve --record</code> wrote.</p>\n"
            .to_owned();
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let scenario = if !record.scenario.is_empty() && record.scenario.chars().all(plain) {
        record.scenario.clone()
    } else {
        format!("'{}'", record.scenario.replace('\'', r"'\''"))
    };
    // `transaction.version=1` is chosen with `--transaction-version 1`.
    let chosen: String = record
        .variant
        .split(", ")
        .filter_map(|choice| choice.split_once('='))
        .map(|(key, value)| format!(" --{} {value}", key.replace('.', "-")))
        .collect();
    let engine = match record.engine.as_str() {
        "world" => String::new(),
        other => format!(" --engine {other}"),
    };
    format!(
        "<pre class=\"command\">trial run {} --seed {}{}{}</pre>\n",
        esc(&scenario),
        record.seed,
        esc(&chosen),
        esc(&engine)
    )
}
