//! DeleteRecords (KIP-107), and the purgatory of those that wait until all live replicas have deleted.

use trial_node::{Offset, Span, TopicIdPartition, TopicPartition, TraceEvent};
use trial_wire::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use trial_wire::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use trial_wire::{ErrorCode, ResponseKind, TopicName};

use super::partition::{Partition, Role};
use super::purgatory::Verdict;
use super::{ClusterMetadata, Context, Happened, ReplicaManager};
use crate::Token;

/// Asks for the deletion of everything committed.
const HIGH_WATERMARK: i64 = -1;

/// A DeleteRecords request that waits for followers.
#[derive(Clone, Debug)]
pub(super) struct DelayedDeleteRecords {
    token: Token,
    response: DeleteRecordsResponse,
    waits: Vec<Wait>,
}

/// One partition that a DeleteRecords request waits for.
#[derive(Clone, Copy, Debug)]
struct Wait {
    tp: TopicIdPartition,
    /// Where every live replica's log must start, or later.
    required: Offset,
    /// Where the response has the partition.
    topic_index: usize,
    partition_index: usize,
}

impl DelayedDeleteRecords {
    fn partition(&mut self, wait: Wait) -> &mut DeleteRecordsPartitionResult {
        &mut self.response.topics[wait.topic_index].partitions[wait.partition_index]
    }
}

impl Partition {
    /// The lowest start of this partition's log on any live replica, as its leader knows.
    fn low_watermark(&self, metadata: &dyn ClusterMetadata) -> Result<Offset, ErrorCode> {
        let Role::Leader(leadership) = &self.role else { return Err(ErrorCode::NotLeaderOrFollower) };
        let is_live = |id| metadata.broker(id).is_some_and(|broker| !broker.fenced);
        let remotes = leadership.remotes.iter().filter(|remote| is_live(remote.id));
        Ok(remotes.map(|remote| remote.log_start_offset).fold(self.log.log_start_offset(), Offset::min))
    }
}

impl ReplicaManager {
    /// A DeleteRecords request.
    pub fn handle_delete_records(
        &mut self,
        ctx: &mut Context<'_>,
        token: Token,
        request: DeleteRecordsRequest,
    ) {
        let mut delayed =
            DelayedDeleteRecords { token, response: DeleteRecordsResponse::default(), waits: Vec::new() };
        for topic in request.topics {
            let mut results = Vec::with_capacity(topic.partitions.len());
            for wanted in &topic.partitions {
                let index = wanted.partition_index;
                let result = DeleteRecordsPartitionResult::default().with_partition_index(index);
                let deleted = self.delete_records(ctx, &topic.name, index, wanted.offset);
                results.push(match deleted {
                    Ok((tp, required, low_watermark)) => {
                        if low_watermark < required {
                            let topic_index = delayed.response.topics.len();
                            let partition_index = results.len();
                            delayed.waits.push(Wait { tp, required, topic_index, partition_index });
                        }
                        result.with_low_watermark(low_watermark.0)
                    }
                    Err(code) => result.with_low_watermark(-1).with_error_code(code.code()),
                });
            }
            let topic = DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(results);
            delayed.response.topics.push(topic);
        }
        if delayed.waits.is_empty() {
            self.after.respond(token, ResponseKind::DeleteRecords(delayed.response));
        } else {
            let timeout = Span::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
            let watched: Vec<TopicIdPartition> = delayed.waits.iter().map(|wait| wait.tp).collect();
            self.deletions.watch(delayed, watched.into_iter(), ctx.now.mono + timeout);
        }
        self.settle(ctx);
    }

    /// Moves the start of a log that this broker leads; returns where it is now to be at least, and the low watermark.
    fn delete_records(
        &mut self,
        ctx: &mut Context<'_>,
        topic: &TopicName,
        partition: i32,
        offset: i64,
    ) -> Result<(TopicIdPartition, Offset, Offset), ErrorCode> {
        let topic_id = ctx.metadata.topic_id(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        if trial_coordinator::is_internal(topic.as_str()) {
            return Err(ErrorCode::InvalidTopicException);
        }
        let tp = TopicIdPartition { topic_id, partition };
        let Some(partition) = self.partitions.get_mut(&tp) else { return Err(self.not_hosted(ctx, tp)) };
        if !partition.is_leader() {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        if !partition.log.config().delete {
            return Err(ErrorCode::PolicyViolation);
        }
        let high_watermark = partition.log.high_watermark();
        let required = if offset == HIGH_WATERMARK { high_watermark } else { Offset(offset) };
        if required < Offset::ZERO || required > high_watermark {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        let from = partition.log.log_start_offset();
        match partition.log.advance_log_start_offset(ctx.disk, required) {
            Ok(true) => {
                let name = TopicPartition { topic: topic.clone(), partition: tp.partition };
                self.after.trace(TraceEvent::LogStartAdvanced { tp: name, from, to: required });
                let happened = Happened { high_watermark: true, ..Happened::default() };
                self.after.note(partition, &mut self.sessions, happened);
                let low_watermark = partition.low_watermark(ctx.metadata)?;
                self.directories[partition.directory].checkpoints.log_start_moved();
                Ok((tp, required, low_watermark))
            }
            Ok(false) => Ok((tp, required, partition.low_watermark(ctx.metadata)?)),
            Err(error) => {
                self.after.directory_failed(partition.directory, error);
                Err(ErrorCode::KafkaStorageError)
            }
        }
    }

    /// Looks at those that wait for a partition.
    pub(super) fn complete_deletions(&mut self, ctx: &Context<'_>, tp: TopicIdPartition) {
        let low_watermark = || match self.partitions.get(&tp) {
            Some(partition) => partition.low_watermark(ctx.metadata),
            None => Err(match self.offline.contains(&tp) {
                true => ErrorCode::KafkaStorageError,
                false => ErrorCode::UnknownTopicOrPartition,
            }),
        };
        let mut completed = Vec::new();
        self.deletions.check(tp, &mut completed, |delayed| {
            let low_watermark = low_watermark();
            let (mut waits, others): (Vec<Wait>, Vec<Wait>) =
                std::mem::take(&mut delayed.waits).into_iter().partition(|wait| wait.tp == tp);
            // A request may name a partition more than once.
            waits.retain(|wait| {
                let result = delayed.partition(*wait);
                match low_watermark {
                    Ok(low_watermark) if low_watermark < wait.required => return true,
                    Ok(low_watermark) => result.low_watermark = low_watermark.0,
                    Err(code) => (result.low_watermark, result.error_code) = (-1, code.code()),
                }
                false
            });
            let verdict = match (waits.is_empty(), others.is_empty()) {
                (false, _) => Verdict::Waits,
                (true, true) => Verdict::Complete,
                (true, false) => Verdict::Unwatches,
            };
            delayed.waits = others;
            delayed.waits.append(&mut waits);
            verdict
        });
        for delayed in completed {
            self.after.respond(delayed.token, ResponseKind::DeleteRecords(delayed.response));
        }
    }

    /// A request's time is up: where followers have not said that they have deleted, they may yet.
    pub(super) fn expire_deletion(&mut self, mut delayed: DelayedDeleteRecords) {
        for wait in std::mem::take(&mut delayed.waits) {
            delayed.partition(wait).error_code = ErrorCode::RequestTimedOut.code();
        }
        self.after.respond(delayed.token, ResponseKind::DeleteRecords(delayed.response));
    }
}
