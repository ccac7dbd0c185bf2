//! What clients from outside have done, as their requests and the responses to them tell.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use trial_client::errors;
use trial_node::{ConnId, Input, Request, Time};
use trial_reports::OutsideTraffic;
use trial_wire::messages::{FetchResponse, ProduceResponse};
use trial_wire::{Batch, ErrorCode, RequestKind, ResponseKind, TopicName, Uuid};

use crate::metrics::{Latency, distribution};

/// Counts over a run.
pub(crate) struct Traffic {
    counts: OutsideTraffic,
    latency: Latency,
    /// Produce requests that wait for their responses, in their order.
    produces: BTreeMap<ConnId, VecDeque<Produced>>,
}

/// What counts of a request.
pub(crate) struct Requested {
    produced: Option<Produced>,
    is_answered: bool,
}

impl Requested {
    pub(crate) fn new(at: Time, request: &Request) -> Requested {
        let RequestKind::Produce(produce) = &*request.body else {
            return Requested { produced: None, is_answered: true };
        };
        let mut partitions = Vec::new();
        for topic in &produce.topic_data {
            for partition in &topic.partition_data {
                let (records, bytes) = batches(partition.records.as_ref());
                let topic = (topic.name.clone(), topic.topic_id);
                partitions.push(Sent { topic, partition: partition.index, records, bytes });
            }
        }
        let produced = Produced { correlation_id: request.correlation_id, at, partitions };
        Requested { produced: Some(produced), is_answered: produce.acks != 0 }
    }
}

struct Produced {
    correlation_id: i32,
    at: Time,
    partitions: Vec<Sent>,
}

/// What a request brings for one partition.
struct Sent {
    /// The topic's name or, from version 13 on, its id; the other is empty.
    topic: (TopicName, Uuid),
    partition: i32,
    records: u64,
    bytes: u64,
}

impl Default for Traffic {
    fn default() -> Self {
        Traffic { counts: OutsideTraffic::default(), latency: Latency::new(), produces: BTreeMap::new() }
    }
}

impl Traffic {
    /// The numbers so far.
    pub(crate) fn record(&self) -> OutsideTraffic {
        OutsideTraffic { produce_latency_ns: distribution(&self.latency), ..self.counts.clone() }
    }

    pub(crate) fn connected(&mut self) {
        self.counts.connections += 1;
    }

    pub(crate) fn closed(&mut self, conn: ConnId) {
        self.produces.remove(&conn);
    }

    /// Takes note of a request that was sent.
    pub(crate) fn request(&mut self, conn: ConnId, requested: Requested) {
        self.counts.requests += 1;
        let Some(Produced { at, partitions, .. }) = &requested.produced else { return };
        for sent in partitions {
            self.counts.sent_records += sent.records;
            self.counts.sent_bytes += sent.bytes;
        }
        self.counts.first_produce_ns.get_or_insert(at.0);
        self.counts.last_produce_ns = Some(at.0);
        if requested.is_answered {
            self.produces.entry(conn).or_default().extend(requested.produced);
        }
    }

    /// Takes note of what arrived at an outside client.
    pub(crate) fn arrived(&mut self, at: Time, input: &Input) {
        match input {
            Input::Response { conn, response } => {
                self.counts.responses += 1;
                match &*response.body {
                    ResponseKind::Produce(produce) => {
                        self.answered(at, *conn, response.correlation_id, produce);
                    }
                    ResponseKind::Fetch(fetch) => self.fetched(fetch),
                    _ => {}
                }
            }
            Input::Closed { conn, .. } => {
                self.counts.ended_connections += 1;
                self.closed(*conn);
            }
            _ => {}
        }
    }

    fn answered(&mut self, at: Time, conn: ConnId, correlation_id: i32, response: &ProduceResponse) {
        let waiting = self.produces.get_mut(&conn);
        let first = waiting.and_then(|waiting| waiting.pop_front());
        let Some(produced) = first.filter(|produced| produced.correlation_id == correlation_id) else {
            return;
        };
        self.latency.record(at.since(produced.at).0);
        let mut partitions = produced.partitions;
        for topic in &response.responses {
            for answer in &topic.partition_responses {
                let same = |sent: &Sent| {
                    sent.partition == answer.index
                        && (&sent.topic.0, sent.topic.1) == (&topic.name, topic.topic_id)
                };
                let Some(place) = partitions.iter().position(same) else { continue };
                let Sent { records, bytes, .. } = partitions.swap_remove(place);
                if answer.error_code == 0 {
                    self.counts.acked_records += records;
                    self.counts.acked_bytes += bytes;
                } else {
                    let error = ErrorCode::try_from_code(answer.error_code);
                    let name = errors::name(error.unwrap_or(ErrorCode::UnknownServerError)).to_owned();
                    *self.counts.failures.entry(name).or_default() += records;
                }
            }
        }
    }

    fn fetched(&mut self, response: &FetchResponse) {
        for partition in response.responses.iter().flat_map(|topic| &topic.partitions) {
            let (records, bytes) = batches(partition.records.as_ref());
            self.counts.fetched_records += records;
            self.counts.fetched_bytes += bytes;
        }
    }
}

/// How many records are in the batches, by their headers, and how many bytes the batches have.
fn batches(records: Option<&Bytes>) -> (u64, u64) {
    let Some(records) = records else { return (0, 0) };
    let (mut rest, mut count) = (&records[..], 0);
    while let Ok(header) = Batch::peek(rest) {
        count += u64::try_from(header.record_count).unwrap_or(0);
        match rest.get(header.size..) {
            Some(behind) if header.size > 0 => rest = behind,
            _ => break,
        }
    }
    (count, records.len() as u64)
}
