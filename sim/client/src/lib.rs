//! Kafka's producer, consumer and admin clients without I/O, and the workloads built on them.
//!
//! - [`workload`]: [`ClientNode`], the process that a run places on a host: it drives the clients below and writes the
//!   history that checkers judge by.

pub mod workload;

pub use workload::{
    AssignedPartition, ClientConfig, ClientNode, ClientView, ConsumeWorkload, ConsumerView, Corpus, Keys,
    NewTopic, ProduceWorkload, ProducerView, Rate, SetupWorkload, Share, WorkloadConfig,
};
