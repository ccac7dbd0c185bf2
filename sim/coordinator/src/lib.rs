//! The coordinators of consumer groups and of transactions as state machines without I/O.
//!
//! A coordinator is the state that one partition of `__consumer_offsets` or `__transaction_state` holds, on the broker that
//! leads it. It decides, its decision's records are appended to the partition, and [`Coordinator::replay`] alone changes
//! durable state: so a coordinator that is loaded from the log is the same as one that has lived through it.
//!
//! How to drive a [`Coordinator`]:
//! - make one with its configuration when the broker begins to lead the partition, give every record of the log to
//!   [`Coordinator::replay`], in order, then call [`Coordinator::activate`]; until then requests are answered with
//!   COORDINATOR_LOAD_IN_PROGRESS by the caller;
//! - [`Coordinator::handle`] for each request, [`Coordinator::handle_response`] for what became of each [`Output::Send`],
//!   [`Coordinator::producer_id`] for the answer to each [`Output::ProducerId`], [`Coordinator::handle_timeout`] at or after
//!   [`Coordinator::poll_timeout`], [`Coordinator::metadata_changed`] when topics changed;
//! - after each of these, take [`Coordinator::poll_output`] until there is no more, and carry each out at once and in
//!   order; nothing else may be called in between but what an output asks for;
//! - [`Coordinator::resign`] when the broker no longer leads the partition in the epoch in which it was loaded.

pub mod group;
pub mod transaction;

mod partition;
mod pattern;
mod runtime;

pub use partition::{CONSUMER_OFFSETS, TRANSACTION_STATE, is_internal, partition_for};
pub use runtime::{
    CallId, ClusterMetadata, Coordinator, CorruptRecord, Env, LogRecord, Marker, Output, Record, Request,
    SendId, Ticket,
};
