//! Throttled replication (KIP-73), and consumers that are sent to the replica in their rack (KIP-392).

use super::*;

/// A megabyte of records.
fn megabyte() -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(1_000, None, Some(&vec![b'x'; 1 << 20]), &[]);
    builder.build().bytes().clone()
}

/// C is out of sync, and 8 MB behind in both partitions, when it comes back under these limits.
fn behind(leader: i64, follower: i64, configs: &[(&'static str, &str)]) -> Cluster {
    let mut cluster = Cluster::new(&[configs, &[("max.message.bytes", "2000000")]].concat());
    cluster.cut.insert(C);
    for _ in 0..8 {
        cluster.produce(A, 1, &[(P0, megabyte()), (P1, megabyte())]);
    }
    cluster.advance(Span::from_secs(60));
    assert_eq!((cluster.isr(A, P0), cluster.isr(A, P1)), (vec![A, B], vec![A, B]));
    for id in [A, B, C] {
        cluster.with(id, |replicas, _| replicas.set_throttles(leader, follower));
    }
    cluster.cut.clear();
    cluster
}

/// How many records C has of each partition after so many milliseconds.
fn fetched_after(cluster: &mut Cluster, ms: u64) -> (i64, i64) {
    cluster.advance(Span::from_millis(ms));
    (cluster.log_end_offset(C, P0), cluster.log_end_offset(C, P1))
}

#[test]
fn without_a_limit_all_is_fetched_at_once() {
    let mut cluster = behind(i64::MAX, i64::MAX, &[("leader.replication.throttled.replicas", "*")]);
    assert_eq!(fetched_after(&mut cluster, 1_100), (8, 8));
}

#[test]
fn a_leader_sends_throttled_replicas_that_are_not_in_sync_no_faster_than_the_limit() {
    let mut cluster = behind(1 << 20, i64::MAX, &[("leader.replication.throttled.replicas", "0:0,1:7")]);
    // The other partition is not held up. What is throttled comes by the megabyte, whenever the rate is below the limit.
    let (p0, p1) = fetched_after(&mut cluster, 1_100);
    assert!((1..=2).contains(&p0) && p1 == 8, "{p0} {p1}");
    let (p0, _) = fetched_after(&mut cluster, 3_000);
    assert!((3..=6).contains(&p0), "{p0}");
    let (p0, _) = fetched_after(&mut cluster, 10_000);
    assert_eq!(p0, 8);
    assert_eq!(cluster.isr(A, P0), [A, B, C]);
    // Who is in sync is not throttled.
    for _ in 0..8 {
        cluster.produce(A, -1, &[(P0, megabyte())]);
    }
    assert_eq!(cluster.high_watermark(A, P0), 16);
}

#[test]
fn a_follower_fetches_throttled_replicas_that_are_not_in_sync_no_faster_than_the_limit() {
    let mut cluster = behind(i64::MAX, 1 << 20, &[("follower.replication.throttled.replicas", "0:2")]);
    let (p0, p1) = fetched_after(&mut cluster, 1_100);
    assert!((1..=2).contains(&p0) && p1 == 8, "{p0} {p1}");
    let (p0, _) = fetched_after(&mut cluster, 15_000);
    assert_eq!((p0, cluster.isr(A, P0)), (8, vec![A, B, C]));
}

/// What a consumer in a rack is told: the preferred replica and how many bytes.
fn read_from(cluster: &mut Cluster, rack: &str, offset: i64) -> (i32, usize) {
    let request = fetch_request((0, -1), 0, &[wanted(0, offset)])
        .with_rack_id(trial_wire::StrBytes::from_string(rack.to_owned()));
    let token = cluster.fetch(A, request);
    let response = cluster.fetched(token).unwrap();
    let partition = &response.responses[0].partitions[0];
    (partition.preferred_read_replica.0, partition.records.as_ref().map_or(0, Bytes::len))
}

#[test]
fn a_consumer_is_sent_to_a_replica_in_its_rack_that_is_in_sync() {
    let mut cluster = Cluster::with_racks(&[(A, "x"), (B, "y"), (C, "y")]);
    cluster.produce(A, -1, &[(P0, batch("a", 3))]);
    let everything = read_from(&mut cluster, "", 0).1;
    assert!(everything > 0);
    assert_eq!(read_from(&mut cluster, "x", 0), (-1, everything), "the leader is there");
    assert_eq!(read_from(&mut cluster, "z", 0), (-1, everything), "nobody is there");
    let (preferred, bytes) = read_from(&mut cluster, "y", 0);
    assert!([B.0, C.0].contains(&preferred) && bytes == 0);
    // B falls behind: first it does not have the offset, then it is not in sync.
    cluster.cut.insert(B);
    cluster.produce(A, 1, &[(P0, batch("b", 1))]);
    assert_eq!(read_from(&mut cluster, "y", 4).0, C.0);
    cluster.advance(Span::from_secs(60));
    assert_eq!((cluster.isr(A, P0), read_from(&mut cluster, "y", 0).0), (vec![A, C], C.0));
    cluster.metadata.brokers.get_mut(&C).unwrap().fenced = true;
    cluster.publish_to(A);
    assert_eq!(read_from(&mut cluster, "y", 0).0, -1, "nobody who can be reached");
}
