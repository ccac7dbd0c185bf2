//! Each property of transactions and groups holds in a healthy history and fires in a broken one.

use std::collections::{BTreeMap, BTreeSet};

use trial_node::{
    ClientEvent, Content, GroupEvent, Offset, PolledRecord, RecordId, Time, TopicPartition, TransactionEvent,
    TransactionId, TransactionOutcome,
};
use trial_wire::TopicName;

use crate::testing::{evidence, only};
use crate::{Checkers, Load, Pipeline, Promise};

const AUDITOR: u32 = 90;

fn tp(partition: i32) -> TopicPartition {
    TopicPartition::new("lists", partition)
}

fn sent(producer: u32, sequence: u64, content: Content) -> ClientEvent {
    ClientEvent::SendInvoked {
        id: RecordId { producer, sequence },
        topic: TopicName("lists".into()),
        intended: Time(0),
        bytes: 10,
        idempotent: true,
        acks: -1,
        content,
    }
}

fn acked(producer: u32, sequence: u64, partition: i32, offset: i64) -> ClientEvent {
    ClientEvent::SendAcked {
        producer,
        sequences: vec![sequence],
        tp: tp(partition),
        base_offset: Offset(offset),
    }
}

fn polled(consumer: u32, partition: i32, offset: i64, producer: u32, sequence: u64) -> ClientEvent {
    let id = Some(RecordId { producer, sequence });
    ClientEvent::Polled {
        consumer,
        tp: tp(partition),
        records: vec![PolledRecord { offset: Offset(offset), id }],
    }
}

fn begun(producer: u32, number: u64, consumer: Option<u32>) -> ClientEvent {
    ClientEvent::Transaction(TransactionEvent::Begun { id: TransactionId { producer, number }, consumer })
}

fn ending(producer: u32, number: u64, commit: bool) -> ClientEvent {
    ClientEvent::Transaction(TransactionEvent::Ending { id: TransactionId { producer, number }, commit })
}

fn ended(producer: u32, number: u64, outcome: TransactionOutcome) -> ClientEvent {
    ClientEvent::Transaction(TransactionEvent::Ended { id: TransactionId { producer, number }, outcome })
}

/// Two records of producer 0 in two partitions, in one transaction that is about to end.
fn transaction(commit: bool) -> Vec<ClientEvent> {
    vec![
        begun(0, 0, None),
        sent(0, 0, Content::Transfer { account: 1, amount: 5 }),
        sent(0, 1, Content::Transfer { account: 2, amount: -5 }),
        acked(0, 0, 0, 0),
        acked(0, 1, 1, 0),
        ending(0, 0, commit),
    ]
}

const UNKNOWN: TransactionOutcome = TransactionOutcome::Unknown { error: "REQUEST_TIMED_OUT" };

/// Runs a history and then an audit past one property.
fn judge(
    property: &str,
    load: Load,
    history: &[ClientEvent],
    audit: &[ClientEvent],
    committed: i64,
) -> Checkers {
    let mut checkers = only(property);
    checkers.describe(load);
    for event in history {
        checkers.client_event(Time(1), event);
    }
    checkers.audit(AUDITOR);
    for event in audit {
        checkers.client_event(Time(2), event);
    }
    for partition in [0, 1] {
        checkers.audited(tp(partition));
    }
    checkers.audited(TopicPartition::new("orders", 0));
    let group = ("billing".to_owned(), TopicPartition::new("orders", 0));
    checkers.committed_offsets(BTreeMap::from([(group, Offset(committed))]));
    checkers.finish(Time(3), &[]);
    checkers
}

fn holds(property: &str, history: &[ClientEvent], audit: &[ClientEvent]) {
    assert_eq!(evidence(&judge(property, Load::default(), history, audit, 0)), Vec::<&str>::new());
}

fn fires(property: &str, history: &[ClientEvent], audit: &[ClientEvent], what: &str) {
    assert_eq!(evidence(&judge(property, Load::default(), history, audit, 0)), [what]);
}

fn with(history: Vec<ClientEvent>, more: &[ClientEvent]) -> Vec<ClientEvent> {
    [history, more.to_vec()].concat()
}

#[test]
fn an_aborted_read_is_found() {
    let seen = polled(3, 0, 0, 0, 0);
    let committed = ended(0, 0, TransactionOutcome::Committed);
    let aborted = ended(0, 0, TransactionOutcome::Aborted);
    holds("aborted-read", &with(transaction(true), &[seen.clone(), committed]), &[]);
    holds("aborted-read", &with(transaction(true), &[seen.clone(), ended(0, 0, UNKNOWN)]), &[]);
    let broken = with(transaction(false), &[aborted, seen]);
    let what = "consumer 3 read lists-0 offset 0: record 0 of producer 0, whose transaction 0 was aborted";
    fires("aborted-read", &broken, &[], what);
    let load = Load { read_uncommitted: BTreeSet::from([3]), ..Load::default() };
    assert_eq!(evidence(&judge("aborted-read", load, &broken, &[], 0)), Vec::<&str>::new());
    // A process that died before it asked to commit has aborted as well.
    let died = ClientEvent::ClientStarted { consumers: false, first: 0, count: 1 };
    let broken = with(transaction(false), &[died, polled(3, 0, 0, 0, 0)]);
    fires("aborted-read", &broken, &[], what);
}

#[test]
fn a_read_before_the_commit_is_found() {
    let seen = polled(3, 1, 0, 0, 1);
    holds("read-before-commit", &with(transaction(true), std::slice::from_ref(&seen)), &[]);
    let what = "consumer 3 read lists-1 offset 0: record 1 of producer 0, whose transaction 0 is open";
    fires("read-before-commit", &with(transaction(false), &[seen]), &[], what);
}

#[test]
fn a_torn_transaction_is_found() {
    let both = [polled(AUDITOR, 0, 0, 0, 0), polled(AUDITOR, 1, 0, 0, 1)];
    let unknown = with(transaction(true), &[ended(0, 0, UNKNOWN)]);
    holds("torn-transaction", &unknown, &both);
    holds("torn-transaction", &unknown, &[]);
    let what = "transaction 0 of producer 0: 1 of its records can be read, 1 cannot";
    fires("torn-transaction", &unknown, &both[..1], what);
}

#[test]
fn what_is_not_committed_is_not_lost_and_may_be_passed() {
    let aborted = with(
        transaction(false),
        &[ended(0, 0, TransactionOutcome::Aborted), sent(1, 0, Content::Plain), acked(1, 0, 0, 2)],
    );
    let start =
        ClientEvent::PositionReset { consumer: 3, tp: tp(0), from: Offset::UNKNOWN, to: Offset::ZERO };
    let history = with(vec![start], &with(aborted, &[polled(3, 0, 2, 1, 0)]));
    for property in ["lost-write", "unseen-after-heal", "consumer-skip"] {
        holds(property, &history, &[polled(AUDITOR, 0, 2, 1, 0)]);
    }
    let committed = with(transaction(true), &[ended(0, 0, TransactionOutcome::Committed)]);
    let what = |n, p| {
        format!("record {n} of producer 0 was acknowledged at lists-{p} offset 0, and is not in the log")
    };
    assert_eq!(evidence(&judge("lost-write", Load::default(), &committed, &[], 0)), [what(0, 0), what(1, 1)]);
}

#[test]
fn a_cycle_of_reads_is_found() {
    // Each reads what the other has written.
    let both = |second_reads: bool| {
        let mut history = vec![
            begun(0, 0, Some(3)),
            begun(1, 0, Some(4)),
            sent(0, 0, Content::Append),
            sent(1, 0, Content::Append),
        ];
        history.push(polled(4, 0, 0, 0, 0));
        if second_reads {
            history.push(polled(3, 1, 0, 1, 0));
        }
        for producer in [0, 1] {
            history.extend([ending(producer, 0, true), ended(producer, 0, TransactionOutcome::Committed)]);
        }
        history
    };
    holds("write-read-cycle", &both(false), &[]);
    fires("write-read-cycle", &both(true), &[], "a cycle of 2 transactions");
}

#[test]
fn money_that_was_made_is_found() {
    let committed = with(transaction(true), &[ended(0, 0, TransactionOutcome::Committed)]);
    let both = [polled(AUDITOR, 0, 0, 0, 0), polled(AUDITOR, 1, 0, 0, 1)];
    holds("conservation", &committed, &both);
    let what = "the 1 sides of transfers in lists add up to 5, not to 0";
    fires("conservation", &committed, &both[..1], what);
    // The same record twice is money, too.
    let twice = [both[0].clone(), both[1].clone(), polled(AUDITOR, 1, 1, 0, 1)];
    let what = "the 3 sides of transfers in lists add up to -5, not to 0";
    fires("conservation", &committed, &twice, what);
    // What nobody has counted is not conserved.
    let mut checkers = only("conservation");
    committed.iter().for_each(|event| checkers.client_event(Time(1), event));
    checkers.finish(Time(3), &[]);
    let what = "lists could not be read to its end: nobody knows what its sides add up to";
    assert_eq!(evidence(&checkers), [what]);
}

/// A pipeline from `orders` to `lists` has read orders 0 and 1, and written each of them so many times.
fn pipeline(promise: Promise, written: [u64; 2], committed: i64) -> Vec<String> {
    let source = TopicPartition::new("orders", 0);
    let mut history = vec![];
    let mut audit = vec![];
    let mut output = 0;
    for (offset, times) in written.into_iter().enumerate() {
        let offset = offset as i64;
        history.push(sent(7, offset as u64, Content::Plain));
        let id = Some(RecordId { producer: 7, sequence: offset as u64 });
        audit.push(ClientEvent::Polled {
            consumer: AUDITOR,
            tp: source.clone(),
            records: vec![PolledRecord { offset: Offset(offset), id }],
        });
        for _ in 0..times {
            history.push(sent(8, output, Content::Copy { source: source.clone(), offset: Offset(offset) }));
            audit.push(polled(AUDITOR, 0, output as i64, 8, output));
            output += 1;
        }
    }
    let pipeline = Pipeline {
        group: "billing".to_owned(),
        from: TopicName("orders".into()),
        to: TopicName("lists".into()),
        promise,
    };
    let load = Load { pipelines: vec![pipeline], ..Load::default() };
    let checkers = judge("exactly-once", load, &history, &audit, committed);
    let counts = &checkers.pipelines()[0];
    assert_eq!((counts.inputs, counts.outputs), (2, written.iter().sum()));
    evidence(&checkers).into_iter().map(str::to_owned).collect()
}

#[test]
fn a_pipeline_that_breaks_its_promise_is_found() {
    let none = Vec::<String>::new();
    let says = |what: &str| vec![format!("orders-0 offset {what}: committed outputs of it in lists")];
    assert_eq!(pipeline(Promise::ExactlyOnce, [1, 1], 2), none);
    assert_eq!(pipeline(Promise::ExactlyOnce, [1, 0], 1), none);
    assert_eq!(pipeline(Promise::ExactlyOnce, [1, 0], 2), says("1 has none"));
    assert_eq!(pipeline(Promise::ExactlyOnce, [2, 1], 2), says("0 has 2"));
    assert_eq!(pipeline(Promise::ExactlyOnce, [1, 1], 1), says("1 has one already"));
    assert_eq!(pipeline(Promise::AtLeastOnce, [2, 1], 1), none);
    assert_eq!(pipeline(Promise::AtLeastOnce, [0, 1], 1), says("0 has none"));
    assert_eq!(pipeline(Promise::AtMostOnce, [0, 1], 2), none);
    assert_eq!(pipeline(Promise::AtMostOnce, [2, 1], 2), says("0 has 2"));
}

#[test]
fn what_is_in_the_log_twice_counts_twice() {
    let source = TopicPartition::new("orders", 0);
    let order = |offset| ClientEvent::Polled {
        consumer: AUDITOR,
        tp: source.clone(),
        records: vec![PolledRecord {
            offset: Offset(offset),
            id: Some(RecordId { producer: 7, sequence: 0 }),
        }],
    };
    let copy = |sequence, offset| {
        sent(8, sequence, Content::Copy { source: source.clone(), offset: Offset(offset) })
    };
    let pipeline = Pipeline {
        group: "billing".to_owned(),
        from: TopicName("orders".into()),
        to: TopicName("lists".into()),
        promise: Promise::ExactlyOnce,
    };
    let judge = |audit: &[ClientEvent]| {
        let load = Load { pipelines: vec![pipeline.clone()], ..Load::default() };
        let history = [sent(7, 0, Content::Plain), copy(0, 0), copy(1, 1)];
        let checkers = judge("exactly-once", load, &history, audit, 2);
        evidence(&checkers).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    // A producer without idempotence has written its record twice: each of the two is an input.
    let outputs = [polled(AUDITOR, 0, 0, 8, 0), polled(AUDITOR, 0, 1, 8, 1)];
    assert_eq!(judge(&with(vec![order(0), order(1)], &outputs)), Vec::<String>::new());
    // One output was appended twice by the broker.
    let twice = with(vec![order(0), order(1)], &with(outputs.to_vec(), &[polled(AUDITOR, 0, 2, 8, 1)]));
    assert_eq!(judge(&twice), ["orders-0 offset 1 has 2: committed outputs of it in lists"]);
    assert_eq!(
        judge(&with(vec![order(0)], &outputs)),
        ["orders-0 offset 1 holds no record: committed outputs of it in lists"]
    );
}

#[test]
fn a_pipeline_that_nobody_could_check_is_found() {
    let pipeline = Pipeline {
        group: "billing".to_owned(),
        from: TopicName("orders".into()),
        to: TopicName("lists".into()),
        promise: Promise::ExactlyOnce,
    };
    let mut checkers = only("exactly-once");
    checkers.describe(Load { pipelines: vec![pipeline], ..Load::default() });
    checkers.client_event(Time(1), &acked(8, 0, 0, 0));
    checkers.finish(Time(3), &[]);
    let what = "lists could not be read to its end: nobody knows what group billing did";
    assert_eq!(evidence(&checkers), [what]);
}

fn assigned(consumer: u32, epoch: i32) -> ClientEvent {
    let group = "billing".into();
    ClientEvent::Group(GroupEvent::Assigned { consumer, group, epoch, partitions: vec![tp(0)] })
}

fn revoked(consumer: u32) -> ClientEvent {
    ClientEvent::Group(GroupEvent::Revoked { consumer, partitions: vec![tp(0)] })
}

#[test]
fn two_owners_in_one_epoch_are_found() {
    holds("one-owner", &[assigned(0, 1), revoked(0), assigned(1, 1)], &[]);
    holds("one-owner", &[assigned(0, 1), assigned(1, 2)], &[]);
    let what =
        "lists-0 was assigned to consumer 1 in epoch 1 of group billing; consumer 0 has it in the same epoch";
    fires("one-owner", &[assigned(0, 1), assigned(1, 1)], &[], what);
    // Whoever gets nothing new in an epoch keeps what it has.
    let kept = ClientEvent::Group(GroupEvent::Assigned {
        consumer: 0,
        group: "billing".into(),
        epoch: 2,
        partitions: vec![],
    });
    let in_epoch_2 =
        "lists-0 was assigned to consumer 1 in epoch 2 of group billing; consumer 0 has it in the same epoch";
    fires("one-owner", &[assigned(0, 1), kept, assigned(1, 2)], &[], in_epoch_2);
    // So does whoever commits in an epoch.
    fires("one-owner", &[assigned(0, 1), commit(2), assigned(1, 2)], &[], in_epoch_2);
    holds("one-owner", &[assigned(0, 1), commit(2), revoked(0), commit(2), assigned(1, 2)], &[]);
}

fn commit(epoch: i32) -> ClientEvent {
    ClientEvent::Group(GroupEvent::CommitInvoked {
        consumer: 0,
        group: "billing".into(),
        epoch,
        commit: 5,
        transaction: None,
        offsets: vec![(tp(0), Offset(4))],
    })
}

#[test]
fn a_commit_from_an_earlier_generation_is_found() {
    let invoked = commit(1);
    let acked = ClientEvent::Group(GroupEvent::CommitAcked { consumer: 0, commit: 5 });
    let failed = ClientEvent::Group(GroupEvent::CommitFailed {
        consumer: 0,
        commit: 5,
        error: "ILLEGAL_GENERATION",
        ambiguous: false,
    });
    // It was sent before the other member had the partition.
    holds("stale-commit", &[assigned(0, 1), invoked.clone(), assigned(1, 2), acked.clone()], &[]);
    holds("stale-commit", &[assigned(0, 1), assigned(1, 2), invoked.clone(), failed], &[]);
    let what = "a commit of lists-0 by consumer 0 with epoch 1 was accepted";
    fires("stale-commit", &[assigned(0, 1), assigned(1, 2), invoked, acked.clone()], &[], what);
    // To say nothing of the generation is no excuse.
    let what = "a commit of lists-0 by consumer 0 with epoch -1 was accepted";
    fires("stale-commit", &[assigned(0, 1), assigned(1, 2), commit(-1), acked], &[], what);
}

#[test]
fn a_group_that_goes_on_somewhere_else_is_found() {
    let begins = |offset| ClientEvent::PositionReset {
        consumer: 1,
        tp: tp(0),
        from: Offset::UNKNOWN,
        to: Offset(offset),
    };
    let acked = ClientEvent::Group(GroupEvent::CommitAcked { consumer: 0, commit: 5 });
    let in_doubt = ClientEvent::Group(GroupEvent::CommitFailed {
        consumer: 0,
        commit: 5,
        error: "REQUEST_TIMED_OUT",
        ambiguous: true,
    });
    // Consumer 0 has read offsets 0 to 5 and commits that 4 is next; the partition passes to consumer 1.
    let passes = |end: &ClientEvent, to| {
        let read = (0..6).map(|offset| polled(0, 0, offset, 7, offset as u64));
        let mut history = vec![assigned(0, 1)];
        history.extend(read);
        history.extend([commit(1), end.clone(), revoked(0), assigned(1, 2), begins(to)]);
        history
    };
    holds("group-position", &passes(&acked, 4), &[]);
    holds("group-position", &passes(&in_doubt, 0), &[]);
    // Another commit, in doubt, may have taken effect.
    holds("group-position", &passes(&acked, 5), &[]);
    let goes_on = |offset| format!("consumer 1 goes on at lists-0 offset {offset} for group billing");
    fires("group-position", &passes(&acked, 3), &[], &goes_on(3));
    fires("group-position", &passes(&acked, 7), &[], &goes_on(7));
    // Its process died before it knew.
    let died = ClientEvent::ClientStarted { consumers: true, first: 0, count: 1 };
    holds("group-position", &passes(&died, 0), &[]);
}
