//! What a quorum member must know before it reads its disk.

use trial_node::{Endpoint, NodeId, OpenError, Span};
use trial_wire::StrBytes;

/// Configuration of one member. Names in the docs are Kafka's.
#[derive(Clone, Debug)]
pub struct RaftConfig {
    /// `node.id`.
    pub node_id: NodeId,
    /// The cluster's id, sent with each request; a request with another one is refused.
    pub cluster_id: StrBytes,
    /// `controller.quorum.voters`: the members that vote, with where they listen. A node that is not among them is an
    /// observer: it fetches and never votes.
    pub voters: Vec<(NodeId, Endpoint)>,
    /// The folder of the metadata log, where `quorum-state` and the snapshots live too.
    pub folder: String,
    /// `controller.quorum.election.timeout.ms`: how long a member without a leader waits for one; each wait is drawn from
    /// this to twice this.
    pub election_timeout: Span,
    /// `controller.quorum.fetch.timeout.ms`: how long a follower may go without a successful fetch before it asks for an
    /// election. A leader resigns after one and a half times this without a majority that fetches.
    pub fetch_timeout: Span,
    /// `controller.quorum.election.backoff.max.ms`: the longest that a preferred successor waits for those before it.
    pub election_backoff_max: Span,
    /// `controller.quorum.request.timeout.ms`: after this long a request counts as lost.
    pub request_timeout: Span,
    /// `controller.quorum.retry.backoff.ms`: how long a peer is left alone after a request to it failed.
    pub retry_backoff: Span,
    /// `controller.quorum.append.linger.ms`: how long a leader may wait for more records to write and flush together;
    /// zero writes at once.
    pub append_linger: Span,
    /// How long a leader may hold a follower's fetch that finds nothing new (500 ms in Kafka, not configurable there).
    pub fetch_max_wait: Span,
    /// The most bytes of records or snapshot that one fetch asks for (8 MiB in Kafka); one batch may exceed it.
    pub fetch_max_bytes: u32,
}

impl RaftConfig {
    /// Kafka's defaults for member `node_id` of the cluster `cluster_id`.
    pub fn new(node_id: NodeId, cluster_id: StrBytes, voters: Vec<(NodeId, Endpoint)>) -> RaftConfig {
        RaftConfig {
            node_id,
            cluster_id,
            voters,
            folder: "__cluster_metadata-0".to_owned(),
            election_timeout: Span::from_millis(1_000),
            fetch_timeout: Span::from_millis(2_000),
            election_backoff_max: Span::from_millis(1_000),
            request_timeout: Span::from_millis(2_000),
            retry_backoff: Span::from_millis(20),
            append_linger: Span::from_millis(25),
            fetch_max_wait: Span::from_millis(500),
            fetch_max_bytes: 8 << 20,
        }
    }

    /// Whether `node` votes.
    pub fn is_voter(&self, node: NodeId) -> bool {
        self.voters.iter().any(|(voter, _)| *voter == node)
    }

    /// How many votes win.
    pub(crate) fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let wrong =
            |key: &str, what: &str| Err(OpenError::Config { key: key.to_owned(), what: what.to_owned() });
        if self.voters.is_empty() {
            return wrong("controller.quorum.voters", "is empty; name at least one voter");
        }
        let mut ids: Vec<_> = self.voters.iter().map(|(voter, _)| *voter).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() != self.voters.len() {
            return wrong("controller.quorum.voters", "names a voter twice; each node.id may vote once");
        }
        for (key, span) in [
            ("controller.quorum.election.timeout.ms", self.election_timeout),
            ("controller.quorum.fetch.timeout.ms", self.fetch_timeout),
            ("controller.quorum.request.timeout.ms", self.request_timeout),
        ] {
            if span == Span::ZERO {
                return wrong(key, "is 0; it must be at least 1");
            }
        }
        Ok(())
    }
}
