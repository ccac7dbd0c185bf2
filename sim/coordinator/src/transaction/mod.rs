//! The coordinator of transactional ids.

mod add_partitions;
mod answer;
mod config;
mod coordinator;
mod describe;
mod end_txn;
mod init_producer_id;
mod markers;
mod metadata;
pub mod record;
mod state;
mod timers;

pub use config::TransactionConfig;
pub use coordinator::TransactionCoordinator;
pub use markers::marker_transaction_version;

#[cfg(test)]
mod tests;
