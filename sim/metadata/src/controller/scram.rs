//! Users' credentials for SCRAM (`ScramControlManager` in Kafka's source; KIP-554).

use std::collections::BTreeMap;

use trial_security::scram::{MAX_ITERATIONS, MIN_ITERATIONS};
use trial_security::{ScramCredential, ScramMechanism};
use trial_wire::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use trial_wire::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use trial_wire::messages::{AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse};
use trial_wire::{ErrorCode, StrBytes};

use super::{ApiError, ControllerResult, QuorumController};
use crate::record::MetadataRecord;

impl QuorumController {
    /// AlterUserScramCredentials. One credential of a user changes in a request, or none of that user's.
    pub fn alter_user_scram_credentials(
        &self,
        request: &AlterUserScramCredentialsRequest,
    ) -> ControllerResult<AlterUserScramCredentialsResponse> {
        let mut changes: BTreeMap<&StrBytes, Result<MetadataRecord, ApiError>> = BTreeMap::new();
        let mut change = |user, record: Result<MetadataRecord, ApiError>| {
            let first_error = |known: &mut Result<MetadataRecord, ApiError>| {
                if known.is_ok() {
                    let what = "A user credential cannot be altered twice in the same request";
                    *known = Err(ApiError::new(ErrorCode::DuplicateResource, what.to_owned()));
                }
            };
            changes.entry(user).and_modify(first_error).or_insert(record);
        };
        for deletion in &request.deletions {
            change(&deletion.name, self.deleted(deletion));
        }
        for upsertion in &request.upsertions {
            change(&upsertion.name, upserted(upsertion));
        }
        let mut records = Vec::new();
        let results = changes.into_iter().map(|(user, changed)| {
            let result = AlterUserScramCredentialsResult::default().with_user(user.clone());
            match changed {
                Ok(record) => {
                    records.push(record);
                    result
                }
                Err(error) => result.with_error_code(error.code()).with_error_message(error.message()),
            }
        });
        let response = AlterUserScramCredentialsResponse::default().with_results(results.collect());
        ControllerResult::atomic(records, response)
    }

    fn deleted(&self, deletion: &ScramCredentialDeletion) -> Result<MetadataRecord, ApiError> {
        let mechanism = mechanism(&deletion.name, deletion.mechanism)?;
        let known = self.image.scram_credentials().get(&deletion.name);
        if known.is_none_or(|credentials| !credentials.contains_key(&mechanism)) {
            let what = "Attempt to delete a user credential that does not exist".to_owned();
            return Err(ApiError::new(ErrorCode::ResourceNotFound, what));
        }
        Ok(MetadataRecord::RemoveUserScramCredential { name: deletion.name.clone(), mechanism })
    }
}

fn upserted(upsertion: &ScramCredentialUpsertion) -> Result<MetadataRecord, ApiError> {
    let mechanism = mechanism(&upsertion.name, upsertion.mechanism)?;
    let unacceptable = |what: &str| Err(ApiError::new(ErrorCode::UnacceptableCredential, what.to_owned()));
    if upsertion.iterations < MIN_ITERATIONS {
        return unacceptable("Too few iterations");
    }
    if upsertion.iterations > MAX_ITERATIONS {
        return unacceptable("Too many iterations");
    }
    let credential = ScramCredential::of_salted(
        mechanism,
        &upsertion.salted_password,
        upsertion.salt.clone(),
        upsertion.iterations,
    );
    Ok(MetadataRecord::UserScramCredential { name: upsertion.name.clone(), mechanism, credential })
}

fn mechanism(user: &StrBytes, mechanism: i8) -> Result<ScramMechanism, ApiError> {
    if user.is_empty() {
        let what = "Username must not be empty".to_owned();
        return Err(ApiError::new(ErrorCode::UnacceptableCredential, what));
    }
    ScramMechanism::from_id(mechanism).ok_or_else(|| {
        ApiError::new(ErrorCode::UnsupportedSaslMechanism, "Unknown SCRAM mechanism".to_owned())
    })
}
