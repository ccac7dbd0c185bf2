//! GroupMetadataValue: a generation of a group of the classic protocol.

use trial_wire::primitive::{ReadError, Reader};

use super::text::{array_len, bytes, put_array_len, put_bytes, put_nullable_string, put_string, string};

/// A generation of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetadata<'a> {
    /// `consumer` for consumers; empty if the group has never had members.
    pub protocol_type: &'a str,
    /// The generation, 0 and up.
    pub generation: i32,
    /// The assignor that was elected.
    pub protocol: Option<&'a str>,
    /// The leader's member id.
    pub leader: Option<&'a str>,
    /// Since when the group is in its state, ms since the epoch; −1 if that is not known.
    pub current_state_timestamp_ms: i64,
    /// The members.
    pub members: Vec<MemberMetadata<'a>>,
}

/// A member of a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberMetadata<'a> {
    /// Its id.
    pub member_id: &'a str,
    /// `group.instance.id` (KIP-345).
    pub group_instance_id: Option<&'a str>,
    /// `client.id`.
    pub client_id: &'a str,
    /// Where it was seen.
    pub client_host: &'a str,
    /// How long a rebalance waits for it, in ms.
    pub rebalance_timeout_ms: i32,
    /// How long it may be silent, in ms.
    pub session_timeout_ms: i32,
    /// What it said about itself to the elected assignor.
    pub subscription: &'a [u8],
    /// What the leader gave it.
    pub assignment: &'a [u8],
}

impl<'a> GroupMetadata<'a> {
    pub(super) fn read(version: i16, reader: &mut Reader<'a>) -> Result<Self, ReadError> {
        let flexible = version >= 4;
        let protocol_type = if flexible { reader.compact_string()? } else { string(reader)? };
        let generation = reader.i32()?;
        let protocol = nullable_string(flexible, reader)?;
        let leader = nullable_string(flexible, reader)?;
        let current_state_timestamp_ms = if version >= 2 { reader.i64()? } else { -1 };
        let count = if flexible { reader.compact_array_len()? } else { array_len(reader)? };
        let mut members = Vec::new();
        for _ in 0..count {
            members.push(MemberMetadata::read(version, reader)?);
        }
        if flexible {
            reader.skip_tagged_fields()?;
        }
        Ok(GroupMetadata { protocol_type, generation, protocol, leader, current_state_timestamp_ms, members })
    }

    /// Version 3.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&3i16.to_be_bytes());
        put_string(out, self.protocol_type);
        out.extend_from_slice(&self.generation.to_be_bytes());
        put_nullable_string(out, self.protocol);
        put_nullable_string(out, self.leader);
        out.extend_from_slice(&self.current_state_timestamp_ms.to_be_bytes());
        put_array_len(out, self.members.len());
        for member in &self.members {
            member.put(out);
        }
    }
}

impl<'a> MemberMetadata<'a> {
    fn read(version: i16, reader: &mut Reader<'a>) -> Result<Self, ReadError> {
        let flexible = version >= 4;
        let member_id = if flexible { reader.compact_string()? } else { string(reader)? };
        let group_instance_id = if version >= 3 { nullable_string(flexible, reader)? } else { None };
        let client_id = if flexible { reader.compact_string()? } else { string(reader)? };
        let client_host = if flexible { reader.compact_string()? } else { string(reader)? };
        let rebalance_timeout_ms = if version >= 1 { reader.i32()? } else { -1 };
        let session_timeout_ms = reader.i32()?;
        let subscription = if flexible { reader.compact_bytes()? } else { bytes(reader)? };
        let assignment = if flexible { reader.compact_bytes()? } else { bytes(reader)? };
        if flexible {
            reader.skip_tagged_fields()?;
        }
        Ok(MemberMetadata {
            member_id,
            group_instance_id,
            client_id,
            client_host,
            rebalance_timeout_ms,
            session_timeout_ms,
            subscription,
            assignment,
        })
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_string(out, self.member_id);
        put_nullable_string(out, self.group_instance_id);
        put_string(out, self.client_id);
        put_string(out, self.client_host);
        out.extend_from_slice(&self.rebalance_timeout_ms.to_be_bytes());
        out.extend_from_slice(&self.session_timeout_ms.to_be_bytes());
        put_bytes(out, self.subscription);
        put_bytes(out, self.assignment);
    }
}

fn nullable_string<'a>(flexible: bool, reader: &mut Reader<'a>) -> Result<Option<&'a str>, ReadError> {
    if flexible { reader.compact_nullable_string() } else { reader.nullable_string() }
}
