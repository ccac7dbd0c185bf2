//! What must hold: one file per property.
//!
//! Checkers distrust the broker. Client-side properties judge the history of what clients did and saw; broker-side
//! properties read each replica's log files through [`trial_node::view::BrokerView`] after every event. What a broker claims
//! (its role, epoch, ISR and high watermark) is what is judged by them; of its own bookkeeping nothing else counts.
//!
//! How to drive [`Checkers`]: call [`Checkers::client_event`] for every `Effect::History`,
//! [`Checkers::broker_stepped`] after every step of a broker (start included), [`Checkers::broker_down`] when its process
//! ends; [`Checkers::healed`] when the last fault is over. After the run has drained come [`Checkers::audit`] and
//! [`Checkers::audited`], [`Checkers::committed_offsets`], [`Checkers::at_rest`] for each log, and [`Checkers::finish`] once.
//! [`Checkers::violations`] can be read at any time.

mod chunked;
mod client;
mod cluster;
mod coordinator_replay;
mod deletion;
#[cfg(test)]
mod deletion_tests;
mod liveness;
mod load;
mod model;
mod quorum;
mod rebuilt_state;
mod served;
#[cfg(test)]
mod testing;
mod transaction;
mod violation;

use std::collections::BTreeMap;

use trial_node::view::BrokerView;
use trial_node::{
    ClientEvent, Disk, DiskError, NodeId, Now, Offset, ProducerEpoch, ProducerId, Time, TopicPartition,
};
use trial_storage::UnifiedLog;
use trial_wire::{ResponseKind, TopicName};

pub use liveness::{ClusterState, pending};
pub use load::{Cleanup, Load, Pipeline, PipelineCounts, Promise};
pub use violation::Violation;

use client::{Concerns, History, Seen, for_each_record};
use coordinator_replay::CoordinatorReplay;
use model::{ClusterModel, QuorumModel};
use transaction::TransactionChecks;
use violation::Findings;

/// A property that can be asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PropertyInfo {
    /// Its name, as `expect.checkers` and violations say it.
    pub name: &'static str,
    /// What it says.
    pub about: &'static str,
    /// Where it comes from.
    pub source: &'static str,
}

/// A property of the clients' history.
trait ClientProperty {
    /// Which events it looks at. Most properties look at few kinds, and most events are of a few kinds.
    fn concerns(&self) -> Concerns {
        Concerns::ALL
    }
    /// Looks at one event; `history` is as it was before the event.
    fn event(&mut self, _seen: Seen<'_>, _history: &History, _out: &mut Findings) {}
    /// The run has drained.
    fn finish(&mut self, _at: Time, _history: &History, _out: &mut Findings) {}
}

/// A property of the replicas of partitions.
trait ClusterProperty {
    /// One replica changed; `model` holds all replicas as they are now, `change` what was new.
    fn changed(&mut self, at: Time, model: &ClusterModel, change: &model::Change<'_>, out: &mut Findings);
}

/// A property of the metadata quorum.
trait QuorumProperty {
    /// One node's part in the quorum changed.
    fn changed(
        &mut self,
        at: Time,
        model: &QuorumModel,
        change: &model::QuorumChange<'_>,
        out: &mut Findings,
    );
}

macro_rules! properties {
    ($($list:ident, $object:ident: [$($kind:ty => $info:expr),* $(,)?])*) => {
        /// Every property that can be asked for.
        pub const PROPERTIES: &[PropertyInfo] = &[
            $($($info,)*)*
            client::above_high_watermark::INFO,
            transaction::stable_offset::INFO,
            transaction::registered::INFO,
            transaction::one_marker::INFO,
            coordinator_replay::INFO,
            deletion::INFO,
            rebuilt_state::INFO,
            liveness::INFO,
            served::INFO,
            quorum::metadata_agreement::INFO,
        ];

        $(fn $list(wanted: &dyn Fn(&str) -> bool) -> Vec<(&'static str, Box<dyn $object>)> {
            let mut list: Vec<(&'static str, Box<dyn $object>)> = Vec::new();
            $(if wanted($info.name) {
                list.push(($info.name, Box::new(<$kind>::default())));
            })*
            list
        })*
    };
}

properties! {
    client_properties, ClientProperty: [
        client::lost_write::LostWrite => client::lost_write::INFO,
        client::unseen::Unseen => client::unseen::INFO,
        client::duplicate::Duplicate => client::duplicate::INFO,
        client::two_values::TwoValues => client::two_values::INFO,
        client::producer_order::ProducerOrder => client::producer_order::INFO,
        client::consumer_skip::ConsumerSkip => client::consumer_skip::INFO,
        client::consumer_backwards::ConsumerBackwards => client::consumer_backwards::INFO,
        client::acked_offset::AckedOffset => client::acked_offset::INFO,
        client::refused_read::RefusedRead => client::refused_read::INFO,
        client::aborted_read::AbortedRead => client::aborted_read::INFO,
        client::read_before_commit::ReadBeforeCommit => client::read_before_commit::INFO,
        client::torn_transaction::TornTransaction => client::torn_transaction::INFO,
        client::write_read_cycle::WriteReadCycle => client::write_read_cycle::INFO,
        client::exactly_once::ExactlyOnce => client::exactly_once::INFO,
        client::conservation::Conservation => client::conservation::INFO,
        client::one_owner::OneOwner => client::one_owner::INFO,
        client::stale_commit::StaleCommit => client::stale_commit::INFO,
        client::group_position::GroupPosition => client::group_position::INFO,
    ]
    cluster_properties, ClusterProperty: [
        cluster::leader_completeness::LeaderCompleteness => cluster::leader_completeness::INFO,
        cluster::log_matching::LogMatching => cluster::log_matching::INFO,
        cluster::isr_completeness::IsrCompleteness => cluster::isr_completeness::INFO,
        cluster::elr_completeness::ElrCompleteness => cluster::elr_completeness::INFO,
        cluster::committed_regression::CommittedRegression => cluster::committed_regression::INFO,
        cluster::batch_identity::BatchIdentity => cluster::batch_identity::INFO,
        cluster::producer_sequence::ProducerSequence => cluster::producer_sequence::INFO,
        cluster::one_leader::OneLeader => cluster::one_leader::INFO,
    ]
    quorum_properties, QuorumProperty: [
        quorum::one_leader::OneQuorumLeader => quorum::one_leader::INFO,
        quorum::monotonic::QuorumMonotonic => quorum::monotonic::INFO,
        quorum::committed::QuorumCommitted => quorum::committed::INFO,
    ]
}

/// The checkers of one run.
pub struct Checkers {
    history: History,
    client: Vec<(&'static str, Concerns, Box<dyn ClientProperty>)>,
    /// For each kind of event, the properties that look at it, by their places in `client`.
    client_of: [Vec<u8>; Concerns::KINDS],
    model: ClusterModel,
    cluster: Vec<(&'static str, Box<dyn ClusterProperty>)>,
    quorum_model: QuorumModel,
    quorum: Vec<(&'static str, Box<dyn QuorumProperty>)>,
    metadata: Option<quorum::metadata_agreement::MetadataAgreement>,
    transactions: TransactionChecks,
    coordinators: Option<CoordinatorReplay>,
    above_high_watermark: bool,
    rebuilt_state: bool,
    deletion: bool,
    liveness: bool,
    /// Whether what is served is looked at; `None` if nobody wants it.
    served: Option<bool>,
    last_heal: Option<Time>,
    findings: Findings,
}

impl Checkers {
    /// All properties, or those that `names` names.
    ///
    /// # Errors
    /// The first name that is no property's.
    pub fn new(names: Option<&[String]>) -> Result<Checkers, String> {
        if let Some(unknown) =
            names.iter().copied().flatten().find(|n| PROPERTIES.iter().all(|p| p.name != n.as_str()))
        {
            return Err(unknown.clone());
        }
        let wanted = |name: &str| names.is_none_or(|names| names.iter().any(|n| n == name));
        let client: Vec<_> = client_properties(&wanted)
            .into_iter()
            .map(|(name, property)| (name, property.concerns(), property))
            .collect();
        let concerned_by = |kind: usize| {
            let concerned = client.iter().enumerate().filter(|(_, (_, c, _))| c.include(Concerns::nth(kind)));
            concerned.map(|(place, _)| place as u8).collect()
        };
        Ok(Checkers {
            history: History::default(),
            client_of: std::array::from_fn(concerned_by),
            client,
            model: ClusterModel::default(),
            cluster: cluster_properties(&wanted),
            quorum_model: QuorumModel::default(),
            quorum: quorum_properties(&wanted),
            metadata: wanted(quorum::metadata_agreement::INFO.name).then(Default::default),
            transactions: TransactionChecks::new(&wanted),
            coordinators: wanted(coordinator_replay::INFO.name).then(Default::default),
            above_high_watermark: wanted(client::above_high_watermark::INFO.name),
            rebuilt_state: wanted(rebuilt_state::INFO.name),
            deletion: wanted(deletion::INFO.name),
            liveness: wanted(liveness::INFO.name),
            served: wanted(served::INFO.name).then_some(false),
            last_heal: None,
            findings: Findings::default(),
        })
    }

    /// A client did or saw something.
    pub fn client_event(&mut self, at: Time, event: &ClientEvent) {
        if self.above_high_watermark {
            self.findings.of(client::above_high_watermark::INFO.name);
            client::above_high_watermark::judge(at, event, &mut self.model, &mut self.findings);
        }
        let slot = self.history.slot_of(event);
        let kind = Concerns::of(event);
        for_each_record(event, |event| {
            let sent = event.id().and_then(|id| self.history.sent(id));
            let seen = Seen { at, event, slot, sent };
            let transacted =
                kind == Concerns::POLLED && sent.is_some_and(|sent| sent.transaction().is_some());
            let kind = if transacted { Concerns::POLLED_TRANSACTED } else { kind };
            let concerned = &self.client_of[kind.number()];
            for place in concerned {
                let (name, _, property) = &mut self.client[usize::from(*place)];
                self.findings.of(name);
                property.event(seen, &self.history, &mut self.findings);
            }
            self.history.apply(event, slot);
        });
    }

    /// A broker handled an input or was started. Cheap if nothing that the properties look at has changed.
    ///
    /// # Errors
    /// What the disk says when a log cannot be read.
    pub fn broker_stepped(
        &mut self,
        at: Time,
        broker: &dyn BrokerView,
        disk: &mut dyn Disk,
    ) -> Result<(), DiskError> {
        if broker.quorum_changed() {
            self.model.learn(broker);
        }
        for &tp in broker.changed_replicas() {
            let Some(found) = self.model.update(broker, disk, tp)? else { continue };
            let change = found.borrow(&self.model);
            for (name, property) in &mut self.cluster {
                self.findings.of(name);
                property.changed(at, &self.model, &change, &mut self.findings);
            }
            self.transactions.changed(at, broker, disk, tp, &change, &mut self.findings)?;
            if !found.lost
                && change.now.head.log_start_offset > change.before.log_start_offset
                && let Some((load, gone)) = self.history.gone_for(change.name, tp.topic_id)
            {
                let mut judged = Findings::default();
                let out = if self.deletion { &mut self.findings } else { &mut judged };
                out.of(deletion::INFO.name);
                deletion::log_start_moved(at, load, gone, &change, out);
            }
            if let Some(to) = self.model.newly_committed(&found) {
                if self.history.load().is_compacted(change.name)
                    && let Some((_, gone)) = self.history.gone_for(change.name, tp.topic_id)
                {
                    deletion::committed((broker, disk), tp, gone, (&change, to))?;
                }
                self.transactions.committed(at, broker, disk, tp, (&change, to), &mut self.findings)?;
            }
            self.model.commit(&found);
            if found.lost {
                self.model.lost(&found);
            }
        }
        if let Some(coordinators) = &mut self.coordinators {
            for &tp in broker.changed_coordinators() {
                self.findings.of(coordinator_replay::INFO.name);
                coordinators.changed(at, broker, disk, tp, &mut self.findings)?;
            }
        }
        if broker.quorum_changed() {
            let found = self.quorum_model.update(broker, disk)?;
            let change = found.borrow(&self.quorum_model);
            for (name, property) in &mut self.quorum {
                self.findings.of(name);
                property.changed(at, &self.quorum_model, &change, &mut self.findings);
            }
            self.quorum_model.commit(&found);
            if let Some(metadata) = &mut self.metadata {
                self.findings.of(quorum::metadata_agreement::INFO.name);
                metadata.seen(at, broker.node_id(), broker.metadata(), &mut self.findings);
            }
        }
        Ok(())
    }

    /// A broker's process ended. `lost_power` tells that what was not synced may be gone.
    pub fn broker_down(&mut self, node: NodeId, lost_power: bool) {
        self.model.down(node, lost_power);
        self.quorum_model.down(node);
        if let Some(coordinators) = &mut self.coordinators {
            coordinators.down(node);
        }
    }

    /// Somebody who is no coordinator asks the leader of a partition to end a transaction there, as an administrator may.
    pub fn marker_asked_for(
        &mut self,
        producer: (ProducerId, ProducerEpoch),
        commit: bool,
        tp: TopicPartition,
    ) {
        self.transactions.marker_asked_for(producer, commit, tp);
    }

    /// Somebody who is no part of the load asks for the records of a partition before `offset` to be deleted; `None`: all
    /// that are committed when its leader does it.
    pub fn deletion_asked_for(&mut self, tp: &TopicPartition, offset: Option<Offset>) {
        self.history.deletion_asked_for(tp, offset);
    }

    /// Somebody who is no part of the load may have changed how long a topic's records stay; `None`: all topics'.
    pub fn retention_may_change(&mut self, topic: Option<&TopicName>) {
        self.history.retention_may_change(topic);
    }

    /// Brokers begin with data: one that has not loaded a replica yet may have its log all the same, and how the transactions in it
    /// came about is not judged.
    pub fn begins_with_data(&mut self) {
        self.model.began_with_data = true;
    }

    /// From here on disks may give what nobody has written: what brokers send is looked at.
    pub fn disks_are_harmed(&mut self) {
        self.served = self.served.map(|_| true);
    }

    /// A broker has sent a response.
    pub fn responded(&mut self, at: Time, broker: NodeId, response: &ResponseKind) {
        if let (Some(true), ResponseKind::Fetch(response)) = (self.served, response) {
            self.findings.of(served::INFO.name);
            served::judge(at, broker, response, &mut self.findings);
        }
    }

    /// The last fault is over; from here on the cluster must recover.
    pub fn healed(&mut self, at: Time) {
        self.last_heal = Some(at);
    }

    /// Shows a log of a running broker when everything is over, with a copy of the broker's disk to open it on once more.
    pub fn at_rest(&mut self, now: Now, node: NodeId, log: &UnifiedLog, copy: &mut dyn Disk) {
        if self.rebuilt_state {
            self.findings.of(rebuilt_state::INFO.name);
            rebuilt_state::judge(now, node, log, copy, &mut self.findings);
        }
        if self.deletion
            && let Some((name, gone)) = self.history.gone(log.folder())
        {
            self.findings.of(deletion::INFO.name);
            deletion::at_rest(now, node, (log, copy), (name, gone), &mut self.findings);
        }
    }

    /// Announces the audit: from here on, consumers with the number `first` or a higher one read every topic from its beginning,
    /// after everything else is over. What they do not find in a partition that they have [read to its end](Self::audited)
    /// is lost.
    pub fn audit(&mut self, first: u32) {
        self.history.audited_by(first);
    }

    /// The audit has read a partition to its end.
    pub fn audited(&mut self, tp: TopicPartition) {
        self.history.audited_to_the_end(tp);
    }

    /// What the load is made of; before its first event.
    pub fn describe(&mut self, load: Load) {
        self.history.describe(load);
    }

    /// The offsets that groups have committed, as their coordinators know them when everything is over.
    pub fn committed_offsets(&mut self, offsets: BTreeMap<(String, TopicPartition), Offset>) {
        self.history.commit_offsets(offsets);
    }

    /// What became of the records that each pipeline read, in the order of [`Load::pipelines`].
    pub fn pipelines(&self) -> Vec<PipelineCounts> {
        let pipelines = self.history.load().pipelines.iter();
        pipelines.map(|pipeline| client::exactly_once::count(pipeline, &self.history)).collect()
    }

    /// Judges what can only be judged at the end. `state` is what is still not as it should be, from [`pending`].
    pub fn finish(&mut self, at: Time, state: &[String]) {
        for (name, _, property) in &mut self.client {
            self.findings.of(name);
            property.finish(at, &self.history, &mut self.findings);
        }
        if self.liveness {
            self.findings.of(liveness::INFO.name);
            for what in state {
                self.findings.report(
                    at,
                    vec![
                        what.clone(),
                        format!("last fault over at {}", self.last_heal.unwrap_or(Time::ZERO)),
                    ],
                );
            }
        }
    }

    /// Whether every acknowledged record has been read, as far as there is a consumer that did not begin after it.
    pub fn all_acked_are_read(&self) -> bool {
        !self.history.awaits_reading()
    }

    /// How many acknowledged records the audit did not find in the partitions that it read to their end, whatever `acks`
    /// promised of them.
    pub fn lost_records(&self) -> u64 {
        self.history.lost_records()
    }

    /// What was found, in the order in which it was found. At most [`Violation::MAX_PER_PROPERTY`] a property.
    pub fn violations(&self) -> &[Violation] {
        self.findings.violations()
    }

    /// How often each property was violated, those beyond the listed ones included.
    pub fn counts(&self) -> &BTreeMap<&'static str, u64> {
        self.findings.counts()
    }
}
