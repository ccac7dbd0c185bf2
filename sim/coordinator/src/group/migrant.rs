//! A member that uses the classic protocol, on its way from a group of one protocol to the other's (KIP-848, "Consumer Group
//! Migration").

use bytes::Bytes;
use trial_wire::StrBytes;

/// What both kinds of groups know of such a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Migrant {
    pub(super) id: StrBytes,
    pub(super) instance_id: Option<StrBytes>,
    pub(super) client_id: StrBytes,
    pub(super) client_host: StrBytes,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) session_timeout_ms: i32,
    /// Its assignors, the preferred first, with what it says to each; at least one.
    pub(super) protocols: Vec<(StrBytes, Bytes)>,
    /// What it has, as [`super::embedded`] says it.
    pub(super) assignment: Bytes,
}
