//! The name of a request whose response is still owed.

use trial_node::ConnId;

/// Names one request that came in on a connection of ours. Whoever holds it may answer later; an answer to a connection
/// that has gone meanwhile is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// The connection that it came in on.
    pub conn: ConnId,
    /// The request's correlation id, echoed by the response.
    pub correlation_id: i32,
    /// The request's version, which the response has to be in.
    pub api_version: i16,
}
