//! Opening a log: what a crash has left is repaired.

use std::collections::{BTreeSet, VecDeque};

use trial_node::{Disk, DiskError, LeaderEpoch, Offset, OpenError};

use super::{ReadError, UnifiedLog, cleaner};
use crate::config::LogConfig;
use crate::leader_epoch::{self, EpochEntry, LeaderEpochCache};
use crate::log_dir;
use crate::producer_state::ProducerStateManager;
use crate::segment::{self, BadBatch, Check, LogSegment};

/// What is known about a log before its folder is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOpen {
    /// Its configuration.
    pub config: LogConfig,
    /// Whether it was closed in order; if not, everything from the recovery point on is checked.
    pub clean_shutdown: bool,
    /// Its entry in `recovery-point-offset-checkpoint`, or 0.
    pub recovery_point: Offset,
    /// Its entry in `log-start-offset-checkpoint`, or 0.
    pub log_start_offset: Offset,
    /// Its entry in `replication-offset-checkpoint`, or 0.
    pub high_watermark: Offset,
}

impl LogOpen {
    /// What is known about a log that has never been opened.
    pub fn new(config: LogConfig) -> LogOpen {
        LogOpen {
            config,
            clean_shutdown: true,
            recovery_point: Offset::ZERO,
            log_start_offset: Offset::ZERO,
            high_watermark: Offset::ZERO,
        }
    }
}

/// One thing that recovery had to repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// The file, relative to the data folder.
    pub path: String,
    /// What was wrong and what was done.
    pub what: String,
}

/// What recovery found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// In the order in which it was found; empty if all was well.
    pub repairs: Vec<Repair>,
    /// Whether bytes that a log held are gone.
    lost: bool,
    /// Whether the first segments are lost: an index is there of one before those that are.
    pub lost_front: bool,
}

impl RecoveryReport {
    fn note(&mut self, path: impl Into<String>, what: impl Into<String>) {
        self.repairs.push(Repair { path: path.into(), what: what.into() });
    }
}

impl UnifiedLog {
    /// Opens the log in `folder`, creating it if there is none, and repairs what a crash has left. `now_ms` is the wall
    /// clock.
    ///
    /// What was not closed in order is checked from the segment of the recovery point on: batches by their checksums, and
    /// segments by the holes between them. The log is cut at the first bad byte, and what follows is deleted. Should the
    /// recovery point have to go back for that, its checkpoint must be written before anything is appended.
    ///
    /// # Errors
    /// What the disk says, and [`OpenError::Corrupt`] if `partition.metadata` cannot be read. Whatever else a file holds is
    /// repaired, and the report says how.
    pub fn open(
        disk: &mut dyn Disk,
        folder: &str,
        options: LogOpen,
        now_ms: i64,
    ) -> Result<(UnifiedLog, RecoveryReport), OpenError> {
        let mut report = RecoveryReport::default();
        for repair in cleaner::finish_interrupted(disk, folder)? {
            report.repairs.push(repair);
        }
        let names = disk.list(folder)?;
        let topic_id = log_dir::read_partition_metadata(disk, folder)?;
        let epochs = LeaderEpochCache::load(disk, folder)?;
        let mut segments =
            Loader { disk, folder, options: &options, now_ms, epochs, report: &mut report }.load(&names)?;

        let end = segments.last().map_or(Offset::ZERO, LogSegment::next_offset);
        let mut lost = report.lost;
        if !segments.is_empty() && end < options.log_start_offset {
            // The checkpoint of the log's start is durable, but the records before it were never flushed.
            report.note(
                folder,
                format!("ends at {end}, before its start {}: all segments deleted", options.log_start_offset),
            );
            lost = true;
            for segment in segments.drain(..).rev() {
                segment.delete(disk, folder)?;
            }
            disk.sync_folder(folder)?;
        }
        let created = segments.is_empty();
        if created {
            segments.push(LogSegment::create(disk, folder, options.log_start_offset, now_ms)?);
        }
        let log_start_offset = options.log_start_offset.max(segments[0].base_offset());
        let log_end_offset = segments.last().expect("just filled").next_offset();
        let mut log = UnifiedLog {
            folder: folder.to_owned(),
            config: options.config,
            topic_id,
            segments,
            log_start_offset,
            log_end_offset,
            high_watermark: options.high_watermark.clamp(log_start_offset, log_end_offset),
            recovery_point: if options.clean_shutdown {
                log_end_offset
            } else {
                options.recovery_point.min(log_end_offset)
            },
            epochs: LeaderEpochCache::default(),
            producers: ProducerStateManager::new(snapshot_offsets(&names)),
            tail: VecDeque::new(),
            truncations: lost.into(),
            cleaned_to: Offset::ZERO,
            uncleanable: false,
            retired: VecDeque::new(),
            names_dirty: true,
            folder_dirty: names.is_empty() || !options.clean_shutdown,
        };
        if log_end_offset < options.recovery_point {
            // No crash does that, a device does. A broker that was not closed in order is not taken for one that has what is
            // committed anyway, and of one that was closed in order `take_clean_shutdown` has looked for it.
            let what = format!("ends at {log_end_offset}, flushed up to {}", options.recovery_point);
            report.note(folder, what);
        }
        log.recover_epochs(disk, &options, names.is_empty(), &mut report)?;
        log.recover_producers(disk, options.clean_shutdown, now_ms, &mut report)?;
        Ok((log, report))
    }

    /// The checkpoint is never behind the log, but after a crash it may be ahead of it. What has been checked tells the
    /// epochs itself.
    fn recover_epochs(
        &mut self,
        disk: &mut dyn Disk,
        options: &LogOpen,
        new: bool,
        report: &mut RecoveryReport,
    ) -> Result<(), OpenError> {
        let loaded = LeaderEpochCache::load(disk, &self.folder)?;
        let replay_from = match &loaded {
            Ok(_) if options.clean_shutdown => self.log_end_offset + 1,
            Ok(_) => self.segments[first_unflushed(&self.segments, options.recovery_point)].base_offset(),
            Err(_) => Offset::ZERO,
        };
        let was = loaded.as_ref().ok().cloned();
        let believed: Vec<EpochEntry> = was.iter().flat_map(|was| was.entries()).copied().collect();
        self.epochs = match loaded {
            Ok(epochs) => epochs,
            Err(what) => {
                if !new && self.log_end_offset > self.log_start_offset {
                    let path = format!("{}/{}", self.folder, leader_epoch::FILE);
                    report.note(path, format!("{what}: rebuilt from the log"));
                }
                LeaderEpochCache::default()
            }
        };
        self.epochs.truncate_from_end(replay_from);
        let mut epochs = std::mem::take(&mut self.epochs);
        let mut next_offset = replay_from;
        self.for_each_header(disk, replay_from, |header, _| {
            if next_offset.0 < header.base_offset {
                // Compaction has left a gap: where in it an epoch began only the checkpoint knows.
                let gap = next_offset.0..=header.base_offset;
                let in_gap = |entry: &&EpochEntry| {
                    gap.contains(&entry.start_offset.0) && entry.epoch.0 <= header.partition_leader_epoch
                };
                for entry in believed.iter().filter(in_gap) {
                    epochs.assign(entry.epoch, entry.start_offset);
                }
            }
            next_offset = Offset(header.next_offset());
            epochs.assign(LeaderEpoch(header.partition_leader_epoch), Offset(header.base_offset));
            Ok(())
        })
        .map_err(|error| self.damaged(error))?;
        epochs.truncate_from_start(self.log_start_offset);
        self.epochs = epochs;
        if was.as_ref().map_or(!self.epochs.is_empty(), |was| *was != self.epochs) {
            self.epochs.save(disk, &self.folder)?;
        }
        Ok(())
    }

    fn recover_producers(
        &mut self,
        disk: &mut dyn Disk,
        clean_shutdown: bool,
        now_ms: i64,
        report: &mut RecoveryReport,
    ) -> Result<(), OpenError> {
        if !clean_shutdown && let Some(lost) = self.first_lost_txn_index() {
            // What is checked is replayed, too. Snapshots behind that are not synced, and not used.
            self.producers.retain_snapshots(disk, &self.folder, |offset| offset <= lost)?;
        }
        let unusable = self.reload_producers(disk).map_err(|error| self.damaged(error))?;
        self.restore_txn_indexes(disk)?;
        self.remove_expired_producers(now_ms);
        let any_unusable = !unusable.is_empty();
        for (path, what) in unusable {
            report.note(path, format!("{what}: producer state rebuilt from the log"));
        }
        let end = self.log_end_offset;
        if clean_shutdown && !any_unusable && end > self.log_start_offset && !self.producers.has_snapshot(end)
        {
            report.note(
                &self.folder,
                format!("no producer snapshot at the log's end {end}: producer state rebuilt from the log"),
            );
        }
        let bases: BTreeSet<Offset> = self.segments.iter().map(LogSegment::base_offset).collect();
        let folder = &self.folder;
        self.producers.retain_snapshots(disk, folder, |offset| offset == end || bases.contains(&offset))?;
        Ok(())
    }

    /// Rebuilds the producers' state from the newest usable snapshot and the records after it, and with it the indexes of
    /// aborted transactions that are lost. Returns the unusable snapshots, with the reasons.
    pub(super) fn reload_producers(
        &mut self,
        disk: &mut dyn Disk,
    ) -> Result<Vec<(String, String)>, ReadError> {
        let (start, end) = (self.log_start_offset, self.log_end_offset);
        let replay_from = self.first_lost_txn_index().unwrap_or(end);
        let mut unusable = self.producers.truncate_and_reload(disk, &self.folder, start, end, replay_from)?;
        // A snapshot does not tell of transactions that ended before it with markers that are not committed yet.
        let (high_watermark, loaded) = (self.high_watermark, self.producers.map_end_offset());
        if high_watermark < loaded
            && !self.producers.producers().is_empty()
            && self.has_markers(disk, high_watermark, loaded)?
        {
            let replay_from = replay_from.min(high_watermark);
            unusable.extend(self.producers.truncate_and_reload(
                disk,
                &self.folder,
                start,
                end,
                replay_from,
            )?);
        }
        let mut producers = std::mem::take(&mut self.producers);
        let mut aborted = Vec::new();
        let replayed = self.for_each_header(disk, producers.map_end_offset(), |header, batch| {
            // A snapshot may stand in the middle of nothing but between two batches.
            if header.is_control() && header.producer_id >= 0 {
                aborted.extend(producers.update(header, Some(&batch()?)));
            } else {
                producers.update(header, None);
            }
            Ok(())
        });
        producers.set_map_end_offset(end);
        producers.on_high_watermark_updated(self.high_watermark);
        self.producers = producers;
        replayed?;
        for txn in aborted {
            let at = self.segment_of(txn.last_offset);
            if self.segments[at].txn_index_lost() {
                self.segments[at].note_aborted(txn);
            }
        }
        Ok(unusable)
    }

    /// The base offset of the first segment whose index of aborted transactions must be built from the log.
    fn first_lost_txn_index(&self) -> Option<Offset> {
        self.segments.iter().find(|segment| segment.txn_index_lost()).map(LogSegment::base_offset)
    }

    /// Whether there are transaction markers from `from` up to, not including, `to`.
    fn has_markers(&self, disk: &mut dyn Disk, from: Offset, to: Offset) -> Result<bool, ReadError> {
        let mut found = false;
        self.for_each_header(disk, from, |header, _| {
            found |= header.is_control() && header.producer_id >= 0 && header.base_offset < to.0;
            Ok(())
        })?;
        Ok(found)
    }

    /// Those that are lost have been built from the log.
    fn restore_txn_indexes(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        let active = self.segments.len() - 1;
        for (i, segment) in self.segments.iter_mut().enumerate() {
            if segment.txn_index_lost() {
                segment.restore_txn_index(disk, &self.folder, i < active)?;
            }
        }
        Ok(())
    }

    fn damaged(&self, error: ReadError) -> OpenError {
        match error {
            ReadError::Disk(error) => OpenError::Disk(error),
            error => OpenError::Corrupt { path: self.folder.clone(), what: error.to_string() },
        }
    }
}

/// The first segment that is not wholly below the recovery point, or the active one.
fn first_unflushed(segments: &[LogSegment], recovery_point: Offset) -> usize {
    segments.partition_point(|segment| segment.base_offset() <= recovery_point).saturating_sub(1)
}

/// The offset that a file's name begins with, if it has this suffix.
pub(super) fn offset_of(name: &str, suffix: &str) -> Option<Offset> {
    let digits = name.strip_suffix(suffix)?.strip_suffix('.')?;
    let all_digits = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().ok().map(Offset)).flatten()
}

fn snapshot_offsets(names: &[String]) -> BTreeSet<Offset> {
    names.iter().filter_map(|name| offset_of(name, "snapshot")).collect()
}

/// Reads a log's segments.
struct Loader<'a> {
    disk: &'a mut dyn Disk,
    folder: &'a str,
    options: &'a LogOpen,
    now_ms: i64,
    /// What the checkpoint says, if it can be read.
    epochs: Result<LeaderEpochCache, String>,
    report: &'a mut RecoveryReport,
}

impl Loader<'_> {
    fn load(&mut self, names: &[String]) -> Result<Vec<LogSegment>, DiskError> {
        let bases: BTreeSet<Offset> = names.iter().filter_map(|name| offset_of(name, "log")).collect();
        self.remove_strays(names, &bases)?;
        let mut segments = Vec::new();
        for base_offset in bases {
            segments.push(LogSegment::open_file(self.disk, self.folder, base_offset, self.now_ms)?);
        }
        if segments.is_empty() {
            return Ok(segments);
        }
        let unflushed = if self.options.clean_shutdown {
            segments.len()
        } else {
            first_unflushed(&segments, self.options.recovery_point)
        };
        let count = segments.len();
        for i in 0..count {
            let next_base = segments.get(i + 1).map(LogSegment::base_offset);
            let intact = if i < unflushed {
                self.load_flushed(&mut segments[i], next_base)?
            } else {
                self.recover(&mut segments[i], next_base)?
            };
            // A lost suffix need not leave torn bytes behind: then only the gap to the next segment shows it.
            let end = segments[i].next_offset();
            let gap = segments.get(i + 1).is_some_and(|next| next.base_offset() != end);
            if i + 1 < count && (!intact || gap) {
                self.delete_following(&mut segments, i)?;
                break;
            }
        }
        Ok(segments)
    }

    /// Removes what interrupted operations have left.
    fn remove_strays(&mut self, names: &[String], bases: &BTreeSet<Offset>) -> Result<(), DiskError> {
        let mut removed = false;
        let first_index = names.iter().filter_map(|name| offset_of(name, "index")).min();
        self.report.lost_front = first_index.is_some_and(|index| {
            index >= self.options.log_start_offset && bases.first().is_some_and(|first| index < *first)
        });
        for name in names {
            let orphan = ["index", "timeindex", "txnindex"]
                .iter()
                .any(|suffix| offset_of(name, suffix).is_some_and(|base| !bases.contains(&base)));
            let temporary = name.strip_suffix(".tmp").is_some_and(|name| {
                let txn_index = offset_of(name, "txnindex").is_some();
                txn_index || name == leader_epoch::FILE || name == log_dir::PARTITION_METADATA
            });
            let deleted = name.ends_with(segment::DELETED);
            if orphan || temporary || deleted {
                let path = format!("{}/{name}", self.folder);
                self.disk.remove(&path)?;
                if orphan {
                    self.report.note(path, "an index without a log: removed");
                }
                removed = true;
            }
        }
        if removed { self.disk.sync_folder(self.folder) } else { Ok(()) }
    }

    /// A segment that was flushed: its content is trusted if its indexes are good. Returns whether the log goes on after it.
    fn load_flushed(
        &mut self,
        segment: &mut LogSegment,
        next_base: Option<Offset>,
    ) -> Result<bool, DiskError> {
        let interval = self.options.config.index_interval_bytes;
        let intact = match segment.load_indexes(self.disk, self.folder, interval)? {
            Ok(()) => true,
            Err(bad) => {
                self.report.note(bad.path, format!("{}: indexes rebuilt", bad.what));
                self.recover(segment, next_base)?
            }
        };
        if let Err(bad) = segment.load_txn_index(self.disk, self.folder)? {
            self.report.note(bad.path, format!("{}: rebuilt from the log", bad.what));
        }
        Ok(intact)
    }

    /// A segment that may hold anything; `next_base` is where the next one begins. Returns whether it was good up to its end.
    fn recover(&mut self, segment: &mut LogSegment, next_base: Option<Offset>) -> Result<bool, DiskError> {
        let interval = self.options.config.index_interval_bytes;
        let held = self.disk.len(segment.file());
        let mut bad = segment.rebuild(self.disk, Check::Content, interval)?;
        let misplaced = match self.first_of_other_epoch(segment)? {
            None => self.misplaced_before(segment, bad.as_ref(), next_base)?,
            misdated => misdated,
        };
        if let Some(misplaced) = misplaced {
            segment.cut(self.disk, misplaced.position)?;
            segment.rebuild(self.disk, Check::Headers, interval)?;
            bad = Some(misplaced);
        }
        if let Some(bad) = &bad {
            let cut = held - u64::from(bad.position);
            let path = segment::path(self.folder, segment.base_offset(), "log");
            self.report.note(path, format!("{}: cut {cut} bytes off at byte {}", bad.what, bad.position));
            self.report.lost = true;
            segment.cut(self.disk, bad.position)?;
        }
        if next_base.is_some() && bad.is_none() {
            segment.seal(self.disk, self.folder)?;
            segment.sync_indexes(self.disk, self.folder)?;
        }
        Ok(bad.is_none())
    }

    /// The first batch of a segment whose leader epoch, which no checksum covers, is not the one that the checkpoint has for it. The
    /// checkpoint is never behind the log.
    fn first_of_other_epoch(&mut self, segment: &LogSegment) -> Result<Option<BadBatch>, DiskError> {
        let Ok(epochs) = &self.epochs else { return Ok(None) };
        let mut position = 0;
        while position < segment.size() {
            let header = match segment.header_at(self.disk, position) {
                Ok(header) => header,
                Err(error) => return segment::bad_batch(position, error).map(Some),
            };
            let epoch = epochs.epoch_for_offset(Offset(header.last_offset()));
            if epoch.is_some_and(|epoch| epoch.0 != header.partition_leader_epoch) {
                let what = format!("a batch of leader epoch {}", header.partition_leader_epoch);
                return Ok(Some(BadBatch { position, what }));
            }
            position += header.size as u32;
        }
        Ok(None)
    }

    /// A write that has landed in the wrong place may be made of good batches, behind a gap in offsets, with what is left of other
    /// batches behind them, or the next segment's offsets. Only compaction leaves gaps.
    fn misplaced_before(
        &mut self,
        segment: &LogSegment,
        bad: Option<&BadBatch>,
        next_base: Option<Offset>,
    ) -> Result<Option<BadBatch>, DiskError> {
        let overlaps = next_base.is_some_and(|next| segment.next_offset() > next);
        if self.options.config.compact || (bad.is_none() && !overlaps) {
            return Ok(None);
        }
        let (mut position, mut expected, mut gap) = (0, segment.base_offset().0, None);
        while position < segment.size() {
            let header = match segment.header_at(self.disk, position) {
                Ok(header) => header,
                Err(error) => return segment::bad_batch(position, error).map(Some),
            };
            if header.base_offset > expected {
                let what = format!("a batch at offset {}, expected {expected}", header.base_offset);
                gap = Some(BadBatch { position, what });
            }
            expected = header.next_offset();
            position += header.size as u32;
        }
        Ok(gap)
    }

    /// Deletes every segment after `segments[i]`: what follows a hole is not the log.
    fn delete_following(&mut self, segments: &mut Vec<LogSegment>, i: usize) -> Result<(), DiskError> {
        let end = segments[i].next_offset();
        for segment in segments.drain(i + 1..).rev() {
            let path = segment::path(self.folder, segment.base_offset(), "log");
            self.report.note(path, format!("follows a hole at offset {end}: deleted"));
            segment.delete(self.disk, self.folder)?;
        }
        self.report.lost = true;
        self.disk.sync_folder(self.folder)
    }
}
