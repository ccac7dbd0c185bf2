//! The deterministic world: virtual time, a network, machines and the nodes on them.
//!
//! How to use it:
//! 1. [`World::new`] with a [`WorldConfig`]; [`World::add_host`] for each machine; [`World::set_link`] where links differ;
//! 2. [`World::start`] the hosts;
//! 3. [`World::run_until`] an instant, with an [`Observer`] that sees every step; between two calls [`World::apply`] and
//!    [`World::heal`] faults, look at nodes, or [`Clone`] the world to come back to this instant.
//!
//! Who is not a node can take part by way of [`World::add_outside`].
//!
//! Same binary, configuration, seed and calls: the same [`World::hash`]. An observer cannot influence it.

mod clock;
mod config;
mod cpu;
mod engine;
mod error;
mod faults;
mod lifecycle;
mod machine;
mod messages;
mod net;
mod observer;
mod outside;
mod queue;
mod sim;
mod step;
mod trace;
mod world;

pub use clock::WallClock;
pub use config::{
    CpuProfile, DiskProfile, HostSpec, Latency, LinkProfile, MachineProfile, Wire, WorldConfig,
};
pub use engine::Engine;
pub use error::WorldError;
pub use faults::FaultError;
pub use observer::{Ignore, Lifecycle, Observer, Step, StepInput};
pub use outside::Arrival;
pub use step::hash_notice;
pub use trace::{
    Checkpoint, Divergence, EventRecord, Kind, TraceHash, diff_checkpoints, diff_events, put_text,
};
pub use world::{Counters, HostId, HostState, RunEnd, World};
