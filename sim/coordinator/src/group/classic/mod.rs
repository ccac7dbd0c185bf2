//! Groups of the classic protocol.
use trial_node::view::CoordinatorEntry;
use trial_wire::messages::*;
use trial_wire::{ErrorCode, StrBytes};

use super::context::{Context, Outbox};
use super::coordinator::Groups;
use super::record::GroupMetadata;
use crate::{CallId, Record};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Join,
}
impl Timer {
    pub(super) const FIRST: Timer = Timer::Join;
}
#[derive(Clone, Debug)]
pub(super) enum Then {}
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    pub(super) call: CallId,
    pub(super) version: i16,
    pub(super) client_id: &'a str,
    pub(super) client_host: &'a str,
}
#[derive(Clone, Debug)]
pub(super) struct ClassicGroup {
    group_id: StrBytes,
}
impl ClassicGroup {
    pub(super) fn new(group_id: StrBytes) -> Self {
        ClassicGroup { group_id }
    }
    pub(super) fn activate(&mut self, _ctx: &mut Context<'_, '_>) {}
    pub(super) fn appended(&mut self, _ctx: &mut Context<'_, '_>, _then: Then, _error: Option<ErrorCode>) {}
    pub(super) fn handle_timeout(&mut self, _ctx: &mut Context<'_, '_>, _timer: Timer) {}
    pub(super) fn resign(&mut self, _out: &mut Outbox) {}
    pub(super) fn entries(&self, _each: &mut dyn FnMut(CoordinatorEntry<'_>)) {}
    pub(super) fn replay(&mut self, _value: &GroupMetadata<'_>, _active: bool) {}
    pub(super) fn is_empty(&self) -> bool {
        true
    }
    pub(super) fn tombstones(&self, _records: &mut Vec<Record>) {}
}
pub(super) fn join(_g: &mut Groups, ctx: &mut Context<'_, '_>, c: Caller<'_>, _b: JoinGroupRequest) {
    ctx.out.respond(c.call, JoinGroupResponse::default().with_error_code(35));
}
pub(super) fn sync(_g: &mut Groups, ctx: &mut Context<'_, '_>, c: Caller<'_>, _b: SyncGroupRequest) {
    ctx.out.respond(c.call, SyncGroupResponse::default().with_error_code(35));
}
pub(super) fn heartbeat(_g: &mut Groups, ctx: &mut Context<'_, '_>, c: Caller<'_>, _b: HeartbeatRequest) {
    ctx.out.respond(c.call, HeartbeatResponse::default().with_error_code(35));
}
pub(super) fn leave(_g: &mut Groups, ctx: &mut Context<'_, '_>, c: Caller<'_>, _b: LeaveGroupRequest) {
    ctx.out.respond(c.call, LeaveGroupResponse::default().with_error_code(35));
}
