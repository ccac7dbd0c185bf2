//! What can be wrong with a disk, as data.

use std::fmt;

use trial_node::TopicPartition;

/// Which part of a machine's disk a fault is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DiskPart {
    /// All of it.
    #[default]
    Everything,
    /// One of its log directories, by name.
    LogDir(String),
    /// The folder of a partition, in whichever log directory it is.
    Partition(TopicPartition),
}

/// Any kind of file.
pub const EVERY_FILE: &str = "*";

/// What is wrong with a part of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// Operations fail with EIO.
    Error(FailingOps),
    /// It takes no more than so many bytes, all in all; `None`: not one more than it holds when the fault strikes. Appends that
    /// do not fit write what fits, and fail with ENOSPC.
    Full(Option<u64>),
    /// When power is lost, each sector of what was not synced is written or not by itself.
    TornWrite,
    /// A sync says that it is done, and nothing has been written: a loss of power takes everything since the last sync before.
    LostFsync,
    /// Bits have flipped at rest.
    BitRot {
        /// In which kind of file: what its name ends with, behind a dot, or its whole name.
        file: String,
        /// How many bits, at least 1, all in one file.
        bits: u32,
    },
    /// The next write to a segment's log goes to another place of a log in the same folder: there it has replaced what was there,
    /// and where it belongs there are zeros.
    MisdirectedWrite,
    /// A file is not there any more. A process that has it open has it until it dies.
    FileLost {
        /// Which kind of file: what its name ends with, behind a dot, or its whole name. [`EVERY_FILE`] is all files at once, as
        /// when the device was replaced.
        file: String,
    },
}

/// Which operations fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailingOps {
    /// Opening, reading and listing.
    pub read: bool,
    /// Creating, appending, truncating, renaming and removing.
    pub write: bool,
    /// Syncs of files and of folders.
    pub sync: bool,
}

impl FailingOps {
    /// Everything fails.
    pub const ALL: FailingOps = FailingOps { read: true, write: true, sync: true };
}

/// A kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Read,
    Write,
    Sync,
}

impl FailingOps {
    pub(super) fn contain(self, op: Op) -> bool {
        match op {
            Op::Read => self.read,
            Op::Write => self.write,
            Op::Sync => self.sync,
        }
    }
}

impl DiskPart {
    /// The folder's name; `None` if it is the whole disk.
    pub(super) fn folder(&self) -> Option<String> {
        match self {
            DiskPart::Everything => None,
            DiskPart::LogDir(name) => Some(name.clone()),
            DiskPart::Partition(tp) => Some(tp.to_string()),
        }
    }

    /// Whether what has this path, a file's or a folder's, is in it.
    pub(super) fn has(folder: Option<&str>, path: &str) -> bool {
        folder.is_none_or(|folder| path.split('/').any(|name| name == folder))
    }
}

impl DiskFault {
    /// Whether it is done as soon as it has happened: there is nothing to heal.
    pub fn is_instant(&self) -> bool {
        match self {
            DiskFault::Error(_) | DiskFault::Full(_) | DiskFault::TornWrite | DiskFault::LostFsync => false,
            DiskFault::BitRot { .. } | DiskFault::MisdirectedWrite | DiskFault::FileLost { .. } => true,
        }
    }
}

impl fmt::Display for DiskPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiskPart::Everything => f.write_str("the disk"),
            DiskPart::LogDir(name) => write!(f, "log directory {name}"),
            DiskPart::Partition(tp) => write!(f, "the files of {tp}"),
        }
    }
}
