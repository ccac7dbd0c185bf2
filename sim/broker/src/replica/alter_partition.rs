//! Proposals of new ISRs to the controller (KIP-497): one request at a time, for all partitions that have one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use trial_node::{LeaderEpoch, NodeId, Span, TopicIdPartition, TopicPartition, TraceEvent};
use trial_wire::messages::alter_partition_request::{BrokerState, PartitionData, TopicData};
use trial_wire::messages::{AlterPartitionRequest, AlterPartitionResponse, ApiKey, BrokerId};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, api};

use super::isr::{IsrChange, Proposal};
use super::partition::{AlterOutcome, AlteredPartition, Partition};
use super::timers::Timer;
use super::{Context, Happened, Output, ReplicaManager, RequestFailure, Sent};

/// How long to wait after the controller refused a request as a whole, or could not be reached.
const RETRY_BACKOFF: Span = Span::from_millis(50);

/// What waits for the controller's answer.
#[derive(Clone, Debug, Default)]
pub(super) struct AlterPartitionQueue {
    /// At most one proposal per partition, sent or not.
    unanswered: BTreeMap<TopicIdPartition, Proposal>,
    /// What the request that is under way contains.
    in_flight: Vec<TopicIdPartition>,
    backing_off: bool,
}

impl AlterPartitionQueue {
    /// Queues the proposal that `partition` has just made.
    pub fn submit(&mut self, tp: TopicIdPartition, proposal: Proposal, partition: &mut Partition) {
        match self.unanswered.entry(tp) {
            Entry::Vacant(entry) => {
                entry.insert(proposal);
            }
            // An older proposal of the partition is still under way; this one was certainly not applied.
            Entry::Occupied(_) => {
                if let Some(leadership) = partition.leadership() {
                    leadership.isr.withdraw();
                }
            }
        }
    }

    /// The wait after a failure is over.
    pub fn backed_off(&mut self) {
        self.backing_off = false;
    }
}

impl ReplicaManager {
    pub(super) fn send_alter_partition(&mut self) {
        let queue = &mut self.alter_partition;
        if queue.unanswered.is_empty() || !queue.in_flight.is_empty() || queue.backing_off {
            return;
        }
        let me = self.config.node_id;
        let mut topics: Vec<TopicData> = Vec::new();
        for (tp, proposal) in &queue.unanswered {
            queue.in_flight.push(*tp);
            let isr = proposal.isr.iter().map(|(id, epoch)| {
                let epoch = if *id == me { self.broker_epoch } else { *epoch };
                BrokerState::default().with_broker_id(BrokerId(id.0)).with_broker_epoch(epoch)
            });
            let partition = PartitionData::default()
                .with_partition_index(tp.partition)
                .with_leader_epoch(proposal.leader_epoch.0)
                .with_new_isr_with_epochs(isr.collect())
                .with_leader_recovery_state(0)
                .with_partition_epoch(proposal.partition_epoch);
            match topics.last_mut().filter(|topic| topic.topic_id == tp.topic_id) {
                Some(topic) => topic.partitions.push(partition),
                None => topics
                    .push(TopicData::default().with_topic_id(tp.topic_id).with_partitions(vec![partition])),
            }
        }
        let request = AlterPartitionRequest::default()
            .with_broker_id(BrokerId(me.0))
            .with_broker_epoch(self.broker_epoch)
            .with_topics(topics);
        let id = self.send(Sent::AlterPartition);
        self.after.outputs.push_back(Output::ToController {
            id,
            version: api::latest(ApiKey::AlterPartition),
            body: Box::new(RequestKind::AlterPartition(request)),
        });
    }

    pub(super) fn handle_alter_partition_response(
        &mut self,
        ctx: &mut Context<'_>,
        result: Result<ResponseKind, RequestFailure>,
    ) {
        let sent = std::mem::take(&mut self.alter_partition.in_flight);
        match result {
            Ok(ResponseKind::AlterPartition(response)) if response.error_code == 0 => {
                self.take_over_answers(ctx, &sent, &response);
            }
            // The request goes out again until it is answered; a newer state of the partition makes the answer void.
            _ => {
                self.alter_partition.backing_off = true;
                self.timers.set(ctx.now.mono + RETRY_BACKOFF, Timer::AlterPartition);
            }
        }
    }

    fn take_over_answers(
        &mut self,
        ctx: &mut Context<'_>,
        sent: &[TopicIdPartition],
        response: &AlterPartitionResponse,
    ) {
        let around = self.surroundings(ctx);
        for topic in &response.topics {
            for answer in &topic.partitions {
                let tp = TopicIdPartition { topic_id: topic.topic_id, partition: answer.partition_index };
                if !sent.contains(&tp) {
                    continue;
                }
                let Some(proposal) = self.alter_partition.unanswered.remove(&tp) else { continue };
                let Some(partition) = self.partitions.get_mut(&tp) else { continue };
                let isr: Vec<NodeId> = answer.isr.iter().map(|id| NodeId(id.0)).collect();
                let result = match answer.error_code {
                    0 => Ok(AlteredPartition {
                        leader_epoch: LeaderEpoch(answer.leader_epoch),
                        partition_epoch: answer.partition_epoch,
                        isr: &isr,
                    }),
                    code => Err(ErrorCode::try_from_code(code).unwrap_or(ErrorCode::UnknownServerError)),
                };
                match partition.handle_alter_partition(&proposal, result, around) {
                    AlterOutcome::Ignored => {}
                    AlterOutcome::Retry => {
                        self.alter_partition.unanswered.insert(tp, proposal);
                        self.alter_partition.backing_off = true;
                        self.timers.set(ctx.now.mono + RETRY_BACKOFF, Timer::AlterPartition);
                    }
                    AlterOutcome::Committed { change, high_watermark_moved } => {
                        let happened = Happened {
                            high_watermark: high_watermark_moved,
                            isr: true,
                            ..Happened::default()
                        };
                        self.after.note(partition, &mut self.sessions, happened);
                        self.trace_isr(tp, change);
                        if high_watermark_moved {
                            self.high_watermark_moved(ctx.now.mono);
                        }
                        self.watch_lag(ctx.now.mono, tp);
                    }
                }
            }
        }
    }

    /// Tells that the controller confirmed another ISR.
    pub(super) fn trace_isr(&mut self, tp: TopicIdPartition, change: Option<IsrChange>) {
        let Some(partition) = self.partitions.get_mut(&tp) else { return };
        let name = TopicPartition { topic: partition.topic.clone(), partition: tp.partition };
        let Some(leadership) = partition.leadership() else { return };
        let isr = leadership.isr.committed.clone();
        match change {
            Some(IsrChange::Shrunk) => self.after.trace(TraceEvent::IsrShrunk { tp: name, isr }),
            Some(IsrChange::Expanded) => self.after.trace(TraceEvent::IsrExpanded { tp: name, isr }),
            None => {}
        }
    }
}
