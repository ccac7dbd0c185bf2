//! What the replicas hold, as read from their logs, and what is committed, as their high watermarks claim.

use std::collections::BTreeMap;

use crate::chunked::Chunked;
use trial_node::view::{BatchView, BrokerView, MetadataView, QuorumView};
use trial_node::{Disk, DiskError, LeaderEpoch, NodeId, Offset, TopicIdPartition, TopicPartition};

/// Batches in offset order, from the first that the log still has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batches(Chunked<BatchView>);

impl Batches {
    /// The offset after the last batch; `log_start` if there is none.
    fn end(&self, log_start: Offset) -> Offset {
        self.0.last().map_or(log_start, |batch| batch.last_offset + 1).max(log_start)
    }

    /// All batches.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &BatchView> + Clone {
        self.0.iter()
    }

    /// The batches that end at or after `from`.
    pub(crate) fn from(&self, from: Offset) -> impl Iterator<Item = &BatchView> + Clone {
        self.0.range(first_from(&self.0, from)..self.0.len())
    }

    /// The batches that hold an offset in `from..to`.
    pub(crate) fn range(&self, from: Offset, to: Offset) -> impl Iterator<Item = &BatchView> + Clone {
        let (first, mut end) = (first_from(&self.0, from), self.0.len());
        if self.0.last().is_some_and(|last| last.base_offset >= to) {
            end = self.0.partition_point(first..end, |b| b.base_offset < to);
        }
        self.0.range(first..end)
    }

    /// Takes batches over from another log, of an offset in `from..to`.
    fn extend_from(&mut self, other: &Batches, from: Offset, to: Offset) {
        self.0.extend(other.range(from, to).copied());
    }
}

/// The index of the first batch that ends at or after `from`. Nearly always it is one of the last few: looks from the end in
/// growing steps before it halves.
pub(crate) fn first_from(batches: &Chunked<BatchView>, from: Offset) -> usize {
    let (mut low, mut high, mut step) = (batches.len(), batches.len(), 1);
    while low > 0 && batches.get(low - 1).is_some_and(|b| b.last_offset >= from) {
        high = low - 1;
        low = high.saturating_sub(step);
        step *= 2;
    }
    batches.partition_point(low..high, |b| b.last_offset < from)
}

/// The first offset in `from..to` where two logs differ, with what each holds there.
pub(crate) fn first_difference(
    one: &Batches,
    other: &Batches,
    from: Offset,
    to: Offset,
) -> Option<(Option<BatchView>, Option<BatchView>)> {
    let (mut a, mut b) = (one.range(from, to), other.range(from, to));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return None,
            (Some(x), Some(y)) if same_batch(x, y) => {}
            (x, y) => return Some((x.copied(), y.copied())),
        }
    }
}

/// Whether two logs' batches are one and the same: a leader writes an offset once in its epoch, and the CRC covers the rest.
pub(crate) fn same_batch(a: &BatchView, b: &BatchView) -> bool {
    (a.base_offset, a.last_offset, a.leader_epoch, a.crc)
        == (b.base_offset, b.last_offset, b.leader_epoch, b.crc)
}

/// A batch in evidence.
pub(crate) fn show(batch: Option<BatchView>) -> String {
    match batch {
        None => "no batch there".to_owned(),
        Some(b) => format!(
            "batch {}..={} of leader epoch {} (crc {:#010x}, producer {} epoch {} sequence {})",
            b.base_offset,
            b.last_offset,
            b.leader_epoch,
            b.crc,
            b.producer_id,
            b.producer_epoch,
            b.base_sequence
        ),
    }
}

/// What of a replica is not its log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Head {
    pub(crate) leader: bool,
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) log_start_offset: Offset,
    /// Where the batches in its files end, whatever the broker says.
    pub(crate) log_end_offset: Offset,
    pub(crate) high_watermark: Offset,
    truncations: u64,
    /// Its process runs.
    pub(crate) up: bool,
    /// Where its log ended when its broker lost power, until the log is as long again: it may have acknowledged up to there
    /// and lost what was not synced. It explains nothing beyond.
    pub(crate) before_power_loss: Option<Offset>,
}

/// One replica as last seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replica {
    pub(crate) head: Head,
    pub(crate) isr: Vec<NodeId>,
    pub(crate) batches: Batches,
}

/// What is committed in one partition: everything below the highest high watermark that any replica ever claimed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Committed {
    pub(crate) batches: Batches,
    pub(crate) end: Offset,
}

/// What a partition's logs had when the run began, of a cluster that began with data: the batches below this end that are not of a
/// newer epoch, which is who led after that. Whether it was right to write them nobody can tell any more.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Inherited {
    pub(crate) end: Offset,
    epoch: LeaderEpoch,
}

impl Inherited {
    /// Whether a batch was there already.
    pub(crate) fn has(self, batch: &BatchView) -> bool {
        batch.base_offset < self.end && batch.leader_epoch <= self.epoch
    }
}

/// All replicas of all partitions, dead brokers' as they were last seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClusterModel {
    slots: BTreeMap<TopicIdPartition, Slot>,
    partitions: Vec<Partition>,
    /// The batches that the last look at a replica found.
    appended: Vec<BatchView>,
    /// Where the partition is that was asked for by name last.
    last_named: u32,
    /// Brokers began with logs that nobody has seen.
    pub(crate) began_with_data: bool,
    /// The newest metadata that any broker has applied: up to where, its digest, and each partition.
    decided: (MetadataView, BTreeMap<TopicIdPartition, Decided>),
}

/// What the controller has decided of a partition.
#[derive(Clone, Debug)]
struct Decided {
    leader_epoch: LeaderEpoch,
    isr: Vec<NodeId>,
    elr: Vec<NodeId>,
}

/// Where the model keeps a partition; properties, too, know partitions by it, since it is quick to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(u32);

/// Something for each partition, by its slot.
#[derive(Clone, Debug)]
pub(crate) struct PerSlot<T>(Vec<T>);

impl<T> Default for PerSlot<T> {
    fn default() -> Self {
        PerSlot(Vec::new())
    }
}

impl<T: Default> PerSlot<T> {
    /// What there is for a partition.
    pub(crate) fn of(&mut self, slot: Slot) -> &mut T {
        let index = slot.0 as usize;
        if self.0.len() <= index {
            self.0.resize_with(index + 1, T::default);
        }
        &mut self.0[index]
    }
}

/// The replicas of a partition, in the order in which they were seen first. They are few: looking through them takes less time
/// than a map.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replicas(Vec<(NodeId, Replica)>);

impl Replicas {
    fn place(&self, broker: NodeId) -> Option<usize> {
        self.0.iter().position(|(id, _)| *id == broker)
    }

    pub(crate) fn get(&self, broker: NodeId) -> Option<&Replica> {
        self.place(broker).map(|place| &self.0[place].1)
    }

    fn get_mut(&mut self, broker: NodeId) -> Option<&mut Replica> {
        self.place(broker).map(|place| &mut self.0[place].1)
    }

    /// The place of a broker's replica, made if it is new.
    fn place_or_new(&mut self, broker: NodeId) -> usize {
        self.place(broker).unwrap_or_else(|| {
            self.0.push((broker, Replica::default()));
            self.0.len() - 1
        })
    }
}

#[derive(Clone, Debug)]
struct Partition {
    id: TopicIdPartition,
    name: TopicPartition,
    replicas: Replicas,
    committed: Committed,
    inherited: Inherited,
    /// Some replica may have been compacted, and others may have fetched from it.
    compacted: bool,
}

/// What one look at a replica found, owned.
#[derive(Debug)]
pub(crate) struct ChangeFound {
    slot: Slot,
    broker: NodeId,
    /// Where the partition has the replica.
    place: usize,
    before: Head,
    truncated_to: Option<Offset>,
    inherited_before: Offset,
    /// It is how it was when its log directory failed, in this step.
    pub(crate) lost: bool,
}

/// What is new at a replica.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    /// The partition.
    pub(crate) slot: Slot,
    /// The partition by name, for evidence.
    pub(crate) name: &'a TopicPartition,
    /// Whose replica.
    pub(crate) broker: NodeId,
    /// As it was before.
    pub(crate) before: Head,
    /// As it is.
    pub(crate) now: &'a Replica,
    /// The batches that were not there before.
    pub(crate) appended: &'a [BatchView],
    /// If the log was cut: the offset up to which it is as before.
    pub(crate) truncated_to: Option<Offset>,
    /// What was committed before this change.
    pub(crate) committed: &'a Committed,
    /// What was there when the run began, as far as it has been seen.
    pub(crate) inherited: Inherited,
    /// Up to where that had been seen before this change.
    pub(crate) inherited_before: Offset,
    /// Whether the partition's logs may have been compacted: then each replica writes its batches anew as it likes, and only
    /// their records can be compared.
    pub(crate) compacted: bool,
}

impl Change<'_> {
    /// The high watermark, if it is a leader's that has just moved up: everything below it is called committed.
    pub(crate) fn claimed(&self) -> Option<Offset> {
        let head = self.now.head;
        (head.leader && head.high_watermark > self.before.high_watermark).then_some(head.high_watermark)
    }

    /// What [`Change::claimed`] means, for evidence.
    pub(crate) fn claim(&self) -> String {
        let (Change { broker, name, before, now, .. }, epoch) = (self, self.now.head.leader_epoch);
        let (from, to) = (before.high_watermark, now.head.high_watermark);
        format!(
            "broker {broker} leads {name} in epoch {epoch} and moved its high watermark from {from} to {to}"
        )
    }
}

impl ChangeFound {
    pub(crate) fn borrow<'a>(&'a self, model: &'a ClusterModel) -> Change<'a> {
        let partition = &model.partitions[self.slot.0 as usize];
        let now = &partition.replicas.0[self.place].1;
        Change {
            slot: self.slot,
            name: &partition.name,
            broker: self.broker,
            before: self.before,
            now,
            appended: &model.appended,
            truncated_to: self.truncated_to,
            committed: &partition.committed,
            inherited: partition.inherited,
            inherited_before: self.inherited_before,
            compacted: partition.compacted,
        }
    }
}

impl ClusterModel {
    /// Looks at a replica and tells what is new; `None` if it is gone.
    pub(crate) fn update(
        &mut self,
        broker: &dyn BrokerView,
        disk: &mut dyn Disk,
        tp: TopicIdPartition,
    ) -> Result<Option<ChangeFound>, DiskError> {
        let node = broker.node_id();
        let there = broker.replica(tp);
        let lost = there.is_none();
        let Some(view) = there.or_else(|| broker.lost_replica(tp)) else {
            // A removed replica (deleted topic) holds nothing that must be kept. What it held is remembered: the leader may not
            // have heard of the deletion, and count on it.
            let partition = self.slots.get(&tp).map(|slot| &mut self.partitions[slot.0 as usize]);
            if let Some(replica) = partition.and_then(|partition| partition.replicas.get_mut(node)) {
                replica.head = Head { leader: false, up: false, ..replica.head };
                replica.batches = Batches::default();
            }
            return Ok(None);
        };
        let partitions = &mut self.partitions;
        let slot = *self.slots.entry(tp).or_insert_with(|| {
            let name = TopicPartition { topic: view.topic.clone(), partition: tp.partition };
            partitions.push(Partition {
                id: tp,
                name,
                replicas: Replicas::default(),
                committed: Committed::default(),
                inherited: Inherited::default(),
                compacted: false,
            });
            Slot(partitions.len() as u32 - 1)
        });
        let Partition { replicas, committed, inherited, compacted, .. } = &mut partitions[slot.0 as usize];
        *compacted |= view.compacted;
        let known = replicas.0.len();
        let place = replicas.place_or_new(node);
        let is_new = replicas.0.len() > known;
        let replica = &mut replicas.0[place].1;
        let before = replica.head;
        let appended = &mut self.appended;
        appended.clear();
        let truncated_to = if !before.up
            || view.truncations != before.truncations
            || view.log_end_offset < before.log_end_offset
        {
            broker.batches(disk, tp, view.log_start_offset, &mut |b| appended.push(b))?;
            replica.batches.replace(view.log_start_offset, *compacted, appended)
        } else {
            if view.log_end_offset > before.log_end_offset {
                broker.batches(disk, tp, before.log_end_offset, &mut |b| appended.push(b))?;
                replica.batches.0.extend(appended.iter().copied());
            }
            None
        };
        if replica.isr != view.isr {
            replica.isr = view.isr.to_vec();
        }
        let log_end_offset = replica.batches.end(view.log_start_offset);
        replica.head = Head {
            leader: view.leader,
            leader_epoch: view.leader_epoch,
            log_start_offset: view.log_start_offset,
            log_end_offset,
            high_watermark: view.high_watermark,
            truncations: view.truncations,
            up: true,
            before_power_loss: before.before_power_loss.filter(|had| log_end_offset < *had),
        };
        let inherited_before = inherited.end;
        // A replica that is seen late, after others have gone on, adds nothing that matters.
        if self.began_with_data
            && is_new
            && committed.end <= inherited.end
            && let Some(last) = replica.batches.0.last()
        {
            inherited.end = inherited.end.max(log_end_offset);
            inherited.epoch = inherited.epoch.max(last.leader_epoch);
        }
        Ok(Some(ChangeFound { slot, broker: node, place, before, truncated_to, inherited_before, lost }))
    }

    /// The replica that was looked at is gone with its log directory. Whether its log's start moved for good is seen when the
    /// directory is back.
    pub(crate) fn lost(&mut self, change: &ChangeFound) {
        let Partition { replicas, .. } = &mut self.partitions[change.slot.0 as usize];
        let replica = &mut replicas.0[change.place].1;
        let log_start_offset = change.before.log_start_offset;
        replica.head = Head { leader: false, up: false, log_start_offset, ..replica.head };
        replica.batches = Batches::default();
    }

    /// Up to where a replica's high watermark claims that the partition is committed, if that is further than before.
    pub(crate) fn newly_committed(&self, change: &ChangeFound) -> Option<Offset> {
        let Partition { replicas, committed, .. } = &self.partitions[change.slot.0 as usize];
        let head = &replicas.0[change.place].1.head;
        // What a replica claims beyond its own log is its own fault, and says nothing of the offsets between.
        Some(head.high_watermark.min(head.log_end_offset)).filter(|claimed| *claimed > committed.end)
    }

    /// Takes what a replica's high watermark claims as committed, after the properties have judged the claim.
    pub(crate) fn commit(&mut self, change: &ChangeFound) {
        let Some(claimed) = self.newly_committed(change) else { return };
        let Partition { replicas, committed, .. } = &mut self.partitions[change.slot.0 as usize];
        let batches = &replicas.0[change.place].1.batches;
        committed.batches.extend_from(batches, committed.end, claimed);
        committed.end = claimed;
    }

    pub(crate) fn down(&mut self, node: NodeId, lost_power: bool) {
        for replica in self.partitions.iter_mut().filter_map(|p| p.replicas.get_mut(node)) {
            replica.head.up = false;
            replica.head.leader = false;
            if lost_power {
                replica.head.before_power_loss =
                    replica.head.before_power_loss.max(Some(replica.head.log_end_offset));
            }
        }
    }

    /// Takes in what a broker's metadata says of the ISRs, if it is newer than what is known.
    pub(crate) fn learn(&mut self, broker: &dyn BrokerView) {
        let view = broker.metadata();
        let (known, decided) = &mut self.decided;
        if view.offset <= known.offset {
            return;
        }
        if view.digest != known.digest {
            decided.clear();
            broker.partitions(&mut |p| {
                let (isr, elr) = (p.isr.to_vec(), p.elr.to_vec());
                decided.insert(p.id, Decided { leader_epoch: p.leader_epoch, isr, elr });
            });
        }
        *known = view;
    }

    /// The ISR that the controller decided on last, as far as any broker knows, if it is of this leader epoch. The leader may
    /// not have been told yet, and must count on it all the same (KIP-497).
    pub(crate) fn decided_isr(&self, slot: Slot, epoch: LeaderEpoch) -> &[NodeId] {
        self.decided(slot, epoch).map_or(&[], |decided| &decided.isr)
    }

    /// Likewise, who is eligible to lead without being in sync (KIP-966).
    pub(crate) fn decided_elr(&self, slot: Slot, epoch: LeaderEpoch) -> &[NodeId] {
        self.decided(slot, epoch).map_or(&[], |decided| &decided.elr)
    }

    fn decided(&self, slot: Slot, epoch: LeaderEpoch) -> Option<&Decided> {
        let decided = self.decided.1.get(&self.partitions[slot.0 as usize].id);
        decided.filter(|decided| decided.leader_epoch == epoch)
    }

    /// The highest high watermark that any replica of a partition has had; of topics that were deleted and made again, that of
    /// the last one.
    pub(crate) fn committed_end(&mut self, tp: &TopicPartition) -> Option<Offset> {
        let of = |slot: u32, partitions: &[Partition]| {
            partitions.get(slot as usize).filter(|p| p.name == *tp).map(|p| p.committed.end)
        };
        // The partition that was asked for last is likely to be asked for again.
        if let Some(end) = of(self.last_named, &self.partitions) {
            return Some(end);
        }
        self.last_named = self.partitions.iter().rposition(|p| p.name == *tp)? as u32;
        of(self.last_named, &self.partitions)
    }

    /// Where a replica's log ends, for evidence, if it lacks records below `claimed`. One whose broker lost power may have lost what it
    /// had acknowledged; the controller finds out when it registers anew.
    pub(crate) fn falls_short(&self, slot: Slot, member: NodeId, claimed: Offset) -> Option<String> {
        let Some(held) = self.replicas(slot).get(member).map(|replica| replica.head) else {
            return (!self.began_with_data).then(|| "nothing".to_owned());
        };
        let holds = Some(held.log_end_offset).max(held.before_power_loss) >= Some(claimed);
        (!holds).then(|| held.log_end_offset.to_string())
    }

    /// All replicas of a partition.
    pub(crate) fn replicas(&self, slot: Slot) -> &Replicas {
        &self.partitions[slot.0 as usize].replicas
    }
}

impl Batches {
    /// Puts what was read of a whole log in the place of what was known of it. Leaves only what is new in `fresh`, and tells up to
    /// where the log is as before if it was cut there. One that is compacted is as before as far as it reaches.
    fn replace(&mut self, log_start: Offset, compacted: bool, fresh: &mut Vec<BatchView>) -> Option<Offset> {
        let mut now = Batches::default();
        now.0.extend(fresh.iter().copied());
        let before = std::mem::replace(self, now);
        if compacted {
            let (before, end) = (before.end(log_start), self.end(log_start));
            fresh.drain(..fresh.partition_point(|batch| batch.base_offset < before));
            return (end < before).then_some(end);
        }
        let known = before.0.len();
        let skipped = before.0.partition_point(0..known, |b| b.last_offset < log_start);
        let same = before.0.range(skipped..known).zip(&*fresh).take_while(|(a, b)| same_batch(a, b)).count();
        // One that begins anew behind where it ended has a hole before its start.
        let anew = skipped == known && before.0.last().is_some_and(|last| last.last_offset + 1 < log_start);
        let cut = known - skipped > same || anew;
        let end = fresh[..same].last().map_or(log_start, |b| b.last_offset + 1);
        fresh.drain(..same);
        cut.then_some(end)
    }
}

/// One node's part in the quorum as last seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct QuorumNode {
    pub(crate) view: QuorumView,
    pub(crate) batches: Batches,
    pub(crate) up: bool,
}

/// The metadata quorum: every node's log, and what is committed.
#[derive(Clone, Debug, Default)]
pub(crate) struct QuorumModel {
    nodes: BTreeMap<NodeId, QuorumNode>,
    committed: Committed,
}

/// What one look at a node's part in the quorum found, owned.
#[derive(Debug)]
pub(crate) struct QuorumChangeFound {
    node: NodeId,
    before: QuorumView,
    was_up: bool,
    truncated_to: Option<Offset>,
}

/// What is new at a node of the quorum.
#[derive(Debug)]
pub(crate) struct QuorumChange<'a> {
    pub(crate) node: NodeId,
    pub(crate) before: QuorumView,
    /// Whether `before` is of the same run of the process.
    pub(crate) was_up: bool,
    pub(crate) now: &'a QuorumNode,
    pub(crate) truncated_to: Option<Offset>,
    pub(crate) committed: &'a Committed,
}

impl QuorumChangeFound {
    pub(crate) fn borrow<'a>(&self, model: &'a QuorumModel) -> QuorumChange<'a> {
        QuorumChange {
            node: self.node,
            before: self.before,
            was_up: self.was_up,
            now: &model.nodes[&self.node],
            truncated_to: self.truncated_to,
            committed: &model.committed,
        }
    }
}

impl QuorumModel {
    /// Looks at a node's part in the quorum.
    pub(crate) fn update(
        &mut self,
        broker: &dyn BrokerView,
        disk: &mut dyn Disk,
    ) -> Result<QuorumChangeFound, DiskError> {
        let node = broker.node_id();
        let view = broker.quorum();
        let known = self.nodes.entry(node).or_default();
        let (before, was_up) = (known.view, known.up);
        let truncated_to = if !was_up
            || view.truncations != before.truncations
            || view.log_end_offset < before.log_end_offset
        {
            let mut fresh = Vec::new();
            broker.quorum_batches(disk, view.log_start_offset, &mut |b| fresh.push(b))?;
            known.batches.replace(view.log_start_offset, false, &mut fresh)
        } else {
            if view.log_end_offset > before.log_end_offset {
                let batches = &mut known.batches.0;
                broker.quorum_batches(disk, before.log_end_offset, &mut |b| batches.push(b))?;
            }
            None
        };
        known.view = view;
        known.up = true;
        Ok(QuorumChangeFound { node, before, was_up, truncated_to })
    }

    /// Takes what a node's high watermark claims as committed, after the properties have judged the claim.
    pub(crate) fn commit(&mut self, change: &QuorumChangeFound) {
        let node = &self.nodes[&change.node];
        let claimed = node.view.high_watermark.unwrap_or(Offset::ZERO);
        let claimed = claimed.min(node.batches.end(node.view.log_start_offset));
        if claimed > self.committed.end {
            self.committed.batches.extend_from(&node.batches, self.committed.end, claimed);
            self.committed.end = claimed;
        }
    }

    pub(crate) fn down(&mut self, node: NodeId) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.up = false;
        }
    }
}
