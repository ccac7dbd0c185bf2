//! The last stable offset, the open transactions and the index of aborted ones are what the log says.

use std::collections::BTreeMap;

use trial_node::view::{AbortedTransactionView, BrokerView};
use trial_node::{Disk, DiskError, Offset, ProducerId, Time, TopicIdPartition};

use crate::PropertyInfo;
use crate::model::Change;
use crate::transaction::fold::{Fold, Marker, Open};
use crate::violation::Findings;

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "last-stable-offset",
    about: "A replica's last stable offset, open transactions and index of aborted transactions are what its log adds up to.",
    source: "KIP-98",
};

pub(crate) fn judge(
    at: Time,
    broker: &dyn BrokerView,
    disk: &mut dyn Disk,
    tp: TopicIdPartition,
    change: &Change<'_>,
    fold: &mut Fold,
    out: &mut Findings,
) -> Result<(), DiskError> {
    let Some(view) = broker.replica(tp) else { return Ok(()) };
    let (name, id) = (change.name, change.broker);
    let expected = fold.last_stable_offset(view.high_watermark);
    if view.last_stable_offset != expected {
        out.report(
            at,
            vec![
                format!(
                    "broker {id} has last stable offset {} of {name}, its log says {expected}",
                    view.last_stable_offset
                ),
                format!("its high watermark is {}", view.high_watermark),
            ],
        );
    }
    let mut open = BTreeMap::new();
    broker.open_transactions(tp, &mut |t| {
        open.insert(t.producer_id, t.first_offset);
    });
    let expected: BTreeMap<ProducerId, Offset> =
        fold.all_open().iter().map(|(id, Open { first_offset, .. })| (*id, *first_offset)).collect();
    if open != expected {
        out.report(
            at,
            vec![format!(
                "broker {id} knows open transactions {} in {name}, its log has {}",
                show(&open),
                show(&expected)
            )],
        );
    }
    // Only where the index may have changed: all of it when it was rebuilt.
    let rebuilt = change.truncated_to.is_some() || !change.before.up;
    if !rebuilt && !change.appended.iter().any(|b| b.control && b.transactional) {
        return Ok(());
    }
    let from = match rebuilt {
        true => Offset::ZERO,
        false => fold.aborted().last().map_or(Offset::ZERO, |last| last.first_offset),
    };
    let mut indexed = Vec::new();
    broker.aborted_transactions(disk, tp, from, view.log_end_offset, &mut |aborted| indexed.push(aborted))?;
    indexed.sort_unstable();
    let mut expected: Vec<_> =
        fold.aborted().iter().filter(|aborted| aborted.last_offset >= from).copied().collect();
    expected.sort_unstable();
    if indexed == expected {
        return Ok(());
    }
    if change.compacted && fits_what_is_left(broker, disk, tp, from, &indexed)? {
        // What a cleaning did to the index is looked at once: that takes all of the log.
        fold.replace_aborted(from, indexed);
    } else {
        out.report(
            at,
            vec![
                format!(
                    "broker {id} names {} aborted transactions to a reader of {name} from {from} on, its log has {}",
                    indexed.len(),
                    expected.len()
                ),
                format!("named: {indexed:?}"),
                format!("in the log: {expected:?}"),
            ],
        );
    }
    Ok(())
}

/// Whether the index fits a log that compaction has taken records out of: each aborted transaction that has some left is named
/// from its first one on at the latest, and no other transaction of its producer is covered. Where the marker's segment was not
/// written anew, more is named than is left.
fn fits_what_is_left(
    broker: &dyn BrokerView,
    disk: &mut dyn Disk,
    tp: TopicIdPartition,
    from: Offset,
    indexed: &[AbortedTransactionView],
) -> Result<bool, DiskError> {
    let mut batches = Vec::new();
    broker.batches(disk, tp, Offset::ZERO, &mut |batch| batches.push(batch))?;
    let mut left = Fold::default();
    let mut others = BTreeMap::new();
    for batch in batches.iter().filter(|batch| batch.transactional) {
        if !batch.control {
            left.data(batch);
            others.entry(batch.producer_id).or_insert_with(Vec::new).push(batch.base_offset);
            continue;
        }
        let marker = Marker::read(broker, disk, tp, batch)?;
        left.marker(&marker);
        let ended = others.remove(&batch.producer_id).unwrap_or_default();
        let covers = |named: &AbortedTransactionView| {
            let own = !marker.commit && named.last_offset == marker.offset;
            let one = |offset: &Offset| (named.first_offset..named.last_offset).contains(offset);
            named.producer_id == marker.producer_id && !own && ended.iter().any(one)
        };
        if indexed.iter().any(covers) {
            return Ok(false);
        }
    }
    let named = |left: &AbortedTransactionView| {
        indexed.iter().any(|named| {
            (named.producer_id, named.last_offset) == (left.producer_id, left.last_offset)
                && named.first_offset <= left.first_offset
        })
    };
    Ok(left.aborted().iter().filter(|left| left.last_offset >= from).all(named))
}

fn show(open: &BTreeMap<ProducerId, Offset>) -> String {
    let list: Vec<String> = open.iter().map(|(id, first)| format!("{id} from {first}")).collect();
    format!("[{}]", list.join(", "))
}
