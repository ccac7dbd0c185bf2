//! Static members (KIP-345): whoever comes back with the same instance id gets the place.

use trial_node::Span;
use trial_wire::messages::leave_group_request::MemberIdentity;
use trial_wire::messages::{JoinGroupResponse, LeaveGroupRequest};
use trial_wire::{ErrorCode, ResponseKind, StrBytes};

use super::driver::{Driver, GROUP, join, part, sync, text};
use crate::group::record::GroupRecord;

/// A group of one static member, `one`, in generation 1.
fn group_of_one(driver: &mut Driver) -> StrBytes {
    let call = driver.join(9, join("", Some("one")));
    driver.pass(Span::from_secs(3));
    let id = driver.joined(call).expect("nobody else came").member_id;
    assert!(id.starts_with("one-"));
    let call =
        driver.send(5, sync(1, &id, std::slice::from_ref(&id)).with_group_instance_id(Some(text("one"))));
    assert_eq!(driver.synced(call).expect("it leads").assignment, part(&id));
    id
}

fn come_back(driver: &mut Driver) -> JoinGroupResponse {
    let call = driver.join(9, join("", Some("one")));
    driver.joined(call).expect("it need not wait for anybody")
}

#[test]
fn a_bounce_keeps_the_generation_and_fences_the_process_before() {
    let mut driver = Driver::new();
    let old = group_of_one(&mut driver);
    let end = driver.log_end();
    let back = come_back(&mut driver);
    assert_eq!((back.error_code, back.generation_id, back.skip_assignment), (0, 1, true));
    assert_ne!(back.member_id, old);
    assert_eq!(back.leader, back.member_id);
    let records = driver.written(end);
    let [GroupRecord::Group { value: Some(value), .. }] = &records[..] else { panic!("{records:?}") };
    assert_eq!((value.generation, value.members[0].member_id), (1, back.member_id.as_str()));
    assert_eq!(value.members[0].assignment, part(&old));
    assert_eq!(driver.beat(1, &old, Some("one")), ErrorCode::FencedInstanceId.code());
    assert_eq!(driver.beat(1, &old, None), ErrorCode::UnknownMemberId.code());
    assert_eq!(driver.beat(1, &back.member_id, Some("one")), 0);
    driver.fail_over();
    assert_eq!(driver.beat(1, &back.member_id, Some("one")), 0);
    let call = driver.send(5, sync(1, &back.member_id, &[]));
    assert_eq!(driver.synced(call).expect("it is stable").assignment, part(&old));
}

#[test]
fn a_bounce_that_cannot_be_logged_has_not_happened() {
    let mut driver = Driver::new();
    let old = group_of_one(&mut driver);
    driver.fail = Some(ErrorCode::NotLeaderOrFollower);
    assert_eq!(come_back(&mut driver).error_code, ErrorCode::NotCoordinator.code());
    assert_eq!(driver.beat(1, &old, Some("one")), 0);
}

#[test]
fn a_static_member_is_missed_only_when_its_session_is_over_or_an_administrator_says_so() {
    let mut driver = Driver::new();
    let one = group_of_one(&mut driver);
    let call = driver.join(9, join("", Some("two")));
    driver.beat(1, &one, Some("one"));
    // The rebalance waits for `one`, which is heard of and does not join; it keeps its place in the next generation.
    for _ in 0..10 {
        driver.pass(Span::from_secs(6));
        driver.beat(1, &one, Some("one"));
    }
    let two = driver.joined(call).expect("the time to join is up");
    assert_eq!((two.generation_id, two.members.len()), (2, 2));
    let request = LeaveGroupRequest::default()
        .with_group_id(text(GROUP).into())
        .with_members(vec![MemberIdentity::default().with_group_instance_id(Some(text("one")))]);
    let ResponseKind::LeaveGroup(left) = driver.ask(5, request) else { panic!() };
    assert_eq!(left.members[0].error_code, 0);
    assert_eq!(driver.beat(2, &two.member_id, Some("two")), ErrorCode::RebalanceInProgress.code());
    assert_eq!(driver.beat(2, &one, Some("one")), ErrorCode::UnknownMemberId.code());
}
