//! The log against a model: random operations, cleanings among them, with kills and power losses between any two operations of
//! the disk.

mod cleaning;
mod disks;
mod model;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use trial_node::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use trial_wire::messages::EndTxnMarker;
use trial_wire::{Batch, BatchBuilder, Batches, Compression, ControlRecord};

use super::*;
use crate::{FileDisk, SimDisk};
use cleaning::Cleaning;
pub(super) use disks::Stopping;
use disks::TestDisk;
use model::{LIMIT, Model, Transaction, key, last_of_each, transactions, values, view_of};

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
    /// A coordinator ends a producer's transaction, or more: begins its next epoch (KIP-890).
    Mark {
        producer: u8,
        commit: bool,
        bump: bool,
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
    /// Rarely where the log has been cleaned, as after an unclean election.
    Truncate {
        to: u16,
        where_cleaned: bool,
    },
    StartAnew {
        ahead: u8,
    },
    /// To the middle of a batch, as DeleteRecords may, or between two.
    AdvanceStart {
        to: u16,
        within: bool,
    },
    /// Old segments go, so that at least so much stays.
    Retain {
        bytes: u16,
    },
    /// Some hours after the last time; before it all may become committed, and another segment may be begun. There may be room
    /// for a few keys only.
    Clean {
        hours: u8,
        keys: Option<u8>,
        commit: bool,
        roll: bool,
    },
    Roll,
    Flush,
    FlushRolled,
    /// The broker writes its checkpoints.
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
        4 => (2u8..4, any::<bool>(), proptest::bool::weighted(0.3))
            .prop_map(|(producer, commit, bump)| Op::Mark { producer, commit, bump }),
        2 => any::<u16>().prop_map(|to| Op::HighWatermark { to }),
        4 => (proptest::collection::vec((producer(), 1u8..4), 1..5), any::<bool>())
            .prop_map(|(batches, end_txn)| Op::Follow { batches, end_txn }),
        2 => any::<bool>().prop_map(|assign| Op::NewEpoch { assign }),
        3 => any::<(u16, u16, u16)>().prop_map(|(from, max_bytes, bound)| Op::Read { from, max_bytes, bound }),
        2 => (any::<u16>(), proptest::bool::weighted(0.1))
            .prop_map(|(to, where_cleaned)| Op::Truncate { to, where_cleaned }),
        1 => any::<u8>().prop_map(|ahead| Op::StartAnew { ahead }),
        1 => any::<(u16, bool)>().prop_map(|(to, within)| Op::AdvanceStart { to, within }),
        1 => (0u16..9000).prop_map(|bytes| Op::Retain { bytes }),
        3 => (0u8..30, proptest::option::weighted(0.3, 0u8..7), proptest::bool::weighted(0.7), any::<bool>())
            .prop_map(|(hours, keys, commit, roll)| Op::Clean { hours, keys, commit, roll }),
        4 => Just(Op::Roll),
        2 => Just(Op::Flush),
        1 => Just(Op::FlushRolled),
        2 => Just(Op::Checkpoint),
        1 => Just(Op::WriteBack),
        1 => Just(Op::CleanRestart),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let crash = prop_oneof![Just(Crash::Kill), any::<u64>().prop_map(Crash::PowerLoss)];
    let after = prop_oneof![3 => 0u8..12, 1 => 12u8..60];
    proptest::collection::vec((op(), proptest::option::weighted(0.2, (after, crash))), 1..60)
}

#[derive(Clone)]
struct Run<D> {
    disk: D,
    log: UnifiedLog,
    model: Model,
    /// When the last cleaning was, ms since the epoch.
    now: i64,
    power_was_lost: bool,
}

/// What the log may hold after a crash in the middle of an operation.
struct Possible {
    /// The batches that are in it if nothing is lost.
    longest: Model,
    /// A kill loses nothing before this.
    at_least: Offset,
    /// Or the log may have started anew here.
    anew: Option<Offset>,
    /// Or some of it may have been cleaned.
    cleaning: Option<Cleaning>,
}

impl Possible {
    fn new(longest: &Model, at_least: Offset) -> Box<Possible> {
        Box::new(Possible { longest: longest.clone(), at_least, anew: None, cleaning: None })
    }
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 4000,
        index_interval_bytes: 250,
        flush_messages: 60,
        // The timestamps are old.
        producer_id_expiration_ms: i64::MAX,
        retention_ms: -1,
        compact: true,
        ..LogConfig::default()
    }
}

impl<D: TestDisk> Run<D> {
    fn new(mut disk: D) -> Run<D> {
        let (log, report) = UnifiedLog::open(&mut disk, "t-0", LogOpen::new(config()), NOW).unwrap();
        assert_eq!(report.repairs, []);
        let model = Model::new(Offset(0), LeaderEpoch(0));
        Run { disk, log, model, now: NOW, power_was_lost: false }
    }

    fn step(&mut self, (op, crash): &Step) {
        let result = self.apply(op, crash.map(|(after, _)| after));
        if let Some((_, crash)) = crash {
            let possible = match result {
                // The operation was over.
                Ok(()) => *Possible::new(&self.model, self.model.end()),
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
        let unchanged = || Possible::new(&before, before.end());
        let log = &mut self.log;
        let model = &mut self.model;
        let disk = &mut Stopping { inner: &mut self.disk, left: stop_after };
        match op {
            Op::Lead { producer, records, large } => {
                let sender = producer.map(|producer| next_of(&log.producers, producer));
                let batch = model.batch(sender, *records, *large && *records == 1).build();
                if let Some(producer @ 2..) = *producer {
                    let (_, epoch, sequence) = next_of(&log.producers, producer);
                    let id = ProducerId(producer.into());
                    if let Some(guard) = log.begin_verification(id, epoch, sequence, NOW) {
                        log.confirm_verification(id, epoch, guard);
                    }
                }
                let (_, chunks) = batch.assigned(model.end().0, model.epoch.0);
                let written = Batch::parse(Bytes::from(chunks.concat())).unwrap();
                let first_offset = model.end();
                model.push(written);
                match log.append_as_leader(disk, &batch, model.epoch, AppendOrigin::Client, NOW) {
                    Ok(info) => assert_eq!((info.first_offset, info.duplicate), (first_offset, false)),
                    Err(AppendError::Disk(_)) => return Err(Possible::new(model, before.end())),
                    Err(error) => panic!("{error}"),
                }
            }
            Op::Resend { producer } => {
                let known = last_of_each(&log.producers);
                let Some((epoch, Some(last), _)) = known.get(&ProducerId((*producer).into())) else {
                    return Ok(());
                };
                let sender = (*producer, *epoch, last.last_sequence - last.offset_delta);
                let batch = model.batch(Some(sender), last.offset_delta as u8 + 1, false);
                let info = log
                    .append_as_leader(disk, &batch.build(), model.epoch, AppendOrigin::Client, NOW)
                    .unwrap();
                assert!(info.duplicate);
                assert_eq!((info.first_offset, info.last_offset), (last.first_offset(), last.last_offset));
            }
            Op::Follow { batches, end_txn } => {
                let mut bytes = BytesMut::new();
                let mut known = log.producers.clone();
                for (producer, records) in batches {
                    let sender = producer.map(|producer| next_of(&known, producer));
                    let mut builder = match producer {
                        // Not all that was written before a topic became compacted has keys.
                        None if *records == 3 => {
                            let mut builder = BatchBuilder::new(Compression::None);
                            builder.push(1000, None, Some(b"no key"), &[]);
                            builder
                        }
                        _ => model.batch(sender, *records, false),
                    };
                    builder.base_offset(model.end().0).leader_epoch(model.epoch.0);
                    let batch = builder.build();
                    known.update(batch.header(), None);
                    bytes.extend_from_slice(batch.bytes());
                    model.push(batch);
                }
                if let Some((epoch, _, Some(_))) = last_of_each(&known).get(&ProducerId(2))
                    && *end_txn
                {
                    let mut marker = marker(2, *epoch, false);
                    marker.base_offset(model.end().0).leader_epoch(model.epoch.0);
                    bytes.extend_from_slice(marker.build().bytes());
                    model.push(marker.build());
                }
                match log.append_as_follower(disk, bytes.freeze(), NOW) {
                    Ok(info) => assert_eq!(info.unwrap().first_offset, before.end()),
                    Err(AppendError::Disk(_)) => return Err(Possible::new(model, before.end())),
                    Err(error) => panic!("{error}"),
                }
            }
            Op::Mark { producer, commit, bump } => {
                let (_, epoch, _) = next_of(&log.producers, *producer);
                let epoch = ProducerEpoch(epoch.0 + i16::from(*bump));
                let mut marker = marker(*producer, epoch, *commit);
                let batch = marker.build();
                marker.base_offset(model.end().0).leader_epoch(model.epoch.0);
                model.push(marker.build());
                let origin = AppendOrigin::Marker { transaction_version: if *bump { 2 } else { 0 } };
                match log.append_as_leader(disk, &batch, model.epoch, origin, NOW) {
                    Ok(info) => assert_eq!(info.first_offset, before.end()),
                    Err(AppendError::Disk(_)) => return Err(Possible::new(model, before.end())),
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
            Op::Truncate { to, where_cleaned } => {
                let lowest = if *where_cleaned { model.start } else { model.start.max(model.cleaned) };
                let to = lowest + i64::from(*to) % (model.end() - lowest + 1);
                model.cut(to);
                // What was deleted stays deleted, even if the batch that is cut goes back to before the log's start.
                let anew = (model.end() < before.start).then_some(before.start);
                if let Some(at) = anew {
                    *model = Model::new(at, model.epoch);
                }
                if log.truncate_to(disk, to).is_err() {
                    let possible = Possible::new(&before, anew.map_or(model.end(), |_| Offset(0)));
                    return Err(Box::new(Possible { anew, ..*possible }));
                }
            }
            Op::StartAnew { ahead } => {
                let at = model.end() + i64::from(*ahead);
                *model = Model::new(at, model.epoch);
                if log.truncate_fully_and_start_at(disk, at).is_err() {
                    let possible = Possible::new(&before, Offset(0));
                    return Err(Box::new(Possible { anew: Some(at), ..*possible }));
                }
            }
            Op::AdvanceStart { to, within } => {
                let mut to = model.start + i64::from(*to) % (model.end() - model.start + 1);
                if !within {
                    let ends = model.batches.iter().map(|batch| Offset(batch.header().next_offset()));
                    to = ends.filter(|end| *end <= to).last().unwrap_or(model.start);
                }
                log.update_high_watermark(model.end());
                // What is before the start must be flushed, or a power loss could end the log before it.
                log.flush(disk).map_err(|_| unchanged())?;
                model.flushed = model.end();
                model.start = model.start.max(to);
                let result =
                    log.advance_log_start_offset(disk, to).and_then(|_| log.delete_segments_before(disk, to));
                if result.is_err() {
                    return Err(Possible::new(model, model.end()));
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
                    return Err(Possible::new(model, model.end()));
                }
                assert!(log.size() >= size.min(u64::from(*bytes)));
            }
            Op::Clean { hours, keys, commit, roll } => {
                if model.ghost.take().is_some() {
                    // What a truncation has cut off stays so: to be undone after a cleaning is not for a model. The flusher
                    // writes what was dirty when it last came.
                    self.disk.write_back();
                    self.disk.write_back();
                }
                let disk = &mut Stopping { inner: &mut self.disk, left: stop_after };
                if *commit {
                    log.update_high_watermark(model.end());
                }
                if *roll {
                    log.roll(disk, NOW).map_err(|_| Possible::new(model, model.end()))?;
                }
                self.now += i64::from(*hours) * 3_600_000;
                let cleaning = Cleaning {
                    committed: log.high_watermark(),
                    bound: log.last_stable_offset().min(log.active().base_offset()),
                    done_to: None,
                    now_ms: self.now,
                    all_of_producers: model.start == model.base && !model.cut_where_cleaned,
                };
                match log.clean(disk, self.now, keys.map_or(usize::MAX, usize::from)) {
                    Ok(cleaned) => {
                        assert!(cleaned.after <= cleaned.before + 8 * 4000, "{cleaned:?}");
                        let done_to = Some(log.cleaned_to());
                        self.note_cleaned(Cleaning { done_to, ..cleaning });
                    }
                    Err(CleanError::Disk(_)) => {
                        return Err(Box::new(Possible {
                            cleaning: Some(cleaning),
                            ..*Possible::new(model, model.end())
                        }));
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            Op::Roll => log.roll(disk, NOW).map_err(|_| unchanged())?,
            Op::Flush => log.flush(disk).map_err(|_| unchanged())?,
            Op::FlushRolled => log.flush_rolled(disk).map(|_| ()).map_err(|_| unchanged())?,
            Op::Checkpoint => {
                model.recovery_checkpoint = log.recovery_point();
                model.cleaner_checkpoint = log.cleaned_to();
            }
            Op::WriteBack => self.disk.write_back(),
            Op::CleanRestart => {
                log.clone().close(disk).map_err(|_| unchanged())?;
                let mut repairs = self.open(true);
                // One that was never synced may be found only now, and is not needed.
                repairs.retain(|repair| !(self.power_was_lost && repair.path.ends_with(".snapshot")));
                assert_eq!(repairs, []);
            }
        }
        self.model.flushed = self.log.recovery_point();
        Ok(())
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
        self.log.set_cleaned_to(self.model.cleaner_checkpoint);
        report.repairs
    }

    /// The log has been cleaned, or some of it: the model takes over what it holds, if that may be.
    fn note_cleaned(&mut self, cleaning: Cleaning) {
        let Run { disk, log, model, .. } = self;
        let visible = model.batches.partition_point(|batch| batch.header().next_offset() <= model.start.0);
        let mut held = Vec::new();
        let mut from = model.start;
        while from < log.log_end_offset() {
            let data = log.read(disk, from, 1 << 20, log.log_end_offset(), true).unwrap();
            held.extend(Batches::new(data.records).map(|batch| batch.unwrap()));
            from = data.next_offset;
        }
        cleaning::check(cleaning, &model.batches[visible..], &held);
        if held != model.batches[visible..] {
            model.cleaned = model.cleaned.max(cleaning.committed);
            model.batches.splice(visible.., held);
        }
    }

    fn crash(&mut self, crash: Crash, possible: Possible, truncating: bool) {
        self.disk.crash(crash);
        self.power_was_lost |= matches!(crash, Crash::PowerLoss(_));
        let ghost = (possible.longest.batches.clone(), possible.longest.written.clone());
        let flushed = self.model.flushed;
        self.model.start = possible.longest.start;
        self.open(false);
        let end = self.log.log_end_offset();
        // What is before the log's start need not have been flushed before it went.
        let lost_before_start =
            matches!(crash, Crash::PowerLoss(_)) && end == possible.longest.start && end > flushed;
        // Or all segments are gone, and the one that is to follow them has not come.
        let anew = possible.anew.is_some_and(|at| end == at || end == possible.longest.start);
        if (anew || lost_before_start) && self.log.size() == 0 {
            let ghost = self.model.ghost.take();
            self.model = Model { ghost, ..Model::new(end, self.model.epoch) };
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
                (model.batches, model.written) = ghost;
            }
            model.cut(end);
            assert_eq!(model.end(), end, "the log ends between two batches that it has held");
            match crash {
                Crash::Kill => assert!(end >= possible.at_least, "{end} after a kill at {longest}"),
                Crash::PowerLoss(_) => {
                    let kept = flushed.min(possible.at_least);
                    assert!(end >= kept, "{end} after a power loss, flushed up to {kept}");
                }
            }
            if let Crash::Kill = crash
                && truncating
            {
                model.ghost = Some(ghost);
            }
            self.model = model;
            if let Some(cleaning) = possible.cleaning {
                self.note_cleaned(cleaning);
            }
        }
        // The broker writes the checkpoint anew when recovery has pulled it back.
        self.model.recovery_checkpoint = self.log.recovery_point().min(self.model.recovery_checkpoint);
        self.model.flushed = self.log.recovery_point();
    }

    /// Compares everything that can be seen of the log with the model.
    fn check(&mut self) {
        let Run { disk, log, model, .. } = self;
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
        let names = disk.list("t-0").unwrap();
        let left = |name: &&String| name.ends_with(".cleaned") || name.ends_with(".swap");
        assert_eq!(names.iter().find(left), None, "what a cleaning has left");
        // Of an empty log the last epoch may or may not be known.
        if model.start < model.end() {
            assert_eq!(log.epochs, model.epochs());
        }
        model.check_producers(&log.producers);
        if model.start == model.base && !model.cut_where_cleaned {
            check_transactions(log, &transactions(&model.batches));
        }
        if !model.cut_where_cleaned {
            let stable = log.last_stable_offset();
            let known = |batches| values(batches, model.start, stable);
            assert_eq!(known(&model.batches), known(&model.written));
        }
        for segment in &log.segments {
            let start = segment.base_offset().max(model.start);
            if start < model.end() {
                let data = log.read(disk, start, 1, model.end(), true).unwrap();
                let batch = Batch::parse(data.records).unwrap();
                let ends_later = |batch: &&Batch| batch.header().next_offset() > start.0;
                assert_eq!(Some(&batch), model.batches.iter().find(ends_later));
            }
        }
        for timestamp in [1000, 1500, 1900, 1990] {
            let visible =
                |record: &trial_wire::Record| record.timestamp >= timestamp && record.offset >= model.start.0;
            let expected = model.batches.iter().flat_map(|batch| batch.records(LIMIT).unwrap()).find(visible);
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
        // Cleaning leaves an aborted transaction in the index as long as its marker's segment stays as it is. What it covers
        // may be gone, in part or all of it.
        for (producer, first, last) in &found {
            let other = |txn: &&Transaction| {
                let end = txn.2.map_or(i64::MAX, |(marker, _)| marker);
                txn.0 == *producer && txn.1 < *last && end > *first && txn.2 != Some((*last, false))
            };
            assert_eq!(all.iter().find(other), None, "{found:?}");
        }
        for (producer, first, last) in &expected {
            let covered = found.iter().any(|txn| (txn.0, txn.2) == (*producer, *last) && txn.1 <= *first);
            assert!(covered, "from {from} to {to}: {expected:?}, {found:?}");
        }
    }
}

/// A producer with its epoch and its next sequence number, as far as the log knows it.
fn next_of(known: &ProducerStateManager, producer: u8) -> (u8, ProducerEpoch, i32) {
    match last_of_each(known).get(&ProducerId(producer.into())) {
        None => (producer, ProducerEpoch(0), 0),
        Some((epoch, last, _)) => (producer, *epoch, last.map_or(0, |last| last.last_sequence + 1)),
    }
}

fn marker(producer: u8, epoch: ProducerEpoch, commit: bool) -> BatchBuilder {
    let end = EndTxnMarker::default();
    let end = if commit { ControlRecord::Commit(end) } else { ControlRecord::Abort(end) };
    let mut marker = BatchBuilder::new(Compression::None);
    end.push_to(&mut marker, NOW);
    marker.producer(producer.into(), epoch.0, -1).transactional().control();
    marker
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
    // More than 30,000 steps.
    #![proptest_config(cases(1200))]

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

/// A log of several segments with all that a cleaning has to do with: keys that come again, tombstones, transactions of each
/// kind, and some of it cleaned before.
fn to_be_cleaned() -> Run<SimDisk> {
    let mut run = Run::new(SimDisk::new());
    for round in 0..6u8 {
        for producer in [None, Some(0), Some(2), Some(3), None, Some(2)] {
            run.step(&(Op::Lead { producer, records: 4, large: false }, None));
        }
        run.step(&(Op::Mark { producer: 2, commit: round % 3 != 1, bump: round == 0 }, None));
        run.step(&(Op::Mark { producer: 3, commit: round % 3 == 1, bump: false }, None));
        run.step(&(Op::Lead { producer: Some(1), records: 4, large: false }, None));
        if round > 3 {
            // So that one segment takes the place of several.
            run.step(&(Op::Roll, None));
        }
        if round < 3 {
            run.step(&(Op::Clean { hours: 1, keys: Some(4), commit: true, roll: false }, None));
        }
    }
    run
}

#[test]
fn a_cleaning_may_be_interrupted_at_any_operation_of_the_disk() {
    let run = to_be_cleaned();
    let (hours, clean) = (30, Op::Clean { hours: 30, keys: None, commit: true, roll: true });
    let (mut disk, mut log) = (run.disk.clone(), run.log.clone());
    let mut counting = Stopping { inner: &mut disk, left: Some(u8::MAX) };
    log.update_high_watermark(log.log_end_offset());
    log.roll(&mut counting, NOW).unwrap();
    let cleaned = log.clean(&mut counting, run.now + hours * 3_600_000, usize::MAX).unwrap();
    let changes = u8::MAX - counting.left.unwrap();
    assert!(cleaned.after < cleaned.before && changes > 60, "{cleaned:?} by {changes} changes of the disk");
    for after in 0..=changes {
        for crash in [Crash::Kill].into_iter().chain((0..6).map(Crash::PowerLoss)) {
            let mut run = run.clone();
            run.step(&(clean.clone(), Some((after, crash))));
            // What was interrupted is done the next time.
            run.step(&(clean.clone(), None));
            run.step(&(Op::CleanRestart, None));
        }
    }
}
