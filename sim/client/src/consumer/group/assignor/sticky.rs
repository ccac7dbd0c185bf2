//! StickyAssignor: as even as can be, with as few moves as that takes (KIP-54).

use std::collections::BTreeMap;

use trial_node::TopicPartition;
use trial_wire::TopicName;

use super::Member;

/// Whoever had a partition keeps it; what nobody has goes to who has least; and as long as somebody has at least two more than
/// another who could take one of them, one moves.
pub(super) fn assign(members: &[&Member], counts: &BTreeMap<TopicName, usize>) -> Vec<Vec<TopicPartition>> {
    let mut assigned: Vec<Vec<TopicPartition>> = vec![Vec::new(); members.len()];
    let owners = owners(members);
    let mut free = Vec::new();
    for tp in super::partitions(counts) {
        let owner = owners.get(&tp).copied().flatten();
        match owner.filter(|owner| members[*owner].topics.contains(&tp.topic)) {
            Some(owner) => assigned[owner].push(tp),
            None => free.push(tp),
        }
    }
    // What few are subscribed to first: the others can still make up for it.
    free.sort_by_cached_key(|tp| members.iter().filter(|member| member.topics.contains(&tp.topic)).count());
    for tp in free {
        let subscribers = (0..members.len()).filter(|member| members[*member].topics.contains(&tp.topic));
        if let Some(member) = subscribers.min_by_key(|member| assigned[*member].len()) {
            assigned[member].push(tp);
        }
    }
    while move_one(members, &mut assigned) {}
    assigned
}

/// Who had which partition. Of two who say so, the one in the later generation is right (KIP-792); `None` if both say the
/// same one.
fn owners(members: &[&Member]) -> BTreeMap<TopicPartition, Option<usize>> {
    let mut owners: BTreeMap<TopicPartition, (i32, Option<usize>)> = BTreeMap::new();
    for (index, member) in members.iter().enumerate() {
        for tp in &member.owned {
            let claim = (member.generation, Some(index));
            let owner = owners.entry(tp.clone()).or_insert(claim);
            if owner.0 < member.generation {
                *owner = claim;
            } else if owner.0 == member.generation && owner.1 != Some(index) {
                owner.1 = None;
            }
        }
    }
    owners.into_iter().map(|(tp, (_, owner))| (tp, owner)).collect()
}

/// Moves a partition from one who has many to one who has fewer, if that makes it more even.
fn move_one(members: &[&Member], assigned: &mut [Vec<TopicPartition>]) -> bool {
    let mut takers: Vec<usize> = (0..members.len()).collect();
    takers.sort_by_key(|member| assigned[*member].len());
    for taker in &takers {
        for giver in takers.iter().rev() {
            if assigned[*giver].len() < assigned[*taker].len() + 2 {
                break;
            }
            let movable = |tp: &TopicPartition| members[*taker].topics.contains(&tp.topic);
            if let Some(at) = assigned[*giver].iter().rposition(movable) {
                let tp = assigned[*giver].remove(at);
                assigned[*taker].push(tp);
                return true;
            }
        }
    }
    false
}

/// CooperativeStickyAssignor: a member may get only what nobody has. What another still has is left out, until that one has
/// given it up and joined again.
pub(super) fn hold_back_what_moves(members: &[&Member], assigned: &mut [Vec<TopicPartition>]) {
    for (index, partitions) in assigned.iter_mut().enumerate() {
        let others_have = |tp: &TopicPartition| {
            members.iter().enumerate().any(|(other, member)| other != index && member.owned.contains(tp))
        };
        partitions.retain(|tp| members[index].owned.contains(tp) || !others_have(tp));
    }
}
