//! This node's part in the KRaft quorum: routes the quorum's requests, carries out what raft wants done.

use std::collections::BTreeMap;

use trial_node::{ConnId, Endpoint, Io, LeaderEpoch, NodeId, Now, OpenError, TraceEvent};
use trial_raft::{Env, Output, Raft, RaftConfig, RequestId, RequestToken};
use trial_storage::log_dir::path_in;
use trial_wire::RequestKind;

use crate::channel::{ChannelId, Completion, Purpose};
use crate::metadata_log::{FOLDER, MetadataLog};
use crate::{Broker, BrokerConfig, Token};

/// Raft, who waits for its answers, and where its peers are.
#[derive(Clone, Debug)]
pub(crate) struct Quorum {
    pub raft: Raft<MetadataLog>,
    endpoints: BTreeMap<NodeId, Endpoint>,
    /// Requests that raft has not answered. A connection has at most one in progress.
    waiting: BTreeMap<ConnId, Token>,
}

impl Quorum {
    /// Rebuilds the member from the metadata log in `log_dir`.
    pub fn open(
        config: &BrokerConfig,
        effective: &trial_metadata::BrokerConfig,
        log_dir: &str,
        io: &mut Io<'_>,
        now: Now,
    ) -> Result<Quorum, OpenError> {
        let endpoints = config.controller_endpoints();
        let voters = endpoints.iter().map(|(node, endpoint)| (*node, endpoint.clone())).collect();
        let folder = path_in(log_dir, FOLDER);
        let raft_config = RaftConfig {
            folder: folder.clone(),
            election_timeout: effective.controller_quorum_election_timeout,
            fetch_timeout: effective.controller_quorum_fetch_timeout,
            election_backoff_max: effective.controller_quorum_election_backoff_max,
            request_timeout: effective.controller_quorum_request_timeout,
            retry_backoff: effective.controller_quorum_retry_backoff,
            append_linger: effective.controller_quorum_append_linger,
            ..RaftConfig::new(config.node_id, config.cluster_id.clone(), voters)
        };
        let segment_bytes =
            u32::try_from(effective.metadata_log_segment_bytes).expect("validated to be positive");
        let (log, report) = MetadataLog::open(io.disk, &folder, segment_bytes, now.wall_ms)?;
        for repair in report.repairs {
            io.trace(TraceEvent::Recovered { path: repair.path, what: repair.what });
        }
        let raft = Raft::open(raft_config, log, &mut env(now, io))?;
        Ok(Quorum { raft, endpoints, waiting: BTreeMap::new() })
    }

    /// Every voter with where its controller listens.
    pub fn controllers(&self) -> impl Iterator<Item = (NodeId, &Endpoint)> {
        self.endpoints.iter().map(|(node, endpoint)| (*node, endpoint))
    }

    /// The leader of the quorum, if this node knows one.
    pub fn leader(&self) -> Option<NodeId> {
        self.raft.leader_and_epoch().0
    }

    /// Where the leader's controller listens.
    pub fn leader_endpoint(&self) -> Option<(NodeId, &Endpoint)> {
        let leader = self.leader()?;
        Some((leader, self.endpoints.get(&leader)?))
    }

    /// A connection that we accepted is gone.
    pub fn closed(&mut self, conn: ConnId) {
        if self.waiting.remove(&conn).is_some() {
            self.raft.cancel_request(RequestToken(conn.0));
        }
    }
}

/// Raft's view of a call's surroundings.
pub(crate) fn env<'a>(now: Now, io: &'a mut Io<'_>) -> Env<'a> {
    Env { now, disk: &mut *io.disk, rng: &mut *io.rng }
}

impl Broker {
    /// Hands a request to raft, which will answer it.
    pub(crate) fn raft_request(&mut self, now: Now, io: &mut Io<'_>, token: Token, body: &RequestKind) {
        self.quorum.waiting.insert(token.conn, token);
        let id = RequestToken(token.conn.0);
        let done = self.quorum.raft.handle_request(&mut env(now, io), id, token.api_version, body);
        self.fail_on_error(done);
    }

    /// Hands the fate of one of raft's requests to it.
    pub(crate) fn raft_completion(&mut self, now: Now, io: &mut Io<'_>, completion: Completion) {
        let id = RequestId(completion.tag);
        let raft = &mut self.quorum.raft;
        let done = match completion.result {
            Ok(body) => raft.handle_response(&mut env(now, io), id, *body),
            Err(_) => raft.handle_failure(&mut env(now, io), id),
        };
        self.fail_on_error(done);
    }

    /// Does what raft wants done.
    pub(crate) fn raft_output(&mut self, now: Now, io: &mut Io<'_>, output: Output) {
        match output {
            Output::Request { to, id, api_version, body } => {
                let endpoint = self.quorum.endpoints.get(&to).expect("raft sends to voters only");
                let channel = ChannelId { node: to, purpose: Purpose::Raft };
                let timeout = self.effective.controller_quorum_request_timeout;
                self.channels.send(now, io, channel, endpoint, (id.0, api_version, body), timeout);
            }
            Output::Response { token, body } => {
                if let Some(token) = self.quorum.waiting.remove(&ConnId(token.0)) {
                    self.connections.respond(io, token, body);
                }
            }
            Output::RequestTimedOut { to, .. } => {
                self.channels.disconnect(io, ChannelId { node: to, purpose: Purpose::Raft });
            }
            Output::LeaderChanged { leader, epoch } => self.leader_changed(now, io, leader, epoch),
            Output::HighWatermarkAdvanced(_) => {
                self.publish(now, io);
                self.commit_decisions(io);
                self.maybe_activate(now, io);
            }
            Output::Trace(event) => io.trace(event),
        }
    }

    fn leader_changed(&mut self, now: Now, io: &mut Io<'_>, leader: Option<NodeId>, epoch: LeaderEpoch) {
        if leader != Some(self.config.node_id) {
            self.drop_controller(io);
        } else if self.controller.as_ref().is_some_and(|active| active.epoch() != epoch) {
            self.drop_controller(io);
            self.maybe_activate(now, io);
        } else {
            self.maybe_activate(now, io);
        }
    }
}
