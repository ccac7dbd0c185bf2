//! What is on disk, and what a restart makes of it.

use super::*;

const ALL: i16 = -1;

#[test]
fn the_high_watermark_is_checkpointed_only_when_it_has_moved() {
    let mut cluster = Cluster::new(&[]);
    cluster.produce(A, ALL, &[(P0, batch("a", 3))]);
    cluster.advance(Span::from_secs(6));
    let mut disk = cluster.nodes[&A].disk.clone();
    let file = trial_storage::log_dir::CheckpointFile::HighWatermark;
    let checkpoint = trial_storage::log_dir::read_checkpoint(&mut disk, "", file).unwrap();
    assert_eq!(checkpoint.get(&("orders".to_owned(), 0)), Some(&Offset(3)));
    let node = cluster.nodes.get_mut(&A).unwrap();
    node.disk.take_usage();
    let usage = node.disk.take_usage();
    cluster.advance(Span::from_secs(120));
    assert_eq!(cluster.nodes.get_mut(&A).unwrap().disk.take_usage(), usage, "an idle broker writes nothing");
}

#[test]
fn a_follower_that_was_killed_catches_up() {
    let mut cluster = Cluster::new(&[]);
    cluster.produce(A, ALL, &[(P0, batch("a", 3))]);
    cluster.advance(Span::from_secs(6));
    let mut disk = cluster.kill(C);
    disk.crash_process();
    cluster.produce(A, 1, &[(P0, batch("b", 3))]);
    cluster.metadata.brokers.get_mut(&C).unwrap().epoch = 200;
    cluster.start(C, disk);
    cluster.publish();
    cluster.advance(Span::from_secs(2));
    assert_eq!(cluster.log(C, P0), cluster.log(A, P0));
    assert_eq!(cluster.high_watermark(A, P0), 6);
    cluster.advance(Span::from_secs(1));
    assert_eq!(cluster.high_watermark(C, P0), 6);
}

#[test]
fn a_leader_that_was_restarted_in_order_goes_on_where_it_was() {
    let mut cluster = Cluster::new(&[]);
    cluster.produce(A, ALL, &[(P0, batch("a", 3))]);
    cluster.with(A, |replicas, ctx| replicas.shutdown(ctx)).unwrap();
    let mut disk = cluster.kill(A);
    disk.lose_power(&mut Rng::named(3, "power"));
    cluster.traced();
    cluster.start(A, disk);
    cluster.elect(P0, A, &[A, B, C]);
    cluster.metadata.partitions.get_mut(&P0).unwrap().leader_epoch += 1;
    cluster.publish_to(A);
    assert_eq!(cluster.high_watermark(A, P0), 3, "from the checkpoint");
    cluster.publish();
    cluster.advance(Span::from_secs(2));
    let traced = cluster.traced();
    assert!(!traced.iter().any(|event| event.contains("recovered")), "{traced:?}");
    assert_eq!(cluster.log_end_offset(A, P0), 3);
    assert_eq!(cluster.high_watermark(A, P0), 3);
    let token = cluster.produce(A, ALL, &[(P0, batch("b", 1))]);
    assert_eq!(cluster.produced_one(token), Some((0, 3)));
}

#[test]
fn a_folder_of_an_older_topic_of_the_same_name_is_not_taken_for_the_new_one() {
    let mut cluster = Cluster::new(&[]);
    cluster.produce(A, ALL, &[(P0, batch("a", 3)), (P1, batch("b", 1))]);
    cluster.with(A, |replicas, ctx| replicas.shutdown(ctx)).unwrap();
    let disk = cluster.kill(A);
    cluster.start(A, disk);
    let new = Uuid::from_u128(8);
    let mut metadata = cluster.metadata.clone();
    metadata.names = BTreeMap::from([(new, topic())]);
    let old = metadata.partitions.remove(&P0).unwrap();
    let tp = TopicIdPartition { topic_id: new, partition: 0 };
    metadata.partitions = BTreeMap::from([(tp, old)]);
    cluster.metadata = metadata;
    cluster.publish_to(A);
    assert_eq!(cluster.log_end_offset(A, tp), 0);
    cluster.with(A, |replicas, ctx| replicas.remove_strays(ctx));
    let left =
        trial_storage::log_dir::list_partitions(&mut cluster.nodes.get_mut(&A).unwrap().disk, "").unwrap();
    let left: Vec<_> = left.into_iter().map(|f| (f.folder, f.topic_id)).collect();
    assert_eq!(left, [("orders-0".to_owned(), Some(new))]);
}

#[test]
fn a_recovery_point_that_goes_back_is_checkpointed_at_once() {
    let file = trial_storage::log_dir::CheckpointFile::RecoveryPoint;
    let mut cluster = Cluster::new(&[("segment.bytes", "200")]);
    cluster.produce(A, ALL, &[(P0, batch("committed", 2))]);
    cluster.cut.insert(A);
    cluster.advance(Span::from_secs(1));
    for n in 0..10 {
        cluster.produce(A, 1, &[(P0, batch(&format!("lost {n}"), 2))]);
    }
    cluster.advance(Span::from_secs(61));
    let checkpoint = |cluster: &mut Cluster| {
        let disk = &mut cluster.nodes.get_mut(&A).unwrap().disk;
        trial_storage::log_dir::read_checkpoint(disk, "", file).unwrap()[&("orders".to_owned(), 0)]
    };
    assert!(checkpoint(&mut cluster) > Offset(2), "rolled segments are flushed once a minute");
    cluster.elect(P0, B, &[B, C]);
    cluster.publish();
    cluster.cut.clear();
    cluster.advance(Span::from_secs(2));
    assert_eq!(cluster.log_end_offset(A, P0), 2);
    assert!(checkpoint(&mut cluster) <= Offset(2));
}

#[test]
fn a_topic_does_not_inherit_the_checkpoints_of_a_deleted_one_of_its_name() {
    use trial_storage::log_dir::{CheckpointFile, read_checkpoint};
    let mut cluster = Cluster::new(&[("segment.bytes", "200")]);
    for n in 0..10 {
        cluster.produce(A, ALL, &[(P0, batch(&format!("old {n}"), 2))]);
    }
    cluster.advance(Span::from_secs(61));
    let checkpoint = |cluster: &mut Cluster, file| {
        let disk = &mut cluster.nodes.get_mut(&A).unwrap().disk;
        read_checkpoint(disk, "", file).unwrap().get(&("orders".to_owned(), 0)).copied()
    };
    assert!(checkpoint(&mut cluster, CheckpointFile::RecoveryPoint) > Some(Offset(0)));
    let new = Uuid::from_u128(8);
    let tp = TopicIdPartition { topic_id: new, partition: 0 };
    let old = cluster.metadata.partitions.remove(&P0).unwrap();
    cluster.metadata.names = BTreeMap::from([(new, topic())]);
    cluster.metadata.partitions = BTreeMap::from([(tp, old)]);
    let node = cluster.nodes.get_mut(&A).unwrap();
    node.metadata = cluster.metadata.clone();
    let changes = MetadataChanges {
        partitions: vec![tp],
        deleted_topics: vec![P0.topic_id],
        ..MetadataChanges::default()
    };
    cluster.with(A, |replicas, ctx| replicas.apply(ctx, &changes));
    assert_eq!(cluster.log_end_offset(A, tp), 0);
    assert_eq!(checkpoint(&mut cluster, CheckpointFile::RecoveryPoint), Some(Offset(0)));
    assert_eq!(checkpoint(&mut cluster, CheckpointFile::HighWatermark), Some(Offset(0)));
}
