//! The range assignor.

use std::collections::BTreeMap;

use trial_node::TopicIdPartition;

use super::{PartitionCounts, Partitions, Subscribers};

/// Cuts each topic into as many ranges as it has subscribers, the longer ones first.
///
/// Static members come before all others, in the order of their instance ids: that is what they keep when they come back with
/// another member id, so that their ranges stay where they were.
pub(super) fn assign<'a>(
    members: &Subscribers<'a>,
    topics: &PartitionCounts,
) -> BTreeMap<&'a str, Partitions> {
    let mut ordered: Vec<_> = members.iter().collect();
    ordered.sort_by_key(|(id, member)| (member.instance_id.is_none(), member.instance_id, **id));

    let mut assignment: BTreeMap<&str, Partitions> =
        members.keys().map(|id| (*id, Partitions::new())).collect();
    for (&topic_id, &partitions) in topics {
        let subscribers: Vec<&str> = ordered
            .iter()
            .filter(|(_, member)| member.topics.contains(&topic_id))
            .map(|(id, _)| **id)
            .collect();
        let Ok(count) = i32::try_from(subscribers.len()) else { continue };
        if count == 0 {
            continue;
        }
        let (each, mut extra) = (partitions / count, partitions % count);
        let mut next = 0;
        for id in subscribers {
            let end = next + each + i32::from(extra > 0);
            extra = (extra - 1).max(0);
            let range = (next..end).map(|partition| TopicIdPartition { topic_id, partition });
            assignment.get_mut(id).expect("every member has an entry").extend(range);
            next = end;
        }
    }
    assignment
}
