//! Throughput and latency: along simulated time, and as distributions.

use crate::axis::{TimeAxis, ValueAxis};
use crate::chart::{Curve, Ink, Look, along_time, by_percentile};
use crate::format::{bytes, count, rate, span};
use crate::{Distribution, RunRecord};

/// More intervals than this are joined, so that none is narrower than a pixel.
const POINTS_MAX: usize = 1_000;

/// Records per second along simulated time.
pub(crate) fn throughput(record: &RunRecord, time: TimeAxis) -> String {
    let series = &record.series;
    let mut out = String::from("<h3>Throughput <small>records/s</small></h3>\n");
    if series.sent.is_empty() || series.interval_ns == 0 {
        return out + "<p class=\"none\">No interval was recorded.</p>\n";
    }
    let joined = joined(series.sent.len());
    let interval = series.interval_ns.saturating_mul(joined as u64);
    let per_second = |values: &[u64]| -> Vec<Option<f64>> {
        let sums = values.chunks(joined).map(|c| c.iter().fold(0u64, |sum, v| sum.saturating_add(*v)));
        sums.enumerate()
            .map(|(i, sum)| {
                let from = (i as u64).saturating_mul(interval);
                let length = interval.min(time.end_ns().saturating_sub(from));
                (length > 0).then(|| sum as f64 * 1e9 / length as f64)
            })
            .collect()
    };
    let quantities = [
        (Ink::Base, Look::Area, &series.sent, "sent (handed to producers)"),
        // The wide one below the narrow one: both show where they are equal, which is most of the time.
        (Ink::Second, Look::Line(5), &series.read, "read by consumers"),
        (Ink::First, Look::Line(2), &series.acked, "acknowledged"),
    ];
    let mut most = 0.0;
    let mut curves = Vec::new();
    let mut names = Vec::new();
    for (ink, look, values, name) in quantities {
        let values = per_second(values);
        most = values.iter().flatten().fold(most, |most: f64, v| most.max(*v));
        curves.push(Curve::steps(ink, look, interval, time.end_ns(), &values));
        names.push((ink, look, name));
    }
    out += &legend(&names);
    let y = ValueAxis::linear(most);
    let what = format!("Records per second along {} time: sent, acknowledged, read", record.kind_of_time());
    out += &along_time(&what, time, &record.timeline.faults, &y, &|v| rate(*v), &curves);
    let total = series.acked_bytes.iter().fold(0u64, |sum, v| sum.saturating_add(*v));
    let peak = per_second(&series.acked_bytes).into_iter().flatten().fold(0.0, f64::max);
    let mean = total as f64 * 1e9 / time.end_ns() as f64;
    out += &format!(
        "<p class=\"note\">Keys and values acknowledged: {} in all, {}/s on average, {}/s at most (over {}).</p>\n",
        bytes(total),
        bytes(mean as u64),
        bytes(peak as u64),
        span(interval),
    );
    out
}

/// Both latencies along simulated time, on the same scale.
pub(crate) fn along(record: &RunRecord, time: TimeAxis) -> String {
    let s = &record.series;
    let all = [
        &s.produce_p50,
        &s.produce_p99,
        &s.produce_max,
        &s.end_to_end_p50,
        &s.end_to_end_p99,
        &s.end_to_end_max,
    ];
    let values = || all.iter().flat_map(|v| v.iter()).copied().filter(|v| *v > 0);
    let y = ValueAxis::log10(values().min().unwrap_or(100_000), values().max().unwrap_or(1_000_000_000));
    let joined = joined(s.sent.len());
    let note = if joined == 1 {
        String::new()
    } else {
        format!("; each step shows the worst of {joined} intervals")
    };
    let mut out = String::new();
    for (name, what, [p50, p99, max]) in [
        ("Produce latency", "from the intended send time to the acknowledgement", [all[0], all[1], all[2]]),
        ("End-to-end latency", "from the intended send time to a consumer's read", [all[3], all[4], all[5]]),
    ] {
        out += &format!("<h3>{name} <small>{what}; logarithmic{note}</small></h3>\n");
        if p50.iter().chain(max).all(|v| *v == 0) || s.interval_ns == 0 {
            out += "<p class=\"none\">No latency was recorded.</p>\n";
            continue;
        }
        let quantities = [
            (Ink::Third, Look::Dashed, max, "max"),
            (Ink::Second, Look::Line(2), p99, "p99"),
            (Ink::First, Look::Line(2), p50, "p50"),
        ];
        let curve = |(ink, look, values, _): &(Ink, Look, &Vec<u64>, _)| {
            let worst = values.chunks(joined).map(|c| c.iter().copied().max().filter(|v| *v > 0));
            let values: Vec<Option<f64>> = worst.map(|v| v.map(|v| (v as f64).log10())).collect();
            Curve::steps(*ink, *look, s.interval_ns.saturating_mul(joined as u64), time.end_ns(), &values)
        };
        let curves: Vec<Curve> = quantities.iter().map(curve).collect();
        out += &legend(&quantities.map(|(ink, look, _, name)| (ink, look, name)));
        out += &along_time(name, time, &record.timeline.faults, &y, &log_label, &curves);
    }
    out
}

/// Both distributions by percentile, and their table.
pub(crate) fn distributions(record: &RunRecord) -> String {
    let both = [
        ("produce", "intended send time → acknowledgement", &record.latency_ns.produce, Ink::First),
        ("end to end", "intended send time → consumer's read", &record.latency_ns.end_to_end, Ink::Second),
    ];
    let mut out = String::from("<section id=\"latency\">\n<h2>Latency in full</h2>\n");
    let kind = if record.in_real_time() { "Real" } else { "Simulated" };
    out += &format!(
        "<p>{kind} time, measured from the instant at which a record was <em>meant</em> to be sent: a producer that is held up does not hide the wait. The further right, the rarer: each step to the right is ten times as rare.</p>\n"
    );
    let present: Vec<_> = both.iter().filter(|(_, _, d, _)| d.count > 0).collect();
    if present.is_empty() {
        out += "<p class=\"none\">No record was acknowledged or read, so there is no latency.</p>\n";
    } else {
        let (x, x_label) = nines(present.iter().map(|(_, _, d, _)| d.count).max().unwrap_or(1));
        let min = present.iter().map(|(_, _, d, _)| d.min).min().unwrap_or(1);
        let max = present.iter().map(|(_, _, d, _)| d.max).max().unwrap_or(1);
        let y = ValueAxis::log10(min, max);
        let curves: Vec<Curve> =
            present.iter().map(|(_, _, d, ink)| quantile_curve(d, *ink, x.high)).collect();
        let names: Vec<_> = present.iter().map(|(name, _, _, ink)| (*ink, Look::Line(2), *name)).collect();
        out += &legend(&names);
        out += "<div class=\"scroll\">\n";
        out += &by_percentile("Latency by percentile", &x, &x_label, &y, &log_label, &curves);
        out += "</div>\n";
    }
    out += "<div class=\"scroll\">\n<table class=\"numbers\">\n<thead><tr><th class=\"text\">latency</th><th>min</th><th>p50</th><th>p90</th><th>p99</th><th>p99.9</th><th>p99.99</th><th>max</th><th>records</th></tr></thead>\n<tbody>\n";
    for (name, what, d, _) in both {
        out += &format!("<tr><th>{name} <small>{what}</small></th>");
        for ns in [d.min, d.p50, d.p90, d.p99, d.p99_9, d.p99_99, d.max] {
            let text = if d.count == 0 { "–".to_owned() } else { span(ns) };
            out += &format!("<td>{text}</td>");
        }
        out += &format!("<td>{}</td></tr>\n", count(d.count));
    }
    out + "</tbody>\n</table>\n</div>\n</section>\n"
}

/// How many neighbouring intervals are drawn as one.
fn joined(intervals: usize) -> usize {
    intervals.div_ceil(POINTS_MAX).max(1)
}

/// The axis of percentiles, as far as this many values can tell: x is -log10(1 - quantile).
fn nines(count: u64) -> (ValueAxis, impl Fn(&f64) -> String) {
    let high = (count.max(1) as f64).log10().ceil().clamp(2.0, 6.0);
    let half = 2f64.log10();
    let bold = [0.0, half].into_iter().chain((1..=high as u32).map(f64::from)).collect();
    let label = move |x: &f64| match x.round() as i32 {
        0 if *x < 0.1 => "0%".to_owned(),
        0 => "50%".to_owned(),
        1 => "90%".to_owned(),
        2 => "99%".to_owned(),
        n => format!("99.{}%", "9".repeat(n as usize - 2)),
    };
    (ValueAxis { low: 0.0, high, bold, light: Vec::new() }, label)
}

fn quantile_curve(d: &Distribution, ink: Ink, high: f64) -> Curve {
    // Beyond one in `count` there is nothing but the largest value.
    let last = (d.count as f64).log10().clamp(0.0, high);
    let named = [
        (0, d.min),
        (500_000, d.p50),
        (900_000, d.p90),
        (990_000, d.p99),
        (999_000, d.p99_9),
        (999_900, d.p99_99),
        (1_000_000, d.max),
    ];
    let curve = if d.curve.is_empty() { &named[..] } else { &d.curve[..] };
    let mut points: Vec<(f64, f64)> = curve
        .iter()
        .map(|(millionths, ns)| {
            let rare = 1_000_000u32.saturating_sub(*millionths);
            let x = if rare == 0 { last } else { (6.0 - f64::from(rare).log10()).min(last) };
            (x, (*ns).max(1) as f64)
        })
        .map(|(x, ns)| (x, ns.log10()))
        .collect();
    if points.first().is_some_and(|(x, _)| *x > 0.0) {
        points.insert(0, (0.0, (d.min.max(1) as f64).log10()));
    }
    points.push((last.max(0.02), (d.max.max(1) as f64).log10()));
    Curve { ink, look: Look::Line(2), stretches: vec![points] }
}

/// A label of a logarithmic axis: 1, 2 or 5 times a power of ten, in ns.
fn log_label(exponent: &f64) -> String {
    let ns = 10f64.powf(*exponent).round() as u64;
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{} µs", ns / 1_000),
        1_000_000..1_000_000_000 => format!("{} ms", ns / 1_000_000),
        _ => format!("{} s", count(ns / 1_000_000_000)),
    }
}

fn legend(names: &[(Ink, Look, &str)]) -> String {
    let mut out = String::from("<p class=\"legend\">");
    for (ink, look, name) in names {
        let ink = ink.name();
        let key = match look {
            Look::Area => format!(r#"<rect width="16" height="10" fill="var(--{ink})" opacity="0.3"/>"#),
            Look::Line(width) => {
                let opacity = if *width > 2 { "0.5" } else { "1" };
                format!(
                    r#"<path d="M0,5h16" stroke="var(--{ink})" stroke-width="{width}" opacity="{opacity}"/>"#
                )
            }
            Look::Dashed => {
                format!(
                    r#"<path d="M0,5h16" stroke="var(--{ink})" stroke-width="1.5" stroke-dasharray="3 2"/>"#
                )
            }
        };
        out += &format!("<span><svg class=\"key\" viewBox=\"0 0 16 10\">{key}</svg>{name}</span>");
    }
    out + "</p>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_labelled_as_people_write_them() {
        let (axis, label) = nines(60_000);
        let labels: Vec<String> = axis.bold.iter().map(label).collect();
        assert_eq!(labels, ["0%", "50%", "90%", "99%", "99.9%", "99.99%", "99.999%"]);
        assert_eq!(nines(0).0.high, 2.0);
    }

    #[test]
    fn labels_of_a_logarithmic_axis_are_exact() {
        let axis = ValueAxis::log10(1, 50_000_000_000);
        let labels: Vec<String> = axis.bold.iter().map(log_label).collect();
        let powers =
            ["1 ns", "10 ns", "100 ns", "1 µs", "10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s", "10 s"];
        assert_eq!(labels, powers);
        assert_eq!(log_label(&(5e6f64).log10()), "5 ms");
    }

    #[test]
    fn a_quantile_curve_ends_where_the_values_do() {
        let d = Distribution {
            count: 100,
            min: 10,
            max: 1_000,
            curve: vec![(500_000, 100), (999_999, 1_000)],
            ..Distribution::default()
        };
        let curve = quantile_curve(&d, Ink::First, 2.0);
        let points = &curve.stretches[0];
        assert_eq!(points.first(), Some(&(0.0, 1.0)));
        assert!(points.iter().all(|(x, _)| *x <= 2.0));
        assert_eq!(points.last(), Some(&(2.0, 3.0)));
    }
}
