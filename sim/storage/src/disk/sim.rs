//! A disk in memory that knows what is only in the page cache.

use bytes::Bytes;
use trial_node::{Disk, DiskError, FileId, Rng};

/// What the node has asked of its disk since [`SimDisk::take_usage`] was last called, for the world to charge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes appended; they went to the page cache.
    pub bytes_written: u64,
    /// Calls of `sync` and `sync_folder`.
    pub syncs: u32,
    /// Bytes that those syncs had to move from the page cache to the device.
    pub bytes_synced: u64,
    /// All operations, reads, writes and syncs included.
    pub operations: u32,
}

/// One machine's disk. Survives the node's process; cheap to clone (content is shared).
#[derive(Clone, Debug, Default)]
pub struct SimDisk {}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    /// The node's process died: its open files are forgotten; everything that it wrote is kept.
    pub fn crash_process(&mut self) {
        unimplemented!()
    }

    /// The machine lost power: open files are forgotten, and of what was not synced each file and each folder keeps all,
    /// nothing or a part, as `rng` decides.
    pub fn lose_power(&mut self, rng: &mut Rng) {
        unimplemented!("{rng:?}")
    }

    /// The kernel's flusher: makes durable whatever was already dirty when this was last called, and returns how many
    /// bytes that moved to the device. Called every 30 s it makes data durable 30 to 60 s after it was written.
    pub fn write_back(&mut self) -> u64 {
        unimplemented!()
    }

    /// How many bytes are in the page cache only.
    pub fn dirty_bytes(&self) -> u64 {
        unimplemented!()
    }

    /// What was asked of the disk since the last call.
    pub fn take_usage(&mut self) -> DiskUsage {
        unimplemented!()
    }
}

impl Disk for SimDisk {
    fn open(&mut self, path: &str, create: bool) -> Result<FileId, DiskError> {
        unimplemented!("{path} {create}")
    }
    fn close(&mut self, file: FileId) {
        unimplemented!("{file:?}")
    }
    fn len(&self, file: FileId) -> u64 {
        unimplemented!("{file:?}")
    }
    fn append(&mut self, file: FileId, chunks: &[Bytes]) -> Result<(), DiskError> {
        unimplemented!("{file:?} {chunks:?}")
    }
    fn read(&mut self, file: FileId, position: u64, len: u64) -> Result<Bytes, DiskError> {
        unimplemented!("{file:?} {position} {len}")
    }
    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        unimplemented!("{file:?} {len}")
    }
    fn sync(&mut self, file: FileId) -> Result<(), DiskError> {
        unimplemented!("{file:?}")
    }
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        unimplemented!("{from} {to}")
    }
    fn remove(&mut self, path: &str) -> Result<(), DiskError> {
        unimplemented!("{path}")
    }
    fn list(&mut self, folder: &str) -> Result<Vec<String>, DiskError> {
        unimplemented!("{folder}")
    }
    fn sync_folder(&mut self, folder: &str) -> Result<(), DiskError> {
        unimplemented!("{folder}")
    }
}
