//! What a leader appends, commits, answers and gives up.

use bytes::Bytes;
use trial_node::{LeaderEpoch, NodeId, Offset, Span};
use trial_raft::{AppendError, Env, Output, RequestToken};
use trial_wire::messages::{BrokerId, DescribeQuorumRequest, describe_quorum_request};
use trial_wire::{Batch, Batches, ControlRecord, ErrorCode, RequestKind, ResponseKind, StrBytes, TopicName};

use crate::member::*;

/// A member with this log that leads epoch `state.0 + 1` of three.
fn leader(before: Before<'_>) -> Member {
    let mut member = Member::start(config(1, 3), before);
    member.win_election();
    member.outputs();
    member
}

fn begun(member: &mut Member) -> Vec<(i32, trial_raft::RequestId)> {
    let begin = |(to, id, body): (NodeId, _, _)| {
        matches!(body, RequestKind::BeginQuorumEpoch(_)).then_some((to.0, id))
    };
    member.requests().into_iter().filter_map(begin).collect()
}

fn batches(member: &mut Member) -> Vec<(i64, i64, i32)> {
    let log = member.raft.log().clone();
    log.batches(&mut member.disk)
        .into_iter()
        .map(|(base, next, epoch, _)| (base.0, next.0, epoch.0))
        .collect()
}

#[test]
fn the_first_record_of_an_epoch_says_who_leads() {
    let mut member = leader(Before { log: &[(1, 2)], state: Some((1, -1, -1)) });
    assert_eq!(batches(&mut member), [(0, 2, 1), (2, 3, 2)]);
    let log = member.raft.log().clone();
    let batch = Batch::parse(log.batches(&mut member.disk)[1].3.clone()).unwrap();
    assert!(batch.header().is_control());
    let record = &batch.records(1 << 20).unwrap()[0];
    let key = record.key.clone().unwrap();
    let ControlRecord::LeaderChange(change) = ControlRecord::decode(&key, record.value.as_deref()).unwrap()
    else {
        panic!()
    };
    assert_eq!(change.leader_id, BrokerId(1));
    let ids = |voters: Vec<trial_wire::messages::leader_change_message::Voter>| {
        voters.iter().map(|voter| voter.voter_id).collect::<Vec<_>>()
    };
    assert_eq!((ids(change.voters), ids(change.granting_voters)), (vec![1, 2, 3], vec![1, 2]));
}

/// Figure 8 of the Raft paper: an entry of an older epoch on a majority may still be lost.
#[test]
fn older_epochs_are_committed_only_with_the_own_one() {
    let mut member = leader(Before { log: &[(1, 1), (2, 1)], state: Some((3, -1, -1)) });
    assert_eq!(batches(&mut member), [(0, 1, 1), (1, 2, 2), (2, 3, 4)]);
    member.ask(fetch_request(2, 4, 2, 2, -1));
    assert_eq!(member.high_watermark(), None, "epoch 2's entry is on two of three, but epoch 4's is not");
    member.ask(fetch_request(2, 4, 3, 4, -1));
    assert_eq!(member.high_watermark(), Some(3));
}

#[test]
fn a_majority_commits() {
    let mut member = Member::start(config(1, 5), Before::default());
    while !matches!(member.raft.leader_and_epoch().1, LeaderEpoch(1)) {
        member.sleep_until_timeout();
        for (_, id, body) in member.requests() {
            if matches!(body, RequestKind::Vote(_)) {
                member.respond(id, vote_response(0, None, 0, true));
            }
        }
    }
    for (_, id, _) in member.requests() {
        member.respond(id, vote_response(0, None, 1, true));
    }
    for (_, id, _) in member.requests() {
        member.try_respond(id, vote_response(0, None, 1, true)).unwrap();
    }
    assert!(member.raft.is_leader());
    assert_eq!(member.append(&["a"]), Offset(1));
    member.ask(fetch_request(2, 1, 2, 1, -1));
    member.ask(fetch_request(9, 1, 2, 1, -1));
    assert_eq!(member.high_watermark(), None, "two of five; observers do not count");
    member.ask(fetch_request(3, 1, 1, 1, -1));
    assert_eq!(member.high_watermark(), Some(1), "three of five have the first record");
    member.ask(fetch_request(4, 1, 2, 1, -1));
    assert_eq!(member.high_watermark(), Some(2));
    member.ask(fetch_request(4, 1, 1, 1, -1));
    assert_eq!(member.high_watermark(), Some(2), "it never falls");
}

#[test]
fn the_leader_flushes_before_it_counts_itself() {
    let mut member = Member::leader_of_three();
    member.ask(fetch_request(2, 1, 1, 1, 1));
    member.disk.operations.clear();
    member.append(&["a", "b"]);
    assert_eq!(member.disk.operations, ["append __cluster_metadata-0/log", "sync __cluster_metadata-0/log"]);
    assert_eq!(batches(&mut member), [(0, 1, 1), (1, 3, 1)]);
}

#[test]
fn a_fetch_is_held_until_there_is_news() {
    let mut member = Member::leader_of_three();
    let fetch = member.ask(fetch_request(2, 1, 1, 1, 1));
    assert_eq!(member.response_to(fetch), None);
    member.append(&["a"]);
    let partition = fetched(member.response_to(fetch).unwrap());
    let records: Vec<_> =
        Batches::new(partition.records.unwrap()).map(|batch| batch.unwrap().header().base_offset).collect();
    assert_eq!((records, partition.high_watermark), (vec![1], 1));
    assert_eq!(partition.current_leader.leader_epoch, 1);

    let behind = member.ask(fetch_request(3, 1, 2, 1, 1));
    assert_eq!(member.high_watermark(), Some(2), "its fetch commits");
    let partition = fetched(member.response_to(behind).unwrap());
    assert_eq!(partition.high_watermark, 2, "and tells it so at once (KIP-1166)");

    let quiet = member.ask(fetch_request(3, 1, 2, 1, 2));
    member.sleep(499);
    assert_eq!(member.response_to(quiet), None);
    member.sleep(1);
    let partition = fetched(member.response_to(quiet).unwrap());
    assert_eq!((partition.records.unwrap().len(), partition.high_watermark), (0, 2));

    let forgotten = member.ask(fetch_request(3, 1, 2, 1, 2));
    member.raft.cancel_request(forgotten);
    member.append(&["b"]);
    assert_eq!(member.response_to(forgotten), None);
}

#[test]
fn held_fetches_hear_of_a_commit() {
    let mut member = Member::leader_of_three();
    member.append(&["a"]);
    let observer = member.ask(fetch_request(9, 1, 2, 1, -1));
    assert_eq!(member.response_to(observer), None, "nothing is committed yet");
    member.ask(fetch_request(2, 1, 2, 1, -1));
    assert_eq!(fetched(member.response_to(observer).unwrap()).high_watermark, 2);
}

#[test]
fn fetches_are_checked() {
    let mut member = Member::leader_of_three();
    let error = |member: &mut Member, request| {
        let partition = fetched(member.answer(request));
        (partition.error_code, partition.current_leader.leader_id.0, partition.current_leader.leader_epoch)
    };
    let code = |error: ErrorCode| error.code();
    let fenced = (code(ErrorCode::FencedLeaderEpoch), 1, 1);
    assert_eq!(error(&mut member, fetch_request(2, 0, 0, 0, -1)), fenced);
    let unknown = (code(ErrorCode::UnknownLeaderEpoch), 1, 1);
    assert_eq!(error(&mut member, fetch_request(2, 2, 0, 0, -1)), unknown);
    let invalid = (code(ErrorCode::InvalidRequest), 1, 1);
    assert_eq!(error(&mut member, fetch_request(2, 1, -1, 0, -1)), invalid);
    assert_eq!(error(&mut member, fetch_request(2, 1, 0, 2, -1)), invalid);
    assert_eq!(error(&mut member, fetch_request(1, 1, 1, 1, -1)), invalid);

    let mut follower = Member::start(config(1, 3), Before { log: &[], state: Some((4, 3, -1)) });
    let elsewhere = (code(ErrorCode::NotLeaderOrFollower), 3, 4);
    assert_eq!(error(&mut follower, fetch_request(2, 4, 0, 0, -1)), elsewhere);
}

#[test]
fn a_log_that_parts_from_the_leaders_is_told_where() {
    let mut member = leader(Before { log: &[(1, 3), (3, 2)], state: Some((4, -1, -1)) });
    let diverging = |member: &mut Member, offset, epoch| {
        let partition = fetched(member.answer(fetch_request(2, 5, offset, epoch, -1)));
        assert_eq!((partition.error_code, partition.records.unwrap().len()), (0, 0));
        (partition.diverging_epoch.epoch, partition.diverging_epoch.end_offset)
    };
    assert_eq!(diverging(&mut member, 4, 2), (1, 3), "epoch 2 never was");
    assert_eq!(diverging(&mut member, 4, 1), (1, 3), "epoch 1 was shorter");
    assert_eq!(diverging(&mut member, 7, 5), (5, 6), "more of this epoch than there is");
    let partition = fetched(member.answer(fetch_request(2, 5, 3, 1, -1)));
    assert_eq!(partition.diverging_epoch.epoch, -1);
    assert!(!partition.records.unwrap().is_empty());
    assert_eq!(member.high_watermark(), None, "a wrong log commits nothing");
}

#[test]
fn a_leader_that_hears_no_majority_resigns() {
    let mut member = Member::leader_of_three();
    member.ask(fetch_request(2, 1, 1, 1, -1));
    member.sleep(2_900);
    member.ask(fetch_request(9, 1, 1, 1, -1));
    assert!(member.raft.is_leader());
    member.ask(fetch_request(3, 1, 1, 1, -1));
    member.sleep(2_999);
    assert!(member.raft.is_leader(), "one of the two others is enough");
    member.sleep(1);
    assert!(!member.raft.is_leader());
    assert_eq!(member.leader(), None);
    let lost = member.outputs().contains(&Output::LeaderChanged { leader: None, epoch: LeaderEpoch(1) });
    assert!(lost);
}

#[test]
fn voters_are_told_who_leads_until_they_answer() {
    let mut member = Member::leader_of_three();
    let told = begun(&mut member);
    assert_eq!(told.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [2, 3]);
    member.respond(told[0].1, begin_response(1, 1));
    let env = &mut Env { now: member.now, disk: &mut member.disk, rng: &mut member.rng };
    member.raft.handle_failure(env, told[1].1).unwrap();
    member.sleep(20);
    let again = begun(&mut member);
    assert_eq!(again.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [3]);
    member.ask(fetch_request(3, 1, 1, 1, 1));
    member.respond(again[0].1, begin_response(1, 1));
    member.sleep(979);
    assert_eq!(begun(&mut member), []);
    member.sleep(1);
    let silent: Vec<_> = begun(&mut member).into_iter().map(|(to, _)| to).collect();
    assert_eq!(silent, [2], "it has not fetched for half a fetch timeout");
}

#[test]
fn records_linger_together() {
    let mut config = config(1, 3);
    config.append_linger = Span::from_millis(25);
    let mut member = Member::start(config, Before::default());
    member.win_election();
    assert_eq!(member.append(&["a", "b"]), Offset(2));
    member.sleep(10);
    assert_eq!(member.append(&["c"]), Offset(3));
    assert_eq!(batches(&mut member), [(0, 1, 1)]);
    assert_eq!(member.raft.poll_timeout(), Some(member.now.mono + Span::from_millis(15)));
    member.sleep(15);
    assert_eq!(batches(&mut member), [(0, 1, 1), (1, 4, 1)]);
}

#[test]
fn appends_are_refused() {
    let mut member = Member::leader_of_three();
    let append = |member: &mut Member, epoch, value: Bytes| {
        let env = &mut Env { now: member.now, disk: &mut member.disk, rng: &mut member.rng };
        member.raft.append(env, LeaderEpoch(epoch), &[value])
    };
    let small = Bytes::from_static(b"a");
    let stale =
        AppendError::NotLeader { epoch: LeaderEpoch(0), current: LeaderEpoch(1), leader: Some(NodeId(1)) };
    assert_eq!(append(&mut member, 0, small.clone()), Err(stale));
    let large = append(&mut member, 1, Bytes::from(vec![0; 9 << 20]));
    assert!(matches!(large, Err(AppendError::TooLarge { max: 8_388_608, .. })));
    assert_eq!(append(&mut member, 1, small.clone()), Ok(Offset(1)));
    member.resign();
    let resigned = AppendError::NotLeader { epoch: LeaderEpoch(1), current: LeaderEpoch(1), leader: None };
    assert_eq!(append(&mut member, 1, small), Err(resigned));
}

#[test]
fn the_quorum_is_described() {
    let mut member = Member::leader_of_three();
    member.append(&["a"]);
    member.ask(fetch_request(2, 1, 2, 1, -1));
    let caught_up = member.now.wall_ms;
    member.ask(fetch_request(9, 1, 0, 0, -1));
    member.sleep(7);
    let request = |topic: &'static str| {
        DescribeQuorumRequest::default().with_topics(vec![
            describe_quorum_request::TopicData::default()
                .with_topic_name(TopicName(StrBytes::from_static_str(topic)))
                .with_partitions(vec![describe_quorum_request::PartitionData::default()]),
        ])
    };
    let partition = |response| {
        let ResponseKind::DescribeQuorum(mut response) = response else { panic!() };
        response.topics.remove(0).partitions.remove(0)
    };
    let described = partition(member.answer(request("__cluster_metadata")));
    assert_eq!((described.leader_id.0, described.leader_epoch, described.high_watermark), (1, 1, 2));
    let replicas = |replicas: Vec<trial_wire::messages::describe_quorum_response::ReplicaState>| {
        replicas
            .iter()
            .map(|r| (r.replica_id.0, r.log_end_offset, r.last_fetch_timestamp, r.last_caught_up_timestamp))
            .collect::<Vec<_>>()
    };
    let now = member.now.wall_ms;
    assert_eq!(
        replicas(described.current_voters),
        [(1, 2, now, now), (2, 2, caught_up, caught_up), (3, -1, -1, -1)]
    );
    assert_eq!(replicas(described.observers), [(9, 0, caught_up, -1)]);
    let unknown = partition(member.answer(request("orders")));
    assert_eq!(unknown.error_code, ErrorCode::UnknownTopicOrPartition.code());
    member.resign();
    let elsewhere = partition(member.answer(request("__cluster_metadata")));
    assert_eq!(elsewhere.error_code, ErrorCode::NotLeaderOrFollower.code());
}

#[test]
fn each_request_gets_one_answer() {
    let mut member = Member::leader_of_three();
    let first = member.ask(fetch_request(2, 1, 1, 1, 1));
    let second = member.ask(fetch_request(3, 1, 1, 1, 1));
    member.append(&["a"]);
    member.sleep(600);
    member.resign();
    let answered: Vec<RequestToken> = member
        .outputs()
        .into_iter()
        .filter_map(|output| match output {
            Output::Response { token, .. } => Some(token),
            _ => None,
        })
        .collect();
    assert_eq!(answered, [first, second]);
}
