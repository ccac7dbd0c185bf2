//! Asking where a log begins or ends (reset policies), and whether it still agrees with a position (KIP-320).

use std::collections::BTreeMap;

use trial_node::{Io, LeaderEpoch, NodeId, Now, Offset};
use trial_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use trial_wire::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use trial_wire::messages::{
    BrokerId, ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
};
use trial_wire::{ApiKey, ErrorCode, RequestKind, TopicName};

use crate::errors::is_invalid_metadata;
use crate::network::Outgoing;

use super::config::ResetPolicy;
use super::partition::{FetchState, Position};
use super::{Consumer, ConsumerEvent, Context};

/// The timestamps that ask for a log's ends.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// A partition in a request in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    index: usize,
    /// What the question was about: an answer counts only while this still holds.
    state: FetchState,
    position: Option<Position>,
    leader: Option<(NodeId, LeaderEpoch)>,
}

impl Consumer {
    /// Asks leaders about partitions without a valid position.
    pub(super) fn ask_for_offsets(&mut self, now: Now, io: &mut Io<'_>) {
        if self.to_ask.is_empty() {
            return;
        }
        let mut by_leader: BTreeMap<(NodeId, bool), Vec<Asked>> = BTreeMap::new();
        let mut leader_unknown = false;
        for index in self.to_ask.clone() {
            let assigned = &self.partitions[index];
            if assigned.state == FetchState::AwaitReset(ResetPolicy::None) {
                self.to_ask.remove(&index);
                self.reset(index);
                continue;
            }
            if !assigned.must_ask() || !assigned.may_try(now.mono) {
                continue;
            }
            let asked =
                Asked { index, state: assigned.state, position: assigned.position, leader: assigned.leader };
            let validate = assigned.state == FetchState::AwaitValidation;
            match assigned.leader {
                Some((leader, _)) => by_leader.entry((leader, validate)).or_default().push(asked),
                None => leader_unknown = true,
            }
        }
        if leader_unknown {
            self.network.metadata_mut().request_update();
        }
        for ((leader, validate), asked) in by_leader {
            let api = if validate { ApiKey::OffsetForLeaderEpoch } else { ApiKey::ListOffsets };
            if !self.network.ready(now, io, leader) {
                continue;
            }
            let Some(api_version) = self.network.version(leader, api) else { continue };
            let body = if validate { self.epochs_request(&asked) } else { self.offsets_request(&asked) };
            for asked in &asked {
                self.partitions[asked.index].asking = true;
                self.to_ask.remove(&asked.index);
            }
            let timeout = self.config.network.request_timeout;
            let request = Outgoing { api, api_version, body, context: Context::Ask(asked), timeout };
            self.network.send(now, io, leader, request);
        }
    }

    pub(super) fn topic_name(&self, index: usize) -> TopicName {
        self.network.metadata().topic(self.partitions[index].topic).name.clone()
    }

    fn offsets_request(&self, asked: &[Asked]) -> RequestKind {
        let mut topics: BTreeMap<TopicName, Vec<ListOffsetsPartition>> = BTreeMap::new();
        for asked in asked {
            let assigned = &self.partitions[asked.index];
            let latest = asked.state == FetchState::AwaitReset(ResetPolicy::Latest);
            let epoch = assigned.leader.map_or(LeaderEpoch::NONE, |(_, epoch)| epoch);
            let partition = ListOffsetsPartition::default()
                .with_partition_index(assigned.partition)
                .with_current_leader_epoch(epoch.0)
                .with_timestamp(if latest { LATEST } else { EARLIEST });
            topics.entry(self.topic_name(asked.index)).or_default().push(partition);
        }
        let topics = topics.into_iter().map(|(name, partitions)| {
            ListOffsetsTopic::default().with_name(name).with_partitions(partitions)
        });
        RequestKind::ListOffsets(
            ListOffsetsRequest::default()
                .with_replica_id(BrokerId(-1))
                .with_isolation_level(self.config.isolation_level())
                .with_topics(topics.collect())
                .with_timeout_ms(self.config.network.request_timeout.as_millis() as i32),
        )
    }

    fn epochs_request(&self, asked: &[Asked]) -> RequestKind {
        let mut topics: BTreeMap<TopicName, Vec<OffsetForLeaderPartition>> = BTreeMap::new();
        for asked in asked {
            let assigned = &self.partitions[asked.index];
            let current = assigned.leader.map_or(LeaderEpoch::NONE, |(_, epoch)| epoch);
            let read = asked.position.map_or(LeaderEpoch::NONE, |position| position.offset_epoch);
            let partition = OffsetForLeaderPartition::default()
                .with_partition(assigned.partition)
                .with_current_leader_epoch(current.0)
                .with_leader_epoch(read.0);
            topics.entry(self.topic_name(asked.index)).or_default().push(partition);
        }
        let topics = topics.into_iter().map(|(name, partitions)| {
            OffsetForLeaderTopic::default().with_topic(name).with_partitions(partitions)
        });
        RequestKind::OffsetForLeaderEpoch(
            OffsetForLeaderEpochRequest::default()
                .with_replica_id(BrokerId(-1))
                .with_topics(topics.collect()),
        )
    }

    /// Finds the partition that a part of a response is about among those asked.
    fn answered(&self, asked: &mut Vec<Asked>, topic: &TopicName, partition: i32) -> Option<Asked> {
        let slot = self.network.metadata().slot_by_name(topic)?;
        let index = *self.indexes.get(&(slot, partition))?;
        let at = asked.iter().position(|asked| asked.index == index)?;
        Some(asked.remove(at))
    }

    /// Whether the question that an answer belongs to is still open.
    fn still_open(&mut self, asked: Asked) -> bool {
        let assigned = &mut self.partitions[asked.index];
        assigned.asking = false;
        assigned.state == asked.state
            && assigned.position == asked.position
            && assigned.leader == asked.leader
    }

    pub(super) fn offsets_told(&mut self, now: Now, mut asked: Vec<Asked>, response: ListOffsetsResponse) {
        for topic in response.topics {
            for told in topic.partitions {
                let Some(asked) = self.answered(&mut asked, &topic.name, told.partition_index) else {
                    continue;
                };
                match ErrorCode::try_from_code(told.error_code) {
                    None if told.offset < 0 => self.ask_again(now, vec![asked]),
                    None if self.still_open(asked) => {
                        let to = Position { offset: Offset(told.offset), offset_epoch: LeaderEpoch::NONE };
                        self.jump(asked.index, to);
                    }
                    None => self.reconsider(asked.index),
                    Some(error) => self.ask_refused(now, asked, error),
                }
            }
        }
        self.ask_again(now, asked);
    }

    pub(super) fn epochs_told(
        &mut self,
        now: Now,
        mut asked: Vec<Asked>,
        response: OffsetForLeaderEpochResponse,
    ) {
        for topic in response.topics {
            for told in topic.partitions {
                let Some(asked) = self.answered(&mut asked, &topic.topic, told.partition) else { continue };
                match ErrorCode::try_from_code(told.error_code) {
                    None if self.still_open(asked) => {
                        self.validated(asked.index, LeaderEpoch(told.leader_epoch), Offset(told.end_offset));
                    }
                    None => self.reconsider(asked.index),
                    Some(error) => self.ask_refused(now, asked, error),
                }
            }
        }
        self.ask_again(now, asked);
    }

    /// The leader told where its log's part of the position's epoch ends.
    fn validated(&mut self, index: usize, epoch: LeaderEpoch, end_offset: Offset) {
        let position = self.partitions[index].position.expect("only positions are validated");
        if epoch == LeaderEpoch::NONE || end_offset == Offset::UNKNOWN {
            // The leader knows nothing that far back.
            self.reset(index);
        } else if end_offset >= position.offset {
            self.partitions[index].state = FetchState::Fetching;
            self.dirty.insert(index);
        } else if self.config.reset_policy == ResetPolicy::None {
            self.reset(index);
        } else {
            self.jump(index, Position { offset: end_offset, offset_epoch: epoch });
        }
    }

    /// The state changed while a question was in flight: there may be another one to ask.
    fn reconsider(&mut self, index: usize) {
        if self.partitions[index].must_ask() {
            self.to_ask.insert(index);
        }
    }

    fn ask_refused(&mut self, now: Now, asked: Asked, error: ErrorCode) {
        if !error.is_retriable() {
            self.events.push(ConsumerEvent::Refused { index: asked.index, error });
        }
        self.partitions[asked.index].awaits_metadata = is_invalid_metadata(error);
        self.ask_again(now, vec![asked]);
    }

    /// Questions that got no answer are asked again after back-off, with newer metadata.
    pub(super) fn ask_again(&mut self, now: Now, asked: Vec<Asked>) {
        if asked.is_empty() {
            return;
        }
        for Asked { index, .. } in asked {
            self.partitions[index].asking = false;
            self.reconsider(index);
            self.back_off(now, index);
        }
        self.network.metadata_mut().request_update();
    }
}
