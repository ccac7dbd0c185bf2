//! Offsets are committed by whom they may, count when they should, and go when nobody uses them.

use trial_node::Span;
use trial_wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use trial_wire::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use trial_wire::messages::offset_fetch_request::OffsetFetchRequestGroup;
use trial_wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use trial_wire::messages::{
    DeleteGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, TxnOffsetCommitRequest,
};
use trial_wire::{ErrorCode, ResponseKind, StrBytes, TopicName, Uuid};

use super::driver::{Driver, GROUP, join, text};

fn commit_to(topic: &str, offset: i64, generation: i32, member: &str) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text("so far")));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(text(topic)))
        .with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(text(GROUP).into())
        .with_generation_id_or_member_epoch(generation)
        .with_member_id(text(member))
        .with_topics(vec![topic])
}

pub(super) fn commit(driver: &mut Driver, offset: i64, generation: i32, member: &str) -> i16 {
    match driver.ask(9, commit_to("orders", offset, generation, member)) {
        ResponseKind::OffsetCommit(response) => response.topics[0].partitions[0].error_code,
        other => panic!("{other:?}"),
    }
}

fn commit_in_transaction(
    driver: &mut Driver,
    offset: i64,
    producer: i64,
    generation: i32,
    member: &str,
) -> i16 {
    let partition =
        TxnOffsetCommitRequestPartition::default().with_partition_index(0).with_committed_offset(offset);
    let topic = TxnOffsetCommitRequestTopic::default()
        .with_name(TopicName(text("orders")))
        .with_partitions(vec![partition]);
    let request = TxnOffsetCommitRequest::default()
        .with_transactional_id(text("pipeline").into())
        .with_group_id(text(GROUP).into())
        .with_producer_id(producer.into())
        .with_producer_epoch(0)
        .with_generation_id(generation)
        .with_member_id(text(member))
        .with_topics(vec![topic]);
    match driver.ask(5, request) {
        ResponseKind::TxnOffsetCommit(response) => response.topics[0].partitions[0].error_code,
        other => panic!("{other:?}"),
    }
}

/// The offset of `orders-0` and the partition's error code.
pub(super) fn fetch(driver: &mut Driver, stable: bool) -> (i64, i16) {
    use trial_wire::messages::offset_fetch_request::OffsetFetchRequestTopics;
    let topic = OffsetFetchRequestTopics::default()
        .with_name(TopicName(text("orders")))
        .with_partition_indexes(vec![0]);
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(text(GROUP).into())
        .with_member_epoch(-1)
        .with_topics(Some(vec![topic]));
    let request = OffsetFetchRequest::default().with_groups(vec![group]).with_require_stable(stable);
    match driver.ask(9, request) {
        ResponseKind::OffsetFetch(response) => {
            assert_eq!(response.groups[0].error_code, 0);
            let partition = &response.groups[0].topics[0].partitions[0];
            (partition.committed_offset, partition.error_code)
        }
        other => panic!("{other:?}"),
    }
}

fn fetch_all(driver: &mut Driver, version: i16) -> Vec<(String, i32, i64)> {
    let request = OffsetFetchRequest::default().with_group_id(text(GROUP).into()).with_topics(None);
    match driver.ask(version, request) {
        ResponseKind::OffsetFetch(response) => {
            let topics = response.topics.iter().flat_map(|topic| {
                let partitions = topic.partitions.iter();
                partitions.map(|p| (topic.name.to_string(), p.partition_index, p.committed_offset))
            });
            topics.collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_members_of_the_present_generation_commit() {
    let mut driver = Driver::new();
    let members = driver.stable_group(2);
    assert_eq!(fetch(&mut driver, true), (-1, 0));
    assert_eq!(commit(&mut driver, 5, 1, &members[0]), 0);
    assert_eq!(fetch(&mut driver, true), (5, 0));
    assert_eq!(commit(&mut driver, 6, 0, &members[0]), ErrorCode::IllegalGeneration.code());
    assert_eq!(commit(&mut driver, 6, 2, &members[0]), ErrorCode::IllegalGeneration.code());
    assert_eq!(commit(&mut driver, 6, 1, "somebody"), ErrorCode::UnknownMemberId.code());
    assert_eq!(commit(&mut driver, 6, -1, ""), ErrorCode::UnknownMemberId.code());
    let calls = [driver.join(9, join(&members[0], None)), driver.join(9, join(&members[1], None))];
    assert!(calls.into_iter().all(|call| driver.joined(call).is_some()));
    // Both have joined generation 2: its assignments are being made, and what a member had may be another's.
    assert_eq!(commit(&mut driver, 6, 1, &members[0]), ErrorCode::IllegalGeneration.code());
    assert_eq!(commit(&mut driver, 6, 2, &members[0]), ErrorCode::RebalanceInProgress.code());
    assert_eq!(fetch(&mut driver, true), (5, 0));
}

#[test]
fn a_commit_is_acknowledged_once_it_is_committed_and_keeps_the_session() {
    let mut driver = Driver::new();
    let members = driver.stable_group(1);
    driver.hold = true;
    let call = driver.send(9, commit_to("orders", 5, 1, &members[0]));
    assert_eq!(driver.answer(call), None);
    driver.commit(Some(ErrorCode::RequestTimedOut));
    let Some(ResponseKind::OffsetCommit(response)) = driver.answer(call) else { panic!() };
    assert_eq!(response.topics[0].partitions[0].error_code, ErrorCode::CoordinatorNotAvailable.code());
    // It is in the log all the same.
    assert_eq!(fetch(&mut driver, true), (5, 0));
    for offset in 6..10 {
        driver.pass(Span::from_secs(9));
        assert_eq!(commit(&mut driver, offset, 1, &members[0]), 0);
    }
    assert_eq!(driver.beat(1, &members[0], None), 0);
}

#[test]
fn whoever_is_in_no_group_commits_for_itself() {
    let mut driver = Driver::new();
    assert_eq!(commit(&mut driver, 3, 4, "somebody"), ErrorCode::GroupIdNotFound.code());
    assert_eq!(commit(&mut driver, 3, -1, ""), 0);
    assert_eq!(driver.entries(), ["billing orders-0 at 3"]);
    for version in 2..8 {
        assert_eq!(fetch_all(&mut driver, version), [("orders".to_owned(), 0, 3)]);
    }
    let ResponseKind::OffsetCommit(response) = driver.ask(9, commit_to("unknown", 3, -1, "")) else {
        panic!()
    };
    let code = response.topics[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::UnknownTopicOrPartition.code());
    driver.fail_over();
    assert_eq!(fetch(&mut driver, true), (3, 0));
}

#[test]
fn what_a_transaction_commits_counts_when_the_transaction_does() {
    let mut driver = Driver::new();
    let members = driver.stable_group(1);
    assert_eq!(commit(&mut driver, 3, 1, &members[0]), 0);
    assert_eq!(commit_in_transaction(&mut driver, 10, 77, 1, &members[0]), 0);
    let pending = "billing orders-0 at 10 if 77 commits";
    let group = "group billing classic true epoch 1 members 1";
    assert_eq!(driver.entries(), [group, "billing orders-0 at 3", pending]);
    assert_eq!(fetch(&mut driver, true), (-1, ErrorCode::UnstableOffsetCommit.code()));
    assert_eq!(fetch(&mut driver, false), (3, 0));
    driver.fail_over();
    assert_eq!(driver.entries(), [group, "billing orders-0 at 3", pending]);
    driver.end_transaction(77, false);
    assert_eq!(fetch(&mut driver, true), (3, 0));
    assert_eq!(commit_in_transaction(&mut driver, 11, 77, 1, &members[0]), 0);
    driver.end_transaction(77, true);
    assert_eq!(fetch(&mut driver, true), (11, 0));
    // A plain commit that came after the transaction's counts, though the transaction ended later.
    assert_eq!(commit_in_transaction(&mut driver, 12, 77, 1, &members[0]), 0);
    assert_eq!(commit(&mut driver, 20, 1, &members[0]), 0);
    driver.end_transaction(77, true);
    assert_eq!(fetch(&mut driver, true), (20, 0));
    driver.fail_over();
    assert_eq!(driver.entries(), [group, "billing orders-0 at 20"]);
}

#[test]
fn a_transaction_of_a_former_generation_commits_nothing() {
    let mut driver = Driver::new();
    let members = driver.stable_group(1);
    let end = driver.log_end();
    let fenced = ErrorCode::IllegalGeneration.code();
    assert_eq!(commit_in_transaction(&mut driver, 5, 77, 0, &members[0]), fenced);
    assert_eq!(commit_in_transaction(&mut driver, 5, 77, 1, "zombie"), ErrorCode::UnknownMemberId.code());
    assert_eq!(driver.log_end(), end);
    // Producers before KIP-447 do not tell; they are let through.
    assert_eq!(commit_in_transaction(&mut driver, 5, 77, -1, ""), 0);
    let call = driver.join(9, join(&members[0], None));
    assert!(driver.joined(call).is_some());
    assert_eq!(commit_in_transaction(&mut driver, 6, 77, 1, &members[0]), fenced);
    let mut elsewhere = Driver::new();
    assert_eq!(commit_in_transaction(&mut elsewhere, 5, 77, 1, "zombie"), fenced);
}

#[test]
fn offsets_go_once_nobody_has_used_them_for_long() {
    let week = Span::from_secs(7 * 86_400);
    let mut driver = Driver::new();
    let members = driver.stable_group(1);
    assert_eq!(commit(&mut driver, 5, 1, &members[0]), 0);
    // A topic that a member subscribes to is in use: the session goes on, without commits.
    for _ in 0..(8 * 86_400 / 9) {
        driver.pass(Span::from_secs(9));
        driver.beat(1, &members[0], None);
    }
    assert_eq!(fetch(&mut driver, true), (5, 0));
    driver.pass(week);
    // The session has been over for a little less than a week.
    assert_eq!(driver.entries(), ["group billing classic true epoch 2 members 0", "billing orders-0 at 5"]);
    driver.pass(Span::from_secs(4_000));
    assert_eq!(driver.entries(), [""; 0]);
    driver.fail_over();
}

#[test]
fn offsets_go_with_their_topic_and_not_with_one_that_is_unknown_yet() {
    let mut driver = Driver::new();
    assert_eq!(commit(&mut driver, 5, -1, ""), 0);
    let topics = std::mem::take(&mut driver.topics.0);
    driver.fail_over();
    driver.metadata_changed();
    assert_eq!(driver.entries(), ["billing orders-0 at 5"]);
    driver.topics.0 = topics.clone();
    driver.metadata_changed();
    driver.metadata_changed();
    assert_eq!(driver.entries(), ["billing orders-0 at 5"]);
    // Deleted and created again: another topic.
    driver.topics.0.insert(TopicName(text("orders")), (Uuid::from_u128(8), 4));
    driver.metadata_changed();
    assert_eq!(driver.entries(), [""; 0]);
    assert_eq!(commit(&mut driver, 6, -1, ""), 0);
    driver.topics.0.clear();
    driver.metadata_changed();
    assert_eq!(driver.entries(), [""; 0]);
}

#[test]
fn a_topic_that_went_while_it_had_no_offsets_takes_none_of_its_successor_along() {
    let mut driver = Driver::new();
    assert_eq!(commit(&mut driver, 5, 3, "nobody"), ErrorCode::GroupIdNotFound.code());
    driver.topics.0.clear();
    driver.metadata_changed();
    driver.topics.0.insert(TopicName(text("orders")), (Uuid::from_u128(8), 4));
    driver.metadata_changed();
    assert_eq!(commit(&mut driver, 6, -1, ""), 0);
    driver.metadata_changed();
    assert_eq!(driver.entries(), ["billing orders-0 at 6"]);
}

#[test]
fn offsets_that_members_use_are_not_deleted() {
    let mut driver = Driver::new();
    driver.topics.0.insert(TopicName(text("payments")), (Uuid::from_u128(9), 1));
    let members = driver.stable_group(1);
    assert_eq!(commit(&mut driver, 5, 1, &members[0]), 0);
    let ResponseKind::OffsetCommit(_) = driver.ask(9, commit_to("payments", 6, 1, &members[0])) else {
        panic!()
    };
    let topic = |name: &str| {
        OffsetDeleteRequestTopic::default()
            .with_name(TopicName(StrBytes::from_string(name.to_owned())))
            .with_partitions(vec![OffsetDeleteRequestPartition::default().with_partition_index(0)])
    };
    let request = OffsetDeleteRequest::default()
        .with_group_id(text(GROUP).into())
        .with_topics(vec![topic("orders"), topic("payments")]);
    let ResponseKind::OffsetDelete(response) = driver.ask(0, request) else { panic!() };
    let codes: Vec<_> = response.topics.iter().map(|topic| topic.partitions[0].error_code).collect();
    assert_eq!(codes, [ErrorCode::GroupSubscribedToTopic.code(), 0]);
    assert_eq!(fetch_all(&mut driver, 7), [("orders".to_owned(), 0, 5)]);
}

/// Consumers that need no group could leave its name empty until Kafka 2.2, and commit all the same.
#[test]
fn the_group_without_a_name_has_offsets_that_can_be_deleted() {
    let mut driver = Driver::new();
    driver.ask(2, commit_to("orders", 5, -1, "").with_group_id(text("").into()));
    assert_eq!(driver.entries().len(), 1);
    let request = DeleteGroupsRequest::default().with_groups_names(vec![text("").into()]);
    let ResponseKind::DeleteGroups(deleted) = driver.ask(2, request) else { panic!() };
    assert_eq!(deleted.results[0].error_code, 0);
    assert_eq!(driver.entries(), [""; 0]);
}
