//! The partition log, and the disks it runs on.
//!
//! - [`UnifiedLog`]: one partition's log: rolling segments with offset and time indexes, leader epochs, the state of
//!   idempotent and transactional producers; append, read, truncate, recover; the index of aborted transactions; compaction;
//! - [`log_dir`]: the files of a data folder that are not a partition's: `meta.properties`, offset checkpoints, the
//!   clean-shutdown marker; listing and deleting partitions;
//! - [`dump`]: log files as text;
//! - [`disk`]: [`SimDisk`], which forgets what a power loss forgets, and [`FileDisk`] on a real file system. They live
//!   beside the log so that one property test drives both.
//!
//! Every file has Kafka's name and Kafka's format.

mod checkpoint;
pub mod config;
pub mod disk;
pub mod dump;
mod index;
mod leader_epoch;
pub mod log;
pub mod log_dir;
mod producer_snapshot;
mod producer_state;
mod segment;
mod txn_index;
mod uuid_text;
mod verification;
mod whole_file;

pub use config::{LogConfig, TimestampType};
pub use disk::file::FileDisk;
pub use disk::sim::{DiskUsage, SimDisk};
pub use log::{
    AppendError, AppendInfo, AppendOrigin, CleanError, Cleaned, FetchData, LogOpen, ProducerDescription,
    ReadError, RecordError, RecordFault, RecoveryReport, Repair, TimestampAndOffset, UnifiedLog,
};
pub use verification::VerificationGuard;
