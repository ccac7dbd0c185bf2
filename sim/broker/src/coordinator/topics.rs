//! The topics in which coordinators keep their state.

use trial_coordinator::{CONSUMER_OFFSETS, TRANSACTION_STATE};
use trial_metadata::BrokerConfig;
use trial_node::view::CoordinatorKind;
use trial_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use trial_wire::{StrBytes, TopicName};

/// The topic that coordinators of a kind have their logs in.
pub(crate) fn topic_of(kind: CoordinatorKind) -> TopicName {
    TopicName(StrBytes::from_static_str(match kind {
        CoordinatorKind::Group => CONSUMER_OFFSETS,
        CoordinatorKind::Transaction => TRANSACTION_STATE,
    }))
}

/// How many partitions that topic will have, as long as it does not exist.
pub(crate) fn configured_partitions(config: &BrokerConfig, kind: CoordinatorKind) -> i32 {
    match kind {
        CoordinatorKind::Group => config.offsets_topic_num_partitions,
        CoordinatorKind::Transaction => config.transaction_state_log_num_partitions,
    }
}

/// How a topic is created that somebody asked about (`AutoTopicCreationManager` in Kafka's source).
pub(crate) fn creatable(config: &BrokerConfig, topic: TopicName) -> CreatableTopic {
    let (partitions, replication_factor, configs) = match topic.as_str() {
        CONSUMER_OFFSETS => (
            config.offsets_topic_num_partitions,
            config.offsets_topic_replication_factor,
            vec![
                ("cleanup.policy", "compact".to_owned()),
                ("compression.type", "producer".to_owned()),
                ("segment.bytes", config.offsets_topic_segment_bytes.to_string()),
            ],
        ),
        TRANSACTION_STATE => (
            config.transaction_state_log_num_partitions,
            config.transaction_state_log_replication_factor,
            vec![
                ("cleanup.policy", "compact".to_owned()),
                ("min.insync.replicas", config.transaction_state_log_min_isr.to_string()),
                ("segment.bytes", config.transaction_state_log_segment_bytes.to_string()),
                ("unclean.leader.election.enable", "false".to_owned()),
            ],
        ),
        _ => (config.num_partitions, config.default_replication_factor, Vec::new()),
    };
    let configs = configs.into_iter().map(|(name, value)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str(name))
            .with_value(Some(StrBytes::from(value)))
    });
    CreatableTopic::default()
        .with_name(topic)
        .with_num_partitions(partitions)
        .with_replication_factor(i16::try_from(replication_factor).expect("validated to fit"))
        .with_configs(configs.collect())
}
