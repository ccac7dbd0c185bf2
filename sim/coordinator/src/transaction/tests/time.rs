//! What is done because time passes, and what is told of it.

use trial_node::Span;
use trial_wire::messages::{
    DescribeTransactionsRequest, ListTransactionsRequest, ProducerId, TransactionalId,
};
use trial_wire::{RequestKind, ResponseKind, StrBytes};

use super::{Bench, NEW, START_MS};
use crate::{CallId, Coordinator, Env, Output, Request};

const B0: &[(&str, &[i32])] = &[("b", &[0])];

#[test]
fn a_transaction_that_is_open_for_too_long_is_aborted_under_another_epoch() {
    let mut bench = Bench::new(1);
    let zombie = bench.open(3, B0);
    for _ in 0..6 {
        assert_eq!(bench.wait(Span::from_secs(10)), [""; 0]);
    }
    assert_eq!(bench.wait(Span::from_secs(10)), ["append t PrepareAbort 1000/1 b-0"]);
    assert_eq!(bench.settle(), ["send 1: abort v0 1000/1 by 7 b-0", "append t CompleteAbort 1000/1"]);
    assert_eq!(bench.traces.len(), 1);
    assert!(bench.traces[0].starts_with("transaction-timed-out t "), "{:?}", bench.traces);
    assert_eq!(bench.end(4, zombie, true), ["end ProducerFenced"]);
    assert!(bench.traces[1].starts_with("producer-fenced t "), "{:?}", bench.traces);
    assert_eq!(bench.end(1, zombie, true), ["end InvalidProducerEpoch"]);
    assert_eq!(bench.wait(Span::from_secs(10)), [""; 0]);
    let next = bench.coordinator.poll_timeout();
    assert_eq!(next, Some(trial_node::Time::ZERO + Span::from_secs(3_600)), "nothing is open");
}

#[test]
fn an_id_that_nobody_uses_is_forgotten() {
    let mut bench = Bench::new(1);
    bench.init(4, NEW);
    bench.settle();
    let week = Span::from_secs(7 * 24 * 3_600);
    assert_eq!(bench.wait(week - Span::from_secs(1)), [""; 0]);
    assert_eq!(bench.wait(Span::from_secs(3_600)), ["append t gone"]);
    assert_eq!(bench.init(4, NEW), ["init ConcurrentTransactions"]);
    let (ticket, _) = bench.uncommitted.pop_front().unwrap();
    let end = trial_node::Offset(2);
    assert_eq!(bench.with(|c, env| c.completed(env, ticket, Ok(end))), [""; 0]);
    assert_eq!(bench.entries(), [""; 0]);
    let (loaded, _) = bench.fail_over(2);
    assert_eq!(loaded.entries(), [""; 0]);
    assert_eq!(bench.init(4, NEW), ["append t Empty 1001/0"]);
}

fn answer(bench: &mut Bench, body: RequestKind) -> ResponseKind {
    let mut env = Env { now: bench.now, rng: &mut bench.rng, metadata: &bench.metadata };
    let request =
        Request { call: CallId(0), version: 0, client_id: "", client_host: "", describes: None, body };
    bench.coordinator.handle(&mut env, request);
    match bench.coordinator.poll_output() {
        Some(Output::Respond { call: CallId(0), body }) => body,
        other => panic!("unexpected {other:?}"),
    }
}

#[test]
fn transactions_are_described() {
    let mut bench = Bench::new(2);
    bench.open(5, &[("a", &[0, 1]), ("b", &[0])]);
    let nobody = TransactionalId(StrBytes::from_static_str("nobody"));
    let ids = vec![bench.transactional_id(), nobody];
    let describe = DescribeTransactionsRequest::default().with_transactional_ids(ids);
    let response = answer(&mut bench, RequestKind::DescribeTransactions(describe));
    let ResponseKind::DescribeTransactions(response) = response else { panic!("{response:?}") };
    let [known, unknown] = &response.transaction_states[..] else { panic!("{response:?}") };
    assert_eq!(unknown.error_code, 105);
    assert_eq!((known.error_code, known.transaction_state.as_str()), (0, "Ongoing"));
    assert_eq!((known.producer_id.0, known.producer_epoch), (1000, 0));
    assert_eq!((known.transaction_timeout_ms, known.transaction_start_time_ms), (60_000, START_MS));
    let topics: Vec<(&str, &[i32])> =
        known.topics.iter().map(|t| (t.topic.as_str(), &t.partitions[..])).collect();
    assert_eq!(topics, [("a", &[0, 1][..]), ("b", &[0])]);
}

#[test]
fn transactions_are_listed_by_filters() {
    let mut bench = Bench::new(2);
    bench.open(5, B0);
    bench.now.wall_ms += 10;
    let mut listed = |request: ListTransactionsRequest| {
        let response = answer(&mut bench, RequestKind::ListTransactions(request));
        let ResponseKind::ListTransactions(response) = response else { panic!("{response:?}") };
        (response.transaction_states.len(), response.unknown_state_filters.len())
    };
    let all = || ListTransactionsRequest::default().with_duration_filter(-1);
    let states = |names: &[&'static str]| {
        all().with_state_filters(names.iter().map(|name| StrBytes::from_static_str(name)).collect())
    };
    assert_eq!(listed(all()), (1, 0));
    assert_eq!(listed(states(&["Ongoing", "Empty"])), (1, 0));
    assert_eq!(listed(states(&["Empty"])), (0, 0));
    assert_eq!(listed(states(&["Open"])), (0, 1));
    assert_eq!(listed(all().with_producer_id_filters(vec![ProducerId(1000)])), (1, 0));
    assert_eq!(listed(all().with_producer_id_filters(vec![ProducerId(1001)])), (0, 0));
    assert_eq!(listed(all().with_duration_filter(9)), (1, 0));
    assert_eq!(listed(all().with_duration_filter(10)), (0, 0));
    let pattern = |text| all().with_transactional_id_pattern(Some(StrBytes::from_static_str(text)));
    assert_eq!(listed(pattern(".*")), (1, 0));
    assert_eq!(listed(pattern("")), (1, 0), "none");
    assert_eq!(listed(pattern("|x")), (0, 0), "of a whole id");
    assert_eq!(listed(pattern("no|such")), (0, 0));
    let bad = answer(&mut bench, RequestKind::ListTransactions(pattern("(")));
    let ResponseKind::ListTransactions(bad) = bad else { panic!("{bad:?}") };
    assert_eq!(bad.error_code, trial_wire::ErrorCode::InvalidRegularExpression.code());
}
