//! The coordinator of transactional ids.

mod config;
mod coordinator;
pub mod record;
mod state;

pub use config::TransactionConfig;
pub use coordinator::TransactionCoordinator;
