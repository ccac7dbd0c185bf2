//! A partition belongs to one member of a group.

use std::collections::BTreeMap;

use trial_node::{ClientEvent, GroupEvent, TopicPartition};
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
    /// By group and partition: each consumer that believes to own it, with the epoch in which it was assigned.
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
                for tp in partitions {
                    let owners = self.owners.entry((group.clone(), tp.clone())).or_default();
                    if let Some((other, _)) = owners.iter().find(|(c, e)| *c != consumer && *e == epoch) {
                        out.report(
                            at,
                            vec![format!(
                                "{tp} was assigned to consumer {consumer} in epoch {epoch} of group {}; consumer {other} has it \
                                 in the same epoch",
                                group.as_str()
                            )],
                        );
                    }
                    owners.insert(*consumer, *epoch);
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
