//! A Kafka broker as a state machine without I/O: APIs, replication, purgatories.

pub mod replica;
pub mod token;

pub use token::Token;
