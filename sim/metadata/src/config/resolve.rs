//! Effective values.

use std::collections::BTreeMap;

use trial_node::NodeId;
use trial_wire::{StrBytes, TopicName};

use super::{
    BROKER_CONFIGS, BrokerConfig, CLIENT_METRICS_CONFIGS, ConfigDef, ConfigError, ConfigLink,
    FIXED_BROKER_CONFIGS, FIXED_TOPIC_CONFIGS, GROUP_CONFIGS, KEPT_BROKER_CONFIGS, TOPIC_CONFIGS,
};
use crate::image::{MetadataImage, Overrides};
use crate::record::ConfigResource;

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
    /// The override of the subscription to clients' metrics.
    ClientMetrics = 7,
    /// The group's override.
    Group = 8,
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
        let mut values = BTreeMap::new();
        for (name, value) in properties {
            let def = ConfigDef::find(BROKER_CONFIGS, name)?;
            def.validate(value)?;
            values.insert(def.name, value.to_owned());
        }
        let config = StaticConfig { values };
        config.check_together()?;
        Ok(config)
    }

    /// What must hold between configs (`KafkaConfig.validateValues`).
    fn check_together(&self) -> Result<(), ConfigError> {
        let image = MetadataImage::default();
        let broker = BrokerConfig::resolve(self, &image, NodeId::NONE);
        let ordered = [
            // A follower that the leader may keep waiting for longer than it may lag would leave the ISR while all is well.
            (
                ("replica.fetch.wait.max.ms", broker.replica_fetch_wait_max),
                ("replica.lag.time.max.ms", broker.replica_lag_time_max),
            ),
            (
                ("replica.fetch.wait.max.ms", broker.replica_fetch_wait_max),
                ("replica.socket.timeout.ms", broker.replica_socket_timeout),
            ),
            (
                ("group.min.session.timeout.ms", broker.group_min_session_timeout),
                ("group.max.session.timeout.ms", broker.group_max_session_timeout),
            ),
            (
                ("group.consumer.min.heartbeat.interval.ms", broker.group_consumer_min_heartbeat_interval),
                ("group.consumer.heartbeat.interval.ms", broker.group_consumer_heartbeat_interval),
            ),
            (
                ("group.consumer.heartbeat.interval.ms", broker.group_consumer_heartbeat_interval),
                ("group.consumer.max.heartbeat.interval.ms", broker.group_consumer_max_heartbeat_interval),
            ),
            (
                ("group.consumer.min.session.timeout.ms", broker.group_consumer_min_session_timeout),
                ("group.consumer.session.timeout.ms", broker.group_consumer_session_timeout),
            ),
            (
                ("group.consumer.session.timeout.ms", broker.group_consumer_session_timeout),
                ("group.consumer.max.session.timeout.ms", broker.group_consumer_max_session_timeout),
            ),
        ];
        for ((name, value), (limit, at_most)) in ordered {
            if value > at_most {
                return Err(ConfigError::TooLarge {
                    name,
                    value: value.as_millis(),
                    limit,
                    at_most: at_most.as_millis(),
                });
            }
        }
        Ok(())
    }
}

impl BrokerConfig {
    /// The effective configs of broker `node`.
    pub fn resolve(static_config: &StaticConfig, image: &MetadataImage, node: NodeId) -> BrokerConfig {
        let layers = Layers::new(static_config, image, node, None);
        BrokerConfig::from_values(|def| layers.effective(def))
    }

    /// Every config of broker `node` with its source, in the tables' order. `identity` has the values of what only the node
    /// itself knows, by name.
    pub fn describe(
        static_config: &StaticConfig,
        image: &MetadataImage,
        node: NodeId,
        identity: &BTreeMap<&'static str, String>,
    ) -> Vec<ConfigEntry> {
        let layers = Layers::new(static_config, image, node, None);
        let tables = [BROKER_CONFIGS, KEPT_BROKER_CONFIGS, FIXED_BROKER_CONFIGS].into_iter().flatten();
        let entry = |def: &'static ConfigDef| match identity.get(def.name) {
            Some(value) => ConfigEntry {
                def,
                value: value.clone(),
                source: ConfigSource::Static,
                synonyms: vec![(def.name, value.clone(), ConfigSource::Static)],
            },
            None => layers.entry(def),
        };
        tables.map(entry).collect()
    }
}

/// Every config of `topic` on broker `node` with its source, in the tables' order.
pub fn describe_topic(
    static_config: &StaticConfig,
    image: &MetadataImage,
    node: NodeId,
    topic: &TopicName,
) -> Vec<ConfigEntry> {
    let overrides = image.config(&ConfigResource::Topic(topic.clone()));
    let layers = Layers::new(static_config, image, node, overrides);
    [TOPIC_CONFIGS, FIXED_TOPIC_CONFIGS].into_iter().flatten().map(|def| layers.entry(def)).collect()
}

/// Every config of `group` with its source, as broker `node` has them, in the table's order.
pub fn describe_group(
    static_config: &StaticConfig,
    image: &MetadataImage,
    node: NodeId,
    group: &StrBytes,
) -> Vec<ConfigEntry> {
    let overrides = image.config(&ConfigResource::Group(group.clone()));
    let layers = Layers::new(static_config, image, node, overrides);
    let layers = Layers { own_source: ConfigSource::Group, ..layers };
    GROUP_CONFIGS.iter().map(|def| layers.entry(def)).collect()
}

/// Every config of the subscription `name` to clients' metrics with its source.
pub fn describe_client_metrics(
    static_config: &StaticConfig,
    image: &MetadataImage,
    node: NodeId,
    name: &StrBytes,
) -> Vec<ConfigEntry> {
    let overrides = image.config(&ConfigResource::ClientMetrics(name.clone()));
    let layers = Layers::new(static_config, image, node, overrides);
    let layers = Layers { own_source: ConfigSource::ClientMetrics, ..layers };
    CLIENT_METRICS_CONFIGS.iter().map(|def| layers.entry(def)).collect()
}

/// What there is to choose of [`describe_topic`], for a topic with these overrides that may not exist yet.
pub(crate) fn describe_topic_with(
    static_config: &StaticConfig,
    image: &MetadataImage,
    node: NodeId,
    overrides: Option<&Overrides>,
) -> Vec<ConfigEntry> {
    let layers = Layers::new(static_config, image, node, overrides);
    TOPIC_CONFIGS.iter().map(|def| layers.entry(def)).collect()
}

/// The effective text of one config of `topic` on broker `node`, valid and without spaces around it; `None` if there is no
/// such config.
pub fn topic_value<'a>(
    static_config: &'a StaticConfig,
    image: &'a MetadataImage,
    node: NodeId,
    topic: &TopicName,
    name: &str,
) -> Option<&'a str> {
    let def = TOPIC_CONFIGS.iter().find(|def| def.name == name)?;
    let overrides = image.config(&ConfigResource::Topic(topic.clone()));
    Some(Layers::new(static_config, image, node, overrides).effective(def).trim())
}

/// Everything that may set a config.
struct Layers<'a> {
    /// Those of the topic, the group or the subscription.
    own: Option<&'a Overrides>,
    own_source: ConfigSource,
    broker: Option<&'a Overrides>,
    broker_default: Option<&'a Overrides>,
    static_config: &'a StaticConfig,
}

impl<'a> Layers<'a> {
    fn new(
        static_config: &'a StaticConfig,
        image: &'a MetadataImage,
        node: NodeId,
        own: Option<&'a Overrides>,
    ) -> Layers<'a> {
        Layers {
            own,
            own_source: ConfigSource::Topic,
            broker: image.config(&ConfigResource::Broker(node)),
            broker_default: image.config(&ConfigResource::BrokerDefault),
            static_config,
        }
    }

    /// Every value that is set for `def`, the one that counts first; the default is the last. A dynamic value that is not
    /// valid, which only a controller with another table could have written, does not count.
    fn values(&self, def: &'static ConfigDef) -> impl Iterator<Item = (&'static str, &'a str, ConfigSource)> {
        let (topic_key, broker_key, dynamic) = match def.link {
            ConfigLink::Broker(synonym) => (Some(def.name), synonym, true),
            ConfigLink::TopicOnly | ConfigLink::Fixed => (Some(def.name), def.name, false),
            ConfigLink::Dynamic => (None, def.name, true),
            ConfigLink::ReadOnly => (None, def.name, false),
        };
        let dynamic_key = dynamic.then_some(broker_key);
        let layer = |overrides: Option<&'a Overrides>, key: Option<&'static str>, source| {
            let (overrides, key) = (overrides?, key?);
            let value = overrides.get(key.as_bytes())?.as_str();
            def.validate(value).ok().map(|()| (key, value, source))
        };
        [
            layer(self.own, topic_key, self.own_source),
            layer(self.broker, dynamic_key, ConfigSource::Broker),
            layer(self.broker_default, dynamic_key, ConfigSource::BrokerDefault),
            self.static_config
                .values
                .get(broker_key)
                .map(|value| (broker_key, value.as_str(), ConfigSource::Static)),
            Some((broker_key, def.default, ConfigSource::Default)),
        ]
        .into_iter()
        .flatten()
    }

    fn effective(&self, def: &'static ConfigDef) -> &'a str {
        self.values(def).next().expect("the default is always there").1
    }

    fn entry(&self, def: &'static ConfigDef) -> ConfigEntry {
        let synonyms: Vec<_> =
            self.values(def).map(|(name, value, source)| (name, value.to_owned(), source)).collect();
        let (_, value, source) = synonyms[0].clone();
        ConfigEntry { def, value, source, synonyms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::MetadataDelta;
    use crate::record::MetadataRecord;

    fn set(image: &mut MetadataImage, resource: ConfigResource, name: &'static str, value: &'static str) {
        let record = MetadataRecord::Config { resource, name: name.into(), value: Some(value.into()) };
        image.replay(&record, &mut MetadataDelta::default()).unwrap();
    }

    #[test]
    fn nearer_sources_win() {
        let topic = TopicName(StrBytes::from("orders"));
        let node = NodeId(1);
        let mut image = MetadataImage::default();
        let resolve = |image: &MetadataImage, config: &StaticConfig| {
            topic_value(config, image, node, &topic, "segment.bytes").unwrap().parse::<i32>().unwrap()
        };
        let empty = StaticConfig::default();
        let config = StaticConfig::parse([("log.segment.bytes", "1000")]).unwrap();
        assert_eq!(resolve(&image, &empty), 1_073_741_824);
        assert_eq!(resolve(&image, &config), 1000);
        set(&mut image, ConfigResource::BrokerDefault, "log.segment.bytes", "2000");
        assert_eq!(resolve(&image, &config), 2000);
        set(&mut image, ConfigResource::Broker(NodeId(2)), "log.segment.bytes", "2500");
        assert_eq!(resolve(&image, &config), 2000);
        set(&mut image, ConfigResource::Broker(node), "log.segment.bytes", "3000");
        assert_eq!(resolve(&image, &config), 3000);
        set(&mut image, ConfigResource::Topic(topic.clone()), "segment.bytes", "4000");
        assert_eq!(resolve(&image, &config), 4000);
        assert_eq!(topic_value(&config, &image, node, &topic, "segment.bytes"), Some("4000"));
        assert_eq!(topic_value(&config, &image, node, &topic, "segment.ms"), Some("604800000"));
        assert_eq!(topic_value(&config, &image, node, &topic, "log.segment.bytes"), None);

        let entries = describe_topic(&config, &image, node, &topic);
        let entry = entries.iter().find(|entry| entry.def.name == "segment.bytes").unwrap();
        assert_eq!((entry.value.as_str(), entry.source), ("4000", ConfigSource::Topic));
        let synonyms: Vec<_> =
            entry.synonyms.iter().map(|(name, value, source)| (*name, value.as_str(), *source)).collect();
        assert_eq!(
            synonyms,
            [
                ("segment.bytes", "4000", ConfigSource::Topic),
                ("log.segment.bytes", "3000", ConfigSource::Broker),
                ("log.segment.bytes", "2000", ConfigSource::BrokerDefault),
                ("log.segment.bytes", "1000", ConfigSource::Static),
                ("log.segment.bytes", "1073741824", ConfigSource::Default),
            ]
        );
    }

    #[test]
    fn spaces_around_a_value_do_not_count() {
        let topic = TopicName(StrBytes::from("orders"));
        let mut image = MetadataImage::default();
        let config = StaticConfig::parse([("min.insync.replicas", " 2"), ("num.partitions", " 3 ")]).unwrap();
        assert_eq!(BrokerConfig::resolve(&config, &image, NodeId(1)).num_partitions, 3);
        let value = |image: &MetadataImage| {
            topic_value(&config, image, NodeId(1), &topic, "min.insync.replicas").unwrap().to_owned()
        };
        assert_eq!(value(&image), "2");
        set(&mut image, ConfigResource::Topic(topic.clone()), "min.insync.replicas", "3 ");
        assert_eq!(value(&image), "3");
    }

    #[test]
    fn read_only_configs_ignore_dynamic_overrides() {
        let mut image = MetadataImage::default();
        set(&mut image, ConfigResource::BrokerDefault, "num.partitions", "7");
        let config =
            StaticConfig::parse([("num.partitions", "3"), ("replica.lag.time.max.ms", "10000")]).unwrap();
        let resolved = BrokerConfig::resolve(&config, &image, NodeId(1));
        assert_eq!(resolved.num_partitions, 3);
        assert_eq!(resolved.replica_lag_time_max.as_millis(), 10_000);
        assert_eq!(resolved.broker_session_timeout.as_millis(), 9_000);
    }

    #[test]
    fn properties_are_checked() {
        assert!(matches!(
            StaticConfig::parse([("min.isr", "1")]),
            Err(ConfigError::Unknown { name, .. }) if name == "min.isr"
        ));
        assert!(matches!(
            StaticConfig::parse([("num.partitions", "none")]),
            Err(ConfigError::Invalid { name: "num.partitions", .. })
        ));
        let error = StaticConfig::parse([("log.flush.interval.ms", "1000")]).unwrap_err();
        assert!(matches!(error, ConfigError::Unknown { .. }), "nobody would obey it");
        let error = StaticConfig::parse([("replica.lag.time.max.ms", "400")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "config replica.fetch.wait.max.ms: 500 must not be above replica.lag.time.max.ms, which is 400: change one of them"
        );
        let error = StaticConfig::parse([("group.consumer.session.timeout.ms", "3000")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "config group.consumer.min.session.timeout.ms: 45000 must not be above group.consumer.session.timeout.ms, which is 3000: change one of them"
        );
    }
}
