//! Transactions, request by request.

use trial_node::TopicPartition;
use trial_wire::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use trial_wire::messages::find_coordinator_response::Coordinator;
use trial_wire::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use trial_wire::messages::{
    AddOffsetsToTxnResponse, AddPartitionsToTxnResponse, EndTxnResponse, FindCoordinatorResponse,
    InitProducerIdResponse, TxnOffsetCommitResponse,
};

use super::*;

const ID: i64 = 7;

/// A producer whose coordinator is broker 1, of a cluster with this transaction version, ready under epoch 3.
fn ready(transaction_version: i16) -> Bench<Producer> {
    let cluster = Cluster { transaction_version, ..Cluster::new(2, "orders", 2) };
    let bootstrap = cluster.bootstrap();
    let config = [("linger.ms", "0"), ("transactional.id", "t"), ("batch.size", "0")];
    let config = ProducerConfig::from_properties(&properties(&config)).unwrap();
    let mut bench = Bench::new(cluster, |_, _| {
        let mut producer = Producer::new(config, StrBytes::from_static_str("p"), bootstrap).unwrap();
        producer.topic(&topic_name("orders"));
        producer.init_transactions();
        producer
    });
    bench.settle();
    bench.coordinator_is(1, "t", 1);
    let request = bench.request();
    assert_eq!(request.node, NodeId(1));
    let RequestKind::InitProducerId(init) = &*request.request.body else { panic!("{request:?}") };
    assert_eq!(init.transactional_id.as_ref().unwrap().0.as_str(), "t");
    assert_eq!((init.transaction_timeout_ms, init.producer_id.0, init.producer_epoch), (60_000, -1, -1));
    bench.producer_id(&request, 3);
    assert_eq!(bench.state(), TransactionState::Ready);
    bench.machine.begin_transaction();
    bench
}

impl Bench<Producer> {
    fn state(&self) -> TransactionState {
        self.machine.transaction_state().unwrap()
    }

    /// Answers the question for the coordinator of `key`.
    fn coordinator_is(&mut self, key_type: i8, key: &str, node: i32) {
        let request = self.request();
        let RequestKind::FindCoordinator(find) = &*request.request.body else { panic!("{request:?}") };
        assert_eq!((find.key_type, find.coordinator_keys[0].as_str()), (key_type, key));
        let told =
            Coordinator::default().with_key(find.coordinator_keys[0].clone()).with_node_id(node.into());
        let body = FindCoordinatorResponse::default().with_coordinators(vec![told]);
        self.respond(&request, ResponseKind::FindCoordinator(body));
    }

    fn producer_id(&mut self, request: &Waiting, epoch: i16) {
        let body = InitProducerIdResponse::default().with_producer_id(ID.into()).with_producer_epoch(epoch);
        self.respond(request, ResponseKind::InitProducerId(body));
    }

    /// Answers AddPartitionsToTxn, which must be for these partitions.
    fn partitions_added(&mut self, expected: &[i32], error: Option<ErrorCode>) {
        let request = self.request();
        let RequestKind::AddPartitionsToTxn(add) = &*request.request.body else { panic!("{request:?}") };
        assert_eq!(request.request.api_version, 3);
        assert_eq!(add.v3_and_below_transactional_id.0.as_str(), "t");
        assert_eq!(add.v3_and_below_topics[0].partitions, expected);
        let results = expected.iter().map(|partition| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*partition)
                .with_partition_error_code(error.map_or(0, |error| error.code()))
        });
        let topic = AddPartitionsToTxnTopicResult::default()
            .with_name(topic_name("orders"))
            .with_results_by_partition(results.collect());
        let body = AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(vec![topic]);
        self.respond(&request, ResponseKind::AddPartitionsToTxn(body));
    }

    /// The request that waits, which must be EndTxn in this version.
    fn end_txn(&mut self, version: i16, commit: bool, epoch: i16) -> Waiting {
        assert_eq!(self.waiting(), 1);
        let request = self.request();
        let RequestKind::EndTxn(end) = &*request.request.body else { panic!("{request:?}") };
        assert_eq!(request.request.api_version, version);
        assert_eq!((end.producer_id.0, end.producer_epoch, end.committed), (ID, epoch, commit));
        request
    }

    fn ended(&mut self, request: &Waiting, error: Option<ErrorCode>, epoch: i16) {
        let code = error.map_or(0, |error| error.code());
        let body = EndTxnResponse::default().with_error_code(code);
        let body = if request.request.api_version >= 5 && error.is_none() {
            body.with_producer_id(ID.into()).with_producer_epoch(epoch)
        } else {
            body
        };
        self.respond(request, ResponseKind::EndTxn(body));
    }

    /// Answers TxnOffsetCommit in this version.
    fn offsets_taken(&mut self, version: i16, error: Option<ErrorCode>) {
        let request = self.request();
        let RequestKind::TxnOffsetCommit(commit) = &*request.request.body else { panic!("{request:?}") };
        assert_eq!(request.request.api_version, version);
        assert_eq!((commit.group_id.0.as_str(), commit.member_id.as_str()), ("g", "m"));
        assert_eq!((commit.generation_id, commit.producer_epoch), (5, 3));
        assert_eq!(commit.topics[0].partitions[0].committed_offset, 42);
        let partition = TxnOffsetCommitResponsePartition::default()
            .with_error_code(error.map_or(0, |error| error.code()));
        let topic = TxnOffsetCommitResponseTopic::default()
            .with_name(topic_name("orders"))
            .with_partitions(vec![partition]);
        let body = TxnOffsetCommitResponse::default().with_topics(vec![topic]);
        self.respond(&request, ResponseKind::TxnOffsetCommit(body));
    }

    fn send_offsets(&mut self) {
        let group = GroupMetadata {
            group_id: StrBytes::from_static_str("g"),
            generation: 5,
            member_id: StrBytes::from_static_str("m"),
            instance_id: None,
        };
        let offsets = vec![(TopicPartition::new(StrBytes::from_static_str("orders"), 0), Offset(42))];
        self.machine.send_offsets(offsets, group);
        self.settle();
    }

    fn commit(&mut self) {
        self.machine.commit_transaction();
        self.settle();
    }

    fn abort(&mut self) {
        self.machine.abort_transaction();
        self.settle();
    }
}

#[test]
fn version_1_adds_partitions_before_it_writes_and_ends_after_all_is_acknowledged() {
    let mut bench = ready(1);
    bench.try_send(0, 1, b"value").unwrap();
    bench.send(1, 2);
    assert_eq!(bench.waiting(), 1);
    bench.partitions_added(&[0, 1], None);
    let writes = [bench.request(), bench.request()];
    for write in &writes {
        assert_eq!(write.request.api_version, 11);
        assert_eq!(produce(write).transactional_id.as_ref().unwrap().0.as_str(), "t");
        assert!(header(&partitions(write)[0].records).is_transactional());
    }
    bench.commit();
    assert_eq!((bench.waiting(), bench.state()), (0, TransactionState::Committing));
    for write in &writes {
        answer_by_name(&mut bench, write);
    }
    let end = bench.end_txn(4, true, 3);
    bench.ended(&end, None, -1);
    assert_eq!((bench.state(), bench.machine.commit_in_doubt()), (TransactionState::Ready, false));
    // Same epoch, and the order goes on.
    bench.machine.begin_transaction();
    bench.send(0, 3);
    bench.partitions_added(&[0], None);
    assert_eq!(batches(&bench.request()), [(0, 3, 1, 1)]);
}

/// Up to version 12, Produce names topics.
fn answer_by_name(bench: &mut Bench<Producer>, write: &Waiting) {
    let index = partitions(write)[0].index;
    let partition = PartitionProduceResponse::default().with_index(index).with_base_offset(0);
    let topic = TopicProduceResponse::default()
        .with_name(topic_name("orders"))
        .with_partition_responses(vec![partition]);
    bench.respond(write, ResponseKind::Produce(ProduceResponse::default().with_responses(vec![topic])));
}

#[test]
fn version_2_writes_at_once_and_takes_a_new_epoch_at_the_end() {
    let mut bench = ready(2);
    bench.send(0, 1);
    let write = bench.request();
    assert_eq!(write.request.api_version, 13);
    assert_eq!(batches(&write), [(0, 3, 0, 1)]);
    bench.answer(&write, Ok(0));
    bench.commit();
    let end = bench.end_txn(5, true, 3);
    bench.ended(&end, None, 4);
    assert_eq!(bench.state(), TransactionState::Ready);
    bench.machine.begin_transaction();
    bench.send(0, 2);
    assert_eq!(batches(&bench.request()), [(0, 4, 0, 1)]);
}

#[test]
fn offsets_go_to_the_groups_coordinator_before_the_end() {
    let mut bench = ready(1);
    bench.send_offsets();
    bench.commit();
    let add = bench.request();
    let RequestKind::AddOffsetsToTxn(body) = &*add.request.body else { panic!("{add:?}") };
    assert_eq!((add.node, body.group_id.0.as_str(), body.producer_epoch), (NodeId(1), "g", 3));
    bench.respond(&add, ResponseKind::AddOffsetsToTxn(AddOffsetsToTxnResponse::default()));
    bench.coordinator_is(0, "g", 0);
    // It has just moved: all is asked again.
    bench.offsets_taken(4, Some(ErrorCode::NotCoordinator));
    bench.run_for(Span::from_millis(100));
    bench.coordinator_is(0, "g", 1);
    bench.offsets_taken(4, None);
    let end = bench.end_txn(4, true, 3);
    bench.ended(&end, None, -1);
    assert_eq!(bench.state(), TransactionState::Ready);

    let mut bench = ready(2);
    bench.send_offsets();
    bench.commit();
    bench.coordinator_is(0, "g", 0);
    bench.offsets_taken(5, None);
    bench.end_txn(5, true, 3);
}

#[test]
fn commit_of_an_old_generation_must_be_aborted() {
    let mut bench = ready(2);
    bench.send_offsets();
    bench.commit();
    bench.coordinator_is(0, "g", 0);
    bench.offsets_taken(5, Some(ErrorCode::IllegalGeneration));
    assert_eq!(bench.state(), TransactionState::AbortableError(ErrorCode::IllegalGeneration));
    bench.abort();
    let end = bench.end_txn(5, false, 3);
    bench.ended(&end, None, 4);
    assert_eq!(bench.state(), TransactionState::Ready);
}

#[test]
fn transaction_that_nobody_knows_of_ends_at_once() {
    for version in [1, 2] {
        let mut bench = ready(version);
        bench.commit();
        assert_eq!((bench.state(), bench.waiting()), (TransactionState::Ready, 0));
    }
}

#[test]
fn first_partitions_wait_a_little_for_the_end_of_the_last_transaction() {
    let mut bench = ready(1);
    bench.send(0, 1);
    bench.partitions_added(&[0], Some(ErrorCode::ConcurrentTransactions));
    bench.run_for(Span::from_nanos(19_999_999));
    assert_eq!(bench.waiting(), 0);
    bench.run_for(Span::from_nanos(1));
    bench.partitions_added(&[0], None);
    assert_eq!(batches(&bench.request()), [(0, 3, 0, 1)]);
}

#[test]
fn fenced_producer_gives_up_and_knows_that_it_has_not_committed() {
    let mut bench = ready(2);
    bench.send(0, 1);
    let write = bench.request();
    bench.answer(&write, Ok(0));
    bench.commit();
    let end = bench.end_txn(5, true, 3);
    bench.ended(&end, Some(ErrorCode::InvalidProducerEpoch), -1);
    assert_eq!(bench.state(), TransactionState::FatalError(ErrorCode::ProducerFenced));
    assert!(!bench.machine.commit_in_doubt());
    let refused = bench.try_send(0, 2, b"value");
    assert_eq!(refused, Err(Refusal::Failed(ErrorCode::ProducerFenced)));
}

#[test]
fn commit_without_an_answer_is_asked_again_and_in_doubt() {
    let mut bench = ready(2);
    bench.send(0, 1);
    let write = bench.request();
    bench.answer(&write, Ok(0));
    bench.commit();
    bench.end_txn(5, true, 3);
    bench.reset(NodeId(1));
    bench.run_for(Span::from_millis(200));
    bench.coordinator_is(1, "t", 0);
    let again = bench.end_txn(5, true, 3);
    assert_eq!(again.node, NodeId(0));
    assert!(bench.machine.commit_in_doubt());
    // The first may have been carried out before the producer was fenced.
    bench.ended(&again, Some(ErrorCode::ProducerFenced), -1);
    assert_eq!(bench.state(), TransactionState::FatalError(ErrorCode::ProducerFenced));
    assert!(bench.machine.commit_in_doubt());
}

#[test]
fn failed_batch_aborts_the_transaction_and_raises_the_epoch() {
    let mut bench = ready(1);
    bench.send(0, 1);
    bench.partitions_added(&[0], None);
    bench.send(0, 2);
    let write = bench.request();
    // The second waits for the first to be acknowledged; it is not sent any more.
    let partition = PartitionProduceResponse::default().with_error_code(ErrorCode::InvalidRecord.code());
    let topic = TopicProduceResponse::default()
        .with_name(topic_name("orders"))
        .with_partition_responses(vec![partition]);
    bench.respond(&write, ResponseKind::Produce(ProduceResponse::default().with_responses(vec![topic])));
    let error = ErrorCode::InvalidRecord;
    assert_eq!(bench.state(), TransactionState::AbortableError(error));
    assert_eq!(bench.deliveries(), [(0, vec![1], failed(error, false)), (0, vec![2], failed(error, false))]);
    assert_eq!(bench.try_send(0, 3, b"value"), Err(Refusal::Failed(error)));
    bench.abort();
    let end = bench.end_txn(4, false, 3);
    bench.ended(&end, None, -1);
    assert_eq!(bench.state(), TransactionState::Initializing);
    let request = bench.request();
    let RequestKind::InitProducerId(init) = &*request.request.body else { panic!("{request:?}") };
    assert_eq!((init.producer_id.0, init.producer_epoch), (ID, 3));
    bench.producer_id(&request, 4);
    assert_eq!(bench.state(), TransactionState::Ready);
    bench.machine.begin_transaction();
    bench.send(0, 4);
    bench.partitions_added(&[0], None);
    assert_eq!(batches(&bench.request()), [(0, 4, 0, 1)]);
}

#[test]
fn abort_drops_what_was_not_sent_and_keeps_the_epoch() {
    let mut bench = ready(1);
    bench.send(0, 1);
    // Whether the coordinator has the partition is not known: it is asked once more, so that it surely ends the transaction.
    bench.request();
    bench.reset(NodeId(1));
    bench.abort();
    assert_eq!(bench.deliveries(), [(0, vec![1], failed(ErrorCode::TransactionAbortable, false))]);
    bench.run_for(Span::from_millis(200));
    bench.coordinator_is(1, "t", 1);
    bench.partitions_added(&[0], None);
    let end = bench.end_txn(4, false, 3);
    bench.ended(&end, None, -1);
    assert_eq!(bench.state(), TransactionState::Ready);
}
