//! Markers: each partition of a decided transaction is told the decision (KIP-98).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use trial_node::view::TransactionState;
use trial_node::{NodeId, ProducerId, TopicPartition};
use trial_wire::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use trial_wire::messages::write_txn_markers_response::WritableTxnMarkerResult;
use trial_wire::messages::{ProducerId as WireProducerId, WriteTxnMarkersRequest};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, StrBytes};

use super::TransactionCoordinator;
use super::answer::Caller;
use super::state;
use crate::{Env, Output, SendId};

/// The version of WriteTxnMarkers.
const VERSION: i16 = 1;

/// Kafka tells a marker's transaction version in version 2 of the request (KIP-1228), which our codec does not have. Until then
/// it is a tagged field of version 1, which whoever does not know it skips.
const TRANSACTION_VERSION_TAG: i32 = 1_228;

/// The version of the protocol by which a marker's transaction was ended: 2 if the marker's epoch is above that of all records
/// of the transaction (KIP-890), else 0.
pub fn marker_transaction_version(marker: &WritableTxnMarker) -> i8 {
    match marker.unknown_tagged_fields.get(&TRANSACTION_VERSION_TAG).map(|field| &field[..]) {
        Some([version]) => version.cast_signed(),
        _ => 0,
    }
}

/// Which markers are where. Each broker has at most one request at a time; what comes up meanwhile goes with the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Markers {
    /// To be sent as soon as the partition's leader has no request.
    ready: BTreeSet<(StrBytes, TopicPartition)>,
    /// To be sent after the back-off, or when the metadata has changed.
    delayed: BTreeSet<(StrBytes, TopicPartition)>,
    sent: BTreeMap<SendId, Sent>,
    /// Brokers that have a request.
    busy: BTreeSet<NodeId>,
}

#[derive(Clone, Debug)]
struct Sent {
    to: NodeId,
    markers: Vec<SentMarker>,
}

#[derive(Clone, Debug)]
struct SentMarker {
    id: StrBytes,
    producer_id: ProducerId,
    partitions: Vec<TopicPartition>,
}

impl Markers {
    /// Whatever was delayed may be sent now.
    pub fn retry_all(&mut self) {
        self.ready.append(&mut self.delayed);
    }

    /// No markers of this id are to be sent any more.
    fn cancel(&mut self, id: &StrBytes) {
        self.ready.retain(|(other, _)| other != id);
        self.delayed.retain(|(other, _)| other != id);
    }
}

/// What a broker's answer means for one partition.
enum Outcome {
    /// It has its marker, or needs none.
    Marked,
    Retry,
    /// Another coordinator has taken over: it is for that one to write markers.
    Replaced,
}

fn outcome(code: Option<i16>) -> Outcome {
    // A partition of which the answer says nothing is tried again, and so is it after any error that may pass.
    let Some(code) = code else { return Outcome::Retry };
    match ErrorCode::try_from_code(code) {
        None if code == 0 => Outcome::Marked,
        Some(ErrorCode::UnsupportedForMessageFormat | ErrorCode::UnsupportedVersion) => Outcome::Marked,
        Some(ErrorCode::InvalidProducerEpoch | ErrorCode::TransactionCoordinatorFenced) => Outcome::Replaced,
        _ => Outcome::Retry,
    }
}

impl TransactionCoordinator {
    /// A transaction's decision is committed.
    pub(super) fn start_markers(&mut self, env: &mut Env<'_>, id: &StrBytes) {
        let entry = self.entry(id);
        let known = entry.logged.as_ref().expect("it is decided");
        entry.unmarked = known.log.partitions.clone();
        let markers: Vec<_> = entry.unmarked.iter().map(|tp| (id.clone(), tp.clone())).collect();
        self.markers.ready.extend(markers);
        self.complete_if_marked(env, id);
    }

    /// Writes down that a decided transaction is over, if all its partitions have their markers.
    pub(super) fn complete_if_marked(&mut self, env: &mut Env<'_>, id: &StrBytes) {
        let entry = self.entry(id);
        if entry.pending.is_some() || !entry.unmarked.is_empty() {
            return;
        }
        let Some(known) = entry.logged.as_ref().filter(|known| state::is_prepared(known.log.state)) else {
            return;
        };
        let next = known.completed(env.now.wall_ms);
        self.append(env, id, Some(next), Caller::Nobody);
    }

    /// Sends what can be sent.
    pub(super) fn send_markers(&mut self, env: &mut Env<'_>) {
        let mut by_broker: BTreeMap<NodeId, Vec<SentMarker>> = BTreeMap::new();
        for (id, tp) in std::mem::take(&mut self.markers.ready) {
            let is_deleted =
                env.metadata.partition_count(&tp.topic).is_none_or(|count| tp.partition >= count);
            if is_deleted {
                self.entry(&id).unmarked.remove(&tp);
                self.complete_if_marked(env, &id);
                continue;
            }
            let Some((leader, _)) = env.metadata.leader(&tp) else {
                self.markers.delayed.insert((id, tp));
                self.timers.retry(env.now.mono);
                continue;
            };
            if self.markers.busy.contains(&leader) {
                self.markers.ready.insert((id, tp));
                continue;
            }
            let markers = by_broker.entry(leader).or_default();
            match markers.last_mut() {
                Some(marker) if marker.id == id => marker.partitions.push(tp),
                _ => {
                    let known = self.ids[&id].logged.as_ref().expect("it is decided");
                    let producer_id = known.log.producer_id;
                    markers.push(SentMarker { id, producer_id, partitions: vec![tp] });
                }
            }
        }
        for (to, markers) in by_broker {
            let id = SendId(self.next_number());
            let wire = markers.iter().map(|marker| self.wire_marker(marker)).collect();
            let body = RequestKind::WriteTxnMarkers(WriteTxnMarkersRequest::default().with_markers(wire));
            self.markers.sent.insert(id, Sent { to, markers });
            self.markers.busy.insert(to);
            self.outputs.push_back(Output::Send { id, to, version: VERSION, body });
        }
    }

    fn wire_marker(&self, marker: &SentMarker) -> WritableTxnMarker {
        let known = self.ids[&marker.id].logged.as_ref().expect("it is decided");
        let mut topics: Vec<WritableTxnMarkerTopic> = Vec::new();
        for tp in &marker.partitions {
            match topics.last_mut() {
                Some(topic) if topic.name == tp.topic => topic.partition_indexes.push(tp.partition),
                _ => topics.push(
                    WritableTxnMarkerTopic::default()
                        .with_name(tp.topic.clone())
                        .with_partition_indexes(vec![tp.partition]),
                ),
            }
        }
        let mut wire = WritableTxnMarker::default()
            .with_producer_id(WireProducerId(known.log.producer_id.0))
            .with_producer_epoch(known.log.producer_epoch.0)
            .with_transaction_result(known.log.state == TransactionState::PrepareCommit)
            .with_coordinator_epoch(self.coordinator_epoch.0)
            .with_topics(topics);
        if known.bumps_epoch() {
            wire.unknown_tagged_fields.insert(TRANSACTION_VERSION_TAG, Bytes::from_static(&[2]));
        }
        wire
    }

    /// What became of a request with markers.
    pub(super) fn handle_markers_response(
        &mut self,
        env: &mut Env<'_>,
        id: SendId,
        response: Option<ResponseKind>,
    ) {
        let Sent { to, markers } = self.markers.sent.remove(&id).expect("a request is answered once");
        self.markers.busy.remove(&to);
        let results = match response {
            Some(ResponseKind::WriteTxnMarkers(response)) => response.markers,
            _ => Vec::new(),
        };
        for SentMarker { id, producer_id, partitions } in markers {
            let mut retry = Vec::new();
            let mut is_replaced = false;
            for tp in partitions {
                match outcome(error_code(&results, producer_id, &tp)) {
                    Outcome::Marked => {
                        self.entry(&id).unmarked.remove(&tp);
                    }
                    Outcome::Retry => retry.push((id.clone(), tp)),
                    Outcome::Replaced => is_replaced = true,
                }
            }
            if is_replaced {
                self.markers.cancel(&id);
            } else if retry.is_empty() {
                self.complete_if_marked(env, &id);
            } else {
                self.markers.delayed.extend(retry);
                self.timers.retry(env.now.mono);
            }
        }
    }
}

fn error_code(
    results: &[WritableTxnMarkerResult],
    producer_id: ProducerId,
    tp: &TopicPartition,
) -> Option<i16> {
    let result = results.iter().find(|result| result.producer_id.0 == producer_id.0)?;
    let topic = result.topics.iter().find(|topic| topic.name == tp.topic)?;
    topic.partitions.iter().find(|p| p.partition_index == tp.partition).map(|p| p.error_code)
}
