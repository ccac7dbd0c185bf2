//! ListGroups: the groups that this broker coordinates.

use trial_node::view::CoordinatorKind;
use trial_node::{Io, Now};
use trial_wire::messages::{ListGroupsRequest, ListGroupsResponse};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, StrBytes};

use super::Caller;
use super::coordinated::{answers, serve_all};
use crate::Broker;

pub(super) fn serve(
    broker: &mut Broker,
    now: Now,
    io: &mut Io<'_>,
    caller: (Caller, &StrBytes),
    request: &ListGroupsRequest,
) {
    serve_all(broker, now, io, caller, CoordinatorKind::Group, request, (refuse, merge));
}

fn refuse(_: &RequestKind, _: i16, error: ErrorCode) -> ResponseKind {
    ListGroupsResponse::default().with_error_code(error.code()).into()
}

/// All groups, or the first error: who is told half of them cannot know.
fn merge(parts: Vec<ResponseKind>) -> ResponseKind {
    let mut merged = ListGroupsResponse::default();
    for response in answers!(parts, ListGroups) {
        if response.error_code != 0 {
            return ListGroupsResponse::default().with_error_code(response.error_code).into();
        }
        merged.groups.extend(response.groups);
    }
    merged.into()
}
