//! Committed offsets.
use trial_node::view::CoordinatorEntry;
use trial_node::{Offset, ProducerEpoch, ProducerId};
use trial_wire::messages::*;

use super::context::Context;
use super::coordinator::Groups;
use super::record::{OffsetCommit, OffsetCommitKey};
use crate::{CallId, Marker};

#[derive(Clone, Debug, Default)]
pub(super) struct Offsets {}
impl Offsets {
    pub(super) fn replay(
        &mut self,
        _at: Offset,
        _transaction: Option<(ProducerId, ProducerEpoch)>,
        _key: OffsetCommitKey<'_>,
        _value: Option<OffsetCommit<'_>>,
    ) {
    }
    pub(super) fn replay_marker(&mut self, _marker: Marker) {}
    pub(super) fn metadata_changed(&mut self, _ctx: &mut Context<'_, '_>) {}
    pub(super) fn entries(&self, _each: &mut dyn FnMut(CoordinatorEntry<'_>)) {}
}
pub(super) fn commit(
    _g: &mut Groups,
    ctx: &mut Context<'_, '_>,
    call: CallId,
    _version: i16,
    _b: OffsetCommitRequest,
) {
    ctx.out.respond(call, OffsetCommitResponse::default());
}
pub(super) fn commit_in_transaction(
    _g: &mut Groups,
    ctx: &mut Context<'_, '_>,
    call: CallId,
    _b: TxnOffsetCommitRequest,
) {
    ctx.out.respond(call, TxnOffsetCommitResponse::default());
}
pub(super) fn fetch(_g: &Groups, _o: &Offsets, _version: i16, _b: OffsetFetchRequest) -> OffsetFetchResponse {
    OffsetFetchResponse::default()
}
pub(super) fn delete(
    _g: &Groups,
    _o: &Offsets,
    ctx: &mut Context<'_, '_>,
    call: CallId,
    _b: OffsetDeleteRequest,
) {
    ctx.out.respond(call, OffsetDeleteResponse::default());
}
pub(super) fn expire(_g: &Groups, _o: &Offsets, _ctx: &mut Context<'_, '_>) {}
