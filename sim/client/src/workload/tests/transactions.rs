//! Banks and lists.

use trial_node::{Content, TransactionEvent, TransactionId, TransactionOutcome};

use super::*;

fn bank(abort_percent: u8) -> WorkloadConfig {
    WorkloadConfig::Bank(BankWorkload {
        topic: topic_name("orders"),
        share: Share::whole(3, 1),
        accounts: 10,
        rate: Rate::per_second(50),
        start_at: seconds(1),
        abort_percent,
        config: properties(&[("max.block.ms", "1000")]),
    })
}

fn lists() -> WorkloadConfig {
    WorkloadConfig::Lists(ListsWorkload {
        topic: topic_name("orders"),
        share: Share::whole(0, 2),
        first_consumer: 5,
        rate: Rate::per_second(100),
        start_at: seconds(1),
        abort_percent: 20,
        consumer: BTreeMap::new(),
        producer: BTreeMap::new(),
    })
}

fn transactional() -> Cluster {
    Cluster { transaction_version: 2, ..serving() }
}

fn transactions(history: &[ClientEvent]) -> Vec<TransactionEvent> {
    let transaction = |event: &ClientEvent| match event {
        ClientEvent::Transaction(event) => Some(event.clone()),
        _ => None,
    };
    history.iter().filter_map(transaction).collect()
}

fn outcomes(history: &[ClientEvent]) -> Vec<(u64, TransactionOutcome)> {
    let outcome = |event| match event {
        TransactionEvent::Ended { id, outcome } => Some((id.number, outcome)),
        _ => None,
    };
    transactions(history).into_iter().filter_map(outcome).collect()
}

#[test]
fn bank_transfers_between_partitions_and_aborts_its_share() {
    let mut bench = bench(transactional(), vec![bank(30)]);
    bench.run_until(seconds(4));
    assert!(bench.machine.is_done());
    let history = bench.history();
    let mut sums = BTreeMap::new();
    for event in &history {
        if let ClientEvent::SendInvoked { id, content, .. } = event {
            let Content::Transfer { amount, .. } = content else { panic!("{content:?}") };
            *sums.entry(id.sequence / 2).or_insert(0) += amount;
        }
    }
    assert_eq!(sums.len(), 100);
    assert!(sums.values().all(|sum| *sum == 0));
    let outcomes = outcomes(&history);
    assert_eq!(outcomes.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    let aborted = outcomes.iter().filter(|(_, outcome)| *outcome == TransactionOutcome::Aborted).count();
    assert!((15..=45).contains(&aborted), "{aborted}");
    assert!(outcomes.iter().all(|(_, outcome)| !matches!(outcome, TransactionOutcome::Unknown { .. })));
    // The two sides are in different partitions: each transaction has two batches.
    let acked = history.iter().filter(|event| matches!(event, ClientEvent::SendAcked { .. })).count();
    let failed = history.iter().filter(|event| matches!(event, ClientEvent::SendFailed { .. })).count();
    assert_eq!(acked + failed, 200);
    assert!(failed > 0 && acked > 2 * (100 - aborted), "some aborts come after the records, some before");
}

#[test]
fn fenced_bank_begins_anew() {
    let mut bench = bench(transactional(), vec![bank(0)]);
    bench.run_until(seconds(2));
    let id = StrBytes::from_static_str("bank-0");
    bench.world.cluster.transactional_ids.get_mut(&id).unwrap().1 += 1;
    bench.history();
    bench.run_until(seconds(4));
    let outcomes = outcomes(&bench.history());
    let aborted: Vec<_> =
        outcomes.iter().filter(|(_, outcome)| *outcome == TransactionOutcome::Aborted).collect();
    assert_eq!(aborted, [&(50, TransactionOutcome::Aborted)]);
    assert_eq!(outcomes.last(), Some(&(99, TransactionOutcome::Committed)));
    assert!(bench.machine.is_done());
}

#[test]
fn commit_without_answer_is_given_up_as_unknown() {
    let mut bench = bench(transactional(), vec![bank(0)]);
    bench.run_until(seconds(2));
    bench.history();
    bench.world.cluster.silent.insert(trial_node::NodeId(0));
    bench.run_until(seconds(3) + Span::from_millis(500));
    let history = bench.history();
    let id = TransactionId { producer: 3, number: 50 };
    let unknown = TransactionOutcome::Unknown { error: "REQUEST_TIMED_OUT" };
    let ended =
        transactions(&history).into_iter().rfind(|event| matches!(event, TransactionEvent::Ended { .. }));
    assert_eq!(ended, Some(TransactionEvent::Ended { id, outcome: unknown }));
    let view = bench.machine.view().producers[0];
    assert_eq!((view.transaction, view.stopped), (None, true));
}

#[test]
fn lists_are_read_and_appended_to_within_transactions() {
    let mut bench = bench(transactional(), vec![lists()]);
    bench.run_until(seconds(4));
    assert!(bench.machine.is_done());
    let history = bench.history();
    let (mut open, mut appended, mut polled, mut polled_again) = (BTreeMap::new(), 0, 0, 0);
    let mut last_append = BTreeMap::new();
    let begun =
        |event: &ClientEvent| matches!(event, ClientEvent::Transaction(TransactionEvent::Begun { .. }));
    let last = history.iter().rposition(begun).unwrap();
    for (nth, event) in history.iter().enumerate() {
        match event {
            ClientEvent::Transaction(TransactionEvent::Begun { id, consumer }) => {
                assert_eq!(*consumer, Some(id.producer + 5));
                open.insert(id.producer, id.number);
            }
            ClientEvent::Transaction(TransactionEvent::Ended { id, .. }) => {
                assert_eq!(open.remove(&id.producer), Some(id.number));
            }
            ClientEvent::SendInvoked { id, content: Content::Append, .. } => {
                assert_eq!(open[&id.producer], id.sequence / 4);
                last_append.insert(id.producer, id.sequence / 4);
                appended += 1;
            }
            ClientEvent::Polled { consumer, records, .. } => {
                // What was written last is read when nothing more is to be written.
                assert!(open.contains_key(&(consumer - 5)) || nth > last);
                polled += records.len();
                let number = open.get(&(consumer - 5));
                polled_again += usize::from(number.is_some() && number == last_append.get(&(consumer - 5)));
            }
            _ => {}
        }
    }
    // Only a poll after an append could see what is not committed.
    assert!(polled_again > 20, "{polled_again}");
    assert!(appended > 200 && polled > 300, "{appended} {polled}");
}
