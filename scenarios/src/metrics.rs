//! Throughput, latency and availability, from the clients' history.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use trial_node::{ClientEvent, RecordId, Span, Time, TopicPartition, TransactionEvent, TransactionOutcome};
use trial_reports::{Distribution, Latencies, Series, Transactions};

/// The length of one interval of the series.
const INTERVAL: Span = Span::from_secs(1);
/// Acknowledgements of one partition further apart than this may be an outage.
const GAP_MIN: Span = Span::from_millis(200);

/// What a record's latency is measured from.
#[derive(Clone, Copy, Default)]
struct Intended {
    at: Time,
    bytes: u32,
}

/// A partition's acknowledgements.
#[derive(Clone, Debug, Default)]
pub(crate) struct Acks {
    last: Time,
    /// Stretches, longer than [`GAP_MIN`], in which a record waited and none was acknowledged.
    pub(crate) gaps: Vec<(Time, Time)>,
}

/// Collects the numbers of a run as it goes on.
pub(crate) struct Metrics {
    intended: Vec<Vec<Intended>>,
    produce: Latency,
    end_to_end: Latency,
    interval: Interval,
    series: Series,
    acks: BTreeMap<TopicPartition, Acks>,
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    pub(crate) acked_bytes: u64,
    pub(crate) transactions: Transactions,
    /// How many records producers gave up on, by error.
    pub(crate) failed: BTreeMap<&'static str, u64>,
    pub(crate) read: u64,
}

#[derive(Default)]
struct Interval {
    sent: u64,
    acked: u64,
    acked_bytes: u64,
    read: u64,
    produce: Vec<u64>,
    end_to_end: Vec<u64>,
}

/// A latency's distribution; the extremes exactly, which HDR rounds to its three digits.
pub(crate) struct Latency {
    histogram: Histogram<u64>,
    min: u64,
    max: u64,
}

impl Latency {
    pub(crate) fn new() -> Latency {
        let histogram = Histogram::new_with_max(3_600_000_000_000, 3);
        let histogram = histogram.expect("an hour in ns and three digits are within HDR's range");
        Latency { histogram, min: u64::MAX, max: 0 }
    }

    pub(crate) fn record(&mut self, ns: u64) {
        self.histogram.saturating_record(ns);
        self.min = self.min.min(ns);
        self.max = self.max.max(ns);
    }
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        Metrics {
            intended: Vec::new(),
            produce: Latency::new(),
            end_to_end: Latency::new(),
            interval: Interval::default(),
            series: Series { interval_ns: INTERVAL.0, ..Series::default() },
            acks: BTreeMap::new(),
            sent: 0,
            acked: 0,
            transactions: Transactions::default(),
            acked_bytes: 0,
            failed: BTreeMap::new(),
            read: 0,
        }
    }

    pub(crate) fn event(&mut self, at: Time, event: &ClientEvent) {
        self.advance(at);
        match event {
            ClientEvent::SendInvoked { id, intended, bytes, .. } => {
                self.sent += 1;
                self.interval.sent += 1;
                let producer = id.producer as usize;
                if self.intended.len() <= producer {
                    self.intended.resize_with(producer + 1, Vec::new);
                }
                let records = &mut self.intended[producer];
                let index = id.sequence as usize;
                if records.len() <= index {
                    records.resize(index + 1, Intended::default());
                }
                records[index] = Intended { at: *intended, bytes: *bytes };
            }
            ClientEvent::SendAcked { producer, sequences, tp, .. } => {
                let mut earliest = Time::MAX;
                for &sequence in sequences {
                    let intended = self.intended(RecordId { producer: *producer, sequence });
                    earliest = earliest.min(intended.at);
                    let latency = at.since(intended.at).0;
                    self.produce.record(latency);
                    self.interval.produce.push(latency);
                    self.interval.acked_bytes += u64::from(intended.bytes);
                    self.acked_bytes += u64::from(intended.bytes);
                }
                self.interval.acked += sequences.len() as u64;
                self.acked += sequences.len() as u64;
                let acks = match self.acks.get_mut(tp) {
                    Some(acks) => acks,
                    None => self.acks.entry(tp.clone()).or_insert(Acks { last: at, gaps: Vec::new() }),
                };
                // A partition that nobody writes to is not unavailable: the gap begins when its first record was meant to be
                // sent.
                let from = acks.last.max(earliest);
                if at.since(from) > GAP_MIN {
                    acks.gaps.push((from, at));
                }
                acks.last = at;
            }
            ClientEvent::SendFailed { sequences, error, .. } => {
                *self.failed.entry(error).or_default() += sequences.len() as u64;
            }
            ClientEvent::Polled { records, .. } => {
                self.interval.read += records.len() as u64;
                self.read += records.len() as u64;
                for id in records.iter().filter_map(|record| record.id) {
                    let latency = at.since(self.intended(id).at).0;
                    self.end_to_end.record(latency);
                    self.interval.end_to_end.push(latency);
                }
            }
            ClientEvent::PositionReset { .. } | ClientEvent::ClientStarted { .. } | ClientEvent::Group(_) => {
            }
            ClientEvent::Transaction(TransactionEvent::Ended { outcome, .. }) => match outcome {
                TransactionOutcome::Committed => self.transactions.committed += 1,
                TransactionOutcome::Aborted => self.transactions.aborted += 1,
                TransactionOutcome::Unknown { .. } => self.transactions.unknown += 1,
            },
            ClientEvent::Transaction(_) => {}
        }
    }

    fn intended(&self, id: RecordId) -> Intended {
        let records = self.intended.get(id.producer as usize);
        records.and_then(|r| r.get(id.sequence as usize)).copied().unwrap_or_default()
    }

    /// Closes the intervals that are over by `at`.
    pub(crate) fn advance(&mut self, at: Time) {
        while at.0 >= (self.series.sent.len() as u64 + 1) * INTERVAL.0 {
            let mut interval = std::mem::take(&mut self.interval);
            let series = &mut self.series;
            series.sent.push(interval.sent);
            series.acked.push(interval.acked);
            series.acked_bytes.push(interval.acked_bytes);
            series.read.push(interval.read);
            let [p50, p99, max] = quantiles(&mut interval.produce);
            series.produce_p50.push(p50);
            series.produce_p99.push(p99);
            series.produce_max.push(max);
            let [p50, p99, max] = quantiles(&mut interval.end_to_end);
            series.end_to_end_p50.push(p50);
            series.end_to_end_p99.push(p99);
            series.end_to_end_max.push(max);
            interval.produce.clear();
            interval.end_to_end.clear();
            self.interval = Interval {
                produce: interval.produce,
                end_to_end: interval.end_to_end,
                ..Interval::default()
            };
        }
    }

    /// The series up to `end`, the last interval included.
    pub(crate) fn series(&mut self, end: Time) -> Series {
        self.advance(Time(end.0.next_multiple_of(INTERVAL.0)));
        self.series.clone()
    }

    pub(crate) fn latencies(&self) -> Latencies {
        Latencies { produce: distribution(&self.produce), end_to_end: distribution(&self.end_to_end) }
    }

    /// Every partition's stretches without acknowledgements. One that is still open at `load_end` counts up to there.
    pub(crate) fn acks(&self) -> &BTreeMap<TopicPartition, Acks> {
        &self.acks
    }
}

impl Acks {
    /// The gap that is still open when load ends: since when.
    pub(crate) fn open_gap(&self, load_end: Time) -> Option<Time> {
        (load_end.since(self.last) > GAP_MIN.times(5)).then_some(self.last)
    }
}

/// Median, 99% and largest; zeros if there is nothing.
fn quantiles(values: &mut [u64]) -> [u64; 3] {
    if values.is_empty() {
        return [0; 3];
    }
    values.sort_unstable();
    let at = |per_mille: usize| values[(values.len() * per_mille).div_ceil(1000).max(1) - 1];
    [at(500), at(990), at(1000)]
}

pub(crate) fn distribution(latency: &Latency) -> Distribution {
    let histogram = &latency.histogram;
    if histogram.is_empty() {
        return Distribution::default();
    }
    let at = |quantile| histogram.value_at_quantile(quantile).clamp(latency.min, latency.max);
    let mut curve: Vec<(u32, u64)> = Vec::new();
    for value in histogram.iter_quantiles(5) {
        let millionths = (value.quantile_iterated_to() * 1e6).round() as u32;
        curve.push((millionths, value.value_iterated_to().clamp(latency.min, latency.max)));
        if millionths >= 1_000_000 {
            break;
        }
    }
    Distribution {
        count: histogram.len(),
        min: latency.min,
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p99_9: at(0.999),
        p99_99: at(0.9999),
        max: latency.max,
        curve,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trial_node::{Content, Offset};
    use trial_wire::TopicName;

    fn send(metrics: &mut Metrics, sequence: u64, intended: u64, acked: u64) {
        let id = RecordId { producer: 0, sequence };
        let topic = TopicName("t".into());
        let intended = Time(intended);
        let invoked = ClientEvent::SendInvoked {
            id,
            topic,
            intended,
            bytes: 7,
            idempotent: true,
            acks: -1,
            content: Content::Plain,
        };
        metrics.event(intended, &invoked);
        let tp = TopicPartition::new("t", 0);
        let base_offset = Offset(0);
        let acknowledged = ClientEvent::SendAcked { producer: 0, sequences: vec![sequence], tp, base_offset };
        metrics.event(Time(acked), &acknowledged);
    }

    #[test]
    fn latency_counts_from_the_intended_time() {
        let mut metrics = Metrics::new();
        send(&mut metrics, 0, 1_000, 4_000);
        send(&mut metrics, 1, 1_500_000_000, 1_500_000_500);
        let series = metrics.series(Time(1_600_000_000));
        assert_eq!((series.sent, series.acked), (vec![1, 1], vec![1, 1]));
        assert_eq!((series.produce_p50, series.produce_max), (vec![3_000, 500], vec![3_000, 500]));
        let produce = metrics.latencies().produce;
        // The histogram keeps three digits, and takes the upper end of what they stand for.
        assert_eq!((produce.count, produce.min, produce.max), (2, 500, 3_000));
    }

    #[test]
    fn a_stretch_without_acknowledgements_is_a_gap() {
        let mut metrics = Metrics::new();
        for (sequence, intended, at) in [
            (0, 1_000_000_000, 1_000_000_000),
            (1, 1_100_000_000, 1_100_000_000),
            (2, 2_000_000_000, 3_000_000_000),
            (3, 9_000_000_000, 9_000_000_500),
        ] {
            send(&mut metrics, sequence, intended, at);
        }
        let acks = &metrics.acks()[&TopicPartition::new("t", 0)];
        assert_eq!(acks.gaps, [(Time(2_000_000_000), Time(3_000_000_000))], "nobody wrote from 3 s to 9 s");
        assert_eq!(acks.open_gap(Time(9_500_000_000)), None);
        assert_eq!(acks.open_gap(Time(12_000_000_000)), Some(Time(9_000_000_500)));
    }

    #[test]
    fn quantiles_are_of_the_values_that_are_there() {
        let mut values: Vec<u64> = (1..=200).rev().collect();
        assert_eq!(quantiles(&mut values), [100, 198, 200]);
        assert_eq!(quantiles(&mut []), [0, 0, 0]);
    }
}
