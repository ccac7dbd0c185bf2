//! AlterUserScramCredentials (KIP-554), served by the active controller.

use std::collections::BTreeSet;

use trial_metadata::{ControllerResult, QuorumController};
use trial_wire::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use trial_wire::messages::{AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse};
use trial_wire::{ErrorCode, StrBytes};

use super::controller_request::{ControllerRequest, Surroundings};

impl ControllerRequest for AlterUserScramCredentialsRequest {
    type Response = AlterUserScramCredentialsResponse;

    fn decide(
        &self,
        controller: &mut QuorumController,
        _: &mut Surroundings<'_>,
    ) -> ControllerResult<AlterUserScramCredentialsResponse> {
        controller.alter_user_scram_credentials(self)
    }

    fn refuse(&self, error: ErrorCode) -> AlterUserScramCredentialsResponse {
        let deleted = self.deletions.iter().map(|deletion| &deletion.name);
        let users: BTreeSet<&StrBytes> =
            self.upsertions.iter().map(|upsertion| &upsertion.name).chain(deleted).collect();
        let refused = users.into_iter().map(|user| {
            AlterUserScramCredentialsResult::default().with_user(user.clone()).with_error_code(error.code())
        });
        AlterUserScramCredentialsResponse::default().with_results(refused.collect())
    }
}
