//! A scenario file, field by field.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use trial_faults::{FaultEntry, quantity};
use trial_node::Span;
use trial_world::{CpuProfile, DiskProfile, MachineProfile};

use crate::operate::AdminEntry;
use crate::security::AclEntry;
use crate::variant::{Variant, Variants};

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
    /// What users may do, if the cluster has an authorizer.
    #[serde(rename = "acl", default)]
    pub acls: Vec<Spanned<AclEntry>>,
    /// The load.
    #[serde(rename = "workload", default)]
    pub workloads: Vec<Spanned<Workload>>,
    /// What goes wrong.
    #[serde(rename = "fault", default)]
    pub faults: Vec<Spanned<FaultEntry>>,
    /// What an operator asks the cluster for.
    #[serde(default)]
    pub admin: Vec<Spanned<AdminEntry>>,
    /// In which variants it can be run; one without a choice unless said otherwise.
    #[serde(default)]
    pub variants: Variants,
    /// The variant to run: the first of [`Scenario::variants`] unless [`Scenario::choose`] says otherwise.
    #[serde(skip)]
    pub(crate) variant: Variant,
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
    /// Who may log in, with their passwords. Each can use every mechanism in `sasl.enabled.mechanisms`.
    #[serde(default)]
    pub users: BTreeMap<String, String>,
    /// `broker.rack` of each broker, in order. None has one unless said otherwise.
    #[serde(default)]
    pub racks: Vec<String>,
    /// The levels of features that the cluster starts at, as Kafka names them.
    #[serde(default)]
    pub features: BTreeMap<String, i16>,
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
    /// The brokers that have each partition, by name, the one that should lead first. The controller chooses unless said
    /// otherwise.
    #[serde(default)]
    pub assignments: Vec<Vec<String>>,
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
        /// The user that they log in as, one of `[cluster.users]`.
        user: Option<String>,
        /// Producer configs, as Kafka names them.
        #[serde(default)]
        config: BTreeMap<String, Value>,
    },
    /// Consumers, which share the topic's partitions: hosts `consume-0` and so on.
    Consume {
        /// The topic.
        topic: String,
        /// `group.id`: they subscribe as members of this group. Without it each is assigned its share once and for all.
        group: Option<String>,
        /// How many, 1 unless said otherwise.
        #[serde(default = "one")]
        clients: u32,
        /// The user that they log in as, one of `[cluster.users]`.
        user: Option<String>,
        /// Consumer configs, as Kafka names them.
        #[serde(default)]
        config: BTreeMap<String, Value>,
    },
    /// Clients that consume, transform and produce.
    Pipeline(Pipeline),
    /// Clients that move money between accounts.
    Bank(Bank),
    /// Clients that read and append to lists in transactions.
    Lists(Lists),
}

/// A client that reads a topic as a member of a group and writes another: hosts `pipeline-0` and so on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// The topic to read.
    pub from: String,
    /// The topic to write.
    pub to: String,
    /// `group.id`. The producer of client `i` has `transactional.id` `<group>-<i>`, or `<transactional.id>-<i>` if its config has
    /// one: another pipeline of the same group needs its own.
    pub group: String,
    /// How many, 1 unless said otherwise.
    #[serde(default = "one")]
    pub clients: u32,
    /// What is promised of each record.
    #[serde(default)]
    pub semantics: Semantics,
    /// How long a transaction, or the time between two commits, is. 100 ms unless said otherwise.
    #[serde(default = "hundred_millis", with = "quantity::span")]
    pub commit_interval: Span,
    /// The user that they log in as, one of `[cluster.users]`.
    pub user: Option<String>,
    /// Consumer configs, as Kafka names them.
    #[serde(default)]
    pub consumer: BTreeMap<String, Value>,
    /// Producer configs, as Kafka names them.
    #[serde(default)]
    pub producer: BTreeMap<String, Value>,
}

/// Clients that move money between accounts, two records in one transaction: hosts `bank-0` and so on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bank {
    /// The topic.
    pub topic: String,
    /// How many, 1 unless said otherwise.
    #[serde(default = "one")]
    pub clients: u32,
    /// How many accounts there are, 2 and up. 10 unless said otherwise.
    #[serde(default = "ten")]
    pub accounts: u32,
    /// Transactions per time over all of them, as `"20/s"`.
    pub rate: String,
    /// How many of a hundred transactions are aborted on purpose. None unless said otherwise.
    #[serde(default)]
    pub abort_percent: u8,
    /// The user that they log in as, one of `[cluster.users]`.
    pub user: Option<String>,
    /// Producer configs, as Kafka names them.
    #[serde(default)]
    pub config: BTreeMap<String, Value>,
}

/// Clients that read and append to lists (the partitions of a topic) in transactions: hosts `lists-0` and so on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lists {
    /// The topic.
    pub topic: String,
    /// How many, 1 unless said otherwise.
    #[serde(default = "one")]
    pub clients: u32,
    /// Transactions per time over all of them, as `"20/s"`.
    pub rate: String,
    /// How many of a hundred transactions are aborted on purpose. None unless said otherwise.
    #[serde(default)]
    pub abort_percent: u8,
    /// The user that they log in as, one of `[cluster.users]`.
    pub user: Option<String>,
    /// Consumer configs, as Kafka names them.
    #[serde(default)]
    pub consumer: BTreeMap<String, Value>,
    /// Producer configs, as Kafka names them.
    #[serde(default)]
    pub producer: BTreeMap<String, Value>,
}

/// What a pipeline promises of each record that it reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Semantics {
    /// Written once.
    #[default]
    ExactlyOnce,
    /// Written once or more often.
    AtLeastOnce,
    /// Written once or not at all.
    AtMostOnce,
}

impl Semantics {
    /// Its name in a scenario.
    pub fn name(self) -> &'static str {
        match self {
            Semantics::ExactlyOnce => "exactly-once",
            Semantics::AtLeastOnce => "at-least-once",
            Semantics::AtMostOnce => "at-most-once",
        }
    }
}

/// The value of a config: a string, or what Kafka would write as one.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(
    untagged,
    expecting = "the value of a config is text in quotes, a whole number, true or false; and a name with dots is in quotes, too, \
                 as in \"linger.ms\" = 5"
)]
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
    /// What pipelines must have done, by group.
    #[serde(default)]
    pub pipelines: Vec<ExpectedPipeline>,
    /// At least so many records must be acknowledged.
    pub acked_min: Option<u64>,
    /// At least so many records must fail with these errors, as Kafka names them.
    #[serde(default)]
    pub failed_min: BTreeMap<String, u64>,
    /// The 99th percentile of produce latency, in ms of simulated time, must not be above.
    pub p99_ms_max: Option<u64>,
}

/// What a pipeline must have done.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedPipeline {
    /// Its `group.id`.
    pub group: String,
    /// At least so many records written; 1 unless said otherwise, and for every pipeline that is not named here.
    pub outputs_min: Option<u64>,
    /// At least so many records lost.
    pub lost_min: Option<u64>,
    /// At least so many records written more than once.
    pub duplicated_min: Option<u64>,
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
    /// The topics that it reads or writes.
    pub fn topics(&self) -> Vec<&str> {
        match self {
            Workload::Produce { topic, .. } | Workload::Consume { topic, .. } => vec![topic],
            Workload::Pipeline(pipeline) => vec![&pipeline.from, &pipeline.to],
            Workload::Bank(bank) => vec![&bank.topic],
            Workload::Lists(lists) => vec![&lists.topic],
        }
    }

    /// How many clients.
    pub fn clients(&self) -> u32 {
        match self {
            Workload::Produce { clients, .. } | Workload::Consume { clients, .. } => *clients,
            Workload::Pipeline(pipeline) => pipeline.clients,
            Workload::Bank(bank) => bank.clients,
            Workload::Lists(lists) => lists.clients,
        }
    }

    /// The user that its clients log in as.
    pub(crate) fn user(&self) -> Option<&str> {
        let user = match self {
            Workload::Produce { user, .. } | Workload::Consume { user, .. } => user,
            Workload::Pipeline(pipeline) => &pipeline.user,
            Workload::Bank(bank) => &bank.user,
            Workload::Lists(lists) => &lists.user,
        };
        user.as_deref()
    }

    /// The configs that its clients are given.
    pub(crate) fn configs(&self) -> impl Iterator<Item = &BTreeMap<String, Value>> {
        let (first, second) = match self {
            Workload::Produce { config, .. } | Workload::Consume { config, .. } => (config, None),
            Workload::Pipeline(pipeline) => (&pipeline.consumer, Some(&pipeline.producer)),
            Workload::Bank(bank) => (&bank.config, None),
            Workload::Lists(lists) => (&lists.consumer, Some(&lists.producer)),
        };
        std::iter::once(first).chain(second)
    }

    /// What its hosts are called, before the dash and the number.
    pub(crate) fn prefix(&self) -> &'static str {
        match self {
            Workload::Produce { .. } => "produce",
            Workload::Consume { .. } => "consume",
            Workload::Pipeline(_) => "pipeline",
            Workload::Bank(_) => "bank",
            Workload::Lists(_) => "lists",
        }
    }

    /// Whether its clients have producers, which are numbered over the whole run.
    pub(crate) fn produces(&self) -> bool {
        !matches!(self, Workload::Consume { .. })
    }

    /// Whether its clients have consumers, which are numbered over the whole run.
    pub(crate) fn consumes(&self) -> bool {
        !matches!(self, Workload::Produce { .. } | Workload::Bank(_))
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

fn ten() -> u32 {
    10
}

fn hundred_millis() -> Span {
    Span::from_millis(100)
}

fn two_hundred() -> u32 {
    200
}
