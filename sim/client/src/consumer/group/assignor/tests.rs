use proptest::prelude::*;

use super::*;

fn name(topic: usize) -> TopicName {
    TopicName(StrBytes::from_string(format!("t{topic}")))
}

fn member(id: &str, topics: &[usize], owned: &[(usize, i32)]) -> Member {
    Member {
        id: StrBytes::from_string(id.to_owned()),
        instance_id: None,
        topics: topics.iter().map(|topic| name(*topic)).collect(),
        owned: owned.iter().map(|(topic, partition)| tp(*topic, *partition)).collect(),
        generation: 1,
    }
}

fn tp(topic: usize, partition: i32) -> TopicPartition {
    TopicPartition { topic: name(topic), partition }
}

fn counts(of: &[usize]) -> BTreeMap<TopicName, usize> {
    of.iter().enumerate().map(|(topic, count)| (name(topic), *count)).collect()
}

fn shown(assigned: &[Vec<TopicPartition>]) -> Vec<String> {
    let show = |partitions: &Vec<TopicPartition>| {
        partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assigned.iter().map(show).collect()
}

#[test]
fn range_divides_each_topic() {
    let members = [member("b", &[0, 1], &[]), member("a", &[0, 1], &[]), member("c", &[1], &[])];
    let assigned = assign(Assignor::Range, &members, &counts(&[3, 4]));
    assert_eq!(shown(&assigned), ["t0-2 t1-2", "t0-0 t0-1 t1-0 t1-1", "t1-3"]);
}

#[test]
fn round_robin_goes_round() {
    let members = [member("a", &[0], &[]), member("b", &[0, 1], &[]), member("c", &[0, 1], &[])];
    let assigned = assign(Assignor::RoundRobin, &members, &counts(&[4, 3]));
    assert_eq!(shown(&assigned), ["t0-0 t0-3", "t0-1 t1-0 t1-2", "t0-2 t1-1"]);
}

#[test]
fn static_members_come_first_by_their_own_ids() {
    let mut members = [member("a", &[0], &[]), member("z", &[0], &[]), member("b", &[0], &[])];
    members[1].instance_id = Some(StrBytes::from_static_str("two"));
    members[2].instance_id = Some(StrBytes::from_static_str("one"));
    let assigned = assign(Assignor::Range, &members, &counts(&[4]));
    assert_eq!(shown(&assigned), ["t0-3", "t0-2", "t0-0 t0-1"]);
}

#[test]
fn sticky_moves_no_more_than_it_must() {
    let members = [
        member("a", &[0], &[(0, 0), (0, 1), (0, 2)]),
        member("b", &[0], &[(0, 3), (0, 4)]),
        member("c", &[0], &[]),
    ];
    let assigned = assign(Assignor::Sticky, &members, &counts(&[6]));
    assert_eq!(shown(&assigned), ["t0-0 t0-1", "t0-3 t0-4", "t0-2 t0-5"]);
}

#[test]
fn of_two_claims_the_one_of_the_later_generation_counts() {
    let mut members = [member("a", &[0], &[(0, 0), (0, 1)]), member("b", &[0], &[(0, 0), (0, 2)])];
    members[1].generation = 2;
    let assigned = assign(Assignor::Sticky, &members, &counts(&[4]));
    assert_eq!(shown(&assigned), ["t0-1 t0-3", "t0-0 t0-2"]);
}

#[test]
fn what_moves_is_nobodys_for_a_generation() {
    let members = [member("a", &[0], &[(0, 0), (0, 1), (0, 2), (0, 3)]), member("b", &[0], &[])];
    let assigned = assign(Assignor::CooperativeSticky, &members, &counts(&[5]));
    assert_eq!(shown(&assigned), ["t0-0 t0-1 t0-2", "t0-4"]);
    // The first has given it up, and both join again.
    let members = [member("a", &[0], &[(0, 0), (0, 1), (0, 2)]), member("b", &[0], &[(0, 4)])];
    let assigned = assign(Assignor::CooperativeSticky, &members, &counts(&[5]));
    assert_eq!(shown(&assigned), ["t0-0 t0-1 t0-2", "t0-3 t0-4"]);
}

/// Some topics, and members with subscriptions and with partitions that they had (or say that they had).
fn any_group() -> impl Strategy<Value = (Vec<Member>, BTreeMap<TopicName, usize>)> {
    let owned = proptest::collection::btree_set((0..4usize, 0..8i32), 0..10);
    let any_member = (proptest::collection::btree_set(0..4usize, 1..5), owned, 0..3i32, any::<bool>());
    let members = proptest::collection::vec(any_member, 1..7);
    (members, proptest::collection::vec(0..8usize, 4)).prop_map(|(members, of)| {
        let members = members.into_iter().enumerate().map(|(id, (topics, owned, generation, is_static))| {
            let owned: Vec<(usize, i32)> = owned.into_iter().collect();
            let mut member = member(&format!("m{id}"), &topics.into_iter().collect::<Vec<_>>(), &owned);
            member.generation = generation;
            member.instance_id = is_static.then(|| StrBytes::from_string(format!("i{}", 9 - id)));
            member
        });
        (members.collect(), counts(&of))
    })
}

proptest! {
    #[test]
    fn every_partition_goes_to_one_of_its_subscribers((members, counts) in any_group()) {
        for assignor in [Assignor::Range, Assignor::RoundRobin, Assignor::Sticky] {
            let assigned = assign(assignor, &members, &counts);
            let mut given: Vec<&TopicPartition> = assigned.iter().flatten().collect();
            given.sort();
            let all: Vec<TopicPartition> = partitions(&counts)
                .filter(|tp| members.iter().any(|member| member.topics.contains(&tp.topic)))
                .collect();
            prop_assert_eq!(given, all.iter().collect::<Vec<_>>());
            for (member, partitions) in members.iter().zip(&assigned) {
                prop_assert!(partitions.iter().all(|tp| member.topics.contains(&tp.topic)));
            }
        }
    }

    #[test]
    fn equal_subscriptions_get_equal_shares((mut members, counts) in any_group()) {
        members.iter_mut().for_each(|member| member.topics = counts.keys().cloned().collect());
        for assignor in [Assignor::RoundRobin, Assignor::Sticky] {
            let sizes: Vec<usize> = assign(assignor, &members, &counts).iter().map(Vec::len).collect();
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{:?}", sizes);
        }
        for topic in counts.keys() {
            let shares = assign(Assignor::Range, &members, &counts);
            let shares = shares.iter().map(|share| share.iter().filter(|tp| tp.topic == *topic).count());
            let (least, most) = (shares.clone().min().unwrap(), shares.max().unwrap());
            prop_assert!(most - least <= 1);
        }
    }

    #[test]
    fn nobody_could_take_from_who_has_two_more((members, counts) in any_group()) {
        let assigned = assign(Assignor::Sticky, &members, &counts);
        for (taker, has) in members.iter().zip(&assigned) {
            for rich in assigned.iter().filter(|rich| rich.len() >= has.len() + 2) {
                prop_assert!(!rich.iter().any(|tp| taker.topics.contains(&tp.topic)));
            }
        }
    }

    #[test]
    fn sticky_changes_nothing_that_is_even_already((mut members, counts) in any_group()) {
        let first = assign(Assignor::Sticky, &members, &counts);
        for (member, partitions) in members.iter_mut().zip(&first) {
            member.owned = partitions.clone();
            member.generation = 5;
        }
        prop_assert_eq!(assign(Assignor::Sticky, &members, &counts), first.clone());
        // Who leaves, leaves the others what they have, if there are others like him.
        members.iter_mut().for_each(|member| member.topics = counts.keys().cloned().collect());
        let first = assign(Assignor::Sticky, &members, &counts);
        for (member, partitions) in members.iter_mut().zip(&first) {
            member.owned = partitions.clone();
        }
        if members.len() > 1 {
            members.pop();
            let second = assign(Assignor::Sticky, &members, &counts);
            for (before, after) in first.iter().zip(&second) {
                prop_assert!(before.iter().all(|tp| after.contains(tp)));
            }
        }
    }

    #[test]
    fn cooperation_ends_where_stickiness_would((mut members, counts) in any_group()) {
        // Each round the members have what they were given, and what they were not asked to give up.
        for round in 0..3 {
            let assigned = assign(Assignor::CooperativeSticky, &members, &counts);
            let mut given: Vec<&TopicPartition> = assigned.iter().flatten().collect();
            given.sort();
            let before = given.len();
            given.dedup();
            prop_assert_eq!(before, given.len());
            for (index, partitions) in assigned.iter().enumerate() {
                for tp in partitions {
                    let others = members.iter().enumerate().any(|(other, m)| other != index && m.owned.contains(tp));
                    prop_assert!(members[index].owned.contains(tp) || !others);
                }
            }
            if round == 2 {
                prop_assert_eq!(&assigned, &assign(Assignor::Sticky, &members, &counts));
            }
            for (member, partitions) in members.iter_mut().zip(assigned) {
                member.owned = partitions;
                member.generation = 10 + round;
            }
        }
    }
}
