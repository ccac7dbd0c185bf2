//! Groups change their protocol while they have members (KIP-848, "Consumer Group Migration").

mod random;

use trial_node::Span;
use trial_wire::messages::consumer_group_heartbeat_request::TopicPartitions as Owned;
use trial_wire::messages::leave_group_request::MemberIdentity;
use trial_wire::messages::sync_group_request::SyncGroupRequestAssignment;
use trial_wire::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
};
use trial_wire::{ErrorCode, ResponseKind, StrBytes, TopicName, Uuid};

use super::driver::{Driver, GROUP, join, subscription, sync, text};
use super::offsets::commit;
use crate::CallId;
use crate::group::embedded::{TopicPartitions, decode_assignment, encode_assignment};
use crate::group::record::{ConsumerGroupRecord, GroupRecord};
use crate::group::{GroupConfig, MigrationPolicy};

/// The id that the driver gives to `orders`.
const ORDERS: Uuid = Uuid::from_u128(7);
const REBALANCE: i16 = 27;
const UNKNOWN: i16 = 25;
const ILLEGAL: i16 = 22;

/// Partitions of `orders` as a leader gives them.
fn given(partitions: &[i32]) -> bytes::Bytes {
    let topic = TopicPartitions { topic: "orders", partitions: partitions.to_vec() };
    encode_assignment(&[topic], &subscription())
}

/// What a member is subscribed to and says that it still has.
fn holding(partitions: &[i32]) -> bytes::Bytes {
    let given = given(partitions);
    let mut said = b"\0\x01\0\0\0\x01\0\x06orders\xff\xff\xff\xff".to_vec();
    said.extend_from_slice(&given[2..given.len() - 4]);
    said.into()
}

fn join_holding(member: &str, instance: Option<&str>, partitions: &[i32]) -> JoinGroupRequest {
    let mut request = join(member, instance);
    request.protocols[0].metadata = holding(partitions);
    request
}

/// A classic group in generation 1: the first member, who leads, has partitions 0 and 1, the second 2 and 3.
fn classic_group(driver: &mut Driver) -> [StrBytes; 2] {
    let members = [driver.new_member_id(), driver.new_member_id()];
    let calls: Vec<_> = members.iter().map(|id| driver.join(9, join(id, None))).collect();
    driver.pass(Span::from_secs(9));
    calls.into_iter().for_each(|call| assert_eq!(driver.joined(call).unwrap().error_code, 0));
    let assignments = [&[0, 1][..], &[2, 3]].into_iter().zip(&members).map(|(partitions, id)| {
        SyncGroupRequestAssignment::default().with_member_id(id.clone()).with_assignment(given(partitions))
    });
    let request = sync(1, &members[0], &[]).with_assignments(assignments.collect());
    let call = driver.send(5, request);
    assert_eq!(driver.synced(call).unwrap().error_code, 0);
    members
}

/// A heartbeat of a KIP-848 member; it tells what it holds if `owned` says so.
fn beat(
    driver: &mut Driver,
    (member, instance): (&str, Option<&str>),
    epoch: i32,
    owned: Option<&[i32]>,
) -> ConsumerGroupHeartbeatResponse {
    let joins = epoch == 0;
    let owned = owned.map(|partitions| match partitions {
        [] => Vec::new(),
        _ => vec![Owned::default().with_topic_id(ORDERS).with_partitions(partitions.to_vec())],
    });
    let request = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(text(GROUP).into())
        .with_member_id(text(member))
        .with_instance_id(instance.map(text))
        .with_member_epoch(epoch)
        .with_rebalance_timeout_ms(if joins { 60_000 } else { -1 })
        .with_subscribed_topic_names(joins.then(|| vec![TopicName(text("orders"))]))
        .with_topic_partitions(if joins { Some(Vec::new()) } else { owned });
    match driver.ask(1, request) {
        ResponseKind::ConsumerGroupHeartbeat(response) => response,
        other => panic!("{other:?}"),
    }
}

fn told(response: &ConsumerGroupHeartbeatResponse) -> (i32, Option<Vec<i32>>) {
    assert_eq!(response.error_code, 0, "{:?}", response.error_message);
    let partitions = response.assignment.as_ref().map(|assignment| {
        assignment.topic_partitions.iter().flat_map(|topic| topic.partitions.clone()).collect()
    });
    (response.member_epoch, partitions)
}

fn rejoin(driver: &mut Driver, member: &str, holds: &[i32]) -> JoinGroupResponse {
    let call = driver.join(9, join_holding(member, None, holds));
    driver.joined(call).expect("nobody waits for the others")
}

/// The partitions that SyncGroup tells, or the error.
fn assigned(driver: &mut Driver, generation: i32, member: &StrBytes) -> Result<Vec<i32>, i16> {
    let call = driver.send(5, sync(generation, member, &[]));
    read_assignment(driver, call).expect("it is answered at once")
}

fn read_assignment(driver: &mut Driver, call: CallId) -> Option<Result<Vec<i32>, i16>> {
    let answer = driver.synced(call)?;
    if answer.error_code != 0 {
        return Some(Err(answer.error_code));
    }
    let topics = decode_assignment(&answer.assignment).expect("it is ConsumerProtocol");
    Some(Ok(topics.into_iter().flat_map(|topic| topic.partitions).collect()))
}

fn leave(driver: &mut Driver, member: &StrBytes) -> i16 {
    let member = MemberIdentity::default().with_member_id(member.clone());
    let request = LeaveGroupRequest::default().with_group_id(text(GROUP).into()).with_members(vec![member]);
    match driver.ask(5, request) {
        ResponseKind::LeaveGroup(response) => response.members[0].error_code,
        other => panic!("{other:?}"),
    }
}

fn group(driver: &Driver) -> String {
    driver.entries().into_iter().next().unwrap_or_default()
}

#[test]
fn a_classic_group_is_taken_over_with_all_that_its_members_have() {
    let mut driver = Driver::new();
    let [one, two] = classic_group(&mut driver);
    assert_eq!(commit(&mut driver, 5, 1, &one), 0);
    let from = driver.log_end();
    assert_eq!(told(&beat(&mut driver, ("new", None), 0, None)), (2, Some(vec![])));

    let written: Vec<String> = driver.written(from).iter().map(show).collect();
    assert_eq!(
        written,
        [
            "classic gone".to_owned(),
            format!("{one} classic 10000"),
            format!("{two} classic 10000"),
            "epoch 1".to_owned(),
            format!("{one} shall have [0, 1]"),
            format!("{two} shall have [2, 3]"),
            "target epoch 1".to_owned(),
            format!("{one} in 1 has [0, 1]"),
            format!("{two} in 1 has [2, 3]"),
            "new".to_owned(),
            "topics".to_owned(),
            "epoch 2".to_owned(),
            format!("{one} shall have [0]"),
            "new shall have [1]".to_owned(),
            "target epoch 2".to_owned(),
            "new in 2 has []".to_owned(),
        ]
    );
    assert!(
        group(&driver).starts_with("group billing classic false epoch 2 members 3"),
        "{}",
        group(&driver)
    );

    // Both go on as members of generation 1, and are told to join again.
    assert_eq!(commit(&mut driver, 6, 1, &one), 0);
    assert_eq!(driver.beat(1, &one, None), REBALANCE);
    assert_eq!(driver.beat(0, &two, None), ILLEGAL);
    driver.fail_over();
    assert_eq!(driver.beat(1, &two, None), REBALANCE);
    // The cooperative one is told to give up partition 1, and stays where it is until it has.
    let answer = rejoin(&mut driver, &one, &[0, 1]);
    assert_eq!((answer.error_code, answer.generation_id, answer.leader.as_str()), (0, 1, ""));
    assert_eq!(answer.protocol_name.as_deref(), Some("range"));
    assert_eq!(assigned(&mut driver, 1, &one), Ok(vec![0]));
    assert_eq!(driver.beat(1, &one, None), REBALANCE);
    assert_eq!(told(&beat(&mut driver, ("new", None), 2, None)), (2, None));
    assert_eq!(rejoin(&mut driver, &one, &[0]).generation_id, 2);
    assert_eq!(assigned(&mut driver, 2, &one), Ok(vec![0]));
    assert_eq!(told(&beat(&mut driver, ("new", None), 2, None)), (2, Some(vec![1])));
    // The eager one gave up all, and gets it back.
    assert_eq!(rejoin(&mut driver, &two, &[]).generation_id, 2);
    assert_eq!(assigned(&mut driver, 2, &two), Ok(vec![2, 3]));
    assert_eq!([&one, &two].map(|id| driver.beat(2, id, None)), [0, 0]);
    assert_eq!(commit(&mut driver, 7, 1, &one), ILLEGAL);

    let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![text(GROUP).into()]);
    let ResponseKind::ConsumerGroupDescribe(described) = driver.ask(1, request) else { panic!() };
    let types: Vec<_> = described.groups[0].members.iter().map(|member| member.member_type).collect();
    assert_eq!(types.iter().sum::<i8>(), 1, "one uses KIP-848's protocol: {types:?}");
}

#[test]
fn with_its_last_kip_848_member_gone_a_group_is_a_classic_one_and_comes_together() {
    let mut driver = Driver::new();
    let [one, two] = classic_group(&mut driver);
    beat(&mut driver, ("new", None), 0, None);
    for id in [&one, &two] {
        rejoin(&mut driver, id, &[]);
        assigned(&mut driver, 2, id).unwrap();
    }
    assert_eq!(told(&beat(&mut driver, ("new", None), 2, None)), (2, Some(vec![1])));
    assert_eq!(leave(&mut driver, &text("new")), UNKNOWN, "it has to say so in a heartbeat");

    let from = driver.log_end();
    beat(&mut driver, ("new", None), -1, None);
    let written = driver.written(from);
    let Some(GroupRecord::Group { value: Some(last), .. }) = written.last() else { panic!("{written:?}") };
    assert_eq!((last.generation, last.protocol, last.leader), (2, Some("range"), None));
    let has: Vec<_> =
        last.members.iter().map(|member| decode_assignment(member.assignment).unwrap()).collect();
    assert_eq!(
        has.concat().iter().map(|topic| topic.partitions.clone()).collect::<Vec<_>>(),
        [vec![0], vec![2, 3]]
    );
    assert_eq!(group(&driver), "group billing classic true epoch 2 members 2");

    assert_eq!(beat(&mut driver, ("new", None), 2, None).error_code, UNKNOWN, "it may come back");

    // Partition 1 is nobody's: also the next coordinator sees to it that somebody gets it.
    for fails_over in [false, true] {
        let mut driver = driver.clone();
        if fails_over {
            driver.fail_over();
        }
        driver.pass(Span::ZERO);
        assert_eq!([&one, &two].map(|id| driver.beat(2, id, None)), [REBALANCE, REBALANCE]);
        let calls = [&one, &two].map(|id| driver.join(9, join(id, None)));
        let answers = calls.map(|call| driver.joined(call).expect("all have joined"));
        assert_eq!(answers.each_ref().map(|answer| (answer.error_code, answer.generation_id)), [(0, 3); 2]);
        assert_eq!(answers[0].members.len() + answers[1].members.len(), 2, "one of them leads");
    }
    // Nobody hears of them any more.
    driver.pass(Span::from_secs(61));
    assert_eq!(group(&driver), "group billing classic true epoch 3 members 0");
}

#[test]
fn who_waits_in_a_classic_group_is_told_to_join_the_other_one() {
    let mut driver = Driver::new();
    let [one, two] = classic_group(&mut driver);
    let waits = driver.join(9, join_holding(&one, None, &[0, 1]).with_rebalance_timeout_ms(50_000));
    assert_eq!(driver.joined(waits), None);
    driver.fail = Some(ErrorCode::NotEnoughReplicas);
    assert_ne!(beat(&mut driver, ("new", None), 0, None).error_code, 0);
    assert_eq!(group(&driver), "group billing classic true epoch 1 members 2");
    assert_eq!(driver.joined(waits).unwrap().error_code, REBALANCE);
    driver.fail = None;

    let calls = [&one, &two].map(|id| driver.join(9, join_holding(id, None, &[])));
    calls.into_iter().for_each(|call| assert_eq!(driver.joined(call).unwrap().generation_id, 2));
    let waits = driver.send(5, sync(2, &two, &[]));
    assert_eq!(told(&beat(&mut driver, ("new", None), 0, None)).0, 3);
    assert_eq!(driver.synced(waits).unwrap().error_code, REBALANCE);
    assert_eq!(rejoin(&mut driver, &two, &[]).generation_id, 3);
}

#[test]
fn in_the_middle_of_a_rebalance_cooperative_members_keep_what_they_say_they_have() {
    let mut driver = Driver::new();
    let members = classic_group(&mut driver);
    for (holds, id) in [[0, 1], [2, 3]].iter().zip(&members) {
        driver.join(9, join_holding(id, None, holds));
    }
    // Whatever the leader was about to assign is void: another joins.
    let three = driver.new_member_id();
    driver.join(9, join(&three, None));
    assert_eq!(told(&beat(&mut driver, ("new", None), 0, None)).1, Some(vec![]), "all is somebody's");
}

#[test]
fn a_static_member_comes_back_with_the_other_protocol() {
    let mut driver = Driver::new();
    assert_eq!(told(&beat(&mut driver, ("a", Some("host")), 0, None)), (1, Some(vec![0, 1, 2, 3])));
    assert_eq!(told(&beat(&mut driver, ("b", None), 0, None)), (2, Some(vec![])));
    // Not the last of its kind: the group stays what it is, and the member gets what its predecessor had.
    let call = driver.join(9, join("", Some("host")));
    let answer = driver.joined(call).unwrap();
    assert_eq!((answer.error_code, answer.generation_id), (0, 2));
    let id = answer.member_id;
    assert_eq!(driver.beat(2, &id, Some("host")), 0);
    assert_eq!(driver.beat(2, &text("a"), Some("host")), ErrorCode::FencedInstanceId.code());
    assert_eq!(assigned(&mut driver, 2, &id).map(|has| has.len()), Ok(2));
    assert_eq!(told(&beat(&mut driver, ("b", None), 2, None)).1.map(|has| has.len()), Some(2));
    // Back again, at once: a classic member does not say that it will be back.
    assert_eq!(told(&beat(&mut driver, ("c", Some("host")), 0, None)).1.map(|has| has.len()), Some(2));
    beat(&mut driver, ("b", None), -1, None);
    assert_eq!(told(&beat(&mut driver, ("c", Some("host")), 2, None)), (3, Some(vec![0, 1, 2, 3])));

    // Now it is the last.
    let call = driver.join(9, join("", Some("host")));
    driver.pass(Span::from_secs(3));
    let answer = driver.joined(call).unwrap();
    assert_eq!((answer.error_code, answer.generation_id, &answer.leader), (0, 4, &answer.member_id));
    let call = driver.send(5, sync(4, &answer.member_id, std::slice::from_ref(&answer.member_id)));
    assert_eq!(driver.synced(call).unwrap().error_code, 0);
    assert_eq!(group(&driver), "group billing classic true epoch 4 members 1");
    driver.fail_over();
}

#[test]
fn a_classic_member_has_its_own_time_to_beat_to_join_and_to_sync() {
    let mixed = || {
        let mut driver = Driver::new();
        beat(&mut driver, ("new", None), 0, None);
        let id = driver.new_member_id();
        assert_eq!(rejoin(&mut driver, &id, &[]).generation_id, 2);
        beat(&mut driver, ("new", None), 1, None);
        assert_eq!(told(&beat(&mut driver, ("new", None), 1, Some(&[0, 1]))).0, 2);
        (driver, id)
    };
    let members = |driver: &Driver| group(driver).split_off("group billing classic false ".len());
    // Silent for its session time-out of 10 s.
    let (mut driver, id) = mixed();
    assert_eq!(assigned(&mut driver, 2, &id), Ok(vec![]));
    driver.pass(Span::from_millis(9_999));
    assert_eq!(driver.beat(2, &id, None), REBALANCE);
    driver.pass(Span::from_millis(9_999));
    assert_eq!(members(&driver), "epoch 2 members 2");
    driver.fail_over();
    driver.pass(Span::from_millis(10_000));
    assert_eq!(members(&driver), "epoch 3 members 1");

    // Alive, but it never asks for its assignment; or never joins, although it is told to: its rebalance time-out is 60 s.
    for syncs in [false, true] {
        let (mut driver, id) = mixed();
        if syncs {
            assigned(&mut driver, 2, &id).unwrap();
            let other = driver.new_member_id();
            rejoin(&mut driver, &other, &[]);
            assert_eq!(driver.beat(2, &id, None), REBALANCE);
        }
        let mut epoch = 2;
        for _ in 0..11 {
            driver.pass(Span::from_secs(5));
            epoch = told(&beat(&mut driver, ("new", None), epoch, None)).0;
            assert_eq!(driver.beat(2, &id, None), REBALANCE);
        }
        driver.pass(Span::from_millis(5_000));
        assert_eq!(driver.beat(2, &id, None), UNKNOWN);
    }
}

#[test]
fn the_policy_says_which_way_groups_may_go() {
    for (policy, up, down) in [
        (MigrationPolicy::Disabled, false, false),
        (MigrationPolicy::Upgrade, true, false),
        (MigrationPolicy::Downgrade, false, true),
        (MigrationPolicy::Bidirectional, true, true),
    ] {
        let config = GroupConfig { consumer_migration_policy: policy, ..GroupConfig::default() };
        let mut driver = Driver::with_config(config.clone());
        classic_group(&mut driver);
        let refused = beat(&mut driver, ("new", None), 0, None).error_code != 0;
        assert_eq!(!refused, up, "{policy:?}");

        let mut driver = Driver::with_config(config);
        beat(&mut driver, ("new", None), 0, None);
        let id = driver.new_member_id();
        assert_eq!(rejoin(&mut driver, &id, &[]).error_code, 0, "whoever comes may join");
        beat(&mut driver, ("new", None), -1, None);
        let classic = group(&driver).starts_with("group billing classic true");
        assert_eq!(classic, down, "{policy:?}");
    }
}

#[test]
fn a_group_stays_what_it_is_when_a_classic_member_leaves() {
    let config = GroupConfig { max_size: 1, ..GroupConfig::default() };
    let mut driver = Driver::with_config(config);
    beat(&mut driver, ("new", None), 0, None);
    let classic = [driver.new_member_id(), driver.new_member_id()];
    classic.iter().for_each(|id| assert_eq!(rejoin(&mut driver, id, &[]).error_code, 0));
    beat(&mut driver, ("new", None), -1, None);
    assert!(
        group(&driver).starts_with("group billing classic false"),
        "two are too many: {}",
        group(&driver)
    );
    assert_eq!(leave(&mut driver, &classic[0]), 0);
    assert!(group(&driver).starts_with("group billing classic false"), "{}", group(&driver));
}

#[test]
fn a_member_that_was_thrown_out_drops_what_it_read_before_it_comes_back() {
    let mut driver = Driver::new();
    let [one, two] = classic_group(&mut driver);
    beat(&mut driver, ("new", None), 0, None);
    assert_eq!(leave(&mut driver, &one), 0);
    assert_eq!(leave(&mut driver, &one), UNKNOWN);
    assert_eq!(rejoin(&mut driver, &one, &[0, 1]).error_code, UNKNOWN);
    assert_eq!(rejoin(&mut driver, &one, &[]).error_code, 0);
    // Static members are known by their instance ids.
    let call = driver.join(9, join(&two, Some("host")));
    assert_eq!(driver.joined(call).unwrap().error_code, UNKNOWN);
}

#[test]
fn a_classic_member_that_the_others_could_not_go_on_with_is_refused() {
    let mut driver = Driver::new();
    beat(&mut driver, ("new", None), 0, None);
    let id = driver.new_member_id();
    rejoin(&mut driver, &id, &[]);
    let mut other = join("", None);
    other.protocols[0].name = text("roundrobin");
    let mut garbled = join("", None);
    garbled.protocols[0].metadata = bytes::Bytes::from_static(b"\0\0\x7f\xff\xff\xff");
    for request in [other, garbled] {
        let call = driver.join(9, request);
        let error = driver.joined(call).unwrap().error_code;
        assert_eq!(error, ErrorCode::InconsistentGroupProtocol.code());
    }
}

fn show(record: &GroupRecord<'_>) -> String {
    use ConsumerGroupRecord::*;
    let flat = |topics: &[crate::group::record::TopicPartitions]| {
        topics.iter().flat_map(|topic| topic.partitions.clone()).collect::<Vec<_>>()
    };
    let GroupRecord::Consumer(part) = record else {
        return if matches!(record, GroupRecord::Group { value: None, .. }) {
            "classic gone".to_owned()
        } else {
            format!("{record:?}")
        };
    };
    match part {
        Metadata { epoch: Some(epoch), .. } => format!("epoch {epoch}"),
        PartitionMetadata { topics: Some(_), .. } => "topics".to_owned(),
        TargetAssignmentMetadata { epoch: Some(epoch), .. } => format!("target epoch {epoch}"),
        MemberMetadata { member, value: Some(value), .. } => match &value.classic {
            Some(classic) => format!("{member} classic {}", classic.session_timeout_ms),
            None => (*member).to_owned(),
        },
        TargetAssignmentMember { member, partitions: Some(partitions), .. } => {
            format!("{member} shall have {:?}", flat(partitions))
        }
        CurrentMemberAssignment { member, value: Some(value), .. } => {
            format!("{member} in {} has {:?}", value.member_epoch, flat(&value.assigned))
        }
        other => format!("{other:?}"),
    }
}
