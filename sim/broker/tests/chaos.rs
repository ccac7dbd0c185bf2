//! Random crashes, power losses and isolations under load; when they end, the cluster must be whole and hold all that it
//! acknowledged.

mod harness;

use std::collections::{BTreeMap, BTreeSet};

use harness::{Cluster, Received};
use trial_broker::BROKER_PORT;
use trial_node::view::BrokerView;
use trial_node::{ConnId, NodeId, Rng, Span, TopicIdPartition, TraceEvent};
use trial_wire::api::latest;
use trial_wire::messages::create_topics_request::CreatableTopic;
use trial_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use trial_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use trial_wire::messages::{CreateTopicsRequest, FetchRequest, ProduceRequest};
use trial_wire::{ApiKey, BatchBuilder, Batches, Compression, ResponseKind, StrBytes, TopicName, Uuid};

const BROKERS: usize = 3;

fn orders() -> TopicName {
    TopicName(StrBytes::from_static_str("orders"))
}

fn topic_id(cluster: &Cluster) -> Option<Uuid> {
    let mut found = None;
    for (_, broker) in cluster.up() {
        broker.partitions(&mut |partition| found = Some(partition.id.topic_id));
    }
    found
}

/// The leader as broker `i` knows it.
fn leader(cluster: &Cluster, i: usize) -> Option<usize> {
    let mut found = None;
    cluster.broker(i).partitions(&mut |partition| found = usize::try_from(partition.leader.0).ok());
    found.filter(|leader| cluster.is_up(*leader))
}

/// A client that keeps one record on its way, to whoever leads, and notes what was acknowledged.
#[derive(Default)]
struct Producer {
    next: u64,
    waiting: Option<(ConnId, u64)>,
    acknowledged: BTreeMap<i64, u64>,
}

impl Producer {
    fn drive(&mut self, cluster: &mut Cluster, topic_id: Uuid) {
        if let Some((conn, value)) = self.waiting {
            let Some(at) = cluster.inbox.iter().position(|(from, _)| *from == conn) else { return };
            if let Received::Response(response) = cluster.inbox.remove(at).1 {
                let ResponseKind::Produce(body) = *response.body else { panic!("not an answer") };
                let partition = &body.responses[0].partition_responses[0];
                if partition.error_code == 0 {
                    let other = self.acknowledged.insert(partition.base_offset, value);
                    assert_eq!(other, None, "two records at offset {}", partition.base_offset);
                }
            }
            self.waiting = None;
        }
        let brokers: Vec<usize> = cluster.up().map(|(i, _)| i).collect();
        let known = brokers.iter().filter(|i| !cluster.is_isolated(**i)).find_map(|i| leader(cluster, *i));
        let Some(leader) = known.filter(|leader| !cluster.is_isolated(*leader)) else { return };
        let mut batch = BatchBuilder::new(Compression::None);
        batch.push(0, None, Some(self.next.to_string().as_bytes()), &[]);
        let records = batch.build().bytes().clone();
        let partition = PartitionProduceData::default().with_index(0).with_records(Some(records));
        let data = TopicProduceData::default().with_topic_id(topic_id).with_partition_data(vec![partition]);
        let request =
            ProduceRequest::default().with_acks(-1).with_timeout_ms(2_000).with_topic_data(vec![data]);
        let conn = cluster.connect(leader, BROKER_PORT);
        cluster.send(conn, latest(ApiKey::Produce), request.into());
        self.waiting = Some((conn, self.next));
        self.next += 1;
    }
}

fn read_all(cluster: &mut Cluster, topic_id: Uuid) -> BTreeMap<i64, u64> {
    let leader = leader(cluster, 0).expect("there is a leader");
    let mut read = BTreeMap::new();
    loop {
        let from = read.last_key_value().map_or(0, |(offset, _)| offset + 1);
        let partition = FetchPartition::default()
            .with_current_leader_epoch(-1)
            .with_fetch_offset(from)
            .with_partition_max_bytes(1 << 20);
        let topic = FetchTopic::default().with_topic_id(topic_id).with_partitions(vec![partition]);
        let request = FetchRequest::default()
            .with_max_wait_ms(100)
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        let ResponseKind::Fetch(response) = cluster.ask(leader, BROKER_PORT, request) else {
            panic!("not an answer")
        };
        let partition = &response.responses[0].partitions[0];
        assert_eq!(partition.error_code, 0);
        let records = partition.records.clone().unwrap_or_default();
        if records.is_empty() {
            return read;
        }
        for batch in Batches::new(records) {
            for record in batch.expect("a whole batch").records(1 << 20).expect("sound records") {
                let value = String::from_utf8(record.value.expect("a value").to_vec()).expect("text");
                read.insert(record.offset, value.parse().expect("a number"));
            }
        }
    }
}

fn survive(seed: u64) {
    let properties = [("min.insync.replicas", "2"), ("log.flush.interval.messages", "1")];
    let mut rng = Rng::named(seed, "chaos");
    let mut cluster = Cluster::seeded(seed, BROKERS, &properties);
    (0..BROKERS).for_each(|i| cluster.start(i));
    cluster.run_until("all brokers are unfenced", |cluster| cluster.unfenced() == BROKERS);
    let topic =
        CreatableTopic::default().with_name(orders()).with_num_partitions(1).with_replication_factor(3);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
    cluster.ask(0, BROKER_PORT, request);
    cluster.run_until("the topic exists", |cluster| topic_id(cluster).is_some());
    let topic_id = topic_id(&cluster).expect("it does");
    let mut producer = Producer::default();
    for _ in 0..300 {
        let victim = rng.below(BROKERS as u64) as usize;
        match rng.below(30) {
            0 if cluster.is_up(victim) => cluster.kill(victim),
            1 if cluster.is_up(victim) => cluster.lose_power(victim),
            2 => cluster.isolate(victim),
            3 if cluster.is_up(victim) => cluster.signal(victim, trial_node::Signal::Terminate),
            4 if cluster.is_up(victim) => {
                cluster.signal(victim, trial_node::Signal::ResignQuorumLeadership);
            }
            5..=8 => cluster.heal(victim),
            9..=14 if !cluster.is_up(victim) => cluster.start(victim),
            _ => {}
        }
        for _ in 0..10 {
            cluster.run(Span::from_millis(rng.between(1, 60)));
            producer.drive(&mut cluster, topic_id);
        }
    }
    (0..BROKERS).for_each(|i| cluster.heal(i));
    cluster.run(Span::from_secs(1));
    for i in 0..BROKERS {
        if !cluster.is_up(i) {
            cluster.start(i);
        }
    }
    // A broker in its controlled shutdown is started again once it has stopped.
    for _ in 0..120 {
        cluster.run(Span::from_secs(1));
        (0..BROKERS).for_each(|i| {
            if !cluster.is_up(i) {
                cluster.start(i)
            }
        });
    }
    assert_eq!(cluster.unfenced(), BROKERS, "seed {seed}:\n{}", cluster.last_traces());
    let led = cluster.traces.iter().filter_map(|(_, host, event)| match event {
        TraceEvent::PartitionLeader { leader_epoch, .. } => Some((*host, *leader_epoch)),
        _ => None,
    });
    let mut seen = BTreeSet::new();
    for (host, epoch) in led {
        assert!(seen.insert((host, epoch)), "seed {seed}: broker {host} leads in epoch {epoch} again");
    }
    let isr = |cluster: &Cluster, i: usize| {
        let mut size = 0;
        cluster.broker(i).partitions(&mut |partition| size = partition.isr.len());
        size
    };
    for i in 0..BROKERS {
        assert_eq!(isr(&cluster, i), BROKERS, "seed {seed}:\n{}", cluster.last_traces());
    }
    let metadata: BTreeSet<u128> = cluster.up().map(|(_, broker)| broker.metadata().digest).collect();
    assert_eq!(metadata.len(), 1, "seed {seed}");
    for _ in 0..3 {
        producer.drive(&mut cluster, topic_id);
        cluster.run(Span::from_secs(3));
    }
    let last = producer.acknowledged.last_key_value().map(|(_, value)| *value);
    assert!(last.is_some_and(|value| value + 2 >= producer.next), "seed {seed}: the cluster takes records");
    let read = read_all(&mut cluster, topic_id);
    for (offset, value) in &producer.acknowledged {
        assert_eq!(read.get(offset), Some(value), "seed {seed}: acknowledged at offset {offset}");
    }
    let tp = TopicIdPartition { topic_id, partition: 0 };
    let ends: BTreeSet<_> =
        cluster.up().map(|(_, broker)| broker.replica(tp).expect("a replica").log_end_offset).collect();
    assert_eq!(ends.len(), 1, "seed {seed}");
    assert_eq!(cluster.broker(0).node_id(), NodeId(0));
}

#[test]
fn a_cluster_survives() {
    (0..20).for_each(survive);
}
