//! Changes of the cluster's metadata: which replicas this broker has, and what it is to each.

use std::collections::BTreeMap;

use trial_node::{LeaderEpoch, NodeId, Offset, OpenError, TopicIdPartition, TopicPartition, TraceEvent};
use trial_storage::{LogConfig, LogOpen, TimestampType, UnifiedLog, log_dir};
use trial_wire::{Compression, TopicName, Uuid};

use super::directories::{Directory, as_disk_error};
use super::metadata::PartitionState;
use super::partition::{Partition, RoleChange, Throttled};
use super::throttle::is_listed;
use super::{ClusterMetadata, Context, Happened, MetadataChanges, Output, ReplicaConfig, ReplicaManager};

impl ReplicaManager {
    /// Takes over what changed; `ctx.metadata` is the state after the change. At the start of the broker that is everything.
    pub fn apply(&mut self, ctx: &mut Context<'_>, changes: &MetadataChanges) {
        if self.stopped {
            return;
        }
        for topic_id in &changes.deleted_topics {
            let first = TopicIdPartition { topic_id: *topic_id, partition: 0 };
            let last = TopicIdPartition { topic_id: *topic_id, partition: i32::MAX };
            let gone: Vec<TopicIdPartition> =
                self.partitions.range(first..=last).map(|(tp, _)| *tp).collect();
            for tp in gone {
                self.delete(ctx, tp);
            }
        }
        for tp in &changes.partitions {
            match ctx.metadata.partition(*tp) {
                Some(state) if self.is_replica(state.replicas) => self.host(ctx, *tp, &state),
                _ => self.delete(ctx, *tp),
            }
        }
        for topic_id in &changes.configured_topics {
            self.configure(ctx, *topic_id);
        }
        self.settle(ctx);
    }

    /// Removes the folders of partitions that this broker no longer hosts ("stray" replicas). To be called once, after the
    /// broker has caught up with the metadata for the first time.
    pub fn remove_strays(&mut self, ctx: &mut Context<'_>) {
        self.loaded = true;
        for directory in self.online() {
            let folders = std::mem::take(&mut self.directories[directory].checkpoints.folders);
            for folder in folders.into_keys() {
                let deleted = log_dir::delete_partition(ctx.disk, &folder);
                self.fail_on_error(directory, deleted);
            }
        }
        self.settle(ctx);
    }

    /// From here on nothing happens: all logs are closed.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
        self.requests = Vec::new();
        self.fetchers = BTreeMap::new();
        self.alter_partition = super::AlterPartitionQueue::default();
        self.lagging = Vec::new();
        self.timers = super::Deadlines::new();
        self.fetch_waits = super::Deadlines::new();
        self.produces = super::Purgatory::new();
        self.commits = super::Purgatory::new();
        self.deletions = super::Purgatory::new();
        self.verifications = super::Verifications::default();
    }

    fn host(&mut self, ctx: &mut Context<'_>, tp: TopicIdPartition, state: &PartitionState<'_>) {
        if !self.partitions.contains_key(&tp) {
            if self.offline.contains(&tp) {
                return;
            }
            let Some(topic) = ctx.metadata.topic_name(tp.topic_id) else { return };
            let Some(directory) = self.directory_for(tp, topic.as_str(), state) else {
                self.offline.insert(tp);
                return;
            };
            self.note_directory(tp, state, self.directories[directory].id);
            match self.open_log(ctx, tp, topic.clone(), directory) {
                Ok(partition) => drop(self.partitions.insert(tp, partition)),
                Err(error) => {
                    // At once, so that no other replica is opened there.
                    self.take_offline(ctx, directory, as_disk_error(error));
                    self.offline.insert(tp);
                    return;
                }
            }
        }
        if state.leader == self.config.node_id {
            self.lead(ctx, tp, state);
        } else {
            self.follow(ctx, tp, state);
        }
    }

    fn lead(&mut self, ctx: &mut Context<'_>, tp: TopicIdPartition, state: &PartitionState<'_>) {
        let around = self.surroundings(ctx);
        let Some(partition) = self.partitions.get_mut(&tp) else { return };
        let old_leader = partition.leader;
        let change = match partition.become_leader(ctx.disk, state, around) {
            Ok(Some(change)) => change,
            Ok(None) => return,
            Err(error) => return self.after.directory_failed(partition.directory, error),
        };
        if change.new_epoch {
            self.after.trace(TraceEvent::PartitionLeader {
                tp: TopicPartition { topic: partition.topic.clone(), partition: tp.partition },
                leader_epoch: state.leader_epoch,
                log_end_offset: partition.log.log_end_offset(),
            });
            self.leadership_changed(tp, Some(state.leader_epoch));
        }
        self.role_changed(ctx, tp, change);
        // Who waits for deletions does not wait for a follower that has died.
        self.after.acknowledged.push(tp);
        self.stop_fetching(old_leader, tp);
        self.trace_isr(tp, change.isr);
        self.watch_lag(ctx.now.mono, tp);
    }

    fn follow(&mut self, ctx: &mut Context<'_>, tp: TopicIdPartition, state: &PartitionState<'_>) {
        let Some(partition) = self.partitions.get_mut(&tp) else { return };
        let old_leader = partition.leader;
        let Some(change) = partition.become_follower(state) else { return };
        if change.new_epoch {
            self.after.trace(TraceEvent::PartitionFollower {
                tp: TopicPartition { topic: partition.topic.clone(), partition: tp.partition },
                leader_epoch: state.leader_epoch,
                leader: state.leader,
            });
        }
        if change.lost_leadership {
            self.leadership_changed(tp, None);
        }
        self.role_changed(ctx, tp, change);
        if change.new_epoch {
            self.stop_fetching(old_leader, tp);
            if state.leader != NodeId::NONE {
                self.start_fetching(state.leader, tp);
            }
        }
    }

    pub(super) fn leadership_changed(&mut self, tp: TopicIdPartition, leader_epoch: Option<LeaderEpoch>) {
        self.after.outputs.push_back(Output::Leadership { tp, leader_epoch });
    }

    fn role_changed(&mut self, ctx: &Context<'_>, tp: TopicIdPartition, change: RoleChange) {
        let Some(partition) = self.partitions.get_mut(&tp) else { return };
        let happened = Happened {
            high_watermark: change.high_watermark_moved,
            role: change.new_epoch || change.lost_leadership,
            isr: change.isr.is_some(),
            ..Happened::default()
        };
        self.after.note(partition, &mut self.sessions, happened);
        if change.high_watermark_moved {
            self.high_watermark_moved(ctx.now.mono);
        }
    }

    /// Opens a replica's log. A folder of the same name that belongs to an older topic of that name is deleted first.
    fn open_log(
        &mut self,
        ctx: &mut Context<'_>,
        tp: TopicIdPartition,
        topic: TopicName,
        directory: usize,
    ) -> Result<Partition, OpenError> {
        let Directory { path, checkpoints, .. } = &mut self.directories[directory];
        let folder = log_dir::partition_folder(path, &topic, tp.partition);
        let key = (topic.as_str().to_owned(), tp.partition);
        let recovery_point = checkpoints.recovery_points.get(&key).copied().unwrap_or(Offset::ZERO);
        let found = match checkpoints.folders.remove(&folder) {
            Some(Some(owner)) if owner != tp.topic_id => {
                log_dir::delete_partition(ctx.disk, &folder)?;
                false
            }
            found => found.is_some(),
        };
        if !found && checkpoints.has(&key) {
            // Of an older topic of this name.
            checkpoints.forget(&key);
        }
        let checkpointed = |file: &log_dir::OffsetCheckpoint| file.get(&key).copied().unwrap_or(Offset::ZERO);
        let options = LogOpen {
            config: log_config(&self.config, ctx.metadata, tp.topic_id),
            clean_shutdown: checkpoints.clean_shutdown,
            recovery_point: checkpointed(&checkpoints.recovery_points),
            log_start_offset: checkpointed(&checkpoints.log_starts),
            high_watermark: checkpointed(&checkpoints.high_watermarks),
        };
        let (mut log, report) = UnifiedLog::open(ctx.disk, &folder, options, ctx.now.wall_ms)?;
        let others = ctx
            .metadata
            .partition(tp)
            .is_some_and(|state| state.isr.iter().any(|id| *id != self.config.node_id));
        if report.lost_front && others {
            // Who has all of it leads: the whole is fetched anew, so that this replica never leads without its beginning.
            log.truncate_fully_and_start_at(ctx.disk, Offset::ZERO)?;
        }
        for repair in report.repairs {
            self.after.trace(TraceEvent::Recovered { path: repair.path, what: repair.what });
        }
        checkpoints.recovery_point_moved(recovery_point, log.recovery_point());
        log.set_cleaned_to(checkpointed(&checkpoints.cleaned_to));
        log.assign_topic_id(ctx.disk, tp.topic_id)?;
        let min_insync_replicas = min_insync_replicas(ctx.metadata, tp.topic_id);
        let mut partition = Partition::new(tp, topic, directory, log, min_insync_replicas);
        partition.throttled = throttled(ctx.metadata, tp, self.config.node_id);
        Ok(partition)
    }

    fn configure(&mut self, ctx: &Context<'_>, topic_id: Uuid) {
        let config = log_config(&self.config, ctx.metadata, topic_id);
        let min_insync_replicas = min_insync_replicas(ctx.metadata, topic_id);
        let around = self.surroundings(ctx);
        let first = TopicIdPartition { topic_id, partition: 0 };
        let last = TopicIdPartition { topic_id, partition: i32::MAX };
        let mut moved = false;
        for partition in self.partitions.range_mut(first..=last).map(|(_, partition)| partition) {
            partition.log.set_config(config);
            partition.min_insync_replicas = min_insync_replicas;
            partition.throttled = throttled(around.metadata, partition.id, around.me);
            // What was under a larger minimum may be committed under a smaller one.
            if partition.maybe_increment_high_watermark(around) {
                moved = true;
                let happened = Happened { high_watermark: true, ..Happened::default() };
                self.after.note(partition, &mut self.sessions, happened);
            }
        }
        if moved {
            self.high_watermark_moved(ctx.now.mono);
        }
    }

    fn delete(&mut self, ctx: &mut Context<'_>, tp: TopicIdPartition) {
        // What an offline directory has of it is found at the next start.
        self.offline.remove(&tp);
        let Some(partition) = self.partitions.get(&tp) else { return };
        let (directory, topic) = (partition.directory, partition.topic.clone());
        let folder = partition.log.folder().to_owned();
        self.drop_partition(ctx, tp);
        self.directories[directory].checkpoints.partition_deleted(topic.as_str(), tp.partition);
        let deleted = log_dir::delete_partition(ctx.disk, &folder);
        self.fail_on_error(directory, deleted);
    }
}

/// The number that a topic's config is; the default if the topic is gone.
fn number<T: std::str::FromStr>(metadata: &dyn ClusterMetadata, topic_id: Uuid, key: &str, default: T) -> T {
    let parsed = metadata.topic_config(topic_id, key).map(|value| value.parse().ok());
    parsed.map_or(default, |number| number.expect("the config's range is within the type's"))
}

/// Which of the topic's lists of throttled replicas (KIP-73) name this broker's replica.
fn throttled(metadata: &dyn ClusterMetadata, tp: TopicIdPartition, me: NodeId) -> Throttled {
    let listed = |key| {
        let list = metadata.topic_config(tp.topic_id, key);
        list.is_some_and(|list| is_listed(list, tp.partition, me))
    };
    Throttled {
        leader: listed("leader.replication.throttled.replicas"),
        follower: listed("follower.replication.throttled.replicas"),
    }
}

fn min_insync_replicas(metadata: &dyn ClusterMetadata, topic_id: Uuid) -> usize {
    number(metadata, topic_id, "min.insync.replicas", 1)
}

/// What `compression.type` asks a leader to compress anew with, and at which level.
fn compression(metadata: &dyn ClusterMetadata, topic_id: Uuid) -> Option<(Compression, i32)> {
    // `producer` is no codec.
    let codec = Compression::from_name(metadata.topic_config(topic_id, "compression.type")?)?;
    let level = match codec {
        Compression::None | Compression::Snappy => None,
        Compression::Gzip => Some("compression.gzip.level"),
        Compression::Lz4 => Some("compression.lz4.level"),
        Compression::Zstd => Some("compression.zstd.level"),
    };
    let default = codec.default_level();
    Some((codec, level.map_or(default, |key| number(metadata, topic_id, key, default))))
}

fn log_config(replica: &ReplicaConfig, metadata: &dyn ClusterMetadata, topic_id: Uuid) -> LogConfig {
    let default = LogConfig::default();
    let long = |key, default| number(metadata, topic_id, key, default);
    let policies = metadata.topic_config(topic_id, "cleanup.policy").unwrap_or("delete");
    let has_policy = |policy| policies.split(',').any(|item| item.trim() == policy);
    let log_append_time = metadata
        .topic_config(topic_id, "message.timestamp.type")
        .is_some_and(|value| value == "LogAppendTime");
    LogConfig {
        segment_bytes: number(metadata, topic_id, "segment.bytes", default.segment_bytes),
        segment_ms: long("segment.ms", default.segment_ms),
        segment_jitter_ms: long("segment.jitter.ms", default.segment_jitter_ms),
        segment_index_bytes: number(metadata, topic_id, "segment.index.bytes", default.segment_index_bytes),
        index_interval_bytes: number(
            metadata,
            topic_id,
            "index.interval.bytes",
            default.index_interval_bytes,
        ),
        max_message_bytes: number(metadata, topic_id, "max.message.bytes", default.max_message_bytes),
        flush_messages: long("flush.messages", default.flush_messages),
        message_timestamp_type: match log_append_time {
            true => TimestampType::LogAppendTime,
            false => TimestampType::CreateTime,
        },
        message_timestamp_before_max_ms: long("message.timestamp.before.max.ms", i64::MAX),
        message_timestamp_after_max_ms: long(
            "message.timestamp.after.max.ms",
            default.message_timestamp_after_max_ms,
        ),
        compression: compression(metadata, topic_id),
        compact: has_policy("compact"),
        delete: has_policy("delete"),
        retention_ms: long("retention.ms", default.retention_ms),
        retention_bytes: long("retention.bytes", default.retention_bytes),
        file_delete_delay_ms: long("file.delete.delay.ms", default.file_delete_delay_ms),
        min_cleanable_dirty_ratio: metadata
            .topic_config(topic_id, "min.cleanable.dirty.ratio")
            .map_or(default.min_cleanable_dirty_ratio, |text| {
                trial_metadata::config::parse_ratio(text).expect("the config was validated")
            }),
        min_compaction_lag_ms: long("min.compaction.lag.ms", default.min_compaction_lag_ms),
        max_compaction_lag_ms: long("max.compaction.lag.ms", default.max_compaction_lag_ms),
        delete_retention_ms: long("delete.retention.ms", default.delete_retention_ms),
        transaction_partition_verification: replica.transaction_partition_verification,
        producer_id_expiration_ms: i64::try_from(replica.producer_id_expiration.as_millis())
            .unwrap_or(i64::MAX),
    }
}
