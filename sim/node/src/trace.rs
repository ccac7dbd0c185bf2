//! What a node tells the people who read a run: the timeline's entries and the last lines before a violation.

use std::fmt;

use trial_wire::{StrBytes, TopicName};

use crate::id::{LeaderEpoch, NodeId, Offset, ProducerEpoch, ProducerId, TopicPartition};

/// Something worth knowing happened at a node. Rare by design: nothing here is per record or per request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceEvent {
    /// A broker's process rebuilt its state from disk and begins to register.
    BrokerStarted,
    /// A broker learned that the controller has unfenced it: it serves.
    BrokerUnfenced,
    /// A broker learned that the controller has fenced it.
    BrokerFenced,
    /// A broker began its controlled shutdown.
    ShutdownStarted,
    /// A node became a prospective (KIP-996) or a candidate in the quorum.
    QuorumElectionStarted {
        /// The epoch that it is in (prospective) or asks for (candidate).
        epoch: LeaderEpoch,
        /// Whether it only asks whether it would win.
        pre_vote: bool,
    },
    /// A node became the quorum's leader.
    QuorumLeaderElected {
        /// The new epoch.
        epoch: LeaderEpoch,
    },
    /// A node follows a quorum leader.
    QuorumLeaderFollowed {
        /// The epoch.
        epoch: LeaderEpoch,
        /// The leader.
        leader: NodeId,
    },
    /// A quorum leader gave up, by an operator's wish or because it does not hear a majority.
    QuorumLeaderResigned {
        /// The epoch that it led.
        epoch: LeaderEpoch,
    },
    /// The quorum's leader has caught up with its own log and acts as the active controller.
    ControllerActivated {
        /// Its epoch.
        epoch: LeaderEpoch,
    },
    /// The active controller fenced a broker.
    ControllerFencedBroker {
        /// The broker.
        broker: NodeId,
    },
    /// The active controller unfenced a broker.
    ControllerUnfencedBroker {
        /// The broker.
        broker: NodeId,
    },
    /// The active controller chose a partition's leader.
    LeaderElected {
        /// The partition.
        tp: TopicPartition,
        /// The leader; [`NodeId::NONE`] if there is none.
        leader: NodeId,
        /// The new leader epoch.
        leader_epoch: LeaderEpoch,
        /// Whether it was taken from outside the ISR: committed records may be lost.
        unclean: bool,
    },
    /// A broker began to lead a partition.
    PartitionLeader {
        /// The partition.
        tp: TopicPartition,
        /// The leader epoch.
        leader_epoch: LeaderEpoch,
        /// Its log's end at that instant.
        log_end_offset: Offset,
    },
    /// A broker began to follow a partition's leader.
    PartitionFollower {
        /// The partition.
        tp: TopicPartition,
        /// The leader epoch.
        leader_epoch: LeaderEpoch,
        /// The leader; [`NodeId::NONE`] if there is none.
        leader: NodeId,
    },
    /// A leader learned that the controller accepted its smaller ISR.
    IsrShrunk {
        /// The partition.
        tp: TopicPartition,
        /// The members now.
        isr: Vec<NodeId>,
    },
    /// A leader learned that the controller accepted its larger ISR.
    IsrExpanded {
        /// The partition.
        tp: TopicPartition,
        /// The members now.
        isr: Vec<NodeId>,
    },
    /// The active controller began to move a partition to other replicas (KIP-455), or changed where to.
    ReassignmentStarted {
        /// The partition.
        tp: TopicPartition,
        /// All replicas for the time being.
        replicas: Vec<NodeId>,
        /// Those that come.
        adding: Vec<NodeId>,
        /// Those that go once the others are in sync.
        removing: Vec<NodeId>,
    },
    /// A partition has moved: its replicas are those that were asked for.
    ReassignmentCompleted {
        /// The partition.
        tp: TopicPartition,
        /// Its replicas.
        replicas: Vec<NodeId>,
    },
    /// The active controller took back a reassignment.
    ReassignmentCancelled {
        /// The partition.
        tp: TopicPartition,
        /// Its replicas, as before.
        replicas: Vec<NodeId>,
    },
    /// A leader sent a consumer to a replica in its rack (KIP-392).
    ReadReplicaChosen {
        /// The partition.
        tp: TopicPartition,
        /// The replica.
        replica: NodeId,
    },
    /// A replica cut its log because it had diverged from the leader's.
    LogTruncated {
        /// The partition.
        tp: TopicPartition,
        /// Its log's end before.
        from: Offset,
        /// Its log's end after.
        to: Offset,
    },
    /// The leader of a partition moved its log's start: records before it are deleted, because somebody asked for that or
    /// because they are too old or too many.
    LogStartAdvanced {
        /// The partition.
        tp: TopicPartition,
        /// Where the log started before.
        from: Offset,
        /// Where it starts now.
        to: Offset,
    },
    /// A replica compacted its log.
    LogCompacted {
        /// The partition.
        tp: TopicPartition,
        /// The size of what was looked at, in bytes.
        before: u64,
        /// Its size now, in bytes.
        after: u64,
    },
    /// A replica cannot compact its log, and leaves it alone until the broker starts again.
    LogUncleanable {
        /// The partition.
        tp: TopicPartition,
        /// What is wrong with it.
        what: String,
    },
    /// A broker has loaded the coordinator of a partition, whose log was not empty, and begins to serve its groups or
    /// transactional ids.
    CoordinatorLoaded {
        /// The partition of `__consumer_offsets` or `__transaction_state`.
        tp: TopicPartition,
        /// The leader epoch.
        leader_epoch: LeaderEpoch,
        /// Its log's end.
        applied: Offset,
    },
    /// A group has begun a new generation (classic protocol).
    GroupRebalanced {
        /// The group.
        group: StrBytes,
        /// The generation.
        generation: i32,
        /// How many members it has.
        members: usize,
    },
    /// A classic group with members has become one of KIP-848.
    GroupUpgraded {
        /// The group.
        group: StrBytes,
    },
    /// A KIP-848 group with members has become a classic one.
    GroupDowngraded {
        /// The group.
        group: StrBytes,
    },
    /// A transaction was open for too long and is aborted by its coordinator.
    TransactionTimedOut {
        /// The transactional id.
        transactional_id: StrBytes,
        /// Its producer.
        producer_id: ProducerId,
        /// The producer's epoch.
        producer_epoch: ProducerEpoch,
    },
    /// A coordinator refused a producer because a newer one has taken its transactional id over.
    ProducerFenced {
        /// The transactional id.
        transactional_id: StrBytes,
        /// The producer that was refused.
        producer_id: ProducerId,
        /// Its epoch.
        producer_epoch: ProducerEpoch,
    },
    /// A topic was created.
    TopicCreated {
        /// Its name.
        topic: TopicName,
    },
    /// A topic was deleted.
    TopicDeleted {
        /// Its name.
        topic: TopicName,
    },
    /// Recovery found something to repair on disk.
    Recovered {
        /// The file or folder.
        path: String,
        /// What was repaired.
        what: String,
    },
    /// A broker has stopped using one of its log directories.
    LogDirOffline {
        /// Its path within the node's disk, with a slash before it.
        directory: String,
        /// What failed there.
        what: String,
    },
    /// A broker makes a client wait that is over its quota.
    ClientThrottled {
        /// The client's id.
        client_id: StrBytes,
        /// For how long, in milliseconds.
        ms: u64,
    },
    /// A client gave up on a connection or a request.
    ClientError {
        /// What happened.
        what: String,
    },
}

impl TraceEvent {
    /// The event's kind, as `expect.reached` in a scenario names it.
    pub fn kind(&self) -> &'static str {
        match self {
            TraceEvent::BrokerStarted => "broker-started",
            TraceEvent::BrokerUnfenced => "broker-unfenced",
            TraceEvent::BrokerFenced => "broker-fenced",
            TraceEvent::ShutdownStarted => "shutdown-started",
            TraceEvent::QuorumElectionStarted { .. } => "quorum-election-started",
            TraceEvent::QuorumLeaderElected { .. } => "quorum-leader-elected",
            TraceEvent::QuorumLeaderFollowed { .. } => "quorum-leader-followed",
            TraceEvent::QuorumLeaderResigned { .. } => "quorum-leader-resigned",
            TraceEvent::ControllerActivated { .. } => "controller-activated",
            TraceEvent::ControllerFencedBroker { .. } => "controller-fenced-broker",
            TraceEvent::ControllerUnfencedBroker { .. } => "controller-unfenced-broker",
            TraceEvent::LeaderElected { unclean: false, .. } => "leader-elected",
            TraceEvent::LeaderElected { unclean: true, .. } => "unclean-leader-elected",
            TraceEvent::PartitionLeader { .. } => "partition-leader",
            TraceEvent::PartitionFollower { .. } => "partition-follower",
            TraceEvent::IsrShrunk { .. } => "isr-shrunk",
            TraceEvent::IsrExpanded { .. } => "isr-expanded",
            TraceEvent::ReassignmentStarted { .. } => "reassignment-started",
            TraceEvent::ReassignmentCompleted { .. } => "reassignment-completed",
            TraceEvent::ReassignmentCancelled { .. } => "reassignment-cancelled",
            TraceEvent::ReadReplicaChosen { .. } => "read-replica-chosen",
            TraceEvent::LogTruncated { .. } => "log-truncated",
            TraceEvent::LogStartAdvanced { .. } => "log-start-advanced",
            TraceEvent::LogCompacted { .. } => "log-compacted",
            TraceEvent::LogUncleanable { .. } => "log-uncleanable",
            TraceEvent::CoordinatorLoaded { .. } => "coordinator-loaded",
            TraceEvent::GroupRebalanced { .. } => "group-rebalanced",
            TraceEvent::GroupUpgraded { .. } => "group-upgraded",
            TraceEvent::GroupDowngraded { .. } => "group-downgraded",
            TraceEvent::TransactionTimedOut { .. } => "transaction-timed-out",
            TraceEvent::ProducerFenced { .. } => "producer-fenced",
            TraceEvent::TopicCreated { .. } => "topic-created",
            TraceEvent::TopicDeleted { .. } => "topic-deleted",
            TraceEvent::Recovered { .. } => "recovered",
            TraceEvent::LogDirOffline { .. } => "log-dir-offline",
            TraceEvent::ClientThrottled { .. } => "client-throttled",
            TraceEvent::ClientError { .. } => "client-error",
        }
    }

    /// The partition whose leadership, replicas or log it is about.
    pub fn of_partition(&self) -> Option<&TopicPartition> {
        match self {
            TraceEvent::LeaderElected { tp, .. }
            | TraceEvent::PartitionLeader { tp, .. }
            | TraceEvent::PartitionFollower { tp, .. }
            | TraceEvent::IsrShrunk { tp, .. }
            | TraceEvent::IsrExpanded { tp, .. }
            | TraceEvent::ReassignmentStarted { tp, .. }
            | TraceEvent::ReassignmentCompleted { tp, .. }
            | TraceEvent::ReassignmentCancelled { tp, .. }
            | TraceEvent::ReadReplicaChosen { tp, .. }
            | TraceEvent::LogTruncated { tp, .. }
            | TraceEvent::LogStartAdvanced { tp, .. }
            | TraceEvent::LogCompacted { tp, .. }
            | TraceEvent::LogUncleanable { tp, .. } => Some(tp),
            _ => None,
        }
    }

    /// Every kind there is, for messages that suggest one.
    pub const KINDS: [&'static str; 37] = [
        "broker-started",
        "broker-unfenced",
        "broker-fenced",
        "shutdown-started",
        "quorum-election-started",
        "quorum-leader-elected",
        "quorum-leader-followed",
        "quorum-leader-resigned",
        "controller-activated",
        "controller-fenced-broker",
        "controller-unfenced-broker",
        "leader-elected",
        "unclean-leader-elected",
        "partition-leader",
        "partition-follower",
        "isr-shrunk",
        "isr-expanded",
        "reassignment-started",
        "reassignment-completed",
        "reassignment-cancelled",
        "read-replica-chosen",
        "log-truncated",
        "log-start-advanced",
        "log-compacted",
        "log-uncleanable",
        "coordinator-loaded",
        "group-rebalanced",
        "group-upgraded",
        "group-downgraded",
        "transaction-timed-out",
        "producer-fenced",
        "topic-created",
        "topic-deleted",
        "recovered",
        "log-dir-offline",
        "client-throttled",
        "client-error",
    ];
}

fn node_list(f: &mut fmt::Formatter<'_>, nodes: &[NodeId]) -> fmt::Result {
    for (i, id) in nodes.iter().enumerate() {
        write!(f, "{}{id}", if i == 0 { "" } else { "," })?;
    }
    Ok(())
}

impl fmt::Display for TraceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        match self {
            TraceEvent::BrokerStarted
            | TraceEvent::BrokerUnfenced
            | TraceEvent::BrokerFenced
            | TraceEvent::ShutdownStarted => Ok(()),
            TraceEvent::QuorumElectionStarted { epoch, pre_vote } => {
                write!(f, " epoch={epoch} pre_vote={pre_vote}")
            }
            TraceEvent::QuorumLeaderElected { epoch }
            | TraceEvent::QuorumLeaderResigned { epoch }
            | TraceEvent::ControllerActivated { epoch } => write!(f, " epoch={epoch}"),
            TraceEvent::QuorumLeaderFollowed { epoch, leader } => write!(f, " epoch={epoch} leader={leader}"),
            TraceEvent::ControllerFencedBroker { broker }
            | TraceEvent::ControllerUnfencedBroker { broker } => {
                write!(f, " broker={broker}")
            }
            TraceEvent::LeaderElected { tp, leader, leader_epoch, .. } => {
                write!(f, " {tp} leader={leader} leader_epoch={leader_epoch}")
            }
            TraceEvent::PartitionLeader { tp, leader_epoch, log_end_offset } => {
                write!(f, " {tp} leader_epoch={leader_epoch} log_end_offset={log_end_offset}")
            }
            TraceEvent::PartitionFollower { tp, leader_epoch, leader } => {
                write!(f, " {tp} leader_epoch={leader_epoch} leader={leader}")
            }
            TraceEvent::IsrShrunk { tp, isr } | TraceEvent::IsrExpanded { tp, isr } => {
                write!(f, " {tp} isr=")?;
                node_list(f, isr)
            }
            TraceEvent::ReassignmentStarted { tp, replicas, adding, removing } => {
                write!(f, " {tp}")?;
                for (name, nodes) in [("replicas", replicas), ("adding", adding), ("removing", removing)] {
                    write!(f, " {name}=")?;
                    node_list(f, nodes)?;
                }
                Ok(())
            }
            TraceEvent::ReassignmentCompleted { tp, replicas }
            | TraceEvent::ReassignmentCancelled { tp, replicas } => {
                write!(f, " {tp} replicas=")?;
                node_list(f, replicas)
            }
            TraceEvent::ReadReplicaChosen { tp, replica } => write!(f, " {tp} replica={replica}"),
            TraceEvent::LogTruncated { tp, from, to } | TraceEvent::LogStartAdvanced { tp, from, to } => {
                write!(f, " {tp} from={from} to={to}")
            }
            TraceEvent::LogCompacted { tp, before, after } => {
                write!(f, " {tp} before={before} after={after}")
            }
            TraceEvent::LogUncleanable { tp, what } => write!(f, " {tp} {what}"),
            TraceEvent::CoordinatorLoaded { tp, leader_epoch, applied } => {
                write!(f, " {tp} leader_epoch={leader_epoch} applied={applied}")
            }
            TraceEvent::GroupRebalanced { group, generation, members } => {
                write!(f, " {} generation={generation} members={members}", group.as_str())
            }
            TraceEvent::GroupUpgraded { group } | TraceEvent::GroupDowngraded { group } => {
                write!(f, " {}", group.as_str())
            }
            TraceEvent::TransactionTimedOut { transactional_id, producer_id, producer_epoch }
            | TraceEvent::ProducerFenced { transactional_id, producer_id, producer_epoch } => {
                let id = transactional_id.as_str();
                write!(f, " {id} producer_id={producer_id} producer_epoch={producer_epoch}")
            }
            TraceEvent::TopicCreated { topic } | TraceEvent::TopicDeleted { topic } => {
                write!(f, " {}", topic.as_str())
            }
            TraceEvent::Recovered { path, what } => write!(f, " {path}: {what}"),
            TraceEvent::LogDirOffline { directory, what } => write!(f, " {directory}: {what}"),
            TraceEvent::ClientThrottled { client_id, ms } => {
                write!(f, " client_id={} ms={ms}", client_id.as_str())
            }
            TraceEvent::ClientError { what } => write!(f, " {what}"),
        }
    }
}
