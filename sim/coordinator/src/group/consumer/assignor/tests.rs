use proptest::prelude::*;

use super::*;

fn topic(n: u8) -> Uuid {
    Uuid::from_u128(n.into())
}

fn counts(partitions: &[i32]) -> PartitionCounts {
    (1..).zip(partitions).map(|(n, &count)| (topic(n), count)).collect()
}

fn set(partitions: &[(u8, i32)]) -> Partitions {
    partitions.iter().map(|&(n, partition)| TopicIdPartition { topic_id: topic(n), partition }).collect()
}

type Members = BTreeMap<String, (Option<String>, BTreeSet<Uuid>, Partitions)>;

fn subscribers(members: &Members) -> Subscribers<'_> {
    members
        .iter()
        .map(|(id, (instance, topics, target))| {
            let topics = topics.clone();
            (id.as_str(), Subscriber { instance_id: instance.as_deref(), topics, target })
        })
        .collect()
}

fn members(ids: &[&str], topics: &PartitionCounts) -> Members {
    let topics: BTreeSet<Uuid> = topics.keys().copied().collect();
    ids.iter().map(|id| ((*id).to_owned(), (None, topics.clone(), Partitions::new()))).collect()
}

#[test]
fn ranges_follow_each_other_and_static_members_come_first() {
    let topics = counts(&[5, 3]);
    let mut members = members(&["a", "b", "c"], &topics);
    members.get_mut("c").unwrap().0 = Some("host-1".into());
    members.get_mut("b").unwrap().1.remove(&topic(2));
    let assignment = ServerAssignor::Range.assign(&subscribers(&members), &topics);
    assert_eq!(assignment["c"], set(&[(1, 0), (1, 1), (2, 0), (2, 1)]));
    assert_eq!(assignment["a"], set(&[(1, 2), (1, 3), (2, 2)]));
    assert_eq!(assignment["b"], set(&[(1, 4)]));
}

#[test]
fn a_third_member_gets_its_part_and_nothing_else_moves() {
    let topics = counts(&[6]);
    let mut members = members(&["a", "b", "c"], &topics);
    members.get_mut("a").unwrap().2 = set(&[(1, 0), (1, 2), (1, 4)]);
    members.get_mut("b").unwrap().2 = set(&[(1, 1), (1, 3), (1, 5)]);
    let assignment = ServerAssignor::Uniform.assign(&subscribers(&members), &topics);
    assert_eq!(assignment["a"], set(&[(1, 0), (1, 2)]));
    assert_eq!(assignment["b"], set(&[(1, 1), (1, 3)]));
    assert_eq!(assignment["c"], set(&[(1, 4), (1, 5)]));
}

#[test]
fn who_alone_is_subscribed_to_a_topic_gets_less_of_the_others() {
    let topics = counts(&[2, 4]);
    let mut members = members(&["a", "b"], &topics);
    members.get_mut("b").unwrap().1.remove(&topic(1));
    let assignment = ServerAssignor::Uniform.assign(&subscribers(&members), &topics);
    assert_eq!(assignment["a"], set(&[(1, 0), (1, 1), (2, 2)]));
    assert_eq!(assignment["b"], set(&[(2, 0), (2, 1), (2, 3)]));
}

/// Every partition that somebody wants has one owner, who wants it.
fn assert_complete(assignment: &BTreeMap<&str, Partitions>, members: &Members, topics: &PartitionCounts) {
    let mut owned = Partitions::new();
    for (id, partitions) in assignment {
        for &partition in partitions {
            assert!(members[*id].1.contains(&partition.topic_id), "{id} does not want {partition:?}");
            assert!(owned.insert(partition), "{partition:?} has two owners");
        }
    }
    let wanted: Partitions = topics
        .iter()
        .filter(|(id, _)| members.values().any(|member| member.1.contains(*id)))
        .flat_map(|(&topic_id, &n)| (0..n).map(move |partition| TopicIdPartition { topic_id, partition }))
        .collect();
    assert_eq!(owned, wanted);
}

/// Takes over an assignment as the members' target.
fn settle(members: &mut Members, assignor: ServerAssignor, topics: &PartitionCounts) {
    let assignment: BTreeMap<String, Partitions> = assignor
        .assign(&subscribers(members), topics)
        .into_iter()
        .map(|(id, partitions)| (id.to_owned(), partitions))
        .collect();
    for (id, partitions) in assignment {
        members.get_mut(&id).unwrap().2 = partitions;
    }
}

fn load_range(assignment: &BTreeMap<&str, Partitions>) -> (usize, usize) {
    let loads = || assignment.values().map(BTreeSet::len);
    (loads().min().unwrap_or(0), loads().max().unwrap_or(0))
}

proptest! {
    #[test]
    fn every_partition_has_one_owner(
        partitions in prop::collection::vec(0..7i32, 1..5),
        subscriptions in prop::collection::vec(any::<u8>(), 1..7),
        again in prop::collection::vec(any::<u8>(), 1..7),
        uniform in any::<bool>(),
    ) {
        let assignor = if uniform { ServerAssignor::Uniform } else { ServerAssignor::Range };
        let topics = counts(&partitions);
        let mut members = Members::new();
        // The second round has other subscriptions, and more or fewer members.
        for round in [subscriptions, again] {
            let before = std::mem::take(&mut members);
            for (i, bits) in round.iter().enumerate() {
                let id = format!("m{i}");
                let wanted = topics.keys().enumerate().filter(|(t, _)| bits >> t & 1 == 1);
                let target = before.get(&id).map(|member| member.2.clone()).unwrap_or_default();
                members.insert(id, (None, wanted.map(|(_, id)| *id).collect(), target));
            }
            assert_complete(&assignor.assign(&subscribers(&members), &topics), &members, &topics);
            settle(&mut members, assignor, &topics);
        }
        // What is settled stays.
        let settled: Vec<_> = members.values().map(|member| member.2.clone()).collect();
        settle(&mut members, assignor, &topics);
        prop_assert_eq!(settled, members.values().map(|member| member.2.clone()).collect::<Vec<_>>());
    }

    #[test]
    fn uniform_is_even_and_moves_no_more_than_it_must(
        partitions in prop::collection::vec(0..9i32, 1..4),
        more in 0..5i32,
        old in prop::collection::btree_set(0..8u8, 1..6),
        new in prop::collection::btree_set(0..8u8, 1..6),
    ) {
        let id = |i: &u8| format!("m{i}");
        let mut topics = counts(&partitions);
        let all: BTreeSet<Uuid> = topics.keys().copied().collect();
        let mut members: Members = old.iter().map(|i| (id(i), (None, all.clone(), Partitions::new()))).collect();
        settle(&mut members, ServerAssignor::Uniform, &topics);

        *topics.get_mut(&topic(1)).unwrap() += more;
        members.retain(|m, _| new.iter().any(|i| id(i) == *m));
        for i in &new {
            members.entry(id(i)).or_insert_with(|| (None, all.clone(), Partitions::new()));
        }
        let assignment = ServerAssignor::Uniform.assign(&subscribers(&members), &topics);
        assert_complete(&assignment, &members, &topics);
        let (least, most) = load_range(&assignment);
        prop_assert!(most - least <= 1);

        // Nobody can keep more than the even share, and of those that had more, no more than the remainder may keep one more.
        let total: usize = topics.values().map(|&n| n as usize).sum();
        let (share, remainder) = (total / members.len(), total % members.len());
        let over = members.values().filter(|member| member.2.len() > share).count();
        let best: usize = members.values().map(|member| member.2.len().min(share)).sum::<usize>() + over.min(remainder);
        let kept: usize = members
            .iter()
            .map(|(id, member)| member.2.intersection(&assignment[id.as_str()]).count())
            .sum();
        prop_assert_eq!(kept, best);
    }
}
