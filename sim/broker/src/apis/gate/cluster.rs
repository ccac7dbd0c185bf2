//! Requests about configs and the cluster.

use trial_metadata::ConfigResource;
use trial_security::acl::AclOperation::{self, AlterConfigs, Describe, DescribeConfigs};
use trial_wire::messages::describe_configs_response::DescribeConfigsResult;
use trial_wire::messages::{
    AlterConfigsRequest, DescribeAclsResponse, DescribeClientQuotasResponse, DescribeConfigsRequest,
    DescribeConfigsResponse, DescribeLogDirsResponse, DescribeQuorumResponse,
    DescribeUserScramCredentialsResponse, IncrementalAlterConfigsRequest, ListConfigResourcesResponse,
};
use trial_wire::{ErrorCode, StrBytes};

use super::{ControllerRequest, Gate, Refusal, take};

const CLUSTER_REFUSED: ErrorCode = ErrorCode::ClusterAuthorizationFailed;

impl Gate<'_> {
    /// Whether somebody may do something with the configs of a resource, and what to say if not.
    fn configs(&self, operation: AclOperation, resource_type: i8, name: &str) -> Result<(), ErrorCode> {
        let (allowed, error) = match resource_type {
            ConfigResource::TOPIC => {
                (self.access.topic(operation, name), ErrorCode::TopicAuthorizationFailed)
            }
            ConfigResource::GROUP => {
                (self.access.group(operation, name), ErrorCode::GroupAuthorizationFailed)
            }
            _ => (self.access.cluster(operation), CLUSTER_REFUSED),
        };
        if allowed { Ok(()) } else { Err(error) }
    }

    pub fn describe_configs(&mut self, request: &mut DescribeConfigsRequest) -> Refusal {
        let configs = |kind, name: &StrBytes| self.configs(DescribeConfigs, kind, name);
        let refused =
            take(&mut request.resources, |of| configs(of.resource_type, &of.resource_name).is_ok())?;
        let results = refused.into_iter().map(|of| {
            let error = configs(of.resource_type, &of.resource_name).err();
            DescribeConfigsResult::default()
                .with_error_code(error.map_or(0, |error| error.code()))
                .with_error_message(error.map(|error| StrBytes::from(error.to_string())))
                .with_resource_type(of.resource_type)
                .with_resource_name(of.resource_name)
        });
        let refused = DescribeConfigsResponse::default().with_results(results.collect());
        self.partly(Some(refused.into()), request.resources.is_empty())
    }

    pub fn alter_configs(&mut self, request: &mut AlterConfigsRequest) -> Refusal {
        let configs = |kind, name: &StrBytes| self.configs(AlterConfigs, kind, name);
        let refused =
            take(&mut request.resources, |of| configs(of.resource_type, &of.resource_name).is_ok())?;
        let mut refused = AlterConfigsRequest::default().with_resources(refused).refuse(CLUSTER_REFUSED);
        for response in &mut refused.responses {
            let error = configs(response.resource_type, &response.resource_name).err();
            response.error_code = error.map_or(0, |error| error.code());
        }
        self.partly(Some(refused.into()), request.resources.is_empty())
    }

    pub fn incremental_alter_configs(&mut self, request: &mut IncrementalAlterConfigsRequest) -> Refusal {
        let configs = |kind, name: &StrBytes| self.configs(AlterConfigs, kind, name);
        let refused =
            take(&mut request.resources, |of| configs(of.resource_type, &of.resource_name).is_ok())?;
        let refused = IncrementalAlterConfigsRequest::default().with_resources(refused);
        let mut refused = refused.refuse(CLUSTER_REFUSED);
        for response in &mut refused.responses {
            let error = configs(response.resource_type, &response.resource_name).err();
            response.error_code = error.map_or(0, |error| error.code());
        }
        self.partly(Some(refused.into()), request.resources.is_empty())
    }

    pub fn list_config_resources(&self) -> Refusal {
        let refuse = || ListConfigResourcesResponse::default().with_error_code(CLUSTER_REFUSED.code());
        (!self.access.cluster(DescribeConfigs)).then(|| refuse().into())
    }

    pub fn describe_log_dirs(&self) -> Refusal {
        let refuse = || DescribeLogDirsResponse::default().with_error_code(CLUSTER_REFUSED.code());
        (!self.access.cluster(Describe)).then(|| refuse().into())
    }

    pub fn describe_client_quotas(&self) -> Refusal {
        let refuse = || {
            let response = DescribeClientQuotasResponse::default().with_error_code(CLUSTER_REFUSED.code());
            response.with_entries(None)
        };
        (!self.access.cluster(DescribeConfigs)).then(|| refuse().into())
    }

    pub fn describe_acls(&self) -> Refusal {
        let refuse = || DescribeAclsResponse::default().with_error_code(CLUSTER_REFUSED.code());
        (!self.access.cluster(Describe)).then(|| refuse().into())
    }

    pub fn describe_user_scram_credentials(&self) -> Refusal {
        let refuse =
            || DescribeUserScramCredentialsResponse::default().with_error_code(CLUSTER_REFUSED.code());
        (!self.access.cluster(Describe)).then(|| refuse().into())
    }

    pub fn describe_quorum(&self) -> Refusal {
        let refuse = || DescribeQuorumResponse::default().with_error_code(CLUSTER_REFUSED.code());
        (!self.access.cluster(Describe)).then(|| refuse().into())
    }
}
