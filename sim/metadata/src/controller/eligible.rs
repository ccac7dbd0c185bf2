//! What eligible leader replicas (KIP-966) ask of `min.insync.replicas`: whether somebody is eligible depends on what the ISR
//! had to be for records to be committed, so the controller and all brokers must go by the same number.

use trial_wire::{ErrorCode, StrBytes, TopicName};

use super::{ApiError, ControllerConfig, QuorumController};
use crate::config::topic_value;
use crate::feature::ELIGIBLE_LEADER_REPLICAS_VERSION_FEATURE;
use crate::image::MetadataImage;
use crate::record::{ConfigResource, MetadataRecord};

const MIN_ISR: &str = "min.insync.replicas";

impl QuorumController {
    /// Whether the cluster keeps eligible leader replicas.
    pub(super) fn tracks_eligible_leaders(&self) -> bool {
        let level = self.image.features().get(ELIGIBLE_LEADER_REPLICAS_VERSION_FEATURE.as_bytes());
        level.is_some_and(|level| *level >= 1)
    }

    /// Whether a config may become `value` (`None`: be taken away).
    pub(super) fn check_min_isr(
        &self,
        resource: &ConfigResource,
        name: &StrBytes,
        value: Option<&StrBytes>,
    ) -> Result<(), ApiError> {
        let what = match resource {
            ConfigResource::Broker(_) => {
                "Broker-level min.insync.replicas cannot be altered while ELR is enabled."
            }
            ConfigResource::BrokerDefault if value.is_none() => {
                "Cluster-level min.insync.replicas cannot be removed while ELR is enabled."
            }
            _ => return Ok(()),
        };
        if name.as_str() == MIN_ISR && self.tracks_eligible_leaders() {
            return Err(ApiError::new(ErrorCode::InvalidConfig, what.to_owned()));
        }
        Ok(())
    }

    /// What must follow these config records: nobody stays eligible where the minimum may be another from now on.
    pub(super) fn clear_eligible(&self, records: &mut Vec<MetadataRecord>) {
        if !self.tracks_eligible_leaders() {
            return;
        }
        let clears = |record: &MetadataRecord| match record {
            MetadataRecord::Config { resource, name, .. } if name.as_str() == MIN_ISR => match resource {
                ConfigResource::Topic(name) => Some(Some(name.clone())),
                ConfigResource::BrokerDefault => Some(None),
                _ => None,
            },
            _ => None,
        };
        let cleared: Vec<Option<TopicName>> = records.iter().filter_map(clears).collect();
        records.extend(cleared.into_iter().map(|topic| MetadataRecord::ClearElr { topic }));
    }
}

/// The records that must go with the one that turns the feature on: one minimum for all brokers, which is what the active
/// controller goes by, and none for single brokers.
pub(super) fn activation_records(config: &ControllerConfig, image: &MetadataImage) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    // Without any override, what is left is what the operator gave, or the default.
    let (bare, every) = (MetadataImage::default(), TopicName::default());
    let minimum = topic_value(&config.static_config, &bare, config.node_id, &every, MIN_ISR);
    let set = |image: &MetadataImage, resource: &ConfigResource| {
        image.config(resource).is_some_and(|overrides| overrides.contains_key(MIN_ISR.as_bytes()))
    };
    if !set(image, &ConfigResource::BrokerDefault) {
        records.push(MetadataRecord::Config {
            resource: ConfigResource::BrokerDefault,
            name: StrBytes::from_static_str(MIN_ISR),
            value: minimum.map(|minimum| StrBytes::from(minimum.to_owned())),
        });
    }
    for broker in image.brokers().keys() {
        let resource = ConfigResource::Broker(*broker);
        if set(image, &resource) {
            let name = StrBytes::from_static_str(MIN_ISR);
            records.push(MetadataRecord::Config { resource, name, value: None });
        }
    }
    records
}
