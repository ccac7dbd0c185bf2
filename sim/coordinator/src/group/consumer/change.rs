//! What a heartbeat changes in a group.

use std::borrow::Cow;
use std::collections::BTreeMap;

use trial_wire::{StrBytes, TopicName};

use super::assignor::Partitions;
use super::member::{Member, MemberAssignment, MemberMetadata};
use super::regex::{InvalidRegex, Regexes, Resolving};
use super::target::Members;
use super::{ConsumerGroup, TopicMetadata};
use crate::Record;
use crate::group::context::Context;

/// Whom a heartbeat is from: what was known of the member before it.
pub(super) struct Sender<'g> {
    /// A static member whose place it takes, if it comes back under another id.
    pub(super) predecessor: Option<&'g StrBytes>,
    /// Whether it was no member, nor is it anybody's successor.
    pub(super) is_new: bool,
    /// What it had said of itself.
    pub(super) metadata: MemberMetadata,
    /// What it had.
    pub(super) assignment: MemberAssignment,
}

impl<'g> Sender<'g> {
    /// Nobody that is known.
    pub(super) fn new() -> Sender<'g> {
        let Member { metadata, assignment } = Member::default();
        Sender { predecessor: None, is_new: true, metadata, assignment }
    }

    /// A member.
    pub(super) fn known(member: &Member) -> Sender<'g> {
        let Member { metadata, assignment } = member.clone();
        Sender { predecessor: None, is_new: false, metadata, assignment }
    }

    /// A static member under another id: it gets all that was left behind, in a new life.
    pub(super) fn successor(predecessor: &'g StrBytes, member: &Member) -> Sender<'g> {
        let assigned = member.assignment.assigned.clone();
        Sender {
            predecessor: Some(predecessor),
            is_new: false,
            metadata: member.metadata.clone(),
            assignment: MemberAssignment { assigned, ..MemberAssignment::default() },
        }
    }
}

/// What a heartbeat changes in a group, before anything of it is in the log.
pub(super) struct Change<'a, 'g> {
    /// The group as it is in the log.
    pub(super) group: &'g ConsumerGroup,
    /// The sender's member id.
    pub(super) id: &'a StrBytes,
    /// What was known of the sender.
    pub(super) sender: &'a Sender<'g>,
    /// What the sender says of itself now.
    pub(super) metadata: &'a MemberMetadata,
    /// What is to be appended, in this order.
    pub(super) records: Vec<Record>,
}

/// The group epoch and the topics that go with it.
pub(super) struct Renewal<'g> {
    /// The group epoch.
    pub(super) epoch: i32,
    /// The subscribed topics that exist.
    pub(super) topics: Cow<'g, BTreeMap<TopicName, TopicMetadata>>,
    /// What the regular expressions are resolved to.
    pub(super) regexes: Cow<'g, Regexes>,
    /// Whether the topics in the log have been looked at and are right.
    pub(super) topics_confirmed: bool,
}

impl<'a, 'g: 'a> Change<'a, 'g> {
    /// The member is new, or says something else of itself, or takes another's place.
    pub(super) fn member(&mut self) {
        if let Some(old) = self.sender.predecessor {
            self.group.member_tombstones(old, &mut self.records);
        }
        let known = !self.sender.is_new && self.sender.predecessor.is_none();
        if !known || *self.metadata != self.sender.metadata {
            self.records.push(self.group.metadata_record(self.id, self.metadata));
        }
    }

    /// The group epoch grows with a new member, another subscription, or other topics.
    ///
    /// # Errors
    /// What is wrong with the sender's regular expression.
    pub(super) fn epoch(
        &mut self,
        ctx: &Context<'_, '_>,
        resolving: Resolving<'_>,
    ) -> Result<Renewal<'g>, InvalidRegex> {
        let group = self.group;
        let bump = self.sender.is_new || !self.metadata.subscribes_as(&self.sender.metadata);
        if !bump && !group.topics_outdated {
            return Ok(Renewal {
                epoch: group.epoch,
                topics: Cow::Borrowed(&group.topics),
                regexes: Cow::Borrowed(&group.regexes),
                topics_confirmed: true,
            });
        }
        let members = self.members();
        let before = self.records.len();
        let regexes = group.resolve(&members, self.metadata, ctx.env, resolving, &mut self.records)?;
        let resolved = self.records.len() != before;
        let topics = members.topics(ctx.env.metadata, &regexes);
        let changed = topics != group.topics;
        if changed {
            self.records.push(group.topics_record(&topics));
        }
        let epoch = group.epoch + i32::from(bump || changed || resolved);
        if epoch != group.epoch {
            self.records.push(group.epoch_record(epoch));
        }
        let all_resolved = regexes.is_empty() || matches!(resolving, Resolving::For(_));
        Ok(Renewal {
            epoch,
            topics: Cow::Owned(topics),
            regexes,
            topics_confirmed: all_resolved && !bump && !changed && !resolved,
        })
    }

    /// The epoch of the target assignment, which is made anew if the group epoch has left it behind, and what it gives the
    /// member.
    pub(super) fn target(&mut self, ctx: &Context<'_, '_>, renewal: &Renewal<'_>) -> (i32, Partitions) {
        let group = self.group;
        if renewal.epoch <= group.target_epoch {
            let before = self.sender.predecessor.unwrap_or(self.id);
            let target = group.targets.get(before).cloned().unwrap_or_default();
            if self.sender.predecessor.is_some() {
                self.records.push(group.target_record(self.id, &target));
            }
            return (group.target_epoch, target);
        }
        let members = self.members();
        let assignor = members.preferred_assignor(&ctx.config.consumer_assignors);
        let mut targets = members.assign(assignor, &renewal.topics, &renewal.regexes);
        for (&member, partitions) in &targets {
            let before = group.targets.get(member.as_bytes());
            // The tombstone of a predecessor of the same id is on its way, too.
            let replaced = self.sender.predecessor.is_some_and(|old| old.as_str() == member);
            if replaced || before != Some(partitions) {
                self.records.push(group.target_record(member, partitions));
            }
        }
        self.records.push(group.target_epoch_record(renewal.epoch));
        (renewal.epoch, targets.remove(self.id.as_str()).unwrap_or_default())
    }

    fn members(&self) -> Members<'a> {
        let members = Members::of(self.group);
        match self.sender.predecessor {
            Some(old) => members.without(old).with(self.id, self.metadata).succeeding(old, self.id),
            None => members.with(self.id, self.metadata),
        }
    }
}
