//! RecordBatch v2 (KIP-98): a zero-copy view, and the builder.
//!
//! ```text
//!  0 base_offset i64            23 last_offset_delta i32    43 producer_id i64
//!  8 batch_length i32           27 base_timestamp i64       51 producer_epoch i16
//! 12 partition_leader_epoch i32 35 max_timestamp i64        53 base_sequence i32
//! 16 magic i8                                               57 record_count i32
//! 17 crc u32 (of 21..)                                      61 records
//! 21 attributes i16: codec 0..=2, timestamp type 3, transactional 4, control 5, has delete horizon 6
//! ```

mod builder;
mod filter;
mod record;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::codec::{CodecError, Compression};

pub use builder::BatchBuilder;
pub use record::{Headers, Record, RecordIter, RecordRef, Records};

/// The length of a batch's header in bytes.
pub const HEADER_LEN: usize = 61;
/// What `batch_length` does not count: the base offset and itself.
pub const LOG_OVERHEAD: usize = 12;
/// The format's version, the only one that is supported.
pub const MAGIC: i8 = 2;

/// Where the header's fields begin.
mod at {
    pub const BATCH_LENGTH: usize = 8;
    pub const PARTITION_LEADER_EPOCH: usize = 12;
    pub const MAGIC: usize = 16;
    pub const CRC: usize = 17;
    pub const ATTRIBUTES: usize = 21;
    pub const LAST_OFFSET_DELTA: usize = 23;
    pub const BASE_TIMESTAMP: usize = 27;
    pub const MAX_TIMESTAMP: usize = 35;
    pub const PRODUCER_ID: usize = 43;
    pub const PRODUCER_EPOCH: usize = 51;
    pub const BASE_SEQUENCE: usize = 53;
    pub const RECORD_COUNT: usize = 57;
}

/// What the attributes' bits mean.
mod attribute {
    pub const CODEC: i16 = 0x07;
    pub const LOG_APPEND_TIME: i16 = 0x08;
    pub const TRANSACTIONAL: i16 = 0x10;
    pub const CONTROL: i16 = 0x20;
    pub const DELETE_HORIZON: i16 = 0x40;
}

/// What the records of one batch may expand to, in bytes, where nothing smaller is known: what a request may bring that is not
/// compressed at all, so that compression opens no way to take more memory. Kafka has no such limit.
pub const RECORDS_MAX: usize = crate::frame::FRAME_MAX;

/// Batches smaller than this, in bytes, are copied when they get their offset: cheaper than a second chunk.
const COPIED_BELOW: usize = 4096;

/// Bytes are not a batch that we accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Fewer bytes than the header, or than the header's length field says.
    #[error("batch at byte {position} needs {needed} bytes, {available} are there")]
    Truncated {
        /// Where the batch begins in the bytes given.
        position: usize,
        /// How many bytes it needs.
        needed: usize,
        /// How many there are.
        available: usize,
    },
    /// The length field is too small or negative.
    #[error("batch at byte {position} has the impossible length {length}")]
    Length {
        /// Where the batch begins in the bytes given.
        position: usize,
        /// The length field's value.
        length: i32,
    },
    /// Not format version 2.
    #[error("batch at byte {position} has magic {magic}, only 2 is supported")]
    Magic {
        /// Where the batch begins in the bytes given.
        position: usize,
        /// The magic byte.
        magic: i8,
    },
    /// The checksum does not fit the content.
    #[error("batch at byte {position} has CRC-32C {stored:#010x}, its content has {computed:#010x}")]
    Crc {
        /// Where the batch begins in the bytes given.
        position: usize,
        /// The checksum in the header.
        stored: u32,
        /// The content's.
        computed: u32,
    },
    /// A header field makes no sense with the others (record count, offset delta, codec).
    #[error("batch at byte {position}: {what}")]
    Field {
        /// Where the batch begins in the bytes given.
        position: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// A record in it makes no sense.
    #[error("record {index}: {what}")]
    Record {
        /// The record's index in its batch.
        index: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// Its records do not decompress.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// The header of a batch, read once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The first record's offset.
    pub base_offset: i64,
    /// The whole batch's size in bytes, header included (the length field + 12).
    pub size: usize,
    /// The epoch of the leader that appended it; −1 as a producer sends it.
    pub partition_leader_epoch: i32,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Codec, timestamp type, transactional, control.
    pub attributes: i16,
    /// The last record's offset less the base offset.
    pub last_offset_delta: i32,
    /// What the records' timestamps are relative to, ms since the epoch: the first one's, or [`Header::delete_horizon_ms`]
    /// if there is one; −1 unknown.
    pub base_timestamp: i64,
    /// The largest timestamp, ms since the epoch; −1 unknown.
    pub max_timestamp: i64,
    /// −1 if not idempotent.
    pub producer_id: i64,
    /// −1 if not idempotent.
    pub producer_epoch: i16,
    /// −1 if not idempotent.
    pub base_sequence: i32,
    /// How many records it holds.
    pub record_count: i32,
}

/// One batch: a view of shared bytes whose length and header fields have been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    bytes: Bytes,
    header: Header,
}

/// Walks the batches in the bytes of a Produce request, a Fetch response or a log segment.
#[derive(Clone, Debug)]
pub struct Batches {
    rest: Bytes,
    position: usize,
}

impl Header {
    /// Reads and checks the header at the start of `bytes`, which begin at `position` of what the caller looks at.
    fn read(bytes: &[u8], position: usize) -> Result<Header, BatchError> {
        let Some(raw) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(BatchError::Truncated { position, needed: HEADER_LEN, available: bytes.len() });
        };
        let magic = raw[at::MAGIC].cast_signed();
        if magic != MAGIC {
            return Err(BatchError::Magic { position, magic });
        }
        let length = i32::from_be_bytes(field(raw, at::BATCH_LENGTH));
        let size = match usize::try_from(length) {
            Ok(length) if length >= HEADER_LEN - LOG_OVERHEAD => length + LOG_OVERHEAD,
            _ => return Err(BatchError::Length { position, length }),
        };
        let header = Header {
            base_offset: i64::from_be_bytes(field(raw, 0)),
            size,
            partition_leader_epoch: i32::from_be_bytes(field(raw, at::PARTITION_LEADER_EPOCH)),
            crc: u32::from_be_bytes(field(raw, at::CRC)),
            attributes: i16::from_be_bytes(field(raw, at::ATTRIBUTES)),
            last_offset_delta: i32::from_be_bytes(field(raw, at::LAST_OFFSET_DELTA)),
            base_timestamp: i64::from_be_bytes(field(raw, at::BASE_TIMESTAMP)),
            max_timestamp: i64::from_be_bytes(field(raw, at::MAX_TIMESTAMP)),
            producer_id: i64::from_be_bytes(field(raw, at::PRODUCER_ID)),
            producer_epoch: i16::from_be_bytes(field(raw, at::PRODUCER_EPOCH)),
            base_sequence: i32::from_be_bytes(field(raw, at::BASE_SEQUENCE)),
            record_count: i32::from_be_bytes(field(raw, at::RECORD_COUNT)),
        };
        match header.nonsense() {
            None => Ok(header),
            Some(what) => Err(BatchError::Field { position, what }),
        }
    }

    /// As [`Header::read`], of a batch that must be there as a whole.
    fn read_whole(bytes: &[u8], position: usize, check_crc: bool) -> Result<Header, BatchError> {
        let header = Header::read(bytes, position)?;
        let Some(whole) = bytes.get(..header.size) else {
            return Err(BatchError::Truncated { position, needed: header.size, available: bytes.len() });
        };
        if check_crc {
            let computed = crc32c::crc32c(&whole[at::ATTRIBUTES..]);
            if computed != header.crc {
                return Err(BatchError::Crc { position, stored: header.crc, computed });
            }
        }
        Ok(header)
    }

    /// What makes no sense whoever wrote it. (Compaction leaves batches with fewer records than offsets, even none.)
    fn nonsense(&self) -> Option<&'static str> {
        if codec(self.attributes).is_none() {
            return Some("its codec is unknown");
        }
        if self.last_offset_delta < 0 || self.last_offset_delta == i32::MAX {
            return Some("its last offset delta is out of range");
        }
        let last_offset = self.base_offset.checked_add(self.last_offset_delta.into());
        if self.base_offset < 0 || last_offset.is_none_or(|last| last == i64::MAX) {
            return Some("its offsets are out of range");
        }
        if self.record_count < 0 || self.record_count > self.last_offset_delta + 1 {
            return Some("its record count does not fit its offsets");
        }
        None
    }

    /// Checks what a broker demands of a batch that a producer sends (KIP-98): records without gaps, no control batch, and
    /// an epoch and a sequence if there is a producer id.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn is_well_formed_produce(&self) -> Result<(), &'static str> {
        if self.record_count < 1 {
            return Err("the batch holds no records");
        }
        if self.last_offset_delta != self.record_count - 1 {
            return Err("the batch's last offset delta does not fit its record count");
        }
        if self.is_control() {
            return Err("clients may not write control batches");
        }
        if self.is_log_append_time() {
            return Err("clients may not set the timestamp type to LogAppendTime");
        }
        if self.delete_horizon_ms().is_some() {
            return Err("clients may not set a delete horizon");
        }
        if self.producer_id >= 0 {
            if self.producer_epoch < 0 || self.base_sequence < 0 {
                return Err("an idempotent producer's batch needs an epoch and a sequence number");
            }
        } else if self.is_transactional() {
            return Err("a transactional batch needs a producer id");
        } else if self.producer_id != -1 {
            return Err("a batch without producer id must have -1 for it");
        }
        // Without a producer id the sequence number means nothing: aiokafka sends 0.
        Ok(())
    }

    /// The last record's offset.
    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// The offset after the last record's.
    pub fn next_offset(&self) -> i64 {
        self.last_offset() + 1
    }

    /// The last record's sequence number (wraps from 2³¹ − 1 to 0); −1 if not idempotent.
    pub fn last_sequence(&self) -> i32 {
        sequence(self.base_sequence, self.last_offset_delta)
    }

    /// Whether a transaction wrote it.
    pub fn is_transactional(&self) -> bool {
        self.attributes & attribute::TRANSACTIONAL != 0
    }

    /// Whether it holds control records.
    pub fn is_control(&self) -> bool {
        self.attributes & attribute::CONTROL != 0
    }

    /// Whether its timestamps are LogAppendTime.
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & attribute::LOG_APPEND_TIME != 0
    }

    /// From when on compaction may remove its tombstones, or if it is a marker, itself (KIP-534), ms since the epoch; `None` as
    /// long as no cleaning has set it.
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        (self.attributes & attribute::DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    /// Its codec.
    pub fn compression(&self) -> Compression {
        codec(self.attributes).expect("it was checked when the header was read")
    }
}

fn field<const N: usize>(raw: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    *raw[at..].first_chunk().expect("every field lies within the header")
}

fn codec(attributes: i16) -> Option<Compression> {
    Compression::from_id((attributes & attribute::CODEC).to_be_bytes()[1])
}

/// The sequence number `delta` records after `base`; −1 if there is none.
fn sequence(base: i32, delta: i32) -> i32 {
    if base < 0 { -1 } else { base.wrapping_add(delta) & i32::MAX }
}

impl Batch {
    /// Checks length, magic, header fields and CRC of the batch at the start of `bytes`; bytes after it are left out of the
    /// view.
    ///
    /// # Errors
    /// [`BatchError`].
    pub fn parse(bytes: Bytes) -> Result<Batch, BatchError> {
        Batch::read(bytes, 0, true)
    }

    /// As [`Batch::parse`] but does not compute the CRC: for bytes that were checked when they came in.
    ///
    /// # Errors
    /// [`BatchError`].
    pub fn parse_trusted(bytes: Bytes) -> Result<Batch, BatchError> {
        Batch::read(bytes, 0, false)
    }

    fn read(mut bytes: Bytes, position: usize, check_crc: bool) -> Result<Batch, BatchError> {
        let header = Header::read_whole(&bytes, position, check_crc)?;
        if bytes.len() > header.size {
            bytes.truncate(header.size);
        }
        Ok(Batch { bytes, header })
    }

    /// Reads the header at the start of `bytes`, which must hold the whole batch, and checks its CRC; `position` is where they
    /// begin in what the caller looks at.
    ///
    /// # Errors
    /// [`BatchError`].
    pub fn check(bytes: &[u8], position: usize) -> Result<Header, BatchError> {
        Header::read_whole(bytes, position, true)
    }

    /// Reads the header at the start of `bytes` (at least [`HEADER_LEN`] of them; the records need not be there), checking
    /// the fields but not the CRC.
    ///
    /// # Errors
    /// [`BatchError`].
    pub fn peek(bytes: &[u8]) -> Result<Header, BatchError> {
        Header::read(bytes, 0)
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The whole batch.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The batch with another base offset and leader epoch (neither is under the CRC), as the chunks to write one after the
    /// other: small batches are copied into one chunk and the second is empty; large ones get a new header and share their
    /// records.
    pub fn assigned(&self, base_offset: i64, partition_leader_epoch: i32) -> (Header, [Bytes; 2]) {
        let header = Header { base_offset, partition_leader_epoch, ..self.header };
        let (copied, shared) = if self.bytes.len() < COPIED_BELOW {
            (&self.bytes[..], Bytes::new())
        } else {
            (&self.bytes[..HEADER_LEN], self.bytes.slice(HEADER_LEN..))
        };
        let mut first = copied.to_vec();
        first[..8].copy_from_slice(&base_offset.to_be_bytes());
        first[at::PARTITION_LEADER_EPOCH..][..4].copy_from_slice(&partition_leader_epoch.to_be_bytes());
        (header, [Bytes::from(first), shared])
    }

    /// The records, decompressed (to at most `limit` bytes) but not yet decoded.
    ///
    /// # Errors
    /// [`BatchError::Codec`].
    pub fn open(&self, limit: usize) -> Result<Records, BatchError> {
        Records::open(&self.header, self.bytes.slice(HEADER_LEN..), limit)
    }

    /// Calls `each` with every record, in order, without an allocation per record; decompresses at most `limit` bytes.
    ///
    /// # Errors
    /// [`BatchError`]; the records before the bad one have been seen then.
    pub fn for_each_record(
        &self,
        limit: usize,
        mut each: impl FnMut(RecordRef<'_>),
    ) -> Result<(), BatchError> {
        for record in self.open(limit)?.iter() {
            each(record?);
        }
        Ok(())
    }

    /// Decodes the records; decompresses at most `limit` bytes.
    ///
    /// # Errors
    /// [`BatchError`].
    pub fn records(&self, limit: usize) -> Result<Vec<Record>, BatchError> {
        self.open(limit)?.to_vec()
    }
}

impl Batches {
    /// The batches in `bytes`, one after the other. A torn last batch ends the walk as an error.
    pub fn new(bytes: Bytes) -> Batches {
        Batches { rest: bytes, position: 0 }
    }

    /// Where the next batch begins in the bytes given: how many bytes of whole, good batches were seen.
    pub fn position(&self) -> usize {
        self.position
    }

    /// As the iterator, but leaves out the CRC check, and ends quietly at an incomplete last batch, as a Fetch response may
    /// have.
    pub fn next_trusted(&mut self) -> Option<Result<Batch, BatchError>> {
        match self.step(false) {
            Some(Err(BatchError::Truncated { .. })) => None,
            step => step,
        }
    }

    fn step(&mut self, check_crc: bool) -> Option<Result<Batch, BatchError>> {
        if self.rest.is_empty() {
            return None;
        }
        let batch = match Header::read_whole(&self.rest, self.position, check_crc) {
            Ok(header) => {
                self.position += header.size;
                Ok(Batch { bytes: take_first(&mut self.rest, header.size), header })
            }
            // Nothing after a bad batch can be found.
            Err(error) => {
                self.rest = Bytes::new();
                Err(error)
            }
        };
        Some(batch)
    }
}

/// Takes the first `len` bytes; all of them need no second reference.
fn take_first(bytes: &mut Bytes, len: usize) -> Bytes {
    if bytes.len() == len { std::mem::take(bytes) } else { bytes.split_to(len) }
}

impl Iterator for Batches {
    type Item = Result<Batch, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(true)
    }
}
