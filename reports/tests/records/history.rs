//! A small history with everything in it that changes its written forms.

use trial_node::history::PolledRecord;
use trial_node::{
    ClientEvent, Content, GroupEvent, Offset, RecordId, Time, TopicPartition, TransactionEvent,
    TransactionId, TransactionOutcome,
};
use trial_wire::TopicName;

/// Two sends of producer 0 (one acknowledged, one in doubt but read), one that failed and one of which nothing is known; three
/// transactions of producer 1 (committed, aborted, cut off by a crash); consumer 0 in a group, consumer 1 within the
/// transactions; consumer 4 reads what is not committed.
pub fn history() -> Vec<(Time, ClientEvent)> {
    let id = |producer, sequence| RecordId { producer, sequence };
    let tp = |partition| TopicPartition::new("orders", partition);
    let invoked = |producer, sequence, content| ClientEvent::SendInvoked {
        id: id(producer, sequence),
        topic: TopicName("orders".into()),
        intended: Time(1),
        bytes: 10,
        idempotent: true,
        acks: -1,
        content,
    };
    let acked = |producer, sequences: &[u64], partition, base| ClientEvent::SendAcked {
        producer,
        sequences: sequences.to_vec(),
        tp: tp(partition),
        base_offset: Offset(base),
    };
    let failed = |producer, sequence, ambiguous| ClientEvent::SendFailed {
        producer,
        sequences: vec![sequence],
        error: "NETWORK_EXCEPTION",
        ambiguous,
    };
    let polled = |consumer, partition, records: &[(i64, RecordId)]| ClientEvent::Polled {
        consumer,
        tp: tp(partition),
        records: records
            .iter()
            .map(|(offset, id)| PolledRecord { offset: Offset(*offset), id: Some(*id) })
            .collect(),
    };
    let txn = |number| TransactionId { producer: 1, number };
    let begun =
        |number| ClientEvent::Transaction(TransactionEvent::Begun { id: txn(number), consumer: Some(1) });
    let ending =
        |number, commit| ClientEvent::Transaction(TransactionEvent::Ending { id: txn(number), commit });
    let ended =
        |number, outcome| ClientEvent::Transaction(TransactionEvent::Ended { id: txn(number), outcome });
    let transfer = |amount| Content::Transfer { account: 3, amount };
    let copy = Content::Copy { source: tp(0), offset: Offset(4) };
    let group = ClientEvent::Group;
    let events = vec![
        ClientEvent::ClientStarted { consumers: true, first: 0, count: 2 },
        group(GroupEvent::Assigned {
            consumer: 0,
            group: "billing".into(),
            epoch: 1,
            partitions: vec![tp(0), tp(1)],
        }),
        invoked(0, 0, Content::Plain),
        invoked(0, 1, Content::Append),
        acked(0, &[0], 0, 4),
        failed(0, 1, true),
        invoked(0, 2, Content::Plain),
        failed(0, 2, false),
        invoked(0, 3, Content::Plain),
        polled(0, 0, &[(4, id(0, 0)), (5, id(0, 1))]),
        group(GroupEvent::CommitInvoked {
            consumer: 0,
            group: "billing".into(),
            epoch: 1,
            commit: 0,
            transaction: None,
            offsets: vec![(tp(0), Offset(6))],
        }),
        group(GroupEvent::CommitAcked { consumer: 0, commit: 0 }),
        group(GroupEvent::Revoked { consumer: 0, partitions: vec![tp(1)] }),
        ClientEvent::PositionReset { consumer: 1, tp: tp(0), from: Offset::UNKNOWN, to: Offset(4) },
        begun(0),
        polled(1, 0, &[(4, id(0, 0))]),
        invoked(1, 0, copy),
        invoked(1, 1, transfer(-5)),
        acked(1, &[0, 1], 1, 7),
        ending(0, true),
        ended(0, TransactionOutcome::Committed),
        begun(1),
        polled(1, 0, &[(5, id(0, 1))]),
        invoked(1, 2, transfer(5)),
        acked(1, &[2], 1, 10),
        polled(4, 1, &[(10, id(1, 2))]),
        ClientEvent::PositionReset { consumer: 1, tp: tp(0), from: Offset(5), to: Offset(4) },
        ending(1, false),
        ended(1, TransactionOutcome::Aborted),
        begun(2),
        invoked(1, 3, Content::Append),
        acked(1, &[3], 0, 6),
        ending(2, true),
        ClientEvent::ClientStarted { consumers: false, first: 1, count: 1 },
        begun(3),
        ending(3, true),
        ended(3, TransactionOutcome::Unknown { error: "REQUEST_TIMED_OUT" }),
        ClientEvent::PositionReset { consumer: 1, tp: tp(0), from: Offset(5), to: Offset(4) },
        group(GroupEvent::CommitFailed {
            consumer: 0,
            commit: 1,
            error: "ILLEGAL_GENERATION",
            ambiguous: false,
        }),
        group(GroupEvent::Lost { consumer: 0, partitions: vec![tp(0)] }),
    ];
    events.into_iter().zip(1..).map(|(event, at)| (Time(at * 1_000), event)).collect()
}
