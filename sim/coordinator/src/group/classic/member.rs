//! A member of a classic group.

use bytes::Bytes;
use trial_node::Span;
use trial_wire::StrBytes;
use trial_wire::messages::join_group_request::JoinGroupRequestProtocol;

use crate::CallId;

/// A member.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// `group.instance.id`, if it is static (KIP-345).
    pub(super) instance_id: Option<StrBytes>,
    pub(super) client_id: StrBytes,
    pub(super) client_host: StrBytes,
    pub(super) terms: Terms,
    /// What the leader gave it in the present generation.
    pub(super) assignment: Bytes,
    /// The JoinGroup that waits for the others.
    pub(super) join: Option<Waiting>,
    /// The SyncGroup that waits for the leader's, or for the log.
    pub(super) sync: Option<CallId>,
    /// It has not been in a generation yet: it does not know its id and cannot send heartbeats.
    pub(super) is_new: bool,
}

/// What a member says when it joins.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// Its assignors, the preferred first, with what it says to each.
    pub(super) protocols: Vec<(StrBytes, Bytes)>,
    /// How long a rebalance waits for it, in ms.
    pub(super) rebalance_timeout_ms: i32,
    /// How long it may be silent, in ms.
    pub(super) session_timeout_ms: i32,
}

/// A JoinGroup that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) call: CallId,
    pub(super) version: i16,
}

/// What it takes to undo that a static member got another id.
#[derive(Clone, Debug)]
pub(in crate::group) struct Replaced {
    pub(super) instance_id: StrBytes,
    pub(super) old_id: StrBytes,
    pub(super) new_id: StrBytes,
    pub(super) old_terms: Terms,
    /// The leader before.
    pub(super) old_leader: Option<StrBytes>,
}

impl Terms {
    /// Before version 1 there was no rebalance time-out: the session time-out was both.
    pub(super) fn new(
        protocols: Vec<JoinGroupRequestProtocol>,
        rebalance_timeout_ms: i32,
        session_timeout_ms: i32,
    ) -> Terms {
        Terms {
            protocols: protocols.into_iter().map(|protocol| (protocol.name, protocol.metadata)).collect(),
            rebalance_timeout_ms: if rebalance_timeout_ms < 0 {
                session_timeout_ms
            } else {
                rebalance_timeout_ms
            },
            session_timeout_ms,
        }
    }

    pub(super) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name.as_str() == protocol)
    }
}

impl Member {
    /// What it says to an assignor.
    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        let said = self.terms.protocols.iter().find(|(name, _)| name.as_str() == protocol);
        said.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    /// While it waits for the others it need not be heard of, unless nobody knows whether it still waits.
    pub(super) fn is_excused(&self) -> bool {
        !self.is_new && (self.join.is_some() || self.sync.is_some())
    }

    pub(super) fn session_timeout(&self) -> Span {
        span_ms(self.terms.session_timeout_ms)
    }
}

/// A time-out that a request tells; below 0 counts as 0.
pub(super) fn span_ms(ms: i32) -> Span {
    Span::from_millis(u64::try_from(ms).unwrap_or(0))
}
