//! Why a run cannot go on.

use trial_node::Time;
use trial_wire::ApiKey;

/// A bug in a node, or in what carries its messages, that ends the run: no peer, disk or user can cause it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorldError {
    /// A node sent a message that its version cannot express, or (on the wire of bytes) that does not decode again.
    #[error("{at} {host}: sent a message that is not one of {api:?} version {version}: {what}")]
    BadMessage {
        /// When.
        at: Time,
        /// Who.
        host: String,
        /// The API.
        api: ApiKey,
        /// The version.
        version: i16,
        /// What is wrong with it.
        what: String,
    },
    /// A node sent a request on a connection that it accepted, or a response on one that it opened.
    #[error("{at} {host}: sent a {what} on the wrong end of connection {conn}")]
    WrongEnd {
        /// When.
        at: Time,
        /// Who.
        host: String,
        /// The node's name of the connection.
        conn: u64,
        /// "request" or "response".
        what: &'static str,
    },
    /// Sockets that carry the nodes' messages did what no fault explains.
    #[error("{at} {host}: {what}")]
    Sockets {
        /// When.
        at: Time,
        /// Where.
        host: String,
        /// What happened.
        what: String,
    },
    /// Nodes kept the world busy without any time passing.
    #[error("{at} {host}: {steps} steps without time passing")]
    Livelock {
        /// When.
        at: Time,
        /// Who stepped last.
        host: String,
        /// How many steps.
        steps: u64,
    },
}
