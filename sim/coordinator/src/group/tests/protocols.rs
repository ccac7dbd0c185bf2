//! One group, two protocols: an empty group passes from one to the other, one with members only if it can take them along.

use trial_node::Span;
use trial_wire::messages::join_group_request::JoinGroupRequestProtocol;
use trial_wire::messages::leave_group_request::MemberIdentity;
use trial_wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use trial_wire::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, LeaveGroupRequest, OffsetCommitRequest,
};
use trial_wire::{ErrorCode, ResponseKind, StrBytes, TopicName};

use super::driver::{Driver, GROUP, join, text};
use super::offsets::{commit, fetch};
use crate::group::GroupConfig;

fn beat(driver: &mut Driver, epoch: i32) -> ConsumerGroupHeartbeatResponse {
    let joins = epoch == 0;
    let request = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(text(GROUP).into())
        .with_member_id(text("newcomer"))
        .with_member_epoch(epoch)
        .with_rebalance_timeout_ms(if joins { 60_000 } else { -1 })
        .with_subscribed_topic_names(joins.then(|| vec![TopicName(text("orders"))]))
        .with_topic_partitions(joins.then(Vec::new));
    match driver.ask(1, request) {
        ResponseKind::ConsumerGroupHeartbeat(response) => response,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_empty_group_takes_the_protocol_of_who_comes_and_keeps_its_offsets() {
    let mut driver = Driver::new();
    let members = driver.stable_group(1);
    assert_eq!(commit(&mut driver, 5, 1, &members[0]), 0);
    // What its leader has assigned means nothing to the coordinator.
    assert_eq!(beat(&mut driver, 0).error_code, ErrorCode::GroupIdNotFound.code());
    let member = MemberIdentity::default().with_member_id(members[0].clone());
    let request = LeaveGroupRequest::default().with_group_id(text(GROUP).into()).with_members(vec![member]);
    driver.ask(5, request);

    let answer = beat(&mut driver, 0);
    assert_eq!((answer.error_code, answer.member_epoch), (0, 1));
    assert_eq!(fetch(&mut driver, true), (5, 0));
    driver.fail_over();
    assert!(driver.entries()[0].starts_with("group billing classic false epoch 1"), "{:?}", driver.entries());
    let call = driver.join(9, join("", None).with_protocol_type(text("connect")));
    let refused = driver.joined(call).map(|answer| answer.error_code);
    assert_eq!(refused, Some(ErrorCode::InconsistentGroupProtocol.code()));
    assert_eq!(beat(&mut driver, -1).error_code, 0);

    let id = driver.new_member_id();
    assert_eq!(driver.entries()[0], "group billing classic true epoch 0 members 0");
    let call = driver.join(9, join(&id, None));
    driver.pass(Span::from_secs(3));
    assert_eq!(driver.joined(call).map(|answer| answer.generation_id), Some(1));
    assert_eq!(fetch(&mut driver, true), (5, 0));
    driver.fail_over();
}

#[test]
fn what_no_record_can_hold_is_refused() {
    let config = GroupConfig { offset_metadata_max_bytes: 100_000, ..GroupConfig::default() };
    let mut driver = Driver::with_config(config);
    let long = text(&"x".repeat(32_768));
    let asked = [
        join("", None).with_group_id(long.clone().into()),
        join("", None).with_group_instance_id(Some(long.clone())),
        join("", None).with_protocols(vec![JoinGroupRequestProtocol::default().with_name(long.clone())]),
    ];
    for request in asked {
        let call = driver.join(9, request);
        let refused = driver.joined(call).map(|answer| answer.error_code);
        assert_eq!(refused, Some(ErrorCode::InvalidRequest.code()));
    }
    let beat = |driver: &mut Driver, group: &StrBytes, member: &StrBytes| {
        let request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(group.clone().into())
            .with_member_id(member.clone())
            .with_rebalance_timeout_ms(60_000)
            .with_subscribed_topic_names(Some(Vec::new()))
            .with_topic_partitions(Some(Vec::new()));
        match driver.ask(1, request) {
            ResponseKind::ConsumerGroupHeartbeat(response) => response.error_code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(beat(&mut driver, &long, &text("m")), ErrorCode::InvalidRequest.code());
    assert_eq!(beat(&mut driver, &text(GROUP), &long), ErrorCode::InvalidRequest.code());

    let partition = OffsetCommitRequestPartition::default().with_committed_metadata(Some(long.clone()));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(text("orders")))
        .with_partitions(vec![partition]);
    let request =
        OffsetCommitRequest::default().with_generation_id_or_member_epoch(-1).with_topics(vec![topic]);
    for (group, error) in
        [(text(GROUP), ErrorCode::OffsetMetadataTooLarge), (long.clone(), ErrorCode::InvalidGroupId)]
    {
        let response = driver.ask(9, request.clone().with_group_id(group.into()));
        let ResponseKind::OffsetCommit(response) = response else { panic!("{response:?}") };
        assert_eq!(response.topics[0].partitions[0].error_code, error.code());
    }
    assert_eq!(driver.entries(), [""; 0]);
}
