//! OffsetCommitKey and OffsetCommitValue.

use trial_node::{LeaderEpoch, Offset};
use trial_wire::primitive::{ReadError, Reader};

use super::text::{put_string, string};

/// What an offset is committed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OffsetCommitKey<'a> {
    /// The group.
    pub group: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// The partition's index.
    pub partition: i32,
}

/// A committed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetCommit<'a> {
    /// The offset to be read next.
    pub offset: Offset,
    /// The leader epoch of the last record that was read; [`LeaderEpoch::NONE`] if the commit did not tell.
    pub leader_epoch: LeaderEpoch,
    /// The client's own words.
    pub metadata: &'a str,
    /// When it was committed, ms since the epoch.
    pub commit_timestamp_ms: i64,
    /// When it expires, ms since the epoch, if the commit told (before version 5); else as KIP-211 says.
    pub expire_timestamp_ms: Option<i64>,
}

impl<'a> OffsetCommitKey<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, ReadError> {
        Ok(OffsetCommitKey { group: string(reader)?, topic: string(reader)?, partition: reader.i32()? })
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_string(out, self.group);
        put_string(out, self.topic);
        out.extend_from_slice(&self.partition.to_be_bytes());
    }
}

impl<'a> OffsetCommit<'a> {
    pub(super) fn read(version: i16, reader: &mut Reader<'a>) -> Result<Self, ReadError> {
        let offset = Offset(reader.i64()?);
        let leader_epoch = if version >= 3 { LeaderEpoch(reader.i32()?) } else { LeaderEpoch::NONE };
        let metadata = if version >= 4 { reader.compact_string()? } else { string(reader)? };
        let commit_timestamp_ms = reader.i64()?;
        let expire_timestamp_ms =
            if version == 1 { Some(reader.i64()?).filter(|&at| at != -1) } else { None };
        if version >= 4 {
            reader.skip_tagged_fields()?;
        }
        Ok(OffsetCommit { offset, leader_epoch, metadata, commit_timestamp_ms, expire_timestamp_ms })
    }

    /// Version 3, or 1 if it has an expiry of its own, which no other version can express.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let version: i16 = if self.expire_timestamp_ms.is_some() { 1 } else { 3 };
        out.extend_from_slice(&version.to_be_bytes());
        out.extend_from_slice(&self.offset.0.to_be_bytes());
        if version == 3 {
            out.extend_from_slice(&self.leader_epoch.0.to_be_bytes());
        }
        put_string(out, self.metadata);
        out.extend_from_slice(&self.commit_timestamp_ms.to_be_bytes());
        if let Some(at) = self.expire_timestamp_ms {
            out.extend_from_slice(&at.to_be_bytes());
        }
    }
}
