//! ConsumerProtocol, which classic consumers speak with each other through the coordinator: versions 0 to 3 of what a member is
//! subscribed to and of what it is given. The coordinator has to know it for groups in which both protocols meet (KIP-848).

use bytes::Bytes;
use trial_wire::primitive::{ReadError, Reader};

use super::record::text::{array_len, put_array_len, put_string, string};

/// The newest version. Newer ones only append, so they are read as this one.
const VERSION: i16 = 3;

/// What a member says to its assignor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subscription<'a> {
    /// The topics that it subscribes to.
    pub(super) topics: Vec<&'a str>,
    /// What it has not given up for the rebalance (KIP-429): nothing, if it is older than that.
    pub(super) owned: Vec<TopicPartitions<'a>>,
    /// `client.rack`, if it has one (KIP-881).
    pub(super) rack_id: Option<&'a str>,
}

/// Partitions of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TopicPartitions<'a> {
    /// The topic's name.
    pub(super) topic: &'a str,
    /// The partitions' indexes.
    pub(super) partitions: Vec<i32>,
}

impl<'a> Subscription<'a> {
    /// Reads what a member said.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Subscription<'a>, ReadError> {
        let mut reader = Reader::new(bytes);
        let version = version(&mut reader)?;
        let mut subscription = Subscription::default();
        for _ in 0..array_len(&mut reader)? {
            subscription.topics.push(string(&mut reader)?);
        }
        skip_user_data(&mut reader)?;
        if version >= 1 {
            subscription.owned = partitions(&mut reader)?;
        }
        if version >= 2 {
            let _generation = reader.i32()?;
        }
        if version >= 3 {
            subscription.rack_id = reader.nullable_string()?.filter(|rack| !rack.is_empty());
        }
        Ok(subscription)
    }
}

/// Reads what a leader gave to a member.
///
/// # Errors
/// [`ReadError`].
pub(super) fn decode_assignment(bytes: &[u8]) -> Result<Vec<TopicPartitions<'_>>, ReadError> {
    // A leader that leaves a member out gives it nothing.
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = Reader::new(bytes);
    version(&mut reader)?;
    partitions(&mut reader)
}

/// What a leader would give to a member that said `subscription`, in the version of that.
pub(super) fn encode_assignment(assigned: &[TopicPartitions<'_>], subscription: &[u8]) -> Bytes {
    let version = version(&mut Reader::new(subscription)).unwrap_or(0);
    let mut out = version.to_be_bytes().to_vec();
    put_array_len(&mut out, assigned.len());
    for TopicPartitions { topic, partitions } in assigned {
        put_string(&mut out, topic);
        put_array_len(&mut out, partitions.len());
        partitions.iter().for_each(|partition| out.extend_from_slice(&partition.to_be_bytes()));
    }
    // No user data.
    out.extend_from_slice(&(-1i32).to_be_bytes());
    out.into()
}

fn version(reader: &mut Reader<'_>) -> Result<i16, ReadError> {
    let position = reader.position();
    match reader.i16()? {
        version @ 0.. => Ok(version.min(VERSION)),
        version => Err(ReadError::Length { position, length: version.into() }),
    }
}

fn skip_user_data(reader: &mut Reader<'_>) -> Result<(), ReadError> {
    let position = reader.position();
    match reader.i32()? {
        -1 => Ok(()),
        length => {
            let length =
                usize::try_from(length).map_err(|_| ReadError::Length { position, length: length.into() })?;
            reader.bytes(length).map(|_| ())
        }
    }
}

fn partitions<'a>(reader: &mut Reader<'a>) -> Result<Vec<TopicPartitions<'a>>, ReadError> {
    let count = array_len(reader)?;
    let topic = |_| {
        let topic = string(reader)?;
        let count = array_len(reader)?;
        let partitions = (0..count).map(|_| reader.i32()).collect::<Result<_, _>>()?;
        Ok(TopicPartitions { topic, partitions })
    };
    (0..count).map(topic).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_read_and_newer_ones_as_the_newest() {
        let topics = b"\0\0\0\x01\0\x06orders";
        let user_data = b"\0\0\0\x02ab";
        let owned = b"\0\0\0\x01\0\x06orders\0\0\0\x02\0\0\0\x01\0\0\0\x03";
        let rest = b"\0\0\0\x09\0\x02r1";
        let all = [&topics[..], user_data, owned, rest].concat();
        for version in 0..=4i16 {
            let mut bytes = version.to_be_bytes().to_vec();
            let length = match version {
                0 => topics.len() + user_data.len(),
                1 => all.len() - rest.len(),
                2 => all.len() - 4,
                _ => all.len(),
            };
            bytes.extend_from_slice(&all[..length]);
            let read = Subscription::decode(&bytes).unwrap();
            assert_eq!(read.topics, ["orders"]);
            let has = [TopicPartitions { topic: "orders", partitions: vec![1, 3] }];
            assert_eq!(read.owned, has[usize::from(version == 0)..]);
            assert_eq!(read.rack_id, Some("r1").filter(|_| version >= 3));
            for end in 0..bytes.len() {
                assert!(Subscription::decode(&bytes[..end]).is_err(), "version {version} cut at {end}");
            }
        }
        assert!(Subscription::decode(b"\xff\xff\0\0\0\0\xff\xff\xff\xff").is_err(), "no version is below 0");
    }

    #[test]
    fn an_assignment_is_in_the_version_of_the_subscription() {
        let given = [TopicPartitions { topic: "orders", partitions: vec![0, 2] }];
        for (version, subscription) in [(0, &b"\0\0"[..]), (1, b"\0\x01"), (3, b"\0\x09")] {
            let bytes = encode_assignment(&given, subscription);
            assert_eq!(bytes[..2], [0, version]);
            assert_eq!(decode_assignment(&bytes).unwrap(), given);
        }
        assert_eq!(decode_assignment(b"").unwrap(), []);
    }
}
