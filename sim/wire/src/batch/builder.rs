//! Writing a batch.

use bytes::Bytes;

use super::{Batch, HEADER_LEN, Header, LOG_OVERHEAD, MAGIC, at, attribute};
use crate::codec::Compression;
use crate::primitive::{put_varint, put_varint_bytes, put_varlong, varint_len};

/// What a record takes at most beside its key, value and headers, in bytes: length 5, attributes 1, timestamp delta 10,
/// offset delta 5, key length 5, value length 5, header count 5.
const RECORD_OVERHEAD_MAX: usize = 36;

/// What is set apart for a batch's records at first, in bytes: most batches that linger for a few milliseconds fit.
const RECORDS_MIN: usize = 1024;

/// What a codec adds at most to a few records that do not compress, in bytes.
const FRAME_MAX: usize = 64;

/// What a record's length takes at most, in bytes.
const LENGTH_MAX: usize = 5;

/// Collects records and writes them as one batch.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    compression: Compression,
    base_offset: i64,
    leader_epoch: i32,
    flags: i16,
    producer: (i64, i16, i32),
    base_timestamp: i64,
    max_timestamp: i64,
    count: i32,
    /// The records, uncompressed.
    records: Vec<u8>,
}

impl BatchBuilder {
    /// A batch that is not idempotent, whose offsets start at 0.
    pub fn new(compression: Compression) -> BatchBuilder {
        BatchBuilder {
            compression,
            base_offset: 0,
            leader_epoch: -1,
            flags: 0,
            producer: (-1, -1, -1),
            base_timestamp: -1,
            max_timestamp: -1,
            count: 0,
            records: Vec::new(),
        }
    }

    /// Sets the first record's offset (a log's own batches; producers leave it 0).
    pub fn base_offset(&mut self, offset: i64) -> &mut Self {
        self.base_offset = offset;
        self
    }

    /// Sets the leader epoch.
    pub fn leader_epoch(&mut self, epoch: i32) -> &mut Self {
        self.leader_epoch = epoch;
        self
    }

    /// Sets the idempotent producer's id, epoch and first sequence number. May be called after records were added.
    pub fn producer(&mut self, id: i64, epoch: i16, base_sequence: i32) -> &mut Self {
        self.producer = (id, epoch, base_sequence);
        self
    }

    /// Marks the batch as a transaction's.
    pub fn transactional(&mut self) -> &mut Self {
        self.flags |= attribute::TRANSACTIONAL;
        self
    }

    /// Marks the batch as holding control records.
    pub fn control(&mut self) -> &mut Self {
        self.flags |= attribute::CONTROL;
        self
    }

    /// Adds a record. `timestamp` in ms since the epoch.
    pub fn push(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], &[u8])],
    ) {
        if self.count == 0 {
            self.base_timestamp = timestamp;
            self.max_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let timestamp_delta = timestamp.wrapping_sub(self.base_timestamp);
        let body = 1
            + varint_len(timestamp_delta)
            + varint_len(self.count.into())
            + bytes_len(key)
            + bytes_len(value)
            + varint_len(len(headers.len()).into())
            + headers
                .iter()
                .map(|(name, value)| bytes_len(Some(name)) + bytes_len(Some(value)))
                .sum::<usize>();
        let out = &mut self.records;
        if out.capacity() == 0 {
            out.reserve(RECORDS_MIN);
        }
        out.reserve(LENGTH_MAX + body);
        put_varint(out, len(body));
        out.push(0);
        put_varlong(out, timestamp_delta);
        put_varint(out, self.count);
        put_varint_bytes(out, key);
        put_varint_bytes(out, value);
        put_varint(out, len(headers.len()));
        for (name, value) in headers {
            put_varint_bytes(out, Some(name));
            put_varint_bytes(out, Some(value));
        }
        self.count += 1;
    }

    /// How many records were added.
    pub fn len(&self) -> usize {
        usize::try_from(self.count).expect("it only grows")
    }

    /// Whether none was added.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The batch's size in bytes if it were written now without compression.
    pub fn uncompressed_size(&self) -> usize {
        HEADER_LEN + self.records.len()
    }

    /// An upper bound of what one record adds to a batch, as a producer reckons before it adds one.
    pub fn record_size_bound(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[(&[u8], &[u8])]) -> usize {
        let headers = headers.iter().map(|(name, value)| bytes_len(Some(name)) + bytes_len(Some(value)));
        RECORD_OVERHEAD_MAX
            + key.map_or(0, <[u8]>::len)
            + value.map_or(0, <[u8]>::len)
            + headers.sum::<usize>()
    }

    /// Writes the batch, compressed, with its CRC. At least one record must have been added.
    pub fn build(&self) -> Batch {
        assert!(!self.is_empty(), "a batch needs a record");
        let mut out = Vec::with_capacity(match self.compression {
            Compression::None => self.uncompressed_size(),
            // Copied by the log that keeps it, so that what is too much is soon free again.
            _ if self.records.len() < super::COPIED_BELOW / 2 => HEADER_LEN + self.records.len() + FRAME_MAX,
            _ => HEADER_LEN + self.records.len() / 2,
        });
        out.resize(HEADER_LEN, 0);
        self.compression.compress(&self.records, &mut out);

        let (producer_id, producer_epoch, base_sequence) = self.producer;
        let mut header = Header {
            base_offset: self.base_offset,
            size: out.len(),
            partition_leader_epoch: self.leader_epoch,
            crc: 0,
            attributes: self.flags | i16::from(self.compression as u8),
            last_offset_delta: self.count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id,
            producer_epoch,
            base_sequence,
            record_count: self.count,
        };
        let raw = out.first_chunk_mut().expect("it was made that long");
        write(&header, raw);
        header.crc = crc32c::crc32c(&out[at::ATTRIBUTES..]);
        out[at::CRC..at::ATTRIBUTES].copy_from_slice(&header.crc.to_be_bytes());
        Batch { bytes: Bytes::from(out), header }
    }
}

/// Writes a header.
pub(super) fn write(header: &Header, raw: &mut [u8; HEADER_LEN]) {
    let mut put = |at: usize, value: &[u8]| raw[at..][..value.len()].copy_from_slice(value);
    put(0, &header.base_offset.to_be_bytes());
    put(at::BATCH_LENGTH, &len(header.size - LOG_OVERHEAD).to_be_bytes());
    put(at::PARTITION_LEADER_EPOCH, &header.partition_leader_epoch.to_be_bytes());
    put(at::MAGIC, &MAGIC.to_be_bytes());
    put(at::CRC, &header.crc.to_be_bytes());
    put(at::ATTRIBUTES, &header.attributes.to_be_bytes());
    put(at::LAST_OFFSET_DELTA, &header.last_offset_delta.to_be_bytes());
    put(at::BASE_TIMESTAMP, &header.base_timestamp.to_be_bytes());
    put(at::MAX_TIMESTAMP, &header.max_timestamp.to_be_bytes());
    put(at::PRODUCER_ID, &header.producer_id.to_be_bytes());
    put(at::PRODUCER_EPOCH, &header.producer_epoch.to_be_bytes());
    put(at::BASE_SEQUENCE, &header.base_sequence.to_be_bytes());
    put(at::RECORD_COUNT, &header.record_count.to_be_bytes());
}

/// How much a key, a value or a part of a header takes with its length.
fn bytes_len(value: Option<&[u8]>) -> usize {
    match value {
        None => 1,
        Some(bytes) => varint_len(len(bytes.len()).into()) + bytes.len(),
    }
}

fn len(len: usize) -> i32 {
    i32::try_from(len).expect("a batch is below 2 GiB")
}
