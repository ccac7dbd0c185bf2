//! The client process: producers, consumers and an administrator under one roof, following a load plan.

mod config;
mod node;
mod view;

pub use config::{
    ClientConfig, ConsumeWorkload, Corpus, Keys, NewTopic, ProduceWorkload, Rate, SetupWorkload, Share,
    WorkloadConfig,
};
pub use node::ClientNode;
pub use view::{AssignedPartition, ClientView, ConsumerView, ProducerView};
