//! Groups and transactions through the brokers that coordinate them.

mod harness;

use harness::{Cluster, Received};
use trial_broker::BROKER_PORT;
use trial_coordinator::partition_for;
use trial_node::view::{BrokerView, CoordinatorEntry, CoordinatorKind, TransactionState};
use trial_node::{NodeId, Span, TopicIdPartition, TraceEvent};
use trial_wire::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use trial_wire::messages::create_topics_request::CreatableTopic;
use trial_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use trial_wire::messages::join_group_request::JoinGroupRequestProtocol;
use trial_wire::messages::metadata_request::MetadataRequestTopic;
use trial_wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use trial_wire::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use trial_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use trial_wire::messages::sync_group_request::SyncGroupRequestAssignment;
use trial_wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use trial_wire::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, CreateTopicsRequest, DescribeGroupsRequest,
    EndTxnRequest, FetchRequest, FindCoordinatorRequest, GroupId, HeartbeatRequest, InitProducerIdRequest,
    JoinGroupRequest, JoinGroupResponse, ListGroupsRequest, MetadataRequest, OffsetCommitRequest,
    OffsetFetchRequest, ProduceRequest, ProducerId, SyncGroupRequest, TransactionalId,
    TxnOffsetCommitRequest,
};
use trial_wire::{
    BatchBuilder, Batches, Compression, ErrorCode, RequestKind, ResponseKind, StrBytes, TopicName, Uuid,
};

const CONFIG: &[(&str, &str)] = &[
    ("group.initial.rebalance.delay.ms", "0"),
    ("offsets.topic.num.partitions", "6"),
    ("transaction.state.log.num.partitions", "6"),
];
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

fn text(s: &str) -> StrBytes {
    StrBytes::from(s.to_owned())
}

fn name(s: &str) -> TopicName {
    TopicName(text(s))
}

fn group_id(s: &str) -> GroupId {
    GroupId(text(s))
}

macro_rules! ask {
    ($cluster:expr, $to:expr, $kind:ident, $request:expr) => {
        match $cluster.ask($to, BROKER_PORT, $request) {
            ResponseKind::$kind(response) => response,
            other => panic!("not an answer: {other:?}"),
        }
    };
}

/// Asks in an older version.
#[track_caller]
fn ask_in(cluster: &mut Cluster, to: usize, version: i16, body: impl Into<RequestKind>) -> ResponseKind {
    let conn = cluster.connect(to, BROKER_PORT);
    cluster.send(conn, version, body.into());
    cluster.run_until("the response", |cluster| cluster.inbox.iter().any(|(from, _)| *from == conn));
    let at = cluster.inbox.iter().position(|(from, _)| *from == conn).expect("it has come");
    match cluster.inbox.remove(at).1 {
        Received::Response(response) => *response.body,
        Received::Closed(reason) => panic!("closed: {reason:?}"),
    }
}

fn orders(partitions: i32, config: &[(&str, &str)]) -> Cluster {
    let mut cluster = Cluster::running(3, config);
    let topic = CreatableTopic::default()
        .with_name(name("orders"))
        .with_num_partitions(partitions)
        .with_replication_factor(3);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
    assert_eq!(ask!(cluster, 0, CreateTopics, request).topics[0].error_code, 0);
    cluster.run(Span::from_millis(500));
    cluster
}

/// Asks a live broker for a coordinator until there is one.
#[track_caller]
fn find(cluster: &mut Cluster, key_type: i8, key: &str) -> usize {
    for _ in 0..100 {
        let (to, _) = cluster.up().next().expect("somebody is up");
        let request =
            FindCoordinatorRequest::default().with_key_type(key_type).with_coordinator_keys(vec![text(key)]);
        let found = ask!(cluster, to, FindCoordinator, request).coordinators.remove(0);
        let there = usize::try_from(found.node_id.0).is_ok_and(|node| cluster.is_up(node));
        match ErrorCode::try_from_code(found.error_code) {
            None if there => return found.node_id.0 as usize,
            None | Some(ErrorCode::CoordinatorNotAvailable) => cluster.run(Span::from_millis(100)),
            Some(error) => panic!("{error:?}"),
        }
    }
    panic!("no coordinator; last:\n{}", cluster.last_traces());
}

/// Finds a coordinator that has been loaded.
#[track_caller]
fn loaded(cluster: &mut Cluster, key_type: i8, key: &str) -> usize {
    let node = find(cluster, key_type, key);
    cluster.run(Span::from_millis(100));
    node
}

fn join(group: &str, member: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default().with_name(text("range"));
    JoinGroupRequest::default()
        .with_group_id(group_id(group))
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(30_000)
        .with_member_id(text(member))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

/// Joins as the group's only member, and gives out the assignment to itself.
#[track_caller]
fn join_alone(cluster: &mut Cluster, to: usize, group: &str, member: &str) -> JoinGroupResponse {
    let first = ask!(cluster, to, JoinGroup, join(group, member));
    let joined = match ErrorCode::try_from_code(first.error_code) {
        Some(ErrorCode::MemberIdRequired) => ask!(cluster, to, JoinGroup, join(group, &first.member_id)),
        _ => first,
    };
    assert_eq!(joined.error_code, 0);
    assert_eq!(joined.leader, joined.member_id);
    let own = SyncGroupRequestAssignment::default()
        .with_member_id(joined.member_id.clone())
        .with_assignment(bytes::Bytes::from_static(b"everything"));
    let sync = SyncGroupRequest::default()
        .with_group_id(group_id(group))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_protocol_type(Some(text("consumer")))
        .with_protocol_name(Some(text("range")))
        .with_assignments(vec![own]);
    let synced = ask!(cluster, to, SyncGroup, sync);
    assert_eq!((synced.error_code, &synced.assignment[..]), (0, &b"everything"[..]));
    joined
}

fn commit(
    group: &str,
    joined: &JoinGroupResponse,
    topic: &str,
    offsets: &[(i32, i64)],
) -> OffsetCommitRequest {
    let partitions = offsets.iter().map(|(partition, offset)| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(*partition)
            .with_committed_offset(*offset)
            .with_committed_metadata(Some(StrBytes::new()))
    });
    OffsetCommitRequest::default()
        .with_group_id(group_id(group))
        .with_generation_id_or_member_epoch(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_topics(vec![
            OffsetCommitRequestTopic::default().with_name(name(topic)).with_partitions(partitions.collect()),
        ])
}

/// What groups have committed for partition 0 of `orders`: the group's error, the offset.
#[track_caller]
fn committed(cluster: &mut Cluster, to: usize, groups: &[&str]) -> Vec<(String, i16, i64)> {
    let groups = groups.iter().map(|group| {
        let topic =
            OffsetFetchRequestTopics::default().with_name(name("orders")).with_partition_indexes(vec![0]);
        OffsetFetchRequestGroup::default().with_group_id(group_id(group)).with_topics(Some(vec![topic]))
    });
    let request = OffsetFetchRequest::default().with_groups(groups.collect()).with_require_stable(true);
    let response = ask!(cluster, to, OffsetFetch, request);
    let shown = response.groups.iter().map(|group| {
        let offset = group.topics.first().map_or(-2, |topic| topic.partitions[0].committed_offset);
        (group.group_id.to_string(), group.error_code, offset)
    });
    shown.collect()
}

fn topic_id(cluster: &Cluster, topic: &str) -> Uuid {
    let mut found = None;
    let (_, broker) = cluster.up().next().expect("somebody is up");
    broker.partitions(&mut |partition| {
        if partition.topic.as_str() == topic {
            found = Some(partition.id.topic_id);
        }
    });
    found.expect("the topic exists")
}

fn leader(cluster: &Cluster, topic: &str, index: i32) -> usize {
    let mut leader = NodeId::NONE;
    let (_, broker) = cluster.up().next().expect("somebody is up");
    broker.partitions(&mut |partition| {
        if partition.topic.as_str() == topic && partition.id.partition == index {
            leader = partition.leader;
        }
    });
    usize::try_from(leader.0).expect("it has a leader")
}

#[test]
fn find_coordinator_creates_the_topic_as_configured() {
    let mut cluster = Cluster::running(3, CONFIG);
    let request = FindCoordinatorRequest::default()
        .with_key_type(GROUP)
        .with_coordinator_keys(vec![text("a"), text("b")]);
    let response = ask!(cluster, 1, FindCoordinator, request);
    let errors: Vec<i16> = response.coordinators.iter().map(|found| found.error_code).collect();
    assert_eq!(errors, [ErrorCode::CoordinatorNotAvailable.code(); 2]);
    let node = find(&mut cluster, GROUP, "a");
    let partition = partition_for("a", 6);
    assert_eq!(node, leader(&cluster, "__consumer_offsets", partition));
    let topic = MetadataRequestTopic::default().with_name(Some(name("__consumer_offsets")));
    let request = MetadataRequest::default().with_topics(Some(vec![topic]));
    let shown = ask!(cluster, 0, Metadata, request).topics.remove(0);
    assert!(shown.is_internal);
    assert_eq!((shown.partitions.len(), shown.partitions[0].replica_nodes.len()), (6, 3));
    let share = FindCoordinatorRequest::default().with_key_type(2).with_coordinator_keys(vec![text("a")]);
    let found = ask!(cluster, 0, FindCoordinator, share).coordinators.remove(0);
    assert_eq!(found.error_code, ErrorCode::InvalidRequest.code());
}

#[test]
fn a_group_and_its_offsets_survive_their_coordinator() {
    let mut cluster = orders(1, CONFIG);
    let first = loaded(&mut cluster, GROUP, "billing");
    let joined = join_alone(&mut cluster, first, "billing", "");
    let response =
        ask!(cluster, first, OffsetCommit, commit("billing", &joined, "orders", &[(0, 42), (1, 7)]));
    let errors = response.topics[0].partitions.iter().map(|p| (p.partition_index, p.error_code));
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(errors.collect::<Vec<_>>(), [(1, unknown), (0, 0)]);
    assert_eq!(committed(&mut cluster, first, &["billing"]), [("billing".to_owned(), 0, 42)]);

    let other = (0..3).find(|i| *i != first).expect("there are three");
    let elsewhere = committed(&mut cluster, other, &["billing"]);
    assert_eq!(elsewhere, [("billing".to_owned(), ErrorCode::NotCoordinator.code(), -2)]);

    cluster.kill(first);
    cluster.run(Span::from_secs(15));
    let second = loaded(&mut cluster, GROUP, "billing");
    assert_ne!(second, first);
    assert_eq!(committed(&mut cluster, second, &["billing"]), [("billing".to_owned(), 0, 42)]);
    // The member itself has not noticed anything.
    let heartbeat = HeartbeatRequest::default()
        .with_group_id(group_id("billing"))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone());
    assert_eq!(ask!(cluster, second, Heartbeat, heartbeat).error_code, 0);
    let tp = TopicIdPartition {
        topic_id: topic_id(&cluster, "__consumer_offsets"),
        partition: partition_for("billing", 6),
    };
    let view = cluster.broker(second).coordinator(tp).expect("it is loaded");
    assert_eq!(view.kind, CoordinatorKind::Group);
    let mut offsets = Vec::new();
    cluster.broker(second).coordinator_entries(tp, &mut |entry| {
        if let CoordinatorEntry::Offset { group, topic, partition, offset, .. } = entry {
            offsets.push((group.to_owned(), topic.to_owned(), partition, offset.0));
        }
    });
    assert_eq!(offsets, [("billing".to_owned(), "orders".to_owned(), 0, 42)]);
}

#[test]
fn what_is_not_replicated_in_time_is_not_promised() {
    let mut cluster = orders(1, CONFIG);
    let node = loaded(&mut cluster, GROUP, "billing");
    let joined = join_alone(&mut cluster, node, "billing", "");
    let others: Vec<usize> = (0..3).filter(|i| *i != node).collect();
    others.iter().for_each(|i| cluster.isolate(*i));
    let asked = cluster.now;
    let conn = cluster.connect(node, BROKER_PORT);
    cluster.send(conn, 9, commit("billing", &joined, "orders", &[(0, 42)]).into());
    cluster.run(Span::from_millis(100));
    assert_eq!(cluster.inbox, [], "it waits for the replicas");
    let unavailable = ErrorCode::CoordinatorNotAvailable.code();
    let fetched = committed(&mut cluster, node, &["billing"]);
    // As Kafka's: clients before 3.9 know no better error to ask again.
    assert_eq!(fetched, [("billing".to_owned(), ErrorCode::NotCoordinator.code(), -2)]);
    assert_eq!(
        cluster.now.since(asked).as_millis() / 100,
        51,
        "offsets.commit.timeout.ms after it was asked"
    );
    let Some((_, Received::Response(response))) = cluster.inbox.pop() else { panic!("it is answered") };
    let ResponseKind::OffsetCommit(response) = *response.body else { panic!() };
    assert_eq!(response.topics[0].partitions[0].error_code, unavailable);
    assert_eq!(cluster.inbox, []);

    others.iter().for_each(|i| cluster.heal(*i));
    cluster.run(Span::from_secs(20));
    let node = loaded(&mut cluster, GROUP, "billing");
    let [(_, 0, offset)] = committed(&mut cluster, node, &["billing"])[..] else { panic!() };
    assert!([-1, 42].contains(&offset), "it is as if it had been committed, or as if it had not: {offset}");
}

#[test]
fn requests_about_several_groups_are_put_together_from_their_coordinators() {
    let mut cluster = orders(1, CONFIG);
    find(&mut cluster, GROUP, "g0");
    cluster.run(Span::from_millis(100));
    let groups: Vec<String> = (0..8).map(|i| format!("g{i}")).collect();
    let mut homes = Vec::new();
    for (i, group) in groups.iter().enumerate() {
        let home = find(&mut cluster, GROUP, group);
        let simple = JoinGroupResponse::default().with_generation_id(-1);
        let request = commit(group, &simple, "orders", &[(0, i as i64)]);
        let response = ask!(cluster, home, OffsetCommit, request);
        assert_eq!(response.topics[0].partitions[0].error_code, 0);
        homes.push(home);
    }
    let names: Vec<&str> = groups.iter().map(String::as_str).collect();
    for to in 0..3 {
        let mut shown = committed(&mut cluster, to, &names);
        shown.sort();
        let expected =
            groups.iter().zip(&homes).zip(0i64..).map(|((group, home), offset)| match *home == to {
                true => (group.clone(), 0, offset),
                false => (group.clone(), ErrorCode::NotCoordinator.code(), -2),
            });
        assert_eq!(shown, expected.collect::<Vec<_>>());
        let request =
            DescribeGroupsRequest::default().with_groups(names.iter().map(|group| group_id(group)).collect());
        let described = ask!(cluster, to, DescribeGroups, request).groups;
        assert_eq!(described.len(), 8);
        for group in described {
            let here = homes[names.iter().position(|name| *name == group.group_id.as_str()).unwrap()] == to;
            assert_eq!(group.error_code == ErrorCode::NotCoordinator.code(), !here);
        }
        let listed = ask!(cluster, to, ListGroups, ListGroupsRequest::default()).groups;
        assert_eq!(listed.len(), homes.iter().filter(|home| **home == to).count());
    }
}

#[test]
fn whoever_asks_while_the_log_is_read_is_told_so() {
    let mut cluster = orders(1, CONFIG);
    let node = loaded(&mut cluster, GROUP, "billing");
    let partition = partition_for("billing", 6);
    let joined = join_alone(&mut cluster, node, "billing", "");
    let request = commit("billing", &joined, "orders", &[(0, 42)]);
    assert_eq!(ask!(cluster, node, OffsetCommit, request).topics[0].partitions[0].error_code, 0);

    cluster.kill(node);
    cluster.traces.clear();
    let leads = |cluster: &Cluster| {
        cluster.traces.iter().find_map(|(_, host, event)| match event {
            TraceEvent::PartitionLeader { tp, .. }
                if tp.topic.as_str() == "__consumer_offsets" && tp.partition == partition =>
            {
                Some(*host)
            }
            _ => None,
        })
    };
    cluster.run_until("another broker leads", |cluster| leads(cluster).is_some());
    let next = leads(&cluster).expect("it does");
    let loading = ErrorCode::CoordinatorLoadInProgress.code();
    assert_eq!(committed(&mut cluster, next, &["billing"]), [("billing".to_owned(), loading, -2)]);
    cluster.run_until("it is loaded", |cluster| {
        cluster.traces.iter().any(|(_, host, event)| {
            *host == next
                && matches!(event, TraceEvent::CoordinatorLoaded { tp, .. } if tp.partition == partition)
        })
    });
    assert_eq!(committed(&mut cluster, next, &["billing"]), [("billing".to_owned(), 0, 42)]);
}

/// A transactional producer, as its client sees it.
struct Producer {
    id: &'static str,
    coordinator: usize,
    producer_id: i64,
    epoch: i16,
    sequence: i32,
}

impl Producer {
    #[track_caller]
    fn init(cluster: &mut Cluster, id: &'static str) -> Producer {
        let coordinator = loaded(cluster, TRANSACTION, id);
        for _ in 0..20 {
            let request = InitProducerIdRequest::default()
                .with_transactional_id(Some(TransactionalId(text(id))))
                .with_transaction_timeout_ms(60_000)
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1);
            let response = ask!(cluster, coordinator, InitProducerId, request);
            match ErrorCode::try_from_code(response.error_code) {
                None => {
                    let (producer_id, epoch) = (*response.producer_id, response.producer_epoch);
                    return Producer { id, coordinator, producer_id, epoch, sequence: 0 };
                }
                Some(error) if error.is_retriable() => cluster.run(Span::from_millis(100)),
                Some(error) => panic!("{error:?}"),
            }
        }
        panic!("no producer id; last:\n{}", cluster.last_traces());
    }

    #[track_caller]
    fn produce(&mut self, cluster: &mut Cluster, version: i16, partition: i32, value: &str) -> i16 {
        let mut batch = BatchBuilder::new(Compression::None);
        batch.push(1_700_000_000_000, None, Some(value.as_bytes()), &[]);
        batch.producer(self.producer_id, self.epoch, self.sequence).transactional();
        let data = PartitionProduceData::default()
            .with_index(partition)
            .with_records(Some(batch.build().bytes().clone()));
        let data = TopicProduceData::default()
            .with_topic_id(topic_id(cluster, "orders"))
            .with_name(if version < 13 { name("orders") } else { name("") })
            .with_partition_data(vec![data]);
        let data = if version < 13 { data.with_topic_id(Uuid::nil()) } else { data };
        let request = ProduceRequest::default()
            .with_transactional_id(Some(TransactionalId(text(self.id))))
            .with_acks(-1)
            .with_timeout_ms(10_000)
            .with_topic_data(vec![data]);
        let to = leader(cluster, "orders", partition);
        let ResponseKind::Produce(response) = ask_in(cluster, to, version, request) else { panic!() };
        let error = response.responses[0].partition_responses[0].error_code;
        if error == 0 {
            self.sequence += 1;
        }
        error
    }

    /// Ends the transaction; gives the error.
    #[track_caller]
    fn end(&mut self, cluster: &mut Cluster, version: i16, commit: bool) -> i16 {
        let request = EndTxnRequest::default()
            .with_transactional_id(TransactionalId(text(self.id)))
            .with_producer_id(ProducerId(self.producer_id))
            .with_producer_epoch(self.epoch)
            .with_committed(commit);
        let ResponseKind::EndTxn(response) = ask_in(cluster, self.coordinator, version, request) else {
            panic!()
        };
        if response.error_code == 0 && version >= 5 {
            (self.producer_id, self.epoch) = (*response.producer_id, response.producer_epoch);
            self.sequence = 0;
        }
        response.error_code
    }

    fn state(&self, cluster: &Cluster) -> Option<(TransactionState, usize)> {
        let tp = TopicIdPartition {
            topic_id: topic_id(cluster, "__transaction_state"),
            partition: partition_for(self.id, 6),
        };
        let mut found = None;
        cluster.broker(self.coordinator).coordinator_entries(tp, &mut |entry| {
            if let CoordinatorEntry::Transaction { transactional_id, state, partitions, .. } = entry
                && transactional_id == self.id
            {
                found = Some((state, partitions));
            }
        });
        found
    }

    #[track_caller]
    fn wait_for(&self, cluster: &mut Cluster, state: TransactionState) {
        cluster.run_until("the transaction's end", |cluster| self.state(cluster) == Some((state, 0)));
    }
}

/// The values that a reader of committed records gets from a partition of `orders`, of batches that are not aborted.
#[track_caller]
fn read(cluster: &mut Cluster, partition: i32, committed: bool) -> Vec<String> {
    let fetched = FetchPartition::default()
        .with_partition(partition)
        .with_current_leader_epoch(-1)
        .with_last_fetched_epoch(-1)
        .with_fetch_offset(0)
        .with_partition_max_bytes(1 << 20);
    let topic =
        FetchTopic::default().with_topic_id(topic_id(cluster, "orders")).with_partitions(vec![fetched]);
    let request = FetchRequest::default()
        .with_max_wait_ms(0)
        .with_min_bytes(0)
        .with_max_bytes(1 << 20)
        .with_isolation_level(i8::from(committed))
        .with_session_epoch(-1)
        .with_topics(vec![topic]);
    let to = leader(cluster, "orders", partition);
    let response = ask!(cluster, to, Fetch, request);
    let fetched = &response.responses[0].partitions[0];
    assert_eq!(fetched.error_code, 0);
    let mut aborted: Vec<(i64, i64)> = fetched
        .aborted_transactions
        .iter()
        .flatten()
        .map(|aborted| (*aborted.producer_id, aborted.first_offset))
        .collect();
    aborted.sort_by_key(|(_, first)| *first);
    let mut skipping = Vec::new();
    let mut values = Vec::new();
    for batch in Batches::new(fetched.records.clone().unwrap_or_default()) {
        let batch = batch.expect("it is whole");
        let header = *batch.header();
        while aborted.first().is_some_and(|(_, first)| *first <= header.last_offset()) {
            skipping.push(aborted.remove(0).0);
        }
        if header.is_control() {
            skipping.retain(|producer| *producer != header.producer_id);
        } else if !(committed && header.is_transactional() && skipping.contains(&header.producer_id)) {
            for record in batch.records(1 << 20).expect("it can be read") {
                values.push(String::from_utf8(record.value.expect("a value").to_vec()).expect("text"));
            }
        }
    }
    values
}

#[test]
fn transactions_are_committed_and_aborted_in_version_2() {
    let mut cluster = orders(2, CONFIG);
    loaded(&mut cluster, GROUP, "billing");
    let mut producer = Producer::init(&mut cluster, "pipeline");
    let epoch = producer.epoch;
    assert_eq!(producer.produce(&mut cluster, 13, 0, "a"), 0);
    producer.sequence = 0;
    assert_eq!(producer.produce(&mut cluster, 13, 1, "b"), 0);
    assert_eq!(read(&mut cluster, 0, true), [""; 0]);
    assert_eq!(read(&mut cluster, 0, false), ["a"]);
    assert_eq!(producer.state(&cluster), Some((TransactionState::Ongoing, 2)));

    let home = find(&mut cluster, GROUP, "billing");
    let partition = TxnOffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(9)
        .with_committed_metadata(Some(StrBytes::new()));
    let offsets = TxnOffsetCommitRequest::default()
        .with_transactional_id(TransactionalId(text("pipeline")))
        .with_group_id(group_id("billing"))
        .with_producer_id(ProducerId(producer.producer_id))
        .with_producer_epoch(producer.epoch)
        .with_generation_id(-1)
        .with_topics(vec![
            TxnOffsetCommitRequestTopic::default().with_name(name("orders")).with_partitions(vec![partition]),
        ]);
    let response = ask!(cluster, home, TxnOffsetCommit, offsets);
    assert_eq!(response.topics[0].partitions[0].error_code, 0);
    assert_eq!(producer.state(&cluster), Some((TransactionState::Ongoing, 3)));

    assert_eq!(producer.end(&mut cluster, 5, true), 0);
    assert_eq!(producer.epoch, epoch + 1);
    producer.wait_for(&mut cluster, TransactionState::CompleteCommit);
    assert_eq!(
        (read(&mut cluster, 0, true), read(&mut cluster, 1, true)),
        (vec!["a".into()], vec!["b".into()])
    );
    assert_eq!(committed(&mut cluster, home, &["billing"]), [("billing".to_owned(), 0, 9)]);

    assert_eq!(producer.produce(&mut cluster, 13, 0, "c"), 0);
    assert_eq!(producer.end(&mut cluster, 5, false), 0);
    producer.wait_for(&mut cluster, TransactionState::CompleteAbort);
    assert_eq!(read(&mut cluster, 0, true), ["a"]);
    assert_eq!(read(&mut cluster, 0, false), ["a", "c"]);
}

#[test]
fn a_partition_belongs_to_a_transaction_of_version_1_only_once_it_was_added() {
    let mut cluster = orders(2, CONFIG);
    loaded(&mut cluster, GROUP, "billing");
    let mut producer = Producer::init(&mut cluster, "bank");
    let not_added = producer.produce(&mut cluster, 11, 0, "a");
    assert!(
        [ErrorCode::InvalidTxnState.code(), ErrorCode::TransactionAbortable.code()].contains(&not_added),
        "{not_added}"
    );
    let topic = AddPartitionsToTxnTopic::default().with_name(name("orders")).with_partitions(vec![0, 1]);
    let request = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(TransactionalId(text("bank")))
        .with_v3_and_below_producer_id(ProducerId(producer.producer_id))
        .with_v3_and_below_producer_epoch(producer.epoch)
        .with_v3_and_below_topics(vec![topic]);
    let ResponseKind::AddPartitionsToTxn(response) =
        ask_in(&mut cluster, producer.coordinator, 3, request.clone())
    else {
        panic!()
    };
    let errors = &response.results_by_topic_v3_and_below[0].results_by_partition;
    assert_eq!(errors.iter().map(|p| p.partition_error_code).collect::<Vec<_>>(), [0, 0]);
    assert_eq!(producer.produce(&mut cluster, 11, 0, "a"), 0);
    let offsets = AddOffsetsToTxnRequest::default()
        .with_transactional_id(TransactionalId(text("bank")))
        .with_producer_id(ProducerId(producer.producer_id))
        .with_producer_epoch(producer.epoch)
        .with_group_id(group_id("billing"));
    assert_eq!(ask!(cluster, producer.coordinator, AddOffsetsToTxn, offsets).error_code, 0);
    assert_eq!(producer.end(&mut cluster, 4, true), 0);
    producer.wait_for(&mut cluster, TransactionState::CompleteCommit);
    assert_eq!(read(&mut cluster, 0, true), ["a"]);

    let topic = AddPartitionsToTxnTopic::default().with_name(name("orders")).with_partitions(vec![0, 7]);
    let internal = request.clone();
    let request = request.with_v3_and_below_topics(vec![topic]);
    let ResponseKind::AddPartitionsToTxn(response) = ask_in(&mut cluster, producer.coordinator, 3, request)
    else {
        panic!()
    };
    let errors = &response.results_by_topic_v3_and_below[0].results_by_partition;
    assert_eq!(
        errors.iter().map(|p| p.partition_error_code).collect::<Vec<_>>(),
        [ErrorCode::OperationNotAttempted.code(), ErrorCode::UnknownTopicOrPartition.code()]
    );
    // Nobody is authorized here, and yet nobody may write to what is the cluster's own.
    let topic = |topic| AddPartitionsToTxnTopic::default().with_name(name(topic)).with_partitions(vec![0]);
    let request = internal.with_v3_and_below_topics(vec![topic("orders"), topic("__consumer_offsets")]);
    let ResponseKind::AddPartitionsToTxn(response) = ask_in(&mut cluster, producer.coordinator, 3, request)
    else {
        panic!()
    };
    let errors = response.results_by_topic_v3_and_below.iter().flat_map(|topic| &topic.results_by_partition);
    assert_eq!(
        errors.map(|p| p.partition_error_code).collect::<Vec<_>>(),
        [ErrorCode::OperationNotAttempted.code(), ErrorCode::TopicAuthorizationFailed.code()]
    );
}

#[test]
fn a_transaction_survives_its_coordinator() {
    let mut cluster = orders(2, CONFIG);
    let mut producer = Producer::init(&mut cluster, "pipeline");
    assert_eq!(producer.produce(&mut cluster, 13, 0, "a"), 0);
    let first = producer.coordinator;
    cluster.kill(first);
    cluster.run(Span::from_secs(15));
    producer.coordinator = loaded(&mut cluster, TRANSACTION, "pipeline");
    assert_ne!(producer.coordinator, first);
    assert_eq!(producer.state(&cluster), Some((TransactionState::Ongoing, 1)));
    assert_eq!(producer.end(&mut cluster, 5, true), 0);
    producer.wait_for(&mut cluster, TransactionState::CompleteCommit);
    assert_eq!(read(&mut cluster, 0, true), ["a"]);
}

/// KIP-848: from version 10 on offsets are committed and fetched by the ids of topics.
#[test]
fn offsets_are_kept_by_the_ids_of_topics() {
    let mut cluster = orders(1, CONFIG);
    let at = loaded(&mut cluster, GROUP, "billing");
    let joined = join_alone(&mut cluster, at, "billing", "");
    let (id, unknown) = (topic_id(&cluster, "orders"), Uuid::from_u128(7));
    let mut request = commit("billing", &joined, "orders", &[(0, 42), (9, 1)]);
    let by_id = request.topics.remove(0).with_name(name("")).with_topic_id(id);
    request.topics = vec![by_id.clone().with_topic_id(unknown), by_id];
    let ResponseKind::OffsetCommit(response) = cluster.ask_in(10, at, BROKER_PORT, request.into()) else {
        panic!("not an answer")
    };
    let mut told = response.topics.iter().map(|topic| {
        let errors = topic.partitions.iter().map(|p| (p.partition_index, p.error_code));
        (topic.topic_id, errors.collect::<Vec<_>>())
    });
    let code = |error: ErrorCode| error.code();
    let gone = code(ErrorCode::UnknownTopicId);
    assert_eq!(told.next(), Some((id, vec![(9, code(ErrorCode::UnknownTopicOrPartition)), (0, 0)])));
    assert_eq!(told.next(), Some((unknown, vec![(0, gone), (9, gone)])));
    assert_eq!(told.next(), None);

    let wanted = |id| OffsetFetchRequestTopics::default().with_topic_id(id).with_partition_indexes(vec![0]);
    let mut fetched = |topics: Option<Vec<OffsetFetchRequestTopics>>| {
        let group = OffsetFetchRequestGroup::default().with_group_id(group_id("billing")).with_topics(topics);
        let request = OffsetFetchRequest::default().with_groups(vec![group]).with_require_stable(true);
        let ResponseKind::OffsetFetch(response) = cluster.ask_in(10, at, BROKER_PORT, request.into()) else {
            panic!("not an answer")
        };
        assert_eq!((response.groups.len(), response.groups[0].error_code), (1, 0));
        let topics = response.groups[0].topics.iter().map(|topic| {
            let partition = &topic.partitions[0];
            (topic.topic_id, partition.committed_offset, partition.error_code)
        });
        topics.collect::<Vec<_>>()
    };
    assert_eq!(fetched(Some(vec![wanted(id), wanted(unknown)])), [(id, 42, 0), (unknown, -1, gone)]);
    assert_eq!(fetched(None), [(id, 42, 0)]);
}
