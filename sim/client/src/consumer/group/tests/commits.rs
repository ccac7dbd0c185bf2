use trial_wire::messages::JoinGroupResponse;

use crate::consumer::group::embedded;

use super::*;

/// A member of generation 1 with partition 0, which reads it from offset 10 on.
fn member(config: &[(&str, &str)]) -> Bench<App> {
    let mut bench = bench(config);
    bench.tell_coordinator(1);
    let (request, ()) = bench.next(|body| matches!(body, RequestKind::JoinGroup(_)).then_some(()));
    let body = JoinGroupResponse::default()
        .with_generation_id(1)
        .with_protocol_name(Some(StrBytes::from_static_str("range")))
        .with_leader(StrBytes::from_static_str("another"))
        .with_member_id(StrBytes::from_static_str("m"));
    bench.answer(&request, ResponseKind::JoinGroup(body));
    let (request, ()) = bench.next(|body| matches!(body, RequestKind::SyncGroup(_)).then_some(()));
    let body = trial_wire::messages::SyncGroupResponse::default()
        .with_assignment(embedded::encode_assignment(&tps(&[0])));
    bench.answer(&request, ResponseKind::SyncGroup(body));
    bench.tell_committed(&[10]);
    bench.events();
    bench
}

fn manual() -> Bench<App> {
    member(&[("enable.auto.commit", "false")])
}

fn committing(commit: u64, offset: i64) -> ConsumerEvent {
    ConsumerEvent::Committing { commit: CommitId(commit), epoch: 1, offsets: vec![(0, Offset(offset))] }
}

fn failed(commit: u64, error: &'static str, ambiguous: bool) -> ConsumerEvent {
    ConsumerEvent::CommitFailed { commit: CommitId(commit), error, ambiguous }
}

#[test]
fn commit_tells_generation_and_leader_epoch() {
    let mut bench = manual();
    assert_eq!(bench.machine.consumer.committed(0), Some(Offset(10)));
    bench.tell_records(0, 10, 5);
    let id = bench.app(|app, now| app.consumer.commit(now, &[(0, Offset(15))]));
    let (request, commit) = bench.commit();
    assert_eq!((request.node, committed(&commit)), (NodeId(1), (1, vec![(0, 15)])));
    assert_eq!((commit.member_id.as_str(), commit.topics[0].partitions[0].committed_leader_epoch), ("m", 0));
    bench.tell_commit(&request, 0);
    assert_eq!(bench.events(), [committing(0, 15), ConsumerEvent::Committed { commit: id }]);
    assert_eq!(bench.machine.consumer.committed(0), Some(Offset(15)));
}

#[test]
fn commit_is_tried_again_and_a_later_one_does_not_overtake_it() {
    let mut bench = manual();
    bench.app(|app, now| app.consumer.commit(now, &[(0, Offset(11))]));
    bench.app(|app, now| app.consumer.commit(now, &[(0, Offset(12))]));
    let (request, _) = bench.commit();
    bench.tell_commit(&request, ErrorCode::CoordinatorLoadInProgress.code());
    bench.run_for(Span::from_millis(200));
    let (request, commit) = bench.commit();
    assert_eq!(committed(&commit), (1, vec![(0, 11)]));
    bench.tell_commit(&request, 0);
    let (request, commit) = bench.commit();
    assert_eq!(committed(&commit), (1, vec![(0, 12)]));
    bench.tell_commit(&request, 0);
    let done = |commit| ConsumerEvent::Committed { commit: CommitId(commit) };
    assert_eq!(bench.events(), [committing(0, 11), done(0), committing(1, 12), done(1)]);
}

#[test]
fn commit_without_an_answer_may_have_taken_effect() {
    let mut bench = manual();
    bench.app(|app, now| app.consumer.commit_async(now, &[(0, Offset(11))]));
    bench.commit();
    bench.reset(NodeId(1));
    assert_eq!(bench.events(), [committing(0, 11), failed(0, "NETWORK_EXCEPTION", true)]);

    let mut bench = member(&[("enable.auto.commit", "false"), ("default.api.timeout.ms", "1000")]);
    bench.app(|app, now| app.consumer.commit(now, &[(0, Offset(11))]));
    let (request, _) = bench.commit();
    bench.tell_commit(&request, ErrorCode::NotCoordinator.code());
    bench.run_for(Span::from_secs(2));
    // The coordinator was not found in time; the first attempt may have been appended.
    assert_eq!(bench.events(), [committing(0, 11), failed(0, "REQUEST_TIMED_OUT", true)]);
}

#[test]
fn commit_of_a_former_member_fails_for_certain() {
    let mut bench = manual();
    bench.app(|app, now| app.consumer.commit(now, &[(0, Offset(11))]));
    let (request, _) = bench.commit();
    bench.tell_commit(&request, ErrorCode::IllegalGeneration.code());
    assert_eq!(bench.events(), [committing(0, 11), failed(0, "ILLEGAL_GENERATION", false), lost(&[0])]);
    bench.app(|app, now| app.consumer.commit(now, &[(0, Offset(11))]));
    let told = ConsumerEvent::Committing { commit: CommitId(1), epoch: -1, offsets: vec![(0, Offset(11))] };
    assert_eq!(bench.events(), [told, failed(1, "UNKNOWN_MEMBER_ID", false)]);
}

#[test]
fn auto_commit_tells_what_was_taken_before() {
    let mut bench = member(&[("auto.commit.interval.ms", "2000")]);
    bench.tell_records(0, 10, 5);
    bench.run_for(Span::from_millis(2_100));
    let (request, commit) = bench.commit();
    assert_eq!(committed(&commit), (1, vec![(0, 15)]));
    // It is not retried: the next one tells more.
    bench.tell_commit(&request, ErrorCode::CoordinatorNotAvailable.code());
    assert_eq!(bench.events()[1], failed(0, "COORDINATOR_NOT_AVAILABLE", true));
    bench.tell_coordinator(1);
    bench.run_for(Span::from_secs(2));
    let (_, commit) = bench.commit();
    assert_eq!(committed(&commit), (1, vec![(0, 15)]));
}

#[test]
fn application_that_is_busy_commits_nothing_by_itself() {
    let mut bench = member(&[("auto.commit.interval.ms", "1000")]);
    bench.machine.busy = true;
    bench.run_for(Span::from_millis(2_500));
    assert_eq!(bench.count(|body| matches!(body, RequestKind::OffsetCommit(_)).then_some(())), 0);
    bench.app(|app, _| app.busy = false);
    bench.commit();
}

#[test]
fn seek_before_the_committed_offset_is_known_counts() {
    let mut bench = bench(&[]);
    bench.tell_coordinator(1);
    let (request, ()) = bench.next(|body| matches!(body, RequestKind::JoinGroup(_)).then_some(()));
    let body = JoinGroupResponse::default()
        .with_generation_id(1)
        .with_protocol_name(Some(StrBytes::from_static_str("range")))
        .with_member_id(StrBytes::from_static_str("m"));
    bench.answer(&request, ResponseKind::JoinGroup(body));
    let (request, ()) = bench.next(|body| matches!(body, RequestKind::SyncGroup(_)).then_some(()));
    let body = trial_wire::messages::SyncGroupResponse::default()
        .with_assignment(embedded::encode_assignment(&tps(&[0])));
    bench.answer(&request, ResponseKind::SyncGroup(body));
    bench.app(|app, _| app.consumer.seek(0, Offset(33)));
    bench.tell_committed(&[10]);
    assert_eq!(bench.fetching(), [(0, 33)]);
    assert_eq!(bench.machine.consumer.position(0), Some(Offset(33)));
}
