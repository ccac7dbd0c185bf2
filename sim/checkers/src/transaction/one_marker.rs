//! A transaction ends in every partition as its coordinator has decided.

use std::collections::BTreeMap;

use trial_node::{Time, TopicPartition};

use crate::PropertyInfo;
use crate::model::Slot;
use crate::transaction::decisions::{Completed, Decisions};
use crate::transaction::fold::{Fold, Marker, Open};
use crate::violation::Findings;

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "transaction-marker",
    about: "A transaction that is open in a partition is ended there by one marker, of the kind that its coordinator has \
            decided on and of a partition that it has on its list; when the coordinator says that the transaction is \
            complete, it is open nowhere.",
    source: "KIP-98; KIP-890",
};

/// Judges a marker that ends a transaction in the committed part of a partition.
pub(crate) fn judge_marker(
    at: Time,
    name: &TopicPartition,
    marker: &Marker,
    open: &Open,
    decisions: &Decisions,
    out: &mut Findings,
) {
    let kind = |commit: bool| if commit { "commit" } else { "abort" };
    let wrong = match decisions.decided(marker.producer_id, marker.producer_epoch) {
        None => "its coordinator has decided nothing of that epoch".to_owned(),
        Some(decision) if decision.commit != marker.commit => {
            format!("its coordinator has decided to {}", kind(decision.commit))
        }
        Some(decision) if !decision.partitions.contains(name) => {
            "the partition is not on the list of its coordinator".to_owned()
        }
        Some(_) => return,
    };
    out.report(
        at,
        vec![
            format!(
                "{name} offset {}: the transaction of producer {} (epoch {}, from offset {} on) ends with a marker to {} of epoch {}",
                marker.offset,
                marker.producer_id,
                open.producer_epoch,
                open.first_offset,
                kind(marker.commit),
                marker.producer_epoch
            ),
            wrong,
        ],
    );
}

/// Judges transactions that their coordinators say are complete.
pub(crate) fn judge_completed(
    at: Time,
    completed: &[Completed],
    committed: &BTreeMap<Slot, Fold>,
    out: &mut Findings,
) {
    for Completed { producer_id, partitions } in completed {
        for tp in partitions {
            let fold = committed.values().find(|fold| fold.is(tp));
            if let Some(open) = fold.and_then(|fold| fold.open(*producer_id)) {
                out.report(
                    at,
                    vec![
                        format!(
                            "the coordinator of producer {producer_id} says that its transaction is complete"
                        ),
                        format!("in {tp} it is open from offset {} on", open.first_offset),
                    ],
                );
            }
        }
    }
}
