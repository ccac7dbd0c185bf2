//! Where records wait to be sent: a queue of batches for each partition, bounded by `buffer.memory`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use trial_node::{Rng, Time};
use trial_wire::batch::HEADER_LEN;

use crate::network::{Metadata, TopicSlot};

use super::batch::{BatchId, CompressionRatio, ProducerBatch, ProducerRecord};
use super::config::ProducerConfig;
use super::idempotence::PartitionSequences;
use super::partitioner::{StickyPartitioner, partition_for_key};

/// A partition of a topic that the producer writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    pub topic: TopicSlot,
    pub partition: usize,
}

/// The batches of one partition.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    /// Those to send, in order.
    pub waiting: VecDeque<BatchId>,
    /// A request is in flight, and the order of batches must not depend on whether it succeeds.
    pub muted: bool,
    /// The idempotent producer's order.
    pub sequences: PartitionSequences,
    /// What the index of due queues says of this one.
    due: Option<Time>,
}

#[derive(Clone, Debug)]
struct TopicQueues {
    queues: Vec<Queue>,
    sticky: StickyPartitioner,
    ratio: CompressionRatio,
}

/// `buffer.memory` is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BufferFull;

#[derive(Clone, Debug)]
pub(super) struct Accumulator {
    config: ProducerConfig,
    batches: BTreeMap<BatchId, ProducerBatch>,
    topics: Vec<TopicQueues>,
    /// Every queue that is not empty, by the instant from which its first batch should be sent.
    due: BTreeSet<(Time, Slot)>,
    /// Every batch, by the instant at which it is given up.
    expiry: BTreeSet<(Time, BatchId)>,
    free: usize,
    last_id: u64,
    /// Nothing lingers: the application waits for all that is here, or for memory.
    hurried: bool,
}

impl Accumulator {
    pub fn new(config: ProducerConfig) -> Accumulator {
        Accumulator {
            free: config.buffer_memory,
            config,
            batches: BTreeMap::new(),
            topics: Vec::new(),
            due: BTreeSet::new(),
            expiry: BTreeSet::new(),
            last_id: 0,
            hurried: false,
        }
    }

    pub fn queue(&self, slot: Slot) -> &Queue {
        &self.topics[slot.topic.0].queues[slot.partition]
    }

    pub fn queue_mut(&mut self, slot: Slot) -> &mut Queue {
        &mut self.topics[slot.topic.0].queues[slot.partition]
    }

    pub fn batch(&self, id: BatchId) -> Option<&ProducerBatch> {
        self.batches.get(&id)
    }

    pub fn batch_mut(&mut self, id: BatchId) -> Option<&mut ProducerBatch> {
        self.batches.get_mut(&id)
    }

    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// All batches, waiting or in flight, in the order in which they were begun.
    pub fn batch_ids(&self) -> Vec<BatchId> {
        self.batches.keys().copied().collect()
    }

    /// The partition for the next record, given how many the topic has.
    pub fn choose_partition(
        &mut self,
        metadata: &Metadata,
        topic: TopicSlot,
        partitions: usize,
        record: &ProducerRecord<'_>,
        rng: &mut Rng,
    ) -> Slot {
        let queues = self.topic_mut(topic, partitions);
        let partition = match (record.partition, record.key) {
            (Some(partition), _) => partition as usize,
            (None, Some(key)) => partition_for_key(key, partitions),
            (None, None) => queues.sticky.partition(metadata, topic, partitions, rng),
        };
        Slot { topic, partition }
    }

    fn topic_mut(&mut self, topic: TopicSlot, partitions: usize) -> &mut TopicQueues {
        while self.topics.len() <= topic.0 {
            self.topics.push(TopicQueues {
                queues: Vec::new(),
                sticky: StickyPartitioner::default(),
                ratio: CompressionRatio::of(self.config.compression),
            });
        }
        let queues = &mut self.topics[topic.0];
        if queues.queues.len() < partitions {
            queues.queues.resize(partitions, Queue::default());
        }
        queues
    }

    /// Puts a record into the last batch of its partition, or begins one.
    pub fn append(&mut self, now: Time, slot: Slot, record: &ProducerRecord<'_>) -> Result<(), BufferFull> {
        let bound = record.size_bound();
        let TopicQueues { queues, ratio, sticky } = &mut self.topics[slot.topic.0];
        let queue = &mut queues[slot.partition];
        let last = queue.waiting.back().copied();
        let mut appended = None;
        if let Some(id) = last {
            let batch = self.batches.get_mut(&id).expect("queued batches exist");
            if batch.has_room(bound, self.config.batch_size, ratio) {
                let before = batch.estimated_size(ratio);
                batch.push(record);
                appended = Some((id, batch.estimated_size(ratio) - before));
            } else {
                batch.close();
            }
        }
        let (id, bytes) = match appended {
            Some(appended) => appended,
            None => {
                let charge = self.config.batch_size.max(HEADER_LEN + bound);
                if charge > self.free {
                    self.reschedule(slot);
                    return Err(BufferFull);
                }
                self.free -= charge;
                self.last_id += 1;
                let id = BatchId(self.last_id);
                let mut batch = ProducerBatch::new(slot, now, self.config.compression, charge);
                if self.config.transactional_id.is_some() {
                    batch.transactional();
                }
                batch.push(record);
                let size = batch.estimated_size(ratio);
                self.batches.insert(id, batch);
                queue.waiting.push_back(id);
                self.expiry.insert((now + self.config.delivery_timeout, id));
                (id, size)
            }
        };
        let full = self.batches[&id].is_full(self.config.batch_size, ratio);
        if record.key.is_none() && record.partition.is_none() {
            sticky.appended(bytes, self.config.batch_size, full);
        }
        self.reschedule(slot);
        Ok(())
    }

    /// Enters a queue into the index of due queues anew, after it or its first batch has changed.
    pub fn reschedule(&mut self, slot: Slot) {
        let TopicQueues { queues, ratio, .. } = &mut self.topics[slot.topic.0];
        let queue = &mut queues[slot.partition];
        let due = queue.waiting.front().map(|id| {
            let first = &self.batches[id];
            if first.attempts > 0 {
                first.retry_at
            } else if self.hurried || queue.waiting.len() > 1 || first.is_full(self.config.batch_size, ratio)
            {
                first.created
            } else {
                first.created + self.config.linger
            }
        });
        if due != queue.due {
            if let Some(old) = queue.due {
                self.due.remove(&(old, slot));
            }
            if let Some(new) = due {
                self.due.insert((new, slot));
            }
            queue.due = due;
        }
    }

    /// Says whether batches are to be sent at once, without lingering.
    pub fn hurry(&mut self, hurried: bool) {
        if self.hurried != hurried {
            self.hurried = hurried;
            for slot in self.waiting_slots() {
                self.reschedule(slot);
            }
        }
    }

    /// Every partition with something to send, the one that has been due the longest first.
    pub fn waiting_slots(&self) -> Vec<Slot> {
        self.due.iter().map(|(_, slot)| *slot).collect()
    }

    /// The partitions whose first batch is due.
    pub fn due_slots(&self, now: Time) -> impl Iterator<Item = Slot> + '_ {
        self.due.iter().take_while(move |(at, _)| *at <= now).map(|(_, slot)| *slot)
    }

    /// When the first of all batches is or was due.
    pub fn first_due(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The next instant at which a batch becomes due that is not due yet.
    pub fn next_due(&self, now: Time) -> Option<Time> {
        let last = Slot { topic: TopicSlot(usize::MAX), partition: usize::MAX };
        self.due.range((now, last)..).next().map(|(at, _)| *at)
    }

    /// The next instant at which a batch is given up.
    pub fn next_expiry(&self) -> Option<Time> {
        self.expiry.first().map(|(at, _)| *at)
    }

    /// A batch that has reached its delivery time-out, the oldest first.
    pub fn next_expired(&self, now: Time) -> Option<BatchId> {
        self.expiry.first().filter(|(at, _)| *at <= now).map(|(_, id)| *id)
    }

    /// Takes a queue's first batch, to send it.
    pub fn take_first(&mut self, slot: Slot) -> Option<BatchId> {
        let id = self.queue_mut(slot).waiting.pop_front()?;
        self.batches.get_mut(&id).expect("queued batches exist").queued = false;
        self.reschedule(slot);
        Some(id)
    }

    /// The size that the queue's first batch will have.
    pub fn estimated_size(&self, id: BatchId) -> usize {
        let batch = &self.batches[&id];
        batch.estimated_size(&self.topics[batch.slot.topic.0].ratio)
    }

    /// The bytes of a batch.
    pub fn build(&mut self, id: BatchId) -> bytes::Bytes {
        let batch = self.batches.get_mut(&id).expect("only batches that exist are sent");
        batch.build(&mut self.topics[batch.slot.topic.0].ratio)
    }

    /// Puts a batch back into its queue after a failed attempt: in front of all, or, if its producer is idempotent, where
    /// its sequence belongs.
    pub fn reenqueue(&mut self, id: BatchId) {
        let batch = self.batches.get_mut(&id).expect("only batches that exist are sent");
        batch.queued = true;
        let (slot, sequence) = (batch.slot, batch.sequence);
        let TopicQueues { queues, .. } = &mut self.topics[slot.topic.0];
        let waiting = &mut queues[slot.partition].waiting;
        let earlier = |other: &BatchId| match (self.batches[other].sequence, sequence) {
            (Some(other), Some(ours)) => other < ours,
            _ => false,
        };
        let at = waiting.iter().take_while(|other| earlier(other)).count();
        waiting.insert(at, id);
        self.reschedule(slot);
    }

    /// Puts the parts of a batch that was split in its place, as if they had never been tried.
    pub fn enqueue_parts(&mut self, parts: Vec<ProducerBatch>) -> Vec<BatchId> {
        let ids: Vec<BatchId> = (1..=parts.len() as u64).map(|i| BatchId(self.last_id + i)).collect();
        self.last_id += parts.len() as u64;
        for (id, part) in ids.iter().zip(parts).rev() {
            self.topics[part.slot.topic.0].ratio.reset();
            self.expiry.insert((part.created + self.config.delivery_timeout, *id));
            self.batches.insert(*id, part);
            self.reenqueue(*id);
        }
        ids
    }

    /// Takes a batch out for good and frees its memory.
    pub fn remove(&mut self, id: BatchId) -> Option<ProducerBatch> {
        let batch = self.batches.remove(&id)?;
        self.expiry.remove(&(batch.created + self.config.delivery_timeout, id));
        self.free += batch.charged;
        if batch.queued {
            self.queue_mut(batch.slot).waiting.retain(|waiting| *waiting != id);
            self.reschedule(batch.slot);
        }
        Some(batch)
    }
}
