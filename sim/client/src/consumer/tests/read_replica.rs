//! Reading from the replica in the consumer's rack (KIP-392).

use super::*;

/// A consumer in rack `a` whose first fetch the leader, broker 0, has answered: read from broker 1. Its next fetch waits.
fn sent_on() -> (Bench<Consumer>, Waiting) {
    let (mut bench, request) = reading(&[("client.rack", "a"), ("metadata.max.age.ms", "60000")]);
    assert_eq!((request.node, fetch(&request).rack_id.as_str()), (NodeId(0), "a"));
    let told = data(Bytes::new()).with_preferred_read_replica(BrokerId(1));
    bench.tell_records(&request, 7, vec![told]);
    let request = bench.request();
    assert_eq!((request.node, session(&request), named(&request)), (NodeId(1), (0, 0), vec![(0, 10, 0)]));
    (bench, request)
}

#[test]
fn the_leader_is_asked_again_when_metadata_would_be() {
    let (mut bench, request) = sent_on();
    bench.tell_records(&request, 8, vec![data(batch(10, 2, 0))]);
    assert_eq!(bench.take(), [(0, 10), (0, 11)]);
    let request = bench.request();
    assert_eq!((request.node, named(&request)), (NodeId(1), vec![(0, 12, 0)]));
    bench.tell_records(&request, 8, vec![data(batch(12, 1, 0))]);
    bench.run_for(Span::from_secs(61));
    assert_eq!(bench.take(), [(0, 12)]);
    let request = bench.request();
    assert_eq!((request.node, named(&request)), (NodeId(0), vec![(0, 13, 0)]));
}

#[test]
fn a_replica_that_is_behind_or_gone_sends_the_consumer_back_to_the_leader() {
    for error in [ErrorCode::OffsetOutOfRange, ErrorCode::NotLeaderOrFollower, ErrorCode::OffsetNotAvailable]
    {
        let (mut bench, request) = sent_on();
        bench.tell_records(&request, 8, vec![refused(error)]);
        bench.run_for(Span::from_secs(1));
        // The leader's session has the partition still, at the same offset.
        let request = bench.request();
        assert_eq!((request.node, session(&request)), (NodeId(0), (7, 1)), "{error:?}");
        assert_eq!(bench.machine.position(0), Some(Offset(10)));
    }
    // The leader itself knows: there the offset really is out of range.
    let (mut bench, request) = reading(&[("client.rack", "a")]);
    bench.tell_records(&request, 7, vec![refused(ErrorCode::OffsetOutOfRange)]);
    let RequestKind::ListOffsets(_) = &*bench.request().request.body else { panic!("no reset") };
}

#[test]
fn the_leader_of_another_epoch_is_asked_first() {
    let (mut bench, request) = sent_on();
    bench.world.cluster.elect(0, 0);
    bench.tell_records(&request, 8, vec![refused(ErrorCode::FencedLeaderEpoch)]);
    bench.run_for(Span::from_secs(1));
    assert_eq!(bench.request().node, NodeId(0));
}
