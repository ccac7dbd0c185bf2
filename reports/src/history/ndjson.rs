//! The history as newline-delimited JSON: an object a line, in the order of the events.

use serde_json::{Value, json};
use trial_node::{ClientEvent, Content, GroupEvent, Offset, Time, TransactionEvent, TransactionOutcome};
use trial_node::{TopicPartition, TransactionId};

/// The history, a JSON object a line. `SCHEMA.md` describes the fields.
pub fn history_ndjson(history: &[(Time, ClientEvent)]) -> String {
    let mut text = String::new();
    for (at, event) in history {
        let mut line = object(event);
        line["at_ns"] = json!(at.0);
        text += &line.to_string();
        text.push('\n');
    }
    text
}

fn object(event: &ClientEvent) -> Value {
    match event {
        ClientEvent::SendInvoked { id, topic, intended, bytes, idempotent, acks, content } => {
            let mut line = json!({
                "event": "send-invoked",
                "producer": id.producer,
                "sequence": id.sequence,
                "topic": topic.as_str(),
                "intended_ns": intended.0,
                "bytes": bytes,
                "idempotent": idempotent,
                "acks": acks,
            });
            match content {
                Content::Plain => {}
                Content::Copy { source, offset } => {
                    line["copy_of"] = json!({ "partition": source.to_string(), "offset": offset.0 });
                }
                Content::Transfer { account, amount } => {
                    line["transfer"] = json!({ "account": account, "amount": amount });
                }
                Content::Append => line["append"] = json!(true),
            }
            line
        }
        ClientEvent::SendAcked { producer, sequences, tp, base_offset } => json!({
            "event": "send-acked",
            "producer": producer,
            "sequences": sequences,
            "partition": tp.to_string(),
            "base_offset": known(*base_offset),
        }),
        ClientEvent::SendFailed { producer, sequences, error, ambiguous } => json!({
            "event": "send-failed",
            "producer": producer,
            "sequences": sequences,
            "error": error,
            "ambiguous": ambiguous,
        }),
        ClientEvent::Polled { consumer, tp, records } => {
            let records = records.iter().map(|record| match record.id {
                Some(id) => json!([record.offset.0, id.producer, id.sequence]),
                None => json!([record.offset.0]),
            });
            json!({
                "event": "polled",
                "consumer": consumer,
                "partition": tp.to_string(),
                "records": records.collect::<Vec<_>>(),
            })
        }
        ClientEvent::PositionReset { consumer, tp, from, to } => json!({
            "event": "position-reset",
            "consumer": consumer,
            "partition": tp.to_string(),
            "from": known(*from),
            "to": to.0,
        }),
        ClientEvent::ClientStarted { consumers, first, count } => json!({
            "event": "client-started",
            "kind": if *consumers { "consumers" } else { "producers" },
            "first": first,
            "count": count,
        }),
        ClientEvent::Transaction(event) => transaction(event),
        ClientEvent::Group(event) => group(event),
    }
}

fn transaction(event: &TransactionEvent) -> Value {
    let named = |event: &str, id: &TransactionId| json!({ "event": event, "producer": id.producer, "transaction": id.number });
    match event {
        TransactionEvent::Begun { id, consumer } => {
            let mut line = named("transaction-begun", id);
            line["consumer"] = json!(consumer);
            line
        }
        TransactionEvent::Ending { id, commit } => {
            let mut line = named("transaction-ending", id);
            line["commit"] = json!(commit);
            line
        }
        TransactionEvent::Ended { id, outcome } => {
            let mut line = named("transaction-ended", id);
            line["outcome"] = json!(match outcome {
                TransactionOutcome::Committed => "committed",
                TransactionOutcome::Aborted => "aborted",
                TransactionOutcome::Unknown { .. } => "unknown",
            });
            if let TransactionOutcome::Unknown { error } = outcome {
                line["error"] = json!(error);
            }
            line
        }
    }
}

fn group(event: &GroupEvent) -> Value {
    let names =
        |partitions: &[TopicPartition]| partitions.iter().map(TopicPartition::to_string).collect::<Vec<_>>();
    match event {
        GroupEvent::Assigned { consumer, group, epoch, partitions } => json!({
            "event": "partitions-assigned",
            "consumer": consumer,
            "group": group.as_str(),
            "epoch": epoch,
            "partitions": names(partitions),
        }),
        GroupEvent::Revoked { consumer, partitions } => json!({
            "event": "partitions-revoked", "consumer": consumer, "partitions": names(partitions),
        }),
        GroupEvent::Lost { consumer, partitions } => json!({
            "event": "partitions-lost", "consumer": consumer, "partitions": names(partitions),
        }),
        GroupEvent::CommitInvoked { consumer, group, epoch, commit, transaction, offsets } => {
            let offsets = offsets.iter().map(|(tp, offset)| json!([tp.to_string(), offset.0]));
            json!({
                "event": "commit-invoked",
                "consumer": consumer,
                "group": group.as_str(),
                "epoch": epoch,
                "commit": commit,
                "transaction": transaction.map(|id| json!([id.producer, id.number])),
                "offsets": offsets.collect::<Vec<_>>(),
            })
        }
        GroupEvent::CommitAcked { consumer, commit } => {
            json!({ "event": "commit-acked", "consumer": consumer, "commit": commit })
        }
        GroupEvent::CommitFailed { consumer, commit, error, ambiguous } => json!({
            "event": "commit-failed",
            "consumer": consumer,
            "commit": commit,
            "error": error,
            "ambiguous": ambiguous,
        }),
    }
}

/// `null` where no offset is known.
fn known(offset: Offset) -> Option<i64> {
    (offset != Offset::UNKNOWN).then_some(offset.0)
}
