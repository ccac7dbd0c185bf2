//! What a broker must know before it reads its disk.

use std::collections::BTreeMap;

use trial_metadata::{BootstrapFeatures, ConfigError, StaticConfig};
use trial_node::{Endpoint, NodeId, OpenError};
use trial_security::acl::Acl;
use trial_wire::StrBytes;

use crate::connections::{BROKER_PORT, CONTROLLER_PORT};

/// The configuration of one combined node, broker and controller (`process.roles=broker,controller`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerConfig {
    /// `node.id`.
    pub node_id: NodeId,
    /// The cluster's id. Nodes of another cluster are refused.
    pub cluster_id: StrBytes,
    /// `controller.quorum.voters`: every voter's host, this node's included. All listen on port 9092 for clients and brokers
    /// and on port 9093 for the quorum.
    pub voters: BTreeMap<NodeId, StrBytes>,
    /// `broker.rack`.
    pub rack: Option<StrBytes>,
    /// Kafka broker configs by name; what is missing has Kafka's default.
    pub properties: BTreeMap<String, String>,
    /// The users that may log in, with their passwords: with PLAIN to this broker, with SCRAM to a cluster that begins with
    /// this node (`kafka-storage format --add-scram`).
    pub users: BTreeMap<String, String>,
    /// The ACLs that a cluster begins with that begins with this node.
    pub acls: Vec<Acl>,
    /// The levels of features that a new cluster starts at, by name (`kafka-storage format --feature`); what is missing has
    /// the newest level.
    pub features: BTreeMap<String, i16>,
}

impl BrokerConfig {
    /// Where this node's broker listens.
    ///
    /// # Errors
    /// [`OpenError::Config`] if it is not among the voters.
    pub(crate) fn broker_endpoint(&self) -> Result<Endpoint, OpenError> {
        match self.voters.get(&self.node_id) {
            Some(host) => Ok(Endpoint::new(host.clone(), BROKER_PORT)),
            None => Err(OpenError::Config {
                key: "controller.quorum.voters".to_owned(),
                what: format!("node {} is not among them; a combined node has to be", self.node_id),
            }),
        }
    }

    /// Where a voter's controller listens.
    pub(crate) fn controller_endpoints(&self) -> BTreeMap<NodeId, Endpoint> {
        let endpoint = |host: &StrBytes| Endpoint::new(host.clone(), CONTROLLER_PORT);
        self.voters.iter().map(|(&node, host)| (node, endpoint(host))).collect()
    }

    /// The operator's properties, validated.
    ///
    /// # Errors
    /// [`OpenError::Config`] names the first that is unknown or invalid.
    pub fn static_config(&self) -> Result<StaticConfig, OpenError> {
        let properties = self.properties.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        StaticConfig::parse(properties).map_err(|error| OpenError::Config {
            key: match &error {
                ConfigError::Unknown { name, .. } => name.clone(),
                ConfigError::Invalid { name, .. }
                | ConfigError::Fixed { name, .. }
                | ConfigError::TooLarge { name, .. }
                | ConfigError::ReadOnly { name } => (*name).to_owned(),
            },
            what: error.to_string(),
        })
    }

    /// The chosen feature levels, validated.
    ///
    /// # Errors
    /// [`OpenError::Config`] names the first that is unknown or out of range.
    pub fn bootstrap_features(&self) -> Result<BootstrapFeatures, OpenError> {
        let chosen = self.features.iter().map(|(name, level)| (name.as_str(), *level));
        BootstrapFeatures::new(chosen)
            .map_err(|error| OpenError::Config { key: "feature".to_owned(), what: error.to_string() })
    }
}
