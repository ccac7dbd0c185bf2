//! What a client process is told to do.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use trial_node::{Endpoint, OpenError, Span, Time, TopicPartition};
use trial_wire::{StrBytes, TopicName};

use crate::admin::{AdminConfig, NewTopic};
use crate::consumer::{ConsumerConfig, ResetPolicy};
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
    /// Asks for elections at given times.
    Elect(ElectWorkload),
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

/// Reads a topic by manual assignment: of its partitions, client `i` of `n` reads those with `partition mod n = i`.
#[derive(Clone, Debug)]
pub struct ConsumeWorkload {
    /// The topic. It must exist, or come into being some time.
    pub topic: TopicName,
    /// Which of the workload's consumers this process hosts.
    pub share: Share,
    /// Consumer configs, as Kafka names them. `auto.offset.reset` is `earliest` unless given here.
    pub config: BTreeMap<String, String>,
}

/// Asks for preferred-leader elections (KIP-460), as an operator with `kafka-leader-election.sh` does.
#[derive(Clone, Debug)]
pub struct ElectWorkload {
    /// Which partitions, and when. Those of one instant are asked for together.
    pub elections: Vec<(Time, TopicPartition)>,
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
            WorkloadConfig::Consume(consume) => consume.consumer_config().map(drop),
            WorkloadConfig::Elect(elect) => elect.admin_config().map(drop),
        }
    }
}

impl SetupWorkload {
    pub(super) fn admin_config(&self) -> Result<AdminConfig, OpenError> {
        AdminConfig::from_properties(&self.config)
    }
}

impl ElectWorkload {
    pub(super) fn admin_config(&self) -> Result<AdminConfig, OpenError> {
        AdminConfig::from_properties(&self.config)
    }
}

impl ProduceWorkload {
    pub(super) fn producer_config(&self) -> Result<ProducerConfig, OpenError> {
        self.share.check()?;
        if self.rate.records == 0 || self.rate.per == Span::ZERO {
            return Err(invalid("rate", "must be at least one record in some time".to_owned()));
        }
        if self.keys == Keys::Uniform(0) {
            return Err(invalid("keys", "must be at least 1".to_owned()));
        }
        ProducerConfig::from_properties(&self.config)
    }
}

impl ConsumeWorkload {
    pub(super) fn consumer_config(&self) -> Result<ConsumerConfig, OpenError> {
        self.share.check()?;
        let mut config = ConsumerConfig::from_properties(&self.config)?;
        if !self.config.contains_key("auto.offset.reset") {
            config.reset_policy = ResetPolicy::Earliest;
        }
        Ok(config)
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
