//! What a log remembers of idempotent and transactional producers (KIP-98).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use trial_node::view::OpenTransactionView;
use trial_node::{Disk, DiskError, Offset, ProducerEpoch, ProducerId};
use trial_wire::{Batch, ControlRecord, Header};

use crate::log::{AppendError, AppendOrigin, ProducerDescription};
use crate::txn_index::AbortedTxn;
use crate::verification::{VerificationGuard, Verifications};
use crate::{producer_snapshot, whole_file};

/// How many batches of a producer are remembered; a producer may have as many in flight.
const RETAINED_BATCHES: usize = 5;

/// The largest control record that is worth decoding.
const CONTROL_BATCH_LIMIT: usize = 1 << 20;

/// One batch that a producer appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BatchMetadata {
    pub(crate) last_sequence: i32,
    pub(crate) last_offset: Offset,
    /// The last record's offset (and sequence number) less the first's.
    pub(crate) offset_delta: i32,
    pub(crate) timestamp: i64,
}

impl BatchMetadata {
    fn of(header: &Header) -> BatchMetadata {
        BatchMetadata {
            last_sequence: header.last_sequence(),
            last_offset: Offset(header.last_offset()),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        }
    }

    pub(crate) fn first_offset(&self) -> Offset {
        self.last_offset + -i64::from(self.offset_delta)
    }

    pub(crate) fn first_sequence(&self) -> i32 {
        // Sequence numbers wrap from 2³¹ − 1 to 0.
        self.last_sequence.wrapping_sub(self.offset_delta) & i32::MAX
    }
}

/// One producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProducerStateEntry {
    pub(crate) epoch: ProducerEpoch,
    /// The last of them in this epoch, oldest first.
    batches: [BatchMetadata; RETAINED_BATCHES],
    batch_count: usize,
    /// The epoch of the transaction coordinator that wrote the last marker; −1 if none did.
    pub(crate) coordinator_epoch: i32,
    /// The largest timestamp in the last batch, ms since the epoch.
    pub(crate) last_timestamp: i64,
    /// Where the open transaction began.
    pub(crate) current_txn_first_offset: Option<Offset>,
}

impl ProducerStateEntry {
    pub(crate) fn new(epoch: ProducerEpoch) -> ProducerStateEntry {
        ProducerStateEntry {
            epoch,
            batches: [BatchMetadata::default(); RETAINED_BATCHES],
            batch_count: 0,
            coordinator_epoch: -1,
            last_timestamp: -1,
            current_txn_first_offset: None,
        }
    }

    fn batches(&self) -> &[BatchMetadata] {
        &self.batches[..self.batch_count]
    }

    pub(crate) fn last_batch(&self) -> Option<&BatchMetadata> {
        self.batches().last()
    }

    pub(crate) fn add_batch(&mut self, batch: BatchMetadata) {
        if self.batch_count == RETAINED_BATCHES {
            self.batches.rotate_left(1);
            self.batch_count -= 1;
        }
        self.batches[self.batch_count] = batch;
        self.batch_count += 1;
    }

    fn set_epoch(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batch_count = 0;
        }
    }

    fn find_duplicate(&self, header: &Header) -> Option<BatchMetadata> {
        let (first, last) = (header.base_sequence, header.last_sequence());
        if self.epoch.0 != header.producer_epoch {
            return None;
        }
        let same = |batch: &&BatchMetadata| batch.first_sequence() == first && batch.last_sequence == last;
        self.batches().iter().find(same).copied()
    }
}

/// How a control batch ends a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EndTxn {
    coordinator_epoch: i32,
    commit: bool,
}

/// All producers of one log.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProducerStateManager {
    producers: BTreeMap<ProducerId, ProducerStateEntry>,
    /// Open transactions by their first offset.
    ongoing_txns: BTreeSet<Offset>,
    /// The markers of ended transactions by the transactions' first offsets, until the high watermark passes the markers.
    unreplicated_txns: BTreeMap<Offset, Offset>,
    verifications: Verifications,
    /// The state is that before this offset.
    map_end_offset: Offset,
    /// The offsets of the snapshot files.
    snapshots: BTreeSet<Offset>,
}

fn snapshot_path(folder: &str, offset: Offset) -> String {
    format!("{folder}/{:020}.snapshot", offset.0)
}

impl ProducerStateManager {
    /// A manager that knows of the snapshot files at `snapshots` but has read none.
    pub(crate) fn new(snapshots: BTreeSet<Offset>) -> ProducerStateManager {
        ProducerStateManager { snapshots, ..ProducerStateManager::default() }
    }

    pub(crate) fn map_end_offset(&self) -> Offset {
        self.map_end_offset
    }

    /// The state is that before `offset`: what lies between holds no batch.
    pub(crate) fn set_map_end_offset(&mut self, offset: Offset) {
        self.map_end_offset = offset;
    }

    pub(crate) fn has_snapshot(&self, offset: Offset) -> bool {
        self.snapshots.contains(&offset)
    }

    pub(crate) fn producers(&self) -> &BTreeMap<ProducerId, ProducerStateEntry> {
        &self.producers
    }

    /// Whether the producer has a transaction open in this epoch.
    pub(crate) fn has_ongoing_transaction(&self, producer_id: ProducerId, epoch: ProducerEpoch) -> bool {
        self.producers
            .get(&producer_id)
            .is_some_and(|entry| entry.current_txn_first_offset.is_some() && entry.epoch == epoch)
    }

    /// Begins the verification of a producer that is about to begin a transaction; `None` if it is open already.
    pub(crate) fn begin_verification(
        &mut self,
        producer_id: ProducerId,
        epoch: ProducerEpoch,
        sequence: i32,
        now_ms: i64,
    ) -> Option<VerificationGuard> {
        let needed = !self.has_ongoing_transaction(producer_id, epoch);
        needed.then(|| self.verifications.begin(producer_id, epoch, sequence, now_ms))
    }

    pub(crate) fn confirm_verification(
        &mut self,
        producer_id: ProducerId,
        epoch: ProducerEpoch,
        guard: VerificationGuard,
    ) {
        self.verifications.confirm(producer_id, epoch, guard);
    }

    /// Checks a client's or a coordinator's data batch, without change. `Some` if it is a client's that has been appended
    /// before. `verification`: whether a transaction that begins must have been verified.
    ///
    /// A producer that is not known may begin with any sequence number: what it wrote may have been deleted (KAFKA-7190).
    pub(crate) fn check(
        &self,
        header: &Header,
        origin: AppendOrigin,
        verification: bool,
    ) -> Result<Option<BatchMetadata>, AppendError> {
        let producer_id = ProducerId(header.producer_id);
        let epoch = ProducerEpoch(header.producer_epoch);
        let entry = self.producers.get(&producer_id);
        if origin == AppendOrigin::Client
            && let Some(duplicate) = entry.and_then(|entry| entry.find_duplicate(header))
        {
            return Ok(Some(duplicate));
        }
        if verification && header.is_transactional() {
            let goes_on =
                entry.is_some_and(|entry| entry.current_txn_first_offset.is_some() && entry.epoch == epoch);
            if !goes_on && !self.verifications.is_verified(producer_id, epoch) {
                return Err(AppendError::InvalidTxnState { producer_id });
            }
        }
        let Some(entry) = entry else {
            return if origin == AppendOrigin::Client {
                self.check_verified_sequence(header).map(|()| None)
            } else {
                Ok(None)
            };
        };
        if epoch < entry.epoch {
            return Err(AppendError::InvalidProducerEpoch { producer_id, epoch, current: entry.epoch });
        }
        if origin == AppendOrigin::Client {
            self.check_verified_sequence(header)?;
            let sequence = header.base_sequence;
            let last_sequence = if epoch == entry.epoch {
                entry.last_batch().map_or(-1, |batch| batch.last_sequence)
            } else {
                -1
            };
            let next = if last_sequence == i32::MAX { 0 } else { last_sequence + 1 };
            if sequence != next {
                return Err(AppendError::OutOfOrderSequence { producer_id, sequence, last_sequence });
            }
        }
        if entry.current_txn_first_offset.is_some() && !header.is_transactional() {
            return Err(AppendError::InvalidTxnState { producer_id });
        }
        Ok(None)
    }

    /// A producer that wanted to begin a transaction with a lower sequence number must do that first.
    fn check_verified_sequence(&self, header: &Header) -> Result<(), AppendError> {
        let producer_id = ProducerId(header.producer_id);
        let sequence = header.base_sequence;
        match self.verifications.lowest_sequence(producer_id) {
            Some(lowest) if sequence > lowest => {
                Err(AppendError::OutOfOrderSequence { producer_id, sequence, last_sequence: lowest })
            }
            _ => Ok(()),
        }
    }

    /// Checks a transaction marker that a coordinator wants to be appended, without change. `transaction_version`: that of
    /// the protocol by which the transaction was ended.
    pub(crate) fn check_marker(&self, marker: &Batch, transaction_version: i8) -> Result<(), AppendError> {
        let header = marker.header();
        let producer_id = ProducerId(header.producer_id);
        let epoch = ProducerEpoch(header.producer_epoch);
        let Some(entry) = self.producers.get(&producer_id) else { return Ok(()) };
        // A transaction of the marker's own epoch is one that began after the marker's (KIP-1228).
        let late =
            transaction_version >= 2 && epoch == entry.epoch && entry.current_txn_first_offset.is_some();
        if epoch < entry.epoch || late {
            return Err(AppendError::InvalidProducerEpoch { producer_id, epoch, current: entry.epoch });
        }
        let coordinator_epoch = end_txn(marker).map_or(-1, |end| end.coordinator_epoch);
        if coordinator_epoch < entry.coordinator_epoch {
            return Err(AppendError::TransactionCoordinatorFenced {
                producer_id,
                coordinator_epoch,
                current: entry.coordinator_epoch,
            });
        }
        Ok(())
    }

    /// Notes a batch that was appended, wherever it came from. A control batch must be given whole. Returns the transaction
    /// that it aborts, if it does.
    pub(crate) fn update(&mut self, header: &Header, control: Option<&Batch>) -> Option<AbortedTxn> {
        self.map_end_offset = Offset(header.next_offset());
        if header.producer_id < 0 {
            return None;
        }
        let producer_id = ProducerId(header.producer_id);
        if header.is_transactional() {
            self.verifications.end(producer_id);
        }
        let end = match control {
            None => None,
            // Compaction may have left an empty batch, and a newer Kafka a control record that we do not know.
            Some(control) => Some(end_txn(control)?),
        };
        let epoch = ProducerEpoch(header.producer_epoch);
        let entry = self.producers.entry(producer_id).or_insert_with(|| ProducerStateEntry::new(epoch));
        entry.set_epoch(epoch);
        entry.last_timestamp = header.max_timestamp;
        let Some(end) = end else {
            entry.add_batch(BatchMetadata::of(header));
            if header.is_transactional() && entry.current_txn_first_offset.is_none() {
                entry.current_txn_first_offset = Some(Offset(header.base_offset));
                self.ongoing_txns.insert(Offset(header.base_offset));
            }
            return None;
        };
        entry.coordinator_epoch = end.coordinator_epoch;
        let first_offset = entry.current_txn_first_offset.take()?;
        let last_offset = Offset(header.last_offset());
        self.ongoing_txns.remove(&first_offset);
        self.unreplicated_txns.insert(first_offset, last_offset);
        let next_open = self.ongoing_txns.first().copied();
        let last_stable_offset = next_open.unwrap_or(last_offset + 1);
        (!end.commit).then_some(AbortedTxn { producer_id, first_offset, last_offset, last_stable_offset })
    }

    /// Calls `each` with every open transaction, by producer id.
    pub(crate) fn open_transactions(&self, each: &mut dyn FnMut(OpenTransactionView)) {
        if self.ongoing_txns.is_empty() {
            return;
        }
        for (producer_id, entry) in &self.producers {
            if let Some(first_offset) = entry.current_txn_first_offset {
                let producer_epoch = entry.epoch;
                each(OpenTransactionView { producer_id: *producer_id, producer_epoch, first_offset });
            }
        }
    }

    /// Calls `each` with every producer that is known, by id.
    pub(crate) fn describe(&self, each: &mut dyn FnMut(ProducerDescription)) {
        for (producer_id, entry) in &self.producers {
            each(ProducerDescription {
                producer_id: *producer_id,
                producer_epoch: entry.epoch,
                last_sequence: entry.last_batch().map_or(-1, |batch| batch.last_sequence),
                last_offset: entry.last_batch().map_or(Offset(-1), |batch| batch.last_offset),
                last_timestamp: entry.last_timestamp,
                coordinator_epoch: entry.coordinator_epoch,
                current_txn_first_offset: entry.current_txn_first_offset,
            });
        }
    }

    /// Forgets producers without an open transaction whose last batch is `expiration_ms` old, and verifications that were
    /// asked for then (KIP-854).
    pub(crate) fn remove_expired(&mut self, now_ms: i64, expiration_ms: i64) {
        let oldest = now_ms.saturating_sub(expiration_ms);
        self.producers
            .retain(|_, entry| entry.current_txn_first_offset.is_some() || entry.last_timestamp > oldest);
        self.verifications.expire(oldest);
    }

    /// The first offset whose transaction is open, or ended by a marker that is not replicated.
    pub(crate) fn first_unstable_offset(&self) -> Option<Offset> {
        let ongoing = self.ongoing_txns.first();
        let unreplicated = self.unreplicated_txns.first_key_value().map(|(first, _)| first);
        ongoing.into_iter().chain(unreplicated).min().copied()
    }

    pub(crate) fn on_high_watermark_updated(&mut self, high_watermark: Offset) {
        if !self.unreplicated_txns.is_empty() {
            self.unreplicated_txns.retain(|_, marker| *marker >= high_watermark);
        }
    }

    /// Writes a snapshot of the state, unless there is one.
    pub(crate) fn take_snapshot(&mut self, disk: &mut dyn Disk, folder: &str) -> Result<(), DiskError> {
        if self.map_end_offset > Offset::ZERO && self.snapshots.insert(self.map_end_offset) {
            let content: Bytes = producer_snapshot::encode(self.producers.iter());
            whole_file::write(disk, &snapshot_path(folder, self.map_end_offset), content)?;
        }
        Ok(())
    }

    /// Makes the newest snapshot durable; the folder still has to be synced.
    pub(crate) fn sync_snapshot(&self, disk: &mut dyn Disk, folder: &str) -> Result<(), DiskError> {
        let Some(offset) = self.snapshots.last() else { return Ok(()) };
        let file = disk.open(&snapshot_path(folder, *offset), false)?;
        let synced = disk.sync(file);
        disk.close(file);
        synced
    }

    /// Goes back to the state of the newest usable snapshot that is after `log_start_offset` and not after `replay_from`, nor
    /// after `log_end_offset`, or to the empty state at the log's start; [`ProducerStateManager::map_end_offset`] then says from where the log must
    /// be replayed. Snapshots before the log's start or after its end and unusable ones are removed, durably, since records other than those
    /// that they speak of may soon stand there. Returns the paths of unusable ones, with the reasons.
    pub(crate) fn truncate_and_reload(
        &mut self,
        disk: &mut dyn Disk,
        folder: &str,
        log_start_offset: Offset,
        log_end_offset: Offset,
        replay_from: Offset,
    ) -> Result<Vec<(String, String)>, DiskError> {
        let out_of_bounds = |offset: &Offset| *offset > log_end_offset || *offset <= log_start_offset;
        let strays: Vec<Offset> = self.snapshots.iter().copied().filter(out_of_bounds).collect();
        self.remove_snapshots(disk, folder, &strays)?;
        let mut unusable = Vec::new();
        self.producers.clear();
        self.ongoing_txns.clear();
        self.unreplicated_txns.clear();
        self.map_end_offset = log_start_offset;
        while let Some(offset) = self.snapshots.range(..=replay_from).next_back().copied() {
            let path = snapshot_path(folder, offset);
            let content = whole_file::read(disk, &path)?;
            match content.ok_or("missing".to_owned()).and_then(|bytes| producer_snapshot::decode(&bytes)) {
                Ok(entries) => {
                    self.ongoing_txns
                        .extend(entries.iter().filter_map(|(_, entry)| entry.current_txn_first_offset));
                    self.producers.extend(entries);
                    self.map_end_offset = offset;
                    break;
                }
                Err(what) => {
                    self.remove_snapshots(disk, folder, &[offset])?;
                    unusable.push((path, what));
                }
            }
        }
        Ok(unusable)
    }

    /// Forgets everything; the log starts and ends at `offset`.
    pub(crate) fn truncate_fully_and_start_at(
        &mut self,
        disk: &mut dyn Disk,
        folder: &str,
        offset: Offset,
    ) -> Result<(), DiskError> {
        let all: Vec<Offset> = self.snapshots.iter().copied().collect();
        self.remove_snapshots(disk, folder, &all)?;
        *self = ProducerStateManager { map_end_offset: offset, ..ProducerStateManager::default() };
        Ok(())
    }

    /// Removes the snapshots before `offset`. The state in memory keeps the producers that are in them only.
    pub(crate) fn delete_snapshots_before(
        &mut self,
        disk: &mut dyn Disk,
        folder: &str,
        offset: Offset,
    ) -> Result<(), DiskError> {
        let old: Vec<Offset> = self.snapshots.range(..offset).copied().collect();
        self.remove_snapshots(disk, folder, &old)
    }

    /// Removes the snapshots that lie at none of the given offsets (those of a close, once the log has grown).
    pub(crate) fn retain_snapshots(
        &mut self,
        disk: &mut dyn Disk,
        folder: &str,
        keep: impl Fn(Offset) -> bool,
    ) -> Result<(), DiskError> {
        let strays: Vec<Offset> = self.snapshots.iter().copied().filter(|offset| !keep(*offset)).collect();
        self.remove_snapshots(disk, folder, &strays)
    }

    fn remove_snapshots(
        &mut self,
        disk: &mut dyn Disk,
        folder: &str,
        offsets: &[Offset],
    ) -> Result<(), DiskError> {
        for offset in offsets {
            match disk.remove(&snapshot_path(folder, *offset)) {
                Ok(()) | Err(DiskError::NotFound { .. }) => self.snapshots.remove(offset),
                Err(error) => return Err(error),
            };
        }
        if offsets.is_empty() { Ok(()) } else { disk.sync_folder(folder) }
    }
}

/// How the control batch ends a transaction, if it does.
fn end_txn(batch: &Batch) -> Option<EndTxn> {
    let records = batch.records(CONTROL_BATCH_LIMIT).ok()?;
    let record = records.first()?;
    match ControlRecord::decode(record.key.as_deref()?, record.value.as_deref()).ok()? {
        ControlRecord::Abort(marker) => {
            Some(EndTxn { coordinator_epoch: marker.coordinator_epoch, commit: false })
        }
        ControlRecord::Commit(marker) => {
            Some(EndTxn { coordinator_epoch: marker.coordinator_epoch, commit: true })
        }
        _ => None,
    }
}
