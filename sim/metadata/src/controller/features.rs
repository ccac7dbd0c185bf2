//! Finalized feature levels change (`FeatureControlManager` in Kafka's source; KIP-584, KIP-778).

use trial_wire::messages::update_features_request::FeatureUpdateKey;
use trial_wire::messages::update_features_response::UpdatableFeatureResult;
use trial_wire::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use trial_wire::{ErrorCode, StrBytes};

use super::eligible::activation_records;
use super::{ApiError, ControllerResult, QuorumController};
use crate::feature::{ELIGIBLE_LEADER_REPLICAS_VERSION_FEATURE, FEATURES, METADATA_VERSION_FEATURE};
use crate::record::MetadataRecord;

/// `FeatureUpdate.UpgradeType` on the wire.
const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;
const UNSAFE_DOWNGRADE: i8 = 3;

/// The last version that tells of each feature, and the only one that has a flag instead of the type of an update.
const PER_FEATURE_VERSION: i16 = 1;
const FLAG_VERSION: i16 = 0;

impl QuorumController {
    /// UpdateFeatures, asked in `version`. All features change or none.
    pub fn update_features(
        &self,
        request: &UpdateFeaturesRequest,
        version: i16,
    ) -> ControllerResult<UpdateFeaturesResponse> {
        let mut records = Vec::with_capacity(request.feature_updates.len());
        for update in &request.feature_updates {
            let upgrade_type = match version {
                FLAG_VERSION if update.allow_downgrade => SAFE_DOWNGRADE,
                FLAG_VERSION => UPGRADE,
                _ => update.upgrade_type,
            };
            match self.update_feature(update, upgrade_type) {
                Ok(record) => records.push(record),
                Err(error) => {
                    let code = error.code();
                    let message = format!(
                        "The update failed for all features since the following feature had an error: {}",
                        error.message.unwrap_or_default()
                    );
                    return ControllerResult::answer(
                        UpdateFeaturesResponse::default()
                            .with_error_code(code)
                            .with_error_message(Some(StrBytes::from(message))),
                    );
                }
            }
        }
        let turns_on = |record: &MetadataRecord| {
            matches!(record, MetadataRecord::FeatureLevel { name, level: 1.. }
                if name.as_str() == ELIGIBLE_LEADER_REPLICAS_VERSION_FEATURE)
        };
        if !self.tracks_eligible_leaders() && records.iter().any(turns_on) {
            records.extend(activation_records(&self.config, &self.image));
        }
        let mut response = UpdateFeaturesResponse::default();
        if version <= PER_FEATURE_VERSION {
            let updated = request
                .feature_updates
                .iter()
                .map(|update| UpdatableFeatureResult::default().with_feature(update.feature.clone()));
            response = response.with_results(updated.collect());
        }
        if request.validate_only {
            records.clear();
        }
        ControllerResult::atomic(records, response)
    }

    fn update_feature(
        &self,
        update: &FeatureUpdateKey,
        upgrade_type: i8,
    ) -> Result<MetadataRecord, ApiError> {
        let (name, level) = (&update.feature, update.max_version_level);
        let refuse = |why: String| {
            let what = format!("Invalid update version {level} for feature {name}. {why}");
            Err(ApiError::new(ErrorCode::InvalidUpdateVersion, what))
        };
        if !(UPGRADE..=UNSAFE_DOWNGRADE).contains(&upgrade_type) {
            return refuse("The controller does not support the given upgrade type.".to_owned());
        }
        if level < 0 {
            return refuse("A feature version cannot be less than 0.".to_owned());
        }
        let Some(known) = FEATURES.iter().find(|feature| feature.name == name.as_str()) else {
            return refuse("Local controller does not support this feature.".to_owned());
        };
        if !(known.min..=known.max).contains(&level) {
            return refuse(format!("Local controller only supports versions {}-{}", known.min, known.max));
        }
        for broker in self.image.brokers().values() {
            let supported = broker.features.iter().find(|feature| feature.name == *name);
            let (min, max) = supported.map_or((0, 0), |f| (f.min_supported_version, f.max_supported_version));
            if level != 0 && !(min..=max).contains(&level) {
                return refuse(format!("Broker {} only supports versions {min}-{max}", broker.broker_id));
            }
        }
        let current = self.image.features().get(name).copied().unwrap_or(0);
        if level < current && upgrade_type == UPGRADE {
            return refuse(
                "Can't downgrade the version of this feature without setting the upgrade type to either safe or \
                 unsafe downgrade."
                    .to_owned(),
            );
        }
        if level > current && upgrade_type != UPGRADE {
            return refuse("Can't downgrade to a newer version.".to_owned());
        }
        if level < current && known.name == METADATA_VERSION_FEATURE {
            return refuse(
                "Refusing to perform the requested downgrade because it might delete metadata information."
                    .to_owned(),
            );
        }
        Ok(MetadataRecord::FeatureLevel { name: name.clone(), level })
    }
}
