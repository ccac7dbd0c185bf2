//! Requests about topics: records, metadata, creation and deletion.

use trial_security::acl::AclOperation::{Alter, ClusterAction, Create, Delete, Describe, Read, Write};
use trial_wire::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use trial_wire::messages::delete_topics_response::DeletableTopicResult;
use trial_wire::messages::describe_producers_response::{PartitionResponse, TopicResponse};
use trial_wire::messages::describe_topic_partitions_response::DescribeTopicPartitionsResponseTopic;
use trial_wire::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use trial_wire::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use trial_wire::messages::metadata_response::MetadataResponseTopic;
use trial_wire::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use trial_wire::messages::produce_request::TopicProduceData;
use trial_wire::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use trial_wire::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, DescribeProducersRequest, DescribeProducersResponse,
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, FetchRequest, FetchResponse,
    ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse, ProduceRequest, ProduceResponse,
};
use trial_wire::{ErrorCode, StrBytes, TopicName, Uuid};

use super::{ControllerRequest, Gate, Refusal, take};

const REFUSED: ErrorCode = ErrorCode::TopicAuthorizationFailed;
/// The first version of Produce and of Fetch that names topics by id.
const TOPIC_ID_VERSION: i16 = 13;

impl Gate<'_> {
    /// The name of a topic that is told by id or by name, as the version does; empty if there is no such id.
    fn name_of(&self, by_id: bool, name: &TopicName, id: Uuid) -> TopicName {
        match by_id {
            true => self.image.topic(id).map(|topic| topic.name.clone()).unwrap_or_default(),
            false => name.clone(),
        }
    }

    pub fn produce(&mut self, request: &mut ProduceRequest) -> Refusal {
        let id = request.transactional_id.as_ref();
        if id.is_some_and(|id| !self.access.transactional_id(Write, id)) {
            let error = ErrorCode::TransactionalIdAuthorizationFailed;
            let refused = not_produced(&std::mem::take(&mut request.topic_data), error);
            return self.partly(Some(refused.into()), request.acks != 0);
        }
        let by_id = self.version >= TOPIC_ID_VERSION;
        let refused = take(&mut request.topic_data, |topic| {
            let name = self.name_of(by_id, &topic.name, topic.topic_id);
            name.is_empty() || self.access.topic(Write, &name)
        });
        let refused = refused.map(|topics| not_produced(&topics, REFUSED).into());
        // Who waits for no answer is told by the end of the connection, once what is left has been served.
        let nothing_left = request.topic_data.is_empty() && request.acks != 0;
        self.partly(refused, nothing_left)
    }

    /// Only what followers need: consumers have sessions, in which each partition is looked at when it is read.
    pub fn fetch(&self, request: &FetchRequest) -> Refusal {
        let is_replica = request.replica_id.0 >= 0 || request.replica_state.replica_id.0 >= 0;
        if !is_replica || self.access.cluster(ClusterAction) {
            return None;
        }
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                PartitionData::default()
                    .with_partition_index(partition.partition)
                    .with_error_code(REFUSED.code())
                    .with_high_watermark(-1)
                    .with_aborted_transactions(None)
            });
            FetchableTopicResponse::default()
                .with_topic(topic.topic.clone())
                .with_topic_id(topic.topic_id)
                .with_partitions(partitions.collect())
        });
        Some(FetchResponse::default().with_responses(topics.collect()).into())
    }

    pub fn list_offsets(&mut self, request: &mut ListOffsetsRequest) -> Refusal {
        let refused = take(&mut request.topics, |topic| self.access.topic(Describe, &topic.name))?;
        let topics = refused.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                ListOffsetsPartitionResponse::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(REFUSED.code())
            });
            ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions.collect())
        });
        let refused = ListOffsetsResponse::default().with_topics(topics.collect());
        self.partly(Some(refused.into()), request.topics.is_empty())
    }

    pub fn offset_for_leader_epoch(&mut self, request: &mut OffsetForLeaderEpochRequest) -> Refusal {
        if self.access.cluster(ClusterAction) {
            return None;
        }
        let refused = take(&mut request.topics, |topic| self.access.topic(Describe, &topic.topic))?;
        let topics = refused.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                EpochEndOffset::default().with_partition(partition.partition).with_error_code(REFUSED.code())
            });
            OffsetForLeaderTopicResult::default()
                .with_topic(topic.topic)
                .with_partitions(partitions.collect())
        });
        let refused = OffsetForLeaderEpochResponse::default().with_topics(topics.collect());
        self.partly(Some(refused.into()), request.topics.is_empty())
    }

    pub fn describe_producers(&mut self, request: &mut DescribeProducersRequest) -> Refusal {
        let refused = take(&mut request.topics, |topic| self.access.topic(Read, &topic.name))?;
        let topics = refused.into_iter().map(|topic| {
            let partitions = topic.partition_indexes.iter().map(|index| {
                PartitionResponse::default().with_partition_index(*index).with_error_code(REFUSED.code())
            });
            TopicResponse::default().with_name(topic.name).with_partitions(partitions.collect())
        });
        let refused = DescribeProducersResponse::default().with_topics(topics.collect());
        self.partly(Some(refused.into()), request.topics.is_empty())
    }

    pub fn delete_records(&mut self, request: &mut DeleteRecordsRequest) -> Refusal {
        let refused = take(&mut request.topics, |topic| self.access.topic(Delete, &topic.name))?;
        let topics = refused.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                DeleteRecordsPartitionResult::default()
                    .with_partition_index(partition.partition_index)
                    .with_low_watermark(-1)
                    .with_error_code(REFUSED.code())
            });
            DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions.collect())
        });
        let refused = DeleteRecordsResponse::default().with_topics(topics.collect());
        self.partly(Some(refused.into()), request.topics.is_empty())
    }

    /// Whether a topic exists, only those get to know who may describe it.
    pub fn metadata(&mut self, request: &mut MetadataRequest) -> Refusal {
        let Some(topics) = request.topics.as_mut().filter(|topics| self.version > 0 || !topics.is_empty())
        else {
            self.amendment.hide = true;
            return None;
        };
        let creates = self.may_create_topics && request.allow_auto_topic_creation;
        let creates_any = creates && self.access.cluster(Create);
        let by_id = topics.iter().any(|topic| !topic.topic_id.is_nil());
        let refused = take(topics, |topic| {
            let known = match &topic.name {
                Some(name) if !by_id => self.image.topic_named(name),
                _ => self.image.topic(topic.topic_id),
            };
            match (known, &topic.name) {
                (Some(known), _) => self.access.topic(Describe, &known.name),
                (None, Some(name)) if !by_id => {
                    self.access.topic(Describe, name)
                        && (!creates || creates_any || self.access.topic(Create, name))
                }
                // Nobody knows the id.
                (None, _) => true,
            }
        })?;
        // Version 0 cannot ask for no topic at all.
        self.amendment.no_topics = self.version == 0 && topics.is_empty();
        let refused = refused.into_iter().map(|topic| {
            MetadataResponseTopic::default()
                .with_name(topic.name.filter(|_| !by_id))
                .with_topic_id(topic.topic_id)
                .with_error_code(REFUSED.code())
        });
        self.amendment.refused = Some(MetadataResponse::default().with_topics(refused.collect()).into());
        None
    }

    pub fn describe_topic_partitions(&mut self, request: &mut DescribeTopicPartitionsRequest) -> Refusal {
        if request.topics.is_empty() {
            // Also the pages are made without what is hidden, for no cursor may tell of it.
            self.amendment.hide = true;
            return None;
        }
        let refused = take(&mut request.topics, |topic| self.access.topic(Describe, &topic.name))?;
        let topics = refused.into_iter().map(|topic| {
            DescribeTopicPartitionsResponseTopic::default()
                .with_name(Some(topic.name))
                .with_error_code(REFUSED.code())
        });
        let refused = DescribeTopicPartitionsResponse::default().with_topics(topics.collect());
        self.partly(Some(refused.into()), request.topics.is_empty())
    }

    pub fn create_topics(&mut self, request: &mut CreateTopicsRequest) -> Refusal {
        // Who may not see a topic's configs does not see those that it gets.
        self.amendment.hide = true;
        if self.access.cluster(Create) {
            return None;
        }
        let refused = take(&mut request.topics, |topic| self.access.topic(Create, &topic.name))?;
        let mut refused = CreateTopicsRequest::default().with_topics(refused).refuse(REFUSED);
        for topic in &mut refused.topics {
            topic.error_message = Some(StrBytes::from_static_str("Authorization failed."));
        }
        self.partly(Some(refused.into()), request.topics.is_empty())
    }

    pub fn delete_topics(&mut self, request: &mut DeleteTopicsRequest) -> Refusal {
        if self.access.cluster(Delete) {
            return None;
        }
        let image = self.image;
        let by_name = take(&mut request.topic_names, |name| self.access.topic(Delete, name));
        let others = take(&mut request.topics, |topic| {
            let known = image.topic(topic.topic_id).map(|topic| &topic.name);
            topic.name.as_ref().or(known).is_none_or(|name| self.access.topic(Delete, name))
        });
        let by_name = by_name.into_iter().flatten().map(|name| (Some(name), Uuid::nil()));
        let others = others.into_iter().flatten().map(|topic| {
            let known = image.topic(topic.topic_id).map(|topic| topic.name.clone());
            (topic.name.or(known.filter(|name| self.access.topic(Describe, name))), topic.topic_id)
        });
        let refused = by_name.chain(others).map(|(name, topic_id)| {
            DeletableTopicResult::default()
                .with_name(name)
                .with_topic_id(topic_id)
                .with_error_code(REFUSED.code())
        });
        let refused: Vec<_> = refused.collect();
        let some = (!refused.is_empty()).then(|| DeleteTopicsResponse::default().with_responses(refused));
        self.partly(some.map(Into::into), request.topic_names.is_empty() && request.topics.is_empty())
    }

    pub fn create_partitions(&mut self, request: &mut CreatePartitionsRequest) -> Refusal {
        let refused = take(&mut request.topics, |topic| self.access.topic(Alter, &topic.name))?;
        let refused = CreatePartitionsRequest::default().with_topics(refused).refuse(REFUSED);
        self.partly(Some(refused.into()), request.topics.is_empty())
    }
}

fn not_produced(topics: &[TopicProduceData], error: ErrorCode) -> ProduceResponse {
    let topics = topics.iter().map(|topic| {
        let partitions = topic.partition_data.iter().map(|data| {
            PartitionProduceResponse::default()
                .with_index(data.index)
                .with_error_code(error.code())
                .with_base_offset(-1)
        });
        TopicProduceResponse::default()
            .with_name(topic.name.clone())
            .with_topic_id(topic.topic_id)
            .with_partition_responses(partitions.collect())
    });
    ProduceResponse::default().with_responses(topics.collect())
}
