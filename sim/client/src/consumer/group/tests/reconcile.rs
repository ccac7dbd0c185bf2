use trial_wire::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use trial_wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use super::*;

const PROTOCOL: (&str, &str) = ("group.protocol", "consumer");
const MANUAL: (&str, &str) = ("enable.auto.commit", "false");

impl Bench<App> {
    fn heartbeat_848(&mut self) -> (Waiting, ConsumerGroupHeartbeatRequest) {
        self.next(|body| match body {
            RequestKind::ConsumerGroupHeartbeat(heartbeat) => Some(heartbeat.clone()),
            _ => None,
        })
    }

    fn heartbeats_waiting(&mut self) -> usize {
        self.count(|body| matches!(body, RequestKind::ConsumerGroupHeartbeat(_)).then_some(()))
    }

    fn tell_epoch(&mut self, to: &Waiting, epoch: i32, partitions: Option<&[i32]>) {
        let topic_id = self.world.cluster.topic_id();
        let assignment = partitions.map(|partitions| {
            let topic =
                TopicPartitions::default().with_topic_id(topic_id).with_partitions(partitions.to_vec());
            Assignment::default().with_topic_partitions(vec![topic])
        });
        let body = ConsumerGroupHeartbeatResponse::default()
            .with_member_epoch(epoch)
            .with_heartbeat_interval_ms(5_000)
            .with_assignment(assignment);
        self.answer(to, ResponseKind::ConsumerGroupHeartbeat(body));
    }

    fn refuse(&mut self, to: &Waiting, error: ErrorCode) {
        let body = ConsumerGroupHeartbeatResponse::default().with_error_code(error.code());
        self.answer(to, ResponseKind::ConsumerGroupHeartbeat(body));
    }
}

fn owned(heartbeat: &ConsumerGroupHeartbeatRequest) -> Option<Vec<i32>> {
    let topics = heartbeat.topic_partitions.as_ref()?;
    Some(topics.iter().flat_map(|topic| topic.partitions.clone()).collect())
}

/// A member in epoch 1 that has these partitions and has said so; its next heartbeat is due in 5 s.
fn member(config: &[(&str, &str)], partitions: &[i32]) -> Bench<App> {
    let mut bench = bench(&[&[PROTOCOL], config].concat());
    bench.tell_coordinator(1);
    let (request, _) = bench.heartbeat_848();
    bench.tell_epoch(&request, 1, Some(partitions));
    bench.tell_committed(&vec![10; partitions.len()]);
    let (request, heartbeat) = bench.heartbeat_848();
    assert_eq!((heartbeat.member_epoch, owned(&heartbeat)), (1, Some(partitions.to_vec())));
    bench.tell_epoch(&request, 1, None);
    bench.events();
    bench
}

#[test]
fn member_joins_under_its_own_id_and_acknowledges_what_it_gets() {
    let mut bench = bench(&[PROTOCOL, ("group.remote.assignor", "range"), ("max.poll.interval.ms", "60000")]);
    bench.tell_coordinator(1);
    let (request, heartbeat) = bench.heartbeat_848();
    assert_eq!((request.node, heartbeat.member_epoch, owned(&heartbeat)), (NodeId(1), 0, Some(vec![])));
    assert_eq!(heartbeat.rebalance_timeout_ms, 60_000);
    assert_eq!(heartbeat.subscribed_topic_names, Some(vec![topic_name("orders")]));
    assert_eq!(heartbeat.server_assignor.unwrap().as_str(), "range");
    let id = heartbeat.member_id;
    assert_eq!(id.len(), 36);
    bench.tell_epoch(&request, 3, Some(&[1, 2]));
    assert_eq!(bench.events(), [assigned(3, &[0, 1])]);
    let metadata = bench.machine.consumer.group_metadata().unwrap();
    assert_eq!((metadata.generation, &metadata.member_id), (3, &id));
    let (request, heartbeat) = bench.heartbeat_848();
    assert_eq!((heartbeat.member_epoch, owned(&heartbeat)), (3, Some(vec![1, 2])));
    assert_eq!((heartbeat.subscribed_topic_names, heartbeat.rebalance_timeout_ms), (None, -1));
    bench.tell_epoch(&request, 3, None);
    let request = bench.tell_committed(&[42, -1]);
    let RequestKind::OffsetFetch(asked) = &*request.request.body else { panic!() };
    assert_eq!((asked.groups[0].member_epoch, asked.groups[0].member_id.as_ref()), (3, Some(&id)));
    assert_eq!(bench.events(), [reset(0, 42)]);
    // From now on it says only that it is there.
    assert_eq!(bench.heartbeats_waiting(), 0);
    bench.run_for(Span::from_secs(5));
    let (_, heartbeat) = bench.heartbeat_848();
    assert_eq!((heartbeat.member_epoch, owned(&heartbeat)), (3, None));
}

#[test]
fn what_is_taken_away_is_given_up_before_the_rest_is_acknowledged() {
    let mut bench = member(&[], &[0, 1]);
    bench.tell_records(0, 10, 5);
    bench.machine.holds = true;
    bench.run_for(Span::from_secs(5));
    // The auto-commit that was due, too.
    let (request, _) = bench.commit();
    bench.tell_commit(&request, 0);
    bench.events();
    let (request, _) = bench.heartbeat_848();
    bench.tell_epoch(&request, 1, Some(&[1]));
    let (request, commit) = bench.commit();
    assert_eq!(committed(&commit), (1, vec![(0, 15), (1, 10)]));
    bench.tell_commit(&request, 0);
    assert_eq!(bench.events().last(), Some(&revoking(&[0])));
    assert_eq!(bench.heartbeats_waiting(), 0);
    bench.app(|app, now| app.consumer.revoked(now));
    assert_eq!(bench.events(), [assigned(1, &[])]);
    let (request, heartbeat) = bench.heartbeat_848();
    assert_eq!((heartbeat.member_epoch, owned(&heartbeat)), (1, Some(vec![1])));
    // Only now the group goes on to the next epoch.
    bench.tell_epoch(&request, 2, Some(&[1, 3]));
    let (request, _) = bench.commit();
    bench.tell_commit(&request, 0);
    assert_eq!(bench.events().last(), Some(&assigned(2, &[2])));
    assert_eq!(owned(&bench.heartbeat_848().1), Some(vec![1, 3]));
}

#[test]
fn fenced_member_has_lost_everything_and_joins_anew_under_its_id() {
    for error in [ErrorCode::FencedMemberEpoch, ErrorCode::UnknownMemberId] {
        let mut bench = member(&[MANUAL], &[0, 1]);
        let id = bench.machine.consumer.group_metadata().unwrap().member_id;
        bench.run_for(Span::from_secs(5));
        let (request, _) = bench.heartbeat_848();
        bench.refuse(&request, error);
        assert_eq!(bench.events(), [lost(&[0, 1])]);
        let (_, heartbeat) = bench.heartbeat_848();
        assert_eq!((heartbeat.member_epoch, owned(&heartbeat)), (0, Some(vec![])));
        assert_eq!(heartbeat.member_id, id);
        assert_eq!(heartbeat.subscribed_topic_names, Some(vec![topic_name("orders")]));
    }
}

#[test]
fn heartbeat_without_an_answer_is_said_again_in_full() {
    let mut bench = member(&[MANUAL], &[0]);
    bench.run_for(Span::from_secs(5));
    bench.heartbeat_848();
    bench.reset(NodeId(1));
    bench.run_for(Span::from_millis(200));
    bench.tell_coordinator(2);
    let (request, heartbeat) = bench.heartbeat_848();
    assert_eq!((request.node, heartbeat.member_epoch, owned(&heartbeat)), (NodeId(2), 1, Some(vec![0])));
    assert!(heartbeat.subscribed_topic_names.is_some());
    assert_eq!(bench.events(), []);
}

#[test]
fn commit_with_a_stale_epoch_is_sent_again_with_the_new_one() {
    let mut bench = member(&[MANUAL], &[0]);
    bench.app(|app, now| app.consumer.commit(now, &[(0, Offset(11))]));
    let (commit, _) = bench.commit();
    bench.run_for(Span::from_secs(5));
    let (request, _) = bench.heartbeat_848();
    bench.tell_commit(&commit, ErrorCode::StaleMemberEpoch.code());
    bench.tell_epoch(&request, 2, None);
    bench.run_for(Span::from_millis(200));
    let (request, again) = bench.commit();
    assert_eq!(committed(&again), (2, vec![(0, 11)]));
    bench.tell_commit(&request, 0);
    let told = |epoch| {
        let offsets = vec![(0, Offset(11))];
        ConsumerEvent::Committing { commit: CommitId(0), epoch, offsets }
    };
    assert_eq!(bench.events(), [told(1), told(2), ConsumerEvent::Committed { commit: CommitId(0) }]);
}

#[test]
fn application_that_does_not_call_leaves_and_comes_back() {
    let mut bench = member(&[MANUAL, ("max.poll.interval.ms", "8000")], &[0]);
    bench.machine.busy = true;
    bench.run_for(Span::from_secs(5));
    let (request, _) = bench.heartbeat_848();
    bench.tell_epoch(&request, 1, None);
    bench.run_for(Span::from_millis(3_100));
    let (request, leave) = bench.heartbeat_848();
    assert_eq!(leave.member_epoch, -1);
    bench.tell_epoch(&request, -1, None);
    bench.run_for(Span::from_secs(20));
    assert_eq!((bench.events(), bench.heartbeats_waiting()), (vec![], 0));
    bench.app(|app, _| app.busy = false);
    assert_eq!(bench.events(), [lost(&[0])]);
    let (_, heartbeat) = bench.heartbeat_848();
    assert_eq!((heartbeat.member_epoch, heartbeat.member_id), (0, leave.member_id));
}

#[test]
fn closing_leaves_for_good_or_for_a_while() {
    for (config, epoch) in [(&[MANUAL][..], -1), (&[MANUAL, ("group.instance.id", "i")], -2)] {
        let mut bench = member(config, &[0]);
        bench.app(|app, now| app.consumer.close(now));
        assert_eq!(bench.events(), [revoking(&[0])]);
        let (request, heartbeat) = bench.heartbeat_848();
        assert_eq!(heartbeat.member_epoch, epoch);
        bench.tell_epoch(&request, epoch, None);
        assert!(bench.machine.consumer.is_closed());
    }
}

#[test]
fn refusal_is_told() {
    let mut bench = bench(&[PROTOCOL]);
    bench.tell_coordinator(1);
    let (request, _) = bench.heartbeat_848();
    bench.refuse(&request, ErrorCode::UnsupportedAssignor);
    assert_eq!(bench.events(), [ConsumerEvent::GroupFailed { error: ErrorCode::UnsupportedAssignor }]);
}
