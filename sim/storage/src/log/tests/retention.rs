//! What retention and DeleteRecords take away, and when.

use super::*;

/// The offsets at which the log's segments begin.
fn bases(f: &Fixture) -> Vec<i64> {
    f.log.segments.iter().map(|segment| segment.base_offset().0).collect()
}

/// What the broker does every now and then; `true` if the log's start moved.
fn retain(f: &mut Fixture, now_ms: i64) -> bool {
    let moved = f.log.enforce_retention(&mut f.disk, now_ms).unwrap();
    f.log.delete_old_segments(&mut f.disk, now_ms).unwrap();
    moved
}

#[test]
fn retention_by_bytes_keeps_at_least_so_many() {
    let config = LogConfig { retention_bytes: 2000, retention_ms: -1, ..config() };
    let mut f = Fixture::new(config);
    f.fill(60, 0);
    let all = bases(&f);
    assert!(!retain(&mut f, NOW), "nothing is committed");
    let second = all[2];
    f.log.update_high_watermark(Offset(second + 1));
    assert!(retain(&mut f, NOW));
    assert_eq!(bases(&f)[..], all[2..], "what ends below the high watermark");
    f.log.update_high_watermark(f.log.log_end_offset());
    assert!(retain(&mut f, NOW));
    assert!(f.log.size() >= 2000 && f.log.size() - u64::from(f.log.segments[0].size()) < 2000);
    assert_eq!(f.log.log_start_offset().0, bases(&f)[0]);
    assert!(!retain(&mut f, NOW));
    assert_eq!(f.batches(0)[0].base_offset.0, bases(&f)[0]);
}

#[test]
fn retention_by_time_counts_from_each_segments_newest_record() {
    let mut f = Fixture::new(LogConfig { retention_ms: 500, ..config() });
    f.fill(20, 0);
    f.log.update_high_watermark(f.log.log_end_offset());
    let all = bases(&f);
    // Timestamps are ten times the offsets.
    let newest_of_first = f.log.segments[0].max_timestamp().unwrap().0;
    assert!(!retain(&mut f, newest_of_first + 500));
    assert!(retain(&mut f, newest_of_first + 501));
    assert_eq!(bases(&f)[..], all[1..]);
    // All of it is old: the active segment goes, too, and the log goes on where it ended.
    let end = f.log.log_end_offset();
    f.append(&from_producer(1, 0, 0, 1), 0).unwrap();
    f.log.update_high_watermark(f.log.log_end_offset());
    assert!(retain(&mut f, NOW + 10_000));
    assert_eq!((f.log.log_start_offset(), f.log.log_end_offset()), (end + 1, end + 1));
    assert_eq!((bases(&f), f.log.size()), (vec![end.0 + 1], 0));
    let info = f.append(&from_producer(1, 0, 0, 1), 0).unwrap();
    assert!(info.duplicate, "the producer is remembered all the same");
    f.close();
    assert_eq!(f.reopen(None), []);
    assert_eq!((f.log.log_start_offset(), f.log.log_end_offset()), (end + 1, end + 1));
}

#[test]
fn the_files_of_deleted_segments_stay_for_a_while() {
    let mut f = Fixture::new(LogConfig { retention_bytes: 0, file_delete_delay_ms: 100, ..config() });
    f.fill(20, 0);
    f.log.update_high_watermark(f.log.log_end_offset());
    let segments = f.log.segment_count();
    let deleted = |f: &mut Fixture| {
        let names = f.disk.list("t-0").unwrap();
        names.iter().filter(|name| name.ends_with(".log.deleted")).count()
    };
    assert!(retain(&mut f, NOW));
    assert_eq!((deleted(&mut f), f.log.segment_count()), (segments, 1));
    assert!(!retain(&mut f, NOW + 99));
    assert_eq!(deleted(&mut f), segments);
    assert!(!retain(&mut f, NOW + 100));
    assert_eq!(deleted(&mut f), 0);
    // A restart does not wait.
    f.fill(20, 0);
    f.log.update_high_watermark(f.log.log_end_offset());
    assert!(retain(&mut f, NOW));
    assert!(deleted(&mut f) > 0);
    f.close();
    assert_eq!(f.reopen(None), []);
    let names = f.disk.list("t-0").unwrap();
    assert!(!names.iter().any(|name| name.ends_with(".deleted")), "{names:?}");
}

#[test]
fn a_log_that_begins_anew_where_a_deleted_segment_began_keeps_no_claims_of_the_old_one() {
    let mut f = Fixture::new(LogConfig { retention_bytes: 0, file_delete_delay_ms: 100, ..config() });
    f.fill(2, 0);
    f.log.update_high_watermark(f.log.log_end_offset());
    assert!(retain(&mut f, NOW));
    f.log.set_cleaned_to(f.log.log_end_offset());
    assert_eq!(f.log.cleaned_to(), Offset(6));
    // The leader, elected uncleanly, has less than this replica has deleted.
    assert!(f.log.truncate_to(&mut f.disk, Offset(0)).unwrap());
    assert_eq!(f.log.cleaned_to(), Offset(0));
    f.fill(2, 0);
    f.log.update_high_watermark(f.log.log_end_offset());
    assert!(retain(&mut f, NOW + 50));
    // Both segments began at offset 0: there is one file less than names to be removed.
    f.log.delete_old_segments(&mut f.disk, NOW + 200).unwrap();
    assert!(f.disk.list("t-0").unwrap().iter().all(|name| !name.ends_with(".deleted")));
}

#[test]
fn a_log_that_is_only_compacted_deletes_nothing_but_what_was_asked_for() {
    let mut f = Fixture::new(LogConfig { retention_bytes: 0, retention_ms: 0, delete: false, ..config() });
    f.fill(20, 0);
    f.log.update_high_watermark(f.log.log_end_offset());
    assert!(!retain(&mut f, NOW));
    let (second, third) = (bases(&f)[1], bases(&f)[2]);
    f.log.advance_log_start_offset(&mut f.disk, Offset(third - 1)).unwrap();
    assert!(f.log.starts_within_a_segment());
    assert!(!retain(&mut f, NOW));
    assert_eq!((bases(&f)[0], f.log.log_start_offset().0), (second, third - 1));
    assert!(f.log.starts_within_a_segment());
}

#[test]
fn jitter_lets_a_segment_end_earlier_but_never_later() {
    let spans = |jitter: i64| -> Vec<i64> {
        let config = LogConfig { segment_ms: 1000, segment_jitter_ms: jitter, ..config() };
        (0..100).map(|base| config.max_segment_ms(Offset(base))).collect()
    };
    assert_eq!(spans(0), [1000; 100]);
    assert!(spans(300).iter().all(|span| (701..=1000).contains(span)));
    assert!(spans(300).iter().any(|span| *span < 800) && spans(300).iter().any(|span| *span > 900));
    assert!(spans(i64::MAX).iter().all(|span| (1..=1000).contains(span)));
    let compacted = LogConfig { compact: true, max_compaction_lag_ms: 70, ..config() };
    assert_eq!(compacted.max_segment_ms(Offset(0)), 70);
}
