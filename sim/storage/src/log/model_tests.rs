//! The log against a model: random operations, with kills and power losses between any two operations of the disk.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use trial_node::view::BatchView;
use trial_node::{Disk, DiskError, FileId, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Rng};
use trial_wire::messages::EndTxnMarker;
use trial_wire::{Batch, BatchBuilder, Batches, Compression, ControlRecord};

use super::*;
use crate::leader_epoch::LeaderEpochCache;
use crate::producer_state::BatchMetadata;
use crate::{FileDisk, SimDisk};

const NOW: i64 = 1_700_000_000_000;

/// A step of a test. Numbers are taken modulo what is possible.
#[derive(Clone, Debug)]
enum Op {
    /// A leader appends one batch, of a producer or of none.
    Lead {
        producer: Option<u8>,
        records: u8,
        large: bool,
    },
    /// A leader is given a producer's last batch again.
    Resend {
        producer: u8,
    },
    /// A follower is sent batches; some are a producer's, some open or end transactions.
    Follow {
        batches: Vec<(Option<u8>, u8)>,
        end_txn: bool,
    },
    /// A coordinator ends a producer's transaction.
    Mark {
        producer: u8,
        commit: bool,
    },
    /// What is committed grows.
    HighWatermark {
        to: u16,
    },
    /// The leader epoch grows.
    NewEpoch {
        assign: bool,
    },
    Read {
        from: u16,
        max_bytes: u16,
        bound: u16,
    },
    Truncate {
        to: u16,
    },
    StartAnew {
        ahead: u8,
    },
    AdvanceStart {
        to: u16,
    },
    /// Old segments go, so that at least so much stays.
    Retain {
        bytes: u16,
    },
    Roll,
    Flush,
    FlushRolled,
    /// The broker writes its recovery-point checkpoint.
    Checkpoint,
    /// The kernel's flusher comes by.
    WriteBack,
    CleanRestart,
}

/// How a test goes on after the disk was told to stop.
#[derive(Clone, Copy, Debug)]
enum Crash {
    Kill,
    PowerLoss(u64),
}

/// An operation, and whether a crash comes before its `n`th change of the disk (or right after it, if it makes fewer).
type Step = (Op, Option<(u8, Crash)>);

fn op() -> impl Strategy<Value = Op> {
    let producer = || proptest::option::of(0u8..4);
    prop_oneof![
        8 => (producer(), 1u8..5, proptest::bool::weighted(0.1))
            .prop_map(|(producer, records, large)| Op::Lead { producer, records, large }),
        2 => (0u8..4).prop_map(|producer| Op::Resend { producer }),
        4 => (2u8..4, any::<bool>()).prop_map(|(producer, commit)| Op::Mark { producer, commit }),
        2 => any::<u16>().prop_map(|to| Op::HighWatermark { to }),
        4 => (proptest::collection::vec((producer(), 1u8..4), 1..5), any::<bool>())
            .prop_map(|(batches, end_txn)| Op::Follow { batches, end_txn }),
        2 => any::<bool>().prop_map(|assign| Op::NewEpoch { assign }),
        3 => any::<(u16, u16, u16)>().prop_map(|(from, max_bytes, bound)| Op::Read { from, max_bytes, bound }),
        2 => any::<u16>().prop_map(|to| Op::Truncate { to }),
        1 => any::<u8>().prop_map(|ahead| Op::StartAnew { ahead }),
        1 => any::<u16>().prop_map(|to| Op::AdvanceStart { to }),
        1 => (0u16..9000).prop_map(|bytes| Op::Retain { bytes }),
        1 => Just(Op::Roll),
        2 => Just(Op::Flush),
        1 => Just(Op::FlushRolled),
        2 => Just(Op::Checkpoint),
        1 => Just(Op::WriteBack),
        1 => Just(Op::CleanRestart),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let crash = prop_oneof![Just(Crash::Kill), any::<u64>().prop_map(Crash::PowerLoss)];
    proptest::collection::vec((op(), proptest::option::weighted(0.2, (0u8..12, crash))), 1..60)
}

/// A disk that refuses every change after the first few.
pub(super) struct Stopping<'a> {
    pub(super) inner: &'a mut dyn Disk,
    pub(super) left: Option<u8>,
}

impl Stopping<'_> {
    fn change(&mut self, path: &str) -> Result<(), DiskError> {
        match &mut self.left {
            None => Ok(()),
            Some(0) => Err(DiskError::Failed { path: path.to_owned(), what: "stopped".to_owned() }),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }
}

impl Disk for Stopping<'_> {
    fn open(&mut self, path: &str, create: bool) -> Result<FileId, DiskError> {
        self.change(path)?;
        self.inner.open(path, create)
    }
    fn close(&mut self, file: FileId) {
        self.inner.close(file);
    }
    fn len(&self, file: FileId) -> u64 {
        self.inner.len(file)
    }
    fn append(&mut self, file: FileId, chunks: &[Bytes]) -> Result<(), DiskError> {
        self.change("append")?;
        self.inner.append(file, chunks)
    }
    fn read(&mut self, file: FileId, position: u64, len: u64) -> Result<Bytes, DiskError> {
        self.inner.read(file, position, len)
    }
    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        self.change("truncate")?;
        self.inner.truncate(file, len)
    }
    fn sync(&mut self, file: FileId) -> Result<(), DiskError> {
        self.change("sync")?;
        self.inner.sync(file)
    }
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.change(from)?;
        self.inner.rename(from, to)
    }
    fn remove(&mut self, path: &str) -> Result<(), DiskError> {
        self.change(path)?;
        self.inner.remove(path)
    }
    fn list(&mut self, folder: &str) -> Result<Vec<String>, DiskError> {
        self.inner.list(folder)
    }
    fn sync_folder(&mut self, folder: &str) -> Result<(), DiskError> {
        self.change(folder)?;
        self.inner.sync_folder(folder)
    }
}

/// What a test needs of a disk beyond [`Disk`].
trait TestDisk: Disk + Sized {
    fn crash(&mut self, crash: Crash);
    fn write_back(&mut self);
}

impl TestDisk for SimDisk {
    fn crash(&mut self, crash: Crash) {
        match crash {
            Crash::Kill => self.crash_process(),
            Crash::PowerLoss(seed) => self.lose_power(&mut Rng::named(seed, "power")),
        }
    }
    fn write_back(&mut self) {
        SimDisk::write_back(self);
    }
}

impl TestDisk for FileDisk {
    /// Real power cannot be lost here; every crash is a kill.
    fn crash(&mut self, _: Crash) {
        *self = FileDisk::new(self.root()).unwrap();
    }
    fn write_back(&mut self) {}
}

/// Producer, first offset, and the marker's offset and whether it commits.
type Transaction = (i64, i64, Option<(i64, bool)>);

/// What the log should hold.
#[derive(Clone, Debug)]
struct Model {
    start: Offset,
    /// Where the log ends that holds no batch.
    base: Offset,
    batches: Vec<Batch>,
    /// Everything before is on the device.
    flushed: Offset,
    /// What the broker has written down of that.
    recovery_checkpoint: Offset,
    /// The epoch of the next append.
    epoch: LeaderEpoch,
    /// What the log held before a truncation that a kill interrupted: a power loss may undo that truncation even later.
    ghost: Option<Vec<Batch>>,
}

impl Model {
    fn end(&self) -> Offset {
        self.batches.last().map_or(self.base, |batch| Offset(batch.header().next_offset()))
    }

    fn epochs(&self) -> LeaderEpochCache {
        let mut cache = LeaderEpochCache::default();
        for batch in &self.batches {
            let header = batch.header();
            cache.assign(LeaderEpoch(header.partition_leader_epoch), Offset(header.base_offset));
        }
        cache.truncate_from_start(self.start);
        cache
    }

    /// The last batch and the open transaction of each producer.
    fn producers(&self) -> BTreeMap<ProducerId, (ProducerEpoch, Option<BatchMetadata>, Option<Offset>)> {
        let mut manager = ProducerStateManager::default();
        for batch in &self.batches {
            manager.update(batch.header(), batch.header().is_control().then_some(batch));
        }
        last_of_each(&manager)
    }

    fn next_sequence(&self, producer: u8) -> i32 {
        let entry = self.producers().get(&ProducerId(producer.into())).copied();
        entry.and_then(|(_, last, _)| last).map_or(0, |last| last.last_sequence + 1)
    }

    fn open_txn(&self, producer: u8) -> bool {
        self.producers().get(&ProducerId(producer.into())).is_some_and(|entry| entry.2.is_some())
    }

    fn transactions(&self) -> Vec<Transaction> {
        let mut all: Vec<Transaction> = Vec::new();
        for batch in &self.batches {
            let header = batch.header();
            if !header.is_transactional() {
                continue;
            }
            let open = all.iter_mut().find(|txn| txn.0 == header.producer_id && txn.2.is_none());
            match (open, header.is_control()) {
                (Some(open), true) => {
                    let record = &batch.records(1 << 20).unwrap()[0];
                    let commit = record.key.as_deref().unwrap()[3] == 1;
                    open.2 = Some((header.base_offset, commit));
                }
                (None, false) => all.push((header.producer_id, header.base_offset, None)),
                _ => {}
            }
        }
        all
    }

    /// A batch as the producer of it would send it. Producers 2 and 3 are transactional.
    fn batch(&self, producer: Option<u8>, sequence: i32, records: u8, large: bool) -> BatchBuilder {
        let mut builder = BatchBuilder::new(Compression::None);
        for i in 0..i64::from(records) {
            let value = if large { vec![7; 2500] } else { vec![7; 20] };
            // Out of order, as producers' clocks are.
            let timestamp = 1000 + (self.end().0 + i) * 7919 % 1000;
            builder.push(timestamp, None, Some(&value), &[]);
        }
        if let Some(producer) = producer {
            builder.producer(producer.into(), 0, sequence);
            if producer >= 2 {
                builder.transactional();
            }
        }
        builder
    }
}

fn last_of_each(
    manager: &ProducerStateManager,
) -> BTreeMap<ProducerId, (ProducerEpoch, Option<BatchMetadata>, Option<Offset>)> {
    let last = |entry: &crate::producer_state::ProducerStateEntry| {
        // Kafka's snapshots keep one timestamp per producer, which is that of its last marker if it has written one since.
        let batch = entry.last_batch().map(|batch| BatchMetadata { timestamp: 0, ..*batch });
        (entry.epoch, batch, entry.current_txn_first_offset)
    };
    manager.producers().iter().map(|(id, entry)| (*id, last(entry))).collect()
}

fn view_of(batch: &Batch) -> (i64, i64, i32, u32) {
    let header = batch.header();
    (header.base_offset, header.last_offset(), header.partition_leader_epoch, header.crc)
}

fn key(view: &BatchView) -> (i64, i64, i32, u32) {
    (view.base_offset.0, view.last_offset.0, view.leader_epoch.0, view.crc)
}

struct Run<D> {
    disk: D,
    log: UnifiedLog,
    model: Model,
}

/// What the log may hold after a crash in the middle of an operation.
struct Possible {
    /// The batches that are in it if nothing is lost.
    longest: Model,
    /// A kill loses nothing before this.
    at_least: Offset,
    /// Or the log may have started anew here.
    anew: Option<Offset>,
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 4000,
        index_interval_bytes: 250,
        flush_messages: 60,
        // The timestamps are old.
        producer_id_expiration_ms: i64::MAX,
        retention_ms: -1,
        ..LogConfig::default()
    }
}

impl<D: TestDisk> Run<D> {
    fn new(mut disk: D) -> Run<D> {
        let (log, report) = UnifiedLog::open(&mut disk, "t-0", LogOpen::new(config()), NOW).unwrap();
        assert_eq!(report.repairs, []);
        let model = Model {
            start: Offset(0),
            base: Offset(0),
            batches: Vec::new(),
            flushed: Offset(0),
            recovery_checkpoint: Offset(0),
            epoch: LeaderEpoch(0),
            ghost: None,
        };
        Run { disk, log, model }
    }

    fn step(&mut self, (op, crash): &Step) {
        let result = self.apply(op, crash.map(|(after, _)| after));
        if let Some((_, crash)) = crash {
            let possible = match result {
                // The operation was over.
                Ok(()) => {
                    let at_least = self.model.end();
                    Possible { longest: self.model.clone(), at_least, anew: None }
                }
                Err(possible) => *possible,
            };
            let truncating = matches!(op, Op::Truncate { .. } | Op::StartAnew { .. });
            self.crash(*crash, possible, truncating);
        } else {
            assert!(result.is_ok(), "the disk works");
        }
        self.check();
    }

    /// Does the operation to the log and the model. If the disk stops, says what the log may hold.
    fn apply(&mut self, op: &Op, stop_after: Option<u8>) -> Result<(), Box<Possible>> {
        let before = self.model.clone();
        let unchanged = || {
            let at_least = before.end();
            Box::new(Possible { longest: before.clone(), at_least, anew: None })
        };
        let log = &mut self.log;
        let model = &mut self.model;
        let disk = &mut Stopping { inner: &mut self.disk, left: stop_after };
        match op {
            Op::Lead { producer, records, large } => {
                // A log that was cut at its start may have forgotten the producer, but not that it has an epoch.
                let forgotten = producer.is_some_and(|producer| {
                    let entry = log.producers.producers().get(&ProducerId(producer.into()));
                    entry.is_none_or(|entry| entry.last_batch().is_none())
                });
                let sequence = match producer {
                    None => -1,
                    Some(_) if forgotten => 0,
                    Some(producer) => model.next_sequence(*producer),
                };
                let batch = model.batch(*producer, sequence, *records, *large && *records == 1).build();
                if let Some(producer @ 2..) = *producer {
                    let (id, epoch) = (ProducerId(producer.into()), ProducerEpoch(0));
                    if let Some(guard) = log.begin_verification(id, epoch, sequence, NOW) {
                        log.confirm_verification(id, epoch, guard);
                    }
                }
                let (_, chunks) = batch.assigned(model.end().0, model.epoch.0);
                let written = Batch::parse(Bytes::from(chunks.concat())).unwrap();
                let first_offset = model.end();
                model.batches.push(written);
                match log.append_as_leader(disk, &batch, model.epoch, AppendOrigin::Client, NOW) {
                    Ok(info) => assert_eq!((info.first_offset, info.duplicate), (first_offset, false)),
                    Err(AppendError::Disk(_)) => return Err(self.possibly_appended(before.end())),
                    Err(error) => panic!("{error}"),
                }
            }
            // A log that was cut at its start may have forgotten the producer.
            Op::Resend { .. } if model.start != model.base => {}
            Op::Resend { producer } => {
                let Some((_, Some(last), _)) =
                    model.producers().get(&ProducerId((*producer).into())).copied()
                else {
                    return Ok(());
                };
                let count = last.offset_delta as u8 + 1;
                let batch =
                    model.batch(Some(*producer), last.last_sequence - last.offset_delta, count, false);
                let info = log
                    .append_as_leader(disk, &batch.build(), model.epoch, AppendOrigin::Client, NOW)
                    .unwrap();
                assert!(info.duplicate);
                assert_eq!((info.first_offset, info.last_offset), (last.first_offset(), last.last_offset));
            }
            Op::Follow { batches, end_txn } => {
                let mut bytes = BytesMut::new();
                for (producer, records) in batches {
                    let sequence = producer.map_or(-1, |producer| model.next_sequence(producer));
                    let mut builder = model.batch(*producer, sequence, *records, false);
                    builder.base_offset(model.end().0).leader_epoch(model.epoch.0);
                    let batch = builder.build();
                    bytes.extend_from_slice(batch.bytes());
                    model.batches.push(batch);
                }
                if *end_txn && model.open_txn(2) {
                    let mut marker = BatchBuilder::new(Compression::None);
                    ControlRecord::Abort(EndTxnMarker::default()).push_to(&mut marker, NOW);
                    marker.producer(2, 0, -1).transactional().control();
                    marker.base_offset(model.end().0).leader_epoch(model.epoch.0);
                    bytes.extend_from_slice(marker.build().bytes());
                    model.batches.push(marker.build());
                }
                match log.append_as_follower(disk, bytes.freeze(), NOW) {
                    Ok(info) => assert_eq!(info.unwrap().first_offset, before.end()),
                    Err(AppendError::Disk(_)) => return Err(self.possibly_appended(before.end())),
                    Err(error) => panic!("{error}"),
                }
            }
            Op::Mark { producer, commit } => {
                let end = EndTxnMarker::default();
                let end = if *commit { ControlRecord::Commit(end) } else { ControlRecord::Abort(end) };
                let mut marker = BatchBuilder::new(Compression::None);
                end.push_to(&mut marker, NOW);
                marker.producer((*producer).into(), 0, -1).transactional().control();
                let batch = marker.build();
                marker.base_offset(model.end().0).leader_epoch(model.epoch.0);
                model.batches.push(marker.build());
                let origin = AppendOrigin::Marker { transaction_version: 0 };
                match log.append_as_leader(disk, &batch, model.epoch, origin, NOW) {
                    Ok(info) => assert_eq!(info.first_offset, before.end()),
                    Err(AppendError::Disk(_)) => return Err(self.possibly_appended(before.end())),
                    Err(error) => panic!("{error}"),
                }
            }
            Op::HighWatermark { to } => {
                let (low, high) = (log.high_watermark(), log.log_end_offset());
                log.update_high_watermark(low + i64::from(*to) % (high - low + 1));
            }
            Op::NewEpoch { assign } => {
                model.epoch = LeaderEpoch(model.epoch.0 + 1);
                if *assign {
                    log.assign_epoch_start(disk, model.epoch).map_err(|_| unchanged())?;
                    assert_eq!(log.latest_epoch(), Some(model.epoch));
                    // It is forgotten until it has records, so that replaying the batches tells the epochs.
                    log.truncate_to(disk, model.end()).map_err(|_| unchanged())?;
                }
            }
            Op::Read { from, max_bytes, bound } => {
                let span = model.end() - model.start + 1;
                let from = model.start + i64::from(*from) % span;
                let bound = model.start + i64::from(*bound) % span;
                let data = log.read(disk, from, usize::from(*max_bytes), bound, true).unwrap();
                let expected = expected_read(model, from, usize::from(*max_bytes), bound);
                let read: Vec<Batch> = Batches::new(data.records).map(|batch| batch.unwrap()).collect();
                // A read ends with its segment, and a later one begins there.
                assert!(expected.starts_with(&read) && (expected.is_empty() || !read.is_empty()));
                let next = read.last().map_or(from, |batch| Offset(batch.header().next_offset()));
                assert_eq!(data.next_offset, next);
            }
            Op::Truncate { to } => {
                let to = model.start + i64::from(*to) % (model.end() - model.start + 1);
                let kept =
                    model.batches.iter().take_while(|batch| batch.header().next_offset() <= to.0).count();
                model.batches.truncate(kept);
                let end = model.end();
                model.start = model.start.min(end);
                model.flushed = model.flushed.min(end);
                model.recovery_checkpoint = model.recovery_checkpoint.min(end);
                if log.truncate_to(disk, to).is_err() {
                    return Err(Box::new(Possible { longest: before, at_least: end, anew: None }));
                }
            }
            Op::StartAnew { ahead } => {
                let at = model.end() + i64::from(*ahead);
                let epoch = model.epoch;
                *model = Model {
                    start: at,
                    base: at,
                    batches: Vec::new(),
                    flushed: at,
                    recovery_checkpoint: Offset(0),
                    epoch,
                    ghost: None,
                };
                if log.truncate_fully_and_start_at(disk, at).is_err() {
                    let at_least = Offset(0);
                    return Err(Box::new(Possible { longest: before, at_least, anew: Some(at) }));
                }
            }
            Op::AdvanceStart { to } => {
                let to = model.start + i64::from(*to) % (model.end() - model.start + 1);
                // Between two batches, as quorum snapshots and retention have it.
                let ends = model.batches.iter().map(|batch| Offset(batch.header().next_offset()));
                let to = ends.filter(|end| *end <= to).last().unwrap_or(model.start);
                log.update_high_watermark(model.end());
                // What is before the start must be flushed, or a power loss could end the log before it.
                log.flush(disk).map_err(|_| unchanged())?;
                model.flushed = model.end();
                model.start = model.start.max(to);
                let result =
                    log.advance_log_start_offset(disk, to).and_then(|_| log.delete_segments_before(disk, to));
                if result.is_err() {
                    let at_least = model.end();
                    return Err(Box::new(Possible { longest: model.clone(), at_least, anew: None }));
                }
            }
            Op::Retain { bytes } => {
                log.set_config(LogConfig { retention_bytes: i64::from(*bytes), ..config() });
                // What ends before the start goes whatever its size.
                log.delete_old_segments(disk, NOW).map_err(|_| unchanged())?;
                let size = log.size();
                let result =
                    log.enforce_retention(disk, NOW).and_then(|_| log.delete_old_segments(disk, NOW));
                log.set_config(config());
                // The broker writes down where it starts before anything is deleted.
                model.start = log.log_start_offset();
                if result.is_err() {
                    let at_least = model.end();
                    return Err(Box::new(Possible { longest: model.clone(), at_least, anew: None }));
                }
                assert!(log.size() >= size.min(u64::from(*bytes)));
            }
            Op::Roll => log.roll(disk, NOW).map_err(|_| unchanged())?,
            Op::Flush => log.flush(disk).map_err(|_| unchanged())?,
            Op::FlushRolled => log.flush_rolled(disk).map(|_| ()).map_err(|_| unchanged())?,
            Op::Checkpoint => model.recovery_checkpoint = log.recovery_point(),
            Op::WriteBack => self.disk.write_back(),
            Op::CleanRestart => {
                log.clone().close(disk).map_err(|_| unchanged())?;
                let repairs = self.open(true);
                assert_eq!(repairs, []);
            }
        }
        self.model.flushed = self.log.recovery_point();
        Ok(())
    }

    fn possibly_appended(&self, at_least: Offset) -> Box<Possible> {
        Box::new(Possible { longest: self.model.clone(), at_least, anew: None })
    }

    fn open(&mut self, clean_shutdown: bool) -> Vec<Repair> {
        let options = LogOpen {
            config: config(),
            clean_shutdown,
            recovery_point: self.model.recovery_checkpoint,
            log_start_offset: self.model.start,
            high_watermark: self.log.high_watermark(),
        };
        let (log, report) = UnifiedLog::open(&mut self.disk, "t-0", options, NOW).unwrap();
        self.log = log;
        report.repairs
    }

    fn crash(&mut self, crash: Crash, possible: Possible, truncating: bool) {
        self.disk.crash(crash);
        let ghost = possible.longest.batches.clone();
        let flushed = self.model.flushed;
        self.model.start = possible.longest.start;
        self.open(false);
        let end = self.log.log_end_offset();
        // What is before the log's start need not have been flushed before it went.
        let lost_before_start =
            matches!(crash, Crash::PowerLoss(_)) && end == possible.longest.start && end > flushed;
        if (possible.anew == Some(end) || lost_before_start) && self.log.size() == 0 {
            self.model = Model { start: end, base: end, batches: Vec::new(), ..self.model.clone() };
        } else {
            let mut model = possible.longest;
            let longest = model.end();
            let mut seen = Vec::new();
            self.log.batches(&mut self.disk, Offset(0), &mut |view| seen.push(key(&view))).unwrap();
            let held =
                seen.last().is_none_or(|last| model.batches.iter().any(|batch| view_of(batch) == *last));
            if let Crash::PowerLoss(_) = crash
                && let Some(ghost) = model.ghost.take()
                && !held
            {
                model.batches = ghost;
            }
            let kept = model.batches.iter().take_while(|batch| batch.header().next_offset() <= end.0).count();
            model.batches.truncate(kept);
            assert_eq!(model.end(), end, "the log ends between two batches that it has held");
            match crash {
                Crash::Kill => assert!(end >= possible.at_least, "{end} after a kill at {longest}"),
                Crash::PowerLoss(_) => {
                    let kept = flushed.min(possible.at_least);
                    assert!(end >= kept, "{end} after a power loss, flushed up to {kept}");
                }
            }
            model.recovery_checkpoint = model.recovery_checkpoint.min(end);
            if let Crash::Kill = crash
                && truncating
            {
                model.ghost = Some(ghost);
            }
            self.model = model;
        }
        // The broker writes the checkpoint anew when recovery has pulled it back.
        self.model.recovery_checkpoint = self.log.recovery_point().min(self.model.recovery_checkpoint);
        self.model.flushed = self.log.recovery_point();
    }

    /// Compares everything that can be seen of the log with the model.
    fn check(&mut self) {
        let Run { disk, log, model } = self;
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (model.start, model.end()));
        let mut seen = Vec::new();
        log.batches(disk, model.start, &mut |view| seen.push(key(&view))).unwrap();
        let expected: Vec<_> = model
            .batches
            .iter()
            .filter(|batch| batch.header().next_offset() > model.start.0)
            .map(view_of)
            .collect();
        assert_eq!(seen, expected);
        // Of an empty log the last epoch may or may not be known.
        if model.start < model.end() {
            assert_eq!(log.epochs, model.epochs());
        }
        let expected = model.producers();
        let found = last_of_each(&log.producers);
        // A log that was cut at its start may have forgotten producers, or remember some whose records are gone.
        if model.start == model.base {
            assert_eq!(found, expected);
            check_transactions(log, &model.transactions());
        }
        for segment in &log.segments {
            let start = segment.base_offset().max(model.start);
            if start < model.end() {
                let data = log.read(disk, start, 1, model.end(), true).unwrap();
                let header = Batch::parse(data.records).unwrap();
                assert!((header.header().base_offset..header.header().next_offset()).contains(&start.0));
            }
        }
        for timestamp in [1000, 1500, 1900, 1990] {
            let visible =
                |record: &trial_wire::Record| record.timestamp >= timestamp && record.offset >= model.start.0;
            let expected =
                model.batches.iter().flat_map(|batch| batch.records(1 << 20).unwrap()).find(visible);
            let found = log.offset_for_timestamp(disk, timestamp).unwrap();
            assert_eq!(found.map(|found| found.offset.0), expected.map(|record| record.offset));
        }
    }
}

/// Compares the index of aborted transactions and the last stable offset with what the batches tell.
fn check_transactions(log: &UnifiedLog, all: &[Transaction]) {
    let high_watermark = log.high_watermark();
    let unstable = |(_, _, end): &&Transaction| end.is_none_or(|(marker, _)| marker >= high_watermark.0);
    let first_unstable = all.iter().filter(unstable).map(|txn| Offset(txn.1)).min();
    assert_eq!(log.last_stable_offset(), first_unstable.map_or(high_watermark, |at| at.min(high_watermark)));
    let (start, end) = (log.log_start_offset(), log.log_end_offset());
    let middle = start + (end - start) / 2;
    for (from, to) in [(start, end), (start, middle), (middle, end), (middle, middle + 1)] {
        let mut found = Vec::new();
        log.aborted_transactions(from, to, &mut |txn| {
            found.push((txn.producer_id.0, txn.first_offset.0, txn.last_offset.0));
        });
        let mut expected: Vec<_> = all
            .iter()
            .filter_map(|(producer, first, end)| match end {
                Some((last, false)) if *last >= from.0 && *first < to.0 => Some((*producer, *first, *last)),
                _ => None,
            })
            .collect();
        expected.sort_by_key(|txn| txn.2);
        assert_eq!(found, expected, "from {from} to {to}");
    }
}

fn expected_read(model: &Model, from: Offset, max_bytes: usize, bound: Offset) -> Vec<Batch> {
    let mut len = 0;
    let fits = |batch: &&Batch| {
        len += batch.header().size;
        let first = len == batch.header().size;
        batch.header().next_offset() <= bound.0 && (first || len <= max_bytes)
    };
    if from >= bound {
        return Vec::new();
    }
    model
        .batches
        .iter()
        .filter(|batch| batch.header().next_offset() > from.0)
        .take_while(fits)
        .cloned()
        .collect()
}

/// The same cases every time; to look for more, change the seed and the number of cases.
fn cases(cases: u32) -> ProptestConfig {
    let rng_seed = proptest::test_runner::RngSeed::Fixed(1);
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    // More than 20,000 steps.
    #![proptest_config(cases(700))]

    #[test]
    fn a_log_on_a_simulated_disk_behaves_as_its_model(steps in steps()) {
        let mut run = Run::new(SimDisk::new());
        for step in &steps {
            run.step(step);
        }
    }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn a_log_on_real_files_behaves_as_its_model(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        let mut run = Run::new(FileDisk::new(folder.path()).unwrap());
        for step in &steps {
            run.step(step);
        }
    }
}
