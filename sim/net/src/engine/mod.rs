//! The nodes of a scenario on sockets: every message between them is encoded, framed, carried by a stream that may cut it
//! anywhere, and decoded at its other end.
//!
//! [`Driver`] is a [`trial_world::Engine`], generic over what its sockets are made of:
//! - [`Turmoil`]: simulated sockets in virtual time, a tick of a millisecond at a time; the same seed is the same run;
//! - [`Tcp`]: sockets of this machine's loopback interface, in real time; no run can be repeated.
//!
//! A host has two parts. Its *kernel* is asynchronous: it listens, connects, reads frames and writes them. Its node, its disk
//! and its clock belong to the driver, which is not: it hands what kernels have brought to the nodes, one input at a time, lets
//! the observer look, and carries out the effects. So nodes need no lock, and the observer sees every step.
//!
//! Disks cost nothing here: what a node does to its disk takes no time, and its effects leave at once.

mod driver;
mod fabric;
mod fate;
mod faults;
mod host;
mod kernel;
mod links;
mod step;
mod tcp;
mod turmoil;

pub use driver::Driver;
pub use tcp::Tcp;
pub use turmoil::Turmoil;
