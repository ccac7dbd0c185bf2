//! Effective values.

use std::collections::BTreeMap;

use trial_node::NodeId;
use trial_wire::TopicName;

use super::{BrokerConfig, ConfigDef, ConfigError, TopicConfig};
use crate::image::MetadataImage;

/// The operator's properties of one broker: validated broker configs by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StaticConfig {
    values: BTreeMap<&'static str, String>,
}

/// Where an effective value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i8)]
pub enum ConfigSource {
    /// The topic's override.
    Topic = 1,
    /// The broker's dynamic override.
    Broker = 2,
    /// The cluster-wide dynamic default.
    BrokerDefault = 3,
    /// The operator's properties.
    Static = 4,
    /// The default.
    Default = 5,
}

/// An effective config, as DescribeConfigs shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The config.
    pub def: &'static ConfigDef,
    /// Its effective value.
    pub value: String,
    /// Where that comes from; the number is DescribeConfigs' `config_source`.
    pub source: ConfigSource,
    /// Every place that sets it, the one that counts first: config name, value, source.
    pub synonyms: Vec<(&'static str, String, ConfigSource)>,
}

impl StaticConfig {
    /// Validates properties.
    ///
    /// # Errors
    /// [`ConfigError`] of the first that is unknown or invalid.
    pub fn parse<'a>(
        properties: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<StaticConfig, ConfigError> {
        let _ = properties;
        unimplemented!()
    }
}

impl BrokerConfig {
    /// The effective configs of broker `node`.
    pub fn resolve(static_config: &StaticConfig, image: &MetadataImage, node: NodeId) -> BrokerConfig {
        let _ = (static_config, image, node);
        unimplemented!()
    }

    /// Every config of broker `node` with its source, in the table's order.
    pub fn describe(static_config: &StaticConfig, image: &MetadataImage, node: NodeId) -> Vec<ConfigEntry> {
        let _ = (static_config, image, node);
        unimplemented!()
    }
}

impl TopicConfig {
    /// The effective configs of `topic` on broker `node`.
    pub fn resolve(
        static_config: &StaticConfig,
        image: &MetadataImage,
        node: NodeId,
        topic: &TopicName,
    ) -> TopicConfig {
        let _ = (static_config, image, node, topic, &static_config.values);
        unimplemented!()
    }

    /// Every config of `topic` on broker `node` with its source, in the table's order.
    pub fn describe(
        static_config: &StaticConfig,
        image: &MetadataImage,
        node: NodeId,
        topic: &TopicName,
    ) -> Vec<ConfigEntry> {
        let _ = (static_config, image, node, topic);
        unimplemented!()
    }
}
