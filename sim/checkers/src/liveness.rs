//! What must become true again once the faults are over.

use std::collections::BTreeMap;

use trial_coordinator::{CONSUMER_OFFSETS, TRANSACTION_STATE};
use trial_node::view::{BrokerView, CoordinatorEntry, TransactionState};
use trial_node::{NodeId, Offset, TopicPartition};

use crate::PropertyInfo;

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "liveness",
    about: "After the last fault every broker runs, the quorum has a leader, every partition has a leader, all its replicas \
            in sync, and no others; those that an operator has moved have the replicas that he asked for, no producer waits for an answer, every consumer has read everything, every coordinator is \
            loaded, no transaction is open and no group rebalances.",
    source: "Kafka documentation, Replication; TigerBeetle, liveness mode",
};

/// What an observer of the whole cluster sees of what should have recovered.
#[derive(Default)]
pub struct ClusterState<'a> {
    /// The brokers that run.
    pub brokers: Vec<&'a dyn BrokerView>,
    /// The brokers that should run and do not, with the reason.
    pub down: Vec<(NodeId, String)>,
    /// The client processes that should run and do not, with the reason.
    pub clients_down: Vec<(String, String)>,
    /// The brokers that a fault keeps down for ever: nobody waits for their replicas.
    pub struck: Vec<NodeId>,
    /// What an operator has moved partitions to: all replicas that each may have.
    pub assignments: BTreeMap<TopicPartition, Vec<Vec<NodeId>>>,
    /// Records that were handed to a producer and are neither acknowledged nor failed.
    pub outstanding: u64,
    /// Up to where every broker should have applied the metadata: what was committed one or two polls ago. Committed records
    /// are never all applied everywhere: the controller writes one every `metadata.max.idle.interval.ms`, and a broker hears of
    /// a commit by the fetch after the one that brought the record.
    pub metadata_due: Offset,
    /// Consumers' partitions that are behind: what was read up to, and where the log ends.
    pub behind: Vec<(u32, TopicPartition, String)>,
}

/// What is not as it should be, one line each; empty once the cluster has recovered.
pub fn pending(state: &ClusterState<'_>) -> Vec<String> {
    let mut pending: Vec<String> =
        state.down.iter().map(|(id, why)| format!("broker {id} does not run: {why}")).collect();
    pending.extend(state.clients_down.iter().map(|(name, why)| format!("client {name} does not run: {why}")));
    let newest = state.brokers.iter().max_by_key(|b| (b.quorum().epoch, b.quorum().is_leader));
    let Some(newest) = newest.filter(|b| b.quorum().is_leader) else {
        pending.push("the metadata quorum has no leader".to_owned());
        return pending;
    };
    newest.partitions(&mut |p| {
        let tp = TopicPartition { topic: p.topic.clone(), partition: p.id.partition };
        let name = tp.to_string();
        // What was taken back keeps the order of the reassignment.
        let same = |wanted: &Vec<NodeId>| {
            wanted.len() == p.replicas.len() && wanted.iter().all(|id| p.replicas.contains(id))
        };
        if state.assignments.get(&tp).is_some_and(|wanted| !wanted.iter().any(same)) {
            pending
                .push(format!("{name} has replicas {}, which is not where it was moved to", ids(p.replicas)));
        }
        for broker in state.brokers.iter().filter(|broker| !p.replicas.contains(&broker.node_id())) {
            if broker.replica(p.id).is_some() {
                pending
                    .push(format!("broker {} has a replica of {name}, which is not its", broker.node_id()));
            }
        }
        if p.leader == NodeId::NONE {
            pending.push(format!("{name} has no leader"));
        } else if p.replicas.iter().any(|id| !p.isr.contains(id) && !state.struck.contains(id)) {
            let why = offline(state, p.replicas.iter().filter(|id| !p.isr.contains(id)));
            pending.push(format!("{name} has in-sync replicas {} of {}{why}", ids(p.isr), ids(p.replicas)));
        } else if let Some(leader) = state.brokers.iter().find(|b| b.node_id() == p.leader) {
            let leads = leader.replica(p.id).is_some_and(|r| r.leader && r.leader_epoch == p.leader_epoch);
            if !leads {
                pending.push(format!("broker {} does not lead {name} in epoch {}", p.leader, p.leader_epoch));
            }
        }
    });
    for broker in &state.brokers {
        pending_at(*broker, &mut pending);
        if broker.quorum().epoch != newest.quorum().epoch {
            pending.push(format!(
                "broker {} is not in quorum epoch {}",
                broker.node_id(),
                newest.quorum().epoch
            ));
        } else if broker.metadata().offset < state.metadata_due {
            pending.push(format!(
                "broker {} has metadata up to {}, not up to {}, which was committed a while ago",
                broker.node_id(),
                broker.metadata().offset,
                state.metadata_due
            ));
        }
    }
    if state.outstanding > 0 {
        pending.push(format!("{} records are neither acknowledged nor failed", state.outstanding));
    }
    pending
        .extend(state.behind.iter().map(|(id, tp, what)| format!("consumer {id} is behind in {tp}: {what}")));
    pending
}

/// The log directories that some brokers have taken offline, as the end of a sentence: those who wonder why a replica is not in sync
/// once the disk is healed want to know.
fn offline<'a>(state: &ClusterState<'_>, ids: impl Iterator<Item = &'a NodeId>) -> String {
    let brokers = ids.filter_map(|id| state.brokers.iter().find(|broker| broker.node_id() == *id));
    let offline = brokers.map(|broker| (broker.node_id(), broker.offline_log_dirs()));
    let offline = offline.filter(|(_, dirs)| !dirs.is_empty()).map(|(id, dirs)| {
        let dirs = dirs.join(" and ");
        format!("; broker {id} took its log directory {dirs} offline after an I/O error, and uses it again only once it is restarted")
    });
    offline.collect()
}

fn ids(ids: &[NodeId]) -> String {
    ids.iter().map(|id| id.to_string()).collect::<Vec<_>>().join(",")
}

/// What is not over at one broker: transactions, rebalances, coordinators that are not loaded.
fn pending_at(broker: &dyn BrokerView, pending: &mut Vec<String>) {
    broker.partitions(&mut |p| {
        let Some(replica) = broker.replica(p.id) else { return };
        let name = || format!("{}-{}", p.topic.as_str(), p.id.partition);
        broker.open_transactions(p.id, &mut |t| {
            pending.push(format!(
                "broker {} has a transaction of producer {} open in {} from offset {} on",
                broker.node_id(),
                t.producer_id,
                name(),
                t.first_offset
            ));
        });
        let internal = matches!(p.topic.as_str(), CONSUMER_OFFSETS | TRANSACTION_STATE);
        if !internal || !replica.leader || replica.leader_epoch != p.leader_epoch {
            return;
        }
        if broker.coordinator(p.id).is_none() {
            pending.push(format!(
                "broker {} leads {} and has not loaded its coordinator",
                broker.node_id(),
                name()
            ));
        }
        broker.coordinator_entries(p.id, &mut |entry| match entry {
            CoordinatorEntry::Transaction { transactional_id, state, .. }
                if !matches!(
                    state,
                    TransactionState::Empty
                        | TransactionState::CompleteCommit
                        | TransactionState::CompleteAbort
                        | TransactionState::Dead
                ) =>
            {
                pending.push(format!("the transaction of {transactional_id} is in state {state:?}"));
            }
            CoordinatorEntry::Group { group, rebalancing: true, epoch, .. } => {
                pending.push(format!("group {group} is rebalancing after epoch {epoch}"));
            }
            _ => {}
        });
    });
}
