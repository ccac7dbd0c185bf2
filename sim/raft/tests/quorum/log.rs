//! The simplest log that holds what the quorum demands: one file of batches.

use bytes::Bytes;
use trial_node::{Disk, FileId, LeaderEpoch, Offset};
use trial_raft::{OffsetAndEpoch, RaftError, ReplicatedLog};
use trial_wire::{Batch, Batches};

const LOG: &str = "__cluster_metadata-0/log";
const START: &str = "__cluster_metadata-0/log-start";

#[derive(Clone, Copy, Debug)]
struct Entry {
    position: u64,
    size: u64,
    base: Offset,
    next: Offset,
    epoch: LeaderEpoch,
}

#[derive(Clone, Debug)]
pub struct TestLog {
    file: FileId,
    start: Offset,
    entries: Vec<Entry>,
}

impl TestLog {
    /// Opens the log; a torn tail goes.
    pub fn open(disk: &mut dyn Disk) -> TestLog {
        let mut start = Offset::ZERO;
        if let Ok(file) = disk.open(START, false) {
            let bytes = disk.read(file, 0, 8).unwrap();
            start = Offset(i64::from_be_bytes(bytes[..].try_into().unwrap()));
        }
        let file = disk.open(LOG, true).unwrap();
        disk.sync_folder("__cluster_metadata-0").unwrap();
        let mut log = TestLog { file, start, entries: Vec::new() };
        let content = disk.read(file, 0, disk.len(file)).unwrap();
        let mut whole = 0;
        for batch in Batches::new(content).map_while(Result::ok) {
            log.push(&batch, whole);
            whole += batch.header().size as u64;
        }
        if whole < disk.len(file) {
            disk.truncate(file, whole).unwrap();
        }
        disk.sync(file).unwrap();
        if log.entries.first().is_some_and(|entry| entry.base > start) {
            // Lost power between emptying the log and noting its new start.
            log.start = log.entries[0].base;
        }
        log
    }

    fn push(&mut self, batch: &Batch, position: u64) {
        let header = batch.header();
        self.entries.push(Entry {
            position,
            size: header.size as u64,
            base: Offset(header.base_offset),
            next: Offset(header.next_offset()),
            epoch: LeaderEpoch(header.partition_leader_epoch),
        });
    }

    fn write_start(&mut self, disk: &mut dyn Disk, start: Offset) -> Result<(), RaftError> {
        let temporary = format!("{START}.tmp");
        let file = disk.open(&temporary, true)?;
        disk.truncate(file, 0)?;
        disk.append(file, &[Bytes::copy_from_slice(&start.0.to_be_bytes())])?;
        disk.sync(file)?;
        disk.rename(&temporary, START)?;
        disk.sync_folder("__cluster_metadata-0")?;
        self.start = start;
        Ok(())
    }

    fn held(&self) -> &[Entry] {
        let gone = self.entries.iter().take_while(|entry| entry.next <= self.start).count();
        &self.entries[gone..]
    }

    /// Every batch that it holds: base offset, offset after, epoch, bytes.
    pub fn batches(&self, disk: &mut dyn Disk) -> Vec<(Offset, Offset, LeaderEpoch, Bytes)> {
        let read =
            |disk: &mut dyn Disk, entry: &Entry| disk.read(self.file, entry.position, entry.size).unwrap();
        self.held().iter().map(|e| (e.base, e.next, e.epoch, read(disk, e))).collect()
    }
}

impl ReplicatedLog for TestLog {
    fn start_offset(&self) -> Offset {
        self.start
    }

    fn end_offset(&self) -> Offset {
        self.held().last().map_or(self.start, |entry| entry.next)
    }

    fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.held().last().map(|entry| entry.epoch)
    }

    fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<OffsetAndEpoch> {
        let last = self.held().iter().rfind(|entry| entry.epoch <= epoch)?;
        Some(OffsetAndEpoch::new(last.next, last.epoch))
    }

    fn append(&mut self, disk: &mut dyn Disk, batches: Bytes) -> Result<(), RaftError> {
        let mut position = disk.len(self.file);
        for batch in Batches::new(batches.clone()) {
            let batch = batch.expect("batches were checked");
            assert_eq!(batch.header().base_offset, self.end_offset().0);
            self.push(&batch, position);
            position += batch.header().size as u64;
        }
        disk.append(self.file, &[batches])?;
        Ok(())
    }

    fn read(&self, disk: &mut dyn Disk, from: Offset, max_bytes: u32) -> Result<Bytes, RaftError> {
        assert!(from >= self.start && from <= self.end_offset());
        let rest = self.held().iter().skip_while(|entry| entry.next <= from);
        let (mut position, mut len) = (0, 0);
        for entry in rest {
            if len > 0 && len + entry.size > u64::from(max_bytes) {
                break;
            }
            if len == 0 {
                position = entry.position;
            }
            len += entry.size;
        }
        Ok(disk.read(self.file, position, len)?)
    }

    fn flush(&mut self, disk: &mut dyn Disk) -> Result<(), RaftError> {
        Ok(disk.sync(self.file)?)
    }

    fn truncate_to(&mut self, disk: &mut dyn Disk, offset: Offset) -> Result<(), RaftError> {
        let kept = self.entries.iter().take_while(|entry| entry.next <= offset).count();
        let end = self.entries[..kept].last().map_or(0, |entry| entry.position + entry.size);
        self.entries.truncate(kept);
        assert_eq!(self.end_offset(), offset, "truncation within a batch");
        Ok(disk.truncate(self.file, end)?)
    }

    fn truncate_fully_and_start_at(&mut self, disk: &mut dyn Disk, offset: Offset) -> Result<(), RaftError> {
        self.entries.clear();
        disk.truncate(self.file, 0)?;
        disk.sync(self.file)?;
        self.write_start(disk, offset)
    }

    fn raise_start_offset(&mut self, disk: &mut dyn Disk, offset: Offset) -> Result<(), RaftError> {
        assert!(offset <= self.end_offset());
        self.write_start(disk, offset)
    }

    fn update_high_watermark(&mut self, offset: Offset) {
        assert!(offset <= self.end_offset());
    }
}
