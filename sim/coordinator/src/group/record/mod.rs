//! The records of `__consumer_offsets` (`group-coordinator/src/main/resources/common/message/*.json` in Kafka's source).
//!
//! A key begins with an INT16 that says what the record is about; a value begins with the INT16 of its own version. The types
//! here borrow from the bytes that they were read from.

mod classic;
mod consumer;
mod offset;
#[cfg(test)]
mod tests;
pub(super) mod text;

use bytes::Bytes;
use trial_wire::primitive::{ReadError, Reader};

pub use classic::{GroupMetadata, MemberMetadata};
pub use consumer::{
    ClassicMemberMetadata, ConsumerGroupRecord, ConsumerMemberMetadata, CurrentMemberAssignment,
    RegularExpression, TopicMetadata, TopicPartitions,
};
pub use offset::{OffsetCommit, OffsetCommitKey};

use crate::Record;

/// One record of `__consumer_offsets`. Without a value it is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupRecord<'a> {
    /// A committed offset (keys 0 and 1).
    Offset {
        /// What was committed.
        key: OffsetCommitKey<'a>,
        /// Where.
        value: Option<OffsetCommit<'a>>,
    },
    /// A group of the classic protocol (key 2).
    Group {
        /// The group.
        group: &'a str,
        /// Its generation.
        value: Option<GroupMetadata<'a>>,
    },
    /// A part of a group of KIP-848 (keys 3 to 8 and 16).
    Consumer(ConsumerGroupRecord<'a>),
}

/// Bytes are not a record of `__consumer_offsets`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The key or the value is malformed.
    #[error(transparent)]
    Malformed(#[from] ReadError),
    /// The value has a version that does not exist.
    #[error("a value of version {version} for key {key}")]
    Version {
        /// The key's first number.
        key: i16,
        /// The value's version.
        version: i16,
    },
}

impl<'a> GroupRecord<'a> {
    /// Reads a record; `None` if it is of a kind that is not known (share groups, or newer than this).
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn decode(key: &'a [u8], value: Option<&'a [u8]>) -> Result<Option<GroupRecord<'a>>, RecordError> {
        let mut key = Reader::new(key);
        let kind = key.i16()?;
        let record = match kind {
            0 | 1 => {
                let key = OffsetCommitKey::read(&mut key)?;
                let value = read_value(kind, value, 0..=4, OffsetCommit::read)?;
                GroupRecord::Offset { key, value }
            }
            2 => {
                let group = text::string(&mut key)?;
                let value = read_value(kind, value, 0..=4, GroupMetadata::read)?;
                GroupRecord::Group { group, value }
            }
            3..=8 | 16 => GroupRecord::Consumer(ConsumerGroupRecord::read(kind, &mut key, value)?),
            _ => return Ok(None),
        };
        key.finish()?;
        Ok(Some(record))
    }

    /// The record's bytes, in the versions that Kafka 4 writes.
    pub fn encode(&self) -> Record {
        match self {
            GroupRecord::Offset { key, value } => {
                record(1, |out| key.put(out), value.as_ref().map(|value| |out: &mut _| value.put(out)))
            }
            GroupRecord::Group { group, value } => record(
                2,
                |out| text::put_string(out, group),
                value.as_ref().map(|value| |out: &mut _| value.put(out)),
            ),
            GroupRecord::Consumer(part) => part.encode(),
        }
    }
}

/// Reads a value: its version, then the rest with `read`; nothing may follow.
fn read_value<'a, T>(
    key: i16,
    value: Option<&'a [u8]>,
    versions: std::ops::RangeInclusive<i16>,
    read: impl FnOnce(i16, &mut Reader<'a>) -> Result<T, ReadError>,
) -> Result<Option<T>, RecordError> {
    let Some(value) = value else { return Ok(None) };
    let mut reader = Reader::new(value);
    let version = reader.i16()?;
    if !versions.contains(&version) {
        return Err(RecordError::Version { key, version });
    }
    let read = read(version, &mut reader)?;
    reader.finish()?;
    Ok(Some(read))
}

/// Makes a record of key `kind`. `put_value` writes the version, too.
fn record(
    kind: i16,
    put_key: impl FnOnce(&mut Vec<u8>),
    put_value: Option<impl FnOnce(&mut Vec<u8>)>,
) -> Record {
    let mut key = Vec::with_capacity(64);
    key.extend_from_slice(&kind.to_be_bytes());
    put_key(&mut key);
    let value = put_value.map(|put| {
        let mut value = Vec::with_capacity(64);
        put(&mut value);
        Bytes::from(value)
    });
    Record { key: Bytes::from(key), value }
}
