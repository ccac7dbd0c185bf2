//! Properties of the clients' history.

pub(crate) mod aborted_read;
pub(crate) mod above_high_watermark;
pub(crate) mod acked_offset;
pub(crate) mod conservation;
pub(crate) mod consumer_backwards;
pub(crate) mod consumer_skip;
pub(crate) mod duplicate;
pub(crate) mod exactly_once;
pub(crate) mod group_position;
mod history;
pub(crate) mod lost_write;
pub(crate) mod one_owner;
mod position;
pub(crate) mod producer_order;
pub(crate) mod read_before_commit;
pub(crate) mod refused_read;
pub(crate) mod stale_commit;
pub(crate) mod torn_transaction;
mod transactions;
pub(crate) mod two_values;
pub(crate) mod unseen;
pub(crate) mod write_read_cycle;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod transaction_tests;

pub(crate) use history::{Concerns, Event, History, Seen, Sent, for_each_record};
