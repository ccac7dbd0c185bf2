//! What clients did and saw, for the checkers: the history that they judge the cluster by.

mod content;
mod group;
mod transaction;

use trial_wire::TopicName;

use crate::id::{Offset, TopicPartition};
use crate::time::Time;

pub use content::Content;
pub use group::GroupEvent;
pub use transaction::{TransactionEvent, TransactionId, TransactionOutcome};

/// The identity that a workload gives each record, carried in the record's header [`RecordId::HEADER`], so that a checker
/// can tell a record from its duplicate and know which one is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// The workload's producer, numbered from 0 over the whole run.
    pub producer: u32,
    /// The producer's records, numbered from 0 in the order in which they were handed to it.
    pub sequence: u64,
}

impl RecordId {
    /// The key of the record header that carries the id.
    pub const HEADER: &'static str = "trial-id";

    /// The header's value: both numbers, big-endian.
    pub fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&self.producer.to_be_bytes());
        bytes[4..].copy_from_slice(&self.sequence.to_be_bytes());
        bytes
    }

    /// Reads the header's value; `None` if it is not one.
    pub fn from_bytes(bytes: &[u8]) -> Option<RecordId> {
        let (producer, sequence) = bytes.split_at_checked(4)?;
        Some(RecordId {
            producer: u32::from_be_bytes(producer.try_into().ok()?),
            sequence: u64::from_be_bytes(sequence.try_into().ok()?),
        })
    }
}

/// A record that a consumer handed to its application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolledRecord {
    /// Its offset.
    pub offset: Offset,
    /// Its identity, if it carries one.
    pub id: Option<RecordId>,
}

/// One thing that a client did or saw. The instant is that of the step that it came from.
///
/// What happens to the records of a batch together is one event: there are as many records as a run has time for, and each
/// event is hashed, kept and judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// A record was handed to a producer.
    SendInvoked {
        /// The record.
        id: RecordId,
        /// Its topic.
        topic: TopicName,
        /// When the load plan wanted it sent; latency is measured from here, so a stalled producer counts.
        intended: Time,
        /// Key and value, in bytes.
        bytes: u32,
        /// Whether the producer promises order and no duplicates (`enable.idempotence`).
        idempotent: bool,
        /// Whether a missing acknowledgement is expected (`acks=0` promises nothing, `acks=1` only the leader).
        acks: i16,
        /// What the record means to its workload.
        content: Content,
    },
    /// The cluster acknowledged the records of a batch.
    SendAcked {
        /// Their producer.
        producer: u32,
        /// Their sequences, in the order in which they were written.
        sequences: Vec<u64>,
        /// Where they were written.
        tp: TopicPartition,
        /// The offset that the cluster gave the first, the others follow without a gap; [`Offset::UNKNOWN`] for all with
        /// `acks=0`.
        base_offset: Offset,
    },
    /// The producer gave up on records, for one and the same reason.
    SendFailed {
        /// Their producer.
        producer: u32,
        /// Their sequences.
        sequences: Vec<u64>,
        /// Kafka's name of the error, for people.
        error: &'static str,
        /// Whether the records may have been written all the same (a time-out, a lost connection). If false they must never
        /// be read.
        ambiguous: bool,
    },
    /// A consumer handed records of one partition to its application.
    Polled {
        /// The consumer, numbered from 0 over the whole run.
        consumer: u32,
        /// The partition.
        tp: TopicPartition,
        /// The records, in the order in which they were handed out.
        records: Vec<PolledRecord>,
    },
    /// A consumer's position jumped other than by reading: its start, a reset policy (`auto.offset.reset`), or a
    /// truncation that it detected (KIP-320). The next record may be any from `to` on.
    PositionReset {
        /// The consumer.
        consumer: u32,
        /// The partition.
        tp: TopicPartition,
        /// Where it would have read next; [`Offset::UNKNOWN`] at its start.
        from: Offset,
        /// Where it reads next.
        to: Offset,
    },
    /// A client's process started (again); its consumers or producers begin anew.
    ClientStarted {
        /// Whether the numbers are consumers'; else they are producers'.
        consumers: bool,
        /// The first of them.
        first: u32,
        /// How many there are.
        count: u32,
    },
    /// A transaction began, is about to end, or has ended.
    Transaction(TransactionEvent),
    /// A member of a consumer group got or gave up partitions, or committed offsets.
    Group(GroupEvent),
}
