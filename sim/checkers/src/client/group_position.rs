//! A group goes on where its commits say.

use std::collections::BTreeMap;

use trial_node::{ClientEvent, GroupEvent, Offset, TopicPartition};
use trial_wire::StrBytes;

use crate::client::{Concerns, Event, History, Seen};
use crate::violation::Findings;
use crate::{ClientProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "group-position",
    about: "A member that is assigned a partition goes on neither below an offset whose commit had been acknowledged to its \
            group before, nor, if there was such a commit, above everything that anybody has read. (A commit in doubt may \
            take effect late, and excuses an offset from its own on.)",
    source: "Kafka documentation, Consumer groups; KIP-447",
};

/// What a group has committed of a partition.
#[derive(Clone, Copy, Default)]
struct Committed {
    /// The highest offset that was acknowledged.
    acked: Option<Offset>,
    /// The lowest offset of a commit in doubt.
    doubtful: Option<Offset>,
}

/// A commit that is under way.
struct UnderWay {
    group: StrBytes,
    offsets: Vec<(TopicPartition, Offset)>,
}

#[derive(Default)]
pub(crate) struct GroupPosition {
    committed: BTreeMap<(StrBytes, TopicPartition), Committed>,
    /// By consumer and commit.
    under_way: BTreeMap<(u32, u64), UnderWay>,
    /// The partitions that each consumer was assigned and has no position in, with their group and what it had committed when
    /// they were assigned.
    begins: BTreeMap<(u32, TopicPartition), (StrBytes, Committed)>,
}

impl ClientProperty for GroupPosition {
    fn concerns(&self) -> Concerns {
        Concerns::OTHER
    }

    fn event(&mut self, Seen { at, event, slot, .. }: Seen<'_>, history: &History, out: &mut Findings) {
        match event {
            Event::Single(ClientEvent::Group(event)) => self.group_event(event),
            Event::Single(ClientEvent::ClientStarted { consumers: true, first, count }) => {
                let consumers = *first..first + count;
                let lost: Vec<(u32, u64)> = self.under_way.keys().copied().collect();
                for (consumer, commit) in lost.into_iter().filter(|(c, _)| consumers.contains(c)) {
                    self.doubt(consumer, commit);
                }
                self.begins.retain(|(consumer, _), _| !consumers.contains(consumer));
            }
            Event::Single(ClientEvent::PositionReset { consumer, tp, from, to }) => {
                let begins = self.begins.remove(&(*consumer, tp.clone()));
                let Some((group, committed)) = begins.filter(|_| *from == Offset::UNKNOWN) else { return };
                let Some(acked) = committed.acked else { return };
                let least = committed.doubtful.map_or(acked, |doubtful| doubtful.min(acked));
                let read_to = history.partition(slot).1.read_to;
                let why = if *to < least {
                    format!("a commit of {acked} had been acknowledged")
                } else if *to > read_to {
                    format!("nobody has read further than {read_to}")
                } else {
                    return;
                };
                let group = group.as_str();
                out.report(
                    at,
                    vec![format!("consumer {consumer} goes on at {tp} offset {to} for group {group}"), why],
                );
            }
            _ => {}
        }
    }
}

impl GroupPosition {
    fn group_event(&mut self, event: &GroupEvent) {
        match event {
            GroupEvent::Assigned { consumer, group, partitions, .. } => {
                for tp in partitions {
                    let key = (group.clone(), tp.clone());
                    let committed = self.committed.get(&key).copied().unwrap_or_default();
                    self.begins.insert((*consumer, tp.clone()), (group.clone(), committed));
                }
            }
            GroupEvent::Revoked { consumer, partitions } | GroupEvent::Lost { consumer, partitions } => {
                for tp in partitions {
                    self.begins.remove(&(*consumer, tp.clone()));
                }
            }
            GroupEvent::CommitInvoked { consumer, group, commit, offsets, .. } => {
                let under_way = UnderWay { group: group.clone(), offsets: offsets.clone() };
                self.under_way.insert((*consumer, *commit), under_way);
            }
            GroupEvent::CommitAcked { consumer, commit } => {
                let Some(UnderWay { group, offsets }) = self.under_way.remove(&(*consumer, *commit)) else {
                    return;
                };
                for (tp, offset) in offsets {
                    let committed = self.committed.entry((group.clone(), tp)).or_default();
                    committed.acked = committed.acked.max(Some(offset));
                }
            }
            GroupEvent::CommitFailed { consumer, commit, ambiguous: true, .. } => {
                self.doubt(*consumer, *commit);
            }
            GroupEvent::CommitFailed { consumer, commit, ambiguous: false, .. } => {
                self.under_way.remove(&(*consumer, *commit));
            }
        }
    }

    /// A commit may take effect, now or later.
    fn doubt(&mut self, consumer: u32, commit: u64) {
        let Some(UnderWay { group, offsets }) = self.under_way.remove(&(consumer, commit)) else { return };
        for (tp, offset) in offsets {
            let committed = self.committed.entry((group.clone(), tp)).or_default();
            committed.doubtful = Some(committed.doubtful.map_or(offset, |doubtful| doubtful.min(offset)));
        }
    }
}
