//! Kafka's encoding of metadata records: frame version, api key and version as unsigned varints, then the fields.

use bytes::{Bytes, BytesMut};

use super::MetadataRecord;

/// Bytes are not a metadata record that we understand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The frame's version is not 1.
    #[error("metadata record frame version {version}, only 1 is supported")]
    Frame {
        /// The frame's version.
        version: u32,
    },
    /// No such record, or not in this version.
    #[error("unsupported metadata record: api key {key} version {version}")]
    Unsupported {
        /// The record's api key.
        key: u32,
        /// The record's version.
        version: u32,
    },
    /// The fields do not fit the record's schema.
    #[error("metadata record api key {key} version {version}: {what}")]
    Corrupt {
        /// The record's api key.
        key: u32,
        /// The record's version.
        version: u32,
        /// What is wrong.
        what: &'static str,
    },
}

impl MetadataRecord {
    /// Appends the record's encoding to `out`: a record's value in the metadata log.
    pub fn encode(&self, out: &mut BytesMut) {
        let _ = out;
        unimplemented!()
    }

    /// Reads a record's value; `bytes` must hold nothing else. Strings share its memory.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn decode(bytes: Bytes) -> Result<MetadataRecord, RecordError> {
        let _ = bytes;
        unimplemented!()
    }
}
