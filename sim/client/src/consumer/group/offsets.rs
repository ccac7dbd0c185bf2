//! Positions of newly assigned partitions: the offsets that the group has committed (OffsetFetch).

use std::collections::{BTreeMap, BTreeSet};

use trial_node::{Io, LeaderEpoch, Now, Offset, Time};
use trial_wire::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use trial_wire::messages::offset_fetch_response::OffsetFetchResponsePartitions;
use trial_wire::messages::{GroupId, OffsetFetchRequest, OffsetFetchResponse};
use trial_wire::{ApiKey, ErrorCode, RequestKind, TopicName};

use crate::consumer::Consumer;
use crate::consumer::partition::{FetchState, Position};

use super::coordinator::is_coordinator_gone;
use super::{GroupProtocol, Question, Stint};

/// Which partitions wait for their committed offset.
#[derive(Clone, Debug, Default)]
pub(super) struct CommittedOffsets {
    waiting: BTreeSet<usize>,
    asking: bool,
    retry_at: Time,
    failures: u32,
}

impl CommittedOffsets {
    /// A partition needs its offset.
    pub fn ask(&mut self, index: usize) {
        self.waiting.insert(index);
    }

    /// It needs it no more.
    pub fn forget(&mut self, index: usize) {
        self.waiting.remove(&index);
    }

    /// The next instant at which something must be asked.
    pub fn deadline(&self) -> Option<Time> {
        (!self.waiting.is_empty() && !self.asking).then_some(self.retry_at)
    }
}

impl Consumer {
    /// Asks the coordinator for all committed offsets that are missing.
    pub(super) fn ask_for_committed(&mut self, now: Now, io: &mut Io<'_>) {
        let group = self.group_mut();
        if group.committed.deadline().is_none_or(|at| at > now.mono) || group.closing.is_some() {
            return;
        }
        let waiting = std::mem::take(&mut self.group_mut().committed.waiting);
        // The application may have sought in the meantime.
        let waiting: BTreeSet<usize> = waiting
            .into_iter()
            .filter(|index| self.partitions[*index].state == FetchState::AwaitCommitted)
            .collect();
        self.group_mut().committed.waiting = waiting.clone();
        if waiting.is_empty() {
            return;
        }
        let Some(coordinator) = self.coordinator(now, io, ApiKey::OffsetFetch) else { return };
        let mut topics: BTreeMap<TopicName, Vec<i32>> = BTreeMap::new();
        let mut asked = Vec::new();
        for index in waiting {
            let assigned = &self.partitions[index];
            topics.entry(self.topic_name(index)).or_default().push(assigned.partition);
            asked.push(Stint { index, number: assigned.stint });
        }
        let topics = topics.into_iter().map(|(name, partitions)| {
            OffsetFetchRequestTopics::default().with_name(name).with_partition_indexes(partitions)
        });
        let group = self.group_mut();
        group.committed.asking = true;
        let mut body = OffsetFetchRequestGroup::default()
            .with_group_id(GroupId(group.config.group_id.clone()))
            .with_topics(Some(topics.collect()))
            .with_member_epoch(-1);
        if let (GroupProtocol::Consumer, Some(joined)) = (group.config.protocol, group.joined()) {
            body = body.with_member_id(Some(joined.member_id)).with_member_epoch(joined.epoch);
        }
        // KIP-447: an offset that a transaction is about to replace is waited for.
        let body = OffsetFetchRequest::default().with_groups(vec![body]).with_require_stable(true);
        let message = (ApiKey::OffsetFetch, RequestKind::OffsetFetch(body));
        self.ask_coordinator(now, io, coordinator, message, Question::Committed(asked));
    }

    /// The answer to an OffsetFetch request; `None` if there was none.
    pub(super) fn committed_told(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        asked: Vec<Stint>,
        response: Option<OffsetFetchResponse>,
    ) {
        self.group_mut().committed.asking = false;
        let group = response.and_then(|mut response| response.groups.pop());
        let error = group.as_ref().and_then(|group| ErrorCode::try_from_code(group.error_code));
        match error {
            Some(error) if is_coordinator_gone(error) => self.group_mut().coordinator.forget(),
            Some(error @ (ErrorCode::GroupAuthorizationFailed | ErrorCode::InvalidGroupId)) => {
                return self.fail_group(error);
            }
            _ => {}
        }
        if let (Some(group), None) = (group, error) {
            for topic in group.topics {
                for told in topic.partitions {
                    self.partition_committed(&asked, &topic.name, &told);
                }
            }
        }
        let missing = asked.iter().any(|stint| {
            self.is_current(*stint) && self.group_mut().committed.waiting.contains(&stint.index)
        });
        let retry = self.config.network.retry;
        let committed = &mut self.group_mut().committed;
        if missing {
            committed.retry_at = now.mono + retry.wait(committed.failures, io.rng);
            committed.failures += 1;
        } else {
            committed.failures = 0;
        }
    }

    /// Whether a partition still is what it was.
    pub(super) fn is_current(&self, stint: Stint) -> bool {
        let assigned = &self.partitions[stint.index];
        assigned.owned && assigned.stint == stint.number
    }

    fn partition_committed(
        &mut self,
        asked: &[Stint],
        topic: &TopicName,
        told: &OffsetFetchResponsePartitions,
    ) {
        let slot = self.network.metadata().slot_by_name(topic);
        let index = slot.and_then(|slot| self.indexes.get(&(slot, told.partition_index)).copied());
        let stint = asked.iter().find(|stint| Some(stint.index) == index);
        let Some(Stint { index, .. }) = stint.copied().filter(|stint| self.is_current(*stint)) else {
            return;
        };
        // Errors of a partition pass: a transaction has yet to end (UNSTABLE_OFFSET_COMMIT), the coordinator has yet to learn
        // of the topic.
        if told.error_code != 0 || self.partitions[index].state != FetchState::AwaitCommitted {
            return;
        }
        self.group_mut().committed.forget(index);
        if told.committed_offset < 0 {
            return self.reset(index);
        }
        let offset = Offset(told.committed_offset);
        self.partitions[index].committed = Some(offset);
        let offset_epoch = LeaderEpoch(told.committed_leader_epoch);
        self.jump(index, Position { offset, offset_epoch });
        if offset_epoch != LeaderEpoch::NONE {
            // The offset may be of a part of the log that has been truncated since (KIP-320).
            self.partitions[index].state = FetchState::AwaitValidation;
            self.to_ask.insert(index);
        }
    }
}
