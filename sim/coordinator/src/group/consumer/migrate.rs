//! A KIP-848 group comes from a classic one with all its members, and becomes one again (KIP-848, "Consumer Group Migration").
//!
//! A classic group is taken over with the first member that uses KIP-848's protocol; the others stay what they are
//! ([`super::classic`]), with what they have. When the last that uses KIP-848's protocol is gone, those that are left are a classic
//! group again, with what they have, and come together at once.

use trial_wire::{StrBytes, TopicName};

use super::ConsumerGroup;
use super::assignor::Partitions;
use super::classic::{as_assignment, by_id};
use super::member::{ClassicMember, Member, MemberAssignment, MemberMetadata};
use crate::group::classic::{self, ClassicGroup};
use crate::group::context::{Context, owned};
use crate::group::embedded::{self, Subscription};
use crate::group::migrant::Migrant;
use crate::group::{GroupConfig, timers};
use crate::{ClusterMetadata, Record};

use trial_node::Span;

impl ConsumerGroup {
    /// What a classic group with members becomes: their generation is the epoch, and what they have is their target. `None` if
    /// that is not wanted, or not possible: they are no consumers, too many, or do not say plainly what they subscribe to.
    pub(in crate::group) fn upgraded(classic: &ClassicGroup, ctx: &Context<'_, '_>) -> Option<ConsumerGroup> {
        let is_wanted = ctx.config.consumer_migration_policy.upgrades() && classic.uses_consumer_protocol();
        let (id, generation, migrants) = classic.migrants();
        if !is_wanted || migrants.len() > ctx.config.consumer_max_size {
            return None;
        }
        let mut group = ConsumerGroup::new(id);
        group.epoch = generation;
        group.target_epoch = generation;
        let mut claims = Vec::new();
        for migrant in migrants {
            let (metadata, claimed) = metadata_of(&migrant, ctx.env.metadata)?;
            let assigned = by_id(&embedded::decode_assignment(&migrant.assignment).ok()?, ctx.env.metadata);
            let assignment = MemberAssignment {
                epoch: generation,
                previous_epoch: generation,
                assigned,
                ..MemberAssignment::default()
            };
            claims.push((migrant.id.clone(), claimed));
            group.members.insert(migrant.id, Member { metadata, assignment });
        }
        // In the middle of a rebalance nobody is assigned anything; but cooperative members go on reading (KIP-429).
        for (id, claimed) in claims {
            let free: Vec<_> = claimed.into_iter().filter(|partition| !group.is_held(partition)).collect();
            group.members.get_mut(&id).expect("it was just put there").assignment.assigned.extend(free);
        }
        let targets =
            group.members.iter().map(|(id, member)| (id.clone(), member.assignment.assigned.clone()));
        group.targets = targets.collect();
        Some(group)
    }

    /// Appends the records that make this group.
    pub(in crate::group) fn records(&self, records: &mut Vec<Record>) {
        let members = &self.members;
        records.extend(members.iter().map(|(id, member)| self.metadata_record(id, &member.metadata)));
        records.push(self.epoch_record(self.epoch));
        records.extend(self.targets.iter().map(|(id, target)| self.target_record(id, target)));
        records.push(self.target_epoch_record(self.target_epoch));
        records.extend(members.iter().map(|(id, member)| self.assignment_record(id, &member.assignment)));
    }

    /// Every member's session begins anew, if it has none yet.
    pub(in crate::group) fn expect_all(&self, ctx: &mut Context<'_, '_>) {
        for (id, member) in &self.members {
            self.expect_heartbeat(ctx, id, &member.metadata);
        }
    }

    /// Whether the group becomes a classic one without these members: of those that are left, if any, all are classic, and the
    /// last that were not are among these.
    pub(super) fn downgrades_without(&self, config: &GroupConfig, gone: &[StrBytes]) -> bool {
        let mut modern =
            self.members.iter().filter(|(_, member)| member.metadata.classic.is_none()).peekable();
        config.consumer_migration_policy.downgrades()
            && self.members.len() - gone.len() <= config.max_size
            && modern.peek().is_some()
            && modern.all(|(id, _)| gone.contains(id))
    }

    /// The records that make this group, without these members, a classic one, whose members then come together.
    pub(super) fn downgrade(&self, ctx: &mut Context<'_, '_>, gone: &[StrBytes]) -> Vec<Record> {
        let migrants = self.members.iter().filter(|(id, _)| !gone.contains(id)).filter_map(|(id, member)| {
            let classic = member.metadata.classic.clone()?;
            let held = member.assignment.assigned.union(&member.assignment.pending_revocation);
            let held: Partitions = held.copied().collect();
            let said = classic.preferred().map_or(&[][..], |(_, said)| said);
            let assignment = as_assignment(&held, said, ctx.env.metadata);
            Some(Migrant {
                id: id.clone(),
                instance_id: member.metadata.instance_id.clone(),
                client_id: member.metadata.client_id.clone(),
                client_host: member.metadata.client_host.clone(),
                rebalance_timeout_ms: member.metadata.rebalance_timeout_ms,
                session_timeout_ms: classic.session_timeout_ms,
                protocols: classic.protocols,
                assignment,
            })
        });
        let mut records = Vec::new();
        self.tombstones(&mut records);
        records.push(ClassicGroup::adopt(ctx, self.group_id.clone(), self.epoch, migrants.collect()));
        // If the group does not become a classic one after all, it finds none.
        let timer = timers::Timer::Classic(self.group_id.clone(), classic::Timer::Adopted);
        ctx.schedule(timer, Span::ZERO);
        records
    }
}

/// What a classic member has said of itself, and the partitions that it said it holds.
fn metadata_of(migrant: &Migrant, metadata: &dyn ClusterMetadata) -> Option<(MemberMetadata, Partitions)> {
    let (_, said) = migrant.protocols.first()?;
    let said = Subscription::decode(said).ok()?;
    let classic = ClassicMember {
        session_timeout_ms: migrant.session_timeout_ms,
        protocols: migrant.protocols.clone(),
    };
    let known = MemberMetadata {
        instance_id: migrant.instance_id.clone(),
        rack_id: said.rack_id.map(owned),
        client_id: migrant.client_id.clone(),
        client_host: migrant.client_host.clone(),
        subscribed_topic_names: said.topics.iter().map(|name| TopicName(owned(name))).collect(),
        rebalance_timeout_ms: migrant.rebalance_timeout_ms,
        classic: Some(classic),
        ..MemberMetadata::default()
    };
    Some((known, by_id(&said.owned, metadata)))
}
