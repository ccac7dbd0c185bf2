//! What the load is made of, as far as its own events do not tell.

use std::collections::{BTreeMap, BTreeSet};

use trial_node::{Span, TopicPartition};
use trial_wire::TopicName;

/// What checkers must know of the load.
#[derive(Clone, Debug, Default)]
pub struct Load {
    /// The consumers with `isolation.level=read_uncommitted`, by number. All others read what is committed only, or read
    /// topics that nobody writes to in transactions.
    pub read_uncommitted: BTreeSet<u32>,
    /// What every wall clock shows at the start of the run, in milliseconds since the Unix epoch.
    pub wall_start_ms: i64,
    /// What the topics' configuration says of old records. Nothing is demanded of topics that are not here.
    pub cleanup: BTreeMap<TopicName, Cleanup>,
    /// The pipelines. No two of them may read and write the same topics.
    pub pipelines: Vec<Pipeline>,
}

impl Load {
    /// Whether records of the partition may be compacted away.
    pub(crate) fn is_compacted(&self, tp: &TopicPartition) -> bool {
        self.is_topic_compacted(&tp.topic)
    }

    /// Whether records of the topic may be compacted away.
    pub(crate) fn is_topic_compacted(&self, topic: &TopicName) -> bool {
        self.cleanup.get(topic).is_some_and(|cleanup| cleanup.compact)
    }
}

/// What a topic's configuration says of old records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleanup {
    /// Whether `cleanup.policy` has `compact` in it.
    pub compact: bool,
    /// Whether it has `delete` in it.
    pub delete: bool,
    /// `retention.bytes`; `None` if there is no limit.
    pub retention_bytes: Option<u64>,
    /// `retention.ms`; `None` if there is no limit, or none that the run could come near.
    pub retention: Option<Span>,
}

/// A pipeline: what it reads, it writes to another topic.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// `group.id`.
    pub group: String,
    /// The topic that it reads.
    pub from: TopicName,
    /// The topic that it writes.
    pub to: TopicName,
    /// What it promises of each record.
    pub promise: Promise,
}

/// What a pipeline promises of each record that it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Written once.
    ExactlyOnce,
    /// Written once or more often.
    AtLeastOnce,
    /// Written once or not at all.
    AtMostOnce,
}

/// What became of the records that a pipeline read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PipelineCounts {
    /// Records in the topic that it reads.
    pub inputs: u64,
    /// Those below the group's committed offsets.
    pub committed: u64,
    /// Committed records that it has written.
    pub outputs: u64,
    /// Inputs below the committed offset without an output.
    pub lost: u64,
    /// Inputs with two outputs or more.
    pub duplicated: u64,
    /// Inputs at or above the committed offset that have an output: they will be written again.
    pub early: u64,
}
