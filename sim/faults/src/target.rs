//! To whom a fault happens: by name or by role, and the names that a role stands for at one instant.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use trial_node::TopicPartition;
use trial_wire::StrBytes;

/// To whom a fault happens, as a plan says it.
///
/// In TOML: a host's name (`"broker-1"`, `"produce-0"`), one of the words `"controller"`, `"all_brokers"` and
/// `"all_clients"`, a table with one of `leader_of`, `followers_of`, `broker`, `group_coordinator_of` and
/// `transaction_coordinator_of`, or a list of these.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The host of that name: a broker or a client.
    Host(String),
    /// The leader of a partition.
    LeaderOf(TopicPartition),
    /// The replicas of a partition that do not lead it.
    FollowersOf(TopicPartition),
    /// The broker that coordinates the group with that `group.id`.
    GroupCoordinatorOf(String),
    /// The broker that coordinates transactions of that `transactional.id`.
    TransactionCoordinatorOf(String),
    /// The quorum's leader, the active controller.
    Controller,
    /// The broker with that index, from 0, in the order in which the cluster was laid out.
    Broker(u32),
    /// Every broker.
    AllBrokers,
    /// Every host that is not a broker.
    AllClients,
    /// All of these.
    Many(Vec<Target>),
}

/// The names of the hosts that a fault happens to; sorted, each once, at least one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// These hosts.
    pub fn new(mut names: Vec<String>) -> Hosts {
        names.sort_unstable();
        names.dedup();
        Hosts(names)
    }

    /// Their names.
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// Who plays which role now, by names of hosts. The runner of a scenario knows.
pub trait Roles {
    /// Whether there is a host of that name.
    fn is_host(&self, name: &str) -> bool;
    /// Every broker, in the order in which the cluster was laid out.
    fn brokers(&self) -> Vec<String>;
    /// Every host that is not a broker.
    fn clients(&self) -> Vec<String>;
    /// The quorum's leader, if it has one.
    fn controller(&self) -> Option<String>;
    /// The broker that coordinates a group, by `group.id`.
    fn group_coordinator_of(&self, group: &str) -> Option<String>;
    /// The broker that coordinates a `transactional.id`.
    fn transaction_coordinator_of(&self, transactional_id: &str) -> Option<String>;
    /// A partition's leader, if it exists and has one.
    fn leader_of(&self, tp: &TopicPartition) -> Option<String>;
    /// A partition's replicas without its leader; empty if the partition does not exist.
    fn followers_of(&self, tp: &TopicPartition) -> Vec<String>;
}

/// A target stands for nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// No host has that name: the plan is wrong.
    #[error("there is no host called {name:?}")]
    NoSuchHost {
        /// The name.
        name: String,
    },
    /// No broker has that index: the plan is wrong.
    #[error("there is no broker {index}: the cluster has {count}, counted from 0")]
    NoSuchBroker {
        /// The index.
        index: u32,
        /// How many there are.
        count: usize,
    },
    /// Nobody plays that role at this instant: the fault has nothing to happen to.
    #[error("at this instant there is no {role}")]
    Vacant {
        /// The role.
        role: String,
    },
}

impl Target {
    /// The names that the target stands for now.
    ///
    /// # Errors
    /// [`ResolveError`] when there is nobody.
    pub fn resolve(&self, roles: &impl Roles) -> Result<Hosts, ResolveError> {
        let mut names = Vec::new();
        self.collect(roles, &mut names)?;
        Ok(Hosts::new(names))
    }

    fn collect(&self, roles: &impl Roles, names: &mut Vec<String>) -> Result<(), ResolveError> {
        let before = names.len();
        match self {
            Target::Host(name) if roles.is_host(name) => names.push(name.clone()),
            Target::Host(name) => return Err(ResolveError::NoSuchHost { name: name.clone() }),
            Target::LeaderOf(tp) => names.extend(roles.leader_of(tp)),
            Target::FollowersOf(tp) => names.extend(roles.followers_of(tp)),
            Target::GroupCoordinatorOf(group) => names.extend(roles.group_coordinator_of(group)),
            Target::TransactionCoordinatorOf(id) => names.extend(roles.transaction_coordinator_of(id)),
            Target::Controller => names.extend(roles.controller()),
            Target::Broker(index) => {
                let brokers = roles.brokers();
                let name = brokers
                    .get(*index as usize)
                    .ok_or(ResolveError::NoSuchBroker { index: *index, count: brokers.len() })?;
                names.push(name.clone());
            }
            Target::AllBrokers => names.extend(roles.brokers()),
            Target::AllClients => names.extend(roles.clients()),
            Target::Many(targets) => targets.iter().try_for_each(|target| target.collect(roles, names))?,
        }
        if names.len() == before {
            return Err(ResolveError::Vacant { role: self.to_string() });
        }
        Ok(())
    }

    /// Calls `each` with the target or, for a list, with every target in it.
    pub fn for_each(&self, each: &mut dyn FnMut(&Target)) {
        match self {
            Target::Many(targets) => targets.iter().for_each(|target| target.for_each(each)),
            one => each(one),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Host(name) => f.write_str(name),
            Target::LeaderOf(tp) => write!(f, "leader of {tp}"),
            Target::FollowersOf(tp) => write!(f, "followers of {tp}"),
            Target::GroupCoordinatorOf(group) => write!(f, "coordinator of group {group}"),
            Target::TransactionCoordinatorOf(id) => write!(f, "coordinator of transactional id {id}"),
            Target::Controller => f.write_str("controller"),
            Target::Broker(index) => write!(f, "broker {index}"),
            Target::AllBrokers => f.write_str("all brokers"),
            Target::AllClients => f.write_str("all clients"),
            Target::Many(targets) => {
                for (i, target) in targets.iter().enumerate() {
                    write!(f, "{}{target}", if i == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
        }
    }
}

const EXPECTED: &str = "a host's name, \"controller\", \"all_brokers\", \"all_clients\", a table with one of leader_of, \
                        followers_of, broker, group_coordinator_of and transaction_coordinator_of, or a list of these";
const KEYS: &[&str] =
    &["leader_of", "followers_of", "broker", "group_coordinator_of", "transaction_coordinator_of"];

/// Reads a partition as people write it: `orders-0`. The last dash ends the topic's name.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_partition(text: &str) -> Result<TopicPartition, String> {
    text.rsplit_once('-')
        .filter(|(topic, index)| !topic.is_empty() && index.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|(topic, index)| Some((topic, index.parse().ok()?)))
        .map(|(topic, index)| TopicPartition::new(StrBytes::from_string(topic.to_owned()), index))
        .ok_or_else(|| {
            format!("{text:?} is not a partition: write the topic, a dash and the index, as in \"orders-0\"")
        })
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TargetVisitor;

        impl<'de> Visitor<'de> for TargetVisitor {
            type Value = Target;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Target, E> {
                Ok(match text {
                    "controller" => Target::Controller,
                    "all_brokers" => Target::AllBrokers,
                    "all_clients" => Target::AllClients,
                    "" => return Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                    name => Target::Host(name.to_owned()),
                })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Target, A::Error> {
                let mut targets = Vec::new();
                while let Some(target) = seq.next_element()? {
                    targets.push(target);
                }
                if targets.is_empty() {
                    return Err(de::Error::invalid_length(0, &self));
                }
                Ok(Target::Many(targets))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Target, A::Error> {
                let Some(key) = map.next_key::<String>()? else {
                    return Err(de::Error::invalid_length(0, &self));
                };
                let partition = |text: String| parse_partition(&text).map_err(de::Error::custom);
                let target = match key.as_str() {
                    "leader_of" => Target::LeaderOf(partition(map.next_value()?)?),
                    "followers_of" => Target::FollowersOf(partition(map.next_value()?)?),
                    "broker" => Target::Broker(map.next_value()?),
                    "group_coordinator_of" => Target::GroupCoordinatorOf(map.next_value()?),
                    "transaction_coordinator_of" => Target::TransactionCoordinatorOf(map.next_value()?),
                    other => return Err(de::Error::unknown_field(other, KEYS)),
                };
                match map.next_key::<String>()? {
                    Some(second) => Err(de::Error::custom(format!(
                        "{key} and {second} in one target: put them in a list"
                    ))),
                    None => Ok(target),
                }
            }
        }

        deserializer.deserialize_any(TargetVisitor)
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entry = |key: &str, value: &dyn fmt::Display| (key.to_owned(), value.to_string());
        let (key, value) = match self {
            Target::Host(name) => return serializer.serialize_str(name),
            Target::Controller => return serializer.serialize_str("controller"),
            Target::AllBrokers => return serializer.serialize_str("all_brokers"),
            Target::AllClients => return serializer.serialize_str("all_clients"),
            Target::Many(targets) => {
                let mut seq = serializer.serialize_seq(Some(targets.len()))?;
                targets.iter().try_for_each(|target| seq.serialize_element(target))?;
                return seq.end();
            }
            Target::Broker(index) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("broker", index)?;
                return map.end();
            }
            Target::GroupCoordinatorOf(group) => entry("group_coordinator_of", group),
            Target::TransactionCoordinatorOf(id) => entry("transaction_coordinator_of", id),
            Target::LeaderOf(tp) => entry("leader_of", tp),
            Target::FollowersOf(tp) => entry("followers_of", tp),
        };
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(&key, &value)?;
        map.end()
    }
}
