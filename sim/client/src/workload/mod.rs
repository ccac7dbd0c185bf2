//! The client process: producers, consumers and an administrator under one roof, following a load plan.

mod bank;
mod config;
mod consume;
mod lists;
mod node;
mod numbers;
mod operator;
mod pipeline;
mod produce;
mod schedule;
mod setup;
mod source;
mod transactor;
mod view;
mod writer;

pub use config::{
    BankWorkload, ClientConfig, ConsumeWorkload, Corpus, Keys, ListsWorkload, OperateWorkload,
    PipelineWorkload, ProduceWorkload, Rate, Semantics, SetupWorkload, Share, WorkloadConfig,
};
pub use node::ClientNode;
pub use view::{AssignedPartition, ClientView, ConsumerView, ProducerView, TransactionView};

#[cfg(test)]
mod tests;
