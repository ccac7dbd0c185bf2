//! Properties of the clients' history.

pub(crate) mod acked_offset;
pub(crate) mod consumer_backwards;
pub(crate) mod consumer_skip;
pub(crate) mod duplicate;
mod history;
pub(crate) mod lost_write;
mod position;
pub(crate) mod producer_order;
pub(crate) mod refused_read;
pub(crate) mod two_values;
pub(crate) mod unseen;

#[cfg(test)]
mod tests;

pub(crate) use history::{Concerns, Event, History, Seen, for_each_record};
