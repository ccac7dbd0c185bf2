//! Batches made of others: with fewer records (compaction), or with another codec.

use bytes::Bytes;

use super::builder::write;
use super::{Batch, BatchError, HEADER_LEN, Header, RecordRef, at, attribute};
use crate::codec::Compression;
use crate::primitive::{Reader, put_varint, put_varlong, varint_len};

impl Batch {
    /// The batch with only those records that `keep` wants, at their offsets: the batch goes on to stand for all the offsets
    /// that it stood for, and keeps its producer and sequence numbers. It may end up with no record at all. Decompresses at
    /// most `limit` bytes.
    ///
    /// # Errors
    /// [`BatchError`].
    pub fn filtered(
        &self,
        limit: usize,
        mut keep: impl FnMut(&RecordRef<'_>) -> bool,
    ) -> Result<Batch, BatchError> {
        let records = self.open(limit)?;
        let mut kept = Vec::new();
        let mut record_count = 0;
        let mut max_timestamp = None;
        let mut iter = records.iter();
        let mut begin = 0;
        while let Some(record) = iter.next() {
            let record = record?;
            let end = iter.position();
            if keep(&record) {
                kept.extend_from_slice(&records.bytes()[begin..end]);
                record_count += 1;
                max_timestamp = max_timestamp.max(Some(record.timestamp));
            }
            begin = end;
        }
        if record_count == self.header().record_count {
            return Ok(self.clone());
        }
        let max_timestamp = max_timestamp.unwrap_or(self.header().max_timestamp);
        let header = Header { record_count, max_timestamp, ..*self.header() };
        let codec = header.compression();
        Ok(rewritten(header, &kept, codec, codec.default_level()))
    }

    /// The batch with a delete horizon (KIP-534), which the records' timestamps are then relative to. Decompresses at most
    /// `limit` bytes.
    ///
    /// # Errors
    /// [`BatchError`].
    pub fn with_delete_horizon(&self, limit: usize, delete_horizon_ms: i64) -> Result<Batch, BatchError> {
        let records = self.open(limit)?;
        let mut moved = Vec::with_capacity(records.size());
        let mut iter = records.iter();
        let mut begin = 0;
        while let Some(record) = iter.next() {
            // One that is out of reach, of a clock that is out of its mind, is moved.
            let timestamp_delta = record?.timestamp.saturating_sub(delete_horizon_ms);
            let end = iter.position();
            put_with_timestamp_delta(&records.bytes()[begin..end], timestamp_delta, &mut moved);
            begin = end;
        }
        let attributes = self.header().attributes | attribute::DELETE_HORIZON;
        let header = Header { attributes, base_timestamp: delete_horizon_ms, ..*self.header() };
        let codec = header.compression();
        Ok(rewritten(header, &moved, codec, codec.default_level()))
    }

    /// The batch with its records compressed by another codec, at its level. Decompresses at most `limit` bytes.
    ///
    /// # Errors
    /// [`BatchError`].
    pub fn recompressed(&self, limit: usize, codec: Compression, level: i32) -> Result<Batch, BatchError> {
        let records = self.open(limit)?;
        Ok(rewritten(*self.header(), records.bytes(), codec, level))
    }
}

/// A batch of these records, with the other fields of `header`.
fn rewritten(header: Header, records: &[u8], codec: Compression, level: i32) -> Batch {
    // Nothing needs no codec.
    let codec = if header.record_count == 0 { Compression::None } else { codec };
    let mut out = vec![0; HEADER_LEN];
    codec.compress_at(level, records, &mut out);
    let attributes = (header.attributes & !attribute::CODEC) | i16::from(codec as u8);
    let mut header = Header { size: out.len(), crc: 0, attributes, ..header };
    write(&header, out.first_chunk_mut().expect("it was made that long"));
    header.crc = crc32c::crc32c(&out[at::ATTRIBUTES..]);
    out[at::CRC..at::ATTRIBUTES].copy_from_slice(&header.crc.to_be_bytes());
    Batch { bytes: Bytes::from(out), header }
}

/// Writes a record, which has been decoded before, with another timestamp delta.
fn put_with_timestamp_delta(record: &[u8], timestamp_delta: i64, out: &mut Vec<u8>) {
    const DECODED: &str = "the record was decoded before";
    let mut reader = Reader::new(record);
    reader.varint().expect(DECODED);
    let attributes = reader.i8().expect(DECODED);
    reader.varlong().expect(DECODED);
    let rest = &record[reader.position()..];
    let len = 1 + varint_len(timestamp_delta) + rest.len();
    put_varint(out, i32::try_from(len).expect("it is as long as before, but for a few bytes"));
    out.push(attributes.cast_unsigned());
    put_varlong(out, timestamp_delta);
    out.extend_from_slice(rest);
}
