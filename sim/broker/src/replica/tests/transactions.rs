//! Transactions: own appends of coordinators, markers, verification, and what readers of committed data get.

use trial_node::view::ReplicaView;
use trial_node::{ProducerEpoch, ProducerId as Producer};
use trial_wire::messages::TransactionalId;
use trial_wire::{Batch, StrBytes};

use super::*;
use crate::replica::{TransactionMarker, TransactionSupport, VerificationId, Waiter};

const ALL: i16 = -1;
const EPOCH: LeaderEpoch = LeaderEpoch(0);

fn transactional(epoch: i16, sequence: i32) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(1_000, None, Some(b"x"), &[]);
    builder.producer(7, epoch, sequence).transactional();
    builder.build().bytes().clone()
}

fn own(text: &str) -> Batch {
    Batch::parse(batch(text, 1)).unwrap()
}

fn marker(commit: bool, coordinator_epoch: i32) -> TransactionMarker {
    TransactionMarker {
        producer_id: Producer(7),
        producer_epoch: ProducerEpoch(0),
        coordinator_epoch,
        commit,
        transaction_version: 0,
    }
}

fn named(partition: i32) -> trial_node::TopicPartition {
    trial_node::TopicPartition { topic: topic(), partition }
}

impl Cluster {
    fn produce_transactional(&mut self, version: i16, batches: &[(TopicIdPartition, Bytes)]) -> Token {
        let token = self.token(version);
        let data = batches.iter().map(|(tp, records)| {
            PartitionProduceData::default().with_index(tp.partition).with_records(Some(records.clone()))
        });
        let topics = TopicProduceData::default()
            .with_name(topic())
            .with_topic_id(TOPIC)
            .with_partition_data(data.collect());
        let request = ProduceRequest::default()
            .with_acks(ALL)
            .with_timeout_ms(30_000)
            .with_transactional_id(Some(TransactionalId(StrBytes::from_static_str("t"))))
            .with_topic_data(vec![topics]);
        self.with(A, |replicas, ctx| replicas.handle_produce(ctx, token, version, request));
        self.run();
        token
    }

    /// The questions to coordinators since the last call: id, partitions, whether to add.
    fn asked(&mut self) -> Vec<(VerificationId, Vec<i32>, bool)> {
        let outputs = std::mem::take(&mut self.for_coordinators);
        let (asked, rest): (Vec<_>, Vec<_>) =
            outputs.into_iter().partition(|(_, output)| matches!(output, Output::VerifyTransaction { .. }));
        self.for_coordinators = rest;
        let question = |(_, output)| match output {
            Output::VerifyTransaction { id, partitions, add, .. } => {
                (id, partitions.iter().map(|tp| tp.partition).collect(), add)
            }
            other => panic!("{other:?}"),
        };
        asked.into_iter().map(question).collect()
    }

    fn confirm(&mut self, id: VerificationId, results: &[(i32, Result<(), ErrorCode>)]) {
        let results = results.iter().map(|(partition, result)| (named(*partition), *result)).collect();
        self.with(A, |replicas, ctx| replicas.handle_verification(ctx, id, results));
        self.run();
    }

    /// Begins a transaction of producer 7 in partition 0 of A.
    fn begin_transaction(&mut self) {
        let token = self.produce_transactional(12, &[(P0, transactional(0, 0))]);
        let [(id, _, _)] = self.asked()[..] else { panic!("not verified") };
        self.confirm(id, &[(0, Ok(()))]);
        assert_eq!(self.produced_one(token), Some((0, 0)));
    }

    fn mark(&mut self, commit: bool, coordinator_epoch: i32) -> Result<i64, ErrorCode> {
        let marker = marker(commit, coordinator_epoch);
        let info = self.with(A, |replicas, ctx| replicas.append_marker(ctx, P0, marker));
        self.run();
        info.map(|info| info.first_offset.0)
    }

    fn view(&self, id: NodeId) -> ReplicaView<'_> {
        self.nodes[&id].replicas.replica(P0).unwrap()
    }

    /// What waiters were told since the last call.
    fn committed(&mut self) -> Vec<(u64, Result<(), ErrorCode>)> {
        let outputs = std::mem::take(&mut self.for_coordinators).into_iter();
        let told = outputs.filter_map(|(_, output)| match output {
            Output::Committed { waiter, result } | Output::Verified { waiter, result } => {
                Some((waiter.0, result))
            }
            _ => None,
        });
        told.collect()
    }
}

#[test]
fn own_appends_are_awaited_and_belong_to_one_leadership() {
    let mut cluster = Cluster::new(&[]);
    let leads = |tp| (A, Output::Leadership { tp, leader_epoch: Some(EPOCH) });
    assert_eq!(cluster.for_coordinators, [leads(P0), leads(P1)]);
    cluster.for_coordinators.clear();
    cluster.cut.insert(C);
    cluster.advance(Span::from_millis(600));
    let info = cluster.with(A, |replicas, ctx| replicas.append_own(ctx, P0, &own("a"), EPOCH)).unwrap();
    assert_eq!(info.first_offset, Offset(0));
    let timeout = Span::from_secs(5);
    cluster.with(A, |replicas, ctx| {
        replicas.await_committed(ctx, P0, Offset(0), Waiter(1), timeout);
        replicas.await_committed(ctx, P0, Offset(1), Waiter(2), timeout);
        replicas.await_committed(ctx, P0, Offset(2), Waiter(3), timeout);
    });
    cluster.run();
    assert_eq!(cluster.committed(), [(1, Ok(()))]);
    cluster.cut.clear();
    cluster.advance(Span::from_secs(2));
    assert_eq!(cluster.committed(), [(2, Ok(()))]);
    cluster.advance(Span::from_secs(4));
    assert_eq!(cluster.committed(), [(3, Err(ErrorCode::RequestTimedOut))]);
    cluster.with(A, |replicas, ctx| replicas.await_committed(ctx, P0, Offset(9), Waiter(4), timeout));
    let bounds = cluster.nodes[&A].replicas.log_bounds(P0).unwrap();
    assert_eq!((bounds.high_watermark, bounds.leader_epoch), (Offset(1), Some(EPOCH)));
    let read = cluster.with(A, |replicas, ctx| replicas.read_local(ctx, P0, Offset(0), 100)).unwrap();
    assert_eq!(Batches::new(read).count(), 1);

    cluster.elect(P0, B, &[A, B, C]);
    cluster.publish();
    let lost = Output::Leadership { tp: P0, leader_epoch: None };
    assert!(cluster.for_coordinators.contains(&(A, lost)));
    assert_eq!(cluster.committed(), [(4, Err(ErrorCode::NotLeaderOrFollower))]);
    let refused = cluster.with(A, |replicas, ctx| replicas.append_own(ctx, P0, &own("b"), EPOCH));
    assert_eq!(refused, Err(ErrorCode::NotLeaderOrFollower));
    let old = cluster.with(B, |replicas, ctx| replicas.append_own(ctx, P0, &own("b"), EPOCH));
    assert_eq!(old, Err(ErrorCode::NotLeaderOrFollower), "B leads in epoch 1");
    assert!(cluster.with(B, |replicas, ctx| replicas.append_own(ctx, P0, &own("b"), LeaderEpoch(1))).is_ok());
}

#[test]
fn a_transaction_is_verified_once_per_partition() {
    let mut cluster = Cluster::new(&[]);
    let batches = [(P0, transactional(0, 0)), (P1, transactional(0, 0))];
    let token = cluster.produce_transactional(12, &batches);
    let [(id, partitions, add)] = &cluster.asked()[..] else { panic!("not verified") };
    assert_eq!((&partitions[..], *add), (&[0, 1][..], true));
    assert_eq!(cluster.log_end_offset(A, P0), 0, "it waits");
    let refused = Err(ErrorCode::TransactionAbortable);
    cluster.confirm(*id, &[(0, Ok(())), (1, refused)]);
    let response = cluster.produced(token).unwrap();
    let codes: Vec<_> = response.responses[0].partition_responses.iter().map(|p| p.error_code).collect();
    assert_eq!(codes, [0, ErrorCode::TransactionAbortable.code()]);
    assert_eq!((cluster.log_end_offset(A, P0), cluster.log_end_offset(A, P1)), (1, 0));

    let next = cluster.produce_transactional(12, &[(P0, transactional(0, 1))]);
    assert_eq!(cluster.asked(), [], "the transaction is open");
    assert_eq!(cluster.produced_one(next), Some((0, 1)));
}

#[test]
fn partitions_are_added_to_transactions_even_where_nothing_is_verified() {
    let mut cluster = Cluster::new(&[]);
    cluster.nodes.get_mut(&A).unwrap().replicas.config.transaction_partition_verification = false;
    cluster.produce_transactional(11, &[(P0, transactional(0, 0))]);
    assert_eq!(cluster.asked(), [], "the client has added them itself");
    cluster.produce_transactional(12, &[(P0, transactional(0, 0))]);
    let [(_, _, true)] = cluster.asked()[..] else { panic!("not added") };
}

#[test]
fn errors_of_the_coordinator_are_told_as_the_clients_version_knows_them() {
    for (version, code, told) in [
        (12, ErrorCode::NotCoordinator, ErrorCode::NotEnoughReplicas),
        (11, ErrorCode::NetworkException, ErrorCode::NotEnoughReplicas),
        (11, ErrorCode::ConcurrentTransactions, ErrorCode::NotEnoughReplicas),
        (11, ErrorCode::ProducerFenced, ErrorCode::InvalidProducerEpoch),
        (11, ErrorCode::TransactionAbortable, ErrorCode::TransactionAbortable),
        (10, ErrorCode::TransactionAbortable, ErrorCode::InvalidTxnState),
        (11, ErrorCode::InvalidTxnState, ErrorCode::InvalidTxnState),
    ] {
        let mut cluster = Cluster::new(&[]);
        let token = cluster.produce_transactional(version, &[(P0, transactional(0, 0))]);
        let [(id, _, add)] = cluster.asked()[..] else { panic!("not verified") };
        assert_eq!(add, version >= 12);
        cluster.confirm(id, &[(0, Err(code))]);
        assert_eq!(cluster.produced_one(token), Some((told.code(), -1)), "{code:?} for {version}");
        assert_eq!(cluster.log_end_offset(A, P0), 0);
    }
}

#[test]
fn a_coordinator_that_is_busy_with_the_last_transaction_is_asked_again_for_a_while() {
    let mut cluster = Cluster::new(&[]);
    let token = cluster.produce_transactional(12, &[(P0, transactional(0, 0))]);
    let busy = [(0, Err(ErrorCode::ConcurrentTransactions))];
    for _ in 0..2 {
        let [(id, _, _)] = cluster.asked()[..] else { panic!("not asked") };
        cluster.confirm(id, &busy);
        assert_eq!(cluster.asked(), []);
        cluster.advance(Span::from_millis(20));
    }
    let [(id, _, _)] = cluster.asked()[..] else { panic!("not asked") };
    cluster.confirm(id, &[]);
    assert_eq!(cluster.produced_one(token), Some((0, 0)));

    cluster.mark(true, 0).unwrap();
    let token = cluster.produce_transactional(12, &[(P0, transactional(0, 1))]);
    for _ in 0..6 {
        if let [(id, _, _)] = cluster.asked()[..] {
            cluster.confirm(id, &busy);
        }
        cluster.advance(Span::from_millis(20));
    }
    assert_eq!(cluster.produced_one(token), Some((ErrorCode::NotEnoughReplicas.code(), -1)));
}

#[test]
fn what_was_verified_before_a_marker_does_not_begin_the_next_transaction() {
    let mut cluster = Cluster::new(&[]);
    let token = cluster.produce_transactional(11, &[(P0, transactional(0, 0))]);
    let [(id, _, _)] = cluster.asked()[..] else { panic!("not verified") };
    assert_eq!(cluster.mark(false, 0), Ok(0));
    cluster.confirm(id, &[(0, Ok(()))]);
    assert_eq!(cluster.produced_one(token), Some((ErrorCode::InvalidTxnState.code(), -1)));
    assert_eq!(cluster.log_end_offset(A, P0), 1);
    assert_eq!(cluster.mark(true, 2), Ok(1));
    assert_eq!(cluster.mark(true, 1), Err(ErrorCode::TransactionCoordinatorFenced));
}

#[test]
fn offset_commits_of_a_transaction_are_verified_and_need_no_sequence() {
    let mut cluster = Cluster::new(&[]);
    cluster.for_coordinators.clear();
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(1_000, Some(b"k"), Some(b"v"), &[]);
    builder.producer(7, 0, -1).transactional();
    let commit = builder.build();
    let append = |cluster: &mut Cluster| {
        let appended = cluster.with(A, |replicas, ctx| replicas.append_own(ctx, P0, &commit, EPOCH));
        appended.map(|info| info.first_offset.0)
    };
    assert_eq!(append(&mut cluster), Err(ErrorCode::InvalidTxnState));
    let verify = |cluster: &mut Cluster, waiter| {
        let id = StrBytes::from_static_str("t");
        let producer = (Producer(7), ProducerEpoch(0));
        let support = TransactionSupport::GenericError;
        cluster.with(A, |replicas, ctx| {
            replicas.verify_own(ctx, P0, &id, producer, support, Waiter(waiter));
        });
        cluster.run();
    };
    verify(&mut cluster, 1);
    let [(id, _, false)] = cluster.asked()[..] else { panic!("not verified") };
    cluster.confirm(id, &[(0, Err(ErrorCode::NetworkException))]);
    assert_eq!(cluster.committed(), [(1, Err(ErrorCode::CoordinatorLoadInProgress))]);
    verify(&mut cluster, 2);
    let [(id, _, false)] = cluster.asked()[..] else { panic!("not verified") };
    cluster.confirm(id, &[(0, Ok(()))]);
    assert_eq!(cluster.committed(), [(2, Ok(()))]);
    assert_eq!(append(&mut cluster), Ok(0));
    assert_eq!(append(&mut cluster), Ok(1));
    verify(&mut cluster, 3);
    assert_eq!(cluster.committed(), [(3, Ok(()))], "the transaction is open");
}

#[test]
fn a_reader_of_committed_data_waits_for_the_marker_and_is_told_of_aborted_transactions() {
    let mut cluster = Cluster::new(&[]);
    cluster.begin_transaction();
    cluster.produce(A, ALL, &[(P0, batch("a", 1))]);
    for id in [A, B] {
        cluster.advance(Span::from_millis(600));
        assert_eq!((cluster.high_watermark(id, P0), cluster.view(id).last_stable_offset.0), (2, 0));
    }
    let committed = |wait| fetch_request((0, -1), wait, &[wanted(0, 0)]).with_isolation_level(1);
    let token = cluster.fetch(A, committed(0));
    assert_eq!(told(&cluster.fetched(token).unwrap()), [(0, 0, 2, vec![])]);
    let token = cluster.fetch(A, fetch_request((0, -1), 0, &[wanted(0, 0)]));
    let response = cluster.fetched(token).unwrap();
    assert_eq!(told(&response), [(0, 0, 2, vec![0, 1])]);
    assert_eq!(response.responses[0].partitions[0].aborted_transactions, None);

    let waiting = cluster.fetch(A, committed(60_000));
    cluster.produce(A, ALL, &[(P0, batch("b", 1))]);
    assert_eq!(cluster.fetched(waiting), None, "the transaction is still open");
    assert_eq!(cluster.mark(false, 0), Ok(3));
    let response = cluster.fetched(waiting).unwrap();
    assert_eq!(told(&response), [(0, 0, 4, vec![0, 1, 2, 3])]);
    let data = &response.responses[0].partitions[0];
    assert_eq!(data.last_stable_offset, 4);
    let aborted = data.aborted_transactions.as_ref().unwrap();
    let aborted: Vec<_> = aborted.iter().map(|txn| (txn.producer_id.0, txn.first_offset)).collect();
    assert_eq!(aborted, [(7, 0)]);
    cluster.advance(Span::from_millis(600));
    let mut indexed = Vec::new();
    let replicas = &cluster.nodes[&B].replicas;
    let mut disk = SimDisk::new();
    replicas
        .aborted_transactions(&mut disk, P0, Offset(0), Offset(4), &mut |txn| {
            indexed.push((txn.first_offset.0, txn.last_offset.0));
        })
        .unwrap();
    assert_eq!(indexed, [(0, 3)], "followers index them, too");
}

#[test]
fn transactional_records_of_no_transaction_in_particular_are_refused() {
    let mut cluster = Cluster::new(&[]);
    let token = cluster.produce(A, ALL, &[(P0, transactional(0, 0))]);
    let refused = ErrorCode::TransactionalIdAuthorizationFailed.code();
    assert_eq!(cluster.produced_one(token), Some((refused, -1)));
    assert_eq!(cluster.log_end_offset(A, P0), 0);
}

#[test]
fn a_cleaning_goes_as_far_as_there_is_room_for_keys() {
    let mut cluster = Cluster::new(&[("cleanup.policy", "compact"), ("segment.bytes", "500")]);
    let interval = Span::from_secs(15);
    cluster.nodes.get_mut(&A).unwrap().replicas.set_cleaner(interval, 2);
    for i in 0..50 {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(1_000, Some(format!("key {}", i % 5).as_bytes()), Some(b"value"), &[]);
        cluster.produce(A, ALL, &[(P0, builder.build().bytes().clone())]);
    }
    cluster.advance(Span::from_secs(16));
    let (little, all) = (cluster.log(A, P0).len(), cluster.log(B, P0).len());
    assert!(all < 20 && all < little, "{all} {little}");
}

#[test]
fn compacted_topics_are_cleaned_on_every_replica_and_go_on_being_replicated() {
    let mut cluster = Cluster::new(&[("cleanup.policy", "compact"), ("segment.bytes", "500")]);
    let keyed = |i: i32| {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(1_000, Some(b"key"), Some(format!("value {i}").as_bytes()), &[]);
        builder.build().bytes().clone()
    };
    let may_differ = |cluster: &Cluster| cluster.nodes[&A].replicas.replica(P0).unwrap().compacted;
    cluster.produce(A, ALL, &[(P0, keyed(0))]);
    assert!(!may_differ(&cluster), "the active segment is never compacted");
    for i in 1..50 {
        cluster.produce(A, ALL, &[(P0, keyed(i))]);
    }
    assert!(may_differ(&cluster));
    assert_eq!(cluster.log(A, P0).len(), 50);
    cluster.advance(Span::from_secs(16));
    for id in [A, B, C] {
        assert!(cluster.log(id, P0).len() < 20, "{id}: {:?}", cluster.log(id, P0));
        assert_eq!(cluster.log_end_offset(id, P0), 50);
    }
    // Who begins anew fetches the gaps as they are.
    cluster.kill(C);
    cluster.start(C, SimDisk::new());
    cluster.publish();
    cluster.produce(A, ALL, &[(P0, keyed(50))]);
    cluster.advance(Span::from_secs(2));
    assert_eq!(cluster.log(C, P0), cluster.log(A, P0));
}
