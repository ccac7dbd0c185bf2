//! What a cleaning may make of a log, and what it must.

use std::collections::BTreeMap;

use bytes::Bytes;
use trial_node::Offset;
use trial_wire::{Batch, Record};

use super::model::{LIMIT, aborted, producers, transactions};

/// A cleaning that was done, or begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cleaning {
    /// It goes by what is before.
    pub(super) committed: Offset,
    /// Nothing from here on may have been touched: neither what is not stable nor the active segment.
    pub(super) bound: Offset,
    /// How far it has come; `None` if it was interrupted.
    pub(super) done_to: Option<Offset>,
    /// When it was, ms since the epoch.
    pub(super) now_ms: i64,
    /// Whether the batches tell all of the producers, and may not tell less afterwards.
    pub(super) all_of_producers: bool,
}

/// Compares what the log held before with what it holds now.
pub(super) fn check(cleaning: Cleaning, before: &[Batch], after: &[Batch]) {
    let aborted = aborted(before);
    let kept: BTreeMap<i64, &Batch> = after.iter().map(|batch| (batch.header().base_offset, batch)).collect();
    let mut matched = 0;
    let mut last_of_key: BTreeMap<Bytes, i64> = BTreeMap::new();
    let below = |batch: &&Batch, bound: Offset| batch.header().next_offset() <= bound.0;
    let of_key = |batch: &Batch, last_of_key: &mut BTreeMap<Bytes, i64>| {
        if !batch.header().is_control() && !aborted.contains(&batch.header().base_offset) {
            for record in batch.records(LIMIT).unwrap() {
                last_of_key.extend(record.key.map(|key| (key, record.offset)));
            }
        }
    };
    before.iter().filter(|batch| below(batch, cleaning.bound)).for_each(|b| of_key(b, &mut last_of_key));
    // What is kept although it could have gone: only a complete cleaning must get rid of it.
    let mut last_of_key_done = BTreeMap::new();
    let done_to = cleaning.done_to.unwrap_or(Offset(0));
    before.iter().filter(|batch| below(batch, done_to)).for_each(|b| of_key(b, &mut last_of_key_done));

    for batch in before {
        let header = batch.header();
        let found = kept.get(&header.base_offset);
        matched += usize::from(found.is_some());
        if !below(&batch, cleaning.bound) {
            assert_eq!(found, Some(&batch), "a batch that must not be touched");
            continue;
        }
        let is_over = header.delete_horizon_ms().is_some_and(|horizon| horizon <= cleaning.now_ms);
        if header.is_control() {
            assert!(found.is_some() || is_over, "a marker has gone before its time: {header:?}");
        }
        if let Some(found) = found {
            let now = found.header();
            let same = |header: &trial_wire::Header| {
                let producer = (header.producer_id, header.producer_epoch, header.base_sequence);
                let kind = (header.is_transactional(), header.is_control(), header.compression());
                (header.last_offset(), header.partition_leader_epoch, producer, kind)
            };
            assert_eq!(same(now), same(header));
            if let Some(horizon) = header.delete_horizon_ms() {
                assert_eq!(now.delete_horizon_ms(), Some(horizon), "a delete horizon has moved");
            }
        }
        let records = |batch: &Batch| batch.records(LIMIT).unwrap().into_iter().map(|r| (r.offset, r));
        let now: BTreeMap<i64, Record> = found.into_iter().flat_map(|batch| records(batch)).collect();
        let was: BTreeMap<i64, Record> = records(batch).collect();
        assert!(now.iter().all(|(offset, record)| was.get(offset) == Some(record)), "a record has changed");
        if header.is_control() {
            continue;
        }
        let is_aborted = aborted.contains(&header.base_offset);
        for (offset, record) in &was {
            let superseded = |last: &BTreeMap<Bytes, i64>| {
                record.key.as_ref().is_none_or(|key| last.get(key).is_some_and(|last| last > offset))
            };
            let tombstone = record.value.is_none() && is_over;
            if now.contains_key(offset) {
                let had_to_go =
                    below(&batch, done_to) && (is_aborted || tombstone || superseded(&last_of_key_done));
                assert!(!had_to_go, "{record:?} should have been cleaned away");
            } else {
                assert!(is_aborted || tombstone || superseded(&last_of_key), "{record:?} is missed");
            }
        }
    }
    assert_eq!(matched, after.len(), "what was not there has come");
    check_transactions(before, after);
    if cleaning.all_of_producers {
        assert_eq!(producers(after), producers(before));
    }
}

/// No transaction may have lost its marker before its records.
fn check_transactions(before: &[Batch], after: &[Batch]) {
    let now = transactions(after);
    for (producer, first, end) in transactions(before) {
        let Some((marker, _)) = end else { continue };
        let of_it = |header: &trial_wire::Header| {
            header.producer_id == producer
                && header.is_transactional()
                && !header.is_control()
                && (first..marker).contains(&header.base_offset)
        };
        if after.iter().any(|batch| of_it(batch.header())) {
            assert!(
                now.iter().any(|txn| txn.0 == producer && txn.2 == end),
                "the marker at {marker} is missed"
            );
        }
    }
}
