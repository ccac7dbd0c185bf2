//! No log has a transaction that its coordinator does not know.

use trial_node::view::{BatchView, TransactionState};
use trial_node::{Time, TopicPartition};

use crate::PropertyInfo;
use crate::transaction::decisions::{Current, Decisions};
use crate::violation::Findings;

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "transaction-registered",
    about: "When a transaction's first record in a partition is committed, the coordinator has that partition on its list, and \
            an open transaction of that very producer epoch: else nobody would ever write a marker, and the transaction would \
            hang, or end as another one does (KIP-890).",
    source: "KIP-890",
};

/// Judges a batch that begins a transaction in the committed part of a partition.
pub(crate) fn judge(
    at: Time,
    name: &TopicPartition,
    batch: &BatchView,
    decisions: &Decisions,
    out: &mut Findings,
) {
    let current = decisions.current(batch.producer_id);
    let is_over = |state| {
        matches!(
            state,
            TransactionState::Empty
                | TransactionState::CompleteCommit
                | TransactionState::CompleteAbort
                | TransactionState::Dead
        )
    };
    // A transaction that ends may have raised the epoch already (KIP-360).
    let of_epoch =
        |t: &Current| t.state != TransactionState::Ongoing || t.producer_epoch == batch.producer_epoch;
    if current.is_some_and(|t| !is_over(t.state) && of_epoch(t) && t.partitions.contains(name)) {
        return;
    }
    let known = current.map_or("its coordinator does not know the producer".to_owned(), |t| {
        format!(
            "its coordinator has {} in state {:?}, epoch {}, with {} partitions",
            t.transactional_id,
            t.state,
            t.producer_epoch,
            t.partitions.len()
        )
    });
    out.report(
        at,
        vec![
            format!(
                "producer {} epoch {} has begun a transaction in {name} at offset {}, which is not registered",
                batch.producer_id, batch.producer_epoch, batch.base_offset
            ),
            known,
        ],
    );
}
