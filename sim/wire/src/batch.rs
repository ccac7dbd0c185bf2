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

use bytes::Bytes;

use crate::codec::{CodecError, Compression};

/// The length of a batch's header in bytes.
pub const HEADER_LEN: usize = 61;
/// What `batch_length` does not count: the base offset and itself.
pub const LOG_OVERHEAD: usize = 12;

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
    /// The first record's timestamp, ms since the epoch; −1 unknown.
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

/// One record, sharing the batch's (decompressed) bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp, ms since the epoch.
    pub timestamp: i64,
    /// Its sequence number; −1 if the producer is not idempotent.
    pub sequence: i32,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Its headers, in order.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// Walks the batches in the bytes of a Produce request, a Fetch response or a log segment.
#[derive(Clone, Debug)]
pub struct Batches {
    rest: Bytes,
    position: usize,
}

/// Collects records and writes them as one batch.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    // the helper decides
}

impl Header {
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
        unimplemented!()
    }
    /// Whether a transaction wrote it.
    pub fn is_transactional(&self) -> bool {
        self.attributes & 0x10 != 0
    }
    /// Whether it holds control records.
    pub fn is_control(&self) -> bool {
        self.attributes & 0x20 != 0
    }
    /// Whether its timestamps are LogAppendTime.
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & 0x08 != 0
    }
    /// Its codec.
    pub fn compression(&self) -> Compression {
        unimplemented!()
    }
}

impl Batch {
    /// Checks length, magic, header fields and CRC of the batch at the start of `bytes`; bytes after it are left out of the view.
    ///
    /// # Errors
    /// [`BatchError`].
    pub fn parse(bytes: Bytes) -> Result<Batch, BatchError> {
        let _ = bytes;
        unimplemented!()
    }

    /// As [`Batch::parse`] but does not compute the CRC: for bytes that were checked when they came in.
    ///
    /// # Errors
    /// [`BatchError`].
    pub fn parse_trusted(bytes: Bytes) -> Result<Batch, BatchError> {
        let _ = bytes;
        unimplemented!()
    }

    /// Reads the header at the start of `bytes` (at least [`HEADER_LEN`] of them; the records need not be there), checking the fields
    /// but not the CRC.
    ///
    /// # Errors
    /// [`BatchError`].
    pub fn peek(bytes: &[u8]) -> Result<Header, BatchError> {
        let _ = bytes;
        unimplemented!()
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The whole batch.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The batch with another base offset and leader epoch (neither is under the CRC), as the chunks to write one after
    /// the other: small batches are copied into one chunk, large ones get a new header and share their records.
    pub fn assigned(&self, base_offset: i64, partition_leader_epoch: i32) -> (Header, [Bytes; 2]) {
        let _ = (base_offset, partition_leader_epoch);
        unimplemented!()
    }

    /// Decodes the records; decompresses at most `limit` bytes.
    ///
    /// # Errors
    /// [`BatchError`].
    pub fn records(&self, limit: usize) -> Result<Vec<Record>, BatchError> {
        let _ = limit;
        unimplemented!()
    }
}

impl Batches {
    /// The batches in `bytes`, one after the other. A torn last batch ends the walk as an error.
    pub fn new(bytes: Bytes) -> Batches {
        Batches { rest: bytes, position: 0 }
    }

    /// As the iterator, but leaves out the CRC check, and ends quietly at an incomplete last batch, as a Fetch response may have.
    pub fn next_trusted(&mut self) -> Option<Result<Batch, BatchError>> {
        unimplemented!()
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, BatchError>;
    fn next(&mut self) -> Option<Self::Item> {
        let _ = (&self.rest, self.position);
        unimplemented!()
    }
}

impl BatchBuilder {
    /// A batch that is not idempotent, whose offsets start at 0.
    pub fn new(compression: Compression) -> BatchBuilder {
        let _ = compression;
        unimplemented!()
    }

    /// Sets the first record's offset (a log's own batches; producers leave it 0).
    pub fn base_offset(&mut self, offset: i64) -> &mut Self {
        let _ = offset;
        unimplemented!()
    }

    /// Sets the leader epoch.
    pub fn leader_epoch(&mut self, epoch: i32) -> &mut Self {
        let _ = epoch;
        unimplemented!()
    }

    /// Sets the idempotent producer's id, epoch and first sequence number. May be called after records were added.
    pub fn producer(&mut self, id: i64, epoch: i16, base_sequence: i32) -> &mut Self {
        let _ = (id, epoch, base_sequence);
        unimplemented!()
    }

    /// Marks the batch as a transaction's.
    pub fn transactional(&mut self) -> &mut Self {
        unimplemented!()
    }

    /// Marks the batch as holding control records.
    pub fn control(&mut self) -> &mut Self {
        unimplemented!()
    }

    /// Adds a record. `timestamp` in ms since the epoch.
    pub fn push(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], &[u8])],
    ) {
        let _ = (timestamp, key, value, headers);
        unimplemented!()
    }

    /// How many records were added.
    pub fn len(&self) -> usize {
        unimplemented!()
    }

    /// Whether none was added.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batch's size in bytes if it were written now without compression.
    pub fn uncompressed_size(&self) -> usize {
        unimplemented!()
    }

    /// An upper bound of what one record adds to a batch, as a producer reckons before it adds one.
    pub fn record_size_bound(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[(&[u8], &[u8])]) -> usize {
        let _ = (key, value, headers);
        unimplemented!()
    }

    /// Writes the batch, compressed, with its CRC. At least one record must have been added.
    pub fn build(&self) -> Batch {
        unimplemented!()
    }
}
