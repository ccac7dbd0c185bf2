//! What a log's batches add up to: open transactions, ended ones, aborted ones.

use std::collections::BTreeMap;

use trial_node::view::{AbortedTransactionView, BatchView, BrokerView};
use trial_node::{Disk, DiskError, Offset, ProducerEpoch, ProducerId, TopicIdPartition, TopicPartition};
use trial_wire::ControlType;

/// A transaction marker in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) producer_id: ProducerId,
    pub(crate) producer_epoch: ProducerEpoch,
    pub(crate) offset: Offset,
    pub(crate) commit: bool,
}

impl Marker {
    /// Reads what a control batch says.
    pub(crate) fn read(
        broker: &dyn BrokerView,
        disk: &mut dyn Disk,
        tp: TopicIdPartition,
        batch: &BatchView,
    ) -> Result<Marker, DiskError> {
        let mut kind = None;
        broker.records(disk, tp, batch.base_offset, &mut |record| {
            if record.offset == batch.base_offset {
                kind = record.key.and_then(|key| ControlType::of_key(key).ok());
            }
        })?;
        Ok(Marker {
            producer_id: batch.producer_id,
            producer_epoch: batch.producer_epoch,
            offset: batch.base_offset,
            commit: kind == Some(ControlType::Commit),
        })
    }
}

/// A transaction that is open in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) producer_epoch: ProducerEpoch,
    pub(crate) first_offset: Offset,
}

/// What a log's batches add up to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fold {
    name: Option<TopicPartition>,
    open: BTreeMap<ProducerId, Open>,
    /// First offset and marker of transactions that ended, in the order of their markers.
    ended: Vec<(Offset, Offset)>,
    /// Aborted transactions in the order of their markers.
    aborted: Vec<AbortedTransactionView>,
}

impl Fold {
    pub(crate) fn open(&self, producer_id: ProducerId) -> Option<Open> {
        self.open.get(&producer_id).copied()
    }

    pub(crate) fn all_open(&self) -> &BTreeMap<ProducerId, Open> {
        &self.open
    }

    pub(crate) fn aborted(&self) -> &[AbortedTransactionView] {
        &self.aborted
    }

    /// Compaction has left these of the aborted transactions whose markers are at `from` or later.
    pub(crate) fn replace_aborted(&mut self, from: Offset, left: Vec<AbortedTransactionView>) {
        self.aborted.retain(|aborted| aborted.last_offset < from);
        self.aborted.extend(left);
        self.aborted.sort_unstable_by_key(|aborted| aborted.last_offset);
    }

    /// Whose log it is, for evidence.
    pub(crate) fn name(&mut self, name: &TopicPartition) {
        if self.name.is_none() {
            self.name = Some(name.clone());
        }
    }

    pub(crate) fn is(&self, tp: &TopicPartition) -> bool {
        self.name.as_ref() == Some(tp)
    }

    /// A batch of records within a transaction.
    pub(crate) fn data(&mut self, batch: &BatchView) {
        let open = Open { producer_epoch: batch.producer_epoch, first_offset: batch.base_offset };
        self.open.entry(batch.producer_id).or_insert(open);
    }

    /// A marker, which ends what its producer has open.
    pub(crate) fn marker(&mut self, marker: &Marker) {
        let Some(Open { first_offset, .. }) = self.open.remove(&marker.producer_id) else { return };
        self.ended.push((first_offset, marker.offset));
        if !marker.commit {
            let (producer_id, last_offset) = (marker.producer_id, marker.offset);
            self.aborted.push(AbortedTransactionView { producer_id, first_offset, last_offset });
        }
    }

    /// The last stable offset under a high watermark: no transaction that is open, or whose marker is not committed, begins
    /// below it. What a replica has once known as committed stays so while its process runs, even if it takes over a lower high
    /// watermark from a new leader that has not heard of its own followers yet.
    pub(crate) fn last_stable_offset(&mut self, high_watermark: Offset) -> Offset {
        self.ended.retain(|(_, marker)| *marker >= high_watermark);
        let open = self.open.values().map(|open| open.first_offset);
        open.chain(self.ended.iter().map(|(first, _)| *first)).fold(high_watermark, Offset::min)
    }
}
