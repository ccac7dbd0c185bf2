//! Fetch responses in plain form, in all versions, encoded around their records: a response has megabytes of them, which whoever
//! writes or hashes it takes from where they are.

use std::ops::RangeInclusive;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{FetchResponse, ResponseKind};

use super::plain::{is_plain_fetched, put_count};

/// Records of so many bytes stay apart; fewer are copied in less time than it takes to do without.
const APART: usize = 16 << 10;

/// All versions.
const FETCH: RangeInclusive<i16> = 4..=18;
/// The first version with log start offsets.
const LOG_START_OFFSET: i16 = 5;
/// The first version with fetch sessions (KIP-227).
const SESSION: i16 = 7;
/// The first version with preferred read replicas (KIP-392).
const PREFERRED: i16 = 11;
/// The first flexible version (KIP-482).
const FLEXIBLE: i16 = 12;
/// The first version that names topics by id (KIP-516).
const TOPIC_ID: i16 = 13;

/// Appends the body of a plain Fetch response to `out`, but for large records, which go to `apart` with the position in `out` at which
/// they belong. False, and nothing is appended, if it is another response, or has no large records.
pub(super) fn response(
    body: &ResponseKind,
    version: i16,
    out: &mut BytesMut,
    apart: &mut Vec<(usize, Bytes)>,
) -> bool {
    let ResponseKind::Fetch(response) = body else { return false };
    let mut partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    let fits = partitions.any(|p| p.records.as_ref().is_some_and(|records| records.len() >= APART))
        && FETCH.contains(&version)
        && is_plain_fetched(response)
        && is_expressible(response, version);
    if fits {
        put_response(response, version, out, apart);
    }
    fits
}

/// Whether there is nothing in it that `version` refuses or leaves out.
fn is_expressible(response: &FetchResponse, version: i16) -> bool {
    let partition = |p: &PartitionData| version >= PREFERRED || p.preferred_read_replica.0 == -1;
    let topic = |t: &FetchableTopicResponse| {
        i16::try_from(t.topic.len()).is_ok() && t.partitions.iter().all(partition)
    };
    response.responses.iter().all(topic)
        && (version >= SESSION || (response.error_code, response.session_id) == (0, 0))
}

fn put_response(response: &FetchResponse, version: i16, out: &mut BytesMut, apart: &mut Vec<(usize, Bytes)>) {
    out.put_i32(response.throttle_time_ms);
    if version >= SESSION {
        out.put_i16(response.error_code);
        out.put_i32(response.session_id);
    }
    put_array(out, version, Some(response.responses.len()));
    for topic in &response.responses {
        if version >= TOPIC_ID {
            out.put_slice(topic.topic_id.as_bytes());
        } else if version >= FLEXIBLE {
            put_count(out, topic.topic.len());
            out.put_slice(topic.topic.as_bytes());
        } else {
            out.put_i16(topic.topic.len() as i16);
            out.put_slice(topic.topic.as_bytes());
        }
        put_array(out, version, Some(topic.partitions.len()));
        for partition in &topic.partitions {
            put_partition(partition, version, out, apart);
        }
        put_no_tagged_fields(out, version);
    }
    put_no_tagged_fields(out, version);
}

fn put_partition(
    partition: &PartitionData,
    version: i16,
    out: &mut BytesMut,
    apart: &mut Vec<(usize, Bytes)>,
) {
    out.put_i32(partition.partition_index);
    out.put_i16(partition.error_code);
    out.put_i64(partition.high_watermark);
    out.put_i64(partition.last_stable_offset);
    if version >= LOG_START_OFFSET {
        out.put_i64(partition.log_start_offset);
    }
    put_array(out, version, partition.aborted_transactions.as_ref().map(Vec::len));
    if version >= PREFERRED {
        out.put_i32(partition.preferred_read_replica.0);
    }
    let records = partition.records.as_ref();
    put_array(out, version, records.map(Bytes::len));
    match records {
        Some(records) if records.len() >= APART => apart.push((out.len(), records.clone())),
        Some(records) => out.put_slice(records),
        None => {}
    }
    put_no_tagged_fields(out, version);
}

/// The length of an array or of records.
fn put_array(out: &mut BytesMut, version: i16, len: Option<usize>) {
    match len {
        None if version >= FLEXIBLE => out.put_u8(0),
        None => out.put_i32(-1),
        Some(len) if version >= FLEXIBLE => put_count(out, len),
        Some(len) => out.put_u32(len as u32),
    }
}

fn put_no_tagged_fields(out: &mut BytesMut, version: i16) {
    if version >= FLEXIBLE {
        out.put_u8(0);
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::fetch_response::LeaderIdAndEpoch;
    use kafka_protocol::messages::{BrokerId, MetadataResponse, TopicName};
    use kafka_protocol::protocol::StrBytes;
    use uuid::Uuid;

    use super::*;
    use crate::message::encode_response;

    fn partition(index: i32, records: Option<usize>) -> PartitionData {
        PartitionData::default()
            .with_partition_index(index)
            .with_high_watermark(77)
            .with_last_stable_offset(66)
            .with_log_start_offset(55)
            .with_aborted_transactions((index % 2 == 0).then(Vec::new))
            .with_records(records.map(|len| Bytes::from(vec![index as u8; len])))
    }

    fn fetched() -> FetchResponse {
        let lens = [None, Some(0), Some(APART - 1), Some(APART), Some(3 * APART)];
        let partitions = (0..).zip(lens).map(|(index, len)| partition(index, len)).collect();
        let topic = FetchableTopicResponse::default()
            .with_topic(TopicName(StrBytes::from_static_str("orders")))
            .with_topic_id(Uuid::from_u128(9))
            .with_partitions(partitions);
        let responses = vec![topic.clone(), FetchableTopicResponse::default(), topic];
        FetchResponse::default().with_throttle_time_ms(3).with_responses(responses)
    }

    /// What [`response`] makes of it, put together.
    fn joined(body: &ResponseKind, version: i16) -> Option<(Vec<u8>, usize)> {
        let (mut out, mut apart) = (BytesMut::from(&b"before"[..]), Vec::new());
        if !response(body, version, &mut out, &mut apart) {
            assert_eq!((&out[..], apart.len()), (&b"before"[..], 0));
            return None;
        }
        let (mut all, mut done) = (Vec::new(), 0);
        for (at, records) in &apart {
            all.extend_from_slice(&out[done..*at]);
            all.extend_from_slice(records);
            done = *at;
        }
        all.extend_from_slice(&out[done..]);
        Some((all, apart.len()))
    }

    #[test]
    fn put_together_it_is_what_is_encoded_in_one_piece() {
        for version in FETCH {
            let mut response = fetched();
            if version >= SESSION {
                response = response.with_session_id(8).with_error_code(1);
            }
            if version >= PREFERRED {
                response.responses[0].partitions[0].preferred_read_replica = BrokerId(4);
            }
            let body = ResponseKind::Fetch(response);
            let mut whole = BytesMut::from(&b"before"[..]);
            encode_response(&body, version, &mut whole).expect("it can be encoded");
            assert_eq!(joined(&body, version), Some((whole.to_vec(), 4)), "{version}");
        }
    }

    #[test]
    fn what_is_not_plain_or_not_large_is_left_alone() {
        let plain = fetched();
        let mut moved = plain.clone();
        moved.responses[2].partitions[1].current_leader = LeaderIdAndEpoch::default().with_leader_epoch(3);
        let mut small = plain.clone();
        small.responses.iter_mut().for_each(|topic| topic.partitions.truncate(3));
        let preferred = |version| {
            let mut preferred = plain.clone();
            preferred.responses[0].partitions[0].preferred_read_replica = BrokerId(4);
            (preferred, version)
        };
        let cases = [(moved, 16), (small, 16), (plain.clone().with_session_id(1), 6), preferred(10)];
        for (response, version) in cases {
            assert_eq!(joined(&ResponseKind::Fetch(response), version), None, "{version}");
        }
        assert_eq!(joined(&ResponseKind::Metadata(MetadataResponse::default()), 12), None);
    }
}
