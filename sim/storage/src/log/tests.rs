//! Directed tests: one situation each.

mod retention;
mod validation;

use bytes::Bytes;
use trial_node::view::BatchView;
use trial_node::{Disk, DiskError, LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use trial_wire::batch::HEADER_LEN;
use trial_wire::{Batch, BatchBuilder, Compression, ControlRecord, Uuid, messages::EndTxnMarker};

use super::*;
use crate::{SimDisk, TimestampType, whole_file};

const NOW: i64 = 1_700_000_000_000;

/// Small enough that every test has several segments and index entries.
fn config() -> LogConfig {
    LogConfig { segment_bytes: 1000, index_interval_bytes: 150, ..LogConfig::default() }
}

/// A batch of `count` records with timestamps `at`, `at + 1`, ....
fn plain(count: i64, at: i64) -> Batch {
    let mut builder = BatchBuilder::new(Compression::None);
    for i in 0..count {
        builder.push(at + i, None, Some(b"0123456789"), &[]);
    }
    builder.build()
}

fn from_producer(id: i64, epoch: i16, sequence: i32, count: i64) -> Batch {
    let mut builder = BatchBuilder::new(Compression::None);
    for i in 0..count {
        builder.push(NOW + i, None, Some(b"0123456789"), &[]);
    }
    builder.producer(id, epoch, sequence);
    builder.build()
}

struct Fixture {
    disk: SimDisk,
    log: UnifiedLog,
}

impl Fixture {
    fn new(config: LogConfig) -> Fixture {
        let mut disk = SimDisk::new();
        let (log, report) = UnifiedLog::open(&mut disk, "t-0", LogOpen::new(config), NOW).unwrap();
        assert_eq!(report.repairs, []);
        Fixture { disk, log }
    }

    fn append(&mut self, batch: &Batch, epoch: i32) -> Result<AppendInfo, AppendError> {
        self.log.append_as_leader(&mut self.disk, batch, LeaderEpoch(epoch), AppendOrigin::Client, NOW)
    }

    /// Appends `count` batches of three records; timestamps follow the offsets.
    fn fill(&mut self, count: usize, epoch: i32) {
        for _ in 0..count {
            let at = self.log.log_end_offset().0 * 10;
            self.append(&plain(3, at), epoch).unwrap();
        }
    }

    fn batches(&mut self, from: i64) -> Vec<BatchView> {
        let mut out = Vec::new();
        self.log.batches(&mut self.disk, Offset(from), &mut |batch| out.push(batch)).unwrap();
        out
    }

    /// Opens the log again as after a kill with this recovery point, or a clean shutdown.
    fn reopen(&mut self, recovery_point: Option<i64>) -> Vec<Repair> {
        self.disk.crash_process();
        let options = LogOpen {
            config: *self.log.config(),
            clean_shutdown: recovery_point.is_none(),
            recovery_point: Offset(recovery_point.unwrap_or(0)),
            log_start_offset: self.log.log_start_offset(),
            high_watermark: self.log.high_watermark(),
        };
        let (log, report) = UnifiedLog::open(&mut self.disk, "t-0", options, NOW).unwrap();
        self.log = log;
        report.repairs
    }

    fn close(&mut self) {
        self.log.clone().close(&mut self.disk).unwrap();
    }

    fn file(&mut self, name: &str) -> Bytes {
        whole_file::read(&mut self.disk, &format!("t-0/{name}")).unwrap().unwrap()
    }

    fn overwrite(&mut self, name: &str, content: impl Into<Bytes>) {
        whole_file::write(&mut self.disk, &format!("t-0/{name}"), content.into()).unwrap();
    }
}

#[test]
fn a_leader_assigns_offsets_and_epochs() {
    let mut f = Fixture::new(LogConfig::default());
    let info = f.append(&plain(3, NOW), 4).unwrap();
    assert_eq!(
        info,
        AppendInfo {
            first_offset: Offset(0),
            last_offset: Offset(2),
            log_append_time_ms: -1,
            log_start_offset: Offset(0),
            duplicate: false
        }
    );
    f.append(&plain(2, NOW), 5).unwrap();
    assert_eq!(f.log.log_end_offset(), Offset(5));
    let seen: Vec<_> =
        f.batches(0).iter().map(|b| (b.base_offset.0, b.last_offset.0, b.leader_epoch.0)).collect();
    assert_eq!(seen, [(0, 2, 4), (3, 4, 5)]);
    assert_eq!(f.file("leader-epoch-checkpoint"), "0\n2\n4 0\n5 3\n");
    assert_eq!(f.log.end_offset_for_epoch(LeaderEpoch(4)), Some((LeaderEpoch(4), Offset(3))));
}

#[test]
fn what_is_read_is_what_a_follower_can_append() {
    let mut leader = Fixture::new(config());
    leader.fill(30, 1);
    leader.append(&from_producer(7, 0, 0, 2), 2).unwrap();
    let mut follower = Fixture::new(config());
    while follower.log.log_end_offset() < leader.log.log_end_offset() {
        let end = leader.log.log_end_offset();
        let from = follower.log.log_end_offset();
        let data = leader.log.read(&mut leader.disk, from, 700, end, true).unwrap();
        let info = follower.log.append_as_follower(&mut follower.disk, data.records, NOW).unwrap().unwrap();
        assert_eq!((info.first_offset, info.last_offset + 1), (from, data.next_offset));
    }
    assert_eq!(follower.batches(0), leader.batches(0));
    assert_eq!(follower.log.epochs, leader.log.epochs);
    assert_eq!(follower.log.producers.producers(), leader.log.producers.producers());
}

#[test]
fn one_fetch_may_span_segments_of_a_follower() {
    let mut leader = Fixture::new(LogConfig::default());
    leader.fill(40, 1);
    let end = leader.log.log_end_offset();
    let data = leader.log.read(&mut leader.disk, Offset(0), usize::MAX, end, true).unwrap();
    let mut follower = Fixture::new(config());
    follower.log.append_as_follower(&mut follower.disk, data.records, NOW).unwrap();
    assert!(follower.log.segment_count() > 3);
    assert_eq!(follower.batches(0), leader.batches(0));
    assert_eq!(follower.reopen(Some(0)), []);
    assert_eq!(follower.batches(0), leader.batches(0));
}

#[test]
fn a_follower_refuses_damage_and_disorder() {
    let mut leader = Fixture::new(LogConfig::default());
    leader.fill(2, 1);
    let end = leader.log.log_end_offset();
    let records = leader.log.read(&mut leader.disk, Offset(0), usize::MAX, end, true).unwrap().records;
    let mut f = Fixture::new(LogConfig::default());
    let mut damaged = records.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let refused = f.log.append_as_follower(&mut f.disk, damaged.into(), NOW);
    assert!(matches!(refused, Err(AppendError::Batch(BatchError::Crc { .. }))), "{refused:?}");
    assert_eq!((f.log.log_end_offset(), f.log.size()), (Offset(0), 0));

    let half = records.len() / 2;
    let cut_off = f.log.append_as_follower(&mut f.disk, records.slice(..records.len() - 1), NOW).unwrap();
    assert_eq!(cut_off.map(|info| info.last_offset), Some(Offset(2)));
    let refused = f.log.append_as_follower(&mut f.disk, records.clone(), NOW);
    let (offset, expected) = (Offset(0), Offset(3));
    assert_eq!(refused, Err(AppendError::UnexpectedOffset { offset, expected }));
    assert_eq!(f.log.append_as_follower(&mut f.disk, Bytes::new(), NOW), Ok(None));
    f.log.append_as_follower(&mut f.disk, records.slice(half..), NOW).unwrap();
    assert_eq!(f.batches(0), leader.batches(0));
}

#[test]
fn reads_respect_bytes_and_bound() {
    let mut f = Fixture::new(LogConfig::default());
    f.fill(4, 1);
    let size = f.log.size() as usize / 4;
    let cases = [
        // from, max_bytes, bound, min_one: batches, next offset
        ((0, usize::MAX, 12, true), (4, 12)),
        ((4, usize::MAX, 12, true), (3, 12)),
        ((0, 2 * size, 12, true), (2, 6)),
        ((0, 2 * size - 1, 12, false), (1, 3)),
        ((0, size - 1, 12, true), (1, 3)),
        ((0, size - 1, 12, false), (0, 0)),
        ((3, usize::MAX, 9, true), (2, 9)),
        ((3, usize::MAX, 5, true), (0, 3)),
        ((9, usize::MAX, 9, true), (0, 9)),
        ((12, usize::MAX, 12, true), (0, 12)),
    ];
    for tail in [true, false] {
        if !tail {
            f.log.tail.clear();
        }
        for ((from, max, bound, min_one), (batches, next)) in cases {
            let data = f.log.read(&mut f.disk, Offset(from), max, Offset(bound), min_one).unwrap();
            assert_eq!(
                (data.records.len(), data.next_offset),
                (batches * size, Offset(next)),
                "{from} {max} {bound}"
            );
        }
    }
    let error = f.log.read(&mut f.disk, Offset(13), 1, Offset(12), true).unwrap_err();
    assert!(matches!(error, ReadError::OffsetOutOfRange { .. }));
}

#[test]
fn a_read_at_the_tail_shares_memory() {
    let mut f = Fixture::new(LogConfig::default());
    f.fill(3, 1);
    let read =
        |f: &mut Fixture| f.log.read(&mut f.disk, Offset(6), 1 << 20, Offset(9), true).unwrap().records;
    assert_eq!(read(&mut f).as_ptr(), read(&mut f).as_ptr());
    assert_eq!(f.disk.take_usage().bytes_read, 2 * f.log.size() / 3);
}

#[test]
fn a_reader_that_has_enough_is_spared_a_copy() {
    let mut f = Fixture::new(LogConfig::default());
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(NOW, None, Some(&vec![7; 50_000]), &[]);
    let batch = builder.build();
    for _ in 0..3 {
        f.append(&batch, 1).unwrap();
    }
    let size = f.log.size() as usize / 3;
    let max = 2 * size + 10;
    for tail in [true, false] {
        if !tail {
            f.log.tail.clear();
        }
        let mut read = |from, enough| {
            f.log.read_enough(&mut f.disk, Offset(from), enough, max, Offset(3), true).unwrap()
        };
        let (first, again) = (read(0, size), read(0, 1));
        assert_eq!((first.records.len(), first.next_offset), (size, Offset(1)));
        assert_eq!(first.records.as_ptr(), again.records.as_ptr());
        let both = read(0, size + 1);
        assert_eq!((both.records.len(), both.next_offset), (2 * size, Offset(2)));
        assert_eq!(read(2, max).records.len(), size);
    }
}

#[test]
fn idempotent_producers_are_held_to_their_sequence() {
    let mut f = Fixture::new(LogConfig::default());
    for i in 0..7 {
        f.append(&from_producer(1, 0, i * 2, 2), 0).unwrap();
    }
    // The last five batches are known as duplicates, with their original offsets.
    for i in 2..7 {
        let info = f.append(&from_producer(1, 0, i * 2, 2), 0).unwrap();
        assert!(info.duplicate);
        assert_eq!((info.first_offset.0, info.last_offset.0), (i64::from(i) * 2, i64::from(i) * 2 + 1));
    }
    let producer_id = ProducerId(1);
    let refused =
        |sequence| Err(AppendError::OutOfOrderSequence { producer_id, sequence, last_sequence: 13 });
    assert_eq!(f.append(&from_producer(1, 0, 0, 2), 0), refused(0));
    assert_eq!(f.append(&from_producer(1, 0, 15, 2), 0), refused(15));
    // The same first number with another count is no duplicate.
    assert_eq!(f.append(&from_producer(1, 0, 12, 1), 0), refused(12));
    assert_eq!(f.log.log_end_offset(), Offset(14));

    // A new epoch begins at 0, and fences the old one.
    let refused = AppendError::OutOfOrderSequence { producer_id, sequence: 14, last_sequence: -1 };
    assert_eq!(f.append(&from_producer(1, 1, 14, 1), 0), Err(refused));
    assert!(!f.append(&from_producer(1, 1, 0, 1), 0).unwrap().duplicate);
    let (epoch, current) = (ProducerEpoch(0), ProducerEpoch(1));
    let refused = AppendError::InvalidProducerEpoch { producer_id, epoch, current };
    assert_eq!(f.append(&from_producer(1, 0, 14, 1), 0), Err(refused));
    // A producer whose records are gone may go on where it was.
    assert!(!f.append(&from_producer(2, 3, 99, 1), 0).unwrap().duplicate);
}

#[test]
fn sequence_numbers_wrap() {
    let mut f = Fixture::new(LogConfig::default());
    f.append(&from_producer(1, 0, i32::MAX - 1, 1), 0).unwrap();
    f.append(&from_producer(1, 0, i32::MAX, 3), 0).unwrap();
    assert!(f.append(&from_producer(1, 0, i32::MAX, 3), 0).unwrap().duplicate);
    assert!(!f.append(&from_producer(1, 0, 2, 1), 0).unwrap().duplicate);
    assert_eq!(f.batches(1)[0].last_sequence, 1);
}

#[test]
fn clients_may_not_write_what_brokers_write() {
    let mut f = Fixture::new(LogConfig { max_message_bytes: 200, ..LogConfig::default() });
    let marker = ControlRecord::Commit(EndTxnMarker::default()).batch(0, 0, NOW);
    assert!(matches!(f.append(&marker, 0), Err(AppendError::InvalidRecord { .. })));
    let size = plain(20, NOW).header().size;
    assert_eq!(f.append(&plain(20, NOW), 0), Err(AppendError::TooLarge { size, max: 200 }));
    let mut narrow = Fixture::new(LogConfig { segment_bytes: 200, ..LogConfig::default() });
    assert_eq!(narrow.append(&plain(20, NOW), 0), Err(AppendError::LargerThanSegment { size, max: 200 }));
    let raft = f.log.append_as_leader(&mut f.disk, &marker, LeaderEpoch(3), AppendOrigin::RaftLeader, NOW);
    assert_eq!(raft.unwrap().last_offset, Offset(0));
    assert!(f.batches(0)[0].control);
}

#[test]
fn log_append_time_is_written_over_the_producers() {
    let config = LogConfig { message_timestamp_type: TimestampType::LogAppendTime, ..LogConfig::default() };
    let mut f = Fixture::new(config);
    assert_eq!(f.append(&plain(3, 5), 1).unwrap().log_append_time_ms, NOW);
    let bytes = f.log.read(&mut f.disk, Offset(0), 1 << 20, Offset(3), true).unwrap().records;
    let batch = Batch::parse(bytes).unwrap();
    assert!(batch.header().is_log_append_time());
    assert_eq!(batch.header().max_timestamp, NOW);
    assert_eq!(f.log.offset_for_timestamp(&mut f.disk, NOW).unwrap().unwrap().offset, Offset(0));
    assert_eq!(f.log.offset_for_timestamp(&mut f.disk, NOW + 1).unwrap(), None);
}

/// A batch of one record of a transaction.
fn transactional(id: i64, epoch: i16, sequence: i32) -> Batch {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(NOW, None, Some(b"x"), &[]);
    builder.producer(id, epoch, sequence).transactional();
    builder.build()
}

fn marker(id: i64, epoch: i16, commit: bool, coordinator_epoch: i32) -> Batch {
    let mut marker = BatchBuilder::new(Compression::None);
    let end = EndTxnMarker::default().with_coordinator_epoch(coordinator_epoch);
    let record = if commit { ControlRecord::Commit(end) } else { ControlRecord::Abort(end) };
    record.push_to(&mut marker, NOW);
    marker.producer(id, epoch, -1).transactional().control();
    marker.build()
}

impl Fixture {
    /// The coordinator confirms that the producer's transaction may begin here.
    fn verify(&mut self, id: i64, epoch: i16, sequence: i32) {
        let (id, epoch) = (ProducerId(id), ProducerEpoch(epoch));
        let guard = self.log.begin_verification(id, epoch, sequence, NOW).unwrap();
        self.log.confirm_verification(id, epoch, guard);
    }

    fn mark(&mut self, batch: &Batch, transaction_version: i8) -> Result<AppendInfo, AppendError> {
        let origin = AppendOrigin::Marker { transaction_version };
        self.log.append_as_leader(&mut self.disk, batch, LeaderEpoch(0), origin, NOW)
    }

    /// Producer, first offset and marker of each aborted transaction.
    fn aborted(&self, from: i64, to: i64) -> Vec<(i64, i64, i64)> {
        let mut aborted = Vec::new();
        self.log.aborted_transactions(Offset(from), Offset(to), &mut |txn| {
            aborted.push((txn.producer_id.0, txn.first_offset.0, txn.last_offset.0));
        });
        aborted
    }
}

#[test]
fn an_open_transaction_holds_the_last_stable_offset_back() {
    let mut f = Fixture::new(LogConfig::default());
    f.fill(1, 0);
    f.verify(1, 0, 0);
    f.append(&transactional(1, 0, 0), 0).unwrap();
    f.fill(1, 0);
    f.log.update_high_watermark(Offset(7));
    assert_eq!(f.log.last_stable_offset(), Offset(3));
    let refused = AppendError::InvalidTxnState { producer_id: ProducerId(1) };
    assert_eq!(f.append(&from_producer(1, 0, 1, 1), 0), Err(refused));

    f.mark(&marker(1, 0, true, 0), 0).unwrap();
    // The marker itself must be committed first.
    assert_eq!(f.log.last_stable_offset(), Offset(3));
    f.log.update_high_watermark(Offset(8));
    assert_eq!(f.log.last_stable_offset(), Offset(8));
    f.log.update_high_watermark(Offset(7));
    assert_eq!(f.reopen(Some(0)), []);
    assert_eq!(f.log.last_stable_offset(), Offset(3), "the marker is not committed as far as the log knows");
    f.close();
    assert_eq!(f.reopen(None), []);
    assert_eq!(f.log.last_stable_offset(), Offset(3), "nor after a clean shutdown");
}

#[test]
fn a_transaction_begins_only_once_it_is_verified_and_not_with_what_was_verified_before_a_marker() {
    let mut f = Fixture::new(LogConfig::default());
    let refused = AppendError::InvalidTxnState { producer_id: ProducerId(1) };
    assert_eq!(f.append(&transactional(1, 0, 0), 0), Err(refused.clone()));
    let (id, epoch) = (ProducerId(1), ProducerEpoch(0));
    let guard = f.log.begin_verification(id, epoch, 0, NOW).unwrap();
    // Meanwhile the transaction is aborted.
    f.mark(&marker(1, 0, false, 0), 0).unwrap();
    f.log.confirm_verification(id, epoch, guard);
    assert_eq!(f.append(&transactional(1, 0, 0), 0), Err(refused.clone()));
    f.verify(1, 0, 0);
    assert_eq!(f.append(&transactional(1, 0, 0), 0).unwrap().first_offset, Offset(1));
    assert_eq!(f.log.begin_verification(id, epoch, 1, NOW), None, "it is open");
    f.append(&transactional(1, 0, 1), 0).unwrap();
    assert!(f.log.begin_verification(id, ProducerEpoch(1), 0, NOW).is_some(), "another epoch's");
    assert_eq!(f.append(&transactional(1, 1, 0), 0), Err(refused));
}

#[test]
fn markers_of_old_epochs_and_old_coordinators_are_refused() {
    let mut f = Fixture::new(LogConfig::default());
    f.verify(1, 5, 0);
    f.append(&transactional(1, 5, 0), 0).unwrap();
    let epoch = |epoch| AppendError::InvalidProducerEpoch {
        producer_id: ProducerId(1),
        epoch: ProducerEpoch(epoch),
        current: ProducerEpoch(5),
    };
    assert_eq!(f.mark(&marker(1, 4, true, 0), 0), Err(epoch(4)));
    assert_eq!(f.mark(&marker(1, 5, true, 0), 2), Err(epoch(5)), "that of the transaction before");
    f.mark(&marker(1, 6, false, 3), 2).unwrap();
    assert_eq!(f.mark(&marker(1, 6, false, 3), 2).unwrap().first_offset, Offset(2), "sent again");
    let fenced = AppendError::TransactionCoordinatorFenced {
        producer_id: ProducerId(1),
        coordinator_epoch: 2,
        current: 3,
    };
    assert_eq!(f.mark(&marker(1, 6, false, 2), 2), Err(fenced));
    assert_eq!(f.aborted(0, 10), [(1, 0, 1)], "the second ended nothing");
    let old = AppendError::InvalidProducerEpoch {
        producer_id: ProducerId(1),
        epoch: ProducerEpoch(5),
        current: ProducerEpoch(6),
    };
    f.verify(1, 5, 1);
    assert_eq!(f.append(&transactional(1, 5, 1), 0), Err(old), "the marker has fenced the epoch");
}

#[test]
fn aborted_transactions_are_indexed_by_segment_and_survive() {
    let mut f = Fixture::new(config());
    let mut expected = Vec::new();
    for i in 0..10 {
        f.verify(1, 0, i);
        let first = f.append(&transactional(1, 0, i), 0).unwrap().first_offset;
        f.fill(3, 0);
        let last = f.mark(&marker(1, 0, i % 3 == 0, 0), 0).unwrap().last_offset;
        if i % 3 != 0 {
            expected.push((1, first.0, last.0));
        }
    }
    let end = f.log.log_end_offset().0;
    assert!(f.log.segment_count() > 3);
    assert_eq!(f.aborted(0, end), expected);
    f.close();
    assert_eq!(f.reopen(None), []);
    assert_eq!(f.aborted(0, end), expected);
    assert_eq!(f.reopen(Some(40)), []);
    assert_eq!(f.aborted(0, end), expected);
    let names = f.disk.list("t-0").unwrap();
    let (name, len) = names
        .iter()
        .filter(|name| name.ends_with(".txnindex"))
        .map(|name| (name.clone(), f.file(name).len()))
        .find(|(_, len)| *len > 0)
        .unwrap();
    assert_eq!(len % 34, 0);
    f.close();
    f.overwrite(&name, vec![0; 30]);
    assert_eq!(f.reopen(None).len(), 1);
    assert_eq!(f.aborted(0, end), expected, "rebuilt from the log");
    assert_eq!(f.file(&name).len(), len);
    let (_, _, cut) = expected[2];
    f.log.truncate_to(&mut f.disk, Offset(cut)).unwrap();
    assert_eq!(f.aborted(0, end), expected[..2]);
    assert_eq!(f.reopen(Some(0)), []);
    assert_eq!(f.aborted(0, end), expected[..2]);
}

#[test]
fn timestamps_lead_to_offsets_across_segments() {
    let mut f = Fixture::new(config());
    f.fill(40, 0);
    // Batch i has the offsets 3i.. and the timestamps 30i, 30i + 1, 30i + 2.
    for (timestamp, offset) in [(0, 0), (1, 1), (3, 3), (30, 3), (31, 4), (33, 6), (600, 60), (1172, 119)] {
        let found = f.log.offset_for_timestamp(&mut f.disk, timestamp).unwrap().unwrap();
        assert_eq!(found.offset, Offset(offset), "timestamp {timestamp}");
        assert!(found.timestamp >= timestamp);
    }
    assert_eq!(f.log.offset_for_timestamp(&mut f.disk, 1173).unwrap(), None);
    let max = f.log.offset_of_max_timestamp(&mut f.disk).unwrap().unwrap();
    assert_eq!((max.timestamp, max.offset, max.leader_epoch), (1172, Offset(119), LeaderEpoch(0)));
    f.close();
    assert_eq!(f.reopen(None), []);
    assert_eq!(f.log.offset_for_timestamp(&mut f.disk, 600).unwrap().unwrap().offset, Offset(60));
    assert_eq!(f.log.offset_of_max_timestamp(&mut f.disk).unwrap(), Some(max));
}

#[test]
fn the_largest_timestamp_is_one_of_a_record_that_is_not_deleted() {
    let mut f = Fixture::new(LogConfig::default());
    let mut falling = BatchBuilder::new(Compression::None);
    for i in 0..4 {
        falling.push(NOW - i, None, Some(b"v"), &[]);
    }
    f.append(&falling.build(), 0).unwrap();
    f.append(&plain(2, NOW - 90), 0).unwrap();
    f.log.update_high_watermark(Offset(6));
    for (start, timestamp, offset) in [(0, NOW, 0), (2, NOW - 2, 2), (3, NOW - 3, 3), (4, NOW - 89, 5)] {
        f.log.advance_log_start_offset(&mut f.disk, Offset(start)).unwrap();
        let max = f.log.offset_of_max_timestamp(&mut f.disk).unwrap().unwrap();
        assert_eq!((max.timestamp, max.offset), (timestamp, Offset(offset)), "from {start} on");
    }
    f.log.advance_log_start_offset(&mut f.disk, Offset(6)).unwrap();
    assert_eq!(f.log.offset_of_max_timestamp(&mut f.disk).unwrap(), None);
}

#[test]
fn segments_roll_by_size_age_and_index() {
    let mut f = Fixture::new(LogConfig { segment_bytes: 1000, ..LogConfig::default() });
    f.fill(30, 0);
    assert!(f.log.segments.iter().all(|segment| segment.size() <= 1000));
    assert!(f.log.segment_count() >= 3);
    let mut f = Fixture::new(LogConfig { segment_ms: 100, ..LogConfig::default() });
    for (at, segments) in [(NOW, 1), (NOW + 100, 1), (NOW + 101, 2), (NOW + 150, 2)] {
        f.append(&plain(1, at), 0).unwrap();
        assert_eq!(f.log.segment_count(), segments, "at {at}");
    }
    let mut f =
        Fixture::new(LogConfig { segment_index_bytes: 24, index_interval_bytes: 0, ..LogConfig::default() });
    f.fill(9, 0);
    assert_eq!(f.log.segment_count(), 3);
}

#[test]
fn truncation_cuts_records_epochs_producers_and_the_high_watermark() {
    let mut f = Fixture::new(config());
    for i in 0..10 {
        f.append(&from_producer(1, 0, i * 3, 3), i / 3).unwrap();
        f.append(&from_producer(2, 0, i * 3, 3), i / 3).unwrap();
    }
    f.log.flush(&mut f.disk).unwrap();
    f.log.update_high_watermark(Offset(60));
    let before = f.batches(0);
    assert!(!f.log.truncate_to(&mut f.disk, Offset(60)).unwrap());
    assert_eq!(f.log.truncations(), 0);
    // In the middle of the batch 24..=26.
    assert!(f.log.truncate_to(&mut f.disk, Offset(25)).unwrap());
    assert_eq!(f.log.truncations(), 1);
    assert_eq!(
        (f.log.log_end_offset(), f.log.high_watermark(), f.log.recovery_point()),
        (Offset(24), Offset(24), Offset(24))
    );
    assert_eq!(f.batches(0), before[..8]);
    assert_eq!(f.log.latest_epoch(), Some(LeaderEpoch(1)));
    // Producer 1 has 0..12 in the log, producer 2 too.
    assert!(f.append(&from_producer(1, 0, 9, 3), 1).unwrap().duplicate);
    assert!(!f.append(&from_producer(2, 0, 12, 3), 1).unwrap().duplicate);
    assert_eq!(f.reopen(Some(24)), []);
    assert_eq!(f.log.log_end_offset(), Offset(27));
}

#[test]
fn truncation_forgets_an_epoch_that_got_no_records() {
    let mut f = Fixture::new(config());
    f.fill(2, 3);
    f.log.assign_epoch_start(&mut f.disk, LeaderEpoch(5)).unwrap();
    assert_eq!(f.log.latest_epoch(), Some(LeaderEpoch(5)));
    assert!(!f.log.truncate_to(&mut f.disk, Offset(6)).unwrap());
    assert_eq!(f.log.latest_epoch(), Some(LeaderEpoch(3)));
    assert_eq!(f.file("leader-epoch-checkpoint"), "0\n1\n3 0\n");
}

#[test]
fn a_log_can_start_anew_elsewhere() {
    let mut f = Fixture::new(config());
    f.fill(20, 3);
    f.log.truncate_fully_and_start_at(&mut f.disk, Offset(500)).unwrap();
    assert_eq!(
        (f.log.log_start_offset(), f.log.log_end_offset(), f.log.high_watermark()),
        (Offset(500), Offset(500), Offset(500))
    );
    assert_eq!(f.log.latest_epoch(), None);
    f.fill(1, 4);
    assert_eq!(f.batches(0)[0].base_offset, Offset(500));
    assert_eq!(f.reopen(Some(500)), []);
    assert_eq!((f.log.log_start_offset(), f.log.log_end_offset()), (Offset(500), Offset(503)));
}

#[test]
fn the_start_moves_and_old_segments_go() {
    let mut f = Fixture::new(config());
    f.fill(40, 3);
    let segments = f.log.segment_count();
    assert!(!f.log.advance_log_start_offset(&mut f.disk, Offset(50)).unwrap(), "nothing is committed");
    f.log.update_high_watermark(Offset(100));
    assert!(f.log.advance_log_start_offset(&mut f.disk, Offset(50)).unwrap());
    assert_eq!(f.log.end_offset_for_epoch(LeaderEpoch(2)), Some((LeaderEpoch(2), Offset(50))));
    let deleted = f.log.delete_segments_before(&mut f.disk, Offset(50)).unwrap();
    assert!(deleted > 0);
    assert_eq!(f.log.segment_count(), segments - deleted);
    assert!(f.log.segments[0].base_offset() <= Offset(50) && f.log.segments[1].base_offset() > Offset(50));
    let error = f.log.read(&mut f.disk, Offset(49), 1, Offset(120), true).unwrap_err();
    assert!(matches!(error, ReadError::OffsetOutOfRange { .. }));
    assert_eq!(f.reopen(Some(0)), []);
    assert_eq!(f.log.log_start_offset(), Offset(50));
    assert_eq!(f.log.offset_for_timestamp(&mut f.disk, 0).unwrap().unwrap().offset, Offset(50));
}

#[test]
fn a_clean_shutdown_needs_no_repair() {
    let mut f = Fixture::new(config());
    f.log.assign_topic_id(&mut f.disk, Uuid::from_u128(7)).unwrap();
    f.fill(20, 3);
    f.append(&from_producer(1, 0, 0, 2), 4).unwrap();
    let (batches, producers) = (f.batches(0), f.log.producers.producers().clone());
    f.close();
    assert_eq!(f.disk.dirty_bytes(), f.disk.dirty_bytes().min(300), "only old snapshots are not durable");
    assert_eq!(f.reopen(None), []);
    assert_eq!(f.batches(0), batches);
    assert_eq!(f.log.producers.producers(), &producers);
    assert_eq!((f.log.topic_id(), f.log.recovery_point()), (Some(Uuid::from_u128(7)), Offset(62)));
    assert_eq!(f.file("partition.metadata"), "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAABw");
}

#[test]
fn a_torn_tail_is_cut_off() {
    let mut f = Fixture::new(config());
    f.fill(8, 3);
    let whole = f.batches(0);
    let active = format!("{:020}.log", f.log.active().base_offset().0);
    let good = f.file(&active);
    for torn in [&b"\0\0\0\0\0"[..], &[0; 200], &[0xff; 100], &good[..60], &good[..80]] {
        f.overwrite(&active, [&good[..], torn].concat());
        let repairs = f.reopen(Some(0));
        assert_eq!(repairs.len(), 1, "{repairs:?}");
        assert!(repairs[0].what.contains(&format!("cut {} bytes off at byte {}", torn.len(), good.len())));
        assert_eq!(f.batches(0), whole);
        assert_eq!(f.log.truncations(), 1);
        assert_eq!(f.file(&active), good);
    }
}

#[test]
fn a_flipped_bit_in_what_was_not_flushed_cuts_the_log_there() {
    let mut f = Fixture::new(config());
    f.fill(20, 3);
    let whole = f.batches(0);
    let first = f.file("00000000000000000000.log");
    let mut damaged = first.to_vec();
    let position = whole[0].size as usize + whole[1].size as usize - 1;
    damaged[position] ^= 0x40;
    f.overwrite("00000000000000000000.log", damaged);
    let repairs = f.reopen(Some(0));
    assert!(repairs[0].what.contains("CRC-32C"), "{repairs:?}");
    assert!(
        repairs[1..].iter().all(|repair| repair.what == "follows a hole at offset 3: deleted"),
        "{repairs:?}"
    );
    assert_eq!(f.batches(0), whole[..1]);
    assert_eq!(f.log.segment_count(), 1);
    f.fill(1, 4);
    assert_eq!(f.log.log_end_offset(), Offset(6));
}

#[test]
fn a_cleanly_lost_suffix_is_noticed_by_the_hole() {
    let mut f = Fixture::new(config());
    f.fill(20, 3);
    let whole = f.batches(0);
    let first = f.file("00000000000000000000.log");
    f.overwrite("00000000000000000000.log", first.slice(..whole[0].size as usize));
    let repairs = f.reopen(Some(0));
    assert!(repairs.iter().all(|repair| repair.what == "follows a hole at offset 3: deleted"), "{repairs:?}");
    assert_eq!(f.batches(0), whole[..1]);
    assert_eq!(f.log.truncations(), 1);
}

#[test]
fn broken_indexes_are_rebuilt() {
    let mut f = Fixture::new(config());
    f.fill(20, 3);
    let whole = f.batches(0);
    f.close();
    let index = f.file("00000000000000000000.index");
    let time_index = f.file("00000000000000000000.timeindex");
    assert!(index.len() >= 24 && time_index.len() >= 24);
    let beyond = [&index[..], &[0, 0, 1, 0, 0, 1, 0, 0]].concat();
    let elsewhere = [&index[..index.len() - 1], &[index[index.len() - 1] ^ 1]].concat();
    let broken: [(&str, Option<Vec<u8>>, &str); 7] = [
        ("index", None, "missing"),
        ("index", Some(beyond), "it goes beyond the log's end"),
        ("index", Some(elsewhere), "its last entry does not fit the log"),
        ("index", Some(index[..8].to_vec()), "it ends before the log does"),
        ("index", Some(vec![0; 16]), "its entries are not in order"),
        ("timeindex", None, "missing"),
        ("timeindex", Some(time_index[..13].to_vec()), "its size 13 is not a multiple of 12"),
    ];
    for (suffix, content, what) in broken {
        let name = format!("00000000000000000000.{suffix}");
        match content {
            Some(content) => f.overwrite(&name, content),
            None => f.disk.remove(&format!("t-0/{name}")).unwrap(),
        }
        let repairs = f.reopen(None);
        assert_eq!(
            repairs,
            [Repair { path: format!("t-0/{name}"), what: format!("{what}: indexes rebuilt") }]
        );
        assert_eq!(f.batches(0), whole);
        assert_eq!(f.log.truncations(), 0);
        assert_eq!(
            (f.file("00000000000000000000.index"), f.file("00000000000000000000.timeindex")),
            (index.clone(), time_index.clone())
        );
        f.close();
    }
}

#[test]
fn an_index_without_a_log_is_removed() {
    let mut f = Fixture::new(config());
    f.fill(1, 0);
    f.overwrite("00000000000000000077.timeindex", &b"x"[..]);
    let repairs = f.reopen(Some(0));
    assert_eq!(repairs[0].what, "an index without a log: removed");
    assert_eq!(f.reopen(Some(0)), []);
}

#[test]
fn missing_and_corrupt_snapshots_are_replaced_by_a_replay() {
    let mut f = Fixture::new(config());
    for i in 0..20 {
        f.append(&from_producer(i % 2, 0, i as i32 / 2 * 3, 3), 1).unwrap();
    }
    let last = |f: &Fixture| -> Vec<_> {
        f.log
            .producers
            .producers()
            .iter()
            .map(|(id, entry)| (*id, entry.epoch, *entry.last_batch().unwrap()))
            .collect()
    };
    let expected = last(&f);
    f.close();
    let snapshots = |f: &mut Fixture| -> Vec<String> {
        f.disk.list("t-0").unwrap().into_iter().filter(|name| name.ends_with(".snapshot")).collect()
    };
    let names = snapshots(&mut f);
    assert!(names.len() > 2);
    let newest = names.last().unwrap().clone();

    let mut corrupt = f.file(&newest).to_vec();
    corrupt[20] ^= 1;
    f.overwrite(&newest, corrupt);
    let repairs = f.reopen(None);
    assert!(
        repairs.len() == 1 && repairs[0].path.ends_with(&newest) && repairs[0].what.starts_with("CRC-32C")
    );
    assert_eq!(last(&f), expected);

    f.close();
    f.disk.remove(&format!("t-0/{newest}")).unwrap();
    assert_eq!(f.reopen(None).len(), 1);
    assert_eq!(last(&f), expected);

    f.disk.crash_process();
    for name in snapshots(&mut f) {
        f.overwrite(&name, Bytes::new());
    }
    assert!(f.reopen(Some(60)).len() >= 2);
    assert_eq!(last(&f), expected);
    assert_eq!(snapshots(&mut f), [""; 0]);
}

#[test]
fn a_snapshot_beyond_the_log_is_not_believed() {
    let mut f = Fixture::new(config());
    f.append(&from_producer(1, 0, 0, 3), 1).unwrap();
    f.log.clone().close(&mut f.disk).unwrap();
    let snapshot = f.file("00000000000000000003.snapshot");
    f.overwrite("00000000000000000009.snapshot", snapshot);
    f.reopen(Some(0));
    assert!(!f.log.producers.has_snapshot(Offset(9)));
    assert_eq!(
        f.disk.open("t-0/00000000000000000009.snapshot", false),
        Err(DiskError::NotFound { path: "t-0/00000000000000000009.snapshot".into() })
    );
}

#[test]
fn the_epoch_checkpoint_is_rebuilt_from_the_log() {
    let mut f = Fixture::new(config());
    f.fill(10, 3);
    f.fill(10, 5);
    let good = f.file("leader-epoch-checkpoint");
    assert_eq!(good, "0\n2\n3 0\n5 30\n");
    for garbage in [&b"\0\0\0\0"[..], b"", b"0\n7\n3 0\n", b"0\n2\n5 30\n3 0\n", b"9\n0\n"] {
        f.overwrite("leader-epoch-checkpoint", garbage);
        let repairs = f.reopen(Some(60));
        assert_eq!(repairs.len(), 1);
        assert!(repairs[0].what.ends_with("rebuilt from the log"), "{repairs:?}");
        assert_eq!(f.file("leader-epoch-checkpoint"), good);
    }
    // Ahead of the log: the records of epoch 9 were lost.
    f.overwrite("leader-epoch-checkpoint", &b"0\n3\n3 0\n5 30\n9 60\n"[..]);
    assert_eq!(f.reopen(Some(60)), []);
    assert_eq!(f.file("leader-epoch-checkpoint"), good);
}

#[test]
fn a_start_beyond_the_end_empties_the_log() {
    let mut f = Fixture::new(config());
    f.fill(5, 3);
    f.log.log_start_offset = Offset(100);
    let repairs = f.reopen(Some(0));
    assert_eq!(repairs[0].what, "ends at 15, before its start 100: all segments deleted");
    assert_eq!((f.log.log_start_offset(), f.log.log_end_offset()), (Offset(100), Offset(100)));
    f.fill(1, 3);
}

#[test]
fn flushing_moves_the_recovery_point() {
    let mut f = Fixture::new(LogConfig { flush_messages: 10, ..LogConfig::default() });
    f.fill(3, 0);
    assert_eq!(f.log.recovery_point(), Offset(0));
    f.fill(1, 0);
    assert_eq!(f.log.recovery_point(), Offset(12));
    f.disk.take_usage();
    f.log.flush(&mut f.disk).unwrap();
    assert_eq!(f.disk.take_usage().syncs, 0, "nothing is left to do");
    f.log.roll(&mut f.disk, NOW).unwrap();
    f.fill(1, 0);
    f.log.config.flush_messages = i64::MAX;
    f.fill(20, 0);
    f.log.roll(&mut f.disk, NOW).unwrap();
    f.fill(1, 0);
    assert!(f.log.flush_rolled(&mut f.disk).unwrap());
    assert_eq!(f.log.recovery_point(), f.log.active().base_offset());
    assert!(!f.log.flush_rolled(&mut f.disk).unwrap());
}

#[test]
fn the_high_watermark_stays_within_the_log() {
    let mut f = Fixture::new(LogConfig::default());
    f.fill(2, 0);
    assert_eq!(f.log.update_high_watermark(Offset(50)), Offset(6));
    assert_eq!(f.log.update_high_watermark(Offset(3)), Offset(3));
    assert_eq!(f.log.maybe_increment_high_watermark(Offset(2)), None);
    assert_eq!(f.log.maybe_increment_high_watermark(Offset(5)), Some(Offset(3)));
    assert_eq!(f.log.high_watermark(), Offset(5));
}
