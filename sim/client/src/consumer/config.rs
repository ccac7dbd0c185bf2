//! A consumer's configs.

use std::collections::BTreeMap;

use trial_node::{OpenError, Span};
use trial_wire::StrBytes;

use crate::network::NetworkConfig;
use crate::properties::Properties;

use super::group::GroupConfig;

/// `auto.offset.reset`: where to read when there is no position, or none that the log still has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetPolicy {
    /// From the log's start.
    Earliest,
    /// From the log's end.
    Latest,
    /// Nowhere: it is an error.
    None,
}

/// What a consumer can be told, with the defaults of Kafka 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// What all clients have in common.
    pub network: NetworkConfig,
    /// `auto.offset.reset`.
    pub reset_policy: ResetPolicy,
    /// `fetch.min.bytes`: a broker waits until it has as much.
    pub fetch_min_bytes: i32,
    /// `fetch.max.wait.ms`: a broker waits no longer.
    pub fetch_max_wait: Span,
    /// `fetch.max.bytes`, of a response; a first batch may be larger.
    pub fetch_max_bytes: i32,
    /// `max.partition.fetch.bytes`, likewise.
    pub max_partition_fetch_bytes: i32,
    /// `max.poll.records`: how many records one [`super::Consumer::take`] hands out at most.
    pub max_poll_records: usize,
    /// `isolation.level` is `read_committed`.
    pub read_committed: bool,
    /// `check.crcs`.
    pub check_crcs: bool,
    /// `client.rack`: brokers may send the consumer to a replica there (KIP-392). Empty if it is in none.
    pub rack: StrBytes,
    /// `default.api.timeout.ms`: how long [`super::Consumer::commit`] is tried.
    pub default_api_timeout: Span,
    /// What concerns a consumer group; there is one if `group.id` is given.
    pub group: Option<GroupConfig>,
}

impl Default for ConsumerConfig {
    fn default() -> ConsumerConfig {
        ConsumerConfig {
            network: NetworkConfig::default(),
            reset_policy: ResetPolicy::Latest,
            fetch_min_bytes: 1,
            fetch_max_wait: Span::from_millis(500),
            fetch_max_bytes: 50 << 20,
            max_partition_fetch_bytes: 1 << 20,
            max_poll_records: 500,
            read_committed: false,
            check_crcs: true,
            rack: StrBytes::new(),
            default_api_timeout: Span::from_secs(60),
            group: None,
        }
    }
}

impl ConsumerConfig {
    /// Reads configs by their Kafka names.
    ///
    /// # Errors
    /// [`OpenError::Config`] for a name that is not one or a value that is not allowed.
    pub fn from_properties(given: &BTreeMap<String, String>) -> Result<ConsumerConfig, OpenError> {
        let mut properties = Properties::new(given);
        let mut config =
            ConsumerConfig { network: NetworkConfig::read(&mut properties)?, ..Default::default() };
        let policies = [
            ("earliest", ResetPolicy::Earliest),
            ("latest", ResetPolicy::Latest),
            ("none", ResetPolicy::None),
        ];
        properties.choice("auto.offset.reset", &policies, &mut config.reset_policy)?;
        properties.number("fetch.min.bytes", 0, i32::MAX, &mut config.fetch_min_bytes)?;
        properties.millis("fetch.max.wait.ms", &mut config.fetch_max_wait)?;
        properties.number("fetch.max.bytes", 0, i32::MAX, &mut config.fetch_max_bytes)?;
        properties.number("max.partition.fetch.bytes", 0, i32::MAX, &mut config.max_partition_fetch_bytes)?;
        properties.number("max.poll.records", 1, i32::MAX as usize, &mut config.max_poll_records)?;
        let levels = [("read_uncommitted", false), ("read_committed", true)];
        properties.choice("isolation.level", &levels, &mut config.read_committed)?;
        properties.flag("check.crcs", &mut config.check_crcs)?;
        if let Some(rack) = properties.text("client.rack") {
            config.rack = StrBytes::from_string(rack.to_owned());
        }
        properties.millis("default.api.timeout.ms", &mut config.default_api_timeout)?;
        config.group = GroupConfig::read(&mut properties)?;
        properties.finish()?;
        Ok(config)
    }

    /// The isolation level's number on the wire.
    pub(super) fn isolation_level(&self) -> i8 {
        i8::from(self.read_committed)
    }
}
