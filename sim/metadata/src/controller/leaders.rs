//! Who leads and who is in sync (`ReplicationControlManager` in Kafka's source).

use trial_node::{NodeId, Time, TopicIdPartition};
use trial_wire::messages::alter_partition_request::{BrokerState, PartitionData};
use trial_wire::messages::alter_partition_response as alter_response;
use trial_wire::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use trial_wire::messages::{
    AlterPartitionRequest, AlterPartitionResponse, BrokerId, ElectLeadersRequest, ElectLeadersResponse,
};
use trial_wire::{ErrorCode, StrBytes, TopicName};

use super::partition_change::{Election, ElectionRules, PartitionChangeBuilder};
use super::{ControllerResult, QuorumController};
use crate::config::topic_value;
use crate::image::TopicImage;
use crate::record::{LeaderRecoveryState, MetadataRecord, PartitionChange, PartitionRegistration};

/// How many leaders one round of balancing moves at most, so that its records fit one batch.
const MAX_ELECTIONS_PER_ROUND: usize = 1_000;

/// What becomes of a broker, before the metadata says so.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BrokerChange {
    /// It leaves all ISRs, and can lead nothing.
    pub(super) remove: Option<NodeId>,
    /// It can lead.
    pub(super) add: Option<NodeId>,
    /// Whether the one that is removed may have lost the end of its logs, so that it is not eligible to lead either (KIP-966).
    pub(super) unclean_shutdown: bool,
}

impl BrokerChange {
    /// The broker leaves, with all that it has on its disk.
    pub(super) fn removed(broker: NodeId) -> BrokerChange {
        BrokerChange { remove: Some(broker), ..BrokerChange::default() }
    }

    /// The broker comes.
    pub(super) fn added(broker: NodeId) -> BrokerChange {
        BrokerChange { add: Some(broker), ..BrokerChange::default() }
    }
}

/// `ElectionType` on the wire.
const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

impl QuorumController {
    pub(super) fn is_active(&self, broker_id: NodeId) -> bool {
        self.image.broker(broker_id).is_some_and(|broker| broker.is_active())
    }

    /// Whether a broker can lead this partition: it is active, and the log directory of its replica is in use.
    pub(super) fn can_lead(&self, partition: &PartitionRegistration, broker_id: NodeId) -> bool {
        self.is_active(broker_id) && self.has_log(partition, broker_id)
    }

    /// Whether the log directory of a broker's replica is in use, as far as it is known.
    pub(super) fn has_log(&self, partition: &PartitionRegistration, broker_id: NodeId) -> bool {
        let directory = partition.directory(broker_id);
        self.image.broker(broker_id).is_some_and(|broker| broker.has_online_dir(directory))
    }

    /// What elections in this topic go by.
    pub(super) fn rules_of(&self, topic: &TopicName) -> ElectionRules {
        let config = &self.config;
        let value = |name| {
            let value = topic_value(&config.static_config, &self.image, config.node_id, topic, name);
            value.expect("the table has it")
        };
        let unclean = value("unclean.leader.election.enable").eq_ignore_ascii_case("true");
        let min_isr =
            || value("min.insync.replicas").parse().expect("the config's range is within the type's");
        ElectionRules {
            election: if unclean { Election::Unclean } else { Election::Online },
            elr_min_isr: self.tracks_eligible_leaders().then(min_isr),
        }
    }

    /// The change that `builder` finds, with the brokers as they are.
    pub(super) fn build(&self, builder: PartitionChangeBuilder<'_>) -> Option<PartitionChange> {
        let partition = builder.partition;
        builder.build(|id| self.can_lead(partition, id), |id| self.directory_of(id))
    }

    /// Elects and shrinks in every partition that `affected` names, as if `happened` had happened already.
    pub(super) fn update_leaders_and_isrs(
        &self,
        happened: BrokerChange,
        affected: impl Fn(&PartitionRegistration) -> bool,
        records: &mut Vec<MetadataRecord>,
    ) {
        let BrokerChange { remove, add, .. } = happened;
        let unclean_shutdown = remove.filter(|_| happened.unclean_shutdown);
        let active = |id| Some(id) != remove && (Some(id) == add || self.is_active(id));
        for topic in self.image.topics().values() {
            let mut rules = None;
            for (partition, registration) in topic.partitions.iter().filter(|(_, p)| affected(p)) {
                let id = TopicIdPartition { topic_id: topic.id, partition: *partition };
                let rules = *rules.get_or_insert_with(|| self.rules_of(&topic.name));
                let mut builder = PartitionChangeBuilder {
                    unclean_shutdown,
                    ..PartitionChangeBuilder::new(id, registration, rules)
                };
                builder.target_isr.retain(|id| Some(*id) != remove);
                let can_lead = |id| active(id) && self.has_log(registration, id);
                let change = builder.build(can_lead, |id| self.directory_of(id));
                records.extend(change.map(MetadataRecord::PartitionChange));
            }
        }
    }

    /// Elects leaders, uncleanly if need be, where there is none and the topic allows it.
    pub(super) fn elect_where_unclean_is_allowed(&self) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        let leaderless = |partition: &PartitionRegistration| partition.leader == NodeId::NONE;
        self.update_leaders_and_isrs(BrokerChange::default(), leaderless, &mut records);
        records
    }

    /// Moves leaderships back to preferred replicas that can take them.
    pub(super) fn balance_leaders(&mut self, now: Time) -> Vec<MetadataRecord> {
        let mut changes = Vec::new();
        'all: for topic in self.image.topics().values() {
            let mut rules = None;
            for (partition, registration) in &topic.partitions {
                if registration.leader == registration.preferred_replica() {
                    continue;
                }
                let id = TopicIdPartition { topic_id: topic.id, partition: *partition };
                let rules = *rules.get_or_insert_with(|| self.rules_of(&topic.name));
                let rules = ElectionRules { election: Election::Preferred, ..rules };
                changes.extend(self.build(PartitionChangeBuilder::new(id, registration, rules)));
                if changes.len() == MAX_ELECTIONS_PER_ROUND {
                    break 'all;
                }
            }
        }
        let more = changes.len() == MAX_ELECTIONS_PER_ROUND;
        self.balance_due = Some(if more { now } else { now + self.balance_interval() });
        changes.into_iter().map(MetadataRecord::PartitionChange).collect()
    }

    /// ElectLeaders, preferred or unclean.
    pub fn elect_leaders(&self, request: &ElectLeadersRequest) -> ControllerResult<ElectLeadersResponse> {
        let election = match request.election_type {
            PREFERRED => Election::Preferred,
            UNCLEAN => Election::Unclean,
            _ => {
                let code = ErrorCode::InvalidRequest.code();
                return ControllerResult::answer(ElectLeadersResponse::default().with_error_code(code));
            }
        };
        let mut records = Vec::new();
        let mut results = Vec::new();
        let result = |topic: &TopicName, partition_result| {
            ReplicaElectionResult::default().with_topic(topic.clone()).with_partition_result(partition_result)
        };
        match &request.topic_partitions {
            Some(topics) => {
                for topic in topics {
                    let image = self.image.topic_named(&topic.topic);
                    let partitions = topic.partitions.iter().map(|partition| {
                        let elected = self.elect_leader(image, *partition, election, &mut records);
                        election_result(*partition, elected)
                    });
                    results.push(result(&topic.topic, partitions.collect()));
                }
            }
            // Every partition there is, but for those that need no election.
            None => {
                for topic in self.image.topics().values() {
                    let partitions = topic.partitions.keys().filter_map(|partition| {
                        match self.elect_leader(Some(topic), *partition, election, &mut records) {
                            Err(ErrorCode::ElectionNotNeeded) => None,
                            elected => Some(election_result(*partition, elected)),
                        }
                    });
                    results.push(result(&topic.name, partitions.collect()));
                }
            }
        }
        let response = ElectLeadersResponse::default().with_replica_election_results(results);
        ControllerResult::separable(records, response)
    }

    fn elect_leader(
        &self,
        topic: Option<&TopicImage>,
        partition: i32,
        election: Election,
        records: &mut Vec<MetadataRecord>,
    ) -> Result<(), ErrorCode> {
        let topic = topic.ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let registration = topic.partitions.get(&partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let preferred = election == Election::Preferred;
        if (preferred && registration.leader == registration.preferred_replica())
            || (!preferred && registration.leader != NodeId::NONE)
        {
            return Err(ErrorCode::ElectionNotNeeded);
        }
        let id = TopicIdPartition { topic_id: topic.id, partition };
        let rules = ElectionRules { election, ..self.rules_of(&topic.name) };
        let change =
            self.build(PartitionChangeBuilder::new(id, registration, rules)).ok_or(match preferred {
                true => ErrorCode::PreferredLeaderNotAvailable,
                false => ErrorCode::EligibleLeadersNotAvailable,
            })?;
        records.push(MetadataRecord::PartitionChange(change));
        Ok(())
    }

    /// AlterPartition: a leader asks for another ISR. `api_version` decides whether the ISR comes with broker epochs (3
    /// and up, KIP-903).
    pub fn alter_partition(
        &self,
        api_version: i16,
        request: &AlterPartitionRequest,
    ) -> ControllerResult<AlterPartitionResponse> {
        let broker_id = NodeId(*request.broker_id);
        if let Err(error) = self.check_broker_epoch(broker_id, request.broker_epoch) {
            return ControllerResult::answer(AlterPartitionResponse::default().with_error_code(error.code()));
        }
        let mut records = Vec::new();
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic_data in &request.topics {
            let topic = self.image.topic(topic_data.topic_id);
            let partitions = topic_data.partitions.iter().map(|data| {
                let index = data.partition_index;
                match self.alter_one(api_version, broker_id, topic, data) {
                    Ok((change, registration)) => {
                        let answer = altered(broker_id, index, change.as_ref(), &registration);
                        records.extend(change.map(MetadataRecord::PartitionChange));
                        answer
                    }
                    Err(error) => alter_response::PartitionData::default()
                        .with_partition_index(index)
                        .with_error_code(error.code()),
                }
            });
            topics.push(
                alter_response::TopicData::default()
                    .with_topic_id(topic_data.topic_id)
                    .with_partitions(partitions.collect()),
            );
        }
        ControllerResult::separable(records, AlterPartitionResponse::default().with_topics(topics))
    }

    /// The change to one partition, if any, and its state after it.
    fn alter_one(
        &self,
        api_version: i16,
        broker_id: NodeId,
        topic: Option<&TopicImage>,
        data: &PartitionData,
    ) -> Result<(Option<PartitionChange>, PartitionRegistration), ErrorCode> {
        let topic = topic.ok_or(ErrorCode::UnknownTopicId)?;
        let partition =
            topic.partitions.get(&data.partition_index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let new_isr: Vec<BrokerState> = if api_version >= 3 {
            data.new_isr_with_epochs.clone()
        } else {
            data.new_isr.iter().map(|id| BrokerState::default().with_broker_id(*id)).collect()
        };
        let recovery_state = self.check_alteration(broker_id, partition, data, &new_isr)?;
        let id = TopicIdPartition { topic_id: topic.id, partition: data.partition_index };
        let builder = PartitionChangeBuilder {
            target_isr: new_isr.iter().map(|member| NodeId(*member.broker_id)).collect(),
            target_recovery_state: recovery_state,
            ..PartitionChangeBuilder::new(id, partition, self.rules_of(&topic.name))
        };
        let change = self.build(builder);
        let after = change.as_ref().map_or_else(|| partition.clone(), |change| partition.merge(change));
        Ok((change, after))
    }

    fn check_alteration(
        &self,
        broker_id: NodeId,
        partition: &PartitionRegistration,
        data: &PartitionData,
        new_isr: &[BrokerState],
    ) -> Result<LeaderRecoveryState, ErrorCode> {
        // A leader that knows more than we do has heard of it from a newer controller.
        if data.leader_epoch > partition.leader_epoch.0 || data.partition_epoch > partition.partition_epoch {
            return Err(ErrorCode::NotController);
        }
        if data.leader_epoch < partition.leader_epoch.0 {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        if broker_id != partition.leader {
            return Err(ErrorCode::InvalidRequest);
        }
        if data.partition_epoch < partition.partition_epoch {
            return Err(ErrorCode::InvalidUpdateVersion);
        }
        let recovery_state =
            LeaderRecoveryState::from_id(data.leader_recovery_state).ok_or(ErrorCode::InvalidRequest)?;
        let distinct = |(i, member): (usize, &BrokerState)| {
            partition.replicas.contains(&NodeId(*member.broker_id))
                && new_isr[..i].iter().all(|other| other.broker_id != member.broker_id)
        };
        let has_leader = new_isr.iter().any(|member| *member.broker_id == broker_id.0);
        let recovering = recovery_state == LeaderRecoveryState::Recovering;
        let recovers_again = recovering && partition.leader_recovery_state == LeaderRecoveryState::Recovered;
        if !new_isr.iter().enumerate().all(distinct)
            || !has_leader
            || recovers_again
            || (recovering && new_isr.len() > 1)
        {
            return Err(ErrorCode::InvalidRequest);
        }
        // KIP-841 and KIP-903: who is fenced, leaving or another process than the leader heard of is not in sync, nor is who
        // has lost the log since. An epoch of −1 means that the leader does not know it.
        let eligible = |member: &BrokerState| {
            self.image.broker(NodeId(*member.broker_id)).is_some_and(|broker| {
                broker.is_active()
                    && broker.has_online_dir(partition.directory(broker.broker_id))
                    && (member.broker_epoch == -1 || member.broker_epoch == broker.broker_epoch)
            })
        };
        if !new_isr.iter().all(eligible) {
            return Err(ErrorCode::IneligibleReplica);
        }
        Ok(recovery_state)
    }
}

fn election_result(partition: i32, elected: Result<(), ErrorCode>) -> PartitionResult {
    let result = PartitionResult::default().with_partition_id(partition);
    match elected {
        Ok(()) => result,
        Err(error) => {
            result.with_error_code(error.code()).with_error_message(Some(StrBytes::from(error.to_string())))
        }
    }
}

fn altered(
    broker_id: NodeId,
    index: i32,
    change: Option<&PartitionChange>,
    partition: &PartitionRegistration,
) -> alter_response::PartitionData {
    let answer = alter_response::PartitionData::default().with_partition_index(index);
    if change.and_then(|change| change.leader).is_some_and(|leader| leader != broker_id) {
        return answer.with_error_code(ErrorCode::NewLeaderElected.code());
    }
    answer
        .with_leader_id(BrokerId(partition.leader.0))
        .with_leader_epoch(partition.leader_epoch.0)
        .with_isr(partition.isr.iter().map(|id| BrokerId(id.0)).collect())
        .with_leader_recovery_state(partition.leader_recovery_state as i8)
        .with_partition_epoch(partition.partition_epoch)
}
