//! Indexes, snapshots of producers, leader epochs.

use std::io::Write;

use bytes::Bytes;
use trial_node::{LeaderEpoch, Offset};
use trial_wire::Batch;
use trial_wire::batch::RECORDS_MAX;

use super::log::batch_at;
use super::text::Optional;
use super::{Dump, DumpError, Dumped};
use crate::index::{Entry, OffsetEntry, TimeEntry};
use crate::leader_epoch::LeaderEpochCache;
use crate::producer_snapshot;
use crate::txn_index::AbortedTxn;

/// The entries of an index. Kafka's index of an active segment is longer than its entries, and zero behind them: an entry of
/// the segment's first offset ends it unless it is the first.
fn sparse<E: Entry>(content: &Bytes, is_zero: impl Fn(&E) -> bool) -> Vec<E> {
    let entries = content.chunks_exact(E::SIZE).map_while(E::decode);
    entries.enumerate().take_while(|(i, entry)| *i == 0 || !is_zero(entry)).map(|(_, entry)| entry).collect()
}

/// Where to begin to look for an offset.
fn lookup(offsets: &[OffsetEntry], relative_offset: u32) -> usize {
    let n = offsets.partition_point(|entry| entry.relative_offset <= relative_offset);
    n.checked_sub(1).map_or(0, |i| offsets[i].position as usize)
}

/// The first batch from `position` on that ends at or after `offset`.
fn batch_ending_at_or_after(log: &Bytes, mut position: usize, offset: i64) -> Option<Batch> {
    while let Some(Ok(batch)) = batch_at(log, position) {
        if batch.header().last_offset() >= offset {
            return Some(batch);
        }
        position += batch.header().size;
    }
    None
}

fn largest_timestamp(batch: &Batch) -> i64 {
    let mut largest = -1;
    match batch.for_each_record(RECORDS_MAX, |record| largest = largest.max(record.timestamp)) {
        Ok(()) => largest,
        // What cannot be read has no timestamp that the index could have.
        Err(_) => -1,
    }
}

impl Dump {
    pub(super) fn offset_index(
        &mut self,
        file: &Dumped<'_>,
        log: &Bytes,
        out: &mut dyn Write,
    ) -> Result<(), DumpError> {
        let base = file.base_offset()?;
        let entries = sparse(&file.content, |entry: &OffsetEntry| entry.relative_offset == 0);
        if entries.is_empty() {
            writeln!(out, "{} is empty.", file.path)?;
        }
        for entry in entries {
            let offset = base + i64::from(entry.relative_offset);
            let found = match batch_at(log, entry.position as usize) {
                Some(Ok(batch)) => Some(batch.header().last_offset()),
                _ => None,
            };
            if found != Some(offset) {
                let found = found.map_or("none".to_owned(), |found| found.to_string());
                let line = format!("  Index offset: {offset}, log offset: {found}");
                self.problem(format!("Mismatches in :{}", file.path), line);
            }
            if !self.options.verify_index_only {
                writeln!(out, "offset: {offset} position: {}", entry.position)?;
            }
        }
        Ok(())
    }

    pub(super) fn time_index(
        &mut self,
        file: &Dumped<'_>,
        log: &Bytes,
        offsets: &Bytes,
        out: &mut dyn Write,
    ) -> Result<(), DumpError> {
        let base = file.base_offset()?;
        let offsets = sparse(offsets, |entry: &OffsetEntry| entry.relative_offset == 0);
        let mut before = -1;
        for entry in sparse(&file.content, |entry: &TimeEntry| entry.relative_offset == 0) {
            let offset = base + i64::from(entry.relative_offset);
            let timestamp = entry.timestamp;
            let from = lookup(&offsets, entry.relative_offset);
            match batch_ending_at_or_after(log, from, offset) {
                Some(batch) if batch.header().last_offset() == offset => {
                    let largest = largest_timestamp(&batch);
                    if largest != timestamp {
                        let line = format!("  Index timestamp: {timestamp}, log timestamp: {largest}");
                        self.problem(format!("Found timestamp mismatch in :{}", file.path), line);
                    }
                    if before >= timestamp {
                        let line =
                            format!("  Index timestamp: {timestamp}, Previously indexed timestamp: {before}");
                        self.problem(format!("Found out of order timestamp in :{}", file.path), line);
                    }
                }
                other => {
                    let found = other.map_or(-1, |batch| batch.header().last_offset());
                    let line = format!("Indexed offset: {offset}, found log offset: {found}");
                    let heading = "The following indexed offsets are not found in the log.";
                    self.problem(heading.to_owned(), line);
                }
            }
            if !self.options.verify_index_only {
                writeln!(out, "timestamp: {timestamp} offset: {offset}")?;
            }
            before = timestamp;
        }
        Ok(())
    }
}

pub(super) fn transactions(file: &Dumped<'_>, out: &mut dyn Write) -> Result<(), DumpError> {
    for entry in file.content.chunks(AbortedTxn::SIZE) {
        let txn = (entry.len() == AbortedTxn::SIZE).then(|| AbortedTxn::decode(entry)).flatten();
        let txn = txn.ok_or_else(|| file.invalid("an entry is cut off, or of another version"))?;
        writeln!(
            out,
            "version: 0 producerId: {} firstOffset: {} lastOffset: {} lastStableOffset: {}",
            txn.producer_id, txn.first_offset, txn.last_offset, txn.last_stable_offset
        )?;
    }
    Ok(())
}

pub(super) fn producers(file: &Dumped<'_>, out: &mut dyn Write) -> Result<(), DumpError> {
    let entries = producer_snapshot::decode(&file.content).map_err(|what| file.invalid(what))?;
    for (producer_id, entry) in entries {
        write!(
            out,
            "producerId: {producer_id} producerEpoch: {} coordinatorEpoch: {} currentTxnFirstOffset: {} \
             lastTimestamp: {} ",
            entry.epoch,
            entry.coordinator_epoch,
            Optional(entry.current_txn_first_offset.map(|offset| offset.0)),
            entry.last_timestamp
        )?;
        if let Some(batch) = entry.last_batch() {
            write!(
                out,
                "firstSequence: {} lastSequence: {} lastOffset: {} offsetDelta: {} timestamp: {}",
                batch.first_sequence(),
                batch.last_sequence,
                batch.last_offset,
                batch.offset_delta,
                batch.timestamp
            )?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Kafka's tool has no form for these; they are lines of words as the others.
pub(super) fn leader_epochs(file: &Dumped<'_>, out: &mut dyn Write) -> Result<(), DumpError> {
    let epochs = LeaderEpochCache::decode(&file.content).map_err(|what| file.invalid(what))?;
    let mut line = |epoch: LeaderEpoch, start: Offset| writeln!(out, "epoch: {epoch} startOffset: {start}");
    epochs.entries().iter().try_for_each(|entry| line(entry.epoch, entry.start_offset))?;
    Ok(())
}
