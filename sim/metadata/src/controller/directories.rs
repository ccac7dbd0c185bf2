//! The log directories that replicas are in (KIP-858): brokers say where they have put them, and which directories have failed.

use trial_node::{NodeId, TopicIdPartition};
use trial_wire::messages::assign_replicas_to_dirs_response::{DirectoryData, PartitionData, TopicData};
use trial_wire::messages::{AssignReplicasToDirsRequest, AssignReplicasToDirsResponse};
use trial_wire::{ErrorCode, Uuid};

use super::leaders::BrokerChange;
use super::partition_change::PartitionChangeBuilder;
use super::{ControllerResult, QuorumController};
use crate::image::TopicImage;
use crate::record::{
    BrokerRegistration, BrokerRegistrationChange, MetadataRecord, PartitionChange, PartitionRegistration,
};

impl QuorumController {
    /// Takes a broker's replicas in directories of which it says that they have failed out of the ISRs, and elects others. Says
    /// whether any of the directories was in use until now.
    pub(super) fn take_directories_offline(
        &self,
        registration: &BrokerRegistration,
        offline: &[Uuid],
        records: &mut Vec<MetadataRecord>,
    ) -> bool {
        let fails = |dir: &Uuid| offline.contains(dir);
        if !registration.log_dirs.iter().any(fails) {
            return false;
        }
        let broker_id = registration.broker_id;
        let (failed, left): (Vec<Uuid>, Vec<Uuid>) = registration.log_dirs.iter().partition(|dir| fails(dir));
        let is_there = |partition: &PartitionRegistration| {
            partition.replicas.contains(&broker_id) && failed.contains(&partition.directory(broker_id))
        };
        self.update_leaders_and_isrs(BrokerChange::removed(broker_id), is_there, records);
        records.push(MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChange {
            broker_id,
            broker_epoch: registration.broker_epoch,
            fenced: None,
            in_controlled_shutdown: false,
            log_dirs: Some(left),
        }));
        true
    }

    /// AssignReplicasToDirs.
    pub fn assign_replicas_to_dirs(
        &self,
        request: &AssignReplicasToDirsRequest,
    ) -> ControllerResult<AssignReplicasToDirsResponse> {
        let broker_id = NodeId(*request.broker_id);
        let broker = match self.check_broker_epoch(broker_id, request.broker_epoch) {
            Ok(broker) => broker,
            Err(error) => {
                let response = AssignReplicasToDirsResponse::default().with_error_code(error.code());
                return ControllerResult::answer(response);
            }
        };
        let mut records = Vec::new();
        let mut directories = Vec::with_capacity(request.directories.len());
        for directory in &request.directories {
            let mut topics = Vec::with_capacity(directory.topics.len());
            for topic in &directory.topics {
                let image = self.image.topic(topic.topic_id);
                let partitions = topic.partitions.iter().map(|partition| {
                    let index = partition.partition_index;
                    let code = match self.assign(broker, directory.id, image, index) {
                        Ok(change) => {
                            records.extend(change.map(MetadataRecord::PartitionChange));
                            0
                        }
                        Err(error) => error.code(),
                    };
                    PartitionData::default().with_partition_index(index).with_error_code(code)
                });
                let partitions = partitions.collect();
                topics.push(TopicData::default().with_topic_id(topic.topic_id).with_partitions(partitions));
            }
            directories.push(DirectoryData::default().with_id(directory.id).with_topics(topics));
        }
        let response = AssignReplicasToDirsResponse::default().with_directories(directories);
        ControllerResult::separable(records, response)
    }

    /// The change that puts a broker's replica into a directory.
    fn assign(
        &self,
        broker: &BrokerRegistration,
        directory: Uuid,
        topic: Option<&TopicImage>,
        index: i32,
    ) -> Result<Option<PartitionChange>, ErrorCode> {
        let topic = topic.ok_or(ErrorCode::UnknownTopicId)?;
        let partition = topic.partitions.get(&index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let place = partition.replicas.iter().position(|id| *id == broker.broker_id);
        let place = place.ok_or(ErrorCode::NotLeaderOrFollower)?;
        if partition.directory(broker.broker_id) == directory {
            return Ok(None);
        }
        if is_last_to_vouch(broker, partition) {
            return Err(ErrorCode::IneligibleReplica);
        }
        let mut moved = partition.clone();
        moved.directories.resize(moved.replicas.len(), Uuid::nil());
        moved.directories[place] = directory;
        let id = TopicIdPartition { topic_id: topic.id, partition: index };
        let mut builder = PartitionChangeBuilder::new(id, &moved, self.rules_of(&topic.name));
        if !broker.has_online_dir(partition.directory(broker.broker_id)) {
            // Its log is not the one that made it eligible, even if its broker was shut down in order.
            builder.unclean_shutdown = Some(broker.broker_id);
        }
        if !broker.has_online_dir(directory) {
            builder.target_isr.retain(|id| *id != broker.broker_id);
        }
        let change = self.build(builder).unwrap_or(PartitionChange { id, ..PartitionChange::default() });
        Ok(Some(PartitionChange { directories: Some(moved.directories), ..change }))
    }
}

/// Whether a broker that has lost the directory of its replica is the only one who could vouch for what is committed. If it
/// were assigned to another directory it could be elected there with an empty log, and the other replicas would throw away
/// what they have. As long as it is not, only an unclean election can make one of them lead, or the lost directory that
/// comes back. Where there is no other replica, nothing is left to be saved.
fn is_last_to_vouch(broker: &BrokerRegistration, partition: &PartitionRegistration) -> bool {
    let only_this = |ids: &[NodeId]| *ids == [broker.broker_id];
    let PartitionRegistration { replicas, isr, elr, last_known_elr, .. } = partition;
    let nobody = isr.is_empty() && elr.is_empty();
    replicas.len() > 1
        && !broker.has_online_dir(partition.directory(broker.broker_id))
        && (only_this(isr) || (isr.is_empty() && only_this(elr)) || (nobody && only_this(last_known_elr)))
}
