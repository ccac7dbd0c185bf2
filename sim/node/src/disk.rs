//! The disk as a node sees it: synchronous files that only grow, are cut, renamed and removed.

use bytes::Bytes;

/// An open file of one node. Valid until it is closed or the node restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// A disk operation failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    /// No such file or folder.
    #[error("{path}: no such file or folder")]
    NotFound {
        /// The path, relative to the node's data folder.
        path: String,
    },
    /// The device failed (EIO) or is full (ENOSPC), or the operating system refused.
    #[error("{path}: {what}")]
    Failed {
        /// The path, relative to the node's data folder.
        path: String,
        /// What went wrong.
        what: String,
    },
    /// The device gave what nobody has written there.
    #[error("{path}: {what}")]
    Corrupt {
        /// The folder of the partition, relative to the node's data folder.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// A read reached past the end of the file.
    #[error("{path}: read of {len} bytes at {position}, but the file has {file_len}")]
    PastEnd {
        /// The path, relative to the node's data folder.
        path: String,
        /// Where the read began.
        position: u64,
        /// How much it wanted.
        len: u64,
        /// How long the file is.
        file_len: u64,
    },
}

impl DiskError {
    /// The path of what failed, relative to the node's data folder: a file's, or a folder's. It begins with the name of its log
    /// directory, if there are several.
    pub fn path(&self) -> &str {
        match self {
            DiskError::NotFound { path }
            | DiskError::Failed { path, .. }
            | DiskError::Corrupt { path, .. }
            | DiskError::PastEnd { path, .. } => path,
        }
    }
}

/// One node's data folder.
///
/// Paths are relative, with `/` between folders; folders come into being with the first file in them. Every operation
/// returns at once; what it costs is the driver's business. What was written but not synced survives the death of the
/// process and may be lost, wholly or in part, when the machine loses power. A rename or a removal is durable once the
/// folder was synced.
pub trait Disk {
    /// Opens `path` for reading, appending and truncating; creates it, empty, if `create` says so and it is missing.
    ///
    /// # Errors
    /// [`DiskError::NotFound`] when it is missing and `create` is false.
    fn open(&mut self, path: &str, create: bool) -> Result<FileId, DiskError>;

    /// Forgets an open file. Does not sync it.
    fn close(&mut self, file: FileId);

    /// The length of an open file in bytes.
    fn len(&self, file: FileId) -> u64;

    /// Appends the chunks, in order, as one write.
    ///
    /// # Errors
    /// [`DiskError::Failed`]; the file is then unchanged or holds a prefix of the write.
    fn append(&mut self, file: FileId, chunks: &[Bytes]) -> Result<(), DiskError>;

    /// Reads exactly `len` bytes at `position`. Shares memory with what was appended where it can.
    ///
    /// # Errors
    /// [`DiskError::PastEnd`] or [`DiskError::Failed`].
    fn read(&mut self, file: FileId, position: u64, len: u64) -> Result<Bytes, DiskError>;

    /// Reads at least `least` and at most `most` bytes at `position`: all that can be had without a copy, if that is enough.
    ///
    /// # Errors
    /// As [`Disk::read`] of `most` bytes.
    fn read_some(&mut self, file: FileId, position: u64, least: u64, most: u64) -> Result<Bytes, DiskError> {
        assert!(least <= most, "at least {least} and at most {most} bytes");
        self.read(file, position, most)
    }

    /// As [`Disk::read`], into `out`: for a few bytes, of which nothing is to be kept.
    ///
    /// # Errors
    /// As [`Disk::read`].
    fn read_into(&mut self, file: FileId, position: u64, out: &mut [u8]) -> Result<(), DiskError> {
        let bytes = self.read(file, position, out.len() as u64)?;
        out.copy_from_slice(&bytes);
        Ok(())
    }

    /// Whether all that the file holds from `position` on is in memory as this machine wrote it since it was switched on, so that
    /// no device can have changed it. What is not has to be checked by whoever reads it. Never wrongly true.
    fn is_cached(&self, file: FileId, position: u64) -> bool {
        let _unknown = (file, position);
        false
    }

    /// Cuts the file down to `len` bytes. Longer than the file is an error of the caller's.
    ///
    /// # Errors
    /// [`DiskError::Failed`].
    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError>;

    /// Makes the content and length of an open file durable.
    ///
    /// # Errors
    /// [`DiskError::Failed`].
    fn sync(&mut self, file: FileId) -> Result<(), DiskError>;

    /// Renames a file or a folder, replacing a file that has the new name. Open files stay open.
    ///
    /// # Errors
    /// [`DiskError::NotFound`] or [`DiskError::Failed`].
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError>;

    /// Removes a file, or a folder with all that is in it. Files of it that are open must not be used any more.
    ///
    /// # Errors
    /// [`DiskError::NotFound`] or [`DiskError::Failed`].
    fn remove(&mut self, path: &str) -> Result<(), DiskError>;

    /// The names, not the paths, of the files and folders directly in `folder` (`""` is the data folder), sorted. A folder
    /// that does not exist is empty.
    ///
    /// # Errors
    /// [`DiskError::Failed`].
    fn list(&mut self, folder: &str) -> Result<Vec<String>, DiskError>;

    /// Makes creations, renames and removals directly in `folder` durable.
    ///
    /// # Errors
    /// [`DiskError::Failed`].
    fn sync_folder(&mut self, folder: &str) -> Result<(), DiskError>;
}
