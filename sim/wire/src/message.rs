//! One message's bytes: bodies for the trace hash and the wire check, frames for sockets.

mod around;
mod by_topic_id;
mod plain;
pub(crate) mod shape;

use std::fmt;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestKind, ResponseKind};

use crate::api::lookup;

/// A message could not be encoded or decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{api:?} version {version}: {what}")]
pub struct MessageError {
    /// The API.
    pub api: ApiKey,
    /// The version.
    pub version: i16,
    /// What went wrong.
    pub what: String,
}

/// How much is reserved ahead of an encoding, in bytes: most messages fit, and the buffer then never grows on the way.
const RESERVE: usize = 256;

macro_rules! apis {
    ($($api:ident),* $(,)?) => {
        /// Which API a request belongs to.
        pub fn request_api(body: &RequestKind) -> ApiKey {
            match body {
                $(RequestKind::$api(_) => ApiKey::$api,)*
                _ => unreachable!("every variant of this version of kafka-protocol is listed"),
            }
        }

        /// Which API a response belongs to.
        pub fn response_api(body: &ResponseKind) -> ApiKey {
            match body {
                $(ResponseKind::$api(_) => ApiKey::$api,)*
                _ => unreachable!("every variant of this version of kafka-protocol is listed"),
            }
        }
    };
}

apis! {
    Produce, Fetch, ListOffsets, Metadata, OffsetCommit, OffsetFetch, FindCoordinator, JoinGroup,
    Heartbeat, LeaveGroup, SyncGroup, DescribeGroups, ListGroups, SaslHandshake, ApiVersions, CreateTopics,
    DeleteTopics, DeleteRecords, InitProducerId, OffsetForLeaderEpoch, AddPartitionsToTxn, AddOffsetsToTxn,
    EndTxn, WriteTxnMarkers, TxnOffsetCommit, DescribeAcls, CreateAcls, DeleteAcls, DescribeConfigs,
    AlterConfigs, AlterReplicaLogDirs, DescribeLogDirs, SaslAuthenticate, CreatePartitions,
    CreateDelegationToken, RenewDelegationToken, ExpireDelegationToken, DescribeDelegationToken,
    DeleteGroups, ElectLeaders, IncrementalAlterConfigs, AlterPartitionReassignments,
    ListPartitionReassignments, OffsetDelete, DescribeClientQuotas, AlterClientQuotas,
    DescribeUserScramCredentials, AlterUserScramCredentials, Vote, BeginQuorumEpoch, EndQuorumEpoch,
    DescribeQuorum, AlterPartition, UpdateFeatures, Envelope, FetchSnapshot, DescribeCluster,
    DescribeProducers, BrokerRegistration, BrokerHeartbeat, UnregisterBroker, DescribeTransactions,
    ListTransactions, AllocateProducerIds, ConsumerGroupHeartbeat, ConsumerGroupDescribe,
    ControllerRegistration, GetTelemetrySubscriptions, PushTelemetry, AssignReplicasToDirs,
    ListConfigResources, DescribeTopicPartitions, ShareGroupHeartbeat, ShareGroupDescribe, ShareFetch,
    ShareAcknowledge, AddRaftVoter, RemoveRaftVoter, UpdateRaftVoter, InitializeShareGroupState,
    ReadShareGroupState, WriteShareGroupState, DeleteShareGroupState, ReadShareGroupStateSummary,
    DescribeShareGroupOffsets, AlterShareGroupOffsets, DeleteShareGroupOffsets,
}

macro_rules! throttled {
    ($($api:ident),* $(,)?) => {
        /// For how long a response makes its client wait before it sends anything else on the connection, in milliseconds
        /// (KIP-219); 0 also for those few APIs that never make clients wait.
        pub fn throttle_time_ms(body: &ResponseKind) -> i32 {
            match body {
                $(ResponseKind::$api(response) => response.throttle_time_ms,)*
                _ => 0,
            }
        }
    };
}

throttled! {
    Produce, Fetch, ListOffsets, Metadata, OffsetCommit, OffsetFetch, FindCoordinator, JoinGroup, Heartbeat,
    LeaveGroup, SyncGroup, DescribeGroups, ListGroups, ApiVersions, CreateTopics, DeleteTopics, DeleteRecords,
    InitProducerId, OffsetForLeaderEpoch, AddPartitionsToTxn, AddOffsetsToTxn, EndTxn, TxnOffsetCommit,
    DescribeAcls, CreateAcls, DeleteAcls, DescribeConfigs, AlterConfigs, DescribeLogDirs, CreatePartitions,
    DeleteGroups, ElectLeaders, IncrementalAlterConfigs, AlterPartitionReassignments, ListPartitionReassignments,
    OffsetDelete, DescribeClientQuotas, AlterClientQuotas, UpdateFeatures, DescribeCluster, DescribeProducers,
    DescribeTransactions, ListTransactions, ConsumerGroupHeartbeat, ConsumerGroupDescribe,
}

/// Appends a request's body in `version` to `out`.
///
/// # Errors
/// [`MessageError`] when the version does not exist or cannot express a field that is set.
pub fn encode_request(body: &RequestKind, version: i16, out: &mut BytesMut) -> Result<(), MessageError> {
    out.reserve(RESERVE);
    if plain::request(body, version, out) || by_topic_id::encode(body, version, out) {
        return Ok(());
    }
    body.encode(out, version).map_err(|error| failed(request_api(body), version, &error))
}

/// Appends a response's body in `version` to `out`.
///
/// # Errors
/// As [`encode_request`].
pub fn encode_response(body: &ResponseKind, version: i16, out: &mut BytesMut) -> Result<(), MessageError> {
    out.reserve(RESERVE);
    if plain::response(body, version, out) {
        return Ok(());
    }
    body.encode(out, version).map_err(|error| failed(response_api(body), version, &error))
}

/// As [`encode_response`], around the records of a large Fetch response: they go to `apart`, in their order, each with the position in
/// `out` at which it belongs.
///
/// # Errors
/// As [`encode_request`].
pub fn encode_response_around(
    body: &ResponseKind,
    version: i16,
    out: &mut BytesMut,
    apart: &mut Vec<(usize, Bytes)>,
) -> Result<(), MessageError> {
    if around::response(body, version, out, apart) { Ok(()) } else { encode_response(body, version, out) }
}

/// Reads a request's body. Records share the memory of `bytes`. Hostile bytes are an error and take no more memory than in
/// proportion to their number; so are APIs and versions that [`APIS`](crate::api::APIS) does not have, whatever their bytes.
/// What follows the body is ignored, as brokers of Kafka ignore it: librdkafka (2.16) asks for all topics with a count of four
/// bytes where one is due.
///
/// # Errors
/// [`MessageError`].
pub fn decode_request(api: ApiKey, version: i16, mut bytes: Bytes) -> Result<RequestKind, MessageError> {
    spoken(api, version)?;
    shape::check_request(api, version, &bytes).map_err(|error| failed(api, version, &error))?;
    match by_topic_id::decode(api, version, &bytes) {
        Some(body) => body.map_err(|error| failed(api, version, &error)),
        None => RequestKind::decode(api, &mut bytes, version).map_err(|error| failed(api, version, &error)),
    }
}

/// As [`decode_request`], for a response: who answers may be as hostile as who asks. Nothing may follow the body.
///
/// # Errors
/// [`MessageError`].
pub fn decode_response(api: ApiKey, version: i16, mut bytes: Bytes) -> Result<ResponseKind, MessageError> {
    spoken(api, version)?;
    shape::check_response(api, version, &bytes).map_err(|error| failed(api, version, &error))?;
    let body =
        ResponseKind::decode(api, &mut bytes, version).map_err(|error| failed(api, version, &error))?;
    ended(api, version, &bytes)?;
    Ok(body)
}

/// What is not in the table has no shape, and so must not reach the decoder.
fn spoken(api: ApiKey, version: i16) -> Result<(), MessageError> {
    match lookup(api) {
        Some(line) if line.supports(version) => Ok(()),
        _ => Err(MessageError { api, version, what: "it is not one that we speak".to_owned() }),
    }
}

#[cold]
fn failed(api: ApiKey, version: i16, error: &dyn fmt::Display) -> MessageError {
    MessageError { api, version, what: format!("{error:#}") }
}

fn ended(api: ApiKey, version: i16, rest: &Bytes) -> Result<(), MessageError> {
    if rest.is_empty() {
        return Ok(());
    }
    Err(MessageError { api, version, what: format!("{} bytes follow the body", rest.len()) })
}

/// What the header of a request adds to its body on the wire, in bytes, the frame's length field included.
pub fn request_overhead(api: ApiKey, version: i16, client_id: &str) -> usize {
    let tagged_fields = usize::from(api.request_header_version(version) >= 2);
    // Frame length, API key, API version, correlation id, the client id with its length.
    4 + 2 + 2 + 4 + 2 + client_id.len() + tagged_fields
}

/// What the header of a response adds to its body on the wire, in bytes, the frame's length field included.
pub fn response_overhead(api: ApiKey, version: i16) -> usize {
    let tagged_fields = usize::from(api.response_header_version(version) >= 1);
    // Frame length, correlation id.
    4 + 4 + tagged_fields
}

#[cfg(test)]
mod tests;
