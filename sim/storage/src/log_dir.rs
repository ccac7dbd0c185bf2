//! The files of a data folder that belong to no partition, and the partitions in it.

use std::collections::BTreeMap;

use trial_node::{Disk, DiskError, NodeId, Offset, OpenError};
use trial_wire::Uuid;

/// What `meta.properties` (KIP-631, version 1) says: whose data folder this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    /// `cluster.id`.
    pub cluster_id: String,
    /// `node.id`.
    pub node_id: NodeId,
    /// `directory.id` (KIP-858).
    pub directory_id: Uuid,
}

/// Offsets per partition, keyed by topic name and partition index, as a checkpoint file holds them.
pub type OffsetCheckpoint = BTreeMap<(String, i32), Offset>;

/// One of the offset checkpoint files of a data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointFile {
    /// `recovery-point-offset-checkpoint`: everything below is on the device.
    RecoveryPoint,
    /// `replication-offset-checkpoint`: the high watermarks.
    HighWatermark,
    /// `log-start-offset-checkpoint`: where logs begin that begin in the middle of their first segment.
    LogStartOffset,
}

/// A partition found in a data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionFolder {
    /// The folder's name, `<topic>-<partition>`.
    pub folder: String,
    /// The topic's name.
    pub topic: String,
    /// The partition's index.
    pub partition: i32,
    /// The topic's id, from `partition.metadata`; `None` if the file is missing.
    pub topic_id: Option<Uuid>,
}

/// Reads `meta.properties`; `None` in a data folder that was never formatted.
///
/// # Errors
/// [`OpenError::Corrupt`] if it is not one, or its version is not 1.
pub fn read_meta_properties(disk: &mut dyn Disk) -> Result<Option<MetaProperties>, OpenError> {
    disk.list("")?;
    unimplemented!()
}

/// Writes `meta.properties`, atomically and durably.
///
/// # Errors
/// What the disk says.
pub fn write_meta_properties(disk: &mut dyn Disk, meta: &MetaProperties) -> Result<(), DiskError> {
    disk.list(&meta.cluster_id)?;
    unimplemented!()
}

/// Reads an offset checkpoint; empty if there is no such file or it does not parse (its content is only ever a hint of how
/// far one need not look).
///
/// # Errors
/// What the disk says.
pub fn read_checkpoint(disk: &mut dyn Disk, file: CheckpointFile) -> Result<OffsetCheckpoint, DiskError> {
    disk.list(&format!("{file:?}"))?;
    unimplemented!()
}

/// Writes an offset checkpoint, atomically and durably. `entries` gives topic, partition and offset of each partition.
///
/// # Errors
/// What the disk says.
pub fn write_checkpoint<'a>(
    disk: &mut dyn Disk,
    file: CheckpointFile,
    entries: impl Iterator<Item = (&'a str, i32, Offset)>,
) -> Result<(), DiskError> {
    disk.list(&format!("{file:?} {}", entries.count()))?;
    unimplemented!()
}

/// Marks that the broker has closed all its logs in order (`.kafka_cleanshutdown`, KIP-966): the last step of a shutdown.
///
/// # Errors
/// What the disk says.
pub fn write_clean_shutdown(disk: &mut dyn Disk, broker_epoch: i64) -> Result<(), DiskError> {
    disk.list(&format!("{broker_epoch}"))?;
    unimplemented!()
}

/// Removes the marker, durably, and says whether it was there and with which broker epoch (−1 if it did not say): the first
/// step of a start.
///
/// # Errors
/// What the disk says.
pub fn take_clean_shutdown(disk: &mut dyn Disk) -> Result<Option<i64>, DiskError> {
    disk.list("")?;
    unimplemented!()
}

/// The name of a partition's folder.
pub fn partition_folder(topic: &str, partition: i32) -> String {
    format!("{topic}-{partition}")
}

/// The partitions in the data folder, sorted by folder name. Removes folders whose deletion a crash interrupted.
/// `__cluster_metadata-0` is among them.
///
/// # Errors
/// What the disk says.
pub fn list_partitions(disk: &mut dyn Disk) -> Result<Vec<PartitionFolder>, OpenError> {
    disk.list("")?;
    unimplemented!()
}

/// Deletes a partition's folder: renames it, so that it is gone at once even if a crash interrupts the rest, then removes
/// it. The partition's [`crate::UnifiedLog`] must have been closed or dropped without use since.
///
/// # Errors
/// What the disk says.
pub fn delete_partition(disk: &mut dyn Disk, folder: &str) -> Result<(), DiskError> {
    disk.list(folder)?;
    unimplemented!()
}
