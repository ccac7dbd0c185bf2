//! Sockets. Two things are done with them, apart from each other:
//! - [`engine`]: the nodes of a scenario on sockets, instead of in the world;
//! - [`Server`]: real clients on a cluster that is not. Each broker of a [`Cluster`] gets a TCP listener, and what comes in there goes
//!   into the cluster as what its outside clients do. [`Server::bind`], then [`Server::run`] until somebody stops it.
//!
//! Of the server, one thread owns the cluster and slaves its clock to the real one; a task per direction of each socket
//! frames, decodes and encodes. They talk by channels. Architecture invariant: nothing of a socket but the requests on it
//! reaches the cluster, neither ports nor addresses, so that the same requests at the same virtual instants give the same
//! run.

#![allow(clippy::disallowed_types, reason = "this is a driver: it has the clock that nodes have not")]

mod advertised;
mod clock;
mod cluster;
mod control;
mod edge;
mod limits;
mod order;
mod outgoing;
mod peers;
mod server;
mod socket;
mod tally;
mod tls;

pub mod engine;
pub mod session;

pub use clock::TimeScale;
pub use cluster::Cluster;
pub use limits::Limits;
pub use order::{FaultId, Order};
pub use peers::{Certified, Doors};
pub use server::{ListenError, Server, Stop};
pub use tally::Tally;
pub use tls::{Tls, TlsError};
