//! AlterClientQuotas (KIP-546), served by the active controller.

use trial_metadata::{ControllerResult, QuorumController};
use trial_wire::ErrorCode;
use trial_wire::messages::alter_client_quotas_request::EntryData;
use trial_wire::messages::alter_client_quotas_response::{EntityData, EntryData as EntryResult};
use trial_wire::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};

use super::controller_request::{ControllerRequest, Surroundings};

impl ControllerRequest for AlterClientQuotasRequest {
    type Response = AlterClientQuotasResponse;

    fn decide(
        &self,
        controller: &mut QuorumController,
        _: &mut Surroundings<'_>,
    ) -> ControllerResult<AlterClientQuotasResponse> {
        controller.alter_client_quotas(self)
    }

    fn refuse(&self, error: ErrorCode) -> AlterClientQuotasResponse {
        let refuse = |entry: &EntryData| {
            let entity = entry.entity.iter().map(|part| {
                EntityData::default()
                    .with_entity_type(part.entity_type.clone())
                    .with_entity_name(part.entity_name.clone())
            });
            EntryResult::default().with_error_code(error.code()).with_entity(entity.collect())
        };
        AlterClientQuotasResponse::default().with_entries(self.entries.iter().map(refuse).collect())
    }
}
