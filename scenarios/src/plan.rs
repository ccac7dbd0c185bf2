//! What a scenario's world is made of: hosts, their names, and what each client process is told.

use std::collections::BTreeMap;

use trial_broker::BrokerConfig;
use trial_checkers::{Cleanup, Load, Promise};
use trial_client::{
    BankWorkload, ClientConfig, ConsumeWorkload, Corpus, Keys, ListsWorkload, NewTopic, OperateWorkload,
    PipelineWorkload, ProduceWorkload, SetupWorkload, Share, WorkloadConfig,
};
use trial_node::{Endpoint, NodeId, Span, Time};
use trial_wire::{StrBytes, TopicName};

use crate::check::{parse_rate, properties};
use crate::member::MemberConfig;
use crate::model::{Scenario, Semantics, Topic, Value, Workload};

/// The cluster's id: the same in every run, as runs have one cluster.
pub(crate) const CLUSTER_ID: &str = "trial-cluster-000000001";

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
        let count = counts.entry(workload.prefix()).or_insert(0);
        names.extend((0..workload.clients()).map(|i| format!("{}-{}", workload.prefix(), *count + i)));
        *count += workload.clients();
    }
    names
}

/// Where clients find the brokers, in order.
pub(crate) fn bootstrap(scenario: &Scenario) -> Vec<Endpoint> {
    endpoints(scenario, BrokerConfig::client_port(&properties(&scenario.cluster.config)))
}

/// Where those find the brokers who are trusted: who makes the topics, and who reads them at the end.
fn trusted_bootstrap(scenario: &Scenario) -> Vec<Endpoint> {
    endpoints(scenario, trial_broker::BROKER_PORT)
}

fn endpoints(scenario: &Scenario, port: u16) -> Vec<Endpoint> {
    broker_names(scenario).into_iter().map(|name| Endpoint::new(StrBytes::from_string(name), port)).collect()
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

/// The number, over the whole run, of a workload's first producer and first consumer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Numbers {
    pub(crate) producer: u32,
    pub(crate) consumer: u32,
}

impl Numbers {
    /// Those of the workload after this one.
    fn after(self, workload: &Workload) -> Numbers {
        let count = |has: bool| if has { workload.clients() } else { 0 };
        Numbers {
            producer: self.producer + count(workload.produces()),
            consumer: self.consumer + count(workload.consumes()),
        }
    }

    /// Those of every workload, and then those that are free.
    pub(crate) fn of(scenario: &Scenario) -> (Vec<Numbers>, Numbers) {
        let mut free = Numbers::default();
        let numbers = scenario.workloads.iter().map(|workload| {
            let next = free.after(workload.get_ref());
            std::mem::replace(&mut free, next)
        });
        (numbers.collect(), free)
    }
}

/// What client `client` of workload `index` is told.
pub(crate) fn client_workload(
    scenario: &Scenario,
    index: usize,
    client: u32,
    numbers: Numbers,
    corpus: &Corpus,
) -> Option<WorkloadConfig> {
    let workload = scenario.workloads.get(index)?.get_ref();
    let share = |first_number| Share { first_number, index: client, count: 1, of: workload.clients() };
    let start_at = Time::ZERO + scenario.warmup;
    let login = scenario.login(workload);
    let with_login = |config: BTreeMap<String, String>| -> BTreeMap<String, String> {
        login.clone().into_iter().chain(config).collect()
    };
    let properties = |config: &BTreeMap<String, Value>| with_login(properties(config));
    let member_properties =
        |config: &BTreeMap<String, Value>| with_login(member_properties(scenario, client, config));
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    Some(match workload {
        Workload::Produce { topic, rate, keys, config, .. } => WorkloadConfig::Produce(ProduceWorkload {
            topic: topic_name(topic),
            share: share(numbers.producer),
            rate: parse_rate(rate).ok()?,
            start_at,
            keys: keys.map_or(Keys::None, Keys::Uniform),
            corpus: corpus.clone(),
            config: properties(config),
        }),
        Workload::Consume { topic, group, config, .. } => WorkloadConfig::Consume(ConsumeWorkload {
            topic: topic_name(topic),
            share: share(numbers.consumer),
            group: group.as_deref().map(text),
            config: match group {
                Some(_) => member_properties(config),
                None => properties(config),
            },
        }),
        Workload::Pipeline(pipeline) => WorkloadConfig::Pipeline(PipelineWorkload {
            from: topic_name(&pipeline.from),
            to: topic_name(&pipeline.to),
            group: text(&pipeline.group),
            semantics: match pipeline.semantics {
                Semantics::ExactlyOnce => trial_client::Semantics::ExactlyOnce,
                Semantics::AtLeastOnce => trial_client::Semantics::AtLeastOnce,
                Semantics::AtMostOnce => trial_client::Semantics::AtMostOnce,
            },
            commit_interval: pipeline.commit_interval,
            share: share(numbers.producer),
            first_consumer: numbers.consumer,
            consumer: member_properties(&pipeline.consumer),
            producer: properties(&pipeline.producer),
        }),
        Workload::Bank(bank) => WorkloadConfig::Bank(BankWorkload {
            topic: topic_name(&bank.topic),
            share: share(numbers.producer),
            accounts: bank.accounts,
            rate: parse_rate(&bank.rate).ok()?,
            start_at,
            abort_percent: bank.abort_percent,
            config: properties(&bank.config),
        }),
        Workload::Lists(lists) => WorkloadConfig::Lists(ListsWorkload {
            topic: topic_name(&lists.topic),
            share: share(numbers.producer),
            first_consumer: numbers.consumer,
            rate: parse_rate(&lists.rate).ok()?,
            start_at,
            abort_percent: lists.abort_percent,
            consumer: properties(&lists.consumer),
            producer: properties(&lists.producer),
        }),
    })
}

/// The configs of a client's consumer that subscribes: the variant chooses its protocol unless it has chosen itself.
fn member_properties(
    scenario: &Scenario,
    client: u32,
    config: &BTreeMap<String, Value>,
) -> BTreeMap<String, String> {
    let mut properties = properties(config);
    if let Some(protocol) = scenario.variant().group_protocol {
        let protocol = || protocol.of_client(client).to_owned();
        properties.entry("group.protocol".to_owned()).or_insert_with(protocol);
    }
    properties
}

/// The brokers.
pub(crate) fn brokers(scenario: &Scenario) -> Vec<HostPlan> {
    let names = broker_names(scenario);
    let voters: BTreeMap<NodeId, StrBytes> =
        names.iter().zip(1..).map(|(name, id)| (NodeId(id), StrBytes::from_string(name.clone()))).collect();
    let rack = |id: i32| scenario.cluster.racks.get(usize::try_from(id - 1).ok()?);
    let config = |id| BrokerConfig {
        node_id: NodeId(id),
        cluster_id: StrBytes::from_static_str(CLUSTER_ID),
        voters: voters.clone(),
        rack: rack(id).map(|rack| StrBytes::from_string(rack.clone())),
        properties: properties(&scenario.cluster.config),
        users: scenario.cluster.users.clone(),
        acls: scenario.all_acls(),
        features: features(scenario),
    };
    names
        .into_iter()
        .zip(1..)
        .map(|(name, id)| HostPlan { name, config: MemberConfig::Broker(config(id)) })
        .collect()
}

/// The feature levels that the cluster starts at, where the scenario chooses.
fn features(scenario: &Scenario) -> BTreeMap<String, i16> {
    let mut features = scenario.cluster.features.clone();
    let transaction_version = scenario.variant().transaction_version;
    features.extend(transaction_version.map(|level| ("transaction.version".to_owned(), level)));
    features
}

/// The clients: first the operator, who makes the topics and carries out what an admin client must ask for, then those
/// of the workloads. `corpus` gives the values of so many bytes.
pub(crate) fn clients(scenario: &Scenario, corpus: &mut dyn FnMut(u32) -> Corpus) -> Vec<HostPlan> {
    let process = |name: String, bootstrap, workloads| {
        let config = ClientConfig {
            client_id: StrBytes::from_string(name.clone()),
            bootstrap,
            workloads,
            stop_at: Some(Time::ZERO + scenario.duration),
        };
        HostPlan { name, config: MemberConfig::Client(config) }
    };
    let mut operator = vec![WorkloadConfig::Setup(setup(scenario))];
    let calls = crate::operate::calls(scenario);
    if !calls.is_empty() {
        operator.push(WorkloadConfig::Operate(OperateWorkload { calls, config: BTreeMap::new() }));
    }
    let mut hosts = vec![process("operator".to_owned(), trusted_bootstrap(scenario), operator)];
    let mut names = host_names(scenario).split_off(scenario.cluster.nodes as usize).into_iter();
    let (numbers, _) = Numbers::of(scenario);
    for (index, workload) in scenario.workloads.iter().map(|w| w.get_ref()).enumerate() {
        let values = match workload {
            Workload::Produce { value_bytes, .. } => corpus(*value_bytes),
            _ => Corpus::new(vec![bytes::Bytes::new()]),
        };
        for client in 0..workload.clients() {
            let told = client_workload(scenario, index, client, numbers[index], &values);
            let name = names.next().expect("host_names names every client");
            hosts.push(process(name, bootstrap(scenario), told.into_iter().collect()));
        }
    }
    hosts
}

/// The client that reads these topics once more at the end, and the number of its first consumer.
pub(crate) fn auditor(scenario: &Scenario, topics: &[TopicName]) -> (HostPlan, u32) {
    let first = Numbers::of(scenario).1.consumer;
    let workloads = topics.iter().zip(first..).map(|(topic, number)| {
        WorkloadConfig::Consume(ConsumeWorkload {
            topic: topic.clone(),
            share: Share::whole(number, 1),
            group: None,
            config: BTreeMap::from([
                ("auto.offset.reset".to_owned(), "earliest".to_owned()),
                // What was aborted is not to be found: that is no loss.
                ("isolation.level".to_owned(), "read_committed".to_owned()),
                // Whole logs are read: in pieces that fit the processor's cache, and memory that was just used.
                ("max.partition.fetch.bytes".to_owned(), "65536".to_owned()),
            ]),
        })
    });
    let name = "auditor".to_owned();
    let config = ClientConfig {
        client_id: StrBytes::from_static_str("auditor"),
        bootstrap: trusted_bootstrap(scenario),
        workloads: workloads.collect(),
        stop_at: None,
    };
    (HostPlan { name, config: MemberConfig::Client(config) }, first)
}

fn setup(scenario: &Scenario) -> SetupWorkload {
    let brokers = broker_names(scenario);
    let assignments = |topic: &Topic| {
        topic.assignments.iter().map(|replicas| crate::operate::node_ids(&brokers, replicas)).collect()
    };
    let topics = scenario.topics.iter().map(|t| t.get_ref()).map(|topic| NewTopic {
        name: topic_name(&topic.name),
        partitions: topic.partitions as i32,
        replication_factor: topic.replication_factor as i16,
        assignments: assignments(topic),
        configs: properties(&topic.config),
    });
    SetupWorkload { brokers: scenario.cluster.nodes, topics: topics.collect(), config: BTreeMap::new() }
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
        // Transactions and pipelines send what they get done.
        _ => 0,
    };
    scenario.workloads.iter().map(|w| of(w.get_ref())).sum()
}

/// What a topic's configuration says of old records.
fn cleanup(scenario: &Scenario, config: &BTreeMap<String, Value>) -> Cleanup {
    let text = |name: &str, broker_name: &str| {
        config.get(name).or_else(|| scenario.cluster.config.get(broker_name)).map(Value::text)
    };
    let number = |name: &str, broker_name: &str| text(name, broker_name).and_then(|text| text.parse().ok());
    let policy = text("cleanup.policy", "log.cleanup.policy").unwrap_or_else(|| "delete".to_owned());
    let has = |wanted: &str| policy.split(',').any(|item| item.trim() == wanted);
    let retention = number("retention.ms", "log.retention.ms").map(Span::from_millis);
    Cleanup {
        compact: has("compact"),
        delete: has("delete"),
        retention_bytes: number("retention.bytes", "log.retention.bytes"),
        retention: retention.filter(|retention| *retention < scenario.duration),
    }
}

/// What checkers must know of the load.
pub(crate) fn load(scenario: &Scenario) -> Load {
    let (numbers, _) = Numbers::of(scenario);
    let mut load = Load::default();
    for topic in scenario.topics.iter().map(|topic| topic.get_ref()) {
        load.cleanup.insert(topic_name(&topic.name), cleanup(scenario, &topic.config));
    }
    for (workload, numbers) in scenario.workloads.iter().map(|w| w.get_ref()).zip(numbers) {
        let (config, committed_by_default) = match workload {
            Workload::Produce { .. } | Workload::Bank(_) => continue,
            Workload::Consume { config, .. } => (config, false),
            Workload::Pipeline(pipeline) => {
                let promise = match pipeline.semantics {
                    Semantics::ExactlyOnce => Promise::ExactlyOnce,
                    Semantics::AtLeastOnce => Promise::AtLeastOnce,
                    Semantics::AtMostOnce => Promise::AtMostOnce,
                };
                load.pipelines.push(trial_checkers::Pipeline {
                    group: pipeline.group.clone(),
                    from: topic_name(&pipeline.from),
                    to: topic_name(&pipeline.to),
                    promise,
                });
                (&pipeline.consumer, pipeline.semantics == Semantics::ExactlyOnce)
            }
            Workload::Lists(lists) => (&lists.consumer, true),
        };
        let committed = config
            .get("isolation.level")
            .map_or(committed_by_default, |level| level.text() == "read_committed");
        if !committed {
            load.read_uncommitted.extend(numbers.consumer..numbers.consumer + workload.clients());
        }
    }
    load
}
