//! What a follower fetches, writes, cuts off and gives up.

use bytes::Bytes;
use trial_node::{NodeId, Offset, TopicPartition, TraceEvent};
use trial_raft::{Env, Output, RaftError, RequestId};
use trial_wire::messages::fetch_response::{EpochEndOffset, PartitionData};
use trial_wire::{ErrorCode, RequestKind, StrBytes};

use crate::member::*;

/// Node 1 follows node 3 in epoch 4; gives also its first fetch.
fn follower(log: &[(i32, usize)]) -> (Member, RequestId) {
    let mut member = Member::start(config(1, 3), Before { log, state: Some((4, 3, -1)) });
    let (fetch, _) = member.request_to(3);
    (member, fetch)
}

fn records(high_watermark: i64, records: Bytes) -> PartitionData {
    fetch_partition(3, 4, high_watermark).with_records(Some(records))
}

fn diverging(epoch: i32, end_offset: i64) -> PartitionData {
    let end = EpochEndOffset::default().with_epoch(epoch).with_end_offset(end_offset);
    fetch_partition(3, 4, -1).with_diverging_epoch(end)
}

fn fetch_at(member: &mut Member) -> (RequestId, i64, i32) {
    let (id, body) = member.request_to(3);
    let fetch = fetch_of(&body);
    (id, fetch.fetch_offset, fetch.last_fetched_epoch)
}

fn fail(member: &mut Member, id: RequestId) {
    let env = &mut Env { now: member.now, disk: &mut member.disk, rng: &mut member.rng };
    member.raft.handle_failure(env, id).unwrap();
}

#[test]
fn a_fetch_says_how_far_the_log_is() {
    let mut member = Member::start(config(1, 3), Before { log: &[(1, 3), (2, 2)], state: Some((4, 3, -1)) });
    let (_, body) = member.request_to(3);
    let fetch = fetch_of(&body);
    assert_eq!((fetch.current_leader_epoch, fetch.fetch_offset, fetch.last_fetched_epoch), (4, 5, 2));
    assert_eq!(fetch.high_watermark, -1);
    let RequestKind::Fetch(request) = &body else { panic!() };
    assert_eq!((request.replica_state.replica_id.0, request.max_wait_ms), (1, 500));
    assert_eq!(request.cluster_id.as_deref(), Some("cluster"));
    member.sleep(100);
    assert_eq!(member.requests(), [], "one at a time");
}

#[test]
fn a_voter_flushes_before_it_fetches_on() {
    let (mut member, fetch) = follower(&[]);
    member.respond(fetch, fetch_response(records(1, [batch(0, 4, 1), batch(1, 4, 2)].concat().into())));
    assert_eq!(member.disk.operations, ["append __cluster_metadata-0/log", "sync __cluster_metadata-0/log"]);
    assert_eq!((member.end(), member.high_watermark()), (3, Some(1)));
    let outputs = member.outputs();
    assert_eq!(outputs[0], Output::HighWatermarkAdvanced(Offset(1)));
    let Output::Request { to: NodeId(3), body, .. } = &outputs[1] else { panic!("{outputs:?}") };
    assert_eq!((fetch_of(body).fetch_offset, fetch_of(body).high_watermark), (3, 1));
    member.disk.lose_everything_unsynced();
    member.restart();
    assert_eq!(member.end(), 3);
}

#[test]
fn an_observer_follows_and_neither_flushes_nor_votes() {
    let mut member = Member::start(config(9, 3), Before::default());
    let (to, id, body) = member.requests().remove(0);
    assert_eq!(fetch_of(&body).current_leader_epoch, 0);
    let fenced = fetch_partition(3, 4, -1).with_error_code(ErrorCode::FencedLeaderEpoch.code());
    member.respond(id, fetch_response(fenced));
    assert_eq!((member.leader(), member.epoch()), (Some(3), 4), "node {to} told it");
    let (fetch, _) = member.request_to(3);
    member.disk.operations.clear();
    member.respond(fetch, fetch_response(records(1, batch(0, 4, 1))));
    assert_eq!(member.disk.operations, ["append __cluster_metadata-0/log"]);
    let voters = ErrorCode::InconsistentVoterSet.code();
    let mut request = vote_request(2, 5, 9, 4, false);
    request.voter_id.0 = 9;
    assert_eq!(member.vote(request), (voters, false));
    for _ in 0..1_000 {
        member.sleep_until_timeout();
    }
    assert_eq!((member.leader(), member.epoch()), (Some(3), 4), "it asks for no election");
    let asked: std::collections::BTreeSet<i32> = member.requests().iter().map(|(to, ..)| to.0).collect();
    assert_eq!(asked.into_iter().collect::<Vec<_>>(), [1, 2, 3], "but asks everyone for the leader");
}

#[test]
fn the_high_watermark_does_not_pass_the_own_end() {
    let (mut member, fetch) = follower(&[(4, 2)]);
    member.respond(fetch, fetch_response(fetch_partition(3, 4, 7)));
    assert_eq!(member.high_watermark(), Some(2));
    let (fetch, ..) = fetch_at(&mut member);
    member.respond(fetch, fetch_response(records(1, batch(2, 4, 1))));
    assert_eq!(member.high_watermark(), Some(2), "nor does it fall");
}

#[test]
fn a_log_that_has_parted_is_cut() {
    let (mut member, fetch) = follower(&[(1, 3), (2, 2), (2, 2), (3, 2)]);
    member.respond(fetch, fetch_response(diverging(2, 5)));
    assert_eq!(member.end(), 5, "the leader's epoch 2 ended there");
    let (_, offset, epoch) = fetch_at(&mut member);
    assert_eq!((offset, epoch), (5, 2));
}

#[test]
fn an_epoch_that_the_leader_lacks_is_cut_step_by_step() {
    let (mut member, fetch) = follower(&[(1, 3), (3, 2)]);
    member.respond(fetch, fetch_response(diverging(2, 6)));
    assert_eq!(member.end(), 3, "epoch 3 is not the leader's, and epoch 2 not its own");
    let truncated = TraceEvent::LogTruncated {
        tp: TopicPartition::new(StrBytes::from_static_str("__cluster_metadata"), 0),
        from: Offset(5),
        to: Offset(3),
    };
    let outputs = member.outputs();
    assert!(is_trace(&outputs[0], &truncated));
    let Output::Request { body, .. } = &outputs[1] else { panic!() };
    assert_eq!((fetch_of(body).fetch_offset, fetch_of(body).last_fetched_epoch), (3, 1));
    assert_eq!(member.raft.quorum_view().truncations, 1);
}

#[test]
fn what_is_committed_is_never_cut() {
    let (mut member, fetch) = follower(&[(4, 1), (4, 1)]);
    member.respond(fetch, fetch_response(fetch_partition(3, 4, 2)));
    let (fetch, ..) = fetch_at(&mut member);
    let error = member.try_respond(fetch, fetch_response(diverging(4, 1))).unwrap_err();
    assert!(matches!(error, RaftError::Log { .. }), "{error}");
}

#[test]
fn batches_that_are_broken_are_left_out() {
    let (mut member, fetch) = follower(&[(4, 1)]);
    let mut torn = batch(2, 4, 1).to_vec();
    *torn.last_mut().unwrap() ^= 1;
    member.respond(fetch, fetch_response(records(1, [batch(1, 4, 1).to_vec(), torn].concat().into())));
    let (fetch, offset, _) = fetch_at(&mut member);
    assert_eq!(offset, 2, "the good one was taken");
    for wrong in [batch(3, 4, 1), batch(2, 5, 1), batch(2, 3, 1)] {
        let fetch = if wrong == batch(3, 4, 1) {
            fetch
        } else {
            member.sleep(20);
            fetch_at(&mut member).0
        };
        member.respond(fetch, fetch_response(records(1, wrong)));
        assert_eq!(member.end(), 2, "a gap, an epoch to come, an epoch gone by");
        member.requests();
        let asked = member.raft.poll_timeout();
        assert!(asked.is_some());
        // Another voter was asked meanwhile; it knows no better.
        member.restart();
        member.sleep(0);
    }
}

#[test]
fn a_leader_that_fails_is_asked_again_and_others_too() {
    let (mut member, fetch) = follower(&[]);
    fail(&mut member, fetch);
    let (other, body) = member.request_to(2);
    assert_eq!(fetch_of(&body).current_leader_epoch, 4);
    let elsewhere = fetch_partition(3, 4, -1).with_error_code(ErrorCode::NotLeaderOrFollower.code());
    member.respond(other, fetch_response(elsewhere));
    assert_eq!(member.requests(), [], "both are left alone for a while");
    member.sleep(20);
    member.request_to(3);

    let (mut member, fetch) = follower(&[]);
    fail(&mut member, fetch);
    let (other, _) = member.request_to(2);
    let news = fetch_partition(2, 5, -1).with_error_code(ErrorCode::FencedLeaderEpoch.code());
    member.respond(other, fetch_response(news));
    assert_eq!((member.leader(), member.epoch()), (Some(2), 5));
}

#[test]
fn a_request_without_an_answer_is_given_up() {
    let mut config = config(1, 3);
    config.fetch_timeout = trial_node::Span::from_secs(60);
    let mut member = Member::start(config, Before { log: &[], state: Some((4, 3, -1)) });
    let (fetch, _) = member.request_to(3);
    member.sleep(1_999);
    assert_eq!(member.outputs(), []);
    member.sleep(1);
    assert_eq!(member.outputs()[0], Output::RequestTimedOut { to: NodeId(3), id: fetch });
    member.respond(fetch, fetch_response(records(1, batch(0, 4, 1))));
    assert_eq!(member.end(), 0, "too late");
}

#[test]
fn a_leader_that_does_not_answer_is_given_up() {
    let (mut member, fetch) = follower(&[]);
    member.sleep(1_500);
    member.respond(fetch, fetch_response(fetch_partition(3, 4, 0)));
    member.sleep(1_999);
    let votes = |member: &mut Member| {
        member.requests().iter().filter(|(.., body)| matches!(body, RequestKind::Vote(_))).count()
    };
    assert_eq!(votes(&mut member), 0);
    member.sleep(1);
    assert_eq!(votes(&mut member), 2);
}

#[test]
fn an_answer_of_an_older_epoch_is_not_believed() {
    let (mut member, fetch) = follower(&[]);
    member.respond(fetch, fetch_response(fetch_partition(2, 3, 9)));
    assert_eq!((member.leader(), member.epoch(), member.high_watermark()), (Some(3), 4, None));
}
