//! What members tell each other through the coordinator, which does not read it: ConsumerProtocol, the protocol embedded in
//! JoinGroup and SyncGroup, versions 0 to 3.

use bytes::Bytes;
use trial_node::TopicPartition;
use trial_wire::primitive::{ReadError, Reader};
use trial_wire::{StrBytes, TopicName};

/// The version that we write. Newer ones only append, so they are read as this one.
const VERSION: i16 = 3;

/// What a member is subscribed to, and what it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subscription {
    /// The topics.
    pub topics: Vec<TopicName>,
    /// What its assignor has to say.
    pub user_data: Option<Bytes>,
    /// What it has not given up for the rebalance (KIP-429). In ascending order.
    pub owned: Vec<TopicPartition>,
    /// The generation in which it got that; −1 if none or unknown (KIP-792).
    pub generation: i32,
}

impl Subscription {
    /// Its bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = VERSION.to_be_bytes().to_vec();
        put_len(&mut out, self.topics.len());
        self.topics.iter().for_each(|topic| put_string(&mut out, topic));
        match &self.user_data {
            None => out.extend_from_slice(&(-1i32).to_be_bytes()),
            Some(data) => {
                put_len(&mut out, data.len());
                out.extend_from_slice(data);
            }
        }
        put_partitions(&mut out, &self.owned);
        out.extend_from_slice(&self.generation.to_be_bytes());
        // No rack.
        out.extend_from_slice(&(-1i16).to_be_bytes());
        out.into()
    }

    /// Reads what [`Subscription::encode`] or another client wrote.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn decode(bytes: &Bytes) -> Result<Subscription, ReadError> {
        let mut reader = Reader::new(bytes);
        let version = reader.i16()?;
        let mut subscription = Subscription { generation: -1, ..Subscription::default() };
        for _ in 0..len(&mut reader)? {
            subscription.topics.push(string(&mut reader)?);
        }
        subscription.user_data = nullable_bytes(&mut reader)?;
        if version >= 1 {
            subscription.owned = partitions(&mut reader)?;
        }
        if version >= 2 {
            subscription.generation = reader.i32()?;
        }
        Ok(subscription)
    }
}

/// The bytes of an assignment.
pub(super) fn encode_assignment(partitions: &[TopicPartition]) -> Bytes {
    let mut out = VERSION.to_be_bytes().to_vec();
    put_partitions(&mut out, partitions);
    // No user data.
    out.extend_from_slice(&(-1i32).to_be_bytes());
    out.into()
}

/// Reads an assignment.
///
/// # Errors
/// [`ReadError`].
pub(super) fn decode_assignment(bytes: &Bytes) -> Result<Vec<TopicPartition>, ReadError> {
    // A leader that leaves a member out gives it nothing.
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = Reader::new(bytes);
    reader.i16()?;
    partitions(&mut reader)
}

/// What the assignor `sticky` puts into its user data: the last assignment and its generation.
pub(super) fn encode_memory(partitions: &[TopicPartition], generation: i32) -> Bytes {
    let mut out = Vec::new();
    put_partitions(&mut out, partitions);
    out.extend_from_slice(&generation.to_be_bytes());
    out.into()
}

/// Reads what [`encode_memory`] wrote.
///
/// # Errors
/// [`ReadError`].
pub(super) fn decode_memory(bytes: &Bytes) -> Result<(Vec<TopicPartition>, i32), ReadError> {
    let mut reader = Reader::new(bytes);
    let partitions = partitions(&mut reader)?;
    // Very old clients write no generation.
    let generation = if reader.is_empty() { -1 } else { reader.i32()? };
    Ok((partitions, generation))
}

fn put_len(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&i32::try_from(len).expect("what we write is below 2 GiB").to_be_bytes());
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    let len = i16::try_from(text.len()).expect("topics' names have at most 249 characters");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Partitions by topic, in the order given.
fn put_partitions(out: &mut Vec<u8>, partitions: &[TopicPartition]) {
    let topics: Vec<&[TopicPartition]> = partitions.chunk_by(|a, b| a.topic == b.topic).collect();
    put_len(out, topics.len());
    for topic in topics {
        put_string(out, &topic[0].topic);
        put_len(out, topic.len());
        topic.iter().for_each(|tp| out.extend_from_slice(&tp.partition.to_be_bytes()));
    }
}

/// The count before the elements of an array, each of which takes a byte or more.
fn len(reader: &mut Reader<'_>) -> Result<usize, ReadError> {
    let position = reader.position();
    let length = reader.i32()?;
    match usize::try_from(length) {
        Ok(length) if length <= reader.remaining() => Ok(length),
        _ => Err(ReadError::Length { position, length: length.into() }),
    }
}

fn string(reader: &mut Reader<'_>) -> Result<TopicName, ReadError> {
    let position = reader.position();
    let text = reader.nullable_string()?.ok_or(ReadError::Length { position, length: -1 })?;
    Ok(TopicName(StrBytes::from_string(text.to_owned())))
}

fn nullable_bytes(reader: &mut Reader<'_>) -> Result<Option<Bytes>, ReadError> {
    let position = reader.position();
    match reader.i32()? {
        -1 => Ok(None),
        length => {
            let length =
                usize::try_from(length).map_err(|_| ReadError::Length { position, length: length.into() })?;
            Ok(Some(Bytes::copy_from_slice(reader.bytes(length)?)))
        }
    }
}

fn partitions(reader: &mut Reader<'_>) -> Result<Vec<TopicPartition>, ReadError> {
    let mut all = Vec::new();
    for _ in 0..len(reader)? {
        let topic = string(reader)?;
        for _ in 0..len(reader)? {
            all.push(TopicPartition { topic: topic.clone(), partition: reader.i32()? });
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_partitions() -> impl Strategy<Value = Vec<TopicPartition>> {
        let tp = ("[a-c]{1,2}", 0..50i32)
            .prop_map(|(topic, partition)| TopicPartition::new(StrBytes::from_string(topic), partition));
        proptest::collection::btree_set(tp, 0..20).prop_map(|all| all.into_iter().collect())
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            topics in proptest::collection::vec("[a-z.]{1,20}", 0..5),
            user_data in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
            owned in any_partitions(),
            generation in -1..1000i32,
        ) {
            let topics = topics.into_iter().map(|topic| TopicName(StrBytes::from_string(topic))).collect();
            let subscription =
                Subscription { topics, user_data: user_data.map(Bytes::from), owned: owned.clone(), generation };
            prop_assert_eq!(Subscription::decode(&subscription.encode()), Ok(subscription));
            prop_assert_eq!(decode_assignment(&encode_assignment(&owned)), Ok(owned.clone()));
            prop_assert_eq!(decode_memory(&encode_memory(&owned, generation)), Ok((owned, generation)));
        }

        #[test]
        fn nonsense_is_an_error_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let bytes = Bytes::from(bytes);
            prop_assert!(Subscription::decode(&bytes).is_err() || bytes.len() >= 10);
            prop_assert!(decode_assignment(&bytes).is_err() || bytes.is_empty() || bytes.len() >= 6);
            prop_assert!(decode_memory(&bytes).is_err() || bytes.len() >= 4);
        }
    }

    #[test]
    fn older_versions_are_read_as_far_as_they_go() {
        let subscription = Subscription {
            topics: vec![TopicName(StrBytes::from_static_str("a"))],
            user_data: Some(Bytes::from_static(b"x")),
            owned: vec![TopicPartition::new(StrBytes::from_static_str("a"), 4)],
            generation: 9,
        };
        let mut bytes = subscription.encode().to_vec();
        bytes[1] = 1;
        let decoded = Subscription::decode(&Bytes::from(bytes.clone())).unwrap();
        assert_eq!(decoded, Subscription { generation: -1, ..subscription.clone() });
        bytes[1] = 0;
        let decoded = Subscription::decode(&Bytes::from(bytes)).unwrap();
        assert_eq!(decoded, Subscription { generation: -1, owned: vec![], ..subscription });
    }
}
