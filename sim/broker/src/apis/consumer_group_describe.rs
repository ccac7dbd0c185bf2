//! ConsumerGroupDescribe (KIP-848): the state, members and assignments of consumer groups.

use trial_coordinator::ClusterMetadata;
use trial_metadata::feature::GROUP_VERSION_FEATURE;
use trial_node::view::CoordinatorKind;
use trial_node::{Io, Now};
use trial_wire::messages::consumer_group_describe_response::DescribedGroup;
use trial_wire::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, StrBytes};

use super::Caller;
use super::coordinated::{Part, answers, by_partition, serve_parts};
use crate::Broker;

pub(super) fn serve(
    broker: &mut Broker,
    now: Now,
    io: &mut Io<'_>,
    (caller, client_id): (Caller, &StrBytes),
    request: ConsumerGroupDescribeRequest,
) {
    if broker.published.feature_level(GROUP_VERSION_FEATURE) == 0 {
        let version = caller.token.api_version;
        let refusal = refuse(&request.into(), version, ErrorCode::UnsupportedVersion);
        return broker.connections.respond(io, caller.token, refusal);
    }
    let kind = CoordinatorKind::Group;
    let parts = by_partition(broker, kind, request.group_ids, |group| group.as_str());
    let parts = parts.into_iter().map(|(partition, groups)| {
        let part = ConsumerGroupDescribeRequest::default()
            .with_group_ids(groups)
            .with_include_authorized_operations(request.include_authorized_operations);
        Part::Ask(partition, part.into(), refuse)
    });
    serve_parts(broker, now, io, (caller, client_id), kind, parts.collect(), merge);
}

pub(super) fn refuse(request: &RequestKind, _: i16, error: ErrorCode) -> ResponseKind {
    let RequestKind::ConsumerGroupDescribe(request) = request else { unreachable!("it is what was asked") };
    let groups = request
        .group_ids
        .iter()
        .map(|group| DescribedGroup::default().with_group_id(group.clone()).with_error_code(error.code()));
    ConsumerGroupDescribeResponse::default().with_groups(groups.collect()).into()
}

fn merge(parts: Vec<ResponseKind>) -> ResponseKind {
    let groups = answers!(parts, ConsumerGroupDescribe).flat_map(|response| response.groups);
    ConsumerGroupDescribeResponse::default().with_groups(groups.collect()).into()
}
