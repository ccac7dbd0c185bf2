//! A classic group comes out of the log.

use bytes::Bytes;

use super::group::{ClassicGroup, Logged, State};
use super::member::{Member, Terms};
use crate::group::context::{Context, Outbox, owned};
use crate::group::record::{GroupMetadata, MemberMetadata};
use trial_wire::messages::SyncGroupResponse;
use trial_wire::{ErrorCode, StrBytes};

impl ClassicGroup {
    /// Takes in a generation that is in the log. A group that is `live` knows better what it is: it has written that itself.
    pub(in crate::group) fn replay(&mut self, value: &GroupMetadata<'_>, live: bool) {
        self.logged = Some(Logged { generation: value.generation, members: value.members.len() });
        if live {
            return;
        }
        let logged = self.logged;
        *self = ClassicGroup::new(self.id.clone());
        self.logged = logged;
        self.state = if value.members.is_empty() { State::Empty } else { State::Stable };
        self.state_since_ms = Some(value.current_state_timestamp_ms).filter(|&at| at != -1);
        self.generation = value.generation;
        self.protocol_type = Some(value.protocol_type).filter(|name| !name.is_empty()).map(owned);
        self.protocol = value.protocol.map(owned);
        self.leader = value.leader.map(owned);
        for said in &value.members {
            let id = owned(said.member_id);
            if let Some(instance) = said.group_instance_id {
                self.static_members.insert(owned(instance), id.clone());
            }
            self.members.insert(id, member(value.protocol, said));
        }
        self.subscribed_topics = self.compute_subscribed_topics();
    }

    /// The whole log has been replayed: every member gets its session time-out anew, and a group that is larger than allowed by
    /// now, or that nobody has led yet, rebalances.
    pub(in crate::group) fn activate(&mut self, ctx: &mut Context<'_, '_>) {
        for id in self.members.keys() {
            self.expect_heartbeat(ctx, id);
        }
        if self.members.len() > ctx.config.max_size || self.is_adopted() {
            let record = self.prepare_rebalance(ctx);
            assert!(record.is_none(), "no member has joined yet");
        }
    }

    /// The broker no longer leads: every request that waits is refused.
    pub(in crate::group) fn resign(&mut self, out: &mut Outbox) {
        for (id, member) in &mut self.members {
            if let Some(waiting) = member.join.take() {
                out.respond(waiting.call, super::join::refusal(id, ErrorCode::NotCoordinator));
            }
            if let Some(call) = member.sync.take() {
                let response = SyncGroupResponse::default().with_error_code(ErrorCode::NotCoordinator.code());
                out.respond(call, response);
            }
        }
    }
}

fn member(protocol: Option<&str>, said: &MemberMetadata<'_>) -> Member {
    let protocols = protocol.map(|name| (owned(name), Bytes::copy_from_slice(said.subscription)));
    // Before version 1 of the record there was no rebalance time-out.
    let rebalance_timeout_ms =
        if said.rebalance_timeout_ms == -1 { said.session_timeout_ms } else { said.rebalance_timeout_ms };
    Member {
        instance_id: said.group_instance_id.map(|id| -> StrBytes { owned(id) }),
        client_id: owned(said.client_id),
        client_host: owned(said.client_host),
        terms: Terms {
            protocols: protocols.into_iter().collect(),
            rebalance_timeout_ms,
            session_timeout_ms: said.session_timeout_ms,
        },
        assignment: Bytes::copy_from_slice(said.assignment),
        join: None,
        sync: None,
        is_new: false,
    }
}
