//! Random sequences of events: whatever happens, the log tells the same story to everybody, and no decision breaks what a
//! partition's state promises.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use trial_node::{NodeId, Span, TopicIdPartition};
use trial_wire::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use trial_wire::messages::assign_replicas_to_dirs_request::{
    DirectoryData, PartitionData as AssignedPartition, TopicData as AssignedTopic,
};
use trial_wire::messages::create_topics_request::CreatableTopic;
use trial_wire::messages::{
    AlterPartitionReassignmentsRequest, AssignReplicasToDirsRequest, BrokerHeartbeatRequest, BrokerId,
    CreatePartitionsRequest, DeleteTopicsRequest, ElectLeadersRequest,
};
use trial_wire::{StrBytes, TopicName, Uuid};

use super::super::testing::{TestCluster, topic_name};
use crate::image::{MetadataDelta, MetadataImage};
use crate::record::{ConfigResource, LeaderRecoveryState, MetadataRecord, PartitionRegistration};

const BROKERS: i32 = 4;

#[derive(Clone, Debug)]
enum Event {
    Heartbeat {
        id: i32,
        want_fence: bool,
        want_shut_down: bool,
        behind: i64,
    },
    /// The broker comes back with some of its log directories, or with a new one.
    Restart {
        id: i32,
        clean: bool,
        dirs: u8,
    },
    /// A heartbeat that says which of the broker's log directories have failed.
    FailDirs {
        id: i32,
        dirs: u8,
    },
    /// The broker says in which of its log directories its replica is.
    Assign {
        id: i32,
        topic: usize,
        dirs: u8,
    },
    Alter {
        topic: usize,
        keep: u8,
    },
    Create {
        name: u8,
        partitions: i32,
        replication_factor: i16,
    },
    Delete {
        name: u8,
    },
    Grow {
        name: u8,
    },
    Unclean {
        name: Option<u8>,
        on: bool,
    },
    Elect {
        unclean: bool,
    },
    /// Another order of the brokers, of which so many are the target; none cancels.
    Reassign {
        name: u8,
        order: Vec<i32>,
        count: usize,
    },
    MinIsr {
        name: u8,
        min: u8,
    },
    Pass {
        millis: u64,
    },
    /// The next controller takes over without so many of the last decisions.
    FailOver {
        lost: usize,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let id = 0..BROKERS;
    prop_oneof![
        8 => (id.clone(), any::<bool>(), 0..10_u8, 0..3_i64).prop_map(|(id, fence, down, behind)| Event::Heartbeat {
            id,
            want_fence: fence && behind == 0,
            want_shut_down: down == 0,
            behind,
        }),
        3 => (id.clone(), any::<bool>(), 0..8_u8).prop_map(|(id, clean, dirs)| Event::Restart { id, clean, dirs }),
        2 => (id.clone(), 1..4_u8).prop_map(|(id, dirs)| Event::FailDirs { id, dirs }),
        4 => (id, 0..6_usize, 0..4_u8).prop_map(|(id, topic, dirs)| Event::Assign { id, topic, dirs }),
        8 => (0..6_usize, any::<u8>()).prop_map(|(topic, keep)| Event::Alter { topic, keep }),
        2 => (0..4_u8, 1..4_i32, 1..4_i16).prop_map(|(name, partitions, replication_factor)| Event::Create {
            name,
            partitions,
            replication_factor
        }),
        1 => (0..4_u8).prop_map(|name| Event::Delete { name }),
        1 => (0..4_u8).prop_map(|name| Event::Grow { name }),
        1 => (prop::option::of(0..4_u8), any::<bool>()).prop_map(|(name, on)| Event::Unclean { name, on }),
        1 => any::<bool>().prop_map(|unclean| Event::Elect { unclean }),
        3 => (0..4_u8, Just((0..BROKERS).collect::<Vec<_>>()).prop_shuffle(), 0..4_usize).prop_map(
            |(name, order, count)| Event::Reassign { name, order, count }
        ),
        1 => (0..4_u8, 1..4_u8).prop_map(|(name, min)| Event::MinIsr { name, min }),
        4 => (1..12_000_u64).prop_map(|millis| Event::Pass { millis }),
        2 => (0..6_usize).prop_map(|lost| Event::FailOver { lost: lost.saturating_sub(2) }),
    ]
}

fn name_of(name: u8) -> TopicName {
    topic_name(["a", "b", "c", "d"][usize::from(name)])
}

/// Some of the log directories that a broker may have.
fn dirs_of(id: i32, which: u8) -> Vec<u128> {
    let all = [1_000, 2_000, 3_000].map(|first| first + id as u128);
    let chosen = (0..3).filter(|bit| which & (1 << bit) != 0);
    chosen.map(|bit| all[bit]).collect()
}

fn take(cluster: &mut TestCluster, event: Event) {
    match event {
        Event::Heartbeat { id, want_fence, want_shut_down, behind } => {
            if cluster.image.broker(NodeId(id)).is_some() {
                let offset = cluster.log.len() as i64 - 1 - behind;
                cluster.heartbeat_at(id, offset, want_fence, want_shut_down);
            }
        }
        Event::Restart { id, clean, dirs } => {
            let incarnation = cluster.log.len() as u128 + 10;
            let previous = if clean { cluster.broker_epoch(id) } else { -1 };
            let mut dirs = dirs_of(id, dirs);
            if dirs.is_empty() {
                dirs.push(1_000_000 + incarnation);
            }
            cluster.register_with(id, incarnation, previous, &dirs);
        }
        Event::FailDirs { id, dirs } => {
            let Some(broker) = cluster.image.broker(NodeId(id)) else { return };
            let mut failed: Vec<Uuid> = dirs_of(id, dirs).into_iter().map(Uuid::from_u128).collect();
            failed.retain(|dir| broker.log_dirs.contains(dir));
            if failed.len() == broker.log_dirs.len() {
                // Without any the process ends.
                failed.pop();
            }
            let request = BrokerHeartbeatRequest::default()
                .with_broker_id(BrokerId(id))
                .with_broker_epoch(broker.broker_epoch)
                .with_current_metadata_offset(cluster.log.len() as i64 - 1)
                .with_offline_log_dirs(failed);
            let result = cluster.controller.broker_heartbeat(cluster.now, &request);
            cluster.carry_out(result);
        }
        Event::Assign { id, topic, dirs } => {
            let ids: Vec<_> = cluster.image.topics().keys().copied().collect();
            let (Some(topic_id), Some(broker)) = (ids.get(topic), cluster.image.broker(NodeId(id))) else {
                return;
            };
            let dir = dirs_of(id, dirs).first().copied().map_or(broker.log_dirs[0], Uuid::from_u128);
            let partition = AssignedPartition::default().with_partition_index(0);
            let topic = AssignedTopic::default().with_topic_id(*topic_id).with_partitions(vec![partition]);
            let directory = DirectoryData::default().with_id(dir).with_topics(vec![topic]);
            let request = AssignReplicasToDirsRequest::default()
                .with_broker_id(BrokerId(id))
                .with_broker_epoch(broker.broker_epoch)
                .with_directories(vec![directory]);
            let result = cluster.controller.assign_replicas_to_dirs(&request);
            cluster.carry_out(result);
        }
        Event::Alter { topic, keep } => {
            let ids: Vec<_> = cluster.image.topics().keys().copied().collect();
            let Some(topic_id) = ids.get(topic) else { return };
            let partition = cluster.partition(*topic_id, 0);
            let leader = partition.leader.0;
            let kept = partition.replicas.iter().filter(|id| id.0 == leader || keep & (1 << id.0) != 0);
            let new_isr: Vec<i32> = kept.map(|id| id.0).collect();
            let mut request = cluster.alter_request(leader, *topic_id, &new_isr);
            if keep & 0x40 != 0 || new_isr.len() > 1 {
                request.topics[0].partitions[0].leader_recovery_state = 0;
            }
            cluster.alter(&request);
        }
        Event::Create { name, partitions, replication_factor } => {
            cluster.create(
                CreatableTopic::default()
                    .with_name(name_of(name))
                    .with_num_partitions(partitions)
                    .with_replication_factor(replication_factor),
            );
        }
        Event::Delete { name } => {
            let request = DeleteTopicsRequest::default().with_topic_names(vec![name_of(name)]);
            let result = cluster.controller.delete_topics(&request);
            cluster.carry_out(result);
        }
        Event::Grow { name } => {
            let count = cluster
                .image
                .topic_named(&name_of(name))
                .map_or(1, |topic| topic.partitions.len() as i32 + 1);
            let topic = trial_wire::messages::create_partitions_request::CreatePartitionsTopic::default()
                .with_name(name_of(name))
                .with_count(count)
                .with_assignments(None);
            let request = CreatePartitionsRequest::default().with_topics(vec![topic]);
            let result = cluster.controller.create_partitions(&request, &mut cluster.rng);
            cluster.carry_out(result);
        }
        Event::Unclean { name, on } => {
            let resource =
                name.map_or(ConfigResource::BrokerDefault, |name| ConfigResource::Topic(name_of(name)));
            let value = if on { "true" } else { "false" };
            cluster.alter_config(&resource, 0, "unclean.leader.election.enable", Some(value));
        }
        Event::Elect { unclean } => {
            let request =
                ElectLeadersRequest::default().with_election_type(unclean.into()).with_topic_partitions(None);
            let result = cluster.controller.elect_leaders(&request);
            cluster.carry_out(result);
        }
        Event::Reassign { name, order, count } => {
            let target = order[..count].iter().copied().map(BrokerId).collect();
            let partition = ReassignablePartition::default()
                .with_partition_index(0)
                .with_replicas((count > 0).then_some(target));
            let topic =
                ReassignableTopic::default().with_name(name_of(name)).with_partitions(vec![partition]);
            let request = AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]);
            let result = cluster.controller.alter_partition_reassignments(&request);
            cluster.carry_out(result);
        }
        Event::MinIsr { name, min } => {
            let value = ["1", "2", "3"][usize::from(min) - 1];
            let resource = ConfigResource::Topic(name_of(name));
            cluster.alter_config(&resource, 0, "min.insync.replicas", Some(value));
        }
        Event::Pass { millis } => cluster.advance(Span::from_millis(millis)),
        Event::FailOver { lost } => cluster.fail_over(lost),
    }
}

type Partitions = BTreeMap<TopicIdPartition, PartitionRegistration>;

fn partitions(image: &MetadataImage) -> Partitions {
    let topics = image.topics().values();
    let all = topics.flat_map(|topic| {
        topic.partitions.iter().map(|(partition, registration)| {
            (TopicIdPartition { topic_id: topic.id, partition: *partition }, registration.clone())
        })
    });
    all.collect()
}

fn check_partition(
    image: &MetadataImage,
    before: Option<&PartitionRegistration>,
    now: &PartitionRegistration,
) {
    let tracks = image.features().contains_key("eligible.leader.replicas.version".as_bytes());
    assert!(tracks || (!now.isr.is_empty() && now.elr.is_empty() && now.last_known_elr.is_empty()));
    assert!(now.elr.iter().all(|id| now.replicas.contains(id) && !now.isr.contains(id)), "{now:?}");
    assert!(now.adding_replicas.iter().all(|id| now.replicas.contains(id)), "{now:?}");
    assert!(now.removing_replicas.iter().all(|id| now.replicas.contains(id)), "{now:?}");
    assert!(now.adding_replicas.iter().all(|id| !now.removing_replicas.contains(id)), "{now:?}");
    assert_eq!(now.directories.len(), now.replicas.len());
    assert!(now.isr.iter().all(|id| now.replicas.contains(id)), "{now:?}");
    if now.leader != NodeId::NONE {
        assert!(now.isr.contains(&now.leader), "{now:?}");
        assert!(image.broker(now.leader).is_some_and(|broker| !broker.fenced), "{now:?}");
    }
    if now.leader_recovery_state == LeaderRecoveryState::Recovering {
        assert!(now.isr.len() <= 1, "{now:?}");
    }
    // Nobody who is fenced is in sync, but for the last one, who then does not lead.
    let fenced = now.isr.iter().filter(|id| image.broker(**id).is_none_or(|broker| broker.fenced)).count();
    assert!(fenced == 0 || (!tracks && now.isr.len() == 1 && now.leader == NodeId::NONE), "{now:?}");
    // So it is with who has lost the log directory.
    let has_log =
        |id: &NodeId| image.broker(*id).is_some_and(|broker| broker.has_online_dir(now.directory(*id)));
    let lost = now.isr.iter().filter(|id| !has_log(id)).count();
    assert!(lost == 0 || (!tracks && now.isr.len() == 1 && now.leader == NodeId::NONE), "{now:?}");
    let Some(before) = before else { return };
    assert!(now.leader_epoch >= before.leader_epoch && now.partition_epoch >= before.partition_epoch);
    // To forget who is eligible is not the leaders' business.
    let eligible = |of: &PartitionRegistration| PartitionRegistration {
        elr: vec![],
        last_known_elr: vec![],
        ..of.clone()
    };
    if eligible(now) != eligible(before) {
        assert!(now.partition_epoch > before.partition_epoch);
    }
    let replica_gone = before.replicas.iter().any(|id| !now.replicas.contains(id));
    if now.leader != before.leader || replica_gone {
        assert!(now.leader_epoch > before.leader_epoch);
    }
    // Who comes into the lead without being in sync had everything, or the election was unclean.
    if now.leader != before.leader && now.leader != NodeId::NONE {
        let had_everything = before.isr.contains(&now.leader) || before.elr.contains(&now.leader);
        let unclean = now.leader_recovery_state == LeaderRecoveryState::Recovering;
        // The leader that goes has told that the others are in sync.
        let handed_over = before.leader != NodeId::NONE && replica_gone;
        assert!(had_everything || unclean || handed_over, "{before:?} {now:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_events_keeps_the_promises(events in prop::collection::vec(event(), 1..80), elr in 0..2_i16) {
        let features = [("eligible.leader.replicas.version", elr)];
        let properties = [("leader.imbalance.check.interval.seconds", "20")];
        let mut cluster = TestCluster::with_features(BROKERS, &properties, &features);
        let mut before = Partitions::new();
        for event in events {
            if matches!(event, Event::FailOver { lost } if lost > 0) {
                // What is lost was never true: the partitions go on from an older state.
                before.clear();
            }
            take(&mut cluster, event);
            cluster.drain_due();
            let now = partitions(&cluster.image);
            for (id, partition) in &now {
                check_partition(&cluster.image, before.get(id), partition);
            }
            before = now;
            prop_assert_eq!(&cluster.controller.image, &cluster.image);
        }

        let mut decoded = MetadataImage::default();
        let mut delta = MetadataDelta::default();
        for record in &cluster.log {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            decoded.replay(&MetadataRecord::decode(&bytes).unwrap(), &mut delta).unwrap();
        }
        prop_assert_eq!(&decoded, &cluster.image);
        let mut restored = MetadataImage::default();
        for record in cluster.image.to_records() {
            restored.replay(&record, &mut delta).unwrap();
        }
        prop_assert_eq!(&restored, &cluster.image);
        prop_assert_eq!(restored.digest(), cluster.image.digest());
    }
}

/// A delta names everything that differs: a broker that applies just that ends with the same partitions.
#[test]
fn a_delta_is_enough_to_follow() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..50 {
        let events = prop::collection::vec(event(), 40).new_tree(&mut runner).unwrap().current();
        let mut cluster = TestCluster::of(BROKERS, &[]);
        let mut image = MetadataImage::default();
        let mut seen = 0;
        let mut followed = Partitions::new();
        for event in events {
            // A broker learns only of what is committed, which no controller loses.
            let event = match event {
                Event::FailOver { .. } => Event::FailOver { lost: 0 },
                event => event,
            };
            take(&mut cluster, event);
            let mut delta = MetadataDelta::default();
            for record in &cluster.log[seen..] {
                image.replay(record, &mut delta).unwrap();
            }
            seen = cluster.log.len();
            for topic in delta.deleted_topics.keys() {
                followed.retain(|id, _| id.topic_id != *topic);
            }
            for id in delta.partitions {
                followed.insert(id, image.partition(id).unwrap().clone());
            }
            assert_eq!(followed, partitions(&image));
        }
    }
}

#[test]
fn a_topic_made_and_deleted_within_one_delta_leaves_no_trace() {
    let mut cluster = TestCluster::of(1, &[]);
    let before = cluster.image.clone();
    let start = cluster.log.len();
    let id = cluster.create_assigned("a", &[&[0]], &[("segment.bytes", "100")]);
    let result = cluster.controller.delete_topics(
        &DeleteTopicsRequest::default().with_topic_names(vec![TopicName(StrBytes::from("a"))]),
    );
    cluster.carry_out(result);
    let mut image = before.clone();
    let mut delta = MetadataDelta::default();
    for record in &cluster.log[start..] {
        image.replay(record, &mut delta).unwrap();
    }
    assert!(
        delta.partitions.is_empty() && delta.created_topics.is_empty() && delta.deleted_topics.is_empty()
    );
    assert_eq!((image.digest(), image.topic(id)), (before.digest(), None));
}
