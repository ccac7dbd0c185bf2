//! The records inside a batch.

use bytes::Bytes;

use super::{BatchError, Header, sequence};
use crate::primitive::{ReadError, Reader};

/// The records of one batch, decompressed.
#[derive(Clone, Debug)]
pub struct Records {
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

/// One record, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp, ms since the epoch.
    pub timestamp: i64,
    /// Its sequence number; −1 if the producer is not idempotent.
    pub sequence: i32,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers, in order. They have been checked.
    pub headers: Headers<'a>,
}

/// Walks the headers of one record: names and values.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    left: usize,
    reader: Reader<'a>,
}

/// Walks the records of one batch. Ends after the first error.
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    header: &'a Header,
    reader: Reader<'a>,
    index: usize,
    count: usize,
    /// The least offset delta that the next record may have.
    next_delta: i32,
}

impl Records {
    pub(super) fn open(header: &Header, payload: Bytes, limit: usize) -> Result<Records, BatchError> {
        let bytes = if header.record_count == 0 && payload.is_empty() {
            payload
        } else {
            header.compression().decompress(&payload, limit)?
        };
        Ok(Records { bytes, header: *header })
    }

    /// The size of the records in bytes, decompressed.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The records as they are written.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The records, in order, borrowed.
    pub fn iter(&self) -> RecordIter<'_> {
        RecordIter {
            header: &self.header,
            reader: Reader::new(&self.bytes),
            index: 0,
            count: usize::try_from(self.header.record_count)
                .expect("it was checked when the header was read"),
            next_delta: 0,
        }
    }

    /// The records, in order, sharing their bytes with these.
    ///
    /// # Errors
    /// [`BatchError::Record`].
    pub fn to_vec(&self) -> Result<Vec<Record>, BatchError> {
        let share = |slice: &[u8]| self.bytes.slice_ref(slice);
        let mut records = Vec::new();
        for record in self.iter() {
            let record = record?;
            records.push(Record {
                offset: record.offset,
                timestamp: record.timestamp,
                sequence: record.sequence,
                key: record.key.map(share),
                value: record.value.map(share),
                headers: record.headers.map(|(name, value)| (share(name), value.map(share))).collect(),
            });
        }
        Ok(records)
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<RecordRef<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.index >= self.count {
            return None;
        }
        let record = self.read().map_err(|what| BatchError::Record { index: self.index, what });
        self.index = if record.is_ok() { self.index + 1 } else { self.count };
        Some(record)
    }
}

impl<'a> RecordIter<'a> {
    /// Where the record after the last one begins.
    pub(super) fn position(&self) -> usize {
        self.reader.position()
    }

    fn read(&mut self) -> Result<RecordRef<'a>, &'static str> {
        let body = self.reader.varint_bytes().map_err(|_| "it is cut off")?;
        let mut reader = Reader::new(body.ok_or("its length is negative")?);
        let record = self.read_body(&mut reader)?;
        if self.index + 1 == self.count && !self.reader.is_empty() {
            return Err("bytes follow it, but it should be the last");
        }
        Ok(record)
    }

    fn read_body(&mut self, reader: &mut Reader<'a>) -> Result<RecordRef<'a>, &'static str> {
        let cut = |_: ReadError| "a field does not fit into its length";
        reader.i8().map_err(cut)?; // attributes, none of which is in use
        let timestamp_delta = reader.varlong().map_err(cut)?;
        let offset_delta = reader.varint().map_err(cut)?;
        if offset_delta < self.next_delta || offset_delta > self.header.last_offset_delta {
            return Err("its offset delta is out of order or range");
        }
        self.next_delta = offset_delta + 1;
        let key = reader.varint_bytes().map_err(cut)?;
        let value = reader.varint_bytes().map_err(cut)?;
        let headers = Headers::read(reader).map_err(|_| "its headers do not fit into its length")?;
        let timestamp = if self.header.is_log_append_time() {
            self.header.max_timestamp
        } else {
            self.header
                .base_timestamp
                .checked_add(timestamp_delta)
                .ok_or("its timestamp delta is out of range")?
        };
        Ok(RecordRef {
            offset: self.header.base_offset + i64::from(offset_delta),
            timestamp,
            sequence: sequence(self.header.base_sequence, offset_delta),
            key,
            value,
            headers,
        })
    }
}

impl<'a> Headers<'a> {
    /// Checks the headers that take up all that is left in `reader`.
    fn read(reader: &mut Reader<'a>) -> Result<Headers<'a>, &'static str> {
        let count = reader.varint().map_err(|_| "the count is cut off")?;
        let count = usize::try_from(count).map_err(|_| "the count is negative")?;
        let headers = Headers { left: count, reader: *reader };
        for _ in 0..count {
            Headers::read_one(reader)?;
        }
        if reader.is_empty() { Ok(headers) } else { Err("bytes follow the last") }
    }

    fn read_one(reader: &mut Reader<'a>) -> Result<(&'a [u8], Option<&'a [u8]>), &'static str> {
        let name = reader.varint_bytes().map_err(|_| "a name is cut off")?.ok_or("a name is null")?;
        let value = reader.varint_bytes().map_err(|_| "a value is cut off")?;
        Ok((name, value))
    }

    /// The value of the first header with this name; `Some(None)` if it is null.
    pub fn find(mut self, name: &[u8]) -> Option<Option<&'a [u8]>> {
        self.find_map(|(n, value)| (n == name).then_some(value))
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some(Headers::read_one(&mut self.reader).expect("the headers were checked"))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Headers<'_> {}
