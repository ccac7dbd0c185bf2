//! A scenario file, field by field.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use trial_faults::{FaultEntry, quantity};
use trial_node::Span;
use trial_world::{CpuProfile, DiskProfile, MachineProfile};

/// A scenario: a cluster, its topics, the load on it, what goes wrong, and what is expected.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name; the catalog's file is called the same.
    pub name: String,
    /// What it is about, in one sentence.
    pub about: String,
    /// How long producers make records, in simulated time from the start of the run. Then the run drains: it goes on until
    /// everything has recovered and been read, or `settle` is over.
    #[serde(with = "quantity::span")]
    pub duration: Span,
    /// When load begins. Before that the cluster forms and topics are made. 5 s unless said otherwise.
    #[serde(default = "five_seconds", with = "quantity::span")]
    pub warmup: Span,
    /// How long the cluster may take to recover after `duration` and the last fault. 180 s unless said otherwise: longer than
    /// the `delivery.timeout.ms` of producers (120 s), after which the last doubtful record is given up.
    #[serde(default = "three_minutes", with = "quantity::span")]
    pub settle: Span,
    /// The brokers.
    pub cluster: Cluster,
    /// What the brokers' machines cost. Nothing unless said otherwise.
    #[serde(default)]
    pub machine: Machine,
    /// The network between all hosts.
    #[serde(default)]
    pub network: Network,
    /// The topics that are made before load begins.
    #[serde(rename = "topic")]
    pub topics: Vec<Spanned<Topic>>,
    /// The load.
    #[serde(rename = "workload", default)]
    pub workloads: Vec<Spanned<Workload>>,
    /// What goes wrong.
    #[serde(rename = "fault", default)]
    pub faults: Vec<Spanned<FaultEntry>>,
    /// What is expected. All checkers, and nothing else, unless said otherwise.
    #[serde(default)]
    pub expect: Expect,
}

/// The brokers of a scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// How many, each a broker and a controller: hosts `broker-1` and so on. 1 to 99.
    pub nodes: u32,
    /// Broker configs, as Kafka names them.
    #[serde(default)]
    pub config: BTreeMap<String, Value>,
}

/// What the machines of the brokers cost. What is left out costs nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// How long an fsync takes, whatever it moves.
    #[serde(default, with = "quantity::span::option")]
    pub fsync: Option<Span>,
    /// Bytes per second that the device writes; an fsync waits for what it has to move.
    #[serde(default, with = "quantity::bandwidth::option")]
    pub disk: Option<u64>,
    /// Bytes per second into the page cache.
    #[serde(default, with = "quantity::bandwidth::option")]
    pub page_cache: Option<u64>,
    /// Processor time for each message that a broker takes in or sends.
    #[serde(default, with = "quantity::span::option")]
    pub cpu_per_message: Option<Span>,
    /// Bytes per second through the network card, in each direction.
    #[serde(default, with = "quantity::bandwidth::option")]
    pub nic: Option<u64>,
}

impl Machine {
    /// Whether nothing costs anything.
    pub fn is_free(&self) -> bool {
        self.profile() == MachineProfile::default()
    }

    /// Whether the disk costs something.
    pub fn has_disk(&self) -> bool {
        self.profile().disk != DiskProfile::default()
    }

    /// The same in the world's terms.
    pub fn profile(&self) -> MachineProfile {
        let nic = self.nic.unwrap_or(0);
        let cpu = self.cpu_per_message.unwrap_or(Span::ZERO);
        MachineProfile {
            nic_in_bytes_per_s: nic,
            nic_out_bytes_per_s: nic,
            disk: DiskProfile {
                write_bytes_per_s: self.page_cache.unwrap_or(0),
                sync_latency: self.fsync.unwrap_or(Span::ZERO),
                device_bytes_per_s: self.disk.unwrap_or(0),
                ..DiskProfile::default()
            },
            cpu: CpuProfile { per_message_in: cpu, per_message_out: cpu, ..CpuProfile::default() },
        }
    }
}

/// The network of a scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// How long every message travels. 100 µs unless said otherwise.
    #[serde(default = "hundred_micros", with = "quantity::span")]
    pub latency: Span,
    /// Up to how much longer than that it may take, all alike. None unless said otherwise.
    #[serde(default, with = "quantity::span")]
    pub jitter: Span,
    /// Bytes per second of each link. Unlimited unless said otherwise.
    #[serde(default, with = "quantity::bandwidth::option")]
    pub bandwidth: Option<u64>,
}

/// A topic of a scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// How many partitions, 1 and up.
    pub partitions: u32,
    /// How many replicas each, 1 to the number of brokers.
    pub replication_factor: u32,
    /// Topic configs, as Kafka names them.
    #[serde(default)]
    pub config: BTreeMap<String, Value>,
}

/// Clients that do the same.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Workload {
    /// Producers: hosts `produce-0` and so on.
    Produce {
        /// The topic.
        topic: String,
        /// How many, 1 unless said otherwise.
        #[serde(default = "one")]
        clients: u32,
        /// Records per time over all of them, as `"1000/s"`.
        rate: String,
        /// How many keys records have, all alike likely; none unless said otherwise.
        keys: Option<u64>,
        /// How many bytes a record's value has, 1 to 1,000,000. 200 unless said otherwise.
        #[serde(default = "two_hundred")]
        value_bytes: u32,
        /// Producer configs, as Kafka names them.
        #[serde(default)]
        config: BTreeMap<String, Value>,
    },
    /// Consumers, which share the topic's partitions: hosts `consume-0` and so on.
    Consume {
        /// The topic.
        topic: String,
        /// How many, 1 unless said otherwise.
        #[serde(default = "one")]
        clients: u32,
        /// Consumer configs, as Kafka names them.
        #[serde(default)]
        config: BTreeMap<String, Value>,
    },
}

/// The value of a config: a string, or what Kafka would write as one.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(untagged)]
pub enum Value {
    /// `"all"`.
    Text(String),
    /// `2`.
    Number(i64),
    /// `true`.
    Switch(bool),
}

/// What a scenario expects.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// `"all"`, or the names of the properties to check.
    #[serde(default)]
    pub checkers: Which,
    /// Properties that this scenario violates, honestly: each of them must be violated, and no other.
    #[serde(default)]
    pub violations: Vec<String>,
    /// Kinds of trace event that must happen after load begins.
    #[serde(default)]
    pub reached: Vec<String>,
    /// At least so many records must be acknowledged.
    pub acked_min: Option<u64>,
    /// The 99th percentile of produce latency, in ms of simulated time, must not be above.
    pub p99_ms_max: Option<u64>,
}

/// All, or some by name.
#[derive(Clone, Debug, Default)]
pub enum Which {
    /// All.
    #[default]
    All,
    /// These.
    Named(Vec<String>),
}

impl<'de> Deserialize<'de> for Which {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "checkers: either \"all\" or a list of names")]
        enum Form {
            Word(String),
            Names(Vec<String>),
        }
        match Form::deserialize(deserializer)? {
            Form::Word(word) if word == "all" => Ok(Which::All),
            Form::Word(word) => Err(serde::de::Error::custom(format!(
                "checkers: {word:?} is neither \"all\" nor a list of names, as in [\"lost-write\"]"
            ))),
            Form::Names(names) => Ok(Which::Named(names)),
        }
    }
}

impl Value {
    /// As Kafka would write it.
    pub fn text(&self) -> String {
        match self {
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Switch(switch) => switch.to_string(),
        }
    }
}

impl Workload {
    /// The topic.
    pub fn topic(&self) -> &str {
        match self {
            Workload::Produce { topic, .. } | Workload::Consume { topic, .. } => topic,
        }
    }

    /// How many clients.
    pub fn clients(&self) -> u32 {
        match self {
            Workload::Produce { clients, .. } | Workload::Consume { clients, .. } => *clients,
        }
    }
}

impl Default for Network {
    fn default() -> Self {
        Network { latency: hundred_micros(), jitter: Span::ZERO, bandwidth: None }
    }
}

fn five_seconds() -> Span {
    Span::from_secs(5)
}

fn three_minutes() -> Span {
    Span::from_secs(180)
}

fn hundred_micros() -> Span {
    Span::from_micros(100)
}

fn one() -> u32 {
    1
}

fn two_hundred() -> u32 {
    200
}
