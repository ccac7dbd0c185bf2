//! What a scenario's world is made of: hosts, their names, and what each client process is told.

use std::collections::BTreeMap;

use trial_broker::BrokerConfig;
use trial_client::{
    ClientConfig, ConsumeWorkload, Corpus, ElectWorkload, Keys, NewTopic, ProduceWorkload, SetupWorkload,
    Share, WorkloadConfig,
};
use trial_faults::{Fault, Leadership, What};
use trial_node::{Endpoint, NodeId, Time, TopicPartition};
use trial_wire::{StrBytes, TopicName};

use crate::check::{parse_rate, properties};
use crate::member::MemberConfig;
use crate::model::{Scenario, Workload};

/// The cluster's id: the same in every run, as runs have one cluster.
const CLUSTER_ID: &str = "trial-cluster-000000001";

/// One host of a scenario.
#[derive(Clone, Debug)]
pub(crate) struct HostPlan {
    pub(crate) name: String,
    pub(crate) config: MemberConfig,
}

/// The broker hosts' names in order; broker `i` has node id `i + 1`.
pub(crate) fn broker_names(scenario: &Scenario) -> Vec<String> {
    (1..=scenario.cluster.nodes).map(|i| format!("broker-{i}")).collect()
}

/// The names of all hosts that faults can name: brokers, then clients.
pub(crate) fn host_names(scenario: &Scenario) -> Vec<String> {
    let mut names = broker_names(scenario);
    let mut counts = BTreeMap::new();
    for workload in scenario.workloads.iter().map(|w| w.get_ref()) {
        let count = counts.entry(prefix(workload)).or_insert(0);
        names.extend((0..workload.clients()).map(|i| format!("{}-{}", prefix(workload), *count + i)));
        *count += workload.clients();
    }
    names
}

fn prefix(workload: &Workload) -> &'static str {
    match workload {
        Workload::Produce { .. } => "produce",
        Workload::Consume { .. } => "consume",
    }
}

fn bootstrap(scenario: &Scenario) -> Vec<Endpoint> {
    broker_names(scenario)
        .into_iter()
        .map(|name| Endpoint::new(StrBytes::from_string(name), trial_broker::BROKER_PORT))
        .collect()
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

/// What client `client` of workload `index` is told; `first_number` numbers the workload's clients over the whole run.
pub(crate) fn client_workload(
    scenario: &Scenario,
    index: usize,
    client: u32,
    first_number: u32,
    corpus: &Corpus,
) -> Option<WorkloadConfig> {
    let workload = scenario.workloads.get(index)?.get_ref();
    let share = Share { first_number, index: client, count: 1, of: workload.clients() };
    Some(match workload {
        Workload::Produce { topic, rate, keys, config, .. } => WorkloadConfig::Produce(ProduceWorkload {
            topic: topic_name(topic),
            share,
            rate: parse_rate(rate).ok()?,
            start_at: Time::ZERO + scenario.warmup,
            keys: keys.map_or(Keys::None, Keys::Uniform),
            corpus: corpus.clone(),
            config: properties(config),
        }),
        Workload::Consume { topic, config, .. } => WorkloadConfig::Consume(ConsumeWorkload {
            topic: topic_name(topic),
            share,
            group: None,
            config: properties(config),
        }),
    })
}

/// The brokers.
pub(crate) fn brokers(scenario: &Scenario) -> Vec<HostPlan> {
    let names = broker_names(scenario);
    let voters: BTreeMap<NodeId, StrBytes> =
        names.iter().zip(1..).map(|(name, id)| (NodeId(id), StrBytes::from_string(name.clone()))).collect();
    let config = |id| BrokerConfig {
        node_id: NodeId(id),
        cluster_id: StrBytes::from_static_str(CLUSTER_ID),
        voters: voters.clone(),
        rack: None,
        properties: properties(&scenario.cluster.config),
    };
    names
        .into_iter()
        .zip(1..)
        .map(|(name, id)| HostPlan { name, config: MemberConfig::Broker(config(id)) })
        .collect()
}

/// The clients: first the operator, who makes the topics and carries out what an admin client must ask for, then those
/// of the workloads. `corpus` gives the values of so many bytes.
pub(crate) fn clients(scenario: &Scenario, corpus: &mut dyn FnMut(u32) -> Corpus) -> Vec<HostPlan> {
    let process = |name: String, workloads| {
        let config = ClientConfig {
            client_id: StrBytes::from_string(name.clone()),
            bootstrap: bootstrap(scenario),
            workloads,
            stop_at: Some(Time::ZERO + scenario.duration),
        };
        HostPlan { name, config: MemberConfig::Client(config) }
    };
    let mut operator = vec![WorkloadConfig::Setup(setup(scenario))];
    let elections = elections(scenario);
    if !elections.is_empty() {
        operator.push(WorkloadConfig::Elect(ElectWorkload { elections, config: BTreeMap::new() }));
    }
    let mut hosts = vec![process("operator".to_owned(), operator)];
    let mut names = host_names(scenario).split_off(scenario.cluster.nodes as usize).into_iter();
    let (mut producers, mut consumers) = (0, 0);
    for (index, workload) in scenario.workloads.iter().map(|w| w.get_ref()).enumerate() {
        let (values, numbers) = match workload {
            Workload::Produce { value_bytes, .. } => (corpus(*value_bytes), &mut producers),
            Workload::Consume { .. } => (Corpus::new(vec![bytes::Bytes::new()]), &mut consumers),
        };
        for client in 0..workload.clients() {
            let told = client_workload(scenario, index, client, *numbers, &values);
            let name = names.next().expect("host_names names every client");
            hosts.push(process(name, told.into_iter().collect()));
        }
        *numbers += workload.clients();
    }
    hosts
}

/// The client that reads everything once more at the end, and the number of its first consumer.
pub(crate) fn auditor(scenario: &Scenario) -> (HostPlan, u32) {
    let consumers =
        scenario.workloads.iter().map(|w| w.get_ref()).filter(|w| matches!(w, Workload::Consume { .. }));
    let first: u32 = consumers.map(Workload::clients).sum();
    let workloads = scenario.topics.iter().zip(first..).map(|(topic, number)| {
        WorkloadConfig::Consume(ConsumeWorkload {
            topic: topic_name(&topic.get_ref().name),
            share: Share::whole(number, 1),
            group: None,
            config: BTreeMap::from([("auto.offset.reset".to_owned(), "earliest".to_owned())]),
        })
    });
    let name = "auditor".to_owned();
    let config = ClientConfig {
        client_id: StrBytes::from_static_str("auditor"),
        bootstrap: bootstrap(scenario),
        workloads: workloads.collect(),
        stop_at: None,
    };
    (HostPlan { name, config: MemberConfig::Client(config) }, first)
}

fn setup(scenario: &Scenario) -> SetupWorkload {
    let topics = scenario.topics.iter().map(|t| t.get_ref()).map(|topic| NewTopic {
        name: topic_name(&topic.name),
        partitions: topic.partitions as i32,
        replication_factor: topic.replication_factor as i16,
        configs: properties(&topic.config),
    });
    SetupWorkload { brokers: scenario.cluster.nodes, topics: topics.collect(), config: BTreeMap::new() }
}

/// The preferred-leader elections of the fault plan, which the operator asks the controller for.
fn elections(scenario: &Scenario) -> Vec<(Time, TopicPartition)> {
    let plan = scenario.plan();
    let moments = plan.schedule().into_iter().filter(|m| m.what == What::Inject);
    moments
        .filter_map(|m| match &plan.entries[m.entry].fault {
            Fault::TransferLeadership(Leadership::Partition(tp)) => Some((m.at, tp.clone())),
            _ => None,
        })
        .collect()
}

/// How many records the load plan has.
pub(crate) fn scheduled_records(scenario: &Scenario) -> u64 {
    let load = u128::from((scenario.duration - scenario.warmup).0);
    let of = |workload: &Workload| match workload {
        Workload::Produce { rate, .. } => {
            let rate = parse_rate(rate).expect("the scenario's check has read every rate");
            // Record n is due n * per / records after the start, and made if that is before the end.
            (load * u128::from(rate.records)).div_ceil(u128::from(rate.per.0)) as u64
        }
        Workload::Consume { .. } => 0,
    };
    scenario.workloads.iter().map(|w| of(w.get_ref())).sum()
}
