//! Group configs (`GroupConfig` in Kafka's source; KIP-848).

use super::configs;
use super::parse::ConfigDef;
use super::parse::ConfigKind::Int;
use super::parse::ConfigLink::Broker;

configs! {
    /// Every config of a group that we honour. They are those of groups with server-side assignors.
    table GROUP_CONFIGS;

    #[doc = "how often members send heartbeats, in milliseconds."]
    "consumer.heartbeat.interval.ms" = "5000", Int(1, i32::MAX), Broker("group.consumer.heartbeat.interval.ms");
    #[doc = "how long a member may be silent before it is thrown out, in milliseconds."]
    "consumer.session.timeout.ms" = "45000", Int(1, i32::MAX), Broker("group.consumer.session.timeout.ms");
}
