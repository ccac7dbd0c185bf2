//! The page as a whole: one HTML file that refers to nothing outside itself and runs no script.

use crate::axis::TimeAxis;
use crate::format::{bytes, count, counted, seconds, seconds_fine, span};
use crate::markup::esc;
use crate::overview::{self, command, length};
use crate::{RunRecord, Verdict, latency, timeline};

/// Rows that a table or list shows at most; the files beside the page hold all.
const FAULTS_MAX: usize = 200;
const GAPS_MAX: usize = 200;
const EVENTS_MAX: usize = 1_000;
const CHECKPOINTS_MAX: usize = 500;

/// The page of a run.
pub fn to_html(record: &RunRecord) -> String {
    let time = TimeAxis::new(record.simulated_ns);
    let verdict = match record.verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
    };
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{}, seed {}: {verdict}</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n",
        esc(&record.scenario),
        record.seed,
        include_str!("style.css"),
    );
    out += &overview::header(record);
    out += &overview::violations(record);
    out += &overview::expectations(record);
    out += &outside(record);
    out += &pipelines(record);
    out += &over_time(record, time);
    out += &faults(record);
    out += &unavailability(record);
    out += &latency::distributions(record);
    out += &compression(record);
    out += &details(record);
    out += &footer(record);
    out += "</main>\n</body>\n</html>\n";
    out
}

fn over_time(record: &RunRecord, time: TimeAxis) -> String {
    let mut out = String::from("<section id=\"time\">\n<h2>What happened</h2>\n");
    out += &format!(
        "<p>Everything here shares one axis: {} time since the start of the run. Shaded bands are faults. Point at a shape for its details.</p>\n",
        record.kind_of_time()
    );
    out += "<div class=\"scroll\">\n<h3>Hosts</h3>\n";
    if record.timeline.lanes.is_empty() {
        out += "<p class=\"none\">No host was recorded.</p>\n";
    } else {
        out += &timeline::legend(&record.timeline, &record.violations);
        out += &timeline::draw(&record.timeline, &record.violations, time);
    }
    out += &latency::throughput(record, time);
    out += &latency::along(record, time);
    out + "</div>\n</section>\n"
}

/// What clients from outside did.
fn outside(record: &RunRecord) -> String {
    let Some(outside) = &record.outside else { return String::new() };
    let mut out = String::from("<section id=\"outside\">\n<h2>Clients from outside</h2>\n");
    out += &format!(
        "<p>They opened {} ({} ended by the cluster), sent {} and got {}.",
        counted(outside.connections, "connection"),
        count(outside.ended_connections),
        counted(outside.requests, "request"),
        counted(outside.responses, "response"),
    );
    if outside.sent_records > 0 {
        let latency = &outside.produce_latency_ns;
        out += &format!(
            " Of {} that they produced ({}), {} were acknowledged; Produce requests took {} in the median and {} at the 99th percentile.",
            counted(outside.sent_records, "record"),
            bytes(outside.sent_bytes),
            count(outside.acked_records),
            span(latency.p50),
            span(latency.p99),
        );
    }
    for (error, records) in &outside.failures {
        out += &format!(" {} were refused with {}.", count(*records), esc(error));
    }
    if outside.fetched_records > 0 {
        out += &format!(
            " They fetched {} ({}).",
            counted(outside.fetched_records, "record"),
            bytes(outside.fetched_bytes)
        );
    }
    out + "</p>\n</section>\n"
}

/// What pipelines promise and what they did, side by side.
fn pipelines(record: &RunRecord) -> String {
    let t = record.transactions;
    if record.pipelines.is_empty() && t == crate::Transactions::default() {
        return String::new();
    }
    let mut out = String::from("<section id=\"pipelines\">\n<h2>Pipelines and transactions</h2>\n");
    if t != crate::Transactions::default() {
        out += &format!(
            "<p>Of the transactions that clients began, {} were committed and {} aborted; of {} their clients do not know the end.</p>\n",
            count(t.committed),
            count(t.aborted),
            count(t.unknown)
        );
    }
    if record.pipelines.is_empty() {
        return out + "</section>\n";
    }
    out += "<p>A pipeline reads a topic as a consumer group, and writes one record for each that it has read. Lost are records below the committed offset of its group without an output, duplicated are those with two or more. Counted is what a <code>read_committed</code> consumer finds at the end.</p>\n";
    out += "<div class=\"scroll\">\n<table class=\"numbers\">\n<thead><tr><th class=\"text\">group</th><th class=\"text\">promises</th><th class=\"text\">from → to</th><th>inputs</th><th>committed</th><th>outputs</th><th>lost</th><th>duplicated</th></tr></thead>\n<tbody>\n";
    for p in &record.pipelines {
        out += &format!(
            "<tr><th class=\"text\">{}</th><td class=\"text\">{}</td><td class=\"text\">{} → {}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            esc(&p.group),
            esc(&p.semantics),
            esc(&p.from),
            esc(&p.to),
            count(p.inputs),
            count(p.committed),
            count(p.outputs),
            count(p.lost),
            count(p.duplicated)
        );
    }
    out + "</tbody>\n</table>\n</div>\n</section>\n"
}

fn faults(record: &RunRecord) -> String {
    let faults = &record.timeline.faults;
    if faults.is_empty() {
        return "<section id=\"faults\">\n<h2>Faults</h2>\n<p class=\"none\">Nothing was made to fail.</p>\n</section>\n".to_owned();
    }
    let mut out = String::from(
        "<section id=\"faults\">\n<h2>Faults</h2>\n<div class=\"scroll\">\n<table class=\"numbers\">\n<thead><tr><th></th><th class=\"text\">what</th><th class=\"text\">hosts</th><th>from (s)</th><th>to (s)</th><th>length</th></tr></thead>\n<tbody>\n",
    );
    for (i, fault) in faults.iter().take(FAULTS_MAX).enumerate() {
        let (to, length) = if fault.to_ns <= fault.from_ns {
            ("–".to_owned(), "at once".to_owned())
        } else {
            (seconds(fault.to_ns), span(fault.to_ns - fault.from_ns))
        };
        out += &format!(
            "<tr><th>F{}</th><td class=\"text\">{}</td><td class=\"text\">{}</td><td>{}</td><td>{to}</td><td>{length}</td></tr>\n",
            i + 1,
            esc(&fault.what),
            esc(&fault.hosts.join(", ")),
            seconds(fault.from_ns),
        );
    }
    out += "</tbody>\n</table>\n</div>\n";
    out += &left_out(faults.len(), FAULTS_MAX, "record.json");
    out + "</section>\n"
}

fn unavailability(record: &RunRecord) -> String {
    let mut out = String::from("<section id=\"unavailability\">\n<h2>Unavailability</h2>\n");
    out += "<p>The longest stretch without an acknowledgement of each partition around each fault, from the last acknowledgement before to the first one after.</p>\n";
    if record.unavailability.is_empty() {
        out +=
            "<p class=\"none\">No partition was without acknowledgements for long enough to be listed.</p>\n";
        return out + "</section>\n";
    }
    let longest = record.unavailability.iter().map(|u| length(u, record)).max().unwrap_or(0).max(1);
    out += "<div class=\"scroll\">\n<table class=\"numbers\">\n<thead><tr><th class=\"text\">fault</th><th class=\"text\">partition</th><th>last before (s)</th><th>first after (s)</th><th>length</th><th class=\"bar\"></th></tr></thead>\n<tbody>\n";
    let mut before: Option<&str> = None;
    for gap in record.unavailability.iter().take(GAPS_MAX) {
        let length = length(gap, record);
        let fault = if before == Some(gap.fault.as_str()) { "" } else { gap.fault.as_str() };
        before = Some(&gap.fault);
        let (to, length_text) = match gap.to_ns {
            Some(to) => (seconds(to), span(length)),
            None => ("none came".to_owned(), format!("{} or more", span(length))),
        };
        let percent = (u128::from(length) * 100 / u128::from(longest)).max(1);
        out += &format!(
            "<tr><td class=\"text\">{}</td><td class=\"text\">{}</td><td>{}</td><td>{to}</td><td>{length_text}</td><td class=\"bar\"><i style=\"width:{percent}%\"></i></td></tr>\n",
            esc(fault),
            esc(&gap.partition),
            seconds(gap.from_ns),
        );
    }
    out += "</tbody>\n</table>\n</div>\n";
    out += &left_out(record.unavailability.len(), GAPS_MAX, "record.json");
    out + "</section>\n"
}

fn compression(record: &RunRecord) -> String {
    let c = record.compression;
    let mut out = String::from("<section id=\"compression\">\n<h2>Compression</h2>\n");
    if c.batch_bytes == 0 {
        return out + "<p class=\"none\">No batch was committed.</p>\n</section>\n";
    }
    out += &format!(
        "<p><b class=\"figure\">{:.2}</b> bytes of records per byte of log: {} ({} bytes) of keys and values that were acknowledged lie in {} ({} bytes) of committed batches in one replica's log, their headers included. A ratio below 1 means that headers outweigh what the codec saved.</p>\n",
        c.ratio(),
        bytes(c.record_bytes),
        count(c.record_bytes),
        bytes(c.batch_bytes),
        count(c.batch_bytes),
    );
    out + "</section>\n"
}

fn details(record: &RunRecord) -> String {
    let mut out = String::from("<section id=\"details\">\n<h2>Details</h2>\n");
    let plan = if record.fault_plan.trim().is_empty() { "# no fault\n" } else { &record.fault_plan };
    out += &format!(
        "<details><summary>Fault plan <small>as it was carried out, in the form that a scenario file takes; also in fault-plan.toml</small></summary>\n<pre>{}</pre></details>\n",
        esc(plan)
    );
    let events = &record.timeline.events;
    out += &format!(
        "<details><summary>Trace events <small>{}</small></summary>\n",
        counted(events.len() as u64, "event")
    );
    if events.is_empty() {
        out += "<p class=\"none\">None.</p>\n";
    } else {
        out += "<div class=\"scroll\">\n<table class=\"numbers events\">\n<thead><tr><th>at (s)</th><th class=\"text\">host</th><th class=\"text\">event</th></tr></thead>\n<tbody>\n";
        for event in events.iter().take(EVENTS_MAX) {
            out += &format!(
                "<tr><td>{}</td><td class=\"text\">{}</td><td class=\"text\">{}</td></tr>\n",
                seconds_fine(event.at_ns),
                esc(&event.host),
                esc(&event.what)
            );
        }
        out += "</tbody>\n</table>\n</div>\n";
        out += &left_out(events.len(), EVENTS_MAX, "timeline.csv");
    }
    out += "</details>\n";
    out += &format!(
        "<details><summary>Checkers that were on <small>{}</small></summary>\n<ul class=\"names\">\n",
        count(record.checkers.len() as u64)
    );
    for checker in &record.checkers {
        out += &format!("<li>{}</li>\n", esc(checker));
    }
    out += "</ul></details>\n";
    out += &format!(
        "<details><summary>Hash checkpoints <small>to find where two runs part</small></summary>\n<div class=\"scroll\">\n<table class=\"numbers\">\n<thead><tr><th>events</th><th>{} time (s)</th><th class=\"text\">trace hash</th></tr></thead>\n<tbody>\n",
        record.kind_of_time()
    );
    for (events, at, hash) in record.checkpoints.iter().take(CHECKPOINTS_MAX) {
        out += &format!(
            "<tr><td>{}</td><td>{}</td><td class=\"text\"><code>{}</code></td></tr>\n",
            count(*events),
            seconds_fine(*at),
            esc(hash)
        );
    }
    out += "</tbody>\n</table>\n</div>\n";
    out += &left_out(record.checkpoints.len(), CHECKPOINTS_MAX, "record.json");
    out += "</details>\n";
    out += &format!(
        "<p class=\"note\">{} of nodes and {} make up this run. Beside this page lie record.json (everything), series.csv, latency.csv, timeline.csv and fault-plan.toml.</p>\n",
        counted(record.events, "step"),
        counted(record.rpcs, "RPC")
    );
    out + "</section>\n"
}

fn footer(record: &RunRecord) -> String {
    let wall = if record.wall_ns == 0 { "not measured".to_owned() } else { span(record.wall_ns) };
    if record.in_real_time() {
        return format!(
            "<footer>\n<h2>Run it again</h2>\n{}<p>In real time no two runs are the same.</p>\n</footer>\n",
            command(record)
        );
    }
    format!(
        "<footer>\n<h2>Repeat it</h2>\n{}<p>The same binary, scenario and seed give the same trace hash, on every machine.</p>\n\
         <aside><b>Wall clock</b> The run took {wall} of real time. That is a property of the machine that simulated it, and no number above depends on it.</aside>\n</footer>\n",
        command(record)
    )
}

/// Says how many rows a table leaves out, and where they are.
fn left_out(rows: usize, max: usize, file: &str) -> String {
    if rows <= max {
        return String::new();
    }
    format!(
        "<p class=\"note\">These are the first {}; all {} are in {file}.</p>\n",
        count(max as u64),
        count(rows as u64)
    )
}
