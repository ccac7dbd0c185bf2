//! A whole client process against a cluster that answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use trial_node::{
    ClientEvent, HaltReason, Input, Node, Offset, OpenError, PolledRecord, RecordId, Signal, Span, Time,
    TopicPartition,
};
use trial_wire::StrBytes;

use crate::admin::NewTopic;
use crate::testing::{Bench, Cluster, World, properties, topic_name};

use super::*;

mod pipeline;
mod transactions;

fn produce(share: Share, config: &[(&str, &str)]) -> WorkloadConfig {
    WorkloadConfig::Produce(ProduceWorkload {
        topic: topic_name("orders"),
        share,
        rate: Rate::per_second(1_000),
        start_at: Time::ZERO + Span::from_secs(1),
        keys: Keys::Unique,
        corpus: Corpus::new(vec![Bytes::from_static(b"a value"), Bytes::from_static(b"another value")]),
        config: properties(config),
    })
}

fn consume(share: Share) -> WorkloadConfig {
    let config = BTreeMap::new();
    WorkloadConfig::Consume(ConsumeWorkload { topic: topic_name("orders"), share, group: None, config })
}

fn process(cluster: &Cluster, workloads: Vec<WorkloadConfig>) -> ClientConfig {
    ClientConfig {
        client_id: StrBytes::from_static_str("client"),
        bootstrap: cluster.bootstrap(),
        workloads,
        stop_at: Some(Time::ZERO + Span::from_secs(3)),
    }
}

fn bench(cluster: Cluster, workloads: Vec<WorkloadConfig>) -> Bench<ClientNode> {
    let config = process(&cluster, workloads);
    Bench::new(cluster, |now, io| ClientNode::open(config, io, now).unwrap())
}

fn serving() -> Cluster {
    Cluster { serve: true, ..Cluster::new(3, "orders", 6) }
}

fn seconds(n: u64) -> Time {
    Time::ZERO + Span::from_secs(n)
}

#[test]
fn everything_sent_is_acknowledged_and_read_once() {
    let mut bench = bench(serving(), vec![produce(Share::whole(0, 4), &[]), consume(Share::whole(0, 2))]);
    bench.run_until(seconds(5));
    let history = bench.history();
    let mut invoked: BTreeMap<RecordId, Time> = BTreeMap::new();
    let mut acked: BTreeMap<RecordId, (TopicPartition, Offset)> = BTreeMap::new();
    let mut read: BTreeMap<RecordId, (TopicPartition, Offset)> = BTreeMap::new();
    let mut resets = Vec::new();
    for event in &history {
        match event.clone() {
            ClientEvent::SendInvoked { id, intended, .. } => {
                assert_eq!(invoked.insert(id, intended), None);
            }
            ClientEvent::SendAcked { producer, sequences, tp, base_offset } => {
                for (nth, sequence) in sequences.into_iter().enumerate() {
                    let written = (tp.clone(), base_offset + nth as i64);
                    assert_eq!(acked.insert(RecordId { producer, sequence }, written), None);
                }
            }
            ClientEvent::Polled { tp, records, .. } => {
                for PolledRecord { offset, id } in records {
                    assert_eq!(read.insert(id.unwrap(), (tp.clone(), offset)), None);
                }
            }
            ClientEvent::PositionReset { consumer, tp, from, to } => {
                assert_eq!((from, to), (Offset::UNKNOWN, Offset::ZERO));
                resets.push((consumer, tp.partition));
            }
            ClientEvent::SendFailed { .. } | ClientEvent::Transaction(_) | ClientEvent::Group(_) => {
                panic!("{event:?}")
            }
            ClientEvent::ClientStarted { .. } => {}
        }
    }
    // 1 000 records per second from second 1 to second 3, in turns.
    assert_eq!(invoked.len(), 2_000);
    for producer in 0..4u32 {
        for sequence in 0..500 {
            let intended = invoked[&RecordId { producer, sequence }];
            let nth = sequence * 4 + u64::from(producer);
            assert_eq!(intended, seconds(1) + Span::from_millis(nth));
        }
    }
    assert_eq!(acked.len(), 2_000);
    assert_eq!(read, acked);
    resets.sort_unstable();
    assert_eq!(resets, [(0, 0), (0, 2), (0, 4), (1, 1), (1, 3), (1, 5)]);
    assert!(bench.machine.is_done());
    let view = bench.machine.view();
    assert!(view.producers.iter().all(|producer| producer.stopped && producer.outstanding == 0));
    let ends: i64 = view.consumers.iter().flat_map(|c| &c.partitions).map(|p| p.position.unwrap().0).sum();
    assert_eq!(ends, 2_000);
}

#[test]
fn restarted_process_goes_on_above_the_numbers_that_were_used() {
    let workloads = vec![produce(Share { first_number: 11, index: 0, count: 1, of: 2 }, &[])];
    let mut bench = bench(serving(), workloads.clone());
    bench.run_until(seconds(2));
    let sequences = |history: Vec<ClientEvent>| -> Vec<u64> {
        let sequence = |event: &ClientEvent| match event {
            ClientEvent::SendInvoked { id, .. } => {
                assert_eq!(id.producer, 11);
                Some(id.sequence)
            }
            _ => None,
        };
        history.iter().filter_map(sequence).collect()
    };
    // The last one was made at this very instant.
    let before = sequences(bench.history());
    assert_eq!(before, (0..=500).collect::<Vec<_>>());

    let config = process(&bench.world.cluster, workloads);
    let mut world = World::new(bench.world.cluster);
    world.disk = bench.world.disk;
    world.now = bench.world.now;
    let machine = world.with(|now, io| ClientNode::open(config, io, now).unwrap());
    let mut bench = Bench { machine, world };
    bench.run_until(seconds(4));
    let history = bench.history();
    assert_eq!(history[0], ClientEvent::ClientStarted { consumers: false, first: 11, count: 1 });
    assert_eq!(sequences(history), (501..1_000).collect::<Vec<_>>());
}

#[test]
fn stalled_producer_does_not_move_the_schedule() {
    let mut cluster = serving();
    cluster.serve = false;
    let config = [("buffer.memory", "16384"), ("max.block.ms", "300"), ("batch.size", "1000")];
    let mut bench = bench(cluster, vec![produce(Share::whole(0, 1), &config)]);
    bench.run_until(seconds(2) + Span::from_millis(500));
    let history = bench.history();
    let invoked = |event: &&ClientEvent| matches!(event, ClientEvent::SendInvoked { .. });
    let last = history.iter().rev().find(invoked).unwrap();
    let ClientEvent::SendInvoked { intended, id, .. } = last else { unreachable!() };
    // It was made when the one before had blocked for 300 ms, yet it was intended for a millisecond after it.
    assert_eq!(*intended, seconds(1) + Span::from_millis(id.sequence));
    assert!(*intended < seconds(2));
    let failed: Vec<_> =
        history.iter().filter(|event| matches!(event, ClientEvent::SendFailed { .. })).collect();
    let ClientEvent::SendFailed { error, ambiguous, .. } = failed[0] else { unreachable!() };
    assert_eq!((*error, *ambiguous), ("REQUEST_TIMED_OUT", false));
}

#[test]
fn setup_waits_for_brokers_then_creates_topics_and_waits_for_leaders() {
    let mut cluster = serving();
    cluster.topics.clear();
    cluster.down.extend([trial_node::NodeId(2)]);
    let topic = NewTopic {
        name: topic_name("orders"),
        partitions: 6,
        replication_factor: 3,
        assignments: Vec::new(),
        configs: properties(&[("min.insync.replicas", "2")]),
    };
    let plan = SetupWorkload { brokers: 3, topics: vec![topic], config: BTreeMap::new() };
    let mut bench = bench(cluster, vec![WorkloadConfig::Setup(plan)]);
    bench.run_until(seconds(5));
    assert!(!bench.machine.is_done());
    assert!(bench.world.cluster.topics.is_empty());
    bench.world.cluster.down.clear();
    bench.run_until(seconds(8));
    assert!(bench.machine.is_done());
    assert_eq!(bench.world.cluster.topics[&topic_name("orders")].1.len(), 6);
    assert_eq!(Node::poll_timeout(&bench.machine), None);
}

#[test]
fn terminated_process_flushes_and_halts() {
    let mut bench = bench(serving(), vec![produce(Share::whole(0, 1), &[("linger.ms", "1000")])]);
    bench.run_until(seconds(1) + Span::from_millis(10));
    assert_eq!(bench.machine.outstanding_sends(), 11);
    let machine = &mut bench.machine;
    bench.world.with(|now, io| machine.handle(now, Input::Signal(Signal::Terminate), io));
    assert_eq!(bench.world.halted, None);
    bench.run_for(Span::from_millis(10));
    assert_eq!(bench.machine.outstanding_sends(), 0);
    assert_eq!(bench.world.halted, Some(HaltReason::Shutdown));
}

#[test]
fn bad_config_is_refused_before_the_run() {
    let error = produce(Share::whole(0, 1), &[("linger", "1")]).check().unwrap_err();
    let OpenError::Config { key, what } = error else { panic!("{error}") };
    assert_eq!((key.as_str(), what.as_str()), ("linger", "no such client config; did you mean linger.ms?"));
}
