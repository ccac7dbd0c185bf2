//! The features that a cluster finalizes at a level (KIP-584): which there are, and at which levels.

use std::collections::BTreeMap;

use trial_node::nearest;
use trial_wire::StrBytes;

use crate::config::suggestion;
use crate::record::BrokerFeature;

/// One line of the table of features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureDef {
    /// Its name.
    pub name: &'static str,
    /// The lowest level that we support. A feature that may be at 0 may be missing.
    pub min: i16,
    /// The highest level that we support.
    pub max: i16,
    /// The level that new clusters start at, unless their operator chooses another.
    pub default: i16,
}

/// The feature that says which records and versions of them the metadata log may hold.
pub const METADATA_VERSION_FEATURE: &str = "metadata.version";
/// The level of `metadata.version` that new clusters start at: 4.0-IV3.
pub const METADATA_VERSION: i16 = 25;
/// The feature that says which group protocols there are: from 1 on the one of KIP-848.
pub const GROUP_VERSION_FEATURE: &str = "group.version";
/// The feature that says how transactions work: from 1 on their log has flexible versions, from 2 on each transaction has an
/// epoch of its own and partitions are added by the brokers that lead them (KIP-890).
pub const TRANSACTION_VERSION_FEATURE: &str = "transaction.version";

/// The feature that says whether the controller tracks eligible leader replicas (KIP-966). It is on in new clusters from
/// `metadata.version` 4.1-IV0 on only.
pub const ELIGIBLE_LEADER_REPLICAS_VERSION_FEATURE: &str = "eligible.leader.replicas.version";

/// Every feature that we support, in the order of the names.
pub static FEATURES: &[FeatureDef] = &[
    FeatureDef { name: ELIGIBLE_LEADER_REPLICAS_VERSION_FEATURE, min: 0, max: 1, default: 0 },
    FeatureDef { name: GROUP_VERSION_FEATURE, min: 0, max: 1, default: 1 },
    FeatureDef {
        name: METADATA_VERSION_FEATURE,
        min: METADATA_VERSION,
        max: METADATA_VERSION,
        default: METADATA_VERSION,
    },
    FeatureDef { name: TRANSACTION_VERSION_FEATURE, min: 0, max: 2, default: 2 },
];

/// The levels that a new cluster starts at, where its operator chose some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootstrapFeatures {
    chosen: BTreeMap<&'static str, i16>,
}

/// A feature's name or level is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeatureError {
    /// There is no such feature.
    #[error("unknown feature {name}; there are {}{}", names().collect::<Vec<_>>().join(", "), suggestion(nearest(name, names())))]
    Unknown {
        /// The name.
        name: String,
    },
    /// We do not support the level.
    #[error("feature {name} cannot be at level {level}: it must be from {min} to {max}")]
    Level {
        /// The feature.
        name: &'static str,
        /// The level.
        level: i16,
        /// The lowest that we support.
        min: i16,
        /// The highest that we support.
        max: i16,
    },
}

fn names() -> impl Iterator<Item = &'static str> {
    FEATURES.iter().map(|def| def.name)
}

impl BootstrapFeatures {
    /// Checks the operator's choice: levels by name (`kafka-storage format --feature`).
    ///
    /// # Errors
    /// [`FeatureError`] of the first that is unknown or out of range.
    pub fn new<'a>(
        chosen: impl IntoIterator<Item = (&'a str, i16)>,
    ) -> Result<BootstrapFeatures, FeatureError> {
        let mut features = BootstrapFeatures::default();
        for (name, level) in chosen {
            let def = FEATURES.iter().find(|def| def.name == name);
            let def = def.ok_or_else(|| FeatureError::Unknown { name: name.to_owned() })?;
            let FeatureDef { name, min, max, .. } = *def;
            if !(min..=max).contains(&level) {
                return Err(FeatureError::Level { name, level, min, max });
            }
            features.chosen.insert(name, level);
        }
        Ok(features)
    }

    /// The level that a new cluster starts at.
    pub fn level(&self, name: &str) -> i16 {
        self.levels().find_map(|(other, level)| (other == name).then_some(level)).unwrap_or(0)
    }

    /// Every feature above level 0 with its level, in the order of the names.
    pub fn levels(&self) -> impl Iterator<Item = (&'static str, i16)> {
        let level =
            |def: &'static FeatureDef| (def.name, self.chosen.get(def.name).copied().unwrap_or(def.default));
        FEATURES.iter().map(level).filter(|(_, level)| *level > 0)
    }
}

/// What our brokers say at registration that they support.
pub fn supported_features() -> Vec<BrokerFeature> {
    let supported = FEATURES.iter().map(|def| BrokerFeature {
        name: StrBytes::from_static_str(def.name),
        min_supported_version: def.min,
        max_supported_version: def.max,
    });
    supported.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_clusters_start_at_the_default_levels_unless_others_are_chosen() {
        let levels = |chosen: &[(&str, i16)]| {
            BootstrapFeatures::new(chosen.iter().copied())
                .map(|features| features.levels().collect::<Vec<_>>())
        };
        assert_eq!(
            levels(&[]).unwrap(),
            [("group.version", 1), ("metadata.version", 25), ("transaction.version", 2)]
        );
        assert_eq!(
            levels(&[("transaction.version", 1), ("group.version", 0)]).unwrap(),
            [("metadata.version", 25), ("transaction.version", 1)]
        );
        assert_eq!(
            levels(&[("transaction.version", 3)]).unwrap_err().to_string(),
            "feature transaction.version cannot be at level 3: it must be from 0 to 2"
        );
        assert_eq!(
            levels(&[("share.version", 1)]).unwrap_err().to_string(),
            "unknown feature share.version; there are eligible.leader.replicas.version, group.version, metadata.version, \
             transaction.version"
        );
        let misspelt = levels(&[("transaction.versio", 1)]).unwrap_err().to_string();
        assert!(misspelt.ends_with("; did you mean transaction.version?"), "{misspelt}");
    }
}
