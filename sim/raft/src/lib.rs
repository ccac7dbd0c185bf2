//! The KRaft quorum (KIP-595) as a state machine without I/O: elections with pre-vote (KIP-996), replication by fetch,
//! snapshots (KIP-630), on the wire as of KIP-853 with a static voter set.
//!
//! How to drive a [`Raft`]:
//! 1. [`Raft::open`] rebuilds it from the disk;
//! 2. drain [`Raft::poll_output`] and carry out each [`Output`], after this call and after each of the next step;
//! 3. hand in what happens: [`Raft::handle_request`], [`Raft::handle_response`], [`Raft::handle_failure`], and
//!    [`Raft::handle_timeout`] at [`Raft::poll_timeout`]; as a leader also [`Raft::append`] and [`Raft::resign`];
//!    [`Raft::shut_down`] before the node stops for good;
//! 4. on [`Output::HighWatermarkAdvanced`] read on with [`Raft::read_committed`].
//!
//! A [`RaftError`] from any call means that the node must halt: what it has promised is not on its disk.
//!
//! Whatever a message promises is durable before the message is emitted: the vote and the epoch in `quorum-state`, a
//! voter's log before its next fetch, the leader's log before it counts itself.

mod config;
mod election;
mod follower;
mod leader;
mod log;
mod messages;
mod output;
mod peers;
mod poll;
mod quorum_state;
mod raft;
mod role;
mod snapshots;
mod transition;

pub use config::RaftConfig;
pub use log::{OffsetAndEpoch, RaftError, ReplicatedLog};
pub use messages::{METADATA_TOPIC, METADATA_TOPIC_ID};
pub use output::{AppendError, Committed, Env, Output, RequestId, RequestToken, SnapshotError};
pub use raft::Raft;
