//! Numbers that are not used twice, whatever crashes.

use bytes::Bytes;
use trial_node::{DiskError, HaltReason, Io};

/// Numbers in ascending order. They are reserved on disk, durably, a block at a time: a process that starts again leaves out
/// the rest of the block that it was in.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    /// One byte for each block that was reserved.
    path: String,
    next: u64,
    /// The end of the block.
    reserved: u64,
}

const BLOCK: u64 = 1_024;

impl Numbers {
    /// Goes on where the file at `path` says that a process before has stopped.
    pub fn open(path: String, io: &mut Io<'_>) -> Result<Numbers, DiskError> {
        let file = io.disk.open(&path, true)?;
        let next = io.disk.len(file) * BLOCK;
        io.disk.close(file);
        Ok(Numbers { path, next, reserved: next })
    }

    /// The next number. The process halts if it cannot be reserved.
    pub fn next(&mut self, io: &mut Io<'_>) -> u64 {
        if self.next == self.reserved {
            if let Err(error) = self.reserve(io) {
                io.halt(HaltReason::Fatal(error.to_string()));
            }
            self.reserved += BLOCK;
        }
        self.next += 1;
        self.next - 1
    }

    fn reserve(&self, io: &mut Io<'_>) -> Result<(), DiskError> {
        let file = io.disk.open(&self.path, true)?;
        io.disk.append(file, &[Bytes::from_static(b".")])?;
        io.disk.sync(file)?;
        io.disk.close(file);
        io.disk.sync_folder("")
    }
}
