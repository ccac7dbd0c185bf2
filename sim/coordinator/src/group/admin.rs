//! What administrators ask of groups.
use trial_wire::messages::*;

use super::context::Context;
use super::coordinator::Groups;
use super::offsets::Offsets;
use crate::{CallId, ClusterMetadata};

pub(super) fn describe(_g: &Groups, _version: i16, _b: DescribeGroupsRequest) -> DescribeGroupsResponse {
    DescribeGroupsResponse::default()
}
pub(super) fn list(_g: &Groups, _b: ListGroupsRequest) -> ListGroupsResponse {
    ListGroupsResponse::default()
}
pub(super) fn delete(
    _g: &Groups,
    _o: &Offsets,
    ctx: &mut Context<'_, '_>,
    call: CallId,
    _b: DeleteGroupsRequest,
) {
    ctx.out.respond(call, DeleteGroupsResponse::default());
}
pub(super) fn describe_consumer(
    _g: &Groups,
    _m: &dyn ClusterMetadata,
    _b: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    ConsumerGroupDescribeResponse::default()
}
