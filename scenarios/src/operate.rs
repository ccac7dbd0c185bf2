//! What an operator asks the cluster for: elections, reassignments, other configs.

use std::collections::BTreeMap;

use serde::Deserialize;
use trial_client::admin::{AdminCall, AlterConfig, AlterQuota, ConfigResource, ElectionType};
use trial_faults::{Fault, Leadership, What, parse_partition, quantity};
use trial_metadata::config::{BROKER_CONFIGS, ConfigDef, TOPIC_CONFIGS};
use trial_metadata::quota::QuotaKey;
use trial_node::{NodeId, Span, Time, TopicPartition, nearest};
use trial_wire::{StrBytes, TopicName};

use crate::check::{properties, unknown_topic, wrong_config};
use crate::model::{Scenario, Value};
use crate::plan::broker_names;
use crate::text::meant;

/// What stands for all clients that have no quota of their own, as in Kafka's tools.
const DEFAULT_CLIENT: &str = "<default>";

/// What an operator asks for at one instant, with Kafka's own requests.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminEntry {
    /// When, from the start of the run.
    #[serde(with = "quantity::span")]
    pub at: Span,
    /// Partitions that move (KIP-455): to which brokers, the one that should lead first.
    #[serde(default)]
    pub reassign: BTreeMap<String, Vec<String>>,
    /// Partitions that shall stay where they were before the reassignment that is under way.
    #[serde(default)]
    pub cancel_reassignment: Vec<String>,
    /// Configs of all brokers, as Kafka names them.
    #[serde(default)]
    pub broker_config: BTreeMap<String, Value>,
    /// Configs of topics, as Kafka names them.
    #[serde(default)]
    pub topic_config: BTreeMap<String, BTreeMap<String, Value>>,
    /// Quotas of clients, as Kafka names them: what a client id may use a second. `<default>` stands for all clients that have
    /// none of their own; 0 takes the quota away.
    #[serde(default)]
    pub client_quota: BTreeMap<String, BTreeMap<String, u32>>,
}

/// What is wrong with an entry: where in its text, and what.
pub(crate) type Wrong = (String, String);

impl AdminEntry {
    /// What is wrong with it, if anything is.
    pub(crate) fn misfit(&self, scenario: &Scenario) -> Option<Wrong> {
        if self.at >= scenario.duration {
            let what = format!("it comes at {}, when load is over (duration {})", self.at, scenario.duration);
            return Some(("at".to_owned(), what));
        }
        if self.reassign.is_empty()
            && self.cancel_reassignment.is_empty()
            && self.broker_config.is_empty()
            && self.topic_config.is_empty()
            && self.client_quota.is_empty()
        {
            let what = "it asks for nothing: give reassign, cancel_reassignment, broker_config, topic_config or \
                        client_quota";
            return Some(("at".to_owned(), what.to_owned()));
        }
        let brokers = broker_names(scenario);
        self.reassign
            .keys()
            .chain(&self.cancel_reassignment)
            .find_map(|name| unknown_partition(scenario, name))
            .or_else(|| self.reassign.values().find_map(|names| wrong_replicas(&brokers, names)))
            .or_else(|| first_wrong_config(BROKER_CONFIGS, &self.broker_config))
            .or_else(|| {
                let mut keys = self.client_quota.values().flat_map(BTreeMap::keys);
                keys.find_map(|key| wrong_quota(key).map(|what| (key.clone(), what)))
            })
            .or_else(|| {
                self.topic_config.iter().find_map(|(topic, config)| {
                    let names = || scenario.topics.iter().map(|t| t.get_ref().name.as_str());
                    let unknown = unknown_topic(topic, names).map(|what| (topic.clone(), what));
                    unknown.or_else(|| first_wrong_config(TOPIC_CONFIGS, config))
                })
            })
    }

    /// As the admin client is asked.
    fn calls(&self, brokers: &[String]) -> Vec<AdminCall> {
        let mut calls = Vec::new();
        let moves = self.reassign.iter().map(|(name, target)| (name, Some(node_ids(brokers, target))));
        let cancelled = self.cancel_reassignment.iter().map(|name| (name, None));
        let partitions: Vec<_> = moves
            .chain(cancelled)
            .filter_map(|(name, target)| Some((parse_partition(name).ok()?, target)))
            .collect();
        if !partitions.is_empty() {
            calls.push(AdminCall::Reassign(partitions));
        }
        let mut resources = Vec::new();
        if !self.broker_config.is_empty() {
            resources.push((ConfigResource::Broker(StrBytes::new()), changes(&self.broker_config)));
        }
        resources.extend(self.topic_config.iter().map(|(topic, config)| {
            (ConfigResource::Topic(TopicName(StrBytes::from_string(topic.clone()))), changes(config))
        }));
        if !resources.is_empty() {
            calls.push(AdminCall::AlterConfigs(resources));
        }
        let quotas = self.client_quota.iter().flat_map(|(client_id, quotas)| {
            quotas.iter().map(move |(key, value)| AlterQuota {
                client_id: (client_id != DEFAULT_CLIENT).then(|| StrBytes::from_string(client_id.clone())),
                key: StrBytes::from_string(key.clone()),
                value: (*value > 0).then_some(*value),
            })
        });
        let quotas: Vec<_> = quotas.collect();
        if !quotas.is_empty() {
            calls.push(AdminCall::AlterQuotas(quotas));
        }
        calls
    }
}

/// The ids of brokers by their names.
pub(crate) fn node_ids(brokers: &[String], names: &[String]) -> Vec<NodeId> {
    let id =
        |name: &String| brokers.iter().zip(1..).find(|(broker, _)| *broker == name).map(|(_, id)| NodeId(id));
    names.iter().filter_map(id).collect()
}

/// What is wrong with a list of replicas, if anything is.
pub(crate) fn wrong_replicas(brokers: &[String], names: &[String]) -> Option<Wrong> {
    for (i, name) in names.iter().enumerate() {
        if !brokers.contains(name) {
            let near = nearest(name, brokers.iter().map(String::as_str));
            return Some((name.clone(), format!("there is no broker {name:?}{}", meant(near))));
        }
        if names[..i].contains(name) {
            return Some((name.clone(), format!("broker {name:?} is there twice")));
        }
    }
    names.is_empty().then(|| ("[]".to_owned(), "a partition has at least one replica".to_owned()))
}

fn unknown_partition(scenario: &Scenario, name: &str) -> Option<Wrong> {
    match parse_partition(name) {
        Ok(tp) => scenario.names().unknown_partition(&tp),
        Err(what) => Some((name.to_owned(), what)),
    }
}

/// What is wrong with a quota of this name. A scenario sets only those that are enforced.
fn wrong_quota(key: &str) -> Option<String> {
    match QuotaKey::named(key) {
        Ok(QuotaKey::RequestPercentage) => {
            Some(format!("{key} is not supported: a broker does not see what its threads cost."))
        }
        Ok(_) => None,
        Err(_) => {
            let keys = QuotaKey::ALL.iter().filter(|key| **key != QuotaKey::RequestPercentage);
            let names: Vec<&str> = keys.map(|key| key.name()).collect();
            let near = meant(nearest(key, names.iter().copied()));
            Some(format!("there is no quota {key:?}, only {}{near}", names.join(", ")))
        }
    }
}

fn first_wrong_config(table: &'static [ConfigDef], config: &BTreeMap<String, Value>) -> Option<Wrong> {
    let wrong = |(key, value): (String, String)| Some((key.clone(), wrong_config(table, &key, &value)?));
    properties(config).into_iter().find_map(wrong)
}

fn changes(config: &BTreeMap<String, Value>) -> Vec<AlterConfig> {
    let change = |(name, value): (String, String)| AlterConfig {
        name: StrBytes::from_string(name),
        value: Some(StrBytes::from_string(value)),
    };
    properties(config).into_iter().map(change).collect()
}

/// Everything that the operator asks for, and when: the entries of the scenario, and the preferred-leader elections of its
/// fault plan, those of one instant together.
pub(crate) fn calls(scenario: &Scenario) -> Vec<(Time, AdminCall)> {
    let plan = scenario.plan();
    let mut elections: BTreeMap<Time, Vec<TopicPartition>> = BTreeMap::new();
    for moment in plan.schedule().into_iter().filter(|moment| moment.what == What::Inject) {
        if let Fault::TransferLeadership(Leadership::Partition(tp)) = &plan.entries[moment.entry].fault {
            elections.entry(moment.at).or_default().push(tp.clone());
        }
    }
    let mut calls: Vec<(Time, AdminCall)> = elections
        .into_iter()
        .map(|(at, partitions)| (at, AdminCall::ElectLeaders(ElectionType::Preferred, Some(partitions))))
        .collect();
    let brokers = broker_names(scenario);
    for entry in scenario.admin.iter().map(|entry| entry.get_ref()) {
        calls.extend(entry.calls(&brokers).into_iter().map(|call| (Time::ZERO + entry.at, call)));
    }
    calls
}

/// Where the operator has moved partitions to by the end of the run: all replicas that each may have. That is more than one
/// possibility where a reassignment was taken back, in time or too late.
pub(crate) fn assignments(scenario: &Scenario) -> BTreeMap<TopicPartition, Vec<Vec<NodeId>>> {
    let brokers = broker_names(scenario);
    let mut placed: BTreeMap<TopicPartition, Placed> = BTreeMap::new();
    for topic in scenario.topics.iter().map(|topic| topic.get_ref()) {
        for (replicas, partition) in topic.assignments.iter().zip(0..) {
            let now = vec![node_ids(&brokers, replicas)];
            placed.insert(
                TopicPartition::new(topic.name.clone(), partition),
                Placed { now, ..Placed::default() },
            );
        }
    }
    let mut entries: Vec<&AdminEntry> = scenario.admin.iter().map(|entry| entry.get_ref()).collect();
    entries.sort_by_key(|entry| entry.at);
    let tp = |name: &str| parse_partition(name).expect("the scenario's check has read every partition");
    for entry in entries {
        for (name, target) in &entry.reassign {
            let placed = placed.entry(tp(name)).or_default();
            placed.moved = true;
            placed.before.append(&mut placed.now);
            placed.now.push(node_ids(&brokers, target));
        }
        for name in &entry.cancel_reassignment {
            let tp = tp(name);
            match placed.get_mut(&tp).filter(|placed| !placed.before.is_empty()) {
                Some(placed) => placed.now.append(&mut placed.before),
                // Nobody knows where it was.
                None => drop(placed.remove(&tp)),
            }
        }
    }
    let moved = placed.into_iter().filter(|(_, placed)| placed.moved);
    moved.map(|(tp, placed)| (tp, placed.now)).collect()
}

/// What is known of where a partition is.
#[derive(Default)]
struct Placed {
    now: Vec<Vec<NodeId>>,
    /// Where it goes back to if the reassignment is taken back.
    before: Vec<Vec<NodeId>>,
    /// Whether the operator has anything to do with it.
    moved: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = r#"
        name = "moves"
        about = "Partitions move."
        duration = "60s"
        [cluster]
        nodes = 4
        [[topic]]
        name = "orders"
        partitions = 2
        replication_factor = 2
        assignments = [["broker-1", "broker-2"], ["broker-2", "broker-1"]]
    "#;

    fn scenario(admin: &str) -> Result<Scenario, String> {
        let text = format!("{BASE}\n{admin}");
        Scenario::from_toml("moves.toml", &text).map_err(|error| error.what)
    }

    #[test]
    fn where_partitions_end_up() {
        let placed = |admin: &str| {
            let assignments = assignments(&scenario(admin).unwrap());
            let show = |(tp, wanted): (TopicPartition, Vec<Vec<NodeId>>)| {
                let wanted = wanted.iter().map(|ids| ids.iter().map(|id| id.0).collect::<Vec<_>>());
                (tp.to_string(), wanted.collect::<Vec<_>>())
            };
            assignments.into_iter().map(show).collect::<Vec<_>>()
        };
        assert_eq!(placed(""), [], "what nobody moves may be moved by others");
        let moved = r#"
            [[admin]]
            at = "20s"
            reassign = { "orders-0" = ["broker-4", "broker-1"] }
            [[admin]]
            at = "10s"
            reassign = { "orders-0" = ["broker-3"], "orders-1" = ["broker-4", "broker-3"] }
        "#;
        let expected = [("orders-0".to_owned(), vec![vec![4, 1]]), ("orders-1".to_owned(), vec![vec![4, 3]])];
        assert_eq!(placed(moved), expected);
        let cancelled = format!("{moved}\n[[admin]]\nat = \"30s\"\ncancel_reassignment = [\"orders-1\"]");
        let expected = [
            ("orders-0".to_owned(), vec![vec![4, 1]]),
            // In time or too late.
            ("orders-1".to_owned(), vec![vec![4, 3], vec![2, 1]]),
        ];
        assert_eq!(placed(&cancelled), expected);
    }

    #[test]
    fn what_cannot_be_asked_for_is_named() {
        let wrong = |entry: &str| scenario(&format!("[[admin]]\nat = \"10s\"\n{entry}")).unwrap_err();
        assert!(wrong("").contains("it asks for nothing"));
        assert_eq!(
            wrong(r#"reassign = { "orders-0" = ["broker-5"] }"#),
            "admin: there is no broker \"broker-5\"; did you mean \"broker-1\"?"
        );
        assert_eq!(
            wrong(r#"reassign = { "orders-2" = ["broker-1"] }"#),
            "admin: there is no partition orders-2: orders has 2, counted from 0"
        );
        assert_eq!(
            wrong(r#"reassign = { "orders-1" = ["broker-1", "broker-1"] }"#),
            "admin: broker \"broker-1\" is there twice"
        );
        assert_eq!(
            wrong(r#"topic_config = { odrers = { "retention.ms" = 1 } }"#),
            "admin: there is no topic \"odrers\"; did you mean \"orders\"?"
        );
        assert_eq!(
            wrong(r#"client_quota = { "<default>" = { producer_byte_rat = 20000 } }"#),
            "admin: there is no quota \"producer_byte_rat\", only producer_byte_rate, consumer_byte_rate, \
             controller_mutation_rate; did you mean \"producer_byte_rate\"?"
        );
        let late = scenario("[[admin]]\nat = \"60s\"\ncancel_reassignment = [\"orders-0\"]").unwrap_err();
        assert!(late.contains("when load is over"), "{late}");
    }
}
