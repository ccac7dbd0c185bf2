//! LeaveGroup to a group of KIP-848: classic members leave, and an administrator takes static members out. Others leave by a
//! heartbeat.

use trial_wire::messages::leave_group_request::MemberIdentity;
use trial_wire::{ErrorCode, StrBytes};

use super::ConsumerGroup;
use crate::Record;
use crate::group::classic::Left;
use crate::group::context::Context;

impl ConsumerGroup {
    /// What becomes of each, and the records that take the known ones out, in one epoch.
    pub(in crate::group) fn evict(
        &self,
        ctx: &mut Context<'_, '_>,
        members: Vec<MemberIdentity>,
    ) -> (Vec<Left>, Vec<Record>) {
        let mut out: Vec<StrBytes> = Vec::new();
        let left = members
            .into_iter()
            .map(|mut member| {
                let error = match self.evicted(&member) {
                    Ok(id) if out.contains(&id) => Some(ErrorCode::UnknownMemberId),
                    Ok(id) => {
                        // Who was named by its instance id alone is told by both.
                        member.member_id.clone_from(&id);
                        out.push(id);
                        None
                    }
                    Err(error) => Some(error),
                };
                (member, error)
            })
            .collect();
        let records = if out.is_empty() { Vec::new() } else { self.removal(ctx, &out) };
        (left, records)
    }

    fn evicted(&self, member: &MemberIdentity) -> Result<StrBytes, ErrorCode> {
        let Some(instance_id) = &member.group_instance_id else {
            let known = self.members.get(&member.member_id);
            let may = known.is_some_and(|known| known.metadata.classic.is_some());
            return if may { Ok(member.member_id.clone()) } else { Err(ErrorCode::UnknownMemberId) };
        };
        let (id, _) = self.static_member(instance_id).ok_or(ErrorCode::UnknownMemberId)?;
        if !member.member_id.is_empty() && member.member_id != *id {
            return Err(ErrorCode::FencedInstanceId);
        }
        Ok(id.clone())
    }
}
