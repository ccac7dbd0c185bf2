//! One group, two protocols: an empty group passes from one to the other, one with members does not.

use trial_node::Span;
use trial_wire::messages::leave_group_request::MemberIdentity;
use trial_wire::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, LeaveGroupRequest,
};
use trial_wire::{ErrorCode, ResponseKind, TopicName};

use super::driver::{Driver, GROUP, join, text};
use super::offsets::{commit, fetch};

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
    assert_eq!(beat(&mut driver, 0).error_code, ErrorCode::GroupIdNotFound.code());
    let member = MemberIdentity::default().with_member_id(members[0].clone());
    let request = LeaveGroupRequest::default().with_group_id(text(GROUP).into()).with_members(vec![member]);
    driver.ask(5, request);

    let answer = beat(&mut driver, 0);
    assert_eq!((answer.error_code, answer.member_epoch), (0, 1));
    assert_eq!(fetch(&mut driver, true), (5, 0));
    driver.fail_over();
    assert!(driver.entries()[0].starts_with("group billing classic false epoch 1"), "{:?}", driver.entries());
    let call = driver.join(9, join("", None));
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
