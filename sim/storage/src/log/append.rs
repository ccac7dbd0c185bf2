//! Appending, as a leader and as a follower.

use bytes::{Bytes, BytesMut};
use trial_node::{Disk, LeaderEpoch, Offset};
use trial_wire::batch::HEADER_LEN;
use trial_wire::{Batch, BatchError, Header};

use super::{AppendError, AppendInfo, AppendOrigin, TAIL_BATCHES, TailBatch, UnifiedLog, validate};
use crate::config::TimestampType;
use crate::producer_state::BatchMetadata;

impl UnifiedLog {
    /// Appends a client's, a coordinator's or the quorum leader's batch, which must come from [`Batch::parse`] or a builder: gives it the
    /// next offsets and the leader epoch. `now_ms` is the wall clock.
    ///
    /// # Errors
    /// [`AppendError`].
    pub fn append_as_leader(
        &mut self,
        disk: &mut dyn Disk,
        batch: &Batch,
        leader_epoch: LeaderEpoch,
        origin: AppendOrigin,
        now_ms: i64,
    ) -> Result<AppendInfo, AppendError> {
        let header = batch.header();
        let limited = matches!(origin, AppendOrigin::Client | AppendOrigin::Coordinator);
        if limited {
            check_size(header.size, self.config.max_message_bytes)?;
        }
        if origin == AppendOrigin::Client {
            validate::check_client_batch(&self.config, batch, now_ms)?;
        }
        if header.producer_id >= 0
            && let Some(original) = self.check_producer(batch, origin)?
        {
            let log_append_time_ms = match self.config.message_timestamp_type {
                TimestampType::CreateTime => -1,
                TimestampType::LogAppendTime => original.timestamp,
            };
            return Ok(AppendInfo {
                first_offset: original.first_offset(),
                last_offset: original.last_offset,
                log_append_time_ms,
                log_start_offset: self.log_start_offset,
                duplicate: true,
            });
        }

        let recompressed = if limited { validate::recompressed(&self.config, batch)? } else { None };
        let batch = recompressed.as_ref().unwrap_or(batch);
        if recompressed.is_some() {
            check_size(batch.header().size, self.config.max_message_bytes)?;
        }
        check_fits_segment(batch.header().size, self.config.segment_bytes)?;
        let base_offset = self.log_end_offset;
        let (header, chunks) = match self.config.message_timestamp_type {
            TimestampType::CreateTime => batch.assigned(base_offset.0, leader_epoch.0),
            TimestampType::LogAppendTime => stamped(batch, base_offset, leader_epoch, now_ms),
        };
        if self.active().must_roll(&self.config, &header, Offset(header.last_offset()), now_ms) {
            self.roll(disk, now_ms)?;
        }
        self.assign_epoch(disk, leader_epoch, base_offset)?;
        self.active().append(disk, &chunks)?;
        self.note_appended(&header, header.is_control().then_some(batch));
        self.flush_if_due(disk)?;
        Ok(AppendInfo {
            first_offset: base_offset,
            last_offset: Offset(header.last_offset()),
            log_append_time_ms: if header.is_log_append_time() { now_ms } else { -1 },
            log_start_offset: self.log_start_offset,
            duplicate: false,
        })
    }

    /// Checks a batch against what is known of its producer. `Some` if it is one of the producer's last five.
    fn check_producer(
        &self,
        batch: &Batch,
        origin: AppendOrigin,
    ) -> Result<Option<BatchMetadata>, AppendError> {
        match origin {
            AppendOrigin::Client | AppendOrigin::Coordinator => {
                let verification = self.config.transaction_partition_verification;
                self.producers.check(batch.header(), origin, verification)
            }
            AppendOrigin::Marker { transaction_version } => {
                self.producers.check_marker(batch, transaction_version).map(|()| None)
            }
            AppendOrigin::RaftLeader => Ok(None),
        }
    }

    /// Appends batches as a leader sent them, checking CRC and order. A batch that is cut off at the end is left out.
    /// `None` if there was no whole batch. `now_ms` is the wall clock.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was appended.
    pub fn append_as_follower(
        &mut self,
        disk: &mut dyn Disk,
        records: Bytes,
        now_ms: i64,
    ) -> Result<Option<AppendInfo>, AppendError> {
        let Some((first, last, whole)) = self.check_fetched(&records)? else { return Ok(None) };
        // Batches that go to the same segment are written as one chunk, which shares memory with the leader's log.
        let (mut written, mut position) = (0, 0);
        while position < whole {
            let header = Batch::peek(&records[position..])?;
            if self.active().must_roll(&self.config, &header, Offset(header.last_offset()), now_ms) {
                self.active().append(disk, &[records.slice(written..position)])?;
                written = position;
                self.roll(disk, now_ms)?;
            }
            self.assign_epoch(disk, LeaderEpoch(header.partition_leader_epoch), Offset(header.base_offset))?;
            let control = match header.is_control() {
                true => Some(Batch::parse_trusted(records.slice(position..))?),
                false => None,
            };
            self.note_appended(&header, control.as_ref());
            position += header.size;
        }
        self.active().append(disk, &[records.slice(written..whole)])?;
        self.flush_if_due(disk)?;
        Ok(Some(AppendInfo {
            first_offset: first,
            last_offset: last,
            log_append_time_ms: -1,
            log_start_offset: self.log_start_offset,
            duplicate: false,
        }))
    }

    /// The first and the last offset of the batches and the length of the whole ones; `None` if there is none.
    fn check_fetched(&self, records: &[u8]) -> Result<Option<(Offset, Offset, usize)>, AppendError> {
        let mut expected = self.log_end_offset;
        let mut first = None;
        let mut position = 0;
        while position < records.len() {
            let header = match Batch::check(&records[position..], position) {
                Err(BatchError::Truncated { .. }) => break,
                header => header?,
            };
            let offset = Offset(header.base_offset);
            if offset < expected {
                return Err(AppendError::UnexpectedOffset { offset, expected });
            }
            check_fits_segment(header.size, i32::MAX as u32)?;
            if header.last_offset().checked_sub(expected.0).is_none_or(|reach| reach > i64::from(i32::MAX)) {
                return Err(AppendError::InvalidRecord {
                    what: "its offsets are beyond what a segment can hold",
                });
            }
            first.get_or_insert(offset);
            expected = Offset(header.next_offset());
            position += header.size;
        }
        Ok(first.map(|first| (first, expected + -1, position)))
    }

    /// Takes a batch at the end of the active segment into account. A control batch must be given whole.
    fn note_appended(&mut self, header: &Header, control: Option<&Batch>) {
        let interval = self.config.index_interval_bytes;
        let active = self.active_mut();
        let position = active.size();
        active.note(header, interval);
        self.log_end_offset = Offset(header.next_offset());
        if let Some(aborted) = self.producers.update(header, control) {
            self.active_mut().note_aborted(aborted);
        }
        if self.tail.len() == TAIL_BATCHES {
            self.tail.pop_front();
        }
        self.tail.push_back(TailBatch {
            base_offset: Offset(header.base_offset),
            next_offset: self.log_end_offset,
            position,
            size: header.size as u32,
        });
    }

    fn flush_if_due(&mut self, disk: &mut dyn Disk) -> Result<(), AppendError> {
        if self.log_end_offset - self.recovery_point >= self.config.flush_messages {
            self.flush(disk)?;
        }
        Ok(())
    }
}

/// The batch with offset, epoch and LogAppendTime, as the chunks to write one after the other.
fn stamped(
    batch: &Batch,
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    now_ms: i64,
) -> (Header, [Bytes; 2]) {
    const ATTRIBUTES: usize = 21;
    const MAX_TIMESTAMP: usize = 35;
    const CRC: usize = 17;
    const LOG_APPEND_TIME: i16 = 0x08;
    let attributes = batch.header().attributes | LOG_APPEND_TIME;
    let mut head = BytesMut::from(&batch.bytes()[..HEADER_LEN]);
    head[..8].copy_from_slice(&base_offset.0.to_be_bytes());
    head[12..16].copy_from_slice(&leader_epoch.0.to_be_bytes());
    head[ATTRIBUTES..][..2].copy_from_slice(&attributes.to_be_bytes());
    head[MAX_TIMESTAMP..][..8].copy_from_slice(&now_ms.to_be_bytes());
    let records = batch.bytes().slice(HEADER_LEN..);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&head[ATTRIBUTES..]), &records);
    head[CRC..][..4].copy_from_slice(&crc.to_be_bytes());
    let header = Batch::peek(&head).expect("only fields that are not checked have changed");
    (header, [head.freeze(), records])
}

fn check_size(size: usize, max: u32) -> Result<(), AppendError> {
    if size > max as usize { Err(AppendError::TooLarge { size, max: max as usize }) } else { Ok(()) }
}

fn check_fits_segment(size: usize, max: u32) -> Result<(), AppendError> {
    if size > max as usize { Err(AppendError::LargerThanSegment { size, max: max as usize }) } else { Ok(()) }
}
