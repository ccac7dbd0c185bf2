//! A classic group passes its members on to one of KIP-848, or takes them over from one.

use trial_wire::ErrorCode;
use trial_wire::StrBytes;

use super::group::{CONSUMER_PROTOCOL, ClassicGroup, State};
use super::join::refusal;
use super::member::{Member, Terms};
use crate::Record;
use crate::group::context::Context;
use crate::group::migrant::Migrant;

impl ClassicGroup {
    /// Its id, its generation and its members, for a group of KIP-848.
    pub(in crate::group) fn migrants(&self) -> (StrBytes, i32, Vec<Migrant>) {
        let migrants = self.members.iter().map(|(id, member)| Migrant {
            id: id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.terms.rebalance_timeout_ms,
            session_timeout_ms: member.terms.session_timeout_ms,
            protocols: member.terms.protocols.clone(),
            assignment: member.assignment.clone(),
        });
        (self.id.clone(), self.generation, migrants.collect())
    }

    /// The record of a group that has these members of a KIP-848 group, in the generation of that one's epoch. It has no leader:
    /// nobody has assigned anything in this generation, so whoever finds it so in the log has the members come together.
    pub(in crate::group) fn adopt(
        ctx: &Context<'_, '_>,
        id: StrBytes,
        generation: i32,
        migrants: Vec<Migrant>,
    ) -> Record {
        let mut group = ClassicGroup::new(id);
        group.generation = generation;
        group.protocol_type = Some(StrBytes::from_static_str(CONSUMER_PROTOCOL));
        for migrant in migrants {
            let member = Member {
                instance_id: migrant.instance_id,
                client_id: migrant.client_id,
                client_host: migrant.client_host,
                terms: Terms {
                    protocols: migrant.protocols,
                    rebalance_timeout_ms: migrant.rebalance_timeout_ms,
                    session_timeout_ms: migrant.session_timeout_ms,
                },
                assignment: migrant.assignment,
                join: None,
                sync: None,
                is_new: false,
            };
            group.members.insert(migrant.id, member);
        }
        group.protocol = group.select_protocol();
        let state = if group.members.is_empty() { State::Empty } else { State::Stable };
        group.enter(ctx, state);
        group.record(|_, member| member.assignment.clone())
    }

    /// Whether it was one of KIP-848 and its members have not come together since.
    pub(in crate::group) fn is_adopted(&self) -> bool {
        self.state == State::Stable && self.leader.is_none()
    }

    /// The group has been taken over: its members come together.
    pub(super) fn adopted(&mut self, ctx: &mut Context<'_, '_>) -> Option<Record> {
        if !self.is_adopted() {
            return None;
        }
        for id in self.members.keys() {
            self.expect_heartbeat(ctx, id);
        }
        self.prepare_rebalance(ctx)
    }

    /// Everybody who waits for a rebalance is told `error`.
    pub(in crate::group) fn refuse_waiting(&mut self, ctx: &mut Context<'_, '_>, error: ErrorCode) {
        let mut refused = Vec::new();
        for (id, member) in &mut self.members {
            if let Some(waiting) = member.join.take() {
                ctx.out.respond(waiting.call, refusal(id, error));
                refused.push(id.clone());
            }
            if let Some(call) = member.sync.take() {
                ctx.out.respond(call, super::sync::refusal(error));
                refused.push(id.clone());
            }
        }
        for id in refused {
            self.expect_heartbeat(ctx, &id);
        }
    }
}
