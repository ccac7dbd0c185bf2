//! Partitions move to other replicas (KIP-455; `ReplicationControlManager` in Kafka's source).
//!
//! A reassignment adds the new replicas beside the old ones and names both kinds in the partition's state. Once every replica
//! of the target is in sync, which the leader tells by AlterPartition, the old ones go: the builder of partition changes sees
//! to that with whatever change makes it true.

use std::collections::BTreeSet;

use trial_node::{NodeId, TopicIdPartition};
use trial_wire::messages::alter_partition_reassignments_request::ReassignablePartition;
use trial_wire::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use trial_wire::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use trial_wire::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, BrokerId,
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};
use trial_wire::{ErrorCode, TopicName};

use super::partition_change::{Election, ElectionRules, PartitionChangeBuilder};
use super::topics::invalid_assignment;
use super::{ApiError, ControllerResult, QuorumController};
use crate::image::TopicImage;
use crate::record::{LeaderRecoveryState, MetadataRecord, PartitionChange, PartitionRegistration};

impl QuorumController {
    /// AlterPartitionReassignments: begins, replaces or (without replicas) cancels reassignments. Version 0 has no word on the
    /// replication factor: it may change.
    pub fn alter_partition_reassignments(
        &self,
        request: &AlterPartitionReassignmentsRequest,
    ) -> ControllerResult<AlterPartitionReassignmentsResponse> {
        let mut records = Vec::new();
        let mut seen = BTreeSet::new();
        let mut responses = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for wanted in &topic.partitions {
                let altered = if seen.insert((&topic.name, wanted.partition_index)) {
                    self.reassign(&topic.name, wanted, request.allow_replication_factor_change)
                } else {
                    let what = "Each partition must appear at most once.".to_owned();
                    Err(ApiError::new(ErrorCode::InvalidRequest, what))
                };
                let response =
                    ReassignablePartitionResponse::default().with_partition_index(wanted.partition_index);
                partitions.push(match altered {
                    Ok(change) => {
                        records.extend(change.map(MetadataRecord::PartitionChange));
                        response.with_error_message(None)
                    }
                    Err(error) => response.with_error_code(error.code()).with_error_message(error.message()),
                });
            }
            responses.push(
                ReassignableTopicResponse::default()
                    .with_name(topic.name.clone())
                    .with_partitions(partitions),
            );
        }
        let response = AlterPartitionReassignmentsResponse::default()
            .with_allow_replication_factor_change(request.allow_replication_factor_change)
            .with_error_message(None)
            .with_responses(responses);
        ControllerResult::atomic(records, response)
    }

    fn reassign(
        &self,
        name: &TopicName,
        wanted: &ReassignablePartition,
        may_change_factor: bool,
    ) -> Result<Option<PartitionChange>, ApiError> {
        let unknown = |what: String| ApiError::new(ErrorCode::UnknownTopicOrPartition, what);
        let topic = self
            .image
            .topic_named(name)
            .ok_or_else(|| unknown(format!("Unable to find a topic named {}.", name.as_str())))?;
        let index = wanted.partition_index;
        let partition = topic
            .partitions
            .get(&index)
            .ok_or_else(|| unknown(format!("Unable to find partition {}:{index}.", name.as_str())))?;
        let id = TopicIdPartition { topic_id: topic.id, partition: index };
        let rules = self.rules_of(name);
        let Some(replicas) = &wanted.replicas else {
            return self.cancel_reassignment(name, id, partition, rules);
        };
        let target = self.check_assignment(replicas, None)?;
        if !may_change_factor {
            check_factor(partition, target.len())?;
        }
        // What is being added still is, as long as it is wanted; what was to go and is wanted again stays.
        let adds = |id: &&NodeId| !partition.replicas.contains(id) || partition.adding_replicas.contains(id);
        let adding = target.iter().filter(adds).copied().collect();
        let removing: BTreeSet<NodeId> =
            partition.replicas.iter().filter(|id| !target.contains(id)).copied().collect();
        let removing: Vec<NodeId> = removing.into_iter().collect();
        Ok(self.build(PartitionChangeBuilder {
            target_replicas: target.iter().chain(&removing).copied().collect(),
            target_removing: removing,
            target_adding: adding,
            // To move a partition is no reason to lose anything.
            ..PartitionChangeBuilder::new(
                id,
                partition,
                ElectionRules { election: Election::Online, ..rules },
            )
        }))
    }

    fn cancel_reassignment(
        &self,
        name: &TopicName,
        id: TopicIdPartition,
        partition: &PartitionRegistration,
        rules: ElectionRules,
    ) -> Result<Option<PartitionChange>, ApiError> {
        if !partition.is_reassigning() {
            let what = "No partition reassignment is in progress.".to_owned();
            return Err(ApiError::new(ErrorCode::NoReassignmentInProgress, what));
        }
        let stays = |id: &&NodeId| !partition.adding_replicas.contains(id);
        let replicas: Vec<NodeId> = partition.replicas.iter().filter(stays).copied().collect();
        let mut isr: Vec<NodeId> = partition.isr.iter().filter(stays).copied().collect();
        let mut recovery_state = partition.leader_recovery_state;
        let eligible = partition.elr.iter().any(|id| replicas.contains(id));
        if isr.is_empty() && !eligible {
            recovery_state = LeaderRecoveryState::Recovering;
            let allowed = rules.election == Election::Unclean;
            let alive = replicas.iter().find(|id| allowed && self.can_lead(partition, **id));
            isr.push(*alive.ok_or_else(|| {
                let tp = format!("{}:{}", name.as_str(), id.partition);
                invalid_assignment(match allowed {
                    true => format!("Unable to revert partition assignment for {tp}: none of its replicas is alive."),
                    false => format!(
                        "Unable to revert partition assignment for {tp} because it would require an unclean leader election."
                    ),
                })
            })?);
        }
        Ok(self.build(PartitionChangeBuilder {
            target_isr: isr,
            target_replicas: replicas,
            target_removing: Vec::new(),
            target_adding: Vec::new(),
            target_recovery_state: recovery_state,
            ..PartitionChangeBuilder::new(id, partition, rules)
        }))
    }

    /// ListPartitionReassignments: those under way, of all topics or of some partitions.
    pub fn list_partition_reassignments(
        &self,
        request: &ListPartitionReassignmentsRequest,
    ) -> ControllerResult<ListPartitionReassignmentsResponse> {
        let mut topics = Vec::new();
        match &request.topics {
            None => {
                let all = self.image.topic_ids().values().filter_map(|id| self.image.topic(*id));
                topics.extend(all.filter_map(|topic| ongoing(topic, topic.partitions.keys())));
            }
            Some(wanted) => topics.extend(wanted.iter().filter_map(|wanted| {
                ongoing(self.image.topic_named(&wanted.name)?, wanted.partition_indexes.iter())
            })),
        }
        ControllerResult::answer(
            ListPartitionReassignmentsResponse::default().with_error_message(None).with_topics(topics),
        )
    }
}

/// The factor that the partition has, or will have when the reassignment under way is complete, must stay (KIP-860).
fn check_factor(partition: &PartitionRegistration, factor: usize) -> Result<(), ApiError> {
    let current = partition.replicas.len() - partition.removing_replicas.len();
    if current == factor {
        return Ok(());
    }
    let what = format!("The replication factor is changed from {current} to {factor}");
    Err(ApiError::new(ErrorCode::InvalidReplicationFactor, what))
}

/// The reassignments of a topic that are under way among `partitions`; `None` if there are none.
fn ongoing<'a>(
    topic: &TopicImage,
    partitions: impl Iterator<Item = &'a i32>,
) -> Option<OngoingTopicReassignment> {
    let ids = |nodes: &[NodeId]| nodes.iter().map(|id| BrokerId(id.0)).collect();
    let of_partition = |index: &i32| {
        let partition = topic.partitions.get(index).filter(|partition| partition.is_reassigning())?;
        Some(
            OngoingPartitionReassignment::default()
                .with_partition_index(*index)
                .with_replicas(ids(&partition.replicas))
                .with_adding_replicas(ids(&partition.adding_replicas))
                .with_removing_replicas(ids(&partition.removing_replicas)),
        )
    };
    let partitions: Vec<_> = partitions.filter_map(of_partition).collect();
    (!partitions.is_empty()).then(|| {
        OngoingTopicReassignment::default().with_name(topic.name.clone()).with_partitions(partitions)
    })
}
