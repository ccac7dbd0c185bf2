//! Leaving records out of a batch (compaction).

use bytes::Bytes;

use super::builder::write;
use super::{Batch, BatchError, HEADER_LEN, Header, RecordRef, at};
use crate::codec::Compression;

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
        let mut out = vec![0; HEADER_LEN];
        let mut attributes = self.header().attributes;
        if record_count == 0 {
            // Nothing needs no codec.
            attributes &= !super::attribute::CODEC;
            attributes |= i16::from(Compression::None as u8);
        } else {
            self.header().compression().compress(&kept, &mut out);
        }
        let mut header = Header {
            size: out.len(),
            crc: 0,
            attributes,
            record_count,
            max_timestamp: max_timestamp.unwrap_or(self.header().max_timestamp),
            ..*self.header()
        };
        write(&header, out.first_chunk_mut().expect("it was made that long"));
        header.crc = crc32c::crc32c(&out[at::ATTRIBUTES..]);
        out[at::CRC..at::ATTRIBUTES].copy_from_slice(&header.crc.to_be_bytes());
        Ok(Batch { bytes: Bytes::from(out), header })
    }
}
