//! DescribeUserScramCredentials (KIP-554): which users have credentials for SCRAM; never what they are.

use std::collections::BTreeMap;

use trial_metadata::MetadataImage;
use trial_node::Io;
use trial_wire::messages::describe_user_scram_credentials_response::{
    CredentialInfo, DescribeUserScramCredentialsResult,
};
use trial_wire::messages::{DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse};
use trial_wire::{ErrorCode, ResponseKind, StrBytes};

use super::Caller;
use crate::Broker;

pub(super) fn serve(
    broker: &mut Broker,
    io: &mut Io<'_>,
    caller: Caller,
    request: &DescribeUserScramCredentialsRequest,
) {
    let image = &broker.published.image;
    // How often each user is asked for.
    let mut users: BTreeMap<&StrBytes, usize> = BTreeMap::new();
    for user in request.users.iter().flatten() {
        *users.entry(&user.name).or_default() += 1;
    }
    if users.is_empty() {
        users.extend(image.scram_credentials().keys().map(|user| (user, 1)));
    }
    let results = users.into_iter().map(|(user, times)| describe(image, user, times > 1));
    let response = DescribeUserScramCredentialsResponse::default().with_results(results.collect());
    broker.connections.respond(io, caller.token, ResponseKind::DescribeUserScramCredentials(response));
}

fn describe(image: &MetadataImage, user: &StrBytes, twice: bool) -> DescribeUserScramCredentialsResult {
    let result = DescribeUserScramCredentialsResult::default().with_user(user.clone());
    let refuse = |error: ErrorCode, what: &str| {
        let message = StrBytes::from(format!("{what}: {}", user.as_str()));
        result.clone().with_error_code(error.code()).with_error_message(Some(message))
    };
    if twice {
        let what = "Cannot describe SCRAM credentials for the same user twice in a single request";
        return refuse(ErrorCode::DuplicateResource, what);
    }
    let Some(credentials) = image.scram_credentials().get(user) else {
        let what = "Attempt to describe a user credential that does not exist";
        return refuse(ErrorCode::ResourceNotFound, what);
    };
    let shown = credentials.iter().map(|(mechanism, credential)| {
        CredentialInfo::default().with_mechanism(mechanism.id()).with_iterations(credential.iterations)
    });
    result.with_credential_infos(shown.collect())
}
