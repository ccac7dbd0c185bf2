//! RoundRobinAssignor: partition by partition.

use std::collections::BTreeMap;

use trial_node::TopicPartition;
use trial_wire::TopicName;

use super::Member;

/// Goes round the members, and gives each partition, in order, to the next one that is subscribed to its topic.
pub(super) fn assign(members: &[&Member], counts: &BTreeMap<TopicName, usize>) -> Vec<Vec<TopicPartition>> {
    let mut assigned = vec![Vec::new(); members.len()];
    let mut next = 0;
    for tp in super::partitions(counts) {
        let round = (0..members.len()).map(|n| (next + n) % members.len());
        let Some(member) = round.into_iter().find(|member| members[*member].topics.contains(&tp.topic))
        else {
            continue;
        };
        assigned[member].push(tp);
        next = (member + 1) % members.len();
    }
    assigned
}
