//! The client process: producers, consumers and an administrator under one roof, following a load plan.

mod config;
mod consume;
mod elect;
mod node;
mod produce;
mod schedule;
mod setup;
mod view;

pub use config::{
    BankWorkload, ClientConfig, ConsumeWorkload, Corpus, ElectWorkload, Keys, ListsWorkload,
    PipelineWorkload, ProduceWorkload, Rate, Semantics, SetupWorkload, Share, WorkloadConfig,
};
pub use node::ClientNode;
pub use view::{AssignedPartition, ClientView, ConsumerView, ProducerView};

#[cfg(test)]
mod tests;
