//! Faults as data: what can go wrong, to whom, when and for how long.
//!
//! - [`Fault`]: one thing that goes wrong. Generic over how it says to whom: in a plan by [`Target`] (a host's name or a
//!   role such as "the leader of orders-0"), and, once it is injected, by [`Hosts`], the names that the roles stood for;
//! - [`FaultPlan`]: faults with their times, in the form of a scenario's `[[fault]]` tables; what was injected is written
//!   out in the same form, so that a run's plan can be replayed although roles may fall differently;
//! - [`Nemesis`]: writes a random plan from a seed;
//! - [`quantity`]: `"250ms"`, `"10MB/s"`.
//!
//! Nothing here acts: the world carries out a [`ResolvedFault`].

mod disk;
mod fault;
mod nemesis;
mod plan;
pub mod quantity;
mod target;

pub use fault::{Fault, FaultKind, Leadership, Links, ResolvedFault};
pub use nemesis::{Nemesis, NemesisError};
pub use plan::{FaultEntry, FaultPlan, Moment, PlanError, Repeats, What};
pub use target::{Hosts, ResolveError, Roles, Target, parse_partition};
pub use trial_storage::disk::fault::{DiskFault, DiskPart, FailingOps};
