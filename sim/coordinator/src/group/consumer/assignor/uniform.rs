//! The uniform assignor.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use trial_node::TopicIdPartition;
use trial_wire::Uuid;

use super::{PartitionCounts, Partitions, Subscribers};

/// Balance first, then as few moves as that takes.
///
/// Everybody keeps what the last target gave to them, as far as they are still subscribed to it. What nobody has goes to the
/// subscriber with the fewest partitions, topics with the fewest choices first. At last, partitions move one by one from a
/// member to another that has at least two fewer, until there is no such pair: each move makes the sum of the squares of the
/// loads smaller, so this ends. If all members are subscribed to the same topics, their loads then differ by one at most, and
/// no partition has moved that need not.
pub(super) fn assign<'a>(
    members: &Subscribers<'a>,
    topics: &PartitionCounts,
) -> BTreeMap<&'a str, Partitions> {
    let mut plan = Plan::new(members, topics);
    for topic in 0..plan.topics.len() {
        plan.keep_and_fill(topic);
    }
    loop {
        let moves: usize = (0..plan.topics.len()).map(|topic| plan.balance(topic)).sum();
        // Balancing one topic may open up a move in another.
        if moves == 0 || plan.topics.len() == 1 {
            break;
        }
    }
    plan.finish()
}

/// A topic while it is being assigned. Members are named by their index in the order of their ids.
struct Topic {
    id: Uuid,
    subscribers: Vec<usize>,
    /// For each partition its owner.
    owners: Vec<Option<usize>>,
}

struct Plan<'a> {
    ids: Vec<&'a str>,
    /// How many partitions each member has.
    loads: Vec<usize>,
    topics: Vec<Topic>,
}

impl<'a> Plan<'a> {
    fn new(members: &Subscribers<'a>, counts: &PartitionCounts) -> Plan<'a> {
        let mut loads = vec![0; members.len()];
        let mut topics: Vec<Topic> = counts
            .iter()
            .map(|(&id, &partitions)| {
                let mut owners = vec![None; usize::try_from(partitions).unwrap_or(0)];
                let mut subscribers = Vec::new();
                for (index, member) in members.values().enumerate() {
                    if !member.topics.contains(&id) {
                        continue;
                    }
                    subscribers.push(index);
                    let first = TopicIdPartition { topic_id: id, partition: 0 };
                    let last = TopicIdPartition { topic_id: id, partition: i32::MAX };
                    for kept in member.target.range(first..=last) {
                        let owner = usize::try_from(kept.partition).ok().and_then(|i| owners.get_mut(i));
                        if let Some(owner @ None) = owner {
                            *owner = Some(index);
                            loads[index] += 1;
                        }
                    }
                }
                Topic { id, subscribers, owners }
            })
            .filter(|topic| !topic.subscribers.is_empty())
            .collect();
        // Those with the most partitions for each subscriber can be put right the least afterwards.
        topics.sort_by(|a, b| {
            let per_subscriber = |x: &Topic, y: &Topic| x.owners.len() * y.subscribers.len();
            per_subscriber(b, a)
                .cmp(&per_subscriber(a, b))
                .then(a.subscribers.len().cmp(&b.subscribers.len()))
                .then(a.id.cmp(&b.id))
        });
        Plan { ids: members.keys().copied().collect(), loads, topics }
    }

    /// Gives what nobody has to the subscribers with the fewest partitions.
    fn keep_and_fill(&mut self, topic: usize) {
        let Topic { subscribers, owners, .. } = &mut self.topics[topic];
        for owner in owners.iter_mut().filter(|owner| owner.is_none()) {
            let least = least_loaded(subscribers, &self.loads);
            *owner = Some(least);
            self.loads[least] += 1;
        }
    }

    /// Moves partitions of one topic to those who have fewer. Returns how many.
    fn balance(&mut self, topic: usize) -> usize {
        let Topic { subscribers, owners, .. } = &mut self.topics[topic];
        let mut owned: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (partition, owner) in owners.iter().enumerate() {
            owned.entry(owner.expect("all have been given away")).or_default().push(partition);
        }
        let mut moves = 0;
        loop {
            let most = owned.keys().copied().max_by_key(|&i| (self.loads[i], Reverse(i)));
            let Some(most) = most else { break };
            let least = least_loaded(subscribers, &self.loads);
            if self.loads[most] < self.loads[least] + 2 {
                break;
            }
            let given = owned.get_mut(&most).expect("it is one of them");
            let partition = given.pop().expect("nobody is left with nothing");
            if given.is_empty() {
                owned.remove(&most);
            }
            // One who is the least loaded cannot become the one that gives: no need to enter it in `owned`.
            owners[partition] = Some(least);
            self.loads[most] -= 1;
            self.loads[least] += 1;
            moves += 1;
        }
        moves
    }

    fn finish(self) -> BTreeMap<&'a str, Partitions> {
        let mut assignment = vec![Partitions::new(); self.ids.len()];
        for topic in self.topics {
            for (partition, owner) in (0..).zip(topic.owners) {
                let owner = owner.expect("all have been given away");
                assignment[owner].insert(TopicIdPartition { topic_id: topic.id, partition });
            }
        }
        self.ids.into_iter().zip(assignment).collect()
    }
}

fn least_loaded(subscribers: &[usize], loads: &[usize]) -> usize {
    subscribers
        .iter()
        .copied()
        .min_by_key(|&i| (loads[i], i))
        .expect("a topic without subscribers is left out")
}
