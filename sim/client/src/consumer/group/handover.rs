//! Giving partitions up: offsets are committed first (with `enable.auto.commit`), then the owner of the consumer does what it
//! must (`onPartitionsRevoked`), and only then does the group learn of it.

use std::collections::BTreeSet;

use trial_node::Now;

use crate::consumer::{Consumer, ConsumerEvent};
use crate::network::TopicSlot;

use super::commit::CommitId;
use super::{GroupProtocol, Membership};

/// Partitions on their way from the consumer.
#[derive(Clone, Debug)]
pub(super) struct GivingUp {
    partitions: Vec<usize>,
    stage: Stage,
    then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Waits for a commit.
    Committing(CommitId),
    /// Waits for [`Consumer::revoked`].
    WithOwner,
}

/// What comes when the partitions are given up.
#[derive(Clone, Debug)]
pub(super) enum Then {
    /// JoinGroup.
    Join,
    /// What the rebalance brings.
    Adopt(BTreeSet<(TopicSlot, i32)>),
    /// The end.
    Leave,
}

impl GivingUp {
    /// Whether the owner is at it.
    pub fn is_with_owner(&self) -> bool {
        self.stage == Stage::WithOwner
    }
}

impl Consumer {
    /// `onPartitionsRevoked` returns: the owner has done what [`ConsumerEvent::Revoking`] asked of it, and gives the partitions
    /// up. To be called once for each such event, at once or any time later; until then the consumer keeps them, and nothing is
    /// handed out.
    pub fn revoked(&mut self, now: Now) {
        let group = self.group_mut();
        // The group may have failed for good in the meantime.
        let Some(giving_up) = group.giving_up.take_if(|giving_up| giving_up.is_with_owner()) else { return };
        group.nudge = true;
        self.given_up(now, giving_up);
        self.wake_at = Some(now.mono);
    }

    /// Begins to give partitions up, maybe none. They are not fetched any more.
    pub(super) fn give_up(&mut self, now: Now, partitions: Vec<usize>, commit: bool, then: Then) {
        // Java's consumer marks them before it commits, so that none is handed out in between.
        for index in &partitions {
            self.partitions[*index].revoking = true;
            self.dirty.insert(*index);
        }
        let commit = if commit { self.auto_commit(now) } else { None };
        match commit {
            Some(commit) => {
                let stage = Stage::Committing(commit);
                self.group_mut().giving_up = Some(GivingUp { partitions, stage, then });
            }
            None => self.ask_owner(now, partitions, then),
        }
    }

    /// Goes on when the commit has ended one way or the other.
    pub(super) fn advance_giving_up(&mut self, now: Now) {
        let group = self.group_mut();
        let Some(GivingUp { stage: Stage::Committing(commit), .. }) = group.giving_up else { return };
        if group.commits.is_pending(commit) {
            return;
        }
        let GivingUp { partitions, then, .. } = group.giving_up.take().expect("it was just looked at");
        self.ask_owner(now, partitions, then);
    }

    fn ask_owner(&mut self, now: Now, partitions: Vec<usize>, then: Then) {
        let is_member = self.group_mut().joined().is_some();
        if !is_member {
            // What a former member had is lost, all of it.
            self.lose_all();
        }
        let giving_up = GivingUp { partitions, stage: Stage::WithOwner, then };
        if is_member && !giving_up.partitions.is_empty() {
            self.events.push(ConsumerEvent::Revoking { partitions: giving_up.partitions.clone() });
            self.group_mut().giving_up = Some(giving_up);
        } else {
            self.given_up(now, giving_up);
        }
    }

    fn given_up(&mut self, now: Now, GivingUp { partitions, then, .. }: GivingUp) {
        for index in &partitions {
            if self.partitions[*index].owned {
                self.disown(*index);
            }
        }
        if self.group_mut().closing.is_some() {
            let rest: Vec<usize> = self.owned().collect();
            if !rest.is_empty() {
                self.give_up(now, rest, true, Then::Leave);
            }
            return;
        }
        let given_up = !partitions.is_empty();
        match then {
            // It may have been thrown out while it gave up: then it learns of that first.
            Then::Join if self.group_mut().joined().is_none() && self.owned().next().is_some() => {}
            Then::Join => {
                if let Membership::Classic(classic) = &mut self.group_mut().membership {
                    classic.prepared();
                }
            }
            Then::Adopt(partitions) => match self.group_mut().config.protocol {
                GroupProtocol::Classic => self.adopt_classic(now, given_up, &partitions),
                GroupProtocol::Consumer => self.adopt_reconciled(now, &partitions),
            },
            Then::Leave => {}
        }
    }
}
