//! Leaders, followers and the ISR.

use super::*;

const ALL: i16 = -1;

#[test]
fn followers_hold_what_the_leader_holds_and_learn_the_high_watermark() {
    let mut cluster = Cluster::new(&[]);
    for n in 0..5 {
        let token = cluster.produce(A, ALL, &[(P0, batch(&format!("p0 {n}"), 2)), (P1, batch("p1", 1))]);
        assert_eq!(cluster.produced(token).unwrap().responses[0].partition_responses[0].error_code, 0);
    }
    let leader = cluster.log(A, P0);
    assert_eq!(leader.len(), 5);
    assert_eq!(cluster.log(B, P0), leader);
    assert_eq!(cluster.log(C, P0), leader);
    assert_eq!(cluster.high_watermark(A, P0), 10);
    assert_eq!(cluster.high_watermark(A, P1), 5);
    cluster.advance(Span::from_millis(500));
    for id in [B, C] {
        assert_eq!(cluster.high_watermark(id, P0), 10, "told by the fetch after at the latest");
    }
}

#[test]
fn an_idle_cluster_only_fetches_every_half_second() {
    let mut cluster = Cluster::new(&[]);
    cluster.produce(A, ALL, &[(P0, batch("a", 1))]);
    cluster.advance(Span::from_secs(10));
    let before = cluster.fetches;
    cluster.advance(Span::from_secs(10));
    assert_eq!(cluster.fetches - before, 2 * 20);
    for tp in [P0, P1] {
        assert_eq!(cluster.isr(A, tp), [A, B, C], "whoever has everything stays in sync however idle");
    }
}

#[test]
fn a_silent_follower_leaves_the_isr_and_comes_back() {
    let mut cluster = Cluster::new(&[]);
    cluster.traced();
    cluster.cut.insert(C);
    cluster.advance(Span::from_secs(1));
    let token = cluster.produce(A, ALL, &[(P0, batch("a", 1))]);
    cluster.advance(Span::from_secs(29));
    assert_eq!(cluster.isr(A, P0), [A, B, C]);
    assert_eq!(cluster.produced(token), None);
    cluster.advance(Span::from_secs(20));
    assert_eq!(cluster.isr(A, P0), [A, B], "C was behind for more than 30 s at the check after 45 s");
    assert_eq!(cluster.isr(A, P1), [A, B, C], "nothing was appended to P1");
    // The produce timed out at 31 s, but its record is committed now.
    assert_eq!(cluster.produced_one(token), Some((ErrorCode::RequestTimedOut.code(), 0)));
    assert_eq!(cluster.high_watermark(A, P0), 1);
    assert_eq!(cluster.traced(), ["0: isr-shrunk orders-0 isr=0,1"]);
    cluster.cut.clear();
    cluster.advance(Span::from_secs(2));
    assert_eq!(cluster.isr(A, P0), [A, B, C]);
    assert_eq!(cluster.traced(), ["0: isr-expanded orders-0 isr=0,1,2"]);
    assert_eq!(cluster.log(C, P0), cluster.log(A, P0));
}

#[test]
fn a_shrink_that_is_under_way_does_not_move_the_high_watermark_and_an_expansion_holds_it_back() {
    let mut cluster = Cluster::new(&[]);
    cluster.controller_is_prompt = false;
    cluster.cut.insert(C);
    cluster.produce(A, 1, &[(P0, batch("a", 1))]);
    cluster.advance(Span::from_secs(50));
    assert_eq!(cluster.to_controller.len(), 1, "one proposal at a time");
    assert_eq!(cluster.high_watermark(A, P0), 0, "the controller may refuse");
    cluster.answer_controller();
    cluster.run();
    assert_eq!(cluster.isr(A, P0), [A, B]);
    assert_eq!(cluster.high_watermark(A, P0), 1);
    // C comes back and catches up; while the controller thinks about it, C counts.
    cluster.cut.clear();
    cluster.advance(Span::from_secs(2));
    assert_eq!(cluster.to_controller.len(), 1);
    cluster.cut.insert(C);
    cluster.advance(Span::from_secs(40));
    cluster.produce(A, 1, &[(P0, batch("b", 1))]);
    assert_eq!(cluster.isr(A, P0), [A, B]);
    assert_eq!(cluster.log_end_offset(B, P0), 2);
    assert_eq!(cluster.high_watermark(A, P0), 1, "C may be in the ISR already");
    // The metadata that confirms the old proposal comes late, and must not withdraw the new one.
    cluster.publish_to(A);
    cluster.advance(Span::from_millis(600));
    assert_eq!(cluster.high_watermark(A, P0), 1);
    assert_eq!(cluster.to_controller.len(), 1);
}

#[test]
fn a_refused_expansion_is_proposed_again_when_the_follower_is_eligible() {
    let mut cluster = Cluster::new(&[]);
    cluster.elect(P0, A, &[A, B]);
    // The leader does not know yet that C is fenced.
    cluster.metadata.brokers.get_mut(&C).unwrap().fenced = true;
    cluster.controller_is_prompt = false;
    cluster.nodes.get_mut(&A).unwrap().metadata.partitions = cluster.metadata.partitions.clone();
    let changes = MetadataChanges { partitions: vec![P0], ..MetadataChanges::default() };
    cluster.with(A, |replicas, ctx| replicas.apply(ctx, &changes));
    cluster.run();
    cluster.advance(Span::from_secs(1));
    assert_eq!(cluster.to_controller.len(), 1);
    cluster.answer_controller();
    cluster.run();
    assert_eq!(cluster.isr(A, P0), [A, B]);
    cluster.publish_to(A);
    cluster.to_controller.clear();
    cluster.nodes.get_mut(&A).unwrap().replicas.alter_partition = Default::default();
    cluster.elect(P0, A, &[A, B]);
    cluster.publish_to(A);
    cluster.advance(Span::from_secs(2));
    assert_eq!(cluster.to_controller.len(), 0, "a fenced broker is not proposed");
    cluster.metadata.brokers.get_mut(&C).unwrap().fenced = false;
    cluster.publish_to(A);
    cluster.advance(Span::from_secs(1));
    assert_eq!(cluster.to_controller.len(), 1, "an idle follower outside the ISR is still looked at");
    cluster.answer_controller();
    assert_eq!(cluster.isr(A, P0), [A, B, C]);
}

#[test]
fn a_controller_that_cannot_be_reached_is_asked_again_with_the_same() {
    let mut cluster = Cluster::new(&[]);
    cluster.controller_is_prompt = false;
    cluster.cut.insert(C);
    cluster.produce(A, 1, &[(P0, batch("a", 1))]);
    cluster.advance(Span::from_secs(46));
    let (from, id, first) = cluster.to_controller.pop_front().unwrap();
    let failure = Err(RequestFailure::Disconnected);
    cluster.with(from, |replicas, ctx| replicas.handle_response(ctx, id, failure));
    cluster.run();
    assert_eq!(cluster.to_controller.len(), 0, "not at once");
    cluster.advance(Span::from_millis(50));
    assert_eq!(cluster.to_controller[0].2, first);
    cluster.answer_controller();
    assert_eq!(cluster.isr(A, P0), [A, B]);
}

#[test]
fn an_earlier_life_of_a_broker_does_not_count() {
    let mut cluster = Cluster::new(&[]);
    cluster.elect(P0, A, &[A, B]);
    // C has restarted and registered anew; what still fetches is the old process.
    cluster.metadata.brokers.get_mut(&C).unwrap().epoch = 500;
    cluster.publish();
    cluster.advance(Span::from_secs(3));
    assert_eq!(cluster.isr(A, P0), [A, B]);
    cluster.with(C, |replicas, _| replicas.set_broker_epoch(500));
    cluster.advance(Span::from_secs(3));
    assert_eq!(cluster.isr(A, P0), [A, B, C]);
}

#[test]
fn a_fetch_of_an_earlier_life_of_a_broker_is_refused() {
    use trial_wire::messages::fetch_request::ReplicaState;
    let mut cluster = Cluster::new(&[]);
    cluster.cut.extend([B, C]);
    cluster.advance(Span::from_secs(1));
    cluster.produce(A, 1, &[(P0, batch("a", 1))]);
    for (epoch, expected) in [(101, ErrorCode::NotLeaderOrFollower.code()), (500, 0)] {
        cluster.metadata.brokers.get_mut(&B).unwrap().epoch = 500;
        cluster.publish_to(A);
        let replica = ReplicaState::default().with_replica_id(BrokerId(1)).with_replica_epoch(epoch);
        let request = fetch_request((0, -1), 0, &[wanted(0, 1)]).with_replica_state(replica);
        let token = cluster.fetch(A, request);
        assert_eq!(told(&cluster.fetched(token).unwrap())[0].1, expected);
        let end = cluster.nodes.get_mut(&A).unwrap().replicas.partitions.get_mut(&P0).unwrap();
        let end = end.leadership().unwrap().remote(B).unwrap().log_end_offset;
        assert_eq!(end, Offset(if expected == 0 { 1 } else { 0 }));
    }
}

#[test]
fn a_follower_that_falls_silent_after_a_long_rest_has_its_full_time() {
    let mut cluster = Cluster::new(&[]);
    cluster.advance(Span::from_secs(600));
    cluster.cut.insert(C);
    cluster.produce(A, 1, &[(P0, batch("a", 1))]);
    cluster.advance(Span::from_secs(29));
    assert_eq!(cluster.isr(A, P0), [A, B, C]);
    cluster.advance(Span::from_secs(17));
    assert_eq!(cluster.isr(A, P0), [A, B]);
}

#[test]
fn an_answer_from_before_a_leader_change_is_ignored() {
    use trial_wire::messages::fetch_response::{EpochEndOffset, FetchableTopicResponse, PartitionData};
    let mut cluster = Cluster::new(&[]);
    cluster.produce(A, ALL, &[(P0, batch("a", 3))]);
    let (_, id, _) = *cluster.in_flight.iter().find(|(from, ..)| *from == B).unwrap();
    cluster.metadata.partitions.get_mut(&P0).unwrap().leader_epoch += 1;
    cluster.elect(P0, A, &[A, B, C]);
    cluster.publish_to(B);
    let answer = |diverging: EpochEndOffset| {
        let data = PartitionData::default().with_diverging_epoch(diverging);
        let topic = FetchableTopicResponse::default().with_topic_id(TOPIC).with_partitions(vec![data]);
        ResponseKind::Fetch(FetchResponse::default().with_responses(vec![topic]))
    };
    let diverging = EpochEndOffset::default().with_epoch(0).with_end_offset(1);
    cluster.with(B, |replicas, ctx| replicas.handle_response(ctx, id, Ok(answer(diverging))));
    assert_eq!(cluster.log_end_offset(B, P0), 3, "the leader of epoch 0 has nothing to say in epoch 1");
}

#[test]
fn a_divergence_at_no_offset_cuts_nothing_off() {
    use trial_wire::messages::fetch_response::{EpochEndOffset, FetchableTopicResponse, PartitionData};
    let mut cluster = Cluster::new(&[]);
    cluster.produce(A, ALL, &[(P0, batch("a", 3))]);
    let (_, id, _) = *cluster.in_flight.iter().find(|(from, ..)| *from == B).unwrap();
    let data = PartitionData::default()
        .with_partition_index(P0.partition)
        .with_diverging_epoch(EpochEndOffset::default().with_epoch(0).with_end_offset(-1));
    let topic = FetchableTopicResponse::default().with_topic_id(TOPIC).with_partitions(vec![data]);
    let answer = ResponseKind::Fetch(FetchResponse::default().with_responses(vec![topic]));
    cluster.with(B, |replicas, ctx| replicas.handle_response(ctx, id, Ok(answer)));
    assert_eq!(cluster.log_end_offset(B, P0), 3);
}

#[test]
fn a_divergent_tail_is_cut_off_after_a_leader_change() {
    let mut cluster = Cluster::new(&[]);
    let token = cluster.produce(A, ALL, &[(P0, batch("committed", 2))]);
    assert_eq!(cluster.produced_one(token), Some((0, 0)));
    // A is isolated, still believes that it leads, and takes records that nobody else has.
    cluster.cut.insert(A);
    cluster.advance(Span::from_secs(1));
    cluster.produce(A, 1, &[(P0, batch("lost", 3))]);
    cluster.elect(P0, B, &[B, C]);
    cluster.publish_to(B);
    cluster.publish_to(C);
    let token = cluster.produce(B, ALL, &[(P0, batch("new", 1))]);
    assert_eq!(cluster.produced_one(token), Some((0, 2)));
    cluster.traced();
    cluster.cut.clear();
    cluster.publish();
    cluster.advance(Span::from_secs(2));
    assert_eq!(cluster.log(A, P0), cluster.log(B, P0));
    assert_eq!(cluster.isr(B, P0), [B, C, A]);
    let traced = cluster.traced();
    assert!(traced.contains(&"0: log-truncated orders-0 from=5 to=2".to_owned()), "{traced:?}");
    assert_eq!(cluster.nodes[&A].replicas.replica(P0).unwrap().truncations, 1);
}

#[test]
fn a_divergent_tail_that_is_shorter_than_the_leaders_log_is_cut_off_too() {
    let mut cluster = Cluster::new(&[]);
    cluster.produce(A, ALL, &[(P0, batch("committed", 2))]);
    cluster.cut.insert(A);
    cluster.advance(Span::from_secs(1));
    for text in ["lost 1", "lost 2"] {
        cluster.produce(A, 1, &[(P0, batch(text, 1))]);
    }
    cluster.elect(P0, B, &[B, C]);
    cluster.publish_to(B);
    cluster.publish_to(C);
    for text in ["new 1", "new 2", "new 3"] {
        cluster.produce(B, ALL, &[(P0, batch(text, 1))]);
    }
    cluster.traced();
    cluster.cut.clear();
    cluster.publish();
    cluster.advance(Span::from_secs(2));
    assert_eq!(cluster.log(A, P0), cluster.log(B, P0));
    let traced = cluster.traced();
    assert!(traced.contains(&"0: log-truncated orders-0 from=4 to=2".to_owned()), "{traced:?}");
}

/// KAFKA-6361 (KIP-279): two fast leader changes leave a follower with an epoch that the last leader never had.
#[test]
fn a_tail_of_an_epoch_that_the_leader_never_had_is_cut_off_step_by_step() {
    let mut cluster = Cluster::new(&[]);
    cluster.produce(A, ALL, &[(P0, batch("committed", 1))]);
    cluster.advance(Span::from_secs(1));
    cluster.cut.extend([A, B, C]);
    cluster.advance(Span::from_secs(1));
    // Epoch 0: A alone appends. Epoch 1: B alone appends. Epoch 2: A leads again, with two more.
    cluster.produce(A, 1, &[(P0, batch("a", 2))]);
    cluster.elect(P0, B, &[B]);
    cluster.publish_to(B);
    cluster.produce(B, 1, &[(P0, batch("b", 4))]);
    cluster.elect(P0, A, &[A]);
    cluster.publish_to(A);
    cluster.produce(A, 1, &[(P0, batch("c", 1))]);
    cluster.cut.clear();
    cluster.publish();
    cluster.advance(Span::from_secs(3));
    let leader = cluster.log(A, P0);
    assert_eq!(
        leader.iter().map(|(base, epoch, _)| (*base, *epoch)).collect::<Vec<_>>(),
        [(0, 0), (1, 0), (3, 2)]
    );
    assert_eq!(cluster.log(B, P0), leader);
    assert_eq!(cluster.log(C, P0), leader);
    assert_eq!(cluster.isr(A, P0), [A, B, C]);
    assert_eq!(cluster.high_watermark(A, P0), 4);
}

#[test]
fn a_follower_ahead_of_an_uncleanly_elected_leader_follows_it_down() {
    let mut cluster = Cluster::new(&[]);
    cluster.cut.insert(C);
    cluster.advance(Span::from_secs(1));
    cluster.produce(A, 1, &[(P0, batch("lost", 3))]);
    assert_eq!(cluster.log_end_offset(B, P0), 3);
    cluster.elect(P0, C, &[C]);
    cluster.cut.clear();
    cluster.publish();
    cluster.advance(Span::from_secs(3));
    for id in [A, B, C] {
        assert_eq!(cluster.log_end_offset(id, P0), 0, "{id}");
        assert_eq!(cluster.high_watermark(id, P0), 0, "{id}");
    }
    let token = cluster.produce(C, ALL, &[(P0, batch("new", 1))]);
    assert_eq!(cluster.produced_one(token), Some((0, 0)));
    assert_eq!(cluster.log(A, P0), cluster.log(C, P0));
}

#[test]
fn a_new_leader_commits_nothing_of_a_follower_that_has_not_fetched_in_its_epoch() {
    let mut cluster = Cluster::new(&[]);
    cluster.produce(A, ALL, &[(P0, batch("a", 2))]);
    // B's high watermark is behind.
    cluster.cut.insert(C);
    assert!(cluster.high_watermark(B, P0) <= 2);
    cluster.elect(P0, B, &[B, C]);
    cluster.publish_to(B);
    cluster.produce(B, 1, &[(P0, batch("b", 1))]);
    assert!(cluster.high_watermark(B, P0) <= 2);
    cluster.cut.clear();
    cluster.publish();
    cluster.advance(Span::from_secs(2));
    assert_eq!(cluster.high_watermark(B, P0), 3);
}

#[test]
fn a_leader_that_appended_nothing_forgets_its_epoch_under_its_successor() {
    let mut cluster = Cluster::new(&[]);
    cluster.produce(A, ALL, &[(P0, batch("a", 1))]);
    for leader in [B, C, A] {
        cluster.elect(P0, leader, &[A, B, C]);
        cluster.publish();
    }
    cluster.advance(Span::from_secs(3));
    let fetches = cluster.fetches;
    cluster.advance(Span::from_secs(10));
    assert_eq!(cluster.fetches - fetches, 2 * 20, "nobody goes round in circles");
    let token = cluster.produce(A, ALL, &[(P0, batch("b", 1))]);
    assert_eq!(cluster.produced_one(token), Some((0, 1)));
    assert_eq!(cluster.log(B, P0), cluster.log(A, P0));
    assert_eq!(cluster.log(C, P0), cluster.log(A, P0));
}

#[test]
fn a_leader_that_died_in_silence_is_followed_at_once_when_it_is_back() {
    let mut cluster = Cluster::new(&[]);
    cluster.produce(A, ALL, &[(P0, batch("a", 1))]);
    // The machine is gone: the fetches that wait there are never answered.
    let disk = cluster.nodes.remove(&A).unwrap().disk;
    for tp in [P0, P1] {
        cluster.elect(tp, B, &[B, C]);
    }
    cluster.publish();
    cluster.advance(Span::from_secs(1));
    cluster.start(A, disk);
    cluster.publish();
    cluster.advance(Span::from_secs(2));
    assert_eq!(cluster.isr(B, P0), [B, C, A]);
    cluster.elect(P0, A, &[B, C, A]);
    cluster.publish();
    let token = cluster.produce(A, ALL, &[(P0, batch("b", 1))]);
    cluster.advance(Span::from_secs(1));
    assert_eq!(cluster.produced_one(token), Some((0, 1)));
}

#[test]
fn replicas_say_that_they_changed_once_per_step() {
    let mut cluster = Cluster::new(&[]);
    assert_eq!(cluster.nodes[&A].replicas.changed(), [P0, P1]);
    cluster.with(A, |replicas, ctx| replicas.clear_changed(ctx.disk));
    cluster.produce(A, ALL, &[(P1, batch("a", 1))]);
    assert_eq!(cluster.nodes[&A].replicas.changed(), [P1]);
    cluster.with(A, |replicas, ctx| replicas.clear_changed(ctx.disk));
    cluster.advance(Span::from_secs(2));
    assert_eq!(cluster.nodes[&A].replicas.changed(), [], "nothing happens to an idle replica");
}

#[test]
fn a_leader_that_missed_another_ones_term_forgets_how_far_its_followers_had_come() {
    let mut cluster = Cluster::new(&[]);
    cluster.produce(A, ALL, &[(P0, batch("a", 3))]);
    cluster.advance(Span::from_secs(1));
    cluster.cut.insert(B);
    cluster.advance(Span::from_secs(1));
    cluster.produce(A, 1, &[(P0, batch("b", 1))]);
    assert_eq!((cluster.log_end_offset(C, P0), cluster.high_watermark(A, P0)), (4, 3));
    // B leads, and C cuts off what B does not have, before A hears of it.
    cluster.cut = [A].into();
    cluster.elect(P0, B, &[A, B, C]);
    cluster.publish_to(B);
    cluster.publish_to(C);
    cluster.advance(Span::from_secs(1));
    assert_eq!(cluster.log_end_offset(C, P0), 3);
    cluster.cut = [A, B, C].into();
    cluster.elect(P0, A, &[A, C]);
    cluster.publish_to(A);
    assert_eq!(cluster.high_watermark(A, P0), 3, "C does not have offset 3");
    cluster.cut = [B].into();
    cluster.publish_to(C);
    cluster.advance(Span::from_secs(2));
    assert_eq!((cluster.log_end_offset(C, P0), cluster.high_watermark(A, P0)), (4, 4));
}
