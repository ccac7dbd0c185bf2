//! Building a coordinator from its log.

use trial_coordinator::{Coordinator, CorruptRecord, LogRecord, Marker};
use trial_node::{Offset, ProducerEpoch, ProducerId, TopicIdPartition};
use trial_wire::{Batch, BatchError, Batches, ControlType, ErrorCode};

use super::Around;

/// The most that the records of one batch may expand to, in bytes.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// How far a log is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// There is more of it.
    More,
    /// Up to its end.
    Done,
}

/// A log cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error("cannot be read: {0:?}")]
    Read(ErrorCode),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Record(#[from] CorruptRecord),
}

/// Lets a coordinator take in the next chunk of its log, from `applied` on, which moves. The log is loaded up to its end:
/// what is not committed yet will be, as long as this broker leads.
pub(super) fn load_chunk<C: Coordinator>(
    around: &mut Around<'_, '_>,
    coordinator: &mut C,
    tp: TopicIdPartition,
    applied: &mut Offset,
    max_bytes: usize,
) -> Result<Progress, LoadError> {
    let bounds = around.replicas.log_bounds(tp).ok_or(LoadError::Read(ErrorCode::NotLeaderOrFollower))?;
    if *applied < bounds.log_end_offset {
        let from = *applied;
        let chunk = around.replicate(|replicas, ctx| replicas.read_local(ctx, tp, from, max_bytes));
        let mut batches = Batches::new(chunk.map_err(LoadError::Read)?);
        while let Some(batch) = batches.next_trusted() {
            let batch = batch?;
            replay(coordinator, &batch)?;
            *applied = Offset(batch.header().next_offset());
        }
    }
    Ok(if *applied < bounds.log_end_offset { Progress::More } else { Progress::Done })
}

fn replay<C: Coordinator>(coordinator: &mut C, batch: &Batch) -> Result<(), LoadError> {
    let header = *batch.header();
    let producer_id = ProducerId(header.producer_id);
    let producer_epoch = ProducerEpoch(header.producer_epoch);
    let transaction = header.is_transactional().then_some((producer_id, producer_epoch));
    let records = batch.open(BATCH_BYTES_MAX)?;
    for record in records.iter() {
        let record = record?;
        let offset = Offset(record.offset);
        let corrupt = |what: String| CorruptRecord { offset, what };
        let key = record.key.ok_or_else(|| corrupt("it has no key".to_owned()))?;
        if header.is_control() {
            let commit = match ControlType::of_key(key).map_err(|error| corrupt(error.to_string()))? {
                ControlType::Commit => true,
                ControlType::Abort => false,
                _ => continue,
            };
            coordinator.replay_marker(Marker { producer_id, producer_epoch, commit });
        } else {
            coordinator.replay(LogRecord { offset, transaction, key, value: record.value })?;
        }
    }
    Ok(())
}
