//! Committed offsets, of groups of both protocols and of those without members.

mod commit;
mod delete;
mod fetch;

use std::collections::{BTreeMap, BTreeSet};

use trial_node::view::CoordinatorEntry;
use trial_node::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use trial_wire::{StrBytes, Uuid};

pub(super) use commit::{commit, commit_in_transaction};
pub(super) use delete::{delete, expire};
pub(super) use fetch::fetch;

use super::context::owned;
use super::record::{GroupRecord, OffsetCommit, OffsetCommitKey};
use crate::{Marker, Record};

/// The offsets of all groups. Only records and markers change them.
#[derive(Clone, Debug, Default)]
pub(super) struct Offsets {
    groups: BTreeMap<StrBytes, GroupOffsets>,
    /// The groups in which a producer's open transaction has committed offsets.
    open: BTreeMap<ProducerId, BTreeSet<StrBytes>>,
    /// Topics that were seen to exist, by the id that they had: only these can be seen to have gone.
    topics: BTreeMap<StrBytes, Uuid>,
}

/// A group's offsets.
#[derive(Clone, Debug, Default)]
pub(super) struct GroupOffsets {
    committed: TopicOffsets,
    /// What open transactions have committed: it counts once they are (KIP-98).
    pending: BTreeMap<ProducerId, TopicOffsets>,
}

/// Offsets by topic and partition.
type TopicOffsets = BTreeMap<StrBytes, BTreeMap<i32, CommittedOffset>>;

#[derive(Clone, Debug)]
struct CommittedOffset {
    /// Where in the log it says so: the latest counts, whenever its transaction ended.
    record: Offset,
    offset: Offset,
    leader_epoch: LeaderEpoch,
    metadata: StrBytes,
    commit_timestamp_ms: i64,
    expire_timestamp_ms: Option<i64>,
}

impl Offsets {
    /// Takes in a record that is in the log.
    pub(super) fn replay(
        &mut self,
        record: Offset,
        transaction: Option<(ProducerId, ProducerEpoch)>,
        key: OffsetCommitKey<'_>,
        value: Option<OffsetCommit<'_>>,
    ) {
        let Some(value) = value else {
            self.remove(key);
            return;
        };
        let group = match self.groups.get_mut(key.group.as_bytes()) {
            Some(group) => group,
            None => self.groups.entry(owned(key.group)).or_default(),
        };
        let offsets = match transaction {
            None => &mut group.committed,
            Some((producer_id, _)) => {
                let groups = self.open.entry(producer_id).or_default();
                if !groups.contains(key.group.as_bytes()) {
                    groups.insert(owned(key.group));
                }
                group.pending.entry(producer_id).or_default()
            }
        };
        let partitions = match offsets.get_mut(key.topic.as_bytes()) {
            Some(partitions) => partitions,
            None => offsets.entry(owned(key.topic)).or_default(),
        };
        let committed = CommittedOffset {
            record,
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: if value.metadata.is_empty() { StrBytes::new() } else { owned(value.metadata) },
            commit_timestamp_ms: value.commit_timestamp_ms,
            expire_timestamp_ms: value.expire_timestamp_ms,
        };
        partitions.insert(key.partition, committed);
    }

    /// Takes in the end of a transaction.
    pub(super) fn replay_marker(&mut self, marker: Marker) {
        let groups = self.open.remove(&marker.producer_id).unwrap_or_default();
        for id in groups {
            let Some(group) = self.groups.get_mut(&id) else { continue };
            let pending = group.pending.remove(&marker.producer_id).unwrap_or_default();
            if marker.commit {
                for (topic, partitions) in pending {
                    let committed = group.committed.entry(topic).or_default();
                    for (partition, offset) in partitions {
                        if committed.get(&partition).is_none_or(|before| before.record < offset.record) {
                            committed.insert(partition, offset);
                        }
                    }
                }
            }
            self.drop_if_nothing_is_left(&id);
        }
    }

    /// Calls `each` with every [`CoordinatorEntry::Offset`] by group, topic and partition, then with every
    /// [`CoordinatorEntry::PendingOffset`] by group, producer, topic and partition.
    pub(super) fn entries(&self, each: &mut dyn FnMut(CoordinatorEntry<'_>)) {
        for (group, offsets) in &self.groups {
            for (topic, partition, committed) in iter(&offsets.committed) {
                each(CoordinatorEntry::Offset {
                    group,
                    topic,
                    partition,
                    offset: committed.offset,
                    leader_epoch: committed.leader_epoch,
                });
            }
        }
        for (group, offsets) in &self.groups {
            for (&producer_id, pending) in &offsets.pending {
                for (topic, partition, committed) in iter(pending) {
                    let offset = committed.offset;
                    each(CoordinatorEntry::PendingOffset { group, producer_id, topic, partition, offset });
                }
            }
        }
    }

    /// Appends the tombstones of all offsets of a group, also those of open transactions, to `records`.
    pub(super) fn tombstones(&self, group: &StrBytes, records: &mut Vec<Record>) {
        let Some(offsets) = self.groups.get(group) else { return };
        let all = offsets.pending.values().chain([&offsets.committed]).flat_map(iter);
        let keys: BTreeSet<_> =
            all.map(|(topic, partition, _)| OffsetCommitKey { group, topic, partition }).collect();
        records.extend(keys.into_iter().map(tombstone));
    }

    fn group(&self, group: &StrBytes) -> Option<&GroupOffsets> {
        self.groups.get(group)
    }

    fn remove(&mut self, key: OffsetCommitKey<'_>) {
        let Some(group) = self.groups.get_mut(key.group.as_bytes()) else { return };
        for offsets in group.pending.values_mut().chain([&mut group.committed]) {
            if let Some(partitions) = offsets.get_mut(key.topic.as_bytes()) {
                partitions.remove(&key.partition);
                if partitions.is_empty() {
                    offsets.remove(key.topic.as_bytes());
                }
            }
        }
        self.drop_if_nothing_is_left(key.group);
    }

    /// A transaction stays open in a group even if all that it committed there was deleted: only its marker ends it.
    fn drop_if_nothing_is_left(&mut self, group: &str) {
        let is_empty = |offsets: &GroupOffsets| offsets.committed.is_empty() && offsets.pending.is_empty();
        if self.groups.get(group.as_bytes()).is_some_and(is_empty) {
            self.groups.remove(group.as_bytes());
        }
    }
}

impl GroupOffsets {
    fn committed(&self, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        self.committed.get(topic.as_bytes())?.get(&partition)
    }

    /// Whether an open transaction has committed an offset of the partition.
    fn is_pending(&self, topic: &str, partition: i32) -> bool {
        self.pending.values().any(|offsets| {
            offsets.get(topic.as_bytes()).is_some_and(|offsets| offsets.contains_key(&partition))
        })
    }
}

fn iter(offsets: &TopicOffsets) -> impl Iterator<Item = (&StrBytes, i32, &CommittedOffset)> {
    offsets.iter().flat_map(|(topic, offsets)| {
        offsets.iter().map(move |(partition, committed)| (topic, *partition, committed))
    })
}

fn tombstone(key: OffsetCommitKey<'_>) -> Record {
    GroupRecord::Offset { key, value: None }.encode()
}
