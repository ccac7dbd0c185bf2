//! ApiVersions (KIP-35): what this listener speaks.

use trial_metadata::supported_features;
use trial_node::Io;
use trial_wire::api::{APIS, Api, lookup};
use trial_wire::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use trial_wire::messages::{ApiVersionsRequest, ApiVersionsResponse};
use trial_wire::{ApiKey, ErrorCode, ResponseKind};

use super::Caller;
use crate::{Broker, Token};

pub(super) fn serve(broker: &mut Broker, io: &mut Io<'_>, caller: Caller, request: &ApiVersionsRequest) {
    let own = lookup(ApiKey::ApiVersions).expect("it is being served");
    let version = caller.token.api_version;
    if !own.supports(version) {
        // The one response that a client of any version can read, and that tells it how to ask again.
        let response = ApiVersionsResponse::default()
            .with_error_code(ErrorCode::UnsupportedVersion.code())
            .with_api_keys(vec![line(own)]);
        let token = Token { api_version: 0, ..caller.token };
        return broker.connections.respond(io, token, ResponseKind::ApiVersions(response));
    }
    let response = if version >= 3
        && !(valid(&request.client_software_name) && valid(&request.client_software_version))
    {
        ApiVersionsResponse::default().with_error_code(ErrorCode::InvalidRequest.code())
    } else {
        let served = APIS.iter().filter(|api| api.served_on(caller.listener()));
        let mut response = ApiVersionsResponse::default().with_api_keys(served.map(line).collect());
        if version >= 3 {
            let image = &broker.published.image;
            let supported = supported_features().into_iter().map(|feature| {
                SupportedFeatureKey::default()
                    .with_name(feature.name)
                    .with_min_version(feature.min_supported_version)
                    .with_max_version(feature.max_supported_version)
            });
            let finalized = image.features().iter().map(|(name, level)| {
                FinalizedFeatureKey::default()
                    .with_name(name.clone())
                    .with_min_version_level(*level)
                    .with_max_version_level(*level)
            });
            response = response
                .with_supported_features(supported.collect())
                .with_finalized_features(finalized.collect())
                .with_finalized_features_epoch(broker.published.next_offset.0 - 1);
        }
        response
    };
    broker.connections.respond(io, caller.token, ResponseKind::ApiVersions(response));
}

fn line(api: &Api) -> ApiVersion {
    ApiVersion::default()
        .with_api_key(api.key as i16)
        .with_min_version(api.advertised.min)
        .with_max_version(api.advertised.max)
}

/// KIP-511: a letter or digit at both ends, and between them also `-` and `.`.
fn valid(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    name.chars().all(inner)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
}
