//! A coordinator knows what its log says.

use std::collections::BTreeMap;

use trial_coordinator::group::{GroupConfig, GroupCoordinator};
use trial_coordinator::transaction::{TransactionConfig, TransactionCoordinator};
use trial_coordinator::{Coordinator, LogRecord, Marker};
use trial_node::view::{BrokerView, CoordinatorEntry, CoordinatorKind, LogRecordView};
use trial_node::{Disk, DiskError, LeaderEpoch, NodeId, Offset, ProducerId, Time, TopicIdPartition};
use trial_wire::ControlType;

use crate::PropertyInfo;
use crate::violation::Findings;

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "coordinator-replay",
    about: "What a coordinator of groups or transactions knows is what a fresh one knows after reading the log from its \
            beginning: committed offsets, groups, members, transactions. Whoever takes over knows the same.",
    source: "Kafka documentation, Group coordinator; KIP-98",
};

/// A second coordinator, which has only read the log.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there are few, and they live as long as the run")]
enum Fresh {
    Group(GroupCoordinator),
    Transaction(TransactionCoordinator),
}

#[derive(Debug)]
struct Shadow {
    leader_epoch: LeaderEpoch,
    read_to: Offset,
    fresh: Fresh,
}

/// Reads along with every coordinator.
#[derive(Default)]
pub(crate) struct CoordinatorReplay {
    shadows: BTreeMap<(NodeId, TopicIdPartition), Shadow>,
}

impl CoordinatorReplay {
    /// A broker's coordinator was loaded, changed or removed.
    pub(crate) fn changed(
        &mut self,
        at: Time,
        broker: &dyn BrokerView,
        disk: &mut dyn Disk,
        tp: TopicIdPartition,
        out: &mut Findings,
    ) -> Result<(), DiskError> {
        let key = (broker.node_id(), tp);
        let Some(view) = broker.coordinator(tp) else {
            self.shadows.remove(&key);
            return Ok(());
        };
        let known = self.shadows.remove(&key).filter(|shadow| shadow.leader_epoch == view.leader_epoch);
        let mut shadow = known.unwrap_or_else(|| Shadow {
            leader_epoch: view.leader_epoch,
            read_to: Offset::ZERO,
            fresh: match view.kind {
                CoordinatorKind::Group => Fresh::Group(GroupCoordinator::new(GroupConfig::default())),
                CoordinatorKind::Transaction => {
                    Fresh::Transaction(TransactionCoordinator::new(TransactionConfig::default()))
                }
            },
        });
        let (from, to) = (shadow.read_to, view.applied);
        if from < to {
            broker.records(disk, tp, from, &mut |record| {
                if (from..to).contains(&record.offset) {
                    shadow.fresh.read(record);
                }
            })?;
            shadow.read_to = to;
        }
        let mut live = Vec::new();
        broker.coordinator_entries(tp, &mut |entry| live.push(show(entry)));
        let mut replayed = Vec::new();
        shadow.fresh.entries(&mut |entry| replayed.push(show(entry)));
        if live != replayed {
            let only = |these: &[String], those: &[String]| {
                let list: Vec<&str> =
                    these.iter().filter(|e| !those.contains(e)).map(String::as_str).take(3).collect();
                if list.is_empty() { "nothing".to_owned() } else { list.join("; ") }
            };
            out.report(
                at,
                vec![
                    format!(
                        "the {:?} coordinator of partition {} on broker {} is not what its log says up to {to}",
                        view.kind, tp.partition, key.0
                    ),
                    format!("only the coordinator knows: {}", only(&live, &replayed)),
                    format!("only the log knows: {}", only(&replayed, &live)),
                ],
            );
        }
        self.shadows.insert(key, shadow);
        Ok(())
    }

    /// A broker's process ended.
    pub(crate) fn down(&mut self, node: NodeId) {
        self.shadows.retain(|(broker, _), _| *broker != node);
    }
}

impl Fresh {
    fn read(&mut self, record: LogRecordView<'_>) {
        match self {
            Fresh::Group(coordinator) => read(coordinator, record),
            Fresh::Transaction(coordinator) => read(coordinator, record),
        }
    }

    fn entries(&self, each: &mut dyn FnMut(CoordinatorEntry<'_>)) {
        match self {
            Fresh::Group(coordinator) => coordinator.entries(each),
            Fresh::Transaction(coordinator) => coordinator.entries(each),
        }
    }
}

fn read(coordinator: &mut impl Coordinator, record: LogRecordView<'_>) {
    let (producer_id, producer_epoch) = (record.producer_id, record.producer_epoch);
    let kind = record.key.and_then(|key| ControlType::of_key(key).ok());
    match kind.filter(|_| record.control) {
        Some(kind @ (ControlType::Commit | ControlType::Abort)) => {
            let commit = kind == ControlType::Commit;
            coordinator.replay_marker(Marker { producer_id, producer_epoch, commit });
        }
        Some(_) => {}
        None if record.control => {}
        None => {
            let transaction = (record.transactional && producer_id != ProducerId::NONE)
                .then_some((producer_id, producer_epoch));
            let key = record.key.unwrap_or_default();
            let read = coordinator.replay(LogRecord {
                offset: record.offset,
                transaction,
                key,
                value: record.value,
            });
            // A record that cannot be read is missing in what is compared.
            drop(read);
        }
    }
}

/// An entry as text: with two lists of these the one that differs can be named.
fn show(entry: CoordinatorEntry<'_>) -> String {
    match entry {
        // A rebalance of the classic protocol is in nobody's log.
        CoordinatorEntry::Group { group, classic: true, epoch, members, .. } => {
            format!("group {group} in generation {epoch} with {members} members")
        }
        entry => format!("{entry:?}"),
    }
}
