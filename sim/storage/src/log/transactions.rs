//! Transactions in a log: verification before they begin, what is open, what was aborted.

use trial_node::view::{AbortedTransactionView, LogRecordView, OpenTransactionView};
use trial_node::{Disk, DiskError, LeaderEpoch, Offset, ProducerEpoch, ProducerId};

use super::{ProducerDescription, UnifiedLog};
use crate::verification::VerificationGuard;

/// The most that the records of one batch may decompress to when an observer reads them, in bytes.
const DECOMPRESSED_BATCH_LIMIT: usize = 256 << 20;

impl UnifiedLog {
    /// A producer is about to begin a transaction here with a batch of this sequence number (−1: none): unless it is open
    /// already, gives the guard under which its coordinator is asked about it (KIP-890). `now_ms` is the wall clock.
    pub fn begin_verification(
        &mut self,
        producer_id: ProducerId,
        epoch: ProducerEpoch,
        sequence: i32,
        now_ms: i64,
    ) -> Option<VerificationGuard> {
        self.producers.begin_verification(producer_id, epoch, sequence, now_ms)
    }

    /// The coordinator has confirmed the transaction: unless one of the producer's was begun or ended here since, it may
    /// begin.
    pub fn confirm_verification(
        &mut self,
        producer_id: ProducerId,
        epoch: ProducerEpoch,
        guard: VerificationGuard,
    ) {
        self.producers.confirm_verification(producer_id, epoch, guard);
    }

    /// Calls `each` with every transaction that is open, by producer id.
    pub fn open_transactions(&self, each: &mut dyn FnMut(OpenTransactionView)) {
        self.producers.open_transactions(each);
    }

    /// Calls `each` with every producer that the log remembers, by id.
    pub fn producers(&self, each: &mut dyn FnMut(ProducerDescription)) {
        self.producers.describe(each);
    }

    /// Forgets producers that wrote nothing for as long as the configuration says, except in open transactions. `now_ms` is
    /// the wall clock.
    pub fn remove_expired_producers(&mut self, now_ms: i64) {
        self.producers.remove_expired(now_ms, self.config.producer_id_expiration_ms);
    }

    /// Calls `each` with every aborted transaction that has records from `from` up to, not including, `to`, in the order of
    /// their markers.
    pub fn aborted_transactions(
        &self,
        from: Offset,
        to: Offset,
        each: &mut dyn FnMut(AbortedTransactionView),
    ) {
        for segment in &self.segments[self.segment_of(from)..] {
            if segment.txn_index().collect(from, to, each) {
                return;
            }
        }
    }

    /// Calls `each` with every record from `from` on, in order, control records included.
    ///
    /// # Errors
    /// What the disk says; [`DiskError::Failed`] if a batch cannot be decoded.
    pub fn records(
        &self,
        disk: &mut dyn Disk,
        from: Offset,
        each: &mut dyn FnMut(LogRecordView<'_>),
    ) -> Result<(), DiskError> {
        if from >= self.log_end_offset {
            return Ok(());
        }
        self.for_each_header(disk, from, |header, batch| {
            batch()?.for_each_record(DECOMPRESSED_BATCH_LIMIT, |record| {
                if record.offset >= from.0 {
                    each(LogRecordView {
                        offset: Offset(record.offset),
                        leader_epoch: LeaderEpoch(header.partition_leader_epoch),
                        producer_id: ProducerId(header.producer_id),
                        producer_epoch: ProducerEpoch(header.producer_epoch),
                        transactional: header.is_transactional(),
                        control: header.is_control(),
                        key: record.key,
                        value: record.value,
                    });
                }
            })?;
            Ok(())
        })
        .map_err(|error| self.unreadable(error))
    }
}
