//! Whoever has lost a partition commits no offset of it.

use std::collections::BTreeMap;

use trial_node::{ClientEvent, GroupEvent, Time, TopicPartition};
use trial_wire::StrBytes;

use crate::client::{Concerns, Event, History, Seen};
use crate::violation::Findings;
use crate::{ClientProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "stale-commit",
    about: "A group's coordinator accepts no offset of a partition that, when the commit was sent, had already been assigned \
            to another member: offsets are committed from the current generation only, in transactions, too.",
    source: "KIP-447; KIP-848; Kafka documentation, Consumer groups",
};

/// The member that was assigned a partition last.
struct Owner {
    consumer: u32,
    since: Time,
    epoch: i32,
}

/// A commit that came too late.
struct Stale {
    tp: TopicPartition,
    epoch: i32,
    owner: u32,
    since: Time,
    owner_epoch: i32,
}

#[derive(Default)]
pub(crate) struct StaleCommit {
    owners: BTreeMap<(StrBytes, TopicPartition), Owner>,
    /// By consumer and commit.
    pending: BTreeMap<(u32, u64), Stale>,
}

impl ClientProperty for StaleCommit {
    fn concerns(&self) -> Concerns {
        Concerns::OTHER
    }

    fn event(&mut self, Seen { at, event, .. }: Seen<'_>, _: &History, out: &mut Findings) {
        if let Event::Single(ClientEvent::ClientStarted { consumers: true, first, count }) = event {
            // A process that starts again numbers its commits anew.
            self.pending.retain(|(consumer, _), _| !(*first..first + count).contains(consumer));
        }
        let Event::Single(ClientEvent::Group(event)) = event else { return };
        match event {
            GroupEvent::Assigned { consumer, group, epoch, partitions } => {
                for tp in partitions {
                    let owner = Owner { consumer: *consumer, since: at, epoch: *epoch };
                    self.owners.insert((group.clone(), tp.clone()), owner);
                }
            }
            GroupEvent::CommitInvoked { consumer, group, epoch, commit, offsets, .. } => {
                let stale = offsets.iter().find_map(|(tp, _)| {
                    let owner = self.owners.get(&(group.clone(), tp.clone()))?;
                    (owner.consumer != *consumer).then(|| Stale {
                        tp: tp.clone(),
                        epoch: *epoch,
                        owner: owner.consumer,
                        since: owner.since,
                        owner_epoch: owner.epoch,
                    })
                });
                if let Some(stale) = stale {
                    self.pending.insert((*consumer, *commit), stale);
                }
            }
            GroupEvent::CommitAcked { consumer, commit } => {
                let Some(stale) = self.pending.remove(&(*consumer, *commit)) else { return };
                let Stale { tp, epoch, owner, since, owner_epoch } = stale;
                out.report(
                    at,
                    vec![
                        format!("a commit of {tp} by consumer {consumer} with epoch {epoch} was accepted"),
                        format!(
                            "consumer {owner} has had the partition since {since}, in epoch {owner_epoch}"
                        ),
                    ],
                );
            }
            GroupEvent::CommitFailed { consumer, commit, .. } => {
                self.pending.remove(&(*consumer, *commit));
            }
            GroupEvent::Revoked { .. } | GroupEvent::Lost { .. } => {}
        }
    }
}
