//! Configs of subscriptions to clients' metrics (`ClientMetricsConfigs` in Kafka's source; KIP-714).

use super::configs;
use super::parse::ConfigDef;
use super::parse::ConfigKind::{Int, Selectors, Words};
use super::parse::ConfigLink::TopicOnly;

configs! {
    /// Every config of a subscription. They are kept and described; no client is asked for metrics.
    table CLIENT_METRICS_CONFIGS;

    #[doc = "how often clients push, in milliseconds."]
    "interval.ms" = "300000", Int(100, 3_600_000), TopicOnly;
    #[doc = "which clients push: regular expressions of what is known about them, all of which must match."]
    "match" = "", Selectors(&["client_id", "client_instance_id", "client_software_name", "client_software_version", "client_source_address", "client_source_port"]), TopicOnly;
    #[doc = "prefixes of the names of the metrics that clients push; * for all, nothing for none."]
    "metrics" = "", Words, TopicOnly;
}
