//! Compaction against a model: whatever is cleaned and whenever it crashes, the last committed value of each key stays.

use std::collections::BTreeMap;

use proptest::prelude::*;
use trial_node::view::{BatchView, LogRecordView, OpenTransactionView};
use trial_node::{Disk, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Rng};
use trial_wire::messages::EndTxnMarker;
use trial_wire::{Batch, BatchBuilder, Compression, ControlRecord};

use super::model_tests::Stopping;
use super::*;
use crate::SimDisk;

const NOW: i64 = 1_700_000_000_000;
const DAY: i64 = 24 * 3_600_000;

/// A step of a test.
#[derive(Clone, Debug)]
enum Op {
    /// Keys and values (odd ones are tombstones) of one batch; of a transaction if there is a producer.
    Append {
        producer: Option<u8>,
        records: Vec<(u8, u8)>,
    },
    End {
        producer: u8,
        commit: bool,
    },
    Commit,
    /// Cleans, some hours after the last time; the disk may stop after a few changes, by a kill or a power loss.
    Clean {
        hours: u8,
        stop: Option<(u8, Option<u64>)>,
    },
    Reopen {
        clean: bool,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let records = || proptest::collection::vec((0u8..6, any::<u8>()), 1..5);
    prop_oneof![
        8 => (proptest::option::weighted(0.5, 1u8..4), records())
            .prop_map(|(producer, records)| Op::Append { producer, records }),
        4 => (1u8..4, any::<bool>()).prop_map(|(producer, commit)| Op::End { producer, commit }),
        3 => Just(Op::Commit),
        2 => (0u8..30, proptest::option::weighted(0.5, (0u8..24, proptest::option::of(any::<u64>()))))
            .prop_map(|(hours, stop)| Op::Clean { hours, stop }),
        1 => any::<bool>().prop_map(|clean| Op::Reopen { clean }),
    ]
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 700,
        index_interval_bytes: 150,
        compact: true,
        producer_id_expiration_ms: i64::MAX,
        ..LogConfig::default()
    }
}

struct Run {
    disk: SimDisk,
    log: UnifiedLog,
    now: i64,
    sequences: BTreeMap<u8, i32>,
}

/// Everything that cleaning must not change.
#[derive(Debug, PartialEq)]
struct Meaning {
    bounds: (Offset, Offset, Offset, Offset),
    /// What readers of committed data know in the end.
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    open: Vec<OpenTransactionView>,
    /// Epoch and last sequence number of each producer.
    producers: Vec<(ProducerId, ProducerEpoch, i32)>,
}

impl Run {
    fn new() -> Run {
        let mut disk = SimDisk::new();
        let (log, _) = UnifiedLog::open(&mut disk, "t-0", LogOpen::new(config()), NOW).unwrap();
        Run { disk, log, now: NOW, sequences: BTreeMap::new() }
    }

    fn append(&mut self, batch: &Batch, origin: AppendOrigin) {
        self.log.append_as_leader(&mut self.disk, batch, LeaderEpoch(0), origin, NOW).unwrap();
    }

    fn reopen(&mut self, clean_shutdown: bool) {
        let options = LogOpen {
            config: config(),
            clean_shutdown,
            recovery_point: self.log.recovery_point(),
            log_start_offset: self.log.log_start_offset(),
            high_watermark: self.log.high_watermark(),
        };
        self.log = UnifiedLog::open(&mut self.disk, "t-0", options, NOW).unwrap().0;
    }

    fn meaning(&mut self) -> Meaning {
        let Run { disk, log, .. } = self;
        let stable = log.last_stable_offset();
        let mut aborted = Vec::new();
        log.aborted_transactions(Offset(0), stable, &mut |txn| aborted.push(txn));
        let mut values = BTreeMap::new();
        let mut seen = |record: LogRecordView<'_>| {
            let gone = aborted.iter().any(|txn| {
                record.transactional
                    && txn.producer_id == record.producer_id
                    && (txn.first_offset..=txn.last_offset).contains(&record.offset)
            });
            if record.offset < stable && !record.control && !gone {
                let key = record.key.expect("all have keys").to_vec();
                // A tombstone says the same as no record.
                match record.value {
                    Some(value) => drop(values.insert(key, value.to_vec())),
                    None => drop(values.remove(&key)),
                }
            }
        };
        log.records(disk, Offset(0), &mut seen).unwrap();
        let mut open = Vec::new();
        log.open_transactions(&mut |txn| open.push(txn));
        let mut producers = Vec::new();
        log.producers(&mut |p| producers.push((p.producer_id, p.producer_epoch, p.last_sequence)));
        let bounds = (log.log_start_offset(), log.high_watermark(), log.log_end_offset(), stable);
        Meaning { bounds, values, open, producers }
    }

    fn step(&mut self, op: &Op) {
        match op {
            Op::Append { producer, records } => {
                let mut batch = BatchBuilder::new(Compression::None);
                for (key, value) in records {
                    let value = [*value; 20];
                    let value = (value[0] % 2 == 0).then_some(&value[..]);
                    batch.push(NOW, Some(&[*key]), value, &[]);
                }
                if let Some(producer) = *producer {
                    let sequence = self.sequences.entry(producer).or_default();
                    let (id, epoch) = (ProducerId(producer.into()), ProducerEpoch(0));
                    batch.producer(id.0, epoch.0, *sequence).transactional();
                    if let Some(guard) = self.log.begin_verification(id, epoch, *sequence, NOW) {
                        self.log.confirm_verification(id, epoch, guard);
                    }
                    *sequence += records.len() as i32;
                }
                self.append(&batch.build(), AppendOrigin::Client);
            }
            Op::End { producer, commit } => {
                let end = EndTxnMarker::default();
                let end = if *commit { ControlRecord::Commit(end) } else { ControlRecord::Abort(end) };
                let mut marker = BatchBuilder::new(Compression::None);
                end.push_to(&mut marker, NOW);
                marker.producer((*producer).into(), 0, -1).transactional().control();
                self.append(&marker.build(), AppendOrigin::Marker { transaction_version: 0 });
            }
            Op::Commit => drop(self.log.update_high_watermark(self.log.log_end_offset())),
            Op::Clean { hours, stop } => {
                self.now += i64::from(*hours) * 3_600_000;
                // A power loss must lose nothing but what cleaning is about.
                self.log.flush(&mut self.disk).unwrap();
                let before = self.meaning();
                let disk = &mut Stopping { inner: &mut self.disk, left: stop.map(|(after, _)| after) };
                let cleaned = self.log.clean(disk, self.now, usize::MAX);
                match stop {
                    None => assert!(cleaned.unwrap().after <= self.log.size()),
                    Some((_, power)) => {
                        match power {
                            None => self.disk.crash_process(),
                            Some(seed) => self.disk.lose_power(&mut Rng::named(*seed, "power")),
                        }
                        self.reopen(false);
                    }
                }
                assert_eq!(self.meaning(), before);
                // What is rebuilt from the files is the same.
                self.disk.crash_process();
                self.reopen(false);
                assert_eq!(self.meaning(), before);
            }
            Op::Reopen { clean } => {
                let before = self.meaning();
                if *clean {
                    self.log.clone().close(&mut self.disk).unwrap();
                } else {
                    self.disk.crash_process();
                }
                self.reopen(*clean);
                assert_eq!(self.meaning(), before);
            }
        }
        let mut next = self.log.log_start_offset();
        let mut each = |batch: BatchView| {
            assert!(batch.base_offset >= next, "{batch:?} after {next}");
            next = batch.last_offset + 1;
        };
        self.log.batches(&mut self.disk, Offset(0), &mut each).unwrap();
        assert_eq!(next, self.log.log_end_offset());
        let names = self.disk.list("t-0").unwrap();
        assert!(!names.iter().any(|name| name.ends_with(".cleaned") || name.ends_with(".swap")), "{names:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn cleaning_changes_nothing_that_readers_of_committed_data_know(
        ops in proptest::collection::vec(op(), 1..60),
    ) {
        let mut run = Run::new();
        for op in &ops {
            run.step(op);
        }
    }
}

#[test]
fn a_cleaned_log_is_smaller_and_not_due_again() {
    let mut run = Run::new();
    for i in 0..40u8 {
        run.step(&Op::Append { producer: None, records: vec![(i % 4, 2 * i); 4] });
    }
    assert!(!run.log.is_cleaning_due(NOW), "nothing is committed");
    run.step(&Op::Commit);
    assert!(run.log.is_cleaning_due(NOW));
    let (segments, size) = (run.log.segment_count(), run.log.size());
    let cleaned = run.log.clean(&mut run.disk, NOW, usize::MAX).unwrap();
    assert!(cleaned.after * 4 < cleaned.before, "{cleaned:?}");
    assert!(run.log.size() < size / 2 && !run.log.is_cleaning_due(NOW));
    let read = run.log.read(&mut run.disk, Offset(0), 1 << 20, run.log.log_end_offset(), true).unwrap();
    assert!(!read.records.is_empty());
    // What has become small fits into fewer segments the next time.
    run.log.clean(&mut run.disk, NOW, usize::MAX).unwrap();
    assert!(run.log.segment_count() < segments / 2);
    let names = run.disk.list("t-0").unwrap();
    let snapshots = names.iter().filter(|name| name.ends_with(".snapshot")).count();
    assert!(snapshots <= run.log.segment_count(), "those of segments that are gone go with them: {names:?}");
}

#[test]
fn tombstones_and_markers_go_at_their_delete_horizon_but_not_what_tells_an_epoch() {
    let mut run = Run::new();
    let tombstone = |key| vec![(key, 1)];
    // Producer 1 goes on after its first transaction; of producer 2 only the epoch is known after its marker.
    run.step(&Op::Append { producer: Some(1), records: tombstone(1) });
    run.step(&Op::End { producer: 1, commit: true });
    run.step(&Op::Append { producer: Some(2), records: tombstone(2) });
    let mut marker = BatchBuilder::new(Compression::None);
    ControlRecord::Commit(EndTxnMarker::default()).push_to(&mut marker, NOW);
    marker.producer(2, 1, -1).transactional().control();
    run.append(&marker.build(), AppendOrigin::Marker { transaction_version: 2 });
    for i in 0..20u8 {
        run.step(&Op::Append { producer: None, records: vec![(5, 2 * i); 4] });
    }
    run.step(&Op::Append { producer: Some(1), records: vec![(3, 2)] });
    run.step(&Op::End { producer: 1, commit: true });
    for i in 0..20u8 {
        run.step(&Op::Append { producer: None, records: vec![(5, 2 * i); 4] });
    }
    run.step(&Op::Commit);

    let early = |run: &mut Run| {
        let mut early = Vec::new();
        let mut seen = |record: LogRecordView<'_>| {
            if record.offset < Offset(4) {
                early.push((record.offset.0, record.control));
            }
        };
        run.log.records(&mut run.disk, Offset(0), &mut seen).unwrap();
        early
    };
    let all = [(0, false), (1, true), (2, false), (3, true)];
    let clean =
        |run: &mut Run, days: i64| run.log.clean(&mut run.disk, NOW + days * DAY, usize::MAX).unwrap();
    clean(&mut run, 10);
    assert_eq!(early(&mut run), all, "however old they are");
    let batch = run.log.read(&mut run.disk, Offset(0), 1, Offset(1), true).unwrap();
    let batch = Batch::parse(batch.records).unwrap();
    assert_eq!(batch.header().delete_horizon_ms(), Some(NOW + 11 * DAY));
    clean(&mut run, 10);
    assert_eq!(early(&mut run), all);
    run.reopen(false);
    clean(&mut run, 11);
    assert_eq!(early(&mut run), [(1, true), (3, true)], "a marker's time begins without its records");
    clean(&mut run, 11);
    assert_eq!(early(&mut run), [(1, true), (3, true)]);
    clean(&mut run, 12);
    assert_eq!(early(&mut run), [(3, true)]);
}

#[test]
fn where_epochs_began_is_known_even_if_their_first_records_are_gone() {
    let mut run = Run::new();
    for i in 0..60u8 {
        let mut batch = BatchBuilder::new(Compression::None);
        batch.push(NOW, Some(&[i % 3]), Some(&[i; 40]), &[]);
        let (batch, epoch) = (batch.build(), LeaderEpoch(i32::from(i) / 13));
        run.log.append_as_leader(&mut run.disk, &batch, epoch, AppendOrigin::Client, NOW).unwrap();
    }
    run.step(&Op::Commit);
    run.log.clean(&mut run.disk, NOW, usize::MAX).unwrap();
    let ends = |run: &Run| (0..5).map(|epoch| run.log.end_offset_for_epoch(LeaderEpoch(epoch))).collect();
    let before: Vec<_> = ends(&run);
    let at = run.log.log_end_offset();
    assert_eq!((before[0], before[4]), (Some((LeaderEpoch(0), Offset(13))), Some((LeaderEpoch(4), at))));
    run.disk.crash_process();
    // All of it is replayed.
    let options = LogOpen { clean_shutdown: false, ..LogOpen::new(config()) };
    run.log = UnifiedLog::open(&mut run.disk, "t-0", options, NOW).unwrap().0;
    let after: Vec<_> = ends(&run);
    assert_eq!(after, before);
}

#[test]
fn a_cleaning_waits_for_the_lags_and_the_ratio() {
    let mut run = Run::new();
    for i in 0..40u8 {
        run.step(&Op::Append { producer: None, records: vec![(i % 4, 2 * i); 4] });
    }
    run.step(&Op::Commit);
    let mut due = |config: LogConfig, now_ms: i64| {
        run.log.set_config(config);
        run.log.is_cleaning_due(now_ms)
    };
    assert!(!due(LogConfig { compact: false, ..config() }, NOW));
    assert!(due(config(), NOW));
    let lag = LogConfig { min_compaction_lag_ms: DAY, ..config() };
    assert!(!due(lag, NOW + DAY - 1));
    assert!(due(lag, NOW + DAY));
    run.log.clean(&mut run.disk, NOW, usize::MAX).unwrap();
    for i in 0..10u8 {
        run.step(&Op::Append { producer: None, records: vec![(i, 2 * i); 4] });
    }
    run.step(&Op::Commit);
    let mut due = |ratio: u32, max_lag: i64, now_ms: i64| {
        run.log.set_config(LogConfig {
            min_cleanable_dirty_ratio: ratio,
            max_compaction_lag_ms: max_lag,
            ..config()
        });
        run.log.is_cleaning_due(now_ms)
    };
    assert!(due(100_000, i64::MAX, NOW));
    assert!(!due(1_000_000, i64::MAX, NOW));
    assert!(!due(1_000_000, DAY, NOW + DAY));
    assert!(due(1_000_000, DAY, NOW + DAY + 1));
    // How far it was cleaned is written down.
    run.log.clean(&mut run.disk, NOW, usize::MAX).unwrap();
    let to = run.log.cleaned_to();
    run.reopen(false);
    assert!(run.log.is_cleaning_due(NOW), "all of it counts as dirty");
    run.log.set_cleaned_to(to);
    assert!(!run.log.is_cleaning_due(NOW));
}

#[test]
fn what_cannot_be_read_stays_as_it_is() {
    let mut run = Run::new();
    for i in 0..40u8 {
        run.step(&Op::Append { producer: None, records: vec![(i % 4, 2 * i); 4] });
    }
    run.step(&Op::Commit);
    let path = crate::segment::path("t-0", Offset(0), "log");
    let mut bytes = crate::whole_file::read(&mut run.disk, &path).unwrap().unwrap().to_vec();
    bytes[100] ^= 1;
    crate::whole_file::write(&mut run.disk, &path, bytes.clone().into()).unwrap();
    let cleaned = run.log.clean(&mut run.disk, NOW, usize::MAX);
    assert!(matches!(&cleaned, Err(CleanError::Uncleanable { what }) if what.contains("CRC")), "{cleaned:?}");
    assert_eq!(crate::whole_file::read(&mut run.disk, &path).unwrap().unwrap(), bytes);
    assert!(!run.log.is_cleaning_due(NOW));
}
