//! DescribeAcls (KIP-140): the ACLs that a filter lets pass.

use std::collections::BTreeMap;

use trial_metadata::MetadataImage;
use trial_node::Io;
use trial_security::acl::AclFilter;
use trial_wire::messages::describe_acls_response::{AclDescription, DescribeAclsResource};
use trial_wire::messages::{DescribeAclsRequest, DescribeAclsResponse};
use trial_wire::{ErrorCode, ResponseKind, StrBytes};

use super::Caller;
use crate::Broker;

pub(super) fn serve(broker: &mut Broker, io: &mut Io<'_>, caller: Caller, request: &DescribeAclsRequest) {
    let refuse = |error: ErrorCode, what: &'static str| {
        DescribeAclsResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_static_str(what)))
    };
    let filter = AclFilter::from_wire(
        (request.resource_type_filter, request.resource_name_filter.clone(), request.pattern_type_filter),
        (request.principal_filter.clone(), request.host_filter.clone()),
        (request.operation, request.permission_type),
    );
    let response = match filter {
        _ if !broker.security.authorizes() => {
            refuse(ErrorCode::SecurityDisabled, "No Authorizer is configured on the broker")
        }
        None => refuse(ErrorCode::InvalidRequest, "The filter has parts that are unknown."),
        Some(filter) => {
            DescribeAclsResponse::default().with_resources(matching(&broker.published.image, &filter))
        }
    };
    broker.connections.respond(io, caller.token, ResponseKind::DescribeAcls(response));
}

/// The ACLs by what they are about.
fn matching(image: &MetadataImage, filter: &AclFilter) -> Vec<DescribeAclsResource> {
    let mut resources: BTreeMap<_, Vec<AclDescription>> = BTreeMap::new();
    for acl in image.acls().values().filter(|acl| filter.matches(acl)) {
        resources.entry((acl.resource_type, &acl.resource_name, acl.pattern_type)).or_default().push(
            AclDescription::default()
                .with_principal(acl.principal.clone())
                .with_host(acl.host.clone())
                .with_operation(acl.operation.code())
                .with_permission_type(acl.permission.code()),
        );
    }
    let resources = resources.into_iter().map(|((resource_type, name, pattern_type), acls)| {
        DescribeAclsResource::default()
            .with_resource_type(resource_type.code())
            .with_resource_name(name.clone())
            .with_pattern_type(pattern_type.code())
            .with_acls(acls)
    });
    resources.collect()
}
