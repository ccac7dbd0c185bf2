//! What a record means to the workload that sent it, as far as a checker must know.

use crate::id::{Offset, TopicPartition};

/// What a record means to its workload. It is part of the history, not of the record's bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// Nothing beyond its bytes.
    #[default]
    Plain,
    /// What a pipeline made of one record that it read.
    Copy {
        /// Where the input was read.
        source: TopicPartition,
        /// The input's offset.
        offset: Offset,
    },
    /// One side of a bank transfer: the sides of one transaction add up to zero.
    Transfer {
        /// The account, numbered from 0.
        account: u32,
        /// What is added to it; may be negative.
        amount: i64,
    },
    /// An element appended to a list (Elle's list-append, as in Jepsen's Kafka workload). A list is a partition.
    Append,
}
