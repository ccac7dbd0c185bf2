//! What the scripted cluster knows and answers.

use std::collections::{BTreeMap, BTreeSet};

use super::group::Group;
use bytes::{Bytes, BytesMut};
use trial_node::{Endpoint, NodeId, Request, Span};
use trial_wire::messages::api_versions_response::{ApiVersion, ApiVersionsResponse, FinalizedFeatureKey};
use trial_wire::messages::create_topics_response::{CreatableTopicResult, CreateTopicsResponse};
use trial_wire::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
use trial_wire::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};
use trial_wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use trial_wire::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use trial_wire::messages::produce_response::{
    PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use trial_wire::messages::{AddPartitionsToTxnResponse, BrokerId, EndTxnResponse, InitProducerIdResponse};
use trial_wire::{Batches, ErrorCode, RequestKind, ResponseKind, StrBytes, TopicName, Uuid, api};

/// What becomes of a request.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "tests only")]
pub enum Answer {
    Now(ResponseKind),
    After(Span, ResponseKind),
    ByTest,
    Never,
}

#[derive(Clone, Debug, Default)]
pub struct Partition {
    pub leader: i32,
    pub leader_epoch: i32,
    /// The batches, with their offsets.
    pub log: Vec<Bytes>,
    pub log_end_offset: i64,
}

#[derive(Clone, Debug, Default)]
pub struct Cluster {
    pub brokers: Vec<i32>,
    pub topics: BTreeMap<TopicName, (Uuid, Vec<Partition>)>,
    /// Brokers that refuse connections.
    pub down: BTreeSet<NodeId>,
    /// Brokers that say nothing at all.
    pub silent: BTreeSet<NodeId>,
    /// Metadata requests get no answer.
    pub metadata_silent: bool,
    /// Produce, Fetch, ListOffsets and CreateTopics are answered too.
    pub serve: bool,
    pub producer_ids: i64,
    /// The finalized level of `transaction.version`.
    pub transaction_version: i16,
    /// The producer id and epoch of each transactional id. There are no transactions, only fencing.
    pub transactional_ids: BTreeMap<StrBytes, (i64, i16)>,
    /// What the next EndTxn requests that are to commit are refused with, the last one first.
    pub commits_refused: Vec<ErrorCode>,
    pub group: Group,
}

impl Cluster {
    /// Brokers 0 to `brokers − 1`, and a topic whose partition `p` is led by broker `p mod brokers`.
    pub fn new(brokers: i32, topic: &'static str, partitions: i32) -> Cluster {
        let mut cluster =
            Cluster { brokers: (0..brokers).collect(), producer_ids: 1_000, ..Cluster::default() };
        cluster.create(super::topic_name(topic), partitions);
        cluster
    }

    pub fn create(&mut self, topic: TopicName, partitions: i32) {
        let leaders = self.brokers.len() as i32;
        let partition = |p: i32| Partition { leader: p % leaders, ..Partition::default() };
        let id = Uuid::from_u128(100 + self.topics.len() as u128);
        self.topics.insert(topic, (id, (0..partitions).map(partition).collect()));
    }

    pub fn bootstrap(&self) -> Vec<Endpoint> {
        self.brokers.iter().map(|id| Cluster::endpoint(*id)).collect()
    }

    fn endpoint(id: i32) -> Endpoint {
        Endpoint::new(format!("broker-{id}"), 9092)
    }

    pub fn node_at(&self, endpoint: &Endpoint) -> Option<NodeId> {
        self.brokers.iter().find(|id| Cluster::endpoint(**id) == *endpoint).map(|id| NodeId(*id))
    }

    /// Moves a partition's leadership, under the next epoch.
    pub fn elect(&mut self, partition: usize, leader: i32) {
        let (_, partitions) = self.topics.values_mut().next().unwrap();
        partitions[partition].leader = leader;
        partitions[partition].leader_epoch += 1;
    }

    pub fn topic_id(&self) -> Uuid {
        self.topics.values().next().unwrap().0
    }

    fn partition(&mut self, id: Uuid, partition: i32) -> Option<&mut Partition> {
        let (_, partitions) = self.topics.values_mut().find(|(other, _)| *other == id)?;
        partitions.get_mut(partition as usize)
    }

    pub fn answer(&mut self, node: NodeId, request: &Request) -> Answer {
        if self.silent.contains(&node) {
            return Answer::Never;
        }
        match &*request.body {
            RequestKind::ApiVersions(_) => {
                let keys = api::APIS.iter().map(|api| {
                    ApiVersion::default()
                        .with_api_key(api.key as i16)
                        .with_min_version(api.versions.min)
                        .with_max_version(api.versions.max)
                });
                let feature = FinalizedFeatureKey::default()
                    .with_name(StrBytes::from_static_str("transaction.version"))
                    .with_max_version_level(self.transaction_version);
                Answer::Now(ResponseKind::ApiVersions(
                    ApiVersionsResponse::default()
                        .with_api_keys(keys.collect())
                        .with_finalized_features_epoch(1)
                        .with_finalized_features(vec![feature]),
                ))
            }
            RequestKind::Metadata(_) if self.metadata_silent => Answer::Never,
            RequestKind::Metadata(asked) => {
                let names = asked.topics.iter().flatten().filter_map(|topic| topic.name.clone());
                Answer::Now(ResponseKind::Metadata(self.metadata(names.collect())))
            }
            RequestKind::InitProducerId(asked) if asked.transactional_id.is_none() => {
                self.producer_ids += 1;
                Answer::Now(ResponseKind::InitProducerId(
                    InitProducerIdResponse::default().with_producer_id(self.producer_ids.into()),
                ))
            }
            _ if self.serve => match self.serve_transactions(request) {
                Some(body) => Answer::After(Span::from_micros(200), body),
                None => self.serve(request),
            },
            _ => Answer::ByTest,
        }
    }

    pub fn metadata(&self, names: Vec<TopicName>) -> MetadataResponse {
        let brokers = self.brokers.iter().filter(|id| !self.down.contains(&NodeId(**id))).map(|id| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(*id))
                .with_host(StrBytes::from_string(format!("broker-{id}")))
                .with_port(9092)
        });
        let topics = names.into_iter().map(|name| {
            let topic = MetadataResponseTopic::default().with_name(Some(name.clone()));
            let Some((id, partitions)) = self.topics.get(&name) else {
                return topic.with_error_code(ErrorCode::UnknownTopicOrPartition.code());
            };
            let partitions = partitions.iter().enumerate().map(|(index, partition)| {
                MetadataResponsePartition::default()
                    .with_partition_index(index as i32)
                    .with_leader_id(BrokerId(partition.leader))
                    .with_leader_epoch(partition.leader_epoch)
            });
            topic.with_topic_id(*id).with_partitions(partitions.collect())
        });
        MetadataResponse::default()
            .with_brokers(brokers.collect())
            .with_controller_id(BrokerId(self.brokers[0]))
            .with_topics(topics.collect())
    }

    /// What coordinators answer.
    fn serve_transactions(&mut self, request: &Request) -> Option<ResponseKind> {
        Some(match &*request.body {
            RequestKind::FindCoordinator(find) => {
                let told = find.coordinator_keys.iter().map(|key| {
                    let node = self.brokers[0];
                    Coordinator::default()
                        .with_key(key.clone())
                        .with_node_id(BrokerId(node))
                        .with_host(StrBytes::from_string(format!("broker-{node}")))
                        .with_port(9092)
                });
                let body = FindCoordinatorResponse::default().with_coordinators(told.collect());
                ResponseKind::FindCoordinator(body)
            }
            RequestKind::InitProducerId(init) => {
                let id = init.transactional_id.as_ref().unwrap().0.clone();
                let next = self.producer_ids + 1;
                let (producer_id, epoch) = self.transactional_ids.entry(id).or_insert((next, -1));
                self.producer_ids = next;
                *epoch += 1;
                ResponseKind::InitProducerId(
                    InitProducerIdResponse::default()
                        .with_producer_id((*producer_id).into())
                        .with_producer_epoch(*epoch),
                )
            }
            RequestKind::AddPartitionsToTxn(_) => {
                ResponseKind::AddPartitionsToTxn(AddPartitionsToTxnResponse::default())
            }
            RequestKind::EndTxn(end) if end.committed && !self.commits_refused.is_empty() => {
                let code = self.commits_refused.pop().map_or(0, |error| error.code());
                ResponseKind::EndTxn(EndTxnResponse::default().with_error_code(code))
            }
            RequestKind::EndTxn(end) => {
                let (id, epoch) = self.transactional_ids.get_mut(&end.transactional_id.0).unwrap();
                let body = EndTxnResponse::default();
                let current = end.producer_epoch == *epoch;
                self.group.end_transaction(current && end.committed);
                ResponseKind::EndTxn(if !current {
                    body.with_error_code(ErrorCode::ProducerFenced.code())
                } else if request.api_version >= 5 {
                    *epoch += 1;
                    body.with_producer_id((*id).into()).with_producer_epoch(*epoch)
                } else {
                    body
                })
            }
            _ => return self.group.answer(request),
        })
    }

    fn serve(&mut self, request: &Request) -> Answer {
        match &*request.body {
            RequestKind::Produce(produce) => {
                let topics = produce.topic_data.iter().map(|topic| {
                    // Up to version 12 topics go by their names.
                    let id = self.topics.get(&topic.name).map_or(topic.topic_id, |(id, _)| *id);
                    let partitions = topic.partition_data.iter().map(|data| {
                        let partition = self.partition(id, data.index).unwrap();
                        let base = partition.log_end_offset;
                        partition.append(data.records.clone().unwrap());
                        PartitionProduceResponse::default().with_index(data.index).with_base_offset(base)
                    });
                    let partitions = partitions.collect();
                    TopicProduceResponse::default()
                        .with_topic_id(topic.topic_id)
                        .with_name(topic.name.clone())
                        .with_partition_responses(partitions)
                });
                let topics = topics.collect();
                Answer::After(
                    Span::from_micros(200),
                    ResponseKind::Produce(ProduceResponse::default().with_responses(topics)),
                )
            }
            RequestKind::Fetch(fetch) => {
                // No sessions: the client names everything each time.
                let mut any = false;
                let topics = fetch.topics.iter().map(|topic| {
                    let partitions = topic.partitions.iter().map(|asked| {
                        let partition = self.partition(topic.topic_id, asked.partition).unwrap();
                        let records = partition.read(asked.fetch_offset);
                        any |= !records.is_empty();
                        PartitionData::default()
                            .with_partition_index(asked.partition)
                            .with_high_watermark(partition.log_end_offset)
                            .with_last_stable_offset(partition.log_end_offset)
                            .with_records(Some(records))
                    });
                    let partitions = partitions.collect();
                    FetchableTopicResponse::default()
                        .with_topic_id(topic.topic_id)
                        .with_partitions(partitions)
                });
                let body = ResponseKind::Fetch(FetchResponse::default().with_responses(topics.collect()));
                // A long poll of sorts: it does not see what is appended while it waits.
                let wait =
                    if any { Span::from_micros(200) } else { Span::from_millis(fetch.max_wait_ms as u64) };
                Answer::After(wait, body)
            }
            RequestKind::ListOffsets(list) => {
                let topics = list.topics.iter().map(|topic| {
                    let partitions = &self.topics[&topic.name].1;
                    let told = topic.partitions.iter().map(|asked| {
                        let end = partitions[asked.partition_index as usize].log_end_offset;
                        ListOffsetsPartitionResponse::default()
                            .with_partition_index(asked.partition_index)
                            .with_offset(if asked.timestamp == -2 { 0 } else { end })
                    });
                    ListOffsetsTopicResponse::default()
                        .with_name(topic.name.clone())
                        .with_partitions(told.collect())
                });
                let topics = topics.collect();
                Answer::Now(ResponseKind::ListOffsets(ListOffsetsResponse::default().with_topics(topics)))
            }
            RequestKind::CreateTopics(create) => {
                for topic in &create.topics {
                    self.create(topic.name.clone(), topic.num_partitions);
                }
                let results = create
                    .topics
                    .iter()
                    .map(|topic| CreatableTopicResult::default().with_name(topic.name.clone()));
                Answer::Now(ResponseKind::CreateTopics(
                    CreateTopicsResponse::default().with_topics(results.collect()),
                ))
            }
            other => panic!("the scripted cluster does not serve {other:?}"),
        }
    }
}

impl Partition {
    pub fn append(&mut self, records: Bytes) {
        for batch in Batches::new(records) {
            let batch = batch.unwrap();
            let (header, chunks) = batch.assigned(self.log_end_offset, self.leader_epoch);
            self.log.push(Bytes::from(chunks.concat()));
            self.log_end_offset = header.next_offset();
        }
    }

    fn read(&self, from: i64) -> Bytes {
        let mut bytes = BytesMut::new();
        for batch in &self.log {
            if trial_wire::Batch::peek(batch).unwrap().next_offset() > from {
                bytes.extend_from_slice(batch);
            }
        }
        bytes.freeze()
    }
}
