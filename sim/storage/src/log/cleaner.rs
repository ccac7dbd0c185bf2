//! Compaction (`cleanup.policy=compact`): of each key only the last record is kept.
//!
//! Whole segments below the last stable offset are read twice: once to learn the last offset of each key since the last
//! cleaning, once to write anew what is still the last of its key. Records of aborted transactions go. The first cleaning that
//! leaves a tombstone, or a marker of a transaction without records, writes into its batch from when on it may go: its delete
//! horizon (KIP-534). A batch keeps its offsets, and the last one of a segment stays even if it is empty, so that the log has
//! no holes between its segments; the last one of a producer stays, so that its sequence and its epoch go on. That is the last
//! one of those that are looked at: what follows may yet be lost in a power failure, or cut off.
//!
//! What is held in memory is bounded: of keys there is a digest and an offset each, and when there is no room for more, what
//! follows is left for the next time; segments are written one after the other.
//!
//! Crashes: the new segment is written as `.log.cleaned` and made durable; its renaming to `.log.swap` decides; then the old
//! segments' files go, and the new one takes its name. [`finish_interrupted`] does the rest after a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Range, RangeInclusive};

use bytes::Bytes;
use trial_node::{Disk, DiskError, Offset, ProducerEpoch, ProducerId};
use trial_wire::{Batch, Header};
use xxhash_rust::xxh3::xxh3_128;

use super::recovery::offset_of;
use super::{ReadError, Repair, UnifiedLog};
use crate::config::LogConfig;
use crate::producer_state::ProducerStateManager;
use crate::segment::{self, Check, LogSegment};
use crate::txn_index::AbortedTxn;

/// The most that the records of one batch may decompress to, in bytes.
const DECOMPRESSED_BATCH_LIMIT: usize = 256 << 20;

/// All of a log, in the unit of `min.cleanable.dirty.ratio`.
const RATIO_ONE: u128 = 1_000_000;

/// What one cleaning did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// The size of the segments that were looked at, in bytes.
    pub before: u64,
    /// Their size now.
    pub after: u64,
}

/// Why a log was not compacted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CleanError {
    /// Something in it cannot be read. It stays as it is, and is left alone from now on.
    #[error("{what}")]
    Uncleanable {
        /// What is wrong.
        what: String,
    },
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// What must be known to decide on a batch.
struct Decisions {
    /// Where it ends that is looked at.
    end: Offset,
    /// The last offset of each key in the dirty part, by the key's digest.
    last_of_key: BTreeMap<u128, i64>,
    /// First offset and marker of the aborted transactions.
    aborted: BTreeMap<ProducerId, Vec<(Offset, Offset)>>,
    now_ms: i64,
    /// The delete horizon of what may go from now on.
    delete_horizon_ms: i64,
    /// What the log's batches up to `end` tell of the producers that it remembers.
    producers: BTreeMap<ProducerId, LastOfProducer>,
    /// Producers with records that stay, of a transaction whose marker has not come yet.
    in_transaction: BTreeSet<ProducerId>,
}

/// Which batches of a producer tell its state.
struct LastOfProducer {
    epoch: ProducerEpoch,
    /// The last offset of its last batch of records in this epoch.
    records: Option<Offset>,
    /// The offset of its last marker in this epoch.
    marker: Option<Offset>,
}

/// The new content of some segments.
#[derive(Default)]
struct Group {
    chunks: Vec<Bytes>,
    aborted: Vec<AbortedTxn>,
}

impl UnifiedLog {
    /// Whether the log is compacted, and enough of what could be has grown since the last time
    /// (`min.cleanable.dirty.ratio`), or some of it long enough ago (`max.compaction.lag.ms`). `now_ms` is the wall clock.
    pub fn is_cleaning_due(&self, now_ms: i64) -> bool {
        if !self.config.compact || self.segments.len() == 1 || self.uncleanable {
            return false;
        }
        let cleanable = &self.segments[..self.cleanable_segments(now_ms)];
        let size = |segments: &[LogSegment]| segments.iter().map(|s| u128::from(s.size())).sum::<u128>();
        let clean = cleanable.partition_point(|segment| segment.next_offset() <= self.cleaned_to);
        let dirty = &cleanable[clean..];
        let ratio = u128::from(self.config.min_cleanable_dirty_ratio);
        let lags = |segment: &LogSegment| {
            let age = segment.first_timestamp().map_or(0, |first| now_ms.saturating_sub(first));
            age > self.config.max_compaction_lag_ms
        };
        !dirty.is_empty() && (size(dirty) * RATIO_ONE > size(cleanable) * ratio || dirty.iter().any(lags))
    }

    /// Everything below has been compacted.
    pub fn cleaned_to(&self) -> Offset {
        self.cleaned_to
    }

    /// Takes over how far the log had been compacted when its entry in `cleaner-offset-checkpoint` was written.
    pub fn set_cleaned_to(&mut self, offset: Offset) {
        self.cleaned_to = offset.min(self.active().base_offset());
    }

    /// How many segments, from the first on, are wholly below the last stable offset, and if they have grown since the last
    /// cleaning, as old as `min.compaction.lag.ms` wants; never the active one.
    fn cleanable_segments(&self, now_ms: i64) -> usize {
        let stable = self.last_stable_offset();
        let newest = now_ms.saturating_sub(self.config.min_compaction_lag_ms);
        let may_be = |segment: &&LogSegment| {
            let lags = self.config.min_compaction_lag_ms > 0
                && segment.next_offset() > self.cleaned_to
                && segment.largest_timestamp() > newest;
            segment.next_offset() <= stable && !lags
        };
        self.segments[..self.segments.len() - 1].iter().take_while(may_be).count()
    }

    /// Compacts what can be, as far as no more than `keys_max` keys of the dirty part have to be known at once (one batch
    /// may have more). `now_ms` is the wall clock.
    ///
    /// # Errors
    /// [`CleanError`]
    pub fn clean(
        &mut self,
        disk: &mut dyn Disk,
        now_ms: i64,
        keys_max: usize,
    ) -> Result<Cleaned, CleanError> {
        let mut count = self.cleanable_segments(now_ms);
        if count == 0 {
            return Ok(Cleaned::default());
        }
        // What goes must not be gone before what it gives way to is durable, and the markers that decide on it.
        self.flush(disk)?;
        let decisions = self.decide(disk, count, now_ms, keys_max);
        let mut decisions = decisions.map_err(|error| self.uncleanable(error))?;
        count = self.segments[..count].partition_point(|segment| segment.base_offset() < decisions.end);
        let size = |segments: &[LogSegment]| segments.iter().map(|s| u64::from(s.size())).sum::<u64>();
        let before = size(&self.segments[..count]);
        // Builds the indexes of aborted transactions as recovery would.
        let mut replayed = ProducerStateManager::default();
        // From the first to the last: the index of aborted transactions that stands with a marker must not lose what still has
        // records in a segment before.
        let mut first = 0;
        while first < count {
            let last = last_of_group(&self.segments[..count], first, &self.config);
            let group = self.cleaned_group(disk, first..last + 1, &mut decisions, &mut replayed);
            if let Some(group) = group.map_err(|error| self.uncleanable(error))? {
                self.swap(disk, first..=last, group, now_ms)?;
                count -= last - first;
            }
            first += 1;
        }
        self.cleaned_to = decisions.end;
        let bases: BTreeSet<Offset> = self.segments.iter().map(LogSegment::base_offset).collect();
        let keep = |offset| offset >= decisions.end || bases.contains(&offset);
        self.producers.retain_snapshots(disk, &self.folder, keep)?;
        Ok(Cleaned { before, after: size(&self.segments[..count]) })
    }

    fn uncleanable(&mut self, error: ReadError) -> CleanError {
        match error {
            ReadError::Disk(error) => error.into(),
            error => {
                self.uncleanable = true;
                CleanError::Uncleanable { what: error.to_string() }
            }
        }
    }

    /// What some segments become, if that is another than they are.
    fn cleaned_group(
        &self,
        disk: &mut dyn Disk,
        segments: Range<usize>,
        decisions: &mut Decisions,
        replayed: &mut ProducerStateManager,
    ) -> Result<Option<Group>, ReadError> {
        let mut group = Group::default();
        let mut same = segments.len() == 1;
        let last = segments.end - 1;
        for i in segments {
            let segment = &self.segments[i];
            let mut position = 0;
            while position < segment.size() {
                let header = segment.header_at(disk, position)?;
                // A new checksum must not make right what has gone bad.
                let batch = segment.batch_at(disk, position, &header, Check::Content)?;
                position += header.size as u32;
                let ends_group = i == last && position == segment.size();
                let kept = decisions.clean(&batch, ends_group)?;
                same &= kept.as_ref() == Some(&batch);
                if let Some(kept) = kept {
                    let control = kept.header().is_control().then_some(&kept);
                    group.aborted.extend(replayed.update(kept.header(), control));
                    group.chunks.push(kept.bytes().clone());
                }
            }
        }
        Ok((!same).then_some(group))
    }

    /// Reads the first `count` segments for what they say of producers, and their dirty part for what it says of each key.
    fn decide(
        &self,
        disk: &mut dyn Disk,
        count: usize,
        now_ms: i64,
        keys_max: usize,
    ) -> Result<Decisions, ReadError> {
        let mut decisions = Decisions {
            end: self.segments[count - 1].next_offset(),
            last_of_key: BTreeMap::new(),
            aborted: BTreeMap::new(),
            now_ms,
            delete_horizon_ms: now_ms.saturating_add(self.config.delete_retention_ms),
            producers: BTreeMap::new(),
            in_transaction: BTreeSet::new(),
        };
        self.aborted_transactions(self.segments[0].base_offset(), decisions.end, &mut |txn| {
            let of_producer = decisions.aborted.entry(txn.producer_id).or_default();
            of_producer.push((txn.first_offset, txn.last_offset));
        });
        let mut in_batch = Vec::new();
        for segment in &self.segments[..count] {
            let mut position = 0;
            while position < segment.size() {
                let header = segment.header_at(disk, position)?;
                let dirty = header.next_offset() > self.cleaned_to.0;
                if dirty && !header.is_control() && !decisions.is_aborted(&header) {
                    let batch = segment.batch_at(disk, position, &header, Check::Content)?;
                    in_batch.clear();
                    batch.for_each_record(DECOMPRESSED_BATCH_LIMIT, |record| {
                        in_batch.extend(record.key.map(|key| (xxh3_128(key), record.offset)));
                    })?;
                    if !decisions.learn(&in_batch, keys_max) {
                        decisions.end = Offset(header.base_offset);
                        return Ok(decisions);
                    }
                }
                if self.producers.producers().contains_key(&ProducerId(header.producer_id)) {
                    decisions.note_producer(&header);
                }
                position += header.size as u32;
            }
        }
        Ok(decisions)
    }

    /// Puts a cleaned segment in the place of those that it was made of.
    fn swap(
        &mut self,
        disk: &mut dyn Disk,
        segments: RangeInclusive<usize>,
        group: Group,
        now_ms: i64,
    ) -> Result<(), DiskError> {
        let Group { chunks, aborted } = group;
        let first = *segments.start();
        let base = self.segments[first].base_offset();
        let path = segment::path(&self.folder, base, "log");
        let (cleaned, swap) = (format!("{path}.cleaned"), format!("{path}.swap"));
        let file = disk.open(&cleaned, true)?;
        let written =
            disk.truncate(file, 0).and_then(|()| disk.append(file, &chunks)).and_then(|()| disk.sync(file));
        disk.close(file);
        written?;
        disk.rename(&cleaned, &swap)?;
        disk.sync_folder(&self.folder)?;
        for old in self.segments.splice(segments, []).rev() {
            if old.base_offset() == base {
                old.close(disk);
                LogSegment::remove_indexes(disk, &self.folder, base)?;
            } else {
                old.delete(disk, &self.folder)?;
            }
        }
        // What the new segment stands for must not come back once it has its name.
        disk.sync_folder(&self.folder)?;
        disk.rename(&swap, &path)?;
        let mut segment = LogSegment::open_file(disk, &self.folder, base, now_ms)?;
        let bad = segment.rebuild(disk, Check::Headers, self.config.index_interval_bytes)?;
        assert!(bad.is_none(), "we have just written it: {bad:?}");
        for txn in aborted {
            segment.note_aborted(txn);
        }
        segment.restore_txn_index(disk, &self.folder, true)?;
        segment.seal(disk, &self.folder)?;
        segment.sync_indexes(disk, &self.folder)?;
        disk.sync_folder(&self.folder)?;
        self.segments.insert(first, segment);
        Ok(())
    }
}

impl Decisions {
    /// Takes a batch's keys into account; `false` if there is no room for them.
    fn learn(&mut self, keys: &[(u128, i64)], keys_max: usize) -> bool {
        let new = keys.iter().filter(|(key, _)| !self.last_of_key.contains_key(key)).count();
        if !self.last_of_key.is_empty() && self.last_of_key.len() + new > keys_max {
            return false;
        }
        self.last_of_key.extend(keys.iter().copied());
        true
    }

    fn note_producer(&mut self, header: &Header) {
        // A control batch that an earlier cleaning has emptied tells nothing.
        if header.is_control() && header.record_count == 0 {
            return;
        }
        let epoch = ProducerEpoch(header.producer_epoch);
        let new = || LastOfProducer { epoch, records: None, marker: None };
        let last = self.producers.entry(ProducerId(header.producer_id)).or_insert_with(new);
        if last.epoch != epoch {
            *last = new();
        }
        let at = if header.is_control() { &mut last.marker } else { &mut last.records };
        *at = Some(Offset(header.last_offset()));
    }

    fn is_aborted(&self, header: &Header) -> bool {
        let offset = Offset(header.base_offset);
        header.is_transactional()
            && self
                .aborted
                .get(&ProducerId(header.producer_id))
                .is_some_and(|txns| txns.iter().any(|(first, last)| (*first..*last).contains(&offset)))
    }

    /// What stays of a batch; `None` if it goes. `must_stay`: then it stays at least without records.
    fn clean(&mut self, batch: &Batch, must_stay: bool) -> Result<Option<Batch>, ReadError> {
        let header = batch.header();
        if header.base_offset >= self.end.0 {
            return Ok(Some(batch.clone()));
        }
        let producer_id = ProducerId(header.producer_id);
        let horizon = header.delete_horizon_ms();
        let is_over = horizon.is_some_and(|horizon| horizon <= self.now_ms);
        if header.is_control() {
            let needed = self.in_transaction.remove(&producer_id);
            return Ok(if needed || must_stay || self.is_last_of_producer(header) {
                Some(batch.clone())
            } else if horizon.is_none() {
                Some(batch.with_delete_horizon(DECOMPRESSED_BATCH_LIMIT, self.delete_horizon_ms)?)
            } else {
                (!is_over).then(|| batch.clone())
            });
        }
        let mut tombstones = false;
        let kept = if self.is_aborted(header) {
            batch.filtered(DECOMPRESSED_BATCH_LIMIT, |_| false)?
        } else {
            batch.filtered(DECOMPRESSED_BATCH_LIMIT, |record| {
                let Some(key) = record.key else { return false };
                let is_last = self.last_of_key.get(&xxh3_128(key)).is_none_or(|last| record.offset >= *last);
                let stays = is_last && !(record.value.is_none() && is_over);
                tombstones |= stays && record.value.is_none();
                stays
            })?
        };
        let kept = if tombstones && horizon.is_none() {
            kept.with_delete_horizon(DECOMPRESSED_BATCH_LIMIT, self.delete_horizon_ms)?
        } else {
            kept
        };
        if kept.header().record_count == 0 && !must_stay && !self.is_last_of_producer(header) {
            return Ok(None);
        }
        if header.is_transactional() {
            self.in_transaction.insert(producer_id);
        }
        Ok(Some(kept))
    }

    /// Whether the producer's sequence goes on after this batch, or if it has written nothing in its epoch, whether this is a
    /// marker that tells the epoch.
    fn is_last_of_producer(&self, header: &Header) -> bool {
        let Some(last) = self.producers.get(&ProducerId(header.producer_id)) else { return false };
        let offset = Some(Offset(header.last_offset()));
        match last.records {
            None => header.is_control() && last.marker == offset,
            records => records == offset,
        }
    }
}

/// The last segment of those from `first` on that one segment can take the place of.
fn last_of_group(segments: &[LogSegment], first: usize, config: &LogConfig) -> usize {
    let mut size = u64::from(segments[first].size());
    let mut last = first;
    for (i, segment) in segments.iter().enumerate().skip(first + 1) {
        size += u64::from(segment.size());
        let reach = segment.next_offset() - segments[first].base_offset();
        if size > u64::from(config.segment_bytes) || reach > i64::from(i32::MAX) {
            break;
        }
        last = i;
    }
    last
}

/// Does what a cleaning had still to do when the process ended: forgets what was not complete, and puts what was in its
/// place. Says what it has done.
///
/// # Errors
/// What the disk says.
pub(super) fn finish_interrupted(disk: &mut dyn Disk, folder: &str) -> Result<Vec<Repair>, DiskError> {
    let mut repairs = Vec::new();
    let names = disk.list(folder)?;
    for name in names.iter().filter(|name| offset_of(name, "log.cleaned").is_some()) {
        disk.remove(&format!("{folder}/{name}"))?;
    }
    for name in &names {
        let Some(base) = offset_of(name, "log.swap") else { continue };
        let swap = format!("{folder}/{name}");
        let path = segment::path(folder, base, "log");
        let next_offset = LogSegment::end_of_file(disk, &swap, base)?;
        for old in names.iter().filter_map(|name| offset_of(name, "log")) {
            if old > base && old < next_offset {
                LogSegment::remove_indexes(disk, folder, old)?;
                disk.remove(&segment::path(folder, old, "log"))?;
            }
        }
        LogSegment::remove_indexes(disk, folder, base)?;
        disk.sync_folder(folder)?;
        disk.rename(&swap, &path)?;
        disk.sync_folder(folder)?;
        repairs.push(Repair { path, what: "an interrupted cleaning: finished".to_owned() });
    }
    Ok(repairs)
}
