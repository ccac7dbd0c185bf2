//! A Kafka broker as a state machine without I/O: APIs, replication, purgatories.
//!
//! - [`Broker`]: a combined node (broker and controller in one process), driven as [`trial_node::Node`] says;
//! - [`BrokerConfig`]: what it must know before it starts;
//! - [`connections`] and [`channel`]: requests that come in, requests that go out;
//! - [`replica`]: partitions and their replication.

mod apis;
mod broker;
pub mod channel;
mod config;
pub mod connections;
mod controller;
mod coordinator;
mod lifecycle;
mod loader;
mod log_dirs;
mod metadata_log;
mod mutations;
mod published;
mod quorum;
mod quotas;
pub mod replica;
mod security;
mod shutdown;
#[cfg(test)]
mod testing;
mod to_controller;
pub mod token;
mod view;

pub use broker::Broker;
pub use config::BrokerConfig;
pub use connections::{BROKER_PORT, CONTROLLER_PORT};
pub use security::{CLIENT_PORT, TLS_PORT, tls_login};
pub use token::Token;
