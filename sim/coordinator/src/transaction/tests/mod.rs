//! The coordinator on a bench: a log that commits when told to, brokers that answer when told to. What it does is written down
//! as lines, so that a test shows all of it.

mod chaos;
mod failing;
mod failover;
mod fencing;
mod markers;
mod time;
mod transactions;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use trial_node::view::CoordinatorEntry;
use trial_node::{LeaderEpoch, NodeId, Now, Offset, ProducerId, Rng, Span, TopicPartition};
use trial_wire::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use trial_wire::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use trial_wire::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest, GroupId, InitProducerIdRequest,
    ProducerId as WireProducerId, TransactionalId, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, StrBytes, TopicName, Uuid};

use super::{TransactionConfig, TransactionCoordinator, marker_transaction_version, record, state};
use crate::{CallId, ClusterMetadata, Coordinator, Env, LogRecord, Output, Record, Request, SendId, Ticket};

/// Topics with their partitions' leaders.
#[derive(Clone, Debug, Default)]
struct Metadata {
    leaders: BTreeMap<String, Vec<Option<NodeId>>>,
    transaction_version: i16,
}

impl ClusterMetadata for Metadata {
    fn topic_id(&self, _: &TopicName) -> Option<Uuid> {
        None
    }
    fn topic_name(&self, _: Uuid) -> Option<&TopicName> {
        None
    }
    fn partition_count(&self, name: &TopicName) -> Option<i32> {
        self.leaders.get(name.as_str()).map(|leaders| i32::try_from(leaders.len()).unwrap())
    }
    fn topic_names(&self, _: &mut dyn FnMut(&TopicName)) {}
    fn version(&self) -> Offset {
        Offset(0)
    }
    fn leader(&self, tp: &TopicPartition) -> Option<(NodeId, LeaderEpoch)> {
        let leaders = self.leaders.get(tp.topic.as_str())?;
        let leader = *leaders.get(usize::try_from(tp.partition).unwrap())?;
        leader.map(|leader| (leader, LeaderEpoch(0)))
    }
    fn feature_level(&self, feature: &str) -> i16 {
        assert_eq!(feature, "transaction.version");
        self.transaction_version
    }
}

/// A producer id and epoch.
type Producer = (i64, i16);

#[derive(Clone)]
struct Bench {
    coordinator: TransactionCoordinator,
    metadata: Metadata,
    rng: Rng,
    now: Now,
    log: Vec<Record>,
    /// The offset after each append that is not committed.
    uncommitted: VecDeque<(Ticket, usize)>,
    /// With what appends are refused.
    refusal: Option<ErrorCode>,
    next_producer_id: Result<i64, ErrorCode>,
    sent: VecDeque<(SendId, WriteTxnMarkersRequest)>,
    /// The transactional id that requests name.
    id: &'static str,
    /// What those who read a run are told.
    traces: Vec<String>,
    calls: u64,
    /// Requests that are not answered.
    waiting: BTreeSet<CallId>,
}

const START_MS: i64 = 1_000_000;

impl Bench {
    /// Topic `a` is led by brokers 1 and 2, `b` by broker 1, `__consumer_offsets` by broker 3.
    fn new(transaction_version: i16) -> Bench {
        let leader = |ids: &[i32]| ids.iter().map(|id| Some(NodeId(*id))).collect();
        let leaders = [
            ("a".to_owned(), leader(&[1, 2])),
            ("b".to_owned(), leader(&[1])),
            ("__consumer_offsets".to_owned(), leader(&[3])),
        ];
        let mut bench = Bench {
            coordinator: TransactionCoordinator::new(TransactionConfig::default()),
            metadata: Metadata { leaders: leaders.into(), transaction_version },
            rng: Rng::named(1, "bench"),
            now: Now { wall_ms: START_MS, ..Now::default() },
            log: Vec::new(),
            uncommitted: VecDeque::new(),
            refusal: None,
            next_producer_id: Ok(1000),
            sent: VecDeque::new(),
            id: "t",
            traces: Vec::new(),
            calls: 0,
            waiting: BTreeSet::new(),
        };
        assert_eq!(bench.with(|c, env| c.activate(env, LeaderEpoch(7))), [""; 0]);
        bench
    }

    fn with(&mut self, act: impl FnOnce(&mut TransactionCoordinator, &mut Env<'_>)) -> Vec<String> {
        let mut env = Env { now: self.now, rng: &mut self.rng, metadata: &self.metadata };
        act(&mut self.coordinator, &mut env);
        let mut lines = Vec::new();
        while let Some(output) = self.coordinator.poll_output() {
            let mut env = Env { now: self.now, rng: &mut self.rng, metadata: &self.metadata };
            match output {
                Output::Append { ticket, records, transaction: None } => {
                    lines.extend(records.iter().map(show_record));
                    if let Some(refusal) = self.refusal {
                        self.coordinator.completed(&mut env, ticket, Err(refusal));
                        continue;
                    }
                    for record in records {
                        let offset = Offset(i64::try_from(self.log.len()).unwrap());
                        self.coordinator.replay(as_logged(offset, &record)).unwrap();
                        self.log.push(record);
                    }
                    self.uncommitted.push_back((ticket, self.log.len()));
                }
                Output::Respond { call, body } => {
                    assert!(self.waiting.remove(&call), "each request is answered once");
                    lines.push(show_response(body));
                }
                Output::Send { id, to, version: 1, body: RequestKind::WriteTxnMarkers(body) } => {
                    lines.push(format!("send {to}: {}", show_markers(&body)));
                    self.sent.push_back((id, body));
                }
                Output::ProducerId { id } => {
                    let result = self.next_producer_id;
                    self.next_producer_id = result.map(|id| id + 1);
                    self.coordinator.producer_id(&mut env, id, result.map(ProducerId));
                }
                Output::Trace(event) => self.traces.push(event.to_string()),
                other => panic!("unexpected {other:?}"),
            }
        }
        lines
    }

    fn ask(&mut self, version: i16, body: RequestKind) -> Vec<String> {
        self.calls += 1;
        let call = CallId(self.calls);
        self.waiting.insert(call);
        self.with(|c, env| {
            c.handle(env, Request { call, version, client_id: "", client_host: "", describes: None, body })
        })
    }

    fn transactional_id(&self) -> TransactionalId {
        TransactionalId(StrBytes::from_static_str(self.id))
    }

    fn init(&mut self, version: i16, producer: Producer) -> Vec<String> {
        self.init_with_timeout(version, producer, 60_000)
    }

    fn init_with_timeout(&mut self, version: i16, (id, epoch): Producer, timeout_ms: i32) -> Vec<String> {
        let body = InitProducerIdRequest::default()
            .with_transactional_id(Some(self.transactional_id()))
            .with_transaction_timeout_ms(timeout_ms)
            .with_producer_id(WireProducerId(id))
            .with_producer_epoch(epoch);
        self.ask(version, RequestKind::InitProducerId(body))
    }

    fn add(&mut self, version: i16, producer: Producer, partitions: &[(&str, &[i32])]) -> Vec<String> {
        self.ask(version, add_request(self.transactional_id(), version, producer, partitions, false))
    }

    fn verify(&mut self, producer: Producer, partitions: &[(&str, &[i32])]) -> Vec<String> {
        self.ask(4, add_request(self.transactional_id(), 4, producer, partitions, true))
    }

    fn add_offsets(&mut self, version: i16, (id, epoch): Producer) -> Vec<String> {
        let body = AddOffsetsToTxnRequest::default()
            .with_transactional_id(self.transactional_id())
            .with_producer_id(WireProducerId(id))
            .with_producer_epoch(epoch)
            .with_group_id(GroupId(StrBytes::from_static_str("g")));
        self.ask(version, RequestKind::AddOffsetsToTxn(body))
    }

    fn end(&mut self, version: i16, (id, epoch): Producer, commit: bool) -> Vec<String> {
        let body = EndTxnRequest::default()
            .with_transactional_id(self.transactional_id())
            .with_producer_id(WireProducerId(id))
            .with_producer_epoch(epoch)
            .with_committed(commit);
        self.ask(version, RequestKind::EndTxn(body))
    }

    /// The oldest append is committed.
    fn commit(&mut self) -> Vec<String> {
        let (ticket, end) = self.uncommitted.pop_front().expect("something was appended");
        let end = Offset(i64::try_from(end).unwrap());
        self.with(|c, env| c.completed(env, ticket, Ok(end)))
    }

    /// The oldest append is not committed in time.
    fn time_out(&mut self) -> Vec<String> {
        let (ticket, _) = self.uncommitted.pop_front().expect("something was appended");
        self.with(|c, env| c.completed(env, ticket, Err(ErrorCode::RequestTimedOut)))
    }

    /// The oldest request with markers is answered with this for every partition.
    fn acknowledge(&mut self, code: i16) -> Vec<String> {
        let (id, request) = self.sent.pop_front().expect("markers were sent");
        let response = ResponseKind::WriteTxnMarkers(marker_response(&request, code));
        self.with(|c, env| c.handle_response(env, id, Some(response)))
    }

    fn lose_response(&mut self) -> Vec<String> {
        let (id, _) = self.sent.pop_front().expect("markers were sent");
        self.with(|c, env| c.handle_response(env, id, None))
    }

    fn wait(&mut self, span: Span) -> Vec<String> {
        self.now.mono += span;
        self.now.wall_ms += i64::try_from(span.as_millis()).unwrap();
        self.with(|c, env| c.handle_timeout(env))
    }

    /// Does all that is still to be done, and says what.
    fn settle(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            if !self.uncommitted.is_empty() {
                lines.extend(self.commit());
            } else if !self.sent.is_empty() {
                lines.extend(self.acknowledge(0));
            } else {
                return lines;
            }
        }
    }

    /// A new coordinator from the first `records` records of the log, in the next leader epoch.
    fn fail_over(&self, records: usize) -> (Bench, Vec<String>) {
        let mut bench = self.clone();
        bench.coordinator = TransactionCoordinator::new(TransactionConfig::default());
        bench.uncommitted.clear();
        bench.sent.clear();
        bench.waiting.clear();
        bench.log.truncate(records);
        for (offset, record) in (0..).zip(&bench.log) {
            bench.coordinator.replay(as_logged(Offset(offset), record)).unwrap();
        }
        let epoch = LeaderEpoch(self.coordinator.coordinator_epoch.0 + 1);
        let lines = bench.with(|c, env| c.activate(env, epoch));
        (bench, lines)
    }

    fn entries(&self) -> Vec<String> {
        let mut entries = Vec::new();
        self.coordinator.entries(&mut |entry| entries.push(show_entry(entry)));
        entries
    }

    fn set_leader(&mut self, topic: &str, partition: usize, leader: Option<i32>) -> Vec<String> {
        self.metadata.leaders.get_mut(topic).expect("the topic exists")[partition] = leader.map(NodeId);
        self.with(|c, env| c.metadata_changed(env))
    }

    /// A producer with an open transaction that has these partitions, all committed.
    fn open(&mut self, version: i16, partitions: &[(&str, &[i32])]) -> Producer {
        self.init(4, NEW);
        self.settle();
        let producer = (1000, 0);
        self.add(version, producer, partitions);
        assert_eq!(self.settle(), ["add ok"]);
        producer
    }

    /// As if the producer had used its epochs up to this one.
    fn set_epoch(&mut self, epoch: i16) {
        let id = StrBytes::from_static_str("t");
        self.coordinator.entry(&id).logged.as_mut().expect("it is known").log.producer_epoch.0 = epoch;
    }
}

/// A producer that has no id yet.
const NEW: Producer = (-1, -1);

fn add_request(
    transactional_id: TransactionalId,
    version: i16,
    (id, epoch): Producer,
    partitions: &[(&str, &[i32])],
    verify_only: bool,
) -> RequestKind {
    let topics: Vec<AddPartitionsToTxnTopic> = partitions
        .iter()
        .map(|(topic, partitions)| {
            AddPartitionsToTxnTopic::default()
                .with_name(TopicName(StrBytes::from_string((*topic).to_owned())))
                .with_partitions(partitions.to_vec())
        })
        .collect();
    let request = AddPartitionsToTxnRequest::default();
    RequestKind::AddPartitionsToTxn(if version >= 4 {
        let transaction = AddPartitionsToTxnTransaction::default()
            .with_transactional_id(transactional_id)
            .with_producer_id(WireProducerId(id))
            .with_producer_epoch(epoch)
            .with_verify_only(verify_only)
            .with_topics(topics);
        request.with_transactions(vec![transaction])
    } else {
        request
            .with_v3_and_below_transactional_id(transactional_id)
            .with_v3_and_below_producer_id(WireProducerId(id))
            .with_v3_and_below_producer_epoch(epoch)
            .with_v3_and_below_topics(topics)
    })
}

fn marker_response(request: &WriteTxnMarkersRequest, code: i16) -> WriteTxnMarkersResponse {
    let markers = request.markers.iter().map(|marker| {
        let topics = marker.topics.iter().map(|topic| {
            let partitions = topic.partition_indexes.iter().map(|index| {
                WritableTxnMarkerPartitionResult::default().with_partition_index(*index).with_error_code(code)
            });
            let partitions = partitions.collect();
            WritableTxnMarkerTopicResult::default().with_name(topic.name.clone()).with_partitions(partitions)
        });
        let topics = topics.collect();
        WritableTxnMarkerResult::default().with_producer_id(marker.producer_id).with_topics(topics)
    });
    WriteTxnMarkersResponse::default().with_markers(markers.collect())
}

fn as_logged(offset: Offset, record: &Record) -> LogRecord<'_> {
    LogRecord { offset, transaction: None, key: &record.key, value: record.value.as_deref() }
}

fn show_record(record: &Record) -> String {
    let id = record::decode_key(&record.key).unwrap().unwrap();
    let Some(value) = &record.value else { return format!("append {id} gone") };
    let value = record::decode_value(value).unwrap().unwrap();
    let mut line =
        format!("append {id} {} {}/{}", state::name(value.state), value.producer_id, value.producer_epoch);
    for tp in &value.partitions {
        line += &format!(" {tp}");
    }
    line
}

fn show_code(code: i16) -> String {
    ErrorCode::try_from_code(code).map_or_else(|| "ok".to_owned(), |error| format!("{error:?}"))
}

fn show_response(body: ResponseKind) -> String {
    match body {
        ResponseKind::InitProducerId(r) if r.error_code == 0 => {
            format!("init ok {}/{}", r.producer_id.0, r.producer_epoch)
        }
        ResponseKind::InitProducerId(r) => {
            assert_eq!((r.producer_id.0, r.producer_epoch), NEW);
            format!("init {}", show_code(r.error_code))
        }
        ResponseKind::EndTxn(r) if (r.producer_id.0, r.producer_epoch) == NEW => {
            format!("end {}", show_code(r.error_code))
        }
        ResponseKind::EndTxn(r) => {
            format!("end {} {}/{}", show_code(r.error_code), r.producer_id.0, r.producer_epoch)
        }
        ResponseKind::AddOffsetsToTxn(r) => format!("offsets {}", show_code(r.error_code)),
        ResponseKind::AddPartitionsToTxn(r) => {
            let batched = r.results_by_transaction.into_iter().flat_map(|result| result.topic_results);
            let topics = r.results_by_topic_v3_and_below.into_iter().chain(batched);
            let partitions = topics.flat_map(|topic| {
                let name = topic.name.as_str().to_owned();
                topic.results_by_partition.into_iter().map(move |result| {
                    (format!(" {name}-{}:", result.partition_index), show_code(result.partition_error_code))
                })
            });
            let all: Vec<(String, String)> = partitions.collect();
            match all.iter().all(|(_, code)| *code == all[0].1) {
                true => format!("add {}", all[0].1),
                false => format!("add{}", all.into_iter().map(|(tp, code)| tp + &code).collect::<String>()),
            }
        }
        other => panic!("unexpected {other:?}"),
    }
}

fn show_markers(request: &WriteTxnMarkersRequest) -> String {
    let markers = request.markers.iter().map(|marker| {
        let decision = if marker.transaction_result { "commit" } else { "abort" };
        let topics = marker.topics.iter().flat_map(|topic| {
            topic.partition_indexes.iter().map(|index| format!(" {}-{index}", topic.name.as_str()))
        });
        let topics: String = topics.collect();
        let (id, epoch) = (marker.producer_id.0, marker.producer_epoch);
        let version = marker_transaction_version(marker);
        format!("{decision} v{version} {id}/{epoch} by {}{topics}", marker.coordinator_epoch)
    });
    markers.collect::<Vec<_>>().join(", ")
}

fn show_entry(entry: CoordinatorEntry<'_>) -> String {
    format!("{entry:?}")
}
