//! Kafka's producer, consumer and admin clients without I/O, and the workloads built on them.
//!
//! - [`network`]: connections, requests, metadata: what all clients share;
//! - [`producer`], [`consumer`], [`admin`]: the clients, each a state machine that its owner drives;
//! - [`workload`]: [`ClientNode`], the process that a run places on a host: it drives the clients and writes the history
//!   that checkers judge by.

pub mod admin;
pub mod consumer;
pub mod errors;
pub mod network;
pub mod producer;
pub mod properties;
pub mod workload;

pub use admin::NewTopic;
pub use workload::{
    AssignedPartition, BankWorkload, ClientConfig, ClientNode, ClientView, ConsumeWorkload, ConsumerView,
    Corpus, Keys, ListsWorkload, OperateWorkload, PipelineWorkload, ProduceWorkload, ProducerView, Rate,
    Semantics, SetupWorkload, Share, TransactionView, WorkloadConfig,
};

#[cfg(test)]
mod testing;
