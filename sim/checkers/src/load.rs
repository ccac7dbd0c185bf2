//! What the load is made of, as far as its own events do not tell.

use std::collections::BTreeSet;

use trial_wire::TopicName;

/// What checkers must know of the load.
#[derive(Clone, Debug, Default)]
pub struct Load {
    /// The consumers with `isolation.level=read_uncommitted`, by number. All others read what is committed only, or read
    /// topics that nobody writes to in transactions.
    pub read_uncommitted: BTreeSet<u32>,
    /// The pipelines. No two of them may read and write the same topics.
    pub pipelines: Vec<Pipeline>,
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
