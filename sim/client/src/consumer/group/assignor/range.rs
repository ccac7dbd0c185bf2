//! RangeAssignor: topic by topic.

use std::collections::BTreeMap;

use trial_node::TopicPartition;
use trial_wire::TopicName;

use super::Member;

/// Each subscriber of a topic gets as many of its partitions, which follow one another; if they do not divide evenly, the
/// first subscribers get one more. Topics with as many partitions and the same subscribers are assigned alike, so that the
/// same member reads what belongs together.
pub(super) fn assign(members: &[&Member], counts: &BTreeMap<TopicName, usize>) -> Vec<Vec<TopicPartition>> {
    let mut assigned = vec![Vec::new(); members.len()];
    for (topic, count) in counts {
        let subscribers: Vec<usize> =
            (0..members.len()).filter(|member| members[*member].topics.contains(topic)).collect();
        let mut next = 0;
        for (rank, member) in subscribers.iter().enumerate() {
            let share = count / subscribers.len() + usize::from(rank < count % subscribers.len());
            let partitions = next..next + share;
            next += share;
            assigned[*member].extend(
                partitions
                    .map(|partition| TopicPartition { topic: topic.clone(), partition: partition as i32 }),
            );
        }
    }
    assigned
}
