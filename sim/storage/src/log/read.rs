//! Reading: by offset, by timestamp, and header by header.

use bytes::Bytes;
use trial_node::view::BatchView;
use trial_node::{Disk, DiskError, LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use trial_wire::{Batch, BatchError, Batches, Header};

use super::{FetchData, ReadError, TimestampAndOffset, UnifiedLog};
use crate::segment::{Check, LogSegment};

/// The most that the records of one batch may decompress to when a timestamp is looked for.
const DECOMPRESSED_BATCH_LIMIT: usize = 256 << 20;

/// What a reader asks for; see [`UnifiedLog::read`].
#[derive(Clone, Copy)]
struct Wanted {
    from: Offset,
    enough: usize,
    max_bytes: usize,
    bound: Offset,
    min_one: bool,
}

impl UnifiedLog {
    /// Reads whole batches from the one that holds `from` on, at most `max_bytes` of them, none that ends beyond `bound` (the
    /// high watermark for consumers, the log's end for replicas), all from one segment. With `min_one` the first batch comes
    /// even if it alone is larger. Nothing if `from` is `bound` or beyond.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(
        &self,
        disk: &mut dyn Disk,
        from: Offset,
        max_bytes: usize,
        bound: Offset,
        min_one: bool,
    ) -> Result<FetchData, ReadError> {
        self.read_enough(disk, from, max_bytes, max_bytes, bound, min_one)
    }

    /// As [`UnifiedLog::read`], but with `enough` bytes, or more, it may be content: it is if those are there without a copy, and what
    /// follows is not.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read_enough(
        &self,
        disk: &mut dyn Disk,
        from: Offset,
        enough: usize,
        max_bytes: usize,
        bound: Offset,
        min_one: bool,
    ) -> Result<FetchData, ReadError> {
        if from < self.log_start_offset || from > self.log_end_offset {
            return Err(ReadError::OffsetOutOfRange {
                offset: from,
                log_start_offset: self.log_start_offset,
                log_end_offset: self.log_end_offset,
            });
        }
        let bound = bound.min(self.log_end_offset);
        if from >= bound {
            return Ok(FetchData { records: Bytes::new(), next_offset: from });
        }
        let wanted = Wanted { from, enough, max_bytes, bound, min_one };
        let read = match self.tail_from(from) {
            Some(first) => self.read_tail(disk, first, wanted),
            None => self.read_indexed(disk, wanted),
        };
        read.map_err(|error| self.blame(error))
    }

    /// What comes from the device is checked before anybody is given it; what is in the page cache is as it was appended.
    fn check(
        &self,
        disk: &mut dyn Disk,
        segment: &LogSegment,
        position: u32,
        records: &Bytes,
        from: i64,
    ) -> Result<(), ReadError> {
        if disk.is_cached(segment.file(), position.into()) {
            return Ok(());
        }
        let epoch_for = |offset| self.epochs.epoch_for_offset(offset);
        segment.verify(disk, position, records, Offset(from), epoch_for)
    }

    /// What was a batch when it was appended, and is none any more, is the device's fault.
    fn blame(&self, error: ReadError) -> ReadError {
        match error {
            ReadError::Corrupt(BatchError::Record { .. } | BatchError::Codec(_))
            | ReadError::OffsetOutOfRange { .. } => error,
            error => ReadError::Disk(self.unreadable(error)),
        }
    }

    /// The place in the tail of the batch that holds `offset`; `None` if it is before the tail.
    fn tail_from(&self, offset: Offset) -> Option<usize> {
        if self.tail.front()?.base_offset > offset {
            return None;
        }
        let before = self.tail.iter().rev().take_while(|batch| batch.next_offset > offset).count();
        Some(self.tail.len() - before)
    }

    fn read_tail(&self, disk: &mut dyn Disk, first: usize, wanted: Wanted) -> Result<FetchData, ReadError> {
        let (len, next_offset) = self.tail_batches(first, wanted);
        let Some(batch) = self.tail.get(first).filter(|_| len > 0) else {
            return Ok(FetchData { records: Bytes::new(), next_offset });
        };
        let least = wanted.enough.max(batch.size as usize).min(len) as u64;
        let mut records = disk.read_some(self.active().file(), batch.position.into(), least, len as u64)?;
        let mut next_offset = next_offset;
        if records.len() < len {
            let whole = self.tail_batches(first, Wanted { max_bytes: records.len(), ..wanted });
            records.truncate(whole.0);
            next_offset = whole.1;
        }
        self.check(disk, self.active(), batch.position, &records, batch.base_offset.0)?;
        Ok(FetchData { records, next_offset })
    }

    /// How many bytes those batches from `first` on take that a reader gets at most, and the offset after them.
    fn tail_batches(&self, first: usize, wanted: Wanted) -> (usize, Offset) {
        let (mut len, mut next_offset) = (0, wanted.from);
        for batch in self.tail.range(first..) {
            let fits = len + batch.size as usize <= wanted.max_bytes || (wanted.min_one && len == 0);
            if !fits || batch.next_offset > wanted.bound {
                break;
            }
            len += batch.size as usize;
            next_offset = batch.next_offset;
        }
        (len, next_offset)
    }

    fn read_indexed(&self, disk: &mut dyn Disk, wanted: Wanted) -> Result<FetchData, ReadError> {
        let Wanted { from, enough, max_bytes, bound, min_one } = wanted;
        let nothing = FetchData { records: Bytes::new(), next_offset: from };
        for segment in &self.segments[self.segment_of(from)..] {
            let Some((position, header)) = segment.find(disk, from)? else { continue };
            if header.next_offset() > bound.0 || (header.size > max_bytes && !min_one) {
                // A header that lies would make its readers wait for ever.
                let batch = segment.batch_at(disk, position, &header, Check::Headers)?;
                self.check(disk, segment, position, batch.bytes(), header.base_offset)?;
                return Ok(nothing);
            }
            let most = max_bytes.max(header.size).min((segment.size() - position) as usize);
            let least = enough.max(header.size).min(most);
            let bytes = disk.read_some(segment.file(), position.into(), least as u64, most as u64)?;
            let mut batches = Batches::new(bytes.clone());
            let (mut end, mut next_offset) = (0, from);
            while let Some(batch) = batches.next_trusted() {
                let batch = batch?;
                if batch.header().next_offset() > bound.0 {
                    break;
                }
                end = batches.position();
                next_offset = Offset(batch.header().next_offset());
            }
            let records = bytes.slice(..end);
            self.check(disk, segment, position, &records, header.base_offset)?;
            return Ok(FetchData { records, next_offset });
        }
        Ok(nothing)
    }

    /// The last segment that begins at or before `offset`, or the first.
    pub(super) fn segment_of(&self, offset: Offset) -> usize {
        self.segments.partition_point(|segment| segment.base_offset() <= offset).saturating_sub(1)
    }

    /// Calls `each` with every batch that ends at or after `from`, in order, reading the headers from the files.
    ///
    /// # Errors
    /// What the disk says.
    pub fn batches(
        &self,
        disk: &mut dyn Disk,
        from: Offset,
        each: &mut dyn FnMut(BatchView),
    ) -> Result<(), DiskError> {
        if from >= self.log_end_offset {
            return Ok(());
        }
        let walked = match self.tail_from(from) {
            Some(first) => self.tail.range(first..).try_for_each(|batch| {
                each(view(&self.active().header_at(disk, batch.position)?));
                Ok(())
            }),
            None => self.for_each_header(disk, from, |header, _| {
                each(view(header));
                Ok(())
            }),
        };
        walked.map_err(|error| self.unreadable(error))
    }

    /// Calls `each` with the header of every batch that ends at or after `from`, in order, and with a way to get the whole
    /// batch.
    pub(super) fn for_each_header(
        &self,
        disk: &mut dyn Disk,
        from: Offset,
        mut each: impl FnMut(&Header, &mut dyn FnMut() -> Result<Batch, ReadError>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        for segment in &self.segments[self.segment_of(from)..] {
            let Some((mut position, _)) = segment.find(disk, from)? else { continue };
            while position < segment.size() {
                let header = segment.header_at(disk, position)?;
                each(&header, &mut || segment.batch_at(disk, position, &header, Check::Headers))?;
                position += header.size as u32;
            }
        }
        Ok(())
    }

    /// The first record, at or after the log's start, whose timestamp is at least `timestamp` (ms since the epoch).
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn offset_for_timestamp(
        &self,
        disk: &mut dyn Disk,
        timestamp: i64,
    ) -> Result<Option<TimestampAndOffset>, ReadError> {
        self.first_at(disk, timestamp).map_err(|error| self.blame(error))
    }

    fn first_at(&self, disk: &mut dyn Disk, timestamp: i64) -> Result<Option<TimestampAndOffset>, ReadError> {
        for segment in &self.segments {
            if segment.max_timestamp().is_none_or(|(max, _)| max < timestamp) {
                continue;
            }
            let mut position = segment.start_for_timestamp(timestamp);
            while position < segment.size() {
                let header = segment.header_at(disk, position)?;
                if header.max_timestamp >= timestamp
                    && let Some(found) = self.record_in(disk, segment, position, &header, timestamp)?
                {
                    return Ok(Some(found));
                }
                position += header.size as u32;
            }
        }
        Ok(None)
    }

    /// The record with the largest timestamp (KIP-734); the first of them.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn offset_of_max_timestamp(
        &self,
        disk: &mut dyn Disk,
    ) -> Result<Option<TimestampAndOffset>, ReadError> {
        let (first, others) = self.segments[self.segment_of(self.log_start_offset)..]
            .split_first()
            .expect("a log has a segment");
        let of = |segment: &LogSegment| segment.max_timestamp().map(|(max, _)| max);
        let of_others = others.iter().filter_map(of).max();
        let Some(max) = of_others.max(of(first)) else { return Ok(None) };
        match self.offset_for_timestamp(disk, max)? {
            // It was that of a deleted record.
            None => match of_others.max(self.max_timestamp_from_start(disk, first)?) {
                Some(max) => self.offset_for_timestamp(disk, max),
                None => Ok(None),
            },
            found => Ok(found),
        }
    }

    /// The largest timestamp of the records of a segment that are not before the log's start.
    fn max_timestamp_from_start(
        &self,
        disk: &mut dyn Disk,
        segment: &LogSegment,
    ) -> Result<Option<i64>, ReadError> {
        let start = self.log_start_offset;
        let Some((mut position, _)) = segment.find(disk, start)? else { return Ok(None) };
        let mut max = None;
        while position < segment.size() {
            let header = segment.header_at(disk, position)?;
            if header.base_offset >= start.0 || header.is_log_append_time() {
                max = max.max(Some(header.max_timestamp));
            } else {
                segment.batch_at(disk, position, &header, Check::Headers)?.for_each_record(
                    DECOMPRESSED_BATCH_LIMIT,
                    |record| {
                        if record.offset >= start.0 {
                            max = max.max(Some(record.timestamp));
                        }
                    },
                )?;
            }
            position += header.size as u32;
        }
        Ok(max)
    }

    /// The first record of a batch, at or after the log's start, whose timestamp is at least `timestamp`.
    fn record_in(
        &self,
        disk: &mut dyn Disk,
        segment: &LogSegment,
        position: u32,
        header: &Header,
        timestamp: i64,
    ) -> Result<Option<TimestampAndOffset>, ReadError> {
        let found = |timestamp, offset| {
            let leader_epoch = LeaderEpoch(header.partition_leader_epoch);
            Some(TimestampAndOffset { timestamp, offset, leader_epoch })
        };
        if header.is_log_append_time() {
            let first = Offset(header.base_offset).max(self.log_start_offset);
            return Ok(if first.0 <= header.last_offset() {
                found(header.max_timestamp, first)
            } else {
                None
            });
        }
        let batch = segment.batch_at(disk, position, header, Check::Headers)?;
        let mut first = None;
        batch.for_each_record(DECOMPRESSED_BATCH_LIMIT, |record| {
            if first.is_none() && record.timestamp >= timestamp && record.offset >= self.log_start_offset.0 {
                first = found(record.timestamp, Offset(record.offset));
            }
        })?;
        Ok(first)
    }
}

fn view(header: &Header) -> BatchView {
    let sequenced = !header.is_control();
    BatchView {
        base_offset: Offset(header.base_offset),
        last_offset: Offset(header.last_offset()),
        max_timestamp: header.max_timestamp,
        leader_epoch: LeaderEpoch(header.partition_leader_epoch),
        crc: header.crc,
        producer_id: ProducerId(header.producer_id),
        producer_epoch: ProducerEpoch(header.producer_epoch),
        base_sequence: if sequenced { header.base_sequence } else { -1 },
        last_sequence: if sequenced { header.last_sequence() } else { -1 },
        control: header.is_control(),
        transactional: header.is_transactional(),
        size: header.size as u32,
    }
}
