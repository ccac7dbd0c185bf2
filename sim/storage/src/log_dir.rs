//! The files of a log directory that belong to no partition, and the partitions in it.
//!
//! A log directory is named by its path within the node's disk: `""` is the disk's root, which is all that a broker with one
//! directory has. A broker with several (JBOD, KIP-112) has one folder each.

use std::collections::BTreeMap;

use bytes::Bytes;
use trial_node::{Disk, DiskError, NodeId, Offset, OpenError};
use trial_wire::Uuid;

use crate::segment::{Check, LogSegment};
use crate::{checkpoint, uuid_text, whole_file};

/// The file that says whose log directory it is in.
pub const META_PROPERTIES: &str = "meta.properties";
const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
pub(crate) const PARTITION_METADATA: &str = "partition.metadata";
/// What the name of a folder ends with that is being deleted.
const DELETED: &str = "-delete";

/// What `meta.properties` (KIP-631, version 1) says: whose log directory this is.
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

/// One of the offset checkpoint files of a log directory.
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

/// A partition found in a log directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionFolder {
    /// The folder's path within the node's disk; its name is `<topic>-<partition>`.
    pub folder: String,
    /// The topic's name.
    pub topic: String,
    /// The partition's index.
    pub partition: i32,
    /// The topic's id, from `partition.metadata`; `None` if the file is missing.
    pub topic_id: Option<Uuid>,
}

/// Where `name` is that is directly in the log directory `dir`.
pub fn path_in(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

/// Reads `meta.properties`; `None` in a log directory that was never formatted.
///
/// # Errors
/// [`OpenError::Corrupt`] if it is not one, or its version is not 1.
pub fn read_meta_properties(disk: &mut dyn Disk, dir: &str) -> Result<Option<MetaProperties>, OpenError> {
    let path = path_in(dir, META_PROPERTIES);
    let Some(bytes) = whole_file::read(disk, &path)? else { return Ok(None) };
    let text = std::str::from_utf8(&bytes).map_err(|_| corrupt(&path, "not text"))?;
    let get = |key: &str| {
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('='))
            .find(|(name, _)| name.trim() == key)
            .map(|(_, value)| value.trim())
            .ok_or_else(|| corrupt(&path, format!("{key} is missing")))
    };
    let invalid = |key: &str| corrupt(&path, format!("{key} is invalid"));
    match get("version")? {
        "1" => {}
        version => return Err(corrupt(&path, format!("version {version}, expected 1"))),
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
pub fn write_meta_properties(disk: &mut dyn Disk, dir: &str, meta: &MetaProperties) -> Result<(), DiskError> {
    let text = format!(
        "#\ncluster.id={}\ndirectory.id={}\nnode.id={}\nversion=1\n",
        meta.cluster_id,
        uuid_text::encode(meta.directory_id),
        meta.node_id
    );
    whole_file::replace(disk, &path_in(dir, META_PROPERTIES), Bytes::from(text))?;
    // The directory itself may have come into being just now.
    if dir.is_empty() { Ok(()) } else { disk.sync_folder(whole_file::split(dir).0) }
}

/// Reads an offset checkpoint; empty if there is no such file or it does not parse (its content is only ever a hint of how
/// far one need not look).
///
/// # Errors
/// What the disk says.
pub fn read_checkpoint(
    disk: &mut dyn Disk,
    dir: &str,
    file: CheckpointFile,
) -> Result<OffsetCheckpoint, DiskError> {
    let path = path_in(dir, file.name());
    let Some(bytes) = whole_file::read(disk, &path)? else { return Ok(OffsetCheckpoint::new()) };
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
    dir: &str,
    file: CheckpointFile,
    entries: impl Iterator<Item = (&'a str, i32, Offset)>,
) -> Result<(), DiskError> {
    let text =
        checkpoint::encode(entries.map(|(topic, partition, offset)| format!("{topic} {partition} {offset}")));
    whole_file::replace(disk, &path_in(dir, file.name()), Bytes::from(text))
}

/// What is in a file of this path, or in a folder, is not to be believed: the next start checks the partition's log from its
/// beginning, for it has no recovery point any more. Does nothing if the path is not in a partition's folder.
///
/// # Errors
/// What the disk says.
pub fn distrust(disk: &mut dyn Disk, dir: &str, path: &str) -> Result<(), DiskError> {
    let Some(key) = path.rsplit('/').find_map(partition_of) else { return Ok(()) };
    let mut recovery_points = read_checkpoint(disk, dir, CheckpointFile::RecoveryPoint)?;
    recovery_points.remove(&key);
    let entries =
        recovery_points.iter().map(|((topic, partition), offset)| (topic.as_str(), *partition, *offset));
    write_checkpoint(disk, dir, CheckpointFile::RecoveryPoint, entries)
}

/// The topic and the partition whose folder has this name.
fn partition_of(name: &str) -> Option<(String, i32)> {
    let (topic, partition) = name.rsplit_once('-')?;
    let partition = partition.parse::<i32>().ok().filter(|partition| *partition >= 0)?;
    (!topic.is_empty()).then(|| (topic.to_owned(), partition))
}

/// Marks that the broker has closed all its logs in order (`.kafka_cleanshutdown`, KIP-966): the last step of a shutdown.
///
/// # Errors
/// What the disk says.
pub fn write_clean_shutdown(disk: &mut dyn Disk, dir: &str, broker_epoch: i64) -> Result<(), DiskError> {
    let text = format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}");
    whole_file::replace(disk, &path_in(dir, CLEAN_SHUTDOWN), Bytes::from(text))
}

/// Removes the marker, durably, and says whether it was there and with which broker epoch (−1 if it did not say): the first
/// step of a start. It does not count if a log has lost a segment since, whose index is still there, or ends before its recovery
/// point, or is not there at all: then the replicas must not be taken for what they were.
///
/// # Errors
/// What the disk says.
pub fn take_clean_shutdown(disk: &mut dyn Disk, dir: &str) -> Result<Option<i64>, DiskError> {
    let path = path_in(dir, CLEAN_SHUTDOWN);
    let Some(bytes) = whole_file::read(disk, &path)? else { return Ok(None) };
    disk.remove(&path)?;
    disk.sync_folder(dir)?;
    let epoch = std::str::from_utf8(&bytes).ok().and_then(|text| {
        let (_, rest) = text.split_once("\"brokerEpoch\":")?;
        rest.trim_start().split(|c: char| c != '-' && !c.is_ascii_digit()).next()?.parse().ok()
    });
    let lost = has_lost_segments(disk, dir)? || has_lost_ends(disk, dir)?;
    Ok(if lost { None } else { Some(epoch.unwrap_or(-1)) })
}

/// Whether there are indexes without their segments.
fn has_lost_segments(disk: &mut dyn Disk, dir: &str) -> Result<bool, DiskError> {
    for name in disk.list(dir)? {
        if partition_of(&name).is_some() {
            let names = disk.list(&path_in(dir, &name))?;
            let lost = |index: &String| {
                let base = index.strip_suffix(".index")?;
                Some(names.binary_search(&format!("{base}.log")).is_err())
            };
            if names.iter().filter_map(lost).any(|lost| lost) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether there are logs that end before their recovery points, which an orderly shutdown puts at their ends.
fn has_lost_ends(disk: &mut dyn Disk, dir: &str) -> Result<bool, DiskError> {
    for ((topic, partition), recovery_point) in read_checkpoint(disk, dir, CheckpointFile::RecoveryPoint)? {
        let folder = partition_folder(dir, &topic, partition);
        if recovery_point > Offset::ZERO && !reaches(disk, &folder, recovery_point)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the log in a folder ends at `offset` or after it.
fn reaches(disk: &mut dyn Disk, folder: &str, offset: Offset) -> Result<bool, DiskError> {
    let names = disk.list(folder)?;
    let base = |name: &String| name.strip_suffix(".log")?.parse().ok().map(Offset);
    let Some(last) = names.iter().filter_map(base).max() else { return Ok(false) };
    if last >= offset {
        return Ok(true);
    }
    let mut segment = LogSegment::open_file(disk, folder, last, 0)?;
    // Nothing is added to the indexes, which nobody keeps.
    if segment.load_indexes(disk, folder, u32::MAX)?.is_err() {
        segment.rebuild(disk, Check::Headers, u32::MAX)?;
    }
    let end = segment.next_offset();
    segment.close(disk);
    Ok(end >= offset)
}

/// The path of a partition's folder.
pub fn partition_folder(dir: &str, topic: &str, partition: i32) -> String {
    path_in(dir, &format!("{topic}-{partition}"))
}

/// The partitions in a log directory, sorted by folder name. Removes folders whose deletion a crash interrupted.
/// `__cluster_metadata-0` is among them.
///
/// # Errors
/// What the disk says; [`OpenError::Corrupt`] if a `partition.metadata` cannot be read.
pub fn list_partitions(disk: &mut dyn Disk, dir: &str) -> Result<Vec<PartitionFolder>, OpenError> {
    let mut partitions = Vec::new();
    for name in disk.list(dir)? {
        let folder = path_in(dir, &name);
        if name.ends_with(DELETED) {
            disk.remove(&folder)?;
            continue;
        }
        let Some((topic, partition)) = partition_of(&name) else { continue };
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
    let (dir, name) = whole_file::split(folder);
    let kept = name.len().min(255 - 33 - DELETED.len());
    let deleted = path_in(dir, &format!("{}.{}{DELETED}", &name[..kept], id.simple()));
    disk.rename(folder, &deleted)?;
    disk.sync_folder(dir)?;
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
        assert_eq!(read_meta_properties(&mut disk, ""), Ok(None));
        let meta = MetaProperties {
            cluster_id: "4L6g3nShT-eMCtK--X86sw".to_owned(),
            node_id: NodeId(7),
            directory_id: Uuid::from_u128(1),
        };
        write_meta_properties(&mut disk, "", &meta).unwrap();
        assert_eq!(
            text(&mut disk, "meta.properties"),
            "#\ncluster.id=4L6g3nShT-eMCtK--X86sw\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAQ\nnode.id=7\nversion=1\n"
        );
        assert_eq!(read_meta_properties(&mut disk, ""), Ok(Some(meta)));
        for (content, what) in [
            ("cluster.id=x\nnode.id=1\n", "version is missing"),
            ("version=0\nbroker.id=1\n", "version 0, expected 1"),
            ("version=1\ncluster.id=x\nnode.id=one\n", "node.id is invalid"),
        ] {
            overwrite(&mut disk, "meta.properties", content);
            let path = "meta.properties".to_owned();
            assert_eq!(
                read_meta_properties(&mut disk, ""),
                Err(OpenError::Corrupt { path, what: what.to_owned() })
            );
        }
    }

    #[test]
    fn checkpoints_are_kafkas_and_survive_a_power_loss() {
        let mut disk = SimDisk::new();
        let file = CheckpointFile::HighWatermark;
        assert_eq!(read_checkpoint(&mut disk, "", file), Ok(OffsetCheckpoint::new()));
        let entries = [("orders", 0, Offset(5)), ("orders", 1, Offset(1 << 40))];
        write_checkpoint(&mut disk, "", file, entries.into_iter()).unwrap();
        assert_eq!(
            text(&mut disk, "replication-offset-checkpoint"),
            "0\n2\norders 0 5\norders 1 1099511627776\n"
        );
        for seed in 0..50 {
            let mut disk = disk.clone();
            disk.lose_power(&mut Rng::named(seed, "power"));
            let read = read_checkpoint(&mut disk, "", file).unwrap();
            assert_eq!(read[&("orders".to_owned(), 1)], Offset(1 << 40));
        }
        overwrite(&mut disk, "replication-offset-checkpoint", "0\n1\norders 0\n");
        assert_eq!(read_checkpoint(&mut disk, "", file), Ok(OffsetCheckpoint::new()));
    }

    #[test]
    fn the_clean_shutdown_marker_is_taken_once() {
        let mut disk = SimDisk::new();
        assert_eq!(take_clean_shutdown(&mut disk, ""), Ok(None));
        write_clean_shutdown(&mut disk, "", 42).unwrap();
        assert_eq!(text(&mut disk, ".kafka_cleanshutdown"), r#"{"version":0,"brokerEpoch":42}"#);
        assert_eq!(take_clean_shutdown(&mut disk, ""), Ok(Some(42)));
        disk.lose_power(&mut Rng::named(1, "power"));
        assert_eq!(take_clean_shutdown(&mut disk, ""), Ok(None));
        overwrite(&mut disk, ".kafka_cleanshutdown", "");
        assert_eq!(take_clean_shutdown(&mut disk, ""), Ok(Some(-1)));
        write_clean_shutdown(&mut disk, "", 42).unwrap();
        overwrite(&mut disk, "orders-0/00000000000000000000.log", "");
        overwrite(&mut disk, "orders-0/00000000000000000007.index", "");
        assert_eq!(take_clean_shutdown(&mut disk, ""), Ok(None), "a segment is lost");
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
        write_clean_shutdown(&mut disk, "", 1).unwrap();
        let found = |disk: &mut SimDisk| -> Vec<(String, i32, Option<u128>)> {
            let partitions = list_partitions(disk, "").unwrap();
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
    fn directories_of_one_disk_keep_to_themselves() {
        let mut disk = SimDisk::new();
        let meta = |id| MetaProperties {
            cluster_id: "c".to_owned(),
            node_id: NodeId(7),
            directory_id: Uuid::from_u128(id),
        };
        for (dir, id) in [("a", 1), ("b", 2)] {
            write_meta_properties(&mut disk, dir, &meta(id)).unwrap();
        }
        let folder = partition_folder("b", "t", 3);
        let (mut log, _) =
            UnifiedLog::open(&mut disk, &folder, LogOpen::new(LogConfig::default()), 0).unwrap();
        log.assign_topic_id(&mut disk, Uuid::from_u128(7)).unwrap();
        log.flush(&mut disk).unwrap();
        write_clean_shutdown(&mut disk, "b", 5).unwrap();
        disk.lose_power(&mut Rng::named(1, "power"));
        assert_eq!(read_meta_properties(&mut disk, "a"), Ok(Some(meta(1))));
        assert_eq!(read_meta_properties(&mut disk, "b"), Ok(Some(meta(2))));
        assert_eq!(read_meta_properties(&mut disk, ""), Ok(None));
        assert_eq!(list_partitions(&mut disk, "a"), Ok(vec![]));
        let found = list_partitions(&mut disk, "b").unwrap();
        let found: Vec<_> =
            found.iter().map(|p| (p.folder.as_str(), p.topic.as_str(), p.partition)).collect();
        assert_eq!(found, [("b/t-3", "t", 3)]);
        assert_eq!(take_clean_shutdown(&mut disk, "a"), Ok(None));
        assert_eq!(take_clean_shutdown(&mut disk, "b"), Ok(Some(5)));
        delete_partition(&mut disk, &folder).unwrap();
        assert_eq!(disk.list("b").unwrap(), ["meta.properties"]);
    }

    #[test]
    fn an_interrupted_deletion_is_finished_by_the_next_start() {
        let mut disk = SimDisk::new();
        let topic = "t".repeat(249);
        let folder = partition_folder("", &topic, 0);
        UnifiedLog::open(&mut disk, &folder, LogOpen::new(LogConfig::default()), 0).unwrap();
        disk.sync_folder(&folder).unwrap();
        delete_partition(&mut disk, &folder).unwrap();
        for seed in 0..20 {
            let mut disk = disk.clone();
            disk.lose_power(&mut Rng::named(seed, "power"));
            assert!(disk.list("").unwrap().iter().all(|name| name.ends_with("-delete") && name.len() <= 255));
            assert_eq!(list_partitions(&mut disk, ""), Ok(vec![]));
            assert_eq!(disk.list("").unwrap(), [""; 0]);
        }
    }
}
