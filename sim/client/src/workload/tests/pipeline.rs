//! Pipelines, under each of their promises.

use trial_node::{Content, GroupEvent, TransactionEvent, TransactionOutcome};
use trial_wire::ErrorCode;

use super::*;

fn pipeline(semantics: Semantics) -> WorkloadConfig {
    WorkloadConfig::Pipeline(PipelineWorkload {
        from: topic_name("orders"),
        to: topic_name("copies"),
        group: StrBytes::from_static_str("g"),
        semantics,
        commit_interval: Span::from_millis(100),
        share: Share::whole(20, 1),
        first_consumer: 30,
        consumer: properties(&[("group.protocol", "consumer"), ("fetch.max.wait.ms", "20")]),
        producer: BTreeMap::new(),
    })
}

/// 2,000 records in two seconds, and a pipeline that is assigned all partitions.
fn bench_of(semantics: Semantics, transaction_version: i16) -> Bench<ClientNode> {
    let mut cluster = Cluster { transaction_version, ..serving() };
    cluster.create(topic_name("copies"), 4);
    cluster.group.epoch = 1;
    cluster.group.assignment = vec![(cluster.topics[&topic_name("orders")].0, (0..6).collect())];
    bench(cluster, vec![produce(Share::whole(0, 1), &[]), pipeline(semantics)])
}

/// How often each input was written.
fn copies(history: &[ClientEvent]) -> BTreeMap<(TopicPartition, Offset), u32> {
    let mut copies = BTreeMap::new();
    for event in history {
        if let ClientEvent::SendInvoked { content: Content::Copy { source, offset }, .. } = event {
            *copies.entry((source.clone(), *offset)).or_insert(0) += 1;
        }
    }
    copies
}

/// The same, of transactions that were committed.
fn committed_copies(history: &[ClientEvent]) -> BTreeMap<(TopicPartition, Offset), u32> {
    let (mut committed, mut open) = (Vec::new(), Vec::new());
    for event in history {
        match event {
            ClientEvent::SendInvoked { content: Content::Copy { .. }, .. } => open.push(event.clone()),
            ClientEvent::Transaction(TransactionEvent::Ended { outcome, .. }) => {
                let ended = std::mem::take(&mut open);
                if *outcome == TransactionOutcome::Committed {
                    committed.extend(ended);
                }
            }
            _ => {}
        }
    }
    copies(&committed)
}

fn total_committed(bench: &Bench<ClientNode>) -> i64 {
    bench.world.cluster.group.offsets.values().sum()
}

fn outcomes(history: &[ClientEvent]) -> Vec<TransactionOutcome> {
    let outcome = |event: &ClientEvent| match event {
        ClientEvent::Transaction(TransactionEvent::Ended { outcome, .. }) => Some(*outcome),
        _ => None,
    };
    history.iter().filter_map(outcome).collect()
}

#[test]
fn exactly_once_commits_output_and_offsets_together() {
    for version in [1, 2] {
        let mut bench = bench_of(Semantics::ExactlyOnce, version);
        bench.run_until(seconds(2));
        assert!(!bench.machine.is_done());
        bench.run_until(seconds(4));
        assert!(bench.machine.is_done());
        let history = bench.history();
        let copies = committed_copies(&history);
        assert_eq!((copies.len(), copies.values().max()), (2_000, Some(&1)));
        assert_eq!(total_committed(&bench), 2_000);
        // About ten transactions a second.
        assert!((15..=21).contains(&outcomes(&history).len()), "{}", outcomes(&history).len());
        let acked = history
            .iter()
            .filter(|event| matches!(event, ClientEvent::Group(GroupEvent::CommitAcked { .. })))
            .count();
        assert_eq!(acked, outcomes(&history).len());
    }
}

#[test]
fn fenced_pipeline_leaves_and_another_instance_goes_on() {
    let mut bench = bench_of(Semantics::ExactlyOnce, 2);
    bench.run_until(seconds(2));
    let id = StrBytes::from_static_str("g-0");
    bench.world.cluster.transactional_ids.get_mut(&id).unwrap().1 += 1;
    bench.run_until(seconds(5));
    assert!(bench.machine.is_done());
    let history = bench.history();
    let started = ClientEvent::ClientStarted { consumers: true, first: 30, count: 1 };
    assert_eq!(history.iter().filter(|event| **event == started).count(), 2);
    let copies = committed_copies(&history);
    assert_eq!((copies.len(), copies.values().max()), (2_000, Some(&1)));
    assert!(outcomes(&history).contains(&TransactionOutcome::Aborted));
    assert_eq!((total_committed(&bench), bench.world.cluster.group.left), (2_000, 1));
}

#[test]
fn pipeline_whose_commit_is_in_doubt_goes_on_where_its_group_says() {
    let mut bench = bench_of(Semantics::ExactlyOnce, 2);
    bench.run_until(seconds(2));
    // The first answer leaves doubt, the second one says that nothing was committed.
    bench.world.cluster.commits_refused =
        vec![ErrorCode::TransactionAbortable, ErrorCode::CoordinatorNotAvailable];
    bench.run_until(seconds(5));
    assert!(bench.machine.is_done());
    let history = bench.history();
    assert!(outcomes(&history).iter().any(|outcome| matches!(outcome, TransactionOutcome::Unknown { .. })));
    let copies = committed_copies(&history);
    assert_eq!((copies.len(), copies.values().max()), (2_000, Some(&1)));
    assert_eq!(total_committed(&bench), 2_000);
}

#[test]
fn member_that_was_thrown_out_aborts_and_reads_again() {
    let mut bench = bench_of(Semantics::ExactlyOnce, 2);
    bench.run_until(seconds(2));
    bench.world.cluster.group.throw_out = true;
    bench.run_until(seconds(5));
    assert!(bench.machine.is_done());
    let history = bench.history();
    assert!(history.iter().any(|event| matches!(event, ClientEvent::Group(GroupEvent::Lost { .. }))));
    let copies = committed_copies(&history);
    assert_eq!((copies.len(), copies.values().max()), (2_000, Some(&1)));
}

#[test]
fn revoked_partitions_are_committed_first() {
    for semantics in [Semantics::ExactlyOnce, Semantics::AtLeastOnce, Semantics::AtMostOnce] {
        let mut bench = bench_of(semantics, 2);
        bench.run_until(seconds(2) + Span::from_millis(30));
        bench.history();
        let group = &mut bench.world.cluster.group;
        group.assignment[0].1.retain(|partition| *partition != 3);
        group.epoch = 2;
        bench.run_until(seconds(2) + Span::from_millis(200));
        let history = bench.history();
        let at = |wanted: &dyn Fn(&ClientEvent) -> bool| history.iter().position(wanted);
        let revoked = at(&|event| {
            matches!(event, ClientEvent::Group(GroupEvent::Revoked { partitions, .. })
                if partitions.len() == 1 && partitions[0].partition == 3)
        });
        let revoked = revoked.expect("it has given it up");
        // All that it had read of the partition was committed before.
        let key = (topic_name("orders"), 3);
        let committed = bench.world.cluster.group.offsets[&key];
        let read_later = history[revoked..]
            .iter()
            .any(|event| matches!(event, ClientEvent::Polled { consumer: 30, tp, .. } if tp.partition == 3));
        let last = history[..revoked].iter().rev().find_map(|event| match event {
            ClientEvent::Polled { consumer: 30, tp, records } if tp.partition == 3 => records.last(),
            _ => None,
        });
        assert_eq!(last.map(|record| record.offset + 1), Some(Offset(committed)), "{semantics:?}");
        assert!(!read_later);
    }
}

#[test]
fn others_commit_before_or_after_they_write() {
    for semantics in [Semantics::AtLeastOnce, Semantics::AtMostOnce] {
        let mut bench = bench_of(semantics, 2);
        bench.run_until(seconds(4));
        assert!(bench.machine.is_done());
        let history = bench.history();
        let copies = copies(&history);
        assert_eq!((copies.len(), copies.values().max()), (2_000, Some(&1)));
        assert_eq!((total_committed(&bench), outcomes(&history).len()), (2_000, 0));
        let (mut polled, mut sent, mut acked, mut committed) = (0, 0, 0, 0);
        for event in &history {
            match event {
                ClientEvent::Polled { consumer: 30, records, .. } => polled += records.len(),
                ClientEvent::SendInvoked { id, .. } if id.producer == 20 => sent += 1,
                ClientEvent::SendAcked { producer: 20, sequences, .. } => acked += sequences.len(),
                ClientEvent::Group(GroupEvent::CommitInvoked { .. }) => {
                    if semantics == Semantics::AtLeastOnce {
                        assert_eq!((sent, acked), (polled, polled), "all that was read is written");
                    } else {
                        assert_eq!(sent, committed, "nothing is written that is not committed");
                    }
                }
                ClientEvent::Group(GroupEvent::CommitAcked { .. }) => committed = polled,
                _ => {}
            }
        }
        assert_eq!(sent, 2_000);
    }
}

#[test]
fn pipeline_starts_again_under_numbers_that_it_has_not_used() {
    let mut bench = bench_of(Semantics::ExactlyOnce, 2);
    bench.run_until(seconds(2) + Span::from_millis(30));
    let numbers = |history: &[ClientEvent]| -> Vec<u64> {
        let number = |event: &ClientEvent| match event {
            ClientEvent::SendInvoked { id, .. } if id.producer == 20 => Some(id.sequence),
            _ => None,
        };
        history.iter().filter_map(number).collect()
    };
    let before = bench.history();
    let last = *numbers(&before).last().unwrap();
    let config = process(
        &bench.world.cluster,
        vec![produce(Share::whole(0, 1), &[]), pipeline(Semantics::ExactlyOnce)],
    );
    let mut world = World::new(bench.world.cluster);
    world.disk = bench.world.disk;
    world.now = bench.world.now;
    let machine = world.with(|now, io| ClientNode::open(config, io, now).unwrap());
    let mut bench = Bench { machine, world };
    bench.run_until(seconds(5));
    assert!(bench.machine.is_done());
    let after = bench.history();
    assert!(numbers(&after)[0] > last);
    // The open transaction of before is nobody's.
    let mut copies = committed_copies(&before);
    for (input, count) in committed_copies(&after) {
        *copies.entry(input).or_insert(0) += count;
    }
    assert_eq!(copies.values().max(), Some(&1));
    assert_eq!(total_committed(&bench), copies.len() as i64);
}
