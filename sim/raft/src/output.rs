//! What goes into a quorum member beside messages, and what comes out.

use bytes::Bytes;
use trial_node::{Disk, LeaderEpoch, NodeId, Now, Offset, Rng, TraceEvent};
use trial_wire::{RequestKind, ResponseKind};

use crate::log::{OffsetAndEpoch, RaftError};

/// The surroundings of one call.
pub struct Env<'a> {
    /// The instant.
    pub now: Now,
    /// The node's disk.
    pub disk: &'a mut dyn Disk,
    /// The node's random stream; timeouts are drawn from it.
    pub rng: &'a mut Rng,
}

/// The caller's name for a request that it handed in, echoed by [`Output::Response`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestToken(pub u64);

/// The member's name for a request that it sent, unique until the node restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What the caller should do, in this order.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "boxing would cost an allocation per message")]
pub enum Output {
    /// Send a request; hand the outcome to `Raft::handle_response` or `Raft::handle_failure`.
    Request {
        /// To whom. Always a voter.
        to: NodeId,
        /// Its name.
        id: RequestId,
        /// The version of its API.
        api_version: i16,
        /// The message.
        body: RequestKind,
    },
    /// Answer a request that was handed in. There is exactly one answer to each, unless the node stops first.
    Response {
        /// The request.
        token: RequestToken,
        /// The answer.
        body: ResponseKind,
    },
    /// A request was not answered within `controller.quorum.request.timeout.ms`. Its answer will be ignored, and the
    /// connection to that voter had better be closed and made anew, as Kafka's clients do.
    RequestTimedOut {
        /// To whom it was sent.
        to: NodeId,
        /// The request.
        id: RequestId,
    },
    /// The leader or the epoch changed. When `leader` is this node it leads: it may append at once, but has seen all that
    /// is committed only once the high watermark is above `Raft::epoch_start_offset`.
    LeaderChanged {
        /// The leader; `None` if it is unknown.
        leader: Option<NodeId>,
        /// The epoch.
        epoch: LeaderEpoch,
    },
    /// More is committed; `Raft::read_committed` gives it. Also after a snapshot was fetched from the leader.
    HighWatermarkAdvanced(Offset),
    /// For the people who read the run.
    Trace(TraceEvent),
}

/// Records could not be appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// This node does not lead that epoch (any more).
    #[error("not the leader of epoch {epoch}; the epoch is {current} and its leader {leader:?}")]
    NotLeader {
        /// The epoch that the caller believes it leads.
        epoch: LeaderEpoch,
        /// The epoch now.
        current: LeaderEpoch,
        /// The leader now, if it is known.
        leader: Option<NodeId>,
    },
    /// The records do not fit one batch; they are written whole or not at all.
    #[error("{size} bytes of records exceed a batch's {max}")]
    TooLarge {
        /// Their size in bytes.
        size: usize,
        /// The most that fits in bytes.
        max: usize,
    },
    /// The node must halt.
    #[error(transparent)]
    Fatal(#[from] RaftError),
}

/// A snapshot could not be created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It is not newer than the newest one.
    #[error("snapshot {id} is not newer than {latest}")]
    Stale {
        /// The snapshot.
        id: OffsetAndEpoch,
        /// The newest one, or the log's start.
        latest: OffsetAndEpoch,
    },
    /// It reaches above the high watermark, or no batch of its epoch ends at its offset.
    #[error("snapshot {id} is not a committed end of a batch in the log")]
    NotInLog {
        /// The snapshot.
        id: OffsetAndEpoch,
    },
    /// The node must halt.
    #[error(transparent)]
    Fatal(#[from] RaftError),
}

/// What a listener reads next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Whole batches, the first of which holds the offset asked for; all of it is committed.
    Batches(Bytes),
    /// The log begins later: load this snapshot with `Raft::read_snapshot` and go on at its offset.
    Snapshot(OffsetAndEpoch),
    /// Nothing more is committed.
    Nothing,
}
