//! Connections to brokers and the cluster metadata that says where they are: what Kafka's producer, consumer and admin
//! client have in common.

mod backoff;
mod client;
mod config;
mod connection;
mod metadata;
mod sasl;

pub use backoff::ExponentialBackoff;
pub use client::{Completion, Failure, NetworkClient, Outgoing};
pub use config::NetworkConfig;
pub use metadata::{LeaderHint, Metadata, Partition, Topic, TopicSlot};
pub use sasl::Login;

#[cfg(test)]
mod tests;
