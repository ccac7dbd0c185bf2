//! Control records: what the log's own machinery writes between the data (transaction markers, KRaft's leader changes and
//! snapshot frames). Keys are KIP-98's: version and type, two bytes each.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{
    EndTxnMarker, KRaftVersionRecord, LeaderChangeMessage, SnapshotFooterRecord, SnapshotHeaderRecord,
    VotersRecord,
};
use kafka_protocol::protocol::{Decodable, Encodable};

use crate::batch::{Batch, BatchBuilder};
use crate::codec::Compression;
use crate::message::shape::check_control;
use crate::primitive::Reader;

/// What a control record is about; the number is the one in its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i16)]
pub enum ControlType {
    /// A transaction was aborted (KIP-98).
    Abort = 0,
    /// A transaction was committed (KIP-98).
    Commit = 1,
    /// A quorum leader's first record in its epoch (KIP-595).
    LeaderChange = 2,
    /// The first record of a snapshot (KIP-630).
    SnapshotHeader = 3,
    /// The last record of a snapshot (KIP-630).
    SnapshotFooter = 4,
    /// The quorum's version (KIP-853).
    KRaftVersion = 5,
    /// The quorum's voters (KIP-853).
    KRaftVoters = 6,
}

/// A control record.
#[derive(Clone, Debug, PartialEq)]
pub enum ControlRecord {
    /// [`ControlType::Abort`].
    Abort(EndTxnMarker),
    /// [`ControlType::Commit`].
    Commit(EndTxnMarker),
    /// [`ControlType::LeaderChange`].
    LeaderChange(LeaderChangeMessage),
    /// [`ControlType::SnapshotHeader`].
    SnapshotHeader(SnapshotHeaderRecord),
    /// [`ControlType::SnapshotFooter`].
    SnapshotFooter(SnapshotFooterRecord),
    /// [`ControlType::KRaftVersion`].
    KRaftVersion(KRaftVersionRecord),
    /// [`ControlType::KRaftVoters`].
    KRaftVoters(VotersRecord),
}

/// A record of a control batch is not one that we know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// Its key is too short, or has a negative version.
    #[error("the key of a control record is malformed")]
    Key,
    /// Its type is from the future. Readers skip such records.
    #[error("control records of type {0} are unknown")]
    UnknownType(i16),
    /// Its value is missing, or not what its type demands.
    #[error("the value of a control record of type {kind:?}: {what}")]
    Value {
        /// The type.
        kind: ControlType,
        /// What is wrong.
        what: String,
    },
}

impl ControlType {
    /// The type that a control record's key names.
    ///
    /// # Errors
    /// [`ControlError::Key`], [`ControlError::UnknownType`].
    pub fn of_key(key: &[u8]) -> Result<ControlType, ControlError> {
        let mut reader = Reader::new(key);
        let (Ok(0..), Ok(id)) = (reader.i16(), reader.i16()) else {
            return Err(ControlError::Key);
        };
        Ok(match id {
            0 => ControlType::Abort,
            1 => ControlType::Commit,
            2 => ControlType::LeaderChange,
            3 => ControlType::SnapshotHeader,
            4 => ControlType::SnapshotFooter,
            5 => ControlType::KRaftVersion,
            6 => ControlType::KRaftVoters,
            unknown => return Err(ControlError::UnknownType(unknown)),
        })
    }

    /// The key of a control record of this type.
    pub fn key(self) -> [u8; 4] {
        let [high, low] = (self as i16).to_be_bytes();
        [0, 0, high, low]
    }
}

impl ControlRecord {
    /// Its type.
    pub fn kind(&self) -> ControlType {
        match self {
            ControlRecord::Abort(_) => ControlType::Abort,
            ControlRecord::Commit(_) => ControlType::Commit,
            ControlRecord::LeaderChange(_) => ControlType::LeaderChange,
            ControlRecord::SnapshotHeader(_) => ControlType::SnapshotHeader,
            ControlRecord::SnapshotFooter(_) => ControlType::SnapshotFooter,
            ControlRecord::KRaftVersion(_) => ControlType::KRaftVersion,
            ControlRecord::KRaftVoters(_) => ControlType::KRaftVoters,
        }
    }

    /// Its value as the log holds it. The `version` fields of the messages choose their encoding.
    ///
    /// # Panics
    /// If the message has a version that does not exist: we wrote it.
    pub fn value(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            ControlRecord::Abort(marker) | ControlRecord::Commit(marker) => {
                // The one message without a field for its version has it before it.
                out.put_i16(0);
                marker.encode(&mut out, 0)
            }
            ControlRecord::LeaderChange(message) => message.encode(&mut out, message.version),
            ControlRecord::SnapshotHeader(message) => message.encode(&mut out, message.version),
            ControlRecord::SnapshotFooter(message) => message.encode(&mut out, message.version),
            ControlRecord::KRaftVersion(message) => message.encode(&mut out, message.version),
            ControlRecord::KRaftVoters(message) => message.encode(&mut out, message.version),
        }
        .expect("our own control records have versions that exist");
        out.freeze()
    }

    /// Reads a control record. Values of newer versions are read as far as the newest version that we know goes.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<ControlRecord, ControlError> {
        let kind = ControlType::of_key(key)?;
        let failed = |what: String| ControlError::Value { kind, what };
        let value = value.ok_or_else(|| failed("it is null".to_owned()))?;
        let version = match value.first_chunk() {
            Some(version) => i16::from_be_bytes(*version),
            None => return Err(failed("it is shorter than its version".to_owned())),
        };
        if version < 0 {
            return Err(failed(format!("its version is {version}")));
        }
        let bytes = Bytes::copy_from_slice(value);
        Ok(match kind {
            ControlType::Abort => ControlRecord::Abort(marker(kind, bytes).map_err(failed)?),
            ControlType::Commit => ControlRecord::Commit(marker(kind, bytes).map_err(failed)?),
            ControlType::LeaderChange => {
                ControlRecord::LeaderChange(message(kind, bytes, version.min(1)).map_err(failed)?)
            }
            ControlType::SnapshotHeader => {
                ControlRecord::SnapshotHeader(message(kind, bytes, 0).map_err(failed)?)
            }
            ControlType::SnapshotFooter => {
                ControlRecord::SnapshotFooter(message(kind, bytes, 0).map_err(failed)?)
            }
            ControlType::KRaftVersion => {
                ControlRecord::KRaftVersion(message(kind, bytes, 0).map_err(failed)?)
            }
            ControlType::KRaftVoters => ControlRecord::KRaftVoters(message(kind, bytes, 0).map_err(failed)?),
        })
    }

    /// Adds the record to a batch, which the caller has marked as a control batch.
    pub fn push_to(&self, batch: &mut BatchBuilder, timestamp: i64) {
        batch.push(timestamp, Some(&self.kind().key()), Some(&self.value()), &[]);
    }

    /// A control batch with this record alone, as every control record of the log comes. `timestamp` in ms since the epoch.
    pub fn batch(&self, base_offset: i64, leader_epoch: i32, timestamp: i64) -> Batch {
        let mut batch = BatchBuilder::new(Compression::None);
        batch.base_offset(base_offset).leader_epoch(leader_epoch).control();
        self.push_to(&mut batch, timestamp);
        batch.build()
    }
}

fn marker(kind: ControlType, mut bytes: Bytes) -> Result<EndTxnMarker, String> {
    bytes.advance(2);
    message(kind, bytes, 0)
}

/// A value that claims more than it holds must not reach the decoder, which takes memory on its word.
fn message<M: Decodable>(kind: ControlType, mut bytes: Bytes, version: i16) -> Result<M, String> {
    check_control(kind, version, &bytes).map_err(|error| error.to_string())?;
    M::decode(&mut bytes, version).map_err(|error| format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::BrokerId;
    use kafka_protocol::messages::leader_change_message::Voter;
    use kafka_protocol::messages::voters_record;
    use kafka_protocol::protocol::StrBytes;
    use uuid::Uuid;

    use super::*;

    fn every_kind() -> Vec<ControlRecord> {
        let marker = EndTxnMarker::default().with_coordinator_epoch(7);
        let voter = Voter::default().with_voter_id(1).with_voter_directory_id(Uuid::from_u128(5));
        let endpoint = voters_record::Endpoint::default()
            .with_name(StrBytes::from_static_str("CONTROLLER"))
            .with_host(StrBytes::from_static_str("node-1"))
            .with_port(9093);
        vec![
            ControlRecord::Abort(marker.clone()),
            ControlRecord::Commit(marker),
            ControlRecord::LeaderChange(
                LeaderChangeMessage::default()
                    .with_version(1)
                    .with_leader_id(BrokerId(1))
                    .with_voters(vec![voter.clone()])
                    .with_granting_voters(vec![voter]),
            ),
            ControlRecord::SnapshotHeader(
                SnapshotHeaderRecord::default().with_last_contained_log_timestamp(99),
            ),
            ControlRecord::SnapshotFooter(SnapshotFooterRecord::default()),
            ControlRecord::KRaftVersion(KRaftVersionRecord::default().with_k_raft_version(1)),
            ControlRecord::KRaftVoters(VotersRecord::default().with_voters(vec![
                voters_record::Voter::default().with_voter_id(BrokerId(1)).with_endpoints(vec![endpoint]),
            ])),
        ]
    }

    #[test]
    fn every_kind_reads_as_it_was_written() {
        for (record, number) in every_kind().into_iter().zip(0..) {
            let batch = record.batch(40, 3, 1000);
            assert!(batch.header().is_control());
            assert_eq!((batch.header().base_offset, batch.header().partition_leader_epoch), (40, 3));
            let records = batch.records(1000).unwrap();
            let key = records[0].key.as_deref().unwrap();
            assert_eq!(key, [0, 0, 0, number]);
            assert_eq!(ControlRecord::decode(key, records[0].value.as_deref()), Ok(record));
        }
    }

    #[test]
    fn a_marker_is_its_version_and_the_coordinators_epoch() {
        let [abort, ..] = &every_kind()[..] else { panic!("empty") };
        assert_eq!(abort.value(), &[0, 0, 0, 0, 0, 7][..]);
    }

    /// The known hole: four billion voters in a few bytes.
    #[test]
    fn counts_of_voters_that_lie_are_errors() {
        let lie = |prefix: &[u8]| [prefix, &[0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
        let refused =
            |kind: ControlType, value: Vec<u8>| match ControlRecord::decode(&kind.key(), Some(&value)) {
                Err(ControlError::Value { what, .. }) => what,
                other => panic!("{other:?}"),
            };
        let leader = [0, 1, 0, 0, 0, 1];
        assert!(refused(ControlType::LeaderChange, lie(&leader)).contains("impossible"));
        assert!(
            refused(ControlType::LeaderChange, lie(&[&leader[..], &[1]].concat())).contains("impossible")
        );
        assert!(refused(ControlType::KRaftVoters, lie(&[0, 0])).contains("impossible"));
        let voter = [&[0, 0, 2][..], &[0; 20]].concat();
        assert!(refused(ControlType::KRaftVoters, lie(&voter)).contains("impossible"));
    }

    #[test]
    fn what_is_no_control_record_is_named() {
        assert_eq!(ControlType::of_key(&[0, 0, 0]), Err(ControlError::Key));
        assert_eq!(ControlType::of_key(&[0xff, 0xff, 0, 0]), Err(ControlError::Key));
        assert_eq!(ControlType::of_key(&[0, 0, 0, 7]), Err(ControlError::UnknownType(7)));
        for record in every_kind() {
            let (key, value) = (record.kind().key(), record.value());
            assert!(matches!(ControlRecord::decode(&key, None), Err(ControlError::Value { .. })));
            for cut in 0..value.len() {
                let cut = ControlRecord::decode(&key, Some(&value[..cut]));
                assert!(matches!(cut, Err(ControlError::Value { .. })), "{cut:?}");
            }
        }
    }
}
