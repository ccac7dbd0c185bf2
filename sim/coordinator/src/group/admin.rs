//! What administrators ask of groups: DescribeGroups, ConsumerGroupDescribe, ListGroups, DeleteGroups.

use trial_wire::messages::delete_groups_response::DeletableGroupResult;
use trial_wire::messages::list_groups_response::ListedGroup;
use trial_wire::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DeleteGroupsRequest, DeleteGroupsResponse,
    DescribeGroupsRequest, DescribeGroupsResponse, GroupId, ListGroupsRequest, ListGroupsResponse,
    consumer_group_describe_response, describe_groups_response,
};
use trial_wire::{ErrorCode, StrBytes};

use super::ServerAssignor;
use super::context::{Context, Then};
use super::coordinator::{Group, Groups};
use super::offsets::Offsets;
use crate::{CallId, ClusterMetadata};

/// From this version on, DescribeGroups says that a group is not there (KIP-1043), before only that it is dead.
const NOT_FOUND: i16 = 6;

/// DescribeGroups: groups of KIP-848 are none that it knows.
pub(super) fn describe(groups: &Groups, version: i16, body: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let described = body.groups.into_iter().map(|id| match groups.get(&id.0) {
        Some(Group::Classic(group)) => group.describe(),
        found => {
            let what = if found.is_some() { "is not a classic group" } else { "not found" };
            let dead = describe_groups_response::DescribedGroup::default()
                .with_group_state(StrBytes::from_static_str("Dead"));
            let dead = match version {
                NOT_FOUND.. => dead
                    .with_error_code(ErrorCode::GroupIdNotFound.code())
                    .with_error_message(Some(format!("Group {} {what}.", id.as_str()).into())),
                _ => dead,
            };
            dead.with_group_id(id)
        }
    });
    DescribeGroupsResponse::default().with_groups(described.collect())
}

/// ConsumerGroupDescribe: groups of the classic protocol are none that it knows.
pub(super) fn describe_consumer(
    groups: &Groups,
    configured: &[ServerAssignor],
    metadata: &dyn ClusterMetadata,
    body: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let described = body.group_ids.into_iter().map(|id| match groups.get(&id.0) {
        Some(Group::Consumer(group)) => group.describe(configured, metadata),
        found => {
            let (error, message) = match found {
                _ if id.is_empty() => (ErrorCode::InvalidGroupId, "GroupId can't be empty.".to_owned()),
                None => (ErrorCode::GroupIdNotFound, format!("Group {} not found.", id.as_str())),
                Some(_) => {
                    (ErrorCode::GroupIdNotFound, format!("Group {} is not a consumer group.", id.as_str()))
                }
            };
            consumer_group_describe_response::DescribedGroup::default()
                .with_error_code(error.code())
                .with_error_message(Some(message.into()))
                .with_group_id(id)
        }
    });
    ConsumerGroupDescribeResponse::default().with_groups(described.collect())
}

/// ListGroups. Filters know no case (KIP-518, KIP-848); an empty one lets everything through.
pub(super) fn list(groups: &Groups, body: ListGroupsRequest) -> ListGroupsResponse {
    let passes = |filter: &[StrBytes], name: &str| {
        filter.is_empty() || filter.iter().any(|said| said.trim().eq_ignore_ascii_case(name))
    };
    let listed = groups.iter().filter_map(|(id, group)| {
        let (state, group_type, protocol_type) = match group {
            Group::Classic(group) => (group.state_name(), "classic", group.protocol_type()),
            Group::Consumer(group) => (group.state_name(), "consumer", StrBytes::from_static_str("consumer")),
        };
        let listed = ListedGroup::default()
            .with_group_id(GroupId(id.clone()))
            .with_protocol_type(protocol_type)
            .with_group_state(StrBytes::from_static_str(state))
            .with_group_type(StrBytes::from_static_str(group_type));
        (passes(&body.states_filter, state) && passes(&body.types_filter, group_type)).then_some(listed)
    });
    ListGroupsResponse::default().with_groups(listed.collect())
}

/// DeleteGroups: those without members, with their offsets; also the group without a name, which old consumers commit to.
pub(super) fn delete(
    groups: &Groups,
    offsets: &Offsets,
    ctx: &mut Context<'_, '_>,
    call: CallId,
    body: DeleteGroupsRequest,
) {
    let mut records = Vec::new();
    let results = body.groups_names.into_iter().map(|id| {
        let error = match groups.get(&id.0) {
            None => Some(ErrorCode::GroupIdNotFound),
            Some(group) if !group.is_empty() => Some(ErrorCode::NonEmptyGroup),
            Some(group) => {
                offsets.tombstones(&id.0, &mut records);
                group.tombstones(&mut records);
                None
            }
        };
        let code = error.map_or(0, |error| error.code());
        DeletableGroupResult::default().with_group_id(id).with_error_code(code)
    });
    let response = DeleteGroupsResponse::default().with_results(results.collect());
    if records.is_empty() {
        ctx.out.respond_once_committed(call, response);
    } else {
        ctx.out.append(records, Then::Respond { call, body: response.into() });
    }
}
