//! What coordinators of transactions have decided, read from the committed part of their log.

use std::collections::{BTreeMap, BTreeSet};

use trial_coordinator::transaction::record::{decode_key, decode_value};
use trial_node::view::{BrokerView, TransactionState};
use trial_node::{Disk, DiskError, Offset, ProducerEpoch, ProducerId, TopicIdPartition, TopicPartition};

/// What is known of a producer's transaction.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    pub(crate) transactional_id: String,
    pub(crate) producer_epoch: ProducerEpoch,
    pub(crate) state: TransactionState,
    pub(crate) partitions: BTreeSet<TopicPartition>,
}

/// How a transaction was to end.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    pub(crate) commit: bool,
    pub(crate) partitions: BTreeSet<TopicPartition>,
}

/// A transaction whose coordinator says that all its markers are written.
#[derive(Clone, Debug)]
pub(crate) struct Completed {
    pub(crate) producer_id: ProducerId,
    pub(crate) partitions: BTreeSet<TopicPartition>,
}

/// Everything that coordinators have decided.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decisions {
    current: BTreeMap<ProducerId, Current>,
    /// By the producer id and epoch that its markers carry.
    decided: BTreeMap<(ProducerId, ProducerEpoch), Decision>,
}

impl Decisions {
    pub(crate) fn current(&self, producer_id: ProducerId) -> Option<&Current> {
        self.current.get(&producer_id)
    }

    pub(crate) fn decided(&self, producer_id: ProducerId, epoch: ProducerEpoch) -> Option<&Decision> {
        self.decided.get(&(producer_id, epoch))
    }

    /// An administrator ends a transaction in a partition (`Admin.abortTransaction`, KIP-664): the leader is asked for the
    /// marker without the coordinator. What the coordinator has decided otherwise stands.
    pub(crate) fn by_hand(
        &mut self,
        (producer_id, epoch): (ProducerId, ProducerEpoch),
        commit: bool,
        tp: TopicPartition,
    ) {
        let none = Decision { commit, partitions: BTreeSet::new() };
        let decision = self.decided.entry((producer_id, epoch)).or_insert(none);
        if decision.commit == commit {
            decision.partitions.insert(tp);
        }
    }

    /// Takes in the records of a partition of the log from one offset up to another; adds to `completed` what they complete.
    pub(crate) fn read(
        &mut self,
        broker: &dyn BrokerView,
        disk: &mut dyn Disk,
        tp: TopicIdPartition,
        (from, to): (Offset, Offset),
        completed: &mut Vec<Completed>,
    ) -> Result<(), DiskError> {
        broker.records(disk, tp, from, &mut |record| {
            if !(from..to).contains(&record.offset) || record.control {
                return;
            }
            // What cannot be read is the business of the coordinator that must load it.
            let Some(Ok(Some(id))) = record.key.map(decode_key) else { return };
            let Some(Ok(Some(value))) = record.value.map(decode_value) else { return };
            let decision = match value.state {
                TransactionState::PrepareCommit => Some(true),
                TransactionState::PrepareAbort => Some(false),
                _ => None,
            };
            if let Some(commit) = decision {
                let decision = Decision { commit, partitions: value.partitions.clone() };
                self.decided.insert((value.producer_id, value.producer_epoch), decision);
            }
            if matches!(value.state, TransactionState::CompleteCommit | TransactionState::CompleteAbort) {
                // The record itself names no partition any more, and perhaps the next producer id already.
                let of_id = |current: &&mut Current| current.transactional_id == id;
                for (producer_id, current) in &mut self.current {
                    if of_id(&current) && !current.partitions.is_empty() {
                        let partitions = std::mem::take(&mut current.partitions);
                        completed.push(Completed { producer_id: *producer_id, partitions });
                    }
                }
            }
            let current = Current {
                transactional_id: id.to_owned(),
                producer_epoch: value.producer_epoch,
                state: value.state,
                partitions: value.partitions,
            };
            self.current.insert(value.producer_id, current);
        })
    }
}
