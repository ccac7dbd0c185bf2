//! DescribeGroups: the state and the members of classic groups.

use trial_node::view::CoordinatorKind;
use trial_node::{Io, Now};
use trial_wire::messages::describe_groups_response::DescribedGroup;
use trial_wire::messages::{DescribeGroupsRequest, DescribeGroupsResponse};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, StrBytes};

use super::Caller;
use super::coordinated::{Part, answers, by_partition, serve_parts};
use crate::Broker;

pub(super) fn serve(
    broker: &mut Broker,
    now: Now,
    io: &mut Io<'_>,
    caller: (Caller, &StrBytes),
    request: DescribeGroupsRequest,
) {
    let kind = CoordinatorKind::Group;
    let parts = by_partition(broker, kind, request.groups, |group| group.as_str());
    let parts = parts.into_iter().map(|(partition, groups)| {
        let part = DescribeGroupsRequest::default()
            .with_groups(groups)
            .with_include_authorized_operations(request.include_authorized_operations);
        Part::Ask(partition, part.into(), refuse)
    });
    serve_parts(broker, now, io, caller, kind, parts.collect(), merge);
}

pub(super) fn refuse(request: &RequestKind, _: i16, error: ErrorCode) -> ResponseKind {
    let RequestKind::DescribeGroups(request) = request else { unreachable!("it is what was asked") };
    let groups = request
        .groups
        .iter()
        .map(|group| DescribedGroup::default().with_group_id(group.clone()).with_error_code(error.code()));
    DescribeGroupsResponse::default().with_groups(groups.collect()).into()
}

fn merge(parts: Vec<ResponseKind>) -> ResponseKind {
    let groups = answers!(parts, DescribeGroups).flat_map(|response| response.groups);
    DescribeGroupsResponse::default().with_groups(groups.collect()).into()
}
