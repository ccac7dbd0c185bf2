//! `quorum-state`: what a member must not forget, in Kafka's format.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use trial_node::{Disk, DiskError, LeaderEpoch, NodeId, OpenError};

use crate::config::RaftConfig;

const NAME: &str = "quorum-state";

/// The epoch, and within it the leader and the vote. Neither of the two changes to another node within an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ElectionState {
    pub epoch: LeaderEpoch,
    pub leader: Option<NodeId>,
    pub voted: Option<NodeId>,
}

impl ElectionState {
    pub fn unknown_leader(epoch: LeaderEpoch) -> ElectionState {
        ElectionState { epoch, leader: None, voted: None }
    }
}

/// The file's content. Version 0 is that of a static voter set; version 1 (KIP-853) lacks the voters.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    cluster_id: String,
    leader_id: i32,
    leader_epoch: i32,
    voted_id: i32,
    #[serde(default)]
    applied_offset: i64,
    #[serde(default)]
    current_voters: Option<Vec<Voter>>,
    #[serde(rename = "data_version")]
    data_version: i16,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Voter {
    voter_id: i32,
}

fn path(config: &RaftConfig) -> String {
    format!("{}/{NAME}", config.folder)
}

/// What the file says; epoch 0 without leader or vote if there is none yet.
pub(crate) fn read(config: &RaftConfig, disk: &mut dyn Disk) -> Result<ElectionState, OpenError> {
    let path = path(config);
    let file = match disk.open(&path, false) {
        Ok(file) => file,
        Err(DiskError::NotFound { .. }) => return Ok(ElectionState::default()),
        Err(error) => return Err(error.into()),
    };
    let len = disk.len(file);
    let content = disk.read(file, 0, len);
    disk.close(file);
    let corrupt = |what: String| OpenError::Corrupt { path: path.clone(), what };
    let state: File =
        serde_json::from_slice(&content?).map_err(|error| corrupt(format!("not a quorum state: {error}")))?;
    if !(0..=1).contains(&state.data_version) {
        return Err(corrupt(format!("data_version {} is unknown; 0 and 1 are", state.data_version)));
    }
    if state.leader_epoch < 0 {
        return Err(corrupt(format!("leaderEpoch {} is negative", state.leader_epoch)));
    }
    let node = |id: i32| (id >= 0).then_some(NodeId(id));
    Ok(ElectionState {
        epoch: LeaderEpoch(state.leader_epoch),
        leader: node(state.leader_id),
        voted: node(state.voted_id),
    })
}

/// Replaces the file, durably, or leaves the old one.
pub(crate) fn write(
    config: &RaftConfig,
    disk: &mut dyn Disk,
    state: &ElectionState,
) -> Result<(), DiskError> {
    let id = |node: Option<NodeId>| node.unwrap_or(NodeId::NONE).0;
    let content = serde_json::to_vec(&File {
        cluster_id: String::new(),
        leader_id: id(state.leader),
        leader_epoch: state.epoch.0,
        voted_id: id(state.voted),
        applied_offset: 0,
        current_voters: Some(config.voters.iter().map(|(voter, _)| Voter { voter_id: voter.0 }).collect()),
        data_version: 0,
    })
    .expect("plain numbers and strings have a JSON form");
    let path = path(config);
    let temporary = format!("{path}.tmp");
    write_file(disk, &temporary, Bytes::from(content))?;
    disk.rename(&temporary, &path)?;
    disk.sync_folder(&config.folder)
}

/// Gives the file this content alone, synced.
pub(crate) fn write_file(disk: &mut dyn Disk, path: &str, content: Bytes) -> Result<(), DiskError> {
    let file = disk.open(path, true)?;
    let mut written = Ok(());
    if disk.len(file) > 0 {
        written = disk.truncate(file, 0);
    }
    let written = written.and_then(|()| disk.append(file, &[content])).and_then(|()| disk.sync(file));
    disk.close(file);
    written
}
