//! Produce and Fetch, which are nearly all messages of a run, encoded without detours in their plain form: a flexible version
//! that names topics by id, and no tagged field but those that are usual. What is not plain is left to `kafka-protocol`, with the
//! same bytes as the result.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    FetchRequest, FetchResponse, ProduceRequest, ProduceResponse, RequestKind, ResponseKind,
};

/// Fetch by topic id, with a follower's state in a tagged field.
const FETCH: std::ops::RangeInclusive<i16> = 15..=18;
/// Produce by topic id.
const PRODUCE: std::ops::RangeInclusive<i16> = 13..=13;

/// Appends the body of a plain request; false, and nothing is appended, if it is not plain.
pub(super) fn request(body: &RequestKind, version: i16, out: &mut BytesMut) -> bool {
    match body {
        RequestKind::Fetch(request) if FETCH.contains(&version) && is_plain_fetch(request) => {
            fetch_request(request, out);
        }
        RequestKind::Produce(request) if PRODUCE.contains(&version) && is_plain_produce(request) => {
            produce_request(request, out);
        }
        _ => return false,
    }
    true
}

/// As [`request`], for a response.
pub(super) fn response(body: &ResponseKind, version: i16, out: &mut BytesMut) -> bool {
    match body {
        ResponseKind::Fetch(response) if FETCH.contains(&version) && is_plain_fetched(response) => {
            fetch_response(response, out);
        }
        ResponseKind::Produce(response) if PRODUCE.contains(&version) && is_plain_produced(response) => {
            produce_response(response, out);
        }
        _ => return false,
    }
    true
}

/// Fields of fixed sizes, one after the other.
struct Fixed<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Fixed<N> {
    fn new() -> Fixed<N> {
        Fixed { bytes: [0; N], len: 0 }
    }

    fn put<const M: usize>(&mut self, value: [u8; M]) -> &mut Fixed<N> {
        self.bytes[self.len..][..M].copy_from_slice(&value);
        self.len += M;
        self
    }

    fn end(&self, out: &mut BytesMut) {
        assert_eq!(self.len, N, "the fields take what was set apart for them");
        out.extend_from_slice(&self.bytes);
    }
}

fn put_uvarint(out: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// The count of a compact array, or the length of compact bytes; 0 is null.
pub(super) fn put_count(out: &mut BytesMut, count: usize) {
    put_uvarint(out, count + 1);
}

fn put_records(out: &mut BytesMut, records: Option<&Bytes>) {
    match records {
        None => out.put_u8(0),
        Some(records) => {
            put_count(out, records.len());
            out.extend_from_slice(records);
        }
    }
}

fn is_plain_fetch(request: &FetchRequest) -> bool {
    let partition = |p: &FetchPartition| {
        p.unknown_tagged_fields.is_empty() && p.replica_directory_id.is_nil() && p.high_watermark == i64::MAX
    };
    let topic = |t: &FetchTopic| t.unknown_tagged_fields.is_empty() && t.partitions.iter().all(partition);
    request.unknown_tagged_fields.is_empty()
        && request.cluster_id.is_none()
        && request.rack_id.is_empty()
        && request.replica_id.0 == -1
        && request.replica_state.unknown_tagged_fields.is_empty()
        && request.topics.iter().all(topic)
        && request.forgotten_topics_data.iter().all(|t| t.unknown_tagged_fields.is_empty())
}

fn fetch_request(request: &FetchRequest, out: &mut BytesMut) {
    Fixed::<21>::new()
        .put(request.max_wait_ms.to_be_bytes())
        .put(request.min_bytes.to_be_bytes())
        .put(request.max_bytes.to_be_bytes())
        .put(request.isolation_level.to_be_bytes())
        .put(request.session_id.to_be_bytes())
        .put(request.session_epoch.to_be_bytes())
        .end(out);
    put_count(out, request.topics.len());
    for FetchTopic { topic_id, partitions, .. } in &request.topics {
        out.extend_from_slice(topic_id.as_bytes());
        put_count(out, partitions.len());
        for p in partitions {
            Fixed::<33>::new()
                .put(p.partition.to_be_bytes())
                .put(p.current_leader_epoch.to_be_bytes())
                .put(p.fetch_offset.to_be_bytes())
                .put(p.last_fetched_epoch.to_be_bytes())
                .put(p.log_start_offset.to_be_bytes())
                .put(p.partition_max_bytes.to_be_bytes())
                .put([0])
                .end(out);
        }
        out.put_u8(0);
    }
    put_count(out, request.forgotten_topics_data.len());
    for ForgottenTopic { topic_id, partitions, .. } in &request.forgotten_topics_data {
        out.extend_from_slice(topic_id.as_bytes());
        put_count(out, partitions.len());
        partitions.iter().for_each(|partition| out.put_i32(*partition));
        out.put_u8(0);
    }
    // No rack; one tagged field with the follower's state, or none.
    let state = &request.replica_state;
    if (state.replica_id.0, state.replica_epoch) == (-1, -1) {
        out.extend_from_slice(&[1, 0]);
    } else {
        Fixed::<17>::new()
            .put([1, 1, 1, 13])
            .put(state.replica_id.0.to_be_bytes())
            .put(state.replica_epoch.to_be_bytes())
            .put([0])
            .end(out);
    }
}

pub(super) fn is_plain_fetched(response: &FetchResponse) -> bool {
    let partition = |p: &PartitionData| {
        let PartitionData { diverging_epoch, current_leader, snapshot_id, .. } = p;
        p.unknown_tagged_fields.is_empty()
            && p.aborted_transactions.as_ref().is_none_or(Vec::is_empty)
            && (diverging_epoch.epoch, diverging_epoch.end_offset) == (-1, -1)
            && diverging_epoch.unknown_tagged_fields.is_empty()
            && (current_leader.leader_id.0, current_leader.leader_epoch) == (-1, -1)
            && current_leader.unknown_tagged_fields.is_empty()
            && (snapshot_id.end_offset, snapshot_id.epoch) == (-1, -1)
            && snapshot_id.unknown_tagged_fields.is_empty()
    };
    let topic =
        |t: &FetchableTopicResponse| t.unknown_tagged_fields.is_empty() && t.partitions.iter().all(partition);
    response.unknown_tagged_fields.is_empty()
        && response.node_endpoints.is_empty()
        && response.responses.iter().all(topic)
}

fn fetch_response(response: &FetchResponse, out: &mut BytesMut) {
    Fixed::<10>::new()
        .put(response.throttle_time_ms.to_be_bytes())
        .put(response.error_code.to_be_bytes())
        .put(response.session_id.to_be_bytes())
        .end(out);
    put_count(out, response.responses.len());
    for FetchableTopicResponse { topic_id, partitions, .. } in &response.responses {
        out.extend_from_slice(topic_id.as_bytes());
        put_count(out, partitions.len());
        for p in partitions {
            Fixed::<35>::new()
                .put(p.partition_index.to_be_bytes())
                .put(p.error_code.to_be_bytes())
                .put(p.high_watermark.to_be_bytes())
                .put(p.last_stable_offset.to_be_bytes())
                .put(p.log_start_offset.to_be_bytes())
                .put([u8::from(p.aborted_transactions.is_some())])
                .put(p.preferred_read_replica.0.to_be_bytes())
                .end(out);
            put_records(out, p.records.as_ref());
            out.put_u8(0);
        }
        out.put_u8(0);
    }
    out.put_u8(0);
}

fn is_plain_produce(request: &ProduceRequest) -> bool {
    let topic = |t: &TopicProduceData| {
        t.unknown_tagged_fields.is_empty()
            && t.partition_data.iter().all(|p| p.unknown_tagged_fields.is_empty())
    };
    request.unknown_tagged_fields.is_empty()
        && request.transactional_id.is_none()
        && request.topic_data.iter().all(topic)
}

fn produce_request(request: &ProduceRequest, out: &mut BytesMut) {
    Fixed::<7>::new().put([0]).put(request.acks.to_be_bytes()).put(request.timeout_ms.to_be_bytes()).end(out);
    put_count(out, request.topic_data.len());
    for TopicProduceData { topic_id, partition_data, .. } in &request.topic_data {
        out.extend_from_slice(topic_id.as_bytes());
        put_count(out, partition_data.len());
        for PartitionProduceData { index, records, .. } in partition_data {
            out.put_i32(*index);
            put_records(out, records.as_ref());
            out.put_u8(0);
        }
        out.put_u8(0);
    }
    out.put_u8(0);
}

fn is_plain_produced(response: &ProduceResponse) -> bool {
    let partition = |p: &PartitionProduceResponse| {
        p.unknown_tagged_fields.is_empty()
            && p.record_errors.is_empty()
            && p.error_message.is_none()
            && (p.current_leader.leader_id.0, p.current_leader.leader_epoch) == (-1, -1)
            && p.current_leader.unknown_tagged_fields.is_empty()
    };
    let topic = |t: &TopicProduceResponse| {
        t.unknown_tagged_fields.is_empty() && t.partition_responses.iter().all(partition)
    };
    response.unknown_tagged_fields.is_empty()
        && response.node_endpoints.is_empty()
        && response.responses.iter().all(topic)
}

fn produce_response(response: &ProduceResponse, out: &mut BytesMut) {
    put_count(out, response.responses.len());
    for TopicProduceResponse { topic_id, partition_responses, .. } in &response.responses {
        out.extend_from_slice(topic_id.as_bytes());
        put_count(out, partition_responses.len());
        for p in partition_responses {
            // No errors of records, no message, no tagged field.
            Fixed::<33>::new()
                .put(p.index.to_be_bytes())
                .put(p.error_code.to_be_bytes())
                .put(p.base_offset.to_be_bytes())
                .put(p.log_append_time_ms.to_be_bytes())
                .put(p.log_start_offset.to_be_bytes())
                .put([1, 0, 0])
                .end(out);
        }
        out.put_u8(0);
    }
    out.put_i32(response.throttle_time_ms);
    out.put_u8(0);
}
