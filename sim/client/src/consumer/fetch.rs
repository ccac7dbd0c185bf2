//! Long polls: one Fetch request in flight to each broker that leads an assigned partition.

use trial_node::{Endpoint, Io, LeaderEpoch, NodeId, Now, Offset, TopicIdPartition};
use trial_wire::messages::fetch_response::{NodeEndpoint, PartitionData};
use trial_wire::messages::{FetchRequest, FetchResponse};
use trial_wire::{ApiKey, ErrorCode, RequestKind, StrBytes, TopicName, Uuid};

use crate::errors::is_invalid_metadata;
use crate::network::{LeaderHint, Outgoing};

use super::partition::FetchState;
use super::records::Fetched;
use super::session::Wanted;
use super::{Consumer, ConsumerEvent, Context};

impl Consumer {
    /// Sends a Fetch request to every broker that has partitions to fetch, no request in flight, and no records here that
    /// the application has not taken yet.
    pub(super) fn send_fetches(&mut self, now: Now, io: &mut Io<'_>) {
        self.update_sessions(now);
        let idle = |(node, session): (&NodeId, &super::session::FetchSession)| {
            (!session.in_flight && !session.is_empty()).then_some(*node)
        };
        let nodes: Vec<NodeId> = self.sessions.iter().filter_map(idle).collect();
        for node in nodes {
            let taken =
                |fetched: &Fetched| self.partitions[fetched.index].source.is_none_or(|source| source != node);
            if !self.fetched.iter().all(taken) || !self.network.ready(now, io, node) {
                continue;
            }
            let Some(api_version) = self.network.version(node, ApiKey::Fetch) else { continue };
            let request = self.session(node).request(api_version >= 13);
            let body = FetchRequest::default()
                .with_max_wait_ms(self.config.fetch_max_wait.as_millis() as i32)
                .with_min_bytes(self.config.fetch_min_bytes)
                .with_max_bytes(self.config.fetch_max_bytes)
                .with_isolation_level(self.config.isolation_level())
                .with_rack_id(if api_version >= 11 { self.config.rack.clone() } else { StrBytes::new() })
                .with_session_id(request.session_id)
                .with_session_epoch(request.session_epoch)
                .with_topics(request.topics)
                .with_forgotten_topics_data(request.forgotten);
            let request = Outgoing {
                api: ApiKey::Fetch,
                api_version,
                body: RequestKind::Fetch(body),
                context: Context::Fetch,
                timeout: self.config.network.request_timeout,
            };
            self.network.send(now, io, node, request);
        }
    }

    /// Brings what sessions want up to date with the partitions that changed.
    fn update_sessions(&mut self, now: Now) {
        for index in std::mem::take(&mut self.dirty) {
            let assigned = &mut self.partitions[index];
            let Some(source) = assigned.wanted_source(now.mono) else { continue };
            if let Some(old) = assigned.source.replace(source).filter(|old| *old != source) {
                self.sessions.entry(old).or_default().update(index, None);
            }
            let topic = self.network.metadata().topic(assigned.topic);
            let wanted = assigned.fetchable(now.mono).map(|(leader_epoch, position)| Wanted {
                tp: TopicIdPartition { topic_id: assigned.topic_id, partition: assigned.partition },
                topic: topic.name.clone(),
                fetch_offset: position.offset,
                leader_epoch,
                max_bytes: self.config.max_partition_fetch_bytes,
            });
            self.session(source).update(index, wanted);
        }
    }

    pub(super) fn fetch_answered(
        &mut self,
        now: Now,
        node: NodeId,
        api_version: i16,
        response: FetchResponse,
    ) {
        let session = self.session(node);
        match ErrorCode::try_from_code(response.error_code) {
            None => session.succeeded(response.session_id),
            Some(ErrorCode::FetchSessionIdNotFound) => return session.failed(false),
            Some(_) => return session.failed(true),
        }
        for topic in response.responses {
            for data in topic.partitions {
                let index =
                    self.fetched_index(api_version, topic.topic_id, &topic.topic, data.partition_index);
                if let Some(index) = index {
                    self.partition_answered(now, node, index, data, &response.node_endpoints);
                }
            }
        }
    }

    fn fetched_index(&self, api_version: i16, id: Uuid, name: &TopicName, partition: i32) -> Option<usize> {
        let metadata = self.network.metadata();
        let slot = if api_version >= 13 { metadata.slot_by_id(id) } else { metadata.slot_by_name(name) }?;
        self.indexes.get(&(slot, partition)).copied()
    }

    fn partition_answered(
        &mut self,
        now: Now,
        node: NodeId,
        index: usize,
        data: PartitionData,
        endpoints: &[NodeEndpoint],
    ) {
        let Some(asked) = self.session(node).asked(index).map(|asked| asked.fetch_offset) else { return };
        let assigned = &mut self.partitions[index];
        // Answers to a question that has been overtaken (by a seek, a reset, another leader) count for nothing.
        let current =
            assigned.state == FetchState::Fetching && !assigned.paused && assigned.source == Some(node);
        let Some(position) = assigned.position.filter(|position| current && position.offset == asked) else {
            return;
        };
        if let Some(error) = ErrorCode::try_from_code(data.error_code) {
            self.partition_refused(now, index, error, &data, endpoints);
            return;
        }
        if data.preferred_read_replica.0 >= 0 {
            return self.read_from(now, index, NodeId(data.preferred_read_replica.0));
        }
        let end = if self.config.read_committed { data.last_stable_offset } else { data.high_watermark };
        if end >= 0 {
            assigned.end_offset = Some(Offset(end));
        }
        if let Some(records) = data.records.filter(|records| !records.is_empty()) {
            let mut fetched = Fetched::new(index, position, records, self.config.check_crcs);
            if self.config.read_committed {
                fetched = fetched.without_aborted(data.aborted_transactions.unwrap_or_default());
            }
            self.fetched.push_back(fetched);
        }
    }

    /// The leader knows of a replica that is nearer (KIP-392). It is asked again after `metadata.max.age.ms`.
    fn read_from(&mut self, now: Now, index: usize, replica: NodeId) {
        if !self.network.metadata().nodes().contains_key(&replica) {
            self.network.metadata_mut().request_update();
            return self.back_off(now, index);
        }
        let until = now.mono + self.config.network.metadata_max_age;
        self.partitions[index].read_replica = Some((replica, until));
        self.backing_off.insert((until, index));
        self.dirty.insert(index);
    }

    /// What a broker could not be asked is asked of leaders from now on.
    pub(super) fn leave_read_replica(&mut self, node: NodeId) {
        for (index, assigned) in self.partitions.iter_mut().enumerate() {
            if assigned.read_replica.take_if(|(replica, _)| *replica == node).is_some() {
                self.dirty.insert(index);
            }
        }
    }

    fn partition_refused(
        &mut self,
        now: Now,
        index: usize,
        error: ErrorCode,
        data: &PartitionData,
        endpoints: &[NodeEndpoint],
    ) {
        let from_leader = self.partitions[index].read_replica.take().is_none();
        if !from_leader {
            self.dirty.insert(index);
        }
        match error {
            // It may be behind; only the leader knows where the log ends.
            ErrorCode::OffsetOutOfRange if !from_leader => return,
            ErrorCode::OffsetOutOfRange => return self.reset(index),
            ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch
                if self.follow_hint(index, data, endpoints) =>
            {
                return;
            }
            error if !error.is_retriable() => self.events.push(ConsumerEvent::Refused { index, error }),
            _ => {}
        }
        // Kafka's consumer asks the same broker again at once, until metadata comes; that only makes noise.
        if is_invalid_metadata(error) {
            self.partitions[index].awaits_metadata = true;
            self.dirty.insert(index);
            self.network.metadata_mut().request_update();
        } else {
            self.back_off(now, index);
        }
    }

    /// KIP-951: the broker tells the leader that it knows beside its error. Returns whether that is news.
    fn follow_hint(&mut self, index: usize, data: &PartitionData, endpoints: &[NodeEndpoint]) -> bool {
        let leader = &data.current_leader;
        if leader.leader_id.0 < 0 || leader.leader_epoch < 0 {
            return false;
        }
        let endpoint =
            endpoints.iter().find(|endpoint| endpoint.node_id == leader.leader_id).and_then(|endpoint| {
                Some(Endpoint { host: endpoint.host.clone(), port: u16::try_from(endpoint.port).ok()? })
            });
        let hint = LeaderHint {
            leader: NodeId(leader.leader_id.0),
            leader_epoch: LeaderEpoch(leader.leader_epoch),
            endpoint,
        };
        let assigned = &self.partitions[index];
        self.network.metadata_mut().update_leader(assigned.topic, assigned.partition, hint)
    }
}
