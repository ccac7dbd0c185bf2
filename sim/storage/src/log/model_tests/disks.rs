//! Disks that stop, crash and lose power.

use bytes::Bytes;
use trial_node::{Disk, DiskError, FileId, Rng};

use super::Crash;
use crate::{FileDisk, SimDisk};

/// A disk that refuses every change after the first few.
pub(in crate::log) struct Stopping<'a> {
    pub(in crate::log) inner: &'a mut dyn Disk,
    pub(in crate::log) left: Option<u8>,
}

impl Stopping<'_> {
    fn change(&mut self, path: &str) -> Result<(), DiskError> {
        match &mut self.left {
            None => Ok(()),
            Some(0) => Err(DiskError::Failed { path: path.to_owned(), what: "stopped".to_owned() }),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }
}

impl Disk for Stopping<'_> {
    fn open(&mut self, path: &str, create: bool) -> Result<FileId, DiskError> {
        self.change(path)?;
        self.inner.open(path, create)
    }
    fn close(&mut self, file: FileId) {
        self.inner.close(file);
    }
    fn len(&self, file: FileId) -> u64 {
        self.inner.len(file)
    }
    fn append(&mut self, file: FileId, chunks: &[Bytes]) -> Result<(), DiskError> {
        self.change("append")?;
        self.inner.append(file, chunks)
    }
    fn read(&mut self, file: FileId, position: u64, len: u64) -> Result<Bytes, DiskError> {
        self.inner.read(file, position, len)
    }
    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        self.change("truncate")?;
        self.inner.truncate(file, len)
    }
    fn sync(&mut self, file: FileId) -> Result<(), DiskError> {
        self.change("sync")?;
        self.inner.sync(file)
    }
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.change(from)?;
        self.inner.rename(from, to)
    }
    fn remove(&mut self, path: &str) -> Result<(), DiskError> {
        self.change(path)?;
        self.inner.remove(path)
    }
    fn list(&mut self, folder: &str) -> Result<Vec<String>, DiskError> {
        self.inner.list(folder)
    }
    fn sync_folder(&mut self, folder: &str) -> Result<(), DiskError> {
        self.change(folder)?;
        self.inner.sync_folder(folder)
    }
}

/// What a test needs of a disk beyond [`Disk`].
pub(super) trait TestDisk: Disk + Sized {
    fn crash(&mut self, crash: Crash);
    fn write_back(&mut self);
}

impl TestDisk for SimDisk {
    fn crash(&mut self, crash: Crash) {
        match crash {
            Crash::Kill => self.crash_process(),
            Crash::PowerLoss(seed) => self.lose_power(&mut Rng::named(seed, "power")),
        }
    }
    fn write_back(&mut self) {
        SimDisk::write_back(self);
    }
}

impl TestDisk for FileDisk {
    /// Real power cannot be lost here; every crash is a kill.
    fn crash(&mut self, _: Crash) {
        *self = FileDisk::new(self.root()).unwrap();
    }
    fn write_back(&mut self) {}
}
