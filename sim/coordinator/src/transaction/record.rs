//! The records of `__transaction_state`: Kafka's TransactionLogKey and TransactionLogValue (KIP-98; version 1 and its tagged
//! fields: KIP-890).

use std::collections::BTreeSet;

use bytes::Bytes;
use trial_node::view::TransactionState;
use trial_node::{ProducerEpoch, ProducerId, TopicPartition};
use trial_wire::primitive::{
    ReadError, Reader, put_compact_array_len, put_compact_string, put_tagged_fields, put_uvarint,
};
use trial_wire::{StrBytes, TopicName};

use super::state;
use crate::Record;

/// What the log says of a transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionLogValue {
    /// Its producer id.
    pub producer_id: ProducerId,
    /// The producer id before this one, for a retry that names it; none if there was none. Not in version 0.
    pub previous_producer_id: ProducerId,
    /// The producer id that takes over once the markers are written, because the epochs of this one are used up; none if they
    /// are not. Not in version 0.
    pub next_producer_id: ProducerId,
    /// The producer's epoch; −1 if it has none yet.
    pub producer_epoch: ProducerEpoch,
    /// `transaction.timeout.ms`.
    pub timeout_ms: i32,
    /// The state.
    pub state: TransactionState,
    /// The partitions of the transaction, among them those of `__consumer_offsets`.
    pub partitions: BTreeSet<TopicPartition>,
    /// When the state was last changed, ms since the epoch.
    pub last_update_ms: i64,
    /// When the transaction began, ms since the epoch; −1 if there has been none under this producer id and epoch.
    pub start_ms: i64,
    /// The `transaction.version` that the client used: 2 if it gets another epoch with each transaction (KIP-890). Not in
    /// version 0.
    pub client_transaction_version: i16,
}

/// The bytes are not a key or a value of `__transaction_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They do not follow the format.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// There is no such state.
    #[error("there is no transaction state {0}")]
    State(i8),
}

/// Reads a record's key: the transactional id. `None` if the key's version is not known: the record is to be skipped.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_key(key: &[u8]) -> Result<Option<&str>, DecodeError> {
    let mut reader = Reader::new(key);
    if reader.i16()? != 0 {
        return Ok(None);
    }
    let id = string(&mut reader)?;
    reader.finish()?;
    Ok(Some(id))
}

/// Reads a record's value. `None` if its version is not known: the record is to be skipped.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_value(value: &[u8]) -> Result<Option<TransactionLogValue>, DecodeError> {
    let mut reader = Reader::new(value);
    let flexible = match reader.i16()? {
        0 => false,
        1 => true,
        _ => return Ok(None),
    };
    let producer_id = ProducerId(reader.i64()?);
    let producer_epoch = ProducerEpoch(reader.i16()?);
    let timeout_ms = reader.i32()?;
    let id = reader.i8()?;
    let state = state::from_id(id).ok_or(DecodeError::State(id))?;
    let partitions = if flexible { compact_partitions(&mut reader)? } else { partitions(&mut reader)? };
    let mut value = TransactionLogValue {
        producer_id,
        previous_producer_id: ProducerId::NONE,
        next_producer_id: ProducerId::NONE,
        producer_epoch,
        timeout_ms,
        state,
        partitions,
        last_update_ms: reader.i64()?,
        start_ms: reader.i64()?,
        client_transaction_version: 0,
    };
    if flexible {
        reader.tagged_fields(|tag, mut field| {
            match tag {
                0 => value.previous_producer_id = ProducerId(field.i64()?),
                1 => value.next_producer_id = ProducerId(field.i64()?),
                2 => value.client_transaction_version = field.i16()?,
                _ => return Ok(()),
            }
            field.finish()
        })?;
    }
    reader.finish()?;
    Ok(Some(value))
}

/// A record that says `value` of a transactional id, or that it is forgotten. With `transaction.version` 0 it has version 0,
/// else 1.
pub fn encode(id: &str, value: Option<&TransactionLogValue>, transaction_version: i16) -> Record {
    let mut key = Vec::with_capacity(id.len() + 4);
    key.extend(0i16.to_be_bytes());
    put_string(&mut key, id);
    Record { key: key.into(), value: value.map(|value| encode_value(value, transaction_version >= 1)) }
}

fn encode_value(value: &TransactionLogValue, flexible: bool) -> Bytes {
    let mut out = Vec::with_capacity(64 + 24 * value.partitions.len());
    out.extend(i16::from(flexible).to_be_bytes());
    out.extend(value.producer_id.0.to_be_bytes());
    out.extend(value.producer_epoch.0.to_be_bytes());
    out.extend(value.timeout_ms.to_be_bytes());
    out.extend((value.state as i8).to_be_bytes());
    put_partitions(&mut out, value, flexible);
    out.extend(value.last_update_ms.to_be_bytes());
    out.extend(value.start_ms.to_be_bytes());
    if flexible {
        let previous = value.previous_producer_id.0.to_be_bytes();
        let next = value.next_producer_id.0.to_be_bytes();
        let version = value.client_transaction_version.to_be_bytes();
        let mut fields: Vec<(u32, &[u8])> = Vec::with_capacity(3);
        if value.previous_producer_id != ProducerId::NONE {
            fields.push((0, &previous));
        }
        if value.next_producer_id != ProducerId::NONE {
            fields.push((1, &next));
        }
        if value.client_transaction_version != 0 {
            fields.push((2, &version));
        }
        put_tagged_fields(&mut out, &fields);
    }
    out.into()
}

fn string<'a>(reader: &mut Reader<'a>) -> Result<&'a str, ReadError> {
    let position = reader.position();
    reader.nullable_string()?.ok_or(ReadError::Length { position, length: -1 })
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

fn partitions(reader: &mut Reader<'_>) -> Result<BTreeSet<TopicPartition>, ReadError> {
    let mut partitions = BTreeSet::new();
    // Null is −1: no partitions.
    for _ in 0..reader.i32()? {
        let topic = topic_name(string(reader)?);
        for _ in 0..reader.i32()? {
            partitions.insert(TopicPartition { topic: topic.clone(), partition: reader.i32()? });
        }
    }
    Ok(partitions)
}

fn compact_partitions(reader: &mut Reader<'_>) -> Result<BTreeSet<TopicPartition>, ReadError> {
    let mut partitions = BTreeSet::new();
    for _ in 0..reader.compact_nullable_array_len()?.unwrap_or(0) {
        let topic = topic_name(reader.compact_string()?);
        for _ in 0..reader.compact_array_len()? {
            partitions.insert(TopicPartition { topic: topic.clone(), partition: reader.i32()? });
        }
        reader.skip_tagged_fields()?;
    }
    Ok(partitions)
}

fn put_string(out: &mut Vec<u8>, value: &str) {
    let length = i16::try_from(value.len()).expect("ids and names are shorter than 32 KiB");
    out.extend(length.to_be_bytes());
    out.extend_from_slice(value.as_bytes());
}

fn put_len(out: &mut Vec<u8>, len: usize, flexible: bool) {
    if flexible {
        put_compact_array_len(out, len);
    } else {
        out.extend(i32::try_from(len).expect("what we write is far below 2 GiB").to_be_bytes());
    }
}

/// Kafka writes null, not an empty list, for an id that has no transaction yet.
fn put_partitions(out: &mut Vec<u8>, value: &TransactionLogValue, flexible: bool) {
    if value.state == TransactionState::Empty {
        assert!(value.partitions.is_empty(), "there are no partitions without a transaction");
        if flexible {
            put_uvarint(out, 0);
        } else {
            out.extend((-1i32).to_be_bytes());
        }
        return;
    }
    let mut topics: Vec<(&TopicName, Vec<i32>)> = Vec::new();
    for tp in &value.partitions {
        match topics.last_mut() {
            Some((topic, indexes)) if **topic == tp.topic => indexes.push(tp.partition),
            _ => topics.push((&tp.topic, vec![tp.partition])),
        }
    }
    put_len(out, topics.len(), flexible);
    for (topic, indexes) in topics {
        if flexible {
            put_compact_string(out, Some(topic.as_str()));
        } else {
            put_string(out, topic.as_str());
        }
        put_len(out, indexes.len(), flexible);
        for index in indexes {
            out.extend(index.to_be_bytes());
        }
        if flexible {
            put_tagged_fields(out, &[]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = TransactionLogValue> {
        let partitions = prop::collection::btree_set(("[a-c]{1,3}", 0i32..4), 0..6);
        let ids = (0i64.., -1i64..100, -1i64..100, -1i16.., any::<i32>(), 0i8..8);
        (ids, partitions, any::<i64>(), any::<i64>(), 0i16..3).prop_map(
            |(
                (id, previous, next, epoch, timeout_ms, state),
                partitions,
                last_update_ms,
                start_ms,
                version,
            )| {
                let state = state::from_id(state).expect("there are eight");
                let partitions = if state == TransactionState::Empty { BTreeSet::new() } else { partitions };
                TransactionLogValue {
                    producer_id: ProducerId(id),
                    previous_producer_id: ProducerId(previous),
                    next_producer_id: ProducerId(next),
                    producer_epoch: ProducerEpoch(epoch),
                    timeout_ms,
                    state,
                    partitions: partitions.into_iter().map(|(t, p)| TopicPartition::new(t, p)).collect(),
                    last_update_ms,
                    start_ms,
                    client_transaction_version: version,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(id in "\\PC{0,20}", value in value()) {
            let record = encode(&id, Some(&value), 2);
            prop_assert_eq!(decode_key(&record.key), Ok(Some(id.as_str())));
            prop_assert_eq!(decode_value(&record.value.unwrap()), Ok(Some(value.clone())));

            let record = encode(&id, Some(&value), 0);
            let kept = TransactionLogValue {
                previous_producer_id: ProducerId::NONE,
                next_producer_id: ProducerId::NONE,
                client_transaction_version: 0,
                ..value
            };
            prop_assert_eq!(decode_value(&record.value.unwrap()), Ok(Some(kept)));
        }

        #[test]
        fn reading_arbitrary_bytes_never_panics(version in 0i16..3, bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let bytes = [&version.to_be_bytes()[..], &bytes].concat();
            prop_assert!(decode_key(&bytes).is_ok_and(|id| id.is_none()) || version == 0 || bytes.len() < 2);
            prop_assert!(version < 2 || decode_value(&bytes) == Ok(None));
            prop_assert!(version == 2 || bytes.len() > 20 || decode_value(&bytes).is_err());
        }
    }

    /// The bytes are those that Kafka's generated classes write.
    #[test]
    fn the_formats_are_kafkas() {
        let value = TransactionLogValue {
            producer_id: ProducerId(1),
            previous_producer_id: ProducerId(1),
            next_producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch(2),
            timeout_ms: 3,
            state: TransactionState::Ongoing,
            partitions: [TopicPartition::new("ab", 0), TopicPartition::new("ab", 5)].into(),
            last_update_ms: 6,
            start_ms: 7,
            client_transaction_version: 2,
        };
        let record = encode("t", Some(&value), 0);
        assert_eq!(record.key[..], [0, 0, 0, 1, b't']);
        let head = [0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 0, 0, 0, 3, 1];
        let times = [0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 7];
        let ab = [0, 0, 0, 1, 0, 2, b'a', b'b', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 5];
        assert_eq!(record.value.unwrap()[..], [&[0, 0][..], &head, &ab, &times].concat());

        let compact = [2, 3, b'a', b'b', 3, 0, 0, 0, 0, 0, 0, 0, 5, 0];
        let tags = [2, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1, 2, 2, 0, 2];
        let record = encode("t", Some(&value), 1);
        assert_eq!(record.value.unwrap()[..], [&[0, 1][..], &head, &compact, &times, &tags].concat());

        assert_eq!(encode("t", None, 2), Record { key: vec![0, 0, 0, 1, b't'].into(), value: None });
    }
}
