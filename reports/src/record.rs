//! The record of one run: everything that a report says, as data. `docs` of every field give its unit.
//!
//! The JSON form of [`RunRecord`] is what `trial run --json` prints and `record.json` holds; [`SCHEMA`] names its version. Fields
//! are only added within a version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The version of the JSON form.
pub const SCHEMA: &str = "trial.run/1";

/// Whether a run was as its scenario expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every invariant and every expectation held.
    Pass,
    /// One did not.
    Fail,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// [`SCHEMA`].
    pub schema: String,
    /// The scenario's name.
    pub scenario: String,
    /// What it is about, in one sentence.
    pub about: String,
    /// What carried the nodes: `world` or `turmoil` (simulated time), or `tcp`, where every time that this record calls
    /// simulated is real.
    pub engine: String,
    /// The hardware profile that costs were charged by; `zero-cost` charges none.
    pub profile: String,
    /// The seed.
    pub seed: u64,
    /// Which of the scenario's variants it was, e.g. `group.protocol=consumer, transaction.version=1`; empty if it has none.
    #[serde(default)]
    pub variant: String,
    /// The commit that the binary was built from, or `unknown`.
    pub commit: String,
    /// Whether the run was as expected.
    pub verdict: Verdict,
    /// The rolling hash over every input and effect, 32 hex digits. In real time no other run has the same.
    pub trace_hash: String,
    /// How far simulated time went, in ns of simulated time.
    pub simulated_ns: u64,
    /// How long the run took, in ns of wall time. The only wall-clock number here; never compare it with the others.
    pub wall_ns: u64,
    /// Steps of nodes.
    pub events: u64,
    /// Requests that were sent.
    pub rpcs: u64,
    /// Records that the load plan had: rate times the time from warm-up to the end of load. More than were sent if producers
    /// were blocked until the end, or their process was down.
    pub scheduled_records: u64,
    /// Records handed to producers.
    pub sent_records: u64,
    /// Records acknowledged.
    pub acked_records: u64,
    /// Records whose producer gave up on them.
    pub failed_records: u64,
    /// Those by Kafka's name of the error.
    pub failures: BTreeMap<String, u64>,
    /// Acknowledged records that were not in the log when it was read once more at the end, whatever `acks` promised. Those with
    /// `acks=all` are violations, too.
    pub lost_records: u64,
    /// Records that consumers read (a record read by two consumers counts twice).
    pub read_records: u64,
    /// What became of transactions, as far as their clients know.
    #[serde(default)]
    pub transactions: Transactions,
    /// What became of the records that each pipeline read.
    #[serde(default)]
    pub pipelines: Vec<PipelineRecord>,
    /// What clients from outside did, in a session of `trial serve` or the replay of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside: Option<OutsideTraffic>,
    /// The violations, in the order in which they were found.
    pub violations: Vec<ViolationRecord>,
    /// What the scenario expects beyond its checkers, and whether it was so.
    pub expectations: Vec<Expectation>,
    /// The checkers that were on, by name.
    pub checkers: Vec<String>,
    /// Latencies in ns of simulated time, from the intended send time.
    pub latency_ns: Latencies,
    /// What a producer's batches weigh.
    pub compression: Compression,
    /// How long each partition was without acknowledgements around each fault.
    pub unavailability: Vec<Unavailability>,
    /// One entry per [`Series::interval_ns`] of simulated time.
    pub series: Series,
    /// What the timeline shows.
    pub timeline: Timeline,
    /// The fault plan that was carried out, in the form that a scenario file takes (TOML).
    pub fault_plan: String,
    /// The trace hash at points along the way, to find where two runs part: (events, ns of simulated time, hash).
    pub checkpoints: Vec<(u64, u64, String)>,
}

/// What became of transactions, as far as their clients know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transactions {
    /// Those that are committed.
    pub committed: u64,
    /// Those that were aborted.
    pub aborted: u64,
    /// Those that were to be committed, and nobody told the client whether they are.
    pub unknown: u64,
}

/// What clients from outside did, as their requests and the responses to them tell. A record that was sent twice counts twice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OutsideTraffic {
    /// Connections that they opened.
    pub connections: u64,
    /// Connections that the cluster ended.
    pub ended_connections: u64,
    /// Requests that they sent.
    pub requests: u64,
    /// Responses that they got.
    pub responses: u64,
    /// Records in their Produce requests.
    pub sent_records: u64,
    /// Bytes of the batches that those were in.
    pub sent_bytes: u64,
    /// Records that were acknowledged to them. With `acks=0` nothing is.
    pub acked_records: u64,
    /// Bytes of the batches that those were in.
    pub acked_bytes: u64,
    /// Records that were refused, by Kafka's name of the error.
    pub failures: BTreeMap<String, u64>,
    /// Records in the batches that were fetched.
    pub fetched_records: u64,
    /// Bytes of those batches.
    pub fetched_bytes: u64,
    /// When the first Produce request came, in ns of simulated time.
    pub first_produce_ns: Option<u64>,
    /// When the last came.
    pub last_produce_ns: Option<u64>,
    /// From a Produce request to its response, in ns of simulated time.
    pub produce_latency_ns: Distribution,
}

/// What became of the records that a pipeline read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineRecord {
    /// Its consumer group.
    pub group: String,
    /// What it promises: `exactly-once`, `at-least-once` or `at-most-once`.
    pub semantics: String,
    /// The topic that it reads.
    pub from: String,
    /// The topic that it writes.
    pub to: String,
    /// Records in the topic that it reads.
    pub inputs: u64,
    /// Those below the group's committed offsets.
    pub committed: u64,
    /// Records that it has written, those of aborted transactions left out.
    pub outputs: u64,
    /// Inputs below the committed offset that have no output.
    pub lost: u64,
    /// Inputs that have two outputs or more.
    pub duplicated: u64,
    /// Inputs at or above the committed offset that have an output already.
    pub early: u64,
}

/// A property that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViolationRecord {
    /// The property's name.
    pub property: String,
    /// When it was found, in ns of simulated time.
    pub at_ns: u64,
    /// The facts that prove it.
    pub evidence: Vec<String>,
    /// The last trace lines before it.
    pub trace: Vec<String>,
    /// Whether the scenario says that this property is violated.
    pub expected: bool,
}

/// Something that a scenario expects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// What, in a person's words, e.g. `reaches leader-elected`.
    pub what: String,
    /// Whether it was so.
    pub met: bool,
    /// What was the case.
    pub found: String,
}

/// The two latencies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latencies {
    /// From the intended send time to the acknowledgement.
    pub produce: Distribution,
    /// From the intended send time to a consumer's read.
    pub end_to_end: Distribution,
}

/// A distribution of times in ns of simulated time (HDR, three significant digits).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// How many values.
    pub count: u64,
    /// The smallest.
    pub min: u64,
    /// Half are at most this.
    pub p50: u64,
    /// 90% are at most this.
    pub p90: u64,
    /// 99% are at most this.
    pub p99: u64,
    /// 99.9% are at most this.
    pub p99_9: u64,
    /// 99.99% are at most this.
    pub p99_99: u64,
    /// The largest.
    pub max: u64,
    /// Points of the whole curve: (quantile in millionths, value).
    pub curve: Vec<(u32, u64)>,
}

/// What the produced batches weigh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compression {
    /// Keys and values as the workloads made them, in bytes, of the records that were acknowledged.
    pub record_bytes: u64,
    /// The committed batches of the workloads' topics as one replica's log holds them, in bytes, headers included.
    pub batch_bytes: u64,
}

impl RunRecord {
    /// Whether the run's time was real, and nothing of it can be repeated.
    pub fn in_real_time(&self) -> bool {
        self.engine == "tcp"
    }

    /// What kind of time the run's was, for people.
    pub fn kind_of_time(&self) -> &'static str {
        if self.in_real_time() { "real" } else { "simulated" }
    }
}

impl Compression {
    /// Bytes of records per byte of batches; 0 if nothing was produced.
    pub fn ratio(&self) -> f64 {
        if self.batch_bytes == 0 { 0.0 } else { self.record_bytes as f64 / self.batch_bytes as f64 }
    }
}

/// A partition that took no writes for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unavailability {
    /// The partition, as `topic-0`.
    pub partition: String,
    /// The fault, as the timeline words it.
    pub fault: String,
    /// The last acknowledgement before the gap, in ns of simulated time.
    pub from_ns: u64,
    /// The first acknowledgement after it; `None` if none came.
    pub to_ns: Option<u64>,
}

/// Numbers along simulated time. Every vector has one entry per interval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// The length of an interval, in ns of simulated time.
    pub interval_ns: u64,
    /// Records handed to producers.
    pub sent: Vec<u64>,
    /// Records acknowledged.
    pub acked: Vec<u64>,
    /// Bytes of keys and values acknowledged.
    pub acked_bytes: Vec<u64>,
    /// Records read.
    pub read: Vec<u64>,
    /// Produce latency of the records acknowledged in the interval: median, ns.
    pub produce_p50: Vec<u64>,
    /// Likewise, 99%.
    pub produce_p99: Vec<u64>,
    /// Likewise, the largest.
    pub produce_max: Vec<u64>,
    /// End-to-end latency of the records read in the interval: median, ns.
    pub end_to_end_p50: Vec<u64>,
    /// Likewise, 99%.
    pub end_to_end_p99: Vec<u64>,
    /// Likewise, the largest.
    pub end_to_end_max: Vec<u64>,
}

/// What happened when, lane by lane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// One lane a host, brokers first.
    pub lanes: Vec<Lane>,
    /// Faults with their time.
    pub faults: Vec<FaultSpan>,
    /// Trace events, in order.
    pub events: Vec<TimelineEvent>,
}

/// One host's lane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// The host's name.
    pub host: String,
    /// Whether it is a broker.
    pub broker: bool,
    /// When the process was up, and in what state.
    pub states: Vec<StateSpan>,
    /// How many partitions it led: (from ns, count), until the next entry.
    pub leads: Vec<(u64, u32)>,
    /// In how many ISRs it was, as leaders know: (from ns, count), until the next entry.
    pub in_isr: Vec<(u64, u32)>,
    /// When it was the active controller: (from ns, to ns).
    pub controller: Vec<(u64, u64)>,
}

/// A stretch of a process's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateSpan {
    /// From, in ns of simulated time.
    pub from_ns: u64,
    /// To, in ns of simulated time.
    pub to_ns: u64,
    /// What.
    pub state: HostState,
}

/// What a host's process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostState {
    /// Running.
    Up,
    /// Not running.
    Down,
    /// Stopped by SIGSTOP.
    Paused,
}

/// A fault on the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultSpan {
    /// From, in ns of simulated time.
    pub from_ns: u64,
    /// To, in ns of simulated time; equal to `from_ns` for what happens at once.
    pub to_ns: u64,
    /// The hosts that it strikes.
    pub hosts: Vec<String>,
    /// What it is, in a sentence.
    pub what: String,
}

/// A trace event on the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineEvent {
    /// When, in ns of simulated time.
    pub at_ns: u64,
    /// The host that it comes from.
    pub host: String,
    /// Its kind, e.g. `leader-elected`.
    pub kind: String,
    /// The whole line.
    pub what: String,
}
