//! The records of the metadata log (`metadata/src/main/resources/common/metadata/*.json` in Kafka's source).

mod decode;
mod encode;
mod key;
mod quota;
mod security;
#[cfg(test)]
mod tests;

use std::fmt;

use trial_node::{LeaderEpoch, NodeId, ProducerId, TopicIdPartition};
use trial_security::acl::Acl;
use trial_security::{ScramCredential, ScramMechanism};
use trial_wire::{StrBytes, TopicName, Uuid};

pub use decode::RecordError;
pub use quota::{QuotaEntity, QuotaName, QuotaValue};

pub(crate) use encode::{put_partition, put_register_broker};

/// One record of the metadata log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataRecord {
    /// A broker's process registered (api key 0).
    RegisterBroker(BrokerRegistration),
    /// A broker was removed from the cluster (1).
    UnregisterBroker {
        /// The broker.
        broker_id: NodeId,
        /// The epoch of the registration that goes.
        broker_epoch: i64,
    },
    /// A topic exists (2); its partitions follow as records of their own.
    Topic {
        /// Its name.
        name: TopicName,
        /// Its id.
        topic_id: Uuid,
    },
    /// A partition exists (3).
    Partition {
        /// The partition.
        id: TopicIdPartition,
        /// Its state.
        registration: PartitionRegistration,
    },
    /// A config was set, or with no value, removed (4).
    Config {
        /// What it configures.
        resource: ConfigResource,
        /// The config's name.
        name: StrBytes,
        /// Its value; `None` takes the override away.
        value: Option<StrBytes>,
    },
    /// Some of a partition's state changed (5). Every such record adds 1 to the partition's epoch.
    PartitionChange(PartitionChange),
    /// A broker was fenced (7; newer controllers write [`MetadataRecord::BrokerRegistrationChange`]).
    FenceBroker {
        /// The broker.
        broker_id: NodeId,
        /// Its registration's epoch.
        broker_epoch: i64,
    },
    /// A broker was unfenced (8; newer controllers write [`MetadataRecord::BrokerRegistrationChange`]).
    UnfenceBroker {
        /// The broker.
        broker_id: NodeId,
        /// Its registration's epoch.
        broker_epoch: i64,
    },
    /// A topic is gone, with its partitions and configs (9).
    RemoveTopic {
        /// Its id.
        topic_id: Uuid,
    },
    /// A user can log in with SCRAM (11).
    UserScramCredential {
        /// The user's name.
        name: StrBytes,
        /// With which variant.
        mechanism: ScramMechanism,
        /// What is kept of the password.
        credential: ScramCredential,
    },
    /// A feature is finalized at a level (12).
    FeatureLevel {
        /// The feature's name, for example `metadata.version`.
        name: StrBytes,
        /// The level; 0 takes the feature away.
        level: i16,
    },
    /// A quota was set or removed (14).
    ClientQuota {
        /// Who it is for.
        entity: QuotaEntity,
        /// What it limits, for example `producer_byte_rate`.
        key: StrBytes,
        /// How much; `None` takes the quota away.
        value: Option<QuotaValue>,
    },
    /// A block of producer ids was given to a broker (15).
    ProducerIds {
        /// The broker.
        broker_id: NodeId,
        /// Its registration's epoch.
        broker_epoch: i64,
        /// The first id that is still free.
        next_producer_id: ProducerId,
    },
    /// A broker was fenced or unfenced, or began its controlled shutdown (17).
    BrokerRegistrationChange(BrokerRegistrationChange),
    /// There is an ACL (18).
    AccessControlEntry {
        /// Its id.
        id: Uuid,
        /// What it says.
        acl: Acl,
    },
    /// An ACL is gone (19).
    RemoveAccessControlEntry {
        /// Its id.
        id: Uuid,
    },
    /// Nothing; shows that the quorum commits (20, KIP-835).
    NoOp,
    /// A user cannot log in with SCRAM any more (22).
    RemoveUserScramCredential {
        /// The user's name.
        name: StrBytes,
        /// With which variant.
        mechanism: ScramMechanism,
    },
    /// The eligible leader replicas of a topic's partitions are eligible no more, for its `min.insync.replicas` may be another
    /// (28, KIP-966).
    ClearElr {
        /// The topic; `None` for all.
        topic: Option<TopicName>,
    },
}

/// The first ids of log directories have a meaning of their own (KIP-858): none of them is a directory's.
pub const RESERVED_DIRECTORIES: u128 = 100;
/// The directory of a replica whose broker has several and has not said yet in which one it is.
pub const UNASSIGNED_DIRECTORY: Uuid = Uuid::from_u128(1);
/// The directory of a replica that is in one that is offline, its broker does not know which.
pub const LOST_DIRECTORY: Uuid = Uuid::from_u128(2);

/// A broker as it registered, and whether it may serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRegistration {
    /// The broker.
    pub broker_id: NodeId,
    /// The offset of the registration's record: it grows with each registration.
    pub broker_epoch: i64,
    /// Drawn anew by each start of the broker's process.
    pub incarnation_id: Uuid,
    /// Where it listens.
    pub end_points: Vec<BrokerEndpoint>,
    /// The features that it supports.
    pub features: Vec<BrokerFeature>,
    /// Its rack.
    pub rack: Option<StrBytes>,
    /// Whether clients must not be sent to it, nor replicas of it count as in sync.
    pub fenced: bool,
    /// Whether it is on its way out: it keeps what it has until its leaderships have moved.
    pub in_controlled_shutdown: bool,
    /// The ids of its log directories that are in use, sorted.
    pub log_dirs: Vec<Uuid>,
}

impl BrokerRegistration {
    /// Whether the broker may lead partitions and join ISRs: neither fenced nor shutting down.
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// Whether a replica that is in the log directory `dir` can be served: one that is not in any of the broker's directories that
    /// are in use cannot. Where it is not known yet, it is taken for one.
    pub fn has_online_dir(&self, dir: Uuid) -> bool {
        let unknown = dir.as_u128() < RESERVED_DIRECTORIES && dir != LOST_DIRECTORY;
        unknown || self.log_dirs.contains(&dir)
    }

    /// The listener called `name`.
    pub fn end_point(&self, name: &str) -> Option<&BrokerEndpoint> {
        self.end_points.iter().find(|end_point| end_point.name.as_str() == name)
    }
}

/// One listener of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerEndpoint {
    /// The listener's name.
    pub name: StrBytes,
    /// The advertised host.
    pub host: StrBytes,
    /// The advertised port.
    pub port: u16,
    /// The security protocol's id; 0 is PLAINTEXT.
    pub security_protocol: i16,
}

/// The levels of a feature that a broker supports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerFeature {
    /// The feature's name.
    pub name: StrBytes,
    /// The lowest level.
    pub min_supported_version: i16,
    /// The highest level.
    pub max_supported_version: i16,
}

/// Whether a leader was taken from outside the ISR and has yet to recover (KIP-704).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i8)]
pub enum LeaderRecoveryState {
    /// It was elected from the ISR, or has recovered.
    #[default]
    Recovered = 0,
    /// It was elected uncleanly and has not yet recovered.
    Recovering = 1,
}

impl LeaderRecoveryState {
    /// The state with this number on the wire.
    pub fn from_id(id: i8) -> Option<LeaderRecoveryState> {
        match id {
            0 => Some(LeaderRecoveryState::Recovered),
            1 => Some(LeaderRecoveryState::Recovering),
            _ => None,
        }
    }
}

/// A partition's state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionRegistration {
    /// All its replicas, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// The log directory of each replica, in the order of `replicas` (KIP-858); [`UNASSIGNED_DIRECTORY`] or, from before there
    /// were such ids, the nil id if its broker has not said.
    pub directories: Vec<Uuid>,
    /// The in-sync replicas. Empty only if eligible leader replicas are tracked (KIP-966).
    pub isr: Vec<NodeId>,
    /// Replicas that a reassignment takes away.
    pub removing_replicas: Vec<NodeId>,
    /// Replicas that a reassignment adds.
    pub adding_replicas: Vec<NodeId>,
    /// Replicas that are not in sync, but have everything that is committed, and may lead if the ISR is empty (KIP-966).
    pub elr: Vec<NodeId>,
    /// While there is no leader: the one that led last, if eligible leader replicas are tracked (KIP-966).
    pub last_known_elr: Vec<NodeId>,
    /// Its leader; [`NodeId::NONE`] if there is none.
    pub leader: NodeId,
    /// Whether the leader has yet to recover from an unclean election.
    pub leader_recovery_state: LeaderRecoveryState,
    /// Grows with each change of the leader.
    pub leader_epoch: LeaderEpoch,
    /// Grows by 1 with each change of anything.
    pub partition_epoch: i32,
}

impl PartitionRegistration {
    /// Whether a reassignment is under way (KIP-455).
    pub fn is_reassigning(&self) -> bool {
        !self.adding_replicas.is_empty() || !self.removing_replicas.is_empty()
    }

    /// The log directory of a replica; the nil id if none is assigned, or there is no such replica.
    pub fn directory(&self, replica: NodeId) -> Uuid {
        let place = self.replicas.iter().position(|id| *id == replica);
        place.and_then(|place| self.directories.get(place).copied()).unwrap_or_default()
    }

    /// The first replica: the one that should lead when it can.
    pub fn preferred_replica(&self) -> NodeId {
        self.replicas.first().copied().unwrap_or(NodeId::NONE)
    }
}

/// Which parts of a partition's state change, and to what. `None` leaves a part as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionChange {
    /// The partition.
    pub id: TopicIdPartition,
    /// The new ISR.
    pub isr: Option<Vec<NodeId>>,
    /// The new leader, [`NodeId::NONE`] for none. If it is set at all, even to the old leader, the leader epoch grows by 1.
    pub leader: Option<NodeId>,
    /// The new replicas.
    pub replicas: Option<Vec<NodeId>>,
    /// The new replicas that a reassignment takes away.
    pub removing_replicas: Option<Vec<NodeId>>,
    /// The new replicas that a reassignment adds.
    pub adding_replicas: Option<Vec<NodeId>>,
    /// The new recovery state.
    pub leader_recovery_state: Option<LeaderRecoveryState>,
    /// The new eligible leader replicas.
    pub elr: Option<Vec<NodeId>>,
    /// The new last known leader.
    pub last_known_elr: Option<Vec<NodeId>>,
    /// The new log directories.
    pub directories: Option<Vec<Uuid>>,
}

/// What changes in a broker's registration. `None` leaves a part as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRegistrationChange {
    /// The broker.
    pub broker_id: NodeId,
    /// Its registration's epoch.
    pub broker_epoch: i64,
    /// Whether it is fenced now.
    pub fenced: Option<bool>,
    /// Whether it begins its controlled shutdown; it cannot come back from that, other than by registering anew.
    pub in_controlled_shutdown: bool,
    /// The new log directories.
    pub log_dirs: Option<Vec<Uuid>>,
}

/// What a config applies to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigResource {
    /// One topic.
    Topic(TopicName),
    /// One broker.
    Broker(NodeId),
    /// Every broker: the cluster-wide default, which is the broker with the empty name on the wire.
    BrokerDefault,
    /// One group, whether it exists or not (KIP-848).
    Group(StrBytes),
    /// One subscription to clients' metrics (KIP-714).
    ClientMetrics(StrBytes),
}

impl fmt::Display for ConfigResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigResource::Topic(name) => write!(f, "topic {}", name.as_str()),
            ConfigResource::Broker(id) => write!(f, "broker {id}"),
            ConfigResource::BrokerDefault => f.write_str("all brokers"),
            ConfigResource::Group(name) => write!(f, "group {}", name.as_str()),
            ConfigResource::ClientMetrics(name) => write!(f, "client metrics {}", name.as_str()),
        }
    }
}

impl ConfigResource {
    /// `ConfigResource.Type` of a topic on the wire.
    pub const TOPIC: i8 = 2;
    /// `ConfigResource.Type` of a broker on the wire.
    pub const BROKER: i8 = 4;

    /// `ConfigResource.Type` of a group on the wire.
    pub const GROUP: i8 = 32;
    /// `ConfigResource.Type` of a subscription to clients' metrics on the wire.
    pub const CLIENT_METRICS: i8 = 16;

    /// The resource that a type and a name on the wire mean; `None` if we know no such type, or the name is not a broker's.
    pub fn from_wire(resource_type: i8, name: &StrBytes) -> Option<ConfigResource> {
        match resource_type {
            ConfigResource::TOPIC => Some(ConfigResource::Topic(TopicName(name.clone()))),
            ConfigResource::BROKER if name.is_empty() => Some(ConfigResource::BrokerDefault),
            ConfigResource::BROKER => {
                let id: i32 = name.parse().ok()?;
                (id >= 0).then_some(ConfigResource::Broker(NodeId(id)))
            }
            // There is no default of all groups.
            ConfigResource::GROUP if !name.is_empty() => Some(ConfigResource::Group(name.clone())),
            ConfigResource::CLIENT_METRICS if !name.is_empty() => {
                Some(ConfigResource::ClientMetrics(name.clone()))
            }
            _ => None,
        }
    }

    /// The type and the name on the wire.
    pub fn to_wire(&self) -> (i8, StrBytes) {
        match self {
            ConfigResource::Topic(name) => (ConfigResource::TOPIC, name.0.clone()),
            ConfigResource::Broker(id) => (ConfigResource::BROKER, StrBytes::from(id.to_string())),
            ConfigResource::BrokerDefault => (ConfigResource::BROKER, StrBytes::new()),
            ConfigResource::Group(name) => (ConfigResource::GROUP, name.clone()),
            ConfigResource::ClientMetrics(name) => (ConfigResource::CLIENT_METRICS, name.clone()),
        }
    }
}
