//! The coordinator of consumer groups: offsets, the classic protocol, and KIP-848's.
//!
//! [`GroupCoordinator`] is the shell: it keeps the groups, the committed offsets and the timers of one partition of
//! `__consumer_offsets`, and gives each request, record and timer to the part that it is for.

mod admin;
mod classic;
mod config;
mod consumer;
mod context;
mod coordinator;
mod embedded;
mod migrant;
mod offsets;
pub mod record;
mod refusal;
#[cfg(test)]
mod tests;
mod timers;

pub use config::{GroupConfig, MigrationPolicy, ServerAssignor};
pub use coordinator::GroupCoordinator;
