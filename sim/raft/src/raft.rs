//! The member: what it is asked and what it tells.

use bytes::Bytes;
use trial_node::view::QuorumView;
use trial_node::{Disk, LeaderEpoch, NodeId, Offset, OpenError, Time};
use trial_wire::{RequestKind, ResponseKind};

use crate::config::RaftConfig;
use crate::log::{OffsetAndEpoch, RaftError, ReplicatedLog};
use crate::output::{
    AppendError, Committed, Env, Output, RequestFailure, RequestId, RequestToken, SnapshotError,
};

/// One member of the quorum. See the crate's docs for how to drive it.
#[derive(Clone, Debug)]
pub struct Raft<L> {
    config: RaftConfig,
    log: L,
}

impl<L: ReplicatedLog> Raft<L> {
    /// Rebuilds the member from its `quorum-state`, its snapshots and its log.
    ///
    /// # Errors
    /// [`OpenError`] when the configuration makes no sense, the disk fails, or a file holds what no crash can explain.
    pub fn open(config: RaftConfig, log: L, env: &mut Env<'_>) -> Result<Raft<L>, OpenError> {
        let _ = (config, log, env);
        unimplemented!()
    }

    /// Takes a request of the quorum's APIs: Vote, BeginQuorumEpoch, EndQuorumEpoch, Fetch, FetchSnapshot,
    /// DescribeQuorum. The answer may come from a later call (a fetch is held until there is something to tell).
    ///
    /// # Errors
    /// [`RaftError`]: the node must halt.
    pub fn handle_request(
        &mut self,
        env: &mut Env<'_>,
        token: RequestToken,
        api_version: i16,
        body: &RequestKind,
    ) -> Result<(), RaftError> {
        let _ = (env, token, api_version, body);
        unimplemented!()
    }

    /// Forgets a request whose answer nobody waits for any more: its connection is gone.
    pub fn cancel_request(&mut self, token: RequestToken) {
        let _ = token;
        unimplemented!()
    }

    /// Takes the answer to a request of this member's. Answers that came too late are ignored.
    ///
    /// # Errors
    /// [`RaftError`]: the node must halt.
    pub fn handle_response(
        &mut self,
        env: &mut Env<'_>,
        id: RequestId,
        body: ResponseKind,
    ) -> Result<(), RaftError> {
        let _ = (env, id, body);
        unimplemented!()
    }

    /// Learns that a request of this member's will not be answered.
    ///
    /// # Errors
    /// [`RaftError`]: the node must halt.
    pub fn handle_failure(
        &mut self,
        env: &mut Env<'_>,
        id: RequestId,
        why: RequestFailure,
    ) -> Result<(), RaftError> {
        let _ = (env, id, why);
        unimplemented!()
    }

    /// Does what is due at [`Raft::poll_timeout`]. Harmless when it comes early.
    ///
    /// # Errors
    /// [`RaftError`]: the node must halt.
    pub fn handle_timeout(&mut self, env: &mut Env<'_>) -> Result<(), RaftError> {
        let _ = env;
        unimplemented!()
    }

    /// The next instant at which [`Raft::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Time> {
        unimplemented!()
    }

    /// The next thing to do for the caller.
    pub fn poll_output(&mut self) -> Option<Output> {
        unimplemented!()
    }

    /// Appends records with these values (no keys, no headers) as one batch, if this node leads `epoch`. Gives the offset
    /// of the last one at once; the batch is written now or within `controller.quorum.append.linger.ms`, and committed when
    /// the high watermark is above that offset. `values` must not be empty.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was appended.
    pub fn append(
        &mut self,
        env: &mut Env<'_>,
        epoch: LeaderEpoch,
        values: &[Bytes],
    ) -> Result<Offset, AppendError> {
        let _ = (env, epoch, values);
        unimplemented!()
    }

    /// Gives up the leadership of `epoch`, if this node has it, and tells the others, the most caught up first in line.
    ///
    /// # Errors
    /// [`RaftError`]: the node must halt.
    pub fn resign(&mut self, env: &mut Env<'_>, epoch: LeaderEpoch) -> Result<(), RaftError> {
        let _ = (env, epoch);
        unimplemented!()
    }

    /// The leader that it knows, which may be this node, and the epoch.
    pub fn leader_and_epoch(&self) -> (Option<NodeId>, LeaderEpoch) {
        unimplemented!()
    }

    /// Whether this node leads.
    pub fn is_leader(&self) -> bool {
        unimplemented!()
    }

    /// As a leader: the offset of the epoch's first record, the LeaderChange control record.
    pub fn epoch_start_offset(&self) -> Option<Offset> {
        unimplemented!()
    }

    /// Everything below is committed; `None` while this run of the node has not learned it. Never falls.
    pub fn high_watermark(&self) -> Option<Offset> {
        unimplemented!()
    }

    /// What is committed from `from` on, at most about `max_bytes` of it but at least one batch if there is one.
    ///
    /// # Errors
    /// [`RaftError`]: the node must halt.
    pub fn read_committed(
        &self,
        disk: &mut dyn Disk,
        from: Offset,
        max_bytes: u32,
    ) -> Result<Committed, RaftError> {
        let _ = (disk, from, max_bytes);
        unimplemented!()
    }

    /// The newest snapshot.
    pub fn latest_snapshot(&self) -> Option<OffsetAndEpoch> {
        unimplemented!()
    }

    /// A snapshot's content.
    ///
    /// # Errors
    /// [`RaftError`]: the node must halt.
    pub fn read_snapshot(&self, disk: &mut dyn Disk, id: OffsetAndEpoch) -> Result<Bytes, RaftError> {
        let _ = (disk, id);
        unimplemented!()
    }

    /// Stores the listener's snapshot of everything below `id.offset`, durably. `id.epoch` is that of the last batch in it.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn create_snapshot(
        &mut self,
        disk: &mut dyn Disk,
        id: OffsetAndEpoch,
        content: Bytes,
    ) -> Result<(), SnapshotError> {
        let _ = (disk, id, content);
        unimplemented!()
    }

    /// Removes what the newest snapshot makes superfluous: older snapshots, and the log before it. Followers that are
    /// further behind will fetch the snapshot.
    ///
    /// # Errors
    /// [`RaftError`]: the node must halt.
    pub fn clean_up_to_latest_snapshot(&mut self, disk: &mut dyn Disk) -> Result<(), RaftError> {
        let _ = disk;
        unimplemented!()
    }

    /// This node's part in the quorum, for checkers.
    pub fn quorum_view(&self) -> QuorumView {
        unimplemented!()
    }

    /// Whether [`Raft::quorum_view`] may have changed since this was last asked.
    pub fn take_changed(&mut self) -> bool {
        unimplemented!()
    }

    /// The log.
    pub fn log(&self) -> &L {
        &self.log
    }

    /// The configuration.
    pub fn config(&self) -> &RaftConfig {
        &self.config
    }
}
