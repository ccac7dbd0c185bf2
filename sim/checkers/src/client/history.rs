//! What the clients' events add up to.

use std::collections::{BTreeMap, BTreeSet};

use trial_node::{ClientEvent, Content, GroupEvent, Offset, PolledRecord, RecordId, Time, TopicPartition};
use trial_wire::{TopicName, Uuid};

use crate::chunked::Chunked;
use crate::client::position::Positions;
use crate::client::transactions::{Transaction, Transactions};
use crate::deletion::Gone;
use crate::load::Load;

/// One record of a workload. There is one for each record of a run, so it is packed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    acked: Place,
    read: Place,
    audited: Place,
    /// The transaction's number and 1; 0 for none.
    transaction: u32,
    /// `acks=all`: an acknowledgement is a promise.
    pub(crate) promised: bool,
    /// The producer promises order and no duplicates.
    pub(crate) idempotent: bool,
    /// The producer reported a failure after which the record must not exist.
    pub(crate) refused: bool,
    invoked: bool,
}

/// An offset of a partition, or nowhere.
#[derive(Clone, Copy, Debug, Default)]
#[repr(Rust, packed(4))]
struct Place {
    offset: i64,
    /// The partition's slot and 1; 0 for nowhere.
    slot: u32,
}

impl Place {
    fn new(slot: u32, offset: Offset) -> Place {
        Place { offset: offset.0, slot: slot + 1 }
    }

    fn get(self) -> Option<(u32, Offset)> {
        Some((self.slot.checked_sub(1)?, Offset(self.offset)))
    }
}

impl Sent {
    /// Where it was acknowledged: the partition's slot and the offset.
    pub(crate) fn acked(&self) -> Option<(u32, Offset)> {
        self.acked.get()
    }

    /// Where it was first read: the partition's slot and the offset.
    pub(crate) fn read(&self) -> Option<(u32, Offset)> {
        self.read.get()
    }

    /// Where the audit found it first: the partition's slot and the offset.
    pub(crate) fn audited(&self) -> Option<(u32, Offset)> {
        self.audited.get()
    }

    /// The transaction that it belongs to.
    pub(crate) fn transaction(&self) -> Option<u32> {
        self.transaction.checked_sub(1)
    }
}

/// One partition as clients know it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// What was first read at each offset.
    pub(crate) values: Chunked<Option<RecordId>>,
    /// The furthest that a consumer has got.
    pub(crate) read_to: Offset,
    /// Offsets that were acknowledged but not read, with what was acknowledged there.
    pub(crate) acked: BTreeMap<Offset, RecordId>,
    /// What may have been deleted, or compacted away.
    pub(crate) gone: Gone,
    /// What the audit found, in the order of the offsets: a record that is there twice is here twice.
    pub(crate) audited: Chunked<(Offset, Option<RecordId>)>,
}

impl Known {
    /// What was first read at an offset.
    pub(crate) fn value(&self, offset: Offset) -> Option<RecordId> {
        usize::try_from(offset.0).ok().and_then(|i| self.values.get(i).copied().flatten())
    }
}

/// A client's event as properties see it: one record at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'a> {
    /// A record was acknowledged.
    Acked { id: RecordId, tp: &'a TopicPartition, offset: Offset },
    /// A producer gave up on a record.
    Failed { id: RecordId, error: &'static str, ambiguous: bool },
    /// A consumer handed a record to its application.
    Polled { consumer: u32, tp: &'a TopicPartition, offset: Offset, id: Option<RecordId> },
    /// What is not about several records, as it came.
    Single(&'a ClientEvent),
}

impl Event<'_> {
    /// The record that it is about, if there is one and was one before.
    pub(crate) fn id(&self) -> Option<RecordId> {
        match self {
            Event::Acked { id, .. } | Event::Failed { id, .. } => Some(*id),
            Event::Polled { id, .. } => *id,
            Event::Single(_) => None,
        }
    }
}

/// A set of kinds of event: which ones a property looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Concerns(u8);

impl Concerns {
    pub(crate) const NONE: Concerns = Concerns(0);
    /// Records that were handed to a producer.
    pub(crate) const SENT: Concerns = Concerns(1);
    /// Acknowledgements.
    pub(crate) const ACKED: Concerns = Concerns(2);
    /// Failures.
    pub(crate) const FAILED: Concerns = Concerns(4);
    /// Records that were read.
    pub(crate) const POLLED: Concerns = Concerns(8);
    /// Everything else.
    pub(crate) const OTHER: Concerns = Concerns(16);
    /// Of the records that were read only those that a transaction wrote.
    pub(crate) const POLLED_TRANSACTED: Concerns = Concerns(32);
    pub(crate) const ALL: Concerns = Concerns(63);
    /// How many kinds there are.
    pub(crate) const KINDS: usize = 6;

    /// The kind with a number below [`Concerns::KINDS`].
    pub(crate) fn nth(number: usize) -> Concerns {
        Concerns(1 << number)
    }

    /// The number of what is one kind.
    pub(crate) fn number(self) -> usize {
        self.0.trailing_zeros() as usize
    }

    /// What is in one set or the other.
    pub(crate) const fn and(self, other: Concerns) -> Concerns {
        Concerns(self.0 | other.0)
    }

    /// The kind of an event.
    pub(crate) fn of(event: &ClientEvent) -> Concerns {
        match event {
            ClientEvent::SendInvoked { .. } => Concerns::SENT,
            ClientEvent::SendAcked { .. } => Concerns::ACKED,
            ClientEvent::SendFailed { .. } => Concerns::FAILED,
            ClientEvent::Polled { .. } => Concerns::POLLED,
            ClientEvent::PositionReset { .. }
            | ClientEvent::ClientStarted { .. }
            | ClientEvent::Transaction(_)
            | ClientEvent::Group(_) => Concerns::OTHER,
        }
    }

    /// Whether an event of this kind is to be looked at.
    pub(crate) fn include(self, kind: Concerns) -> bool {
        let wider = if kind == Concerns::POLLED_TRANSACTED { Concerns::POLLED } else { kind };
        self.0 & (kind.0 | wider.0) != 0
    }
}

/// An event on its way through the properties.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) at: Time,
    pub(crate) event: Event<'a>,
    /// The slot of the partition that the event names; 0 if it names none.
    pub(crate) slot: u32,
    /// The record that the event is about, as it was before the event; `None` if it is about none, or about one that was never
    /// handed to a producer.
    pub(crate) sent: Option<&'a Sent>,
}

/// Takes an event apart into what happened to each record, and calls `each` with that.
pub(crate) fn for_each_record<'a>(event: &'a ClientEvent, mut each: impl FnMut(Event<'a>)) {
    match event {
        ClientEvent::SendAcked { producer, sequences, tp, base_offset } => {
            for (nth, sequence) in sequences.iter().enumerate() {
                let id = RecordId { producer: *producer, sequence: *sequence };
                let known = *base_offset != Offset::UNKNOWN;
                let offset = if known { *base_offset + nth as i64 } else { *base_offset };
                each(Event::Acked { id, tp, offset });
            }
        }
        ClientEvent::SendFailed { producer, sequences, error, ambiguous } => {
            for sequence in sequences {
                let id = RecordId { producer: *producer, sequence: *sequence };
                each(Event::Failed { id, error, ambiguous: *ambiguous });
            }
        }
        ClientEvent::Polled { consumer, tp, records } => {
            for PolledRecord { offset, id } in records {
                each(Event::Polled { consumer: *consumer, tp, offset: *offset, id: *id });
            }
        }
        ClientEvent::SendInvoked { .. }
        | ClientEvent::PositionReset { .. }
        | ClientEvent::ClientStarted { .. }
        | ClientEvent::Transaction(_)
        | ClientEvent::Group(_) => each(Event::Single(event)),
    }
}

/// The state of the clients' history.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    sent: Vec<Chunked<Sent>>,
    slots: BTreeMap<TopicPartition, u32>,
    names: Vec<TopicPartition>,
    partitions: Vec<Known>,
    /// The slot that the last event named: the next one is likely to name it, too.
    last_slot: u32,
    positions: Positions,
    consumed: BTreeSet<TopicName>,
    acked_unread: u64,
    auditors: Option<u32>,
    audited: BTreeSet<TopicPartition>,
    transactions: Transactions,
    /// What records mean, of those that mean something.
    contents: BTreeMap<RecordId, Content>,
    load: Load,
    /// The groups' committed offsets at the end.
    committed_offsets: BTreeMap<(String, TopicPartition), Offset>,
}

impl History {
    /// A record that was handed to a producer.
    pub(crate) fn sent(&self, id: RecordId) -> Option<&Sent> {
        self.sent.get(id.producer as usize)?.get(usize::try_from(id.sequence).ok()?).filter(|s| s.invoked)
    }

    /// Every record that was handed to a producer, in order of producer and sequence.
    pub(crate) fn all_sent(&self) -> impl Iterator<Item = (RecordId, &Sent)> {
        self.sent.iter().enumerate().flat_map(|(producer, records)| {
            records.iter().enumerate().filter(|(_, s)| s.invoked).map(move |(sequence, sent)| {
                (RecordId { producer: producer as u32, sequence: sequence as u64 }, sent)
            })
        })
    }

    /// What the load is made of, as far as its own events do not tell.
    pub(crate) fn load(&self) -> &Load {
        &self.load
    }

    pub(crate) fn describe(&mut self, load: Load) {
        self.load = load;
    }

    pub(crate) fn commit_offsets(&mut self, offsets: BTreeMap<(String, TopicPartition), Offset>) {
        self.committed_offsets = offsets;
    }

    /// A group's committed offset at the end.
    pub(crate) fn committed_offset(&self, group: &str, tp: &TopicPartition) -> Option<Offset> {
        self.committed_offsets.get(&(group.to_owned(), tp.clone())).copied()
    }

    /// The transactions.
    pub(crate) fn transactions(&self) -> &Transactions {
        &self.transactions
    }

    /// The transaction that a record belongs to.
    pub(crate) fn transaction_of(&self, sent: &Sent) -> Option<&Transaction> {
        sent.transaction().map(|index| self.transactions.get(index))
    }

    /// Every record that means something, with what it means.
    pub(crate) fn contents(&self) -> &BTreeMap<RecordId, Content> {
        &self.contents
    }

    /// Whether the consumer reads what is committed only.
    pub(crate) fn reads_committed(&self, consumer: u32) -> bool {
        self.auditors.is_some_and(|first| consumer >= first)
            || !self.load.read_uncommitted.contains(&consumer)
    }

    /// Whether the acknowledgement of a record is a promise that it will be read: `acks=all`, and its transaction, if it
    /// has one, is committed.
    pub(crate) fn is_promised(&self, sent: &Sent) -> bool {
        sent.promised && self.transaction_of(sent).is_none_or(Transaction::is_committed)
    }

    /// Whether a consumer of the topic may leave a record out: it is in a transaction that is not known to be committed.
    pub(crate) fn may_be_hidden(&self, id: RecordId) -> bool {
        self.sent(id).and_then(|sent| self.transaction_of(sent)).is_some_and(|t| !t.is_committed())
    }

    /// The slot of a partition, if any event has named it.
    pub(crate) fn slot(&self, tp: &TopicPartition) -> Option<u32> {
        self.slots.get(tp).copied()
    }

    /// What may be gone from a partition, to be added to; and what the load is made of. `None` if another topic has the name
    /// by now.
    pub(crate) fn gone_for(&mut self, tp: &TopicPartition, topic_id: Uuid) -> Option<(&Load, &mut Gone)> {
        let gone = self.gone_by_name(tp);
        gone.1.is_of(topic_id).then_some(gone)
    }

    fn gone_by_name(&mut self, tp: &TopicPartition) -> (&Load, &mut Gone) {
        let slot = self.slot_or_new(tp);
        (&self.load, &mut self.partitions[slot as usize].gone)
    }

    /// Somebody who is no part of the load asks for what is before `offset` to be deleted; `None`: all.
    pub(crate) fn deletion_asked_for(&mut self, tp: &TopicPartition, offset: Option<Offset>) {
        self.gone_by_name(tp).1.asked_for(offset);
    }

    /// Somebody who is no part of the load may have changed how long a topic's records stay; `None`: all topics'.
    pub(crate) fn retention_may_change(&mut self, topic: Option<&TopicName>) {
        for (name, cleanup) in &mut self.load.cleanup {
            if topic.is_none_or(|topic| topic == name) {
                (cleanup.delete, cleanup.retention_bytes) = (true, Some(0));
            }
        }
    }

    /// What may be gone from a partition that is known; with its name.
    pub(crate) fn gone(&self, folder: &str) -> Option<(&TopicPartition, &Gone)> {
        let is_it = |tp: &TopicPartition| {
            folder.strip_prefix(tp.topic.as_str()).and_then(|rest| rest.strip_prefix('-'))
                == Some(tp.partition.to_string().as_str())
        };
        let slot = self.names.iter().position(is_it)?;
        Some((&self.names[slot], &self.partitions[slot].gone))
    }

    /// A partition by its slot, with its name.
    pub(crate) fn partition(&self, slot: u32) -> (&TopicPartition, &Known) {
        (&self.names[slot as usize], &self.partitions[slot as usize])
    }

    /// Every partition of a topic that any event has named.
    pub(crate) fn partitions_of(&self, topic: &str) -> impl Iterator<Item = (u32, &TopicPartition, &Known)> {
        let partitions = (0..).zip(&self.names).zip(&self.partitions);
        partitions
            .filter(move |((_, tp), _)| tp.topic.as_str() == topic)
            .map(|((slot, tp), known)| (slot, tp, known))
    }

    /// The slot of the partition that an event names, made if it is the first; 0 if the event names none.
    pub(crate) fn slot_of(&mut self, event: &ClientEvent) -> u32 {
        match event {
            ClientEvent::SendAcked { tp, .. }
            | ClientEvent::Polled { tp, .. }
            | ClientEvent::PositionReset { tp, .. } => self.slot_or_new(tp),
            ClientEvent::SendInvoked { .. }
            | ClientEvent::SendFailed { .. }
            | ClientEvent::ClientStarted { .. }
            | ClientEvent::Transaction(_)
            | ClientEvent::Group(_) => 0,
        }
    }

    /// The offset that a consumer reads next in a partition, as its own events tell.
    pub(crate) fn position(&self, consumer: u32, slot: u32) -> Option<Offset> {
        self.positions.get(consumer, slot)
    }

    /// Whether anything consumes the topic.
    pub(crate) fn is_consumed(&self, topic: &TopicName) -> bool {
        self.consumed.contains(topic)
    }

    /// Whether a record whose acknowledgement is a promise has yet to be read by a consumer of its topic.
    pub(crate) fn awaits_reading(&self) -> bool {
        let unread = |s: &Sent| s.read().is_none() && self.is_promised(s);
        self.acked_unread > 0
            && self.all_sent().any(|(_, s)| {
                let acked = s.acked().filter(|_| unread(s));
                acked.is_some_and(|(slot, offset)| {
                    self.is_consumed(&self.names[slot as usize].topic)
                        && !self.is_passed_over(slot, offset)
                        && !self.partitions[slot as usize].gone.has(offset)
                })
            })
    }

    /// Whether nobody will read an offset: every consumer of the partition is beyond it, by reading or because it began there
    /// (`auto.offset.reset=latest`, an offset that was committed, a log that begins later now). Not if the offset is unknown.
    pub(crate) fn is_passed_over(&self, slot: u32, offset: Offset) -> bool {
        offset != Offset::UNKNOWN
            && self.positions.all_beyond(self.auditors.unwrap_or(u32::MAX), slot, offset)
    }

    /// Consumers with this number or a higher one read what is left at the end.
    pub(crate) fn audited_by(&mut self, first: u32) {
        self.auditors = Some(first);
    }

    /// The audit has read a partition to its end.
    pub(crate) fn audited_to_the_end(&mut self, tp: TopicPartition) {
        self.audited.insert(tp);
    }

    /// Acknowledged records that the audit did not find where it has read everything.
    pub(crate) fn lost_records(&self) -> u64 {
        let lost = self.all_sent().filter(|(_, sent)| {
            let acked = sent.acked().filter(|(_, offset)| *offset != Offset::UNKNOWN);
            let is_there = self.transaction_of(sent).is_none_or(Transaction::is_committed);
            let audited = |slot| self.is_audited(self.partition(slot).0);
            let lost = |(slot, offset)| audited(slot) && !self.partition(slot).1.gone.has(offset);
            is_there && sent.audited().is_none() && acked.is_some_and(lost)
        });
        lost.count() as u64
    }

    /// Whether every partition of a topic that any event has named was read from end to end once more after the run.
    pub(crate) fn is_topic_audited(&self, topic: &str) -> bool {
        self.partitions_of(topic).all(|(_, tp, _)| self.is_audited(tp))
    }

    /// Whether a partition was read from end to end once more after the run.
    pub(crate) fn is_audited(&self, tp: &TopicPartition) -> bool {
        self.audited.contains(tp)
    }

    /// Takes an event about the partition in `slot` into account.
    pub(crate) fn apply(&mut self, event: Event<'_>, slot: u32) {
        self.positions.advance(&event, slot);
        match event {
            Event::Single(ClientEvent::SendInvoked { id, idempotent, acks, content, .. }) => {
                let transaction = self.transactions.sent(*id).map_or(0, |index| index + 1);
                let sent = self.sent_mut(*id);
                let promised = *acks == -1;
                *sent = Sent { promised, idempotent: *idempotent, transaction, invoked: true, ..*sent };
                if *content != Content::Plain {
                    self.contents.insert(*id, content.clone());
                }
            }
            Event::Acked { id, offset, .. } => {
                let sent = self.sent_mut(id);
                sent.acked = Place::new(slot, offset);
                if sent.promised && sent.read().is_none() {
                    self.acked_unread += 1;
                }
                if offset != Offset::UNKNOWN {
                    let partition = &mut self.partitions[slot as usize];
                    // A consumer may have got past the offset before the producer heard of it, with or without the record.
                    if partition.value(offset).is_none() {
                        partition.acked.insert(offset, id);
                    }
                }
            }
            Event::Failed { id, ambiguous, .. } => self.sent_mut(id).refused = !ambiguous,
            Event::Polled { consumer, offset, id, .. }
                if self.auditors.is_some_and(|first| consumer >= first) =>
            {
                let found = &mut self.partitions[slot as usize].audited;
                if found.last().is_none_or(|(last, _)| *last < offset) {
                    found.push((offset, id));
                }
                if let Some(sent) = id.and_then(|id| self.known_mut(id))
                    && sent.audited().is_none()
                {
                    sent.audited = Place::new(slot, offset);
                }
            }
            Event::Polled { offset, id, .. } => {
                let partition = &mut self.partitions[slot as usize];
                let index = usize::try_from(offset.0).unwrap_or(0);
                let value = partition.values.grown(index, &None);
                *value = value.or(id);
                partition.read_to = partition.read_to.max(offset + 1);
                if !partition.acked.is_empty() {
                    partition.acked.remove(&offset);
                }
                if let Some(sent) = id.and_then(|id| self.known_mut(id))
                    && sent.read().is_none()
                {
                    sent.read = Place::new(slot, offset);
                    if sent.promised && sent.acked().is_some() {
                        self.acked_unread -= 1;
                    }
                }
            }
            Event::Single(ClientEvent::PositionReset { consumer, .. })
                if self.auditors.is_some_and(|first| *consumer >= first) => {}
            Event::Single(ClientEvent::PositionReset { tp, .. }) => {
                if !self.consumed.contains(&tp.topic) {
                    self.consumed.insert(tp.topic.clone());
                }
            }
            Event::Single(ClientEvent::Transaction(event)) => self.transactions.apply(event),
            Event::Single(ClientEvent::ClientStarted { consumers: false, first, count }) => {
                self.transactions.restarted(*first..first + count);
            }
            Event::Single(ClientEvent::Group(
                GroupEvent::Revoked { consumer, partitions } | GroupEvent::Lost { consumer, partitions },
            )) => {
                for slot in partitions.iter().filter_map(|tp| self.slots.get(tp)) {
                    self.positions.forget(*consumer, *slot);
                }
            }
            Event::Single(_) => {}
        }
    }

    fn sent_mut(&mut self, id: RecordId) -> &mut Sent {
        let producer = id.producer as usize;
        if self.sent.len() <= producer {
            self.sent.resize_with(producer + 1, Chunked::default);
        }
        let sequence =
            usize::try_from(id.sequence).expect("a run has fewer records than the address space has bytes");
        self.sent[producer].grown(sequence, &Sent::default())
    }

    /// A record that was handed to a producer.
    fn known_mut(&mut self, id: RecordId) -> Option<&mut Sent> {
        let records = self.sent.get_mut(id.producer as usize)?;
        records.get_mut(usize::try_from(id.sequence).ok()?).filter(|s| s.invoked)
    }

    fn slot_or_new(&mut self, tp: &TopicPartition) -> u32 {
        if self.names.get(self.last_slot as usize) == Some(tp) {
            return self.last_slot;
        }
        self.last_slot = self.slots.get(tp).copied().unwrap_or_else(|| self.new_slot(tp));
        self.last_slot
    }

    fn new_slot(&mut self, tp: &TopicPartition) -> u32 {
        let slot = self.partitions.len() as u32;
        self.partitions.push(Known::default());
        self.names.push(tp.clone());
        self.slots.insert(tp.clone(), slot);
        slot
    }
}
