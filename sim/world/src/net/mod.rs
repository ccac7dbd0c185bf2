//! The network: TCP as an application sees it, over links that can be slow, narrow or cut.

mod conn;
mod latency;
mod link;
mod nic;
mod setup;
#[cfg(test)]
mod tests;
mod transport;

pub(crate) use conn::{ConnTable, EndState, Network, Segment, SegmentKind};
pub(crate) use link::Link;
pub(crate) use nic::Nic;
