//! What a log does about a device that does not keep what was written.

use bytes::Bytes;
use trial_node::{Disk, DiskError, LeaderEpoch, Offset, Rng, TopicPartition};
use trial_wire::batch::BatchBuilder;
use trial_wire::{Compression, StrBytes};

use super::{AppendOrigin, LogOpen, ReadError, RecoveryReport, UnifiedLog};
use crate::disk::fault::{DiskFault, DiskPart};
use crate::log_dir::{self, CheckpointFile, path_in};
use crate::{LogConfig, SimDisk};

const FOLDER: &str = "orders-0";
const BATCHES: u8 = 60;

fn config() -> LogConfig {
    LogConfig { segment_bytes: 1500, index_interval_bytes: 300, ..LogConfig::default() }
}

fn part() -> DiskPart {
    DiskPart::Partition(TopicPartition::new(StrBytes::from_static_str("orders"), 0))
}

fn open(disk: &mut SimDisk, options: LogOpen) -> (UnifiedLog, RecoveryReport) {
    UnifiedLog::open(&mut disk.for_node(), FOLDER, options, 0).unwrap()
}

/// A log of several segments and leader epochs, all of it flushed.
fn log() -> (SimDisk, UnifiedLog) {
    let mut disk = SimDisk::new();
    let (mut log, _) = open(&mut disk, LogOpen::new(config()));
    for i in 0..BATCHES {
        let mut batch = BatchBuilder::new(Compression::None);
        for j in 0..=i % 3 {
            batch.push(i64::from(i), Some(&[j]), Some(&[i; 40]), &[]);
        }
        let epoch = LeaderEpoch(i32::from(i) / 17);
        log.append_as_leader(&mut disk, &batch.build(), epoch, AppendOrigin::Client, 0).unwrap();
    }
    log.flush(&mut disk).unwrap();
    log.update_high_watermark(log.log_end_offset());
    assert!(log.segment_count() > 3, "{}", log.segment_count());
    (disk, log)
}

fn read(log: &UnifiedLog, disk: &mut SimDisk, from: i64, max_bytes: usize) -> Result<Bytes, ReadError> {
    let end = log.log_end_offset();
    log.read(&mut disk.for_node(), Offset(from), max_bytes, end, true).map(|data| data.records)
}

/// Whether the log ends before what had been flushed, and recovery says so.
fn lost_flushed(report: &RecoveryReport) -> bool {
    report.repairs.iter().any(|repair| repair.what.contains("flushed up to"))
}

fn is_corrupt<T: std::fmt::Debug>(read: &Result<T, ReadError>) -> bool {
    matches!(read, Err(ReadError::Disk(DiskError::Corrupt { path, .. })) if path == FOLDER)
}

#[test]
fn whichever_bit_has_flipped_nobody_is_given_it() {
    let (mut good, log) = log();
    let end = log.log_end_offset().0;
    let expected: Vec<_> = (0..end).map(|from| read(&log, &mut good, from, 400).unwrap()).collect();
    for seed in 0..400 {
        let mut disk = good.clone();
        let fault = DiskFault::BitRot { file: "log".to_owned(), bits: 1 };
        assert!(disk.inject(&part(), &fault, &mut Rng::named(seed, "rot")));
        let mut refused = 0;
        for from in 0..end {
            let read = read(&log, &mut disk, from, 400);
            match &read {
                Ok(records) => {
                    let good = !records.is_empty() && expected[from as usize].starts_with(records);
                    assert!(good, "seed {seed}, offset {from}: {records:?}");
                }
                Err(_) => assert!(is_corrupt(&read), "{read:?}"),
            }
            refused += u32::from(read.as_ref().ok() != Some(&expected[from as usize]));
        }
        assert!(refused > 0 && i64::from(refused) < end, "seed {seed}: {refused} of {end}");
    }
}

#[test]
fn an_index_that_rots_hides_nothing() {
    let (mut good, log) = log();
    let end = log.log_end_offset().0;
    let expected: Vec<_> = (0..end).map(|from| read(&log, &mut good, from, 400).unwrap()).collect();
    log.close(&mut good).unwrap();
    let options = LogOpen { recovery_point: Offset(end), ..LogOpen::new(config()) };
    for seed in 0..200 {
        let mut disk = good.clone();
        let fault = DiskFault::BitRot { file: "index".to_owned(), bits: 1 };
        assert!(disk.inject(&part(), &fault, &mut Rng::named(seed, "rot")));
        let (log, report) = open(&mut disk, options);
        assert!(!lost_flushed(&report), "{report:?}");
        for from in 0..end {
            let read = read(&log, &mut disk, from, 400);
            let good = read.as_ref().is_ok_and(|records| *records == expected[from as usize]);
            assert!(good || is_corrupt(&read), "seed {seed}, offset {from}: {read:?}");
        }
    }
}

#[test]
fn what_is_in_the_page_cache_is_believed_and_what_came_from_the_device_is_not() {
    let (mut disk, log) = log();
    disk.lose_power(&mut Rng::named(1, "power"));
    let end = log.log_end_offset();
    let options = LogOpen { clean_shutdown: false, recovery_point: end, ..LogOpen::new(config()) };
    let (log, report) = open(&mut disk, options);
    assert!(!lost_flushed(&report) && log.log_end_offset() == end, "{report:?}");
    for from in 0..end.0 {
        read(&log, &mut disk, from, 400).unwrap();
    }
}

/// The next start has no recovery point for the log ([`crate::log_dir::distrust`]): it is cut before what is bad, and what is
/// left is good.
#[test]
fn a_log_that_is_not_believed_is_cut_before_what_has_rotted() {
    let (good, log) = log();
    let end = log.log_end_offset();
    let mut cut = 0;
    for seed in 0..100 {
        let mut disk = good.clone();
        let fault = DiskFault::BitRot { file: "log".to_owned(), bits: 1 };
        disk.inject(&part(), &fault, &mut Rng::named(seed, "rot"));
        disk.crash_process();
        let (log, _) = open(&mut disk, LogOpen { clean_shutdown: false, ..LogOpen::new(config()) });
        cut += u32::from(log.log_end_offset() < end);
        let mut next = Offset::ZERO;
        while next < log.log_end_offset() {
            next = log.read(&mut disk.for_node(), next, 400, log.log_end_offset(), true).unwrap().next_offset;
        }
    }
    assert_eq!(cut, 100);
}

#[test]
fn a_segment_that_is_lost_is_noticed_even_after_an_orderly_shutdown() {
    let (mut good, log) = log();
    let (end, segments) = (log.log_end_offset(), log.segment_count());
    log.close(&mut good).unwrap();
    let options = LogOpen { recovery_point: end, ..LogOpen::new(config()) };
    let mut front = 0;
    for seed in 0..40 {
        let mut disk = good.clone();
        let fault = DiskFault::FileLost { file: "log".to_owned() };
        assert!(disk.inject(&part(), &fault, &mut Rng::named(seed, "lost")));
        disk.crash_process();
        let (log, report) = open(&mut disk, options);
        assert_eq!(report.lost_front, log.log_start_offset() > Offset::ZERO);
        if report.lost_front {
            front += 1;
            continue;
        }
        assert!(lost_flushed(&report) && log.log_end_offset() < end, "{report:?}");
        assert!(log.segment_count() < segments);
    }
    assert!(front < 20, "{front}");
}

#[test]
fn an_orderly_shutdown_does_not_count_if_a_log_or_its_end_is_lost() {
    let (mut disk, log) = log();
    let end = log.log_end_offset();
    log.close(&mut disk).unwrap();
    let entries = [("orders", 0, end), ("orders", 1, Offset::ZERO)];
    log_dir::write_checkpoint(&mut disk, "", CheckpointFile::RecoveryPoint, entries.into_iter()).unwrap();
    log_dir::write_clean_shutdown(&mut disk, "", 42).unwrap();
    let names = disk.list(FOLDER).unwrap();
    let last = names.iter().filter_map(|name| name.strip_suffix(".log")).max().unwrap();
    let lose = |wanted: &dyn Fn(&str) -> bool| {
        let mut disk = disk.clone();
        for name in names.iter().filter(|name| wanted(name)) {
            disk.remove(&path_in(FOLDER, name)).unwrap();
        }
        log_dir::take_clean_shutdown(&mut disk, "").unwrap()
    };
    assert_eq!(lose(&|_| false), Some(42));
    assert_eq!(lose(&|name| name.ends_with("index")), Some(42), "indexes are rebuilt");
    assert_eq!(lose(&|name| name.starts_with(last)), None, "the last segment, with its indexes");
    assert_eq!(lose(&|_| true), None, "all files");
    disk.remove(FOLDER).unwrap();
    assert_eq!(log_dir::take_clean_shutdown(&mut disk, ""), Ok(None), "the folder");
}

#[test]
fn a_write_that_landed_elsewhere_is_not_believed_where_it_is() {
    for seed in 0..100 {
        let (mut disk, mut log) = log();
        let good: Vec<Bytes> =
            (0..log.log_end_offset().0).map(|from| read(&log, &mut disk, from, 1).unwrap()).collect();
        disk.inject(&part(), &DiskFault::MisdirectedWrite, &mut Rng::named(seed, "misdirected"));
        let mut batch = BatchBuilder::new(Compression::None);
        batch.push(0, Some(b"k"), Some(&vec![7; 40 * (seed as usize % 4)]), &[]);
        let origin = AppendOrigin::Client;
        log.append_as_leader(&mut disk.for_node(), &batch.build(), LeaderEpoch(3), origin, 0).unwrap();
        log.flush(&mut disk).unwrap();
        let end = log.log_end_offset();
        let check = |log: &UnifiedLog, disk: &mut SimDisk| {
            let mut refused = false;
            for from in 0..log.log_end_offset().0 {
                let read = read(log, disk, from, 1);
                refused |= is_corrupt(&read);
                let is_good = read.as_ref().is_ok_and(|records| good.get(from as usize) == Some(records));
                assert!(is_good || is_corrupt(&read), "seed {seed}, offset {from}: {read:?}");
            }
            refused
        };
        assert!(check(&log, &mut disk), "seed {seed}");
        disk.crash_process();
        let (log, _) = open(&mut disk, LogOpen { clean_shutdown: false, ..LogOpen::new(config()) });
        assert!(log.log_end_offset() < end);
        assert!(!check(&log, &mut disk), "seed {seed}");
    }
}
