mod driver;
mod random;
mod regex;

use trial_node::Span;
use trial_wire::messages::leave_group_request::MemberIdentity;
use trial_wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use trial_wire::messages::offset_fetch_request::OffsetFetchRequestGroup;
use trial_wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use trial_wire::messages::{
    ConsumerGroupHeartbeatRequest, LeaveGroupRequest, OffsetCommitRequest, OffsetFetchRequest,
    TxnOffsetCommitRequest,
};
use trial_wire::{ErrorCode, ResponseKind, TopicName};

use self::driver::{Driver, GROUP, alive, join, owning, text, told};
use crate::group::GroupConfig;

fn driver() -> Driver {
    Driver::new(GroupConfig::default(), &[("orders", 4)])
}

fn error(driver: &mut Driver, request: ConsumerGroupHeartbeatRequest) -> Option<ErrorCode> {
    let response = driver.beat(request);
    (response.error_code != 0).then(|| ErrorCode::try_from_code(response.error_code).expect("a known code"))
}

fn static_join(member: &str, instance: &str) -> ConsumerGroupHeartbeatRequest {
    join(member).with_instance_id(Some(text(instance)))
}

/// `a` and `b` with two partitions each, in epoch 2.
fn two_members() -> Driver {
    let mut driver = driver();
    driver.beat(join("a"));
    driver.beat(join("b"));
    driver.beat(alive("a", 1));
    driver.beat(owning("a", 1, &[0, 1]));
    driver.beat(alive("b", 2));
    driver
}

#[test]
fn the_first_member_gets_everything_at_once() {
    let mut driver = driver();
    let response = driver.beat(join("a"));
    assert_eq!(told(&response), (1, Some(vec![0, 1, 2, 3])));
    assert_eq!(response.member_id.as_deref(), Some("a"));
    assert_eq!(response.heartbeat_interval_ms, 5_000);
    assert_eq!(
        driver.written(0),
        [
            "a said",
            "topics [(\"orders\", 4)]",
            "group epoch Some(1)",
            "a shall have Some([0, 1, 2, 3])",
            "target epoch Some(1)",
            "a in 1 after 0 state 0 has [0, 1, 2, 3] gives up []",
        ]
    );
    let end = driver.log_end();
    assert_eq!(told(&driver.beat(alive("a", 1))), (1, None));
    assert_eq!(driver.log_end(), end, "a heartbeat that changes nothing writes nothing");
}

#[test]
fn a_second_member_gets_its_part_once_the_first_has_given_it_up() {
    let mut driver = driver();
    driver.beat(join("a"));
    let end = driver.log_end();
    assert_eq!(told(&driver.beat(join("b"))), (2, Some(vec![])));
    assert_eq!(
        driver.written(end),
        [
            "b said",
            "group epoch Some(2)",
            "a shall have Some([0, 1])",
            "b shall have Some([2, 3])",
            "target epoch Some(2)",
            "b in 2 after 0 state 2 has [] gives up []",
        ]
    );
    assert_eq!(told(&driver.beat(alive("a", 1))), (1, Some(vec![0, 1])));
    driver.fail_over();
    assert_eq!(told(&driver.beat(alive("b", 2))), (2, None), "a still holds them");
    assert_eq!(told(&driver.beat(owning("a", 1, &[0, 1, 2]))), (1, None), "one is enough to wait for");
    assert_eq!(driver.group(), Some((2, true)));
    assert_eq!(told(&driver.beat(owning("a", 1, &[0, 1]))), (2, None));
    assert_eq!(told(&driver.beat(alive("b", 2))), (2, Some(vec![2, 3])));
    assert_eq!(driver.group(), Some((2, false)));
    let owner = |member: &str, partition| (member.to_owned(), 2, partition);
    assert_eq!(driver.owners(), [owner("a", 0), owner("a", 1), owner("b", 2), owner("b", 3)]);
    driver.fail_over();
}

#[test]
fn a_member_that_leaves_frees_its_partitions_for_the_others() {
    let mut driver = two_members();
    let end = driver.log_end();
    assert_eq!(told(&driver.beat(alive("a", -1))), (-1, None));
    assert_eq!(
        driver.written(end),
        ["a has nothing", "a shall have None", "a is gone", "group epoch Some(3)"]
    );
    assert_eq!(told(&driver.beat(alive("b", 2))), (3, Some(vec![0, 1, 2, 3])));
    assert_eq!(error(&mut driver, alive("a", 2)), Some(ErrorCode::UnknownMemberId));
    driver.fail_over();
}

#[test]
fn a_silent_member_is_fenced_and_may_come_back() {
    let mut driver = two_members();
    driver.pass(Span::from_secs(30));
    driver.beat(alive("b", 2));
    driver.pass(Span::from_secs(14));
    assert_eq!(driver.group(), Some((2, false)));
    driver.pass(Span::from_secs(1));
    assert_eq!(driver.group(), Some((3, true)));
    assert_eq!(told(&driver.beat(alive("b", 2))), (3, Some(vec![0, 1, 2, 3])));
    assert_eq!(error(&mut driver, owning("a", 2, &[0, 1])), Some(ErrorCode::UnknownMemberId));
    assert_eq!(told(&driver.beat(join("a"))), (4, Some(vec![])));
    // A new coordinator gives everybody a whole session.
    driver.fail_over();
    driver.pass(Span::from_secs(44));
    assert_eq!(driver.group(), Some((4, true)));
    driver.pass(Span::from_secs(1));
    // Nobody is left who could be on the way to another assignment.
    assert_eq!(driver.group(), Some((6, false)));
    assert_eq!(driver.owners(), []);
}

#[test]
fn what_cannot_be_written_has_not_happened_and_is_tried_again() {
    let mut driver = two_members();
    driver.refuses_appends = true;
    assert_eq!(error(&mut driver, join("c")), Some(ErrorCode::CoordinatorNotAvailable));
    assert_eq!(told(&driver.beat(alive("a", 2))), (2, None));
    driver.pass(Span::from_secs(46));
    assert_eq!(driver.group(), Some((2, false)));
    driver.refuses_appends = false;
    driver.pass(Span::from_millis(500));
    assert_eq!((driver.group(), driver.members().len()), (Some((4, false)), 0));
    driver.fail_over();
}

#[test]
fn a_member_that_does_not_give_up_what_it_must_is_fenced() {
    let mut driver = driver();
    driver.beat(join("a").with_rebalance_timeout_ms(10_000));
    driver.beat(join("b"));
    driver.beat(alive("a", 1));
    driver.pass(Span::from_secs(5));
    driver.fail_over();
    driver.pass(Span::from_secs(9));
    driver.beat(alive("a", 1));
    assert_eq!(driver.group(), Some((2, true)));
    driver.pass(Span::from_secs(1));
    assert_eq!(error(&mut driver, alive("a", 1)), Some(ErrorCode::UnknownMemberId));
    assert_eq!(told(&driver.beat(alive("b", 2))), (3, Some(vec![0, 1, 2, 3])));
}

#[test]
fn an_answer_that_was_lost_is_given_again_and_any_other_epoch_is_fenced() {
    let mut driver = driver();
    driver.beat(join("a"));
    let end = driver.log_end();
    assert_eq!(told(&driver.beat(join("a"))), (1, Some(vec![0, 1, 2, 3])), "the join is repeated");
    assert_eq!(driver.log_end(), end);
    driver.beat(join("b"));
    driver.beat(alive("a", 1));
    assert_eq!(told(&driver.beat(owning("a", 1, &[0, 1]))).0, 2);
    assert_eq!(told(&driver.beat(owning("a", 1, &[0, 1]))).0, 2, "it has not heard of epoch 2");
    let fenced = Some(ErrorCode::FencedMemberEpoch);
    assert_eq!(error(&mut driver, alive("a", 1)), fenced, "it does not say what it holds");
    assert_eq!(error(&mut driver, owning("a", 1, &[0, 2])), fenced, "it holds what is another's");
    assert_eq!(error(&mut driver, owning("a", 3, &[0, 1])), fenced, "an epoch that there has not been");
    assert_eq!(error(&mut driver, join("a")), fenced, "epoch 0 is long past");
}

#[test]
fn a_static_member_that_comes_back_finds_its_partitions_as_it_left_them() {
    let mut driver = driver();
    assert_eq!(told(&driver.beat(static_join("a", "host-1"))), (1, Some(vec![0, 1, 2, 3])));
    let instance = |request: ConsumerGroupHeartbeatRequest| request.with_instance_id(Some(text("host-1")));
    assert_eq!(error(&mut driver, static_join("a2", "host-1")), Some(ErrorCode::UnreleasedInstanceId));
    assert_eq!(error(&mut driver, instance(alive("a2", 1))), Some(ErrorCode::FencedInstanceId));
    assert_eq!(error(&mut driver, instance(alive("a2", -2))), Some(ErrorCode::FencedInstanceId));

    assert_eq!(told(&driver.beat(instance(alive("a", -2)))), (-2, None));
    driver.fail_over();
    assert_eq!(driver.group(), Some((1, true)));
    assert_eq!(driver.owners().len(), 4, "nobody else may have them");
    let end = driver.log_end();
    assert_eq!(told(&driver.beat(static_join("a2", "host-1"))), (1, Some(vec![0, 1, 2, 3])));
    assert_eq!(
        driver.written(end),
        [
            "a has nothing",
            "a shall have None",
            "a is gone",
            "a2 said",
            "a2 shall have Some([0, 1, 2, 3])",
            "a2 in 1 after 0 state 0 has [0, 1, 2, 3] gives up []",
        ]
    );
    assert_eq!(error(&mut driver, instance(alive("a", 1))), Some(ErrorCode::FencedInstanceId));
    driver.fail_over();

    // Who does not come back is given up after a session.
    driver.beat(instance(alive("a2", -2)));
    driver.pass(Span::from_secs(45));
    assert_eq!(driver.owners(), []);
}

#[test]
fn an_administrator_takes_a_static_member_out() {
    let mut driver = driver();
    driver.beat(static_join("a", "host-1"));
    driver.beat(join("b"));
    let evict = |driver: &mut Driver, member: &str, instance: Option<&str>| {
        let member =
            MemberIdentity::default().with_member_id(text(member)).with_group_instance_id(instance.map(text));
        let request =
            LeaveGroupRequest::default().with_group_id(text(GROUP).into()).with_members(vec![member]);
        match driver.ask(5, request) {
            ResponseKind::LeaveGroup(response) => {
                let member = &response.members[0];
                (member.member_id.to_string(), member.error_code)
            }
            other => panic!("{other:?}"),
        }
    };
    let failed = |member: &str, error: ErrorCode| (member.to_owned(), error.code());
    assert_eq!(evict(&mut driver, "", Some("host-2")), failed("", ErrorCode::UnknownMemberId));
    assert_eq!(evict(&mut driver, "b", Some("host-1")), failed("b", ErrorCode::FencedInstanceId));
    assert_eq!(evict(&mut driver, "b", None), failed("b", ErrorCode::UnknownMemberId));
    assert_eq!(driver.members().len(), 2);
    let end = driver.log_end();
    assert_eq!(evict(&mut driver, "", Some("host-1")), ("a".to_owned(), 0));
    assert_eq!(
        driver.written(end),
        ["a has nothing", "a shall have None", "a is gone", "group epoch Some(3)"]
    );
}

#[test]
fn new_partitions_and_new_topics_are_assigned_at_the_next_heartbeat() {
    let mut driver = two_members();
    driver.set_topic("unrelated", Some(3));
    assert_eq!(told(&driver.beat(alive("a", 2))), (2, None));
    driver.set_topic("orders", Some(6));
    let end = driver.log_end();
    assert_eq!(told(&driver.beat(alive("a", 2))), (3, Some(vec![0, 1, 4])));
    assert_eq!(
        driver.written(end),
        [
            "topics [(\"orders\", 6)]",
            "group epoch Some(3)",
            "a shall have Some([0, 1, 4])",
            "b shall have Some([2, 3, 5])",
            "target epoch Some(3)",
            "a in 3 after 2 state 0 has [0, 1, 4] gives up []",
        ]
    );
    assert_eq!(told(&driver.beat(alive("b", 2))), (3, Some(vec![2, 3, 5])));
    // A topic that is gone is given up like any other.
    driver.set_topic("orders", None);
    assert_eq!(told(&driver.beat(alive("b", 3))), (3, Some(vec![])));
    assert_eq!(told(&driver.beat(owning("b", 3, &[]))), (4, None));
    driver.fail_over();
}

#[test]
fn another_subscription_bumps_the_epoch_and_the_same_again_does_not() {
    let mut driver = driver();
    driver.beat(join("a"));
    let names = |names: &[&str]| Some(names.iter().map(|name| TopicName(text(name))).collect());
    driver.beat(alive("a", 1).with_subscribed_topic_names(names(&["orders"])));
    assert_eq!(driver.group(), Some((1, false)));
    driver.beat(alive("a", 1).with_subscribed_topic_names(names(&["orders", "absent"])));
    assert_eq!(driver.group(), Some((2, false)));
    driver.set_topic("absent", Some(1));
    let response = driver.beat(alive("a", 2));
    assert_eq!(response.assignment.map(|assignment| assignment.topic_partitions.len()), Some(2));
    driver.fail_over();
}

#[test]
fn range_is_taken_if_most_ask_for_it() {
    let mut driver = driver();
    driver.beat(join("a").with_server_assignor(Some(text("range"))));
    driver.beat(join("b").with_server_assignor(Some(text("range"))));
    driver.beat(join("c").with_server_assignor(Some(text("uniform"))));
    let group = driver.describe().groups.remove(0);
    assert_eq!((group.assignor_name.as_str(), group.group_state.as_str()), ("range", "Reconciling"));
    let targets: Vec<_> = group
        .members
        .iter()
        .map(|member| member.target_assignment.topic_partitions[0].partitions.clone())
        .collect();
    assert_eq!(targets, [vec![0, 1], vec![2], vec![3]]);
}

#[test]
fn a_description_shows_what_a_member_has_and_shall_have() {
    let mut driver = driver();
    driver.beat(join("a"));
    driver.beat(join("b"));
    let group = driver.describe().groups.remove(0);
    assert_eq!((group.group_epoch, group.assignment_epoch, group.error_code), (2, 2, 0));
    let member = &group.members[0];
    assert_eq!((member.member_id.as_str(), member.member_epoch, member.member_type), ("a", 1, 1));
    assert_eq!((member.client_id.as_str(), member.client_host.as_str()), ("client", "/10.0.0.1"));
    assert_eq!(member.assignment.topic_partitions[0].partitions, [0, 1, 2, 3]);
    assert_eq!(member.target_assignment.topic_partitions[0].partitions, [0, 1]);
    assert_eq!(member.assignment.topic_partitions[0].topic_name.as_str(), "orders");
}

#[test]
fn commits_count_only_from_members_in_their_epoch() {
    let mut driver = two_members();
    let mut commit = |version, member: &str, epoch| {
        let partition =
            OffsetCommitRequestPartition::default().with_partition_index(0).with_committed_offset(7);
        let topic = OffsetCommitRequestTopic::default()
            .with_name(TopicName(text("orders")))
            .with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(text(GROUP).into())
            .with_member_id(text(member))
            .with_generation_id_or_member_epoch(epoch)
            .with_topics(vec![topic]);
        match driver.ask(version, request) {
            ResponseKind::OffsetCommit(response) => response.topics[0].partitions[0].error_code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(commit(9, "a", 2), 0);
    assert_eq!(commit(9, "a", 1), ErrorCode::StaleMemberEpoch.code());
    assert_eq!(commit(9, "c", 2), ErrorCode::UnknownMemberId.code());
    assert_eq!(commit(9, "", -1), ErrorCode::UnknownMemberId.code(), "the group has members");
    assert_eq!(commit(8, "a", 2), ErrorCode::UnsupportedVersion.code());
    driver.fail_over();

    let mut fetch = |member: Option<&str>, epoch| {
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(text(GROUP).into())
            .with_member_id(member.map(text))
            .with_member_epoch(epoch)
            .with_topics(None);
        match driver.ask(9, OffsetFetchRequest::default().with_groups(vec![group])) {
            ResponseKind::OffsetFetch(response) => {
                let group = &response.groups[0];
                (group.error_code, group.topics.first().map(|topic| topic.partitions[0].committed_offset))
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(fetch(Some("b"), 2), (0, Some(7)));
    assert_eq!(fetch(None, -1), (0, Some(7)));
    assert_eq!(fetch(Some("b"), 1), (ErrorCode::StaleMemberEpoch.code(), None));
    assert_eq!(fetch(Some("c"), 2), (ErrorCode::UnknownMemberId.code(), None));
}

#[test]
fn a_transaction_of_a_former_epoch_commits_nothing() {
    let mut driver = two_members();
    let mut commit = |member: &str, epoch| {
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(TopicName(text("orders")))
            .with_partitions(vec![TxnOffsetCommitRequestPartition::default()]);
        let request = TxnOffsetCommitRequest::default()
            .with_group_id(text(GROUP).into())
            .with_producer_id(5.into())
            .with_member_id(text(member))
            .with_generation_id(epoch)
            .with_topics(vec![topic]);
        match driver.ask(5, request) {
            ResponseKind::TxnOffsetCommit(response) => response.topics[0].partitions[0].error_code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(commit("a", 1), ErrorCode::IllegalGeneration.code());
    assert_eq!(commit("c", 2), ErrorCode::UnknownMemberId.code());
}

#[test]
fn what_makes_no_sense_is_refused_and_leaves_no_group() {
    let mut driver =
        Driver::new(GroupConfig { consumer_max_size: 1, ..GroupConfig::default() }, &[("orders", 1)]);
    let cases = [
        (join("a").with_group_id(text("").into()), ErrorCode::InvalidRequest),
        (join(""), ErrorCode::InvalidRequest),
        (join("a").with_instance_id(Some(text(""))), ErrorCode::InvalidRequest),
        (join("a").with_rebalance_timeout_ms(-1), ErrorCode::InvalidRequest),
        (join("a").with_topic_partitions(None), ErrorCode::InvalidRequest),
        (owning("a", 0, &[1]), ErrorCode::InvalidRequest),
        (join("a").with_subscribed_topic_names(None), ErrorCode::InvalidRequest),
        (alive("a", -2), ErrorCode::InvalidRequest),
        (alive("a", -3), ErrorCode::InvalidRequest),
        (join("a").with_server_assignor(Some(text("sticky"))), ErrorCode::UnsupportedAssignor),
        (join("a").with_subscribed_topic_regex(Some(text("(o.*"))), ErrorCode::InvalidRegularExpression),
        (alive("a", 1), ErrorCode::GroupIdNotFound),
        (alive("a", -1), ErrorCode::GroupIdNotFound),
    ];
    for (request, expected) in cases {
        assert_eq!(error(&mut driver, request.clone()), Some(expected), "{request:?}");
    }
    assert_eq!((driver.group(), driver.log_end()), (None, 0));
    driver.beat(join("a"));
    assert_eq!(error(&mut driver, join("b")), Some(ErrorCode::GroupMaxSizeReached));
    assert_eq!(error(&mut driver, alive("a", 1)), None);
    // A member without an id gets one, as long as version 0 is spoken.
    driver.beat(alive("a", -1));
    let response = match driver.ask(0, join("")) {
        ResponseKind::ConsumerGroupHeartbeat(response) => response,
        other => panic!("{other:?}"),
    };
    assert_eq!((response.error_code, response.member_id.map(|id| id.len())), (0, Some(36)));
}
