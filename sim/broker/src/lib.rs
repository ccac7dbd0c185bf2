//! A Kafka broker as a state machine without I/O: APIs, replication, purgatories.
//!
//! - [`Broker`]: a combined node (broker and controller in one process), driven as [`trial_node::Node`] says;
//! - [`BrokerConfig`]: what it must know before it starts;
//! - [`connections`]: requests that come in;
//! - [`replica`]: partitions and their replication.

mod broker;
mod config;
pub mod connections;
pub mod replica;
pub mod token;

pub use broker::Broker;
pub use config::BrokerConfig;
pub use connections::{BROKER_PORT, CONTROLLER_PORT};
pub use token::Token;
