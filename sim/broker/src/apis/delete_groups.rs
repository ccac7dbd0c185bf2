//! DeleteGroups (KIP-229): groups without members are deleted with their offsets.

use trial_node::view::CoordinatorKind;
use trial_node::{Io, Now};
use trial_wire::messages::delete_groups_response::DeletableGroupResult;
use trial_wire::messages::{DeleteGroupsRequest, DeleteGroupsResponse};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, StrBytes};

use super::Caller;
use super::coordinated::{Part, answers, by_partition, serve_parts};
use crate::Broker;

pub(super) fn serve(
    broker: &mut Broker,
    now: Now,
    io: &mut Io<'_>,
    caller: (Caller, &StrBytes),
    mut request: DeleteGroupsRequest,
) {
    let kind = CoordinatorKind::Group;
    // Each group once, however often it is named.
    let mut names = Vec::with_capacity(request.groups_names.len());
    for name in request.groups_names.drain(..) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let parts = by_partition(broker, kind, names, |group| group.as_str()).into_iter();
    let parts = parts.map(|(partition, groups)| {
        Part::Ask(partition, DeleteGroupsRequest::default().with_groups_names(groups).into(), refuse)
    });
    serve_parts(broker, now, io, caller, kind, parts.collect(), merge);
}

pub(super) fn refuse(request: &RequestKind, _: i16, error: ErrorCode) -> ResponseKind {
    let RequestKind::DeleteGroups(request) = request else { unreachable!("it is what was asked") };
    let results = request.groups_names.iter().map(|group| {
        DeletableGroupResult::default().with_group_id(group.clone()).with_error_code(error.code())
    });
    DeleteGroupsResponse::default().with_results(results.collect()).into()
}

fn merge(parts: Vec<ResponseKind>) -> ResponseKind {
    let results = answers!(parts, DeleteGroups).flat_map(|response| response.results);
    DeleteGroupsResponse::default().with_results(results.collect()).into()
}
