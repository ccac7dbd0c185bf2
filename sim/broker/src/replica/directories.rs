//! Log directories (JBOD, KIP-112): where replicas are, and what becomes of them when a directory fails.
//!
//! Any error of the disk takes the directory that it is about offline, until the next start of the process: a write that
//! failed may have left anything, so nothing there is trusted before recovery has looked at it. The directory's replicas are
//! not served any more (KAFKA_STORAGE_ERROR), and the controller is told the directory's id (KIP-858), so that others lead.

use std::collections::BTreeSet;

use trial_metadata::RESERVED_DIRECTORIES;
use trial_node::{Disk, DiskError, NodeId, OpenError, TopicIdPartition, TraceEvent};
use trial_storage::log_dir::{self, path_in};
use trial_storage::{ReadError, UnifiedLog};
use trial_wire::{ErrorCode, Uuid};

use super::checkpoints::Checkpoints;
use super::metadata::PartitionState;
use super::partition::Partition;
use super::{Aftermath, Context, Happened, Output, ReplicaManager};

/// A log directory as the start of the process has found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDirectory {
    /// Its path within the node's disk; `""` is the root.
    pub path: String,
    /// What is known of it; an error if it cannot be used.
    pub found: Result<FoundDirectory, DiskError>,
}

/// What is known of a log directory from its first files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundDirectory {
    /// `directory.id` of its `meta.properties` (KIP-858).
    pub id: Uuid,
    /// Whether the last run closed its logs in order, and with which broker epoch
    /// ([`trial_storage::log_dir::take_clean_shutdown`]).
    pub clean_shutdown: Option<i64>,
}

/// One log directory.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    pub path: String,
    /// The nil id if even that could not be read.
    pub id: Uuid,
    pub online: bool,
    pub checkpoints: Checkpoints,
}

impl Directory {
    /// Reads what the last run has left, and why that cannot be read if it cannot.
    pub fn open(disk: &mut dyn Disk, directory: LogDirectory) -> (Directory, Option<DiskError>) {
        let LogDirectory { path, found } = directory;
        let id = found.as_ref().map_or(Uuid::nil(), |found| found.id);
        let read = found.and_then(|found| {
            Checkpoints::read(disk, &path, found.clean_shutdown.is_some()).map_err(as_disk_error)
        });
        match read {
            Ok(checkpoints) => (Directory { path, id, online: true, checkpoints }, None),
            Err(error) => {
                (Directory { path, id, online: false, checkpoints: Checkpoints::default() }, Some(error))
            }
        }
    }
}

/// What is wrong with a directory whose files hold what no crash can explain: as with an error of the disk, it must not be used.
pub(crate) fn as_disk_error(error: OpenError) -> DiskError {
    match error {
        OpenError::Disk(error) => error,
        OpenError::Corrupt { path, what } => DiskError::Corrupt { path, what },
        OpenError::Config { key: path, what } => DiskError::Failed { path, what },
    }
}

/// A log directory as an operator sees it.
#[derive(Clone, Debug)]
pub struct DirectoryView<'a> {
    /// Its path within the node's disk; `""` is the root.
    pub path: &'a str,
    /// Whether it is in use.
    pub online: bool,
    /// Its replicas' logs.
    pub logs: Vec<(TopicIdPartition, &'a UnifiedLog)>,
}

/// The error for a partition that this broker does not serve; `offline` are those in a directory that is offline.
pub(super) fn not_hosted(
    offline: &BTreeSet<TopicIdPartition>,
    ctx: &Context<'_>,
    tp: TopicIdPartition,
) -> ErrorCode {
    match ctx.metadata.partition(tp) {
        Some(_) => not_served(offline, tp),
        None => ErrorCode::UnknownTopicOrPartition,
    }
}

/// The error for a partition that there is, or was, but that this broker does not serve, or not any more.
pub(super) fn not_served(offline: &BTreeSet<TopicIdPartition>, tp: TopicIdPartition) -> ErrorCode {
    match offline.contains(&tp) {
        true => ErrorCode::KafkaStorageError,
        false => ErrorCode::NotLeaderOrFollower,
    }
}

impl Aftermath {
    /// An operation on a directory has failed: it goes offline at the end of the step, before anybody is answered who has to
    /// wait for something there.
    pub(super) fn directory_failed(&mut self, directory: usize, error: DiskError) {
        self.failed.push((directory, error));
    }

    /// Tells that a directory is not used any more.
    pub(super) fn directory_is_offline(&mut self, directory: &Directory, error: DiskError) {
        let Directory { path, id, .. } = directory;
        self.trace(TraceEvent::LogDirOffline { directory: format!("/{path}"), what: error.to_string() });
        self.outputs.push_back(Output::DirectoryFailed { path: path.clone(), id: *id, error });
    }

    /// What a reader is told of a read that failed.
    pub(super) fn read_failed(&mut self, directory: usize, error: ReadError) -> ErrorCode {
        match error {
            ReadError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            ReadError::Corrupt(_) => ErrorCode::CorruptMessage,
            ReadError::Disk(error) => {
                self.directory_failed(directory, error);
                ErrorCode::KafkaStorageError
            }
        }
    }
}

impl ReplicaManager {
    /// The ids of the directories that are in use.
    pub fn online_directories(&self) -> Vec<Uuid> {
        self.directories.iter().filter(|directory| directory.online).map(|directory| directory.id).collect()
    }

    /// The directories that are in use.
    pub(super) fn online(&self) -> Vec<usize> {
        (0..self.directories.len()).filter(|index| self.directories[*index].online).collect()
    }

    /// All directories, in the order of `log.dirs`.
    pub fn directories(&self) -> impl Iterator<Item = DirectoryView<'_>> {
        self.directories.iter().enumerate().map(|(index, directory)| DirectoryView {
            path: &directory.path,
            online: directory.online,
            logs: self
                .partitions
                .iter()
                .filter(|(_, partition)| partition.directory == index)
                .map(|(tp, partition)| (*tp, &partition.log))
                .collect(),
        })
    }

    /// The error for a partition that this broker does not serve.
    pub(super) fn not_hosted(&self, ctx: &Context<'_>, tp: TopicIdPartition) -> ErrorCode {
        not_hosted(&self.offline, ctx, tp)
    }

    /// A replica that is served here, or the error for who waits for it.
    pub(super) fn served(&self, tp: TopicIdPartition) -> Result<&Partition, ErrorCode> {
        self.partitions.get(&tp).ok_or_else(|| not_served(&self.offline, tp))
    }

    /// The directory that a replica is in or is to be in; `None` if that is, or may be, one that is offline.
    ///
    /// Where the metadata has it comes first; if that is a directory that is gone for good, which is certain only if all that
    /// are configured are there, it goes where there are the fewest. So does one that is assigned to none, if it is new here, as
    /// its broker may have gone down before the controller knew where it was.
    pub(super) fn directory_for(
        &self,
        tp: TopicIdPartition,
        topic: &str,
        state: &PartitionState<'_>,
    ) -> Option<usize> {
        let assigned = self.assigned_directory(state);
        let online = |directory: &Directory| directory.online;
        let is_assigned = |directory: &Directory| directory.id == assigned;
        let name = trial_storage::log_dir::partition_folder("", topic, tp.partition);
        // A log of the topic, not of an older one of the same name.
        let has_log = |directory: &Directory| {
            let owner = directory.checkpoints.folders.get(&path_in(&directory.path, &name));
            owner.is_some_and(|owner| owner.is_none_or(|owner| owner == tp.topic_id))
        };
        let find = |wanted: &dyn Fn(&Directory) -> bool| {
            self.directories.iter().position(|directory| online(directory) && wanted(directory))
        };
        find(&|directory| is_assigned(directory) && has_log(directory))
            .or_else(|| find(&has_log))
            .or_else(|| find(&is_assigned))
            .or_else(|| {
                let all_online = self.directories.iter().all(online);
                // That the broker had gone down would have changed a partition for which its log counts.
                let is_new = self.loaded || state.partition_epoch == 0;
                (all_online || (is_new && assigned.as_u128() < RESERVED_DIRECTORIES))
                    .then(|| self.emptiest_directory())
                    .flatten()
            })
    }

    /// The directory of this broker's replica by the metadata; the nil id if none is assigned.
    pub(super) fn assigned_directory(&self, state: &PartitionState<'_>) -> Uuid {
        let place = state.replicas.iter().position(|id| *id == self.config.node_id);
        place.and_then(|place| state.directories.get(place).copied()).unwrap_or_default()
    }

    /// The directory with the fewest partitions, the first of several.
    fn emptiest_directory(&self) -> Option<usize> {
        let online = self.directories.iter().enumerate().filter(|(_, directory)| directory.online);
        let count = |index: usize, directory: &Directory| {
            let hosted = self.partitions.values().filter(|partition| partition.directory == index).count();
            hosted + directory.checkpoints.folders.len()
        };
        // With one there is no choice, and counting takes time for each partition that is created.
        match self.directories.len() {
            1 => online.map(|(index, _)| index).next(),
            _ => online.min_by_key(|(index, directory)| count(*index, directory)).map(|(index, _)| index),
        }
    }

    /// Takes directories offline in which something has failed.
    pub(super) fn take_failed_offline(&mut self, ctx: &mut Context<'_>) {
        for (index, error) in std::mem::take(&mut self.after.failed) {
            self.take_offline(ctx, index, error);
        }
    }

    /// Takes a directory offline: its replicas are not served, and lead and follow no more.
    pub(super) fn take_offline(&mut self, ctx: &mut Context<'_>, index: usize, error: DiskError) {
        let directory = &mut self.directories[index];
        if !std::mem::replace(&mut directory.online, false) {
            return;
        }
        directory.checkpoints = Checkpoints::default();
        if let DiskError::Corrupt { path, .. } = &error {
            // If that fails as well, there is nothing left to be done: the directory is not used any more.
            drop(log_dir::distrust(ctx.disk, &directory.path, path));
        }
        self.after.directory_is_offline(directory, error);
        let there = self.partitions.iter().filter(|(_, partition)| partition.directory == index);
        let there: Vec<TopicIdPartition> = there.map(|(tp, _)| *tp).collect();
        for tp in there {
            let changed = self.partitions.get(&tp).is_some_and(|it| it.noted_in == self.after.noting);
            if let Some(partition) = self.take_partition(tp) {
                // What a leader has committed is in its files whatever has failed since; a follower answers for nothing.
                match changed && partition.is_leader() {
                    true => self.lost.push(partition),
                    false => partition.log.abandon(ctx.disk),
                }
            }
            self.offline.insert(tp);
        }
    }

    /// Forgets a replica, but not what is on the disk. Who waits for it is answered at the end of the step.
    pub(super) fn drop_partition(&mut self, ctx: &mut Context<'_>, tp: TopicIdPartition) {
        if let Some(partition) = self.take_partition(tp) {
            partition.log.abandon(ctx.disk);
        }
    }

    fn take_partition(&mut self, tp: TopicIdPartition) -> Option<Partition> {
        let mut partition = self.partitions.remove(&tp)?;
        self.stop_fetching(partition.leader, tp);
        if partition.is_leader() {
            self.leadership_changed(tp, None);
        }
        self.after.note(&mut partition, &mut self.sessions, Happened { role: true, ..Happened::default() });
        Some(partition)
    }

    /// Whether the metadata names this broker among the partition's replicas.
    pub(super) fn is_replica(&self, replicas: &[NodeId]) -> bool {
        replicas.contains(&self.config.node_id)
    }
}
