//! What whoever carries out a scenario needs of the engine that it runs on.

use trial_faults::{Fault, ResolvedFault};
use trial_node::{Node, Now, Time};
use trial_storage::disk::sim::SimDisk;

use crate::config::HostSpec;
use crate::error::WorldError;
use crate::faults::FaultError;
use crate::observer::Observer;
use crate::trace::{Checkpoint, EventRecord};
use crate::world::{Counters, HostId, RunEnd, World};

/// Hosts with nodes and disks, a network between them, time, and faults.
///
/// [`World`] models all of it; other engines put the same nodes on sockets. Whatever the engine, an observer sees the same
/// steps and fates of hosts, and cannot influence them.
pub trait Engine<N: Node> {
    /// As the command line and reports name it.
    const NAME: &'static str;
    /// Whether it models what machines and links cost: bandwidth, disks, processors, latencies below a millisecond. If not,
    /// every machine is for nothing, and how long a request takes says nothing.
    const MODELS_COSTS: bool;

    /// Why it cannot carry out a fault, if it cannot; whatever hosts it strikes.
    fn refuses<T>(&self, fault: &Fault<T>) -> Option<&'static str>;

    /// As [`World::add_host`].
    fn add_host(&mut self, spec: HostSpec<N::Config>) -> HostId;

    /// As [`World::start`].
    fn start(&mut self, host: HostId, observer: &mut impl Observer<N>);

    /// As [`World::run_until`].
    ///
    /// # Errors
    /// [`WorldError`]: the run cannot go on.
    fn run_until(&mut self, until: Time, observer: &mut impl Observer<N>) -> Result<RunEnd, WorldError>;

    /// As [`World::apply`].
    ///
    /// # Errors
    /// [`FaultError`]; nothing has happened then.
    fn apply(&mut self, fault: &ResolvedFault, observer: &mut impl Observer<N>) -> Result<(), FaultError>;

    /// As [`World::heal`].
    ///
    /// # Errors
    /// [`FaultError`]; nothing has happened then.
    fn heal(&mut self, fault: &ResolvedFault, observer: &mut impl Observer<N>) -> Result<(), FaultError>;

    /// The instant that the run is at.
    fn now(&self) -> Time;

    /// Both clocks of a host.
    fn clocks(&self, host: HostId) -> Now;

    /// How many hosts there are; their ids are all the numbers below.
    fn host_count(&self) -> usize;

    /// The host of that name.
    fn find(&self, name: &str) -> Option<HostId>;

    /// A host's name.
    fn name(&self, host: HostId) -> &str;

    /// Whether somebody else acts in the place of the host's node.
    fn is_outside(&self, _host: HostId) -> bool {
        false
    }

    /// A host's node, running or paused.
    fn node(&self, host: HostId) -> Option<&N>;

    /// A host's node and disk, to read its log by the views' methods. Costs the node nothing.
    fn node_and_disk(&mut self, host: HostId) -> (Option<&N>, &mut SimDisk);

    /// What the run has cost so far.
    fn counters(&self) -> Counters;

    /// The trace hash now.
    fn hash(&self) -> u128;

    /// The checkpoints of the trace hash so far.
    fn checkpoints(&self) -> &[Checkpoint];

    /// As [`World::record_events`].
    fn record_events(&mut self, first: u64, last: u64);

    /// What was recorded.
    fn recorded(&self) -> &[EventRecord];
}

impl<N: Node> Engine<N> for World<N> {
    const NAME: &'static str = "world";
    const MODELS_COSTS: bool = true;

    fn refuses<T>(&self, _fault: &Fault<T>) -> Option<&'static str> {
        None
    }

    fn add_host(&mut self, spec: HostSpec<N::Config>) -> HostId {
        World::add_host(self, spec)
    }

    fn start(&mut self, host: HostId, observer: &mut impl Observer<N>) {
        World::start(self, host, observer);
    }

    fn run_until(&mut self, until: Time, observer: &mut impl Observer<N>) -> Result<RunEnd, WorldError> {
        World::run_until(self, until, observer)
    }

    fn apply(&mut self, fault: &ResolvedFault, observer: &mut impl Observer<N>) -> Result<(), FaultError> {
        World::apply(self, fault, observer)
    }

    fn heal(&mut self, fault: &ResolvedFault, observer: &mut impl Observer<N>) -> Result<(), FaultError> {
        World::heal(self, fault, observer)
    }

    fn now(&self) -> Time {
        World::now(self)
    }

    fn clocks(&self, host: HostId) -> Now {
        World::clocks(self, host)
    }

    fn host_count(&self) -> usize {
        World::host_count(self)
    }

    fn find(&self, name: &str) -> Option<HostId> {
        World::find(self, name)
    }

    fn name(&self, host: HostId) -> &str {
        World::name(self, host)
    }

    fn is_outside(&self, host: HostId) -> bool {
        World::is_outside(self, host)
    }

    fn node(&self, host: HostId) -> Option<&N> {
        World::node(self, host)
    }

    fn node_and_disk(&mut self, host: HostId) -> (Option<&N>, &mut SimDisk) {
        World::node_and_disk(self, host)
    }

    fn counters(&self) -> Counters {
        World::counters(self)
    }

    fn hash(&self) -> u128 {
        World::hash(self)
    }

    fn checkpoints(&self) -> &[Checkpoint] {
        World::checkpoints(self)
    }

    fn record_events(&mut self, first: u64, last: u64) {
        World::record_events(self, first, last);
    }

    fn recorded(&self) -> &[EventRecord] {
        World::recorded(self)
    }
}
