//! What clients did as members of consumer groups.

use trial_wire::StrBytes;

use super::TransactionId;
use crate::id::{Offset, TopicPartition};

/// One thing that a member of a consumer group did or was told. Assigned partitions are the member's until
/// [`GroupEvent::Revoked`] or [`GroupEvent::Lost`] names them, or its process starts again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupEvent {
    /// `onPartitionsAssigned`: these are new to the member; those that it has already stay.
    Assigned {
        /// The consumer, numbered from 0 over the whole run.
        consumer: u32,
        /// `group.id`.
        group: StrBytes,
        /// The generation (classic protocol) or member epoch (KIP-848).
        epoch: i32,
        /// The partitions.
        partitions: Vec<TopicPartition>,
    },
    /// `onPartitionsRevoked` has returned: the member gives these up in order; others get them only now.
    Revoked {
        /// The consumer.
        consumer: u32,
        /// The partitions.
        partitions: Vec<TopicPartition>,
    },
    /// `onPartitionsLost`: the member has learned that it was thrown out of the group; others may have these for a while.
    Lost {
        /// The consumer.
        consumer: u32,
        /// The partitions.
        partitions: Vec<TopicPartition>,
    },
    /// Offsets are sent to be committed, by `commitSync`, `commitAsync`, auto-commit or `sendOffsetsToTransaction`.
    CommitInvoked {
        /// The consumer, or the consumer whose offsets a producer commits.
        consumer: u32,
        /// `group.id`.
        group: StrBytes,
        /// The generation or member epoch that the commit carries; −1 if it carries none.
        epoch: i32,
        /// Numbers this consumer's commits, from 0 at each start of its process.
        commit: u64,
        /// The transaction that it belongs to.
        transaction: Option<TransactionId>,
        /// Each partition with the offset that is to be read next.
        offsets: Vec<(TopicPartition, Offset)>,
    },
    /// The coordinator accepted a commit (which within a transaction takes effect only when that is committed).
    CommitAcked {
        /// The consumer.
        consumer: u32,
        /// The commit.
        commit: u64,
    },
    /// A commit failed.
    CommitFailed {
        /// The consumer.
        consumer: u32,
        /// The commit.
        commit: u64,
        /// Kafka's name of the error.
        error: &'static str,
        /// Whether it may have taken effect all the same.
        ambiguous: bool,
    },
}
