//! The tables of a run as CSV (RFC 4180), each with a header line. Units are in the column names.

use crate::RunRecord;

/// Numbers along simulated time: one row per interval.
pub fn series_csv(record: &RunRecord) -> String {
    let s = &record.series;
    let header = [
        "from_ns",
        "to_ns",
        "sent_records",
        "acked_records",
        "acked_bytes",
        "read_records",
        "produce_p50_ns",
        "produce_p99_ns",
        "produce_max_ns",
        "end_to_end_p50_ns",
        "end_to_end_p99_ns",
        "end_to_end_max_ns",
    ];
    let columns = [
        &s.sent,
        &s.acked,
        &s.acked_bytes,
        &s.read,
        &s.produce_p50,
        &s.produce_p99,
        &s.produce_max,
        &s.end_to_end_p50,
        &s.end_to_end_p99,
        &s.end_to_end_max,
    ];
    let rows = (0..s.sent.len()).map(|i| {
        let from = i as u64 * s.interval_ns;
        let to = from.saturating_add(s.interval_ns).min(record.simulated_ns.max(from));
        let values = columns.iter().map(|c| c.get(i).copied().unwrap_or(0));
        [from, to].into_iter().chain(values).map(|v| v.to_string()).collect()
    });
    table(&header, rows)
}

/// The quantile curves of the two latencies.
pub fn latency_csv(record: &RunRecord) -> String {
    let both = [("produce", &record.latency_ns.produce), ("end_to_end", &record.latency_ns.end_to_end)];
    let rows = both.iter().flat_map(|(name, distribution)| {
        let point =
            |(quantile, ns): &(u32, u64)| vec![(*name).to_owned(), quantile.to_string(), ns.to_string()];
        distribution.curve.iter().map(point)
    });
    table(&["distribution", "quantile_millionths", "ns"], rows)
}

/// The trace events, in order.
pub fn timeline_csv(record: &RunRecord) -> String {
    let rows = record
        .timeline
        .events
        .iter()
        .map(|e| vec![e.at_ns.to_string(), e.host.clone(), e.kind.clone(), e.what.clone()]);
    table(&["at_ns", "host", "kind", "what"], rows)
}

fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header).expect("memory takes every write");
    for row in rows {
        writer.write_record(&row).expect("every row has as many fields as the header");
    }
    let bytes = writer.into_inner().expect("memory takes every write");
    String::from_utf8(bytes).expect("the fields are UTF-8")
}
