//! The files of a data folder that belong to no partition, and the partitions in it.

use std::collections::BTreeMap;

use bytes::Bytes;
use trial_node::{Disk, DiskError, NodeId, Offset, OpenError};
use trial_wire::Uuid;

use crate::{checkpoint, uuid_text, whole_file};

const META_PROPERTIES: &str = "meta.properties";
const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
pub(crate) const PARTITION_METADATA: &str = "partition.metadata";
/// What the name of a folder ends with that is being deleted.
const DELETED: &str = "-delete";

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
    /// `cleaner-offset-checkpoint`: how far logs have been compacted.
    Cleaner,
}

impl CheckpointFile {
    fn name(self) -> &'static str {
        match self {
            CheckpointFile::RecoveryPoint => "recovery-point-offset-checkpoint",
            CheckpointFile::HighWatermark => "replication-offset-checkpoint",
            CheckpointFile::LogStartOffset => "log-start-offset-checkpoint",
            CheckpointFile::Cleaner => "cleaner-offset-checkpoint",
        }
    }
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
    let Some(bytes) = whole_file::read(disk, META_PROPERTIES)? else { return Ok(None) };
    let text = std::str::from_utf8(&bytes).map_err(|_| corrupt(META_PROPERTIES, "not text"))?;
    let get = |key: &str| {
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('='))
            .find(|(name, _)| name.trim() == key)
            .map(|(_, value)| value.trim())
            .ok_or_else(|| corrupt(META_PROPERTIES, format!("{key} is missing")))
    };
    let invalid = |key: &str| corrupt(META_PROPERTIES, format!("{key} is invalid"));
    match get("version")? {
        "1" => {}
        version => return Err(corrupt(META_PROPERTIES, format!("version {version}, expected 1"))),
    }
    Ok(Some(MetaProperties {
        cluster_id: get("cluster.id")?.to_owned(),
        node_id: NodeId(get("node.id")?.parse().map_err(|_| invalid("node.id"))?),
        directory_id: uuid_text::decode(get("directory.id")?).ok_or_else(|| invalid("directory.id"))?,
    }))
}

/// Writes `meta.properties`, atomically and durably.
///
/// # Errors
/// What the disk says.
pub fn write_meta_properties(disk: &mut dyn Disk, meta: &MetaProperties) -> Result<(), DiskError> {
    let text = format!(
        "#\ncluster.id={}\ndirectory.id={}\nnode.id={}\nversion=1\n",
        meta.cluster_id,
        uuid_text::encode(meta.directory_id),
        meta.node_id
    );
    whole_file::replace(disk, META_PROPERTIES, Bytes::from(text))
}

/// Reads an offset checkpoint; empty if there is no such file or it does not parse (its content is only ever a hint of how
/// far one need not look).
///
/// # Errors
/// What the disk says.
pub fn read_checkpoint(disk: &mut dyn Disk, file: CheckpointFile) -> Result<OffsetCheckpoint, DiskError> {
    let Some(bytes) = whole_file::read(disk, file.name())? else { return Ok(OffsetCheckpoint::new()) };
    let entries = checkpoint::decode(&bytes, |line| {
        let mut words = line.split(' ');
        let topic = words.next()?.to_owned();
        let partition = words.next()?.parse().ok()?;
        let offset = Offset(words.next()?.parse().ok()?);
        words.next().is_none().then_some(((topic, partition), offset))
    });
    Ok(entries.unwrap_or_default().into_iter().collect())
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
    let text =
        checkpoint::encode(entries.map(|(topic, partition, offset)| format!("{topic} {partition} {offset}")));
    whole_file::replace(disk, file.name(), Bytes::from(text))
}

/// Marks that the broker has closed all its logs in order (`.kafka_cleanshutdown`, KIP-966): the last step of a shutdown.
///
/// # Errors
/// What the disk says.
pub fn write_clean_shutdown(disk: &mut dyn Disk, broker_epoch: i64) -> Result<(), DiskError> {
    let text = format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}");
    whole_file::replace(disk, CLEAN_SHUTDOWN, Bytes::from(text))
}

/// Removes the marker, durably, and says whether it was there and with which broker epoch (−1 if it did not say): the first
/// step of a start.
///
/// # Errors
/// What the disk says.
pub fn take_clean_shutdown(disk: &mut dyn Disk) -> Result<Option<i64>, DiskError> {
    let Some(bytes) = whole_file::read(disk, CLEAN_SHUTDOWN)? else { return Ok(None) };
    disk.remove(CLEAN_SHUTDOWN)?;
    disk.sync_folder("")?;
    let epoch = std::str::from_utf8(&bytes).ok().and_then(|text| {
        let (_, rest) = text.split_once("\"brokerEpoch\":")?;
        rest.trim_start().split(|c: char| c != '-' && !c.is_ascii_digit()).next()?.parse().ok()
    });
    Ok(Some(epoch.unwrap_or(-1)))
}

/// The name of a partition's folder.
pub fn partition_folder(topic: &str, partition: i32) -> String {
    format!("{topic}-{partition}")
}

/// The partitions in the data folder, sorted by folder name. Removes folders whose deletion a crash interrupted.
/// `__cluster_metadata-0` is among them.
///
/// # Errors
/// What the disk says; [`OpenError::Corrupt`] if a `partition.metadata` cannot be read.
pub fn list_partitions(disk: &mut dyn Disk) -> Result<Vec<PartitionFolder>, OpenError> {
    let mut partitions = Vec::new();
    for folder in disk.list("")? {
        if folder.ends_with(DELETED) {
            disk.remove(&folder)?;
            continue;
        }
        let Some((topic, partition)) = folder.rsplit_once('-') else { continue };
        let Ok(partition) = partition.parse::<i32>() else { continue };
        if topic.is_empty() || partition < 0 {
            continue;
        }
        let topic = topic.to_owned();
        let topic_id = read_partition_metadata(disk, &folder)?;
        partitions.push(PartitionFolder { folder, topic, partition, topic_id });
    }
    Ok(partitions)
}

/// Deletes a partition's folder: renames it, so that it is gone at once even if a crash interrupts the rest, then removes
/// it. The partition's [`crate::UnifiedLog`] must have been abandoned or closed.
///
/// # Errors
/// What the disk says.
pub fn delete_partition(disk: &mut dyn Disk, folder: &str) -> Result<(), DiskError> {
    // A topic of the same name may be created, and deleted, before the next start: the id keeps the names apart.
    let id = match read_partition_metadata(disk, folder) {
        Ok(Some(topic_id)) => topic_id,
        Ok(None) | Err(OpenError::Corrupt { .. } | OpenError::Config { .. }) => Uuid::nil(),
        Err(OpenError::Disk(error)) => return Err(error),
    };
    // File systems allow 255 bytes, and a topic's name may have 249.
    let kept = folder.len().min(255 - 33 - DELETED.len());
    let deleted = format!("{}.{}{DELETED}", &folder[..kept], id.simple());
    disk.rename(folder, &deleted)?;
    disk.sync_folder("")?;
    disk.remove(&deleted)
}

/// The topic's id in a partition's folder.
pub(crate) fn read_partition_metadata(disk: &mut dyn Disk, folder: &str) -> Result<Option<Uuid>, OpenError> {
    let path = format!("{folder}/{PARTITION_METADATA}");
    let Some(bytes) = whole_file::read(disk, &path)? else { return Ok(None) };
    let text = std::str::from_utf8(&bytes).map_err(|_| corrupt(&path, "not text"))?;
    let mut lines = text.lines();
    if lines.next() != Some("version: 0") {
        return Err(corrupt(&path, "the first line is not \"version: 0\""));
    }
    let id = lines.next().and_then(|line| line.strip_prefix("topic_id: ")).and_then(uuid_text::decode);
    id.map(Some).ok_or_else(|| corrupt(&path, "the second line is not a topic id"))
}

pub(crate) fn write_partition_metadata(
    disk: &mut dyn Disk,
    folder: &str,
    topic_id: Uuid,
) -> Result<(), DiskError> {
    let text = format!("version: 0\ntopic_id: {}", uuid_text::encode(topic_id));
    whole_file::replace(disk, &format!("{folder}/{PARTITION_METADATA}"), Bytes::from(text))
}

fn corrupt(path: &str, what: impl Into<String>) -> OpenError {
    OpenError::Corrupt { path: path.to_owned(), what: what.into() }
}

#[cfg(test)]
mod tests {
    use trial_node::Rng;

    use super::*;
    use crate::{LogConfig, LogOpen, SimDisk, UnifiedLog};

    fn text(disk: &mut SimDisk, path: &str) -> String {
        String::from_utf8(whole_file::read(disk, path).unwrap().unwrap().to_vec()).unwrap()
    }

    fn overwrite(disk: &mut SimDisk, path: &str, content: &'static str) {
        whole_file::write(disk, path, Bytes::from_static(content.as_bytes())).unwrap();
    }

    #[test]
    fn meta_properties_are_kafkas() {
        let mut disk = SimDisk::new();
        assert_eq!(read_meta_properties(&mut disk), Ok(None));
        let meta = MetaProperties {
            cluster_id: "4L6g3nShT-eMCtK--X86sw".to_owned(),
            node_id: NodeId(7),
            directory_id: Uuid::from_u128(1),
        };
        write_meta_properties(&mut disk, &meta).unwrap();
        assert_eq!(
            text(&mut disk, "meta.properties"),
            "#\ncluster.id=4L6g3nShT-eMCtK--X86sw\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAQ\nnode.id=7\nversion=1\n"
        );
        assert_eq!(read_meta_properties(&mut disk), Ok(Some(meta)));
        for (content, what) in [
            ("cluster.id=x\nnode.id=1\n", "version is missing"),
            ("version=0\nbroker.id=1\n", "version 0, expected 1"),
            ("version=1\ncluster.id=x\nnode.id=one\n", "node.id is invalid"),
        ] {
            overwrite(&mut disk, "meta.properties", content);
            let path = "meta.properties".to_owned();
            assert_eq!(
                read_meta_properties(&mut disk),
                Err(OpenError::Corrupt { path, what: what.to_owned() })
            );
        }
    }

    #[test]
    fn checkpoints_are_kafkas_and_survive_a_power_loss() {
        let mut disk = SimDisk::new();
        let file = CheckpointFile::HighWatermark;
        assert_eq!(read_checkpoint(&mut disk, file), Ok(OffsetCheckpoint::new()));
        let entries = [("orders", 0, Offset(5)), ("orders", 1, Offset(1 << 40))];
        write_checkpoint(&mut disk, file, entries.into_iter()).unwrap();
        assert_eq!(
            text(&mut disk, "replication-offset-checkpoint"),
            "0\n2\norders 0 5\norders 1 1099511627776\n"
        );
        for seed in 0..50 {
            let mut disk = disk.clone();
            disk.lose_power(&mut Rng::named(seed, "power"));
            let read = read_checkpoint(&mut disk, file).unwrap();
            assert_eq!(read[&("orders".to_owned(), 1)], Offset(1 << 40));
        }
        overwrite(&mut disk, "replication-offset-checkpoint", "0\n1\norders 0\n");
        assert_eq!(read_checkpoint(&mut disk, file), Ok(OffsetCheckpoint::new()));
    }

    #[test]
    fn the_clean_shutdown_marker_is_taken_once() {
        let mut disk = SimDisk::new();
        assert_eq!(take_clean_shutdown(&mut disk), Ok(None));
        write_clean_shutdown(&mut disk, 42).unwrap();
        assert_eq!(text(&mut disk, ".kafka_cleanshutdown"), r#"{"version":0,"brokerEpoch":42}"#);
        assert_eq!(take_clean_shutdown(&mut disk), Ok(Some(42)));
        disk.lose_power(&mut Rng::named(1, "power"));
        assert_eq!(take_clean_shutdown(&mut disk), Ok(None));
        overwrite(&mut disk, ".kafka_cleanshutdown", "");
        assert_eq!(take_clean_shutdown(&mut disk), Ok(Some(-1)));
    }

    #[test]
    fn partitions_are_listed_and_deleted() {
        let mut disk = SimDisk::new();
        for (folder, id) in [("a-b-0", Some(7)), ("a-b-11", None), ("__cluster_metadata-0", None)] {
            let options = LogOpen::new(LogConfig::default());
            let (mut log, _) = UnifiedLog::open(&mut disk, folder, options, 0).unwrap();
            if let Some(id) = id {
                log.assign_topic_id(&mut disk, Uuid::from_u128(id)).unwrap();
            }
        }
        write_clean_shutdown(&mut disk, 1).unwrap();
        let found = |disk: &mut SimDisk| -> Vec<(String, i32, Option<u128>)> {
            let partitions = list_partitions(disk).unwrap();
            partitions
                .into_iter()
                .map(|p| (p.topic, p.partition, p.topic_id.map(|id| id.as_u128())))
                .collect()
        };
        let (metadata, eleven) = (("__cluster_metadata".to_owned(), 0, None), ("a-b".to_owned(), 11, None));
        assert_eq!(found(&mut disk), [metadata.clone(), ("a-b".to_owned(), 0, Some(7)), eleven.clone()]);
        delete_partition(&mut disk, "a-b-0").unwrap();
        assert_eq!(found(&mut disk), [metadata, eleven]);
        assert_eq!(disk.list("").unwrap(), [".kafka_cleanshutdown", "__cluster_metadata-0", "a-b-11"]);
    }

    #[test]
    fn an_interrupted_deletion_is_finished_by_the_next_start() {
        let mut disk = SimDisk::new();
        let topic = "t".repeat(249);
        let folder = partition_folder(&topic, 0);
        UnifiedLog::open(&mut disk, &folder, LogOpen::new(LogConfig::default()), 0).unwrap();
        disk.sync_folder(&folder).unwrap();
        delete_partition(&mut disk, &folder).unwrap();
        for seed in 0..20 {
            let mut disk = disk.clone();
            disk.lose_power(&mut Rng::named(seed, "power"));
            assert!(disk.list("").unwrap().iter().all(|name| name.ends_with("-delete") && name.len() <= 255));
            assert_eq!(list_partitions(&mut disk), Ok(vec![]));
            assert_eq!(disk.list("").unwrap(), [""; 0]);
        }
    }
}
