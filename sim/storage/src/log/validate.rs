//! What a leader demands of the records that a client sends, beyond what the batch's header tells (`LogValidator`).

use std::fmt;

use trial_wire::{Batch, BatchError, Header};

use super::AppendError;
use crate::config::{LogConfig, TimestampType};

/// The most that the records of one batch may decompress to, in bytes.
const DECOMPRESSED_BATCH_LIMIT: usize = trial_wire::batch::RECORDS_MAX;

/// Why one record of a batch is refused, and the whole batch with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// The record's index in its batch, from 0.
    pub index: i32,
    /// What is wrong with it.
    pub fault: RecordFault,
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFault {
    /// A compacted topic's records need keys (INVALID_RECORD).
    NoKey,
    /// Its timestamp is too far from the leader's clock (INVALID_TIMESTAMP, KIP-937).
    Timestamp {
        /// The record's, ms since the epoch.
        timestamp: i64,
        /// The earliest that is allowed.
        earliest: i64,
        /// The latest that is allowed.
        latest: i64,
    },
}

impl fmt::Display for RecordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordFault::NoKey => f.write_str("a record of a compacted topic needs a key"),
            RecordFault::Timestamp { timestamp, earliest, latest } => {
                write!(f, "timestamp {timestamp} is not from {earliest} to {latest}")
            }
        }
    }
}

/// Checks a client's batch. Opens it only if the configuration, or what its header says, makes that necessary.
pub(super) fn check_client_batch(config: &LogConfig, batch: &Batch, now_ms: i64) -> Result<(), AppendError> {
    let header = batch.header();
    header.is_well_formed_produce().map_err(|what| AppendError::InvalidRecord { what })?;
    let create_time = config.message_timestamp_type == TimestampType::CreateTime;
    let latest = now_ms.saturating_add(config.message_timestamp_after_max_ms);
    let early_matters = create_time && config.message_timestamp_before_max_ms < i64::MAX;
    let too_late = create_time && header.max_timestamp > latest;
    if config.compact || early_matters || too_late {
        let earliest = now_ms.saturating_sub(config.message_timestamp_before_max_ms);
        check_records(batch, config.compact, create_time.then_some((earliest, latest)))?;
    }
    if too_late {
        // None of its records is: it would keep its segment from getting old.
        return Err(AppendError::InvalidRecord { what: "its header has a timestamp that no record has" });
    }
    Ok(())
}

fn check_records(batch: &Batch, keyed: bool, allowed: Option<(i64, i64)>) -> Result<(), AppendError> {
    let mut errors = Vec::new();
    let mut index = 0;
    batch.for_each_record(DECOMPRESSED_BATCH_LIMIT, |record| {
        if keyed && record.key.is_none() {
            errors.push(RecordError { index, fault: RecordFault::NoKey });
        } else if let Some((earliest, latest)) = allowed
            // A record may have none.
            && record.timestamp != -1
            && !(earliest..=latest).contains(&record.timestamp)
        {
            let fault = RecordFault::Timestamp { timestamp: record.timestamp, earliest, latest };
            errors.push(RecordError { index, fault });
        }
        index += 1;
    })?;
    if errors.is_empty() { Ok(()) } else { Err(AppendError::Records { errors }) }
}

/// The batch as `compression.type` wants it; `None` if it is so already.
pub(super) fn recompressed(config: &LogConfig, batch: &Batch) -> Result<Option<Batch>, BatchError> {
    let differs = |header: &Header, codec| header.compression() != codec && !header.is_control();
    match config.compression {
        Some((codec, level)) if differs(batch.header(), codec) => {
            batch.recompressed(DECOMPRESSED_BATCH_LIMIT, codec, level).map(Some)
        }
        _ => Ok(None),
    }
}
