//! What people should know of a decision.

use trial_node::{LeaderEpoch, NodeId, TopicIdPartition, TopicPartition, TraceEvent};

use crate::image::MetadataImage;
use crate::record::{LeaderRecoveryState, MetadataRecord, PartitionChange, PartitionRegistration};

/// Tells what `record` will change in `image`.
pub(super) fn describe(image: &MetadataImage, record: &MetadataRecord, events: &mut Vec<TraceEvent>) {
    match record {
        MetadataRecord::Topic { name, .. } => events.push(TraceEvent::TopicCreated { topic: name.clone() }),
        MetadataRecord::RemoveTopic { topic_id } => {
            events.extend(
                image.topic(*topic_id).map(|topic| TraceEvent::TopicDeleted { topic: topic.name.clone() }),
            );
        }
        MetadataRecord::Partition { id, registration } => {
            let (leader, leader_epoch) = (registration.leader, registration.leader_epoch);
            events.extend(leader_elected(image, *id, leader, leader_epoch, false));
        }
        MetadataRecord::PartitionChange(change) => {
            let Some(before) = image.partition(change.id) else { return };
            events.extend(reassignment(image, before, change));
            if let Some(leader) = change.leader.filter(|leader| *leader != before.leader) {
                let leader_epoch = LeaderEpoch(before.leader_epoch.0 + 1);
                let unclean = change.leader_recovery_state == Some(LeaderRecoveryState::Recovering)
                    || (leader != NodeId::NONE
                        && !before.isr.contains(&leader)
                        && !before.elr.contains(&leader));
                events.extend(leader_elected(image, change.id, leader, leader_epoch, unclean));
            }
        }
        MetadataRecord::RegisterBroker(registration) => {
            events.extend(fencing(image, registration.broker_id, registration.fenced));
        }
        MetadataRecord::BrokerRegistrationChange(change) => {
            events.extend(change.fenced.and_then(|fenced| fencing(image, change.broker_id, fenced)));
        }
        _ => {}
    }
}

/// Tells where a reassignment (KIP-455) stands, if the change is about one.
fn reassignment(
    image: &MetadataImage,
    before: &PartitionRegistration,
    change: &PartitionChange,
) -> Option<TraceEvent> {
    if change.replicas.is_none() && change.adding_replicas.is_none() && change.removing_replicas.is_none() {
        return None;
    }
    let topic = image.topic(change.id.topic_id)?.name.clone();
    let tp = TopicPartition { topic, partition: change.id.partition };
    let PartitionRegistration { replicas, adding_replicas: adding, removing_replicas: removing, .. } =
        before.merge(change);
    if !(adding.is_empty() && removing.is_empty()) {
        return Some(TraceEvent::ReassignmentStarted { tp, replicas, adding, removing });
    }
    let original = before.replicas.iter().filter(|id| !before.adding_replicas.contains(id));
    let reverted = before.is_reassigning() && replicas.iter().eq(original);
    Some(match reverted {
        true => TraceEvent::ReassignmentCancelled { tp, replicas },
        false => TraceEvent::ReassignmentCompleted { tp, replicas },
    })
}

fn leader_elected(
    image: &MetadataImage,
    id: TopicIdPartition,
    leader: NodeId,
    leader_epoch: LeaderEpoch,
    unclean: bool,
) -> Option<TraceEvent> {
    let topic = image.topic(id.topic_id)?.name.clone();
    let tp = TopicPartition { topic, partition: id.partition };
    Some(TraceEvent::LeaderElected { tp, leader, leader_epoch, unclean })
}

/// A broker that registers for the first time is fenced, but was not before: that is no news.
fn fencing(image: &MetadataImage, broker: NodeId, fenced: bool) -> Option<TraceEvent> {
    let before = image.broker(broker)?.fenced;
    match (before, fenced) {
        (false, true) => Some(TraceEvent::ControllerFencedBroker { broker }),
        (true, false) => Some(TraceEvent::ControllerUnfencedBroker { broker }),
        _ => None,
    }
}
