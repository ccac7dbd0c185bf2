//! The coordinators of groups and transactions that this broker runs: one for each partition of `__consumer_offsets` and
//! `__transaction_state` that it leads.
//!
//! - [`Runtime`]: the coordinators of one kind: loads them from their logs, appends their records, holds back what must be
//!   committed first;
//! - [`Calls`]: whose request each of their answers is for;
//! - [`Markers`]: WriteTxnMarkers requests in progress;
//! - [`Verifier`]: what this broker asks the coordinators of transactions, wherever they are (KIP-890);
//! - [`topics`]: the two topics.

mod calls;
mod drive;
mod load;
mod markers;
mod runtime;
pub(crate) mod topics;
mod verifier;

pub(crate) use calls::{Calls, Gathering, Merge};
pub(crate) use drive::{Coordinators, Unverified};
pub(crate) use markers::{Markers, Place};
pub(crate) use runtime::{Around, Runtime, Settings};
pub(crate) use verifier::{Question, Verifier};
