//! One file of a log, with its two indexes.

use bytes::Bytes;
use trial_node::{Disk, DiskError, FileId, LeaderEpoch, Offset};
use trial_wire::batch::HEADER_LEN;
use trial_wire::{Batch, BatchError, Header};

use crate::config::LogConfig;
use crate::index::{Index, OffsetEntry, TimeEntry};
use crate::log::ReadError;
use crate::txn_index::AbortedTxn;
use crate::whole_file;

/// A segment. The last one of a log is the active one, which grows.
#[derive(Clone, Debug)]
pub(crate) struct LogSegment {
    base_offset: Offset,
    file: FileId,
    size: u32,
    next_offset: Offset,
    offset_index: Index<OffsetEntry>,
    time_index: Index<TimeEntry>,
    txn_index: Index<AbortedTxn>,
    /// Whether there may be a `.txnindex` file: only aborted transactions need one.
    has_txn_index_file: bool,
    /// Whether the index of aborted transactions must be built from the log before it is used.
    txn_index_lost: bool,
    /// Bytes of log since the batch of the last index entry, that batch included.
    bytes_since_index_entry: u32,
    /// The largest timestamp, and the last offset of the batch that has it; `None` in an empty segment.
    max_timestamp: Option<(i64, Offset)>,
    /// The largest timestamp of the first batch: `segment.ms` counts from it.
    first_timestamp: Option<i64>,
    /// When the segment was created or opened, ms since the epoch: what `segment.ms` counts from if no timestamp is known.
    created_ms: i64,
    /// Whether the index files hold all entries, durably.
    indexes_durable: bool,
}

/// What the names of files end with that are to go.
pub(crate) const DELETED: &str = ".deleted";

/// How closely a scan looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Headers only.
    Headers,
    /// Checksums too.
    Content,
}

/// Where a scan met bytes that are not a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadBatch {
    pub(crate) position: u32,
    pub(crate) what: String,
}

/// The path of one of a segment's files.
pub(crate) fn path(folder: &str, base_offset: Offset, suffix: &str) -> String {
    format!("{folder}/{:020}.{suffix}", base_offset.0)
}

impl LogSegment {
    /// A new, empty segment.
    pub(crate) fn create(
        disk: &mut dyn Disk,
        folder: &str,
        base_offset: Offset,
        now_ms: i64,
    ) -> Result<LogSegment, DiskError> {
        let segment = LogSegment::open_file(disk, folder, base_offset, now_ms)?;
        if segment.size > 0 {
            disk.truncate(segment.file, 0)?;
        }
        Ok(LogSegment { size: 0, has_txn_index_file: false, ..segment })
    }

    /// A segment whose file is there, with nothing known about its content yet.
    pub(crate) fn open_file(
        disk: &mut dyn Disk,
        folder: &str,
        base_offset: Offset,
        now_ms: i64,
    ) -> Result<LogSegment, DiskError> {
        let path = path(folder, base_offset, "log");
        let file = disk.open(&path, true)?;
        let size = u32::try_from(disk.len(file)).map_err(|_| DiskError::Failed {
            path,
            what: "a segment has at most 2^31 - 1 bytes".to_owned(),
        })?;
        Ok(LogSegment {
            base_offset,
            file,
            size,
            next_offset: base_offset,
            offset_index: Index::default(),
            time_index: Index::default(),
            txn_index: Index::default(),
            has_txn_index_file: true,
            txn_index_lost: false,
            bytes_since_index_entry: 0,
            max_timestamp: None,
            first_timestamp: None,
            created_ms: now_ms,
            indexes_durable: false,
        })
    }

    pub(crate) fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// The offset after the last record's; the base offset if there is none.
    pub(crate) fn next_offset(&self) -> Offset {
        self.next_offset
    }

    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    pub(crate) fn file(&self) -> FileId {
        self.file
    }

    pub(crate) fn created_ms(&self) -> i64 {
        self.created_ms
    }

    pub(crate) fn max_timestamp(&self) -> Option<(i64, Offset)> {
        self.max_timestamp
    }

    /// The largest timestamp of its records, ms since the epoch; of one that has none, when it was created or opened.
    pub(crate) fn largest_timestamp(&self) -> i64 {
        self.max_timestamp.map(|(max, _)| max).filter(|max| *max >= 0).unwrap_or(self.created_ms)
    }

    /// The largest timestamp of its first batch, ms since the epoch; `None` if it has none.
    pub(crate) fn first_timestamp(&self) -> Option<i64> {
        self.first_timestamp
    }

    /// Whether a batch must go to a new segment rather than to this one.
    pub(crate) fn must_roll(
        &self,
        config: &LogConfig,
        batch: &Header,
        last_offset: Offset,
        now_ms: i64,
    ) -> bool {
        if self.size == 0 {
            return false;
        }
        let age = match self.first_timestamp {
            Some(first) => batch.max_timestamp.saturating_sub(first),
            None => now_ms.saturating_sub(self.created_ms),
        };
        u64::from(self.size) + batch.size as u64 > u64::from(config.segment_bytes)
            || age > config.max_segment_ms(self.base_offset)
            || self.offset_index.is_full(config.segment_index_bytes)
            || self.time_index.is_full(config.segment_index_bytes)
            || self.is_out_of_reach(last_offset)
    }

    /// Whether `last_offset` is too far from the base offset for the indexes.
    fn is_out_of_reach(&self, last_offset: Offset) -> bool {
        last_offset - self.base_offset > i64::from(i32::MAX)
    }

    fn relative(&self, offset: Offset) -> u32 {
        u32::try_from(offset - self.base_offset).expect("a log rolls before an offset is out of reach")
    }

    /// Appends the chunks of one or more batches, whose headers are given to [`LogSegment::note`] afterwards.
    pub(crate) fn append(&self, disk: &mut dyn Disk, chunks: &[Bytes]) -> Result<(), DiskError> {
        disk.append(self.file, chunks)
    }

    /// Takes a batch that was appended at the segment's end into account.
    pub(crate) fn note(&mut self, header: &Header, index_interval_bytes: u32) {
        let position = self.size;
        let size = u32::try_from(header.size).expect("a segment has at most 2^31 - 1 bytes");
        let last_offset = Offset(header.last_offset());
        if position == 0 {
            self.first_timestamp = Some(header.max_timestamp).filter(|timestamp| *timestamp >= 0);
        }
        if self.max_timestamp.is_none_or(|(max, _)| header.max_timestamp > max) {
            self.max_timestamp = Some((header.max_timestamp, last_offset));
        }
        if self.bytes_since_index_entry > index_interval_bytes {
            self.offset_index
                .maybe_append(OffsetEntry { relative_offset: self.relative(last_offset), position });
            self.append_time_entry();
            self.bytes_since_index_entry = 0;
            self.indexes_durable = false;
        }
        self.bytes_since_index_entry += size;
        self.size += size;
        self.next_offset = last_offset + 1;
    }

    fn append_time_entry(&mut self) {
        if let Some((timestamp, offset)) = self.max_timestamp {
            self.time_index.maybe_append(TimeEntry { timestamp, relative_offset: self.relative(offset) });
        }
    }

    /// The header of the batch at `position`, of which at least the header must be there.
    pub(crate) fn header_at(&self, disk: &mut dyn Disk, position: u32) -> Result<Header, ReadError> {
        let mut bytes = [0; HEADER_LEN];
        disk.read_into(self.file, position.into(), &mut bytes)?;
        Ok(Batch::peek(&bytes)?)
    }

    /// The whole batch at `position`. Its checksum is looked at if `check` says so, and if it comes from the device.
    pub(crate) fn batch_at(
        &self,
        disk: &mut dyn Disk,
        position: u32,
        header: &Header,
        check: Check,
    ) -> Result<Batch, ReadError> {
        let bytes = disk.read(self.file, position.into(), header.size as u64)?;
        Ok(match check {
            Check::Headers if disk.is_cached(self.file, position.into()) => Batch::parse_trusted(bytes)?,
            Check::Headers | Check::Content => Batch::parse(bytes)?,
        })
    }

    /// The first batch that ends at or after `offset`, and its position; `None` if all end before.
    pub(crate) fn find(
        &self,
        disk: &mut dyn Disk,
        offset: Offset,
    ) -> Result<Option<(u32, Header)>, ReadError> {
        if offset >= self.next_offset {
            return Ok(None);
        }
        let relative = self.relative(offset.max(self.base_offset));
        let entry = self.offset_index.floor(relative);
        let mut position = entry.map_or(0, |entry| entry.position);
        let mut lowest = self.base_offset.0;
        while position < self.size {
            let header = self.header_at(disk, position)?;
            if header.base_offset < lowest {
                return Err(misplaced(position, "it begins before the batch in front of it ends"));
            }
            if lowest == self.base_offset.0
                && entry.is_some_and(|entry| header.base_offset > lowest + i64::from(entry.relative_offset))
            {
                return Err(misplaced(position, "the index has another one here"));
            }
            lowest = header.next_offset();
            if lowest > self.next_offset.0 || header.size as u64 > u64::from(self.size - position) {
                return Err(misplaced(position, "it ends beyond its segment"));
            }
            if header.last_offset() >= offset.0 {
                return Ok(Some((position, header)));
            }
            position += header.size as u32;
        }
        Ok(None)
    }

    /// Checks what a read has given of the batches at `position`, the first of which begins at `from` or later: their checksums,
    /// and that each is where it belongs by the batches around it and by its leader epoch, which no checksum covers.
    pub(crate) fn verify(
        &self,
        disk: &mut dyn Disk,
        position: u32,
        records: &Bytes,
        from: Offset,
        epoch_for: impl Fn(Offset) -> Option<LeaderEpoch>,
    ) -> Result<(), ReadError> {
        let (mut at, mut lowest) = (0, from.0);
        while at < records.len() {
            let header = Batch::check(&records[at..], at)?;
            let place = position + at as u32;
            if header.base_offset < lowest {
                return Err(misplaced(place, "it begins before the batch in front of it ends"));
            }
            let epoch = epoch_for(Offset(header.last_offset()));
            if epoch.is_some_and(|epoch| epoch.0 != header.partition_leader_epoch) {
                return Err(misplaced(place, "it is of another leader epoch"));
            }
            lowest = header.next_offset();
            at += header.size;
        }
        let end = position + records.len() as u32;
        let next = if end < self.size { self.header_at(disk, end)?.base_offset } else { self.next_offset.0 };
        if next < lowest {
            return Err(misplaced(end, "it begins before the batch in front of it ends"));
        }
        Ok(())
    }

    /// Where to begin to look for the first record with a timestamp of at least `timestamp`; [`LogSegment::max_timestamp`]
    /// says whether there is one.
    pub(crate) fn start_for_timestamp(&self, timestamp: i64) -> u32 {
        self.offset_index.lookup(self.time_index.lookup(timestamp))
    }

    /// Reads all batches from the start, rebuilding the indexes, up to the end or the first bad batch.
    pub(crate) fn rebuild(
        &mut self,
        disk: &mut dyn Disk,
        check: Check,
        index_interval_bytes: u32,
    ) -> Result<Option<BadBatch>, DiskError> {
        self.offset_index = Index::default();
        self.time_index = Index::default();
        self.txn_index = Index::default();
        self.has_txn_index_file = true;
        self.txn_index_lost = true;
        self.indexes_durable = false;
        self.max_timestamp = None;
        self.first_timestamp = None;
        self.scan(disk, 0, check, index_interval_bytes)
    }

    /// Loads the indexes and reads the headers behind the last entry. An error says why the indexes cannot be used;
    /// [`LogSegment::rebuild`] is then needed.
    pub(crate) fn load_indexes(
        &mut self,
        disk: &mut dyn Disk,
        folder: &str,
        index_interval_bytes: u32,
    ) -> Result<Result<(), BadIndex>, DiskError> {
        let offset_path = path(folder, self.base_offset, "index");
        let time_path = path(folder, self.base_offset, "timeindex");
        self.offset_index = match Index::load(disk, &offset_path)? {
            Ok(index) => index,
            Err(what) => return Ok(Err(BadIndex { path: offset_path, what })),
        };
        self.time_index = match Index::load(disk, &time_path)? {
            Ok(index) => index,
            Err(what) => return Ok(Err(BadIndex { path: time_path, what })),
        };
        let entries = self.offset_index.entries().len();
        if entries > 0 && self.time_index.last().is_none() {
            return Ok(Err(BadIndex {
                path: time_path,
                what: "it is empty, but the offset index is not".to_owned(),
            }));
        }
        if let Some(what) = self.index_mismatch(disk)? {
            return Ok(Err(BadIndex { path: offset_path, what }));
        }
        if let Some(bad) = self.scan_tail(disk, index_interval_bytes)? {
            return Ok(Err(BadIndex { path: path(folder, self.base_offset, "log"), what: bad.what }));
        }
        if self.offset_index.entries().len() > entries {
            return Ok(Err(BadIndex { path: offset_path, what: "it ends before the log does".to_owned() }));
        }
        let beyond =
            |entry: &TimeEntry| i64::from(entry.relative_offset) >= self.next_offset - self.base_offset;
        if self.time_index.last().is_some_and(beyond) {
            return Ok(Err(BadIndex { path: time_path, what: "it goes beyond the log's end".to_owned() }));
        }
        self.indexes_durable = true;
        Ok(Ok(()))
    }

    /// Loads the index of aborted transactions of a segment that was flushed. An error says why it cannot be used: it must
    /// then be built from the log.
    pub(crate) fn load_txn_index(
        &mut self,
        disk: &mut dyn Disk,
        folder: &str,
    ) -> Result<Result<(), BadIndex>, DiskError> {
        let path = path(folder, self.base_offset, "txnindex");
        self.has_txn_index_file = whole_file::exists(disk, &path)?;
        if !self.has_txn_index_file {
            // Nothing was aborted, unless the other indexes are missing as well.
            return Ok(Ok(()));
        }
        self.txn_index_lost = false;
        let out_of_range =
            |txn: &AbortedTxn| txn.last_offset < self.base_offset || txn.first_offset >= txn.last_offset;
        let what = match Index::load(disk, &path)? {
            Ok(index) if index.entries().iter().any(out_of_range) => "it does not fit the log".to_owned(),
            Ok(index) => {
                self.txn_index = index;
                // The log may have been cut by recovery.
                self.txn_index.truncate(|txn| txn.last_offset < self.next_offset);
                return Ok(Ok(()));
            }
            Err(what) => what,
        };
        self.txn_index_lost = true;
        Ok(Err(BadIndex { path, what }))
    }

    pub(crate) fn txn_index(&self) -> &Index<AbortedTxn> {
        &self.txn_index
    }

    /// Whether the index of aborted transactions must be built from the log.
    pub(crate) fn txn_index_lost(&self) -> bool {
        self.txn_index_lost
    }

    /// Takes an aborted transaction into account whose marker is in this segment.
    pub(crate) fn note_aborted(&mut self, txn: AbortedTxn) {
        self.txn_index.maybe_append(txn);
        self.indexes_durable = false;
    }

    /// The index of aborted transactions has been built from the log. That of a sealed segment is written, atomically: no
    /// later recovery could tell that a part of it is missing.
    pub(crate) fn restore_txn_index(
        &mut self,
        disk: &mut dyn Disk,
        folder: &str,
        sealed: bool,
    ) -> Result<(), DiskError> {
        self.txn_index_lost = false;
        if sealed && self.txn_index.is_empty() {
            self.remove_txn_index_file(disk, folder)?;
        } else if sealed {
            self.txn_index.replace(disk, &path(folder, self.base_offset, "txnindex"))?;
        }
        Ok(())
    }

    fn remove_txn_index_file(&mut self, disk: &mut dyn Disk, folder: &str) -> Result<(), DiskError> {
        if self.has_txn_index_file {
            match disk.remove(&path(folder, self.base_offset, "txnindex")) {
                Ok(()) => disk.sync_folder(folder)?,
                Err(DiskError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
            self.has_txn_index_file = false;
        }
        Ok(())
    }

    /// Whether the last entry of the offset index does not fit the log.
    fn index_mismatch(&self, disk: &mut dyn Disk) -> Result<Option<String>, DiskError> {
        let Some(last) = self.offset_index.last() else { return Ok(None) };
        if u64::from(last.position) + HEADER_LEN as u64 > u64::from(self.size) {
            return Ok(Some("it goes beyond the log's end".to_owned()));
        }
        match self.header_at(disk, last.position) {
            Ok(header) if header.last_offset() == self.base_offset.0 + i64::from(last.relative_offset) => {
                Ok(None)
            }
            Ok(_) | Err(ReadError::Corrupt(_)) => Ok(Some("its last entry does not fit the log".to_owned())),
            Err(ReadError::Disk(error)) => Err(error),
            Err(ReadError::OffsetOutOfRange { .. }) => unreachable!("no offset was looked for"),
        }
    }

    /// Reads the headers from the batch of the last index entry on.
    fn scan_tail(
        &mut self,
        disk: &mut dyn Disk,
        index_interval_bytes: u32,
    ) -> Result<Option<BadBatch>, DiskError> {
        self.max_timestamp = self
            .time_index
            .last()
            .map(|entry| (entry.timestamp, self.base_offset + i64::from(entry.relative_offset)));
        let from = self.offset_index.last().map_or(0, |entry| entry.position);
        if from > 0 {
            match self.header_at(disk, 0) {
                Ok(first) => self.first_timestamp = Some(first.max_timestamp).filter(|at| *at >= 0),
                Err(error) => return bad_batch(0, error).map(Some),
            }
        }
        self.scan(disk, from, Check::Headers, index_interval_bytes)
    }

    /// Takes every batch from `position` on into account, up to the end or the first bad one, where `size` then ends.
    fn scan(
        &mut self,
        disk: &mut dyn Disk,
        from: u32,
        check: Check,
        index_interval_bytes: u32,
    ) -> Result<Option<BadBatch>, DiskError> {
        let end = disk.len(self.file);
        self.size = from;
        self.bytes_since_index_entry = 0;
        if from == 0 {
            self.next_offset = self.base_offset;
        }
        let mut content = Vec::new();
        while u64::from(self.size) < end {
            let position = self.size;
            if u64::from(position) + HEADER_LEN as u64 > end {
                let what = format!("{} bytes are too few for a batch", end - u64::from(position));
                return Ok(Some(BadBatch { position, what }));
            }
            let header = match self.header_at(disk, position) {
                Ok(header) => header,
                Err(error) => return bad_batch(position, error).map(Some),
            };
            let left = end - u64::from(position);
            if header.size as u64 > left {
                let what = format!("a batch of {} bytes, of which {left} are there", header.size);
                return Ok(Some(BadBatch { position, what }));
            }
            let lowest = if position == from && from > 0 { self.base_offset } else { self.next_offset };
            if header.base_offset < lowest.0 || self.is_out_of_reach(Offset(header.last_offset())) {
                let what = format!("a batch at offset {}, expected {lowest}", header.base_offset);
                return Ok(Some(BadBatch { position, what }));
            }
            if check == Check::Content {
                // Copied and not shared: who shares a batch touches what counts the sharers, too.
                content.resize(header.size, 0);
                disk.read_into(self.file, position.into(), &mut content)?;
                if let Err(error) = Batch::check(&content, 0) {
                    return bad_batch(position, error.into()).map(Some);
                }
            }
            self.note(&header, index_interval_bytes);
        }
        Ok(None)
    }

    /// Cuts the file at `position`, where a batch begins, durably. The indexes must be right up to there.
    pub(crate) fn cut(&mut self, disk: &mut dyn Disk, position: u32) -> Result<(), DiskError> {
        disk.truncate(self.file, position.into())?;
        disk.sync(self.file)
    }

    /// Cuts the segment before the batch that ends at or after `offset`, durably. Returns whether there was one, and where
    /// it began.
    pub(crate) fn truncate_to(
        &mut self,
        disk: &mut dyn Disk,
        offset: Offset,
        index_interval_bytes: u32,
    ) -> Result<Option<Offset>, ReadError> {
        let Some((position, header)) = self.find(disk, offset)? else { return Ok(None) };
        self.cut(disk, position)?;
        let relative = self.relative(Offset(header.base_offset).max(self.base_offset));
        self.offset_index.truncate(|entry| entry.position < position);
        self.time_index.truncate(|entry| entry.relative_offset < relative);
        self.txn_index.truncate(|txn| txn.last_offset.0 < header.base_offset);
        // The entry that sealing added may stand behind the last regular one; it is right all the same.
        self.indexes_durable = false;
        self.first_timestamp = self.first_timestamp.filter(|_| position > 0);
        let bad = self.scan_tail(disk, index_interval_bytes)?;
        assert!(bad.is_none(), "the batches before the cut were good: {bad:?}");
        Ok(Some(Offset(header.base_offset)))
    }

    /// Writes the index files: the segment becomes inactive or is closed.
    pub(crate) fn seal(&mut self, disk: &mut dyn Disk, folder: &str) -> Result<(), DiskError> {
        self.append_time_entry();
        self.persist_indexes(disk, folder)
    }

    pub(crate) fn persist_indexes(&mut self, disk: &mut dyn Disk, folder: &str) -> Result<(), DiskError> {
        self.indexes_durable = false;
        self.offset_index.persist(disk, &path(folder, self.base_offset, "index"))?;
        self.time_index.persist(disk, &path(folder, self.base_offset, "timeindex"))?;
        // One that is lost will be written once it is built.
        if self.txn_index_lost {
            return Ok(());
        }
        if self.txn_index.is_empty() {
            return self.remove_txn_index_file(disk, folder);
        }
        self.has_txn_index_file = true;
        self.txn_index.persist(disk, &path(folder, self.base_offset, "txnindex"))
    }

    /// Makes the log file durable.
    pub(crate) fn sync(&self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        disk.sync(self.file)
    }

    /// Makes the index files of a sealed segment durable.
    pub(crate) fn sync_indexes(&mut self, disk: &mut dyn Disk, folder: &str) -> Result<(), DiskError> {
        if !self.indexes_durable {
            let all = ["index", "timeindex", "txnindex"];
            let present = if self.txn_index.is_empty() { &all[..2] } else { &all[..] };
            for suffix in present {
                let file = disk.open(&path(folder, self.base_offset, suffix), true)?;
                let synced = disk.sync(file);
                disk.close(file);
                synced?;
            }
            self.indexes_durable = true;
        }
        Ok(())
    }

    pub(crate) fn close(self, disk: &mut dyn Disk) {
        disk.close(self.file);
    }

    /// The offset after the last record in a log file that is whole but not a segment yet.
    pub(crate) fn end_of_file(disk: &mut dyn Disk, path: &str, base: Offset) -> Result<Offset, DiskError> {
        let file = disk.open(path, false)?;
        let (len, mut position, mut end) = (disk.len(file), 0, base);
        while position + HEADER_LEN as u64 <= len {
            let bytes = disk.read(file, position, HEADER_LEN as u64)?;
            let Ok(header) = Batch::peek(&bytes) else { break };
            position += header.size as u64;
            end = Offset(header.next_offset());
        }
        disk.close(file);
        Ok(end)
    }

    /// Removes the index files, of which the log file is about to be replaced.
    pub(crate) fn remove_indexes(disk: &mut dyn Disk, folder: &str, base: Offset) -> Result<(), DiskError> {
        for suffix in ["index", "timeindex", "txnindex"] {
            match disk.remove(&path(folder, base, suffix)) {
                Ok(()) | Err(DiskError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Removes the segment's files; durable once the folder is synced.
    pub(crate) fn delete(self, disk: &mut dyn Disk, folder: &str) -> Result<(), DiskError> {
        disk.close(self.file);
        for suffix in self.suffixes() {
            match disk.remove(&path(folder, self.base_offset, suffix)) {
                Ok(()) | Err(DiskError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes the segment's files out of the log, under names that say so, which are added to `retired`; durable once the
    /// folder is synced.
    pub(crate) fn retire(
        self,
        disk: &mut dyn Disk,
        folder: &str,
        retired: &mut Vec<String>,
    ) -> Result<(), DiskError> {
        disk.close(self.file);
        for suffix in self.suffixes() {
            let path = path(folder, self.base_offset, suffix);
            let deleted = format!("{path}{DELETED}");
            match disk.rename(&path, &deleted) {
                Ok(()) => retired.push(deleted),
                Err(DiskError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What the names of its files end with, that of the log last.
    fn suffixes(&self) -> impl Iterator<Item = &'static str> + use<> {
        let txn_index = (self.has_txn_index_file || !self.txn_index.is_empty()).then_some("txnindex");
        ["index", "timeindex"].into_iter().chain(txn_index).chain(["log"])
    }
}

/// Why the indexes of a segment cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadIndex {
    pub(crate) path: String,
    pub(crate) what: String,
}

fn misplaced(position: u32, what: &'static str) -> ReadError {
    ReadError::Corrupt(BatchError::Field { position: position as usize, what })
}

/// Tells bytes that are no batch from a disk that fails.
pub(crate) fn bad_batch(position: u32, error: ReadError) -> Result<BadBatch, DiskError> {
    match error {
        ReadError::Disk(error) => Err(error),
        error => Ok(BadBatch { position, what: error.to_string() }),
    }
}
