//! Members join, sync, are heard of or not, and leave.

use trial_node::Span;
use trial_wire::messages::leave_group_request::MemberIdentity;
use trial_wire::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, LeaveGroupRequest, ListGroupsRequest, SyncGroupRequest,
};
use trial_wire::{ErrorCode, ResponseKind, StrBytes};

use super::driver::{Driver, GROUP, join, part, subscription, sync, text};
use crate::group::GroupConfig;
use crate::group::record::{GroupMetadata, GroupRecord};

fn leave(driver: &mut Driver, members: &[&StrBytes]) -> Vec<i16> {
    let members = members.iter().map(|id| MemberIdentity::default().with_member_id((*id).clone()));
    let request =
        LeaveGroupRequest::default().with_group_id(text(GROUP).into()).with_members(members.collect());
    match driver.ask(5, request) {
        ResponseKind::LeaveGroup(response) => {
            assert_eq!(response.error_code, 0);
            response.members.into_iter().map(|member| member.error_code).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn last_generation<'a>(records: &'a [GroupRecord<'a>]) -> &'a GroupMetadata<'a> {
    match records.last() {
        Some(GroupRecord::Group { group: GROUP, value: Some(value) }) => value,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_generation_begins_once_all_have_joined_and_is_told_once_it_is_committed() {
    let mut driver = Driver::new();
    let first = driver.new_member_id();
    assert_eq!(driver.entries(), ["group billing classic true epoch 0 members 0"]);
    let second = driver.new_member_id();
    let joins = [driver.join(9, join(&first, None)), driver.join(9, join(&second, None))];
    // The second came within the first delay, which then is waited for once more.
    driver.pass(Span::from_secs(5));
    assert_eq!(driver.joined(joins[0]), None);
    driver.pass(Span::from_secs(1));

    let leader = driver.joined(joins[0]).expect("nobody else came");
    assert_eq!((leader.generation_id, &leader.leader, &leader.member_id), (1, &first, &first));
    assert_eq!(leader.protocol_name, Some(text("range")));
    let known: Vec<_> = leader.members.iter().map(|m| (m.member_id.clone(), m.metadata.clone())).collect();
    let mut both = vec![(first.clone(), subscription()), (second.clone(), subscription())];
    both.sort();
    assert_eq!(known, both);
    let follower = driver.joined(joins[1]).expect("likewise");
    assert_eq!((follower.generation_id, &follower.leader, follower.members.len()), (1, &first, 0));

    let members = [first.clone(), second.clone()];
    let waits = driver.send(5, sync(1, &second, &[]));
    assert_eq!(driver.synced(waits), None);
    driver.hold = true;
    let end = driver.log_end();
    let assigns = driver.send(5, sync(1, &first, &members));
    let records = driver.written(end);
    let generation = last_generation(&records);
    assert_eq!(
        (generation.generation, generation.leader, generation.protocol),
        (1, Some(&*first), Some("range"))
    );
    let logged: Vec<_> =
        generation.members.iter().map(|m| (m.member_id, m.subscription, m.assignment)).collect();
    let expected: Vec<_> = both.iter().map(|(id, said)| (id.as_str(), said.clone(), part(id))).collect();
    assert_eq!(
        logged,
        expected.iter().map(|(id, said, part)| (*id, &said[..], &part[..])).collect::<Vec<_>>()
    );
    assert_eq!((driver.synced(assigns), driver.synced(waits)), (None, None));
    driver.commit(None);
    assert_eq!(driver.synced(assigns).expect("it is committed").assignment, part(&first));
    assert_eq!(driver.synced(waits).expect("it is committed").assignment, part(&second));
    assert_eq!(driver.beat(1, &second, None), 0);
    assert_eq!(driver.entries(), ["group billing classic true epoch 1 members 2"]);
}

#[test]
fn a_generation_that_cannot_be_logged_is_refused_and_begins_anew() {
    let mut driver = Driver::new();
    let id = driver.new_member_id();
    let call = driver.join(9, join(&id, None));
    driver.pass(Span::from_secs(3));
    assert_eq!(driver.joined(call).map(|response| response.generation_id), Some(1));
    driver.fail = Some(ErrorCode::NotEnoughReplicas);
    let call = driver.send(5, sync(1, &id, std::slice::from_ref(&id)));
    let refused = driver.synced(call).expect("it failed at once");
    assert_eq!(refused.error_code, ErrorCode::CoordinatorNotAvailable.code());
    assert_eq!(driver.beat(1, &id, None), ErrorCode::RebalanceInProgress.code());
    driver.fail = None;
    let call = driver.join(9, join(&id, None));
    assert_eq!(driver.joined(call).map(|response| response.generation_id), Some(2));
}

#[test]
fn who_leaves_makes_the_others_join_anew_and_the_last_leaves_an_empty_group() {
    let mut driver = Driver::new();
    let members = driver.stable_group(2);
    let end = driver.log_end();
    assert_eq!(leave(&mut driver, &[&members[0]]), [0]);
    assert_eq!(driver.log_end(), end);
    assert_eq!(driver.beat(1, &members[1], None), ErrorCode::RebalanceInProgress.code());
    assert_eq!(driver.beat(1, &members[0], None), ErrorCode::UnknownMemberId.code());
    let call = driver.join(9, join(&members[1], None));
    let leader = driver.joined(call).expect("it is the only one");
    assert_eq!((leader.generation_id, leader.leader), (2, members[1].clone()));
    assert_eq!(driver.beat(1, &members[1], None), ErrorCode::IllegalGeneration.code());
    let call = driver.send(5, sync(2, &members[1], &members));
    assert_eq!(driver.synced(call).expect("it leads").assignment, part(&members[1]));

    let end = driver.log_end();
    assert_eq!(leave(&mut driver, &[&members[1], &members[0]]), [0, ErrorCode::UnknownMemberId.code()]);
    let records = driver.written(end);
    let empty = last_generation(&records);
    assert_eq!((empty.generation, empty.members.len(), empty.protocol, empty.leader), (3, 0, None, None));
    assert_eq!(driver.entries(), ["group billing classic true epoch 3 members 0"]);
    let request = DeleteGroupsRequest::default().with_groups_names(vec![text(GROUP).into()]);
    assert!(
        matches!(driver.ask(2, request), ResponseKind::DeleteGroups(answer) if answer.results[0].error_code == 0)
    );
    assert!(driver.entries().is_empty());
}

#[test]
fn a_member_that_is_not_heard_of_is_missed_after_its_session() {
    let mut driver = Driver::new();
    let members = driver.stable_group(2);
    driver.pass(Span::from_secs(9));
    assert_eq!(driver.beat(1, &members[0], None), 0);
    driver.pass(Span::from_secs(1));
    assert_eq!(driver.beat(1, &members[0], None), ErrorCode::RebalanceInProgress.code());
    assert_eq!(driver.beat(1, &members[1], None), ErrorCode::UnknownMemberId.code());
    // Whoever does not join within the rebalance time-out is out, too, however often it is heard of.
    for _ in 0..10 {
        driver.pass(Span::from_secs(6));
        driver.beat(1, &members[0], None);
    }
    assert_eq!(driver.beat(1, &members[0], None), ErrorCode::UnknownMemberId.code());
    assert_eq!(driver.entries(), ["group billing classic true epoch 2 members 0"]);
}

#[test]
fn a_member_that_does_not_ask_for_its_assignment_is_out() {
    let mut driver = Driver::new();
    let members = driver.stable_group(2);
    let calls = [driver.join(9, join(&members[0], None)), driver.join(9, join(&members[1], None))];
    assert!(calls.map(|call| driver.joined(call).expect("both are back").generation_id) == [2, 2]);
    let call = driver.send(5, sync(2, &members[0], &members));
    assert_eq!(driver.synced(call).expect("it leads").error_code, 0);
    for _ in 0..10 {
        driver.pass(Span::from_secs(6));
        driver.beat(2, &members[1], None);
        driver.beat(2, &members[0], None);
    }
    assert_eq!(driver.beat(2, &members[1], None), ErrorCode::UnknownMemberId.code());
    assert_eq!(driver.beat(2, &members[0], None), ErrorCode::RebalanceInProgress.code());
}

#[test]
fn a_coordinator_that_is_loaded_knows_the_generation_and_gives_its_members_time() {
    let mut driver = Driver::new();
    let members = driver.stable_group(2);
    driver.pass(Span::from_secs(9));
    // What had begun and was not in the log is forgotten; who waited is told to look for the coordinator.
    let waits = driver.join(9, join(&members[0], None));
    driver.fail_over();
    assert_eq!(driver.joined(waits).map(|answer| answer.error_code), Some(ErrorCode::NotCoordinator.code()));
    driver.pass(Span::from_secs(9));
    assert_eq!(driver.beat(1, &members[0], None), 0);
    let call = driver.send(5, sync(1, &members[0], &[]));
    assert_eq!(driver.synced(call).expect("it is stable").assignment, part(&members[0]));
    driver.pass(Span::from_secs(2));
    assert_eq!(driver.beat(1, &members[1], None), ErrorCode::UnknownMemberId.code());
}

#[test]
fn joins_that_cannot_be_are_refused() {
    let mut driver = Driver::with_config(GroupConfig { max_size: 1, ..GroupConfig::default() });
    let refused = |driver: &mut Driver, request| {
        let call = driver.join(9, request);
        driver.joined(call).expect("it is refused at once").error_code
    };
    let nobody = join("client-that-never-was", None);
    assert_eq!(refused(&mut driver, nobody), ErrorCode::UnknownMemberId.code());
    let hasty = join("", None).with_session_timeout_ms(5_999);
    assert_eq!(refused(&mut driver, hasty), ErrorCode::InvalidSessionTimeout.code());
    assert_eq!(driver.entries(), [""; 0]);
    let members = driver.stable_group(1);
    let other = join(&members[0], None).with_protocol_type(text("connect"));
    assert_eq!(refused(&mut driver, other), ErrorCode::InconsistentGroupProtocol.code());
    assert_eq!(refused(&mut driver, join("", None)), ErrorCode::GroupMaxSizeReached.code());
    let without_protocol = SyncGroupRequest::default()
        .with_group_id(text(GROUP).into())
        .with_generation_id(1)
        .with_member_id(members[0].clone());
    let call = driver.send(5, without_protocol);
    let code = driver.synced(call).map(|answer| answer.error_code);
    assert_eq!(code, Some(ErrorCode::InconsistentGroupProtocol.code()));
}

#[test]
fn groups_are_described_and_listed() {
    let mut driver = Driver::new();
    let members = driver.stable_group(1);
    let request = DescribeGroupsRequest::default().with_groups(vec![text(GROUP).into(), text("none").into()]);
    let ResponseKind::DescribeGroups(described) = driver.ask(6, request) else { panic!() };
    let [group, none] = &described.groups[..] else { panic!("{described:?}") };
    assert_eq!((group.group_state.as_str(), group.protocol_data.as_str()), ("Stable", "range"));
    assert_eq!(
        (&group.members[0].member_id, &group.members[0].member_assignment),
        (&members[0], &part(&members[0]))
    );
    assert_eq!(none.error_code, ErrorCode::GroupIdNotFound.code());
    let mut listed = |states: &[&str], types: &[&str]| {
        let request = ListGroupsRequest::default()
            .with_states_filter(states.iter().map(|state| text(state)).collect())
            .with_types_filter(types.iter().map(|name| text(name)).collect());
        let ResponseKind::ListGroups(listed) = driver.ask(5, request) else { panic!() };
        listed.groups.len()
    };
    assert_eq!(listed(&[], &[]), 1);
    assert_eq!(listed(&["empty", "stable"], &["Classic"]), 1);
    assert_eq!(listed(&["empty"], &[]), 0);
    assert_eq!(listed(&[], &["consumer"]), 0);
}
