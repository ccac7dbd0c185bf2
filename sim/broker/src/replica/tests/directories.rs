//! Log directories that fail.

use trial_storage::disk::fault::{DiskFault, DiskPart, FailingOps};

use trial_storage::log_dir::{MetaProperties, write_meta_properties};

use super::*;

const ALL: i16 = -1;

fn fail(cluster: &mut Cluster, id: NodeId, directory: &str, ops: FailingOps) {
    let part = match directory {
        "" => DiskPart::Everything,
        name => DiskPart::LogDir(name.to_owned()),
    };
    let disk = &mut cluster.nodes.get_mut(&id).unwrap().disk;
    disk.inject(&part, &DiskFault::Error(ops), &mut Rng::named(1, "fault"));
}

const WRITES: FailingOps = FailingOps { read: false, write: true, sync: false };

/// As [`Cluster::new`], but A has two directories, with a partition in each.
fn with_two_directories() -> Cluster {
    let mut cluster = Cluster::new(&[]);
    cluster.kill(A);
    let unassigned = trial_metadata::UNASSIGNED_DIRECTORY;
    for partition in cluster.metadata.partitions.values_mut() {
        partition.directories[0] = unassigned;
    }
    let mut disk = SimDisk::new();
    for path in ["x", "y"] {
        let directory_id = directory_id(A, path);
        let meta = MetaProperties { cluster_id: "trial".to_owned(), node_id: A, directory_id };
        write_meta_properties(&mut disk, path, &meta).unwrap();
    }
    cluster.start_in(A, disk, &["x", "y"]);
    cluster.publish();
    cluster
}

fn place(cluster: &Cluster, id: NodeId, tp: TopicIdPartition) -> String {
    let mut logs = cluster.nodes[&id].replicas.logs();
    let name = format!("orders-{}", tp.partition);
    logs.find(|log| log.folder().ends_with(&name)).unwrap().folder().to_owned()
}

#[test]
fn an_append_that_fails_is_not_acknowledged_and_takes_the_directory_offline() {
    let mut cluster = Cluster::new(&[]);
    cluster.produce(A, ALL, &[(P0, batch("a", 3))]);
    fail(&mut cluster, A, "", WRITES);
    let token = cluster.produce(A, ALL, &[(P0, batch("b", 1))]);
    assert_eq!(cluster.produced_one(token), Some((ErrorCode::KafkaStorageError.code(), -1)));
    assert_eq!(cluster.failed_directories, [(A, String::new())]);
    assert!(cluster.nodes[&A].replicas.replica(P0).is_none());
    assert!(cluster.nodes[&A].replicas.replica(P1).is_none(), "all that is in the directory goes");
    let traced = cluster.traced();
    assert!(
        traced.iter().any(|event| event.contains("log-dir-offline") || event.contains("/:")),
        "{traced:?}"
    );
    // Clients and followers are told, again and again.
    let token = cluster.produce(A, 1, &[(P1, batch("c", 1))]);
    assert_eq!(cluster.produced_one(token), Some((ErrorCode::KafkaStorageError.code(), -1)));
    let token = cluster.fetch(A, fetch_request((0, -1), 0, &[wanted(0, 0)]));
    let response = cluster.fetched(token).unwrap();
    assert_eq!(told(&response)[0].1, ErrorCode::KafkaStorageError.code());
    assert_eq!(cluster.failed_directories.len(), 1, "it is told once");
}

#[test]
fn what_a_leader_did_before_its_directory_failed_in_the_same_step_can_be_seen() {
    let mut cluster = with_two_directories();
    cluster.elect(P0, A, &[A]);
    cluster.publish();
    cluster.with(A, |replicas, ctx| replicas.clear_changed(ctx.disk));
    let token = cluster.produce(A, ALL, &[(P0, batch("a", 3))]);
    assert_eq!(cluster.produced_one(token), Some((0, 0)));
    fail(&mut cluster, A, "x", WRITES);
    cluster.produce(A, ALL, &[(P0, batch("b", 1))]);
    assert!(cluster.nodes[&A].replicas.replica(P0).is_none());
    let lost = cluster.nodes[&A].replicas.lost_replica(P0).unwrap();
    assert_eq!((lost.leader, lost.high_watermark, lost.log_end_offset), (true, Offset(3), Offset(3)));
    assert_eq!(cluster.log(A, P0).len(), 1, "its log can be read");
    cluster.with(A, |replicas, ctx| replicas.clear_changed(ctx.disk));
    assert!(cluster.nodes[&A].replicas.lost_replica(P0).is_none());
    assert_eq!(cluster.log(A, P0).len(), 0);

    // One that did nothing in the step has nothing to be seen.
    let mut cluster = Cluster::new(&[]);
    cluster.with(A, |replicas, ctx| replicas.clear_changed(ctx.disk));
    fail(&mut cluster, A, "", WRITES);
    cluster.produce(A, ALL, &[(P0, batch("a", 1))]);
    assert!([P0, P1].iter().all(|tp| cluster.nodes[&A].replicas.lost_replica(*tp).is_none()));
}

#[test]
fn a_follower_whose_disk_is_full_does_not_say_what_it_has_appended() {
    let mut start = Cluster::new(&[]);
    start.produce(A, ALL, &[(P0, batch("a", 3))]);
    start.advance(Span::from_secs(1));
    let mut failed = Vec::new();
    for capacity in (0..2_000).step_by(8) {
        let mut cluster = start.clone();
        let disk = &mut cluster.nodes.get_mut(&C).unwrap().disk;
        disk.inject(&DiskPart::Everything, &DiskFault::Full(Some(capacity)), &mut Rng::named(1, "fault"));
        // Followers learn of the log's start with the next records, and write it to a checkpoint after those.
        cluster.delete_records(A, 0, 1);
        let token = cluster.produce(A, ALL, &[(P0, batch("b", 1))]);
        let fails = !cluster.failed_directories.is_empty();
        assert_eq!(cluster.produced_one(token), (!fails).then_some((0, 3)), "with room for {capacity}");
        failed.push(fails);
    }
    assert_eq!((failed.first(), failed.last()), (Some(&true), Some(&false)));
}

#[test]
fn who_waits_for_a_replica_in_a_directory_that_fails_is_told() {
    let mut cluster = with_two_directories();
    cluster.cut.extend([B, C]);
    let (x, y) =
        (cluster.produce(A, ALL, &[(P0, batch("a", 1))]), cluster.produce(A, ALL, &[(P1, batch("b", 1))]));
    assert_eq!(cluster.produced_one(x), None);
    let (x_is, _) = (place(&cluster, A, P0), place(&cluster, A, P1));
    assert!(x_is.starts_with("x/"), "{x_is}");
    fail(&mut cluster, A, "x", WRITES);
    cluster.produce(A, 1, &[(P0, batch("c", 1))]);
    assert_eq!(cluster.produced_one(x), Some((ErrorCode::KafkaStorageError.code(), 0)), "it may be there");
    assert_eq!(cluster.produced_one(y), None, "the other directory goes on");
    assert_eq!(cluster.failed_directories, [(A, "x".to_owned())]);
    let token = cluster.produce(A, 1, &[(P1, batch("d", 1))]);
    assert_eq!(cluster.produced_one(token), Some((0, 1)));
}

#[test]
fn reads_syncs_and_checkpoints_that_fail_take_the_directory_offline() {
    let ops = |read, sync| FailingOps { read, write: false, sync };
    for (ops, what) in [(ops(true, false), "read"), (ops(false, true), "checkpoint")] {
        let mut cluster = with_two_directories();
        cluster.produce(A, ALL, &[(P0, batch("a", 1)), (P1, batch("b", 1))]);
        cluster.advance(Span::from_secs(2));
        fail(&mut cluster, A, "x", ops);
        if what == "read" {
            let token = cluster.fetch(A, fetch_request((0, -1), 0, &[wanted(0, 0)]));
            let response = cluster.fetched(token).unwrap();
            assert_eq!(told(&response)[0].1, ErrorCode::KafkaStorageError.code());
        } else {
            cluster.advance(Span::from_secs(6));
        }
        assert_eq!(cluster.failed_directories, [(A, "x".to_owned())], "{what}");
        assert!(cluster.nodes[&A].replicas.replica(P0).is_none(), "{what}");
        assert!(cluster.nodes[&A].replicas.replica(P1).is_some(), "{what}");
        cluster.advance(Span::from_secs(600));
        assert_eq!(cluster.high_watermark(A, P1), 1);
    }
}

#[test]
fn a_follower_whose_directory_fails_fetches_no_more() {
    let mut cluster = Cluster::new(&[]);
    fail(&mut cluster, C, "", WRITES);
    cluster.produce(A, 1, &[(P0, batch("a", 1))]);
    assert_eq!(cluster.failed_directories, [(C, String::new())]);
    assert_eq!(cluster.log_end_offset(B, P0), 1);
    cluster.advance(Span::from_secs(1));
    let fetches = cluster.fetches;
    cluster.kill(B);
    cluster.advance(Span::from_secs(10));
    assert_eq!(cluster.fetches, fetches, "nobody is left who would");
}

#[test]
fn new_replicas_go_where_there_are_the_fewest_and_the_controller_is_told() {
    let cluster = with_two_directories();
    assert_eq!([P0, P1].map(|tp| place(&cluster, A, tp)), ["x/orders-0", "y/orders-1"]);
    let assigned = [P0, P1].map(|tp| cluster.metadata.partitions[&tp].directories[0]);
    assert_eq!(assigned, ["x", "y"].map(|path| directory_id(A, path)));
    assert!(cluster.to_controller.is_empty());
}

#[test]
fn a_restart_finds_replicas_where_they_are_and_creates_none_while_a_directory_is_offline() {
    let mut cluster = with_two_directories();
    cluster.produce(A, ALL, &[(P0, batch("a", 3)), (P1, batch("b", 2))]);
    let mut disk = cluster.kill(A);
    disk.crash_process();
    // Even if the metadata had it the other way round.
    for (tp, path) in [(P0, "y"), (P1, "x")] {
        cluster.metadata.partitions.get_mut(&tp).unwrap().directories[0] = directory_id(A, path);
    }
    cluster.start_in(A, disk.clone(), &["x", "y"]);
    cluster.publish();
    assert_eq!([P0, P1].map(|tp| place(&cluster, A, tp)), ["x/orders-0", "y/orders-1"]);
    assert_eq!(cluster.metadata.partitions[&P0].directories[0], directory_id(A, "x"), "told right");

    cluster.kill(A);
    let mut replicas_in_x = cluster.clone();
    let disk = &mut disk;
    let x = DiskPart::LogDir("x".to_owned());
    disk.inject(&x, &DiskFault::Error(FailingOps::ALL), &mut Rng::named(1, "fault"));
    replicas_in_x.start_in(A, disk.clone(), &["x", "y"]);
    replicas_in_x.publish();
    assert_eq!(replicas_in_x.failed_directories, [(A, "x".to_owned())]);
    let replicas = &replicas_in_x.nodes[&A].replicas;
    assert!(replicas.replica(P0).is_none(), "it may be in the directory that is offline");
    assert_eq!(replicas.replica(P1).unwrap().log_end_offset, Offset(2));
    assert_eq!(replicas.online_directories(), [directory_id(A, "y")]);
}

#[test]
fn a_replica_that_is_assigned_to_none_is_created_while_a_directory_is_offline_only_if_it_is_new() {
    let mut cluster = with_two_directories();
    let mut disk = cluster.kill(A);
    disk.crash_process();
    let x = DiskPart::LogDir("x".to_owned());
    disk.inject(&x, &DiskFault::Error(FailingOps::ALL), &mut Rng::named(1, "fault"));
    // The controller has not taken note of where it was.
    let mut old = cluster.metadata.partitions[&P0].clone();
    old.directories[0] = trial_metadata::UNASSIGNED_DIRECTORY;
    cluster.metadata.partitions.insert(P0, old.clone());
    // Created while the broker was away, and after its start.
    let [meanwhile, later] = [2, 3].map(|partition| TopicIdPartition { topic_id: TOPIC, partition });
    let mut new = old.clone();
    new.partition_epoch = 0;
    cluster.metadata.partitions.insert(meanwhile, new);
    cluster.start_in(A, disk, &["x", "y"]);
    cluster.publish_to(A);
    cluster.with(A, |replicas, ctx| replicas.remove_strays(ctx));
    cluster.metadata.partitions.insert(later, old);
    cluster.publish_to(A);
    let replicas = &cluster.nodes[&A].replicas;
    assert!(replicas.replica(P0).is_none(), "it is in the directory that is offline");
    assert_eq!(
        [P1, meanwhile, later].map(|tp| place(&cluster, A, tp)),
        ["y/orders-1", "y/orders-2", "y/orders-3"]
    );
    let token = cluster.produce(A, ALL, &[(P0, batch("a", 1))]);
    assert_eq!(cluster.produced_one(token), Some((ErrorCode::KafkaStorageError.code(), -1)));
}

#[test]
fn a_refused_assignment_is_asked_for_again_after_longer_and_longer_waits() {
    let mut cluster = with_two_directories();
    let mut disk = cluster.kill(A);
    disk.crash_process();
    for partition in cluster.metadata.partitions.values_mut() {
        partition.directories[0] = trial_metadata::UNASSIGNED_DIRECTORY;
    }
    cluster.assignments_asked.clear();
    cluster.assignments_refused.insert(P0);
    cluster.start_in(A, disk, &["x", "y"]);
    cluster.publish();
    assert_eq!(cluster.metadata.partitions[&P1].directories[0], directory_id(A, "y"));
    cluster.advance(Span::from_secs(60));
    let asked = std::mem::take(&mut cluster.assignments_asked);
    assert_eq!(asked.iter().filter(|(_, tp)| *tp == P1).count(), 1);
    let asked: Vec<Time> = asked.iter().filter(|(_, tp)| *tp == P0).map(|(at, _)| *at).collect();
    let waits: Vec<Span> = asked.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    let (growing, longest) = waits.split_at(6);
    assert!(growing.windows(2).all(|pair| pair[1].0 > pair[0].0 * 3 / 2), "{waits:?}");
    assert!(longest.len() > 3 && longest.iter().all(|wait| wait.0 > growing[5].0), "{waits:?}");
    assert!(longest.iter().all(|wait| *wait <= Span::from_secs(10)), "{waits:?}");
    cluster.assignments_refused.clear();
    cluster.advance(Span::from_secs(10));
    assert_eq!(cluster.metadata.partitions[&P0].directories[0], directory_id(A, "x"));
    cluster.publish();
    cluster.assignments_asked.clear();
    cluster.advance(Span::from_secs(60));
    assert_eq!(cluster.assignments_asked, []);
}

#[test]
fn a_replaced_directory_is_filled_from_the_leader() {
    let mut cluster = with_two_directories();
    cluster.elect(P0, B, &[B, C]);
    cluster.publish();
    cluster.produce(B, 1, &[(P0, batch("a", 3))]);
    cluster.advance(Span::from_secs(1));
    let mut disk = cluster.kill(A);
    disk.crash_process();
    trial_node::Disk::remove(&mut disk, "x").unwrap();
    cluster.metadata.brokers.get_mut(&A).unwrap().epoch = 200;
    cluster.start_in(A, disk, &["z", "y"]);
    cluster.publish();
    assert_eq!(place(&cluster, A, P0), "z/orders-0");
    assert_eq!(cluster.metadata.partitions[&P0].directories[0], directory_id(A, "z"));
    cluster.advance(Span::from_secs(5));
    assert_eq!(cluster.log(A, P0), cluster.log(B, P0));
    assert_eq!(cluster.isr(B, P0), [B, C, A]);
}

#[test]
fn directories_are_shut_down_one_by_one() {
    let mut cluster = with_two_directories();
    cluster.produce(A, ALL, &[(P0, batch("a", 3)), (P1, batch("b", 2))]);
    let mut failing = cluster.clone();
    assert_eq!(cluster.with(A, |replicas, ctx| replicas.shutdown(ctx)), Ok(()));
    let syncs = FailingOps { read: false, write: false, sync: true };
    fail(&mut failing, A, "x", syncs);
    assert!(failing.with(A, |replicas, ctx| replicas.shutdown(ctx)).is_err());
    let clean = |mut cluster: Cluster| {
        let mut disk = cluster.kill(A);
        disk.heal(&DiskPart::LogDir("x".to_owned()), &DiskFault::Error(syncs));
        disk.lose_power(&mut Rng::named(1, "power"));
        ["x", "y"].map(|dir| trial_storage::log_dir::take_clean_shutdown(&mut disk, dir).unwrap().is_some())
    };
    assert_eq!(clean(cluster), [true, true]);
    assert_eq!(clean(failing), [false, true]);
}
