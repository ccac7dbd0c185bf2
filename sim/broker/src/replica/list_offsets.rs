//! Offsets by time and by leader epoch.

use trial_node::{LeaderEpoch, Offset, TopicIdPartition};
use trial_storage::ReadError;
use trial_wire::messages::list_offsets_request::ListOffsetsPartition;
use trial_wire::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use trial_wire::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use trial_wire::messages::{
    ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
};
use trial_wire::{ErrorCode, ResponseKind, TopicName};

use super::partition::{Partition, Role};
use super::{Context, ReplicaManager};
use crate::Token;

/// Asks for the end of what the client may read.
pub(super) const LATEST: i64 = -1;
/// Asks for the log's start.
pub(super) const EARLIEST: i64 = -2;
/// Asks for the record with the largest timestamp (KIP-734).
const MAX_TIMESTAMP: i64 = -3;
/// Asks for the start of what is not in tiered storage (KIP-405): everything is not.
const EARLIEST_LOCAL: i64 = -4;
/// Asks for the end of what is in tiered storage (KIP-1005): nothing is.
const LATEST_TIERED: i64 = -5;
/// The replica id of a tool that may ask any replica.
const DEBUGGING_REPLICA: i32 = -2;
/// The first version that knows OFFSET_NOT_AVAILABLE (KIP-207).
const OFFSET_NOT_AVAILABLE_VERSION: i16 = 5;

/// Who asks, and how.
#[derive(Clone, Copy)]
struct Asker {
    replica: i32,
    read_committed: bool,
    version: i16,
}

/// An answer: offset, timestamp and leader epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    timestamp: i64,
    offset: Offset,
    leader_epoch: LeaderEpoch,
}

/// Why there is no answer.
enum Fault {
    Code(ErrorCode),
    Read(ReadError),
}

impl From<ErrorCode> for Fault {
    fn from(code: ErrorCode) -> Fault {
        Fault::Code(code)
    }
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Fault {
        Fault::Read(error)
    }
}

impl ReplicaManager {
    /// A ListOffsets request.
    pub fn handle_list_offsets(
        &mut self,
        ctx: &mut Context<'_>,
        token: Token,
        version: i16,
        request: ListOffsetsRequest,
    ) {
        let asker =
            Asker { replica: request.replica_id.0, read_committed: request.isolation_level == 1, version };
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let mut answers = Vec::with_capacity(topic.partitions.len());
            for wanted in &topic.partitions {
                let answer =
                    ListOffsetsPartitionResponse::default().with_partition_index(wanted.partition_index);
                let found = self.find_offset(ctx, &topic.name, wanted, asker);
                answers.push(match found {
                    Ok(Some(found)) => answer
                        .with_timestamp(found.timestamp)
                        .with_offset(found.offset.0)
                        .with_leader_epoch(if version >= 4 { found.leader_epoch.0 } else { -1 }),
                    Ok(None) => answer,
                    Err(code) => answer.with_error_code(code.code()),
                });
            }
            topics.push(ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(answers));
        }
        let response = ListOffsetsResponse::default().with_topics(topics);
        self.after.respond(token, ResponseKind::ListOffsets(response));
        self.settle(ctx);
    }

    fn find_offset(
        &mut self,
        ctx: &mut Context<'_>,
        topic: &TopicName,
        wanted: &ListOffsetsPartition,
        asker: Asker,
    ) -> Result<Option<Found>, ErrorCode> {
        let partition = self.partition_named(ctx, topic, wanted.partition_index)?;
        let directory = partition.directory;
        find_offset(ctx, partition, wanted, asker).map_err(|fault| match fault {
            Fault::Code(code) => code,
            Fault::Read(error) => self.after.read_failed(directory, error),
        })
    }

    /// An OffsetForLeaderEpoch request (KIP-101, KIP-320).
    pub fn handle_offset_for_leader_epoch(
        &mut self,
        ctx: &mut Context<'_>,
        token: Token,
        request: OffsetForLeaderEpochRequest,
    ) {
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let mut answers = Vec::with_capacity(topic.partitions.len());
            for wanted in &topic.partitions {
                let answer = EpochEndOffset::default().with_partition(wanted.partition);
                let end = self.partition_named(ctx, &topic.topic, wanted.partition).and_then(|partition| {
                    partition.check(wanted.current_leader_epoch, true)?;
                    Ok(partition.log.end_offset_for_epoch(LeaderEpoch(wanted.leader_epoch)))
                });
                answers.push(match end {
                    Ok(Some((epoch, end_offset))) => {
                        answer.with_leader_epoch(epoch.0).with_end_offset(end_offset.0)
                    }
                    Ok(None) => answer,
                    Err(code) => answer.with_error_code(code.code()),
                });
            }
            topics
                .push(OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(answers));
        }
        let response = OffsetForLeaderEpochResponse::default().with_topics(topics);
        self.after.respond(token, ResponseKind::OffsetForLeaderEpoch(response));
    }

    fn partition_named(
        &self,
        ctx: &Context<'_>,
        topic: &TopicName,
        partition: i32,
    ) -> Result<&Partition, ErrorCode> {
        let topic_id = ctx.metadata.topic_id(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let tp = TopicIdPartition { topic_id, partition };
        self.partitions.get(&tp).ok_or_else(|| self.not_hosted(ctx, tp))
    }
}

fn find_offset(
    ctx: &mut Context<'_>,
    partition: &Partition,
    wanted: &ListOffsetsPartition,
    asker: Asker,
) -> Result<Option<Found>, Fault> {
    partition.check(wanted.current_leader_epoch, asker.replica != DEBUGGING_REPLICA)?;
    let log = &partition.log;
    let end = match (asker.replica < 0, asker.read_committed) {
        (false, _) => log.log_end_offset(),
        (true, true) => log.last_stable_offset(),
        (true, false) => log.high_watermark(),
    };
    let by_time = match wanted.timestamp {
        EARLIEST | EARLIEST_LOCAL => {
            let offset = log.log_start_offset();
            let leader_epoch = log.epoch_for_offset(offset).unwrap_or(LeaderEpoch::NONE);
            return Ok(Some(Found { timestamp: -1, offset, leader_epoch }));
        }
        LATEST_TIERED => return Ok(None),
        LATEST => {
            may_tell_end(partition, asker)?;
            let leader_epoch = partition.leader_epoch;
            return Ok(Some(Found { timestamp: -1, offset: end, leader_epoch }));
        }
        MAX_TIMESTAMP => log.offset_of_max_timestamp(ctx.disk),
        timestamp if timestamp >= 0 => log.offset_for_timestamp(ctx.disk, timestamp),
        _ => return Err(Fault::Code(ErrorCode::UnsupportedVersion)),
    };
    match by_time?.filter(|found| found.offset < end) {
        Some(found) => Ok(Some(Found {
            timestamp: found.timestamp,
            offset: found.offset,
            leader_epoch: found.leader_epoch,
        })),
        None => Ok(may_tell_end(partition, asker).map(|()| None)?),
    }
}

/// A new leader's high watermark may still be below what clients have already seen committed: until it reaches the start of
/// the leader's epoch, clients are not told where the end is (KIP-207).
fn may_tell_end(partition: &Partition, asker: Asker) -> Result<(), ErrorCode> {
    match &partition.role {
        Role::Leader(leadership)
            if asker.replica < 0 && leadership.epoch_start_offset > partition.log.high_watermark() =>
        {
            Err(if asker.version >= OFFSET_NOT_AVAILABLE_VERSION {
                ErrorCode::OffsetNotAvailable
            } else {
                ErrorCode::LeaderNotAvailable
            })
        }
        _ => Ok(()),
    }
}
