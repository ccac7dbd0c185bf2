//! Snapshots: made, served, fetched, and what a listener reads.

use bytes::Bytes;
use trial_node::{Disk, Offset};
use trial_raft::{Committed, OffsetAndEpoch, SnapshotError};
use trial_wire::messages::{
    BrokerId, FetchSnapshotRequest, FetchSnapshotResponse, TopicName, fetch_response, fetch_snapshot_request,
    fetch_snapshot_response,
};
use trial_wire::{Batches, ErrorCode, RequestKind, ResponseKind, StrBytes};

use crate::member::*;

fn id(offset: i64, epoch: i32) -> OffsetAndEpoch {
    OffsetAndEpoch::new(Offset(offset), trial_node::LeaderEpoch(epoch))
}

/// A single voter with offsets 0 to 5 committed: two records of epoch 1, the first record of epoch 2, and three more.
fn committed() -> Member {
    let mut member = Member::start(config(1, 1), Before { log: &[(1, 2)], state: Some((1, 1, 1)) });
    member.append(&["a", "b"]);
    member.append(&["c"]);
    assert_eq!(member.high_watermark(), Some(6));
    member
}

fn create(member: &mut Member, id: OffsetAndEpoch) -> Result<(), SnapshotError> {
    member.raft.create_snapshot(&mut member.disk, id, Bytes::from_static(b"0123456789"))
}

fn read(member: &mut Member, from: i64) -> Vec<i64> {
    match member.raft.read_committed(&mut member.disk, Offset(from), 1 << 20).unwrap() {
        Committed::Batches(batches) => {
            Batches::new(batches).map(|batch| batch.unwrap().header().base_offset).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn snapshots_are_of_what_is_committed() {
    let mut member = committed();
    let not_in_log = |id| Err(SnapshotError::NotInLog { id });
    assert_eq!(create(&mut member, id(7, 2)), not_in_log(id(7, 2)), "beyond the high watermark");
    assert_eq!(create(&mut member, id(4, 2)), not_in_log(id(4, 2)), "within a batch");
    assert_eq!(create(&mut member, id(3, 1)), not_in_log(id(3, 1)), "not that epoch's");
    assert_eq!(create(&mut member, id(3, 2)), Ok(()));
    let stale = |id| Err(SnapshotError::Stale { id, latest: self::id(3, 2) });
    assert_eq!(create(&mut member, id(3, 2)), stale(id(3, 2)));
    assert_eq!(create(&mut member, id(2, 1)), stale(id(2, 1)));
    let files = member.disk.list("__cluster_metadata-0").unwrap();
    let snapshots: Vec<_> = files.iter().filter(|name| name.contains(".checkpoint")).collect();
    assert_eq!(snapshots, ["00000000000000000003-0000000002.checkpoint"]);
}

#[test]
fn a_snapshot_is_durable_and_lets_the_log_before_it_go() {
    let mut member = committed();
    create(&mut member, id(3, 2)).unwrap();
    create(&mut member, id(5, 2)).unwrap();
    member.raft.clean_up_to_latest_snapshot(&mut member.disk).unwrap();
    assert_eq!(member.raft.quorum_view().log_start_offset, Offset(5));
    assert!(member.raft.read_snapshot(&mut member.disk, id(3, 2)).is_err(), "the older one is gone");
    member.disk.lose_everything_unsynced();
    member.restart();
    let content = member.raft.read_snapshot(&mut member.disk, id(5, 2)).unwrap();
    assert_eq!(content, Bytes::from_static(b"0123456789"));
    let snapshot = member.raft.read_committed(&mut member.disk, Offset(0), 1).unwrap();
    assert_eq!(snapshot, Committed::Snapshot(id(5, 2)));
    assert_eq!(read(&mut member, 5), [5, 6]);
}

#[test]
fn a_log_that_forgot_its_start_begins_at_the_snapshot() {
    let mut member = committed();
    create(&mut member, id(3, 2)).unwrap();
    create(&mut member, id(5, 2)).unwrap();
    member.restart();
    assert_eq!(member.raft.quorum_view().log_start_offset, Offset(5));
    assert!(member.raft.read_snapshot(&mut member.disk, id(3, 2)).is_err());
}

#[test]
fn a_listener_reads_what_is_committed() {
    let mut member = committed();
    assert_eq!(read(&mut member, 0), [0, 2, 3, 5]);
    assert_eq!(read(&mut member, 4), [3, 5], "the batch that holds it");
    let nothing = member.raft.read_committed(&mut member.disk, Offset(6), 1).unwrap();
    assert_eq!(nothing, Committed::Nothing);
    create(&mut member, id(3, 2)).unwrap();
    let first = member.raft.read_committed(&mut member.disk, Offset(0), 1).unwrap();
    assert_eq!(first, Committed::Snapshot(id(3, 2)), "a new listener begins with the snapshot");
    assert_eq!(read(&mut member, 2), [2, 3, 5], "one that is on its way goes on");
}

#[test]
fn nothing_above_the_high_watermark_is_read() {
    let mut member = Member::leader_of_three();
    member.append(&["a"]);
    member.append(&["b"]);
    let nothing = member.raft.read_committed(&mut member.disk, Offset(0), 1 << 20).unwrap();
    assert_eq!(nothing, Committed::Nothing);
    member.ask(fetch_request(2, 1, 2, 1, -1));
    assert_eq!(read(&mut member, 0), [0, 1]);
}

// ---- The leader's side

fn fetch_snapshot(epoch: i32, id: OffsetAndEpoch, position: i64, max_bytes: i32) -> FetchSnapshotRequest {
    let partition = fetch_snapshot_request::PartitionSnapshot::default()
        .with_current_leader_epoch(epoch)
        .with_position(position)
        .with_snapshot_id(
            fetch_snapshot_request::SnapshotId::default().with_end_offset(id.offset.0).with_epoch(id.epoch.0),
        );
    FetchSnapshotRequest::default().with_replica_id(BrokerId(9)).with_max_bytes(max_bytes).with_topics(vec![
        fetch_snapshot_request::TopicSnapshot::default()
            .with_name(TopicName(StrBytes::from_static_str("__cluster_metadata")))
            .with_partitions(vec![partition]),
    ])
}

fn snapshot_chunk(response: ResponseKind) -> fetch_snapshot_response::PartitionSnapshot {
    let ResponseKind::FetchSnapshot(mut response) = response else { panic!("{response:?}") };
    response.topics.remove(0).partitions.remove(0)
}

#[test]
fn a_follower_before_the_log_is_sent_to_the_snapshot() {
    let mut member = committed();
    create(&mut member, id(5, 2)).unwrap();
    let offered = |member: &mut Member, offset, epoch| {
        let partition = fetched(member.answer(fetch_request(9, 2, offset, epoch, -1)));
        (partition.snapshot_id.end_offset, partition.snapshot_id.epoch)
    };
    assert_eq!(offered(&mut member, 0, 0), (5, 2), "an empty log is filled faster by it");
    assert_eq!(offered(&mut member, 2, 1), (-1, -1), "the log still has what this one needs");
    member.raft.clean_up_to_latest_snapshot(&mut member.disk).unwrap();
    assert_eq!(offered(&mut member, 2, 1), (5, 2));
    assert_eq!(offered(&mut member, 9, 1), (5, 2), "longer, but of an epoch before the snapshot's");
    assert_eq!(offered(&mut member, 5, 1), (5, 2), "as long, but of another epoch");
    assert_eq!(offered(&mut member, 5, 2), (-1, -1));
}

#[test]
fn a_snapshot_is_served_in_pieces() {
    let mut member = committed();
    create(&mut member, id(5, 2)).unwrap();
    let piece = snapshot_chunk(member.answer(fetch_snapshot(2, id(5, 2), 4, 3)));
    assert_eq!((piece.error_code, piece.size, piece.position), (0, 10, 4));
    assert_eq!(piece.unaligned_records, Bytes::from_static(b"456"));
    let error = |member: &mut Member, request| snapshot_chunk(member.answer(request)).error_code;
    let missing = ErrorCode::SnapshotNotFound.code();
    assert_eq!(error(&mut member, fetch_snapshot(2, id(3, 2), 0, 3)), missing);
    let outside = ErrorCode::PositionOutOfRange.code();
    assert_eq!(error(&mut member, fetch_snapshot(2, id(5, 2), 10, 3)), outside);
    assert_eq!(error(&mut member, fetch_snapshot(2, id(5, 2), -1, 3)), outside);
    let fenced = ErrorCode::FencedLeaderEpoch.code();
    assert_eq!(error(&mut member, fetch_snapshot(1, id(5, 2), 0, 3)), fenced);
}

// ---- The follower's side

#[test]
fn a_snapshot_of_an_epoch_that_has_not_begun_is_not_taken() {
    for epoch in [5, i32::MAX] {
        let mut member = Member::start(config(1, 3), Before { log: &[], state: Some((4, 3, -1)) });
        let (fetch, _) = member.request_to(3);
        member.respond(fetch, fetch_response(offer(id(10, epoch))));
        member.sleep(20);
        // Whichever voter it asks next, it asks for the log.
        let next = member.requests();
        assert!(matches!(next.as_slice(), [(_, _, RequestKind::Fetch(_))]), "{next:?}");
        assert!(member.disk.operations.is_empty());
    }
}

fn offer(id: OffsetAndEpoch) -> fetch_response::PartitionData {
    let snapshot = fetch_response::SnapshotId::default().with_end_offset(id.offset.0).with_epoch(id.epoch.0);
    fetch_partition(3, 4, 20).with_snapshot_id(snapshot)
}

fn chunk(
    error: i16,
    id: OffsetAndEpoch,
    size: i64,
    position: i64,
    bytes: &'static [u8],
) -> FetchSnapshotResponse {
    let leader =
        fetch_snapshot_response::LeaderIdAndEpoch::default().with_leader_id(BrokerId(3)).with_leader_epoch(4);
    let partition = fetch_snapshot_response::PartitionSnapshot::default()
        .with_error_code(error)
        .with_current_leader(leader)
        .with_snapshot_id(
            fetch_snapshot_response::SnapshotId::default()
                .with_end_offset(id.offset.0)
                .with_epoch(id.epoch.0),
        )
        .with_size(size)
        .with_position(position)
        .with_unaligned_records(Bytes::from_static(bytes));
    FetchSnapshotResponse::default().with_topics(vec![
        fetch_snapshot_response::TopicSnapshot::default()
            .with_name(TopicName(StrBytes::from_static_str("__cluster_metadata")))
            .with_partitions(vec![partition]),
    ])
}

fn asked(member: &mut Member) -> (trial_raft::RequestId, i64) {
    let (request, body) = member.request_to(3);
    let RequestKind::FetchSnapshot(fetch) = body else { panic!("{body:?}") };
    let partition = &fetch.topics[0].partitions[0];
    assert_eq!((partition.snapshot_id.end_offset, partition.snapshot_id.epoch), (10, 3));
    (request, partition.position)
}

/// A follower of node 3 in epoch 4, with a log of its own, that was offered snapshot 10@3.
fn offered() -> Member {
    let mut member = Member::start(config(1, 3), Before { log: &[(1, 3)], state: Some((4, 3, -1)) });
    let (fetch, _) = member.request_to(3);
    member.respond(fetch, fetch_response(offer(id(10, 3))));
    member
}

#[test]
fn a_snapshot_takes_the_logs_place() {
    let mut member = offered();
    let (request, position) = asked(&mut member);
    assert_eq!(position, 0);
    member.respond(request, chunk(0, id(10, 3), 6, 0, b"abcd"));
    let (request, position) = asked(&mut member);
    assert_eq!(position, 4);
    assert_eq!(member.end(), 3);
    member.disk.operations.clear();
    member.respond(request, chunk(0, id(10, 3), 6, 4, b"ef"));
    assert_eq!((member.end(), member.high_watermark()), (10, Some(10)));
    assert_eq!(member.raft.quorum_view().log_start_offset, Offset(10));
    let name = "__cluster_metadata-0/00000000000000000010-0000000003.checkpoint";
    assert_eq!(
        member.disk.operations[..5],
        [
            format!("append {name}.part"),
            format!("sync {name}.part"),
            format!("rename {name}.part {name}"),
            "sync_folder __cluster_metadata-0".to_owned(),
            "truncate __cluster_metadata-0/log".to_owned(),
        ]
    );
    let (_, body) = member.request_to(3);
    assert_eq!((fetch_of(&body).fetch_offset, fetch_of(&body).last_fetched_epoch), (10, 3));
    let content = member.raft.read_snapshot(&mut member.disk, id(10, 3)).unwrap();
    assert_eq!(content, Bytes::from_static(b"abcdef"));
    assert_eq!(
        member.raft.read_committed(&mut member.disk, Offset(2), 1).unwrap(),
        Committed::Snapshot(id(10, 3))
    );
    member.disk.lose_everything_unsynced();
    member.restart();
    assert_eq!(member.end(), 10);
}

/// It led epoch 3 and wrote what nobody got; then the leader of epoch 4 committed what it had of epoch 2.
#[test]
fn a_snapshot_takes_the_place_of_a_log_that_ends_with_a_later_epoch() {
    for written in [1, 7] {
        let before = Before { log: &[(1, 3), (3, written)], state: Some((4, 3, -1)) };
        let mut member = Member::start(config(1, 3), before);
        let (fetch, body) = member.request_to(3);
        assert_eq!(fetch_of(&body).last_fetched_epoch, 3);
        member.respond(fetch, fetch_response(offer(id(10, 2))));
        let (request, body) = member.request_to(3);
        let RequestKind::FetchSnapshot(_) = body else { panic!("{body:?}") };
        member.respond(request, chunk(0, id(10, 2), 4, 0, b"abcd"));
        assert_eq!((member.end(), member.high_watermark()), (10, Some(10)));
        let (_, body) = member.request_to(3);
        assert_eq!((fetch_of(&body).fetch_offset, fetch_of(&body).last_fetched_epoch), (10, 2));
    }
}

#[test]
fn a_crash_between_snapshot_and_truncation_is_made_good() {
    let mut member = offered();
    let (request, _) = asked(&mut member);
    let mut before = member.disk.clone();
    member.respond(request, chunk(0, id(10, 3), 4, 0, b"abcd"));
    // As if the power had gone just after the snapshot got its name.
    let name = "__cluster_metadata-0/00000000000000000010-0000000003.checkpoint";
    before.rename(&format!("{name}.part"), name).unwrap();
    before.sync_folder("__cluster_metadata-0").unwrap();
    member.disk = before;
    member.restart();
    assert_eq!((member.end(), member.raft.quorum_view().log_start_offset), (10, Offset(10)));
}

#[test]
fn a_snapshot_that_is_gone_is_given_up() {
    let mut member = offered();
    let (request, _) = asked(&mut member);
    member.respond(request, chunk(ErrorCode::SnapshotNotFound.code(), id(10, 3), 0, 0, b""));
    assert!(member.disk.list("__cluster_metadata-0").unwrap().iter().all(|name| !name.ends_with(".part")));
    let (_, body) = member.request_to(3);
    assert_eq!(fetch_of(&body).fetch_offset, 3, "the leader will say which one there is");
}

#[test]
fn a_piece_that_does_not_fit_is_asked_for_again() {
    let mut member = offered();
    let (request, _) = asked(&mut member);
    member.respond(request, chunk(0, id(10, 3), 6, 2, b"cdef"));
    member.sleep(20);
    let (request, position) = asked(&mut member);
    assert_eq!(position, 0);
    member.respond(request, chunk(0, id(11, 3), 6, 0, b"abcdef"));
    member.sleep(20);
    assert_eq!(asked(&mut member).1, 0);
}

#[test]
fn a_half_fetched_snapshot_does_not_survive() {
    let mut member = offered();
    let (request, _) = asked(&mut member);
    member.respond(request, chunk(0, id(10, 3), 6, 0, b"abcd"));
    member.restart();
    assert!(member.disk.list("__cluster_metadata-0").unwrap().iter().all(|name| !name.ends_with(".part")));

    let mut member = offered();
    member.answer(begin_request(2, 5));
    assert_eq!(member.leader(), Some(2));
    assert!(member.disk.list("__cluster_metadata-0").unwrap().iter().all(|name| !name.ends_with(".part")));
}

#[test]
fn a_log_without_the_snapshot_before_it_does_not_open() {
    let mut member = committed();
    create(&mut member, id(5, 2)).unwrap();
    member.raft.clean_up_to_latest_snapshot(&mut member.disk).unwrap();
    member.disk.remove("__cluster_metadata-0/00000000000000000005-0000000002.checkpoint").unwrap();
    let log = crate::log::TestLog::open(&mut member.disk);
    let config = member.raft.config().clone();
    let env = &mut trial_raft::Env { now: member.now, disk: &mut member.disk, rng: &mut member.rng };
    let error = trial_raft::Raft::open(config, log, env).unwrap_err();
    assert_eq!(
        error.to_string(),
        "__cluster_metadata-0: the log begins at offset 5 but no snapshot ends there"
    );
}
