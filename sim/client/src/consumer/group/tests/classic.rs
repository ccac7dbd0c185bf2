use trial_wire::messages::join_group_response::JoinGroupResponseMember;
use trial_wire::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};

use crate::consumer::group::embedded::{self, Subscription};

use super::*;

const COOPERATIVE: (&str, &str) = ("partition.assignment.strategy", "cooperative-sticky");
const MANUAL: (&str, &str) = ("enable.auto.commit", "false");

impl Bench<App> {
    fn join(&mut self) -> (Waiting, JoinGroupRequest) {
        self.next(|body| match body {
            RequestKind::JoinGroup(join) => Some(join.clone()),
            _ => None,
        })
    }

    fn tell_join(&mut self, to: &Waiting, body: JoinGroupResponse) {
        self.answer(to, ResponseKind::JoinGroup(body));
    }

    fn sync(&mut self) -> (Waiting, SyncGroupRequest) {
        self.next(|body| match body {
            RequestKind::SyncGroup(sync) => Some(sync.clone()),
            _ => None,
        })
    }

    fn tell_sync(&mut self, to: &Waiting, error: i16, partitions: &[i32]) {
        let assignment = embedded::encode_assignment(&tps(partitions));
        let body = SyncGroupResponse::default().with_error_code(error).with_assignment(assignment);
        self.answer(to, ResponseKind::SyncGroup(body));
    }

    fn heartbeat(&mut self) -> (Waiting, HeartbeatRequest) {
        self.next(|body| match body {
            RequestKind::Heartbeat(heartbeat) => Some(heartbeat.clone()),
            _ => None,
        })
    }

    fn tell_heartbeat(&mut self, to: &Waiting, error: Option<ErrorCode>) {
        let code = error.map_or(0, |error| error.code());
        self.answer(to, ResponseKind::Heartbeat(HeartbeatResponse::default().with_error_code(code)));
    }

    /// Waits for the next heartbeat, and answers it.
    fn beat(&mut self, error: Option<ErrorCode>) {
        self.run_for(Span::from_secs(3));
        let (request, _) = self.heartbeat();
        self.tell_heartbeat(&request, error);
    }

    fn leave(&mut self) -> (Waiting, LeaveGroupRequest) {
        self.next(|body| match body {
            RequestKind::LeaveGroup(leave) => Some(leave.clone()),
            _ => None,
        })
    }

    /// Answers JoinGroup as to a follower, and SyncGroup with the partitions.
    fn tell_generation(&mut self, generation: i32, protocol: &'static str, partitions: &[i32]) {
        let (request, _) = self.join();
        self.tell_join(&request, follower(generation, protocol));
        let (request, sync) = self.sync();
        assert_eq!((sync.generation_id, sync.member_id.as_str()), (generation, "m"));
        assert_eq!(sync.assignments, []);
        self.tell_sync(&request, 0, partitions);
    }
}

fn refused(error: ErrorCode) -> JoinGroupResponse {
    JoinGroupResponse::default().with_error_code(error.code())
}

fn follower(generation: i32, protocol: &'static str) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_generation_id(generation)
        .with_protocol_name(Some(StrBytes::from_static_str(protocol)))
        .with_leader(StrBytes::from_static_str("another"))
        .with_member_id(StrBytes::from_static_str("m"))
}

fn subscription(join: &JoinGroupRequest) -> Subscription {
    Subscription::decode(&join.protocols[0].metadata).unwrap()
}

/// A member of generation 1 with these partitions, which has read its positions.
fn member(config: &[(&str, &str)], protocol: &'static str, partitions: &[i32]) -> Bench<App> {
    let mut bench = bench(config);
    bench.tell_coordinator(1);
    bench.tell_generation(1, protocol, partitions);
    bench.tell_committed(&vec![10; partitions.len()]);
    bench.events();
    bench
}

#[test]
fn member_joins_syncs_and_reads_from_the_committed_offsets() {
    let mut bench = bench(&[("session.timeout.ms", "10000"), ("max.poll.interval.ms", "60000")]);
    assert_eq!(bench.waiting(), 1);
    bench.tell_coordinator(1);
    let (request, join) = bench.join();
    assert_eq!((request.node, join.member_id.as_str()), (NodeId(1), ""));
    assert_eq!((join.session_timeout_ms, join.rebalance_timeout_ms), (10_000, 60_000));
    assert_eq!(join.protocol_type.as_str(), "consumer");
    let names: Vec<&str> = join.protocols.iter().map(|protocol| protocol.name.as_str()).collect();
    assert_eq!(names, ["range", "cooperative-sticky"]);
    assert_eq!(subscription(&join).topics, [topic_name("orders")]);
    // KIP-394: first of all it gets an id.
    let id = StrBytes::from_static_str("m");
    bench.tell_join(&request, refused(ErrorCode::MemberIdRequired).with_member_id(id));
    let (request, join) = bench.join();
    assert_eq!(join.member_id.as_str(), "m");
    bench.tell_join(&request, follower(5, "range"));
    // What it was assigned in that generation is not known yet.
    assert_eq!(bench.machine.consumer.group_metadata().unwrap().generation, -1);
    let (request, sync) = bench.sync();
    assert_eq!((sync.generation_id, sync.protocol_name.unwrap().as_str()), (5, "range"));
    bench.tell_sync(&request, 0, &[1, 3]);
    assert_eq!(bench.events(), [assigned(5, &[0, 1])]);
    assert_eq!(bench.machine.consumer.partition(1), (TopicSlot(0), 3));
    assert_eq!(bench.machine.consumer.position(0), None);
    // One is committed; of the other, a transaction has yet to end.
    bench.tell_committed(&[42, -2]);
    assert_eq!(bench.events(), [reset(0, 42)]);
    bench.run_for(Span::from_millis(200));
    bench.tell_committed(&[-1]);
    bench.tell_offsets(7);
    assert_eq!(bench.events(), [reset(1, 7)]);
    assert_eq!(bench.fetching(), [(1, 42), (3, 7)]);
    bench.tell_records(1, 42, 3);
    assert_eq!(bench.machine.taken, [(0, 42), (0, 43), (0, 44)]);
    let metadata = bench.machine.consumer.group_metadata().unwrap();
    assert_eq!((metadata.generation, metadata.member_id.as_str()), (5, "m"));
    bench.run_for(Span::from_secs(3));
    let (request, heartbeat) = bench.heartbeat();
    assert_eq!((request.node, heartbeat.generation_id), (NodeId(1), 5));
    assert_eq!(heartbeat.member_id.as_str(), "m");
}

#[test]
fn leader_assigns_for_all_and_calls_for_another_rebalance_when_partitions_are_added() {
    let mut bench = bench(&[MANUAL]);
    bench.tell_coordinator(1);
    let (request, join) = bench.join();
    let member = |id: &'static str| {
        JoinGroupResponseMember::default()
            .with_member_id(StrBytes::from_static_str(id))
            .with_metadata(join.protocols[0].metadata.clone())
    };
    let elected = follower(1, "range")
        .with_leader(StrBytes::from_static_str("m"))
        .with_members(vec![member("m"), member("a")]);
    bench.tell_join(&request, elected);
    let (request, sync) = bench.sync();
    let shares = sync
        .assignments
        .iter()
        .map(|a| (a.member_id.to_string(), embedded::decode_assignment(&a.assignment).unwrap()));
    let expected = [("m".to_owned(), tps(&[2, 3])), ("a".to_owned(), tps(&[0, 1]))];
    assert_eq!(shares.collect::<Vec<_>>(), expected);
    bench.tell_sync(&request, 0, &[2, 3]);
    bench.tell_committed(&[0, 0]);
    let (_, partitions) = bench.world.cluster.topics.values_mut().next().unwrap();
    partitions.push(crate::testing::Partition::default());
    bench.app(|app, _| app.consumer.network.metadata_mut().request_update());
    bench.run_for(Span::from_millis(500));
    bench.end_long_polls();
    // Eager: what it had is given up first.
    assert!(bench.events().contains(&revoking(&[0, 1])));
    bench.join();
}

#[test]
fn eager_rebalance_gives_everything_up_first() {
    let mut bench = member(&[], "range", &[0, 1]);
    bench.tell_records(0, 10, 5);
    bench.machine.holds = true;
    bench.beat(Some(ErrorCode::RebalanceInProgress));
    // What was taken is committed while the old generation lasts.
    let (request, commit) = bench.commit();
    assert_eq!(committed(&commit), (1, vec![(0, 15), (1, 10)]));
    assert_eq!(bench.count(|body| matches!(body, RequestKind::JoinGroup(_)).then_some(())), 0);
    bench.events();
    bench.tell_commit(&request, 0);
    let events = bench.events();
    assert_eq!(events, [ConsumerEvent::Committed { commit: CommitId(0) }, revoking(&[0, 1])]);
    assert!(bench.machine.consumer.is_owned(0));
    assert_eq!(bench.count(|body| matches!(body, RequestKind::JoinGroup(_)).then_some(())), 0);
    // It still is a member, and beats.
    bench.beat(Some(ErrorCode::RebalanceInProgress));
    bench.app(|app, now| app.consumer.revoked(now));
    assert!(!bench.machine.consumer.is_owned(0));
    let (request, join) = bench.join();
    assert_eq!((join.member_id.as_str(), subscription(&join).owned), ("m", vec![]));
    bench.tell_join(&request, follower(2, "range"));
    let (request, _) = bench.sync();
    bench.tell_sync(&request, 0, &[1, 2]);
    // A partition that comes back has its index.
    assert_eq!(bench.events(), [assigned(2, &[1, 2])]);
    bench.tell_committed(&[10, 0]);
    assert_eq!(bench.events(), [reset(1, 10), reset(2, 0)]);
    bench.run_for(Span::from_millis(1));
    assert_eq!(bench.machine.consumer.owned().collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn cooperative_rebalance_gives_up_only_what_moves_and_joins_again() {
    let mut bench = member(&[COOPERATIVE, MANUAL], "cooperative-sticky", &[0, 1]);
    bench.beat(Some(ErrorCode::RebalanceInProgress));
    assert_eq!(bench.events(), []);
    let (request, join) = bench.join();
    let told = subscription(&join);
    assert_eq!((told.owned, told.generation), (tps(&[0, 1]), 1));
    // It reads on meanwhile.
    bench.tell_records(0, 10, 2);
    assert_eq!(bench.machine.taken, [(0, 10), (0, 11)]);
    bench.tell_join(&request, follower(2, "cooperative-sticky"));
    let (request, _) = bench.sync();
    bench.tell_sync(&request, 0, &[0, 2]);
    assert_eq!(bench.events(), [revoking(&[1]), assigned(2, &[2])]);
    let (request, join) = bench.join();
    assert_eq!(subscription(&join).owned, tps(&[0, 2]));
    bench.tell_committed(&[0]);
    assert_eq!(bench.events(), [reset(2, 0)]);
    bench.tell_join(&request, follower(3, "cooperative-sticky"));
    let (request, _) = bench.sync();
    bench.tell_sync(&request, 0, &[0, 2]);
    assert_eq!(bench.events(), [assigned(3, &[])]);
    assert_eq!(bench.machine.consumer.position(0), Some(Offset(12)));
    assert_eq!(bench.count(|body| matches!(body, RequestKind::JoinGroup(_)).then_some(())), 0);
}

#[test]
fn member_that_is_unknown_has_lost_everything_and_joins_anew() {
    for (error, member_id) in [(ErrorCode::UnknownMemberId, ""), (ErrorCode::IllegalGeneration, "m")] {
        for config in [&[][..], &[COOPERATIVE]] {
            let protocol = if config.is_empty() { "range" } else { "cooperative-sticky" };
            let mut bench = member(config, protocol, &[0, 1]);
            bench.beat(Some(error));
            assert_eq!(bench.events(), [lost(&[0, 1])]);
            let (_, join) = bench.join();
            assert_eq!(join.member_id.as_str(), member_id);
            assert_eq!((subscription(&join).owned, subscription(&join).generation), (vec![], -1));
        }
    }
}

#[test]
fn fenced_static_member_is_out_for_good() {
    let mut bench = member(&[("group.instance.id", "i")], "range", &[0]);
    bench.beat(Some(ErrorCode::FencedInstanceId));
    let failed = ConsumerEvent::GroupFailed { error: ErrorCode::FencedInstanceId };
    assert_eq!(bench.events(), [lost(&[0]), failed]);
    bench.run_for(Span::from_secs(60));
    assert_eq!(bench.count(|body| matches!(body, RequestKind::JoinGroup(_)).then_some(())), 0);
    assert_eq!(bench.events(), []);
}

#[test]
fn coordinator_that_has_moved_is_found_again() {
    let mut bench = member(&[MANUAL], "range", &[0]);
    bench.beat(Some(ErrorCode::NotCoordinator));
    bench.tell_coordinator(2);
    bench.run_for(Span::from_millis(200));
    let (request, heartbeat) = bench.heartbeat();
    assert_eq!((request.node, heartbeat.generation_id), (NodeId(2), 1));
    bench.tell_heartbeat(&request, None);
    // It crashes.
    bench.run_for(Span::from_secs(3));
    bench.heartbeat();
    bench.reset(NodeId(2));
    bench.run_for(Span::from_millis(200));
    bench.tell_coordinator(0);
    assert_eq!(bench.heartbeat().0.node, NodeId(0));
    assert_eq!(bench.events(), []);
}

#[test]
fn coordinator_that_loads_is_asked_again_later() {
    let mut bench = bench(&[]);
    bench.tell_coordinator(1);
    let (request, _) = bench.join();
    bench.tell_join(&request, refused(ErrorCode::CoordinatorLoadInProgress));
    assert_eq!(bench.waiting(), 0);
    bench.run_for(Span::from_millis(200));
    assert_eq!(bench.join().0.node, NodeId(1));
}

#[test]
fn application_that_does_not_call_leaves_the_group() {
    let mut bench = member(&[MANUAL, ("max.poll.interval.ms", "10000")], "range", &[0]);
    bench.machine.busy = true;
    let generation = bench.machine.consumer.group_metadata().unwrap().generation;
    for _ in 0..3 {
        bench.beat(None);
    }
    bench.run_for(Span::from_secs(2));
    let (request, leave) = bench.leave();
    assert_eq!(leave.members[0].member_id.as_str(), "m");
    bench.answer(&request, ResponseKind::LeaveGroup(LeaveGroupResponse::default()));
    assert_eq!(bench.events(), []);
    // A producer that commits its offsets now must not pass for one who has no group: the coordinator is to refuse it.
    let metadata = bench.machine.consumer.group_metadata().unwrap();
    assert_eq!((metadata.generation, metadata.member_id.as_str()), (generation, "m"));
    bench.run_for(Span::from_secs(20));
    assert_eq!(bench.count(|body| matches!(body, RequestKind::JoinGroup(_)).then_some(())), 0);
    bench.app(|app, _| app.busy = false);
    assert_eq!(bench.events(), [lost(&[0])]);
    assert_eq!(bench.join().1.member_id.as_str(), "");
}

#[test]
fn closing_commits_gives_up_and_leaves() {
    let mut bench = member(&[], "range", &[0]);
    bench.tell_records(0, 10, 5);
    bench.app(|app, now| app.consumer.close(now));
    let (request, commit) = bench.commit();
    assert_eq!(committed(&commit), (1, vec![(0, 15)]));
    bench.tell_commit(&request, 0);
    assert!(bench.events().contains(&revoking(&[0])));
    let (request, leave) = bench.leave();
    assert_eq!(leave.members[0].member_id.as_str(), "m");
    assert!(!bench.machine.consumer.is_closed());
    bench.answer(&request, ResponseKind::LeaveGroup(LeaveGroupResponse::default()));
    assert!(bench.machine.consumer.is_closed());
    assert_eq!(bench.machine.consumer.poll_timeout(), None);
}

#[test]
fn static_member_that_closes_says_nothing() {
    let mut bench = member(&[MANUAL, ("group.instance.id", "i")], "range", &[0]);
    bench.app(|app, now| app.consumer.close(now));
    assert!(bench.machine.consumer.is_closed());
    assert_eq!(bench.events(), [revoking(&[0])]);
    assert!(!bench.world.sent.iter().any(|(_, _, r)| matches!(*r.body, RequestKind::LeaveGroup(_))));
}

#[test]
fn member_thrown_out_while_it_gives_up_learns_of_it_afterwards() {
    let mut bench = member(&[MANUAL, COOPERATIVE], "cooperative-sticky", &[0, 1]);
    bench.machine.holds = true;
    bench.beat(Some(ErrorCode::RebalanceInProgress));
    let (request, _) = bench.join();
    bench.tell_join(&request, follower(2, "cooperative-sticky"));
    let (request, _) = bench.sync();
    bench.tell_sync(&request, 0, &[0, 2]);
    assert_eq!(bench.events(), [revoking(&[1])]);
    bench.beat(Some(ErrorCode::UnknownMemberId));
    assert_eq!(bench.events(), []);
    bench.app(|app, now| app.consumer.revoked(now));
    assert_eq!(bench.events(), [lost(&[0])]);
    assert_eq!(subscription(&bench.join().1).owned, []);
}
