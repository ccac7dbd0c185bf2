//! Properties of transactions in the replicas' logs and in the log of their coordinators.

mod decisions;
mod fold;
pub(crate) mod one_marker;
pub(crate) mod registered;
pub(crate) mod stable_offset;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use trial_coordinator::TRANSACTION_STATE;
use trial_node::view::BrokerView;
use trial_node::{
    Disk, DiskError, NodeId, Offset, ProducerEpoch, ProducerId, Time, TopicIdPartition, TopicPartition,
};

use crate::model::{Change, Slot};
use crate::violation::Findings;

use decisions::Decisions;
use fold::{Fold, Marker};

/// The checkers of transactions below the clients.
pub(crate) struct TransactionChecks {
    stable_offset: bool,
    registered: bool,
    one_marker: bool,
    /// What each replica's log says.
    replicas: BTreeMap<(Slot, NodeId), Fold>,
    /// What the committed part of each partition's log says.
    committed: BTreeMap<Slot, Fold>,
    /// What coordinators have decided, as far as that is committed.
    decisions: Decisions,
}

impl TransactionChecks {
    pub(crate) fn new(wanted: &dyn Fn(&str) -> bool) -> TransactionChecks {
        TransactionChecks {
            stable_offset: wanted(stable_offset::INFO.name),
            registered: wanted(registered::INFO.name),
            one_marker: wanted(one_marker::INFO.name),
            replicas: BTreeMap::new(),
            committed: BTreeMap::new(),
            decisions: Decisions::default(),
        }
    }

    /// See [`Checkers::marker_asked_for`](crate::Checkers::marker_asked_for).
    pub(crate) fn marker_asked_for(
        &mut self,
        producer: (ProducerId, ProducerEpoch),
        commit: bool,
        tp: TopicPartition,
    ) {
        self.decisions.by_hand(producer, commit, tp);
    }

    /// A replica changed.
    pub(crate) fn changed(
        &mut self,
        at: Time,
        broker: &dyn BrokerView,
        disk: &mut dyn Disk,
        tp: TopicIdPartition,
        change: &Change<'_>,
        out: &mut Findings,
    ) -> Result<(), DiskError> {
        if change.inherited.end > change.inherited_before && change.name.topic.as_str() == TRANSACTION_STATE {
            // A coordinator goes by all of its log as soon as it has loaded it, whatever a high watermark says yet.
            let inherited = (change.inherited_before, change.inherited.end);
            self.decisions.read(broker, disk, tp, inherited, &mut Vec::new())?;
        }
        if !self.stable_offset {
            return Ok(());
        }
        let key = (change.slot, change.broker);
        let transactional = change.appended.iter().any(|batch| batch.transactional);
        if !transactional && !self.replicas.contains_key(&key) {
            return Ok(());
        }
        let fold = self.replicas.entry(key).or_default();
        // A process that starts again goes back to a high watermark that it had noted: what ended below the last one counts again.
        let again = change.truncated_to.is_some() || !change.before.up;
        if again {
            *fold = Fold::default();
        }
        let all = again.then(|| change.now.batches.iter()).into_iter().flatten();
        let new = if again { &[] } else { change.appended };
        for batch in all.chain(new).filter(|batch| batch.transactional) {
            match batch.control {
                false => fold.data(batch),
                true => fold.marker(&Marker::read(broker, disk, tp, batch)?),
            }
        }
        out.of(stable_offset::INFO.name);
        stable_offset::judge(at, broker, disk, tp, change, fold, out)
    }

    /// The committed part of a partition has grown to `to`, as this broker's replica claims and holds it.
    pub(crate) fn committed(
        &mut self,
        at: Time,
        broker: &dyn BrokerView,
        disk: &mut dyn Disk,
        tp: TopicIdPartition,
        (change, to): (&Change<'_>, Offset),
        out: &mut Findings,
    ) -> Result<(), DiskError> {
        if !self.registered && !self.one_marker {
            return Ok(());
        }
        let from = change.committed.end;
        if change.name.topic.as_str() == TRANSACTION_STATE {
            out.of(one_marker::INFO.name);
            let (committed, one_marker) = (&self.committed, self.one_marker);
            let mut completed = Vec::new();
            // What the run began with is known, and would take what is known back to what it was.
            let new = change.now.batches.range(from, to).find(|batch| !change.inherited.has(batch));
            let from = new.map_or(to, |batch| batch.base_offset.max(from));
            self.decisions.read(broker, disk, tp, (from, to), &mut completed)?;
            if one_marker {
                one_marker::judge_completed(at, &completed, committed, out);
            }
            return Ok(());
        }
        for batch in change.now.batches.range(from, to).filter(|batch| batch.transactional) {
            let fold = self.committed.entry(change.slot).or_default();
            if !batch.control {
                let opens = fold.open(batch.producer_id).is_none();
                fold.data(batch);
                if opens && self.registered && !change.inherited.has(batch) {
                    out.of(registered::INFO.name);
                    registered::judge(at, change.name, batch, &self.decisions, out);
                }
                continue;
            }
            let marker = Marker::read(broker, disk, tp, batch)?;
            let closes = fold.open(marker.producer_id);
            fold.name(change.name);
            fold.marker(&marker);
            if let Some(open) = closes.filter(|_| self.one_marker && !change.inherited.has(batch)) {
                out.of(one_marker::INFO.name);
                one_marker::judge_marker(at, change.name, &marker, &open, &self.decisions, out);
            }
        }
        if let Some(fold) = self.committed.get_mut(&change.slot) {
            fold.name(change.name);
        }
        Ok(())
    }
}
