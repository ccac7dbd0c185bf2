//! ACLs (`AclControlManager` and `AclApis` in Kafka's source).

use std::collections::BTreeSet;

use trial_node::Rng;
use trial_security::KafkaPrincipal;
use trial_security::acl::{
    Acl, AclFilter, AclOperation, AclPermission, CLUSTER_NAME, PatternType, ResourceType,
};
use trial_wire::messages::create_acls_request::AclCreation;
use trial_wire::messages::create_acls_response::AclCreationResult;
use trial_wire::messages::delete_acls_request::DeleteAclsFilter;
use trial_wire::messages::delete_acls_response::{DeleteAclsFilterResult, DeleteAclsMatchingAcl};
use trial_wire::messages::{CreateAclsRequest, CreateAclsResponse, DeleteAclsRequest, DeleteAclsResponse};
use trial_wire::{ErrorCode, Uuid};

use super::{ApiError, ControllerResult, QuorumController};
use crate::record::MetadataRecord;

impl QuorumController {
    /// CreateAcls. One that is there already is created again by doing nothing.
    pub fn create_acls(
        &self,
        request: &CreateAclsRequest,
        rng: &mut Rng,
    ) -> ControllerResult<CreateAclsResponse> {
        let mut existing: BTreeSet<Acl> = self.image.acls().values().cloned().collect();
        let mut records = Vec::new();
        let results = request.creations.iter().map(|creation| match created(creation) {
            Ok(acl) => {
                if existing.insert(acl.clone()) {
                    records.push(MetadataRecord::AccessControlEntry { id: self.draw_acl_id(rng), acl });
                }
                AclCreationResult::default()
            }
            Err(error) => {
                AclCreationResult::default().with_error_code(error.code()).with_error_message(error.message())
            }
        });
        let response = CreateAclsResponse::default().with_results(results.collect());
        ControllerResult::atomic(records, response)
    }

    /// DeleteAcls. One that several filters match is told of by each, and deleted once.
    pub fn delete_acls(&self, request: &DeleteAclsRequest) -> ControllerResult<DeleteAclsResponse> {
        let mut gone = BTreeSet::new();
        let results = request.filters.iter().map(|filter| {
            let Some(filter) = filter_of(filter) else {
                let error = ApiError::new(ErrorCode::InvalidRequest, "Unknown patternFilter.".to_owned());
                return DeleteAclsFilterResult::default()
                    .with_error_code(error.code())
                    .with_error_message(error.message());
            };
            let matching = self.image.acls().iter().filter(|(_, acl)| filter.matches(acl));
            let matching = matching.map(|(id, acl)| {
                gone.insert(*id);
                DeleteAclsMatchingAcl::default()
                    .with_resource_type(acl.resource_type.code())
                    .with_resource_name(acl.resource_name.clone())
                    .with_pattern_type(acl.pattern_type.code())
                    .with_principal(acl.principal.clone())
                    .with_host(acl.host.clone())
                    .with_operation(acl.operation.code())
                    .with_permission_type(acl.permission.code())
            });
            DeleteAclsFilterResult::default().with_matching_acls(matching.collect())
        });
        let response = DeleteAclsResponse::default().with_filter_results(results.collect());
        let records = gone.into_iter().map(|id| MetadataRecord::RemoveAccessControlEntry { id });
        ControllerResult::atomic(records.collect(), response)
    }

    fn draw_acl_id(&self, rng: &mut Rng) -> Uuid {
        loop {
            let mut bytes = [0; 16];
            rng.fill(&mut bytes);
            bytes[6] = bytes[6] & 0x0f | 0x40;
            bytes[8] = bytes[8] & 0x3f | 0x80;
            let id = Uuid::from_bytes(bytes);
            if !self.image.acls().contains_key(&id) {
                return id;
            }
        }
    }
}

fn created(creation: &AclCreation) -> Result<Acl, ApiError> {
    let invalid = |what: String| ApiError::new(ErrorCode::InvalidRequest, what);
    let resource_type = ResourceType::from_code(creation.resource_type)
        .ok_or_else(|| invalid(format!("Invalid resourceType {}", creation.resource_type)))?;
    let pattern_type = PatternType::from_code(creation.resource_pattern_type)
        .ok_or_else(|| invalid(format!("Invalid patternType {}", creation.resource_pattern_type)))?;
    let operation = AclOperation::from_code(creation.operation)
        .ok_or_else(|| invalid(format!("Invalid operation {}", creation.operation)))?;
    let permission = AclPermission::from_code(creation.permission_type)
        .ok_or_else(|| invalid(format!("Invalid permissionType {}", creation.permission_type)))?;
    if creation.resource_name.is_empty() {
        return Err(invalid("Invalid empty resource name".to_owned()));
    }
    if resource_type == ResourceType::Cluster && creation.resource_name.as_str() != CLUSTER_NAME {
        return Err(invalid(format!("The only valid name for the CLUSTER resource is {CLUSTER_NAME}")));
    }
    if KafkaPrincipal::parse(&creation.principal).is_none() {
        let what = "is not a principal, which is a type, a colon, and a name";
        return Err(invalid(format!("`{}` {what}", creation.principal)));
    }
    Ok(Acl {
        resource_type,
        resource_name: creation.resource_name.clone(),
        pattern_type,
        principal: creation.principal.clone(),
        host: creation.host.clone(),
        operation,
        permission,
    })
}

fn filter_of(filter: &DeleteAclsFilter) -> Option<AclFilter> {
    AclFilter::from_wire(
        (filter.resource_type_filter, filter.resource_name_filter.clone(), filter.pattern_type_filter),
        (filter.principal_filter.clone(), filter.host_filter.clone()),
        (filter.operation, filter.permission_type),
    )
}
