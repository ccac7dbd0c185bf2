//! Elections: who gets a vote, what is on disk by then, and which role follows.

use trial_node::{LeaderEpoch, NodeId, Span, TraceEvent};
use trial_raft::Output;
use trial_wire::messages::{BrokerId, VoteRequest};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, StrBytes};

use crate::member::*;

const STATE_WRITTEN: [&str; 4] = [
    "append __cluster_metadata-0/quorum-state.tmp",
    "sync __cluster_metadata-0/quorum-state.tmp",
    "rename __cluster_metadata-0/quorum-state.tmp __cluster_metadata-0/quorum-state",
    "sync_folder __cluster_metadata-0",
];

fn voter(before: Before<'_>) -> Member {
    Member::start(config(1, 3), before)
}

fn asks(requests: Vec<(NodeId, trial_raft::RequestId, RequestKind)>) -> Vec<(i32, i32, bool)> {
    let ask = |(to, _, body): (NodeId, _, RequestKind)| match body {
        RequestKind::Vote(vote) => {
            let partition = &vote.topics[0].partitions[0];
            Some((to.0, partition.replica_epoch, partition.pre_vote))
        }
        _ => None,
    };
    requests.into_iter().filter_map(ask).collect()
}

#[test]
fn a_vote_is_durable_before_the_answer() {
    let mut member = voter(Before::default());
    assert_eq!(member.vote(vote_request(2, 1, 0, 0, false)), (0, true));
    let once = STATE_WRITTEN.map(str::to_owned).to_vec();
    assert_eq!(member.disk.operations, [once.clone(), once].concat(), "the epoch, then the vote");

    member.disk.lose_everything_unsynced();
    member.restart();
    assert_eq!(member.raft.quorum_view().voted_for, Some(NodeId(2)));
    assert_eq!(member.vote(vote_request(3, 1, 0, 0, false)), (0, false), "it has voted for 2");
    assert_eq!(member.vote(vote_request(2, 1, 0, 0, false)), (0, true), "and does so again");
}

#[test]
fn a_vote_needs_a_log_that_is_as_long() {
    let log = Before { log: &[(1, 3), (2, 2)], state: Some((2, -1, -1)) };
    let mut member = voter(log);
    assert_eq!(member.vote(vote_request(2, 3, 4, 2, false)), (0, false), "shorter");
    assert_eq!(member.vote(vote_request(2, 3, 9, 1, false)), (0, false), "longer, but of an older epoch");
    assert_eq!(member.raft.quorum_view().voted_for, None);
    assert_eq!(member.epoch(), 3, "the epoch is heeded all the same");
    assert_eq!(member.vote(vote_request(2, 3, 5, 2, false)), (0, true), "as long");
}

#[test]
fn votes_are_refused_with_their_reason() {
    let mut member = voter(Before { log: &[], state: Some((5, -1, -1)) });
    let fenced = ErrorCode::FencedLeaderEpoch.code();
    assert_eq!(member.vote(vote_request(2, 4, 0, 0, false)), (fenced, false));
    let voters = ErrorCode::InconsistentVoterSet.code();
    assert_eq!(member.vote(vote_request(9, 6, 0, 0, false)), (voters, false));
    let invalid = ErrorCode::InvalidRequest.code();
    assert_eq!(member.vote(vote_request(2, 6, 0, 6, false)), (invalid, false), "has records of its epoch");
    assert_eq!(member.vote(vote_request(2, 6, -1, 0, false)), (invalid, false));
    let mut misdirected = vote_request(2, 6, 0, 0, false);
    misdirected.voter_id = BrokerId(3);
    assert_eq!(member.vote(misdirected), (ErrorCode::InvalidVoterKey.code(), false));
    assert_eq!(member.epoch(), 5, "none of these counts");
    assert!(member.disk.operations.is_empty());

    let stranger = vote_request(2, 6, 0, 0, false).with_cluster_id(Some(StrBytes::from_static_str("other")));
    let ResponseKind::Vote(response) = member.answer(stranger) else { panic!() };
    assert_eq!(response.error_code, ErrorCode::InconsistentClusterId.code());
    let ResponseKind::Vote(response) = member.answer(VoteRequest::default()) else { panic!() };
    assert_eq!(response.error_code, ErrorCode::InvalidRequest.code());
}

#[test]
fn no_vote_in_an_epoch_that_has_a_leader() {
    let mut member = voter(Before { log: &[], state: Some((5, 3, -1)) });
    assert_eq!(member.leader(), Some(3));
    assert_eq!(member.vote(vote_request(2, 5, 0, 0, false)), (0, false));
    assert_eq!(member.vote(vote_request(2, 6, 0, 0, false)), (0, true), "but in the next one");
    assert_eq!(member.leader(), None);
}

#[test]
fn a_pre_vote_leaves_no_trace() {
    let mut member = voter(Before { log: &[(1, 2)], state: Some((4, -1, -1)) });
    assert_eq!(member.vote(vote_request(2, 4, 2, 1, true)), (0, true));
    assert_eq!(member.vote(vote_request(3, 4, 2, 1, true)), (0, true), "any number of them");
    assert_eq!(member.vote(vote_request(3, 4, 1, 1, true)), (0, false), "not for a stale log");
    assert_eq!((member.epoch(), member.raft.quorum_view().voted_for), (4, None));
    assert!(member.disk.operations.is_empty());
}

#[test]
fn a_pre_vote_is_denied_while_the_leader_answers() {
    let mut member = voter(Before { log: &[], state: Some((4, 3, -1)) });
    let (fetch, _) = member.request_to(3);
    assert_eq!(member.vote(vote_request(2, 4, 0, 0, true)), (0, true), "it has not heard the leader yet");
    member.respond(fetch, fetch_response(fetch_partition(3, 4, 0)));
    assert_eq!(member.vote(vote_request(2, 4, 0, 0, true)), (0, false));
    member.sleep(2_000);
    assert_eq!(asks(member.requests()), [(2, 4, true), (3, 4, true)]);
    assert_eq!(member.vote(vote_request(2, 4, 0, 0, true)), (0, true), "it has given the leader up");
}

#[test]
fn a_leader_grants_pre_votes_until_it_has_committed() {
    let mut member = Member::leader_of_three();
    assert_eq!(member.vote(vote_request(3, 1, 1, 1, true)), (0, true));
    member.ask(fetch_request(2, 1, 1, 1, -1));
    assert_eq!(member.high_watermark(), Some(1));
    assert_eq!(member.vote(vote_request(3, 1, 1, 1, true)), (0, false));
}

#[test]
fn an_election_goes_by_pre_vote_and_vote() {
    let mut member = voter(Before { log: &[(1, 2)], state: Some((4, -1, -1)) });
    member.outputs();
    member.sleep(2_000);
    let outputs = member.outputs();
    let started = TraceEvent::QuorumElectionStarted { epoch: LeaderEpoch(4), pre_vote: true };
    assert!(outputs.iter().any(|output| is_trace(output, &started)));
    assert!(member.disk.operations.is_empty(), "asking costs nothing");
    let to = |outputs: &[Output], node| {
        outputs.iter().find_map(|output| match output {
            Output::Request { to, id, body: RequestKind::Vote(vote), .. } if *to == NodeId(node) => {
                Some((*id, vote.topics[0].partitions[0].clone()))
            }
            _ => None,
        })
    };
    let (pre_vote, asked) = to(&outputs, 3).unwrap();
    assert_eq!((asked.replica_epoch, asked.last_offset, asked.last_offset_epoch), (4, 2, 1));
    assert!(asked.pre_vote);

    member.respond(pre_vote, vote_response(0, None, 4, true));
    assert_eq!(member.epoch(), 5);
    assert_eq!(member.raft.quorum_view().voted_for, Some(NodeId(1)));
    assert_eq!(member.disk.operations, STATE_WRITTEN);
    let outputs = member.outputs();
    let (vote, asked) = to(&outputs, 2).unwrap();
    assert_eq!((asked.replica_epoch, asked.pre_vote), (5, false));
    member.disk.operations.clear();

    member.respond(vote, vote_response(0, None, 5, true));
    assert!(member.raft.is_leader());
    let log = ["append __cluster_metadata-0/log", "sync __cluster_metadata-0/log"];
    assert_eq!(member.disk.operations, [&STATE_WRITTEN[..], &log[..]].concat());
    assert_eq!(member.raft.epoch_start_offset(), Some(trial_node::Offset(2)));
    let outputs = member.outputs();
    let leads = Output::LeaderChanged { leader: Some(NodeId(1)), epoch: LeaderEpoch(5) };
    assert!(outputs.contains(&leads));
    let told: Vec<_> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Request { to, body: RequestKind::BeginQuorumEpoch(begin), .. } => {
                Some((to.0, begin.topics[0].partitions[0].leader_epoch))
            }
            _ => None,
        })
        .collect();
    assert_eq!(told, [(2, 5), (3, 5)]);
}

#[test]
fn answers_to_pre_votes_do_not_elect() {
    let mut member = voter(Before::default());
    while member.raft.leader_and_epoch().1 == LeaderEpoch(0) {
        member.sleep_until_timeout();
        let votes: Vec<_> = member.requests();
        for (_, id, body) in votes {
            if matches!(body, RequestKind::Vote(_)) {
                member.respond(id, vote_response(0, None, 0, true));
                member.respond(id, vote_response(0, None, 0, true));
            }
        }
    }
    assert_eq!(member.epoch(), 1);
    assert!(!member.raft.is_leader());
}

#[test]
fn a_prospective_that_hears_of_a_leader_follows_it() {
    let mut member = voter(Before { log: &[], state: Some((4, -1, -1)) });
    member.outputs();
    member.sleep(2_000);
    let (ask, _) = member.request_to(2);
    member.respond(ask, vote_response(0, Some(3), 4, false));
    assert_eq!(member.leader(), Some(3));
    assert_eq!(member.epoch(), 4);
    let (_, body) = member.request_to(3);
    assert_eq!(fetch_of(&body).current_leader_epoch, 4);
}

#[test]
fn a_prospective_that_loses_returns_to_its_leader() {
    let mut member = voter(Before { log: &[], state: Some((4, 3, -1)) });
    member.outputs();
    member.sleep(2_000);
    for (_, id, _) in member.requests() {
        member.respond(id, vote_response(0, Some(3), 4, false));
    }
    assert_eq!((member.leader(), member.epoch()), (Some(3), 4));
    assert_eq!(fetch_of(&member.request_to(3).1).current_leader_epoch, 4);
}

#[test]
fn a_candidate_that_loses_waits_and_asks_again() {
    let mut member = voter(Before { log: &[], state: Some((1, -1, 1)) });
    let requests = member.requests();
    assert_eq!(asks(requests.clone()), [(2, 1, false), (3, 1, false)], "it was a candidate when it stopped");
    for (_, id, _) in requests {
        member.respond(id, vote_response(0, None, 1, false));
    }
    assert_eq!(member.requests(), []);
    member.sleep_until_timeout();
    assert_eq!(asks(member.requests()), [(2, 1, true), (3, 1, true)]);
    assert_eq!(member.epoch(), 1);
}

#[test]
fn a_vote_that_fails_is_asked_for_again_after_a_pause() {
    let mut member = voter(Before { log: &[], state: Some((1, -1, 1)) });
    let (ask, _) = member.request_to(2);
    let env = &mut trial_raft::Env { now: member.now, disk: &mut member.disk, rng: &mut member.rng };
    member.raft.handle_failure(env, ask).unwrap();
    assert_eq!(member.requests(), []);
    assert_eq!(member.raft.poll_timeout(), Some(member.now.mono + Span::from_millis(20)));
    member.sleep(20);
    assert_eq!(asks(member.requests()), [(2, 1, false)]);
}

#[test]
fn one_that_led_does_not_lead_that_epoch_again() {
    let mut member = Member::leader_of_three();
    member.restart();
    assert!(!member.raft.is_leader());
    assert_eq!((member.leader(), member.epoch()), (None, 1));
    assert_eq!(member.vote(vote_request(2, 1, 9, 0, false)), (0, false), "nor does it vote in it");
    member.sleep(2_000);
    assert_eq!((member.leader(), member.epoch()), (None, 2));
}

#[test]
fn an_epoch_in_the_log_counts_even_if_the_file_is_older() {
    let member = voter(Before { log: &[(7, 1)], state: Some((3, 2, -1)) });
    assert_eq!((member.leader(), member.epoch()), (None, 7));
}

#[test]
fn begin_quorum_epoch_makes_a_follower() {
    let mut member = voter(Before { log: &[], state: Some((3, -1, 2)) });
    let error = |member: &mut Member, request| {
        let ResponseKind::BeginQuorumEpoch(response) = member.answer(request) else { panic!() };
        response.topics[0].partitions[0].error_code
    };
    assert_eq!(error(&mut member, begin_request(2, 2)), ErrorCode::FencedLeaderEpoch.code());
    assert_eq!(error(&mut member, begin_request(2, 3)), 0);
    assert_eq!((member.leader(), member.epoch()), (Some(2), 3));
    assert_eq!(member.raft.quorum_view().voted_for, Some(NodeId(2)), "the vote is kept");
    assert_eq!(error(&mut member, begin_request(3, 3)), ErrorCode::InvalidRequest.code(), "two leaders");
    assert_eq!(error(&mut member, begin_request(1, 4)), ErrorCode::InvalidRequest.code(), "not itself");
    assert_eq!(error(&mut member, begin_request(3, 4)), 0);
    member.disk.lose_everything_unsynced();
    member.restart();
    assert_eq!((member.leader(), member.epoch()), (Some(3), 4));
}

#[test]
fn successors_stand_in_line() {
    let mut member = voter(Before { log: &[], state: Some((4, 3, -1)) });
    member.outputs();
    member.answer(end_request(3, 4, &[2, 1]));
    assert_eq!(asks(member.requests()), []);
    member.sleep(499);
    assert_eq!(asks(member.requests()), []);
    member.sleep(1);
    assert_eq!(asks(member.requests()), [(2, 4, true), (3, 4, true)]);

    let mut first = voter(Before { log: &[], state: Some((4, 3, -1)) });
    first.outputs();
    let token = first.ask(end_request(3, 4, &[1, 2]));
    assert_eq!(asks(first.requests()), [(2, 4, true), (3, 4, true)], "{token:?}");
}

#[test]
fn a_leader_that_resigns_tells_all_until_they_know() {
    let mut member = Member::leader_of_three();
    member.ask(fetch_request(3, 1, 1, 1, 1));
    member.outputs();
    member.resign();
    let outputs = member.outputs();
    assert_eq!(
        outputs[..3],
        [
            Output::Response { token: trial_raft::RequestToken(1), body: refused_fetch(1) },
            Output::LeaderChanged { leader: None, epoch: LeaderEpoch(1) },
            Output::Trace(TraceEvent::QuorumLeaderResigned { epoch: LeaderEpoch(1) }),
        ]
    );
    let mut asked = Vec::new();
    for output in outputs {
        if let Output::Request { to, id, body: RequestKind::EndQuorumEpoch(end), .. } = output {
            let preferred = end.topics[0].partitions[0].preferred_candidates.iter();
            assert_eq!(preferred.map(|candidate| candidate.candidate_id.0).collect::<Vec<_>>(), [3, 2]);
            asked.push((to, id));
        }
    }
    assert_eq!(asked.iter().map(|(to, _)| to.0).collect::<Vec<_>>(), [3, 2]);
    member.respond(asked[0].1, end_response(1));
    let env = &mut trial_raft::Env { now: member.now, disk: &mut member.disk, rng: &mut member.rng };
    member.raft.handle_failure(env, asked[1].1).unwrap();
    member.sleep(20);
    let again: Vec<_> = member.requests().into_iter().map(|(to, ..)| to.0).collect();
    assert_eq!(again, [2]);
    member.sleep(2_000);
    assert_eq!((member.leader(), member.epoch()), (None, 2));
}

#[test]
fn a_newer_epoch_ends_a_leadership() {
    let mut member = Member::leader_of_three();
    let held = member.ask(fetch_request(3, 1, 1, 1, 1));
    member.outputs();
    let vote = member.ask(vote_request(2, 2, 9, 1, false));
    let outputs = member.outputs();
    let answered: Vec<_> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Response { token, .. } => Some(*token),
            _ => None,
        })
        .collect();
    assert_eq!(answered, [held, vote], "the held fetch is refused");
    assert!(outputs.contains(&Output::LeaderChanged { leader: None, epoch: LeaderEpoch(2) }));
    assert!(!member.raft.is_leader());
}

#[test]
fn a_single_voter_elects_itself() {
    let mut member = Member::start(config(1, 1), Before { log: &[(1, 2)], state: Some((1, 1, 1)) });
    assert!(member.raft.is_leader());
    assert_eq!((member.epoch(), member.high_watermark()), (2, Some(3)));
    let offset = member.append(&["a", "b"]);
    assert_eq!((offset.0, member.high_watermark()), (4, Some(5)));
    assert_eq!(member.raft.poll_timeout(), None, "it has nothing to wait for");
    member.resign();
    assert!(member.raft.is_leader());
}

#[test]
fn a_voter_that_is_about_to_stop_begins_no_election() {
    let mut member = Member::leader_of_three();
    let env = &mut trial_raft::Env { now: member.now, disk: &mut member.disk, rng: &mut member.rng };
    member.raft.shut_down(env).unwrap();
    assert!(!member.raft.is_leader());
    member.outputs();
    member.sleep(10_000);
    assert_eq!(asks(member.requests()), []);
    assert_eq!((member.leader(), member.epoch()), (None, 1), "it stays resigned");
    assert_eq!(member.vote(vote_request(2, 2, 9, 1, false)), (0, true), "another may lead");
    member.sleep(10_000);
    assert_eq!((asks(member.requests()), member.epoch()), (Vec::new(), 2));
    member.answer(begin_request(3, 3));
    assert_eq!(member.leader(), Some(3));
    member.sleep(10_000);
    assert_eq!((asks(member.requests()), member.epoch()), (Vec::new(), 3));
    let next = member.raft.poll_timeout().expect("it fetches still");
    assert!(next > member.now.mono);
}

#[test]
fn the_last_epoch_is_nobodys() {
    let mut member = voter(Before { log: &[], state: Some((5, 3, -1)) });
    let (fetch, _) = member.request_to(3);
    member.outputs();
    let invalid = ErrorCode::InvalidRequest.code();
    assert_eq!(member.vote(vote_request(2, i32::MAX, 0, 0, false)), (invalid, false));
    assert_eq!(member.vote(vote_request(2, i32::MAX, 0, 0, true)), (invalid, false));
    let ResponseKind::BeginQuorumEpoch(begun) = member.answer(begin_request(2, i32::MAX)) else { panic!() };
    assert_eq!(begun.topics[0].partitions[0].error_code, invalid);
    let ResponseKind::EndQuorumEpoch(ended) = member.answer(end_request(2, i32::MAX, &[])) else { panic!() };
    assert_eq!(ended.topics[0].partitions[0].error_code, invalid);
    member.respond(fetch, fetch_response(fetch_partition(2, i32::MAX, 0)));
    assert_eq!((member.leader(), member.epoch()), (Some(3), 5));
    assert!(member.disk.operations.is_empty());

    // The one before it is anybody's, and the elections after it come to an end in order.
    assert_eq!(member.vote(vote_request(2, i32::MAX - 1, 0, 0, false)), (0, true));
    let mut member = Member::start(config(1, 3), Before { log: &[], state: Some((i32::MAX, 1, 1)) });
    let deadline = member.raft.poll_timeout().unwrap();
    member.now.mono = deadline;
    let env = &mut trial_raft::Env { now: member.now, disk: &mut member.disk, rng: &mut member.rng };
    let error = member.raft.handle_timeout(env).unwrap_err();
    assert!(error.to_string().contains("no epoch follows 2147483647"), "{error}");
}
