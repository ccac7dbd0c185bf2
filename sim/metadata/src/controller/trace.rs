//! What people should know of a decision.

use trial_node::{LeaderEpoch, NodeId, TopicIdPartition, TopicPartition, TraceEvent};

use crate::image::MetadataImage;
use crate::record::{LeaderRecoveryState, MetadataRecord};

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
            let before = image.partition(change.id);
            if let (Some(before), Some(leader)) = (before, change.leader)
                && leader != before.leader
            {
                let leader_epoch = LeaderEpoch(before.leader_epoch.0 + 1);
                let unclean = change.leader_recovery_state == Some(LeaderRecoveryState::Recovering)
                    || (leader != NodeId::NONE && !before.isr.contains(&leader));
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
