//! Applies what the quorum has committed, tells the rest of the broker what changed, and writes snapshots
//! (`MetadataLoader`, `SnapshotGenerator`).

use bytes::{Bytes, BytesMut};
use trial_metadata::{ConfigResource, MetadataDelta, MetadataImage, MetadataRecord};
use trial_node::{Io, LeaderEpoch, Now, Offset, Time, TraceEvent};
use trial_raft::{Committed, OffsetAndEpoch, RaftError, SnapshotError};
use trial_wire::control::ControlRecord;
use trial_wire::messages::{SnapshotFooterRecord, SnapshotHeaderRecord};
use trial_wire::{Batch, BatchBuilder, Batches, Compression};

use crate::Broker;
use crate::broker::cleaner_keys_max;

/// How much of the log is read at a time, in bytes.
const READ_BYTES: u32 = 1 << 20;
/// The most that the records of one batch may expand to, in bytes.
const BATCH_BYTES_MAX: usize = 64 << 20;
/// How many records go into one batch of a snapshot.
const SNAPSHOT_BATCH_RECORDS: usize = 1_000;

/// When the next snapshot is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SnapshotDue {
    /// Bytes of batches applied since the last one.
    bytes: u64,
    /// When the last one was made or loaded, or the node started.
    since: Time,
    /// The timestamp of the last batch, ms since the epoch.
    last_timestamp: i64,
}

impl SnapshotDue {
    /// Counting begins.
    pub fn new(now: Now) -> SnapshotDue {
        SnapshotDue { bytes: 0, since: now.mono, last_timestamp: 0 }
    }
}

/// The metadata log holds what no controller has written.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    Raft(#[from] RaftError),
    #[error("metadata log: {0}")]
    Batch(#[from] trial_wire::BatchError),
    #[error("metadata log at offset {offset}: {source}")]
    Record { offset: i64, source: trial_metadata::RecordError },
    #[error("metadata log at offset {offset}: {source}")]
    Replay { offset: i64, source: trial_metadata::ReplayError },
    #[error("metadata log at offset {offset}: a record without a value")]
    NoValue { offset: i64 },
}

impl Broker {
    /// Applies what is committed and not yet applied.
    pub(crate) fn publish(&mut self, now: Now, io: &mut Io<'_>) {
        let mut delta = MetadataDelta::default();
        let loaded = self.load(now, io, &mut delta);
        self.fail_on_error(loaded);
        if !delta.is_empty() {
            self.publish_delta(now, io, &delta);
        }
        self.maybe_snapshot(now, io);
    }

    fn load(&mut self, now: Now, io: &mut Io<'_>, delta: &mut MetadataDelta) -> Result<(), LoadError> {
        loop {
            let from = self.published.next_offset;
            match self.quorum.raft.read_committed(io.disk, from, READ_BYTES)? {
                Committed::Nothing => return Ok(()),
                Committed::Batches(bytes) => self.load_batches(bytes, delta)?,
                Committed::Snapshot(id) => self.load_snapshot(now, io, id, delta)?,
            }
        }
    }

    fn load_batches(&mut self, bytes: Bytes, delta: &mut MetadataDelta) -> Result<(), LoadError> {
        let mut batches = Batches::new(bytes);
        while let Some(batch) = batches.next_trusted() {
            let batch = batch?;
            let header = *batch.header();
            replay(&batch, &mut self.published.image, delta)?;
            self.published.next_offset = Offset(header.next_offset());
            self.published.last_epoch = LeaderEpoch(header.partition_leader_epoch);
            self.snapshot_due.bytes += header.size as u64;
            self.snapshot_due.last_timestamp = header.max_timestamp;
        }
        Ok(())
    }

    /// Replaces the image by a snapshot's. Everything in the old image or the new one may have changed; every config counts
    /// as changed with the cluster-wide defaults.
    fn load_snapshot(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        id: OffsetAndEpoch,
        delta: &mut MetadataDelta,
    ) -> Result<(), LoadError> {
        let content = self.quorum.raft.read_snapshot(io.disk, id)?;
        let mut image = MetadataImage::default();
        let mut loaded = MetadataDelta::default();
        for batch in Batches::new(content) {
            replay(&batch?, &mut image, &mut loaded)?;
        }
        let old = std::mem::replace(&mut self.published.image, image);
        let image = &self.published.image;
        loaded.deleted_topics.append(&mut delta.deleted_topics);
        let gone = old.topics().iter().filter(|(id, _)| image.topic(**id).is_none());
        loaded.deleted_topics.extend(gone.map(|(id, topic)| (*id, topic.clone())));
        loaded.brokers.extend(old.brokers().keys());
        loaded.acls.append(&mut delta.acls);
        loaded.acls.extend(old.acls().keys());
        loaded.configs.insert(ConfigResource::BrokerDefault);
        *delta = loaded;
        self.published.next_offset = id.offset;
        self.published.last_epoch = id.epoch;
        self.snapshot_due = SnapshotDue::new(now);
        Ok(())
    }

    fn publish_delta(&mut self, now: Now, io: &mut Io<'_>, delta: &MetadataDelta) {
        self.security.acls_changed(&self.published.image, delta);
        let changes = self.published.changes(delta);
        if !delta.configs.is_empty() {
            let image = &self.published.image;
            let node = self.config.node_id;
            self.effective = trial_metadata::BrokerConfig::resolve(&self.static_config, image, node);
            self.replicas.set_throttles(
                self.effective.leader_replication_throttled_rate,
                self.effective.follower_replication_throttled_rate,
            );
            let keys_max = cleaner_keys_max(&self.effective);
            self.replicas.set_cleaner(self.effective.log_cleaner_backoff, keys_max);
        }
        if delta.brokers.contains(&self.config.node_id) {
            self.registration_changed(io);
        }
        if self.caught_up {
            self.replicate(now, io, |replicas, ctx| replicas.apply(ctx, &changes));
            self.metadata_changed(now, io, delta);
        }
    }

    /// The controller says that this process's own registration has been applied here, and so everything that was decided
    /// while the broker was away. Only now are replicas loaded: by older metadata it might lead what it must not lead,
    /// with a log that lost its end.
    pub(crate) fn start_replicas(&mut self, now: Now, io: &mut Io<'_>) {
        self.caught_up = true;
        let everything = self.published.everything();
        self.replicate(now, io, |replicas, ctx| {
            replicas.apply(ctx, &everything);
            replicas.remove_strays(ctx);
        });
        self.lifecycle.set_ready_to_unfence(now);
    }

    /// Traces whether the controller lets this very process serve.
    fn registration_changed(&mut self, io: &mut Io<'_>) {
        let own = self.published.image.broker(self.config.node_id);
        let epoch = self.lifecycle.broker_epoch();
        let unfenced = own.is_some_and(|own| own.broker_epoch == epoch && !own.fenced);
        if unfenced != self.unfenced {
            self.unfenced = unfenced;
            io.trace(if unfenced { TraceEvent::BrokerUnfenced } else { TraceEvent::BrokerFenced });
        }
    }

    fn maybe_snapshot(&mut self, now: Now, io: &mut Io<'_>) {
        let SnapshotDue { bytes, since, last_timestamp } = self.snapshot_due;
        let max_bytes = self.effective.metadata_log_max_record_bytes_between_snapshots;
        let interval = self.effective.metadata_log_max_snapshot_interval;
        let too_many = bytes >= u64::try_from(max_bytes).expect("validated to be positive");
        let too_old = interval.0 > 0 && bytes > 0 && now.mono.since(since) >= interval;
        if !(too_many || too_old) {
            return;
        }
        let id = OffsetAndEpoch::new(self.published.next_offset, self.published.last_epoch);
        let records = self.published.image.to_records();
        let content = snapshot(&records, id.epoch, last_timestamp);
        let raft = &mut self.quorum.raft;
        let done = match raft.create_snapshot(io.disk, id, content) {
            // After a crash the log may go back to before the newest snapshot, and be no longer than that.
            Ok(()) | Err(SnapshotError::Stale { .. }) => {
                raft.clean_up_to_latest_snapshot(io.disk).map_err(SnapshotError::from)
            }
            Err(error) => Err(error),
        };
        self.fail_on_error(done);
        self.snapshot_due = SnapshotDue::new(now);
    }
}

/// Applies a batch's records; control records are not the image's business.
fn replay(batch: &Batch, image: &mut MetadataImage, delta: &mut MetadataDelta) -> Result<(), LoadError> {
    if batch.header().is_control() {
        return Ok(());
    }
    for record in batch.records(BATCH_BYTES_MAX)? {
        let offset = record.offset;
        let value = record.value.ok_or(LoadError::NoValue { offset })?;
        let record = MetadataRecord::decode(&value).map_err(|source| LoadError::Record { offset, source })?;
        image.replay(&record, delta).map_err(|source| LoadError::Replay { offset, source })?;
    }
    Ok(())
}

/// A snapshot's content (KIP-630): a header, the records in batches, a footer, with offsets of its own from 0 on.
fn snapshot(records: &[MetadataRecord], epoch: LeaderEpoch, last_timestamp: i64) -> Bytes {
    let mut out = BytesMut::new();
    let header = SnapshotHeaderRecord::default().with_last_contained_log_timestamp(last_timestamp);
    let header = ControlRecord::SnapshotHeader(header).batch(0, epoch.0, last_timestamp);
    out.extend_from_slice(header.bytes());
    let mut offset = 1;
    let mut value = Vec::new();
    for records in records.chunks(SNAPSHOT_BATCH_RECORDS) {
        let mut batch = BatchBuilder::new(Compression::None);
        batch.base_offset(offset).leader_epoch(epoch.0);
        for record in records {
            value.clear();
            record.encode(&mut value);
            batch.push(last_timestamp, None, Some(&value), &[]);
        }
        offset += records.len() as i64;
        out.extend_from_slice(batch.build().bytes());
    }
    let footer = ControlRecord::SnapshotFooter(SnapshotFooterRecord::default());
    out.extend_from_slice(footer.batch(offset, epoch.0, last_timestamp).bytes());
    out.freeze()
}
