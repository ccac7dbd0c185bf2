//! What a client process is told to do.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use trial_node::{Endpoint, OpenError, Span, Time};
use trial_wire::{StrBytes, TopicName};

use crate::admin::{AdminCall, AdminConfig, NewTopic};
use crate::consumer::ConsumerConfig;
use crate::producer::ProducerConfig;
use crate::properties::invalid;

/// A client process's configuration.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// `client.id`; its producers and consumers append their numbers.
    pub client_id: StrBytes,
    /// `bootstrap.servers`. At least one.
    pub bootstrap: Vec<Endpoint>,
    /// What the process does, all at the same time.
    pub workloads: Vec<WorkloadConfig>,
    /// From this instant on producers make no more records; they flush what they have. Consumers go on.
    pub stop_at: Option<Time>,
}

/// One thing that a client process does.
#[derive(Clone, Debug)]
pub enum WorkloadConfig {
    /// Waits for the cluster and creates topics.
    Setup(SetupWorkload),
    /// Produces records at a steady rate.
    Produce(ProduceWorkload),
    /// Reads all partitions of a topic.
    Consume(ConsumeWorkload),
    /// Asks the cluster for something at given times.
    Operate(OperateWorkload),
    /// Reads one topic as a consumer group and writes what it makes of each record to another.
    Pipeline(PipelineWorkload),
    /// Moves money between accounts in transactions.
    Bank(BankWorkload),
    /// Appends to lists and reads them, in transactions.
    Lists(ListsWorkload),
}

/// Waits until the cluster serves, creates topics and waits until every partition of theirs has a leader; a topic that
/// exists already is left as it is. See [`crate::ClientNode::is_done`].
#[derive(Clone, Debug)]
pub struct SetupWorkload {
    /// How many brokers must be there before topics are created. 1 and up.
    pub brokers: u32,
    /// The topics to create.
    pub topics: Vec<NewTopic>,
    /// The admin client's configs, as Kafka names them.
    pub config: BTreeMap<String, String>,
}

/// Which of a workload's clients one process hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The number, over the whole run, of the workload's client 0. Producers and consumers are numbered apart.
    pub first_number: u32,
    /// The first of the workload's clients that this process hosts, 0 to `of − 1`.
    pub index: u32,
    /// How many from there on it hosts, 1 and up; `index + count` is at most `of`.
    pub count: u32,
    /// How many clients the workload has in all.
    pub of: u32,
}

impl Share {
    /// All `clients` clients of a workload in one process, numbered from `first_number` on.
    pub fn whole(first_number: u32, clients: u32) -> Share {
        Share { first_number, index: 0, count: clients, of: clients }
    }
}

/// Produces records at a steady rate, open loop: a producer that stalls does not move the schedule.
///
/// Record `n` of the workload (all its clients together) is intended for `start_at + n × per ÷ records` and belongs to
/// client `n mod of`, as that client's record `n div of`: this quotient is the record's [`trial_node::RecordId::sequence`].
/// A process that starts later, or again after a crash, leaves out the records that were intended for the time before.
#[derive(Clone, Debug)]
pub struct ProduceWorkload {
    /// The topic. It must exist, or come into being within `max.block.ms`.
    pub topic: TopicName,
    /// Which of the workload's producers this process hosts.
    pub share: Share,
    /// How many records per time, over all the workload's producers.
    pub rate: Rate,
    /// When the first record is intended.
    pub start_at: Time,
    /// The records' keys.
    pub keys: Keys,
    /// The records' values.
    pub corpus: Corpus,
    /// Producer configs, as Kafka names them.
    pub config: BTreeMap<String, String>,
}

/// A steady rate as an exact fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many records, 1 and up...
    pub records: u64,
    /// ...in this time, 1 ns and up.
    pub per: Span,
}

impl Rate {
    /// `records` per second.
    pub fn per_second(records: u64) -> Rate {
        Rate { records, per: Span::from_secs(1) }
    }
}

/// The keys of a workload's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// No key: the producer's sticky partitioner decides.
    None,
    /// Every record has a key of its own.
    Unique,
    /// This many keys, 1 and up, all alike likely.
    Uniform(u64),
}

/// Pre-cut record values, shared by all who use them.
#[derive(Clone, Debug)]
pub struct Corpus(Arc<[Bytes]>);

impl Corpus {
    /// The corpus of these values, at least one.
    pub fn new(values: Vec<Bytes>) -> Corpus {
        assert!(!values.is_empty(), "a corpus has at least one value");
        Corpus(values.into())
    }

    /// Value `n`, counted round and round.
    pub fn value(&self, n: u64) -> &Bytes {
        &self.0[(n % self.0.len() as u64) as usize]
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never true.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads a topic: as a consumer group, or by manual assignment, where of the topic's partitions client `i` of `n` reads
/// those with `partition mod n = i`.
#[derive(Clone, Debug)]
pub struct ConsumeWorkload {
    /// The topic. It must exist, or come into being some time.
    pub topic: TopicName,
    /// Which of the workload's consumers this process hosts.
    pub share: Share,
    /// `group.id`: the consumers subscribe as its members. Without it they assign themselves partitions.
    pub group: Option<StrBytes>,
    /// Consumer configs, as Kafka names them. `auto.offset.reset` is `earliest` unless given here. A `group.instance.id` gets
    /// `-<client>` behind it. With `enable.auto.commit` off, a member of a group commits what it has read itself, every
    /// `auto.commit.interval.ms`, and when partitions are taken from it.
    pub config: BTreeMap<String, String>,
}

/// Reads one topic as a consumer group and writes one record to another topic for each that it has read, with the same key
/// and value. Its clients are a consumer and a producer each.
#[derive(Clone, Debug)]
pub struct PipelineWorkload {
    /// The topic to read. It must exist, or come into being some time.
    pub from: TopicName,
    /// The topic to write.
    pub to: TopicName,
    /// `group.id`.
    pub group: StrBytes,
    /// What is promised of each record read.
    pub semantics: Semantics,
    /// How long a transaction, or the time between two commits, is. 1 ms and up.
    pub commit_interval: Span,
    /// Which of the workload's clients this process hosts; its first number is the first producer's.
    pub share: Share,
    /// The number, over the whole run, of client 0's consumer.
    pub first_consumer: u32,
    /// Consumer configs, as Kafka names them. The pipeline sets `enable.auto.commit` (off), and unless they are given here
    /// `auto.offset.reset` (`earliest`) and, if it is exactly-once, `isolation.level` (`read_committed`). A
    /// `group.instance.id` gets `-<client>` behind it.
    pub consumer: BTreeMap<String, String>,
    /// Producer configs, as Kafka names them. If the pipeline is exactly-once, the producer of client `i` has the
    /// `transactional.id` given here (or the group's name) with `-<i>` behind it.
    pub producer: BTreeMap<String, String>,
}

/// What a pipeline promises of each record that it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Semantics {
    /// Written once: output and offsets are committed in one transaction (KIP-98, KIP-447).
    ExactlyOnce,
    /// Written once or more often: offsets are committed after the output is acknowledged.
    AtLeastOnce,
    /// Written once or not at all: offsets are committed before the output is sent.
    AtMostOnce,
}

/// Moves money between accounts: each transaction writes two records, +x for one account and −x for another whose records
/// are in another partition. An account is a key: its number, 8 bytes, big-endian. The topic should have two partitions or
/// more.
///
/// Transaction `n` of the workload is intended for `start_at + n × per ÷ records`, as with [`ProduceWorkload`]; a client has
/// one at a time, so a slow one delays the next.
#[derive(Clone, Debug)]
pub struct BankWorkload {
    /// The topic.
    pub topic: TopicName,
    /// Which of the workload's producers this process hosts.
    pub share: Share,
    /// How many accounts there are, 2 and up.
    pub accounts: u32,
    /// How many transactions per time, over all the workload's producers.
    pub rate: Rate,
    /// When the first transaction is intended.
    pub start_at: Time,
    /// How many of a hundred transactions are aborted on purpose, 0 to 100.
    pub abort_percent: u8,
    /// Producer configs, as Kafka names them. The producer of client `i` has the `transactional.id` given here (or `bank`)
    /// with `-<i>` behind it.
    pub config: BTreeMap<String, String>,
}

/// Appends to lists and reads them: each transaction polls all partitions of a topic, appends 1 to 4 records to partitions at
/// random, and in half of the cases polls again when they are written, before it commits. Its clients are a consumer, which assigns itself all partitions, and a producer each; when the
/// last transaction has ended, the consumer reads on without any.
///
/// Transactions are scheduled as those of [`BankWorkload`].
#[derive(Clone, Debug)]
pub struct ListsWorkload {
    /// The topic; its partitions are the lists.
    pub topic: TopicName,
    /// Which of the workload's clients this process hosts; its first number is the first producer's.
    pub share: Share,
    /// The number, over the whole run, of client 0's consumer.
    pub first_consumer: u32,
    /// How many transactions per time, over all the workload's clients.
    pub rate: Rate,
    /// When the first transaction is intended.
    pub start_at: Time,
    /// How many of a hundred transactions are aborted on purpose, 0 to 100.
    pub abort_percent: u8,
    /// Consumer configs, as Kafka names them. `auto.offset.reset` is `earliest` and `isolation.level` is `read_committed`
    /// unless given here.
    pub consumer: BTreeMap<String, String>,
    /// Producer configs, as Kafka names them. The producer of client `i` has the `transactional.id` given here (or `lists`)
    /// with `-<i>` behind it.
    pub producer: BTreeMap<String, String>,
}

/// Asks for elections, reassignments and other configs, as an operator with Kafka's command-line tools does.
#[derive(Clone, Debug)]
pub struct OperateWorkload {
    /// What, and when. One call after the other: one that comes before the last is answered waits.
    pub calls: Vec<(Time, AdminCall)>,
    /// The admin client's configs, as Kafka names them.
    pub config: BTreeMap<String, String>,
}

impl WorkloadConfig {
    /// Checks what [`trial_node::Node::open`] would check: names and values of the configs.
    ///
    /// # Errors
    /// [`OpenError::Config`] with the nearest valid name, or with what is wrong with a value.
    pub fn check(&self) -> Result<(), OpenError> {
        match self {
            WorkloadConfig::Setup(setup) => setup.admin_config().map(drop),
            WorkloadConfig::Produce(produce) => produce.producer_config().map(drop),
            WorkloadConfig::Consume(consume) => consume.consumer_config(0).map(drop),
            WorkloadConfig::Operate(operate) => operate.admin_config().map(drop),
            WorkloadConfig::Pipeline(pipeline) => {
                pipeline.consumer_config(0)?;
                pipeline.producer_config(0).map(drop)
            }
            WorkloadConfig::Bank(bank) => bank.producer_config(0).map(drop),
            WorkloadConfig::Lists(lists) => {
                lists.consumer_config()?;
                lists.producer_config(0).map(drop)
            }
        }
    }
}

impl SetupWorkload {
    pub(super) fn admin_config(&self) -> Result<AdminConfig, OpenError> {
        AdminConfig::from_properties(&self.config)
    }
}

impl OperateWorkload {
    pub(super) fn admin_config(&self) -> Result<AdminConfig, OpenError> {
        AdminConfig::from_properties(&self.config)
    }
}

impl ProduceWorkload {
    pub(super) fn producer_config(&self) -> Result<ProducerConfig, OpenError> {
        self.share.check()?;
        self.rate.check()?;
        if self.keys == Keys::Uniform(0) {
            return Err(invalid("keys", "must be at least 1".to_owned()));
        }
        if self.config.contains_key("transactional.id") {
            let what = "this workload has no transactions; a pipeline, bank or lists workload has".to_owned();
            return Err(invalid("transactional.id", what));
        }
        ProducerConfig::from_properties(&self.config)
    }
}

impl ConsumeWorkload {
    /// What client `index` is told.
    pub(super) fn consumer_config(&self, index: u32) -> Result<ConsumerConfig, OpenError> {
        self.share.check()?;
        let mut config = self.config.clone();
        if let Some(group) = &self.group {
            config.insert("group.id".to_owned(), group.to_string());
            number(&mut config, "group.instance.id", index);
        }
        consumer_config(config)
    }
}

impl PipelineWorkload {
    pub(super) fn consumer_config(&self, index: u32) -> Result<ConsumerConfig, OpenError> {
        self.share.check()?;
        if self.commit_interval < Span::from_millis(1) {
            return Err(invalid("commit_interval", "must be at least 1 ms".to_owned()));
        }
        let mut config = self.consumer.clone();
        config.insert("group.id".to_owned(), self.group.to_string());
        config.insert("enable.auto.commit".to_owned(), "false".to_owned());
        number(&mut config, "group.instance.id", index);
        if self.semantics == Semantics::ExactlyOnce {
            config.entry("isolation.level".to_owned()).or_insert("read_committed".to_owned());
        }
        consumer_config(config)
    }

    pub(super) fn producer_config(&self, index: u32) -> Result<ProducerConfig, OpenError> {
        if self.semantics == Semantics::ExactlyOnce {
            return transactional(&self.producer, &self.group, index);
        }
        if self.producer.contains_key("transactional.id") {
            let what = "only a pipeline that is exactly-once has transactions".to_owned();
            return Err(invalid("transactional.id", what));
        }
        ProducerConfig::from_properties(&self.producer)
    }
}

impl BankWorkload {
    pub(super) fn producer_config(&self, index: u32) -> Result<ProducerConfig, OpenError> {
        self.share.check()?;
        self.rate.check()?;
        check_percent(self.abort_percent)?;
        if self.accounts < 2 {
            return Err(invalid("accounts", "must be at least 2".to_owned()));
        }
        transactional(&self.config, "bank", index)
    }
}

impl ListsWorkload {
    pub(super) fn consumer_config(&self) -> Result<ConsumerConfig, OpenError> {
        self.share.check()?;
        self.rate.check()?;
        check_percent(self.abort_percent)?;
        let mut config = self.consumer.clone();
        config.entry("isolation.level".to_owned()).or_insert("read_committed".to_owned());
        consumer_config(config)
    }

    pub(super) fn producer_config(&self, index: u32) -> Result<ProducerConfig, OpenError> {
        transactional(&self.producer, "lists", index)
    }
}

/// A workload's consumers read everything unless they are told otherwise.
fn consumer_config(mut config: BTreeMap<String, String>) -> Result<ConsumerConfig, OpenError> {
    config.entry("auto.offset.reset".to_owned()).or_insert("earliest".to_owned());
    ConsumerConfig::from_properties(&config)
}

/// Tells the workload's clients apart by their index behind a name that is given for all of them.
fn number(config: &mut BTreeMap<String, String>, key: &str, index: u32) {
    if let Some(name) = config.get_mut(key) {
        *name = format!("{name}-{index}");
    }
}

fn transactional(
    config: &BTreeMap<String, String>,
    default_id: &str,
    index: u32,
) -> Result<ProducerConfig, OpenError> {
    let mut config = config.clone();
    config.entry("transactional.id".to_owned()).or_insert(default_id.to_owned());
    number(&mut config, "transactional.id", index);
    ProducerConfig::from_properties(&config)
}

fn check_percent(percent: u8) -> Result<(), OpenError> {
    if percent > 100 {
        return Err(invalid("abort_percent", format!("{percent} is more than 100")));
    }
    Ok(())
}

impl Rate {
    fn check(self) -> Result<(), OpenError> {
        if self.records == 0 || self.per == Span::ZERO {
            return Err(invalid("rate", "must be at least one in some time".to_owned()));
        }
        Ok(())
    }
}

impl Share {
    fn check(&self) -> Result<(), OpenError> {
        let end = self.index.checked_add(self.count);
        if self.count == 0 || end.is_none_or(|end| end > self.of) {
            let what = format!("clients {}+{} of {} make no sense", self.index, self.count, self.of);
            return Err(invalid("clients", what));
        }
        Ok(())
    }

    /// The hosted clients: each one's index in the workload and its number over the whole run.
    pub(super) fn clients(self) -> impl Iterator<Item = (u32, u32)> {
        (self.index..self.index + self.count).map(move |index| (index, self.first_number + index))
    }
}
