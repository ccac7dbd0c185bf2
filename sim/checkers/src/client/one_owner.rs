//! A partition belongs to one member of a group.

use std::collections::BTreeMap;

use trial_node::{ClientEvent, GroupEvent, Time, TopicPartition};
use trial_wire::StrBytes;

use crate::client::{Concerns, Event, History, Seen};
use crate::violation::Findings;
use crate::{ClientProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "one-owner",
    about: "In one generation (classic protocol) or member epoch (KIP-848) of a group at most one consumer is assigned a \
            partition. One that does not know yet that it was thrown out belongs to an earlier one.",
    source: "Kafka documentation, Consumer groups; KIP-848",
};

#[derive(Default)]
pub(crate) struct OneOwner {
    /// By group and partition: each consumer that believes to own it, with the last epoch in which it said so.
    owners: BTreeMap<(StrBytes, TopicPartition), BTreeMap<u32, i32>>,
}

impl ClientProperty for OneOwner {
    fn concerns(&self) -> Concerns {
        Concerns::OTHER
    }

    fn event(&mut self, Seen { at, event, .. }: Seen<'_>, _: &History, out: &mut Findings) {
        match event {
            Event::Single(ClientEvent::Group(GroupEvent::Assigned {
                consumer,
                group,
                epoch,
                partitions,
            })) => {
                // What it has already stays its own, in the new epoch.
                let of_consumer = |(key, owners): (&(StrBytes, TopicPartition), &BTreeMap<u32, i32>)| {
                    (key.0 == *group && owners.contains_key(consumer)).then(|| key.1.clone())
                };
                let kept: Vec<TopicPartition> = self.owners.iter().filter_map(of_consumer).collect();
                for tp in kept.iter().chain(partitions) {
                    self.owns(at, (group, tp), (*consumer, *epoch), out);
                }
            }
            // Whoever commits with an epoch takes the partition for its own in it.
            Event::Single(ClientEvent::Group(GroupEvent::CommitInvoked {
                consumer,
                group,
                epoch,
                offsets,
                ..
            })) => {
                for (tp, _) in offsets {
                    let owners = self.owners.get(&(group.clone(), tp.clone()));
                    if owners.is_some_and(|owners| owners.get(consumer).is_some_and(|known| known < epoch)) {
                        self.owns(at, (group, tp), (*consumer, *epoch), out);
                    }
                }
            }
            Event::Single(ClientEvent::Group(
                GroupEvent::Revoked { consumer, partitions } | GroupEvent::Lost { consumer, partitions },
            )) => {
                for ((_, tp), owners) in &mut self.owners {
                    if partitions.contains(tp) {
                        owners.remove(consumer);
                    }
                }
            }
            Event::Single(ClientEvent::ClientStarted { consumers: true, first, count }) => {
                for owners in self.owners.values_mut() {
                    owners.retain(|consumer, _| !(*first..first + count).contains(consumer));
                }
            }
            _ => {}
        }
    }
}

impl OneOwner {
    /// A consumer believes to own a partition in an epoch.
    fn owns(
        &mut self,
        at: Time,
        (group, tp): (&StrBytes, &TopicPartition),
        (consumer, epoch): (u32, i32),
        out: &mut Findings,
    ) {
        let owners = self.owners.entry((group.clone(), tp.clone())).or_default();
        if let Some((other, _)) = owners.iter().find(|(c, e)| **c != consumer && **e == epoch) {
            out.report(
                at,
                vec![format!(
                    "{tp} was assigned to consumer {consumer} in epoch {epoch} of group {}; consumer {other} has it in the \
                     same epoch",
                    group.as_str()
                )],
            );
        }
        owners.insert(consumer, epoch);
    }
}
